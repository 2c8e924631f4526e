"""A convolution in hardware: line buffers, the window in flip-flops, the kernel behind it."""

from __future__ import annotations

import numpy as np
from amaranth import Cat, Const, Instance, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .lines import line_of
from .plan import Layer
from .scan import Axis
from .text import chunks


class Window(wiring.Component):  # type: ignore[misc]
    """Slide a window over an image that comes place by place, and evaluate a kernel on each.

    One word of places per clock, row by row; behind each row and each image the layer adds the padding's
    zeros itself and takes nothing meanwhile. The zeros before a row are those behind the one before, and the
    zeros above an image those below the one before; after reset they are made first. A result waits for
    `result.ready` and holds everything before it.

    Args:
        layer: what to build.

    Ports:
        image: stream of words of places, one bit per channel, the first place in the lowest bits.
        result: stream of the kernels' outputs, alike.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer, self.kernel = layer, layer.kernel
        ports = {"image": In(stream.Signature(layer.kernel.window.channels * layer.lanes))}
        super().__init__(ports | {"result": Out(stream.Signature(layer.kernel.channels * layer.results))})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        step, stall, full = Signal(), Signal(), Signal()
        padding, hit, blank = self._scan(m, step)
        m.d.comb += [
            stall.eq(full & ~self.result.ready),
            step.eq(~stall & (padding | self.image.valid)),
            self.image.ready.eq(~stall & ~padding),
            self.result.valid.eq(full),
        ]
        m.d.sync += full.eq(step & hit | stall)
        self._evaluate(m, self._window(m, step, blank))
        return m

    def _scan(self, m: Module, step: Value) -> tuple[Value, Value, list[Value]]:
        """Count words; whether the next is padding, whether it completes windows, which places are zeros."""
        layer, window = self.layer, self.kernel.window
        down, across = window.extent[0], layer.words
        below, behind = window.padding
        rows, steps = layer.steps
        if layer.endless:
            m.submodules.place = place = Axis(steps=None, first=layer.first, stride=layer.every)
            m.d.comb += place.step.eq(step)
            return Const(0, 1), place.hit, [Const(0, 1)] * layer.lanes
        # where the zeros begin, so that they come first after reset
        begin = (down, 0) if below else (down - 1, across) if behind else (0, 0)
        m.submodules.row = row = Axis(
            steps=rows, first=window.size[0] - 1 - below, stride=window.stride[0], start=begin[0]
        )
        m.submodules.place = place = Axis(
            steps=steps,
            first=layer.first,
            stride=layer.every,
            start=begin[1],
            last=layer.last if layer.last + layer.every < steps else None,
        )
        m.d.comb += [place.step.eq(step), row.step.eq(step & place.wrap)]
        padding: Value = Const(0, 1)
        if below:
            padding = padding | (row.at >= down)
        blank = [padding] * layer.lanes
        if behind:  # places that a row's last word has too many are among the zeros
            for lane in range(layer.lanes):
                over = (across - 1) * layer.lanes + lane >= window.extent[1]
                blank[lane] = padding | (place.at >= across - over)
        if steps > across:
            padding = padding | (place.at >= across)
        hit: Value = row.hit & place.hit
        if below or behind:
            first = Signal(init=1)
            with m.If(row.step & row.wrap):
                m.d.sync += first.eq(0)
            hit = hit & ~first
        return padding, hit, blank

    def _window(self, m: Module, step: Value, blank: list[Value]) -> dict[tuple[int, int, int], Value]:
        """Build line buffer and window; return bits by age, row and channel."""
        layer, channels = self.layer, self.kernel.window.channels
        height, lanes = self.kernel.window.size[0], layer.lanes
        newest, *older = layer.columns
        fresh = [(lane, c) for lane, row, c in newest if row == height - 1]
        bits: dict[tuple[int, int, int], Value] = {}  # by word back and lane first, which is age

        def at(back: int, lane: int, row: int, c: int) -> tuple[int, int, int]:
            return back * lanes + lanes - 1 - lane, row, c

        incoming = Signal(len(fresh), name="fresh", reset_less=True)
        with m.If(step):
            m.d.sync += incoming.eq(
                Cat(Mux(blank[lane], 0, self.image.payload[lane * channels + c]) for lane, c in fresh)
            )
        bits |= {at(0, lane, height - 1, c): incoming[n] for n, (lane, c) in enumerate(fresh)}
        if line := line_of(layer):
            m.submodules.line = line
            above = Signal(len(layer.kept), name="above", reset_less=True)
            bits |= {at(0, *element): above[n] for n, element in enumerate(layer.kept)}
            m.d.comb += [
                line.step.eq(step),
                line.d.eq(Cat(bits[at(0, lane, row + 1, c)] for lane, row, c in layer.kept)),
            ]
            with m.If(step):
                m.d.sync += above.eq(line.q)
        for back, elements in enumerate(older, 1):
            column = Signal(len(elements), name=f"column{back}", reset_less=True)
            with m.If(step):
                m.d.sync += column.eq(Cat(bits[at(back - 1, *element)] for element in elements))
            bits |= {at(back, *element): column[n] for n, element in enumerate(elements)}
        return bits

    def _evaluate(self, m: Module, bits: dict[tuple[int, int, int], Value]) -> None:
        """Instantiate a kernel for each place of the result's words."""
        used, channels = np.argwhere(self.kernel.used).tolist(), self.kernel.channels
        for result in range(self.layer.results):
            x = Cat(bits[self.layer.age(result, column), row, c] for row, column, c in used)
            y = Signal(channels, name=f"y{result}")
            ports: dict[str, Value] = {}
            for name, vector in (("i_x", x), ("o_y", y)):
                start = 0
                for n, size in enumerate(chunks(len(vector))):
                    ports[f"{name}{n}"] = vector[start : start + size]
                    start += size
            name = "kernel" if self.layer.results == 1 else f"kernel{result}"
            m.submodules[name] = Instance(f"{self.layer.name}_kernel", **ports)
            m.d.comb += self.result.payload[result * channels : (result + 1) * channels].eq(y)
