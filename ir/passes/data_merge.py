"""Merging of signals that agree on all data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numba import njit

from .._typing import I64x1, U64x1, U64x2
from ..equivalence import Comparison
from ..evidence import Evidence
from ..netlist import Netlist
from ..simulate import pack, simulate_words
from ._sweep import rebuild
from .base import NeedsData
from .dce import Dce
from .strash import Strash

_WORDS = 64
"""Words simulated at once."""


@dataclass(frozen=True)
class DataMerge(NeedsData):
    """Merge signals that are equal or complementary on all training data: inexact, only on request.

    What never occurred in the data is a don't-care. Needs data.
    """

    name: ClassVar[str] = "data-merge"
    keeps_classes: ClassVar[bool] = False

    def apply(self, net: Netlist, evidence: Evidence) -> Netlist:
        """Return the netlist with one signal for all that the data cannot tell apart."""
        hashes, phase = _signatures(net, evidence)
        _, first_of, of = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
        same = first_of[of.ravel()]
        return Dce()(Strash()(_substitute(net, 2 * same + (phase ^ phase[same]))))

    def verify(self, before: Netlist, after: Netlist, evidence: Evidence) -> Comparison:
        """Measure the accuracy."""
        return evidence.judge(before, after)


def _signatures(net: Netlist, evidence: Evidence) -> tuple[U64x2, I64x1]:
    """128-bit hash of each signal's values on the data, up to complement, and its first value."""
    packed = pack(evidence.seen)
    state = np.full((net.signals, 2), 0x9E3779B97F4A7C15, np.uint64)
    phase = np.zeros(net.signals, np.int64)
    for start in range(0, packed.shape[1], _WORDS):
        values = simulate_words(net, packed[:, start : start + _WORDS])
        if start == 0:
            phase = (values[:, 0] & np.uint64(1)).astype(np.int64)
        unused = -len(evidence.seen) % 64 if start + _WORDS >= packed.shape[1] else 0
        _mix(values, phase, np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(unused), state)
    return state, phase


@njit(cache=True, nogil=True)
def _mix(values: U64x2, phase: I64x1, last: np.uint64, state: U64x2) -> None:
    """Mix the words of each signal into its hash; `last` masks the samples of the last word."""
    signals, words = values.shape
    for s in range(signals):
        flip = ~np.uint64(0) if phase[s] else np.uint64(0)
        for w in range(words):
            v = (values[s, w] ^ flip) & (last if w == words - 1 else ~np.uint64(0))
            for j in range(2):
                h = (state[s, j] ^ v) * np.uint64(0xFF51AFD7ED558CCD if j else 0xC4CEB9FE1A85EC53)
                state[s, j] = h ^ (h >> np.uint64(29 + 3 * j))


def _substitute(net: Netlist, same: I64x1) -> Netlist:
    """Read literal `same[signal]`, of a signal that comes no later, in place of every signal."""
    table = net.table.astype(np.uint64)
    for pin in range(net.k):
        inverted = (same[net.fanin[:, pin]] & 1).astype(np.bool_)
        table[inverted] = _invert_pin(table[inverted], pin)
    fanin = (same[net.fanin] >> 1).astype(np.int32)
    return rebuild(net, fanin, table, np.arange(net.luts, dtype=np.int32), same)


def _invert_pin(table: U64x1, pin: int) -> U64x1:
    """Tables that read the complement of a pin: halves of every block of 2**(pin + 1) rows change places."""
    block = np.uint64(1 << pin)
    low = np.uint64((1 << 64) // ((1 << (1 << pin)) + 1))
    return (table & low) << block | (table >> block) & low
