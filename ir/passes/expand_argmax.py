"""Argmax out of LUTs: score bits become the bits of the winning class's number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import ClassVar, NamedTuple

import numpy as np

from lgc.errors import LgcError

from .._typing import Bool1, Bool2, I32x1, I64x2
from ..builder import Builder
from ..carry import Chains
from ..carry_cells import CarryCells
from ..equivalence import Comparison, compare, patterns
from ..fabric import Fabric
from ..netlist import Netlist
from ..proof import prove_argmax
from ..simulate import outputs
from ..sites import sites
from ._carry_argmax import Tournament, inverted_classes, invertible
from ._compare import Carry, Number
from ._meet import MOST, Player, meet
from ._polarity import invert
from ._squeeze import size, squeeze
from .dce import Dce
from .pipeline import registered_cells

_LEVELS = 400
"""So many levels are worth as much as all LUTs."""

_SLACKS = (0, 1, 8)
"""Levels later than needed at which the duels of a round may end."""

_LAST = (*range(5), 8)
"""The same for the last round where carries are compared in chains."""

_AT_ONCE = 16
"""Classes up to which all may meet in one round where scores that wait cost registers."""

_NEAR = 1.01
"""Times the LUTs of another of no more levels that are still mapped again, which may turn the tables."""

_MEDIUM = 3_000
"""LUTs up to which `_LAST` is tried."""

_SMALL = 10_000
"""LUTs up to which every kind is tried and mapped again: in larger netlists SAT may not prove that."""


@dataclass(frozen=True)
class ExpandArgmax:
    """Turn score bits into the number of the class with the highest score, the lowest one of equals.

    A tournament: groups of two to four classes are compared each with each, and the winner's score goes on;
    up to six meet in the last round. Without carries all LUTs are then mapped once more, network and
    counters included. With `carry` pairs meet, in comparators that may be iCE40 carry chains beside the
    multiplexers they steer, see `CarryCells`. Run it after `expand-readout`.

    Attributes:
        classes: number of classes; the outputs are as many unsigned numbers, see `Fabric`.
        k: pins per LUT.
        carry: use carry chains; with k=4.
    """

    name: ClassVar[str] = "expand-argmax"
    classes: int = 10
    k: int = 4
    carry: bool = False

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if self.k not in (4, 5, 6):
            raise ValueError(f"k must be 4, 5 or 6, not {self.k}")
        if self.classes < 1:
            raise ValueError(f"classes must be 1 or more, not {self.classes}")
        if self.carry and self.k != 4:
            raise ValueError("carry needs k=4")

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
        return self._expand(net)[1]

    def _expand(self, net: Netlist) -> tuple[Argmax, Netlist]:
        return best_argmax(net, classes=self.classes, k=self.k, carry=self.carry)

    def verify(self, before: Netlist, after: Netlist, levels: int) -> Comparison:
        """Prove the argmax of the score bits by SAT; simulate it where that fails."""
        bits = patterns(before.inputs, samples=4096, seed=0, levels=levels)
        score = _numbers(outputs(before, bits), self.classes)
        index = _numbers(outputs(after, bits), 1)[:, 0]
        differ = np.flatnonzero(score.argmax(axis=1) != index)
        if differ.size:
            return Comparison(equal=False, patterns=len(bits), counterexample=bits[differ[0]])
        full, _ = self._expand(before)
        same = compare(full.netlist, after, samples=0, levels=levels)
        method = prove_expanded(before, full, levels=levels) if same.proof else ""
        return Comparison(equal=True, patterns=len(bits), proof=method)


@dataclass(frozen=True, eq=False)
class Argmax:
    """An argmax behind a netlist of scores.

    Attributes:
        netlist: the LUTs of the scores under the same signal numbers, then those of the argmax; the
            outputs are the index, least significant bit first.
        scores: int64 `[classes, width]`, literals of the score bits: LUTs may drive complements.
        carries: which LUTs are carry cells.
        round_of: int32 `[new LUTs]`, the round of the tournament that each belongs to.
        bounds: int64 `[classes, 2]`, the lowest and the highest number that each class' score bits may spell.
            Classes that cannot win by them, see `beaten`, do not play.
    """

    netlist: Netlist
    scores: I64x2
    carries: CarryCells
    round_of: I32x1
    bounds: I64x2

    @property
    def luts(self) -> int:
        """LUTs of the argmax itself."""
        return len(self.round_of)


def expand_argmax(
    net: Netlist,
    *,
    classes: int,
    k: int = 4,
    carry: bool = False,
    three: bool = False,
    rounds: tuple[int, ...] | None = None,
    slack: int | tuple[int, int] = 0,
    bounds: I64x2 | None = None,
    chains: Chains | None = None,
) -> Argmax:
    """Add an argmax behind the score bits that are the outputs of `net`; see `ExpandArgmax`.

    Args:
        net: the netlist.
        classes: number of classes.
        k: pins per LUT.
        carry: use carry chains; with k=4.
        three: with `carry`, the last three players meet at once: a round less, for a few more cells.
        rounds: the players left after each round, which meet in groups of nearly equal size, each with each;
            see `possible_rounds`. `usual_rounds` if None, and with `carry` pairs in carry chains alone. With
            `carry` and rounds each duel is compared in carries, LUTs or both.
        slack: levels that the duels of a round may take more than the slowest needs; of a pair the second is
            for the last round.
        bounds: see `Argmax`; by the constants among the score bits if None.
        chains: carry chains in `net`; each CARRY4 on the way is a level.
    """
    width = len(net.outputs) // classes
    bounds = _bounds(net, classes) if bounds is None else bounds
    playing = np.flatnonzero(~beaten(bounds)).tolist()
    bits = max(1, (classes - 1).bit_length())
    numbers = [[c >> bit & 1 for bit in range(bits)] for c in playing]
    literals = [s if s < 2 else 2 * s for s in net.outputs.tolist()]
    scores = [literals[c * width : (c + 1) * width] for c in range(classes)]
    if carry:
        wanted = inverted_classes(0, len(playing)) if rounds is None else odd(len(playing), rounds)
        chosen = invertible(net, [scores[c] for c in playing], wanted)
        net = invert(net, chosen)
        scores = [[x ^ int(chosen[x >> 1]) if x > 1 else x for x in score] for score in scores]
    builder = Builder(net, k=k, level=None if chains is None else chains.levels(net, carry=True))
    rows: list[Carry] = []
    if carry and rounds is None:
        tournament = Tournament(builder, [scores[c] for c in playing], numbers, meet=three)
        index, round_of = tournament.index(), tournament.round_of
        rows = tournament.rows
    else:
        players = [Player(number, scores[c]) for number, c in zip(numbers, playing, strict=True)]
        if rounds is None:
            rounds = usual_rounds(len(players), k - 2)
        index, round_of = _tournament(builder, players, rounds, slack, rows if carry else None)
    full = builder.netlist(index)
    round_of += [max(round_of, default=0)] * (full.luts - net.luts - len(round_of))
    literal = np.array(scores, np.int64).reshape(classes, width)
    return Argmax(full, literal, CarryCells.beside_luts(full, rows), np.array(round_of, np.int32), bounds)


def beaten(bounds: I64x2) -> Bool1:
    """Whether each class always has another above it, or an equal one before it; bool `[classes]`.

    Args:
        bounds: lowest and highest score, int64 `[classes, 2]`.
    """
    place = np.arange(len(bounds))
    lowest, highest = bounds[None, :, 0], bounds[:, 1, None]
    found: Bool1 = ((lowest > highest) | ((lowest == highest) & (place[None, :] < place[:, None]))).any(
        axis=1
    )
    return found


def score_bounds(fabric: Fabric) -> I64x2 | None:
    """Lowest and highest number that each class' score bits may spell, by the ledger's network."""
    if fabric.ledger is None or fabric.ledger.network.readout is None:
        return None
    bounds: I64x2 = np.stack(fabric.ledger.network.readout.bounds(), axis=1) - fabric.offset
    return bounds


def _bounds(net: Netlist, classes: int) -> I64x2:
    """Lowest and highest numbers, by the constants among the outputs."""
    bits = net.outputs.reshape(classes, -1)
    worth = 1 << np.arange(bits.shape[1], dtype=np.int64)
    return np.stack([(bits == 1) @ worth, (bits != 0) @ worth], axis=1)


def best_argmax(
    net: Netlist,
    *,
    classes: int,
    k: int = 4,
    carry: bool = False,
    fractured: bool = False,
    chains: Chains | None = None,
    bounds: I64x2 | None = None,
    levels: int | None = None,
) -> tuple[Argmax, Netlist]:
    """Add the cheapest argmax, a level being worth a quarter of a per cent of the LUTs.

    Tried are rounds of every kind and, with `carry`, tournaments in carry chains; see `expand_argmax` for the
    arguments. Without chains network, counters and argmax are mapped once more, see `squeeze`.

    Args:
        net: the netlist.
        classes: number of classes.
        k: pins per LUT.
        carry: use carry chains; with k=4.
        fractured: sites of two LUTs count.
        chains: carry chains in `net`, which cost nothing; each CARRY4 on the way is a level.
        bounds: see `Argmax`.
        levels: take the cheapest of at most so many levels, or the one of the fewest if there is none.

    Returns:
        What `prove_expanded` needs, and the netlist whose outputs are the index. If the argmax or the netlist
        has carry cells, that is the argmax' own, else one of the same function.
    """
    found = argmaxes(
        net, classes=classes, k=k, carry=carry, fractured=fractured, chains=chains, bounds=bounds
    )
    if net.luts <= _SMALL and not fractured and chains is None:
        tried = promising(found)
        for depth in (False, True):
            tried += [
                (cost_of(argmax, again), argmax, again)
                for _, argmax, mapped in tuple(tried)
                if not argmax.carries.carry.size
                for again in (replace(squeeze(mapped, k, depth=depth), origin=None),)
            ]
        found = tried
    _, argmax, mapped = min(found, key=lambda each: rank(each[0], levels))
    return argmax, mapped


Cost = tuple[int, int]
"""Levels, and LUTs or sites."""


class Play(NamedTuple):
    """A way to play, see `expand_argmax`."""

    rounds: tuple[int, ...] | None
    slack: int | tuple[int, int] = 0
    carry: bool = False
    three: bool = False


def argmaxes(
    net: Netlist,
    *,
    classes: int,
    k: int,
    carry: bool = False,
    fractured: bool = False,
    chains: Chains | None = None,
    bounds: I64x2 | None = None,
    plays: Sequence[Play] | None = None,
) -> list[tuple[Cost, Argmax, Netlist]]:
    """Return every argmax that `best_argmax` looks at, what it costs, and the netlist with its outputs.

    Those of `plays` if that is given, in the same order.
    """
    if plays is None:
        playing = int((~beaten(_bounds(net, classes) if bounds is None else bounds)).sum())
        plays = every_play(playing, net.luts, k=k, carry=carry)
    found = []
    for play in plays:
        argmax = expand_argmax(net, classes=classes, k=k, bounds=bounds, chains=chains, **play._asdict())
        cells = chains is not None or argmax.carries.carry.size
        mapped = argmax.netlist if cells else Dce()(argmax.netlist)
        found.append((cost_of(argmax, mapped, chains, fractured=fractured), argmax, mapped))
    return found


def every_play(playing: int, luts: int, *, k: int, carry: bool) -> list[Play]:
    """Return the ways to play that are tried behind so many LUTs, fewer where these are many."""
    every = list(possible_rounds(playing)) if luts <= _SMALL else []
    found = [Play(*way) for way in product(every, _SLACKS)] or [Play(usual_rounds(playing, k - 2))]
    if carry:
        found += [Play(None, carry=True, three=three) for three in (False, True)]
        slacks = [(before, last) for before in _SLACKS for last in (_LAST if luts <= _MEDIUM else _SLACKS)]
        found += [
            Play(rounds, slack, carry=True)
            for rounds, slack in product(every, slacks)
            if len(rounds) > 1 or not slack[0]
        ]
    return found


def cost_of(
    argmax: Argmax, mapped: Netlist, chains: Chains | None = None, *, fractured: bool = False
) -> Cost:
    """Levels, and LUTs or with `fractured` sites, of an argmax with all that is in front of it."""
    if chains is not None:
        deepest = chains.levels(mapped, carry=True)[mapped.outputs].max(initial=0)
        return int(deepest), sites(mapped, chains).count if fractured else chains.luts(mapped)
    luts, depth = size(mapped)
    return depth, sites(mapped).count if fractured else luts - len(argmax.carries.carry)


def rank(cost: Cost, levels: int | None) -> tuple[float, ...]:
    """Return what is least for the best of several, see `best_argmax`."""
    depth, count = cost
    return (count * (_LEVELS + depth),) if levels is None else (max(depth, levels), count, depth)


def promising(found: list[tuple[Cost, Argmax, Netlist]]) -> list[tuple[Cost, Argmax, Netlist]]:
    """Keep, by levels and LUTs, the first of equals that none beats by more than `_NEAR`."""
    kept: dict[Cost, tuple[Cost, Argmax, Netlist]] = {}
    least = float("inf")
    for each in sorted(found, key=lambda each: each[0]):
        cost = each[0]
        least = min(least, cost[1])
        if cost[1] <= _NEAR * least:
            kept.setdefault(cost, each)
    return list(kept.values())


def add_argmax(
    fabric: Fabric,
    *,
    carry: bool = False,
    play: Play | None = None,
    registered: int = 0,
    fractured: bool = False,
    argmax: Argmax | None = None,
) -> tuple[Fabric, Argmax]:
    """Add an argmax to a fabric; where that has stages, a stage for each round behind the scores.

    Returns both the fabric and what `prove_expanded` needs.

    Args:
        fabric: network and counters.
        carry: see `ExpandArgmax`.
        play: another way to play.
        registered: see `expand`: take the one with the fewest cells in all, usual rounds or all at once.
        fractured: cells are sites of two LUTs.
        argmax: one that was built behind the fabric before it had stages, in place of all other arguments.
    """
    net = fabric.netlist
    build = partial(expand_argmax, net, classes=fabric.classes, k=net.k, bounds=score_bounds(fabric))
    given = argmax is not None
    argmax = build(**(play or Play(None, carry=carry))._asdict()) if argmax is None else argmax
    if registered and not given and fabric.classes <= _AT_ONCE:
        argmax = min(
            (argmax, *(build(rounds=(1,), slack=slack) for slack in _SLACKS)),
            key=lambda found: registered_cells(found.netlist, registered, fractured=fractured),
        )
    stage = None
    if net.stage is not None:
        later = fabric.latency + 1 + argmax.round_of
        stage = np.concatenate([net.stage, later]).astype(np.uint16)
    flat = argmax.scores.ravel()
    outputs = np.concatenate([np.where(flat < 2, flat, flat >> 1), argmax.netlist.outputs])
    expanded = replace(
        fabric,
        netlist=replace(argmax.netlist, outputs=outputs.astype(np.int32), stage=stage),
        index_bits=len(argmax.netlist.outputs),
        inverted=tuple(np.flatnonzero((flat > 1) & (flat & 1 == 1)).tolist()),
        carries=argmax.carries,
        ledger=None,
    )
    return expanded, argmax


def prove_expanded(before: Netlist, full: Argmax, *, levels: int = 1) -> str:
    """Prove that `full` is the argmax of the outputs of `before`; says how, "" where it failed."""
    flat = full.scores.ravel()
    inverted = (flat >= 2) & (flat & 1 == 1)
    signals = np.where(flat < 2, flat, flat >> 1)
    if inverted.any():
        given = Builder(replace(full.netlist, stage=None), k=full.netlist.k).netlist(flat.tolist())
        if not compare(before, given, samples=64, levels=levels).proof:
            return ""
    elif not np.array_equal(signals, before.outputs):
        return ""
    outputs = full.netlist.outputs.astype(np.int64)
    index = np.where(outputs < 2, outputs, 2 * outputs)
    never = np.flatnonzero(beaten(full.bounds)).tolist()
    return "SAT, for each two classes" if prove_argmax(full.netlist, full.scores, index, never=never) else ""


def _tournament(
    builder: Builder,
    players: list[Player],
    rounds: tuple[int, ...],
    slack: int | tuple[int, int],
    carries: list[Carry] | None,
) -> tuple[Number, list[int]]:
    """Play `rounds`; returns the winner's number and the round of each new LUT."""
    round_of: list[int] = []
    before, at_last = (slack, slack) if isinstance(slack, int) else slack
    for number, left in enumerate(rounds):
        groups = [players[first:stop] for first, stop in _groups(len(players), left)]
        players = meet(
            builder,
            groups,
            last=left == 1,
            slack=at_last if left == 1 else before,
            carries=carries,
            inverted=None if carries is None else odd(left, rounds[number + 1 :]),
        )
        round_of += [number] * (builder.new - len(round_of))
    return players[0].index, round_of


def _groups(players: int, left: int) -> list[tuple[int, int]]:
    return [(g * players // left, (g + 1) * players // left) for g in range(left)]


def odd(players: int, rounds: tuple[int, ...]) -> list[bool]:
    """Whether each player has an odd place in the first group of several in which it plays."""
    if not rounds:
        return [False] * players
    later = odd(rounds[0], rounds[1:])
    return [
        bool(place % 2) if stop - first > 1 else later[group]
        for group, (first, stop) in enumerate(_groups(players, rounds[0]))
        for place in range(stop - first)
    ]


def usual_rounds(players: int, group: int) -> tuple[int, ...]:
    """Players left after each round of groups of at most `group`, where the last three meet at once."""
    rounds = []
    while players > 1:
        players = 1 if players <= max(3, group) else -(-players // group)
        rounds.append(players)
    return tuple(rounds)


def possible_rounds(players: int) -> Iterator[tuple[int, ...]]:
    """Yield the ways to play with few duels too many: each round but the last in groups of 2 to 4."""
    if players <= 1:
        yield ()
    elif players <= MOST:
        yield (1,)
    for left in range(-(-players // 4), -(-players // 2) + 1):
        if left > 1:
            yield from ((left, *rest) for rest in possible_rounds(left))


def _numbers(bits: Bool2, numbers: int) -> I64x2:
    """Unsigned numbers int64 `[samples, numbers]` that bits `[samples, numbers * width]` spell."""
    digits = bits.reshape(len(bits), numbers, -1).astype(np.int64)
    return digits @ (1 << np.arange(digits.shape[2], dtype=np.int64))
