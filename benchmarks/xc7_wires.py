"""Least delays of Artix-7 cells and wires, from a checkout of Project X-Ray's database (CC0).

    git clone https://github.com/f4pga/prjxray-db

What is read, all of it at the slow corner: `artix7/timings/slicel.sdf` (LUTs, registers, carries and the
multiplexers inside of a slice), `artix7/tile_type_*.json` (switches and wires of a tile) and every
`tileconn.json` (which wires of neighbouring tiles are one). A patch of CLB and INT columns is put together of
them, without block RAM, DSP and clock rows, and searched for the fastest way from each output of a slice to
each pin of the slices around.

A way through switches takes their own delays and what charging takes: the resistance of what drives a
wire times its capacitance and the next switch's, half of its own for the wire's resistance. Other branches
of a net are not counted, nor are wires that others need.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

COLUMNS = ("CLBLL_L", "INT_L", "INT_R", "CLBLL_R")
"""Tiles of a group, from left to right: two columns of CLBs."""

KINDS = ("", "Q", "MUX")
"""Ways out of a slice: straight from the LUT, from its register, through the output multiplexer."""

PINS = ("1", "2", "3", "4", "5", "6", "X")
"""Pins of a site: of the LUT, and the bypass."""

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """What is inside of a slice, in picoseconds.

    Attributes:
        clock_to_out: of a register.
        setup: of a register, with the wire from the LUT in the same site.
        lut: a LUT, without its pin.
        carry_in: from S of a carry cell to its last carry, less `carry` for each position on the way.
        carry: along a chain, a position.
        carry_out: from the carry-in of a cell to a sum, less `carry` for each position on the way.
        second: from a LUT's second output to the output multiplexer's.
        sum: from a sum to there.
    """

    clock_to_out: int
    setup: int
    lut: int
    carry_in: int
    carry: int
    carry_out: int
    second: int
    sum: int

    @classmethod
    def of(cls, database: Path) -> Cells:
        """Read `slicel.sdf`."""
        text = (database / "artix7" / "timings" / "slicel.sdf").read_text()
        found: dict[tuple[str, str, str], float] = {}
        for cell in re.split(r"\(CELL\b", text)[1:]:
            kind = re.search(r'CELLTYPE "(\w+)"', cell)
            where = re.search(r"INSTANCE \w+/?(\w*)", cell)
            assert kind
            assert where
            name = where[1] if kind[1] == "ROUTING_BEL" else kind[1]
            for a, b, slow in re.findall(
                r"(?:IOPATH|INTERCONNECT) (\S+) (\S+) \([^)]*\)\([\d.-]*::([\d.-]+)\)", cell
            ):
                found[name, a, b] = 1000 * float(slow)
            for pin, late in re.findall(r"SETUP (\w+) \(posedge CLK\) \([\d.-]*::([\d.-]+)\)", cell):
                found[name, "SETUP", pin] = 1000 * float(late)
        letters = "ABCD"
        step = found["CARRY4", "CIN", "CO3"] / 4
        into = [found["CARRY4", f"S{i}", "CO3"] - step * (3 - i) for i in range(4)]
        out = [found["CARRY4", "CIN", f"O{i}"] - step * i for i in range(4)]
        lower = letters.lower()
        return cls(
            clock_to_out=round(found["REG_INIT_FF", "CLK", "Q"]),
            setup=round(
                found["REG_INIT_FF", "SETUP", "DIN"]
                + np.mean([found[f"{a.upper()}FF", f"{a}6lut", f"{a}ff"] for a in lower])
            ),
            lut=round(found["LUT6", "A1", "O6"]),
            carry_in=round(float(np.mean(into))),
            carry=round(step),
            carry_out=round(float(np.mean(out))),
            second=round(float(np.mean([found[f"{a.upper()}MUX", f"{a}5lut", f"{a}mux"] for a in lower]))),
            sum=round(
                float(
                    np.mean(
                        [found[f"{a.upper()}MUX", f"carry4_o{i}", f"{a}mux"] for i, a in enumerate(lower)]
                    )
                )
            ),
        )


@dataclass(frozen=True)
class _Tile:
    """A type of tile.

    Attributes:
        wires: their names.
        load: capacitance and resistance of each, `[wires, 2]`, in fF and ohms.
        switches: from, to, picoseconds, input capacitance and output resistance, `[switches, 5]`.
        joints: pairs of wires that a switch joins without a buffer, `[joints, 2]`.
        pins: by site pin of the two slices, `L_A6` for instance: wire, picoseconds, resistance.
    """

    wires: dict[str, int]
    load: F64
    switches: F64
    joints: npt.NDArray[np.int64]
    pins: dict[str, tuple[str, float, float]]

    @classmethod
    def of(cls, path: Path) -> _Tile:
        """Read a file of the database."""
        facts = json.loads(path.read_text())
        wires = {name: n for n, name in enumerate(facts["wires"])}
        load = np.array(
            [[float((w or {}).get(key) or 0) for key in ("cap", "res")] for w in facts["wires"].values()]
        )
        switches, joints = [], []
        for pip in facts["pips"].values():
            if pip["is_pseudo"] == "1":  # through a LUT or the like
                continue
            ends = wires[pip["src_wire"]], wires[pip["dst_wire"]]
            if pip["src_to_dst"]["delay"] is None:
                joints.append(ends)
                continue
            switches.append((*ends, *_timing(pip["src_to_dst"])))
            if pip["is_directional"] == "0":
                switches.append((*ends[::-1], *_timing(pip["dst_to_src"])))
        pins = {}
        for site in facts["sites"]:
            for name, pin in site["site_pins"].items():
                slow = 1000 * float((pin.get("delay") or [0] * 4)[3])
                label = re.sub(rf"_{name}$", "", pin["wire"]).rsplit("_", 1)[-1]
                pins[f"{label}_{name}"] = (pin["wire"], slow, float(pin.get("res") or 0))
        return cls(
            wires, load, np.array(switches, np.float64).reshape(-1, 5),
            np.array(joints, np.int64).reshape(-1, 2), pins,
        )  # fmt: skip


def _timing(facts: dict[str, Any]) -> tuple[float, float, float]:
    return 1000 * float(facts["delay"][3]), float(facts["in_cap"] or 0), float(facts["res"] or 0)


class Patch:
    """Groups of tiles around a middle, as a graph.

    Args:
        database: the checkout.
        groups: columns of groups to each side of the middle one.
        rows: of tiles above and below the middle one.
    """

    def __init__(self, database: Path, groups: int, rows: int) -> None:
        folder = database / "artix7"
        self.groups, self.rows = groups, rows
        self.tiles = [_Tile.of(folder / f"tile_type_{kind}.json") for kind in COLUMNS]
        sizes = [len(tile.wires) for tile in self.tiles]
        self.offset, self.group = np.cumsum([0, *sizes[:-1]]), sum(sizes)
        self.wide, self.high = 2 * groups + 1, 2 * rows + 1
        self.at = self.group * np.arange(self.wide * self.high).reshape(self.wide, self.high)
        wires = self.group * self.at.size
        joints = np.concatenate([*self._within(), *self._between(folder)])
        link = coo_matrix((np.ones(len(joints), np.int8), joints.T), (wires, wires))
        self.nodes, self.node = connected_components(link, directed=False)
        self.graph = self._graph()

    def _within(self) -> list[npt.NDArray[np.int64]]:
        """Return joints inside of tiles."""
        return [
            (self.at.ravel()[:, None, None] + off + tile.joints).reshape(-1, 2)
            for off, tile in zip(self.offset, self.tiles, strict=True)
        ]

    def _between(self, folder: Path) -> list[npt.NDArray[np.int64]]:
        """Return joints between tiles."""
        known = {
            (*facts["tile_types"], *facts["grid_deltas"]): facts["wire_pairs"]
            for path in sorted(folder.glob("**/tileconn.json"))
            for facts in json.loads(path.read_text())
        }
        last = len(COLUMNS) - 1
        found = []
        for n, kind in enumerate(COLUMNS):
            below = known.get((kind, kind, 0, 1), [])
            found.append(self._joined(n, n, below, self.at[:, :-1], self.at[:, 1:]))
            right = COLUMNS[(n + 1) % len(COLUMNS)]
            pairs = known.get((kind, right, 1, 0), [])
            if not pairs:
                raise SystemExit(
                    f"No tileconn.json in {folder} joins {kind} to {right}; is the checkout whole?"
                )
            here, there = (self.at, self.at) if n < last else (self.at[:-1], self.at[1:])
            found.append(self._joined(n, (n + 1) % len(COLUMNS), pairs, here, there))
        return found

    def _joined(
        self, a: int, b: int, pairs: list[list[str]], here: npt.NDArray[Any], there: npt.NDArray[Any]
    ) -> npt.NDArray[np.int64]:
        one = np.array([self.offset[a] + self.tiles[a].wires[x] for x, _ in pairs], np.int64)
        two = np.array([self.offset[b] + self.tiles[b].wires[y] for _, y in pairs], np.int64)
        return np.stack([(here.ravel()[:, None] + one).ravel(), (there.ravel()[:, None] + two).ravel()], 1)

    def _graph(self) -> Any:
        """Return picoseconds from node to node."""
        load = np.concatenate([tile.load for tile in self.tiles])
        cap, res = (np.zeros(self.nodes) for _ in range(2))
        for total, column in ((cap, 0), (res, 1)):
            np.add.at(total, self.node, np.tile(load[:, column], self.at.size))
        switches = np.concatenate(
            [
                tile.switches + np.array([off, off, 0, 0, 0])
                for off, tile in zip(self.offset, self.tiles, strict=True)
            ]
        )
        ends = switches[:, :2].astype(np.int64)
        source, sink = (self.node[(self.at.ravel()[:, None] + ends[:, n]).ravel()] for n in (0, 1))
        delay, in_cap, drive = (np.tile(switches[:, n], self.at.size) for n in (2, 3, 4))
        driver = np.zeros(self.nodes)
        driver[sink] = drive
        for tile, off in zip(self.tiles, self.offset, strict=True):
            for name, (wire, _, ohms) in tile.pins.items():
                if ohms and not name.endswith("COUT"):
                    driver[self.node[self.at.ravel() + off + tile.wires[wire]]] = ohms
        self.first = driver * cap / 1000 + res * cap / 2000
        cost = delay + (driver[source] + res[source]) * in_cap / 1000 + self.first[sink]
        return coo_matrix((cost, (source, sink)), (self.nodes, self.nodes)).tocsr()

    def _node(self, side: int, slice_: str, pin: str, group: Any, row: Any) -> Any:
        tile = 0 if side == 0 else len(COLUMNS) - 1
        wire = self.tiles[tile].pins[f"{slice_}_{pin}"][0]
        return self.node[self.at[group, row] + self.offset[tile] + self.tiles[tile].wires[wire]]

    def table(self) -> F64:
        """Return the least picoseconds from slices in the middle to those around, the pin's delay with it.

        Returns:
            `[2, kinds, pins, 2 * columns + 1, 2 * rows + 1]`: whether the source is in a right column, ways
            out of `KINDS`, `PINS`, columns of CLBs and rows from the source. Mean over the four sites of
            both slices at either end.
        """
        slices = ("L", "LL")
        most = 2 * self.groups - 1
        found = np.zeros((2, len(KINDS), len(PINS), 2 * most + 1, 2 * self.rows + 1))
        rows = np.arange(self.high)
        sinks, late = [], []
        for column in range(2 * self.wide):
            for pin in PINS:
                for slice_ in slices:
                    for site in "ABCD":
                        sinks.append(self._node(column % 2, slice_, site + pin, column // 2, rows))
                        tile = self.tiles[0 if column % 2 == 0 else len(COLUMNS) - 1]
                        late.append(tile.pins[f"{slice_}_{site}{pin}"][1])
        shape = (2 * self.wide, len(PINS), 2 * len("ABCD"), self.high)
        sink = np.array(sinks).reshape(shape)
        pin_delay = np.array(late).reshape(*shape[:3], 1)
        for side in (0, 1):
            here = 2 * self.groups + side
            for k, kind in enumerate(KINDS):
                start = [
                    int(self._node(side, slice_, site + kind, self.groups, self.rows))
                    for slice_ in slices
                    for site in "ABCD"
                ]
                times = dijkstra(self.graph, indices=start) + self.first[start][:, None]
                mean = (times[:, sink] + pin_delay).mean(axis=(0, 3))
                found[side, k] = mean[here - most : here + most + 1].transpose(1, 0, 2)
        return found
