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

    One place per clock, row by row; behind each row and each image the layer adds the padding's zeros
    itself and takes nothing meanwhile. The zeros before a row are those behind the one before, and the
    zeros above an image those below the one before; after reset they are made first. A result waits for
    `result.ready` and holds everything before it.

    Args:
        layer: what to build.

    Ports:
        image: stream of places, one bit per channel.
        result: stream of the kernel's outputs, row by row.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer, self.kernel = layer, layer.kernel
        ports = {"image": In(stream.Signature(layer.kernel.window.channels))}
        super().__init__(ports | {"result": Out(stream.Signature(layer.kernel.channels))})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        step, stall, full = Signal(), Signal(), Signal()
        padding, hit = self._scan(m, step)
        m.d.comb += [
            stall.eq(full & ~self.result.ready),
            step.eq(~stall & (padding | self.image.valid)),
            self.image.ready.eq(~stall & ~padding),
            self.result.valid.eq(full),
        ]
        m.d.sync += full.eq(step & hit | stall)
        self._evaluate(m, self._window(m, step, padding))
        return m

    def _scan(self, m: Module, step: Value) -> tuple[Value, Value]:
        """Count places; whether the next is padding, and whether it completes a window."""
        window = self.kernel.window
        down, across = window.extent
        below, behind = window.padding
        # where the zeros begin, so that they come first after reset
        begin = (down, 0) if below else (down - 1, across) if behind else (0, 0)
        axes = [
            Axis(steps=steps, first=size - 1 - pad, stride=stride, start=start)
            for steps, size, pad, stride, start in zip(
                self.layer.steps, window.size, window.padding, window.stride, begin, strict=True
            )
        ]
        m.submodules.row, m.submodules.place = row, place = axes
        m.d.comb += [place.step.eq(step), row.step.eq(step & place.wrap)]
        padding: Value = Const(0, 1)
        if below:
            padding = padding | (row.at >= down)
        if behind:
            padding = padding | (place.at >= across)
        hit: Value = row.hit & place.hit
        if below or behind:
            first = Signal(init=1)
            with m.If(row.step & row.wrap):
                m.d.sync += first.eq(0)
            hit = hit & ~first
        return padding, hit

    def _window(self, m: Module, step: Value, padding: Value) -> dict[tuple[int, int, int], Value]:
        """Build line buffer and window; return bits by row, column and channel."""
        height, width = self.kernel.window.size
        newest = self.layer.column(width - 1)
        fresh = [c for row, c in newest if row == height - 1]
        bits: dict[tuple[int, int, int], Value] = {}
        incoming = Signal(len(fresh), name="fresh", reset_less=True)
        with m.If(step):
            m.d.sync += incoming.eq(Mux(padding, 0, Cat(self.image.payload[c] for c in fresh)))
        bits |= {(height - 1, width - 1, c): incoming[n] for n, c in enumerate(fresh)}
        if line := line_of(self.layer):
            m.submodules.line = line
            above = Signal(len(self.layer.kept), name="above", reset_less=True)
            bits |= {(row, width - 1, c): above[n] for n, (row, c) in enumerate(self.layer.kept)}
            m.d.comb += [
                line.step.eq(step),
                line.d.eq(Cat(bits[row + 1, width - 1, c] for row, c in self.layer.kept)),
            ]
            with m.If(step):
                m.d.sync += above.eq(line.q)
        for number in range(width - 2, -1, -1):
            elements = self.layer.column(number)
            column = Signal(len(elements), name=f"column{number}", reset_less=True)
            with m.If(step):
                m.d.sync += column.eq(Cat(bits[row, number + 1, c] for row, c in elements))
            bits |= {(row, number, c): column[n] for n, (row, c) in enumerate(elements)}
        return bits

    def _evaluate(self, m: Module, bits: dict[tuple[int, int, int], Value]) -> None:
        """Instantiate the kernel."""
        read = [bits[row, place, c] for row, place, c in np.argwhere(self.kernel.used).tolist()]
        x, y = Cat(read), Signal(self.kernel.channels, name="y")
        ports: dict[str, Value] = {}
        for name, vector in (("i_x", x), ("o_y", y)):
            start = 0
            for n, size in enumerate(chunks(len(vector))):
                ports[f"{name}{n}"] = vector[start : start + size]
                start += size
        m.submodules.kernel = Instance(f"{self.layer.name}_kernel", **ports)
        m.d.comb += self.result.payload.eq(y)
