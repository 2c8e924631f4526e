"""Compiled kernels of the LUT mapper: truth tables of cones, and absorbing LUTs into their readers."""

from __future__ import annotations

import numpy as np
from numba import njit

from ._cover import _without
from ._cuts import _merge
from ._typing import Bool1, I8x1, I8x2, I32x1, I32x2, I32x3, U64x1


@njit(cache=True, nogil=True)
def cone_tables(
    fanin: I32x2, table: U64x1, first: int, chosen: I32x1, leaves: I32x3, sizes: I8x2, out: U64x1
) -> None:
    """Truth table over its best cut of every LUT in `chosen`, by simulating the cone between."""
    pins = fanin.shape[1]
    signals = first + fanin.shape[0]
    value = np.zeros(signals, np.uint64)
    stamp = np.full(signals, -1, np.int32)
    cone, stack = np.empty(signals, np.int32), np.empty(signals * pins + 1, np.int32)
    mux = np.empty(64, np.uint64)
    variable = np.array(
        [0xAAAAAAAAAAAAAAAA, 0xCCCCCCCCCCCCCCCC, 0xF0F0F0F0F0F0F0F0,
         0xFF00FF00FF00FF00, 0xFFFF0000FFFF0000, 0xFFFFFFFF00000000], np.uint64,
    )  # fmt: skip
    value[1] = ~np.uint64(0)
    for n in range(len(chosen)):
        root = chosen[n]
        stamp[0] = stamp[1] = n
        for j in range(sizes[root, 0]):
            leaf = leaves[root, 0, j]
            value[leaf] = variable[j]
            stamp[leaf] = n
        count, top = 0, 1
        stack[0] = first + root
        while top:
            top -= 1
            s = stack[top]
            if stamp[s] == n:
                continue
            stamp[s] = n
            at = count
            while at > 0 and cone[at - 1] > s:
                cone[at] = cone[at - 1]
                at -= 1
            cone[at] = s
            count += 1
            for pin in range(pins):
                stack[top] = fanin[s - first, pin]
                top += 1
        for at in range(count):
            i = cone[at] - first
            half = 1 << pins
            for row in range(half):
                mux[row] = ~np.uint64(0) if (table[i] >> np.uint64(row)) & np.uint64(1) else np.uint64(0)
            for pin in range(pins - 1, -1, -1):
                half >>= 1
                x = value[fanin[i, pin]]
                for row in range(half):
                    mux[row] ^= (mux[row] ^ mux[row + half]) & x
            value[cone[at]] = mux[0]
        rows = 1 << np.int64(sizes[root, 0])
        out[n] = value[first + root] & (~np.uint64(0) >> np.uint64(64 - rows))


@njit(cache=True, nogil=True)
def _compose(
    outer: U64x1,
    outer_pins: I32x1,
    outer_size: int,
    inner: np.uint64,
    inner_pins: I32x1,
    inner_size: int,
    signal: int,
    pins: I32x1,
    size: int,
) -> np.uint64:
    """Table over `pins` of the outer LUT with its pin `signal` replaced by the inner LUT."""
    out = np.uint64(0)
    for row in range(1 << size):
        address = 0
        for j in range(inner_size):
            for p in range(size):
                if pins[p] == inner_pins[j]:
                    address |= ((row >> p) & 1) << j
        bit = (inner >> np.uint64(address)) & np.uint64(1)
        address = 0
        for j in range(outer_size):
            if outer_pins[j] == signal:
                address |= int(bit) << j
            else:
                for p in range(size):
                    if pins[p] == outer_pins[j]:
                        address |= ((row >> p) & 1) << j
        out |= ((outer[0] >> np.uint64(address)) & np.uint64(1)) << np.uint64(row)
    return out


@njit(cache=True, nogil=True)
def eliminate(fanin: I32x2, sizes: I8x1, table: U64x1, first: int, is_root: Bool1, dead: Bool1) -> int:
    """Delete LUTs by absorbing each into all its readers where these stay within k pins.

    One round; LUTs next to a change wait for the next round. Returns the LUTs deleted.
    """
    luts, k = fanin.shape
    start = np.zeros(luts + 1, np.int64)
    for i in range(luts):
        if not dead[i]:
            for j in range(sizes[i]):
                if fanin[i, j] >= first:
                    start[fanin[i, j] - first + 1] += 1
    for i in range(luts):
        start[i + 1] += start[i]
    reader = np.empty(start[luts], np.int32)
    fill = start[:-1].copy()
    for i in range(luts):
        if not dead[i]:
            for j in range(sizes[i]):
                if fanin[i, j] >= first:
                    reader[fill[fanin[i, j] - first]] = i
                    fill[fanin[i, j] - first] += 1
    stale = np.zeros(luts, np.bool_)
    pins = np.empty(k, np.int32)
    rest = np.empty(k, np.int32)
    deleted = 0
    for n in range(luts):
        if dead[n] or is_root[first + n] or stale[n] or start[n] == start[n + 1]:
            continue
        fits = True
        for at in range(start[n], start[n + 1]):
            f = reader[at]
            left = _without(fanin[f], sizes[f], first + n, rest)
            if stale[f] or _merge(rest, left, fanin[n], sizes[n], pins, k) < 0:
                fits = False
                break
        if not fits:
            continue
        for at in range(start[n], start[n + 1]):
            f = reader[at]
            left = _without(fanin[f], sizes[f], first + n, rest)
            size = _merge(rest, left, fanin[n], sizes[n], pins, k)
            table[f] = _compose(
                table[f : f + 1], fanin[f], sizes[f], table[n], fanin[n], sizes[n], first + n, pins, size
            )
            fanin[f, :size] = pins[:size]
            fanin[f, size:] = 0
            sizes[f] = size
            stale[f] = True
        for j in range(sizes[n]):
            if fanin[n, j] >= first:
                stale[fanin[n, j] - first] = True
        dead[n] = True
        deleted += 1
    return deleted
