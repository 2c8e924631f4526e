"""Compiled kernels of SAT sweeping: one topological pass, and proofs over small cuts.

Names follow `Netlist`: signals 0 and 1 are constants, `first` is the signal of LUT 0. A *cut* of
two signals is a set of leaves through which everything they depend on passes; two signals that
agree on all assignments of the leaves are equal.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._kernels import place, rewrite
from ._typing import Bool1, Bool2, I8x1, I32x1, I32x2, I64x1, U64x1, U64x2

WIDE = 16
"""Most leaves tried: 65,536 assignments."""

LEAF, INSIDE, FIXED = 1, 2, 3
EQUAL, DIFFERENT, UNKNOWN = 0, 1, 2


@njit(cache=True, nogil=True)
def _open(
    s: int, fanin: I32x2, first: int, as_leaf: int, base: int, mark: I32x1, leaves: I32x1, n: int
) -> int:
    """Mark signal `s` inside and its new pins as leaves; returns the number of leaves, -1 if too many."""
    mark[s] = base + INSIDE
    for pin in range(fanin.shape[1]):
        p = fanin[s - first, pin]
        if p >= 2 and mark[p] < base:
            if n == len(leaves):
                return -1
            mark[p] = base + as_leaf
            leaves[n] = p
            n += 1
    return n


@njit(cache=True, nogil=True)
def _drop(leaves: I32x1, n: int, s: int) -> int:
    for j in range(n):
        if leaves[j] == s:
            leaves[j] = leaves[n - 1]
            return n - 1
    return n


@njit(cache=True, nogil=True)
def grow(
    fanin: I32x2,
    first: int,
    x: int,
    y: int,
    limit: int,
    keep_pins: bool,
    base: int,
    mark: I32x1,
    leaves: I32x1,
    inside: I32x1,
) -> tuple[int, int]:
    """Grow a cut of signals x > y; returns the number of leaves (-1: none found) and of LUTs inside.

    With `keep_pins` the pins of x stay leaves and the cone of y is opened down to them; else the
    leaf that adds the fewest leaves is opened while there are at most `limit`. `mark` `[signals]`
    must be below `base` everywhere; `inside` ends up ascending.
    """
    n = _open(x, fanin, first, FIXED if keep_pins else LEAF, base, mark, leaves, 0)
    inside[0] = x
    m = 1
    if y >= first:
        n = _drop(leaves, n, y)
        n = _open(y, fanin, first, LEAF, base, mark, leaves, n)
        inside[1] = y
        m = 2
    elif y >= 2 and mark[y] < base:
        mark[y] = base + LEAF
        leaves[n] = y
        n += 1
    while n >= 0:
        best, best_cost = -1, 1 << 20
        for j in range(n):
            s = leaves[j]
            if s < first or mark[s] != base + LEAF:
                continue
            cost = -1
            for pin in range(fanin.shape[1]):
                p = fanin[s - first, pin]
                if p >= 2 and mark[p] < base:
                    cost += 1
            better = s > best if keep_pins else (cost < best_cost or (cost == best_cost and s > best))
            if better:
                best, best_cost = s, cost
        if best < 0 or n + best_cost > limit or m == len(inside):
            break
        n = _drop(leaves, n, best)
        n = _open(best, fanin, first, LEAF, base, mark, leaves, n)
        at = m
        while at > 0 and inside[at - 1] > best:
            inside[at] = inside[at - 1]
            at -= 1
        inside[at] = best
        m += 1
    if m >= 2 and inside[m - 1] != x:  # x and y were put first
        for j in range(1, m):
            s = inside[j]
            at = j
            while at > 0 and inside[at - 1] > s:
                inside[at] = inside[at - 1]
                at -= 1
            inside[at] = s
    return n, m


@njit(cache=True, nogil=True)
def _variable(leaf: int, word: int) -> np.uint64:
    """Word of the truth table of leaf number `leaf`."""
    if leaf >= 6:
        return ~np.uint64(0) if (word >> (leaf - 6)) & 1 else np.uint64(0)
    if leaf == 0:
        return np.uint64(0xAAAAAAAAAAAAAAAA)
    if leaf == 1:
        return np.uint64(0xCCCCCCCCCCCCCCCC)
    if leaf == 2:
        return np.uint64(0xF0F0F0F0F0F0F0F0)
    if leaf == 3:
        return np.uint64(0xFF00FF00FF00FF00)
    if leaf == 4:
        return np.uint64(0xFFFF0000FFFF0000)
    return np.uint64(0xFFFFFFFF00000000)


@njit(cache=True, nogil=True)
def decide(
    fanin: I32x2,
    table: U64x1,
    first: int,
    x: int,
    y: int,
    inverted: int,
    levels: int,
    leaves: I32x1,
    n: int,
    inside: I32x1,
    m: int,
    slot: I32x1,
    buffer: U64x2,
) -> int:
    """First assignment of the leaves at which x and y (complemented if `inverted`) differ, or -1.

    With `levels` > 1, input bits come as thermometer codes of so many bits, of which a later one
    implies the earlier ones; other assignments do not count.
    """
    words = max(1, (1 << n) >> 6)
    k = fanin.shape[1]
    zero = np.uint64(0)
    full = ~zero
    mux = np.empty(64, np.uint64)
    for j in range(n):
        slot[leaves[j]] = j
        for w in range(words):
            buffer[j, w] = _variable(j, w)
    for j in range(m):
        s = inside[j]
        slot[s] = n + j
        row = s - first
        used = k
        while used > 0 and fanin[row, used - 1] == 0:
            used -= 1
        for w in range(words):
            half = 1 << used
            for r in range(half):
                mux[r] = full if (table[row] >> np.uint64(r)) & np.uint64(1) else zero
            for pin in range(used - 1, -1, -1):
                half >>= 1
                p = fanin[row, pin]
                v = buffer[slot[p], w] if p >= 2 else (full if p == 1 else zero)
                for r in range(half):
                    mux[r] ^= (mux[r] ^ mux[r + half]) & v
            buffer[n + j, w] = mux[0]
    flip = full if inverted else zero
    last = full >> np.uint64(64 - (1 << n)) if n < 6 else full
    for w in range(words):
        v = buffer[slot[y], w] if y >= 2 else (full if y == 1 else zero)
        wrong = (buffer[slot[x], w] ^ v ^ flip) & last
        if wrong and levels > 1:
            for a in range(n):
                for b in range(n):
                    p, q = leaves[a] - 2, leaves[b] - 2
                    if q < first - 2 and p < q and p // levels == q // levels:
                        wrong &= buffer[a, w] | ~buffer[b, w]
        if wrong:
            bit = 0
            while not (wrong >> np.uint64(bit)) & np.uint64(1):
                bit += 1
            return 64 * w + bit
    return -1


@njit(cache=True, nogil=True)
def _prove(
    fanin: I32x2,
    table: U64x1,
    first: int,
    x: int,
    y: int,
    inverted: int,
    levels: int,
    clock: I64x1,
    mark: I32x1,
    slot: I32x1,
    leaves: I32x1,
    inside: I32x1,
    buffer: U64x2,
    attempts: int,
) -> tuple[int, int, int]:
    """Decide whether x is y over ever larger cuts; returns (answer, leaves, differing assignment)."""
    for attempt in range(attempts):
        limit = 10 if attempt < 2 else WIDE
        clock[0] += 4
        if clock[0] > 1 << 30:
            mark[:] = 0
            clock[0] = 4
        n, m = grow(fanin, first, x, y, limit, attempt == 0, clock[0], mark, leaves, inside)
        if n < 0 or n > WIDE:
            continue
        at = decide(fanin, table, first, x, y, inverted, levels, leaves, n, inside, m, slot, buffer)
        if at < 0:
            return EQUAL, n, -1
        at_inputs = True
        for j in range(n):
            at_inputs = at_inputs and leaves[j] < first
        if at_inputs:
            return DIFFERENT, n, at
    return UNKNOWN, 0, -1


@njit(cache=True, nogil=True)
def _signature(values: U64x2, s: int) -> tuple[np.uint64, int]:
    """Hash of a signal's simulated values up to complement, and whether it was complemented."""
    flip = values[s, 0] & np.uint64(1)
    mask = ~np.uint64(0) if flip else np.uint64(0)
    h = np.uint64(0x9E3779B97F4A7C15)
    for w in range(values.shape[1]):
        h = (h ^ values[s, w] ^ mask) * np.uint64(0xFF51AFD7ED558CCD)
        h ^= h >> np.uint64(29)
    return h, int(flip)


@njit(cache=True, nogil=True)
def _same(values: U64x2, a: int, b: int, inverted: int) -> bool:
    mask = ~np.uint64(0) if inverted else np.uint64(0)
    for w in range(values.shape[1]):  # noqa: SIM110 - numba compiles no generators
        if values[a, w] != values[b, w] ^ mask:
            return False
    return True


@njit(cache=True, nogil=True)
def sweep(
    fanin: I32x2,
    table: U64x1,
    first: int,
    levels: int,
    tries: int,
    widest: int,
    values: U64x2,
    forced: I64x1,
    barred: Bool1,
    failed: I32x1,
    literal: I64x1,
    new_fanin: I32x2,
    new_table: U64x1,
    kept: I32x1,
    how: I8x1,
    open_pairs: I64x1,
    patterns: Bool2,
    counts: I64x1,
) -> int:
    """Merge LUTs that are equal or complementary; returns how many remain.

    As `_kernels.sweep`, and besides: LUTs with equal simulated `values` `[signals, words]` are
    compared with earlier ones, at most `tries` each, over cuts. `forced[i]` is a literal of the
    old netlist that LUT i was proved to equal, or -1; for `barred` LUTs nothing is tried. The widest cuts
    cost most: only the first candidate has them, unless `failed` `[luts]` says that they failed before, and
    `widest` LUTs at most.

    Fills `how` `[luts]` (0 kept, 1 structure, 2 cut, 3 forced), `open_pairs` `[pairs, 2]` with new
    signal and new literal that could not be decided, `patterns` `[n, inputs]` with input patterns
    that tell pairs apart; `counts` becomes (open pairs, patterns).
    """
    luts, k = fanin.shape
    for s in range(first):
        literal[s] = 2 * s
    literal[1] = 1
    size = 64
    while size < 2 * (luts + first):
        size *= 2
    slots = np.full(size, -1, np.int32)
    heads = np.full(size, -1, np.int32)  # new signals by signature, chained
    chain = np.full(first + luts, -1, np.int32)
    old = np.empty(first + luts, np.int32)  # old signal of each new one
    mark, slot = np.zeros(first + luts + 1, np.int32), np.zeros(first + luts + 1, np.int32)
    leaves, inside = np.empty(WIDE + 8, np.int32), np.empty(160, np.int32)
    buffer = np.empty((WIDE + 8 + 160, 1 << (WIDE - 6)), np.uint64)
    clock = np.zeros(1, np.int64)
    pins = np.zeros(6, np.int32)
    counts[:] = 0
    mask = np.uint64(size - 1)
    for s in range(first):
        old[s] = s
        if s != 1:
            h, _ = _signature(values, s)
            at = np.int64(h & mask)
            chain[s] = heads[at]
            heads[at] = s
    count = 0
    for i in range(luts):
        if forced[i] >= 0:
            literal[first + i] = literal[forced[i] >> 1] ^ (forced[i] & 1)
            how[i] = 3
            continue
        how[i] = 1
        out, used = rewrite(table[i], pins, k, fanin[i], literal)
        if used == 0:
            literal[first + i] = np.int64(out)
            continue
        if used == 1:
            literal[first + i] = 2 * np.int64(pins[0]) + (np.int64(out) & 1)
            continue
        inverted = np.int64(out & np.uint64(1))
        if inverted:
            out ^= ~np.uint64(0) >> np.uint64(64 - (1 << used))
        spot = place(slots, new_fanin, new_table, out, pins, used)
        if slots[spot] >= 0:
            literal[first + i] = 2 * np.int64(first + slots[spot]) + inverted
            continue
        for j in range(k):
            new_fanin[count, j] = pins[j] if j < used else 0
        new_table[count] = out
        me = first + count
        h, phase = _signature(values, first + i)
        phase ^= int(inverted)  # of the new signal, which is stored uncomplemented
        bucket = np.int64(h & mask)
        other = heads[bucket]
        tried = 0
        pending = -1
        merged = False
        while other >= 0 and tried < tries and not barred[i]:
            _, phase_of_other = _signature(values, old[other])
            phase_of_other ^= (literal[old[other]] & 1) if other >= first else 0
            differ = phase ^ int(phase_of_other)
            # values are those of the old signals; complement as both literals say
            flip = differ ^ int(inverted) ^ (int(literal[old[other]] & 1) if other >= first else 0)
            if _same(values, first + i, old[other], flip):
                tried += 1
                wide = widest > 0 and pending < 0 and failed[i] != old[other]
                widest -= wide
                answer, n, where = _prove(
                    new_fanin, new_table, first, me, other, differ, levels,
                    clock, mark, slot, leaves, inside, buffer, 3 if wide else 2,
                )  # fmt: skip
                if answer == EQUAL:
                    literal[first + i] = (2 * np.int64(other) + differ) ^ inverted
                    how[i] = 2
                    merged = True
                    break
                if answer == DIFFERENT and counts[1] < len(patterns):
                    for j in range(n):
                        patterns[counts[1], leaves[j] - 2] = (where >> j) & 1
                    counts[1] += 1
                if answer == UNKNOWN and pending < 0:
                    pending = 2 * other + differ
                    failed[i] = old[other]
            other = chain[other]
        if merged:
            continue
        if pending >= 0 and counts[0] < len(open_pairs):
            open_pairs[counts[0], 0] = me
            open_pairs[counts[0], 1] = pending
            counts[0] += 1
        slots[spot] = count
        how[i] = 0
        kept[count] = i
        old[me] = first + i
        literal[first + i] = 2 * np.int64(me) + inverted
        chain[me] = heads[bucket]
        heads[bucket] = me
        count += 1
    return count
