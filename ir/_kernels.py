"""Compiled loops over netlist arrays. Every loop over LUTs lives here; callers pass arrays.

Names follow `Netlist`: signals 0 and 1 are constants, `first` is the signal of LUT 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._typing import Bool1, I32x1, I32x2, U64x1, U64x2


@njit(cache=True, nogil=True)
def simulate(fanin: I32x2, table: U64x1, first: int, values: U64x2) -> None:
    """Evaluate LUTs on 64 samples per word, in place.

    `values` is `[signals, words]` with constants and inputs filled in. Each LUT is a tree of
    multiplexers, the last pin selecting first, so a k-input LUT costs 2**k - 1 muxes a word.
    """
    luts, k = fanin.shape
    words = values.shape[1]
    full = ~np.uint64(0)
    mux = np.empty(1 << k, np.uint64)
    for i in range(luts):
        used = k
        while used > 0 and fanin[i, used - 1] == 0:
            used -= 1
        rows = 1 << used
        out = values[first + i]
        for w in range(words):
            for r in range(rows):
                mux[r] = full if (table[i] >> np.uint64(r)) & np.uint64(1) else np.uint64(0)
            half = rows
            for pin in range(used - 1, -1, -1):
                half >>= 1
                x = values[fanin[i, pin], w]
                for r in range(half):
                    mux[r] ^= (mux[r] ^ mux[r + half]) & x
            out[w] = mux[0]


@njit(cache=True, nogil=True)
def live(fanin: I32x2, first: int, needed: Bool1) -> None:
    """Mark in `needed` `[signals]` everything that a marked signal depends on."""
    luts, k = fanin.shape
    for i in range(luts - 1, -1, -1):
        if needed[first + i]:
            for pin in range(k):
                needed[fanin[i, pin]] = True


@njit(cache=True, nogil=True)
def levels(fanin: I32x2, first: int, level: I32x1) -> None:
    """Fill `level` `[signals]`: LUTs on the longest path from an input; 0 for inputs."""
    luts, k = fanin.shape
    for i in range(luts):
        deepest = 0
        for pin in range(k):
            deepest = max(deepest, level[fanin[i, pin]])
        level[first + i] = deepest + 1
