"""Carry cells of iCE40: which LUTs of a netlist are SB_CARRY, and whose logic cells they share.

The netlist stays purely functional, a carry being a LUT of three pins like any other, so that
simulation and proof need not know of them. `CarryCells` says which they are, for the backend and for
counting logic cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lgc.errors import LgcError

from ._typing import I32x1
from .netlist import FIRST_INPUT, Netlist

ALONE = -1
"""In place of a signal: the carry has a logic cell to itself."""


@dataclass(frozen=True, eq=False)
class CarryCells:
    """Carry cells beside a netlist; all arrays are int32 `[carries]` and hold signals.

    A logic cell computes `carry = majority(i0, i1, ci)` beside its LUT, whose pins 1 and 2 are i0
    and i1 and whose pin 3 may be ci. `ci` is a constant at the bottom of a chain and the carry of
    the cell below elsewhere. A carry leaves its chain through pin 3 of the LUT in the cell above.
    nextpnr lets a carry into a LUT's cell only if that LUT has ci on pin 3, used or not, and ci is no
    constant.

    Attributes:
        carry: what the cells drive, ascending.
        i0: first operand.
        i1: second operand.
        ci: carry from below.
        beside: the LUT in the same logic cell, `ALONE` if there is none.
    """

    carry: I32x1
    i0: I32x1
    i1: I32x1
    ci: I32x1
    beside: I32x1

    @classmethod
    def of(cls, rows: list[tuple[int, int, int, int, int]]) -> CarryCells:
        """Build from rows of (carry, i0, i1, ci, beside)."""
        columns = np.array(sorted(rows), np.int32).reshape(-1, 5).T
        return cls(*(np.ascontiguousarray(column) for column in columns))

    @classmethod
    def beside_luts(cls, net: Netlist, rows: list[tuple[int, int, int, int]]) -> CarryCells:
        """Build from rows of (carry, i0, i1, ci), each in the cell of a LUT of `net` that fits there."""
        own = {row[0] for row in rows}
        readers = _readers(net, {row[1] for row in rows})
        used, found = set[int](), []
        for carry, i0, i1, ci in sorted(rows):
            fitting = (lut for lut in readers[i0] if lut not in used and _fits(net, lut, [i0, i1, ci], own))
            beside = next(fitting, ALONE)
            used.add(beside)
            found.append((carry, i0, i1, ci, beside))
        return cls.of(found)

    def rows(self) -> list[list[int]]:
        """Return the rows that `of` takes, as plain integers."""
        columns = (self.carry, self.i0, self.i1, self.ci, self.beside)
        return np.stack(columns, axis=1).tolist()  # type: ignore[no-any-return]

    def luts(self, net: Netlist) -> int:
        """LUTs of `net` that are no carries."""
        return net.luts - len(self.carry)

    def cells(self, net: Netlist) -> int:
        """Logic cells of `net`: its LUTs, and the carries that share no LUT's cell."""
        return net.luts - int((self.beside != ALONE).sum())

    def check(self, net: Netlist) -> None:
        """Raise `LgcError` unless the device and nextpnr can build every cell."""
        own = set(self.carry.tolist())
        readers = _readers(net, own)
        roots = set(net.roots().tolist())
        used: set[int] = set()
        for carry, i0, i1, ci, beside in self.rows():
            if not _is_majority(net, carry, (i0, i1, ci)):
                raise LgcError(f"Carry %{carry} is not the majority of %{i0}, %{i1} and %{ci}.")
            if ci >= FIRST_INPUT and ci not in own:
                raise LgcError(f"Carry %{carry} continues %{ci}, which is no carry.")
            if beside != ALONE and (beside in used or not _fits(net, beside, [i0, i1, ci], own)):
                raise LgcError(f"Carry %{carry} cannot share the logic cell of LUT %{beside}.")
            used.add(beside)
            above = self.carry[self.ci == carry].tolist()
            outside = [s for s in readers[carry] if s not in above]
            if carry in roots or len(above) + len(outside) != 1 or i0 in own or i1 in own:
                raise LgcError(f"Carry %{carry} is read by something else than the logic cell above it.")


def _readers(net: Netlist, signals: set[int]) -> dict[int, list[int]]:
    """LUTs that read each of some signals."""
    found: dict[int, list[int]] = {s: [] for s in signals}
    for lut in np.flatnonzero(np.isin(net.fanin, list(signals)).any(axis=1)).tolist():
        for s in signals.intersection(net.fanin[lut].tolist()):
            found[s].append(net.first_lut + lut)
    return found


def _fits(net: Netlist, lut: int, pins: list[int], carries: set[int]) -> bool:
    """Whether a LUT fits into the cell of a carry with these pins."""
    i0, i1, ci = pins
    if lut < net.first_lut or ci < FIRST_INPUT or lut in carries:
        return False
    read = {s for s in net.fanin[lut - net.first_lut].tolist() if s}
    others = read - {i0, i1}
    return {i0, i1} <= read and len(others) <= 1 and others.isdisjoint(carries)


def _is_majority(net: Netlist, carry: int, of: tuple[int, int, int]) -> bool:
    """Whether the LUT that drives `carry` is the majority of the signals `of`."""
    if carry < net.first_lut:
        return False
    pins, table = net.fanin[carry - net.first_lut].tolist(), int(net.table[carry - net.first_lut])
    leaves = sorted(set(of) - {0, 1})
    if set(pins) - {0} - set(leaves):
        return False
    for row in range(1 << len(leaves)):
        value = {s: row >> at & 1 for at, s in enumerate(leaves)} | {0: 0, 1: 1}
        index = sum(value[s] << at for at, s in enumerate(pins))
        if table >> index & 1 != (sum(value[s] for s in of) >= 2):
            return False
    return True
