"""Wiring between layers: which sources the pins of a layer's nodes may read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lgc.errors import UsageError, nearest

from . import butterfly
from . import ring as rings
from ._typing import F32x2, I32x1, I32x2, I32x3
from .config import LayerConfig

SLOTS = 16
"""Pairs of sources that a node of `connections = "slots"` chooses from (CompactLogic's number)."""
_ATTEMPTS = 100
_R2 = (0.7548776662466927, 0.5698402909980532)
"""Steps of the two-dimensional low-discrepancy sequence: powers of the inverse plastic number."""


@dataclass(frozen=True, eq=False)
class Sources:
    """What a layer may read.

    Attributes:
        index: int32 `[sources]`, outputs of the layer before that carry information.
        position: float32 `[sources, 2]`, their row and column in the image, pixels; None if unknown.
        shape: `(channels, height, width)` or alike of *all* outputs of the layer before; None if unknown.
        order: int32 `[outputs]`, output at each place of that shape; None if in order.
        outputs: how many the layer before has; None if all of them carry information.
        stage: scale at which a butterfly goes on, see `lgc.frontend.butterfly`.
    """

    index: I32x1
    position: F32x2 | None = None
    shape: tuple[int, ...] | None = None
    order: I32x1 | None = None
    outputs: int | None = None
    stage: int = 0


@dataclass(frozen=True, eq=False)
class Wiring:
    """Candidate sources int32 `[nodes, k, candidates]`; nodes' positions and stage, as in `Sources`."""

    candidates: I32x3
    position: F32x2 | None = None
    stage: int = 0


def _even(sources: I32x1, count: int, rng: np.random.Generator) -> I32x1:
    """Draw `count` sources, each as often as any other, give or take one.

    difflogic's rule (Petersen 2022, arXiv 2210.08277): a permutation modulo the number of sources,
    then a permutation of the sources.
    """
    drawn: I32x1 = sources[rng.permutation(len(sources))[rng.permutation(count) % len(sources)]]
    return drawn


def random(layer: LayerConfig, sources: Sources, _: int, rng: np.random.Generator) -> Wiring:
    """Wire at random, as difflogic does; a node may read one source twice."""
    drawn = _even(sources.index, layer.k * layer.width, rng)
    return Wiring(drawn.reshape(layer.k, layer.width).T[:, :, None].copy())


def random_unique(layer: LayerConfig, sources: Sources, _: int, rng: np.random.Generator) -> Wiring:
    """Wire at random, the pins of a node reading different sources."""
    drawn = random(layer, sources, 1, rng).candidates[:, :, 0]
    return Wiring(_distinct(drawn, sources.index, rng)[:, :, None])


def learned(layer: LayerConfig, sources: Sources, _: int, rng: np.random.Generator) -> Wiring:
    """Draw different candidates per pin, evenly over the sources; training chooses one of them.

    Top-K connections of LILogicNet (arXiv 2511.12340) and of Mommen (arXiv 2607.09399).
    """
    count = min(layer.candidates, len(sources.index))
    drawn = _even(sources.index, layer.width * layer.k * count, rng).reshape(-1, count)
    return Wiring(_distinct(drawn, sources.index, rng).reshape(layer.width, layer.k, count))


def local(layer: LayerConfig, sources: Sources, groups: int, rng: np.random.Generator) -> Wiring:
    """Draw candidates inside a window of the image; training chooses one of them per pin.

    Nodes spread evenly over the image, separately in each of `groups` equal runs of nodes, so that
    every class sees all of it. All candidates of a node differ. Short wires are what lets a full
    device route, and neighbouring pixels say more together than distant ones.
    """
    if sources.position is None:
        raise UsageError(
            "Local connections need to know where their sources are in an image.",
            hint="Use image data, and local connections in the layers before; or connections = learned.",
        )
    count = layer.k * layer.candidates
    if count > len(sources.index):
        raise UsageError(
            f"{layer.k} inputs with {layer.candidates} candidates each exceed {len(sources.index)} sources.",
            hint="Use fewer candidates.",
        )
    low, high = sources.position.min(axis=0), sources.position.max(axis=0)
    centres = low + _spread(layer.width, groups, rng) * (high - low)
    chosen = np.empty((layer.width, count), np.int32)
    for i, centre in enumerate(centres):
        distance = np.abs(sources.position - centre).max(axis=1)
        inside = max(count, int((distance <= layer.window / 2).sum()))
        near = np.argsort(distance, kind="stable")[:inside]
        chosen[i] = sources.index[rng.permutation(near)[:count]]
    return Wiring(chosen.reshape(layer.width, layer.k, layer.candidates), centres.astype(np.float32))


def _spread(nodes: int, groups: int, rng: np.random.Generator) -> F32x2:
    """Points of the unit square float32 `[nodes, 2]`, evenly spread within each group."""
    within = np.arange(nodes) % (nodes // groups)
    start = np.repeat(rng.random((groups, 2)), nodes // groups, axis=0)
    points: F32x2 = ((start + within[:, None] * np.array(_R2)) % 1).astype(np.float32)
    return points


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


def ring(layer: LayerConfig, sources: Sources, groups: int, _: np.random.Generator) -> Wiring:
    """Wire each group's nodes to neighbours in a ring of its own sources, see `lgc.frontend.ring`."""
    return Wiring(rings.candidates(layer, sources, groups))


def full(layer: LayerConfig, sources: Sources, _: int, rng: np.random.Generator) -> Wiring:  # noqa: ARG001
    """Let every pin choose among all sources; the candidates are one row, seen from every pin."""
    return Wiring(np.broadcast_to(sources.index, (layer.width, layer.k, len(sources.index))))


def balanced_butterfly(layer: LayerConfig, sources: Sources, groups: int, rng: np.random.Generator) -> Wiring:
    """Wire sources at distances that double from layer to layer, see `lgc.frontend.butterfly`."""
    found, position, stage = butterfly.candidates(layer, sources, groups, rng)
    return Wiring(found, position, stage=stage)


def slots(layer: LayerConfig, sources: Sources, _: int, rng: np.random.Generator) -> Wiring:
    """Draw a pair of sources for each of a node's slots, see `lgc.frontend.layers.slots`."""
    drawn = _even(sources.index, SLOTS * layer.k * layer.width, rng).reshape(-1, layer.k)
    pairs = _distinct(drawn, sources.index, rng).reshape(layer.width, SLOTS, layer.k)
    return Wiring(pairs.transpose(0, 2, 1).copy())


CONNECTIONS: dict[str, Callable[[LayerConfig, Sources, int, np.random.Generator], Wiring]] = {
    "random": random,
    "random-unique": random_unique,
    "learned": learned,
    "local": local,
    "ring": ring,
    "full": full,
    "butterfly": balanced_butterfly,
    "slots": slots,
}
"""Named choices of `connections` in the configuration."""


def wire(layer: LayerConfig, sources: Sources, groups: int, rng: np.random.Generator) -> Wiring:
    """Draw a layer's candidates; fixed wiring has one per pin.

    `groups` is the number of equal, contiguous runs of nodes that should be wired alike: the classes
    in the last layer, 1 elsewhere.
    """
    if layer.connections not in CONNECTIONS:
        raise UsageError(
            f"There are no connections {layer.connections!r}.", hint=nearest(layer.connections, CONNECTIONS)
        )
    return CONNECTIONS[layer.connections](layer, sources, groups, rng)
