"""SAT sweeping: find the signals of a netlist that are equal or complementary, and prove it.

Simulation proposes, proof decides (Kuehlmann's functional sweeping; FRAIGs, Mishchenko et al.,
2005), on k-LUTs. Most pairs meet at a small cut, over which all assignments are tried; SAT settles
the others, and each of its counterexamples becomes a simulation pattern. The same engine merges
signals (`passes.merge`) and proves netlists equivalent (`equivalence`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lgc.errors import LgcError

from . import _satsweep, sat
from ._typing import Bool1, Bool2, I32x1, I64x1, I64x2, U64x1
from .netlist import Netlist, table_dtype
from .simulate import pack, simulate_words

_ROUNDS = 12
_TRIES = 8
_WIDEST = 100_000
_OPEN_PAIRS = 20_000
_PATTERNS = 512
_CONES = 1000
_ANSWERS = 32
_VISITS = 5_000_000
_VALUE_BYTES = 1 << 29
_ALL_BYTES = 1 << 31


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


def sweep(
    net: Netlist, *, levels: int = 1, seed: int = 0, conflicts: int = 2000, work: int | None = None
) -> Sweep:
    """Merge equal and complementary signals of `net`.

    Args:
        net: any netlist.
        levels: inputs are thermometer codes of so many bits; 1 if any input pattern can occur.
        seed: of the first simulation patterns.
        conflicts: SAT conflicts spent on a pair.
        work: signals told to solvers at most, all pairs together; None for any number. Pairs come in
            topological order, so that those of large cones stay apart. Rounds over networks of millions of
            LUTs are fewer then, too: two at least.

    Raises:
        LgcError: the inputs do not divide into codes of `levels` bits.
    """
    if levels < 1 or net.inputs % levels:
        raise LgcError(f"{net.inputs} inputs are not thermometer codes of {levels} bits each.")
    words = int(np.clip(_VALUE_BYTES // (8 * net.signals), 4, 32))
    tried = patterns(net.inputs, samples=64 * words, seed=seed, levels=levels)
    forced = np.full(net.luts, -1, np.int64)
    barred = np.zeros(net.luts, np.bool_)
    failed = np.full(net.luts, -1, np.int32)
    most = max(words, min(8 * words, _ALL_BYTES // (8 * net.signals)))
    told = 0
    rng = np.random.default_rng(seed)
    undecided: set[int] = set()
    answers = max(_ANSWERS, net.luts >> 11)  # simulating what they say takes as long as asking for some
    for done in range(_ROUNDS):
        found, pairs, told_apart = _round(net, tried, forced, barred, failed, levels)
        fresh = [_thermometer(told_apart, levels)] if len(told_apart) else []
        spent = work is not None and (told >= work or (done > 0 and (done + 1) * net.luts > _VISITS))
        if spent:  # what is open stays so; this round has merged what the ones before proved
            fresh = []
        if len(pairs) and (spent or not sat.available()):
            undecided.update(found.kept[pairs[:, 0] - net.first_lut].tolist())
            pairs = pairs[:0]
        if len(pairs):
            cones = sat.Cones(found.fanin, found.table, net.first_lut, levels=levels)
            alike, seen = np.ones(len(pairs), np.bool_), len(fresh)
            for n, (x, y) in enumerate(pairs.tolist()):
                if len(fresh) - seen == answers:  # what tells one pair apart does so with many
                    alike[n:] &= _alike(found, net, pairs[n:], np.concatenate(fresh[seen:]))
                    seen = len(fresh)
                if not alike[n]:
                    continue
                if cones.last > _CONES:  # the solver decides all it was told of
                    cones.close()
                    cones = sat.Cones(found.fanin, found.table, net.first_lut, levels=levels)
                old = int(found.kept[x - net.first_lut])
                before = len(cones.encoded)
                answer = _differ(cones, x, y, conflicts) if work is None or told < work else None
                told += len(cones.encoded) - before
                if answer is None:
                    undecided.add(old)
                    barred[old] = True
                elif isinstance(answer, bool):
                    forced[old] = _old_literal(
                        found, net.first_lut, y, int(found.literal[net.first_lut + old])
                    )
                else:
                    fresh.append(_neighbours(answer, rng, levels))
            cones.close()
        if not fresh and not len(pairs):
            break
        tried = np.concatenate([tried, *fresh])[-64 * most :]
    return replace(found, undecided=len(undecided), patterns=tried)


def _alike(found: Sweep, net: Netlist, pairs: I64x2, tried: Bool2) -> Bool1:
    """Which pairs of a signal and a literal have equal values for these patterns, bool `[pairs]`."""
    table = found.table.astype(table_dtype(net.k))
    swept = Netlist(net.inputs, found.fanin, table, np.empty(0, np.int32))
    values = simulate_words(swept, pack(tried))
    inverted = np.where(pairs[:, 1] & 1, ~np.uint64(0), np.uint64(0))
    same: Bool1 = (values[pairs[:, 0]] == values[pairs[:, 1] >> 1] ^ inverted[:, None]).all(axis=1)
    return same


def _round(
    net: Netlist, tried: Bool2, forced: I64x1, barred: Bool1, failed: I32x1, levels: int
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
        net.fanin, net.table.astype(np.uint64), net.first_lut, levels, _TRIES, _WIDEST, values, forced,
        barred, failed, literal, fanin, table, kept, how, pairs, told_apart, counts,
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


def _differ(cones: sat.Cones, x: int, y: int, conflicts: int) -> Bool1 | bool | None:
    """Decide whether signal x and literal y can differ.

    Returns an input pattern bool `[inputs]` where they do, False if they never do, None if the
    conflicts did not suffice.
    """
    a, b, d = cones.literal(2 * x), cones.literal(y), cones.variable()
    cones.add([-d, a, b])
    cones.add([-d, -a, -b])
    answer = cones.solve([d], conflicts)
    pattern = cones.pattern() if answer else None
    cones.add([-d])
    return pattern if answer else answer
