"""Fill a memory from the SPI flash that the bitstream came from; see docs/hardware.md."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interfaces.flash import flash_ports
from .memory import Store

FLASH_AT = 1 << 17
"""Address of the program in the flash, behind the bitstream."""

WAKE, READ = 0xAB, 0x03
"""Commands of the flash: release from power-down, read from a 24-bit address on."""

PAUSE = 1 << 11
"""Clocks after waking the flash, more than 40 µs at 48 MHz."""

BEFORE = 2 * (8 + 32) + 3 * PAUSE
"""Clocks of commands and pauses, at most."""

POLYNOMIAL, START = 0x04C11DB7, 0xFFFFFFFF
"""CRC-32/MPEG-2: highest bit first, nothing reflected or inverted."""


def crc32(data: bytes) -> int:
    """CRC-32/MPEG-2 of some bytes."""
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (POLYNOMIAL if crc >> 31 else 0)) & 0xFFFFFFFF
        table.append(crc)
    crc = START
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ table[crc >> 24 ^ byte]
    return crc


class Loader(wiring.Component):  # type: ignore[misc]
    """Read a program from flash once, and again until its checksum is right; a reset does not forget it.

    For SPRAM that is all. What stays in flash is read again for each sample, an instruction at a time.

    SPI mode 0, a bit in two clocks: the flash's output is sampled at the end of SCK's high half, when it has
    stood for nearly both.

    Args:
        store: the memory.
        crc: what the checksum of its contents must be.

    Ports:
        flash_*: to the flash.
        write, to, column, data: 16 bits for the memory; or a word, which stands a clock longer than `write`.
        done: all is there, and right.
        go: read all again, if it stays in flash.
    """

    def __init__(self, store: Store, crc: int) -> None:
        self.store, self.crc = store, crc
        self.parts = 1 if store.streamed else store.columns
        super().__init__(
            flash_ports()
            | {
                "write": Out(1),
                "to": Out(max(14, store.address)),
                "column": Out(store.column_width),
                "data": Out(16 * store.columns if store.streamed else 16),
                "done": Out(1),
                "go": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        selected, sck, done = Signal(), Signal(), Signal(reset_less=True)
        out, left, pause = (
            Signal(32),
            Signal(range(max(32, len(self.data)))),
            Signal(range(PAUSE), init=PAUSE - 1),
        )
        awake, shifting, bit_done = Signal(), Signal(), Signal()
        m.d.comb += [
            self.flash_cs_n.eq(~selected),
            self.flash_sck.eq(sck),
            self.flash_mosi.eq(out[-1]),
            self.done.eq(done),
            bit_done.eq(shifting & sck),
        ]
        m.d.sync += self.write.eq(0)
        with m.If(shifting):
            m.d.sync += sck.eq(~sck)
        with m.If(bit_done):
            m.d.sync += [out.eq(out << 1), left.eq(left - 1)]
        wanted = Signal()
        if self.store.streamed:
            with m.If(self.go):
                m.d.sync += wanted.eq(1)
        with m.FSM():
            with m.State("PAUSE"):
                m.d.sync += [selected.eq(0), pause.eq(pause - 1)]
                with m.If(Mux(done, wanted, pause == 0)):
                    m.d.sync += selected.eq(1)
                    with m.If(awake | done):
                        m.d.sync += [out.eq(READ << 24 | FLASH_AT), left.eq(31), wanted.eq(0)]
                        m.next = "READ"
                    with m.Else():
                        m.d.sync += [out.eq(WAKE << 24), left.eq(7), awake.eq(1)]
                        m.next = "WAKE"
            with m.State("WAKE"):
                m.d.comb += shifting.eq(1)
                with m.If(bit_done & (left == 0)):
                    m.d.sync += selected.eq(0)
                    m.next = "PAUSE"
            with m.State("READ"):
                m.d.comb += shifting.eq(1)
                with m.If(bit_done & (left == 0)):
                    m.d.sync += left.eq(len(self.data) - 1)
                    m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += shifting.eq(1)
                with m.If(self._receive(m, bit_done, left)):
                    m.d.sync += selected.eq(0)
                    m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(self.value == self.crc):
                    m.d.sync += done.eq(1)
                m.d.sync += [awake.eq(0), self.value.eq(START)]
                m.next = "PAUSE"
        return m

    def _receive(self, m: Module, bit_done: Signal, left: Signal) -> Signal:
        """Take a bit; return whether it was the last one of the program."""
        store = self.store
        self.value = Signal(32, name="crc", init=START)
        column = Signal(store.column_width, init=self.parts - 1)
        at = Signal(len(self.to))
        last, full = Signal(), Signal()
        bit = self.flash_miso
        feed = Mux(self.value[-1] ^ bit, Const(POLYNOMIAL, 32), 0)
        with m.If(bit_done):
            m.d.sync += [self.data.eq(Cat(bit, self.data)), self.value.eq((self.value << 1)[:32] ^ feed)]
        m.d.comb += [
            full.eq(bit_done & (left == 0)),
            last.eq(full & (column == 0) & (at == store.words - 1)),
        ]
        with m.If(full):
            m.d.sync += [left.eq(len(self.data) - 1), self.write.eq(1), self.to.eq(at)]
            m.d.sync += [self.column.eq(column), column.eq(column - 1)]
            with m.If(column == 0):
                m.d.sync += [column.eq(self.parts - 1), at.eq(Mux(last, 0, at + 1))]
        return last
