"""Equivalence of netlists, exhaustive for few inputs and by simulation for many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._typing import Bool1, Bool2, I64x2
from .netlist import Netlist
from .simulate import outputs, scores

_EXHAUSTIVE_INPUTS = 14
"""Up to so many inputs all patterns are tried: 16,384 samples."""


@dataclass(frozen=True)
class Comparison:
    """The outcome of comparing two netlists.

    Attributes:
        equal: whether every pattern tried gave equal outputs and scores.
        patterns: how many input patterns were tried.
        exhaustive: whether these were all there are, which makes `equal` a proof.
        counterexample: an input pattern bool `[inputs]` that tells the two apart, or None.
    """

    equal: bool
    patterns: int
    exhaustive: bool
    counterexample: Bool1 | None = None

    @property
    def method(self) -> str:
        """How it was done, for reports."""
        return "proof (exhaustive)" if self.exhaustive else f"simulation of {self.patterns:,} vectors"


def patterns(inputs: int, *, samples: int, seed: int) -> Bool2:
    """Input patterns bool `[samples, inputs]`: all of them for few inputs, else random.

    Random patterns have densities from 1/8 to 7/8, since wide ANDs never fire at 1/2.
    """
    if inputs <= _EXHAUSTIVE_INPUTS:
        return ((np.arange(1 << inputs)[:, None] >> np.arange(inputs)) & 1).astype(np.bool_)
    rng = np.random.default_rng(seed)
    density = rng.integers(1, 8, (samples, 1))
    return rng.integers(0, 8, (samples, inputs)) < density


def compare(
    a: Netlist, b: Netlist, *, samples: int = 4096, seed: int = 0, data: Bool2 | None = None
) -> Comparison:
    """Compare outputs and scores of two netlists with the same inputs.

    Args:
        a: one netlist.
        b: the other; it must have as many inputs, outputs and classes.
        samples: random patterns tried where there are too many inputs to try all.
        seed: of the random patterns.
        data: further patterns bool `[samples, inputs]`, such as encoded images.
    """
    if (a.inputs, len(a.outputs)) != (b.inputs, len(b.outputs)):
        raise ValueError("netlists to compare must have the same inputs and outputs")
    if (a.readout is None) != (b.readout is None):
        raise ValueError("netlists to compare must both have a readout or neither")
    tried = patterns(a.inputs, samples=samples, seed=seed)
    exhaustive = len(tried) == 1 << a.inputs if a.inputs <= _EXHAUSTIVE_INPUTS else False
    if data is not None:
        tried = np.concatenate([tried, data])
    differ = (_observe(a, tried) != _observe(b, tried)).any(axis=1)
    where = np.flatnonzero(differ)
    return Comparison(
        equal=not where.size,
        patterns=len(tried),
        exhaustive=exhaustive,
        counterexample=tried[where[0]] if where.size else None,
    )


def _observe(net: Netlist, bits: Bool2) -> I64x2:
    values = outputs(net, bits).astype(np.int64)
    return values if net.readout is None else np.hstack([values, scores(net, bits)])
