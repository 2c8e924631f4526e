"""SPI slave, mode 0, highest bit first; see docs/interfaces.md."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from .flash import connect_flash, flash_ports
from .protocol import SpiCommand
from .settings import Core
from .words import Feeder, Inner


class SpiTop(wiring.Component):  # type: ignore[misc]
    """Classifier behind an SPI slave that samples its pins: SCK at most an eighth of the clock.

    A transaction starts with a command, while the status comes back. A sample is taken when chip
    select rises after exactly its words. A result goes when the last bit of its last byte went.

    Ports:
        sck, mosi, cs_n: from the master.
        miso: to the master; driven always.
        irq: a result waits.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        ports = {"sck": In(1), "mosi": In(1), "cs_n": In(1, init=1), "miso": Out(1), "irq": Out(1)}
        super().__init__(ports | (flash_ports() if core.flash else {}))

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        m.submodules.inner = self.inner = Inner(self.core)
        m.submodules.feeder = self.feeder = Feeder(self.core.packing)
        wiring.connect(m, self.feeder.words, self.inner.words)
        if self.core.flash:
            connect_flash(m, self, self.inner)
        self.strobe, self.opens, self.closes, self.load = Signal(), Signal(), Signal(), Signal()
        self.asked, self.failed, self.offered = Signal(), Signal(), Signal()
        self.reading, self.on_wire, self.count = Signal(), Signal(), Signal(3)
        self._shift(m)
        self._commands(m)
        m.d.comb += self.irq.eq(self.inner.waiting)
        with m.If(self.inner.reply.valid & self.inner.reply.ready & self.inner.reply.p.last):
            m.d.sync += self.asked.eq(0)
        return m

    def _shift(self, m: Module) -> None:
        """Sample the pins; bytes in, bytes out."""
        sck, mosi, cs_n = Signal(), Signal(), Signal(init=1)
        for pin, level, init in ((self.sck, sck, 0), (self.mosi, mosi, 0), (self.cs_n, cs_n, 1)):
            m.submodules += FFSynchronizer(pin, level, init=init)
        sck_before, closed = Signal(), Signal(init=1)
        received, out, count = Signal(7), Signal(8), self.count
        rises, falls = sck & ~sck_before & ~cs_n, ~sck & sck_before & ~cs_n
        m.d.sync += [sck_before.eq(sck), closed.eq(cs_n)]
        m.d.comb += [
            self.opens.eq(closed & ~cs_n),
            self.closes.eq(~closed & cs_n),
            self.feeder.data.eq(Cat(mosi, received)),
            self.strobe.eq(rises & (count == 7)),
            self.load.eq(falls & (count == 0)),
            self.miso.eq(out[7]),
        ]
        with m.If(rises):
            m.d.sync += [received.eq(Cat(mosi, received)), count.eq(count + 1)]
        with m.If(falls):
            m.d.sync += out.eq(out << 1)
        with m.If(self.load):
            m.d.sync += [out.eq(0), self.on_wire.eq(0)]
            with m.If(self.reading & self.offered & self.inner.reply.valid):
                m.d.sync += [out.eq(self.inner.reply.p.data), self.on_wire.eq(1)]
        with m.If(self.opens):
            # The first bit is on the wire before the first edge.
            m.d.sync += [
                count.eq(0),
                self.on_wire.eq(0),
                self.offered.eq(self.inner.waiting),
                out.eq(Cat(self.inner.waiting, self.failed, self.asked & ~self.inner.waiting)),
            ]

    def _commands(self, m: Module) -> None:
        """Take commands; what follows a command that is unknown or out of place is ignored."""
        inner, feeder = self.inner, self.feeder
        byte = feeder.data
        m.d.comb += inner.reply.ready.eq(self.strobe & self.on_wire)
        with m.FSM():
            with m.State("CLOSED"):
                m.d.sync += self.reading.eq(0)
                with m.If(self.opens):
                    m.next = "COMMAND"
            with m.State("COMMAND"):
                with m.If(self.strobe):
                    m.next = "OTHER"
                    with m.If((byte == SpiCommand.LOAD) & ~self.asked):
                        m.next = "LOAD"
                    with m.Elif(byte == SpiCommand.LOAD):
                        m.d.sync += self.failed.eq(1)
                    with m.Elif((byte == SpiCommand.CLASS) | (byte == SpiCommand.SCORES)):
                        m.d.sync += self.reading.eq(1)
                        if self.core.scores:
                            m.d.sync += inner.with_scores.eq(byte == SpiCommand.SCORES)
                with m.If(self.closes):
                    m.next = "CLOSED"
            with m.State("LOAD"):
                m.d.comb += feeder.push.eq(self.strobe)
                with m.If(self.closes):
                    m.next = "FAILED"
                    with m.If(feeder.complete & ~feeder.bad & (self.count == 0)):
                        m.d.comb += feeder.commit.eq(1)
                        m.d.sync += [self.asked.eq(1), self.failed.eq(0)]
                        m.next = "CLOSED"
            with m.State("OTHER"), m.If(self.closes):
                m.d.comb += inner.again.eq(1)
                m.next = "CLOSED"
            with m.State("FAILED"):
                m.d.sync += self.failed.eq(1)
                with m.If(feeder.empty & inner.empty):
                    m.d.comb += [feeder.drop.eq(1), inner.restart.eq(1)]
                    m.next = "CLOSED"
