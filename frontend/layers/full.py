"""Layers whose pins choose among all sources."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from ..checkpoint import Layer
from ..config import LayerConfig
from ..connections import Wiring
from ..kernels import cpu, full
from ..kernels.threads import share
from .dense import LutLayer

_MAPPING_SHARPNESS = 1000.0
"""Inverse temperature of the softmax that DWN's mapping passes gradients to its inputs through."""


class FullLayer(nn.Module):
    """Nodes of k inputs, each of which learns which of all sources to read.

    With `choose = "softmax"` a pin reads `sum_j softmax(c)_j x_j` (LILogicNet's `[]`, arXiv 2511.12340)
    and a hard forward the heaviest source; `"hard"` always reads the heaviest, with the softmax's
    gradient (Mommen, arXiv 2607.09399); `"dwn"` too, but the weights' gradient is `(2 x_j - 1) g` and
    the inputs' goes through `softmax(c / 0.001)` (the learnable mapping of DWN, arXiv 2410.11112).

    Attributes:
        nodes: the functions, wired to the pins.
        choice: logits of the sources, float32 `[width, k, sources]`.
        index: the sources, int32 `[sources]`.
        dtype: of the matrix products, see `lgc.frontend.kernels.full`.
    """

    index: Tensor

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
        pins = np.arange(config.width * config.k, dtype=np.int32).reshape(config.width, config.k, 1)
        self.nodes = LutLayer(config, Wiring(pins), rng, estimator=estimator, temperature=temperature)
        self.register_buffer("index", torch.from_numpy(wiring.candidates[0, 0].copy()))
        self.choice = nn.Parameter(
            torch.from_numpy(initial_choice(config.choice_init, wiring.candidates.shape, rng))
        )
        self.dtype = full.native()

    def forward(
        self,
        x: Tensor,
        hard: bool,
        temperature: float = 1.0,
        rng: np.random.Generator | None = None,
        groups: int = 0,
    ) -> Tensor:
        """Evaluate the layer, see `LutLayer.forward`."""
        pins = cast(
            Tensor,
            _Pins.apply(x, self.choice, self.index, self.config.choose, hard, self.dtype),  # type: ignore[no-untyped-call]
        )
        return cast(Tensor, self.nodes(pins, hard, temperature, rng, groups))

    def hardened(self) -> Layer:
        """Copy the layer with its wiring decided, for a checkpoint."""
        best = self.choice.detach().numpy().argmax(axis=2)
        nodes = self.nodes.hardened()
        return Layer(self.index.numpy()[best].astype(np.int32), nodes.parameters, nodes.relaxation)


def initial_choice(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Logits float32 `[width, k, candidates]` at the start.

    "normal" is N(0, 1); "dirac" N(0, 0.01^2) with 10 on one candidate, each as often as any other
    (both LILogicNet's); "uniform" U(0, 1), which is DWN's.
    """
    if kind == "normal":
        return rng.standard_normal(shape, np.float32)
    if kind == "uniform":
        return rng.random(shape, np.float32)
    choice = np.float32(0.01) * rng.standard_normal(shape, np.float32)
    rows = choice.reshape(-1, shape[-1])
    rows[np.arange(len(rows)), rng.permutation(len(rows)) % shape[-1]] += 10
    return choice


class _Pins(torch.autograd.Function):
    """What pins read, float32 `[blocks, width * k, LANES]`, from `x` `[blocks, features, LANES]`."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        choice: Tensor,
        index: Tensor,
        choose: str,
        hard: bool,
        dtype: torch.dtype,
    ) -> Tensor:
        rows = choice.view(-1, choice.shape[2])
        logits, sources = rows.numpy(), index.numpy()
        exact = hard or choose != "softmax"
        best = np.empty(len(logits) if exact else 0, np.int32)
        product = full.Product.of(x.numpy(), sources, dtype)
        if exact:
            share(full.heaviest, len(logits), logits, best)
            pins = np.empty((len(x), len(logits), cpu.LANES), np.float32)
            share(full.read, len(x), x.numpy(), sources[best], pins)
        else:
            pins = product.pins(logits)
        ctx.save_for_backward(choice, index, product.x, torch.from_numpy(best))
        ctx.choose, ctx.features = choose, x.shape[1]  # type: ignore[attr-defined]
        return torch.from_numpy(pins)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        choice, index, flat, best = ctx.saved_tensors  # type: ignore[attr-defined]
        choose: str = ctx.choose  # type: ignore[attr-defined]
        pin_grad = grads[0].contiguous().numpy()
        product = full.Product(flat, len(pin_grad))
        logits = choice.detach().view(-1, choice.shape[2]).numpy()
        need_x, need_choice = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        found, x_grad = None, None
        if need_choice:
            mode = full.MAPPING if choose == "dwn" else full.SOFTMAX
            found = torch.from_numpy(product.logits(logits, pin_grad, mode)).view(choice.shape)
        if need_x:
            x_grad = torch.zeros((len(pin_grad), ctx.features, cpu.LANES))  # type: ignore[attr-defined]
            if len(best) and choose != "dwn":
                share(full.scatter, len(pin_grad), pin_grad, index.numpy()[best.numpy()], x_grad.numpy())
            else:
                sharpness = _MAPPING_SHARPNESS if choose == "dwn" else 1.0
                spread = product.sources(logits, pin_grad, sharpness)
                x_grad[:, index.long()] = spread.view(len(index), -1, cpu.LANES).transpose(0, 1)
        return x_grad, found, None, None, None, None
