"""The thermometer encoder of a stream: features in, one by one, places of the first image out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from amaranth import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lgc.errors import UsageError
from lgc.ir.encoder import Thermometer
from lgc.ir.kernels import Folded

from ..encoder import Encoder, Plan


class Pixels(Encoder):
    """Compare features with their thresholds as they come; a place is complete with its last feature.

    Args:
        encoder: thresholds.
        folded: the network; it says which bits are read.
        counted: whether `whole` is wanted.

    Ports:
        features: stream of codes; feature 0 follows feature `features - 1` and reset.
        image: stream of places, one bit per channel of the first image.
        whole: high for one clock with the last feature of a frame, if wanted.

    Raises:
        UsageError: features do not come row by row.
    """

    def __init__(self, encoder: Thermometer, folded: Folded, *, counted: bool) -> None:
        self.counted = counted
        window = folded.kernels[0].window
        self.per_place = per_place(encoder, folded)
        self.used: npt.NDArray[np.bool_] = np.logical_or.reduce(folded.kernels[0].used, axis=(0, 1))
        places = encoder.features // self.per_place
        self.plan = Plan(encoder, np.flatnonzero(np.tile(self.used, places)))
        self.restartable = self.early = False
        form = encoder.format
        wiring.Component.__init__(
            self,
            {
                "features": In(stream.Signature(Shape(form.width, form.signed))),
                "image": Out(stream.Signature(window.channels)),
                "whole": Out(1),
            },
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        form, levels = self.plan.encoder.format, self.plan.encoder.levels
        code = Signal(Shape(form.width, form.signed), reset_less=True)
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
        m.d.comb += level.eq(Cat(code >= threshold for threshold in self._thresholds(m, accept)))
        before = self._before(m, level, move, last)
        for channel in np.flatnonzero(self.used).tolist():
            feature, number = divmod(channel, levels)
            place = int(np.searchsorted(self.plan.levels, number))
            bit = level[place] if feature == self.per_place - 1 else before[feature][place]
            m.d.comb += self.image.payload[channel].eq(bit)
        return m

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
