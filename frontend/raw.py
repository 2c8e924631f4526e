"""What a reader of some file format hands over: arrays and names, not yet checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lgc.ir.encoder import FixedPoint

from ._typing import Array, I64x1


@dataclass(frozen=True, eq=False)
class Raw:
    """Features and labels as read; `lgc.frontend.data` checks them and cuts a test set if there is none.

    Attributes:
        train_x: numbers `[samples, ...]`.
        train_y: class indices `[samples]`.
        test_x, test_y: the same, or None.
        class_names: one per class, or None for the indices themselves.
        feature_names: one per feature, or none at all.
        format: of the features; None to choose it from the training features.
    """

    train_x: Array
    train_y: Array
    test_x: Array | None = None
    test_y: Array | None = None
    class_names: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] = ()
    format: FixedPoint | None = None


def numbered(labels: list[str]) -> tuple[I64x1, tuple[str, ...]]:
    """Give different labels their numbers from 0, integers by value, other texts in alphabetical order.

    Returns:
        Class indices int64 `[samples]` and the names of the classes.
    """
    different = set(labels)
    try:
        names = sorted(different, key=int)
    except ValueError:
        names = sorted(different)
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[label] for label in labels], np.int64), tuple(names)
