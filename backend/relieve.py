"""Wires that are too long, one by one: copies of what drives them, and moves of the cells around.

Annealing leaves a few wires that nothing quick enough can take, most of them from a LUT whose loads stand
apart. Each such LUT is copied, register and all, for those loads; then only the cells around are annealed,
so that all others keep their places. At the end everything is annealed once more for what the router needs:
few wires of two tracks, and fewer that one long track alone reaches, for there are not many.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from ._settle import SLOTS
from .refine import POWER, Cells, Schedule, anneal, cost_of, least, wide
from .replicate import split

_LOG = logging.getLogger(__name__)

LIMIT = {"ice40": 1.05}
"""Longest wires, by what one of four columns and four rows takes, for families where that is two tracks and
what is longer three."""

TRIES, FULL = 14, 0.94
"""Rounds of copies at most, and share of the places that they may fill."""

AROUND = 2
"""Wires from a long one within which cells are moved."""

NEAR, ALL = (1000.0, 0.3, 0.03), (2000.0, 1.0, 0.02)
"""Moves and temperatures, then and at the end, see `Schedule`."""

TRACKS, BEND, LONG, LATE = 4.0, 8.0, 12.0, 500.0
"""Costs of a wire that takes the limit, and how they grow towards it; of one that only a long track reaches;
and of one that is beyond the limit."""


def relieve(
    module: dict[str, Any],
    tiles: set[tuple[int, int]],
    delay: npt.NDArray[np.float32],
    short: npt.NDArray[np.float32],
    *,
    family: str,
    seed: int,
) -> int:
    """Copy cells and place them anew, in `module`, until no wire is too long, or nothing helps.

    Args:
        module: nextpnr's netlist of a design that `refine` has placed.
        tiles: column and row of those that hold logic.
        delay: least picoseconds `[numbers, numbers, columns, rows]`, see `settle`.
        short: likewise, without long tracks.
        family: of the device.
        seed: of the moves.

    Returns:
        How many copies were made.
    """
    cells = Cells.of(module)
    if family not in LIMIT or not cells.plain.any():
        return 0
    count, most = len(cells.place), int(FULL * SLOTS * len(tiles))
    half = np.array(delay.shape[2:]) // 2
    limit = LIMIT[family] * float(delay[:, :, half[0] + 4, half[1] + 4].min())
    delay, short = wide(delay, cells, tiles), wide(short, cells, tiles)
    cost = cost_of(delay, POWER[family])
    best: tuple[tuple[int, float], dict[str, Any]] | None = None
    for n in range(TRIES):
        score, long = _long(cells, delay, limit)
        _LOG.debug("%d wires take more than %.0f ps, %d copies.", score[0], limit, len(cells.place) - count)
        if best is None or score <= best[0]:
            best = score, copy.deepcopy(module)
        elif n % 2 == 0:
            module |= copy.deepcopy(best[1])
            cells = Cells.of(module)
            _, long = _long(cells, delay, limit)
        if not len(long):
            break
        if len(cells.place) < most:
            split(module, [(cells.members[a][0], cells.members[b][0]) for a, b in long if cells.plain[a]])
            cells = Cells.of(module)
            _, long = _long(cells, delay, limit)
        if not anneal(module, cells, tiles, cost, Schedule(*NEAR, seed + n), pick=_around(cells, long)):
            break
        cells = Cells.of(module)
    assert best is not None
    module |= best[1]
    cells = Cells.of(module)
    base = float(delay.min())
    cost = TRACKS * ((delay - base) / (limit - base)) ** BEND + LONG * ((short > limit) & (delay <= limit))
    cost = np.where(delay > limit, LATE * delay / limit, cost).astype(np.float32)
    anneal(module, cells, tiles, cost, Schedule(*ALL, seed))
    return len(cells.place) - count


def _long(
    cells: Cells, delay: npt.NDArray[np.float32], limit: float
) -> tuple[tuple[int, float], list[tuple[int, int]]]:
    """How many wires are too long and what they take together; and which, from cell to cell."""
    found = least(cells, delay)
    long = (found > limit) & cells.plain[cells.wires].any(axis=1)
    return (int(long.sum()), float(found[long].sum())), list(map(tuple, cells.wires[long].tolist()))


def _around(cells: Cells, long: list[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """Cells within `AROUND` wires of those at the ends of wires."""
    near = np.zeros(len(cells.place), np.bool_)
    near[np.array(long).ravel()] = True
    for _ in range(AROUND):
        before = near.copy()
        near[cells.wires[before[cells.wires[:, 0]], 1]] = True
        near[cells.wires[before[cells.wires[:, 1]], 0]] = True
    return np.flatnonzero(near)
