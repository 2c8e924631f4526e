"""Readouts whose classes are grouped and counted in different ways, found by trying."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import product
from random import Random
from typing import Any

import numpy as np

from ..fabric import Fabric
from ..netlist import Netlist
from ._count import CHAIN
from ._fold import PACKED, RUN, STRATEGIES
from ._front import Front, Way, map_gates, mapped_front
from ._places import places
from .expand_readout import build, prepared, squeezed

_RUNS = (RUN // 2, RUN)
_CHAINS = range(1, CHAIN + 1)


class Classwise:
    """Fabrics of one network whose classes are grouped and counted in different ways.

    Args:
        net: see `expand`.
        k: see `expand`.
        deepest: see `expand`.
    """

    def __init__(self, net: Netlist, *, k: int, deepest: int | None = None) -> None:
        self.net, self.k = prepared(net, k), k
        self.strategies = [name for name in STRATEGIES[k] if name not in PACKED]
        self._mapper = partial(map_gates, deepest=deepest)
        self._narrow = cache(partial(self._mapper, self.net))
        self._place = places(self.net, None)
        self._last: tuple[list[Way], Front] | None = None

    def fabric(self, ways: Sequence[Way]) -> Fabric:
        """Return the fabric with a way for each class; the network stays if only `chain` has changed."""
        grouped = [replace(way, chain=CHAIN) for way in ways]
        if self._last is None or self._last[0] != grouped:
            front = mapped_front(self.net, self.k, grouped, self._place, self._mapper, self._narrow)
            self._last = grouped, front
        return squeezed(build(self.net, self._last[1], self.k, chain=[way.chain for way in ways]), self.k)

    def alike(self) -> Iterator[list[Way]]:
        """Yield the ways that are the same for all classes, bits in the order of inputs."""
        assert self.net.readout is not None
        runs, chains = (_RUNS, (1, CHAIN)) if self.k < 6 else ((RUN,), (CHAIN,))
        for name, run, chain in product(self.strategies, runs, chains):
            yield [Way(name, 0, run, chain)] * self.net.readout.classes

    def changed(self, ways: Sequence[Way], draw: Random) -> list[Way]:
        """Return other ways: that of one class is drawn anew in one respect."""
        assert self.net.readout is not None
        counted = np.flatnonzero(np.diff(self.net.readout.start) > 1).tolist()
        c = draw.choice(counted or [0])
        other: dict[str, Any] = {"order": draw.getrandbits(30) + 1}
        if draw.random() < 0.5:
            other = {"strategy": draw.choice(self.strategies)}
            if self.k < 6 and draw.random() < 0.8:
                other = (
                    {"run": draw.choice(_RUNS)} if draw.random() < 0.1 else {"chain": draw.choice(_CHAINS)}
                )
        return [*ways[:c], replace(ways[c], **other), *ways[c + 1 :]]


def climb(
    classwise: Classwise, ways: list[Way], value: Callable[[Fabric], tuple[float, ...]], tries: int
) -> Fabric:
    """Return a fabric of low value: that of some ways, changed class by class `tries` times.

    A change stays unless the value rises. The same tries are made every time.
    """
    best = classwise.fabric(ways)
    least, draw = value(best), Random(0)  # noqa: S311 - always the same ways
    for _ in range(tries):
        other = classwise.changed(ways, draw)
        fabric = classwise.fabric(other)
        if (cost := value(fabric)) <= least:
            least, ways, best = cost, other, fabric
    return best
