"""SAT sweeping: find the signals of a netlist that are equal or complementary, and prove it.

Simulation proposes, proof decides (Kuehlmann's functional sweeping; FRAIGs, Mishchenko et al.,
2005), on k-LUTs. Most pairs meet at a small cut, over which all assignments are tried; SAT settles
the others, and each of its counterexamples becomes a simulation pattern. The same engine merges
signals (`passes.merge`) and proves netlists equivalent (`equivalence`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from lgc.errors import LgcError

from . import _satsweep
from ._typing import Bool1, Bool2, I64x1, I64x2, U64x1
from .netlist import FIRST_INPUT, Netlist
from .simulate import pack, simulate_words

_ROUNDS = 12
_TRIES = 8
_OPEN_PAIRS = 20_000
_PATTERNS = 512
_VALUE_BYTES = 1 << 29


@dataclass(frozen=True, eq=False)
class Sweep:
    """What sweeping found.

    Attributes:
        fanin: int32 `[kept, k]`, the LUTs that remain, over new signals.
        table: uint64 `[kept]`.
        literal: int64 `[signals]`, what each old signal became: `2 * new signal + inverted`.
        kept: int32 `[kept]`, the old LUT of each.
        merged: LUTs merged by structure, by a cut, by SAT.
        undecided: pairs that look equal and could not be decided.
        patterns: bool `[n, inputs]`, input patterns that simulation ended with.
    """

    fanin: Any
    table: U64x1
    literal: I64x1
    kept: Any
    merged: tuple[int, int, int]
    undecided: int
    patterns: Bool2


def patterns(inputs: int, *, samples: int, seed: int, levels: int = 1) -> Bool2:
    """Random input patterns bool `[samples, inputs]`.

    Densities go from 1/8 to 7/8, since wide ANDs never fire at 1/2. With `levels` > 1 every run of
    so many inputs is a thermometer code, whose later bits imply the earlier ones.
    """
    rng = np.random.default_rng(seed)
    density = rng.integers(1, 8, (samples, 1))
    if levels == 1:
        return rng.integers(0, 8, (samples, inputs), dtype=np.int8) < density
    features = inputs // levels
    height = rng.integers(0, levels + 1, (samples, features))
    extreme = rng.integers(0, 8, (samples, features)) < density
    height = np.where(rng.random((samples, 1)) < 0.5, height, np.where(extreme, levels, 0))
    return (height[:, :, None] > np.arange(levels)).reshape(samples, inputs)


def sweep(net: Netlist, *, levels: int = 1, seed: int = 0, conflicts: int = 2000) -> Sweep:
    """Merge equal and complementary signals of `net`.

    Args:
        net: any netlist.
        levels: inputs are thermometer codes of so many bits; 1 if any input pattern can occur.
        seed: of the first simulation patterns.
        conflicts: SAT conflicts spent on a pair.

    Raises:
        LgcError: the inputs do not divide into codes of `levels` bits.
    """
    if levels < 1 or net.inputs % levels:
        raise LgcError(f"{net.inputs} inputs are not thermometer codes of {levels} bits each.")
    words = int(np.clip(_VALUE_BYTES // (8 * net.signals), 4, 32))
    tried = patterns(net.inputs, samples=64 * words, seed=seed, levels=levels)
    forced = np.full(net.luts, -1, np.int64)
    barred = np.zeros(net.luts, np.bool_)
    rng = np.random.default_rng(seed)
    undecided: set[int] = set()
    kind = _solver_kind()
    for _ in range(_ROUNDS):
        found, pairs, told_apart = _round(net, tried, forced, barred, levels)
        fresh = [_thermometer(told_apart, levels)] if len(told_apart) else []
        if len(pairs) and kind is None:
            undecided.update(found.kept[pairs[:, 0] - net.first_lut].tolist())
            pairs = pairs[:0]
        if len(pairs):
            solver = _Solver(kind, found, net.first_lut, levels)
            for x, y in pairs.tolist():
                old = int(found.kept[x - net.first_lut])
                answer = solver.differ(x, y, conflicts)
                if answer is None:
                    undecided.add(old)
                    barred[old] = True
                elif isinstance(answer, bool):
                    forced[old] = _old_literal(
                        found, net.first_lut, y, int(found.literal[net.first_lut + old])
                    )
                else:
                    fresh.append(_neighbours(answer, rng, levels))
            solver.close()
        if not fresh and not len(pairs):
            break
        tried = np.concatenate([tried, *fresh])[-64 * words * 8 :]
    return replace(found, undecided=len(undecided), patterns=tried)


def _round(
    net: Netlist, tried: Bool2, forced: I64x1, barred: Bool1, levels: int
) -> tuple[Sweep, I64x2, Bool2]:
    """One pass over the LUTs; returns the result, open pairs and new patterns."""
    values = simulate_words(net, pack(tried))
    literal = np.zeros(net.signals, np.int64)
    fanin, table = np.zeros((net.luts + 1, net.k), np.int32), np.zeros(net.luts + 1, np.uint64)
    kept, how = np.zeros(net.luts, np.int32), np.zeros(net.luts, np.int8)
    pairs = np.zeros((min(_OPEN_PAIRS, net.luts), 2), np.int64)
    told_apart = np.zeros((_PATTERNS, net.inputs), np.bool_)
    counts = np.zeros(2, np.int64)
    count = _satsweep.sweep(
        net.fanin, net.table.astype(np.uint64), net.first_lut, levels, _TRIES, values, forced, barred,
        literal, fanin, table, kept, how, pairs, told_apart, counts,
    )  # fmt: skip
    ways = np.bincount(how, minlength=4)
    found = Sweep(
        fanin=fanin[:count],
        table=table[:count],
        literal=literal,
        kept=kept[:count],
        merged=(int(ways[1]), int(ways[2]), int(ways[3])),
        undecided=0,
        patterns=tried,
    )
    return found, pairs[: counts[0]], told_apart[: counts[1]]


def _old_literal(found: Sweep, first: int, y: int, own: int) -> int:
    """Literal of the old netlist for: the signal whose new literal is `own` has the function of `y`.

    `own` is `2 * x + inverted`; that x equals literal y was proved.
    """
    target = y ^ (own & 1)
    signal = target >> 1
    if signal < first:
        return target
    old = int(first + found.kept[signal - first])
    return 2 * old + ((target ^ int(found.literal[old])) & 1)


def _thermometer(rows: Bool2, levels: int) -> Bool2:
    """Set the bits that set bits imply."""
    if levels == 1:
        return rows
    codes = rows.reshape(len(rows), -1, levels)
    return np.ascontiguousarray(
        np.logical_or.accumulate(codes[:, :, ::-1], axis=2)[:, :, ::-1].reshape(rows.shape)
    )


def _neighbours(row: Bool1, rng: np.random.Generator, levels: int) -> Bool2:
    """Return a pattern and seven that differ from it in a few bits."""
    rows = np.repeat(row[None], 8, axis=0)
    rows[1:] ^= rng.random((7, len(row))) < 2 / max(2, len(row))
    return _thermometer(rows, levels)


def _solver_kind() -> Any:
    """Return the class of the SAT solver, None where python-sat is not installed."""
    try:
        from pysat.solvers import Glucose4
    except ImportError:
        return None
    return Glucose4


class _Solver:
    """SAT over the cones of a swept netlist, encoded as they are needed."""

    def __init__(self, kind: Any, found: Sweep, first: int, levels: int) -> None:
        self.fanin, self.table, self.first, self.levels = found.fanin, found.table, first, levels
        self.known = {0, 1}
        self.features: set[int] = set()
        self.next = 2 * (first + len(found.table)) + 2
        self.solver = kind(bootstrap_with=[[-1], [2]])

    def close(self) -> None:
        """Free the solver."""
        self.solver.delete()

    def differ(self, x: int, y: int, conflicts: int) -> Bool1 | bool | None:
        """Decide whether signal x and literal y can differ.

        Returns:
            An input pattern bool `[inputs]` where they do, False if they never do, None if the
            conflicts did not suffice.
        """
        self._encode(x)
        self._encode(y >> 1)
        self.next += 1
        a, b, d = x + 1, -((y >> 1) + 1) if y & 1 else (y >> 1) + 1, self.next
        self.solver.add_clause([-d, a, b])
        self.solver.add_clause([-d, -a, -b])
        self.solver.conf_budget(conflicts)
        answer = self.solver.solve_limited(assumptions=[d])
        if answer is None:
            return None
        pattern = np.zeros(self.first - FIRST_INPUT, np.bool_)
        if answer:
            model = self.solver.get_model()
            for s in self.known:
                if FIRST_INPUT <= s < self.first and s < len(model):
                    pattern[s - FIRST_INPUT] = model[s] > 0
        self.solver.add_clause([-d])
        return pattern if answer else False

    def _encode(self, root: int) -> None:
        """Add the clauses of the cone of `root`; the variable of signal s is s + 1."""
        stack = [root]
        while stack:
            s = stack.pop()
            if s in self.known:
                continue
            self.known.add(s)
            if s < self.first:
                self._encode_feature(s)
                continue
            row = s - self.first
            pins = [int(p) for p in self.fanin[row]]
            while pins and pins[-1] == 0:
                pins.pop()
            for cube in clauses(int(self.table[row]), len(pins)):
                self.solver.add_clause(
                    [(pins[pin] + 1) * sign if pin >= 0 else (s + 1) * sign for pin, sign in cube]
                )
            stack += pins

    def _encode_feature(self, s: int) -> None:
        """Say that a later bit of a thermometer code implies the one before."""
        feature = (s - FIRST_INPUT) // self.levels
        if self.levels == 1 or feature in self.features:
            return
        self.features.add(feature)
        begin = FIRST_INPUT + feature * self.levels
        self.known.update(range(begin, begin + self.levels))
        for bit in range(begin, begin + self.levels - 1):
            self.solver.add_clause([bit + 1, -(bit + 2)])


@lru_cache(maxsize=1 << 14)
def clauses(table: int, pins: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Clauses that tie a LUT's output to its pins, from prime cubes of the table.

    A clause is a tuple of (pin, sign), pin -1 being the output.
    """
    rows = 1 << pins
    result = []
    for value in (0, 1):
        left = {r for r in range(rows) if table >> r & 1 == value}
        whole = set(left)
        while left:
            row, free = min(left), 0
            for pin in range(pins):
                grown = free | 1 << pin
                if all(r in whole for r in _cube(row, grown)):
                    free = grown
            left -= set(_cube(row, free))
            cube = [(pin, -1 if row >> pin & 1 else 1) for pin in range(pins) if not free >> pin & 1]
            result.append((*cube, (-1, 1 if value else -1)))
    return tuple(result)


def _cube(row: int, free: int) -> list[int]:
    rows, sub = [], free
    while True:
        rows.append((row & ~free) | sub)
        if sub == 0:
            return rows
        sub = (sub - 1) & free
