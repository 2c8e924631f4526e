"""Bits to be counted, column by column, and the record of how they were."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ..builder import Builder, Literal
from ..ledger import DEAD, SINGLE, Block, Term

Pair = tuple[Literal, Literal]
"""`(x, p)` stands for the two bits x and `x ^ p`."""


@dataclass
class Column:
    """Bits of one weight in one class."""

    singles: list[Literal] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)


class Tally:
    """The columns of one class while they are added up.

    Every counter goes through `replace`, which keeps the books: terms out of the columns, terms into
    the columns, and a `Block` that says so. `starts` says per column how many single bits are wanted,
    so that as many chains of blocks can run in parallel.
    """

    def __init__(self, builder: Builder, group: int, width: int, terms: Iterable[Term]) -> None:
        self.builder, self.group, self.width = builder, group, width
        self.columns = [Column() for _ in range(width)]
        self.blocks: list[Block] = []
        self.starts = [0] * width
        self._ordered = -1
        self._held: dict[int, Literal] = {}
        for term in terms:
            if normal(term, width) == [term]:
                self._deposit(term)
            else:
                self.replace([term], [term])

    def lut(self, function: Callable[..., int], *literals: Literal) -> Literal:
        """Return `function` of the literals, see `Builder.lut`."""
        return self.builder.lut(function, *literals)

    def replace(self, inputs: Iterable[Term], outputs: Iterable[Term]) -> None:
        """Enter a counter; its inputs have been taken out of the columns by the caller."""
        produced = [plain for term in outputs for plain in normal(term, self.width)]
        self.blocks.append(Block(self.group, tuple(inputs), tuple(produced)))
        for term in produced:
            self._deposit(term)

    def sort(self, w: int) -> None:
        """Sort column w so that its earliest bits come last, where they are popped."""
        self.columns[w].singles.sort(key=self._lateness)
        self.columns[w].pairs.sort(key=self._pair_lateness)

    def order(self, w: int) -> None:
        """Sort column w, and keep it sorted until another is."""
        self.sort(w)
        self._ordered = w

    def is_ordered(self, w: int) -> bool:
        """Whether column w is the one kept sorted."""
        return w == self._ordered

    def put_back(self, w: int, single: Literal) -> None:
        """Return a bit that was taken out of column w."""
        self._deposit((w, single, SINGLE))

    def _lateness(self, x: Literal) -> int:
        return -self.builder.level(x)

    def _pair_lateness(self, pair: Pair) -> int:
        return -max(self.builder.level(pair[0]), self.builder.level(pair[1]))

    def _deposit(self, term: Term) -> None:
        w, x, p = term
        if w >= self.width:
            return
        column = self.columns[w]
        if w == self._ordered and p == SINGLE:
            insort(column.singles, x, key=self._lateness)
        elif w == self._ordered:
            insort(column.pairs, (x, p), key=self._pair_lateness)
        elif p == SINGLE:
            column.singles.append(x)
        else:
            column.pairs.append((x, p))

    def take(self, w: int, single: Literal) -> Literal:
        """Take the newest single bit of column w out again; 0 if a constant 0 left no bit."""
        if self.columns[w].singles[-1:] == [single]:
            return self.columns[w].singles.pop()
        return 0

    def hold(self, w: int, single: Literal) -> None:
        """Set the newest single bit of column w aside, to become half of a pair."""
        if w < self.width and self.columns[w].singles[-1:] == [single]:
            self._held[w] = self.columns[w].singles.pop()

    def release(self, w: int) -> Literal | None:
        """Return the bit set aside for column w, if any."""
        return self._held.pop(w, None)

    def holds(self, w: int) -> bool:
        """Whether a bit is set aside for column w."""
        return w in self._held

    def wants_single(self, w: int) -> bool:
        """Whether column w is short of the single bits that `starts` asks for."""
        return w < self.width and len(self.columns[w].singles) < self.starts[w]

    def settle(self, w: int) -> None:
        """Put the bit set aside for column w back; called when no more carries come."""
        if (single := self.release(w)) is not None:
            self.columns[w].singles.append(single)

    def terms(self) -> Iterator[Term]:
        """All terms in the columns."""
        for w, column in enumerate(self.columns):
            yield from ((w, x, SINGLE) for x in column.singles)
            yield from ((w, x, p) for x, p in column.pairs)

    def literals(self) -> Iterator[Literal]:
        """All literals of the blocks' terms."""
        for block in self.blocks:
            for _, x, p in (*block.inputs, *block.outputs):
                yield from (literal for literal in (x, p) if literal >= 0)

    def finish(self) -> list[Literal]:
        """Return the score bits, of the columns that are down to one bit, without inverters."""
        bits = []
        for w, column in enumerate(self.columns):
            assert not column.pairs
            assert len(column.singles) <= 1
            bit = column.singles[0] if column.singles else 0
            if bit > 1 and bit & 1:
                plain = 2 * self.builder.plain(bit)
                self.blocks.append(Block(self.group, ((w, bit, SINGLE),), ((w, plain, SINGLE),)))
                bit = plain
            bits.append(bit)
        return bits


def normal(term: Term, width: int) -> list[Term]:
    """Rewrite a term so that no pair has a constant in it, nor lies in the last column.

    Modulo `2**width`, which is all that scores need, a pair of the last column is its p.
    """
    w, x, p = term
    if w >= width:
        return [(w, DEAD, SINGLE)]
    if p == SINGLE:
        return [term] if x else []
    if x == p or x ^ 1 == p:
        return [*normal((w, x, SINGLE), width), *normal((w, x ^ p, SINGLE), width)]
    if p < 2:
        return normal((w + 1 - p, 1 if p else x, SINGLE), width)
    if x < 2:
        return [*normal((w, x, SINGLE), width), *normal((w, x ^ p, SINGLE), width)]
    return [(w, p, SINGLE), (w + 1, DEAD, SINGLE)] if w == width - 1 else [term]
