"""A bitstream turned back into logic: the cells that its bits describe, and how they are connected.

Nothing but the bits decides: routing, tables, registers, memories, pins, phase-locked loops. What lgc's
designs do not use (DSP, pins with registers) is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError, ToolMissingError

from .chipdb import IO, LOGIC, RAM_BOTTOM, RAM_TOP, ChipDb

ROWS, COLUMNS = 16, 54
"""Bits of the largest tile."""
TABLE = (4, 14, 15, 5, 6, 16, 17, 7, 3, 13, 12, 2, 1, 11, 10, 0)
"""Which of a logic cell's 20 bits is which row of its table (IceStorm, `logic_tile`)."""
CARRY, REGISTER, SET, ASYNC = 8, 9, 18, 19
"""The others: carry enabled, output registered, set instead of reset, asynchronous."""
_TILES = {f"{kind}_tile" for kind in ("logic", "io", "ramb", "ramt", "ipcon", "dsp0", "dsp1", "dsp2", "dsp3")}
_OPEN_ONE = frozenset({"CEN", "RCLKE", "WCLKE"})
"""Pins that are 1 where nothing is connected; all others are 0."""
_SIMPLE_INPUT, _SIMPLE_OUTPUT = 0b01, 0b0110
LOOP_OF_PAD, LOOP_OF_NET = 2, 3
"""Types of phase-locked loops: of the pad beside it, and of any signal."""


@dataclass(frozen=True, eq=False)
class Asc:
    """A bitstream as text, see IceStorm's `.asc`.

    Attributes:
        device: "8k" for instance.
        bits: uint8 `[height, width, ROWS, COLUMNS]`.
        ram: content of block RAMs by x and y, 16 words of 256 bits in hexadecimal.
        symbols: net names by wire, in files of nextpnr only.
        extra: bits outside of tiles, by bank, x and y: global networks that are driven from a pad's side.
    """

    device: str
    bits: npt.NDArray[np.uint8]
    ram: dict[tuple[int, int], tuple[str, ...]]
    symbols: dict[int, str]
    extra: frozenset[tuple[str, ...]] = frozenset()

    def same_bits(self, other: Asc) -> bool:
        """Whether two files configure a device alike."""
        # a memory of zeros may be left out
        names = self.ram.keys() | other.ram.keys()
        zeros = ("0" * 64,) * 16
        rams = all(self.ram.get(name, zeros) == other.ram.get(name, zeros) for name in names)
        same = self.device == other.device and self.extra == other.extra
        return same and rams and np.array_equal(self.bits, other.bits)


def read_asc(path: Path, size: int = 34) -> Asc:
    """Read an `.asc` file.

    Args:
        path: the file.
        size: tiles of the largest device along one side.

    Raises:
        LgcError: it is damaged, or has what is not decoded.
        ToolMissingError: a device whose tiles are not known here.
    """
    device, symbols, extra = "", {}, set()
    bits = np.zeros((size, size, ROWS, COLUMNS), np.uint8)
    ram: dict[tuple[int, int], tuple[str, ...]] = {}
    for block in path.read_text().replace("\n\n", "\n").split("\n."):
        head, *rows = block.split("\n")
        word, *rest = head.lstrip(".").split(" ")
        rows = [row for row in rows if row]
        try:
            if word == "device":
                device = rest[0]
            elif word in _TILES:
                x, y = map(int, rest)
                found = np.array([list(row.encode()) for row in rows], np.uint8) - 48
                bits[y, x, : found.shape[0], : found.shape[1]] = found
            elif word == "ram_data":
                ram[int(rest[0]), int(rest[1])] = tuple(rows)
            elif word == "sym":
                symbols[int(rest[0])] = rest[1]
            elif word == "extra_bit":
                extra.add(tuple(rest))
            elif word.endswith("_tile"):
                raise ToolMissingError(f"Tiles of the kind {word} are not decoded.")
            elif word not in {"comment", ""}:
                raise LgcError(f"{path.name} has a {word}, which is not decoded.")
        except (ValueError, IndexError):
            raise LgcError(f"{path.name} is damaged at {head!r}.") from None
    if not device:
        raise LgcError(f"{path.name} names no device.")
    return Asc(device, bits, ram, symbols, frozenset(extra))


@dataclass(frozen=True)
class Cell:
    """A logic cell: a table, perhaps a carry, perhaps a register behind the table.

    Attributes:
        table: of 16 rows.
        pins: nets by pin, `I0` to `I3`, CIN, CEN, CLK, SR.
        out: net of the output; 0 if nothing reads it.
        direct: net of the table's output before the register; 0 if nothing reads it.
        carry: net of the carry; 0 if there is none.
        register: whether the output is registered; `set_` to 1 rather than 0, `asynchronous`,
            at the `falling` edge.
    """

    table: int
    pins: dict[str, int]
    out: int
    direct: int
    carry: int
    register: bool
    set_: bool
    asynchronous: bool
    falling: bool


@dataclass(frozen=True)
class Memory:
    """A block RAM: nets by pin, modes and content."""

    pins: dict[str, int]
    read_mode: int
    write_mode: int
    falling_read: bool
    falling_write: bool
    content: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Block(Memory):
    """A memory with words of the same width, up to 36 bits, at a port that reads and perhaps one that writes.

    The modes are those of `_lane_kernels`: less than 0, the widths.

    Attributes:
        bits: uint8 `[2048, 9]`: bytes with parity, which words of less than 8 bits leave out.
    """

    bits: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Port:
    """A side of a block RAM.

    Attributes:
        address: nets of the words' number, lowest bit first, 14 at most.
        data: nets of the bits of a word.
        clock: net of the clock.
        enable: nets that must be 1, two at most.
        mask: nets that keep a bit from being written where they are 1, as many as bits, or none.
    """

    address: Sequence[int]
    data: Sequence[int]
    clock: int
    enable: Sequence[int] = ()
    mask: Sequence[int] = ()

    def pins(self, side: str) -> dict[str, int]:
        """Nets by pin, named as those of iCE40; `side` is R or W."""
        enable = [*self.enable, 1, 1]
        found = {f"{side}CLK": self.clock, f"{side}CLKE": enable[0], f"{side}E": enable[1]}
        vectors = {"ADDR": (self.address, 14), "DATA": (self.data, 36)}
        found |= {
            f"{side}{name}_{i}": net
            for name, (nets, width) in vectors.items()
            for i, net in enumerate([*nets, *[0] * (width - len(nets))])
        }
        if side == "W":
            found |= {f"MASK_{i}": net for i, net in enumerate([*self.mask, *[0] * (36 - len(self.mask))])}
        return found


def block(bits: npt.NDArray[np.uint8], read: Port, write: Port | None = None) -> Block:
    """Make a memory of a family other than iCE40.

    Args:
        bits: see `Block`.
        read: the side that reads.
        write: the side that writes, if one does.
    """
    writes = write or Port((), (0,), 0, (0,))
    pins = read.pins("R") | writes.pins("W")
    return Block(pins, -len(read.data), -len(writes.data), False, False, (), bits)


@dataclass(frozen=True)
class Design:
    """What a bitstream describes. Net 0 is constant 0, net 1 constant 1.

    Attributes:
        cells: logic cells that something reads.
        memories: block RAMs that something reads.
        inputs: nets that pins drive, by the wire of the pin's input.
        outputs: nets that drive pins, by the wire of the pin's output.
        loop: numbers that a phase-locked loop is set to, by name; it counts as a wire. None without one.
        beside: net of the pad that it takes its clock from by itself, which no switch shows; 0 if none.
    """

    cells: tuple[Cell, ...]
    memories: tuple[Memory, ...]
    inputs: dict[int, int] = field(default_factory=dict)
    outputs: dict[int, int] = field(default_factory=dict)
    loop: dict[str, int] | None = None
    beside: int = 0


def decode(asc: Asc, db: ChipDb) -> Design:
    """Turn configuration bits into logic.

    Raises:
        LgcError: a wire has two drivers, or a feature is used that is not decoded.
        ToolMissingError: SPRAM or DSP is used.
    """
    return _Decoder(asc, db).run()


def drivers(asc: Asc, db: ChipDb) -> npt.NDArray[np.int32]:
    """Wire that drives each wire through a switch, int32 `[wires]`; -1 for none.

    Raises:
        LgcError: two wires drive one.
    """
    switch = db.switches
    x, y = switch["at"].T
    value = np.zeros(len(switch), np.int32)
    for i in range(switch["place"].shape[1]):
        row, column = switch["place"][:, i].T
        used = i < switch["bits"]
        value = np.where(used, 2 * value + asc.bits[y, x, row, column], value)
    pip = db.pips
    on = (pip["mask"] == value[pip["switch"]]) & (switch["bits"][pip["switch"]] > 0)
    source, target = pip["source"][on], pip["target"][on]
    driver = np.full(db.wires, -1, np.int32)
    driver[target] = source
    counts = np.bincount(target, minlength=db.wires)
    if (counts > 1).any():
        wire = int(counts.argmax())
        raise LgcError(f"The bitstream drives wire {wire} ({db.wire_name(wire)}) from {counts.max()} sides.")
    return driver


class _Decoder:
    """Walks from the output pins back to what they depend on."""

    def __init__(self, asc: Asc, db: ChipDb) -> None:
        self.asc, self.db = asc, db
        self.driver = drivers(asc, db)
        self._refuse_hard_blocks()
        self.made_by: dict[int, int] = {}
        self.broken: set[int] = set()
        for bel in np.flatnonzero(db.names("lc")).tolist():
            at = db.bels[bel]["at"]
            if self.asc.bits[at[1], at[0]].any():
                pins = db.pins(bel)
                chain = self.config(LOGIC, int(at[0]), int(at[1]), f"LC_{at[2]}")[CARRY]
                made = ("O", "LO", "COUT") if chain else ("O", "LO")
                self.made_by |= {pins[pin]: bel for pin in made if pin in pins}
                self.broken |= set() if chain else {pins["COUT"]}
        for bel in np.flatnonzero(db.names("ram")).tolist():
            pins = db.pins(bel)
            self.made_by |= {wire: bel for pin, wire in pins.items() if pin.startswith("RDATA")}
        for bel in np.flatnonzero(db.names("gb")).tolist():
            pins = db.pins(bel)
            (glob,) = (wire for pin, wire in pins.items() if pin != "fabout")
            self.driver[glob] = pins["fabout"]
        self.pads: dict[int, int] = {}
        self.inputs: dict[int, int] = {}
        self.outputs: dict[int, int] = {}
        self.wanted: list[int] = []
        self.seen: set[int] = set()
        self.locked: set[int] = set()
        self.beside = 0
        loops = [self._loop(bel) for bel in np.flatnonzero(db.names("pll_")).tolist()]
        self.loop = next((loop for loop in loops if loop), None)

    def _loop(self, bel: int) -> dict[str, int] | None:
        """Connect a phase-locked loop, if it is used, as a wire; return what it is set to.

        Raises:
            LgcError: it makes more than one clock, is bypassed or held in reset.
        """
        found: dict[str, int] = {}
        for name, (x, y, bit) in self.db.cell_config.get(bel, {}).items():
            if (bit := f"PLL.{bit}") in self.db.config[IO]:
                base, _, place = name.rpartition("_") if name[-1].isdigit() else (name, "", "0")
                found[base] = found.get(base, 0) | int(self.config(IO, x, y, bit)[0]) << int(place)
        if not found.get("PLLTYPE"):
            return None
        pins = self.db.loop_pins(bel)
        if found["PLLTYPE"] not in {LOOP_OF_PAD, LOOP_OF_NET} or not self.asc.extra:
            raise LgcError("The phase-locked loop is not used as lgc does: one clock, on a global network.")
        if (self.constant(pins["RESETB"]), self.constant(pins["BYPASS"])) != (1, 0):
            raise LgcError("The phase-locked loop is bypassed or held in reset.")
        of_pad = found["PLLTYPE"] == LOOP_OF_PAD
        self.driver[pins["GLOBAL_A"]] = pins["A" if of_pad else "REFERENCECLK"]
        self.beside = pins["A"] + 2 if of_pad else 0
        self.locked.add(self.root(pins["LOCK"]))
        return found

    def constant(self, wire: int) -> int | None:
        """Value of a wire that nothing drives, or a table without inputs that are driven; else None."""
        root = self.root(wire)
        if root not in self.made_by:
            return 0
        bel = self.made_by[root]
        x, y, z, _ = self.db.bels[bel]["at"].tolist()
        bits = self.config(LOGIC, x, y, f"LC_{z}")
        driven = sum((self.root(pin) in self.made_by) << n for n, pin in enumerate(self.physical[bel]))
        rows = {int(bits[place]) for row, place in enumerate(TABLE) if not row & ~driven}
        return rows.pop() if len(rows) == 1 and not bits[REGISTER] else None

    def _refuse_hard_blocks(self) -> None:
        """Raise if the UP5K's DSP or its large memory is used: then bits of its configuration are set."""
        for kind in np.unique(self.db.tiles).tolist():
            for name, places in self.db.config[kind].items():
                if kind > RAM_TOP and name.startswith("IpConfig.CBIT"):
                    y, x = np.nonzero(self.db.tiles == kind)
                    if self.asc.bits[y, x, places[0, 0], places[0, 1]].any():
                        raise ToolMissingError("The design uses SPRAM or DSP, which is not decoded.")

    def config(self, kind: int, x: int, y: int, name: str) -> npt.NDArray[np.uint8]:
        """Bits of a named entry of a tile."""
        row, column = self.db.config[kind][name].T
        found: npt.NDArray[np.uint8] = self.asc.bits[y, x, row, column]
        return found

    def root(self, wire: int) -> int:
        """Follow switches to the wire that a cell or a pin drives, or that nothing drives."""
        for _ in range(10_000):
            before = int(self.driver[wire])
            if before < 0:
                return wire
            wire = before
        raise LgcError(f"The bitstream connects wire {wire} in a circle.")

    def net(self, wire: int, pin: str = "") -> int:
        """Return the net that a cell's input reads, and remember to decode what makes it."""
        root = self.root(wire)
        if root in self.broken:
            raise LgcError(f"The bitstream reads the carry of a cell that makes none (wire {root}).")
        if root in self.locked:
            return 1
        if root in self.made_by:
            bel = self.made_by[root]
            if bel not in self.seen:
                self.seen.add(bel)
                self.wanted.append(bel)
            return root + 2
        if root in self.pads:
            self.inputs[root] = root + 2
            return root + 2
        return int(pin in _OPEN_ONE)

    def run(self) -> Design:
        """Decode pins, then cells as they are found to be read."""
        driven = self.pins()
        self.outputs |= {wire: self.net(wire) for wire in driven}
        cells, memories = [], []
        while self.wanted:
            bel = self.wanted.pop()
            if str(self.db.bel_names[bel]).startswith("lc"):
                cells.append(self.cell(bel))
            else:
                memories.append(self.memory(bel))
        return Design(tuple(cells), tuple(memories), self.inputs, self.outputs, self.loop, self.beside)

    def pins(self) -> list[int]:
        """Find the pins; return the wires that drive outputs."""
        driven = []
        for bel in np.flatnonzero(self.db.names("io")).tolist():
            x, y, z, _ = self.db.bels[bel]["at"].tolist()
            if (x, y, z) not in self.db.enables:
                continue
            mode = [int(self.config(IO, x, y, f"IOB_{z}.PINTYPE_{i}")[0]) for i in range(6)]
            pins = self.db.pins(bel)
            way = sum(bit << i for i, bit in enumerate(mode[2:]))
            if way == _SIMPLE_OUTPUT:
                driven.append(pins["D_OUT_0"])
            elif way:
                raise LgcError(f"Pin {x} {y} {z} has output mode {way:04b}, which is not decoded.")
            cx, cy, cz = self.db.enables[x, y, z]
            enabled = bool(self.config(IO, cx, cy, f"IoCtrl.IE_{cz}")[0]) ^ (self.asc.device == "1k")
            if mode[0] + 2 * mode[1] == _SIMPLE_INPUT and enabled:
                self.pads[pins["D_IN_0"]] = bel
        return driven

    def cell(self, bel: int) -> Cell:
        """Decode a logic cell; its four inputs are those of the tile, whatever permuted them."""
        x, y, z, _ = self.db.bels[bel]["at"].tolist()
        bits = self.config(LOGIC, x, y, f"LC_{z}")
        wires = self.db.pins(bel)
        pins = {f"I{i}": self.net(wire) for i, wire in enumerate(self.physical[bel])}
        pins |= {pin: self.net(wires[pin], pin) for pin in ("CEN", "CLK", "SR")}
        chain = bool(bits[CARRY])
        if chain:
            root = self.root(wires["CIN"])
            first = z == 0 and root == wires["CIN"]
            pins["CIN"] = int(self.config(LOGIC, x, y, "CarryInSet")[0]) if first else self.net(root)
        return Cell(
            table=sum(int(bits[place]) << row for row, place in enumerate(TABLE)),
            pins=pins,
            out=wires["O"] + 2,
            direct=wires["LO"] + 2 if "LO" in wires else 0,
            carry=wires["COUT"] + 2 if chain else 0,
            register=bool(bits[REGISTER]),
            set_=bool(bits[SET]),
            asynchronous=bool(bits[ASYNC]),
            falling=bool(self.config(LOGIC, x, y, "NegClk")[0]),
        )

    @cached_property
    def physical(self) -> dict[int, list[int]]:
        """Wires of the tile that reach the inputs of each logic cell, by the number in their name."""
        return _physical(self.db)

    def memory(self, bel: int) -> Memory:
        """Decode a block RAM: its bits are in two tiles, one above the other."""
        x, y, _, _ = self.db.bels[bel]["at"].tolist()
        wires = self.db.pins(bel)
        pins = {
            pin: wire + 2 if pin.startswith("RDATA") else self.net(wire, pin) for pin, wire in wires.items()
        }
        mode = [int(self.config(RAM_TOP, x, y + 1, f"RamConfig.CBIT_{i}")[0]) for i in range(4)]
        edges = [
            bool(self.config(kind, x, row, "NegClk")[0]) for kind, row in ((RAM_BOTTOM, y), (RAM_TOP, y + 1))
        ]
        old = self.asc.device == "1k"
        return Memory(
            pins=pins,
            write_mode=mode[0] + 2 * mode[1],
            read_mode=mode[2] + 2 * mode[3],
            falling_read=edges[old],
            falling_write=edges[not old],
            content=self.asc.ram.get((x, y), ("0" * 64,) * 16),
        )


def _physical(db: ChipDb) -> dict[int, list[int]]:
    """For each logic cell the wires `lutff_z/in_0` to `in_3`: the sources of its permutation."""
    pip, switch = db.pips, db.switches
    inside = pip[switch["bel"][pip["switch"]] >= 0]
    bel = switch["bel"][inside["switch"]]
    found: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    for cell, source in zip(bel.tolist(), inside["source"].tolist(), strict=True):
        if source not in names:
            names[source] = db.wire_name(source)
        name = names[source]
        if name[-1] in "0123" and not name.endswith("_lut"):
            found.setdefault(cell, [0] * 4)[int(name[-1])] = source
    return found
