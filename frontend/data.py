"""Data sets: features, labels and the fixed-point format the hardware will see."""

from __future__ import annotations

import math
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lgc.errors import LgcError, ToolMissingError
from lgc.ir.encoder import FixedPoint

from . import idx
from ._typing import Array, Bool1, I64x1

DIGITS_TEST = 360
"""Test samples cut from scikit-learn's 1,797 digits, stratified."""
DIGITS_SEED = 20220101
"""Seed of that cut; fixed, so that everybody's test set is the same."""
FLOAT_WIDTH = 16
"""Bits a real-valued feature is quantised to."""
_NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_MAX_NPZ_BYTES = 1 << 36


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification task; test samples serve once, to report.

    Attributes:
        train_x, test_x: uint8, integer or float `[samples, ...]`.
        train_y, test_y: int64 `[samples]`, class indices.
        class_names: one per class.
        format: fixed-point format of the features at the hardware's pins.
        image_shape: `(height, width)` or `(height, width, channels)` of a sample, or None.
        source: where the data came from, for the record.
    """

    train_x: Array
    train_y: I64x1
    test_x: Array
    test_y: I64x1
    class_names: tuple[str, ...]
    format: FixedPoint
    image_shape: tuple[int, ...] | None
    source: str

    @property
    def features(self) -> int:
        """Features per sample."""
        return math.prod(self.train_x.shape[1:])


def load(source: str | Path) -> Dataset:
    """Load "digits", a folder of idx files (MNIST naming, raw or .gz) or an .npz file.

    A relative path that does not exist here is looked up in the folder `$LGC_DATA`.

    Raises:
        LgcError: nothing there, or its content is not a usable classification task.
        ToolMissingError: "digits" without scikit-learn.
    """
    if str(source) == "digits":
        return _digits()
    path = Path(source)
    if not path.exists() and "LGC_DATA" in os.environ:
        path = Path(os.environ["LGC_DATA"]) / source
    if path.is_dir():
        return _folder(path)
    if path.suffix == ".npz" and path.is_file():
        return _npz(path)
    hint = "Give digits, a folder with idx files or an .npz file, relative to here or to $LGC_DATA."
    if path.is_file():
        raise LgcError(f"{path} is not a data set lgc can read.", hint=hint)
    raise LgcError(f"There is no data set {str(source)!r}.", hint=hint)


def _digits() -> Dataset:
    """scikit-learn's 8x8 digits, pixel codes 0..16 (UCI Optical Recognition of Handwritten Digits)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ToolMissingError(
            "The digits come with scikit-learn, which is not installed.", hint='pip install "lgc[train]"'
        ) from error
    bunch = load_digits()
    x, y = bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    test = held_out(y, DIGITS_TEST, DIGITS_SEED)
    return _checked([x[~test], y[~test], x[test], y[test]], "digits", FixedPoint(5), None)


def _folder(folder: Path) -> Dataset:
    arrays = []
    for part, kind, rank in [(p, k, r) for p in ("train", "t10k") for k, r in (("images", 3), ("labels", 1))]:
        path = idx.find(folder, part, kind)
        if path is None:
            raise LgcError(
                f"{folder} holds no {part} {kind}.",
                hint=f"Expected {part}-{kind}-idx{rank}-ubyte, raw or .gz.",
            )
        arrays.append(idx.read(path, rank))
    return _checked(arrays, str(folder), FixedPoint(8), None)


def _npz(path: Path) -> Dataset:
    """Read x_train, y_train, x_test, y_test and, if there, class_names."""
    try:
        with zipfile.ZipFile(path) as archive:
            promised = sum(entry.file_size for entry in archive.infolist())
        if promised > min(_MAX_NPZ_BYTES, 1100 * path.stat().st_size):
            raise LgcError(f"{path} claims to unpack to {promised} bytes; refusing.")
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in _NPZ_ARRAYS if name not in file]
            if missing:
                hint = f"Needed: {', '.join(_NPZ_ARRAYS)}."
                raise LgcError(f"{path} lacks {', '.join(missing)}.", hint=hint)
            arrays = [np.asarray(file[name]) for name in _NPZ_ARRAYS]
            names = tuple(str(n) for n in file["class_names"]) if "class_names" in file else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise LgcError(f"Cannot read {path}: {error}.", hint="Write it with numpy.savez.") from error
    return _checked(arrays, str(path), None, names)


def fixed_point(x: Array) -> FixedPoint:
    """Choose the format that holds every value of `x`: exact for integers, 16 bits for reals."""
    low, high = float(x.min()), float(x.max())
    signed = low < 0
    magnitude = max(high, -low)
    if x.dtype.kind in "bui":
        width = 8 if x.dtype == np.uint8 else max(1, math.floor(magnitude).bit_length() + signed)
        if width > 31:
            raise LgcError(f"The features reach {magnitude:.3g}; 31 bits is the limit.", hint="Scale them.")
        return FixedPoint(width, signed=signed)
    integer_bits = math.frexp(magnitude)[1]
    return FixedPoint(FLOAT_WIDTH, fraction=FLOAT_WIDTH - signed - integer_bits, signed=signed)


def _labels(y: Array, part: str, samples: int) -> I64x1:
    if y.shape != (samples,):
        raise LgcError(f"The {part} set has {samples} samples but labels of shape {y.shape}.")
    if y.dtype.kind not in "ui" and not (y.dtype.kind == "f" and np.array_equal(y, np.floor(y))):
        raise LgcError(f"The {part} labels are not integers.", hint="Give class indices 0, 1, 2, ...")
    if y.min() < 0:
        raise LgcError(f"The {part} labels reach {y.min()}; class indices start at 0.")
    return y.astype(np.int64)


def _features(x: Array, part: str) -> Array:
    if x.ndim < 2 or not x.size:
        raise LgcError(f"The {part} features have shape {x.shape}; expected [samples, features...].")
    if x.dtype.kind not in "buif":
        raise LgcError(f"The {part} features are of type {x.dtype}, not numbers.")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise LgcError(f"The {part} features hold NaN or infinite values.", hint="Clean them first.")
    return x.astype(np.uint8) if x.dtype.kind == "b" else x


def _checked(
    arrays: list[Array], source: str, form: FixedPoint | None, names: tuple[str, ...] | None
) -> Dataset:
    """Build the data set from training and test features and labels, or say what is wrong with it."""
    train_x, train_y, test_x, test_y = arrays
    train_x, test_x = _features(train_x, "training"), _features(test_x, "test")
    if train_x.shape[1:] != test_x.shape[1:]:
        raise LgcError(f"Training samples are {train_x.shape[1:]}, test samples {test_x.shape[1:]}.")
    train, test = _labels(train_y, "training", len(train_x)), _labels(test_y, "test", len(test_x))
    classes = len(names) if names else int(train.max()) + 1
    for part, y in (("training", train), ("test", test)):
        if y.max() >= classes:
            raise LgcError(f"The {part} labels reach {y.max()}, but there are {classes} classes.")
    # bincount allocates one cell per class: a stray label of 10**12 must not get there
    if classes > max(len(train), 2) or (np.bincount(train, minlength=classes) == 0).any():
        empty = next(c for c in range(classes) if not (train == c).any())
        raise LgcError(f"Class {empty} has no training sample.", hint="Number the classes 0, 1, 2, ...")
    if classes < 2:
        raise LgcError("There is only one class.", hint="A classifier needs at least two.")
    shape = train_x.shape[1:] if train_x.ndim in (3, 4) else None
    names = names or tuple(str(c) for c in range(classes))
    return Dataset(train_x, train, test_x, test, names, form or fixed_point(train_x), shape, source)


def held_out(labels: I64x1, size: int, seed: int) -> Bool1:
    """Choose `size` samples, the classes in proportion (largest remainder); bool `[samples]`."""
    if not 0 < size < len(labels):
        raise LgcError(f"Cannot hold out {size} of {len(labels)} samples.")
    rng = np.random.default_rng(seed)
    counts = np.bincount(labels)
    share = counts * size / len(labels)
    take = np.floor(share).astype(np.int64)
    take[np.argsort(take - share, kind="stable")[: size - take.sum()]] += 1
    chosen = np.zeros(len(labels), np.bool_)
    for c, n in enumerate(take):
        chosen[rng.permutation(np.flatnonzero(labels == c))[:n]] = True
    return chosen


def split_validation(data: Dataset, size: int, seed: int) -> tuple[Array, I64x1, Array, I64x1]:
    """Cut `size` validation samples from the training set, the classes in proportion.

    Returns:
        Training features and labels, validation features and labels.
    """
    chosen = held_out(data.train_y, size, seed)
    return data.train_x[~chosen], data.train_y[~chosen], data.train_x[chosen], data.train_y[chosen]
