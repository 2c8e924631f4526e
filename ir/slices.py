"""Slices of Xilinx: what each position of the carry chains holds, and stages that keep chains whole.

`Chains` says which LUTs of a fabric are carries and sums. Here every LUT gets its place: in a slice,
beside the carry it feeds, or in a site of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
from numba import njit

from lgc.errors import LgcError

from ._typing import Bool1, I32x1, I32x2, I64x1
from .carry import GONE, PINS, Chains, spread
from .fabric import Fabric
from .netlist import Netlist
from .passes.pipeline import Pipeline

OWN = -1
"""In place of a chain: the LUT has a site of its own."""


@dataclass(frozen=True)
class Position:
    """A LUT with two outputs beside a carry.

    Attributes:
        pins: signals it reads, at most 6; at most 5 if O5 is another function than O6 with the last of
            six pins at 0.
        six: table of O6, which drives S, over `pins`.
        five: table of O5 over `pins`, or None where it is not used.
        wire: signal that O6 is, `GONE` where S alone reads it.
        beside: signal or constant that comes in beside the LUT as DI, `GONE` where DI is O5.
        sum: signal that the XOR drives, `GONE` where nobody reads it.
    """

    pins: tuple[int, ...]
    six: int
    five: int | None
    wire: int
    beside: int
    sum: int


@dataclass(frozen=True, eq=False)
class Slices:
    """Where the LUTs of a fabric with carry chains are.

    Attributes:
        home: int32 `[luts]`, the chain whose slices hold a LUT, `OWN` for the others.
        chains: for each chain its carry-in, a signal or constant, and its positions.
    """

    home: I32x1
    chains: tuple[tuple[int, tuple[Position, ...]], ...]

    @property
    def positions(self) -> int:
        """Sites that the chains take."""
        return sum(len(positions) for _, positions in self.chains)

    @classmethod
    def of(cls, fabric: Fabric) -> Slices:
        """Place the LUTs, once per fabric; those of the network stay outside of the slices.

        Raises:
            LgcError: a carry leaves its chain, or something does not fit a slice.
        """
        if (known := _PLACED.get(fabric)) is not None:
            return known
        net, chains = fabric.netlist, fabric.chains
        if chains is None or not chains.positions:
            return cls(np.full(net.luts, OWN, np.int32), ())
        placed = _Placed(net, chains, split=fabric.network_luts)
        found = tuple(placed.chain(c) for c in range(len(chains.carry_in)))
        placed.check(found)
        return _PLACED.setdefault(fabric, cls(placed.home, found))


_PLACED: WeakKeyDictionary[Fabric, Slices] = WeakKeyDictionary()


class _Placed:
    """Which LUTs the chains take up, and the positions made of them."""

    def __init__(self, net: Netlist, chains: Chains, *, split: int) -> None:
        self.net, self.chains = net, chains
        self.chain_of = np.repeat(np.arange(len(chains.carry_in)), np.diff(chains.start))
        self.below = chains.below()
        self.home = np.full(net.luts, OWN, np.int32)
        self.carries = self._claim(chains.carry, chains.propagate, self.below, chains.generate)
        self.sums = self._claim(chains.sum, chains.propagate, self.below)
        self.driven = np.zeros(net.signals, np.bool_)
        self.holds_s = self._host_propagate(split)
        self.holds_d = self._host_generate(split)

    def _claim(self, made: I64x1, *of: I64x1) -> Bool1:
        """Give LUTs that compute `made` from `of` to their chains; which positions have them."""
        new = made >> 1 >= self.net.first_lut
        for literal in of:
            new &= made >> 1 != literal >> 1
        for i in np.flatnonzero(new).tolist():
            lut = int(made[i] >> 1) - self.net.first_lut
            if self.home[lut] == OWN:
                self.home[lut] = self.chain_of[i]
        return new

    def _host_propagate(self, split: int) -> Bool1:
        """Take up LUTs from row `split` on that drive S, once each."""
        holds = np.zeros(self.chains.positions, np.bool_)
        for i, s in enumerate(self.chains.propagate.tolist()):
            lut = (s >> 1) - self.net.first_lut
            if s > 1 and not s & 1 and lut >= split and self.home[lut] == OWN:
                self.home[lut] = self.chain_of[i]
                holds[i] = True
        return holds

    def _host_generate(self, split: int) -> Bool1:
        """Take up LUTs from row `split` on that only one carry reads, where both functions fit."""
        readers = _readers(self.net)
        holds = np.zeros(self.chains.positions, np.bool_)
        for i, d in enumerate(self.chains.generate.tolist()):
            lut = (d >> 1) - self.net.first_lut
            if d < 2 or d & 1 or lut < split or self.home[lut] != OWN or readers[d >> 1] != 1:
                continue
            if len({*self._s_pins(i), *self._pins(d >> 1)}) <= PINS:
                self.home[lut] = self.chain_of[i]
                holds[i] = True
        return holds

    def _pins(self, signal: int) -> list[int]:
        return sorted(set(self.net.fanin[signal - self.net.first_lut].tolist()) - {0})

    def _s_pins(self, i: int) -> list[int]:
        s = int(self.chains.propagate[i])
        return self._pins(s >> 1) if self.holds_s[i] else [s >> 1] if s > 1 else []

    def _table(self, literal: int, pins: list[int], *, inside: bool) -> int:
        """Truth table of a literal over `pins`: of the LUT behind it, or of a wire."""
        signal, where = literal >> 1, {s: at for at, s in enumerate(pins)} | {0: -1}
        fanin, table = [signal], 0b10
        if inside:
            row = signal - self.net.first_lut
            fanin, table = self.net.fanin[row].tolist(), int(self.net.table[row])
        return spread(table, tuple(where[s] for s in fanin), len(pins), inverted=literal & 1)

    def chain(self, c: int) -> tuple[int, tuple[Position, ...]]:
        """Carry-in and positions of a chain."""
        start, stop = self.chains.start[c : c + 2].tolist()
        carry_in = int(self.chains.carry_in[c])
        signal = carry_in if carry_in < 2 else carry_in >> 1
        return signal, tuple(self._position(i, bottom=i == start) for i in range(start, stop))

    def _position(self, i: int, *, bottom: bool) -> Position:
        s, d = int(self.chains.propagate[i]), max(int(self.chains.generate[i]), 0)
        pins = self._s_pins(i)
        bypass = d < 2 or (not d & 1 and not self.holds_d[i] and not (bottom and self.below[i] > 1))
        if not bypass:
            pins = self._with_generate(i, pins, d)
        six = self._table(s, pins, inside=bool(self.holds_s[i]))
        five = None
        if not bypass:
            # of six pins the last is d; the chain looks at O5 only where O6 is 0
            wide = len(pins) > PINS
            five = six & 0xFFFFFFFF if wide else self._table(d, pins, inside=bool(self.holds_d[i]))
        wire = s >> 1 if self.holds_s[i] else GONE
        made = self._sum(i)
        self.driven[[x for x in (wire, made) if x != GONE]] = True
        beside = GONE if not bypass else d if d < 2 else d >> 1
        return Position(tuple(pins), six, five, wire, beside, made)

    def _with_generate(self, i: int, pins: list[int], d: int) -> list[int]:
        """Pins of a LUT whose second output is the literal d."""
        more = sorted({*pins, *(self._pins(d >> 1) if self.holds_d[i] else [d >> 1])})
        if len(more) <= PINS:
            return more
        if len(more) > PINS + 1 or d >> 1 not in pins or d & 1:
            raise LgcError(f"Literal {d} does not reach the carry of position {i} of the carry chains.")
        return [*(p for p in pins if p != d >> 1), d >> 1]

    def _sum(self, i: int) -> int:
        """Signal that leaves through the XOR: the sum, or the carry from below where S is 0."""
        o = int(self.chains.sum[i])
        leaves = self.chains.propagate[i] == 0 and o == self.below[i] and o > 1
        if not leaves and not (o != GONE and self.sums[i]):
            return GONE
        return GONE if self.driven[o >> 1] else o >> 1

    def check(self, found: tuple[tuple[int, tuple[Position, ...]], ...]) -> None:
        """Raise `LgcError` if something reads a signal that stays inside of a chain."""
        net, first = self.net, self.net.first_lut
        inside = np.zeros(net.signals, np.bool_)
        inside[first:] = self.home != OWN
        inside &= ~self.driven
        positions = [position for _, chain in found for position in chain]
        read = [s for position in positions for s in (*position.pins, max(position.beside, 0))]
        read += [carry_in for carry_in, _ in found]
        self._refuse(inside, np.array(read, np.int64))
        self._refuse(inside, np.append(net.fanin[self.home == OWN], net.roots()))

    @staticmethod
    def _refuse(inside: Bool1, read: I64x1) -> None:
        wrong = read[inside[read]]
        if wrong.size:
            raise LgcError(f"Signal %{wrong[0]} is read outside of its carry chain.")


def _readers(net: Netlist) -> I64x1:
    """Count the LUTs and roots that read each signal, int64 `[signals]`."""
    count = np.bincount(net.fanin.ravel(), minlength=net.signals)
    count[net.roots()] += 1
    return count.astype(np.int64)


def staged(fabric: Fabric, levels: int) -> Fabric:
    """Return the fabric with stages as `Pipeline(levels)` gives them, a carry chain being one LUT.

    Raises:
        LgcError: two chains need each other's results.
    """
    net = fabric.netlist
    home = Slices.of(fabric).home
    if not levels or not (home != OWN).any():
        return replace(fabric, netlist=Pipeline(levels=levels)(net))
    group = np.where(home == OWN, home.max() + 1 + np.arange(net.luts), home).astype(np.int64)
    level = np.zeros(int(group.max()) + 1, np.int32)
    if not _group_levels(net.fanin, net.first_lut, group, level):
        raise LgcError("The carry chains need each other's results.")
    order = np.argsort(level[group], kind="stable")
    stage = np.zeros(len(level), np.int32)
    _group_stages(net.fanin, net.first_lut, group, level, order, levels, stage)
    found = replace(fabric, netlist=replace(net, stage=stage[group].astype(np.uint16)))
    _PLACED[found] = Slices.of(fabric)  # registers move no LUT
    return found


def luts(fabric: Fabric) -> int:
    """Count the LUTs of a fabric, two to a site where they share one; carries and sums are none."""
    slices = Slices.of(fabric)
    inside = (bool(p.pins) + (p.five is not None) for _, chain in slices.chains for p in chain)
    return int((slices.home == OWN).sum()) + sum(inside)


def depth(fabric: Fabric) -> int:
    """LUTs on the longest path, a carry chain counting as one."""
    net = fabric.netlist
    if fabric.chains is None or not fabric.chains.positions:
        level = Chains(*(np.zeros(n, np.int64) for n in (1, 0, 0, 0, 0, 0))).levels(net)
    else:
        level = fabric.chains.levels(net)
    return int(level[net.roots()].max(initial=0))


@njit(cache=True, nogil=True)
def _group_levels(fanin: I32x2, first: int, group: I64x1, level: I32x1) -> bool:
    """Fill `level` `[groups]` with the groups on the longest path to each; False if there is a cycle."""
    luts, k = fanin.shape
    for _ in range(luts + 1):
        changed = False
        for i in range(luts):
            g = group[i]
            for pin in range(k):
                s = fanin[i, pin]
                below = np.int32(0)
                if s >= first:
                    if group[s - first] == g:
                        continue
                    below = level[group[s - first]]
                if level[g] <= below:
                    level[g] = below + 1
                    changed = True
        if not changed:
            return True
    return False


@njit(cache=True, nogil=True)
def _group_stages(
    fanin: I32x2, first: int, group: I64x1, level: I32x1, order: I64x1, per_stage: int, stage: I32x1
) -> None:
    """Fill `stage` `[groups]` as `_kernels.stages` does, LUTs in the `order` of their groups' levels."""
    luts, k = fanin.shape
    registered = np.ones(first + luts, np.bool_)
    registered[:first] = False
    for i in range(luts):
        for pin in range(k):
            s = fanin[i, pin]
            if (
                s >= first
                and (level[group[s - first]] - 1) // per_stage == (level[group[i]] - 1) // per_stage
            ):
                registered[s] = False
    run = np.zeros(len(stage), np.int32)
    for i in order:
        g = group[i]
        longest, latest = 0, 0
        for pin in range(k):
            s = fanin[i, pin]
            if s < first or group[s - first] == g:
                continue
            below = group[s - first]
            if registered[s] or run[below] == per_stage:
                latest = max(latest, stage[below] + 1)
            else:
                latest = max(latest, stage[below])
                longest = max(longest, run[below])
        stage[g] = max(stage[g], latest)
        run[g] = max(run[g], longest + 1)
