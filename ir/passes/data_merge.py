"""Merging of signals that agree on all data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numba import njit

from .._kernels import _rewrite
from .._typing import I32x1, I32x2, I64x1, U64x1, U64x2
from ..equivalence import Comparison
from ..evidence import Evidence
from ..netlist import Netlist
from ..simulate import pack, simulate_words
from ._sweep import _follow, _restore_outputs
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
    """Replace every signal by the literal `same[signal]` of a signal that comes no later."""
    literal = same.copy()
    fanin, table = np.zeros_like(net.fanin), np.zeros(net.luts, np.uint64)
    kept = np.zeros(net.luts, np.int32)
    count = _rewrite_all(net.fanin, net.table.astype(np.uint64), net.first_lut, literal, fanin, table, kept)
    merged = Netlist(
        inputs=net.inputs,
        fanin=fanin[:count],
        table=table[:count].astype(net.table.dtype),
        outputs=net.outputs,
        readout=net.readout and _follow(net.readout, literal[net.readout.signal]),
        origin=kept[:count] if net.origin is None else net.origin[kept[:count]],
    )
    return _restore_outputs(merged, literal[net.outputs])


@njit(cache=True, nogil=True)
def _rewrite_all(
    fanin: I32x2,
    table: U64x1,
    first: int,
    literal: I64x1,
    new_fanin: I32x2,
    new_table: U64x1,
    kept: I32x1,
) -> int:
    """Rewrite the LUTs that stand for themselves over `literal` `[signals]`, which becomes new literals."""
    luts, k = fanin.shape
    pins = np.zeros(6, np.int32)
    count = 0
    for i in range(luts):
        if literal[first + i] >> 1 != first + i:
            literal[first + i] = literal[literal[first + i] >> 1] ^ (literal[first + i] & 1)
            continue
        out, used = _rewrite(table[i], pins, k, fanin[i], literal)
        if used == 0:
            literal[first + i] = np.int64(out)
            continue
        if used == 1:
            literal[first + i] = 2 * np.int64(pins[0]) + (np.int64(out) & 1)
            continue
        for j in range(used):
            new_fanin[count, j] = pins[j]
        new_table[count] = out
        kept[count] = i
        literal[first + i] = 2 * np.int64(first + count)
        count += 1
    return count
