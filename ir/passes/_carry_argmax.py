"""Argmax whose comparators lie in carry chains, in the logic cells of the multiplexers they steer.

An iCE40 cell computes the majority of its LUT's pins 1 and 2 and of the carry from below. With bit a_i
on pin 1 and the complement of b_i on pin 2 the chain compares a and b; the LUT beside picks the
winner's bit out of the same two. So comparing and choosing w bits takes w LUTs and one for the verdict,
where LUTs alone take 2w - 1. The complements cost nothing: LUTs that drive a score bit drive its
complement instead, and a multiplexer makes the polarity that the next comparison wants.
"""

from __future__ import annotations

import numpy as np

from .._typing import Bool1
from ..builder import Builder, Literal
from ..netlist import Netlist
from ._compare import Carry, Number, greater
from ._meet import Player, chooser, select

_LEAST_BITS = 4
"""Narrower numbers are compared in LUTs, which takes no more cells."""


class Tournament:
    """Pairs of contiguous classes in carry chains, over a netlist whose score bits may be inverted."""

    def __init__(
        self, builder: Builder, scores: list[Number], index: list[Number], *, meet: bool = False
    ) -> None:
        self.builder, self.scores, self.numbers, self.meet = builder, scores, index, meet
        self.rows: list[Carry] = []
        self.round_of: list[int] = []

    def index(self) -> Number:
        """Build the tournament; returns the winner's number."""
        classes = len(self.scores)
        if not self.meet or classes < 3:
            return self._play(0, classes, inverted=False, last=True)[0].index
        middle = split(0, classes)
        quarter = split(0, middle)
        a, b, c = (
            self._play(first, stop, inverted=first > 0)[0]
            for first, stop in ((0, quarter), (quarter, middle), (middle, classes))
        )
        duels = [self._duel(a, b), self._duel(a, c), greater(self.builder, c.score, b.score)]
        choose = chooser(self.builder, 3, duels)
        index = [choose(list(bits)) for bits in zip(a.index, b.index, c.index, strict=True)]
        self._count(1 + max(self.round_of, default=-1))
        return index

    def _play(self, first: int, stop: int, *, inverted: bool, last: bool = False) -> tuple[Player, int]:
        """Best of some classes, its score in one polarity, and the rounds that took."""
        if stop - first == 1:
            return Player(self.numbers[first], self.scores[first]), 0
        middle = split(first, stop)
        a, before = self._play(first, middle, inverted=False)
        b, other = self._play(middle, stop, inverted=True)
        winner = self._match(a, b, inverted=inverted, last=last)
        height = 1 + max(before, other)
        self._count(height - 1)
        return winner, height

    def _count(self, number: int) -> None:
        """Note the round of the LUTs built since."""
        self.round_of += [number] * (self.builder.new - len(self.round_of))

    def _duel(self, a: Player, b: Player) -> Literal:
        """Whether b beats a."""
        pairs = [(x, y) for x, y in zip(a.score, b.score, strict=True) if x != y]
        return self._chain(pairs) if _fits(pairs) else self._ripple(pairs)

    def _match(self, a: Player, b: Player, *, inverted: bool, last: bool) -> Player:
        second = self._duel(a, b)
        index = [self._chosen(second, x, y) for x, y in zip(a.index, b.index, strict=True)]
        bits = [] if last else list(zip(a.score, b.score, strict=True))
        return Player(index, [self._chosen(second, x, y, inverted=inverted) for x, y in bits])

    def _chain(self, pairs: list[tuple[Literal, Literal]]) -> Literal:
        """Whether b > a; the last bits are judged in a LUT."""
        carry: Literal = 1
        for a, b in pairs[:-1]:
            above = self.builder.lut(_majority, a, b ^ 1, carry)
            self.rows.append((above >> 1, a >> 1, b >> 1, carry >> 1 if carry > 1 else carry))
            carry = above
        return self.builder.lut(_less, *pairs[-1], carry)

    def _ripple(self, pairs: list[tuple[Literal, Literal]]) -> Literal:
        """Whether b > a, in LUTs of four pins."""
        if len(pairs) < 2:
            return self.builder.lut(_less, *pairs[0], 1) if pairs else 0
        low, high = pairs[:2]
        not_less = self.builder.lut(_not_less_of_two, *low, *high)
        for a, b in pairs[2:]:
            not_less = self.builder.lut(_less, a, b, not_less) ^ 1
        return not_less ^ 1

    def _chosen(self, second: Literal, a: Literal, b: Literal, *, inverted: bool = False) -> Literal:
        """Multiplexer; where it is a LUT, that drives the complement if `inverted`."""
        if a == b:
            return a
        return (
            self.builder.lut(_unselected, second, a, b) ^ 1
            if inverted
            else self.builder.lut(select, second, a, b)
        )


def split(first: int, stop: int) -> int:
    """Where the classes `first .. stop - 1` fall into two halves, the lower one a power of two."""
    return first + (1 << (stop - first - 1).bit_length() - 1)


def inverted_classes(first: int, stop: int, *, inverted: bool = False) -> list[bool]:
    """For each class whether its score is wanted inverted."""
    if stop - first == 1:
        return [inverted]
    middle = split(first, stop)
    return inverted_classes(first, middle) + inverted_classes(middle, stop, inverted=True)


def invertible(net: Netlist, scores: list[Number], flips: list[bool]) -> Bool1:
    """Score bits that a LUT can drive inverted, bool `[signals]`: those of one class that `flips` names."""
    signals = [x >> 1 for score in scores for x in score if x > 1]
    found = np.bincount(signals, minlength=net.signals) == 1
    found[: net.first_lut] = False
    wanted = np.zeros(net.signals, np.bool_)
    for score, flip in zip(scores, flips, strict=True):
        wanted[[x >> 1 for x in score if x > 1 and flip]] = True
    chosen: Bool1 = found & wanted
    return chosen


def _fits(pairs: list[tuple[Literal, Literal]]) -> bool:
    """Whether a carry chain can compare these bits, and is worth it."""
    signals = [x >> 1 for pair in pairs for x in pair]
    plain = all(a > 1 and b > 1 and not a & 1 and b & 1 for a, b in pairs[:-1])
    return len(pairs) >= _LEAST_BITS and plain and len(set(signals)) == len(signals)


def _majority(a: int, b: int, c: int) -> int:
    return int(a + b + c >= 2)


def _less(a: int, b: int, not_less: int) -> int:
    """Whether a < b, where the bits below say whether a's are not less."""
    return not not_less if a == b else a < b


def _not_less_of_two(a0: int, b0: int, a1: int, b1: int) -> int:
    return 2 * a1 + a0 >= 2 * b1 + b0


def _unselected(second: int, a: int, b: int) -> int:
    return 1 - select(second, a, b)
