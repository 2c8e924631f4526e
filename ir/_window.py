"""Compiled kernels of fan-in reduction: which pin patterns a LUT's near fan-in cone can produce."""

from __future__ import annotations

import numpy as np
from numba import njit

from ._typing import I32x1, I32x2, U64x1, U64x2

MOST_LEAVES = 10
_DEPTH = 3
_MOST_CONE = 1 + 6 + 2 * MOST_LEAVES
"""The LUT, those of its pins, and twice those of the leaves then reached."""


@njit(cache=True, nogil=True)
def _place(sorted_: I32x1, count: int, signal: int) -> int:
    """Where `signal` is, or -1."""
    for at in range(count):
        if sorted_[at] == signal:
            return at
    return -1


@njit(cache=True, nogil=True)
def _sort(signals: I32x1, count: int) -> None:
    """Sort a few signals; NumPy's sort takes seconds to compile."""
    for n in range(1, count):
        s, at = signals[n], n
        while at > 0 and signals[at - 1] > s:
            signals[at] = signals[at - 1]
            at -= 1
        signals[at] = s


@njit(cache=True, nogil=True)
def _fresh(fanin: I32x2, first: int, s: int, leaves: I32x1, count: int) -> int:
    """How many leaves replacing leaf s by what it reads adds, s itself not counted."""
    added = 0
    for pin in range(fanin.shape[1]):
        t = fanin[s - first, pin]
        if t > 1 and _place(leaves, count, t) < 0:
            added += 1
    return added


@njit(cache=True, nogil=True)
def _window(
    fanin: I32x2, first: int, i: int, depth: int, leaves: I32x1, cone: I32x1
) -> tuple[int, int, bool]:
    """Grow the window of LUT i: its leaves, the LUTs between, whether paths meet in it."""
    k = fanin.shape[1]
    count, inner, meets = 0, 0, False
    for pin in range(k):
        if fanin[i, pin] > 1 and _place(leaves, count, fanin[i, pin]) < 0:
            leaves[count] = fanin[i, pin]
            count += 1
    border = np.empty(MOST_LEAVES, np.int32)
    for _ in range(depth):
        open_ = count
        border[:count] = leaves[:count]
        while True:
            best, best_added = -1, 1 << 30
            for b in range(open_):
                s = border[b]
                if s >= first and _place(leaves, count, s) >= 0:
                    added = _fresh(fanin, first, s, leaves, count)
                    if added < best_added and count - 1 + added <= MOST_LEAVES:
                        best, best_added = b, added
            if best < 0:
                break
            s = border[best]
            at = _place(leaves, count, s)
            count -= 1
            leaves[at] = leaves[count]
            cone[inner] = s
            inner += 1
            pins = 0
            for pin in range(k):
                t = fanin[s - first, pin]
                if t < 2:
                    continue
                pins += 1
                # a LUT of the cone read again would be a leaf besides: it is seen as a free value,
                # which allows too many patterns and never too few
                if _place(leaves, count, t) < 0:
                    leaves[count] = t
                    count += 1
            meets = meets or best_added < pins
            border[best] = -1
    return count, inner, meets


@njit(cache=True, nogil=True)
def _evaluate(
    fanin: I32x2, table: U64x1, first: int, leaves: I32x1, count: int, cone: I32x1, inner: int, value: U64x2
) -> None:
    """Values `[cone, words]` of the cone's LUTs for all patterns of the leaves, in the cone's order."""
    k = fanin.shape[1]
    low = np.array(
        [0xAAAAAAAAAAAAAAAA, 0xCCCCCCCCCCCCCCCC, 0xF0F0F0F0F0F0F0F0,
         0xFF00FF00FF00FF00, 0xFFFF0000FFFF0000, 0xFFFFFFFF00000000], np.uint64,
    )  # fmt: skip
    mux = np.empty(64, np.uint64)
    ones = ~np.uint64(0)
    for at in range(inner):
        i = cone[at] - first
        width = k
        while width > 0 and fanin[i, width - 1] == 0:
            width -= 1
        for w in range(value.shape[1]):
            half = 1 << width
            for row in range(half):
                mux[row] = ones if (table[i] >> np.uint64(row)) & np.uint64(1) else np.uint64(0)
            for pin in range(width - 1, -1, -1):
                half >>= 1
                s = fanin[i, pin]
                x = np.uint64(0)
                if s == 1:
                    x = ones
                elif s > 1:
                    leaf = _place(leaves, count, s)
                    if leaf < 0:
                        x = value[_place(cone, inner, s), w]
                    elif leaf < 6:
                        x = low[leaf]
                    elif (w >> (leaf - 6)) & 1:
                        x = ones
                for row in range(half):
                    mux[row] ^= (mux[row] ^ mux[row + half]) & x
            value[at, w] = mux[0]


@njit(cache=True, nogil=True)
def _implied(first: int, levels: int, leaves: I32x1, count: int, higher: I32x1, lower: I32x1) -> int:
    """Pairs of leaves of which the higher one implies the lower, as bits of one thermometer code do.

    Leaves ascend, so those of one code follow each other; returns the number of pairs.
    """
    pairs = 0
    for j in range(1, count):
        p, q = leaves[j - 1] - 2, leaves[j] - 2
        if p >= 0 and q < first - 2 and p // levels == q // levels:
            lower[pairs], higher[pairs] = j - 1, j
            pairs += 1
    return pairs


@njit(cache=True, nogil=True)
def _patterns(
    pins: I32x1, size: int, leaves: I32x1, count: int, cone: I32x1, inner: int, value: U64x2,
    higher: I32x1, lower: I32x1, pairs: int,
) -> np.uint64:  # fmt: skip
    """Which patterns of the pins occur for some pattern of the leaves: bit p for pattern p."""
    seen, every = np.uint64(0), ~np.uint64(0) >> np.uint64(64 - (1 << size))
    at = np.empty(size, np.int64)
    for j in range(size):
        leaf = _place(leaves, count, pins[j])
        at[j] = leaf if leaf >= 0 else MOST_LEAVES + _place(cone, inner, pins[j])
    for row in range(1 << count):
        never = False
        for j in range(pairs):
            never = never or ((row >> higher[j]) & 1 and not (row >> lower[j]) & 1)
        if never:
            continue
        pattern = 0
        for j in range(size):
            if at[j] < MOST_LEAVES:
                pattern |= ((row >> at[j]) & 1) << j
            else:
                word = value[at[j] - MOST_LEAVES, row >> 6]
                pattern |= int((word >> np.uint64(row & 63)) & np.uint64(1)) << j
        seen |= np.uint64(1) << np.uint64(pattern)
        if seen == every:
            break
    return seen


@njit(cache=True, nogil=True)
def _without_pin(table: np.uint64, seen: np.uint64, size: int, pin: int) -> tuple[bool, np.uint64, np.uint64]:
    """Whether the seen patterns determine the value without `pin`; the table and patterns then."""
    out, kept = np.uint64(0), np.uint64(0)
    one = np.uint64(1)
    for row in range(1 << (size - 1)):
        low = (row & ((1 << pin) - 1)) | ((row >> pin) << (pin + 1))
        high = low | (1 << pin)
        value_low, value_high = (table >> np.uint64(low)) & one, (table >> np.uint64(high)) & one
        seen_low, seen_high = (seen >> np.uint64(low)) & one, (seen >> np.uint64(high)) & one
        if seen_low and seen_high and value_low != value_high:
            return False, out, kept
        value = value_high if seen_high else value_low
        out |= value << np.uint64(row)
        kept |= (seen_low | seen_high) << np.uint64(row)
    return True, out, kept


@njit(cache=True, nogil=True)
def _reads_leaf(value: U64x1, leaf: int, words: int) -> bool:
    """Whether a function of the leaves depends on one of them."""
    step, low = np.uint64(0), np.uint64(0)
    if leaf < 6:
        step = np.uint64(1 << leaf)
        for row in range(64):
            if not (row >> leaf) & 1:
                low |= np.uint64(1) << np.uint64(row)
    for w in range(words):
        if leaf < 6:
            if ((value[w] >> step) ^ value[w]) & low:
                return True
        elif value[w] != value[w ^ (1 << (leaf - 6))]:
            return True
    return False


@njit(cache=True, nogil=True)
def _on_leaves(value: U64x1, count: int, used: I32x1, most: int) -> tuple[int, np.uint64]:
    """Table over the leaves a function depends on, their places in `used`; more than `most`: -1."""
    words = 1 << max(0, count - 6)
    size, out = 0, np.uint64(0)
    for leaf in range(count):
        if _reads_leaf(value, leaf, words):
            if size == most:
                return -1, out
            used[size] = leaf
            size += 1
    for row in range(1 << size):
        at = 0
        for j in range(size):
            at |= ((row >> j) & 1) << used[j]
        out |= ((value[at >> 6] >> np.uint64(at & 63)) & np.uint64(1)) << np.uint64(row)
    return size, out


@njit(cache=True, nogil=True)
def _drop(out: np.uint64, seen: np.uint64, pins: I32x1, size: int) -> tuple[int, np.uint64]:
    """Drop the pins that the others make superfluous, the latest LUTs first."""
    while size > 0:
        best, best_signal = -1, 1
        for j in range(size):
            if pins[j] > best_signal and _without_pin(out, seen, size, j)[0]:
                best, best_signal = j, pins[j]
        if best < 0:
            break
        _, out, seen = _without_pin(out, seen, size, best)
        for j in range(best, size - 1):
            pins[j] = pins[j + 1]
        size -= 1
    return size, out


@njit(cache=True, nogil=True)
def reduce_fanin(fanin: I32x2, table: U64x1, first: int, levels: int) -> int:
    """Simplify every LUT in place by what its near fan-in cone allows; returns how many changed.

    Inputs are thermometer codes of `levels` bits, of which a later one implies the earlier ones.

    A LUT that depends on no more leaves of the cone than it has pins reads these instead. Otherwise
    pins that the other pins determine go, those driven by the latest LUTs first.
    """
    luts, k = fanin.shape
    leaves, cone = np.empty(MOST_LEAVES + 8, np.int32), np.empty(_MOST_CONE, np.int32)
    value = np.empty((_MOST_CONE, 1 << (MOST_LEAVES - 6)), np.uint64)
    pins, used = np.empty(k, np.int32), np.empty(MOST_LEAVES, np.int32)
    higher, lower = np.empty(MOST_LEAVES + 8, np.int32), np.empty(MOST_LEAVES + 8, np.int32)
    changed = 0
    for i in range(luts):
        for depth in range(1, _DEPTH + 1):
            size, plain = 0, True
            for pin in range(k):
                s = fanin[i, pin]
                if s > 1:
                    plain = plain and size == pin and _place(pins, size, s) < 0
                    pins[size] = s
                    size += 1
            if not plain or size < 2:
                break
            count, inner, meets = _window(fanin, first, i, depth, leaves, cone)
            _sort(leaves, count)
            pairs = _implied(first, levels, leaves, count, higher, lower) if levels > 1 else 0
            if not meets and not pairs:
                continue
            _sort(cone, inner)
            cone[inner] = first + i
            words = 1 << max(0, count - 6)
            _evaluate(fanin, table, first, leaves, count, cone, inner + 1, value[:, :words])
            before, size = size, -1
            if not pairs:
                size, out = _on_leaves(value[inner], count, used, before)
            if size >= 0:
                for j in range(size):
                    pins[j] = leaves[used[j]]
            else:
                seen = _patterns(pins, before, leaves, count, cone, inner, value, higher, lower, pairs)
                size, out = _drop(table[i], seen, pins, before)
                if size == before:
                    continue
            changed += 1
            for j in range(k):
                fanin[i, j] = pins[j] if j < size else 0
            # rows that the constant 0 on a free pin cannot address repeat the others
            for j in range(size, k):
                out |= out << np.uint64(1 << j)
            table[i] = out
    return changed
