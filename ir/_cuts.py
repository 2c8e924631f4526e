"""Compiled kernels of the LUT mapper: priority cuts.

Mishchenko, Cho, Chatterjee and Brayton, "Combinational and sequential mapping with priority cuts",
ICCAD 2007. Cut `c` of LUT `i` is `leaves[i, c, :sizes[i, c]]`, signals in ascending order.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._typing import F32x1, I8x1, I8x2, I32x1, I32x2, I32x3, U64x1


@njit(cache=True, nogil=True)
def _merge(a: I32x1, a_size: int, b: I32x1, b_size: int, out: I32x1, k: int) -> int:
    """Union of two ascending cuts; its size, or -1 if above k."""
    i = j = n = 0
    while i < a_size or j < b_size:
        if n == k:
            return -1
        if j == b_size or (i < a_size and a[i] < b[j]):
            out[n] = a[i]
            i += 1
        elif i == a_size or b[j] < a[i]:
            out[n] = b[j]
            j += 1
        else:
            out[n] = a[i]
            i += 1
            j += 1
        n += 1
    return n


@njit(cache=True, nogil=True)
def _mark(cut: I32x1, size: int) -> np.uint64:
    """Set of leaves, one bit each; unequal leaves may share a bit."""
    mark = np.uint64(0)
    for j in range(size):
        mark |= np.uint64(1) << np.uint64(cut[j] & 63)
    return mark


@njit(cache=True, nogil=True)
def _wide(mark: np.uint64, k: int) -> bool:
    """Whether more than k bits are set."""
    for _ in range(k):
        if mark == 0:
            return False
        mark &= mark - np.uint64(1)  # clears the lowest bit
    return bool(mark != 0)


@njit(cache=True, nogil=True)
def _contains(a: I32x1, a_size: int, b: I32x1, b_size: int) -> bool:
    """Whether cut a is a superset of cut b."""
    i = 0
    for j in range(b_size):
        while i < a_size and a[i] < b[j]:
            i += 1
        if i == a_size or a[i] != b[j]:
            return False
    return True


@njit(cache=True, nogil=True)
def _insert(
    kept: I32x2,
    kept_size: I8x1,
    kept_mark: U64x1,
    kept_cost: F32x1,
    kept_tie: F32x1,
    count: int,
    capacity: int,
    cut: I32x1,
    size: int,
    mark: np.uint64,
    cost: np.float32,
    tie: np.float32,
) -> int:
    """Insert a cut into a list sorted by (cost, tie) unless dominated; returns the new length."""
    if count == capacity:
        last = count - 1
        if cost > kept_cost[last] or (cost == kept_cost[last] and tie >= kept_tie[last]):
            return count
    at = 0
    while at < count and (kept_cost[at] < cost or (kept_cost[at] == cost and kept_tie[at] <= tie)):
        if (
            kept_size[at] <= size
            and kept_mark[at] & ~mark == 0
            and _contains(cut, size, kept[at], kept_size[at])
        ):
            return count
        at += 1
    write = at
    for c in range(at, count):  # drop the worse ones that contain this cut
        if kept_size[c] >= size and mark & ~kept_mark[c] == 0 and _contains(kept[c], kept_size[c], cut, size):
            continue
        if write != c:
            kept[write] = kept[c]
            kept_size[write], kept_mark[write] = kept_size[c], kept_mark[c]
            kept_cost[write], kept_tie[write] = kept_cost[c], kept_tie[c]
        write += 1
    count = write
    for c in range(min(count, capacity - 1), at, -1):
        kept[c] = kept[c - 1]
        kept_size[c], kept_mark[c] = kept_size[c - 1], kept_mark[c - 1]
        kept_cost[c], kept_tie[c] = kept_cost[c - 1], kept_tie[c - 1]
    for j in range(size):
        kept[at, j] = cut[j]
    kept_size[at], kept_mark[at], kept_cost[at], kept_tie[at] = size, mark, cost, tie
    return count + 1 if count < capacity else count


@njit(cache=True, nogil=True)
def _options(
    s: int, first: int, leaves: I32x3, sizes: I8x2, counts: I8x1, out: I32x2, out_size: I8x1, out_mark: U64x1
) -> int:
    """List the ways to reach signal s: s itself, then its cuts; returns their number."""
    out[0, 0], out_size[0] = s, 1
    out_mark[0] = np.uint64(1) << np.uint64(s & 63)
    if s < first:
        return 1
    count = int(counts[s - first])
    for c in range(count):
        out_size[c + 1] = sizes[s - first, c]
        for j in range(sizes[s - first, c]):
            out[c + 1, j] = leaves[s - first, c, j]
        out_mark[c + 1] = _mark(out[c + 1], out_size[c + 1])
    return count + 1


@njit(cache=True, nogil=True)
def enumerate_cuts(
    fanin: I32x2,
    first: int,
    k: int,
    by_depth: bool,
    required: I32x1,
    refs: F32x1,
    leaves: I32x3,
    sizes: I8x2,
    counts: I8x1,
    depth: I32x1,
    flow: F32x1,
) -> None:
    """Fill the cuts of every LUT, best first, and its `depth` and area `flow` `[signals]`.

    The best cut minimises depth, ties by size, if `by_depth`; else area flow among the cuts
    that meet `required` `[signals]`. `refs` estimates how often a signal is read in the cover.
    """
    luts, pins = fanin.shape
    capacity = leaves.shape[1]
    room = capacity + 1
    now, after, other = (
        np.empty((room, k), np.int32),
        np.empty((room, k), np.int32),
        np.empty((room, k), np.int32),
    )
    now_size, after_size, other_size = (
        np.empty(room, np.int8),
        np.empty(room, np.int8),
        np.empty(room, np.int8),
    )
    now_mark, after_mark = np.empty(room, np.uint64), np.empty(room, np.uint64)
    other_mark = np.empty(room, np.uint64)
    cost, tie = np.empty(room, np.float32), np.empty(room, np.float32)
    cut = np.empty(k, np.int32)
    for i in range(luts):
        have, latest, started = 0, required[first + i], False
        for pin in range(pins):
            s = fanin[i, pin]
            if s == 0:
                continue
            if not started:
                started = True
                have = _options(s, first, leaves, sizes, counts, now, now_size, now_mark)
                continue
            options = _options(s, first, leaves, sizes, counts, other, other_size, other_mark)
            grown = 0
            for c in range(have):
                for o in range(options):
                    mark = now_mark[c] | other_mark[o]
                    if _wide(mark, k):
                        continue
                    size = _merge(now[c], now_size[c], other[o], other_size[o], cut, k)
                    if size < 0:
                        continue
                    deepest, area = np.int32(0), np.float32(1)
                    for j in range(size):
                        deepest = max(deepest, depth[cut[j]])
                        area += flow[cut[j]]
                    late = np.float32(deepest)
                    price, second = late, np.float32(size)
                    if not by_depth:
                        price = area + np.float32(1e6) if deepest >= latest else area
                        second = late
                    grown = _insert(
                        after,
                        after_size,
                        after_mark,
                        cost,
                        tie,
                        grown,
                        capacity,
                        cut,
                        size,
                        mark,
                        price,
                        second,
                    )
            now, after = after, now
            now_size, after_size = after_size, now_size
            now_mark, after_mark = after_mark, now_mark
            have = grown
        if have == 0:  # pruning lost every narrow cut: the LUT's own pins always do
            have = 1
            now_size[0] = 0
            for pin in range(pins):
                if fanin[i, pin] != 0:
                    now[0, now_size[0]] = fanin[i, pin]
                    now_size[0] += 1
        have = min(have, capacity)
        counts[i] = have
        for c in range(have):
            sizes[i, c] = now_size[c]
            for j in range(now_size[c]):
                leaves[i, c, j] = now[c, j]
        deepest, area = np.int32(0), np.float32(1)
        for j in range(sizes[i, 0]):
            deepest = max(deepest, depth[leaves[i, 0, j]])
            area += flow[leaves[i, 0, j]]
        depth[first + i] = deepest + 1
        flow[first + i] = area / max(np.float32(1), refs[first + i])
