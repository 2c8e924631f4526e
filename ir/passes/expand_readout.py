"""The readout as LUTs: network, first counters and popcounts, and the ledger that proves them.

In order: the readout's entries become terms; the gates that make them are grouped into first counters
(`_fold`), behind which the network is mapped; what is left is counted column by column (`_count`) with
the blocks of `_cells`. Bits travel singly or as *encoded pairs* `(x, p)` that stand for x and `x ^ p`.
See docs/readout.md for the blocks and what they cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from math import inf
from typing import ClassVar

import numpy as np

from lgc.errors import LgcError

from .. import _kernels
from .._typing import Bool1, F64x2, I64x1
from ..builder import Builder
from ..carry import ChainBuilder
from ..equivalence import Comparison, patterns
from ..fabric import Fabric
from ..ledger import Ledger, renumber
from ..netlist import Netlist
from ..proof import prove
from ..simulate import scores
from ..sites import sites
from ._around import squeeze_around
from ._arrival import Plan, count_by_plan, within
from ._count import CHAIN, count
from ._fold import PACKED, STRATEGIES
from ._front import Front, literals, map_gates, mapped_front
from ._places import places
from ._polarity import plainer
from ._search import least, searched_ways
from ._slices import count_in_chains
from ._squeeze import parted, size, squeeze
from ._staged_count import count_in_stages
from ._tally import Tally
from .absorb import Absorb
from .base import run
from .dce import Dce, keep_luts
from .lut_map import decompose
from .pipeline import registered_cells
from .strash import Strash

_SMALL = 20_000
"""LUTs of a network up to which every strategy is tried to the end, not estimated."""

_LARGE = 50_000
"""LUTs of a network above which it is not mapped once more with its counters: its proof takes minutes."""

_PROMISING, _REACHED = 1.03, 1.02
"""Plans are searched for fronts whose least LUTs are at most so many times those of any other, and so many
times which are fewer than there are already."""

_LIKELY = ("chains", "packed-all", "adders-all")
"""Strategies that were best most often, one for each k and kind of LUT."""


@dataclass(frozen=True)
class ExpandReadout:
    """Turn the readout into popcount LUTs; the outputs become the scores in binary.

    Maps to k-input LUTs on the way, because gates and the first counters share LUTs.
    Run it last: its structure is what general optimisation destroys.

    Attributes:
        k: pins per LUT.
        strategy: see `expand`.
        fractured: see `expand`.
        carry: see `expand`.
        shallow: see `expand`.
    """

    name: ClassVar[str] = "expand-readout"
    k: int = 4
    strategy: str = "auto"
    fractured: bool = False
    carry: bool = False
    shallow: bool = False

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if self.k not in STRATEGIES:
            raise ValueError(f"k must be 4, 5 or 6, not {self.k}")
        if self.strategy not in ("auto", *STRATEGIES[self.k]):
            known = ", ".join(STRATEGIES[self.k])
            raise ValueError(f"strategy must be auto or, with k={self.k}, {known}, not {self.strategy!r}")
        if self.carry and self.k != 6:
            raise ValueError("carry needs k=6")

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with class-major unsigned score bits as outputs, see `Fabric`."""
        return self._expand(net).netlist

    def _expand(self, net: Netlist) -> Fabric:
        return expand(
            net,
            k=self.k,
            strategy=self.strategy,
            fractured=self.fractured,
            carry=self.carry,
            shallow=self.shallow,
        )

    def verify(self, before: Netlist, after: Netlist, levels: int) -> Comparison:
        """Prove that `after` has the scores of `before`; simulate it where that fails."""
        fabric = replace(self._expand(before), netlist=after)
        bits = patterns(before.inputs, samples=1024, seed=0, levels=levels)
        differ = np.flatnonzero((fabric.scores(bits) != scores(before, bits)).any(axis=1))
        if differ.size:
            return Comparison(equal=False, patterns=len(bits), counterexample=bits[differ[0]])
        proof = prove(before, fabric, levels=levels)
        return Comparison(equal=True, patterns=len(bits), proof=proof.method)


def expand(
    net: Netlist,
    *,
    k: int = 4,
    strategy: str = "auto",
    fractured: bool = False,
    carry: bool = False,
    shallow: bool = False,
    levels: int | None = None,
    deepest: int | None = None,
    position: F64x2 | None = None,
    quick: bool = False,
    registered: int = 0,
) -> Fabric:
    """Build the fabric of `net`: its LUTs, mapped to k pins, and the popcount of its readout.

    Args:
        net: any netlist with a readout; LUTs of more than k pins are taken apart.
        k: pins per LUT.
        strategy: how gates are folded into the first counters, one of `STRATEGIES[k]`, or "auto" to
            map with each and take the one with the fewest LUTs.
        fractured: take the one with the fewest sites of two LUTs instead, see `sites`; with k=6, for
            Xilinx.
        shallow: spend LUTs on levels: blocks of encoded pairs stand side by side, which saves levels in some
            networks only. With k below 6.
        carry: count with carry chains, with k=6: with `fractured` where that takes fewer sites, else for the
            fewest LUTs, chains being free; see `Fabric.chains`.
        levels: with `carry` and without `fractured`, the fewest LUTs whose scores can be compared by this
            level, each CARRY4 on the way being one, or the earliest if they cannot. None for the fewest LUTs.
        deepest: levels of network and first counters, more only where so few are impossible; None for the
            fewest LUTs.
        position: where each input belongs in the plane, float64 `[inputs, 2]` within 0 and 1, such
            as the pixel behind it. Bits of neighbouring inputs are counted together, which keeps
            wires short. In the order of the inputs if None.
        quick: build only what is best most often, and map it once, for estimates. Instead of `strategy`.
        registered: LUTs between registers where every signal gets one for each stage it crosses, see
            `Pipeline.balanced`. Waiting costs cells then: take the fabric with the fewest cells in all, among
            them one whose counters let no bit wait. Without `carry`. 0 for inputs that are held.

    Raises:
        LgcError: the netlist has no readout, or has other outputs besides; or `carry` is asked for
            with k below 6.
    """
    if carry and k != 6:
        raise LgcError("Carry chains are built with 6-input LUTs only.", hint="Give k=6.")
    net = prepared(net, k)
    place, pins = places(net, position), _pins(net)
    every = [name for name in STRATEGIES[k] if name not in PACKED or (fractured and pins <= PACKED[name])]
    names = every if strategy == "auto" else [strategy]
    if quick:
        names = [next(name for name in _LIKELY if name in every)]
    mapper = partial(map_gates, deepest=deepest, once=quick)
    narrow = cache(partial(mapper, net))
    fronts = (mapped_front(net, k, name, place, mapper, narrow) for name in names)
    if fractured and quick:
        likely = next(fronts)
        if carry:
            return _legal(net, likely, k)
        return build(net, likely, k)
    if fractured:
        built = (fabric for front in fronts for fabric in _fractured(net, front, k, carry=carry))
        best = min(built, key=lambda fabric: sites(fabric.netlist, fabric.chains).count)
    else:
        chosen = fronts if net.luts <= _SMALL else [min(fronts, key=lambda front: front.estimate)]
        if carry:
            wanted = None if levels is None else (levels,)
            ways = [(front, _plans(front, k, wanted)) for front in map(_plain, chosen)]
            return _by_arrival(net, k, ways, levels)
        chain = [1 if shallow else CHAIN]
        built = (build(net, front, k, chain=chain) for front in chosen)
        if net.luts <= _LARGE:
            built = (squeezed(fabric, k) for fabric in built)
        best = min(built, key=lambda fabric: size(fabric.netlist))
    if not registered:
        return best
    flat = build(net, mapped_front(net, k, "plain", place, mapper, narrow), k, staged=True)
    cells = partial(registered_cells, levels=registered, fractured=fractured)
    return min((flat, best), key=lambda fabric: cells(fabric.netlist))


def expand_each(
    net: Netlist,
    *,
    k: int = 6,
    deepest: int | None = None,
    levels: Sequence[int] = (),
    below: float = inf,
) -> Iterator[Fabric]:
    """Yield the fabrics that `expand` makes with carry chains, from the fewest levels to the fewest LUTs.

    Plans are searched for scores that can be compared by each of `levels`. Fronts that cannot lead to fewer
    than `below` LUTs are left out.
    """
    net = prepared(net, k)
    mapper = partial(map_gates, deepest=deepest)
    place, narrow = places(net, None), cache(partial(mapper, net))
    names = [name for name in STRATEGIES[k] if name not in PACKED]
    fronts = [_plain(mapped_front(net, k, name, place, mapper, narrow)) for name in names]
    if net.luts > _SMALL:
        fronts = [min(fronts, key=lambda front: front.estimate)]
    bound = [_least(front, k) for front in fronts]
    most = min(_PROMISING * min(bound), below / _REACHED)
    ways = [
        (front, _plans(front, k, levels if luts <= most else ()))
        for front, luts in zip(fronts, bound, strict=True)
        if luts < below
    ]
    every = {plan.compared for _, of_class in ways for found in of_class for plan in found}
    before: list[Plan] = []
    for level in sorted(every):
        chosen = _cheapest(ways, level)[2]
        if chosen != before:
            yield _by_arrival(net, k, ways, level)
        before = chosen


def prepared(net: Netlist, k: int) -> Netlist:
    """Return the network with its readout, simplified, of LUTs of at most k pins."""
    if net.readout is None or net.outputs.size:
        raise LgcError("Only a netlist with a readout and no other outputs can be expanded.")
    net = run((Strash(), Absorb(), Dce()), net)
    if _pins(net) > k:
        net = run((Strash(), Absorb(), Dce()), decompose(net))
    return net


def _pins(net: Netlist) -> int:
    return int((net.fanin != 0).sum(axis=1).max(initial=0))


def _fractured(net: Netlist, front: Front, k: int, *, carry: bool) -> Iterator[Fabric]:
    """Yield ways to count for few sites."""
    plain = build(net, front, k)
    yield plain
    if net.luts <= _SMALL:
        yield squeezed(plain, k)
    if carry:
        yield _legal(net, front, k)


def _legal(net: Netlist, front: Front, k: int, *, plans: list[Plan] | None = None) -> Fabric:
    """Count in chains, or without where constants and complements would make a carry leave one."""
    fabric = build(net, front, k, carry=True, plans=plans)
    try:
        if fabric.chains is not None:
            fabric.chains.check(fabric.netlist)
    except LgcError:
        return build(net, front, k)
    return fabric


def _least(front: Front, k: int) -> float:
    """LUTs that a front and its counters take in any case."""
    return front.mapped.luts + sum(map(least, _tallies(front, Builder(front.mapped, k=k))))


def _plain(front: Front) -> Front:
    """Let LUTs whose bits are counted inverted drive the complement: beside a carry there is no inverter."""
    mapped, here = plainer(front.mapped, front.crossing[1])
    return replace(front, mapped=mapped, crossing=(front.crossing[0], here))


def _plans(front: Front, k: int, levels: Iterable[int] | None) -> list[list[Plan]]:
    """Ways to count each class by arrival, from the fewest levels to the fewest LUTs."""
    builder = Builder(front.mapped, k=k)
    return [searched_ways(tally, builder.level, levels) for tally in _tallies(front, builder)]


_Ways = list[tuple["Front", list[list[Plan]]]]
"""Fronts, and for each the plans of each class."""


def _cheapest(ways: _Ways, levels: int | None) -> tuple[tuple[int, int], Front, list[Plan]]:
    """Levels above those asked for and LUTs of the best front, that front and a plan for each class."""
    best = []
    for front, of_class in ways:
        chosen = [within(found, levels) for found in of_class]
        deepest = max((plan.compared for plan in chosen), default=0)
        luts = front.mapped.luts + sum(plan.luts for plan in chosen)
        best.append(((max(0, deepest - levels) if levels is not None else 0, luts), front, chosen))
    return min(best, key=lambda each: each[0])


def _by_arrival(net: Netlist, k: int, ways: _Ways, levels: int | None) -> Fabric:
    """Count with the fewest LUTs by a level, or in the fewest levels if there is no such way."""
    _, front, chosen = _cheapest(ways, levels)
    fabric = _legal(net, front, k, plans=chosen)
    return squeezed(fabric, k) if net.luts <= _SMALL else fabric


def squeezed(fabric: Fabric, k: int) -> Fabric:
    """Map network and counters once more, together."""
    before, chains, ledger = fabric.netlist, fabric.chains, fabric.ledger
    assert ledger is not None
    if chains is not None:
        after, chains = squeeze_around(before, chains, k, parts=(fabric.network_luts,))
        if after is before:
            return fabric
    else:
        after = squeeze(before, k)
    assert after.origin is not None
    network = after.origin < fabric.network_luts
    return replace(
        fabric,
        netlist=parted(after, network),
        network_luts=int(network.sum()),
        chains=chains,
        ledger=replace(ledger, counting=before),
    )


def build(
    net: Netlist,
    front: Front,
    k: int,
    *,
    carry: bool = False,
    plans: list[Plan] | None = None,
    staged: bool = False,
    chain: Sequence[int] = (CHAIN,),
) -> Fabric:
    """Count what is left of the terms, and write the ledger; `chain` for each class, or one for all."""
    mapped, crossing, folds, width = front.mapped, front.crossing, front.folds, front.folds[0].width
    builder = ChainBuilder(mapped, k=k) if carry else Builder(mapped, k=k)
    tallies = _tallies(front, builder)
    for c, tally in enumerate(tallies):
        if plans is not None:
            count_by_plan(tally, plans[c])
        elif carry:
            count_in_chains(tally)
        elif staged:
            count_in_stages(tally, k)
        else:
            count(tally, k, chain=chain[c % len(chain)])
    full = builder.netlist([bit for tally in tallies for bit in tally.finish()])
    live = _live(full, tallies)
    smaller = keep_luts(full, live)
    literal = _renumbered(full, live)
    ledger = Ledger(
        network=net,
        extended=front.extended,
        constant=front.constant,
        offset=front.offset,
        folded=tuple(block for fold in folds for block in fold.blocks),
        crossing=(crossing[0], literal[crossing[1]]),
        counted=renumber((block for tally in tallies for block in tally.blocks), literal),
        outputs=literals(smaller.outputs).reshape(-1, width),
    )
    return Fabric(
        netlist=smaller,
        classes=len(tallies),
        score_width=width,
        offset=front.offset,
        network_luts=int(live[: mapped.luts].sum()),
        ledger=ledger,
        chains=builder.chains(literal) if isinstance(builder, ChainBuilder) else None,
    )


def _tallies(front: Front, builder: Builder) -> list[Tally]:
    """Return the terms that first counters left, as literals of the mapped netlist."""
    over = dict(zip(*(side.tolist() for side in front.crossing), strict=True))
    return [
        Tally(builder, c, fold.width, [(w, over[x], over[p] if p >= 0 else p) for w, x, p in fold.terms()])
        for c, fold in enumerate(front.folds)
    ]


def _live(net: Netlist, tallies: list[Tally]) -> Bool1:
    """LUTs that an output or a term depends on, bool `[luts]`."""
    needed = np.zeros(net.signals, np.bool_)
    needed[net.roots()] = True
    for tally in tallies:
        needed[[x >> 1 for x in tally.literals()]] = True
    _kernels.live(net.fanin, net.first_lut, needed)
    return needed[net.first_lut :]


def _renumbered(net: Netlist, live: Bool1) -> I64x1:
    """Return the new literal of each old one when only live LUTs are left, -1 if gone; `[2 * signals]`."""
    signal = np.arange(net.signals, dtype=np.int64)
    signal[net.first_lut :] = np.where(live, net.first_lut + np.cumsum(live) - 1, -1)
    return np.where(signal < 0, -1, 2 * signal + np.array([[0], [1]])).T.ravel()
