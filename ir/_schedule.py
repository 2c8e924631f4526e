"""Compiled loops that prepare a netlist for the engine: splitting, ordering, slots."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from ._typing import I32x1, I32x2, I64x1, U64x1

U8x1 = npt.NDArray[np.uint8]


@njit(cache=True, nogil=True)
def order(
    fanin: I32x2, table: U8x1, level: I32x1, canonical: I32x1, permutation: I32x2, tables: I32x1,
    starts: I64x1, signal: I32x1, pins: I32x2,
) -> int:  # fmt: skip
    """Sort LUTs of three pins by level, then by canonical function; the number of runs.

    `level` is that of LUTs, from 1 on. Fills `signal` with the position of each LUT in the order
    given and `pins` with its pins in the canonical order, and per run `tables` and `starts`, which
    have a place for each level and function.
    """
    luts, depth = len(fanin), 0
    function = np.empty(luts, np.uint8)
    for i in range(luts):
        depth = max(depth, level[i])
        used = pins_used(fanin[i])
        # The rows that pins reading constant 0 cannot reach repeat the others: less to load.
        if used == 0:
            function[i] = np.uint8(255) * (table[i] & np.uint8(1))
        elif used == 1:
            function[i] = np.uint8(0x55) * (table[i] & np.uint8(3))
        elif used == 2:
            function[i] = np.uint8(0x11) * (table[i] & np.uint8(15))
        else:
            function[i] = table[i]
    # Counting sort by function, then, stable, by level.
    to = np.zeros(257, np.int64)
    for i in range(luts):
        to[canonical[function[i]] + 1] += 1
    to = np.cumsum(to)
    by_function = np.empty(luts, np.int32)
    for i in range(luts):
        t = canonical[function[i]]
        by_function[to[t]] = i
        to[t] += 1
    to = np.zeros(depth + 2, np.int64)
    for i in range(luts):
        to[level[i] + 1] += 1
    to = np.cumsum(to)
    for at in range(luts):
        i = by_function[at]
        signal[to[level[i]]] = i
        to[level[i]] += 1
    runs = 0
    for at in range(luts):
        i = signal[at]
        t = function[i]
        if runs == 0 or tables[runs - 1] != canonical[t]:
            tables[runs] = canonical[t]
            starts[runs] = at
            runs += 1
        for pin in range(3):
            pins[at, pin] = fanin[i, permutation[t, pin]]
    starts[runs] = luts
    return runs


@njit(cache=True, nogil=True)
def allocate(
    fanin: I32x2, signal: I32x1, first: int, roots: I32x1, free: int, slot: I32x1, ops: I32x2
) -> int:
    """Give planes slots as registers are allocated; the number of slots used.

    LUT i, in the order they run, drives `first + signal[i]` and reads `fanin[i]`. A slot is free again when
    its last reader has run; roots, inputs and constants keep theirs. Slots from `free` on are
    available. `slot` `[signals]` is given for what is before `first`; fills the rest, and `ops`.
    """
    luts, k = fanin.shape
    last = np.full(len(slot), -1, np.int32)
    for i in range(luts):
        for pin in range(k):
            last[fanin[i, pin]] = i
    for s in range(len(roots)):
        last[roots[s]] = luts
    for s in range(first):
        last[s] = luts
    stack = np.empty(luts + 1, np.int32)
    depth = 0
    for i in range(luts):
        for pin in range(k):
            s = fanin[i, pin]
            ops[i, 1 + pin] = slot[s]
            if last[s] == i:
                stack[depth] = slot[s]
                depth += 1
                last[s] = luts
        if depth:
            depth -= 1
            slot[first + signal[i]] = stack[depth]
        else:
            slot[first + signal[i]] = free
            free += 1
        ops[i, 0] = slot[first + signal[i]]
        if last[first + signal[i]] < 0:
            stack[depth] = ops[i, 0]
            depth += 1
    return free


@njit(cache=True, nogil=True)
def pins_used(pins: I32x1) -> int:
    """Pins up to the last that does not read constant 0."""
    used = len(pins)
    while used > 0 and pins[used - 1] == 0:
        used -= 1
    return used


@njit(cache=True, nogil=True)
def count_split(fanin: I32x2) -> int:
    """LUTs that `split` makes."""
    rows = 0
    for i in range(len(fanin)):
        rows += 2 * (1 << max(pins_used(fanin[i]) - 3, 0)) - 1
    return rows


@njit(cache=True, nogil=True)
def split(fanin: I32x2, table: U64x1, first: int, signal: I32x1, new_fanin: I32x2, new_table: U8x1) -> None:
    """Split LUTs of up to six pins into cofactors of three pins and multiplexers on the other pins.

    Fills `signal` `[signals]` with the new number of each old signal, and the new LUTs.
    """
    count = 0
    node = np.empty(8, np.int32)
    for i in range(len(fanin)):
        used = pins_used(fanin[i])
        parts = 1 << max(used - 3, 0)
        for part in range(parts):
            for pin in range(min(used, 3)):
                new_fanin[count, pin] = signal[fanin[i, pin]]
            new_table[count] = (table[i] >> np.uint64(8 * part)) & np.uint64(0xFF)
            node[part] = first + count
            count += 1
        for pin in range(3, used):
            parts >>= 1
            for part in range(parts):
                new_fanin[count, 0] = node[2 * part]
                new_fanin[count, 1] = node[2 * part + 1]
                new_fanin[count, 2] = signal[fanin[i, pin]]
                new_table[count] = 0xCA  # pin 2 ? pin 1 : pin 0
                node[part] = first + count
                count += 1
        signal[first + i] = first + count - 1
