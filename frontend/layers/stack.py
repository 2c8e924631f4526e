"""Stacking layers: from settings to modules, each reading the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import nn

from lgc.errors import UsageError

from ..config import LayerConfig
from ..connections import Sources, wire
from ..encoder import arranged
from ..graph import AnyLayer, ConvLayer, Detectors, Layer, OrPool
from .conv import TreeLayer
from .dense import LutLayer
from .pool import PoolLayer
from .slot_conv import SlotConvLayer
from .wired import wired


def build(
    settings: Sequence[LayerConfig],
    sources: Sources,
    classes: int,
    rng: np.random.Generator,
    *,
    estimator: str = "soft",
    temperature: float = 1.0,
) -> tuple[list[nn.Module], int]:
    """Make the layers of a network, and count the last one's outputs.

    A module is called as `layer(x, hard, temperature, rng)` on float32 `[blocks, features, LANES]` and
    has `hardened()`, its layer of the checkpoint, or a tuple of those. An OR pool after a convolution
    becomes part of it.

    Raises:
        UsageError: settings that contradict each other or the sources.
    """
    layers: list[nn.Module] = []
    for i, config in enumerate(settings):
        if config.kind == "dense":
            wiring = wire(config, sources, classes if i == len(settings) - 1 else 1, rng)
            layers.append(wired(config, wiring, rng, estimator=estimator, temperature=temperature))
            sources = Sources(np.arange(config.width, dtype=np.int32), wiring.position, stage=wiring.stage)
            continue
        before = layers[-1] if layers else None
        made: TreeLayer | SlotConvLayer | PoolLayer
        if config.kind == "conv":
            made = _convolution(config)(
                config, _shaped(config, sources), rng, estimator=estimator, temperature=temperature
            )
        elif isinstance(before, TreeLayer) and before.pool is None:
            made = before
            made.attach(config)
        else:
            made = PoolLayer(config, sources)
        if made is not before:
            layers.append(made)
        sources = made.sources()
    outputs = len(sources.index)
    if outputs % classes:
        raise UsageError(
            f"The last layer has {outputs} nodes, which {classes} classes cannot share.",
            hint=f"Use a multiple of {classes}.",
        )
    return layers, outputs


def of(layers: Sequence[AnyLayer]) -> list[nn.Module]:
    """Make the modules of a checkpoint's layers, which compute what they say when hardened.

    Raises:
        UsageError: detectors, which `lgc.frontend.detectors.detect` evaluates.
    """
    made: list[nn.Module] = []
    for i, layer in enumerate(layers):
        before = made[-1] if made else None
        if isinstance(layer, Layer):
            made.append(LutLayer.of(layer))
        elif isinstance(layer, ConvLayer):
            pool = layers[i + 1] if i + 1 < len(layers) else None
            made.append(TreeLayer.of(layer, pool if isinstance(pool, OrPool) else None))
        elif isinstance(layer, Detectors):
            raise UsageError("Detectors are no layer of a network, they prepare its inputs.")
        elif not (isinstance(before, TreeLayer) and before.pool is layer):
            made.append(PoolLayer.of(layer))
    return made


def _convolution(config: LayerConfig) -> type[TreeLayer | SlotConvLayer]:
    """Choose by what a node of a convolution reads."""
    if config.connections not in {"random", "slots"}:
        raise UsageError(
            f"A convolution's connections cannot be {config.connections}.",
            hint="Leave connections out for trees at random places, or use slots.",
        )
    return SlotConvLayer if config.connections == "slots" else TreeLayer


def _shaped(config: LayerConfig, sources: Sources) -> Sources:
    """Arrange outputs as the layer's settings say, if they do."""
    if not config.shape:
        return sources
    features = int(np.prod(config.shape))
    bits = len(sources.index) if sources.outputs is None else sources.outputs
    if not 1 <= len(config.shape) <= 3 or min(config.shape) < 1 or bits % features:
        raise UsageError(
            f"The shape {list(config.shape)} does not arrange {bits} input bits.",
            hint="Give [length], [length, channels] or [height, width, channels] of the features.",
        )
    shape, order = arranged(config.shape, max(len(config.shape) - 1, 1), bits // features)
    return replace(sources, shape=shape, order=order)
