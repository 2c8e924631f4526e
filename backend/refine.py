"""Placing once more where a register stands behind nearly every LUT.

Every path is one wire then, and the slowest wire is the clock. What counts is not how long wires are
together but how slow the slowest is, so cells are annealed for a power of the wires' least delays, from the
placer's own result, and spread: what is too dense is not routed without detours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._settle import SLOTS, settle

POWER = {"ice40": 32.0, "ecp5": 16.0}
"""A wire costs its delay over that of the middle wire to this power: nearly as much as the slowest."""

WIRE = 0.02
"""What a tile of wire costs besides, for the router's sake."""

ROUNDS = {"ice40": 2000.0, "ecp5": 1300.0}
"""Moves per cell, times the cube root of their number, as in Betz and Rose's VPR, 1997."""

HEAT = {"ice40": (10.0, 0.03), "ecp5": (0.5, 0.01)}
"""Temperatures at the beginning and at the end, in units of the cost."""

_MEMORIES = ("ICESTORM_RAM", "ICESTORM_SPRAM", "DP16KD")
"""Cells to and from which wires take time, but whose places are not in the tables."""

LOOSE = {"ice40": 8, "ecp5": 6}
"""Cells of a tile, of eight, where there is room; fewer make wires of iCE40 longer, not easier to route."""

REGISTERED = 0.8
"""Share of wires that must come from registers, or long paths would suffer unseen."""

PLACE = re.compile(r"X(\d+)/Y(\d+)/(?:lc(\d)|SLICE([A-D])\.(K|FF)(\d))")
"""Places of LUTs and flip-flops: column, row, and number, or slice, kind and half."""

I32 = npt.NDArray[np.int32]


def number(place: re.Match[str]) -> int:
    """Return the number of a place in its tile."""
    return int(place[3]) if place[3] else 2 * "ABCD".index(place[4]) + int(place[6])


@dataclass(frozen=True)
class Cells:
    """Logic cells of a placed design, a LUT and its flip-flop in one.

    Attributes:
        members: names of nextpnr's cells in each.
        place: column, row and number in the tile of each, `[cells, 3]`.
        plain: whether each may stand in any tile: all paths to it and from it are single wires.
        wires: pairs of cells, from and to, `[wires, 2]`.
        registered: wires that come from a register.
        slow: whether a path may lead through each, `[cells]`.
        taken: tiles that hold what is not plain.
    """

    members: list[list[str]]
    place: I32
    plain: npt.NDArray[np.bool_]
    wires: I32
    registered: int
    slow: npt.NDArray[np.bool_]
    taken: set[tuple[int, int]]

    @classmethod
    def of(cls, module: dict[str, Any]) -> Cells:
        """Find them in nextpnr's netlist."""
        cells = module["cells"]
        at = {
            name: PLACE.fullmatch(cell["attributes"].get("NEXTPNR_BEL", "")) for name, cell in cells.items()
        }
        driver: dict[int, tuple[str, str]] = {}
        loads: dict[int, list[tuple[str, str]]] = {}
        for name, cell in cells.items():
            for port, bits in cell["connections"].items():
                for bit in bits:
                    if cell["port_directions"][port] == "output":
                        driver[bit] = name, port
                    else:
                        loads.setdefault(bit, []).append((name, port))
        of: dict[str, int] = {}
        members: list[list[str]] = []
        for name, cell in cells.items():
            data = (
                cell["connections"].get("DI") or [-1] if at[name] and cell["type"] == "TRELLIS_FF" else [-1]
            )
            lut, port = driver.get(data[0], ("", ""))
            if port == "F" and lut not in of:  # no other wire leads there
                of[name] = of[lut] = len(members)
                members.append([name, lut])
        for name, spot in at.items():
            if spot and name not in of:
                of[name] = len(members)
                members.append([name])
        plain = np.array([all(_plain(cells[name]) for name in names) for names in members], np.bool_)
        first = [at[names[0]] for names in members]
        place = np.array([(int(p[1]), int(p[2]), number(p)) for p in first if p], np.int32).reshape(-1, 3)
        wires, registered = [], []
        for bit, (name, port) in driver.items():
            for load, _ in loads.get(bit, ()):
                for one, other in ((name, load), (load, name)):
                    if one in of and cells[other]["type"] in _MEMORIES:
                        plain[of[one]] = False  # whose place is none that is moved to
                if name in of and load in of and of[name] != of[load]:
                    wires.append((of[name], of[load]))
                    registered.append(port == "Q" or _flag(cells[name], "DFF_ENABLE"))
        ends = np.array(wires, np.int32).reshape(-1, 2)
        # what is part of longer paths stays where nextpnr's placer wants it, and what is next to it
        slow = np.array([any(chained(cells[name]) for name in names) for names in members], np.bool_)
        slow[ends[~np.array(registered, np.bool_), 0]] = True
        plain &= ~slow
        plain[ends[slow[ends[:, 1]], 0]] = False
        plain[ends[slow[ends[:, 0]], 1]] = False
        taken = {(x, y) for x, y, _ in place[~plain].tolist()}
        return cls(members, place, plain, ends, sum(registered), slow, taken)

    @property
    def pipelined(self) -> bool:
        """Whether paths are single wires."""
        return self.registered >= REGISTERED * max(len(self.wires), 1)


def _flag(cell: dict[str, Any], name: str) -> bool:
    return bool(int(cell["parameters"].get(name, "0"), 2))


def chained(cell: dict[str, Any]) -> bool:
    """Whether a cell is part of a carry chain."""
    return _flag(cell, "CARRY_ENABLE") or cell["parameters"].get("MODE", "LOGIC") != "LOGIC"


def _plain(cell: dict[str, Any]) -> bool:
    """Whether a cell has neither enable nor reset nor carry, nothing but LUT, data and clock."""
    free = {"CLK", "I0", "I1", "I2", "I3", "O", "A", "B", "C", "D", "F", "DI", "M", "Q"}
    if any(bits and port not in free for port, bits in cell["connections"].items()):
        return False
    if cell["type"] == "TRELLIS_FF":
        return bool(cell["parameters"].get("CEMUX", "1").strip() == "1")
    if cell["type"] == "ICESTORM_LC":
        return not chained(cell)
    return bool(cell["type"] == "TRELLIS_COMB" and not chained(cell))


def refine(
    module: dict[str, Any],
    cells: Cells,
    tiles: set[tuple[int, int]],
    delay: npt.NDArray[np.float32],
    *,
    family: str,
    seed: int,
    rounds: float | None = None,
) -> int:
    """Place plain cells anew, in `module`; the others stay.

    Args:
        module: nextpnr's netlist of the placed design.
        cells: what is in it.
        tiles: column and row of those that hold logic.
        delay: picoseconds `[numbers, numbers, columns, rows]`, see `settle`.
        family: of the device.
        seed: of the moves.
        rounds: see `ROUNDS`, which it is if None.

    Returns:
        How many cells were placed.
    """
    cost = cost_of(wide(delay, cells, tiles), POWER[family])
    plan = Schedule(ROUNDS[family] if rounds is None else rounds, *HEAT[family], seed)
    return anneal(module, cells, tiles, cost, plan, loose=LOOSE[family])


@dataclass(frozen=True)
class Schedule:
    """How cells are annealed: moves, see `ROUNDS`, temperatures in units of the cost, seed of the moves."""

    rounds: float
    hot: float
    cold: float
    seed: int


def anneal(
    module: dict[str, Any],
    cells: Cells,
    tiles: set[tuple[int, int]],
    cost: npt.NDArray[np.float32],
    plan: Schedule,
    *,
    loose: int = SLOTS,
    pick: npt.NDArray[np.int64] | None = None,
) -> int:
    """Place plain cells anew, in `module`, for the least sum of the costs of wires.

    Args:
        module: see `refine`.
        cells: likewise.
        tiles: likewise.
        cost: of each wire `[numbers, numbers, columns, rows]`, see `settle`, from end to end of the device.
        plan: rounds, temperatures, seed.
        loose: cells of a tile, where there is room.
        pick: cells that are moved, all that are plain if None; others only make room for them.

    Returns:
        How many cells may have moved.
    """
    moving = np.flatnonzero(cells.plain)
    free = np.array(sorted(tiles - cells.taken), np.int32).reshape(-1, 2)
    if not len(moving) or SLOTS * len(free) < len(moving):
        return 0
    order = np.concatenate([moving, np.flatnonzero(~cells.plain)])
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    picked = np.arange(len(moving)) if pick is None else rank[pick[cells.plain[pick]]]
    result = _annealed(
        cells.place[order], len(moving), rank[cells.wires], free, cost, plan, loose, picked.astype(np.int32)
    )
    put(module, cells, moving, result)
    return len(moving)


def least(cells: Cells, delay: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Least picoseconds of each wire, `[wires]`, by a table that is `wide`."""
    source, sink = (cells.place[cells.wires[:, end]] for end in (0, 1))
    column, row = (source - sink)[:, :2].T
    half_x, half_y = delay.shape[2] // 2, delay.shape[3] // 2
    return np.asarray(delay[source[:, 2], sink[:, 2], column + half_x, row + half_y])


def put(module: dict[str, Any], cells: Cells, moved: npt.NDArray[Any], places: I32) -> None:
    """Write into nextpnr's netlist that cells stand at `places` `[moved, 3]`."""
    for i, (column, row, n) in zip(moved.tolist(), places.tolist(), strict=True):
        for name in cells.members[i]:
            attributes = module["cells"][name]["attributes"]
            place = PLACE.fullmatch(attributes["NEXTPNR_BEL"])
            assert place is not None
            within = f"lc{n}" if place[3] else f"SLICE{'ABCD'[n // 2]}.{place[5]}{n % 2}"
            attributes["NEXTPNR_BEL"] = f"X{column}/Y{row}/{within}"


def _annealed(
    place: I32,
    moving: int,
    wires: I32,
    tiles: I32,
    cost: npt.NDArray[np.float32],
    plan: Schedule,
    loose: int,
    pick: I32,
) -> I32:
    """Anneal the first so many cells, which stand at `place` `[cells, 3]`; return their places."""
    x, y, z = (place[:, axis].copy() for axis in range(3))
    room = max(loose, -(-moving // len(tiles)))
    # the tiles around the middle of what is there
    away = abs(tiles - np.median(place[:moving, :2], axis=0)).max(axis=1)
    tiles = tiles[np.argsort(away, kind="stable")[: -(-moving // room)]] if room < SLOTS else tiles
    room = max(room, -(-moving // len(tiles)))
    numbers = np.argsort([0, 4, 1, 5, 2, 6, 3, 7], kind="stable")[:room]
    slot_x, slot_y = (np.repeat(tiles[:, axis], room).astype(np.int32) for axis in (0, 1))
    slot_z = np.tile(numbers, len(tiles)).astype(np.int32)
    width, height = int(max(x.max(), tiles[:, 0].max())) + 1, int(max(y.max(), tiles[:, 1].max())) + 1
    first, count = np.zeros((width, height), np.int32), np.zeros((width, height), np.int32)
    first[tiles[:, 0], tiles[:, 1]] = room * np.arange(len(tiles))
    count[tiles[:, 0], tiles[:, 1]] = room
    cell, slot = np.full(len(slot_x), -1, np.int32), np.full(moving, -1, np.int32)
    at = {tuple(spot): s for s, spot in enumerate(np.stack([slot_x, slot_y, slot_z], axis=1).tolist())}
    for i, spot in enumerate(map(tuple, place[:moving].tolist())):
        s = at.get(spot, -1)
        if s >= 0 and cell[s] < 0:
            cell[s], slot[i] = i, s
    for i in np.flatnonzero(slot < 0).tolist():  # copies, and what stands where nothing may
        open_ = np.flatnonzero(cell < 0)
        s = int(open_[np.argmin(abs(slot_x[open_] - x[i]) + abs(slot_y[open_] - y[i]))])
        cell[s], slot[i] = i, s
    x[:moving], y[:moving], z[:moving] = slot_x[slot], slot_y[slot], slot_z[slot]
    settle(
        x, y, z, slot, cell, slot_z, first, count, *joined(wires, len(x)), cost, pick,
        int(plan.rounds * moving ** (1 / 3)), plan.hot, plan.cold, np.random.default_rng(plan.seed),
    )  # fmt: skip
    return np.stack([x[:moving], y[:moving], z[:moving]], axis=1)


def joined(wires: I32, cells: int) -> tuple[I32, I32, npt.NDArray[np.bool_]]:
    """Return where the wires of each cell begin, the other cell, and whether the wire leads there."""
    ends = np.concatenate([wires, wires[:, ::-1]])
    leaves = np.arange(len(ends)) < len(wires)
    sort = np.argsort(ends[:, 0], kind="stable")
    start = np.searchsorted(ends[sort, 0], np.arange(cells + 1)).astype(np.int32)
    return start, ends[sort, 1].astype(np.int32), leaves[sort]


def wide(
    delay: npt.NDArray[np.float32], cells: Cells, tiles: set[tuple[int, int]]
) -> npt.NDArray[np.float32]:
    """Let a table of delays reach from end to end of a device, with `_BEYOND` for each tile beyond it."""
    width, height = np.array([*cells.place[:, :2].tolist(), *tiles]).max(axis=0)
    half_x, half_y = delay.shape[2] // 2, delay.shape[3] // 2
    columns, rows = np.arange(-width, width + 1), np.arange(-height, height + 1)
    near_x, near_y = np.clip(columns, -half_x, half_x), np.clip(rows, -half_y, half_y)
    found = delay[:, :, (near_x + half_x)[:, None], (near_y + half_y)[None, :]]
    beyond = abs(columns - near_x)[:, None] + abs(rows - near_y)[None, :]
    return np.asarray(found + _BEYOND * beyond, np.float32)


def cost_of(delay: npt.NDArray[np.float32], power: float) -> npt.NDArray[np.float32]:
    """Return the cost of each wire, of a table of delays that is `wide`."""
    half_x, half_y = delay.shape[2] // 2, delay.shape[3] // 2
    middle = 1.1 * np.median(delay[:, :, half_x - 5 : half_x + 6, half_y - 5 : half_y + 6])
    length = abs(np.arange(-half_x, half_x + 1))[:, None] + abs(np.arange(-half_y, half_y + 1))[None, :]
    return ((delay / middle) ** power + WIRE * length).astype(np.float32)


_BEYOND = 60.0
"""Picoseconds for each tile further than the table knows."""
