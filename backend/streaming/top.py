"""The folded design: features in over a stream, class out over a stream."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..fabric import FabricText
from ..interfaces.flash import connect_flash, flash_ports
from ..top import Computing, StreamTop, core_ports
from .double import DoubleSerialTail, DoubleTail
from .front import Chain, Front
from .memory import Store
from .serial import SerialTail, Tail
from .timing import Timing

AFTER = 2
"""Clocks besides the fabric's from the last stored place to the result: `frame` and its register."""


class FoldedTop(StreamTop):
    """`StreamTop` with kernels before the fabric, which is the network's tail and has an argmax."""

    def __init__(self, front: Front, fabric: FabricText, timing: Timing) -> None:
        self.core, self.encoder, self.timing = front.chain.core, front, timing
        self.computing = Computing(front, fabric, argmax_registers=False)
        wiring.Component.__init__(self, self.computing.ports(core=self.core))

    @property
    def latency(self) -> int:
        """Clocks from accepting a frame's last feature to `result.valid`."""
        return self.timing.latency

    @property
    def cycles_per_sample(self) -> int:
        """Clocks between results when features never wait for the source and results are taken at once."""
        return self.timing.cycles_per_sample


class SerialTop(wiring.Component):  # type: ignore[misc]
    """Kernels, then the tail as a program.

    Ports: as those of `StreamTop`, and those to a flash if the program is loaded from one.

    Internal signals for simulation: `scores`, class-major, right while `scores_valid` is high.
    """

    def __init__(self, chain: Chain, tail: Tail, store: Store) -> None:
        self.chain = chain
        if isinstance(tail, DoubleTail):
            self.tail: SerialTail = DoubleSerialTail(tail, store, ahead=chain.ahead)
        else:
            self.tail = SerialTail(tail, store, ahead=chain.ahead)
        features = stream.Signature(chain.features.payload.shape())
        result = stream.Signature(len(self.tail.result.payload))
        ports = {"features": In(features), "result": Out(result)}
        ports |= core_ports(len(self.tail.scores)) if chain.core else {}
        super().__init__(ports | (flash_ports() if store.flash else {}))

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        chain, tail = self.chain, self.tail
        m.submodules.encoder = chain
        m.submodules.fabric = fabric = Module()  # in reports the tail is the network
        fabric.submodules.network = tail
        scores, scores_valid = Signal(len(tail.scores)), Signal()
        wiring.connect(m, wiring.flipped(self.features), chain.features)
        wiring.connect(m, chain.image, tail.image)
        wiring.connect(m, tail.result, wiring.flipped(self.result))
        m.d.comb += [
            tail.whole.eq(chain.whole),
            scores.eq(tail.scores),
            scores_valid.eq(tail.scores_valid),
        ]
        if self.tail.store.flash:
            connect_flash(m, self, tail)
        if chain.core:
            m.d.comb += [
                chain.restart.eq(self.restart),
                chain.started.eq(tail.started),
                tail.restart.eq(self.restart),
                self.empty.eq(chain.empty),
                self.result_scores.eq(tail.scores),
            ]
        return m
