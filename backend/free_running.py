"""The default design where new inputs may come every clock: nothing in it ever stops.

What a register holds moves on at every clock. Only the source is told to wait, a few features before the
end of a frame whose result would find no place, and all control is single LUTs between registers: the
handshake is as fast as the fabric.
"""

from __future__ import annotations

from amaranth import Cat, ClockSignal, Const, Instance, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .compare import at_least, clocks, delayed
from .encoder import Grid
from .fabric import FabricText
from .plan import Plan, span
from .top import Computing

_SPARE = 5
"""Features after the one that closes the source, besides those that are between them by then."""


def chosen(which: Value, one: Value, other: Value) -> Value:
    """Return `one` or `other` as LUTs: of what is written otherwise Yosys makes clock enables and resets."""
    every = which.replicate(len(one)) if len(one) > 1 else which
    return every & one | ~every & other


def closing(plan: Plan) -> int:
    """Return the feature behind which the source may have to wait; negative if frames are too short."""
    return plan.encoder.features - sum(_clocks(plan)) + 1 - _SPARE


def _clocks(plan: Plan) -> tuple[int, int]:
    """Clocks from the input register to the comparators, and theirs."""
    form = plan.encoder.format
    own, table = plan.table
    compare = clocks(Shape(form.width, form.signed), Shape(*span(table)) if own else None)
    return max(2 if own else 0, 2 - compare), compare


class FreeEncoder(wiring.Component):  # type: ignore[misc]
    """Take features in order, compare them with their thresholds, keep the bits; without enables.

    Stage 0 is the input register. The rings of row and column point at the feature at `stage`; one clock
    later, beside its level, no row is chosen where no feature is. All three are registered once more, which
    can be copied where the device has room (`replicate`): they have the most loads.

    Args:
        plan: thresholds and the bits to keep.
        restartable: add the ports `restart` and `empty`, for sources whose frames can break off.

    Ports:
        features: stream of codes; feature 0 follows feature `features - 1` and reset.
        go: the next frame may be completed, else the source waits before its last feature.
        last: high for one clock when the last feature of a frame passes; the next may already be on its way.
        frame: high for one clock, the only one, while the bits of a complete frame stand in `x0`, `x1`...
        x<n>: used input bits, `CHUNK` per vector.
        restart: the next feature is feature 0. Only while `empty`, else a whole frame may be lost.
        empty: no feature is on its way to the store.
    """

    def __init__(self, plan: Plan, *, restartable: bool = False) -> None:
        self.plan = plan
        self.restartable = restartable
        form = plan.encoder.format
        shape = Shape(form.width, form.signed)
        self.ahead, self.compare = _clocks(plan)
        ports = {"features": In(stream.Signature(shape)), "go": In(1), "last": Out(1), "frame": Out(1)}
        if restartable:
            ports |= {"restart": In(1), "empty": Out(1)}
        super().__init__(ports | {f"x{n}": Out(width) for n, width in enumerate(plan.chunks)})

    @property
    def stage(self) -> int:
        """Clocks from the input register to `last`."""
        return self.ahead + self.compare - 1

    @property
    def latency(self) -> int:
        """Clocks from accepting the last feature to `frame`."""
        return self.stage + 4

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        code = Signal(self.features.payload.shape(), reset_less=True)
        filled = Signal(self.stage + 1)
        accepted = self.features.valid & self.features.ready
        m.d.sync += [code.eq(self.features.payload), filled.eq(Cat(accepted, filled))]
        near = Signal(reset_less=True)
        ready = Signal(init=1, reset_less=True)
        m.d.sync += ready.eq(~near | self.go)
        m.d.comb += self.features.ready.eq(ready)
        row, col = self._rings(m, filled, near)
        if self.restartable:
            self._empty(m, accepted, filled)
        outputs = {f"o_x{n}": getattr(self, f"x{n}") for n in range(len(self.plan.chunks))}
        levels = delayed(m, Cat(self._levels(m, code, filled[0])), 1)
        m.submodules.store = Instance(
            "lgc_store", i_clk=ClockSignal(), i_row=row, i_col=col, i_level=levels, **outputs
        )
        return m

    def _rings(self, m: Module, filled: Signal, near: Signal) -> tuple[Value, Value]:
        """Row and column of the feature beside the level, no row without one."""
        features = self.plan.encoder.features
        grid = Grid.of(features)
        row, col = (Signal(size, init=1, reset_less=True) for size in (grid.rows, grid.cols))
        here, soon = filled[self.stage], filled[self.stage - 1]

        def at(feature: int) -> Value:
            return row[feature // grid.cols] & col[feature % grid.cols]

        # What is true of the feature after this one is known before it comes. Few registers feel a reset,
        # for those have their place in the device; by way of `begins` the rings start once more.
        second, first, last = (Signal(name=name) for name in ("second", "first", "last"))
        step, closes = (Signal(name=name, reset_less=True) for name in ("step", "closes"))
        begins = Signal(init=1)
        turns = col[-2] & ~last if (features - 1) % grid.cols == grid.cols - 2 else col[-2]
        m.d.sync += [
            second.eq(chosen(here, at(features - 3), second)),
            first.eq(chosen(here, second, first)),
            last.eq(soon & chosen(here, second, first)),
            step.eq(soon & chosen(here, turns, col[-1])),
            closes.eq(here & at(closing(self.plan))),
            near.eq((near | closes) & ~begins),
            begins.eq(soon & chosen(here, second, first)),
            col.eq(self._turned(col, here, begins)),
            row.eq(self._turned(row, step, begins)),
        ]
        if self.restartable:
            with m.If(self.restart):
                m.d.sync += [second.eq(0), first.eq(0), begins.eq(1)]
        m.d.comb += self.last.eq(last)
        passed = Signal(2)
        m.d.sync += [passed.eq(Cat(last, passed)), self.frame.eq(passed[-1])]
        written = Signal(grid.rows, reset_less=True)
        m.d.sync += written.eq(row & here.replicate(grid.rows))
        return delayed(m, written, 1), delayed(m, col, 2)

    @staticmethod
    def _turned(ring: Signal, turns: Value, ends: Value) -> Value:
        """Turn a ring by one, or back to its start."""
        moved = chosen(turns, ring.rotate_left(1), ring)
        return Cat(moved[0] | ends, moved[1:] & (~ends).replicate(len(ring) - 1))

    def _empty(self, m: Module, accepted: Value, filled: Signal) -> None:
        """Whether features are on their way, told a clock late when none is left."""
        before = Signal()
        m.d.sync += [before.eq(filled[:-1].any()), self.empty.eq(~(accepted | filled[0] | before))]

    def _levels(self, m: Module, code: Signal, first: Value) -> list[Value]:
        """Return what the comparators say of the feature one clock behind the rings."""
        own, table = self.plan.table
        thresholds: list[int | Value] = [self.plan.constant(n) or 0 for n in range(self.plan.levels.size)]
        if own:
            shape = Shape(*span(table))
            word = delayed(m, self._rom(m, first), 1)
            for n, column in enumerate(own):
                part = word.word_select(n, shape.width)
                thresholds[column] = part.as_signed() if shape.signed else part
        late = delayed(m, code, self.ahead)
        least = clocks(code.shape(), None)
        found = []
        for threshold in thresholds:
            bit = at_least(m, late, threshold)
            found.append(delayed(m, bit, self.compare - least) if isinstance(threshold, int) else bit)
        return found or [Const(0, 1)]

    def _rom(self, m: Module, first: Value) -> Value:
        """Thresholds of the feature that is in the input register, a clock later."""
        features, width = self.plan.memory
        m.submodules.rom = rom = Memory(shape=unsigned(width), depth=features, init=self.plan.words)
        port = rom.read_port(domain="sync")
        position, wraps = Signal(range(features)), Signal()
        m.d.comb += [port.addr.eq(position), port.en.eq(1)]
        with m.If(first):
            m.d.sync += [position.eq(Mux(wraps, 0, position + 1)), wraps.eq(position == features - 2)]
        if self.restartable:
            with m.If(self.restart):
                m.d.sync += [position.eq(0), wraps.eq(0)]
        return Value.cast(port.data)


class Waiting(wiring.Component):  # type: ignore[misc]
    """Results that wait to be taken, each in a register that looks at its neighbours only.

    A result moves on where the next register is empty, so they pass at every other clock.

    Args:
        width: bits of a result.
        places: results that can be on their way or wait.

    Ports:
        last: a frame is on its way.
        go: there is a place for one more.
        done, payload: a result comes out of the pipeline, at least two clocks after the one before.
        result: stream of results.
    """

    def __init__(self, width: int, places: int) -> None:
        self.width, self.places = width, places
        result = Out(stream.Signature(width))
        super().__init__({"last": In(1), "go": Out(1), "done": In(1), "payload": In(width), "result": result})

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        full = [Signal(name=f"full{n}") for n in range(self.places)]
        kept = [Signal(self.width, name=f"kept{n}", reset_less=True) for n in range(self.places)]
        left = Signal(reset_less=True)  # all places are free then, whatever has left
        m.d.sync += left.eq(self.result.valid & self.result.ready)
        # A register of its own, which stands in the cell of the LUT that finds the class.
        comes, found = Signal(), Signal(self.width, reset_less=True)
        m.d.sync += [comes.eq(self.done), found.eq(self.payload)]
        before = [(comes, found), *zip(full, kept, strict=True)]
        ahead: list[Value] = [*full[1:], ~self.result.ready]
        for here, value, (moves, new), blocked in zip(full, kept, before[:-1], ahead, strict=True):
            m.d.sync += [here.eq(chosen(here, blocked, moves)), value.eq(chosen(here, value, new))]
        m.d.comb += [self.result.valid.eq(full[-1]), self.result.payload.eq(kept[-1])]
        # free places, in unary
        free = Signal(self.places, init=-1)
        more, less = Cat(Const(1, 1), free)[: self.places], Cat(free[1:], Const(0, 1))
        m.d.sync += free.eq(chosen(left & ~self.last, more, chosen(self.last & ~left, less, free)))
        m.d.comb += self.go.eq(free[0])
        return m


class FreeTop(wiring.Component):  # type: ignore[misc]
    """Encoder, fabric and argmax between two streams; frames follow each other without a gap.

    As many results find a place as there are frames on their way at full rate. Where none is left, the source
    waits shortly before the end of a frame, and nothing is lost whatever the gaps and the back-pressure.

    Ports: as those of `StreamTop`.
    """

    def __init__(self, plan: Plan, fabric: FabricText, *, argmax_registers: bool, core: bool = False) -> None:
        self.core = core
        self.encoder = FreeEncoder(plan, restartable=core)
        self.computing = Computing(self.encoder, fabric, argmax_registers=argmax_registers)
        super().__init__(self.computing.ports(core=core))

    @property
    def places(self) -> int:
        """Results that can be on their way or wait, so many that no source has to wait for them."""
        return -(-(self.computing.clocks + self.encoder.stage + 8) // (self.cycles_per_sample - 1))

    @property
    def latency(self) -> int:
        """Clocks from accepting a frame's last feature to `result.valid`."""
        return self.encoder.latency + self.computing.clocks + 1 + self.places

    @property
    def cycles_per_sample(self) -> int:
        """Clocks between results when features never wait for the source and results are taken at once."""
        return self.encoder.plan.encoder.features

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        encoder = self.encoder
        index, done, scores, scores_valid = self.computing.add(m)
        wiring.connect(m, wiring.flipped(self.features), encoder.features)
        payload, taken = index, self.result.payload
        if self.core:
            m.d.comb += [encoder.restart.eq(self.restart), self.empty.eq(encoder.empty)]
            payload = Cat(index, self._late(m, scores, scores_valid))
            taken = Cat(taken, self.result_scores)
        m.submodules.waiting = waiting = Waiting(len(payload), self.places)
        m.d.comb += [
            waiting.last.eq(encoder.last),
            encoder.go.eq(waiting.go),
            waiting.done.eq(done),
            waiting.payload.eq(payload),
            waiting.result.ready.eq(self.result.ready),
            self.result.valid.eq(waiting.result.valid),
            taken.eq(waiting.result.payload),
        ]
        return m

    def _late(self, m: Module, scores: Value, valid: Value) -> Value:
        """Scores of the class that comes out, which come before it."""
        clocks = self.computing.clocks - self.computing.fabric.score_latency
        if clocks == 0 or clocks > self.cycles_per_sample:  # others come between
            return delayed(m, scores, clocks)
        kept = Signal(len(scores), reset_less=True)
        with m.If(valid):
            m.d.sync += kept.eq(scores)
        return kept
