"""Layers of nodes that read any outputs of the layer before."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from .. import devices
from ..checkpoint import Layer
from ..config import LayerConfig
from ..connections import Wiring
from ..kernels import cpu
from ..kernels.autograd import monomials, stacked
from ..kernels.layer import Nodes
from ..kernels.parameters import softmax
from ..kernels.threads import share
from ..relaxations import relaxation_for


class LutLayer(nn.Module):
    """Nodes of k inputs with a learned function and, if there are candidates, learned wiring.

    Candidates are weighed by a softmax per pin (LILogicNet, arXiv 2511.12340); a hard forward takes
    the heaviest and passes the softmax's gradient on (Mommen, arXiv 2607.09399).

    Attributes:
        functions: parameters of the relaxation, float32 `[width, parameters]`.
        choice: logits of the candidates, float32 `[width, k, candidates]`; None if wiring is fixed.
        source: candidates, int32 `[width, k, candidates]`.
    """

    source: Tensor

    def __init__(
        self,
        config: LayerConfig,
        wiring: Wiring,
        rng: np.random.Generator,
        *,
        estimator: str = "soft",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.config = config
        self.relaxation = relaxation_for(config.relaxation, config.k, estimator, config.init)
        initial = self.relaxation.initial(
            config.width, config.k, config.residual, rng, init=config.init, temperature=temperature
        )
        source = wiring.candidates
        self.register_buffer("source", torch.from_numpy(source))
        self.functions = nn.Parameter(torch.from_numpy(initial))
        self.choice: nn.Parameter | None = None
        if source.shape[2] > 1:
            self.choice = nn.Parameter(torch.from_numpy(rng.standard_normal(source.shape, np.float32)))

    @classmethod
    def of(cls, layer: Layer) -> LutLayer:
        """Make the module of a checkpoint's layer."""
        config = LayerConfig(width=layer.nodes, k=layer.k, relaxation=layer.relaxation)
        made = cls(config, Wiring(layer.fanin[:, :, None].copy()), np.random.default_rng(0))
        made.functions = nn.Parameter(torch.from_numpy(np.ascontiguousarray(layer.parameters)))
        return made

    def _weights(self, hard: bool) -> Tensor | None:
        if self.choice is None:
            return None
        soft = softmax(self.choice)
        if not hard and self.config.choose == "softmax":
            return soft
        exact = torch.zeros_like(soft).scatter_(2, soft.argmax(dim=2, keepdim=True), 1.0)
        return soft + (exact - soft).detach()

    def forward(
        self,
        x: Tensor,
        hard: bool,
        temperature: float = 1.0,
        rng: np.random.Generator | None = None,
        groups: int = 0,
    ) -> Tensor:
        """Evaluate the relaxed or the hardened layer, float32 `[blocks, features, LANES]`.

        Either way gradients are those of the relaxed functions and of the softmax over candidates;
        a hard forward makes the loss see the network that will be built (CAGE, arXiv 2603.14157).
        With `rng` the functions carry noise, the same in the hard forward and its soft gradient. With
        `groups` the outputs of as many equal, contiguous groups of nodes are summed.
        """
        nodes = self.nodes(len(x), hard, temperature, rng)
        if self.choice is None:
            return stacked(x, [nodes], groups)
        y = stacked(x, [nodes])
        return y.view(len(y), groups, -1, cpu.LANES).sum(2) if groups else y

    def nodes(
        self, blocks: int, hard: bool, temperature: float = 1.0, rng: np.random.Generator | None = None
    ) -> Nodes:
        """Prepare what the kernels need for a batch of so many blocks; arguments as in `forward`."""
        kind = self.relaxation
        if self.training and math.isfinite(kind.bound):
            with torch.no_grad():
                self.functions.clamp_(-kind.bound, kind.bound)
        hard = hard or "soft" not in kind.estimators
        drawn = None if rng is None else kind.noise(tuple(self.functions.shape), rng)
        device = self.functions.device
        noise = None if drawn is None else torch.from_numpy(drawn).to(device)
        noisy_outputs = rng is not None and drawn is None
        on_outputs = self._output_noise(blocks, temperature, rng) if rng and noisy_outputs else None
        recipe = None if devices.on_gpu(self.functions) else kind.recipe(temperature, noise)
        if recipe is not None:
            return Nodes(
                self.source,
                self.functions,
                self._weights(hard),
                noise=on_outputs,
                logistic=kind.logistic,
                hard=hard,
                recipe=recipe,
                rounded=hard and not noisy_outputs,
            )
        slope = kind.slope(self.functions.detach())
        exact = None
        if hard and not noisy_outputs:
            parameters = self.functions.detach() if noise is None else self.functions.detach() + noise
            tables = torch.from_numpy(kind.hard(parameters.cpu().numpy()))
            exact = monomials(tables.to(device, torch.float32))
        return Nodes(
            self.source,
            kind.coefficients(self.functions, temperature, noise),
            self._weights(hard),
            exact,
            None if slope is None else monomials(slope),
            on_outputs,
            kind.logistic,
            hard,
        )

    def _output_noise(self, blocks: int, temperature: float, rng: np.random.Generator) -> Tensor:
        shape, key = (blocks, len(self.source), cpu.LANES), rng.integers(1 << 64, dtype=np.uint64)
        if devices.on_gpu(self.functions):
            from ..kernels import gpu

            return gpu.logistic_noise(shape, int(key), 1 / temperature, self.functions.device)
        out = np.empty(shape, np.float32)
        share(cpu.logistic_noise, blocks, key, 1 / temperature, out)
        return torch.from_numpy(out)

    def hardened(self) -> Layer:
        """Copy the layer with its wiring decided, for a checkpoint."""
        source = self.source.numpy()
        if self.choice is None:
            fanin = source[:, :, 0]
        else:
            best = self.choice.detach().numpy().argmax(axis=2)[:, :, None]
            fanin = np.take_along_axis(source, best, axis=2)[:, :, 0]
        return Layer(fanin.copy(), self.functions.detach().numpy().copy(), self.config.relaxation)
