"""The tail of a folded network as a program in block RAM: one LUT per clock, class sums on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from amaranth import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lgc.ir.kernels import Kernel
from lgc.ir.netlist import Netlist
from lgc.ir.serial import Program

from ..interfaces.flash import connect_flash, flash_ports
from .flash import Loader, crc32
from .memory import Shapes, Store, fewest, rom_text

VALUES, TABLES, PROGRAM = "lgc_values", "lgc_tables", "lgc_program"
"""Modules of the memories."""

LEAST_TABLES = 33
"""Tables that are worth a block RAM."""

_AFTER, _ASK = 6, 66
"""Clocks from the last instruction to the result, and from the start to a flash's first bits."""

_VALUES = """\
module {name} (
  input clk, input write, input [{top}:0] to, input d, input [{top}:0] from, output reg q = 0
);
  (* ram_style = "block", no_rw_check *)
  reg [0:0] words [0:{last}];
  always @(posedge clk) begin
    if (write) words[to] <= d;
    q <= words[from];
  end
endmodule
"""


@dataclass(frozen=True, eq=False)
class Tail:
    """A program and the image it reads.

    Attributes:
        program: the instructions.
        channels: channels of the image.
        wanted: those of them that are read somewhere, ascending.
        places: in the image.
    """

    program: Program
    channels: int
    wanted: npt.NDArray[np.int64]
    places: int

    @classmethod
    def of(cls, tail: Netlist, last: Kernel) -> Tail:
        """Schedule the tail behind the last kernel.

        Args:
            tail: LUTs of at most four inputs with a readout.
            last: the kernel before.
        """
        read = np.zeros(tail.signals, np.bool_)
        read[tail.fanin] = True
        read[tail.roots()] = True
        places = math.prod(last.window.positions)
        used = read[2 : tail.first_lut].reshape(last.channels, places).any(axis=1)
        rank = np.where(used, np.cumsum(used) - 1, -1)
        count = max(1, int(used.sum()))
        address = np.where(rank[:, None] < 0, -1, rank[:, None] + count * np.arange(places))
        program = Program.of(tail, address.ravel().astype(np.int32), count * places)
        return cls(
            program, last.channels, np.flatnonzero(used) if used.any() else np.zeros(1, np.int64), places
        )

    @cached_property
    def low(self) -> int:
        """Lowest score that a class could have."""
        head = self.program.netlist().readout
        assert head is not None
        return int(head.bounds()[0].min())

    @cached_property
    def score_width(self) -> int:
        """Bits of a score less `low`."""
        head = self.program.netlist().readout
        assert head is not None
        return max(1, int(head.bounds()[1].max() - self.low).bit_length())

    @property
    def address_width(self) -> int:
        """Bits of an address."""
        return max(1, (self.program.depth - 1).bit_length())

    @cached_property
    def weight_width(self) -> int:
        """Bits of a weight."""
        weight = self.program.weight
        return (
            max(
                int(weight.max()).bit_length(), int(-weight.min() - 1).bit_length() if weight.min() < 0 else 0
            )
            + 1
        )

    @cached_property
    def tables(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Tables that occur, ascending, and each instruction's place among them."""
        return np.unique(self.program.table, return_inverse=True)

    @property
    def table_width(self) -> int:
        """Bits of a table's number."""
        return max(1, (len(self.tables[0]) - 1).bit_length())

    @property
    def memory(self) -> tuple[int, int]:
        """Words and bits per word of the program."""
        return self.program.length, self.table_width + 4 * self.address_width

    def words(self) -> list[int]:
        """Instructions as numbers: the table's, then the addresses."""
        d, a = self.table_width, self.address_width
        rows = zip(self.tables[1].tolist(), self.program.address.tolist(), strict=True)
        return [number | sum(at << d + a * pin for pin, at in enumerate(address)) for number, address in rows]

    @property
    def image_bits(self) -> int:
        """Bits of the image that are kept."""
        return len(self.wanted) * self.places

    def value_blocks(self, shapes: Shapes) -> int:
        """Block RAMs of the four copies of the values."""
        return 4 * bit_blocks(self.program.depth, shapes)

    def table_blocks(self, shapes: Shapes) -> int:
        """Block RAMs of the tables, which are logic if they are few."""
        count = len(self.tables[0])
        return fewest(count, 16, shapes) if count >= LEAST_TABLES else 0

    def store(self, shapes: Shapes, blocks: int, sprams: int = 0, luts: int | None = None) -> Store:
        """Decide where the program goes.

        Args:
            shapes: of block RAMs, none if there are none.
            blocks: block RAMs for values, tables and program.
            sprams: SPRAMs.
            luts: see `Store.choose`.
        """
        left = blocks - self.value_blocks(shapes) - self.table_blocks(shapes)
        return Store.choose(*self.memory, shapes=shapes, blocks=left, sprams=sprams, luts=luts)

    def values(self) -> str:
        """Verilog of the memories of values."""
        return values_text(VALUES, self.address_width, self.program.depth)

    def text(self, store: Store, shapes: Shapes) -> str:
        """Verilog of program, tables and values."""
        tables = self.tables[0].tolist()
        inside = len(tables) if self.table_blocks(shapes) else 0
        return self.values() + rom_text(TABLES, tables, 16, inside) + store.text(PROGRAM, self.words())


def values_text(name: str, address: int, depth: int) -> str:
    """Write a memory of bits, `address` bits wide and `depth` long, that is read a clock later."""
    return _VALUES.format(name=name, top=address - 1, last=depth - 1)


def bit_blocks(depth: int, shapes: Shapes) -> int:
    """Block RAMs of a memory of so many bits that are written one by one."""
    if all(width > 1 for _, width in shapes):  # of iCE40, which write single bits of a word
        shapes = tuple((words * width, 1) for words, width in shapes)
    return fewest(depth, 1, shapes)


def clocks(store: Store) -> int:
    """Clocks from the last stored bit to the result."""
    return _AFTER + (_ASK + 32 * store.columns * store.words if store.streamed else store.words)


class _Run(NamedTuple):
    """What an instruction does with its result."""

    weight: Value
    writes: Value
    last: Value


class SerialTail(wiring.Component):  # type: ignore[misc]
    """Take an image bit by bit, run the program, give the class with the highest score.

    Four copies of the values serve the four reads of an instruction. An instruction takes a clock; its
    word, its values and its result stand in registers, so that the next three must not read it. What it
    does with its result is told by the run that it is in.

    Args:
        tail: the program.
        store: where it lies.
        ahead: see `Store` of `front`.

    Ports:
        image: stream of places.
        whole: high for one clock with the last feature of a frame.
        started: high for one clock when the program starts with an image.
        restart: forget places of an image whose program has not started.
        result: stream of class indices, the lowest of equals.
        scores, scores_valid: scores less `tail.low`, class-major, for simulation.
        flash_*: to the flash, of a program that is loaded.
    """

    def __init__(self, tail: Tail, store: Store, *, ahead: int) -> None:
        self.tail, self.store, self.ahead = tail, store, ahead
        self.classes = len(tail.program.bias)
        super().__init__(
            {
                "image": In(stream.Signature(tail.channels)),
                "whole": In(1),
                "started": Out(1),
                "restart": In(1),
                "result": Out(stream.Signature(max(1, (self.classes - 1).bit_length()))),
                "scores": Out(self.classes * tail.score_width),
                "scores_valid": Out(1),
            }
            | (flash_ports() if store.flash else {})
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        complete, free = Signal(), Signal()
        m.d.comb += free.eq(self.result.valid & self.result.ready)
        kept = Signal()  # the image is that of a frame whose program runs or has run
        bit, load = self._load(m, complete, free, kept)
        end, ready = Signal(), Signal(init=1)
        running = self._run(m, complete & ~load & ready, end, free, kept)
        step = Signal()
        word = self._fetch(m, running, step, end, ready)
        run = self._runs(m, step)
        here = Signal(3)
        m.d.sync += here.eq(Cat(step, here[:2]))
        value = self._execute(m, word, here[2] & run.writes, free | self.restart & ~kept, (bit, load))
        self._count(m, here[2], Mux(value, run.weight, 0), run.last)
        return m

    def _load(self, m: Module, complete: Signal, free: Value, kept: Value) -> tuple[Value, Value]:
        """Take places apart; return a bit to store and whether there is one."""
        wanted, places = self.tail.wanted, self.tail.places
        left, place = Signal(range(len(wanted) + 1)), Signal(range(places))
        bits, take = Signal(len(wanted), reset_less=True), Signal()
        m.d.comb += [
            self.image.ready.eq(~complete & (left <= 1)),
            take.eq(self.image.valid & self.image.ready),
        ]
        with m.If(take):
            m.d.sync += [
                left.eq(len(wanted)),
                bits.eq(Cat(self.image.payload[c] for c in wanted.tolist())),
                place.eq(Mux(place == places - 1, 0, place + 1)),
                complete.eq(place == places - 1),
            ]
        with m.Elif(left != 0):
            m.d.sync += [left.eq(left - 1), bits.eq(bits >> 1)]
        with m.If(free):
            m.d.sync += complete.eq(0)
        with m.If(self.restart & ~kept):
            m.d.sync += [complete.eq(0), left.eq(0), place.eq(0)]
        return bits[0], left != 0

    def _run(self, m: Module, loaded: Value, end: Value, free: Value, kept: Signal) -> Signal:
        """Start the program once all is there; return whether it runs."""
        running = Signal()
        owed: Value = Const(1, 1)
        if self.ahead:
            count = Signal(range(self.ahead + 1))
            m.d.sync += count.eq(count + self.whole - self.started)
            owed = count != 0
        m.d.comb += self.started.eq(loaded & ~kept & owed)
        with m.If(self.started):
            m.d.sync += [kept.eq(1), running.eq(1)]
        with m.Elif(end):
            m.d.sync += running.eq(0)
        with m.If(free):
            m.d.sync += kept.eq(0)
        return running

    def _fetch(self, m: Module, running: Value, step: Signal, end: Signal, ready: Signal) -> Value:
        """Step through the program; return the instruction of the clock before."""
        store = self.store
        at, word = Signal(store.address), Signal(store.bits)
        ports = {"i_clk": ClockSignal(), "i_at": at, "o_q": word}
        m.d.comb += step.eq(running)
        if store.flash:
            m.submodules.loader = loader = Loader(store, crc32(store.image(self.tail.words())))
            m.d.comb += [ready.eq(loader.done), loader.go.eq(self.started)]
            connect_flash(m, self, loader)
            ports |= {"i_write": loader.write, "i_to": loader.to, "i_column": loader.column}
            ports |= {"i_d": loader.data, "i_at": Cat(at, Const(0, len(loader.to) - len(at)))}
        if store.streamed:
            m.d.comb += [step.eq(running & loader.write), word.eq(loader.data)]
        else:
            m.submodules.program = Instance(PROGRAM, **ports)
        m.d.comb += end.eq(step & (at == store.words - 1))
        with m.If(step):
            m.d.sync += at.eq(Mux(end, 0, at + 1))
        self._at = at
        return word

    def _runs(self, m: Module, step: Value) -> _Run:
        """Step through the runs; return what holds for the result that stands in its register."""
        program = self.tail.program
        ends = program.runs.tolist()
        weights, lasts = program.weight[program.runs].tolist(), program.last[program.runs].tolist()
        to, width = Signal(self.store.address, init=ends[0]), self.tail.weight_width
        weight, last = Signal(signed(width), init=weights[0]), Signal(init=lasts[0])
        following = Signal(range(max(len(ends), 2)), init=1 % len(ends))
        final = self._at == to
        with m.If(step & final), m.Switch(following):
            for n in range(len(ends)):
                with m.Case(n):
                    m.d.sync += [to.eq(ends[n]), weight.eq(weights[n]), last.eq(lasts[n])]
                    m.d.sync += following.eq((n + 1) % len(ends))
        found = _Run(weight, weight == 0, last & final)
        for n in range(3):
            names = (f"{name}{n}" for name in _Run._fields)
            shapes = (signed(width), 1, 1)
            stage = _Run(*(Signal(shape, name=name) for name, shape in zip(names, shapes, strict=True)))
            m.d.sync += [after.eq(before) for after, before in zip(stage, found, strict=True)]
            found = stage
        return found

    def _execute(self, m: Module, word: Value, done: Value, begin: Value, load: tuple[Value, Value]) -> Value:
        """Read values, look up, write the result if there is one to write; return it."""
        a, d = self.tail.address_width, self.tail.table_width
        values = [Signal(name=f"pin{pin}") for pin in range(4)]
        out = self._look_up(m, word, Cat(values))
        to, write = Signal(a), Signal()
        m.d.comb += write.eq(load[1] | done)
        with m.If(begin):
            m.d.sync += to.eq(0)
        with m.Elif(write):
            m.d.sync += to.eq(to + 1)
        for pin, value in enumerate(values):
            m.submodules[f"values{pin}"] = Instance(
                VALUES, i_clk=ClockSignal(), i_write=write, i_to=to, i_d=Mux(load[1], load[0], out),
                i_from=word[d + a * pin : d + a * (pin + 1)], o_q=value,
            )  # fmt: skip
        return out

    def _look_up(self, m: Module, word: Value, values: Value) -> Signal:
        """Return the result of an instruction, a clock after its values."""
        table, out = Signal(16), Signal(reset_less=True)
        m.submodules.tables = Instance(
            TABLES, i_clk=ClockSignal(), i_at=word[: self.tail.table_width], o_q=table
        )
        m.d.sync += out.eq(table.bit_select(values, 1))
        return out

    def _count(self, m: Module, done: Value, more: Value, last: Value) -> None:
        """Add up scores, one class after the other, and keep the highest."""
        width = self.tail.score_width
        start = [(int(bias) - self.tail.low) % (1 << width) for bias in self.tail.program.bias]
        packed = sum(value << n * width for n, value in enumerate(start[1:]))
        starts = Const(packed | start[0] << (self.classes - 1) * width, self.classes * width)
        number, best, index = Signal(range(self.classes)), Signal(width), Signal(range(self.classes))
        total, score, scored = Signal(width, init=start[0]), Signal(width), Signal()
        now = (total + more)[:width]
        following = Signal(range(self.classes))
        with m.If(done):
            m.d.sync += total.eq(now)
            with m.If(last):
                m.d.sync += [
                    total.eq(starts.word_select(following, width)),
                    following.eq(Mux(following == self.classes - 1, 0, following + 1)),
                    score.eq(now),
                ]
        better = (number == 0) | (score > best)
        winner = Mux(better, number, index)
        end = scored & (number == self.classes - 1)
        m.d.sync += [scored.eq(done & last), self.scores_valid.eq(end)]
        with m.If(scored):
            m.d.sync += [
                number.eq(Mux(end, 0, number + 1)),
                best.eq(Mux(better, score, best)),
                index.eq(winner),
                self.scores.eq(Cat(self.scores[width:], score)),
            ]
        with m.If(end):
            m.d.sync += [self.result.valid.eq(1), self.result.payload.eq(winner)]
        with m.Elif(self.result.valid & self.result.ready):
            m.d.sync += self.result.valid.eq(0)
