"""The network, mapped together with the first counters of each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._typing import I32x1, I64x1
from ..builder import Builder
from ..ledger import SINGLE, Term
from ..netlist import Netlist
from ..readout import Readout
from ..sites import absorb_twins
from ._count import CHAIN
from ._fold import PACKED, RUN, STRATEGIES, fold, foldable
from ._tally import Tally
from .dce import Dce
from .lut_map import LutMap


@dataclass(frozen=True)
class Way:
    """How the bits of one class are grouped and counted.

    Attributes:
        strategy: how gates are folded into first counters, see `expand`.
        order: 0 for bits of neighbouring inputs together, else a number that bits are drawn by.
        run: first counters in a row.
        chain: blocks of encoded pairs in a row, after these.
    """

    strategy: str
    order: int = 0
    run: int = RUN
    chain: int = CHAIN


@dataclass(frozen=True)
class Front:
    """The network, mapped together with its first counters.

    Attributes:
        extended: the network and the counters before mapping.
        mapped: after mapping.
        crossing: literals of `extended` and of `mapped`, see `Ledger`.
        folds: per class, the terms that are left, over `extended`.
        constant: see `Ledger`.
        offset: see `Ledger`.
        estimate: LUTs of `mapped` and of the counters that follow.
    """

    extended: Netlist
    mapped: Netlist
    crossing: tuple[I64x1, I64x1]
    folds: list[Tally]
    constant: I64x1
    offset: int
    estimate: float


def map_gates(net: Netlist, k: int, *, deepest: int | None, once: bool = False) -> Netlist:
    """Return `net` mapped to k pins, within `deepest` levels where that can be."""
    options = LutMap(k=k, depth=deepest is not None, levels=deepest or 0)
    return options.once(net) if once else options(net)


def mapped_front(
    net: Netlist,
    k: int,
    strategy: str | Sequence[Way],
    place: list[Any],
    mapper: Callable[[Netlist, int], Netlist],
    narrow: Callable[[int], Netlist],
) -> Front:
    """Fold first counters into `net` and map both, with one strategy or a way for each class.

    `narrow` returns `net` mapped to so many pins.
    """
    assert net.readout is not None
    terms, constant, offset, width = first_terms(net.readout)
    ways = [Way(strategy)] * len(terms) if isinstance(strategy, str) else strategy
    names = {way.strategy for way in ways}
    pack = names <= set(PACKED)
    pins = max((PACKED.get(name, k) for name in names), default=k)
    extension = Builder(net, k=max(net.k, pins))
    folds = [Tally(extension, c, width, first) for c, first in enumerate(terms)]
    gates = {name: foldable(net, net if name.endswith("-all") else narrow(pins), folds) for name in names}
    for way in dict.fromkeys(ways):
        near = place if not way.order else list(np.random.default_rng(way.order).permutation(len(place)))
        of_way = [tally for tally, other in zip(folds, ways, strict=True) if other == way]
        fold(of_way, STRATEGIES[k][way.strategy], gates[way.strategy], near, run=way.run)
    extended = extension.netlist([])
    net, crossing = _map(extended, [list(tally.terms()) for tally in folds], pins, mapper, pack=pack)
    singles = sum(len(column.singles) for tally in folds for column in tally.columns)
    pairs = sum(len(column.pairs) for tally in folds for column in tally.columns)
    estimate = net.luts + (singles if k == 6 else (14 * singles + 24 * pairs) / 9)
    return Front(extended, net, crossing, folds, constant, offset, estimate)


def _map(
    extended: Netlist,
    remaining: list[list[Term]],
    k: int,
    mapper: Callable[[Netlist, int], Netlist],
    *,
    pack: bool,
) -> tuple[Netlist, tuple[I64x1, I64x1]]:
    """Map `extended`; returns it and where the literals of the remaining terms went.

    They pass through as readout entries, where an inverter is a sign and costs nothing.
    """
    literal = np.unique(np.array([x for terms in remaining for _, *pair in terms for x in pair], np.int64))
    literal = literal[literal >= 0]
    signal = np.where(literal == 1, 1, literal >> 1).astype(np.int32)
    observed = Readout(
        bias=np.zeros(1, np.int64),
        start=np.array([0, len(literal)], np.int64),
        signal=signal,
        weight=np.where(literal & (signal > 1), -1, 1).astype(np.int32),
    )
    mapped = mapper(replace(extended, readout=observed, stage=None, origin=None), k)
    if pack:
        mapped = Dce()(absorb_twins(mapped))
    head = mapped.readout
    assert head is not None
    crossed = literals(head.signal) ^ (head.weight < 0)
    return replace(mapped, readout=None, origin=None), (literal, crossed)


def first_terms(head: Readout) -> tuple[list[list[Term]], I64x1, int, int]:
    """Return the terms of each class, constants, offset and score width; see `Ledger`."""
    negative = np.zeros(head.classes, np.int64)
    np.add.at(negative, head.class_of_entry, np.minimum(head.weight, 0))
    constant = head.bias + negative
    offset = int(constant.min())
    width = max(1, int((head.bounds()[1] - offset).max()).bit_length())
    terms: list[list[Term]] = []
    for c, extra in enumerate((constant - offset).tolist()):
        entries = slice(int(head.start[c]), int(head.start[c + 1]))
        signals, weights = head.signal[entries].tolist(), head.weight[entries].tolist()
        terms.append(
            [
                (w, 2 * signal + (weight < 0), SINGLE)
                for signal, weight in zip(signals, weights, strict=True)
                for w in range(abs(weight).bit_length())
                if abs(weight) >> w & 1
            ]
        )
        terms[-1] += [(w, 1, SINGLE) for w in range(extra.bit_length()) if extra >> w & 1]
    return terms, constant, offset, width


def literals(signals: I32x1) -> I64x1:
    """Literals of signals; constant 1 is constant 0, inverted."""
    return np.where(signals == 1, 1, 2 * signals.astype(np.int64))
