"""Words of several places taken apart, for what takes one at a time."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .plan import Layer


class Unpack(wiring.Component):  # type: ignore[misc]
    """Give the places of each word one by one, without those that the last word of a row has too many.

    Args:
        last: the layer whose results are taken apart.

    Ports:
        image: stream of words of places, the first place in the lowest bits.
        result: stream of places.
    """

    def __init__(self, last: Layer) -> None:
        self.last, self.channels = last, last.kernel.channels
        ports = {"image": In(stream.Signature(self.channels * last.results))}
        super().__init__(ports | {"result": Out(stream.Signature(self.channels))})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        count, groups = self.last.results, self.last.groups
        rest = self.last.kernel.window.positions[1] - (groups - 1) * count
        place, group, take = Signal(range(count)), Signal(range(groups)), Signal()
        end: Value = place == count - 1
        if rest < count:
            end = Mux(group == groups - 1, place == rest - 1, end)
        m.d.comb += [
            self.result.payload.eq(self.image.payload.word_select(place, self.channels)),
            self.result.valid.eq(self.image.valid),
            take.eq(self.result.valid & self.result.ready),
            self.image.ready.eq(self.result.ready & end),
        ]
        with m.If(take):
            m.d.sync += place.eq(Mux(end, 0, place + 1))
            with m.If(end):
                m.d.sync += group.eq(Mux(group == groups - 1, 0, group + 1))
        return m
