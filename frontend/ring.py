"""Ring wiring: neighbours of the last layer share an input, so that they share its first adders."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lgc.errors import UsageError

from ._typing import I32x3

if TYPE_CHECKING:
    from .config import LayerConfig
    from .connections import Sources


def candidates(layer: LayerConfig, sources: Sources, groups: int) -> I32x3:
    """Wire node i of a group to the sources at and behind its place in a ring of the group's own.

    The sources are shared out evenly to the groups, in order (the layer before is wired at random, so
    any order is as good); node i of n reads sources `floor(i m / n)` and the next `k - 1` of its group's
    m. With as many nodes as sources each source is read k times, by neighbours. Three neighbours of two
    inputs then depend on four signals, not six, and the full adder that counts them fits one LUT.

    Returns:
        Fixed wiring int32 `[nodes, k, 1]`.

    Raises:
        UsageError: a group has fewer sources than a node has inputs.
    """
    nodes = layer.width // groups
    bounds = np.arange(groups + 1) * len(sources.index) // groups
    if (np.diff(bounds) < layer.k).any():
        raise UsageError(
            f"A ring of {int(np.diff(bounds).min())} sources cannot feed nodes of {layer.k} inputs.",
            hint="Make the layer before wider, or use connections = random.",
        )
    found = []
    for first, last in pairwise(bounds):
        ring = sources.index[first:last]
        place = np.arange(nodes) * len(ring) // nodes
        found.append(ring[(place[:, None] + np.arange(layer.k)) % len(ring)])
    wired: I32x3 = np.concatenate(found).astype(np.int32)[:, :, None]
    return wired
