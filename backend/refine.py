"""Placing once more where a register stands behind nearly every LUT.

Every path is one wire then, and the slowest wire is the clock. What counts is not how long wires are
together but how long the longest is, so cells are annealed for a power of the wires' lengths, from the
placer's own result. nextpnr gets the places as attributes, and routes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._anneal import anneal
from .family import Family

POWER, REACH = 4.0, 6.0
"""A wire costs its length over REACH tiles to this POWER: what a router of iCE40 spans in two hops."""

WIRE = 0.02
"""What a tile of wire costs besides, for the router's sake."""

ROUNDS, HOT, COLD = 1500, 0.5, 0.01
"""Moves per cell, and temperatures in units of the cost."""

REGISTERED = 0.8
"""Share of wires that must come from registers, or long paths would suffer unseen."""

_PLACE = re.compile(r"X(\d+)/Y(\d+)/(?:lc\d|SLICE[A-D]\.(?:K|FF)\d)")


@dataclass(frozen=True)
class _Style:
    """How a family's cells are called.

    Attributes:
        ff: flip-flop that may stand in any tile if its other inputs are constants.
        data: its data port.
        packed: what nextpnr adds to the name of a LUT, and of a flip-flop without one.
        lut: place of a LUT in its tile, by slice and half of it, or by number.
        behind: place of a flip-flop.
    """

    ff: str
    data: str
    packed: tuple[str, str]
    lut: str
    behind: str


_STYLES = {
    "ice40": _Style("SB_DFF", "D", ("_LC", "_DFFLC"), "lc{n}", "lc{n}"),
    "ecp5": _Style("TRELLIS_FF", "DI", ("", ""), "SLICE{slice}.K{half}", "SLICE{slice}.FF{half}"),
}
FAMILIES = frozenset(_STYLES)
"""Families whose designs can be placed once more."""


@dataclass(frozen=True)
class Refined:
    """What annealing did.

    Attributes:
        netlist: where each cell that moved has a place.
        cells: how many.
        longest: tiles of the longest wire, before and after.
    """

    netlist: Path
    cells: int
    longest: tuple[int, int]


def refine(netlist: Path, placed: Path, family: Family, out: Path, *, seed: int) -> Refined | None:
    """Place the cells of a registered design anew and write its netlist with their places to `out`.

    Cells of a LUT and a flip-flop without reset and enable move among the tiles that only such cells use; in
    other tiles they stay. All other cells are left to nextpnr.

    Args:
        netlist: Yosys' netlist.
        placed: the netlist that nextpnr wrote after placing it.
        family: whose cells they are, one of `FAMILIES`.
        out: file to be written.
        seed: of the moves.

    Returns:
        None where paths are no single wires.

    Raises:
        OSError, ValueError, KeyError: files that are not what they should be.
    """
    design = json.loads(netlist.read_text())
    (module,) = (m for m in design["modules"].values() if "top" in m["attributes"])
    (after,) = json.loads(placed.read_text())["modules"].values()
    at = {name: cell["attributes"].get("NEXTPNR_BEL", "") for name, cell in after["cells"].items()}
    found = _Cells.of(module, family)
    if found.registered < REGISTERED * max(len(found.wires), 1):
        return None
    # nextpnr drops LUTs that it can do without
    place = {i: _PLACE.fullmatch(at.get(name, "")) for i, name in enumerate(found.packed)}
    where = {i: (int(p[1]), int(p[2])) for i, p in place.items() if p}
    # other cells' tiles are not to be touched: their enables would have to be the same
    mine = {at.get(name) for i in where if found.plain[i] for name in (found.packed[i], *found.members[i])}
    taken = {(int(p[1]), int(p[2])) for b in set(at.values()) - mine if (p := _PLACE.fullmatch(b))}
    moving = [i for i in where if found.plain[i] and where[i] not in taken]
    if not moving:
        return None
    order = [*moving, *sorted(where.keys() - set(moving))]
    rank = {i: n for n, i in enumerate(order)}
    wires = [(rank[a], rank[b]) for a, b in found.wires if a in rank and b in rank]
    result, longest = _annealed(
        np.array([where[i] for i in order], np.int32),
        len(moving),
        np.array(wires, np.int64),
        seed,
    )
    for i in where.keys() - set(moving):
        if found.plain[i]:  # without a place it would be put wherever there is room left
            for name in found.members[i]:
                module["cells"][name]["attributes"]["BEL"] = at.get(name) or at[found.packed[i]]
    style = _STYLES[family.name]
    for i, (column, row, n) in zip(moving, result, strict=True):
        for name in found.members[i]:
            cell = module["cells"][name]
            place_in = style.behind if cell["type"] == style.ff else style.lut
            where_in = place_in.format(n=n, slice="ABCD"[n // 2], half=n % 2)
            cell["attributes"]["BEL"] = f"X{column}/Y{row}/{where_in}"
    out.write_text(json.dumps(design))
    return Refined(out, len(moving), longest)


@dataclass(frozen=True)
class _Cells:
    """Logic cells as nextpnr packs them.

    Attributes:
        packed: their names after packing.
        members: the cells of Yosys' netlist in each.
        plain: whether each may stand in any tile.
        wires: pairs of cells, from and to.
        registered: wires that come from a register.
    """

    packed: list[str]
    members: list[list[str]]
    plain: list[bool]
    wires: list[tuple[int, int]]
    registered: int

    @classmethod
    def of(cls, module: dict[str, Any], family: Family) -> _Cells:
        """Pack a LUT and the flip-flop that alone reads it into one."""
        luts, ffs = {}, {}
        for name, cell in module["cells"].items():
            if cell["type"] in family.luts:
                luts[cell["connections"][family.luts[cell["type"]]][0]] = name
            elif cell["type"].startswith(family.ffs_start):
                ffs[name] = cell
        chained = {
            bit
            for cell in module["cells"].values()
            if cell["type"] in family.chains
            for bits in cell["connections"].values()
            for bit in bits
            if isinstance(bit, int)
        }
        loads: Counter[int | str] = Counter(b for port in module["ports"].values() for b in port["bits"])
        for cell in module["cells"].values():
            for port, bits in cell["connections"].items():
                if cell["port_directions"].get(port) == "input":
                    loads.update(bits)
        style = _STYLES[family.name]
        packed: list[str] = []
        members: list[list[str]] = []
        plain: list[bool] = []
        driver: dict[int | str, tuple[int, bool]] = {}
        behind = set()
        for name, cell in ffs.items():
            data, lut = cell["connections"][style.data][0], None
            if loads[data] == 1:
                lut = luts.get(data)
            driver[cell["connections"]["Q"][0]] = len(packed), True
            packed.append(f"{lut}{style.packed[0]}" if lut else f"{name}{style.packed[1]}")
            members.append([name, lut] if lut else [name])
            plain.append(cell["type"] == style.ff and _free(cell, style.data))
            if lut:
                behind.add(lut)
        for output, name in luts.items():
            if name not in behind:
                driver[output] = len(packed), False
                packed.append(f"{name}{style.packed[0]}")
                members.append([name])
                plain.append(True)
        wires, registered = [], 0
        for i, names in enumerate(members):
            for name in names:
                cell = module["cells"][name]
                for port, bits in cell["connections"].items():
                    if cell["port_directions"].get(port) != "input":
                        continue
                    if not chained.isdisjoint(bits):
                        plain[i] = False
                    for source, from_register in (driver[b] for b in bits if b in driver):
                        if source != i:
                            wires.append((source, i))
                            registered += from_register
        return cls(packed, members, plain, wires, registered)


def _free(cell: dict[str, Any], data: str) -> bool:
    """Whether a flip-flop has neither enable nor reset: nothing but constants besides clock and data."""
    inputs = {port for port, way in cell["port_directions"].items() if way == "input"}
    return all(
        isinstance(bit, str)
        for port in inputs - {data, "C", "CLK"}
        for bit in cell["connections"].get(port, ())
    )


def _annealed(
    where: npt.NDArray[np.int32], moving: int, wires: npt.NDArray[np.int64], seed: int
) -> tuple[list[tuple[int, int, int]], tuple[int, int]]:
    """Anneal the first so many cells, which stand at `where` `[cells, 2]`.

    Returns column, row and number in the tile of each, and the longest wire before and after.
    """
    x, y = where[:, 0].copy(), where[:, 1].copy()
    width, height = int(x.max()) + 1, int(y.max()) + 1
    tiles = np.unique(where[:moving], axis=0)
    slot_x, slot_y = (np.repeat(tiles[:, axis], _SLOTS).astype(np.int32) for axis in (0, 1))
    first, count = np.zeros((width, height), np.int32), np.zeros((width, height), np.int32)
    first[tiles[:, 0], tiles[:, 1]] = _SLOTS * np.arange(len(tiles))
    count[tiles[:, 0], tiles[:, 1]] = _SLOTS
    cell = np.full(len(slot_x), -1, np.int32)
    slot = np.empty(moving, np.int32)
    used: Counter[tuple[int, int]] = Counter()
    for i, (column, row) in enumerate(where[:moving].tolist()):
        slot[i] = first[column, row] + used[column, row]
        used[column, row] += 1
    cell[slot] = np.arange(moving)
    ends = np.concatenate([wires, wires[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    start = np.searchsorted(ends[:, 0], np.arange(len(x) + 1)).astype(np.int32)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height), indexing="ij")
    length = columns + rows
    # the eight tiles around are wired directly
    near = np.where((columns < 2) & (rows < 2), 0.5, length)
    cost = (near / REACH) ** POWER + WIRE * length

    def longest() -> int:
        a, b = wires.T
        return int((abs(x[a] - x[b]) + abs(y[a] - y[b])).max())

    before = longest()
    anneal(
        x, y, slot, cell, first, count, start, ends[:, 1].astype(np.int32), cost,
        ROUNDS, HOT, COLD, np.random.default_rng(seed),
    )  # fmt: skip
    places = [(int(slot_x[s]), int(slot_y[s]), s % _SLOTS) for s in slot.tolist()]
    return places, (before, longest())


_SLOTS = 8
"""Cells of a tile."""
