"""CSV tables: one sample per line, numeric features and a target column of class names."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lgc.errors import LgcError, nearest

from ._typing import Array
from .raw import Raw, numbered

_DELIMITERS = ",;\t"
_EXACT = 1 << 31
"""Whole numbers below this stay integers."""


@dataclass(frozen=True)
class _Table:
    """Cells as text.

    Attributes:
        path: where they were read, for messages.
        header: names of the columns; empty if the file has none.
        rows: the cells.
        lines: line of each row in the file, from 1.
    """

    path: Path
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    @property
    def columns(self) -> int:
        """Number of columns."""
        return len(self.rows[0])

    def name(self, column: int) -> str:
        """How messages call a column."""
        return repr(self.header[column]) if self.header else str(column + 1)


def load(path: Path, target: str, test: Path | None = None) -> Raw:
    """Read a table, or a training and a test table.

    The first line is a header if none of its cells is a number. Delimiters are commas, semicolons or
    tabs, whatever the first line has most of. Features that are whole numbers throughout stay integers.

    Args:
        path: the (training) table.
        target: name of the column with the classes, its number (from 1) if there is no header, "" for
            the last column.
        test: the test table.

    Raises:
        LgcError: a cell that is no number (line and column are named), ragged lines, no such column, a
            target that is no class, classes or columns of the test table that training does not have.
    """
    table = _read(path)
    column = _column(table, target)
    labels, names = numbered(_classes(table, column))
    feature_names = tuple(name for i, name in enumerate(table.header) if i != column)
    x = _features(table, column)
    if test is None:
        return Raw(x, labels, class_names=names, feature_names=feature_names)
    other = _read(test)
    if other.header != table.header or other.columns != table.columns:
        raise LgcError(f"{test} has other columns than {path}.", hint="Give both the same header.")
    index = {name: i for i, name in enumerate(names)}
    for line, label in zip(other.lines, _classes(other, column), strict=True):
        if label not in index:
            raise LgcError(f"{test}, line {line}: the training set has no class {label!r}.")
    test_y = np.array([index[label] for label in _classes(other, column)], np.int64)
    return Raw(x, labels, _features(other, column), test_y, names, feature_names)


def _read(path: Path) -> _Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            found = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LgcError(f"Cannot read the table {path}: {error}.") from error
    header: tuple[str, ...] = ()
    if found and all(_number(cell) is None for cell in found[0][1]):
        header = tuple(found.pop(0)[1])
    if not found:
        raise LgcError(f"{path} holds no samples.", hint="Expected one sample per line.")
    columns = len(header or found[0][1])
    if columns < 2:
        raise LgcError(f"{path} has one column.", hint="Expected features and a class, comma-separated.")
    for line, row in found:
        if len(row) != columns:
            raise LgcError(f"{path}, line {line}: {len(row)} columns instead of {columns}.")
    return _Table(path, header, [row for _, row in found], [line for line, _ in found])


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _column(table: _Table, target: str) -> int:
    """Index of the target column."""
    if not target:
        return table.columns - 1
    if table.header:
        if table.header.count(target) != 1:
            count = "no column" if target not in table.header else "several columns"
            raise LgcError(f"{table.path} has {count} {target!r}.", hint=nearest(target, set(table.header)))
        return table.header.index(target)
    if not target.isdecimal() or not 1 <= int(target) <= table.columns:
        hint = f"Give the number of the target column, 1 to {table.columns}."
        raise LgcError(f"{table.path} has no header, so there is no column {target!r}.", hint=hint)
    return int(target) - 1


def _classes(table: _Table, column: int) -> list[str]:
    """Labels as text, whole numbers without a point."""
    labels = [row[column] for row in table.rows]
    for i, label in enumerate(labels):
        if not label:
            raise LgcError(f"{table.path}, line {table.lines[i]}: no class in column {table.name(column)}.")
        value = _number(label)
        if value is None:
            continue
        if not value.is_integer():
            raise LgcError(
                f"{table.path}, line {table.lines[i]}: the class {label} in column {table.name(column)} is "
                "not whole.",
                hint="lgc classifies; name the target column as in table.csv#column.",
            )
        labels[i] = str(int(value))
    return labels


def _features(table: _Table, column: int) -> Array:
    """Everything but the target, int64 or float64 `[samples, features]`."""
    cells = [row[:column] + row[column + 1 :] for row in table.rows]
    try:
        x = np.array(cells, np.str_).astype(np.float64)
    except ValueError as error:
        raise _bad_cell(table, column) or LgcError(f"Cannot read the table {table.path}: {error}.") from error
    if not np.isfinite(x).all():
        raise _bad_cell(table, column) or LgcError(f"{table.path} holds NaN or infinite values.")
    if (x == np.floor(x)).all() and np.abs(x).max() < _EXACT:
        return x.astype(np.int64)
    return x


def _bad_cell(table: _Table, column: int) -> LgcError | None:
    """Find the first feature that is no finite number."""
    for line, row in zip(table.lines, table.rows, strict=True):
        for i, cell in enumerate(row):
            value = None if i == column else _number(cell)
            if i != column and (value is None or not math.isfinite(value)):
                return LgcError(
                    f"{table.path}, line {line}: {cell!r} in column {table.name(i)} is not a number.",
                    hint="Fill gaps, and turn categories into numbers.",
                )
    return None
