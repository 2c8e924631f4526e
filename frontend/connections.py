"""Wiring between layers: which sources the pins of a layer's nodes may read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lgc.errors import UsageError, nearest

from ._typing import I32x1, I32x2, I32x3

_ATTEMPTS = 100

Wiring = Callable[[I32x1, int, int, int, np.random.Generator], I32x3]
"""From sources, nodes, k, candidates and a generator to the candidates int32 `[nodes, k, candidates]`."""


def _even(sources: I32x1, count: int, rng: np.random.Generator) -> I32x1:
    """Draw `count` sources, each as often as any other, give or take one.

    difflogic's rule (Petersen 2022, arXiv 2210.08277): a permutation modulo the number of sources,
    then a permutation of the sources.
    """
    return sources[rng.permutation(len(sources))[rng.permutation(count) % len(sources)]]


def random(sources: I32x1, nodes: int, k: int, _: int, rng: np.random.Generator) -> I32x3:
    """Wire at random, as difflogic does; a node may read one source twice."""
    return _even(sources, k * nodes, rng).reshape(k, nodes).T[:, :, None].copy()


def random_unique(sources: I32x1, nodes: int, k: int, _: int, rng: np.random.Generator) -> I32x3:
    """Wire at random, the pins of a node reading different sources."""
    return _distinct(random(sources, nodes, k, 1, rng)[:, :, 0], sources, rng)[:, :, None]


def learned(sources: I32x1, nodes: int, k: int, candidates: int, rng: np.random.Generator) -> I32x3:
    """Draw different candidates per pin, evenly over the sources; training chooses one of them.

    Top-K connections of LILogicNet (arXiv 2511.12340) and of Mommen (arXiv 2607.09399).
    """
    count = min(candidates, len(sources))
    drawn = _even(sources, nodes * k * count, rng).reshape(nodes * k, count)
    return _distinct(drawn, sources, rng).reshape(nodes, k, count)


def _distinct(rows: I32x2, sources: I32x1, rng: np.random.Generator) -> I32x2:
    """Remove repetitions inside rows by shuffling them with random other entries."""
    width = rows.shape[1]
    if width > len(sources):
        raise UsageError(
            f"A node with {width} inputs cannot read {len(sources)} different sources.",
            hint="Use fewer inputs per node, or connections = random.",
        )
    for _ in range(_ATTEMPTS):
        order = np.argsort(rows, axis=1, kind="stable")
        ranked = np.take_along_axis(rows, order, axis=1)
        again = np.zeros(rows.shape, np.bool_)
        np.put_along_axis(again, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
        flat = np.flatnonzero(again)
        if not len(flat):
            return rows
        mixed = np.union1d(flat, rng.choice(rows.size, len(flat), replace=False))
        values = rows.ravel()
        values[mixed] = values[rng.permutation(mixed)]
        rows = values.reshape(rows.shape)
    for i in np.flatnonzero(again.any(axis=1)):  # few sources: give up evenness
        rows[i] = rng.choice(sources, width, replace=False)
    return rows


CONNECTIONS: dict[str, Wiring] = {"random": random, "random-unique": random_unique, "learned": learned}
"""Named choices of `connections` in the configuration."""


def wire(name: str, sources: I32x1, nodes: int, k: int, candidates: int, rng: np.random.Generator) -> I32x3:
    """Draw a layer's candidate sources, int32 `[nodes, k, candidates]`; fixed wiring has one each."""
    if name not in CONNECTIONS:
        raise UsageError(f"There are no connections {name!r}.", hint=nearest(name, CONNECTIONS))
    return CONNECTIONS[name](sources, nodes, k, candidates, rng)
