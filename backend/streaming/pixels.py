"""The thermometer encoder of a stream: features in, one by one or word by word, places out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from amaranth import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lgc.errors import UsageError
from lgc.ir.encoder import Thermometer
from lgc.ir.kernels import Folded, Pair

from ..encoder import Encoder
from ..plan import Plan


class Pixels(Encoder):
    """Compare features with their thresholds as they come; a place is complete with its last feature.

    Args:
        encoder: thresholds.
        folded: the network; it says which bits are read.
        counted: whether `whole` is wanted.
        lanes: places that enter per clock, all features of each; 0 for one feature per clock.
        endless: the image is a signal without end, its thresholds the same at all times.

    Ports:
        features: stream of codes; feature 0 follows feature `features - 1` and reset. With `lanes`, a word
            has the codes of neighbouring places of a row, the first in the lowest bits; what the last word
            of a row has too many means nothing.
        image: stream of words of places, one bit per channel of the first image.
        whole: high for one clock with the last feature of a frame, if wanted.

    Raises:
        UsageError: features do not come row by row.
    """

    def __init__(
        self,
        encoder: Thermometer,
        folded: Folded,
        *,
        counted: bool,
        lanes: int = 0,
        endless: bool = False,
    ) -> None:
        self.counted, self.lanes = counted, lanes
        window = folded.kernels[0].window
        self.per_place = per_place(encoder, folded)
        self.levels = encoder.levels
        self.used: npt.NDArray[np.bool_] = np.logical_or.reduce(folded.kernels[0].used, axis=(0, 1))
        if lanes:  # to the plan a word is a feature of many thresholds
            self.used = np.tile(self.used, lanes)
            encoder = _by_word(encoder, window.extent, lanes)
            self.per_place = 1
        if endless:
            encoder = Thermometer(encoder.threshold[: self.per_place], encoder.format)
        places = encoder.features // self.per_place
        self.plan = Plan(encoder, np.flatnonzero(np.tile(self.used, places)))
        self.restartable = self.early = False
        form = encoder.format
        one = Shape(form.width, form.signed)
        codes = Shape(encoder.levels // self.levels * form.width) if lanes else one
        wiring.Component.__init__(
            self,
            {
                "features": In(stream.Signature(codes)),
                "image": Out(stream.Signature(window.channels * max(lanes, 1))),
                "whole": Out(1),
            },
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        levels = self.plan.encoder.levels
        code = Signal(self.features.payload.shape(), reset_less=True)
        full, last = Signal(), Signal()
        accept, move = Signal(), Signal()
        m.d.comb += [
            move.eq(full & (~last | self.image.ready)),
            self.features.ready.eq(~full | move),
            accept.eq(self.features.valid & self.features.ready),
            self.image.valid.eq(full & last),
        ]
        with m.If(self.features.ready):
            m.d.sync += full.eq(self.features.valid)
        with m.If(accept):
            m.d.sync += code.eq(self.features.payload)
        if self.counted:
            features = self.plan.encoder.features
            number = Signal(range(features))
            m.d.comb += self.whole.eq(accept & (number == features - 1))
            with m.If(accept):
                m.d.sync += number.eq(Mux(self.whole, 0, number + 1))
        level = Signal(self.plan.levels.size)
        thresholds = zip(self.plan.levels.tolist(), self._thresholds(m, accept), strict=True)
        m.d.comb += level.eq(Cat(self._code(code, number) >= threshold for number, threshold in thresholds))
        before = self._before(m, level, move, last)
        for channel in np.flatnonzero(self.used).tolist():
            feature, number = divmod(channel, levels)
            place = int(np.searchsorted(self.plan.levels, number))
            bit = level[place] if feature == self.per_place - 1 else before[feature][place]
            m.d.comb += self.image.payload[channel].eq(bit)
        return m

    def _code(self, word: Value, column: int) -> Value:
        """Code that a comparator looks at."""
        if not self.lanes:
            return word
        form = self.plan.encoder.format
        part = word.word_select(column // self.levels, form.width)
        return part.as_signed() if form.signed else part

    def _before(self, m: Module, level: Value, move: Value, last: Signal) -> list[Signal]:
        """Keep the bits of the place's features but the last; say which feature stands in the register."""
        number = self.per_place - 1
        kept = [Signal(len(level), name=f"feature{n}", reset_less=True) for n in range(number)]
        if not kept:
            m.d.comb += last.eq(Const(1, 1))
            return kept
        at = Signal(range(self.per_place))
        m.d.comb += last.eq(at == number)
        with m.If(move):
            m.d.sync += at.eq(at + 1)
            with m.If(last):
                m.d.sync += at.eq(0)
            for n, bits in enumerate(kept):
                with m.If(at == n):
                    m.d.sync += bits.eq(level)
        return kept


def _by_word(encoder: Thermometer, extent: Pair, lanes: int) -> Thermometer:
    """Return thresholds `[words, thresholds of a word]`; places too many have those of the row's last."""
    rows, columns = extent
    whole = encoder.threshold.reshape(rows, columns, -1)
    words = -(-columns // lanes)
    padded = np.pad(whole, ((0, 0), (0, words * lanes - columns), (0, 0)), mode="edge")
    return Thermometer(padded.reshape(rows * words, -1), encoder.format)


def per_place(encoder: Thermometer, folded: Folded) -> int:
    """Features per place of the first image.

    Raises:
        UsageError: they do not come row by row, all of a place together.
    """
    window = folded.kernels[0].window
    rows, columns = window.extent
    count, rest = divmod(window.channels, encoder.levels)
    bits = np.arange(encoder.bits)
    if not rest and count * encoder.levels * rows * columns == encoder.bits:
        wanted = bits.reshape(rows * columns, -1).T.ravel()
        if np.array_equal(wanted, folded.source):
            return count
    raise UsageError(
        "The features do not arrive row by row, so the network cannot be folded.",
        hint="Compile it without --fold.",
    )
