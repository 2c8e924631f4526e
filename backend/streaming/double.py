"""A tail as a program with room for two images: the next one is loaded while the program runs."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value

from lgc.ir.netlist import Netlist
from lgc.ir.serial import Program

from .memory import Shapes, Store
from .serial import VALUES, SerialTail, Tail, bit_blocks, values_text

RESULTS = "lgc_results"
"""Module of the memory of results; inputs have one of their own."""


@dataclass(frozen=True, eq=False)
class DoubleTail(Tail):
    """A program whose inputs and results lie in memories of their own, that of the inputs twice as long.

    Attributes:
        half: address bits of an image; the next bit of an address tells results from inputs.
    """

    half: int = 0

    @classmethod
    def of_single(cls, net: Netlist, single: Tail) -> DoubleTail:
        """Move the addresses of a program.

        Args:
            net: what the program was made of.
            single: the program.
        """
        inputs = single.program.inputs
        results = single.program.depth - inputs
        half = max(inputs - 1, results - 1, 1).bit_length()
        program = Program.of(net, single.program.where, 1 << half)
        return cls(program, single.channels, single.wanted, single.places, half)

    @property
    def results(self) -> int:
        """Addresses of results."""
        return self.program.depth - self.program.inputs

    @property
    def _depths(self) -> tuple[int, int]:
        return (1 << self.half) + self.image_bits, self.results

    def value_blocks(self, shapes: Shapes) -> int:
        """Block RAMs of the four copies of inputs and results."""
        return sum(4 * bit_blocks(depth, shapes) for depth in self._depths)

    def values(self) -> str:
        """Verilog of the memories of inputs and of results."""
        images, results = self._depths
        found = values_text(VALUES, self.half + 1, images)
        return found + (values_text(RESULTS, self.half, results) if results else "")


class DoubleSerialTail(SerialTail):
    """`SerialTail` that takes an image while it runs the program on the one before.

    Args:
        tail: the program.
        store: where it lies.
        ahead: see `Store` of `front`.
    """

    def __init__(self, tail: DoubleTail, store: Store, *, ahead: int) -> None:
        super().__init__(tail, store, ahead=ahead)
        self.double = tail

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        free, busy, end, ready = Signal(), Signal(), Signal(), Signal(init=1)
        running, filled, half = Signal(), Signal(2), Signal()  # halves that are filled, half that is run
        m.d.comb += free.eq(self.result.valid & self.result.ready)
        load = self._fill(m, filled, free, half)
        owed: Value = Const(1, 1)
        if self.ahead:
            count = Signal(range(self.ahead + 1))
            m.d.sync += count.eq(count + self.whole - self.started)
            owed = count != 0
        m.d.comb += self.started.eq(filled.bit_select(half, 1) & ~busy & owed & ready)
        with m.If(self.started):
            m.d.sync += [busy.eq(1), running.eq(1)]
        with m.Elif(end):
            m.d.sync += running.eq(0)
        with m.If(free):
            m.d.sync += [busy.eq(0), half.eq(~half)]
        step = Signal()
        word = self._fetch(m, running, step, end, ready)
        run = self._runs(m, step)
        here = Signal(3)
        m.d.sync += here.eq(Cat(step, here[:2]))
        value = self._step(m, word, here[2] & run.writes, free, load, half)
        self._count(m, here[2], Mux(value, run.weight, 0), run.last)
        return m

    def _fill(self, m: Module, filled: Signal, free: Value, half: Value) -> tuple[Value, Value, Value]:
        """Take places apart; return a bit to store, whether there is one, and its address."""
        tail = self.double
        wanted, places = tail.wanted, tail.places
        left, place, into = Signal(range(len(wanted) + 1)), Signal(range(places)), Signal()
        bits, take = Signal(len(wanted), reset_less=True), Signal()
        address, stored = Signal(tail.half), Signal()
        begins = place == 0  # an image is complete with its last bit
        m.d.comb += [
            self.image.ready.eq(
                Mux(left == 0, ~filled.bit_select(into, 1), (left == 1) & ~begins)
                if places > 1
                else (left == 0) & ~filled.bit_select(into, 1)
            ),
            take.eq(self.image.valid & self.image.ready),
            stored.eq((left == 1) & begins),
        ]
        with m.If(take):
            m.d.sync += [
                left.eq(len(wanted)),
                bits.eq(Cat(self.image.payload[c] for c in wanted.tolist())),
                place.eq(Mux(place == places - 1, 0, place + 1)),
            ]
        with m.Elif(left != 0):
            m.d.sync += [left.eq(left - 1), bits.eq(bits >> 1)]
        with m.If(left != 0):
            m.d.sync += address.eq(Mux(stored, 0, address + 1))
        for number in range(2):
            with m.If(stored & (into == number)):
                m.d.sync += filled[number].eq(1)
            with m.Elif(free & (half == number)):
                m.d.sync += filled[number].eq(0)
        with m.If(stored):
            m.d.sync += into.eq(~into)
        return bits[0], left != 0, Cat(address, into)

    def _step(
        self, m: Module, word: Value, done: Value, free: Value, load: tuple[Value, Value, Value], half: Value
    ) -> Value:
        """Read values, look up, write the result if there is one to write; return it."""
        low, width, results = self.double.half, self.double.address_width, self.double.results
        to, values = Signal(low), [Signal(name=f"value{pin}") for pin in range(4)]
        out = self._look_up(m, word, Cat(values))
        bit, loads, address = load
        for pin in range(4):
            first = self.double.table_width + width * pin
            at = word[first : first + width]
            value, result, which = Signal(name=f"pin{pin}"), Signal(name=f"result{pin}"), Signal()
            m.submodules[f"values{pin}"] = Instance(
                VALUES, i_clk=ClockSignal(), i_write=loads, i_to=address, i_d=bit,
                i_from=Cat(at[:low], half), o_q=value,
            )  # fmt: skip
            if results:
                m.submodules[f"results{pin}"] = Instance(
                    RESULTS, i_clk=ClockSignal(), i_write=done, i_to=to, i_d=out, i_from=at[:low], o_q=result
                )
                m.d.sync += which.eq(at[low])
            m.d.comb += values[pin].eq(Mux(which, result, value))
        with m.If(free):
            m.d.sync += to.eq(0)
        with m.Elif(done):
            m.d.sync += to.eq(to + 1)
        return out
