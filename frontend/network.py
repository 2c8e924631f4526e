"""The relaxed network in torch: layers, counted per class."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from lgc.errors import UsageError

from ._typing import Bool2, I64x1
from .checkpoint import Layer
from .config import ModelConfig
from .connections import Sources, wire
from .groupsum import GroupSum
from .kernels import cpu, memory
from .kernels.threads import share
from .layers import LutLayer


class Network(nn.Module):
    """Layers, then counts per class over tau (GroupSum of DiffLogic, arXiv 2210.08277)."""

    def __init__(self, config: ModelConfig, inputs: Sources, classes: int, rng: np.random.Generator) -> None:
        super().__init__()
        memory.keep()
        if config.layers[-1].width % classes:
            raise UsageError(
                f"The last layer has {config.layers[-1].width} nodes, which {classes} classes cannot share.",
                hint=f"Use a multiple of {classes}.",
            )
        self.config = config
        self.classes = classes
        sources, layers = inputs, []
        for i, layer in enumerate(config.layers):
            wiring = wire(layer, sources, classes if i == len(config.layers) - 1 else 1, rng)
            layers.append(
                LutLayer(layer, wiring, rng, estimator=config.estimator, temperature=config.temperature)
            )
            sources = Sources(np.arange(layer.width, dtype=np.int32), wiring.position, wiring.stage)
        self.layers = nn.ModuleList(layers)
        self.head = GroupSum(config, classes)

    def forward(
        self, x: Tensor, *, hard: bool, temperature: float = 1.0, noise: tuple[int, ...] = (), frozen: int = 0
    ) -> Tensor:
        """Logits `[blocks * LANES, classes]` of input bits float32 `[blocks, bits, LANES]`.

        `noise` is the seed of the estimator's noise; empty for none. The first `frozen` layers are
        hardened and have no gradient.
        """
        with torch.no_grad():
            for layer in self.layers[:frozen]:
                x = layer(x, True, temperature, None)
        for i, layer in list(enumerate(self.layers))[frozen:]:
            x = layer(x, hard, temperature, np.random.default_rng([*noise, i + 1]) if noise else None)
        return cast(Tensor, self.head(x))

    def hardened(self) -> tuple[Layer, ...]:
        """Copy all layers with their wiring decided."""
        return tuple(cast(LutLayer, layer).hardened() for layer in self.layers)


def blocks(bits: Bool2, order: I64x1) -> Tensor:
    """Lay samples `order` of `bits` bool `[samples, bits]` out for a `Network`."""
    out = np.empty((-(-len(order) // cpu.LANES), bits.shape[1], cpu.LANES), np.float32)
    share(cpu.gather, len(out), bits, order, out)
    return torch.from_numpy(out)
