"""Carry chains of a slice: which LUTs of a netlist are MUXCY and XORCY, and cost nothing.

The netlist stays purely functional: a chain's carries and sums are LUTs like all others, so that
simulation and proof need not know of them. `Chains` says which they are, for the site count and for a
backend that instantiates CARRY4 or CARRY8.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit

from lgc.errors import LgcError

from ._typing import Bool1, I32x1, I32x2, I64x1
from .builder import Builder, Literal
from .netlist import Netlist

GONE = -1
"""In place of a literal: nobody needs it."""

SLICE = 4
"""Positions of a CARRY4."""

PINS = 5
"""Distinct signals that the two functions of one site may read."""

Position = tuple[Literal, Literal, Literal, Literal]
"""Propagate, generate, sum and carry, see `Chains`."""


@dataclass(frozen=True, eq=False)
class Chains:
    """Carry chains beside a netlist; all arrays hold literals, `2 * signal + inverted`.

    Position i of a chain computes `sum = propagate ^ c` and `carry = c if propagate else generate`,
    where c is the carry of the position below or, at the bottom, the chain's carry-in. Its site
    holds the LUT that drives `propagate` (output O6); `generate` is the site's O5 or comes in beside
    the LUTs. One of sum and carry may leave the site, as there is one wire for both: a chain whose
    last carry is wanted ends with a position that propagates constant 0 and whose sum it is.

    Attributes:
        start: int64 `[chains + 1]`, positions of chain c are `start[c] .. start[c + 1] - 1`.
        carry_in: int64 `[chains]`, a plain signal or a constant.
        propagate: int64 `[positions]`.
        generate: int64 `[positions]`, `GONE` where the carry is.
        sum: int64 `[positions]`, `GONE` where nobody reads it.
        carry: int64 `[positions]`, `GONE` where nobody reads it, last position of a chain included.
    """

    start: I64x1
    carry_in: I64x1
    propagate: I64x1
    generate: I64x1
    sum: I64x1
    carry: I64x1

    @property
    def positions(self) -> int:
        """Number of positions, each of which takes a site."""
        return len(self.propagate)

    @property
    def slices(self) -> int:
        """Number of CARRY4, each chain beginning in one of its own."""
        return int((-(-np.diff(self.start) // SLICE)).sum())

    def below(self) -> I64x1:
        """Literal of the carry that reaches each position, int64 `[positions]`."""
        reaching = np.roll(self.carry, 1)
        reaching[self.start[:-1]] = self.carry_in
        return reaching

    def luts(self, net: Netlist) -> int:
        """LUTs of `net` that are no sums or carries of the chains."""
        return net.luts - int(self.free(net).sum())

    def free(self, net: Netlist) -> Bool1:
        """Tell which LUTs of `net` are sums and carries, which cost nothing; bool `[luts]`."""
        s, below, _ = self._inputs()
        return self._rows(net, self.sum, [s, below]) | self._rows(net, self.carry, self._inputs())

    def _inputs(self) -> list[I64x1]:
        """Propagate, carry from below and generate of each position."""
        return [self.propagate, self.below(), self.generate]

    def hosted(self, net: Netlist) -> Bool1:
        """LUTs of `net` that need no site besides those of the chains, bool `[luts]`.

        These are sums and carries, LUTs that drive `propagate`, and those that drive `generate`
        and nothing else.
        """
        free = self.free(net)
        held = free.copy()
        held[_luts(net, self.propagate[self.propagate & 1 == 0])] = True
        readers = np.bincount(net.fanin[~free].ravel(), minlength=net.signals)
        readers[net.roots()] += 1
        inside = np.flatnonzero((self.generate >> 1 >= net.first_lut) & (self.generate & 1 == 0))
        inside = inside[readers[self.generate[inside] >> 1] == 0]
        fits = _distinct(net, self.propagate[inside], self.generate[inside]) <= PINS
        held[_luts(net, self.generate[inside[fits]])] = True
        return held

    def _rows(self, net: Netlist, made: I64x1, of: list[I64x1]) -> Bool1:
        """LUTs that compute `made` from `of` and are none of them, bool `[luts]`."""
        own = np.zeros(net.luts, np.bool_)
        new = made >= 0
        for literal in of:
            new &= made >> 1 != literal >> 1
        own[_luts(net, made[new])] = True
        return own

    def levels(self, net: Netlist, *, carry: bool = False) -> I32x1:
        """LUTs on the longest path from an input to each signal; int32 `[signals]`.

        A chain is one level, that of the LUTs in it, and its positions cost nothing; with `carry`
        each CARRY4 on the way counts like a LUT, as Yosys' `ltp` does.
        """
        steps = np.ones(net.luts, np.int32)
        same = np.full(net.luts, GONE, np.int64)
        buffered = np.full(net.luts, GONE, np.int64)
        begins = np.repeat(self.start[:-1], np.diff(self.start))
        bottom = (np.arange(self.positions) - begins) % SLICE == 0
        below, none = self.below(), np.full(self.positions, GONE, np.int64)
        ordinary = np.zeros(net.signals, np.bool_)
        ordinary[net.first_lut :] = ~self.free(net)
        for made, of in ((self.sum, none), (self.carry, self.generate)):
            free = self._rows(net, made, [self.propagate, below, of])
            at = np.flatnonzero((made >= 0) & (made >> 1 >= net.first_lut))
            at = at[free[(made[at] >> 1) - net.first_lut]]
            lut = (made[at] >> 1) - net.first_lut
            steps[lut] = 0
            same[lut] = np.where(bottom[at] | (below[at] < 2), GONE, below[at] >> 1)
            s = self.propagate[at]
            buffered[lut] = np.where(ordinary[s >> 1] & (s & 1 == 0), GONE, s >> 1)
        level = np.zeros(net.signals, np.int32)
        _levels(net.fanin, net.first_lut, steps, same, buffered, carry, level)
        return level

    def check(self, net: Netlist) -> None:
        """Raise `LgcError` unless every position is what a slice can do.

        Sums and carries must have the functions that the class states, no carry may leave its chain
        but through a sum, and `generate` must be at hand: a plain signal from outside (not where
        the carry-in comes from outside already), or a function of the LUT's second output.
        """
        readers: list[set[int]] = [set() for _ in range(net.signals)]
        for lut, pins in enumerate(net.fanin.tolist()):
            for s in pins:
                readers[s].add(net.first_lut + lut)
        for s in net.roots().tolist():
            readers[s].add(GONE)
        sums, carries = self.sum.tolist(), self.carry.tolist()
        for i, below in enumerate(self.below().tolist()):
            _check_position(self, net, i, below)
            if below > 1:  # what reads a carry is in a chain, its own or one that computes the same
                readers[below >> 1] -= {x >> 1 for x in (sums[i], carries[i]) if x >= 0}
        outside = {x >> 1 for x in self.carry_in.tolist()} | {x >> 1 for x in self.propagate.tolist()}
        leaves = set(sums) | {x for x in carries if not readers[x >> 1] and x >> 1 not in outside}
        own = net.first_lut + np.flatnonzero(self._rows(net, self.carry, self._inputs()))
        for i, c in enumerate(carries):
            if c not in leaves and c >> 1 in own:
                raise LgcError(
                    f"The carry of position {i} of the carry chains leaves its chain, literal {c}."
                )


def plain_or_constant(x: Literal) -> bool:
    """Whether literal x needs no inverter."""
    return x < 2 or not x & 1


def _check_position(chains: Chains, net: Netlist, i: int, below: int) -> None:
    s, d, o, c = (int(x[i]) for x in (chains.propagate, chains.generate, chains.sum, chains.carry))
    bottom = i in chains.start[:-1]
    if bottom and not plain_or_constant(below):
        raise LgcError(f"Position {i} of the carry chains has an inverted carry-in, literal {below}.")
    if i + 1 in chains.start and c != GONE:
        raise LgcError(f"Position {i} of the carry chains is the last of a chain, but its carry is used.")
    for made, of, table in ((o, (s, below), 0b0110), (c, (s, below, d), 0b11011000)):
        if made != GONE and not _is_function(net, made, of, table):
            raise LgcError(f"Literal {made} is not what position {i} of the carry chains computes.")
    if d != GONE and not _reachable(net, s, d, bypass=not bottom or below < 2):
        raise LgcError(f"Literal {d} does not reach the carry of position {i} of the carry chains.")


def _is_function(net: Netlist, made: int, of: tuple[int, ...], table: int) -> bool:
    """Whether literal `made` is `table` of the literals `of`, which are its only leaves."""
    leaves = sorted({x >> 1 for x in of if x > 1})
    where = {s: at for at, s in enumerate(leaves)} | {0: -1}
    if made >> 1 in where:
        pins, own = [made >> 1], 0b10
    else:
        lut = (made >> 1) - net.first_lut
        if lut < 0 or any(p not in where for p in net.fanin[lut].tolist()):
            return False
        pins, own = net.fanin[lut].tolist(), int(net.table[lut])
    found = spread(own, tuple(where[p] for p in pins), len(leaves), inverted=made & 1)
    flip = sum((x & 1) << at for at, x in enumerate(of))
    return found == spread(table, tuple(where[x >> 1] for x in of), len(leaves), flip=flip)


@lru_cache(maxsize=1 << 14)
def spread(table: int, places: tuple[int, ...], pins: int, *, flip: int = 0, inverted: int = 0) -> int:
    """Truth table over `pins` pins of a LUT that they feed, its output complemented if `inverted` is 1.

    Pin j of the LUT is pin `places[j]`, or a constant 0 where that is -1; it is complemented if bit j of
    `flip` is 1.
    """
    found = 0
    for row in range(1 << pins):
        index = sum((row >> place & 1) << at for at, place in enumerate(places) if place >= 0) ^ flip
        found |= ((table >> index & 1) ^ inverted) << row
    return found


def _pins(net: Netlist, x: int) -> tuple[list[int], int]:
    """Distinct pins of the LUT that a site needs to make literal x, and its table over them."""
    if x < 2:
        return [], x
    lut = (x >> 1) - net.first_lut
    if lut < 0 or x & 1:
        return [x >> 1], 1 if x & 1 else 2
    fanin = net.fanin[lut].tolist()
    pins = sorted(set(fanin) - {0})
    where = {s: at for at, s in enumerate(pins)} | {0: -1}
    return pins, spread(int(net.table[lut]), tuple(where[s] for s in fanin), len(pins))


def _reachable(net: Netlist, s: int, d: int, *, bypass: bool) -> bool:
    """Whether a site whose O6 is s can feed d to its carry."""
    if d < 2 or (bypass and plain_or_constant(d)):
        return True
    pins, table = _pins(net, s)
    if len(set(pins) | set(_pins(net, d)[0])) <= PINS or len(set(pins) | {d >> 1}) <= PINS:
        return True
    if d >> 1 not in pins or d & 1:
        return False
    # six pins: O5 is O6 with one pin at 0, which is d wherever the chain looks at it, when s is 0
    at = pins.index(d >> 1)
    return all(table >> (row & ~(1 << at)) & 1 == row >> at & 1 for row in range(64) if not table >> row & 1)


def _luts(net: Netlist, literal: I64x1) -> I64x1:
    """Rows of the LUTs that drive the given literals."""
    lut = (literal >> 1) - net.first_lut
    found: I64x1 = lut[lut >= 0]
    return found


def _distinct(net: Netlist, s: I64x1, d: I64x1) -> I64x1:
    """Distinct pins of the LUTs behind literals s and d together; s may be no LUT, d is one."""
    lut = (s >> 1) - net.first_lut
    pins = np.where((lut >= 0)[:, None] & (s & 1 == 0)[:, None], net.fanin[np.maximum(lut, 0)], 0)
    pins = np.concatenate([pins, net.fanin[(d >> 1) - net.first_lut]], axis=1)
    alone = np.where((lut < 0) | (s & 1 == 1), np.maximum(s >> 1, 0), 0)
    pins = np.sort(np.concatenate([pins, alone[:, None], np.zeros((len(s), 1), np.int64)], axis=1), axis=1)
    distinct: I64x1 = (np.diff(pins, axis=1) != 0).sum(axis=1)
    return distinct


@njit(cache=True, nogil=True)
def _levels(
    fanin: I32x2, first: int, steps: I32x1, same: I64x1, buffered: I64x1, carry: bool, level: I32x1
) -> None:
    """Fill `level`; `same` and `buffered` are the pins from the same CARRY4, and through a LUT."""
    for i in range(len(fanin)):
        deepest = 0
        for s in fanin[i]:
            if s < 2:
                continue
            step = steps[i]
            if step == 0:
                step = (1 if s == buffered[i] else 0) + (1 if carry and s != same[i] else 0)
            deepest = max(deepest, level[s] + step)
        level[first + i] = deepest


class ChainBuilder(Builder):
    """A builder that also lays out carry chains; bits out of a chain are as early as its LUTs."""

    def __init__(self, base: Netlist, *, k: int) -> None:
        super().__init__(base, k=k)
        self._chains: list[tuple[Literal, list[Position]]] = []

    def begin(self, carry_in: Literal) -> None:
        """Begin a chain."""
        self._chains.append((carry_in, []))

    def position(self, s: Literal, d: Literal, *, carry: bool = True) -> tuple[Literal, Literal]:
        """Add a position that propagates s and generates d to the chain begun last.

        Returns the sum and the carry, 0 in its place where `carry` is not wanted.
        """
        carry_in, positions = self._chains[-1]
        below = positions[-1][3] if positions else carry_in
        o = self._row(_sum, s, below)
        c = self._row(_carry, s, below, d) if carry else 0
        positions.append((s, d if carry else GONE, o, c if carry else GONE))
        return o, c

    def end(self) -> None:
        """End the chain begun last; its last carry, if wanted, leaves through a position of its own."""
        positions = self._chains[-1][1]
        if positions[-1][3] > 1:
            positions.append((0, GONE, positions[-1][3], GONE))
        else:
            positions[-1] = (*positions[-1][:3], GONE)

    def _row(self, function: object, *literals: Literal) -> Literal:
        new = self.base.signals + len(self._table)
        made = self.lut(function, *literals)  # type: ignore[arg-type]
        if made >> 1 == new:
            self._level[new] -= 1
        return made

    def chains(self, literal: I64x1) -> Chains:
        """Return the chains, with literal x renumbered to `literal[x]`, `GONE` where that is negative."""
        positions = [position for _, chain in self._chains for position in chain]
        table = np.array(positions, np.int64).reshape(-1, 4)
        new = np.where(table < 0, GONE, literal[np.maximum(table, 0)])
        starts = np.concatenate([[0], np.cumsum([len(chain) for _, chain in self._chains])])
        carry_in = literal[np.array([x for x, _ in self._chains], np.int64)]
        return Chains(starts.astype(np.int64), carry_in, *(np.ascontiguousarray(x) for x in new.T))


def _sum(s: int, below: int) -> int:
    return s ^ below


def _carry(s: int, below: int, d: int) -> int:
    return below if s else d
