"""From nets in any order, as files have them, to a netlist: checked, sorted, buffers resolved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from lgc.errors import LgcError

from .._typing import I32x1, I32x2, U64x1
from ..netlist import FIRST_INPUT, Netlist, table_dtype
from ..verify import check
from . import _functions

MAX_INPUTS = 1 << 24
"""Inputs cost no bytes in some formats, so files may claim this many and no more."""
_SHOWN = 8
"""Nets of a cycle that an error shows."""


@dataclass(frozen=True)
class Nets:
    """Functions of nets, in any order.

    A net is an integer: 0 and 1 are the constants, then come the inputs, then all others.

    Attributes:
        inputs: number of input nets.
        nets: number of nets, constants and inputs included.
        target: int32 `[rows]`, the net each row drives.
        pins: int32 `[rows, k]`, the nets it reads, 0 where it needs fewer than k.
        table: uint64 `[rows]`, as `Netlist.table`.
        line: int `[rows]`, where it stands in the file.
        outputs: int32 `[outputs]`, nets that leave.
        output_line: line where the outputs are named.
        name: spells a net for an error.
    """

    inputs: int
    nets: int
    target: I32x1
    pins: I32x2
    table: U64x1
    line: npt.NDArray[np.int64]
    outputs: I32x1
    output_line: int
    name: Callable[[int], str]


def assemble(nets: Nets) -> Netlist:
    """Return the netlist of `nets`; nets that only copy another or are constant get no LUT.

    Raises:
        LgcError: a net is driven twice or not at all, an input is driven, or there is a cycle; the
            error names the line and the nets.
    """
    if nets.inputs > MAX_INPUTS:
        raise LgcError(f"{nets.inputs} inputs are more than the {MAX_INPUTS} that lgc reads.")
    driver = _drivers(nets)
    order = np.empty(len(nets.target), np.int32)
    stuck = _sort(nets.pins, driver, order)
    if stuck >= 0:
        raise _cycle(nets, driver, stuck)
    fanin = np.zeros_like(nets.pins)
    table = np.empty(len(nets.target), np.uint64)
    signal = np.full(nets.nets, -1, np.int32)
    luts, k = _number(
        nets.pins, nets.target, nets.table, order, FIRST_INPUT + nets.inputs, signal, fanin, table
    )
    k = max(int(k), 1)
    net = Netlist(
        inputs=nets.inputs,
        fanin=np.ascontiguousarray(fanin[:luts, :k]),
        table=table[:luts].astype(table_dtype(k)),
        outputs=signal[nets.outputs].astype(np.int32),
    )
    check(net)
    return net


def _drivers(nets: Nets) -> I32x1:
    """Row that drives each net, -1 for inputs and constants; every net that is read has one."""
    first = FIRST_INPUT + nets.inputs
    rows = np.arange(len(nets.target), dtype=np.int32)
    driver = np.full(nets.nets, -1, np.int32)
    driver[nets.target] = rows
    if (taken := np.flatnonzero(nets.target < first)).size:
        row = int(taken[0])
        net = int(nets.target[row])
        what = "an input" if net >= FIRST_INPUT else "a constant"
        raise LgcError(f"Line {nets.line[row]}: {nets.name(net)} is {what} and cannot be driven.")
    if (lost := np.flatnonzero(driver[nets.target] != rows)).size:
        row = int(lost[0])
        net = int(nets.target[row])
        raise LgcError(
            f"Line {nets.line[driver[net]]}: {nets.name(net)} is driven twice, "
            f"first in line {nets.line[row]}."
        )
    free = (driver[nets.pins] < 0) & (nets.pins >= first)
    if free.any():
        row, pin = np.argwhere(free)[0]
        raise LgcError(
            f"Line {nets.line[row]}: {nets.name(int(nets.target[row]))} reads "
            f"{nets.name(int(nets.pins[row, pin]))}, which nothing drives."
        )
    loose = nets.outputs[(driver[nets.outputs] < 0) & (nets.outputs >= first)]
    if loose.size:
        raise LgcError(f"Line {nets.output_line}: nothing drives the output {nets.name(int(loose[0]))}.")
    return driver


@njit(cache=True, nogil=True)
def _sort(pins: I32x2, driver: I32x1, order: I32x1) -> int:
    """Fill `order` with the rows in topological order; a row that waits for itself is returned.

    A depth-first search that leaves files in topological order as they are; -1 if all is well.
    """
    rows, k = pins.shape
    state = np.zeros(rows, np.int8)  # pins already followed; k + 1 when done
    open_ = np.zeros(rows, np.bool_)
    stack = np.empty(rows, np.int32)
    count = 0
    for start in range(rows):
        if state[start] > k:
            continue
        depth = 1
        stack[0] = start
        open_[start] = True
        while depth:
            row = stack[depth - 1]
            if state[row] == k:
                state[row] = k + 1
                open_[row] = False
                order[count] = row
                count += 1
                depth -= 1
                continue
            before = driver[pins[row, state[row]]]
            state[row] += 1
            if before >= 0:
                if open_[before]:
                    return int(before)
                if state[before] <= k:
                    open_[before] = True
                    stack[depth] = before
                    depth += 1
    return -1


@njit(cache=True, nogil=True)
def _number(
    pins: I32x2,
    target: I32x1,
    table: U64x1,
    order: I32x1,
    first: int,
    signal: I32x1,
    fanin: I32x2,
    functions: U64x1,
) -> tuple[int, int]:
    """Strip the rows and number them in order; return the number of LUTs and of the pins they need."""
    rows, k = pins.shape
    for s in range(first):
        signal[s] = s
    count, widest = 0, 0
    for at in range(rows):
        row = order[at]
        for pin in range(k):
            fanin[count, pin] = signal[pins[row, pin]]
        function, used = _functions.strip(table[row], fanin[count], k)
        if used == 0:
            signal[target[row]] = np.int32(function & np.uint64(1))
        elif used == 1 and function & np.uint64(1) == 0:
            signal[target[row]] = fanin[count, 0]
        else:
            signal[target[row]] = first + count
            functions[count] = function & (~np.uint64(0) >> np.uint64(64 - (1 << used)))
            count += 1
            widest = max(widest, used)
    return count, widest


def _cycle(nets: Nets, driver: I32x1, row: int) -> LgcError:
    """Return the error for the cycle through `row`: the nets in the direction of the signal."""
    names = [nets.name(int(nets.target[at])) for at in _walk(nets, driver, row)]
    if len(names) > _SHOWN + 1:
        names = [*names[: _SHOWN - 1], f"({len(names) - _SHOWN} more)", names[-1]]
    return LgcError(f"Line {nets.line[row]}: {names[0]} is part of a cycle: {' -> '.join(names)}.")


def _walk(nets: Nets, driver: I32x1, row: int) -> Sequence[int]:
    """Rows of a cycle from `row` back to `row`: each drives the next."""
    came: dict[int, int] = {}
    todo = [row]
    while todo:
        at = todo.pop()
        for before in driver[nets.pins[at]].tolist():
            if before == row:
                path = [row]
                while at != row:
                    path.append(at)
                    at = came[at]
                return [*path, row]
            if before >= 0 and before not in came:
                came[before] = at
                todo.append(before)
    raise AssertionError("there is no cycle")
