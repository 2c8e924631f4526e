"""Networks that are no plain sequence of layers: grown as a netlist, then cut into layers.

A checkpoint's layers read the layer before only. Skip connections, residual blocks and other people's
netlists become layers by passing values on through wires; hardware does not pay for those.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lgc.errors import LgcError
from lgc.ir.netlist import FIRST_INPUT, Netlist, table_dtype
from lgc.ir.readout import Readout

from .._typing import Array, Bool1, Bool2, I32x1, I32x2, I64x1
from .network import MAX_NODES, Tables

_WIDEST = 6
_ROWS = 1 << _WIDEST


class Wires:
    """A netlist that grows by arrays of LUTs; signals are numbered as in `Netlist`."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self._fanin: list[Array] = []
        self._table: list[Array] = []
        self._next = FIRST_INPUT + bits

    @property
    def inputs(self) -> I32x1:
        """Signals of the input bits, int32 `[bits]`."""
        return np.arange(FIRST_INPUT, FIRST_INPUT + self.bits, dtype=np.int32)

    def luts(self, sources: Array, rows: Bool2) -> I32x1:
        """Add LUTs.

        Args:
            sources: signals int `[n, k]`, k up to 6; pin 0 is bit 0 of a row's number.
            rows: tables bool `[n, 2**k]`.

        Returns:
            Their signals int32 `[n]`.

        Raises:
            LgcError: more LUTs than a network may have.
        """
        count, k = sources.shape
        if self._next + count > MAX_NODES:
            raise LgcError(f"The network has more than {MAX_NODES:,} nodes.", hint="The file is damaged.")
        fanin = np.zeros((count, _WIDEST), np.int32)
        fanin[:, :k] = sources
        weights = np.uint64(1) << np.arange(1 << k, dtype=np.uint64)
        table = (rows.astype(np.uint64) * weights).sum(axis=1, dtype=np.uint64)
        for pin in range(k, _WIDEST):  # unused pins are constant 0; let the table not care
            table |= table << np.uint64(1 << pin)
        self._fanin.append(fanin)
        self._table.append(table)
        first = self._next
        self._next += count
        return np.arange(first, self._next, dtype=np.int32)

    def any_of(self, sources: Array) -> I32x1:
        """OR of signals int `[n, m]`, as trees of 6-input LUTs; int32 `[n]`."""
        found = sources.astype(np.int32)
        while found.shape[1] > 1:
            count, width = found.shape
            k = min(width, _WIDEST)
            padded = np.zeros((count, -(-width // k) * k), np.int32)
            padded[:, :width] = found
            rows = np.broadcast_to(np.arange(1 << k) > 0, (padded.size // k, 1 << k))
            found = self.luts(padded.reshape(-1, k), rows).reshape(count, -1)
        return found[:, 0]

    def netlist(self, readout: Readout) -> Netlist:
        """Return what was grown."""
        fanin = np.concatenate([np.empty((0, _WIDEST), np.int32), *self._fanin])
        table = np.concatenate([np.empty(0, np.uint64), *self._table]).astype(table_dtype(_WIDEST))
        return Netlist(self.bits, fanin, table, np.empty(0, np.int32), readout)


@njit(cache=True, nogil=True)
def _levels(fanin: I32x2, first: int, level: I32x1) -> None:
    for i in range(len(fanin)):
        deepest = 0
        for signal in fanin[i]:
            deepest = max(deepest, level[signal])
        level[first + i] = deepest + 1


@njit(cache=True, nogil=True)
def _last_uses(fanin: I32x2, first: int, level: I32x1, last: I32x1) -> None:
    """Last level that reads each signal, -1 for dead ones; on entry, `last` knows what the readout reads."""
    for i in range(len(fanin) - 1, -1, -1):
        if last[first + i] >= 0:
            for signal in fanin[i]:
                last[signal] = max(last[signal], level[first + i])


def layered(net: Netlist) -> tuple[tuple[Tables, ...], int]:
    """Cut a netlist with a readout into layers that read the layer before, each with one LUT's delay.

    The last layer has as many nodes per class as the largest class needs: an entry of weight w is
    repeated, one of negative weight inverted and counted in the bias, the bias made of constants.

    Returns:
        The layers, and the number that every score of the netlist is above the layers' (a bias below
        zero that all classes share).

    Raises:
        LgcError: no readout, or too large as layers.
    """
    head = net.readout
    if head is None or not len(head.signal) or not net.inputs:
        raise LgcError(
            "The netlist has no inputs or no readout.", hint="Say how many classes: --group-sum N."
        )
    level = np.zeros(net.signals, np.int32)
    _levels(net.fanin, net.first_lut, level)
    depth = max(1, int(level[head.signal].max()))
    last = np.full(net.signals, -1, np.int32)
    last[head.signal] = depth
    _last_uses(net.fanin, net.first_lut, level, last)
    last[:FIRST_INPUT] = -1
    _refuse_size(level, last, depth)
    at = np.full(net.signals, -1, np.int64)
    at[FIRST_INPUT : net.first_lut] = np.arange(net.inputs)
    alive = np.flatnonzero(last[: net.first_lut] > 0)
    deep = np.flatnonzero(last[net.first_lut :] >= 0) + net.first_lut
    deep = deep[np.argsort(level[deep], kind="stable")]
    ends = np.searchsorted(level[deep], np.arange(depth + 1), side="right")
    layers = []
    for now in range(1, depth):
        fresh = deep[ends[now - 1] : ends[now]]
        alive = np.concatenate([alive[last[alive] > now], fresh[last[fresh] > now]])
        layers.append(_nodes(net, alive, level, at, now))
        at[:] = -1
        at[alive] = np.arange(len(alive))
    signal, inverted, offset = _entries(head)
    final = _nodes(net, signal, level, at, depth)
    layers.append(Tables(final.fanin, final.rows ^ inverted[:, None]))
    return tuple(layers), offset


def _refuse_size(level: I32x1, last: I32x1, depth: int) -> None:
    held = np.maximum(last - np.maximum(level, 1), 0).sum(dtype=np.int64)
    if held + len(level) > MAX_NODES:
        raise LgcError(
            f"Cut into {depth:,} layers, the netlist holds {held:,} wires, which is too many.",
            hint="Give the network itself, without its popcount.",
        )


def _nodes(net: Netlist, signals: Array, level: I32x1, at: I64x1, now: int) -> Tables:
    """Nodes of one layer: LUTs of this level, and wires for signals from before; constants too."""
    k = net.k
    own = level[signals] == now
    fanin = np.zeros((len(signals), k), np.int64)
    rows = np.zeros((len(signals), 1 << k), np.bool_)
    luts = signals[own] - net.first_lut
    table = net.table[luts].astype(np.uint64)
    fanin[own] = net.fanin[luts]
    rows[own] = (table[:, None] >> np.arange(1 << k, dtype=np.uint64) & np.uint64(1)).astype(np.bool_)
    fanin[~own, 0] = signals[~own]
    rows[~own] = np.arange(1 << k) & 1
    for pin in range(k):
        constant = fanin[:, pin] < FIRST_INPUT
        row = np.arange(1 << k) & ~(1 << pin) | (fanin[:, pin, None] & 1) << pin
        rows = np.where(constant[:, None], np.take_along_axis(rows, row, axis=1), rows)
    constant = fanin < FIRST_INPUT
    fanin = np.where(constant, 0, at[fanin])
    used = max(1, int(np.flatnonzero(~constant.all(axis=0)).max(initial=-1)) + 1)
    return Tables(fanin[:, :used], rows[:, : 1 << used])


def _entries(head: Readout) -> tuple[I64x1, Bool1, int]:
    """Signals of the last layer's nodes `[classes * longest]`, whether inverted, and the shared offset."""
    of_class = head.class_of_entry
    weight = head.weight.astype(np.int64)
    bias = head.bias.copy()
    np.add.at(bias, of_class, np.minimum(weight, 0))
    offset = min(0, int(bias.min()))
    ones = bias - offset
    count = np.bincount(of_class, np.abs(weight), head.classes).astype(np.int64) + ones
    longest = int(count.max())
    if longest * head.classes > MAX_NODES or np.abs(weight).max() > MAX_NODES:
        raise LgcError(f"A class counts {longest:,} nodes, which is too many.", hint="Check the readout.")
    signal = np.zeros((head.classes, longest), np.int64)
    inverted = np.zeros((head.classes, longest), np.bool_)
    for label in range(head.classes):
        mine = slice(head.start[label], head.start[label + 1])
        repeat = np.abs(weight[mine])
        end = int(repeat.sum())
        signal[label, :end] = np.repeat(head.signal[mine], repeat)
        inverted[label, :end] = np.repeat(weight[mine] < 0, repeat)
        signal[label, end : end + ones[label]] = 1
    return signal.ravel(), inverted.ravel(), offset
