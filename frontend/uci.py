"""The UCI sets of the DiffLogic experiments (arXiv 2210.08277) as binary features: Adult, MONK 1 to 3.

The files are those of the UCI repository, plain or as .xz, under their own names: `adult.data` and
`adult.test`, `monks-1.train` and `monks-1.test`.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np

from lgc.errors import LgcError
from lgc.ir.encoder import FixedPoint

from ._typing import Array
from .raw import Raw

_ADULT = (
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation"),
    *("relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country"),
)
_ADULT_CLASSES = ("<=50K", ">50K")
_BINS = {
    "age": (21, 30, 45, 60),
    "capital-gain": (1, 5000),
    "capital-loss": (1, 5000),
    "hours-per-week": (1, 13, 26, 41, 60),
}
"""Where the numeric attributes are cut; each bin becomes one feature."""
_UNUSED = {"fnlwgt", "education-num"}
_MONK_VALUES = (3, 3, 2, 3, 4, 2)
_Column = tuple[str, tuple[str, ...] | tuple[int, ...]]


def files(stem: Path) -> tuple[Path, Path] | None:
    """Find the training and test file of a set by its path without suffix, such as `uci/adult`."""
    for train in (".data", ".train"):
        for pack in ("", ".xz"):
            paths = stem.with_name(stem.name + train + pack), stem.with_name(f"{stem.name}.test{pack}")
            if all(path.is_file() for path in paths):
                return paths
    return None


def load(train: Path, test: Path) -> Raw:
    """Read Adult or a MONK problem; features are uint8 0 or 1, one per value of an attribute.

    Adult: samples with missing values are left out, `fnlwgt` and `education-num` too; numbers are cut
    at fixed bounds (age 21, 30, 45, 60; gain and loss 1, 5000; hours 1, 13, 26, 41, 60): 116 features,
    30,162 training and 15,060 test samples. MONK: 17 features.

    Raises:
        LgcError: unreadable, another set, or a value the format does not have; names file and line.
    """
    name = train.name.split(".")[0]
    if name == "adult":
        return _adult(train, test)
    if name in {"monks-1", "monks-2", "monks-3"}:
        x, y = zip(*(_monk(path) for path in (train, test)), strict=True)
        names = tuple(f"a{i + 1}={v + 1}" for i, n in enumerate(_MONK_VALUES) for v in range(n))
        return Raw(x[0], y[0], x[1], y[1], ("0", "1"), names, FixedPoint(1))
    raise LgcError(f"lgc has no recipe for the UCI set {name!r}.", hint="Known: adult, monks-1 to monks-3.")


def _lines(path: Path) -> list[tuple[int, str]]:
    """Lines with their number, without comments and blank ones."""
    try:
        with lzma.open(path, "rt") if path.suffix == ".xz" else path.open("rt", encoding="utf-8") as file:
            lines = [(number, line.strip()) for number, line in enumerate(file, 1)]
    except (OSError, EOFError, UnicodeDecodeError, lzma.LZMAError) as error:
        raise LgcError(f"Cannot read {path}: {error}.") from error
    return [(number, line) for number, line in lines if line and not line.startswith("|")]


def _monk(path: Path) -> tuple[Array, Array]:
    """One-hot features uint8 `[samples, 17]` and classes int64 `[samples]`."""
    rows = []
    for number, line in _lines(path):
        cells = line.split()[:7]
        if len(cells) < 7 or not all(cell.isdecimal() for cell in cells):
            raise LgcError(f"{path}, line {number}: expected a class and six attributes.")
        rows.append([int(cell) for cell in cells])
        if any(not 1 <= v <= n for v, n in zip(rows[-1][1:], _MONK_VALUES, strict=True)):
            raise LgcError(f"{path}, line {number}: an attribute is out of range.")
    values = np.array(rows, np.int64).reshape(-1, 7)
    hot = [values[:, [i + 1]] == np.arange(1, n + 1) for i, n in enumerate(_MONK_VALUES)]
    return np.concatenate(hot, axis=1).astype(np.uint8), values[:, 0]


def _adult(train: Path, test: Path) -> Raw:
    parts = [_adult_rows(path) for path in (train, test)]
    columns = _adult_columns(parts[0])
    names = [f"{name}={v}" for name, values in columns for v in values if isinstance(v, str)]
    names += [f"{name}[{i}]" for name, cuts in columns if name in _BINS for i in range(len(cuts) + 1)]
    x, y = [], []
    for path, rows in zip((train, test), parts, strict=True):
        complete = [row for row in rows if "?" not in row]
        x.append(np.concatenate([_adult_features(path, complete, column) for column in columns], axis=1))
        y.append(np.array([_ADULT_CLASSES.index(row[-1]) for row in complete], np.int64))
    return Raw(x[0], y[0], x[1], y[1], _ADULT_CLASSES, tuple(names), FixedPoint(1))


def _adult_rows(path: Path) -> list[list[str]]:
    rows = []
    for number, line in _lines(path):
        cells = [cell.strip() for cell in line.rstrip(".").split(",")]
        if len(cells) != len(_ADULT) + 1 or cells[-1] not in _ADULT_CLASSES:
            raise LgcError(f"{path}, line {number}: expected fourteen attributes and <=50K or >50K.")
        if not all(cells[_ADULT.index(name)].isdecimal() for name in _BINS):
            raise LgcError(f"{path}, line {number}: {', '.join(_BINS)} must be numbers.")
        rows.append(cells)
    return rows


def _adult_columns(rows: list[list[str]]) -> list[_Column]:
    """Categories in alphabetical order, then the cut numbers."""
    categorical = [name for name in _ADULT if name not in _BINS and name not in _UNUSED]
    columns: list[_Column] = []
    for name in categorical:
        values = {row[_ADULT.index(name)] for row in rows} - {"?"}
        columns.append((name, tuple(sorted(values))))
    return columns + list(_BINS.items())


def _adult_features(path: Path, rows: list[list[str]], column: _Column) -> Array:
    """One-hot uint8 `[samples, values]` of one attribute."""
    name, values = column
    cells = [row[_ADULT.index(name)] for row in rows]
    if name in _BINS:
        value = np.searchsorted(np.array(values, np.int64), np.array(cells, np.int64), side="right")
        return np.asarray(value[:, None] == np.arange(len(values) + 1), np.uint8)
    unknown = set(cells) - set(map(str, values))
    if unknown:
        raise LgcError(f"{path}: the training set has no {name} {sorted(unknown)[0]!r}.")
    return np.asarray(np.array(cells)[:, None] == np.array(values), np.uint8)
