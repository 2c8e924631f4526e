"""The default design: features in over a stream, class index out over a stream."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .argmax import Argmax
from .encoder import Encoder
from .fabric import FabricText
from .plan import Plan


def core_ports(scores: int) -> dict[str, Any]:
    """Ports more that a design with an interface around it has; `scores` bits of all scores together."""
    return {"restart": In(1), "empty": Out(1), "result_scores": Out(scores)}


class Computing:
    """An encoder, the fabric behind it, and an argmax where the fabric has none: what all tops share.

    Args:
        encoder: a component with the ports `frame` and `x<n>`, a plan and a latency.
        fabric: the fabric.
        argmax_registers: see `Argmax`.

    Internal signals for simulation: `scores` (class-major, `score_width` bits each, without the
    offset) is right while `scores_valid` is high, which happens once per frame.
    """

    def __init__(self, encoder: Any, fabric: FabricText, *, argmax_registers: bool) -> None:
        self.encoder, self.fabric = encoder, fabric
        self.argmax = None if fabric.index_bits else Argmax(fabric.scores, registers=argmax_registers)
        self.class_width = len(self.argmax.index) if self.argmax else fabric.index_bits
        self.scores_width = sum(map(len, fabric.scores))

    def ports(self, *, core: bool) -> dict[str, Any]:
        """Ports of a top between two streams; with `core` those of a design with an interface around it."""
        ports = {
            "features": In(stream.Signature(self.encoder.features.payload.shape())),
            "result": Out(stream.Signature(self.class_width)),
        }
        return ports | (core_ports(self.scores_width) if core else {})

    @property
    def clocks(self) -> int:
        """Clocks of fabric and argmax."""
        return self.fabric.latency + (self.argmax.latency if self.argmax else 0)

    def add(self, m: Module) -> tuple[Value, Value, Signal, Signal]:
        """Add all to the top module; return class, when that is right, scores, when these are."""
        m.submodules.encoder = self.encoder
        if self.argmax:
            m.submodules.argmax = self.argmax
        index = Signal(self.class_width)
        vectors = self._fabric(m, index)
        token = Signal(self.clocks + 1)
        scores = Signal(self.scores_width)
        scores_valid = Signal()
        m.d.comb += [
            token[0].eq(self.encoder.frame),
            scores.eq(Cat(self._bits(vectors, c) for c in range(len(vectors)))),
            scores_valid.eq(token[self.fabric.score_latency]),
        ]
        if len(token) > 1:
            m.d.sync += token[1:].eq(token[:-1])
        return index, token[-1], scores, scores_valid

    def _fabric(self, m: Module, index: Signal) -> list[Signal]:
        """Instantiate the fabric, which drives `index`; return the variable score bits of each class."""
        ports: dict[str, Value] = {"i_clk": ClockSignal()}
        for n in range(len(self.encoder.plan.chunks)):
            ports[f"i_x{n}"] = getattr(self.encoder, f"x{n}")
        vectors = []
        for c in range(len(self.fabric.scores)):
            width = sum(not isinstance(bit, bool) for bit in self.fabric.scores[c])
            vector = Signal(width, name=f"score{c}")
            if width:
                ports[f"o_s{c}"] = vector
                if self.argmax:
                    m.d.comb += getattr(self.argmax, f"s{c}").eq(vector)
            vectors.append(vector)
        if self.argmax:
            m.d.comb += index.eq(self.argmax.index)
        else:
            ports["o_index"] = index
        m.submodules.fabric = Instance("lgc_fabric", **ports)
        return vectors

    def _bits(self, vectors: list[Signal], c: int) -> Value:
        """All bits of the score of class c."""
        return Cat(
            Const(int(bit), 1) if isinstance(bit, bool) else vectors[c][bit] for bit in self.fabric.scores[c]
        )


class StreamTop(wiring.Component):  # type: ignore[misc]
    """Encoder, fabric and argmax between two streams; the fabric may bring its own argmax.

    Fabric and argmax are free-running pipelines without enables, so a frame must not enter them
    while a result is on its way or waits to be taken: the last feature of the next frame is held
    until then. Nothing is lost whatever the gaps and the back-pressure, and frames of more
    than `latency` features stream at one feature per clock. With `held`, for a fabric written so,
    already the first feature waits: a result costs `latency - 1` more clocks, the fabric no
    registers beyond those that share a LUT's logic cell.

    Ports:
        features: stream of feature codes, in order. Reset restarts the frame.
        result: stream of class indices.
        restart, empty: with `core`, see `Encoder`.
        result_scores: with `core`, the scores that belong to `result`, class-major.
    """

    def __init__(
        self,
        plan: Plan,
        fabric: FabricText,
        *,
        argmax_registers: bool,
        held: bool = False,
        core: bool = False,
    ) -> None:
        self.core = core
        self.encoder = Encoder(plan, held=held, restartable=core)
        self.computing = Computing(self.encoder, fabric, argmax_registers=argmax_registers)
        super().__init__(self.computing.ports(core=core))

    @property
    def latency(self) -> int:
        """Clocks from accepting a frame's last feature to `result.valid`."""
        return self.encoder.latency + self.computing.clocks + 1

    @property
    def cycles_per_sample(self) -> int:
        """Clocks between results when features never wait for the source and results are taken at once."""
        features = self.encoder.plan.encoder.features
        return features + self.latency - 1 if self.encoder.held else max(features, self.latency)

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        encoder = self.encoder
        index, done, scores, scores_valid = self.computing.add(m)
        wiring.connect(m, wiring.flipped(self.features), encoder.features)
        self._result(m, done, index)
        if self.core:
            m.d.comb += [encoder.restart.eq(self.restart), self.empty.eq(encoder.empty)]
            self._keep(m, scores, scores_valid)
        return m

    def _keep(self, m: Module, scores: Signal, valid: Signal) -> None:
        """Scores of the result: they stand still while inputs are held, else are kept."""
        if self.encoder.held:
            m.d.comb += self.result_scores.eq(scores)
            return
        with m.If(valid):
            m.d.sync += self.result_scores.eq(scores)

    def _result(self, m: Module, done: Value, index: Value) -> None:
        """Output register and the rule that only one frame is on its way."""
        busy, left = Signal(), Signal()
        leaves = self.result.valid & self.result.ready
        # With one signal for both nextpnr's router1 does not end on a small design in our tests.
        m.d.comb += left.eq(leaves)
        with m.If(leaves):
            m.d.sync += self.result.valid.eq(0)
        with m.If(left):
            m.d.sync += busy.eq(0)
        with m.If(done):
            m.d.sync += [self.result.valid.eq(1), self.result.payload.eq(index)]
        with m.If(self.encoder.taken):
            m.d.sync += busy.eq(1)
        m.d.comb += self.encoder.hold.eq(busy)
