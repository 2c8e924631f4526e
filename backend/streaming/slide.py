"""Classes of an endless signal: windows over time, each evaluated as if it were a sample of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lgc.errors import UsageError
from lgc.ir.encoder import Thermometer
from lgc.ir.kernels import Folded

from .front import Stored


@dataclass(frozen=True)
class Windows:
    """Where windows of a signal lie.

    Attributes:
        hop: time steps from one window to the next.
        needed: time steps of a window that its class depends on, from its first on.
        places: places of the last image from one window to the next.
    """

    hop: int
    needed: int
    places: int


def windows_of(encoder: Thermometer, folded: Folded, hop: int) -> Windows:
    """Plan windows over time.

    Args:
        encoder: thresholds.
        folded: a network over a signal.
        hop: time steps from one window to the next.

    Raises:
        UsageError: an image, padding, thresholds that change with time, or a hop that strides do not divide
            or that leaves time steps out.
    """
    first = folded.kernels[0].window
    length = first.extent[1]
    if any(kernel.window.extent[0] > 1 or kernel.window.size[0] > 1 for kernel in folded.kernels):
        raise UsageError("Only signals in time are classified continuously, not images.")
    if any(kernel.window.padding != (0, 0) for kernel in folded.kernels):
        raise UsageError(
            "A signal without end has no border, but a convolution pads.",
            hint="Train it with padding = 0, or leave --continuous out.",
        )
    steps = encoder.threshold.reshape(length, -1)
    if not (steps == steps[0]).all():
        raise UsageError(
            "The thresholds depend on the time within a window.",
            hint='Train with encoder.kind = "thresholds", or leave --continuous out.',
        )
    total, needed = 1, 1
    for kernel in reversed(folded.kernels):
        needed += kernel.window.positions[1] - 1 if kernel is folded.kernels[-1] else 0
        needed = (needed - 1) * kernel.window.stride[1] + kernel.window.size[1]
        total *= kernel.window.stride[1]
    if hop % total or not 0 < hop <= length:
        raise UsageError(
            f"Windows of {length:,} steps cannot begin every {hop:,}: the layers' strides make {total:,}.",
            hint=f"Choose a multiple of {total:,}, at most {length:,}.",
        )
    return Windows(hop, needed, hop // total)


class Slide(wiring.Component):  # type: ignore[misc]
    """Keep the newest places of a signal, with the ports of `Store`.

    Args:
        plan: which bits of the newest places are kept.
        every: places from one window to the next.
    """

    ahead = 0

    def __init__(self, plan: Stored, every: int) -> None:
        self.plan, self.every = plan, every
        image = In(stream.Signature(plan.last.kernel.channels))
        ports = {"image": image, "hold": In(1), "whole": In(1), "frame": Out(1)}
        super().__init__(ports | {f"x{n}": Out(width) for n, width in enumerate(plan.chunks)})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        used, places = self.plan.used, self.plan.last.kernel.window.positions[1]
        take, complete = Signal(), Signal()
        left = Signal(range(max(places, self.every)), init=places - 1)
        m.d.comb += [
            self.image.ready.eq(~self.hold & ~complete),
            take.eq(self.image.valid & self.image.ready),
            self.frame.eq(complete),
        ]
        m.d.sync += complete.eq(take & (left == 0))
        with m.If(take):
            m.d.sync += left.eq(Mux(left == 0, self.every - 1, left - 1))
        bit: dict[int, Value] = {}
        for channel in np.unique(used // places).tolist():
            mine = used[used // places == channel] % places
            back = places - int(mine.min())  # places that are looked at, the newest first
            kept = Signal(back, name=f"channel{channel}", reset_less=True)
            with m.If(take):
                m.d.sync += kept.eq(Cat(self.image.payload[channel], kept)[:back])
            bit |= {channel * places + place: kept[places - 1 - place] for place in mine.tolist()}
        start = 0
        for n, width in enumerate(self.plan.chunks):
            numbers = used[start : start + width].tolist()
            m.d.comb += getattr(self, f"x{n}").eq(Cat(bit[number] for number in numbers))
            start += width
        return m
