"""Accuracy and speed of a model in software, on a data set: what `lgc eval` does."""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lgc import console
from lgc.errors import LgcError, MismatchError

if TYPE_CHECKING:
    from lgc.frontend.checkpoint import Checkpoint
    from lgc.ir.classifier import Classifier

CHECKED = 4096
"""Samples whose scores are compared with the netlist evaluated as it stands."""
_SECONDS = 0.3
"""Time spent on measuring the speed, at least one run."""
_CONFUSIONS = 5
"""Pairs of classes shown."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model does on the samples of one split.

    Attributes:
        source: the data set and split.
        class_names: one per class.
        scores: int64 `[samples, classes]`.
        predicted, labels: int64 `[samples]`.
        checked: samples whose scores were found equal to the netlist's as it stands.
        images_per_second: samples classified per second of wall time, features in, classes out.
        threads: threads used.
        seeds: seeds that the checkpoint records, and of the validation split.
        versions: of lgc and what it computes with, of the checkpoint's too where it records them.
    """

    source: str
    class_names: tuple[str, ...]
    scores: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    checked: int
    images_per_second: float
    threads: int
    seeds: dict[str, int]
    versions: dict[str, str]

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Samples by label (row) and predicted class (column), int64 `[classes, classes]`."""
        found = np.zeros((len(self.class_names),) * 2, np.int64)
        np.add.at(found, (self.labels, self.predicted), 1)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the scores, ready for JSON."""
        samples, correct = len(self.labels), int((self.predicted == self.labels).sum())
        return {
            "data": self.source,
            "samples": samples,
            "correct": correct,
            "accuracy": correct / samples,
            "classes": list(self.class_names),
            "confusion": self.confusion.tolist(),
            "scores checked": self.checked,
            "images per second": round(self.images_per_second),
            "cores": self.threads,
            "seeds": self.seeds,
            "versions": self.versions,
        }

    def save(self, path: Path) -> None:
        """Write scores, predicted, labels and class_names to an .npz file, whole or not at all.

        Raises:
            LgcError: the place cannot be written.
        """
        arrays: dict[str, Any] = {
            "scores": self.scores,
            "predicted": self.predicted,
            "labels": self.labels,
            "class_names": np.array(self.class_names),
        }
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
                np.savez_compressed(file, **arrays)
            Path(file.name).replace(path)
        except OSError as error:
            raise LgcError(f"Cannot write {path}: {error.strerror}.", hint="Choose another place.") from None


def evaluate(
    model: str | Path, data: str = "", *, split: str = "test", threads: int | None = None
) -> Evaluation:
    """Classify one split of a data set in software.

    Args:
        model: a checkpoint.
        data: as `lgc.frontend.data.load` takes it; "" for what the model was trained on.
        split: "test", or "validation": the part of the training set that chose the model's epoch.
        threads: threads to use, all cores if None.

    Raises:
        LgcError: the model or the data is missing or damaged, or they do not fit each other.
        MismatchError: the optimised program and the netlist as it stands give different scores.
    """
    from lgc.frontend import checkpoint
    from lgc.frontend.lower import lower
    from lgc.ir.simulate import blocks_of, threads_for

    found = checkpoint.load(Path(model))
    classifier = lower(found)
    x, labels, source, seeds = _samples(found, data, split)
    scores = classifier.scores(x, threads=threads)
    _check(classifier, x[:CHECKED], scores[:CHECKED])
    return Evaluation(
        source=source,
        class_names=classifier.class_names,
        scores=scores,
        predicted=scores.argmax(axis=1),
        labels=labels,
        checked=min(CHECKED, len(x)),
        images_per_second=_speed(classifier, x, threads),
        threads=threads_for(blocks_of(len(x)), threads),
        seeds=seeds,
        versions=_versions(found),
    )


def _samples(
    found: Checkpoint, source: str, split: str
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], str, dict[str, int]]:
    """Features, labels, their name and the seeds."""
    from lgc import models
    from lgc.frontend import data

    trained = found.metadata.get("config")
    settings: dict[str, Any] = trained.get("data", {}) if isinstance(trained, dict) else {}
    source = source or str(settings.get("source") or found.metadata.get("source") or "")
    if not source:
        raise LgcError(
            "The checkpoint does not say what it was trained on.", hint="Name a data set with --data."
        )
    loaded = data.load(source)
    seed = models.seed_of(found)
    seeds = {} if seed is None else {"training": seed}
    if split == "test":
        x, y = loaded.test_x, loaded.test_y
    else:
        size, cut = settings.get("validation"), settings.get("seed")
        if not isinstance(size, int) or not isinstance(cut, int):
            raise LgcError(
                "The checkpoint does not say which samples were its validation split.",
                hint="Use --split test.",
            )
        _, _, x, y = data.split_validation(loaded, size, cut)
        seeds["validation split"] = cut
    if len(loaded.class_names) > len(found.class_names):
        raise LgcError(
            f"The data has {len(loaded.class_names)} classes, the model {len(found.class_names)}.",
            hint="Give the data set the model was trained on.",
        )
    return x, y, f"{loaded.source}, {split} split", seeds


def _check(model: Classifier, x: npt.NDArray[Any], scores: npt.NDArray[np.int64]) -> None:
    differ = (model.scores_of_codes(model.encoder.codes(x)) != scores).any(axis=1)
    if differ.any():
        raise MismatchError(
            f"The optimised program gives other scores for sample {int(differ.argmax())} than the netlist.",
            hint="Please report this with the checkpoint.",
        )


def _speed(model: Classifier, x: npt.NDArray[Any], threads: int | None) -> float:
    """Return samples per second, median of as many runs as fit the time."""
    model.predict(x[:1], threads=threads)  # what is compiled at the first call is not counted
    seconds: list[float] = []
    while sum(seconds) < _SECONDS:
        start = time.perf_counter()
        model.predict(x, threads=threads)
        seconds.append(time.perf_counter() - start)
    return len(x) / statistics.median(seconds)


def _versions(found: Checkpoint) -> dict[str, str]:
    own = {"python": platform.python_version()} | {name: version(name) for name in ("lgc", "numpy", "numba")}
    trained = found.metadata.get("versions")
    then = trained if isinstance(trained, dict) else {}
    return own | {f"trained with {name}": str(then[name]) for name in ("lgc", "torch") if name in then}


def table(found: Evaluation) -> object:
    """Return what `lgc eval` shows: accuracy, recall per class, commonest confusions, speed."""
    facts = found.to_dict()
    confusion = found.confusion
    cells = [
        ("data", found.source),
        ("accuracy", f"{facts['accuracy']:.2%} ({facts['correct']:,} of {facts['samples']:,})"),
    ]
    for c, name in enumerate(found.class_names):
        total = int(confusion[c].sum())
        if total:
            cells.append((f"class {name}", f"{confusion[c, c] / total:.1%} of {total:,}"))
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    for at in np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS]:
        label, seen = (found.class_names[int(i)] for i in np.unravel_index(at, wrong.shape))
        if wrong.flat[at]:
            cells.append((f"{label} taken for {seen}", str(wrong.flat[at])))
    cells += [
        ("scores checked", f"{found.checked:,} samples equal to the netlist as it stands"),
        ("images per second", f"{facts['images per second']:,} on {_cores(found.threads)}"),
        *((f"seed of {what}", str(seed)) for what, seed in found.seeds.items()),
        ("versions", ", ".join(f"{name} {number}" for name, number in found.versions.items())),
    ]
    return console.rows("Evaluation", ("", ""), cells)


def _cores(threads: int) -> str:
    from lgc.ir.simulate import cores

    return f"{threads} thread{'s' * (threads != 1)} of {cores()} cores"
