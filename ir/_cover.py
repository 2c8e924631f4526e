"""Compiled kernels of the LUT mapper: the cover, exact area, and evicting LUTs from the cover.

The cover is the best cut, number 0, of every LUT that roots need; `refs` counts its readers.
Exact area: Mishchenko et al., ICCAD 2007. Cuts are laid out as in `_cuts`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._cuts import _merge
from ._typing import Bool1, I8x1, I8x2, I32x1, I32x3, I64x1

UNREACHED = np.int32(1 << 30)
_MOST_READERS = 8


@njit(cache=True, nogil=True)
def count(signals: I32x1, found: I32x1) -> None:
    """Add to `found` how often each signal occurs in `signals`."""
    for s in signals:
        found[s] += 1


@njit(cache=True, nogil=True)
def cover(leaves: I32x3, sizes: I8x2, first: int, roots: I32x1, refs: I32x1) -> int:
    """Count in `refs` `[signals]` how often the best cuts read each signal; returns the LUTs used."""
    refs[:] = 0
    for s in roots:
        refs[s] += 1
    used = 0
    for i in range(leaves.shape[0] - 1, -1, -1):
        if refs[first + i] > 0:
            used += 1
            for j in range(sizes[i, 0]):
                refs[leaves[i, 0, j]] += 1
    return used


@njit(cache=True, nogil=True)
def require(
    leaves: I32x3, sizes: I8x2, first: int, refs: I32x1, roots: I32x1, limit: int, required: I32x1
) -> None:
    """Latest allowed depth of each signal of the cover, given `limit` at the roots."""
    required[:] = UNREACHED
    for s in roots:
        required[s] = min(required[s], limit)
    for i in range(leaves.shape[0] - 1, -1, -1):
        if refs[first + i] > 0:
            for j in range(sizes[i, 0]):
                leaf = leaves[i, 0, j]
                required[leaf] = min(required[leaf], required[first + i] - 1)


@njit(cache=True, nogil=True)
def order(
    leaves: I32x3, sizes: I8x2, first: int, refs: I32x1, required: I32x1, early: bool, late: I32x1
) -> None:
    """Fill `late` `[signals]` with depths that rise along every edge of the cover.

    As soon as the signals arrive if `early`, which leaves LUTs no room to become deeper, or as
    late as `required` allows, which leaves their readers none.
    """
    late[:first] = -1
    for i in range(leaves.shape[0]):
        if early or refs[first + i] == 0:
            deepest = 0
            for j in range(sizes[i, 0]):
                deepest = max(deepest, late[leaves[i, 0, j]])
            late[first + i] = deepest + 1
        else:
            late[first + i] = required[first + i]


@njit(cache=True, nogil=True)
def _reference(
    leaves: I32x3, sizes: I8x2, first: int, i: int, c: int, step: int, refs: I32x1, stack: I32x1
) -> int:
    """Add (`step` 1) or remove (-1) cut c of LUT i from the cover; returns the LUTs that came or went."""
    area, top = 1, 0
    node, use = i, c
    while True:
        for j in range(sizes[node, use]):
            leaf = leaves[node, use, j]
            before = refs[leaf]
            refs[leaf] += step
            if leaf >= first and (before == 0 if step > 0 else before == 1):
                stack[top] = leaf - first
                top += 1
                area += 1
        if top == 0:
            return area
        top -= 1
        node, use = int(stack[top]), 0


@njit(cache=True, nogil=True)
def _at_least(leaves: I32x3, sizes: I8x2, first: int, i: int, c: int, refs: I32x1) -> int:
    """Lower bound of what `_reference` returns: the LUT and the leaves that nobody reads yet."""
    area = 1
    for j in range(sizes[i, c]):
        leaf = leaves[i, c, j]
        area += leaf >= first and refs[leaf] == 0
    return area


@njit(cache=True, nogil=True)
def exact_area(
    leaves: I32x3, sizes: I8x2, counts: I8x1, first: int, required: I32x1, refs: I32x1, depth: I32x1
) -> None:
    """Move to the front, for each LUT of the cover, the cut that really costs the fewest LUTs."""
    luts = leaves.shape[0]
    stack = np.empty(luts + 1, np.int32)
    for i in range(luts):
        if refs[first + i] > 0:
            _reference(leaves, sizes, first, i, 0, -1, refs, stack)
            best, best_area, best_depth = 0, 1 << 30, 1 << 30
            for c in range(counts[i]):
                late = 0
                for j in range(sizes[i, c]):
                    late = max(late, depth[leaves[i, c, j]])
                if late + 1 > required[first + i]:
                    continue
                if _at_least(leaves, sizes, first, i, c, refs) > best_area:
                    continue
                area = _reference(leaves, sizes, first, i, c, 1, refs, stack)
                _reference(leaves, sizes, first, i, c, -1, refs, stack)
                if (area, late) < (best_area, best_depth):
                    best, best_area, best_depth = c, area, late
            if best:
                for j in range(leaves.shape[2]):
                    leaves[i, 0, j], leaves[i, best, j] = leaves[i, best, j], leaves[i, 0, j]
                sizes[i, 0], sizes[i, best] = sizes[i, best], sizes[i, 0]
            _reference(leaves, sizes, first, i, 0, 1, refs, stack)
        late = 0
        for j in range(sizes[i, 0]):
            late = max(late, depth[leaves[i, 0, j]])
        depth[first + i] = late + 1


@njit(cache=True, nogil=True)
def _without(pins: I32x1, size: int, signal: int, rest: I32x1) -> int:
    """Copy all pins but `signal` to `rest`; returns their number."""
    left = 0
    for j in range(size):
        if pins[j] != signal:
            rest[left] = pins[j]
            left += 1
    return left


@njit(cache=True, nogil=True)
def _readers(leaves: I32x3, sizes: I8x2, first: int, refs: I32x1) -> tuple[I64x1, I32x1]:
    """Readers of each LUT within the cover, as start `[luts + 1]` and LUT numbers, descending."""
    luts = leaves.shape[0]
    start = np.zeros(luts + 1, np.int64)
    for i in range(luts):
        if refs[first + i] > 0:
            for j in range(sizes[i, 0]):
                if leaves[i, 0, j] >= first:
                    start[leaves[i, 0, j] - first + 1] += 1
    for i in range(luts):
        start[i + 1] += start[i]
    reader = np.empty(start[luts], np.int32)
    fill = start[:-1].copy()
    for i in range(luts - 1, -1, -1):
        if refs[first + i] > 0:
            for j in range(sizes[i, 0]):
                if leaves[i, 0, j] >= first:
                    reader[fill[leaves[i, 0, j] - first]] = i
                    fill[leaves[i, 0, j] - first] += 1
    return start, reader


@njit(cache=True, nogil=True)
def _reads(leaves: I32x3, sizes: I8x2, i: int, c: int, signal: int) -> bool:
    """Whether cut c of LUT i has the leaf `signal`."""
    for j in range(sizes[i, c]):  # noqa: SIM110 - generators do not compile
        if leaves[i, c, j] == signal:
            return True
    return False


@njit(cache=True, nogil=True)
def _rises(leaves: I32x3, sizes: I8x2, first: int, i: int, c: int, late: I32x1) -> bool:
    """Whether every leaf of cut c of LUT i is earlier than the LUT."""
    for j in range(sizes[i, c]):  # noqa: SIM110
        if late[leaves[i, c, j]] >= late[first + i]:
            return False
    return True


@njit(cache=True, nogil=True)
def evict(
    leaves: I32x3,
    sizes: I8x2,
    counts: I8x1,
    first: int,
    is_root: Bool1,
    refs: I32x1,
    late: I32x1,
    level: bool,
) -> int:
    """One round over the cover; returns the LUTs saved.

    Each LUT's readers are taken out of the cover and choose the cheapest of their cuts that do
    without it, one of them being the present cut with the LUT replaced by its own leaves. The
    change stays if the cover got smaller, or with `level` if it did not grow.
    `late` `[signals]` rises along every edge that may be used; empty for no limit.
    """
    luts, capacity, k = leaves.shape
    start, reader = _readers(leaves, sizes, first, refs)
    stack = np.empty(luts + 1, np.int32)
    rest, joined = np.empty(k, np.int32), np.empty((_MOST_READERS, k), np.int32)
    joined_size, chosen = np.empty(_MOST_READERS, np.int64), np.empty(_MOST_READERS, np.int64)
    old, old_size = np.empty((_MOST_READERS, k), np.int32), np.empty(_MOST_READERS, np.int8)
    who = np.empty(_MOST_READERS, np.int32)
    bounded = late.size > 0
    saved = 0
    for n in range(luts):
        s = first + n
        if refs[s] == 0 or is_root[s] or refs[s] > _MOST_READERS:
            continue
        found = 0
        for at in range(start[n], start[n + 1]):
            if refs[first + reader[at]] > 0 and _reads(leaves, sizes, reader[at], 0, s):
                who[found] = reader[at]
                found += 1
        possible = found == refs[s]  # else read by a LUT that this round brought in
        for r in range(found):
            if not possible:
                break
            f = who[r]
            left = _without(leaves[f, 0], sizes[f, 0], s, rest)
            joined_size[r] = _merge(rest, left, leaves[n, 0], sizes[n, 0], joined[r], k)
            possible = joined_size[r] >= 0
            for c in range(1, counts[f]):
                possible = possible or not _reads(leaves, sizes, f, c, s)
        if not possible:
            continue
        before, gone = 0, 0
        for r in range(found):
            f = who[r]
            if refs[first + f] == 0:
                continue  # left the cover together with its only reader
            who[gone], joined_size[gone] = f, joined_size[r]
            joined[gone] = joined[r]
            old[gone], old_size[gone] = leaves[f, 0], sizes[f, 0]
            gone += 1
            before += _reference(leaves, sizes, first, f, 0, -1, refs, stack)
        after, back = 0, gone
        while back > 0:
            f = who[back - 1]
            best, best_area = -1, 1 << 30
            if joined_size[back - 1] >= 0:
                leaves[f, 0] = joined[back - 1]
                sizes[f, 0] = joined_size[back - 1]
                best, best_area = 0, _reference(leaves, sizes, first, f, 0, 1, refs, stack)
                _reference(leaves, sizes, first, f, 0, -1, refs, stack)
            for c in range(1, counts[f]):
                cheapest = _at_least(leaves, sizes, first, f, c, refs)
                if cheapest >= best_area or after + cheapest > before or _reads(leaves, sizes, f, c, s):
                    continue
                if bounded and not _rises(leaves, sizes, first, f, c, late):
                    continue
                area = _reference(leaves, sizes, first, f, c, 1, refs, stack)
                _reference(leaves, sizes, first, f, c, -1, refs, stack)
                if area < best_area:
                    best, best_area = c, area
            if best < 0 or after + best_area > before:
                leaves[f, 0], sizes[f, 0] = old[back - 1], old_size[back - 1]
                break
            back -= 1
            chosen[back] = best
            if best > 0:
                leaves[f, 0], sizes[f, 0] = leaves[f, best], sizes[f, best]
            after += _reference(leaves, sizes, first, f, 0, 1, refs, stack)
        if back == 0 and (after < before or (level and after == before)):
            saved += before - after
            for r in range(gone):
                f, c = who[r], chosen[r]
                if c == 0 and capacity > 1:
                    if counts[f] < capacity:
                        counts[f] += 1
                    c = counts[f] - 1
                leaves[f, c], sizes[f, c] = (old[r], old_size[r]) if c > 0 else (leaves[f, 0], sizes[f, 0])
            continue
        for r in range(back, gone):
            _reference(leaves, sizes, first, who[r], 0, -1, refs, stack)
        for r in range(gone - 1, -1, -1):
            f = who[r]
            leaves[f, 0], sizes[f, 0] = old[r], old_size[r]
            _reference(leaves, sizes, first, f, 0, 1, refs, stack)
    return saved
