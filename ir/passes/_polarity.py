"""Netlists with some signals inverted, which costs nothing: LUTs that drive or read them absorb it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._typing import Bool1, I64x1, U64x1
from ..netlist import Netlist


def plainer(net: Netlist, literals: I64x1) -> tuple[Netlist, I64x1]:
    """Let LUTs that `literals` want inverted, and never as they are, drive the complement.

    Returns the netlist and its literals for the same functions.
    """
    odd, even = np.zeros(net.signals, np.bool_), np.zeros(net.signals, np.bool_)
    odd[literals[literals & 1 == 1] >> 1] = True
    even[literals[literals & 1 == 0] >> 1] = True
    flipped = odd & ~even
    flipped[: net.first_lut] = False
    return invert(net, flipped), literals ^ flipped[literals >> 1]


def invert(net: Netlist, chosen: Bool1) -> Netlist:
    """Return `net` with the LUTs `chosen`, bool `[signals]`, driving the complement of what they did.

    Every reader is rewritten; outputs, which nothing reads, become the complements.
    """
    table = net.table.astype(np.uint64)
    reachable = np.full(net.luts, np.uint64((1 << (1 << net.k)) - 1))
    for pin in range(net.k):
        low = np.uint64(sum(1 << row for row in range(1 << net.k) if not row >> pin & 1))
        reachable = np.where(net.fanin[:, pin] == 0, reachable & low, reachable)
        read = chosen[net.fanin[:, pin]]
        table[read] = _swapped(table[read], low, np.uint64(1 << pin))
    own = chosen[net.first_lut :]
    table[own] ^= reachable[own]
    return replace(net, table=table.astype(net.table.dtype))


def _swapped(table: U64x1, low: np.uint64, by: np.uint64) -> U64x1:
    """Tables with the halves of one pin exchanged."""
    return ((table & low) << by) | ((table >> by) & low)
