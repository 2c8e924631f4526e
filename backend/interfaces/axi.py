"""Words over streams: AXI4-Stream with its names and TLAST, and plain valid/ready without."""

from __future__ import annotations

from amaranth import ClockDomain, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .flash import connect_flash, flash_ports
from .settings import Core
from .words import Inner


class AxiTop(wiring.Component):  # type: ignore[misc]
    """Classifier between two AXI4-Streams (ARM IHI 0051).

    A frame has as many beats as a sample has words and TLAST on the last. Of a frame that is shorter
    or longer nothing but `frame_error` is seen: the beat that shows it is not used, and the frame is
    forgotten up to its TLAST.

    Ports:
        aclk, aresetn: clock; reset, low, synchronous.
        s_axis_*: frames of words.
        m_axis_*: class, then the scores if the design has them; TLAST on the last beat.
        frame_error: high for one clock for each frame of a wrong length.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        width = core.packing.word
        ins = {"s_axis_tdata": width, "s_axis_tvalid": 1, "s_axis_tlast": 1, "m_axis_tready": 1}
        outs = {"s_axis_tready": 1, "m_axis_tdata": width, "m_axis_tvalid": 1, "m_axis_tlast": 1}
        super().__init__(
            {"aclk": In(1), "aresetn": In(1), "frame_error": Out(1)}
            | {name: In(bits) for name, bits in ins.items()}
            | {name: Out(bits) for name, bits in outs.items()}
            | (flash_ports() if core.flash else {})
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        m.domains.sync = sync = ClockDomain(local=True)
        m.submodules.inner = inner = Inner(self.core)
        if self.core.flash:
            connect_flash(m, self, inner)
        m.d.comb += [
            sync.clk.eq(self.aclk),
            sync.rst.eq(~self.aresetn),
            inner.with_scores.eq(self.core.scores),
            inner.words.p.data.eq(self.s_axis_tdata),
            inner.words.p.last.eq(self.s_axis_tlast),
            self.m_axis_tdata.eq(inner.reply.p.data),
            self.m_axis_tlast.eq(inner.reply.p.last),
            self.m_axis_tvalid.eq(inner.reply.valid),
            inner.reply.ready.eq(self.m_axis_tready),
        ]
        beats = self.core.packing.words
        count = Signal(range(beats))
        wrong = self.s_axis_tlast ^ (count == beats - 1)
        with m.FSM() as state:
            with m.State("FRAME"), m.If(self.s_axis_tvalid & self.s_axis_tready):
                m.d.sync += count.eq(count + 1)
                with m.If(wrong):
                    m.next = "SKIP"
                with m.If(self.s_axis_tlast):
                    m.d.sync += count.eq(0)
                    with m.If(wrong):
                        m.next = "RESTART"
            with m.State("SKIP"), m.If(self.s_axis_tvalid & self.s_axis_tlast):
                m.next = "RESTART"
            with m.State("RESTART"), m.If(inner.empty):
                m.d.comb += [inner.restart.eq(1), self.frame_error.eq(1)]
                m.d.sync += count.eq(0)
                m.next = "FRAME"
        # Outside of the states: Icarus leaves an always block alone until one of its inputs changes.
        frame = state.ongoing("FRAME")
        m.d.comb += [
            self.s_axis_tready.eq((frame & (wrong | inner.words.ready)) | state.ongoing("SKIP")),
            inner.words.valid.eq(frame & self.s_axis_tvalid & ~wrong),
        ]
        return m


class WordsTop(wiring.Component):  # type: ignore[misc]
    """Classifier between two streams of words; frames are told apart by counting.

    Ports:
        words: stream of words. Reset restarts the frame.
        reply: stream of words: class, then the scores if the design has them.
        reply_last: the word at `reply` is the last one of its answer.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        word = stream.Signature(core.packing.word)
        ports = {"words": In(word), "reply": Out(word), "reply_last": Out(1)}
        super().__init__(ports | (flash_ports() if core.flash else {}))

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        m.submodules.inner = inner = Inner(self.core)
        if self.core.flash:
            connect_flash(m, self, inner)
        beats = self.core.packing.words
        count = Signal(range(beats))
        m.d.comb += [
            inner.with_scores.eq(self.core.scores),
            inner.words.p.data.eq(self.words.payload),
            inner.words.p.last.eq(count == beats - 1),
            inner.words.valid.eq(self.words.valid),
            self.words.ready.eq(inner.words.ready),
            self.reply.payload.eq(inner.reply.p.data),
            self.reply.valid.eq(inner.reply.valid),
            self.reply_last.eq(inner.reply.p.last),
            inner.reply.ready.eq(self.reply.ready),
        ]
        with m.If(self.words.valid & self.words.ready):
            m.d.sync += count.eq(count + 1)
            with m.If(inner.words.p.last):
                m.d.sync += count.eq(0)
        return m
