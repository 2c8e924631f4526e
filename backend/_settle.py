"""Compiled loops of `refine`: simulated annealing for the delays of wires."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

I32x1 = npt.NDArray[np.int32]
I32x2 = npt.NDArray[np.int32]
F32x4 = npt.NDArray[np.float32]
Bool1 = npt.NDArray[np.bool_]

SLOTS = 8
"""Cells of a tile."""


@njit(cache=True, nogil=True)
def settle(
    x: I32x1, y: I32x1, z: I32x1, slot: I32x1, cell: I32x1, slot_z: I32x1, first: I32x2, count: I32x2,
    start: I32x1, other: I32x1, leaves: Bool1, cost: F32x4, pick: I32x1, rounds: int, hot: float,
    cold: float, rng: Any,
) -> None:  # fmt: skip
    """Swap cells, also with free slots, so that the sum of the costs of all wires falls; in place.

    Args:
        x: column of each cell, `[cells]`; those from `len(slot)` on stay.
        y: row.
        z: number in the tile.
        slot: of each cell that moves.
        cell: in each slot, -1 for none.
        slot_z: number in the tile of each slot.
        first: `[width, height]`, first slot of each tile; its slots lie side by side.
        count: slots of each tile.
        start: `[cells + 1]`, where the wires of each cell begin in `other`.
        other: the cell at the other end.
        leaves: whether the wire leads there, or comes from there.
        cost: `[numbers, numbers, columns, rows]`, of a wire between such numbers
            in tiles that are so far apart, source less sink.
        pick: cells that are moved; others only make room for them.
        rounds: moves tried per cell of these.
        hot: temperature at the beginning, in units of `cost`.
        cold: at the end.
        rng: numpy's generator, of the moves.
    """
    width, height = first.shape
    reach = float(max(width, height))
    for r in range(rounds):
        heat = hot * (cold / hot) ** (r / max(rounds - 1, 1))
        taken = 0
        for _ in range(len(pick)):
            a = pick[int(rng.random() * len(pick))]
            if start[a] == start[a + 1]:
                continue
            near = rng.random()
            if near < 0.5:
                b = other[start[a] + int(rng.random() * (start[a + 1] - start[a]))]
                to_x, to_y, span = x[b], y[b], 2 if near < 0.35 else 6
            else:
                to_x, to_y, span = x[a], y[a], int(reach)
            to_x += int(rng.random() * (2 * span + 1)) - span
            to_y += int(rng.random() * (2 * span + 1)) - span
            if not (0 <= to_x < width and 0 <= to_y < height) or count[to_x, to_y] == 0:
                continue
            s = first[to_x, to_y] + int(rng.random() * count[to_x, to_y])
            if s == slot[a]:
                continue
            b, old = cell[s], slot[a]
            at_x, at_y, at_z, to_z = x[a], y[a], z[a], slot_z[s]
            change = -_around(a, x, y, z, start, other, leaves, cost)
            if b >= 0:
                change -= _around(b, x, y, z, start, other, leaves, cost)
                x[b], y[b], z[b] = at_x, at_y, at_z
            x[a], y[a], z[a] = to_x, to_y, to_z
            change += _around(a, x, y, z, start, other, leaves, cost)
            if b >= 0:
                change += _around(b, x, y, z, start, other, leaves, cost)
            if change <= 0 or rng.random() < np.exp(-change / heat):
                slot[a], cell[s], cell[old] = s, a, b
                if b >= 0:
                    slot[b] = old
                taken += 1
            else:
                x[a], y[a], z[a] = at_x, at_y, at_z
                if b >= 0:
                    x[b], y[b], z[b] = to_x, to_y, to_z
        # moves shrink until nearly half of them are taken
        reach = min(float(max(width, height)), max(2.0, reach * (0.56 + taken / len(pick))))


@njit(cache=True, nogil=True, inline="always")
def _around(
    a: int, x: I32x1, y: I32x1, z: I32x1, start: I32x1, other: I32x1, leaves: Bool1, cost: F32x4
) -> float:
    """Cost of a cell's wires."""
    half_x, half_y = cost.shape[2] // 2, cost.shape[3] // 2
    found = 0.0
    for wire in range(start[a], start[a + 1]):
        b = other[wire]
        dx, dy = x[a] - x[b], y[a] - y[b]
        if leaves[wire]:
            found += cost[z[a], z[b], half_x + dx, half_y + dy]
        else:
            found += cost[z[b], z[a], half_x - dx, half_y - dy]
    return found
