"""Technology mapping: merge small LUTs into k-input ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from lgc.errors import LgcError

from .. import _cones, _cover, _cuts
from .._typing import I8x1, I8x2, I32x1, I32x2, I32x3
from ..netlist import Netlist, table_dtype
from ._sweep import sweep
from .dce import Dce
from .reduce import Reduce

_TINY, _SMALL = 2_000, 3_000
"""LUTs up to which the result is taken apart and mapped once more, of fewer cuts in between."""
_MEDIUM = 50_000
"""LUTs up to which levels are also sought in what area alone made."""
_HUGE = 1_000_000
"""LUTs from which on time and memory count for more than the last half per cent of area."""
_FEWER_CUTS = 6
_FLOW_ROUNDS = 3
_AREA_ROUNDS = 3
_EVICTION_ROUNDS = 10
_ROUNDS_IF_HUGE = 4
_WORTH_A_ROUND = 2000
"""Four more rounds follow if the last four saved more than one LUT in so many."""


@dataclass(frozen=True)
class LutMap:
    """Merge LUTs into as few k-input LUTs as possible, by priority cuts and exact area.

    Priority cuts with area flow, then exact area (Mishchenko et al., ICCAD 2007), then eviction:
    the readers of a LUT choose other cuts together, so that it is no longer needed. Fan-out in a
    logic-gate network is about 2, a move that single-node area recovery cannot see. Superfluous
    pins are dropped before and after.

    Attributes:
        k: pins per LUT of the result, 2 to 6; at least the pins of the LUTs given.
        depth: keep the smallest depth that cuts allow, instead of trading depth for area.
        levels: with `depth`, so many levels are allowed even if fewer are possible.
        cuts: cuts kept per LUT; at most 6 in a netlist of more than a million LUTs.
    """

    name: ClassVar[str] = "lut-map"
    k: int = 4
    depth: bool = False
    levels: int = 0
    cuts: int = 12

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if not 2 <= self.k <= 6:
            raise ValueError(f"k must be 2 to 6, not {self.k}")
        if self.levels < 0 or (self.levels and not self.depth):
            raise ValueError("levels must not be negative, and needs depth=true")
        if not 1 <= self.cuts <= 64:
            raise ValueError(f"cuts must be 1 to 64, not {self.cuts}")

    def __call__(self, net: Netlist) -> Netlist:
        """Return the mapped netlist.

        Raises:
            LgcError: a LUT of `net` needs more than k pins.
        """
        net = Reduce()(net)
        widest = int((net.fanin != 0).sum(axis=1).max(initial=0))
        if widest > self.k:
            raise LgcError(
                f"A LUT with {widest} pins does not fit LUTs of {self.k}.", hint=f"Map with k={widest}."
            )
        mapped = _map(net, self)
        if self.depth:
            # levels are cheaper in the structure that area alone would choose
            return min(self._ways(net, mapped), key=self._rank)
        if mapped.luts <= _SMALL:
            cuts = self.cuts if mapped.luts <= _TINY else min(self.cuts, _FEWER_CUTS)
            again = _map(decompose(mapped), replace(self, cuts=cuts))
            if again.luts < mapped.luts:
                return again
        return mapped

    def once(self, net: Netlist) -> Netlist:
        """Map, but never take LUTs apart: `origin` tells which LUT of `net` each stems from."""
        return _map(Reduce()(net), self)

    def _ways(self, net: Netlist, mapped: Netlist) -> Iterator[Netlist]:
        yield mapped
        if mapped.luts <= _SMALL:
            yield _map(decompose(mapped), self)
        if mapped.luts <= _MEDIUM:
            yield _map(decompose(replace(self, depth=False, levels=0)(net)), self)

    def _rank(self, net: Netlist) -> tuple[int, int]:
        return max(_depth(net), self.levels), net.luts


def _map(net: Netlist, options: LutMap) -> Netlist:
    """Choose cuts, turn those of the cover into LUTs, and clean up."""
    mapper = _Mapper.of(net, options)
    limit = mapper.enumerate_cuts()
    mapper.recover_area(limit)
    mapper.evict(limit)
    return Dce()(sweep(_eliminate(Reduce()(mapper.extract())), share=True))


def decompose(net: Netlist) -> Netlist:
    """Write the LUTs of a netlist as 2-input gates."""
    from ..interop import aiger  # whose kernels take their time to load

    return Dce()(sweep(aiger.as_gates(net), share=True))


def _depth(net: Netlist) -> int:
    return int(net.levels()[net.roots()].max(initial=0))


@dataclass(frozen=True, eq=False)
class _Mapper:
    """Cuts and cover of a netlist; the arrays change in place.

    Attributes:
        net: the netlist that is mapped.
        options: the pass.
        leaves: int32 `[luts, cuts, k]`, see `_cuts`.
        sizes: int8 `[luts, cuts]`.
        counts: int8 `[luts]`, cuts kept.
        depth: int32 `[signals]`, LUTs to the signal through best cuts.
        required: int32 `[signals]`, latest allowed depth.
        refs: int32 `[signals]`, readers in the cover.
        roots: int32 `[roots]`.
    """

    net: Netlist
    options: LutMap
    leaves: I32x3
    sizes: I8x2
    counts: I8x1
    depth: I32x1
    required: I32x1
    refs: I32x1
    roots: I32x1

    @classmethod
    def of(cls, net: Netlist, options: LutMap) -> _Mapper:
        """Set aside the arrays; a huge netlist gets fewer cuts per LUT."""
        n, k = net.luts, options.k
        cuts = min(options.cuts, _FEWER_CUTS) if n > _HUGE else options.cuts
        return cls(
            net=net,
            options=options,
            leaves=np.empty((n, cuts, k), np.int32),
            sizes=np.zeros((n, cuts), np.int8),
            counts=np.zeros(n, np.int8),
            depth=np.zeros(net.signals, np.int32),
            required=np.full(net.signals, _cover.UNREACHED, np.int32),
            refs=np.zeros(net.signals, np.int32),
            roots=net.roots(),
        )

    def enumerate_cuts(self) -> int:
        """List cuts by depth or area flow, then twice by area flow with better fan-out estimates.

        Returns the depth that roots are allowed.
        """
        net, options, limit = self.net, self.options, int(_cover.UNREACHED)
        estimate = (_count(net.fanin, net.signals) + _count(self.roots, net.signals)).astype(np.float32)
        flow = np.zeros(net.signals, np.float32)
        for round_ in range(_FLOW_ROUNDS):
            if round_:
                self._update(limit)
                estimate = (estimate + 2 * self.refs.astype(np.float32)) / np.float32(3)
            _cuts.enumerate_cuts(
                net.fanin, net.first_lut, options.k, options.depth and not round_, self.required,
                estimate, self.leaves, self.sizes, self.counts, self.depth, flow,
            )  # fmt: skip
            if options.depth and not round_:
                limit = max(options.levels, int(self.depth[self.roots].max(initial=0)))
        return limit

    def recover_area(self, limit: int) -> None:
        """Choose among the cuts by exact area."""
        for _ in range(_AREA_ROUNDS):
            self._update(limit)
            _cover.exact_area(
                self.leaves, self.sizes, self.counts, self.net.first_lut, self.required, self.refs, self.depth
            )

    def evict(self, limit: int) -> None:
        """Evict LUTs from the cover until it hardly shrinks; every other round may move sideways."""
        used = self._update(limit)
        first = self.net.first_lut
        is_root = _count(self.roots, self.net.signals) > 0
        late = np.empty(self.net.signals if self.options.depth else 0, np.int32)
        saved = [0]
        for round_ in range(_ROUNDS_IF_HUGE if self.net.luts > _HUGE else _EVICTION_ROUNDS):
            if self.options.depth:
                # the two orders allow different moves
                self._update(limit)
                early = round_ % 4 < 2
                _cover.order(self.leaves, self.sizes, first, self.refs, self.required, early, late)
            sideways = round_ % 2 == 1
            saved.append(
                _cover.evict(self.leaves, self.sizes, self.counts, first, is_root, self.refs, late, sideways)
            )
            if round_ >= 3 and sum(saved[-4:]) * _WORTH_A_ROUND < used:
                break

    def _update(self, limit: int) -> int:
        """Count the readers in the cover and the depths they allow; returns the LUTs used."""
        first = self.net.first_lut
        used = _cover.cover(self.leaves, self.sizes, first, self.roots, self.refs)
        _cover.require(self.leaves, self.sizes, first, self.refs, self.roots, limit, self.required)
        return int(used)

    def extract(self) -> Netlist:
        """Build the netlist of the cover."""
        net, k = self.net, self.options.k
        chosen = np.flatnonzero(self.refs[net.first_lut :] > 0).astype(np.int32)
        table = np.zeros(len(chosen), np.uint64)
        _cones.cone_tables(
            net.fanin, net.table.astype(np.uint64), net.first_lut, chosen, self.leaves, self.sizes, table
        )
        signal = np.arange(net.signals, dtype=np.int32)
        signal[net.first_lut + chosen] = net.first_lut + np.arange(len(chosen), dtype=np.int32)
        pins = np.where(np.arange(k) < self.sizes[chosen, 0, None], self.leaves[chosen, 0], 0)
        mapped = replace(
            net,
            fanin=signal[pins],
            table=table.astype(table_dtype(k)),
            stage=None,
            origin=None if net.origin is None else net.origin[chosen],
        )
        return mapped.with_roots(signal[self.roots])


def _count(signals: I32x1 | I32x2, size: int) -> I32x1:
    found = np.zeros(size, np.int32)
    _cover.count(signals.ravel(), found)
    return found


def _eliminate(net: Netlist) -> Netlist:
    """Absorb LUTs into all their readers to a fixed point; deleted LUTs stay in the arrays, unread."""
    fanin, table = net.fanin.copy(), net.table.astype(np.uint64)
    sizes = (fanin != 0).sum(axis=1).astype(np.int8)
    is_root = _count(net.roots(), net.signals) > 0
    dead = np.zeros(net.luts, np.bool_)
    while _cones.eliminate(fanin, sizes, table, net.first_lut, is_root, dead):
        pass
    return replace(net, fanin=fanin, table=table.astype(net.table.dtype))
