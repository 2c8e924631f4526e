"""Network, counters and argmax chosen together, by LUTs and levels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from ..carry import Chains
from ..fabric import Fabric
from ..netlist import Netlist
from ..proof import prove, same_outputs
from ._around import squeeze_around
from ._classwise import Classwise, climb
from ._front import literals
from ._meet import MOST
from .expand_argmax import (
    Argmax,
    Cost,
    Play,
    argmaxes,
    beaten,
    best_argmax,
    cost_of,
    every_play,
    promising,
    prove_expanded,
    rank,
    score_bounds,
)
from .expand_readout import expand, expand_each, prepared

_SMALL = 20_000
"""LUTs up to which a network is also mapped for fewer levels where it need not be."""

_TINY = 2_000
"""LUTs of a fabric up to which ways are drawn for each class."""

TRIES = 120
"""How often a class gets another way to be grouped and counted."""

_PLAYS = 16
"""Ways to compare that are tried behind each of these."""

_FIRST, _ROUND = 2, 3
"""Levels of an argmax of one round behind the last LUT that compares scores, and of each round more."""

_LIKELY = 4
"""Ways to compare behind one fabric that are mapped once more."""


@dataclass(frozen=True, eq=False)
class Head:
    """A network with its readout and argmax as LUTs.

    Attributes:
        fabric: network and counters, with the ledger that proves them.
        argmax: what was added behind the score bits.
        netlist: all of it, mapped once more; its outputs are the index, least significant bit first.
        chains: the carry chains in `netlist`; None if there are none.
    """

    fabric: Fabric
    argmax: Argmax
    netlist: Netlist
    chains: Chains | None

    def cost(self, *, fractured: bool = False) -> Cost:
        """Levels, each CARRY4 on the way being one, and LUTs or with `fractured` sites."""
        return cost_of(self.argmax, self.netlist, self.chains, fractured=fractured)

    def parts(self) -> tuple[Fabric, Argmax]:
        """Return network and counters, and the argmax behind them, for a design that wants the scores, too.

        With carry chains all of it is mapped once more, as `netlist` is, but nothing across the scores.
        """
        fabric, argmax = self.fabric, self.argmax
        counted, whole = fabric.netlist, argmax.netlist
        if fabric.chains is None or self.netlist is whole:
            return fabric, argmax
        both = replace(whole, outputs=np.concatenate([counted.outputs, whole.outputs]))
        after, chains = squeeze_around(
            both, fabric.chains, whole.k, parts=(fabric.network_luts, counted.luts)
        )
        if after is both:
            return fabric, argmax
        assert after.origin is not None
        assert fabric.ledger is not None
        luts = int((after.origin < counted.luts).sum())
        scores, index = np.split(after.outputs, [counted.outputs.size])
        if scores.max(initial=0) >= after.first_lut + luts:  # an inverter, which comes last
            return fabric, argmax
        behind = after.origin[luts:] - counted.luts
        ledger = fabric.ledger
        smaller = replace(
            fabric,
            netlist=Netlist(after.inputs, after.fanin[:luts], after.table[:luts], scores),
            network_luts=int((after.origin < fabric.network_luts).sum()),
            chains=chains,
            ledger=ledger if ledger.counting is not None else replace(ledger, counting=counted),
        )
        played = replace(
            argmax,
            netlist=replace(after, outputs=index, origin=None),
            scores=literals(scores).reshape(argmax.scores.shape),
            round_of=np.append(argmax.round_of, argmax.round_of.max(initial=0))[behind],
        )
        return smaller, played

    def prove(self, net: Netlist) -> bool:
        """Prove that the index is that of the highest score of `net`, the lowest of equals."""
        full = self.argmax.netlist
        return (
            prove(net, self.fabric).proved
            and bool(prove_expanded(self.fabric.netlist, self.argmax))
            and (self.netlist is full or same_outputs(full, self.netlist))
        )


def best_head(
    net: Netlist,
    *,
    k: int = 4,
    fractured: bool = False,
    carry: bool = False,
    cells: bool = False,
    levels: int | None = None,
    tries: int = TRIES,
) -> Head:
    """Return the cheapest head of at most so many levels, or the one of the fewest if there is none.

    Args:
        net: any netlist with a readout.
        k: pins per LUT.
        fractured: for the fewest sites, see `expand`.
        carry: count in carry chains, with k=6.
        cells: compare in carry chains of iCE40, with k=4.
        levels: None for the cheapest, a level being worth a quarter of a per cent of the LUTs. Where counters
            and comparators do not get by with so many, the network is mapped for levels.
        tries: ways to group and count a single class that are drawn, for up to 2,000 LUTs and with neither
            `fractured` nor `carry`.
    """

    def order(head: Head) -> tuple[float, ...]:
        return rank(head.cost(fractured=fractured), levels)

    wanted = () if levels is None or not carry else _compared(net, k, levels)

    def heads(deepest: int | None, below: float = inf) -> list[Head]:
        found = list[Head]()
        if carry and (levels is not None or not fractured):
            each = expand_each(net, k=k, deepest=deepest, levels=wanted, below=below)
            found = [head for fabric in each for head in _behind(fabric, k, levels)]
            if not fractured:
                return found
        for shallow in (False,) if levels is None or k == 6 else (False, True):
            fabric = expand(net, k=k, fractured=fractured, carry=carry, shallow=shallow, deepest=deepest)
            found.append(compared(fabric))
        return found

    def compared(fabric: Fabric) -> Head:
        argmax, mapped = best_argmax(
            fabric.netlist, classes=fabric.classes, k=k, carry=cells, fractured=fractured,
            chains=fabric.chains, bounds=score_bounds(fabric), levels=levels,
        )  # fmt: skip
        return Head(fabric, argmax, mapped, fabric.chains)

    def values(fabric: Fabric, plays: list[Play]) -> list[tuple[float, ...]]:
        found = argmaxes(
            fabric.netlist, classes=fabric.classes, k=k, carry=cells, bounds=score_bounds(fabric), plays=plays
        )
        return [rank(cost, levels) for cost, _, _ in found]

    def climbed(deepest: int | None) -> Head:
        classwise = Classwise(net, k=k, deepest=deepest)
        playing = int((~beaten(head.argmax.bounds)).sum())
        plays = every_play(playing, head.fabric.netlist.luts, k=k, carry=cells)
        starts = [(ways, values(classwise.fabric(ways), plays)) for ways in classwise.alike()]
        ways, cost = min(starts, key=lambda start: min(start[1]))
        likely = [
            play for _, play in sorted(zip(cost, plays, strict=True), key=lambda each: each[0])[:_PLAYS]
        ]
        return compared(climb(classwise, ways, lambda fabric: min(values(fabric, likely)), tries))

    head, chosen = min(heads(None), key=order), None
    if levels is not None and (net.luts <= _SMALL or head.cost()[0] > levels):
        for deepest in range(_network_levels(head) - 1, 0, -1):
            depth, luts = head.cost()
            below = inf if fractured or depth > levels else luts - head.argmax.luts
            other = min(heads(deepest, below), key=order, default=None)
            if other is not None and order(other) < order(head):
                head, chosen = other, deepest
            if other is None or _network_levels(other) > deepest:
                break
    if tries and head.fabric.netlist.luts <= _TINY and not (fractured or carry):
        for most in dict.fromkeys((None, chosen)):
            head = min((head, climbed(most)), key=order)
    return head


def _compared(net: Netlist, k: int, levels: int) -> range:
    """Levels by which scores are to be compared for an argmax of at most so many levels in all."""
    head = prepared(net, k).readout
    assert head is not None
    players, rounds = int((~beaten(np.stack(head.bounds(), axis=1))).sum()), 1
    while players > MOST:
        players, rounds = -(-players // (k - 2)), rounds + 1
    last = levels - _FIRST - _ROUND * (rounds - 1)
    return range(max(1, last - 1), last + 1)


def _network_levels(head: Head) -> int:
    net = head.fabric.netlist
    return int(net.levels()[: net.first_lut + head.fabric.network_luts].max(initial=0))


def _behind(fabric: Fabric, k: int, levels: int | None) -> list[Head]:
    """Heads of a fabric with carry chains, mapped once more around these."""
    tried = argmaxes(
        fabric.netlist, classes=fabric.classes, k=k, chains=fabric.chains, bounds=score_bounds(fabric)
    )
    likely = sorted(promising(tried), key=lambda each: rank(each[0], levels))[:_LIKELY]
    heads = []
    for _, argmax, full in likely:
        mapped, chains = full, fabric.chains
        if chains is not None:
            mapped, chains = squeeze_around(full, chains, k)
        heads.append(Head(fabric, argmax, mapped, chains))
    return heads
