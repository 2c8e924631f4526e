"""Compiled loops of `router`: negotiated congestion with delays on the graph of a device's wires.

After McMurchie and Ebeling, "PathFinder: a negotiation-based performance-driven router for FPGAs", 1995:
wires that several nets want become dearer until only those keep them that lose most without.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]


@njit(cache=True, nogil=True)
def _push(key: F32, item: I32, size: int, k: Any, node: int) -> int:
    """Add to a binary heap."""
    at = size
    while at > 0:
        up = (at - 1) >> 1
        if key[up] <= k:
            break
        key[at], item[at] = key[up], item[up]
        at = up
    key[at], item[at] = k, node
    return size + 1


@njit(cache=True, nogil=True)
def _pop(key: F32, item: I32, size: int) -> int:
    """Remove the first of a binary heap, which the caller has read."""
    size -= 1
    k, node = key[size], item[size]
    at = 0
    while True:
        down = 2 * at + 1
        if down >= size:
            break
        if down + 1 < size and key[down + 1] < key[down]:
            down += 1
        if key[down] >= k:
            break
        key[at], item[at] = key[down], item[down]
        at = down
    key[at], item[at] = k, node
    return size


@njit(cache=True, nogil=True)
def reach(
    start: I32, source: I32, delay: I32, kind: I32, x: I32, y: I32, ends: I32, at_x: int, at_y: int,
    table: F32, limit: float,
) -> None:  # fmt: skip
    """Note in `table` `[kinds, columns, rows]` how long a wire of each kind takes at least to the `ends`.

    Args:
        start: `[wires + 1]`, where what drives each wire begins.
        source: the wires that drive it.
        delay: picoseconds from there.
        kind: of each wire, -1 for others.
        x: its column.
        y: its row.
        ends: wires to be reached, all of one tile.
        at_x: column of that tile.
        at_y: row.
        table: least delays, lowered; its middle is the tile.
        limit: picoseconds to be looked at.
    """
    wires = len(start) - 1
    best = np.full(wires, np.float32(np.inf), np.float32)
    key, item = np.empty(len(source) // 2 + 64, np.float32), np.empty(len(source) // 2 + 64, np.int32)
    size = 0
    half_x, half_y = table.shape[1] // 2, table.shape[2] // 2
    for n in ends:
        best[n] = 0
        size = _push(key, item, size, 0.0, n)
    while size:
        cost, n = key[0], item[0]
        size = _pop(key, item, size)
        if cost > best[n]:
            continue
        if cost > limit:
            break
        column, row = x[n] - at_x + half_x, y[n] - at_y + half_y
        if kind[n] >= 0 and 0 <= column < table.shape[1] and 0 <= row < table.shape[2]:
            table[kind[n], column, row] = min(table[kind[n], column, row], cost)
        for e in range(start[n], start[n + 1]):
            m = source[e]
            c = np.float32(cost + delay[e])
            if c < best[m] and size < len(key) - 1:
                best[m] = c
                size = _push(key, item, size, c, m)


@njit(cache=True, nogil=True)
def route(
    start: I32, target: I32, origin: I32, delay: I32, adder: F32, kind: I32, x: I32, y: I32, table: F32,
    source: I32, first: I32, sink: I32, sink_x: I32, sink_y: I32,
    occupied: I32, history: F32, tree_at: I64, tree_size: I32, tree_wire: I32, tree_edge: I32,
    order: I32, crit: F32, pressure: float, margin: int, used: int,
    state: tuple[F32, F32, I32, I32, I32, F32, I32],
) -> tuple[int, int, int]:  # fmt: skip
    """Rip up and route nets anew.

    Args:
        start: `[wires + 1]`, where the edges of each wire begin.
        target: wire that each edge leads to.
        origin: wire that it comes from.
        delay: picoseconds of an edge.
        adder: picoseconds more for each edge in use from the same wire.
        kind: of each wire, -1 for others.
        x: its column.
        y: its row.
        table: least delay to a tile, see `reach`.
        source: wire that drives each net.
        first: `[nets + 1]`, where its sinks begin.
        sink: wire to be reached.
        sink_x: column of its tile.
        sink_y: row.
        occupied: `[wires]`, nets on each.
        history: `[wires]`, how many times dearer a wire is since it was wanted by several.
        tree_at: `[nets]`, where the wires of each net begin in the next two.
        tree_size: how many.
        tree_wire: wires of all nets, the source first, each behind the one that drives it.
        tree_edge: edge by which each was reached, -1 for the source.
        order: nets to be routed.
        crit: `[sinks]`, from 0 for whatever way is free to nearly 1 for the shortest.
        pressure: how many times dearer a wire is for each other net on it.
        margin: tiles around a net's box that wires may lie in.
        used: entries of `tree_wire` in use.
        state: work space: cost, arrival, via, seen and one more, member, heap keys, heap items.

    Returns:
        Entries of `tree_wire` in use now, sinks that no way leads to, and wires that were looked at.
    """
    cost, arrival, via, seen, member, key, item = state
    stamp, missed, looked = seen[-1], 0, 0
    for net in order:
        for i in range(tree_at[net], tree_at[net] + tree_size[net]):
            occupied[tree_wire[i]] -= 1
        base = used
        tree_at[net] = base
        root = source[net]
        tree_wire[used], tree_edge[used] = root, -1
        used += 1
        stamp += 1
        mine = stamp
        member[root], arrival[root] = mine, 0
        occupied[root] += 1
        low_x = high_x = x[root]
        low_y = high_y = y[root]
        for s in range(first[net], first[net + 1]):
            low_x, high_x = min(low_x, sink_x[s]), max(high_x, sink_x[s])
            low_y, high_y = min(low_y, sink_y[s]), max(high_y, sink_y[s])
        for t in np.argsort(-crit[first[net] : first[net + 1]], kind="mergesort"):
            s = first[net] + t
            goal, goal_x, goal_y, c = sink[s], sink_x[s], sink_y[s], crit[s]
            stamp += 1
            size = 0
            for i in range(base, used):
                n = tree_wire[i]
                cost[n], seen[n], via[n] = c * arrival[n], stamp, -1
                size = _push(key, item, size, cost[n] + _left(table, kind, x, y, n, goal_x, goal_y), n)
            arrived = False
            while size:
                n = item[0]
                size = _pop(key, item, size)
                looked += 1
                if n == goal:
                    arrived = True
                    break
                if seen[n] == -stamp:
                    continue
                seen[n] = -stamp
                for e in range(start[n], start[n + 1]):
                    m = target[e]
                    if seen[m] == -stamp or not (
                        low_x - margin <= x[m] <= high_x + margin
                        and low_y - margin <= y[m] <= high_y + margin
                    ):
                        continue
                    d = delay[e] + adder[e]
                    others = occupied[m] if member[m] != mine else 0
                    toll = (d + _TOLL) * history[m] * (1.0 + pressure * others)
                    new = np.float32(cost[n] + c * d + (1.0 - c) * toll)
                    if seen[m] == stamp and new >= cost[m]:
                        continue
                    left = np.float32(0.0) if m == goal else _left(table, kind, x, y, m, goal_x, goal_y)
                    if left == np.inf or size >= len(key) - 1:
                        continue
                    cost[m], seen[m], via[m] = new, stamp, e
                    size = _push(key, item, size, new + left, m)
            if not arrived:
                missed += 1
                continue
            n, length = goal, 0
            while member[n] != mine:
                item[length] = n
                length += 1
                n = origin[via[n]]
            for i in range(length - 1, -1, -1):
                m = item[i]
                tree_wire[used], tree_edge[used] = m, via[m]
                used += 1
                member[m] = mine
                arrival[m] = arrival[n] + delay[via[m]] + adder[via[m]]
                occupied[m] += 1
                n = m
        tree_size[net] = used - base
    seen[-1] = stamp
    return used, missed, looked


_TOLL = 20.0
"""Picoseconds that a wire costs besides its delay where delay does not count."""


@njit(cache=True, nogil=True, inline="always")
def _left(table: F32, kind: I32, x: I32, y: I32, n: int, goal_x: int, goal_y: int) -> Any:
    """Least delay from a wire to a tile; 0 where the table does not say."""
    column, row = x[n] - goal_x + table.shape[1] // 2, y[n] - goal_y + table.shape[2] // 2
    if kind[n] < 0 or not (0 <= column < table.shape[1] and 0 <= row < table.shape[2]):
        return np.float32(0.0)
    return table[kind[n], column, row]


@njit(cache=True, nogil=True)
def measure(
    order: I32, origin: I32, delay: I32, adder: F32, first: I32, sink: I32, extra: I32,
    tree_at: I64, tree_size: I32, tree_wire: I32, tree_edge: I32, arrival: F32, fan: I32, found: I32,
) -> None:  # fmt: skip
    """Write picoseconds from source to sink, and `extra`, into `found` `[sinks]`; see `route`.

    Nets of `order` are measured. `fan` is work space, zeros `[wires]`.
    """
    for net in order:
        at, end = tree_at[net], tree_at[net] + tree_size[net]
        for i in range(at + 1, end):
            fan[origin[tree_edge[i]]] += 1
        for i in range(at, end):
            e = tree_edge[i]
            arrival[tree_wire[i]] = 0 if e < 0 else arrival[origin[e]] + delay[e] + adder[e] * fan[origin[e]]
        for s in range(first[net], first[net + 1]):
            found[s] = extra[s] + np.int32(arrival[sink[s]])
        for i in range(at + 1, end):
            fan[origin[tree_edge[i]]] = 0


@njit(cache=True, nogil=True)
def contested(
    occupied: I32, tree_at: I64, tree_size: I32, tree_wire: I32, found: npt.NDArray[np.bool_]
) -> None:
    """Write which nets have wires that others want too into `found` `[nets]`."""
    for net in range(len(tree_at)):
        found[net] = False
        for i in range(tree_at[net], tree_at[net] + tree_size[net]):
            if occupied[tree_wire[i]] > 1:
                found[net] = True
                break
