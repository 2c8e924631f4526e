"""Block RAMs of ECP5 that are only read, after the text of `ecpunpack`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError, ToolMissingError

from .decode import rom
from .parts import SELECT

if TYPE_CHECKING:
    from .ecp5 import Decoder

_WORDS, _PARITY = 2048, 9


def read(decoder: Decoder, cell: str, x: int, y: int) -> None:
    """Decode the block RAM of a name, EBR2 for instance: each port that reads is a memory of its own.

    Raises:
        LgcError: it has output registers, or modes that its tiles do not agree on.
        ToolMissingError: it is written.
    """
    ram = _Ram(decoder, cell, x, y)
    if ram.setting("MODE") == "PDPW16KD":
        ram.port("B", int(ram.setting("PDPW16KD.DATA_WIDTH_R")), wide=True)
        written = ram.active("A")
    else:
        for side in "AB":
            ram.port(side, int(ram.setting(f"DP16KD.DATA_WIDTH_{side}")), wide=False)
        written = any(ram.active(side) and ram.pin(f"WE{side}") != 0 for side in "AB")
    if written:
        raise ToolMissingError("The bitstream has a block RAM that is written, which is not decoded.")


class _Ram:
    """A block RAM; what it is set to is spread over two or three tiles."""

    def __init__(self, decoder: Decoder, cell: str, x: int, y: int) -> None:
        self.decoder, self.cell, self.x, self.y = decoder, cell, x, y
        self.tiles = [
            (tile, defaults)
            for column in range(x, x + 3)
            for tile, kind in decoder.db.tiles_at.get((column, y), ())
            for defaults in [decoder.db.defaults(kind)]
            if any(name.startswith(f"{cell}.") for name in defaults.enums)
        ]

    def setting(self, name: str) -> str:
        """Value of a setting: the only one that the bits in none of the tiles speak against.

        Raises:
            LgcError: there are several, or none.
        """
        name = f"{self.cell}.{name}"
        values: set[str] | None = None
        for tile, defaults in self.tiles:
            if name in defaults.enums:
                own = self.decoder.config.tiles.get(tile)
                value = defaults.enums[name] if own is None else own.enums.get(name, defaults.enums[name])
                if value == "_NONE_":  # the tile's bits are those of another setting
                    continue
                alike = set(defaults.alike[name].get(value, {value}))
                values = alike if values is None else values & alike
        if values is None or len(values) != 1:
            raise LgcError(f"The bitstream is not clear about {name} at column {self.x} of row {self.y}.")
        return values.pop()

    def word(self, name: str) -> int:
        """Value of a number, of which each tile has some bits; the others are 1 in its text."""
        name, found = f"{self.cell}.{name}", -1
        for tile, defaults in self.tiles:
            if name in defaults.words:
                own = self.decoder.config.tiles.get(tile)
                value = defaults.words[name] if own is None else own.words.get(name, defaults.words[name])
                found &= int(value, 2)
        return found

    def pin(self, name: str) -> int:
        """Net of an input, behind its inverter if it has one.

        Raises:
            LgcError: nothing drives it.
        """
        wire = self.decoder.db.wire(self.x, self.y, f"J{name}_EBR")
        assert wire is not None
        net = self.decoder.net(wire)
        if net is None:
            raise LgcError(f"Nothing drives {name} of {self.cell} at column {self.x} of row {self.y}.")
        has = any(f"{self.cell}.{name}MUX" in defaults.enums for _, defaults in self.tiles)
        inverted = has and self.setting(f"{name}MUX") == "INV"
        return self.decoder.parts.inverse(net) if inverted else net

    def active(self, side: str) -> bool:
        """Whether a port may ever do something: its clock moves, and it is enabled and selected.

        Raises:
            LgcError: it is selected by more than constants.
        """
        chosen = [self.pin(f"CS{side}{bit}") for bit in range(3)]
        if max(chosen) > 1:
            raise LgcError("The bitstream has a block RAM that is selected by signals, which is not decoded.")
        # the text has the highest of the three first
        selected = chosen == [self.word(f"CSDECODE_{side}") >> 2 - bit & 1 for bit in range(3)]
        return selected and self.pin(f"CLK{side}") > 1 and self.pin(f"CE{side}") != 0

    def port(self, side: str, width: int, *, wide: bool) -> None:
        """Decode a port that reads."""
        decoder = self.decoder
        names = [f"JDO{side}{bit}_EBR" for bit in range(18)]
        if wide and width == 36:
            names = [f"JDO{half}{bit}_EBR" for half in "AB" for bit in range(18)]
        wires = [decoder.db.wire(self.x, self.y, name) for name in names[:width]]
        if not self.active(side) or not any(wire in decoder.seen for wire in wires):
            return
        if self.setting(f"REGMODE_{side}") != "NOREG" or self.pin(f"RST{side}") != 0:
            raise LgcError("The bitstream has a block RAM with a register or a reset, which is not decoded.")
        data = [wire + 2 for wire in wires if wire is not None]
        address = [self.pin(f"AD{side}{bit}") for bit in range(14)]
        clock, enable = self.pin(f"CLK{side}"), self.pin(f"CE{side}")
        if self.setting(f"CLK{side}MUX") == "INV":
            raise LgcError("The bitstream has a block RAM with another clock.")
        rows = self.bits().reshape(_WORDS // max(1, width // _PARITY), -1)
        skip = 14 - (len(rows) - 1).bit_length()
        read = data if width >= _PARITY else [decoder.parts.net() for _ in range(8)]
        for first in range(0, len(read), 16):
            part = rows[:, first : min(first + 16, len(read))]
            packed = (part.astype(np.int64) << np.arange(part.shape[1])).sum(axis=1).astype(np.uint16)
            unread = [decoder.parts.net()] * (16 - part.shape[1])
            nets = [*read[first : first + 16], *unread]
            decoder.parts.memories.append(rom(packed, address[skip:], nets, clock=clock, enable=enable))
        if width < _PARITY:
            self.narrow(read, data, address[:3], width, clock, enable)

    def narrow(
        self, read: list[int], data: list[int], low: list[int], width: int, clock: int, enable: int
    ) -> None:
        """Choose some of eight bits by the lowest bits of the address, as they were at the edge."""
        parts = self.decoder.parts
        for bit in range(width.bit_length() - 1, 3):
            held = parts.net()
            parts.register(low[bit], held, clock=clock, enable=enable, always=False)
            low[bit] = held
        for bit in range(2, width.bit_length() - 2, -1):
            half = 1 << bit
            chosen = data if half == width else [parts.net() for _ in range(half)]
            for i, out in enumerate(chosen):
                parts.table(SELECT, [read[i], read[i + half], low[bit]], out)
            read = chosen

    def bits(self) -> npt.NDArray[np.uint8]:
        """Content, uint8 `[2048, 9]`, zeros if the bitstream has none."""
        number = int(f"{self.word('WID') & 0x1FF:09b}"[::-1], 2)
        words = np.zeros(_WORDS, np.int64)
        found = self.decoder.config.content.get(number, [])
        words[: len(found)] = found
        bits: npt.NDArray[np.uint8] = (words[:, None] >> np.arange(_PARITY) & 1).astype(np.uint8)
        return bits
