"""Compiled loops over netlist arrays. Every loop over LUTs lives here; callers pass arrays.

Names follow `Netlist`: signals 0 and 1 are constants, `first` is the signal of LUT 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from . import _cached  # noqa: F401 - before any kernel is loaded
from ._typing import Bool1, F64x1, I32x1, I32x2, I64x1, U64x1


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


@njit(cache=True, nogil=True)
def rewrite(table: np.uint64, pins: I32x1, k: int, fanin: I32x1, literal: I64x1) -> tuple[np.uint64, int]:
    """Rewrite one LUT over resolved literals; return its table and number of pins.

    `literal[s]` is `2 * signal + inverted`. The pins that remain, ascending and distinct, go to
    `pins`; constants, repeated, inverted and unread pins are absorbed into the table.
    """
    slot = np.empty(6, np.int64)
    flip = np.zeros(6, np.int64)
    used = 0
    for pin in range(k):
        signal = np.int32(literal[fanin[pin]] >> 1)
        flip[pin] = literal[fanin[pin]] & 1
        slot[pin] = -1
        if signal < 2:
            flip[pin] ^= signal
            continue
        at = 0
        while at < used and pins[at] < signal:
            at += 1
        if at == used or pins[at] != signal:
            for j in range(used, at, -1):
                pins[j] = pins[j - 1]
            pins[at] = signal
            used += 1
    for pin in range(k):
        signal = np.int32(literal[fanin[pin]] >> 1)
        for at in range(used):
            if signal >= 2 and pins[at] == signal:
                slot[pin] = at
    out = np.uint64(0)
    for row in range(1 << used):
        old = 0
        for pin in range(k):
            bit = flip[pin] if slot[pin] < 0 else ((row >> slot[pin]) & 1) ^ flip[pin]
            old |= bit << pin
        out |= ((table >> np.uint64(old)) & np.uint64(1)) << np.uint64(row)
    for at in range(used - 1, -1, -1):
        low, high, rest = np.uint64(0), np.uint64(0), 0
        for row in range(1 << used):
            if not (row >> at) & 1:
                low |= ((out >> np.uint64(row)) & np.uint64(1)) << np.uint64(rest)
                high |= ((out >> np.uint64(row | (1 << at))) & np.uint64(1)) << np.uint64(rest)
                rest += 1
        if low == high:
            out = low
            for j in range(at, used - 1):
                pins[j] = pins[j + 1]
            used -= 1
    return out, used


@njit(cache=True, nogil=True)
def _hash(table: np.uint64, pins: I32x1, used: int) -> np.uint64:
    h = table * np.uint64(0x9E3779B97F4A7C15)
    for j in range(used):
        h = (h ^ np.uint64(pins[j])) * np.uint64(0xFF51AFD7ED558CCD)
        h ^= h >> np.uint64(32)
    return h


@njit(cache=True, nogil=True)
def place(slots: I32x1, fanin: I32x2, table: U64x1, out: np.uint64, pins: I32x1, used: int) -> int:
    """Where in the hash table `slots` the LUT with these pins and table is, or belongs if it is new."""
    at = int(np.int64(_hash(out, pins, used) & np.uint64(len(slots) - 1)))
    while slots[at] >= 0:
        row = slots[at]
        same = table[row] == out
        for j in range(fanin.shape[1]):
            same = same and fanin[row, j] == (pins[j] if j < used else 0)
        if same:
            break
        at = (at + 1) & (len(slots) - 1)
    return at


@njit(cache=True, nogil=True)
def sweep(
    fanin: I32x2,
    table: U64x1,
    first: int,
    share: bool,
    literal: I64x1,
    new_fanin: I32x2,
    new_table: U64x1,
    kept: I32x1,
) -> int:
    """Fold every LUT in topological order and, if `share`, merge equal and complementary ones.

    Fills `literal` `[signals]` with what each old signal became, `2 * new signal + inverted`, and
    the first rows of `new_fanin`, `new_table` and `kept` (the old LUT); returns their number.
    """
    luts, k = fanin.shape
    for s in range(first):
        literal[s] = 2 * s
    literal[1] = 1  # constant 1 is constant 0, inverted
    size = 1
    while share and size < 2 * luts:
        size *= 2
    slots = np.full(size, -1, np.int32)
    pins = np.zeros(6, np.int32)
    count = 0
    for i in range(luts):
        out, used = rewrite(table[i], pins, k, fanin[i], literal)
        inverted = np.int64(0)
        if used == 0:
            literal[first + i] = np.int64(out)
            continue
        if used == 1:
            literal[first + i] = 2 * np.int64(pins[0]) + (np.int64(out) & 1)
            continue
        if share:
            if out & np.uint64(1):
                full = ~np.uint64(0) >> np.uint64(64 - (1 << used))
                inverted = np.int64(1)
                out ^= full
            at = place(slots, new_fanin, new_table, out, pins, used)
            if slots[at] >= 0:
                literal[first + i] = 2 * np.int64(first + slots[at]) + inverted
                continue
            slots[at] = count
        for j in range(k):
            new_fanin[count, j] = pins[j] if j < used else 0
        new_table[count] = out
        kept[count] = i
        literal[first + i] = 2 * np.int64(first + count) + inverted
        count += 1
    return count


@njit(cache=True, nogil=True)
def stages(fanin: I32x2, first: int, per_stage: int, level: I32x1, stage: I32x1) -> None:
    """Fill `stage` `[signals]` so that no more than `per_stage` LUTs lie between registers.

    A LUT is registered if the bands of `per_stage` levels put all its readers later, or if it ends
    a run of `per_stage` LUTs. Bands keep chains that meet in step, which runs alone do not.
    """
    luts, k = fanin.shape
    registered = np.ones(first + luts, np.bool_)
    registered[:first] = False
    for i in range(luts):
        for pin in range(k):
            s = fanin[i, pin]
            if s >= first and (level[s] - 1) // per_stage == (level[first + i] - 1) // per_stage:
                registered[s] = False
    run = np.zeros(first + luts, np.int32)
    for i in range(luts):
        longest, latest = 0, 0
        for pin in range(k):
            s = fanin[i, pin]
            latest = max(latest, stage[s] + (1 if registered[s] else 0))
            longest = max(longest, 0 if registered[s] else run[s])
        run[first + i] = longest + 1
        stage[first + i] = latest
        registered[first + i] |= run[first + i] == per_stage


@njit(cache=True, nogil=True)
def places(fanin: I32x2, first: int, place: F64x1) -> None:
    """Replace each LUT's entry of `place` `[signals]` by the mean of its pins'."""
    luts, k = fanin.shape
    for i in range(luts):
        total, pins = 0.0, 0
        for pin in range(k):
            if fanin[i, pin] >= 2:
                total += place[fanin[i, pin]]
                pins += 1
        if pins:
            place[first + i] = total / pins
