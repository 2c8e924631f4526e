"""The fabric in cells of Xilinx: LUT1 to LUT6, LUT6_2 for two LUTs in a site, CARRY4 or CARRY8.

They are instances of the vendor's own primitives, so that the text goes into Yosys, Vivado and a simulator
as it is. Simulators get their models from the library that Yosys ships.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lgc.ir.carry import GONE, PINS
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import FIRST_INPUT, Netlist
from lgc.ir.sites import sites
from lgc.ir.slices import OWN, Position, Slices

if TYPE_CHECKING:
    from .fabric import Wires

LIBRARY = "+/xilinx/cells_sim.v"
"""Yosys' name of the file with the models."""

MODELS = (*(f"LUT{k}" for k in range(1, 7)), "LUT6_2", "CARRY4", "CARRY8")
"""Cells that the fabric may consist of."""

CARRIES = {"CARRY4": 4, "CARRY8": 8}
"""Positions of each kind of carry cell."""

_I64x1 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SliceCells:
    """Writes LUTs and carry chains as cells of a slice.

    Attributes:
        slices: where the LUTs are.
        carry: `CARRY4` or `CARRY8`.
        visible: bool `[luts]`, LUTs whose outputs are wires: not what stays inside of a chain.
    """

    slices: Slices
    carry: str
    visible: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, fabric: Fabric, carry: str) -> SliceCells:
        """Place the LUTs of a fabric."""
        slices = Slices.of(fabric)
        visible = slices.home == OWN
        made = [s for _, chain in slices.chains for p in chain for s in (p.wire, p.sum) if s != GONE]
        visible[np.array(made, np.int64) - fabric.netlist.first_lut] = True
        return cls(slices, carry, visible)

    def count(self, wires: Wires, luts: slice) -> int:
        """LUT sites that `lines` writes."""
        home = self.slices.home[luts]
        rows = np.flatnonzero(home == OWN) + luts.start
        alone = sites(_seen_luts(wires, rows)[0]).count if rows.size else 0
        chains = (self.slices.chains[c][1] for c in np.unique(home[home != OWN]).tolist())
        return alone + sum(bool(p.pins) or p.five is not None for chain in chains for p in chain)

    def lines(self, wires: Wires, luts: slice) -> list[str]:
        """One instance per site, and those of the carries whose chains are among `luts`."""
        home = self.slices.home[luts]
        rows = np.flatnonzero(home == OWN) + luts.start
        lines = _sites(wires, rows)
        for c in np.unique(home[home != OWN]).tolist():
            row = luts.start + int(np.flatnonzero(home == c)[0])
            lines += self._chain(wires, c, int(wires.stage[wires.net.first_lut + row]))
        return lines

    def _chain(self, wires: Wires, c: int, stage: int) -> list[str]:
        """Write a chain, whose signals are seen in `stage`."""
        carry_in, chain = self.slices.chains[c]
        size = CARRIES[self.carry]
        blocks = -(-len(chain) // size)
        spare = ["1'b0"] * (size * blocks - len(chain))
        lines = [f"  wire [{size * blocks - 1}:0] q{c}_o, q{c}_c;"]
        propagate, generate = [], []
        for i, position in enumerate(chain):
            more, s, d = _position(wires, position, stage, f"q{c}_{i}")
            lines += more
            propagate.append(s)
            generate.append(d)
            if position.sum != GONE:
                lines.append(f"  assign {wires.name[position.sum]} = q{c}_o[{i}];")
        propagate += spare
        generate += spare
        first = _seen(wires, [carry_in], stage)[0]
        for block in range(blocks):
            part = slice(size * block, size * block + size)
            bits = f"{part.stop - 1}:{part.start}"
            below = f"q{c}_c[{part.start - 1}]" if block else "1'b0"
            begin = "1'b0" if block else first
            if self.carry == "CARRY4":
                ins = f".CI({below}), .CYINIT({begin})"
            else:
                ins = f".CI({below if block else begin}), .CI_TOP(1'b0)"
            s, d = (f"{{{', '.join(reversed(x[part]))}}}" for x in (propagate, generate))
            lines.append(
                f"  {self.carry} carry_q{c}_{block} (.CO(q{c}_c[{bits}]), .O(q{c}_o[{bits}]), {ins}, "
                f".DI({d}), .S({s}));"
            )
        return lines


def _seen(wires: Wires, signals: list[int], stage: int) -> list[str]:
    """Names of signals in a stage."""
    found = np.array(signals, np.int64)
    return wires.at(found, np.full(found.size, stage))


def _position(wires: Wires, position: Position, stage: int, name: str) -> tuple[list[str], str, str]:
    """Instance of a position's LUT, if it needs one, and what drives S and DI."""
    pins = _seen(wires, list(position.pins), stage)
    beside = "" if position.beside == GONE else _seen(wires, [position.beside], stage)[0]
    if not pins and position.five is None:
        return [], f"1'b{position.six & 1}", beside
    s = f"s{name}" if position.wire == GONE else str(wires.name[position.wire])
    lines = [f"  wire {s};"] if position.wire == GONE else []
    if position.five is None:
        return [*lines, _lut(name, s, position.six, pins)], s, beside
    d = f"d{name}"
    return [*lines, f"  wire {d};", _pair(name, (s, d), (position.six, position.five), pins)], s, d


def _lut(name: str, output: str, table: int, pins: list[str]) -> str:
    """Instance of a LUT with as many pins as there are."""
    ports = ", ".join(f".I{i}({pin})" for i, pin in enumerate(pins))
    digits = max(1, 1 << len(pins) >> 2)
    return (
        f"  LUT{len(pins)} #(.INIT({1 << len(pins)}'h{table:0{digits}x})) lut_{name} (.O({output}), {ports});"
    )


def _pair(name: str, outputs: tuple[str, str], tables: tuple[int, int], pins: list[str]) -> str:
    """Instance of a site with both outputs; of six pins the last is 1 for O6."""
    table = tables[0]
    if len(pins) <= PINS:
        table = tables[0] << 32 | tables[1]
        pins = [*pins, *["1'b0"] * (PINS - len(pins)), "1'b1"]
    ports = ", ".join(f".I{i}({pin})" for i, pin in enumerate(pins))
    six, five = outputs
    return f"  LUT6_2 #(.INIT(64'h{table:016x})) lut_{name} (.O6({six}), .O5({five}), {ports});"


def _seen_luts(wires: Wires, rows: _I64x1) -> tuple[Netlist, _I64x1]:
    """LUTs over the wires they see: the same signal in two stages is two inputs. With a key of each wire."""
    net = wires.net
    fanin = net.fanin[rows].astype(np.int64)
    stage = wires.stage[net.first_lut + rows][:, None]
    keys = np.where(fanin == 0, 0, (fanin << 16) + np.minimum(stage, wires.latest[fanin]) + 1)
    known, wire = np.unique(np.append(0, keys.ravel()), return_inverse=True)
    pins = wire[1:].reshape(fanin.shape)
    pins += (pins > 0) * (FIRST_INPUT - 1)
    table = net.table[rows].astype(np.uint64)
    return Netlist(len(known), pins.astype(np.int32), table, np.empty(0, np.int32)), known


def _sites(wires: Wires, rows: _I64x1) -> list[str]:
    """Write LUTs outside of chains, two to a site where their pins allow it."""
    if not rows.size:
        return []
    seen, known = _seen_luts(wires, rows)
    names = np.array(["", *wires.at(known[1:] >> 16, (known[1:] & 0xFFFF) - 1)], np.object_)
    pins, table = np.maximum(seen.fanin.astype(np.int64) - (FIRST_INPUT - 1), 0), seen.table
    partner = sites(seen).partner
    lines = []
    made = wires.name[wires.net.first_lut + rows]
    alone = np.flatnonzero(partner < 0)
    union, at = _places(pins[alone][:, None])
    tables = _tables(table[alone], at[:, 0], 6)
    for row, name, own in zip(tables.tolist(), made[alone], union.tolist(), strict=True):
        used = [names[w] for w in own if w]
        lines.append(_lut(name, name, row & ((1 << (1 << len(used))) - 1), used))
    first = np.flatnonzero(partner > np.arange(len(rows)))
    second = partner[first]
    union, at = _places(np.stack([pins[first], pins[second]], axis=1))
    both = (_tables(table[first], at[:, 0], PINS).tolist(), _tables(table[second], at[:, 1], PINS).tolist())
    for six, five, a, b, own in zip(*both, made[first], made[second], union.tolist(), strict=True):
        lines.append(_pair(f"{a}_{b}", (a, b), (six, five), [names[w] for w in own if w]))
    return lines


def _places(pins: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Distinct wires of `[n, luts, k]` pins, padded with 0; the place of each pin among them, -1 for 0."""
    n = len(pins)
    flat = np.sort(pins.reshape(n, pins.shape[1] * pins.shape[2]), axis=1)
    fresh = (flat > 0) & (np.diff(flat, axis=1, prepend=0) != 0)
    order = np.argsort(~fresh, axis=1, kind="stable")
    union = np.take_along_axis(np.where(fresh, flat, 0), order, axis=1)[:, :6]
    place = np.argmax(pins[:, :, :, None] == union[:, None, None, :], axis=3)
    return union, np.where(pins > 0, place, -1)


def _tables(
    table: npt.NDArray[np.uint64], place: npt.NDArray[np.int64], width: int
) -> npt.NDArray[np.uint64]:
    """Truth tables over `width` pins of LUTs whose pin j is pin `place[:, j]`, or 0 where that is -1."""
    row = np.arange(1 << width, dtype=np.int64)
    index = np.zeros((len(table), len(row)), np.int64)
    for j in range(place.shape[1]):
        bit = row[None] >> np.maximum(place[:, j, None], 0) & 1
        index |= np.where(place[:, j, None] < 0, 0, bit) << j
    bits = table[:, None] >> index.astype(np.uint64) & np.uint64(1)
    found: npt.NDArray[np.uint64] = np.bitwise_or.reduce(bits << row.astype(np.uint64), axis=1)
    return found
