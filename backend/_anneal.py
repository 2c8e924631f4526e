"""Compiled loops of `wiring`: simulated annealing of cells on the places of a device."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

I32x1 = npt.NDArray[np.int32]
I32x2 = npt.NDArray[np.int32]
F64x2 = npt.NDArray[np.float64]

_NEAR = 2
"""Tiles from a neighbour within which half of the moves end."""


@njit(cache=True, nogil=True)
def anneal(
    x: I32x1, y: I32x1, slot: I32x1, cell: I32x1, first: I32x2, count: I32x2,
    start: I32x1, other: I32x1, cost: F64x2, rounds: int, hot: float, cold: float, rng: Any,
) -> Any:  # fmt: skip
    """Swap cells, also with free slots, so that the sum of the costs of all wires falls; in place.

    Args:
        x: where each cell is, `[cells]`; those from `len(slot)` on stay.
        y: likewise.
        slot: of each cell that moves.
        cell: in each slot, -1 for none.
        first: `[width, height]`, first slot of each tile; its slots lie side by side.
        count: slots of each tile.
        start: `[cells + 1]`, where the wires of each cell begin in `other`.
        other: the cell at the other end.
        cost: `[width, height]`, of a wire that spans so many columns and rows.
        rounds: moves tried per cell.
        hot: temperature at the beginning, in units of `cost`.
        cold: at the end.
        rng: numpy's generator, of the moves.
    """
    moving = len(slot)
    width, height = first.shape
    reach = float(max(width, height))
    for r in range(rounds):
        heat = hot * (cold / hot) ** (r / max(rounds - 1, 1))
        taken = 0
        for _ in range(moving):
            a = int(rng.random() * moving)
            if start[a] == start[a + 1]:
                continue
            if rng.random() < 0.5:
                b = other[start[a] + int(rng.random() * (start[a + 1] - start[a]))]
                to_x, to_y, span = x[b], y[b], _NEAR
            else:
                to_x, to_y, span = x[a], y[a], int(reach)
            to_x += int(rng.random() * (2 * span + 1)) - span
            to_y += int(rng.random() * (2 * span + 1)) - span
            if not (0 <= to_x < width and 0 <= to_y < height) or count[to_x, to_y] == 0:
                continue
            s = first[to_x, to_y] + int(rng.random() * count[to_x, to_y])
            if s == slot[a]:
                continue
            b = cell[s]
            change = _moved(a, b, to_x, to_y, x, y, start, other, cost)
            if b >= 0:
                change += _moved(b, a, x[a], y[a], x, y, start, other, cost)
            if change <= 0 or rng.random() < np.exp(-change / heat):
                old = slot[a]
                slot[a], cell[s], cell[old] = s, a, b
                if b >= 0:
                    slot[b], x[b], y[b] = old, x[a], y[a]
                x[a], y[a] = to_x, to_y
                taken += 1
        # moves shrink until nearly half of them are taken
        reach = min(float(max(width, height)), max(2.0, reach * (0.56 + taken / moving)))


@njit(cache=True, nogil=True, inline="always")
def _moved(
    a: int, ignored: int, to_x: int, to_y: int, x: I32x1, y: I32x1, start: I32x1, other: I32x1,
    cost: F64x2,
) -> float:  # fmt: skip
    """Cost that moving a there adds; wires to the cell it changes places with stay as long as they are."""
    change = 0.0
    for wire in range(start[a], start[a + 1]):
        b = other[wire]
        if b != ignored:
            change += cost[abs(to_x - x[b]), abs(to_y - y[b])] - cost[abs(x[a] - x[b]), abs(y[a] - y[b])]
    return change
