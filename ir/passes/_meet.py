"""Players who meet each with each: who wins, with which number and score, in how many levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import combinations

from ..builder import Builder, Literal
from ._compare import Carry, Number, complement, greater, shapes

MOST = 6
"""Players who may meet at once in the last round; one with fewer pins, and no more than 4 before."""


@dataclass(frozen=True)
class Player:
    """Number of a class and its score, as literals."""

    index: Number
    score: Number


def meet(
    builder: Builder,
    groups: list[list[Player]],
    *,
    last: bool,
    slack: int = 0,
    carries: list[Carry] | None = None,
    inverted: list[bool] | None = None,
) -> list[Player]:
    """Return the best of each group, the first one of equals; without a score if `last`.

    All duels of the round end by the level of the slowest, or `slack` levels later, with the fewest LUTs.

    Args:
        builder: where LUTs are added.
        groups: who meets whom.
        last: whether only the number is wanted.
        slack: levels.
        carries: where given, duels may be compared in carries, which are added; see `greater`.
        inverted: of each group, whether LUTs are to drive the complements of the best one's score.
    """
    chained = carries is not None
    pairs = [(group[i].score, group[j].score) for group in groups for i, j in _pairs(len(group))]
    fastest = [
        found[0].level
        for earlier, later in pairs
        if (found := shapes(builder, later, earlier, chained=chained))
    ]
    latest = max(fastest, default=0) + slack
    return [
        _best(builder, group, latest, last=last, shallow=not slack, carries=carries, flip=flip)
        for group, flip in zip(groups, inverted or [False] * len(groups), strict=True)
    ]


def _best(
    builder: Builder,
    group: list[Player],
    latest: int,
    *,
    last: bool,
    shallow: bool,
    carries: list[Carry] | None,
    flip: bool,
) -> Player:
    if len(group) == 1:
        return group[0]
    numbers = list(zip(*(player.index for player in group), strict=True))
    early = _early(builder, group, numbers, latest) if last and carries is not None else None
    duels = [
        greater(builder, group[j].score, group[i].score, latest - ((i, j) == early), carries)
        for i, j in _pairs(len(group))
    ]
    choose = chooser(builder, len(group), duels, shallow=shallow, two_first=carries is not None)
    index = [choose(list(bits)) for bits in numbers]
    scores = [] if last else zip(*(player.score for player in group), strict=True)
    return Player(index, [choose(list(bits), flip=flip) for bits in scores])


def _early(
    builder: Builder, group: list[Player], numbers: list[tuple[Literal, ...]], latest: int
) -> tuple[int, int] | None:
    """Which duel of three should end a level before the others, for a LUT to choose by it: the cheapest."""
    wide = [bits for bits in numbers if len({x >> 1 for x in bits} - {0}) > 1]
    if len(group) != 3 or builder.k > 4 or not wide:
        return None
    cost = {}
    for i, j in ((0, 1), (0, 2)):
        if all(_fits(builder, bits, j) for bits in wide):
            found = shapes(builder, group[j].score, group[i].score, chained=True)
            luts = [
                min((s.luts for s in found if s.level <= by), default=1 << 30) for by in (latest - 1, latest)
            ]
            cost[i, j] = luts[0] - luts[1]
    return min(cost, key=lambda duel: cost[duel]) if cost else None


def _pairs(players: int) -> Iterator[tuple[int, int]]:
    """Yield the places of two players, the earlier first; in this order duels are listed."""
    return combinations(range(players), 2)


def chooser(
    builder: Builder,
    players: int,
    duels: list[Literal],
    *,
    shallow: bool = True,
    two_first: bool = False,
) -> Callable[..., Literal]:
    """Return what picks the winner's of as many bits as there are players, its complement driven if `flip`.

    A LUT that reads all duels and bits is `shallow`; one that reads the winner's place has a pin to spare.
    With `two_first` two of three bits may go through a LUT before all duels are over, which saves one, though
    not where all is mapped once more.
    """
    spare = builder.k - len(duels)
    by_place = players + 2 <= builder.k and len(duels) <= builder.k

    def choose(bits: list[Literal], *, flip: bool = False) -> Literal:
        distinct = len({x >> 1 for x in bits} - {0})
        if len(set(bits)) == 1:
            return bits[0]
        if distinct <= (spare if shallow or players < 3 else min(spare, 1)):
            return _driven(builder, _of_duels(players), [*duels, *bits], flip=flip)
        if (
            two_first
            and players == 3
            and not by_place
            and (first := [j for j in (1, 2) if _fits(builder, bits, j)])
        ):
            return _of_three(builder, duels, bits, first, flip=flip)
        return pick(bits, flip=flip)

    if players <= 4:
        pick = (_by_place if by_place else _by_halves)(builder, players, duels)
    else:
        pick = _by_wins(builder, players, duels)
    return choose


def _driven(builder: Builder, function: Callable[..., int], pins: list[Literal], *, flip: bool) -> Literal:
    """Return a LUT, which drives the complement if `flip`."""
    return builder.lut(complement(function), *pins) ^ 1 if flip else builder.lut(function, *pins)


def _fits(builder: Builder, bits: Sequence[Literal], first: int) -> bool:
    """Whether of three bits two others fit beside the better of the first one and that of place `first`."""
    return len({bits[0] >> 1, bits[3 - first] >> 1} - {0}) + 3 <= builder.k


def _of_three(
    builder: Builder, duels: list[Literal], bits: list[Literal], first: list[int], *, flip: bool
) -> Literal:
    """Return the winner's bit of three, that of the better one of two being known.

    If b beats c, it is that of a and b; if not, c beats a whenever b does: a's bit, or c's.
    """
    ab, ac, bc = duels
    level = builder.level
    if min(first, key=lambda j: max(level(duels[j - 1]), level(bits[0]), level(bits[j]))) == 1:
        known = _either(builder, ab, bits[0], bits[1])
        return _driven(builder, _with_third, [bc, known, ac, bits[0], bits[2]], flip=flip)
    known = _either(builder, ac, bits[0], bits[2])
    return _driven(builder, _with_third, [bc ^ 1, known, ab, bits[0], bits[1]], flip=flip)


def _with_third(other: int, known: int, duel: int, a: int, third: int) -> int:
    return (third if duel else a) if other else known


def _by_place(builder: Builder, players: int, duels: list[Literal]) -> Callable[..., Literal]:
    """Encode the winner's place, then multiplexers of all players."""
    place: list[Literal] = []

    def pick(bits: list[Literal], *, flip: bool) -> Literal:
        if not place:
            place.extend(
                builder.lut(_of_duels(players), *duels, *(p >> bit & 1 for p in range(players)))
                for bit in range((players - 1).bit_length())
            )
        return _driven(builder, select, [*place, *bits], flip=flip)

    return pick


def _by_halves(builder: Builder, players: int, duels: list[Literal]) -> Callable[..., Literal]:
    """Multiplexers of two: the halves choose while it is found out which half has the winner."""
    duel = dict(zip(_pairs(players), duels, strict=True))
    third = duel.get((2, 3), 0)
    later: list[Literal] = []

    def above() -> Literal:
        over = [
            builder.lut(select, third, duel[i, 2], duel[i, 3]) if players == 4 else duel[i, 2] for i in (0, 1)
        ]
        return builder.lut(select, duel[0, 1], *over)

    def pick(bits: list[Literal], *, flip: bool) -> Literal:
        if not later:
            later.append(above())
        low = _either(builder, duel[0, 1], *bits[:2])
        return _either(builder, later[0], low, _either(builder, third, *bits[2:]), flip=flip)

    return pick


def _either(builder: Builder, second: Literal, *bits: Literal, flip: bool = False) -> Literal:
    return bits[0] if len(set(bits)) == 1 else _driven(builder, select, [second, *bits], flip=flip)


def _by_wins(builder: Builder, players: int, duels: list[Literal]) -> Callable[..., Literal]:
    """Who beats all others, and the bits of who does."""
    against: list[list[Literal]] = [[] for _ in range(players)]
    for (i, j), later in zip(_pairs(players), duels, strict=True):
        against[i].append(later ^ 1)
        against[j].append(later)
    wins = [_gathered(builder, _all, [(x,) for x in row]) for row in against]

    def pick(bits: list[Literal], *, flip: bool) -> Literal:  # noqa: ARG001 - numbers only, in the last round
        ones = [(win, x) if x > 1 else (win,) for win, x in zip(wins, bits, strict=True) if x]
        zeros = [(win,) for win, x in zip(wins, bits, strict=True) if not x]
        if max(bits) < 2 and len(zeros) < len(ones):
            return _gathered(builder, _any, zeros) ^ 1
        return _gathered(builder, _any, ones)

    return pick


def _gathered(
    builder: Builder, function: Callable[..., int], terms: Sequence[tuple[Literal, ...]]
) -> Literal:
    """Combine terms, each the AND of its literals, by AND or OR, the earliest first."""
    heap = [(max(map(builder.level, term)), at, term) for at, term in enumerate(terms)]
    heapify(heap)
    while len(heap) > 1 or len(heap[0][2]) > 1:
        taken: list[tuple[Literal, ...]] = []
        while heap and sum(map(len, taken)) + len(heap[0][2]) <= builder.k:
            taken.append(heappop(heap)[2])
        gather = _gather(function, tuple(map(len, taken)))
        made = builder.lut(gather, *(x for term in taken for x in term))
        heappush(heap, (builder.level(made), len(terms) + builder.new, (made,)))
    return heap[0][2][0]


@lru_cache
def _gather(function: Callable[..., int], sizes: tuple[int, ...]) -> Callable[..., int]:
    def gather(*pins: int) -> int:
        at, values = 0, list[int]()
        for size in sizes:
            values.append(int(all(pins[at : at + size])))
            at += size
        return function(*values)

    return gather


def _all(*bits: int) -> int:
    return int(all(bits))


def _any(*bits: int) -> int:
    return int(any(bits))


def select(*pins: int) -> int:
    """Multiplexer: one select pin and two data pins, or two and three or four."""
    if len(pins) == 3:
        return pins[1 + pins[0]]
    return pins[min(2 + pins[0] + 2 * pins[1], len(pins) - 1)]


@lru_cache
def _of_duels(players: int) -> Callable[..., int]:
    """Return the winner's bit as a function of all duels, 1 if the later player is greater, and all bits."""

    def function(*pins: int) -> int:
        beaten = [False] * players
        for (i, j), above in zip(_pairs(players), pins, strict=False):
            beaten[i if above else j] = True
        return pins[beaten.index(False) - players] if False in beaten else 0

    return function
