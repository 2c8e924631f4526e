"""An OR pool in hardware, for windows that neither overlap nor leave gaps: accumulated on the fly."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .lines import line_of
from .plan import Layer
from .scan import Axis


class Pool(wiring.Component):  # type: ignore[misc]
    """OR the places of each window as they come.

    Two flip-flops and LUTs per channel: the OR so far, which starts from that of the window's rows above,
    and the result. Rows that a window has seen go to a line buffer of one word per window. Where several
    places enter per clock, those of a window are ORed first, and a word may hold several windows.

    Args:
        layer: what to build; one that accumulates.

    Ports:
        image: stream of words of places, one bit per channel, the first place in the lowest bits.
        result: stream of ORs, alike.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer, self.kernel = layer, layer.kernel
        ports = {"image": In(stream.Signature(layer.kernel.window.channels * layer.lanes))}
        super().__init__(ports | {"result": Out(stream.Signature(layer.kernel.channels * layer.results))})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        layer, window = self.layer, self.kernel.window
        row = Axis(steps=window.extent[0], first=window.size[0] - 1, stride=window.size[0])
        place = Axis(
            steps=None if layer.endless else layer.words,
            first=layer.first,
            stride=layer.every,
            last=layer.last if layer.last + layer.every < layer.words and not layer.endless else None,
        )
        m.submodules.row, m.submodules.place = row, place
        # the OR is emptied in the first clock
        begun, full, take, last = Signal(), Signal(), Signal(), Signal()
        m.d.sync += begun.eq(1)
        m.d.comb += [
            self.image.ready.eq(begun & ~(full & ~self.result.ready)),
            take.eq(self.image.valid & self.image.ready),
            place.step.eq(take),
            row.step.eq(take & place.wrap),
            last.eq(take & place.hit),
            self.result.valid.eq(full),
        ]
        with m.If(take):
            m.d.sync += full.eq(place.hit & row.hit)
        with m.Elif(self.result.ready):
            m.d.sync += full.eq(0)
        self._gather(m, begun, take, last, (row, place))
        return m

    def _gather(self, m: Module, begun: Value, take: Value, last: Value, axes: tuple[Axis, Axis]) -> None:
        """Build the OR so far and the result."""
        row, place = axes
        layer, window = self.layer, self.kernel.window
        wide = layer.last + 1
        total, result, above = (
            Signal(len(layer.wanted) * layer.results, name=name, reset_less=name != "above")
            for name in ("total", "result", "above")
        )
        now = Cat(self._joined(number, c) for number in range(layer.results) for c in layer.wanted) | total
        begins = Signal(init=1)  # this row is the first of its windows
        next_begins = row.hit | row.wrap
        with m.If(row.step):
            m.d.sync += begins.eq(next_begins)
        at_end = place.at == wide - 1
        empty = Mux(at_end, next_begins, begins) if window.size[0] > 1 else Const(1, 1)
        rest = wide < layer.words and not layer.endless
        outside: Value = place.at >= wide if rest else Const(0, 1)
        with m.If(~begun | take & ~outside):
            m.d.sync += total.eq(Mux(~begun | last & empty, 0, Mux(last, above, now)))
        with m.If(last):
            m.d.sync += result.eq(now)
        if line := line_of(self.layer):
            m.submodules.line = line
            m.d.comb += [line.step.eq(last), line.d.eq(result), above.eq(line.q)]
        elif window.size[0] > 1:
            m.d.comb += above.eq(now)
        self._place(m, result)

    def _joined(self, number: int, channel: int) -> Value:
        """OR of a channel over the places of a word that belong to the same window."""
        layer, channels = self.layer, self.kernel.window.channels
        places = min(layer.lanes, self.kernel.window.size[1])
        return Cat(
            self.image.payload[lane * channels + channel]
            for lane in range(number * places, (number + 1) * places)
        ).any()

    def _place(self, m: Module, result: Value) -> None:
        """Drive the channels wanted."""
        wanted, channels = self.layer.wanted, self.kernel.channels
        for n in range(len(result)):
            number, c = divmod(n, len(wanted))
            m.d.comb += self.result.payload[number * channels + wanted[c]].eq(result[n])
