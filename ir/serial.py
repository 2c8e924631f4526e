"""A netlist as a program: one LUT per clock, values in a memory, class sums on the way.

Instruction i reads the values of four addresses and looks its table up. Those that count (`weight` is not
0) add their weight to the score if the value is 1; `last` ends a class. The others write their value behind
the inputs, in order. They come first, then those that count, class by class, those of equal weight together.

Pins are in the order that gives the smallest table, so that few different tables are left and an
instruction can name its table by a short number.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from lgc.errors import LgcError

from . import _kernels
from ._typing import Bool1, I32x1, I32x2, I64x1, I64x2
from .netlist import FIRST_INPUT, Netlist
from .readout import Readout

GAP = 3
"""An instruction reads what was computed so many instructions before it, or earlier."""

_IDENTITY = 0xAAAA


@dataclass(frozen=True, eq=False)
class Program:
    """Instructions and class scores.

    Attributes:
        table: int64 `[instructions]`, truth tables of four inputs.
        address: int32 `[instructions, 4]`, of the values read.
        weight: int32 `[instructions]`.
        last: bool `[instructions]`, whether a class ends.
        bias: int64 `[classes]`, where scores start.
        inputs: addresses of inputs, before those of results.
        where: int32 `[netlist inputs]`, address of each input, -1 for one that is not read.
    """

    table: I64x1
    address: I32x2
    weight: I32x1
    last: Bool1
    bias: I64x1
    inputs: int
    where: I32x1

    @property
    def length(self) -> int:
        """Number of instructions."""
        return len(self.table)

    @property
    def runs(self) -> I64x1:
        """Instructions that end a run: the next one has another weight, or adds to another class."""
        ends = np.append(self.weight[1:] != self.weight[:-1], True) | self.last
        found: I64x1 = np.flatnonzero(ends)
        return found

    @property
    def depth(self) -> int:
        """Number of addresses."""
        return self.inputs + int((self.weight == 0).sum())

    @classmethod
    def of(cls, net: Netlist, where: I32x1, inputs: int) -> Program:
        """Schedule a netlist.

        Args:
            net: LUTs of at most four inputs, and a readout, which has all roots.
            where: int32 `[inputs]`, the address of each input, -1 for those that are not read.
            inputs: addresses set aside for them.

        Raises:
            LgcError: wider LUTs, or no readout.
        """
        head = net.readout
        if net.k > 4 or head is None or net.outputs.size:
            raise LgcError("Only LUTs of four inputs with a readout become a program.", hint="Map with k=4.")
        fanin, table = _four(net)
        inner = _inner(net, fanin)
        slot = np.full(net.signals, -1, np.int64)
        rows: list[int] = []
        for lut in inner.tolist():
            ready = slot[fanin[lut]].max() + GAP
            rows += [-1] * max(0, int(ready) - len(rows))
            slot[net.first_lut + lut] = len(rows)
            rows.append(lut)
        counted, weight, last = _entries(head)
        earliest = _first_reads(net, fanin, counted, slot)
        rows += [-1] * max(0, earliest - len(rows))
        plain = np.array(rows, np.int64)
        at = np.zeros(net.signals, np.int64)
        at[FIRST_INPUT : net.first_lut] = np.maximum(where, 0)
        made = slot >= 0
        at[made] = inputs + slot[made]
        pins = np.concatenate([at[fanin[np.maximum(plain, 0)]], _pins(net, fanin, counted, at)])
        tables = np.concatenate(
            [np.where(plain < 0, 0, table[np.maximum(plain, 0)]), _tables(net, table, counted)]
        )
        quiet = np.zeros(len(plain), np.int32)
        tables, pins = _smallest(tables, pins)
        return cls(
            table=tables,
            address=pins.astype(np.int32),
            weight=np.concatenate([quiet, weight]),
            last=np.concatenate([quiet.astype(np.bool_), last]),
            bias=head.bias,
            inputs=inputs,
            where=where,
        )

    def netlist(self) -> Netlist:
        """Return what the program computes as a netlist, for a proof."""
        writes = self.weight == 0
        first = FIRST_INPUT + len(self.where)
        signal = np.zeros(self.depth, np.int64)
        used = np.flatnonzero(self.where >= 0)
        signal[self.where[used]] = FIRST_INPUT + used
        signal[self.inputs :] = first + np.flatnonzero(writes)
        ends = np.flatnonzero(self.last)
        counts = np.flatnonzero(~writes)
        head = Readout(
            bias=self.bias,
            start=np.append(0, np.searchsorted(counts, ends, side="right")).astype(np.int64),
            signal=(first + counts).astype(np.int32),
            weight=self.weight[counts],
        )
        fanin = signal[self.address].astype(np.int32)
        return Netlist(len(self.where), fanin, self.table.astype(np.uint16), np.empty(0, np.int32), head)


def _four(net: Netlist) -> tuple[I32x2, I64x1]:
    """Fan-in and tables of four pins, none of them a constant; a pin not needed reads what another does."""
    fanin = np.zeros((net.luts, 4), np.int32)
    fanin[:, : net.k] = net.fanin
    table = net.table.astype(np.int64)
    for pins in range(net.k, 4):
        table |= table << (1 << pins)
    rows = np.arange(16)
    for pin in range(4):
        for value in (0, 1):
            seen = rows | 1 << pin if value else rows & ~(1 << pin)
            fixed = ((table[:, None] >> seen & 1) << rows).sum(axis=1)
            table = np.where(fanin[:, pin] == value, fixed, table)
    return np.where(fanin < FIRST_INPUT, fanin.max(axis=1, keepdims=True), fanin), table


def _smallest(table: I64x1, address: I64x2) -> tuple[I64x1, I64x2]:
    """Put pins in the order that gives the smallest table; return tables and addresses."""
    rows = np.arange(16)
    orders = list(permutations(range(4)))
    tables = []
    for order in orders:
        before = sum((rows >> pin & 1) << old for pin, old in enumerate(order))
        tables.append(((table[:, None] >> before & 1) << rows).sum(axis=1))
    best = np.argmin(tables, axis=0)
    moved = np.take_along_axis(address, np.array(orders)[best], axis=1)
    return np.min(tables, axis=0), moved


def _inner(net: Netlist, fanin: I32x2) -> I64x1:
    """LUTs whose values others read, level by level."""
    assert net.readout is not None
    needed = np.zeros(net.signals, np.bool_)
    counted = net.readout.signal[net.readout.signal >= net.first_lut] - net.first_lut
    needed[fanin[counted]] = True
    _kernels.live(fanin, net.first_lut, needed)
    level = np.zeros(net.signals, np.int32)
    _kernels.levels(fanin, net.first_lut, level)
    found = np.flatnonzero(needed[net.first_lut :])
    order: I64x1 = found[np.argsort(level[net.first_lut + found], kind="stable")]
    return order


def _entries(head: Readout) -> tuple[I32x1, I32x1, Bool1]:
    """Signals counted, their weights, and which end a class; a class of none counts signal 0.

    Equal weights of a class stand together.
    """
    signals: list[int] = []
    weights: list[int] = []
    last: list[bool] = []
    for c in range(head.classes):
        entries = slice(int(head.start[c]), int(head.start[c + 1]))
        order = np.argsort(head.weight[entries], kind="stable")
        own = head.signal[entries][order].tolist() or [0]
        signals += own
        weights += head.weight[entries][order].tolist() or [1]
        last += [False] * (len(own) - 1) + [True]
    return np.array(signals, np.int32), np.array(weights, np.int32), np.array(last, np.bool_)


def _first_reads(net: Netlist, fanin: I32x2, counted: I32x1, slot: I64x1) -> int:
    """Return the instruction from which on all may be counted in order."""
    earliest = 0
    for n, signal in enumerate(counted.tolist()):
        if signal >= net.first_lut:
            earliest = max(earliest, int(slot[fanin[signal - net.first_lut]].max()) + GAP - n)
    return earliest


def _pins(net: Netlist, fanin: I32x2, counted: I32x1, at: I64x1) -> I64x2:
    """Addresses that counting instructions read, int64 `[entries, 4]`."""
    lut = counted >= net.first_lut
    pins = np.repeat(at[counted][:, None], 4, axis=1)
    pins[lut] = at[fanin[counted[lut] - net.first_lut]]
    return pins


def _tables(net: Netlist, table: I64x1, counted: I32x1) -> I64x1:
    """Tables of counting instructions: that of the LUT, the input itself, or a constant."""
    found = np.full(len(counted), _IDENTITY, np.int64)
    found[counted < FIRST_INPUT] = 0xFFFF * counted[counted < FIRST_INPUT]
    lut = counted >= net.first_lut
    found[lut] = table[counted[lut] - net.first_lut]
    return found
