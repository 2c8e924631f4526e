"""Argmax as a tournament of comparators; ties go to the lower class."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

Scores = tuple[tuple[bool | int, ...], ...]
"""For each class its score's bits, lowest first: a constant, or a bit number of port `s<class>`."""


class Argmax(wiring.Component):  # type: ignore[misc]
    """Index of the highest of several unsigned scores.

    Constant score bits are built in, for they simplify the comparators.

    Ports:
        s<class>: the variable bits of a class's score, lowest first.
        index: the class, `latency` clocks later.

    Args:
        scores: where the bits of each score are.
        registers: register the scores and the winners between rounds.
    """

    def __init__(self, scores: Scores, *, registers: bool) -> None:
        self.scores = scores
        self.registers = registers
        self.rounds = (len(scores) - 1).bit_length()
        variable = [sum(not isinstance(bit, bool) for bit in bits) for bits in scores]
        ports = {f"s{c}": In(width) for c, width in enumerate(variable) if width}
        super().__init__(ports | {"index": Out(max(self.rounds, 1))})

    @property
    def latency(self) -> int:
        """Clocks from scores to index: the input register, then one after each round but the last."""
        return self.rounds if self.registers else 0

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        del platform
        m = Module()
        players = [(self._score(m, c), Value.cast(Const(0, 0))) for c in range(len(self.scores))]
        for number in range(self.rounds):
            pairs = [players[n : n + 2] for n in range(0, len(players), 2)]
            players = [self._play(m, f"r{number}_{n}", pair) for n, pair in enumerate(pairs)]
            if self.registers and number < self.rounds - 1:
                players = [self._hold(m, f"r{number}_{n}", *player) for n, player in enumerate(players)]
        m.d.comb += self.index.eq(players[0][1])
        return m

    def _score(self, m: Module, c: int) -> Value:
        """Score of class c, registered where asked."""
        if not hasattr(self, f"s{c}"):
            return Cat(Const(int(bit), 1) for bit in self.scores[c])
        port = getattr(self, f"s{c}")
        held = port
        if self.latency:
            held = Signal(port.shape(), name=f"score{c}", reset_less=True)
            m.d.sync += held.eq(port)
        return Cat(Const(int(bit), 1) if isinstance(bit, bool) else held[bit] for bit in self.scores[c])

    def _play(self, m: Module, name: str, pair: list[tuple[Value, Value]]) -> tuple[Value, Value]:
        """Winner of a pair, or the only player; an index gains its high bit here."""
        if len(pair) == 1:
            score, index = pair[0]
            return score, Cat(index, Const(0, 1))
        (a, a_index), (b, b_index) = pair
        second = Signal(name=f"{name}_second")
        m.d.comb += second.eq(b > a)
        return Mux(second, b, a), Cat(Mux(second, b_index, a_index), second)

    def _hold(self, m: Module, name: str, score: Value, index: Value) -> tuple[Value, Value]:
        """Register a player."""
        score_held = Signal(len(score), name=f"{name}_score", reset_less=True)
        index_held = Signal(len(index), name=f"{name}_index", reset_less=True)
        m.d.sync += [score_held.eq(score), index_held.eq(index)]
        return score_held, index_held
