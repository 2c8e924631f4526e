"""Compiled kernels of the LUT mapper: priority cuts, exact area, cone tables, elimination.

Priority cuts: Mishchenko et al., "Combinational and sequential mapping with priority cuts",
ICCAD 2007. Cut `c` of LUT `i` is `leaves[i, c, :sizes[i, c]]`, signals in ascending order.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._typing import Bool1, F32x1, I8x1, I8x2, I32x1, I32x2, I32x3, U64x1

UNREACHED = np.int32(1 << 30)


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
    kept_cost: F32x1,
    kept_tie: F32x1,
    count: int,
    cut: I32x1,
    size: int,
    cost: np.float32,
    tie: np.float32,
) -> int:
    """Insert a cut into a list sorted by (cost, tie) unless dominated; returns the new length."""
    capacity = kept.shape[0]
    if count == capacity and (cost, tie) >= (kept_cost[count - 1], kept_tie[count - 1]):
        return count
    for c in range(count):
        if (
            kept_size[c] <= size
            and (kept_cost[c], kept_tie[c]) <= (cost, tie)
            and _contains(cut, size, kept[c], kept_size[c])
        ):
            return count
    write = 0
    for c in range(count):
        worse = kept_size[c] >= size and (kept_cost[c], kept_tie[c]) >= (cost, tie)
        if worse and _contains(kept[c], kept_size[c], cut, size):
            continue
        if write != c:
            kept[write] = kept[c]
            kept_size[write], kept_cost[write], kept_tie[write] = kept_size[c], kept_cost[c], kept_tie[c]
        write += 1
    count = write
    at = min(count, capacity - 1)
    while at > 0 and (kept_cost[at - 1], kept_tie[at - 1]) > (cost, tie):
        kept[at] = kept[at - 1]
        kept_size[at], kept_cost[at], kept_tie[at] = kept_size[at - 1], kept_cost[at - 1], kept_tie[at - 1]
        at -= 1
    kept[at, :size] = cut[:size]
    kept_size[at], kept_cost[at], kept_tie[at] = size, cost, tie
    return count + 1 if count < capacity else count


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

    The best cut minimises depth, ties by area flow, if `by_depth`; else area flow among the cuts
    that meet `required` `[signals]`. `refs` estimates how often a signal is read in the cover.
    """
    luts, pins = fanin.shape
    capacity = leaves.shape[1]
    now, after = np.empty((capacity, k), np.int32), np.empty((capacity, k), np.int32)
    now_size, after_size = np.empty(capacity, np.int8), np.empty(capacity, np.int8)
    cost, tie = np.empty(capacity, np.float32), np.empty(capacity, np.float32)
    cut, trivial = np.empty(k, np.int32), np.empty(1, np.int32)
    for i in range(luts):
        have = 1
        now_size[0] = 0
        for pin in range(pins):
            s = fanin[i, pin]
            if s == 0:
                continue
            trivial[0] = s
            options = counts[s - first] if s >= first else 0
            grown = 0
            for c in range(have):
                for option in range(-1, options):
                    if option < 0:
                        size = _merge(now[c], now_size[c], trivial, 1, cut, k)
                    else:
                        size = _merge(
                            now[c], now_size[c], leaves[s - first, option], sizes[s - first, option], cut, k
                        )
                    if size < 0:
                        continue
                    deepest, area = np.int32(0), np.float32(1)
                    for j in range(size):
                        deepest = max(deepest, depth[cut[j]])
                        area += flow[cut[j]]
                    late = np.float32(deepest)
                    if by_depth:
                        grown = _insert(after, after_size, cost, tie, grown, cut, size, late, area)
                    else:
                        over = deepest + 1 > required[first + i]
                        price = area + np.float32(1e6) if over else area
                        grown = _insert(after, after_size, cost, tie, grown, cut, size, price, late)
            now, after = after, now
            now_size, after_size = after_size, now_size
            have = grown
        if have == 0:  # pruning lost every narrow cut: the LUT's own pins always do
            have = 1
            now_size[0] = 0
            for pin in range(pins):
                if fanin[i, pin] != 0:
                    now[0, now_size[0]] = fanin[i, pin]
                    now_size[0] += 1
        counts[i] = have
        for c in range(have):
            sizes[i, c] = now_size[c]
            leaves[i, c, : now_size[c]] = now[c, : now_size[c]]
        deepest, area = np.int32(0), np.float32(1)
        for j in range(sizes[i, 0]):
            deepest = max(deepest, depth[leaves[i, 0, j]])
            area += flow[leaves[i, 0, j]]
        depth[first + i] = deepest + 1
        flow[first + i] = area / max(np.float32(1), refs[first + i])


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
def _without(pins: I32x1, size: int, signal: int, rest: I32x1) -> int:
    """Copy all pins but `signal` to `rest`; returns their number."""
    left = 0
    for j in range(size):
        if pins[j] != signal:
            rest[left] = pins[j]
            left += 1
    return left


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
