"""Fractured LUTs: two small LUTs share one site of six pins and two outputs, as Xilinx' LUT6_2 does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from ._typing import Bool1, I8x1, I32x1, I32x2, I64x1, U64x1
from .carry import PINS, Chains
from .netlist import Netlist, table_dtype

_READERS = 64
"""Readers of one signal that are tried as partners."""


@dataclass(frozen=True, eq=False)
class Sites:
    """LUTs placed in sites.

    Attributes:
        count: sites needed, those of carry chains included.
        partner: int32 `[luts]`, the LUT in the same site, or -1; -1 for LUTs of carry chains.
    """

    count: int
    partner: I32x1


def sites(net: Netlist, chains: Chains | None = None) -> Sites:
    """Pair LUTs that read at most five distinct signals between them, greedily.

    LUTs with most pins choose first, each the partner with which it shares most pins; what is left
    and narrow enough is paired without sharing any. Each position of a carry chain takes a site to
    itself, carries and sums none.
    """
    if chains is None or not chains.positions:
        return _paired(net)
    own = np.flatnonzero(~chains.hosted(net)).astype(np.int32)
    rest = _paired(replace(net, fanin=net.fanin[own], table=net.table[own]), signals=net.signals)
    partner = np.full(net.luts, -1, np.int32)
    paired = rest.partner >= 0
    partner[own[paired]] = own[rest.partner[paired]]
    return Sites(count=chains.positions + rest.count, partner=partner)


def _paired(net: Netlist, *, signals: int | None = None) -> Sites:
    """Pair the LUTs of `net`, which reads signals below `signals`."""
    signals = net.signals if signals is None else signals
    pins = (net.fanin != 0).sum(axis=1).astype(np.int8)
    signal = net.fanin.ravel()
    reader = np.repeat(np.arange(net.luts, dtype=np.int32), net.k)[signal != 0]
    order = np.argsort(signal[signal != 0], kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(signal[signal != 0], minlength=signals))])
    partner = np.full(net.luts, -1, np.int32)
    turn = np.argsort(-pins, kind="stable").astype(np.int32)
    _share(net.fanin, pins, turn, start.astype(np.int64), reader[order], partner)
    _fill(pins, partner)
    return Sites(count=net.luts - int((partner >= 0).sum()) // 2, partner=partner)


def absorb_twins(net: Netlist) -> Netlist:
    """Absorb a LUT into its only two readers where these then still share a site.

    Returns a netlist of 5-input LUTs at least; the absorbed LUTs are left in it, unread.
    """
    fanin = np.zeros((net.luts, max(net.k, PINS)), np.int32)
    fanin[:, : net.k] = net.fanin
    table = net.table.astype(np.uint64)
    is_root = np.zeros(net.signals, np.bool_)
    is_root[net.roots()] = True
    while True:
        signal = fanin.ravel()
        reader = np.repeat(np.arange(net.luts, dtype=np.int32), fanin.shape[1])[signal != 0]
        order = np.argsort(signal[signal != 0], kind="stable")
        counts = np.bincount(signal[signal != 0], minlength=net.signals)
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        if not _absorb(fanin, table, net.first_lut, is_root, start, reader[order]):
            break
    dtype = table_dtype(fanin.shape[1])
    return replace(net, fanin=fanin, table=table.astype(dtype))


def _fill(pins: I8x1, partner: I32x1) -> None:
    """Pair what is left by pins alone: 3 with 2, 2 with 2, 1 with anything up to 4."""
    for wide in (4, 3, 2, 1):
        for narrow in range(1, min(wide, PINS - wide) + 1):
            first = np.flatnonzero((partner < 0) & (pins == wide))
            second = np.flatnonzero((partner < 0) & (pins == narrow))
            if wide == narrow:
                first, second = first[0 : len(first) // 2 * 2 : 2], first[1::2]
            count = min(len(first), len(second))
            partner[first[:count]], partner[second[:count]] = second[:count], first[:count]


@njit(cache=True, nogil=True)
def _union(a: I32x1, b: I32x1) -> int:
    """Distinct signals in two rows of pins, 0 not counted."""
    count = 0
    for i in range(2 * len(a)):
        s = a[i] if i < len(a) else b[i - len(a)]
        known = s == 0
        for j in range(i):
            known = known or s == (a[j] if j < len(a) else b[j - len(a)])
        count += not known
    return count


@njit(cache=True, nogil=True)
def _absorb(fanin: I32x2, table: U64x1, first: int, is_root: Bool1, start: I64x1, reader: I32x1) -> int:
    """Do one round of `absorb_twins`; LUTs next to a change wait for the next. Returns the changes."""
    stale = np.zeros(len(fanin), np.bool_)
    pins = np.zeros(PINS, np.int32)
    changes = 0
    for i in range(len(fanin)):
        own = first + i
        if is_root[own] or stale[i] or start[own + 1] - start[own] != 2:
            continue
        a, b = int(reader[start[own]]), int(reader[start[own] + 1])
        if a == b or stale[a] or stale[b] or _gather(fanin, own, i, a, b, pins) < 0:
            continue
        for f in (a, b):
            size = _gather(fanin, own, i, f, f, pins)
            table[f] = _composed(fanin, table, own, i, f, pins, size)
            fanin[f, :] = 0
            fanin[f, :size] = pins[:size]
            stale[f] = True
        for s in fanin[i]:
            if s >= first:
                stale[s - first] = True
        fanin[i, :] = 0
        changes += 1
    return changes


@njit(cache=True, nogil=True)
def _gather(fanin: I32x2, own: int, i: int, a: int, b: int, pins: I32x1) -> int:
    """Collect the distinct pins of LUTs i, a and b but for signal `own`; their number, -1 if too many."""
    size = 0
    for which in range(3):
        for s in fanin[i if which == 0 else a if which == 1 else b]:
            if s in (0, own):
                continue
            known = False
            for j in range(size):
                known = known or pins[j] == s
            if known:
                continue
            if size == PINS:
                return -1
            pins[size] = s
            size += 1
    return size


@njit(cache=True, nogil=True)
def _composed(fanin: I32x2, table: U64x1, own: int, i: int, f: int, pins: I32x1, size: int) -> np.uint64:
    """Table of LUT f over `pins` with LUT i in place of its pin `own`."""
    out = np.uint64(0)
    for row in range(1 << size):
        inner, outer = 0, 0
        for at in range(fanin.shape[1]):
            for j in range(size):
                if fanin[i, at] == pins[j]:
                    inner |= ((row >> j) & 1) << at
        one = (table[i] >> np.uint64(inner)) & np.uint64(1)
        for at in range(fanin.shape[1]):
            if fanin[f, at] == own and one:
                outer |= 1 << at
            for j in range(size):
                if fanin[f, at] == pins[j]:
                    outer |= ((row >> j) & 1) << at
        out |= ((table[f] >> np.uint64(outer)) & np.uint64(1)) << np.uint64(row)
    return out


@njit(cache=True, nogil=True)
def _share(fanin: I32x2, pins: I8x1, turn: I32x1, start: I64x1, reader: I32x1, partner: I32x1) -> None:
    """Give each LUT in `turn` the free reader of one of its signals that shares most pins with it."""
    shared = np.zeros(len(pins), np.int8)
    for i in turn:
        if partner[i] >= 0 or pins[i] > PINS:
            continue
        best, best_score = -1, -1
        for p in range(fanin.shape[1]):
            s = fanin[i, p]
            if s == 0:
                continue
            for at in range(start[s], min(start[s + 1], start[s] + _READERS)):
                j = reader[at]
                if j == i or partner[j] >= 0:
                    continue
                shared[j] += 1
                score = 8 * shared[j] + pins[j]
                if score > best_score and _union(fanin[i], fanin[j]) <= PINS:
                    best, best_score = j, score
        for p in range(fanin.shape[1]):
            s = fanin[i, p]
            if s != 0:
                for at in range(start[s], min(start[s + 1], start[s] + _READERS)):
                    shared[reader[at]] = 0
        if best >= 0:
            partner[i], partner[best] = best, i
