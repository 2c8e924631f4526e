"""Block RAMs of ECP5, after the text of `ecpunpack`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError

from .decode import Port, block

if TYPE_CHECKING:
    from .ecp5 import Decoder

_WORDS, _PARITY = 2048, 9


def read(decoder: Decoder, cell: str, x: int, y: int) -> None:
    """Decode the block RAM of a name, EBR2 for instance.

    Each port that reads is a memory of its own. If one port writes, only the other may read.

    Raises:
        LgcError: it has output registers, modes that its tiles do not agree on, or ports that read and write.
    """
    ram = _Ram(decoder, cell, x, y)
    if ram.setting("MODE") == "PDPW16KD":
        readers = {"B": ram.port("B", int(ram.setting("PDPW16KD.DATA_WIDTH_R")), wide=True)}
        writers = {"A": ram.writer("A", 36)}
    else:
        widths = {side: int(ram.setting(f"DP16KD.DATA_WIDTH_{side}")) for side in "AB"}
        readers = {side: ram.port(side, width, wide=False) for side, width in widths.items()}
        writers = {side: ram.writer(side, width) for side, width in widths.items()}
    reading = {side: port for side, port in readers.items() if port is not None}
    writing = {side: port for side, port in writers.items() if port is not None}
    if len(writing) > 1 or writing.keys() & reading.keys():
        raise LgcError("The bitstream has a block RAM with two ports that write, or one that reads, too.")
    if len(writing) == 1 and len(reading) > 1:
        raise LgcError("The bitstream has a block RAM with more readers than are decoded.")
    (write,) = writing.values() or (None,)
    bits = ram.bits()
    decoder.parts.memories += [block(bits, port, write) for port in reading.values()]


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
        never: set[str] = set()
        for tile, defaults in self.tiles:
            if name in defaults.enums:
                own = self.decoder.config.tiles.get(tile)
                value = defaults.enums[name] if own is None else own.enums.get(name, defaults.enums[name])
                if value == "_NONE_":  # the tile's bits are those of another setting, too
                    never |= defaults.plain[name]
                    continue
                alike = set(defaults.alike[name].get(value, {value}))
                values = alike if values is None else values & alike
        left = (values or set()) - never
        if len(left) != 1:
            raise LgcError(f"The bitstream is not clear about {name} at column {self.x} of row {self.y}.")
        return left.pop()

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

    def port(self, side: str, width: int, *, wide: bool) -> Port | None:
        """Decode a port that reads; None if nothing reads what it shows."""
        decoder = self.decoder
        names = [f"JDO{side}{bit}_EBR" for bit in range(18)]
        if wide and width == 36:
            names = [f"JDO{half}{bit}_EBR" for half in "AB" for bit in range(18)]
        wires = [decoder.db.wire(self.x, self.y, name) for name in names[:width]]
        if not self.active(side) or not any(wire in decoder.seen for wire in wires):
            return None
        if self.setting(f"REGMODE_{side}") != "NOREG" or self.pin(f"RST{side}") != 0:
            raise LgcError("The bitstream has a block RAM with a register or a reset, which is not decoded.")
        data = [wire + 2 for wire in wires if wire is not None]
        return Port(self.address(side, width), data, self.clock(side), (self.pin(f"CE{side}"),))

    def writer(self, side: str, width: int) -> Port | None:
        """Decode a port that may write; None if it never does."""
        wide = width == 36
        write = 1 if wide else self.pin(f"WE{side}")  # wide ones have no such pin
        if not self.active(side) or write == 0:
            return None
        names = [f"DI{half}{bit}" for half in ("AB" if wide else side) for bit in range(18)]
        bytes_ = [self.pin(f"AD{side}{byte}") for byte in range(width // _PARITY)] if width > _PARITY else []
        return Port(
            self.address(side, width),
            [self.pin(name) for name in names[:width]],
            self.clock(side),
            (self.pin(f"CE{side}"), write),
            [self.decoder.parts.inverse(net) for net in bytes_ for _ in range(_PARITY)],
        )

    def address(self, side: str, width: int) -> list[int]:
        """Nets of the number of a word of so many bits; wider words leave out the lowest."""
        skip = 14 - (_WORDS * 8 // (width - width // _PARITY) - 1).bit_length()
        return [self.pin(f"AD{side}{bit}") for bit in range(skip, 14)]

    def clock(self, side: str) -> int:
        """Net of the clock of a port.

        Raises:
            LgcError: it is the falling edge that counts.
        """
        if self.setting(f"CLK{side}MUX") == "INV":
            raise LgcError("The bitstream has a block RAM with another clock.")
        return self.pin(f"CLK{side}")

    def bits(self) -> npt.NDArray[np.uint8]:
        """Content, uint8 `[2048, 9]`, zeros if the bitstream has none."""
        number = int(f"{self.word('WID') & 0x1FF:09b}"[::-1], 2)
        words = np.zeros(_WORDS, np.int64)
        found = self.decoder.config.content.get(number, [])
        words[: len(found)] = found
        bits: npt.NDArray[np.uint8] = (words[:, None] >> np.arange(_PARITY) & 1).astype(np.uint8)
        return bits
