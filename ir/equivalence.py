"""Equivalence of netlists: simulation looks for a difference, SAT sweeping proves there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import satsweep
from ._typing import Bool1, Bool2, I64x1, I64x2
from .netlist import Netlist, table_dtype
from .simulate import outputs, scores

_EXHAUSTIVE_INPUTS = 14
"""Up to so many inputs all patterns are tried: 16,384 samples."""
_FIRST_SAMPLES = 256
"""Random patterns tried before a proof, which is slower than seeing a gross difference."""


@dataclass(frozen=True)
class Comparison:
    """The outcome of comparing two netlists.

    Attributes:
        equal: whether every pattern tried gave equal outputs and scores.
        patterns: how many input patterns were tried.
        proof: how equality was proved, "" if it was only simulated.
        counterexample: an input pattern bool `[inputs]` that tells the two apart, or None.
        inexact: what a pass that was asked to give up exactness did, "" for any other.
    """

    equal: bool
    patterns: int
    proof: str = ""
    counterexample: Bool1 | None = None
    inexact: str = ""

    @property
    def method(self) -> str:
        """How it was done, for reports."""
        if self.inexact:
            return self.inexact
        return f"proof ({self.proof})" if self.proof else f"simulation of {self.patterns:,} vectors"


def patterns(inputs: int, *, samples: int, seed: int, levels: int = 1) -> Bool2:
    """Input patterns bool `[samples, inputs]`: all of them for few inputs, else random.

    With `levels` > 1 inputs are thermometer codes of so many bits, and only such are given.
    """
    if inputs > _EXHAUSTIVE_INPUTS:
        return satsweep.patterns(inputs, samples=samples, seed=seed, levels=levels)
    every = ((np.arange(1 << inputs)[:, None] >> np.arange(inputs)) & 1).astype(np.bool_)
    codes = every.reshape(len(every), -1, levels)
    return every[(codes[:, :, 1:] <= codes[:, :, :-1]).all(axis=(1, 2))]


def compare(
    a: Netlist,
    b: Netlist,
    *,
    samples: int = 4096,
    seed: int = 0,
    data: Bool2 | None = None,
    levels: int = 1,
    prove: bool = True,
) -> Comparison:
    """Compare outputs and scores of two netlists with the same inputs.

    Few inputs are tried exhaustively. Else a few random patterns are simulated and, where they show
    no difference, equality is proved: outputs and counted signals by SAT sweeping of both netlists
    together, scores by equal weights on equal signals. If that fails, more patterns are simulated.

    Args:
        a: one netlist.
        b: the other; it must have as many inputs, outputs and classes.
        samples: random patterns tried where nothing is proved.
        seed: of the random patterns.
        data: further patterns bool `[samples, inputs]`, such as encoded images.
        levels: inputs are thermometer codes of so many bits, other patterns do not count.
        prove: whether to prove what simulation cannot refute.

    Raises:
        ValueError: the netlists have different inputs, outputs or classes.
    """
    if (a.inputs, len(a.outputs)) != (b.inputs, len(b.outputs)):
        raise ValueError("netlists to compare must have the same inputs and outputs")
    classes = [net.readout.classes if net.readout is not None else 0 for net in (a, b)]
    if classes[0] != classes[1]:
        raise ValueError("netlists to compare must both have a readout, of as many classes, or neither")
    few = a.inputs <= _EXHAUSTIVE_INPUTS
    tried = patterns(a.inputs, samples=min(samples, _FIRST_SAMPLES), seed=seed, levels=levels)
    where = _first_difference(a, b, tried)
    proof = "exhaustive" if few else ""
    if where is None and prove and not few:
        proof, hints = _prove(a, b, levels, seed)
        where = _first_difference(a, b, hints)
    if where is None and not proof:
        rest = patterns(a.inputs, samples=samples, seed=seed + 1, levels=levels)
        tried = np.concatenate([tried, rest] + ([] if data is None else [data]))
        where = _first_difference(a, b, tried)
    if where is not None:
        return Comparison(equal=False, patterns=len(tried), counterexample=where)
    return Comparison(equal=True, patterns=len(tried), proof=proof)


def _first_difference(a: Netlist, b: Netlist, tried: Bool2) -> Bool1 | None:
    """Return the first pattern at which outputs or scores differ."""
    differ = (outputs(a, tried) != outputs(b, tried)).any(axis=1)
    if a.readout is not None:
        differ |= (scores(a, tried) != scores(b, tried)).any(axis=1)
    where = np.flatnonzero(differ)
    return tried[where[0]] if where.size else None


def _prove(a: Netlist, b: Netlist, levels: int, seed: int) -> tuple[str, Bool2]:
    """Prove that a and b are equal; returns how ("" if that failed) and patterns worth simulating."""
    joint, signal_of_b = join(a, b)
    # what hashing and small windows merge needs no solver, which would look at every pair that is alike
    for work in (0, None):
        found = satsweep.sweep(joint, levels=levels, seed=seed, work=work)
        literal_a = found.literal[: a.signals]
        literal_b = found.literal[signal_of_b]
        equal = literal_a[a.outputs] == literal_b[b.outputs]
        if equal.all() and a.readout is not None and b.readout is not None:
            terms = (_terms(a, literal_a), _terms(b, literal_b))
            same = all(np.array_equal(x, y) for x, y in zip(*terms, strict=True))
            equal = np.append(equal, same)
        if equal.all():
            break
    else:
        return "", found.patterns
    by_sat = found.merged[2]
    return f"SAT sweeping: {found.merged[0] + found.merged[1]:,} merges, {by_sat:,} by SAT", found.patterns[
        :0
    ]


def _terms(net: Netlist, literal: I64x1) -> tuple[I64x1, I64x2]:
    """Bring a readout over literals to normal form: biases, and rows (class, signal, weight)."""
    head = net.readout
    assert head is not None
    of_class = head.class_of_entry.astype(np.int64)
    entry = literal[head.signal]
    inverted = (entry & 1).astype(np.bool_)
    bias = head.bias.copy()
    np.add.at(bias, of_class[inverted], head.weight[inverted])
    weight = np.where(inverted, -head.weight, head.weight).astype(np.int64)
    real = entry >> 1 != 0
    key = of_class[real] * np.int64(1 << 32) + (entry[real] >> 1)
    unique, position = np.unique(key, return_inverse=True)
    total = np.zeros(len(unique), np.int64)
    np.add.at(total, position, weight[real])
    kept = total != 0
    return bias, np.stack([unique[kept], total[kept]])


def join(a: Netlist, b: Netlist) -> tuple[Netlist, I64x1]:
    """Put two netlists side by side over the same inputs.

    Returns the joint netlist, without roots, and the signal of each signal of b in it; those of a
    keep their numbers.
    """
    k = max(a.k, b.k)
    signal = np.arange(b.signals, dtype=np.int64)
    signal[b.first_lut :] += a.luts
    fanin = np.zeros((a.luts + b.luts, k), np.int32)
    fanin[: a.luts, : a.k] = a.fanin
    fanin[a.luts :, : b.k] = signal[b.fanin]
    joint = replace(
        a,
        fanin=fanin,
        table=np.concatenate([a.table, b.table]).astype(table_dtype(k)),
        outputs=np.empty(0, np.int32),
        readout=None,
        stage=None,
        origin=None,
    )
    return joint, signal
