"""How much wire a fabric needs: whether it will route, before any tool has run.

Its LUTs are annealed for short wires on a square of tiles that they fill, eight to a tile as on all
families here. The wire that nets then take in each tile is what routers have to find tracks for; what
they found tracks for is measured by `benchmarks/routability.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lgc.ir.netlist import FIRST_INPUT, Netlist

from ._anneal import anneal

TILE = 8
"""Cells of a tile."""

FILL = 0.85
"""Share of the square that is filled."""

MOST = 40_000
"""Cells above which there is no estimate: no such network fits a device that it is made for."""

ROUTED = {"ice40": 47.6, "ecp5": 28.9}
"""Highest demand by family of a design that routed; see docs/routability.md."""

_ROUNDS, _HOT, _COLD = 400, 8.0, 0.2
"""Moves per cell, temperatures in tiles of wire."""


@dataclass(frozen=True)
class Wiring:
    """What wires a fabric needs.

    Attributes:
        cells: cells that were placed: LUTs and inputs.
        demand: tiles of wire per tile, half of the bounding boxes of all nets.
        span: mean distance of a reader from what it reads, in tiles.
    """

    cells: int
    demand: float
    span: float


def wiring(net: Netlist, *, seed: int = 1) -> Wiring | None:
    """Place the LUTs and inputs of `net`, and measure their wires; None if there are too many or no wires."""
    used = np.zeros(net.signals, np.bool_)
    used[net.fanin] = True
    used[net.first_lut :] = True
    used[:FIRST_INPUT] = False
    cells = int(used.sum())
    if cells > MOST:
        return None
    number = np.cumsum(used) - 1
    lut, pin = np.nonzero(net.fanin >= FIRST_INPUT)
    wires = np.unique(np.stack([number[net.fanin[lut, pin]], number[net.first_lut + lut]], axis=1), axis=0)
    if not len(wires):
        return None
    side = math.ceil(math.sqrt(cells / (TILE * FILL)))
    x, y = _placed(cells, side, wires, seed)
    a, b = wires.T
    length = 0
    for axis in (x, y):
        low, high = axis.copy(), axis.copy()
        np.minimum.at(low, a, axis[b])
        np.maximum.at(high, a, axis[b])
        length += int((high - low).sum())
    span = float((abs(x[a] - x[b]) + abs(y[a] - y[b])).mean())
    return Wiring(cells, round(length / side**2, 2), round(span, 2))


def _placed(cells: int, side: int, wires: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Anneal cells on a square; columns and rows of each."""
    rng = np.random.default_rng(seed)
    slot = rng.permutation(side * side * TILE)[:cells].astype(np.int32)
    cell = np.full(side * side * TILE, -1, np.int32)
    cell[slot] = np.arange(cells)
    x, y = (slot // TILE // side).astype(np.int32), (slot // TILE % side).astype(np.int32)
    first = (TILE * np.arange(side * side, dtype=np.int32)).reshape(side, side)
    count = np.full((side, side), TILE, np.int32)
    ends = np.concatenate([wires, wires[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    start = np.searchsorted(ends[:, 0], np.arange(cells + 1)).astype(np.int32)
    columns, rows = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    cost = (columns + rows).astype(np.float64)
    anneal(
        x, y, slot, cell, first, count, start, ends[:, 1].astype(np.int32), cost, _ROUNDS, _HOT, _COLD, rng
    )
    return x, y
