"""The design with all features of a sample in one clock: the parallel interface."""

from __future__ import annotations

from amaranth import Cat, Module, Shape, Signal, Value, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .compare import at_least, clocks
from .fabric import CHUNK, FabricText
from .plan import Plan
from .top import Computing


class WideEncoder(wiring.Component):  # type: ignore[misc]
    """Compare all features of a sample at once and register the bits that the fabric reads.

    Args:
        plan: thresholds and the bits to keep.
        held: keep them until the next sample is taken; else they are new at every clock, and comparators
            have a register behind each LUT.

    Ports:
        features: stream of samples, feature 0 in the lowest bits.
        hold: take no sample.
        taken: high for one clock when a sample is taken.
        frame: high for one clock while its bits stand in `x0`, `x1`...
        x<n>: used input bits, `CHUNK` per vector.
    """

    def __init__(self, plan: Plan, *, held: bool) -> None:
        self.plan, self.held = plan, held
        form = plan.encoder.format
        self.latency = 1 if held else clocks(Shape(form.width, form.signed), None)
        ports = {
            "features": In(stream.Signature(plan.encoder.features * form.width)),
            "hold": In(1),
            "taken": Out(1),
            "frame": Out(1),
        }
        super().__init__(ports | {f"x{n}": Out(width) for n, width in enumerate(plan.chunks)})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        form = self.plan.encoder.format
        taken = self.features.valid & self.features.ready
        m.d.comb += [self.features.ready.eq(~self.hold), self.taken.eq(taken)]
        waits = Signal(self.latency)
        m.d.sync += waits.eq(Cat(taken, waits))
        m.d.comb += self.frame.eq(waits[-1])
        thresholds = self.plan.thresholds[self.plan.feature, self.plan.column].tolist()
        compared = []
        for feature, threshold in zip(self.plan.feature.tolist(), thresholds, strict=True):
            code = self.features.payload.word_select(feature, form.width)
            code = code.as_signed() if form.signed else code
            compared.append(code >= threshold if self.held else at_least(m, code, threshold))
        bits = Signal(max(len(compared), 1), reset_less=self.held)
        if self.held:
            with m.If(taken):
                m.d.sync += bits.eq(Cat(compared))
        else:
            m.d.comb += bits.eq(Cat(compared))
        for n, width in enumerate(self.plan.chunks):
            m.d.comb += getattr(self, f"x{n}").eq(bits[n * CHUNK : n * CHUNK + width])
        return m


class Queue(wiring.Component):  # type: ignore[misc]
    """Results of a pipeline that cannot stop: room for all that are on their way, or none is let in.

    Args:
        width: bits of a result.
        latency: clocks from `taken` to `done`.

    Ports:
        taken: a sample was let in.
        full: let none in.
        done, payload: a result comes out of the pipeline.
        result: stream of results.
    """

    latency = 2
    """Clocks from `done` to a valid result."""

    def __init__(self, width: int, latency: int) -> None:
        self.width, self.depth = width, latency + 2
        super().__init__(
            {
                "taken": In(1),
                "full": Out(1),
                "done": In(1),
                "payload": In(width),
                "result": Out(stream.Signature(width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        leaves = self.result.valid & self.result.ready
        # One is let in after the last that there is room for, as what was taken is counted a clock later.
        room = Signal(signed(self.depth.bit_length() + 1), init=self.depth - 2)
        more, less = Signal(), Signal()
        m.d.sync += [more.eq(leaves), less.eq(self.taken), room.eq(_counted(room, more, less))]
        m.d.comb += self.full.eq(room[-1])
        self._keep(m)
        return m

    def _keep(self, m: Module) -> None:
        """Keep results in a memory. There is room for all, so writing asks for none."""
        bits = (self.depth - 1).bit_length()
        m.submodules.storage = storage = Memory(shape=unsigned(self.width), depth=1 << bits, init=[])
        write, read = storage.write_port(), storage.read_port(domain="sync")
        behind = Signal(signed(bits + 1), init=-1)  # results that wait behind the next one, -1 for none
        reads = ~behind[-1] & (~self.result.valid | self.result.ready)
        m.d.comb += [
            write.en.eq(self.done),
            write.data.eq(self.payload),
            read.en.eq(reads),
            self.result.payload.eq(read.data),
        ]
        m.d.sync += self.result.valid.eq(reads | (self.result.valid & ~self.result.ready))
        m.d.sync += [write.addr.eq(write.addr + self.done), read.addr.eq(read.addr + reads)]
        m.d.sync += behind.eq(_counted(behind, self.done, reads))


def _counted(number: Signal, more: Value, less: Value) -> Value:
    """Return a signed number after one more, one less or both, with one adder and no clock enable."""
    return number + Cat(more ^ less, (less & ~more).replicate(len(number) - 1)).as_signed()


class WideTop(wiring.Component):  # type: ignore[misc]
    """Encoder, fabric and argmax between two streams, a sample being one beat.

    Args:
        plan: thresholds and the bits that are read.
        fabric: the fabric, written for inputs that are held, or not.
        argmax_registers: see `Argmax`.
        held: take a sample once the result of the one before was taken, so that its bits stand still.
            Else one may come every clock, and a queue keeps what nobody takes.
        scores: give them, too.

    Ports:
        features: stream of samples, feature 0 in the lowest bits.
        result: stream of class indices; the scores, class-major, are above.
    """

    def __init__(
        self, plan: Plan, fabric: FabricText, *, argmax_registers: bool, held: bool, scores: bool
    ) -> None:
        self.held, self.with_scores = held, scores
        self.encoder = WideEncoder(plan, held=held)
        self.computing = found = Computing(self.encoder, fabric, argmax_registers=argmax_registers)
        self.width = found.class_width + scores * found.scores_width
        super().__init__(
            {
                "features": In(stream.Signature(self.encoder.features.payload.shape())),
                "result": Out(stream.Signature(self.width)),
            }
        )

    @property
    def latency(self) -> int:
        """Clocks from accepting a sample to `result.valid`."""
        return self.encoder.latency + self.computing.clocks + (1 if self.held else Queue.latency)

    @property
    def cycles_per_sample(self) -> int:
        """Clocks between results where samples never wait for the source and results are taken at once."""
        return self.latency + 1 if self.held else 1

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        index, done, scores, _ = self.computing.add(m)
        wiring.connect(m, wiring.flipped(self.features), self.encoder.features)
        if self.with_scores:
            late = scores  # a register for each clock that the class comes after its scores
            for _ in range(0 if self.held else self.computing.clocks - self.computing.fabric.score_latency):
                before, late = late, Signal.like(scores, reset_less=True)
                m.d.sync += late.eq(before)
            index = Cat(index, late)
        (self._hold if self.held else self._queue)(m, done, index)
        return m

    def _hold(self, m: Module, done: Value, found: Value) -> None:
        """Output register, and one sample at a time."""
        busy = Signal()
        with m.If(self.result.valid & self.result.ready):
            m.d.sync += [self.result.valid.eq(0), busy.eq(0)]
        with m.If(done):
            m.d.sync += [self.result.valid.eq(1), self.result.payload.eq(found)]
        with m.If(self.encoder.taken):
            m.d.sync += busy.eq(1)
        m.d.comb += self.encoder.hold.eq(busy)

    def _queue(self, m: Module, done: Value, found: Value) -> None:
        """Results in a queue with room for all that are on their way."""
        m.submodules.queue = queue = Queue(self.width, self.latency)
        wiring.connect(m, queue.result, wiring.flipped(self.result))
        m.d.comb += [
            queue.taken.eq(self.encoder.taken),
            queue.done.eq(done),
            queue.payload.eq(found),
            self.encoder.hold.eq(queue.full),
        ]
