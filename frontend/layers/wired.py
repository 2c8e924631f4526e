"""Which dense layer a configuration asks for."""

from __future__ import annotations

import numpy as np

from lgc.errors import UsageError

from ..config import LayerConfig
from ..connections import Wiring
from .dense import LutLayer
from .full import FullLayer
from .slots import SlotLayer

Dense = LutLayer | FullLayer | SlotLayer
_CHOOSING = ("learned", "local", "full")


def wired(
    config: LayerConfig,
    wiring: Wiring,
    rng: np.random.Generator,
    *,
    estimator: str = "soft",
    temperature: float = 1.0,
) -> Dense:
    """Build a layer of nodes that read any outputs of the layer before.

    Raises:
        UsageError: settings that contradict each other.
    """
    if config.choose == "dwn" and config.connections != "full":
        raise UsageError(
            f"DWN's learnable mapping chooses among all sources, not {config.connections} ones.",
            hint='Use connections = "full", or choose = "hard".',
        )
    if config.choose != "softmax" and config.connections not in _CHOOSING:
        raise UsageError(
            f"With connections = {config.connections} there is nothing to choose.",
            hint=f"Use one of {', '.join(_CHOOSING)}, or leave choose out.",
        )
    if config.connections == "slots":
        sources = np.unique(wiring.candidates)
        return SlotLayer(config, wiring, rng, sources=sources, estimator=estimator, temperature=temperature)
    kind = FullLayer if config.connections == "full" else LutLayer
    return kind(config, wiring, rng, estimator=estimator, temperature=temperature)
