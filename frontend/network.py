"""The relaxed network in torch: layers, counted per class."""

from __future__ import annotations

import copy
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from . import devices
from ._typing import Bool2, I64x1
from .config import ModelConfig
from .connections import Sources
from .graph import AnyLayer
from .groupsum import GroupSum
from .kernels import cpu, memory
from .kernels.autograd import stacked
from .kernels.layer import Nodes
from .kernels.threads import share
from .layers import FullLayer, LutLayer, build
from .layers.slots import SlotNodes


class Hardens(Protocol):
    """A layer of a network."""

    def hardened(self) -> AnyLayer | tuple[AnyLayer, ...]:
        """Copy the layer, or the layers it stands for, with wiring decided."""


class Network(nn.Module):
    """Layers, then counts per class over tau (GroupSum of DiffLogic, arXiv 2210.08277), weighted or not."""

    def __init__(self, config: ModelConfig, inputs: Sources, classes: int, rng: np.random.Generator) -> None:
        super().__init__()
        memory.keep()
        self.config = config
        self.classes = classes
        layers, outputs = build(
            config.layers, inputs, classes, rng, estimator=config.estimator, temperature=config.temperature
        )
        self.layers = nn.ModuleList(layers)
        self.head = GroupSum(config, classes, outputs)

    def forward(
        self, x: Tensor, *, hard: bool, temperature: float = 1.0, noise: tuple[int, ...] = (), frozen: int = 0
    ) -> Tensor:
        """Logits `[blocks * LANES, classes]` of input bits float32 `[blocks, bits, LANES]`.

        `noise` is the seed of the estimator's noise; empty for none. The first `frozen` layers are
        hardened and have no gradient.
        """
        with torch.no_grad():
            x = self._through(x, range(frozen), hard=True, temperature=temperature, noise=())
        rest = range(frozen, len(self.layers))
        x = self._through(x, rest, hard=hard, temperature=temperature, noise=noise)
        return cast(Tensor, self.head(x, hard))

    def _through(
        self, x: Tensor, which: range, *, hard: bool, temperature: float, noise: tuple[int, ...]
    ) -> Tensor:
        """Send activations through some layers; dense ones next to each other are one operation."""
        waiting: list[Nodes] = []
        for i in which:
            layer, last = self.layers[i], i + 1 == len(self.layers)
            rng = np.random.default_rng([*noise, i + 1]) if noise else None
            groups = self.classes if last and self.head.plain else 0  # counted per class at once
            if isinstance(layer, LutLayer):
                waiting.append(layer.nodes(len(x), hard, temperature, rng))
                if i + 1 in which and isinstance(self.layers[i + 1], LutLayer):
                    continue
                x = stacked(x, waiting, groups if waiting[-1].weight is None else 0)
                waiting = []
            elif isinstance(layer, FullLayer):
                x = layer(x, hard, temperature, rng, groups)
            else:
                x = layer(x, hard, temperature, rng)
        return x

    def after_step(self, adam: torch.optim.Optimizer, seed: tuple[int, ...]) -> None:
        """Let layers change what they choose from; `seed` decides how, a layer's number added to it."""
        for i, layer in enumerate(self.layers):
            if hasattr(layer, "after_step"):
                cast(SlotNodes, layer).after_step(adam, (*seed, i + 1))

    def hardened(self) -> tuple[AnyLayer, ...]:
        """Copy all layers with their wiring decided."""
        on_gpu = any(devices.on_gpu(item) for item in self.parameters())
        here = copy.deepcopy(self).cpu() if on_gpu else self
        found: list[AnyLayer] = []
        for layer in here.layers:
            each = cast(Hardens, layer).hardened()
            found += each if isinstance(each, tuple) else [each]
        return tuple(found)


def blocks(bits: Bool2, order: I64x1) -> Tensor:
    """Lay samples `order` of `bits` bool `[samples, bits]` out for a `Network`."""
    out = np.empty((-(-len(order) // cpu.LANES), bits.shape[1], cpu.LANES), np.float32)
    share(cpu.gather, len(out), bits, order, out)
    return torch.from_numpy(out)
