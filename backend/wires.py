"""The wires of a device and what can connect them, with delays, as nextpnr's chip databases have them.

Layouts after `ice40/arch.h` and `ecp5/arch.h` of nextpnr: records whose pointers are offsets from their own
place. Delays are those that nextpnr reckons with, so what is routed on this graph takes as long as it says.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

I32 = npt.NDArray[np.int32]
F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Wires:
    """Wires as nodes and switches as edges of a graph.

    Attributes:
        start: `[wires + 1]`, where the edges of each wire begin.
        target: wire that each edge leads to.
        origin: wire that it comes from.
        delay: picoseconds of an edge and of the wire that it leads to.
        adder: picoseconds more for each edge in use from the same wire.
        switch: nextpnr's number of each edge.
        x: column of each wire.
        y: row.
        kind: what wires of other tiles are alike; -1 for few of a kind.
        chip: the database, for names.
    """

    start: I32
    target: I32
    origin: I32
    delay: I32
    adder: F32
    switch: I32
    x: I32
    y: I32
    kind: I32
    chip: Ice40Chip | Ecp5Chip

    @classmethod
    def of(
        cls,
        chip: Ice40Chip | Ecp5Chip,
        origin: npt.NDArray[Any],
        target: npt.NDArray[Any],
        values: tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]],
        places: tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]],
    ) -> Wires:
        """Sort edges by where they come from; values are delay, adder and switch, places x, y and kind."""
        order = np.argsort(origin, kind="stable")
        delay, adder, switch = (value[order] for value in values)
        x, y, kind = (place.astype(np.int32) for place in places)
        origin = origin[order].astype(np.int32)
        start = np.searchsorted(origin, np.arange(len(x) + 1)).astype(np.int32)
        return cls(
            start, target[order].astype(np.int32), origin, delay.astype(np.int32), adder.astype(np.float32),
            switch.astype(np.int32), x, y, kind, chip,
        )  # fmt: skip

    def without(self, names: tuple[str, ...]) -> Wires:
        """Return the graph of an iCE40 without edges to wires whose names begin so."""
        assert isinstance(self.chip, Ice40Chip)
        keep = ~np.array([name.startswith(names) for name in self.chip.names])[self.target]
        parts = {name: getattr(self, name)[keep] for name in ("target", "origin", "delay", "adder", "switch")}
        start = np.searchsorted(parts["origin"], np.arange(len(self.x) + 1)).astype(np.int32)
        return replace(self, start=start, **parts)


class Chip:
    """Reading records whose pointers are offsets from their own place."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self.root = int(struct.unpack_from("<i", self.data)[0])
        self.width, self.height = struct.unpack_from("<2i", self.data, self.root)

    def slice(self, at: int) -> tuple[int, int]:
        """Offset and length of the array that the pointer at an offset points to."""
        offset, length = struct.unpack_from("<iI", self.data, at)
        return at + offset, length

    def array(self, at: int, kind: np.dtype[Any]) -> npt.NDArray[Any]:
        """Return that array."""
        start, length = self.slice(at)
        return np.frombuffer(self.data, kind, length, start if length else 0)

    def text(self, at: int) -> str:
        """Text that the pointer at an offset points to."""
        start = at + int(struct.unpack_from("<i", self.data, at)[0])
        return self.data[start : self.data.index(b"\0", start)].decode()


_ICE_WIRE = np.dtype(
    [("name", "<i4"), ("at", "i1", 2), ("pad", "V2"), ("slices", "<i4", 8), ("delay", "<i4", 2),
     ("x", "i1"), ("y", "i1"), ("z", "i1"), ("type", "i1")]
)  # fmt: skip
_ICE_PIP = np.dtype(
    [("origin", "<i4"), ("target", "<i4"), ("delay", "<i4", 2), ("at", "i1", 2), ("segment", "<i2", 2),
     ("mask", "<i2"), ("switch", "<i4"), ("flags", "<u4")]
)  # fmt: skip
BEHIND = (468, 419, 398, 335)
"""Picoseconds from the pins of an HX' LUT into its register."""
_THROUGH = 1
"""Flag of a switch that is an unused LUT."""
_GLOBAL = (1, 2)
"""Types of wires of the clock network."""


class Ice40Chip(Chip):
    """An iCE40."""

    @cached_property
    def wires(self) -> npt.NDArray[Any]:
        """Records of all wires."""
        return self.array(self.root + 20, _ICE_WIRE)

    @cached_property
    def pips(self) -> npt.NDArray[Any]:
        """Records of all switches."""
        return self.array(self.root + 28, _ICE_PIP)

    @cached_property
    def number(self) -> dict[str, int]:
        """Wires by the name that nextpnr gives them."""
        places = self.wires["at"].tolist()
        return {
            f"X{x}/Y{y}/{name}": n for n, ((x, y), name) in enumerate(zip(places, self.names, strict=True))
        }

    @cached_property
    def names(self) -> list[str]:
        """Wire names within their tiles."""
        start, count = self.slice(self.root + 20)
        return [self.text(start + _ICE_WIRE.itemsize * n) for n in range(count)]

    def wire(self, n: int) -> str:
        """Return nextpnr's name of a wire."""
        x, y = self.wires["at"][n].tolist()
        return f"X{x}/Y{y}/{self.names[n]}"

    def pip(self, n: int) -> str:
        """Return nextpnr's name of a switch."""
        pip = self.pips[n]
        x, y = pip["at"].tolist()
        ends = (".".join((*map(str, self.wires["at"][w].tolist()), self.names[w])) for w in pip.item()[:2])
        return f"X{x}/Y{y}/{'.->.'.join(ends)}"

    def tiles(self, name: str) -> set[tuple[int, int]]:
        """Column and row of the tiles that have a wire of a name."""
        named = np.array([each == name for each in self.names])
        return set(map(tuple, self.wires["at"][named].tolist()))

    def graph(self, *, fast: bool) -> Wires:
        """Return the graph; `fast` for the HX parts."""
        wires, pips, slow = self.wires, self.pips, int(not fast)
        clock = np.isin(wires["type"], _GLOBAL)
        keep = (pips["flags"] & _THROUGH == 0) & ~clock[pips["origin"]] & ~clock[pips["target"]]
        (switch,) = np.nonzero(keep)
        pips = pips[switch]
        delay = pips["delay"][:, slow] + wires["delay"][pips["target"], slow]
        # whichever pin a signal takes, it is seen as early as that one allows
        behind = {f"in_{n}": delay for n, delay in enumerate(BEHIND)}
        pin = np.array([behind.get(name.partition(":")[2], 0) for name in self.names])
        lut = np.array([name.endswith("_lut") for name in self.names])
        delay = delay + np.where(lut[pips["target"]], pin[pips["origin"]], 0)
        kinds = {name: n for n, name in enumerate(sorted(set(self.names)))}
        kind = np.array([kinds[name] for name in self.names])
        places = wires["at"][:, 0], wires["at"][:, 1], kind
        return Wires.of(self, pips["origin"], pips["target"], (delay, np.zeros(len(delay)), switch), places)


_ECP_PIP = np.dtype(
    [("from", "<i2", 2), ("to", "<i2", 2), ("origin", "<i2"), ("target", "<i2"), ("class", "<i2"),
     ("tile", "i1"), ("fixed", "i1"), ("flags", "<i2"), ("pad", "<i2")]
)  # fmt: skip
_ECP_TYPE, _ECP_WIRE = 24, 32


class Ecp5Chip(Chip):
    """An ECP5."""

    @cached_property
    def _type(self) -> npt.NDArray[np.int64]:
        """Offset of each location's type, `[locations]`."""
        types = self.array(self.root + 24, np.dtype("<i4"))
        return self.slice(self.root + 16)[0] + _ECP_TYPE * types.astype(np.int64)

    @cached_property
    def first(self) -> npt.NDArray[np.int64]:
        """Number of the first wire of each location, `[locations + 1]`."""
        return self._firsts(8)

    @cached_property
    def first_pip(self) -> npt.NDArray[np.int64]:
        """Number of the first switch of each location, `[locations + 1]`."""
        return self._firsts(16)

    def _firsts(self, field: int) -> npt.NDArray[np.int64]:
        kinds, which = np.unique(self._type, return_inverse=True)
        counts = np.array([self.slice(at + field)[1] for at in kinds.tolist()])
        return np.append(0, np.cumsum(counts[which]))

    @cached_property
    def names(self) -> dict[int, list[str]]:
        """Wire names of each type of location."""
        found = {}
        for at in np.unique(self._type).tolist():
            start, count = self.slice(at + 8)
            found[at] = [self.text(start + _ECP_WIRE * n) for n in range(count)]
        return found

    @cached_property
    def number(self) -> _Numbers:
        """Wires by the name that nextpnr gives them."""
        return _Numbers(self)

    def _location(self, first: npt.NDArray[np.int64], n: int) -> tuple[int, int]:
        """Return location and index of what has a number."""
        location = int(np.searchsorted(first, n, "right")) - 1
        return location, n - int(first[location])

    def name(self, n: int) -> str:
        """Return the name of a wire within its location."""
        location, index = self._location(self.first, n)
        return self.names[int(self._type[location])][index]

    def wire(self, n: int) -> str:
        """Return nextpnr's name of a wire."""
        location, _ = self._location(self.first, n)
        return f"X{location % self.width}/Y{location // self.width}/{self.name(n)}"

    def pip(self, n: int) -> str:
        """Return nextpnr's name of a switch."""
        location, index = self._location(self.first_pip, n)
        pip = self.array(int(self._type[location]) + 16, _ECP_PIP)[index]
        ends = []
        for way, end in (("from", "origin"), ("to", "target")):
            dx, dy = pip[way].tolist()
            there = location + dy * self.width + dx
            ends.append(f"{dx}_{dy}_{self.names[int(self._type[there])][int(pip[end])]}")
        return f"X{location % self.width}/Y{location // self.width}/{'->'.join(ends)}"

    def tiles(self, name: str) -> set[tuple[int, int]]:
        """Column and row of the tiles that have a wire of a name."""
        having = [at for at, names in self.names.items() if name in names]
        (found,) = np.nonzero(np.isin(self._type, having))
        return {(n % self.width, n // self.width) for n in found.tolist()}

    def graph(self, *, grade: int) -> Wires:
        """Return the graph; `grade` is 0 for speed grade 6."""
        start, _ = self.slice(self.root + 72)
        classes = self.array(start + 16 * grade + 8, np.dtype("<4i4"))
        first, parts = self.first, []
        for at in np.unique(self._type).tolist():
            pips = self.array(at + 16, _ECP_PIP)
            (here,) = np.nonzero(self._type == at)
            if not len(pips):
                continue
            ends = []
            for way, end in (("from", "origin"), ("to", "target")):
                step = pips[way][:, 1].astype(np.int64) * self.width + pips[way][:, 0]
                ends.append((first[here[:, None] + step] + pips[end]).ravel())
            switch = self.first_pip[here][:, None] + np.arange(len(pips))
            timing = np.tile(pips["class"], len(here))
            parts.append((*ends, classes[timing, 1], classes[timing, 3], switch.ravel()))
        origin, target, delay, adder, switch = (np.concatenate(part) for part in zip(*parts, strict=True))
        x, y, kind = self._places()
        keep = (kind[origin] > -2) & (kind[target] > -2)
        return Wires.of(
            self, origin[keep], target[keep], (delay[keep], adder[keep], switch[keep]), (x, y, kind)
        )

    def _places(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Column, row and kind of each wire; kinds of the clock network are below -1."""
        types, which, many = np.unique(self._type, return_inverse=True, return_counts=True)
        common = self.names[int(types[many.argmax()])]
        kinds = {name: n for n, name in enumerate(common) if not name.startswith("G_")}
        of_type = [
            np.array(
                [
                    -2 if name.startswith(("G_", "L_HPBX", "R_HPBX")) else kinds.get(name, -1)
                    for name in names
                ],
                np.int32,
            )
            for names in (self.names[at] for at in types.tolist())
        ]
        kind = np.concatenate([of_type[t] for t in which.tolist()])
        location = np.repeat(np.arange(len(which)), np.diff(self.first))
        return location % self.width, location // self.width, kind


class _Numbers:
    """Wires of an ECP5 by name, looked up."""

    def __init__(self, chip: Ecp5Chip) -> None:
        self.chip = chip
        self.index = {at: {name: n for n, name in enumerate(names)} for at, names in chip.names.items()}

    def __getitem__(self, name: str) -> int:
        x, y, wire = name.split("/")
        location = int(y[1:]) * self.chip.width + int(x[1:])
        return int(self.chip.first[location]) + self.index[int(self.chip._type[location])][wire]
