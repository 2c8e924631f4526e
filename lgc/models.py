"""Models and data as the user names them: files in, classifiers and samples out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError
from lgc.ir.classifier import Classifier
from lgc.ir.evidence import Evidence

if TYPE_CHECKING:
    from lgc.frontend.checkpoint import Checkpoint
    from lgc.frontend.data import Dataset

RANDOM_SAMPLES = 1000
"""Random samples compared where no data set is at hand."""


def load(path: str | Path) -> Classifier:
    """Load a checkpoint and lower it to the classifier that hardware would compute.

    Raises:
        LgcError: missing, damaged or foreign file.
    """
    from lgc.frontend import checkpoint
    from lgc.frontend.lower import lower

    return lower(checkpoint.load(Path(path)))


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples to compare hardware and network on.

    Attributes:
        codes: int32 `[samples, features]`, in the encoder's fixed-point format.
        labels: int64 `[samples]`, or None where they are random.
        source: where they come from, for the report.
    """

    codes: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int64] | None
    source: str

    def __len__(self) -> int:
        return len(self.codes)

    def first(self, count: int | None) -> Samples:
        """Return the first `count` samples, all if None."""
        labels = None if self.labels is None else self.labels[:count]
        return Samples(self.codes[:count], labels, self.source)


def samples(model: Classifier, source: str, *, required: bool) -> Samples:
    """Return the test split of a data set, or random samples where there is none.

    Args:
        model: what the samples are for.
        source: data set as `lgc.frontend.data.load` takes it, "" for none.
        required: whether a data set that cannot be loaded is an error.

    Raises:
        LgcError: `required`, and the data is missing, damaged, or does not fit the model.
    """
    from lgc.frontend import data

    encoder = model.encoder
    if source:
        try:
            found = data.load(source)
        except LgcError:
            if required:
                raise
        else:
            _check_fit(model, found)
            return Samples(encoder.codes(found.test_x), found.test_y, f"{found.source}, test split")
    rng = np.random.default_rng(0)
    form = encoder.format
    codes = rng.integers(form.low, form.high + 1, (RANDOM_SAMPLES, encoder.features), dtype=np.int32)
    return Samples(codes, None, "random codes, seed 0")


def evidence(path: Path, source: str) -> Evidence:
    """Return the training and validation splits, cut as in training, for passes that go by data.

    Args:
        path: the checkpoint, which records how its validation split was cut.
        source: data set as `lgc.frontend.data.load` takes it; the checkpoint's own if "".

    Raises:
        LgcError: there is no data, or it does not fit the model.
    """
    from lgc.frontend import checkpoint, data
    from lgc.frontend.config import DataConfig
    from lgc.frontend.lower import lower

    found = checkpoint.load(path)
    model = lower(found)
    recorded = found.metadata.get("source")
    source = source or (recorded if isinstance(recorded, str) else "")
    if not source:
        raise LgcError("The checkpoint names no data set.", hint="Name one with --data.")
    loaded = data.load(source)
    _check_fit(model, loaded)
    config = found.metadata.get("config")
    facts = config.get("data", {}) if isinstance(config, dict) else {}
    size, seed = (
        value if isinstance(value := facts.get(name), int) else getattr(DataConfig(), name)
        for name in ("validation", "seed")
    )
    seen, _, held_out, labels = data.split_validation(loaded, size, seed)
    bits = [model.encoder.encode(x) for x in (seen, held_out)]
    return Evidence(bits[0], bits[1], labels, loaded.source)


def _check_fit(model: Classifier, found: Dataset) -> None:
    classes = len(model.class_names)
    if len(found.class_names) > classes:
        raise LgcError(
            f"The data has {len(found.class_names)} classes, the model {classes}.",
            hint="Give the data set the model was trained on.",
        )


def positions(found: Checkpoint) -> npt.NDArray[np.float64] | None:
    """Where each input bit belongs in the image, float64 `[bits, 2]` within 0 and 1; None if no image."""
    shape = found.metadata.get("image_shape")
    encoder = found.encoder
    if not isinstance(shape, list) or len(shape) < 2 or not all(isinstance(n, int) and n > 0 for n in shape):
        return None
    if math.prod(shape) != encoder.features:
        return None
    pixel = np.unravel_index(np.arange(encoder.features).repeat(encoder.levels), shape)
    return np.stack([pixel[0] / shape[0], pixel[1] / shape[1]], axis=1)


def seed_of(found: Checkpoint) -> int | None:
    """Training seed that a checkpoint records."""
    seed = found.metadata.get("seed")
    return seed if isinstance(seed, int) else None
