"""Balanced butterfly wiring: distances between a node's sources double from scale to scale."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lgc.errors import UsageError

from ._typing import F32x2, I32x1, I32x2, I32x3, I64x1

if TYPE_CHECKING:
    from .config import LayerConfig
    from .connections import Sources


def candidates(
    layer: LayerConfig, sources: Sources, groups: int, rng: np.random.Generator
) -> tuple[I32x3, F32x2 | None, int]:
    """Wire a layer as in CoverageDLGN (balanced butterfly), for k inputs.

    The sources form a ring. Nodes lie evenly along it and read their own source and those at distances
    made of powers of two: bit b of a pin's number adds `2**(stage + b)`. Nodes that share a source take
    one stage after the other, and the next layer goes on where this one stopped, so that a node's
    ancestors double from layer to layer, as in a fast Fourier transform, where random wiring reads many
    twice. On image bits the ring runs along rows and columns in turns (the semantic first layer), and
    bits of one pixel never meet. Every source is read equally often, give or take one.

    `groups` runs of nodes (classes) each cover the whole ring.

    Returns:
        Fixed wiring int32 `[nodes, k, 1]`, the nodes' positions if the sources have some, the next stage.

    Raises:
        UsageError: fewer sources than a node has inputs.
    """
    count = len(sources.index)
    if count < layer.k:
        raise UsageError(
            f"A butterfly of {count} sources cannot feed nodes of {layer.k} inputs.",
            hint="Use a wider layer before it, or fewer inputs per node.",
        )
    per_group = layer.width // groups
    place = (np.arange(per_group)[None, :] + np.arange(groups)[:, None] / groups).ravel() * count / per_group
    base = np.floor(place + 1e-9).astype(np.int64) % count
    turn = _rank_within(base)
    rings = _rings(sources)
    scales = max(1, math.ceil(math.log2(max(len(rings[0]) // 2, 2))))
    bits = (layer.k - 1).bit_length()
    # beyond the image's bits, nodes of one place differ in scale: meet one of another scale
    aside = 0 if sources.position is None or not sources.stage else len(np.unique(sources.position, axis=0))
    pins = np.empty((layer.width, layer.k), np.int32)
    for first in range(int(turn.max()) + 1):
        nodes = np.flatnonzero(turn == first)
        for pin in range(layer.k):
            here = base[nodes]
            for bit in range(bits):
                if pin >> bit & 1:
                    stage = sources.stage + first * bits + bit
                    ring = rings[stage % len(rings)]
                    here = _step(ring, here, (1 << (stage // len(rings) % scales)) + aside)
            pins[nodes, pin] = here
    rounds = int(turn.max()) + 1
    # nodes of one source are neighbours: the next layer steps over them
    stage = sources.stage + bits if rounds == 1 else math.ceil(math.log2(rounds)) + 1
    fanin = sources.index[_balance(_unlike(pins, count), count, rng)].astype(np.int32)
    position = None if sources.position is None else sources.position[base]
    return fanin[:, :, None], position, stage


def _rank_within(base: I64x1) -> I64x1:
    """How many earlier nodes have the same base."""
    order = np.argsort(base, kind="stable")
    ordered = base[order]
    start = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.empty(len(base), np.int64)
    rank[order] = np.arange(len(base)) - np.repeat(start, np.diff(np.r_[start, len(base)]))
    return rank


def _rings(sources: Sources) -> list[I64x1]:
    """Orders of the sources, as permutations: as they come, or along rows and along columns.

    Bits of one pixel are told apart by their rank, so that a step leads from a bit to the same bit of
    another pixel.
    """
    count = len(sources.index)
    if sources.position is None:
        return [np.arange(count)]
    row, column = sources.position.T
    pixel = np.unique(sources.position, axis=0, return_inverse=True)[1].ravel()
    rank = _rank_within(pixel.astype(np.int64))
    return [np.lexsort((column, row, rank)), np.lexsort((row, column, rank))]


def _step(ring: I64x1, here: I64x1, distance: int) -> I64x1:
    """Go `distance` along a ring."""
    place = np.empty(len(ring), np.int64)
    place[ring] = np.arange(len(ring))
    ahead: I64x1 = ring[(place[here] + distance) % len(ring)]
    return ahead


def _unlike(pins: I32x2, count: int) -> I32x2:
    """Move pins that repeat an earlier one of their node on to the next source (small rings)."""
    for pin in range(1, pins.shape[1]):
        while (again := (pins[:, :pin] == pins[:, pin, None]).any(axis=1)).any():
            pins[again, pin] = (pins[again, pin] + 1) % count
    return pins


def _balance(pins: I32x2, count: int, rng: np.random.Generator) -> I32x2:
    """Give surplus reads of some sources to others, until all differ by at most one.

    Both sides are taken in the ring's order, so that a pin moves little.
    """
    flat = pins.ravel().copy()
    k = pins.shape[1]
    for _ in range(4):
        uses = np.bincount(flat, minlength=count)
        low, extra = divmod(len(flat), count)
        target = np.full(count, low)
        rich = np.lexsort((rng.random(count), -uses))[:extra]
        target[rich] += 1
        surplus = np.maximum(uses - target, 0)
        if not surplus.any():
            break
        order = np.argsort(flat, kind="stable")
        first = np.cumsum(uses) - uses
        moving = np.concatenate([order[first[s] : first[s] + surplus[s]] for s in np.flatnonzero(surplus)])
        wanting = np.repeat(np.arange(count), np.maximum(target - uses, 0)).astype(np.int32)
        flat[moving] = wanting
        flat = _swap_repeats(flat.reshape(-1, k), rng).ravel()
    return flat.reshape(-1, k)


def _swap_repeats(pins: I32x2, rng: np.random.Generator) -> I32x2:
    """Exchange pins that repeat another of their node with random pins of other nodes."""
    k = pins.shape[1]
    for _ in range(100):
        ordered = np.sort(pins, axis=1)
        bad = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        if not len(bad):
            break
        for node in bad:
            pin = next((p for p in range(1, k) if pins[node, p] in pins[node, :p]), 0)
            if not pin:  # an exchange for another node has mended it
                continue
            other = int(rng.integers(pins.size))
            at = divmod(other, k)
            pins[node, pin], pins[at] = pins[at], pins[node, pin]
    return pins


def ancestors(layers: list[I32x2], inputs: int) -> list[I32x1]:
    """How many of the `inputs` each node depends on, layer by layer, from fan-ins `[nodes, k]`."""
    sets = np.eye(inputs, dtype=np.bool_)
    found = []
    for fanin in layers:
        packed = np.packbits(sets, axis=1)
        union = packed[fanin[:, 0]].copy()
        for pin in range(1, fanin.shape[1]):
            union |= packed[fanin[:, pin]]
        sets = np.unpackbits(union, axis=1, count=inputs).astype(np.bool_)
        found.append(sets.sum(axis=1).astype(np.int32))
    return found
