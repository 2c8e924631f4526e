"""From words to features and from results to words: what all interfaces but the plain stream share."""

from __future__ import annotations

from amaranth import Array, Cat, ClockSignal, Instance, Module, ResetSignal, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .flash import flash_ports
from .packing import Packing
from .protocol import DRIVEN, SAMPLED
from .settings import Core

CORE = "lgc_core"
"""Module that the interfaces wrap: `StreamTop` with `core`."""


def word_layout(width: int) -> data.StructLayout:
    """Payload of a word and whether it is the last one of its frame."""
    return data.StructLayout({"data": width, "last": 1})


class Unpacker(wiring.Component):  # type: ignore[misc]
    """Features out of the words of `Packing`, one per clock.

    Ports:
        words: stream of `word_layout`.
        features: stream of raw features.
        restart: forget a feature that is not complete. Only while `empty`.
        empty: no feature waits.
    """

    def __init__(self, packing: Packing) -> None:
        self.packing = packing
        super().__init__(
            {
                "words": In(stream.Signature(word_layout(packing.word))),
                "features": Out(stream.Signature(packing.width)),
                "restart": In(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        if self.packing.parts > 1:
            self._collect(m)
        else:
            self._spread(m)
        return m

    def _spread(self, m: Module) -> None:
        """Shift one or several features out of a word."""
        p, words, features = self.packing, self.words, self.features
        rest, left = Signal(p.word, reset_less=True), Signal(range(p.slots + 1))
        m.d.comb += [
            features.valid.eq(left != 0),
            features.payload.eq(rest),
            words.ready.eq((left == 0) | ((left == 1) & features.ready)),
            self.empty.eq(left == 0),
        ]
        with m.If(features.valid & features.ready):
            m.d.sync += [rest.eq(rest >> p.slot), left.eq(left - 1)]
        with m.If(words.valid & words.ready):
            m.d.sync += [rest.eq(words.p.data), left.eq(p.slots)]
            if p.last != p.slots:
                with m.If(words.p.last):
                    m.d.sync += left.eq(p.last)

    def _collect(self, m: Module) -> None:
        """Collect a feature from several words."""
        p, words, features = self.packing, self.words, self.features
        parts = Signal(p.word * p.parts, reset_less=True)
        count = Signal(range(p.parts + 1))
        full = Signal()
        m.d.comb += [
            full.eq(count == p.parts),
            features.valid.eq(full),
            features.payload.eq(parts),
            words.ready.eq(~full | features.ready),
            self.empty.eq(~full),
        ]
        with m.If(features.valid & features.ready):
            m.d.sync += count.eq(0)
        with m.If(words.valid & words.ready):
            m.d.sync += [parts.eq(Cat(parts, words.p.data) >> p.word), count.eq(count + 1)]
            with m.If(full):
                m.d.sync += count.eq(1)
        with m.If(self.restart):
            m.d.sync += count.eq(0)


class Replier(wiring.Component):  # type: ignore[misc]
    """Words out of a result: the class and, if asked for, all scores; the lowest word first.

    The scores stand while the result waits, so they need no registers here: the result is taken
    with the last word.

    Ports:
        result, scores: from the core.
        with_scores: how to answer; must stand while a result is answered.
        again: start the answer anew.
        words: stream of `word_layout`.
    """

    def __init__(self, core: Core) -> None:
        self.facts = core
        super().__init__(
            {
                "result": In(stream.Signature(core.class_width)),
                "scores": In(core.classes * core.score_width),
                "with_scores": In(1),
                "again": In(1),
                "words": Out(stream.Signature(word_layout(core.packing.word))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        core, words, result = self.facts, self.words, self.result
        values = self._values()
        index = Signal(range(len(values)))
        m.d.comb += words.p.data.eq(Array(values)[index])
        class_done = (index == core.class_words - 1) & ~self.with_scores
        m.d.comb += [
            words.valid.eq(result.valid),
            words.p.last.eq((index == len(values) - 1) | class_done),
            result.ready.eq(words.ready & words.p.last),
        ]
        with m.If(words.valid & words.ready):
            m.d.sync += index.eq(index + 1)
            with m.If(words.p.last):
                m.d.sync += index.eq(0)
        with m.If(self.again):
            m.d.sync += index.eq(0)
        return m

    def _values(self) -> list[Value]:
        """All words of the longest answer."""
        core, width = self.facts, self.facts.packing.word
        found = [self.result.payload[n * width : (n + 1) * width] for n in range(core.class_words)]
        for c in range(core.classes if core.scores else 0):
            score = self.scores.word_select(c, core.score_width)
            found += [score[n * width : (n + 1) * width] for n in range(core.score_words)]
        return found


class Feeder(wiring.Component):  # type: ignore[misc]
    """Bytes that cannot wait, handed on; the last of a frame stays until the frame proved right.

    Ports:
        push, data: a byte.
        commit: the frame is right; lets its last byte go.
        drop: the frame is wrong; forgets what has not been handed on.
        words: stream of `word_layout`.
        complete: all bytes of the frame are here.
        bad: a byte was lost or was one too many; until `drop`.
        empty: nothing of a right frame waits.
    """

    def __init__(self, packing: Packing) -> None:
        self.packing = packing
        flags = ("push", "commit", "drop")
        super().__init__(
            dict.fromkeys(flags, In(1))
            | {"data": In(packing.word), "words": Out(stream.Signature(word_layout(packing.word)))}
            | dict.fromkeys(("complete", "bad", "empty"), Out(1))
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        words = self.words
        have, flush = Signal(), Signal()
        count = Signal(range(self.packing.words + 1))
        fits = ~self.complete & ~flush
        m.d.comb += [
            self.complete.eq(count == self.packing.words),
            self.empty.eq(~flush),
            words.p.last.eq(flush),
            words.valid.eq(flush | (self.push & have & fits)),
        ]
        held = Signal(self.packing.word, reset_less=True)
        m.d.comb += words.p.data.eq(held)
        with m.If(self.push):
            with m.If(fits & (~have | words.ready)):
                m.d.sync += [held.eq(self.data), have.eq(1), count.eq(count + 1)]
            with m.Else():
                m.d.sync += self.bad.eq(1)
        with m.If(self.commit):
            m.d.sync += flush.eq(1)
        with m.If(self.drop):
            m.d.sync += self.bad.eq(0)
        with m.If((flush & words.ready) | (self.drop & ~flush)):
            m.d.sync += [flush.eq(0), have.eq(0), count.eq(0)]
        return m


class Inner(wiring.Component):  # type: ignore[misc]
    """The design behind an interface, with words on both sides.

    Ports:
        words: frames, as `Unpacker` takes them.
        reply, with_scores, again: as `Replier` has them.
        restart: the next word is the first of a frame. Only while `empty`.
        empty: all words that were taken have gone into the encoder.
        waiting: a result stands at the output.
        flash_*: of a design that reads a flash.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        layout = word_layout(core.packing.word)
        super().__init__(
            {
                "words": In(stream.Signature(layout)),
                "reply": Out(stream.Signature(layout)),
                "with_scores": In(1),
                "again": In(1),
                "restart": In(1),
                "empty": Out(1),
                "waiting": Out(1),
            }
            | (flash_ports() if core.flash else {})
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        m.submodules.unpacker = unpacker = Unpacker(self.core.packing)
        m.submodules.replier = replier = Replier(self.core)
        core_empty = Signal()
        m.submodules.core = Instance(
            CORE,
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_features__payload=unpacker.features.payload,
            i_features__valid=unpacker.features.valid,
            o_features__ready=unpacker.features.ready,
            o_result__payload=replier.result.payload,
            o_result__valid=replier.result.valid,
            i_result__ready=replier.result.ready,
            o_result_scores=replier.scores,
            i_restart=self.restart,
            o_empty=core_empty,
            **self._flash(),
        )
        wiring.connect(m, wiring.flipped(self.words), unpacker.words)
        wiring.connect(m, wiring.flipped(self.reply), replier.words)
        m.d.comb += [
            replier.with_scores.eq(self.with_scores),
            replier.again.eq(self.again),
            unpacker.restart.eq(self.restart),
            self.empty.eq(unpacker.empty & core_empty),
            self.waiting.eq(replier.result.valid),
        ]
        return m

    def _flash(self) -> dict[str, Signal]:
        """Ports of the design to a flash."""
        if not self.core.flash:
            return {}
        return {f"o_{name}": getattr(self, name) for name in DRIVEN} | {
            f"i_{SAMPLED}": getattr(self, SAMPLED)
        }
