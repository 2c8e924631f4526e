"""Fractured LUTs: two small LUTs share one site of six pins and two outputs, as Xilinx' LUT6_2 does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ._typing import I8x1, I32x1, I32x2, I64x1
from .netlist import Netlist

PINS = 5
"""Distinct signals that two LUTs in one site may read; a LUT alone may read six."""

_READERS = 64
"""Readers of one signal that are tried as partners."""


@dataclass(frozen=True, eq=False)
class Sites:
    """LUTs placed in sites.

    Attributes:
        count: sites needed.
        partner: int32 `[luts]`, the LUT in the same site, or -1.
    """

    count: int
    partner: I32x1


def sites(net: Netlist) -> Sites:
    """Pair LUTs that read at most five distinct signals between them, greedily.

    LUTs with most pins choose first, each the partner with which it shares most pins; what is left
    and narrow enough is paired without sharing any.
    """
    pins = (net.fanin != 0).sum(axis=1).astype(np.int8)
    signal = net.fanin.ravel()
    reader = np.repeat(np.arange(net.luts, dtype=np.int32), net.k)[signal != 0]
    order = np.argsort(signal[signal != 0], kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(signal[signal != 0], minlength=net.signals))])
    partner = np.full(net.luts, -1, np.int32)
    turn = np.argsort(-pins, kind="stable").astype(np.int32)
    _share(net.fanin, pins, turn, start.astype(np.int64), reader[order], partner)
    _fill(pins, partner)
    return Sites(count=net.luts - int((partner >= 0).sum()) // 2, partner=partner)


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
