"""Where a window stands: counters along rows and columns that say when it is complete."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Axis(wiring.Component):  # type: ignore[misc]
    """Count the steps along one axis, over and over.

    Args:
        steps: places along the axis, the zeros behind the last element included; None for no end.
        first: the step that completes the first window.
        stride: steps between windows.
        start: where counting starts after reset.
        last: the last step that completes a window; None if what follows is too short for another.

    Ports:
        step: go on.
        at: where it is.
        wrap: high at the last step.
        hit: high at steps that complete a window; not before the first `wrap` if `start` is not 0.
    """

    def __init__(
        self, *, steps: int | None, first: int, stride: int, start: int = 0, last: int | None = None
    ) -> None:
        self.steps, self.first, self.stride, self.start, self.last = steps, first, stride, start, last
        at = ((steps or 1) - 1).bit_length()
        super().__init__({"step": In(1), "at": Out(at, init=start), "wrap": Out(1), "hit": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        wait = Signal(range(max(self.first, self.stride - 1) + 1), init=self.first)
        due = wait == 0
        m.d.comb += [
            self.wrap.eq(self.steps is not None and self.at == self.steps - 1),
            self.hit.eq(due if self.last is None else due & (self.at <= self.last)),
        ]
        with m.If(self.step):
            m.d.sync += [
                self.at.eq(Mux(self.wrap, 0, self.at + 1)),
                wait.eq(Mux(self.wrap, self.first, Mux(due, self.stride - 1, wait - 1))),
            ]
        return m
