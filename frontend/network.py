"""The relaxed network in torch: fused layers, counted per class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from lgc.errors import UsageError

from ._typing import Array, Bool2, I64x1
from .checkpoint import Layer
from .config import LayerConfig, ModelConfig
from .connections import Sources, Wiring, wire
from .kernels import cpu, fixed, memory
from .kernels.threads import share
from .relaxations import RELAXATIONS, relaxation


class _Fused(torch.autograd.Function):
    """`lgc.frontend.kernels.cpu` as one differentiable operation."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, source: Tensor, weight: Tensor, coef: Tensor, settings: _Settings
    ) -> Tensor:
        weight, coef = weight.contiguous(), coef.contiguous()
        exact = coef if settings.exact is None else settings.exact.contiguous()
        slope = coef if settings.slope is None else settings.slope.contiguous()
        noise = x.new_empty((x.shape[0], 0, cpu.LANES)) if settings.noise is None else settings.noise
        ctx.save_for_backward(x, source, weight, slope, noise)
        ctx.logistic = settings.logistic  # type: ignore[attr-defined]
        y = x.new_empty((x.shape[0], source.shape[0], cpu.LANES))
        given = _arrays(x, source, weight, exact, noise)
        if settings.fixed:
            x_, source_, _, exact_, noise_ = given
            share(
                fixed.kernels(source.shape[1])[0],
                len(x),
                x_,
                source_[:, :, 0],
                exact_,
                noise_,
                settings.squash,
                y.numpy(),
            )
        else:
            share(cpu.forward, len(x), *given, settings.squash, y.numpy())
        ctx.fixed = settings.fixed  # type: ignore[attr-defined]
        return y

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, source, weight, slope, noise = ctx.saved_tensors  # type: ignore[attr-defined]
        blocks = x.shape[0]
        need_x, _, need_weight, _, _ = ctx.needs_input_grad  # type: ignore[attr-defined]
        squash = cpu.LOGISTIC if ctx.logistic else cpu.PLAIN  # type: ignore[attr-defined]
        given = _arrays(x, source, weight, slope, noise)
        y_grad = grads[0].contiguous().numpy()
        if ctx.fixed:  # type: ignore[attr-defined]
            x_grad, coef_grad = torch.empty_like(x), slope.new_empty((blocks, *slope.shape))
            x_, source_, _, slope_, noise_ = given
            found = (y_grad, x_grad.numpy(), coef_grad.numpy())
            share(
                fixed.kernels(source.shape[1])[1],
                blocks,
                x_,
                source_[:, :, 0],
                slope_,
                noise_,
                squash,
                *found,
            )
            return x_grad if need_x else None, None, None, coef_grad.sum(0), None
        x_grad = torch.zeros_like(x) if need_x else x.new_empty((blocks, 0, cpu.LANES))
        weight_grad = weight.new_zeros((blocks, *weight.shape) if need_weight else (blocks, 0, 1, 1))
        coef_grad = slope.new_zeros((blocks, *slope.shape))
        share(cpu.backward, blocks, *given, squash, y_grad, *_arrays(x_grad, weight_grad, coef_grad))
        return (
            x_grad if need_x else None,
            None,
            weight_grad.sum(0) if need_weight else None,
            coef_grad.sum(0),
            None,
        )


def _arrays(*tensors: Tensor) -> tuple[Array, ...]:
    return tuple(tensor.numpy() for tensor in tensors)


@dataclass(frozen=True, eq=False)
class _Settings:
    """What `fused` was asked for besides its differentiable arguments; see there."""

    exact: Tensor | None
    slope: Tensor | None
    noise: Tensor | None
    logistic: bool
    hard: bool
    fixed: bool

    @property
    def squash(self) -> int:
        """What becomes of the polynomials in the forward pass."""
        if self.exact is not None or not self.logistic:
            return cpu.PLAIN
        return cpu.STEP if self.hard else cpu.LOGISTIC


def fused(
    x: Tensor,
    source: Tensor,
    weight: Tensor | None,
    coef: Tensor,
    exact: Tensor | None = None,
    *,
    slope: Tensor | None = None,
    noise: Tensor | None = None,
    logistic: bool = False,
    hard: bool = False,
) -> Tensor:
    """Evaluate a layer on `x` float32 `[blocks, features, LANES]`; see `lgc.frontend.kernels.cpu`.

    `weight` None is fixed wiring: one candidate per pin, read as it is. With `exact` the output is that
    of these coefficients, the gradient that of `coef`. With `slope` the gradients of `x` and `weight`
    are those of these coefficients. With `logistic` the polynomials, plus `noise` float32
    `[blocks, nodes, LANES]`, are logits, and the output is their probability, or with `hard` whether
    they are positive.
    """
    # one candidate of weight 1 per pin
    alone = weight is None and source.shape[1] > 1
    settings = _Settings(exact, slope, noise, logistic, hard, alone)
    if weight is None:
        weight = coef.new_ones(source.shape)
    return cast(Tensor, _Fused.apply(x, source, weight, coef, settings))  # type: ignore[no-untyped-call]


class _Monomials(torch.autograd.Function):
    @staticmethod
    def forward(_: FunctionCtx, table: Tensor) -> Tensor:
        out = table.detach().clone(memory_format=torch.contiguous_format)
        cpu.moebius(out.numpy())
        return out

    @staticmethod
    def backward(_: FunctionCtx, *grads: Tensor) -> Tensor:
        out = grads[0].clone(memory_format=torch.contiguous_format)
        cpu.moebius_transposed(out.numpy())
        return out


def monomials(table: Tensor) -> Tensor:
    """Coefficients `[nodes, 2**k]` of the polynomials through truth tables `[nodes, 2**k]` (Moebius)."""
    return cast(Tensor, _Monomials.apply(table))  # type: ignore[no-untyped-call]


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
        self.relaxation = relaxation(config.relaxation)
        if not self.relaxation.parameters(config.k):
            known = ", ".join(name for name, kind in RELAXATIONS.items() if config.k in kind.ks)
            raise UsageError(
                f"The relaxation {config.relaxation} has no nodes of {config.k} inputs.",
                hint=f"Choose another k, or a relaxation that has: {known}.",
            )
        self.relaxation.check(estimator, config.init)
        initial = self.relaxation.initial(
            config.width, config.k, config.residual, rng, init=config.init, temperature=temperature
        )
        source = wiring.candidates
        self.register_buffer("source", torch.from_numpy(source))
        self.functions = nn.Parameter(torch.from_numpy(initial))
        self.choice: nn.Parameter | None = None
        if source.shape[2] > 1:
            self.choice = nn.Parameter(torch.from_numpy(rng.standard_normal(source.shape, np.float32)))

    def _weights(self, hard: bool) -> Tensor | None:
        if self.choice is None:
            return None
        soft = self.choice.softmax(dim=2)
        if not hard:
            return soft
        exact = torch.zeros_like(soft).scatter_(2, soft.argmax(dim=2, keepdim=True), 1.0)
        return soft + (exact - soft).detach()

    def forward(
        self, x: Tensor, hard: bool, temperature: float = 1.0, rng: np.random.Generator | None = None
    ) -> Tensor:
        """Evaluate the relaxed or the hardened layer, float32 `[blocks, features, LANES]`.

        Either way gradients are those of the relaxed functions and of the softmax over candidates;
        a hard forward makes the loss see the network that will be built (CAGE, arXiv 2603.14157).
        With `rng` the functions carry noise, the same in the hard forward and its soft gradient.
        """
        kind = self.relaxation
        if self.training and math.isfinite(kind.bound):
            with torch.no_grad():
                self.functions.clamp_(-kind.bound, kind.bound)
        hard = hard or "soft" not in kind.estimators
        drawn = None if rng is None else kind.noise(tuple(self.functions.shape), rng)
        noise = None if drawn is None else torch.from_numpy(drawn)
        table = kind.soft(self.functions, temperature, noise)
        slope = kind.slope(table.detach())
        noisy_outputs = rng is not None and drawn is None
        exact = None
        if hard and not noisy_outputs:
            parameters = self.functions.detach() if noise is None else self.functions.detach() + noise
            exact = monomials(torch.from_numpy(kind.hard(parameters.numpy())).to(table.dtype))
        return fused(
            x,
            self.source,
            self._weights(hard),
            monomials(table),
            exact,
            slope=None if slope is None else monomials(slope),
            noise=self._output_noise(len(x), temperature, rng) if rng and noisy_outputs else None,
            logistic=kind.logistic,
            hard=hard,
        )

    def _output_noise(self, blocks: int, temperature: float, rng: np.random.Generator) -> Tensor:
        out = np.empty((blocks, len(self.source), cpu.LANES), np.float32)
        share(cpu.logistic_noise, blocks, rng.integers(1 << 64, dtype=np.uint64), 1 / temperature, out)
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
            sources = Sources(np.arange(layer.width, dtype=np.int32), wiring.position)
        self.layers = nn.ModuleList(layers)

    def forward(
        self, x: Tensor, *, hard: bool, temperature: float = 1.0, noise: tuple[int, ...] = ()
    ) -> Tensor:
        """Logits `[blocks * LANES, classes]` of input bits float32 `[blocks, bits, LANES]`.

        `noise` is the seed of the estimator's noise; empty for none.
        """
        for i, layer in enumerate(self.layers):
            x = layer(x, hard, temperature, np.random.default_rng([*noise, i + 1]) if noise else None)
        counts = x.view(x.shape[0], self.classes, -1, cpu.LANES).sum(2)
        return counts.transpose(1, 2).reshape(-1, self.classes) / self.config.tau

    def hardened(self) -> tuple[Layer, ...]:
        """Copy all layers with their wiring decided."""
        return tuple(cast(LutLayer, layer).hardened() for layer in self.layers)


def blocks(bits: Bool2, order: I64x1) -> Tensor:
    """Lay samples `order` of `bits` bool `[samples, bits]` out for a `Network`."""
    out = np.empty((-(-len(order) // cpu.LANES), bits.shape[1], cpu.LANES), np.float32)
    share(cpu.gather, len(out), bits, order, out)
    return torch.from_numpy(out)
