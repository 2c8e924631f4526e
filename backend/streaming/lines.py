"""Line buffers: what was seen one row before, in flip-flops or in block RAM."""

from __future__ import annotations

from amaranth import Cat, ClockSignal, Instance, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .plan import Layer


class Shift(wiring.Component):  # type: ignore[misc]
    """Delay words by `depth` steps in flip-flops; `d` counts as one of them.

    Ports:
        step: take the word `d`, which stands in a register that follows the step before.
        q: the word that entered that register `depth` steps before the one to come.
    """

    def __init__(self, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        super().__init__({"step": In(1), "d": In(width), "q": Out(width)})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        kept = Signal(self.width * (self.depth - 1), reset_less=True)
        words = Cat(kept, self.d)
        m.d.comb += self.q.eq(words[: self.width])
        with m.If(self.step):
            m.d.sync += kept.eq(words[self.width :])
        return m


class Line(wiring.Component):  # type: ignore[misc]
    """The same in block RAM, for three words or more.

    Args:
        name: of the memory's module, see `line_text`.
        width: bits per word.
        depth: words.

    Ports: as those of `Shift`.
    """

    def __init__(self, name: str, width: int, depth: int) -> None:
        self.name, self.width, self.depth = name, width, depth
        super().__init__({"step": In(1), "d": In(width), "q": Out(width)})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        ahead = self._counter(m, 1)
        behind = self._counter(m, self.depth - 1)
        m.submodules.words = Instance(
            self.name, i_clk=ClockSignal(), i_step=self.step, i_ahead=ahead, i_behind=behind,
            i_d=self.d, o_q=self.q,
        )  # fmt: skip
        return m

    def _counter(self, m: Module, start: int) -> Value:
        """Count steps modulo the depth."""
        at = Signal(range(self.depth), init=start)
        with m.If(self.step):
            m.d.sync += at.eq(Mux(at == self.depth - 1, 0, at + 1))
        return at


def line_of(layer: Layer) -> Line | Shift | None:
    """Make the line buffer of a layer, if it has one."""
    width, depth = layer.line
    if not depth:
        return None
    return Line(f"{layer.name}_line", width, depth) if layer.in_block else Shift(width, depth)
