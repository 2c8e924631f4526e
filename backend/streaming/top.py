"""The folded design: features in over a stream, class out over a stream."""

from __future__ import annotations

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..fabric import FabricText
from ..top import StreamTop
from .front import Front
from .timing import Timing

AFTER = 2
"""Clocks besides the fabric's from the last stored place to the result: `frame` and its register."""


class FoldedTop(StreamTop):
    """`StreamTop` with kernels before the fabric, which is the network's tail and has an argmax."""

    def __init__(self, front: Front, fabric: FabricText, timing: Timing) -> None:
        self.core, self.argmax = False, None
        self.encoder, self.fabric, self.timing = front, fabric, timing
        features = front.features.payload.shape()
        result = stream.Signature(fabric.index_bits)
        wiring.Component.__init__(self, {"features": In(stream.Signature(features)), "result": Out(result)})

    @property
    def latency(self) -> int:
        """Clocks from accepting a frame's last feature to `result.valid`."""
        return self.timing.latency

    @property
    def cycles_per_sample(self) -> int:
        """Clocks between results when features never wait for the source and results are taken at once."""
        return self.timing.cycles_per_sample
