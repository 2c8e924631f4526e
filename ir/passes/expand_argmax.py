"""Argmax out of LUTs: score bits become the bits of the winning class's number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import ClassVar

import numpy as np

from lgc.errors import LgcError

from .._typing import Bool2, I64x2
from ..builder import Builder, Literal
from ..equivalence import Comparison, compare, patterns
from ..netlist import Netlist
from ..proof import prove_argmax
from ..simulate import outputs
from .dce import Dce

_Number = list[Literal]
"""Bits of an unsigned number, least significant first."""


@dataclass(frozen=True)
class ExpandArgmax:
    """Turn score bits into the number of the class with the highest score, the lowest one of equals.

    A tournament: groups of two (k = 4), three (5) or four (6) classes are compared each with each, and
    the winner's score goes on; the last three meet at once. Run it after `expand-readout`.

    Attributes:
        classes: number of classes; the outputs are as many unsigned numbers, see `Fabric`.
        k: pins per LUT.
    """

    name: ClassVar[str] = "expand-argmax"
    classes: int = 10
    k: int = 4

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if self.k not in (4, 5, 6):
            raise ValueError(f"k must be 4, 5 or 6, not {self.k}")
        if self.classes < 1:
            raise ValueError(f"classes must be 1 or more, not {self.classes}")

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with the index, least significant bit first, as its only outputs.

        Raises:
            LgcError: the outputs are not `classes` numbers, or LUTs have more than k pins.
        """
        width, rest = divmod(len(net.outputs), self.classes)
        if net.readout is not None or rest or not width:
            raise LgcError(
                f"The {len(net.outputs)} outputs are not the score bits of {self.classes} classes.",
                hint="Run expand-readout before, and give classes=N.",
            )
        if net.k > self.k:
            raise LgcError(f"The netlist has LUTs of {net.k} pins, expand-argmax was given k={self.k}.")
        return Dce()(self._build(net))

    def _build(self, net: Netlist) -> Netlist:
        """Add the argmax behind `net`, which stays as it is."""
        builder = Builder(net, k=self.k)
        scores = self._scores(net)
        bits = max(1, (self.classes - 1).bit_length())
        players = [([c >> bit & 1 for bit in range(bits)], score) for c, score in enumerate(scores)]
        most = self.k - 2
        while len(players) > 1:
            last = len(players) <= max(3, most)
            groups = [players] if last else _groups(players, most)
            players = [_winner(builder, group, last=last) for group in groups]
        return builder.netlist(players[0][0])

    def _scores(self, net: Netlist) -> list[_Number]:
        """Literals of the scores."""
        width = len(net.outputs) // self.classes
        literals = [s if s < 2 else 2 * s for s in net.outputs.tolist()]
        return [literals[c * width : (c + 1) * width] for c in range(self.classes)]

    def verify(self, before: Netlist, after: Netlist, levels: int) -> Comparison:
        """Prove the argmax of the score bits by SAT; simulate it where that fails."""
        bits = patterns(before.inputs, samples=4096, seed=0, levels=levels)
        score = _numbers(outputs(before, bits), self.classes)
        index = _numbers(outputs(after, bits), 1)[:, 0]
        differ = np.flatnonzero(score.argmax(axis=1) != index)
        if differ.size:
            return Comparison(equal=False, patterns=len(bits), counterexample=bits[differ[0]])
        full = self._build(before)
        same = compare(full, after, samples=0, levels=levels)
        index_literals = np.where(full.outputs < 2, full.outputs, 2 * full.outputs.astype(np.int64))
        proved = same.proof and prove_argmax(full, np.array(self._scores(before), np.int64), index_literals)
        method = "SAT, for each two classes" if proved else ""
        return Comparison(equal=True, patterns=len(bits), proof=method)


def _numbers(bits: Bool2, numbers: int) -> I64x2:
    """Unsigned numbers int64 `[samples, numbers]` that bits `[samples, numbers * width]` spell."""
    digits = bits.reshape(len(bits), numbers, -1).astype(np.int64)
    return digits @ (1 << np.arange(digits.shape[2], dtype=np.int64))


def _groups(players: list[tuple[_Number, _Number]], most: int) -> Iterator[list[tuple[_Number, _Number]]]:
    """Split players into as few contiguous groups as possible, of nearly equal size."""
    groups = -(-len(players) // most)
    for g in range(groups):
        yield players[g * len(players) // groups : (g + 1) * len(players) // groups]


def _winner(builder: Builder, group: list[tuple[_Number, _Number]], *, last: bool) -> tuple[_Number, _Number]:
    """Return index and score of the best of up to four players, the first one of equals."""
    if len(group) == 1:
        return group[0]
    duels = [
        _greater(builder, group[later][1], group[earlier][1])
        for earlier, later in combinations(range(len(group)), 2)
    ]
    if len(group) == 3 and builder.k == 4:
        return _best_of_three(builder, [number for number, _ in group], duels), []
    select = [builder.lut(_place(len(group), bit), *duels) for bit in range((len(group) - 1).bit_length())]

    def chosen(bits: tuple[Literal, ...]) -> Literal:
        return builder.lut(_select, *select, *bits) if len(set(bits)) > 1 else bits[0]

    index = [chosen(bits) for bits in zip(*(number for number, _ in group), strict=True)]
    score = [] if last else [chosen(bits) for bits in zip(*(score for _, score in group), strict=True)]
    return index, score


def _best_of_three(builder: Builder, index: list[_Number], duels: list[Literal]) -> _Number:
    """Return the index of the winner by multiplexers of two, while the third player's duels are judged."""
    second, third, third_over_second = duels
    third = builder.lut(_third, second, third, third_over_second)
    early = [builder.lut(_select, second, a, b) if a != b else a for a, b in zip(*index[:2], strict=True)]
    return [builder.lut(_select, third, a, b) if a != b else a for a, b in zip(early, index[2], strict=True)]


def _third(second: int, over_first: int, over_second: int) -> int:
    """Whether the third player is greater than the better of the first two."""
    return over_second if second else over_first


@lru_cache
def _place(players: int, bit: int) -> Callable[..., int]:
    """Bit of the winner's place as a function of all duels, each 1 if the later player is greater."""

    def function(*duels: int) -> int:
        beaten = [False] * players
        for (earlier, later), greater in zip(combinations(range(players), 2), duels, strict=True):
            beaten[earlier if greater else later] = True
        return (beaten.index(False) if False in beaten else 0) >> bit & 1

    return function


def _select(*pins: int) -> int:
    """Multiplexer: one select pin and two data pins, or two and three or four."""
    if len(pins) == 3:
        return pins[1 + pins[0]]
    return pins[min(2 + pins[0] + 2 * pins[1], len(pins) - 1)]


def _greater(builder: Builder, a: _Number, b: _Number) -> Literal:
    """Return whether a > b: by a ripple from the low bits up, or by a tree where that is much earlier."""
    level = [max(builder.level(x), builder.level(y)) for x, y in zip(a, b, strict=True)]
    ripple = _ripple_chunks(len(a), builder.k)
    late = 0
    for chunk in ripple:
        late = 1 + max(late, *level[chunk])
    tree = _tree_level(level, builder.k)
    return _tree(builder, a, b) if tree + 2 <= late else _ripple(builder, a, b, ripple)


def _ripple_chunks(width: int, k: int) -> list[slice]:
    """Bits per LUT of a ripple: all pins for the first, one less, for the result so far, for the others."""
    chunks, at = [], 0
    while at < width:
        step = (k if at == 0 else k - 1) // 2
        chunks.append(slice(at, min(at + step, width)))
        at += step
    return chunks


def _ripple(builder: Builder, a: _Number, b: _Number, chunks: list[slice]) -> Literal:
    result: Literal = 0
    for chunk in chunks:
        result = builder.lut(_greater_after, result, *a[chunk], *b[chunk])
    return result


def _tree_level(level: list[int], k: int) -> int:
    """Level of the result of `_tree`."""
    leaf = k // 2
    levels = [1 + max(level[at : at + leaf]) for at in range(0, len(level), leaf)]
    while len(levels) > 1:
        levels = [1 + max(levels[at : at + leaf]) for at in range(0, len(levels), leaf)]
    return levels[0]


def _tree(builder: Builder, a: _Number, b: _Number) -> Literal:
    """Compare k / 2 bits at a time for greater and for not less, then k / 2 results at a time."""
    leaf = builder.k // 2
    parts = [
        tuple(builder.lut(_greater_after, equal, *a[at : at + leaf], *b[at : at + leaf]) for equal in (0, 1))
        for at in range(0, len(a), leaf)
    ]
    while len(parts) > 1:
        parts = [
            tuple(
                builder.lut(
                    _greater_parts,
                    *parts[at][equal : equal + 1],
                    *[x for part in parts[at + 1 : at + leaf] for x in part],
                )
                for equal in (0, 1)
            )
            for at in range(0, len(parts), leaf)
        ]
    return parts[0][0]


def _greater_after(before: int, *bits: int) -> int:
    """Whether a > b, where the numbers are equal `before`; bits of a, then of b."""
    half = len(bits) // 2
    a, b = (sum(bit << i for i, bit in enumerate(side)) for side in (bits[:half], bits[half:]))
    return before if a == b else int(a > b)


def _greater_parts(lowest: int, *parts: int) -> int:
    """Combine results of parts, from the low one: `lowest`, then (greater, not less) of each above."""
    result = lowest
    for greater, not_less in zip(parts[::2], parts[1::2], strict=True):
        result = greater | (not_less & result)
    return result
