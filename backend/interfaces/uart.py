"""UART: requests in, answers out, 8 data bits, no parity, one stop bit; see docs/interfaces.md."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from .flash import connect_flash, flash_ports
from .protocol import POLYNOMIAL, Answer, Command
from .settings import Core, Interface
from .words import Feeder, Inner


class Checksum(wiring.Component):  # type: ignore[misc]
    """CRC-8 of a stream of bits.

    Ports:
        clear: start anew; wins over a bit.
        strobe, bit: one more bit.
        value: the checksum; 0 after data with its own checksum.
    """

    def __init__(self) -> None:
        super().__init__({"clear": In(1), "strobe": In(1), "bit": In(1), "value": Out(8)})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        feed = (self.value[0] ^ self.bit).replicate(8) & Const(POLYNOMIAL, 8)
        with m.If(self.strobe):
            m.d.sync += self.value.eq((self.value >> 1) ^ feed)
        with m.If(self.clear):
            m.d.sync += self.value.eq(0)
        return m


class Receiver(wiring.Component):  # type: ignore[misc]
    """Bytes from a pin, sampled in the middle of each bit.

    Ports:
        pin: idle high.
        bit_strobe, bit: a data bit was sampled.
        strobe, data, error: a byte is complete; with `error` its stop bit was missing.
        quiet: the line is idle.
    """

    def __init__(self, clocks: int) -> None:
        self.clocks = clocks
        outs = {"bit_strobe": 1, "bit": 1, "strobe": 1, "data": 8, "error": 1, "quiet": 1}
        super().__init__({"pin": In(1, init=1)} | {name: Out(width) for name, width in outs.items()})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronise = FFSynchronizer(self.pin, line, init=1)
        timer = Signal(range(self.clocks))
        shift = Signal(9, reset_less=True)  # a one moves down before the bits and tells when all are there
        due = timer == 0
        m.d.sync += timer.eq(Mux(due, self.clocks - 1, timer - 1))
        m.d.comb += [self.bit.eq(line), self.data.eq(shift[1:]), self.error.eq(~line)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.quiet.eq(line)
                m.d.sync += [timer.eq((self.clocks - 1) // 2), shift.eq(1 << 8)]
                with m.If(~line):
                    m.next = "START"
            with m.State("START"), m.If(due):
                m.next = "DATA"
                with m.If(line):  # a glitch
                    m.next = "IDLE"
            with m.State("DATA"), m.If(due):
                m.d.comb += self.bit_strobe.eq(1)
                m.d.sync += shift.eq(Cat(shift[1:], line))
                with m.If(shift[1]):
                    m.next = "STOP"
            with m.State("STOP"), m.If(due):
                m.d.comb += self.strobe.eq(1)
                m.next = "IDLE"
                with m.If(~line):
                    m.next = "BREAK"
            with m.State("BREAK"), m.If(line):
                m.next = "IDLE"
        return m


class Sender(wiring.Component):  # type: ignore[misc]
    """Bytes to a pin.

    Ports:
        bytes: stream of bytes; one is taken after the stop bit of the one before.
        bit_strobe, bit: a data bit starts.
        pin: idle high.
    """

    def __init__(self, clocks: int) -> None:
        self.clocks = clocks
        super().__init__(
            {
                "bytes": In(stream.Signature(8)),
                "bit_strobe": Out(1),
                "bit": Out(1),
                "pin": Out(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        timer = Signal(range(self.clocks))
        shift = Signal(9, reset_less=True)  # eight bits, then the stop bit
        left = Signal(range(11))
        due = timer == 0
        m.d.comb += [
            self.bytes.ready.eq(left == 0),
            self.bit.eq(shift[0]),
            self.bit_strobe.eq(due & (left > 2)),
        ]
        with m.If(left == 0):
            m.d.sync += timer.eq(self.clocks - 1)
            with m.If(self.bytes.valid):
                m.d.sync += [shift.eq(Cat(self.bytes.payload, 1)), left.eq(10), self.pin.eq(0)]
        with m.Else():
            m.d.sync += timer.eq(Mux(due, self.clocks - 1, timer - 1))
            with m.If(due):
                m.d.sync += [left.eq(left - 1), shift.eq(Cat(shift[1:], 1)), self.pin.eq(shift[0])]
        return m


class UartTop(wiring.Component):  # type: ignore[misc]
    """Classifier behind a UART.

    A request is a command, the words of a sample and a checksum. Its last word is held until the
    checksum has proved right. After an error everything is ignored until the line was silent for the
    time-out, so that host and device agree again where a frame starts.

    Ports:
        rx, tx: the line from and to the host.
        led: the lowest bits of the class that was answered last, where the interface has LEDs.
    """

    def __init__(self, core: Core, interface: Interface) -> None:
        self.core = core
        self.interface = interface
        ports = {"rx": In(1, init=1), "tx": Out(1, init=1)}
        ports |= {"led": Out(interface.leds)} if interface.leds else {}
        super().__init__(ports | (flash_ports() if core.flash else {}))

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        m.submodules.inner = self.inner = Inner(self.core)
        m.submodules.feeder = self.feeder = Feeder(self.core.packing)
        m.submodules.receiver = self.receiver = Receiver(self.interface.clocks)
        m.submodules.sender = self.sender = Sender(self.interface.clocks)
        wiring.connect(m, self.feeder.words, self.inner.words)
        if self.core.flash:
            connect_flash(m, self, self.inner)
        m.d.comb += [self.receiver.pin.eq(self.rx), self.tx.eq(self.sender.pin)]
        self.asked = Signal()  # a right request was not answered yet
        self.answer = Signal(8)
        self.failed = Signal()  # `answer` is an error and wants to go out
        self.settled = Signal()  # the answer to all before it is on its way
        self._receive(m, self._silence(m))
        self._send(m)
        if self.interface.leds:
            self._show(m)
        return m

    def _show(self, m: Module) -> None:
        """Light the LEDs; the first word of an answer is the class, or what of it fits a word."""
        shown, first = Signal(self.interface.leds), Signal(init=1)
        reply = self.inner.reply
        with m.If(reply.valid & reply.ready):
            m.d.sync += first.eq(reply.p.last)
            with m.If(first):
                m.d.sync += shown.eq(reply.p.data)
        m.d.comb += self.led.eq(~shown if self.interface.leds_inverted else shown)

    def _silence(self, m: Module) -> Signal:
        """Whether the line has been idle for the time-out."""
        timer, bits = Signal(range(self.interface.clocks)), Signal(range(self.interface.timeout_bits + 1))
        silent = Signal()
        m.d.comb += silent.eq(bits == self.interface.timeout_bits)
        m.d.sync += timer.eq(Mux(timer == 0, self.interface.clocks - 1, timer - 1))
        with m.If(~self.receiver.quiet):
            m.d.sync += bits.eq(0)
        with m.Elif((timer == 0) & ~silent):
            m.d.sync += bits.eq(bits + 1)
        return silent

    def _receive(self, m: Module, silent: Signal) -> None:
        """Take requests."""
        rx, feeder, inner = self.receiver, self.feeder, self.inner
        m.submodules.check = check = Checksum()
        command, failure = Signal(8), Signal(8)
        m.d.comb += [check.strobe.eq(rx.bit_strobe), check.bit.eq(rx.bit), feeder.data.eq(rx.data)]
        known = rx.data == Command.CLASS
        if self.core.scores:
            known |= rx.data == Command.SCORES
        with m.FSM(name="request"):
            with m.State("COMMAND"):
                m.d.comb += check.clear.eq(rx.quiet)
                m.d.sync += command.eq(rx.data)
                with m.If(rx.strobe):
                    m.next = "PAYLOAD"
                    with m.If(rx.error | ~known):
                        m.d.sync += failure.eq(Mux(rx.error, Answer.BAD_BYTE, Answer.BAD_COMMAND))
                        m.next = "FAILED"
            with m.State("PAYLOAD"):
                with m.If(rx.strobe & rx.error):
                    m.d.sync += failure.eq(Answer.BAD_BYTE)
                    m.next = "FAILED"
                with m.Elif(rx.strobe & ~feeder.complete):
                    m.d.comb += feeder.push.eq(1)
                with m.Elif(rx.strobe & (check.value != 0)):
                    m.d.sync += failure.eq(Answer.BAD_CHECKSUM)
                    m.next = "FAILED"
                with m.Elif(rx.strobe):
                    m.d.comb += feeder.commit.eq(~feeder.bad & ~self.asked)
                    m.d.sync += failure.eq(Answer.OVERRUN)
                    m.next = "FAILED"
                    # Were two requests under way, their kinds would mix.
                    with m.If(feeder.commit):
                        m.d.sync += [self.asked.eq(1), self.answer.eq(command)]
                        m.next = "COMMAND"
                with m.Elif(feeder.bad):
                    m.d.sync += failure.eq(Answer.OVERRUN)
                    m.next = "FAILED"
                with m.Elif(silent):
                    m.d.sync += failure.eq(Answer.TRUNCATED)
                    m.next = "FAILED"
            # What the frame has left in the pipe must be in the encoder before that restarts.
            with m.State("FAILED"), m.If(feeder.empty & inner.empty & self.settled):
                m.d.comb += [feeder.drop.eq(1), inner.restart.eq(1)]
                m.d.sync += [self.answer.eq(failure), self.failed.eq(1)]
                m.next = "SILENCE"
            with m.State("SILENCE"), m.If(silent & ~self.failed):
                m.next = "COMMAND"

    def _send(self, m: Module) -> None:
        """Send answers: what is answered, the words of the result, a checksum."""
        out, inner = self.sender.bytes, self.inner
        m.submodules.sum = total = Checksum()
        m.d.comb += [total.strobe.eq(self.sender.bit_strobe), total.bit.eq(self.sender.bit)]
        error = Signal()
        with m.FSM(name="reply") as state:
            with m.State("KIND"):
                m.d.comb += [
                    total.clear.eq(1),
                    out.payload.eq(self.answer),
                    out.valid.eq(self.failed | (self.asked & inner.waiting)),
                ]
                m.d.sync += error.eq(self.failed)
                with m.If(out.valid & out.ready):
                    m.d.sync += [self.failed.eq(0), inner.with_scores.eq(self.answer == Command.SCORES)]
                    m.next = "WORDS"
                    with m.If(self.failed):
                        m.next = "CHECKSUM"
            with m.State("WORDS"):
                m.d.comb += [
                    out.payload.eq(inner.reply.p.data),
                    out.valid.eq(inner.reply.valid),
                    inner.reply.ready.eq(out.ready),
                ]
                with m.If(out.valid & out.ready & inner.reply.p.last):
                    m.d.sync += self.asked.eq(0)
                    m.next = "CHECKSUM"
            with m.State("CHECKSUM"):
                m.d.comb += [out.payload.eq(total.value), out.valid.eq(1)]
                with m.If(out.ready):
                    m.next = "KIND"
        # Outside of the states: Icarus leaves an always block alone until one of its inputs changes, and
        # nothing has before the first request, which may be a wrong one.
        m.d.comb += self.settled.eq(state.ongoing("KIND") & ~self.asked)
