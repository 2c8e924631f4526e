"""The tail of a folded network as a program in block RAM: one LUT per clock, class sums on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from amaranth import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lgc.ir.kernels import Kernel
from lgc.ir.netlist import Netlist
from lgc.ir.serial import Program

VALUES, PROGRAM = "lgc_values", "lgc_program"
"""Modules of the memories."""

Shapes = tuple[tuple[int, int], ...]
"""Words and bits per word that a block RAM can have."""

AFTER = 6
"""Clocks besides the program's length from the last stored bit to the result."""

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

    @property
    def memory(self) -> tuple[int, int]:
        """Words and bits per word of the program."""
        return self.program.length, 16 + 4 * self.address_width + self.weight_width + 1

    def words(self) -> list[int]:
        """Instructions as numbers: table, addresses, weight, last."""
        p, a, w = self.program, self.address_width, self.weight_width
        found = []
        rows = zip(p.table.tolist(), p.address.tolist(), p.weight.tolist(), p.last.tolist(), strict=True)
        for table, address, weight, last in rows:
            word = table | sum(at << 16 + a * pin for pin, at in enumerate(address))
            word |= (weight & (1 << w) - 1) << 16 + 4 * a | last << 16 + 4 * a + w
            found.append(word)
        return found

    def blocks(self, shapes: Shapes, words: int) -> int:
        """Block RAMs of so many instructions."""
        return fewest(words, self.memory[1], shapes)

    def inside(self, shapes: Shapes, blocks: int) -> int:
        """Instructions that go to block RAM, of which there are so many for values and program."""
        left = blocks - 4 * fewest(self.program.depth, 1, shapes)
        words = self.program.length
        if not shapes or self.blocks(shapes, words) <= left:
            return words
        step = min(depth for depth, _ in shapes)
        return max((n for n in range(0, words, step) if self.blocks(shapes, n) <= left), default=0)

    def text(self, inside: int) -> str:
        """Verilog of program and values; the first `inside` instructions go to block RAM."""
        values = _VALUES.format(name=VALUES, top=self.address_width - 1, last=self.program.depth - 1)
        return values + program_text(self.words(), self.memory[1], inside)


def fewest(words: int, bits: int, shapes: Shapes) -> int:
    """Block RAMs of a memory."""
    return min((-(-words // depth) * -(-bits // width) for depth, width in shapes), default=0)


def program_text(words: list[int], width: int, inside: int) -> str:
    """Write a memory that is read a clock later, its first `inside` words in block RAM, the rest in LUTs."""
    address = max(1, (len(words) - 1).bit_length())
    lines = [
        f"module {PROGRAM} (input clk, input [{address - 1}:0] at, output [{width - 1}:0] q);",
    ]
    parts = [("block", 0, inside), ("logic", inside, len(words))]
    parts = [part for part in parts if part[1] < part[2]]
    for style, first, last in parts:
        lines += [
            f'  (* rom_style = "{style}" *)',
            f"  reg [{width - 1}:0] in_{style} [0:{last - first - 1}];",
            f"  reg [{width - 1}:0] q_{style} = 0;",
            f"  wire [{address - 1}:0] at_{style} = at - {address}'d{first};",
            "  initial begin",
            *(f"    in_{style}[{n}] = {width}'h{word:x};" for n, word in enumerate(words[first:last])),
            "  end",
            f"  always @(posedge clk) q_{style} <= in_{style}[at_{style}];",
        ]
    if len(parts) == 1:
        lines.append(f"  assign q = q_{parts[0][0]};")
    else:
        lines += [
            "  reg behind = 0;",
            f"  always @(posedge clk) behind <= at >= {address}'d{inside};",
            "  assign q = behind ? q_logic : q_block;",
        ]
    return "\n".join([*lines, "endmodule", ""])


class SerialTail(wiring.Component):  # type: ignore[misc]
    """Take an image bit by bit, run the program, give the class with the highest score.

    Four copies of the values serve the four reads of an instruction. An instruction takes a clock; its
    word, its values and its result stand in registers, so that the next three must not read it.

    Args:
        tail: the program.
        ahead: see `Store`.

    Ports:
        image: stream of places.
        whole: high for one clock with the last feature of a frame.
        started: high for one clock when the program starts with an image.
        restart: forget places of an image whose program has not started.
        result: stream of class indices, the lowest of equals.
        scores, scores_valid: scores less `tail.low`, class-major, for simulation.
    """

    def __init__(self, tail: Tail, *, ahead: int) -> None:
        self.tail, self.ahead = tail, ahead
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
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        complete, free = Signal(), Signal()
        m.d.comb += free.eq(self.result.valid & self.result.ready)
        kept = Signal()  # the image is that of a frame whose program runs or has run
        bit, load = self._load(m, complete, free, kept)
        end = Signal()
        running = self._run(m, complete & ~load, end, free, kept)
        word = self._fetch(m, running, end)
        here = Signal(3)
        m.d.sync += here.eq(Cat(running, here[:2]))
        value, weight, last = self._execute(m, word, here[2], free | self.restart & ~kept, (bit, load))
        self._count(m, here[2], Mux(value, weight, 0), last)
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

    def _fetch(self, m: Module, running: Value, end: Signal) -> Value:
        """Step through the program; return the instruction of the clock before."""
        words, width = self.tail.memory
        at, word = Signal(range(max(words, 2))), Signal(width)
        m.submodules.program = Instance(PROGRAM, i_clk=ClockSignal(), i_at=at, o_q=word)
        m.d.comb += end.eq(running & (at == words - 1))
        with m.If(running):
            m.d.sync += at.eq(Mux(end, 0, at + 1))
        return word

    def _execute(
        self, m: Module, word: Value, done: Value, free: Value, load: tuple[Value, Value]
    ) -> tuple[Value, Value, Value]:
        """Read values, look up, write the result; return it, its weight and whether a class ends."""
        a, w = self.tail.address_width, self.tail.weight_width
        values = [Signal(name=f"pin{pin}") for pin in range(4)]
        table, out = Signal(16, reset_less=True), Signal(reset_less=True)
        weights = [Signal(signed(w), name=f"weight{n}", reset_less=True) for n in range(2)]
        lasts = [Signal(name=f"last{n}", reset_less=True) for n in range(2)]
        m.d.sync += [
            table.eq(word[:16]),
            out.eq(table.bit_select(Cat(values), 1)),
            weights[0].eq(word[16 + 4 * a : 16 + 4 * a + w]),
            weights[1].eq(weights[0]),
            lasts[0].eq(word[-1]),
            lasts[1].eq(lasts[0]),
        ]
        to, write = Signal(a), Signal()
        m.d.comb += write.eq(load[1] | done & (weights[1] == 0))
        with m.If(free):
            m.d.sync += to.eq(0)
        with m.Elif(write):
            m.d.sync += to.eq(to + 1)
        for pin, value in enumerate(values):
            m.submodules[f"values{pin}"] = Instance(
                VALUES, i_clk=ClockSignal(), i_write=write, i_to=to, i_d=Mux(load[1], load[0], out),
                i_from=word[16 + a * pin : 16 + a * (pin + 1)], o_q=value,
            )  # fmt: skip
        return out, weights[1], lasts[1]

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
