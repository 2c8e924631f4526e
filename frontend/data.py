"""Data sets: features, labels and the fixed-point format the hardware will see."""

from __future__ import annotations

import logging
import math
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lgc.errors import LgcError, nearest
from lgc.ir.encoder import FixedPoint

from . import bundled, idx, images, tables, uci
from ._typing import Array, Bool1, I64x1
from .raw import Raw

_LOG = logging.getLogger(__name__)

DIGITS_TEST = 360
"""Test samples cut from scikit-learn's 1,797 digits, stratified."""
TEST_SHARE = 0.2
"""Share of the samples cut as a test set, stratified, where a source brings none."""
DIGITS_SEED = 20220101
"""Seed of these cuts; fixed, so that everybody's test set is the same."""
FLOAT_WIDTH = 16
"""Bits a real-valued feature is quantised to, as long as these leave every feature `RESOLUTION` steps."""
RESOLUTION = 256
"""Steps the values of a real feature span at least, the narrowest one's too."""
_MAX_WIDTH, _MAX_FRACTION = 31, 64
_NAMED = 5
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
        source: where the data came from; `load` finds it again by that.
        feature_names: one per feature, or none.
    """

    train_x: Array
    train_y: I64x1
    test_x: Array
    test_y: I64x1
    class_names: tuple[str, ...]
    format: FixedPoint
    image_shape: tuple[int, ...] | None
    source: str
    feature_names: tuple[str, ...] = ()

    @property
    def features(self) -> int:
        """Features per sample."""
        return math.prod(self.train_x.shape[1:])


def load(source: str | Path) -> Dataset:
    """Load a data set; `docs/data.md` describes what each of these must look like.

    - "digits", "iris", "wine", "breast_cancer": they come with scikit-learn;
    - "openml:NAME", "openml:NAME@VERSION", "openml:NUMBER": fetched through scikit-learn;
    - a .csv file, or a folder with train.csv and test.csv; "table.csv#COLUMN" names the target;
    - an .npz file, or a folder of x_train.npy, y_train.npy, x_test.npy, y_test.npy;
    - a folder of idx files (MNIST naming, raw or .gz) or of CIFAR-10's binary batches;
    - a folder with one folder of images per class, under train/ and test/ or not;
    - "some/where/adult", "some/where/monks-1": the UCI files of these names, plain or .xz.

    A relative path that does not exist here is looked up in the folder `$LGC_DATA`. Where a source has
    no test set, a fifth of it is cut off, stratified, always the same.

    Raises:
        LgcError: nothing there, or its content is not a usable classification task.
        ToolMissingError: scikit-learn or Pillow is needed and not installed.
    """
    name = str(source)
    if name in bundled.NAMES:
        return _checked(bundled.load(name), name)
    if name.startswith("openml:"):
        return _checked(bundled.openml(name.removeprefix("openml:")), name)
    path, target = _find(name)
    reader = _reader(path, target)
    if reader is not None:
        return _checked(reader(), f"{path}#{target}" if target else str(path))
    named = ", ".join(bundled.NAMES)
    hint = f"Give {named}, openml:NAME, or a file or folder, relative to here or to $LGC_DATA."
    if path.is_file():
        raise LgcError(f"{path} is not a data set lgc can read.", hint=hint)
    close = nearest(name, bundled.NAMES)
    raise LgcError(
        f"There is no data set {name!r}.", hint=f"{close} {hint}" if close.startswith("Did") else hint
    )


def _find(name: str) -> tuple[Path, str]:
    """Split off the target column, and look in `$LGC_DATA` for what is not here."""
    places = [Path()] + ([Path(os.environ["LGC_DATA"])] if "LGC_DATA" in os.environ else [])
    plain, _, target = name.rpartition("#")
    for given, column in [(name, ""), (plain, target)] if plain else [(name, "")]:
        for place in places:
            if (place / given).exists() or uci.files(place / given):
                return place / given, column
    return Path(name), ""


def _reader(path: Path, target: str) -> Callable[[], Raw] | None:
    """Choose how to read what is at `path`, None if it is nothing known."""
    if path.is_dir():
        return _folder_reader(path, target)
    if path.is_file() and path.suffix == ".csv":
        return lambda: tables.load(path, target)
    if path.is_file() and path.suffix == ".npz":
        return lambda: _npz(path)
    found = uci.files(path)
    return (lambda: uci.load(*found)) if found else None


def _folder_reader(folder: Path, target: str) -> Callable[[], Raw]:
    train, test = folder / "train.csv", folder / "test.csv"
    if train.is_file():
        return lambda: tables.load(train, target, test if test.is_file() else None)
    if (folder / "x_train.npy").is_file():
        return lambda: _npy(folder)
    if images.is_cifar(folder):
        return lambda: images.load_cifar(folder)
    if images.is_folder(folder):
        return lambda: images.load_folder(folder)
    return lambda: _idx(folder)


def _idx(folder: Path) -> Raw:
    arrays = []
    for part, kind, rank in [(p, k, r) for p in ("train", "t10k") for k, r in (("images", 3), ("labels", 1))]:
        path = idx.find(folder, part, kind)
        if path is None:
            raise LgcError(
                f"{folder} holds no {part} {kind}.",
                hint=f"Expected {part}-{kind}-idx{rank}-ubyte, raw or .gz, or another form of docs/data.md.",
            )
        arrays.append(idx.read(path, rank))
    train_x, train_y, test_x, test_y = arrays
    return Raw(train_x, train_y, test_x, test_y, format=FixedPoint(8))


def _npy(folder: Path) -> Raw:
    """Read x_train.npy, y_train.npy, x_test.npy, y_test.npy."""
    arrays = []
    for name in _NPZ_ARRAYS:
        path = folder / f"{name}.npy"
        try:
            arrays.append(np.asarray(np.load(path, allow_pickle=False)))
        except (OSError, ValueError, EOFError) as error:
            raise LgcError(f"Cannot read {path}: {error}.", hint="Write it with numpy.save.") from error
    train_x, train_y, test_x, test_y = arrays
    return Raw(train_x, train_y, test_x, test_y)


def _npz(path: Path) -> Raw:
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
    train_x, train_y, test_x, test_y = arrays
    return Raw(train_x, train_y, test_x, test_y, names)


def fixed_point(x: Array) -> FixedPoint:
    """Choose the format that holds every value of `x` `[samples, ...]`.

    Integers are exact. Reals get 16 bits, or more where features of very different range share the
    format: the narrowest one that varies keeps `RESOLUTION` steps, as far as 31 bits allow.
    """
    low, high = float(x.min()), float(x.max())
    signed = low < 0
    magnitude = max(high, -low)
    if x.dtype.kind in "bui":
        width = 8 if x.dtype == np.uint8 else max(1, math.floor(magnitude).bit_length() + signed)
        if width > _MAX_WIDTH:
            raise LgcError(f"The features reach {magnitude:.3g}; 31 bits is the limit.", hint="Scale them.")
        return FixedPoint(width, signed=signed)
    integer_bits = max(math.frexp(magnitude)[1], FLOAT_WIDTH - signed - _MAX_FRACTION)
    if integer_bits > _MAX_FRACTION:
        raise LgcError(f"The features reach {magnitude:.3g}.", hint="Scale them.")
    spans = np.ptp(x.reshape(len(x), -1).astype(np.float64), axis=0)
    fraction = FLOAT_WIDTH - signed - integer_bits
    if (spans > 0).any():
        fine = math.frexp(RESOLUTION / float(spans[spans > 0].min()))[1]
        fraction = min(max(fraction, fine), _MAX_FRACTION)
    width = min(fraction + signed + integer_bits, _MAX_WIDTH)
    return FixedPoint(width, fraction=width - signed - integer_bits, signed=signed)


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


def _checked(raw: Raw, source: str) -> Dataset:
    """Build the data set, or say what is wrong with it."""
    names = raw.class_names
    train_x = _features(raw.train_x, "training")
    train = _labels(raw.train_y, "training", len(train_x))
    if raw.test_x is None or raw.test_y is None:
        _classes(names, train, train)
        train_x, train, test_x, test = _cut(train_x, train, source)
    else:
        test_x = _features(raw.test_x, "test")
        if train_x.shape[1:] != test_x.shape[1:]:
            raise LgcError(f"Training samples are {train_x.shape[1:]}, test samples {test_x.shape[1:]}.")
        test = _labels(raw.test_y, "test", len(test_x))
    names = _classes(names, train, test)
    shape = train_x.shape[1:] if train_x.ndim in (3, 4) else None
    if shape is None:  # the border of images is constant as a rule
        _warn_of_constants(train_x, raw.feature_names, source)
    form = raw.format or fixed_point(train_x)
    return Dataset(train_x, train, test_x, test, names, form, shape, source, raw.feature_names)


def _classes(names: tuple[str, ...] | None, train: I64x1, test: I64x1) -> tuple[str, ...]:
    """Check that labels and classes fit each other; returns the classes' names."""
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
    return names or tuple(str(c) for c in range(classes))


def _cut(x: Array, y: I64x1, source: str) -> tuple[Array, I64x1, Array, I64x1]:
    """Cut the test set off a source that has none."""
    counts = np.bincount(y)
    if counts.min() < 2:
        raise LgcError(
            f"Class {counts.argmin()} of {source} has one sample; no test set can be cut off.",
            hint="Give a test set, or leave the class out.",
        )
    size = DIGITS_TEST if source == "digits" else max(round(TEST_SHARE * len(y)), 1)
    test = held_out(y, size, DIGITS_SEED)
    return x[~test], y[~test], x[test], y[test]


def _warn_of_constants(x: Array, names: tuple[str, ...], source: str) -> None:
    same = np.flatnonzero((x == x[:1]).all(axis=0))
    if len(same):
        listed = ", ".join(names[i] if names else str(i) for i in same[:_NAMED].tolist())
        more = f" and {len(same) - _NAMED} more" if len(same) > _NAMED else ""
        _LOG.warning(
            "%s: %d of %d features never change in training and say nothing: %s%s",
            source, len(same), x.shape[1], listed, more,
        )  # fmt: skip


def held_out(labels: I64x1, size: int, seed: int) -> Bool1:
    """Choose `size` samples, the classes in proportion (largest remainder); bool `[samples]`."""
    if not 0 < size < len(labels):
        raise LgcError(
            f"Cannot hold out {size} of {len(labels)} samples.",
            hint=f"Hold out fewer, as with --set data.validation={max(len(labels) // 5, 1)}.",
        )
    rng = np.random.default_rng(seed)
    counts = np.bincount(labels)
    share = counts * size / len(labels)
    take = np.floor(share).astype(np.int64)
    take[np.argsort(take - share, kind="stable")[: size - take.sum()]] += 1
    chosen = np.zeros(len(labels), np.bool_)
    for c, n in enumerate(take):
        chosen[rng.permutation(np.flatnonzero(labels == c))[:n]] = True
    return chosen


def validation_rows(data: Dataset, size: int, seed: int) -> Bool1:
    """Tell which training samples `split_validation` cuts off, bool `[samples]`."""
    return held_out(data.train_y, size, seed)


def split_validation(data: Dataset, size: int, seed: int) -> tuple[Array, I64x1, Array, I64x1]:
    """Cut `size` validation samples from the training set, the classes in proportion.

    Returns:
        Training features and labels, validation features and labels.
    """
    chosen = validation_rows(data, size, seed)
    return data.train_x[~chosen], data.train_y[~chosen], data.train_x[chosen], data.train_y[chosen]
