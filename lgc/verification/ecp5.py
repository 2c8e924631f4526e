"""Bitstreams of ECP5 turned back into logic, after `ecpunpack`: tables, carries, registers, pins.

What lgc's designs do not use (phase-locked loops, DSP, distributed memory, wide multiplexers, pins with
registers) is refused where a pin depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lgc.errors import LgcError

from . import ebr
from .decode import Design
from .parts import COPY, Parts
from .trellis import Trellis

_PLACE = re.compile(r"X(\d+)/Y(\d+)/PIO([A-D])")
_CELL = re.compile(r"([FQ])([0-7])_SLICE")
_LUT = re.compile(r"F([0-7])")
_CARRY = re.compile(r"FCO([ABC]?)_SLICE")
_TIED = re.compile(r"J[A-Z]+\d")
_BUFFER = re.compile(r"G_CLKO_([BLRT])DCC(\d+)")
_PIN = re.compile(r"JPADDI([A-D])_PIO")
_MODE = re.compile(r"PIO[A-D]\.")
_REGISTERED = ("DATAMUX_ODDR", "DATAMUX_OREG", "DATAMUX_MDDR", "TRIMUX_TSREG")
_ALIASES = ((":CIB_DCU", ":VCIB_DCU"), (":BMID_0H", ":BMID_0V"), (":BMID_2", ":BMID_2V"))
"""Names of tiles in databases, which are of devices with transceivers, and in those without."""
_MEMORY = "_EBR"
_MAKERS = (_MEMORY, "_PIO")
_SLICES = "ABCD"


@dataclass
class Tile:
    """What a tile is set to: arcs as source by sink, settings, and numbers as text, highest bit first."""

    arcs: dict[str, str] = field(default_factory=dict)
    enums: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Config:
    """A configuration as text.

    Attributes:
        device: LFE5U-25F for instance.
        tiles: by name.
        groups: settings of what spans several tiles, by their names.
        content: words of block RAMs by number.
    """

    device: str
    tiles: dict[str, Tile]
    groups: dict[tuple[str, ...], Tile]
    content: dict[int, list[int]]


def read_config(path: Path) -> Config:
    """Read a configuration of `ecpunpack` or nextpnr.

    Raises:
        LgcError: it is damaged.
    """
    device = ""
    tiles: dict[str, Tile] = {}
    groups: dict[tuple[str, ...], Tile] = {}
    content: dict[int, list[int]] = {}
    now, words = Tile(), list[int]()
    for number, line in enumerate(path.read_text().split("\n"), 1):
        word, _, rest = line.partition(" ")
        try:
            if word == ".device":
                device = rest
            elif word == ".tile":
                for with_transceivers, without in _ALIASES:
                    rest = rest.replace(without, with_transceivers)
                now = tiles.setdefault(rest, Tile())
            elif word == ".tile_group":
                now = groups.setdefault(tuple(rest.split()), Tile())
            elif word == ".bram_init":
                words = content.setdefault(int(rest), [])
            elif word in {"arc:", "enum:", "word:"}:
                name, value = rest.split(" ")
                kind = {"arc:": now.arcs, "enum:": now.enums, "word:": now.words}[word]
                if kind.setdefault(name, value) != value:
                    raise LgcError(f"{path.name} sets {name} twice in line {number}.")
            elif line and not line.startswith((".", "unknown:")):
                words.extend(int(value, 16) for value in line.split())
        except ValueError:
            raise LgcError(f"{path.name} is damaged in line {number}.") from None
    if not device:
        raise LgcError(f"{path.name} names no device.")
    return Config(device, tiles, groups, content)


def decode(config: Config, db: Trellis, pads: Mapping[str, str]) -> tuple[Design, dict[str, int]]:
    """Turn a configuration into logic.

    Args:
        config: the unpacked bitstream.
        db: its device's database.
        pads: place of each port bit's pad, `X0/Y11/PIOC` for instance.

    Returns:
        The design, and the nets of the port bits that have a pad which is an input or an output.

    Raises:
        LgcError: a feature is used that is not decoded.
    """
    return Decoder(config, db).run(pads)


class Decoder:
    """Walks from the output pins back to what they depend on."""

    def __init__(self, config: Config, db: Trellis) -> None:
        self.config, self.db = config, db
        self.parts = Parts(int(db.first[-1]) + 2)
        self.driver: dict[int, int] = {}
        for name, tile in config.tiles.items():
            if name not in db.tiles:
                raise LgcError(f"The bitstream has a tile {name}, which the device has not.")
            x, y = db.tiles[name][0]
            for sink, source in tile.arcs.items():
                lut = _LUT.fullmatch(sink)
                # the bit of the wider multiplexer is another one in the mode of carries
                other = lut and tile.enums.get(f"SLICE{_SLICES[int(lut[1]) // 2]}.MODE") == "CCU2"
                to, by = db.named(x, y, sink), db.named(x, y, f"{sink}_SLICE" if other else source)
                if to is None or by is None:
                    raise LgcError(
                        f"The bitstream connects {source} to {sink} in {name}, which has not both."
                    )
                if self.driver.setdefault(to, by) != by:
                    raise LgcError(f"The bitstream drives {sink} of {name} from two sides.")
        self.modes = self._pin_modes()
        self.inputs: dict[int, int] = {}
        self.wanted: list[int] = []
        self.seen: set[int] = set()
        self.roots: dict[int, int] = {}
        self.halves: dict[tuple[int, int, int], tuple[int, int]] = {}
        self.carries: dict[tuple[int, int, int], int] = {}
        self.memories: dict[tuple[int, int], set[str]] = {}

    def run(self, pads: Mapping[str, str]) -> tuple[Design, dict[str, int]]:
        """Decode pins, then cells as they are found to be read."""
        outputs = {}
        for (x, y, pio), mode in self.modes.items():
            if mode == "OUTPUT":
                wire = self._at(x, y, f"PADDO{pio}_PIO")
                if (net := self.net(wire)) is None:
                    raise LgcError(f"Nothing drives the output X{x}/Y{y}/PIO{pio}.")
                outputs[wire] = net
                if self.net(self._at(x, y, f"PADDT{pio}_PIO")) != 0:
                    raise LgcError(f"Pin X{x}/Y{y}/PIO{pio} has an output that is not always driven.")
            elif mode != "INPUT":
                raise LgcError(f"Pin X{x}/Y{y}/PIO{pio} has the mode {mode}, which is not decoded.")
        while self.wanted:
            wire = self.wanted.pop()
            (x, y), name = self.db.place(wire), self.db.name(wire)
            if name.endswith(_MEMORY):
                self.memory(wire)
            elif (found := _CELL.fullmatch(name)) is None:
                self.carry(x, y, wire)
            elif found[1] == "F":
                self.table(x, y, int(found[2]), wire)
            else:
                self.register(x, y, int(found[2]), wire)
        design = self.parts.design(self.inputs, outputs)
        known, port = self.inputs | outputs, {}
        for bit, place in pads.items():
            match = _PLACE.fullmatch(place)
            if match is None:
                raise LgcError(f"The pin at {place} is not decoded.")
            x, y = int(match[1]), int(match[2])
            for name in (f"JPADDI{match[3]}_PIO", f"PADDO{match[3]}_PIO"):
                if (net := known.get(self._at(x, y, name))) is not None:
                    port[bit] = net
        return design, port

    def _at(self, x: int, y: int, name: str) -> int:
        wire = self.db.wire(x, y, name)
        if wire is None:
            raise LgcError(f"The device has no {name} at column {x} of row {y}.")
        return wire

    def _pin_modes(self) -> dict[tuple[int, int, str], str]:
        """Modes of pins by x, y and letter, INPUT or OUTPUT.

        The tile that holds a mode is not always the pin's own. `ecpunpack` has no name for the mode of
        an output whose drive is given, or calls it bidirectional; as such a pin is always driven, it is
        no input, see `run`.
        """
        modes: dict[tuple[int, int, str], str] = {}
        for name, tile in self.config.tiles.items():
            (x, y), kind = self.db.tiles[name]
            if any(setting.startswith("IOLOGIC") for setting in tile.enums):
                raise LgcError(f"A pin of {name} has a register, which is not decoded.")
            for pio in sorted({setting[3] for setting in tile.enums if _MODE.match(setting)}):
                if any(tile.enums.get(f"PIO{pio}.{way}", "PADD")[:4] != "PADD" for way in _REGISTERED):
                    raise LgcError(f"Pin PIO{pio} of {name} has a register, which is not decoded.")
                way = tile.enums.get(f"PIO{pio}.BASE_TYPE", "").partition("_")[0]
                if way == "BIDIR" or f"PIO{pio}.DRIVE" in tile.enums:
                    way = "OUTPUT"
                if kind.startswith("PIOT") or "PICB" in kind:
                    modes[x - (pio == "B"), y, pio] = way
                elif kind.startswith(("PICL1", "PICR1")):
                    modes[x, y - 1, pio] = way
        return {place: mode for place, mode in modes.items() if mode}

    def setting(self, x: int, y: int, name: str, kind: str = "PLC2") -> str:
        """Value of a setting of the tile of a kind at a location."""
        for tile, found in self.db.tiles_at[x, y]:
            if found == kind:
                own = self.config.tiles.get(tile, Tile()).enums.get(name)
                value = self.db.defaults(kind).enums.get(name) if own is None else own
                if value is not None:
                    return value
        raise LgcError(f"The device has no {name} at column {x} of row {y}.")

    def before(self, wire: int) -> int | None:
        """Wire that drives a wire, None if nothing does or a cell."""
        if wire in self.driver:
            return self.driver[wire]
        name = self.db.name(wire)
        x, y = self.db.place(wire)
        if (buffer := _BUFFER.fullmatch(name)) is not None:
            if any(f"DCC_{buffer[1]}{buffer[2]}.MODE" in tile.enums for tile in self.config.groups.values()):
                raise LgcError("The bitstream has a clock that is switched, which is not decoded.")
            return self._at(x, y, name.replace("CLKO", "CLKI"))
        fixed = self.db.fixed(wire)
        if len(fixed) > 1:  # beside those of a pin's registers and of the device's own test
            fixed = [source for source in fixed if self.db.name(self.root(source)).endswith(_MAKERS)]
        if len(fixed) > 1:
            raise LgcError(f"The bitstream reads {name} at column {x} of row {y}, which is not decoded.")
        if fixed:
            return fixed[0]
        for _, kind in self.db.tiles_at[x, y]:
            if (source := self.db.defaults(kind).arcs.get(name)) is not None:
                return self.db.named(x, y, source)
        return self.db.clock(wire, name)

    def root(self, wire: int) -> int:
        """Follow switches to the wire that a cell or a pin drives, or that nothing drives."""
        path = []
        while wire not in self.roots:
            path.append(wire)
            before = self.before(wire)
            if before is None:
                self.roots[wire] = wire
            elif len(path) > 10_000:
                raise LgcError(f"The bitstream connects wire {wire} in a circle.")
            else:
                wire = before
        self.roots.update(dict.fromkeys(path, self.roots[wire]))
        return self.roots[wire]

    def net(self, wire: int) -> int | None:
        """Return the net of a wire, and remember to decode what makes it; None if nothing does."""
        root = self.root(wire)
        name = self.db.name(root)
        x, y = self.db.place(root)
        if (last := _CARRY.fullmatch(name)) is not None and self.mode(x, y, _carried(last)) != "CCU2":
            return None
        if last is not None or _CELL.fullmatch(name) or name.endswith(_MEMORY):
            if root not in self.seen:
                self.seen.add(root)
                self.wanted.append(root)
            return root + 2
        if (pin := _PIN.fullmatch(name)) is not None:
            if self.modes.get((x, y, pin[1])) != "INPUT":
                raise LgcError(f"The bitstream reads pin X{x}/Y{y}/PIO{pin[1]}, which is no input.")
            self.inputs[root] = root + 2
            return root + 2
        if _TIED.fullmatch(name):
            for tile, kind in self.db.tiles_at[x, y]:
                if "CIB" in kind and tile in self.config.tiles:
                    tied = self.config.tiles[tile].enums.get(f"CIB.{name}MUX", "")
                    if tied in {"0", "1"}:  # of clocks and resets both stand for 1
                        return int(tied) if name[:4] not in {"JCLK", "JLSR"} else 1
        made = self.db.made_by(root)
        if made:
            raise LgcError(
                f"The bitstream reads {name} of {made} at column {x} of row {y}, which is not decoded."
            )
        return None

    def pin(self, x: int, y: int, name: str, setting: str) -> int:
        """Net of a slice's input that may be tied to 1; -1 if nothing drives it."""
        if self.setting(x, y, setting) == "1":
            return 1
        net = self.net(self._at(x, y, name))
        return -1 if net is None else net

    def lut(self, x: int, y: int, z: int) -> tuple[int, list[int]]:
        """Table and inputs of one of the eight LUTs of a tile; -1 for those that nothing drives."""
        cell = f"SLICE{_SLICES[z // 2]}"
        name = f"{cell}.K{z % 2}.INIT"
        (tile,) = (tile for tile, kind in self.db.tiles_at[x, y] if kind == "PLC2")
        word = self.config.tiles.get(tile, Tile()).words.get(name) or self.db.defaults("PLC2").words[name]
        nets = [self.pin(x, y, f"{i}{z}_SLICE", f"{cell}.{i}{z % 2}MUX") for i in "ABCD"]
        return int(word, 2), nets

    def table(self, x: int, y: int, z: int, wire: int) -> None:
        """Decode a LUT, or the sum of a carry."""
        table, inputs = self.lut(x, y, z)
        if self.mode(x, y, z) == "CCU2":
            self.parts.sum(self.generate(x, y, z)[0], self.carry_in(x, y, z, gated=True), wire + 2)
            return
        self.parts.table(table, inputs, wire + 2)

    def mode(self, x: int, y: int, z: int) -> str:
        """Mode of the slice of a LUT, LOGIC or CCU2.

        Raises:
            LgcError: it is another.
        """
        mode = self.setting(x, y, f"SLICE{_SLICES[z // 2]}.MODE")
        if mode not in {"LOGIC", "CCU2"}:
            raise LgcError(f"The bitstream has a slice of the mode {mode}, which is not decoded.")
        return mode

    def generate(self, x: int, y: int, z: int) -> tuple[int, int]:
        """Nets of the two tables behind a carry: of four inputs, and of the lower two with its first rows."""
        if (x, y, z) not in self.halves:
            self.halves[x, y, z] = self.parts.halves(*self.lut(x, y, z))
        return self.halves[x, y, z]

    def carry_in(self, x: int, y: int, z: int, *, gated: bool) -> int:
        """Net of the carry into a LUT; `gated` for its sum, which may be told to leave it out."""
        slice_ = _SLICES[z // 2]
        if gated and self.setting(x, y, f"SLICE{slice_}.CCU2.INJECT1_{z % 2}") == "YES":
            return 0
        if z % 2:
            return self.carry_out(x, y, z - 1)
        net = self.net(self._at(x, y, "FCI_SLICE" if z == 0 else f"FCI{slice_}_SLICE"))
        return -1 if net is None else net

    def carry_out(self, x: int, y: int, z: int) -> int:
        """Net of the carry out of a LUT, after the model CCU2C of Yosys."""
        if (x, y, z) not in self.carries:
            slice_ = _SLICES[z // 2]
            four, two = self.generate(x, y, z)
            if self.setting(x, y, f"SLICE{slice_}.CCU2.INJECT1_{z % 2}") == "YES":
                two = 0
            self.carries[x, y, z] = self.parts.net()
            into = self.carry_in(x, y, z, gated=False)
            if into < 0:
                if four:
                    raise LgcError(f"A carry at column {x} of row {y} begins with nothing.")
                into = 0
            self.parts.carry(four, two, into, self.carries[x, y, z])
        return self.carries[x, y, z]

    def carry(self, x: int, y: int, wire: int) -> None:
        """Decode the carry out of a slice."""
        match = _CARRY.fullmatch(self.db.name(wire))
        assert match is not None
        z = _carried(match)
        self.parts.table(COPY, [self.carry_out(x, y, z)], wire + 2)

    def register(self, x: int, y: int, z: int, wire: int) -> None:
        """Decode one of the eight registers of a tile."""
        slice_, number = f"SLICE{_SLICES[z // 2]}", z % 2
        if self.setting(x, y, f"{slice_}.REG{number}.LSRMODE") != "LSR":
            raise LgcError("The bitstream has a register that is preloaded, which is not decoded.")
        if self.setting(x, y, f"{slice_}.REG{number}.SD") == "1":
            data = self.net(self._at(x, y, f"DI{z}_SLICE"))
        else:
            data = self.pin(x, y, f"M{z}_SLICE", f"{slice_}.M{number}MUX")
        clock_wire = self._at(x, y, f"CLK{z // 2}_SLICE")
        clock = self.net(clock_wire)
        if data is None or clock is None or data < 0:
            raise LgcError(f"A register at column {x} of row {y} has no input or no clock.")
        enable = self.enable(x, y, z)
        reset, asynchronous = 0, False
        reset_wire = self._at(x, y, f"LSR{z // 2}_SLICE")
        if (way := self.chosen(reset_wire)) is not None:
            found = self.net(reset_wire)
            if found is None:
                raise LgcError(f"A register at column {x} of row {y} has a reset that nothing drives.")
            reset = self.parts.inverse(found) if self.setting(x, y, f"{way}.LSRMUX") == "INV" else found
            asynchronous = self.setting(x, y, f"{way}.SRMODE") == "ASYNC"
        to_one = self.setting(x, y, f"{slice_}.REG{number}.REGSET") == "SET"
        self.parts.register(
            data,
            wire + 2,
            clock=clock,
            enable=enable,
            reset=reset,
            to_one=to_one,
            starts=to_one,
            falling=self.setting(x, y, f"{self.chosen(clock_wire)}.CLKMUX") == "INV",
            asynchronous=asynchronous,
        )

    def memory(self, wire: int) -> None:
        """Decode a block RAM."""
        x, y = self.db.place(wire)
        cell = self.db.made_by(wire)
        if cell not in self.memories.setdefault((x, y), set()):
            self.memories[x, y].add(cell)
            ebr.read(self, cell, x, y)

    def enable(self, x: int, y: int, z: int) -> int:
        """Net of the clock enable of a register."""
        way = self.setting(x, y, f"SLICE{_SLICES[z // 2]}.CEMUX")
        if way in {"0", "1"}:
            return int(way)
        net = self.net(self._at(x, y, f"CE{z // 2}_SLICE"))
        if net is None:
            raise LgcError(f"A register at column {x} of row {y} has an enable that nothing drives.")
        return self.parts.inverse(net) if way == "INV" else net

    def chosen(self, wire: int) -> str | None:
        """Which of a tile's two clocks or resets a slice takes, CLK1 for instance; None if neither."""
        multiplexer = self.before(wire)
        source = None if multiplexer is None else self.driver.get(multiplexer)
        return None if source is None else self.db.name(source)


def _carried(match: re.Match[str]) -> int:
    """Which of the eight LUTs of a tile a slice's carry out belongs to."""
    return 2 * _SLICES.index(match[1] or "D") + 1
