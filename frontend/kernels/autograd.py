"""The kernels as differentiable operations of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from .. import devices
from .._typing import Array
from . import fixed, mixed
from .maps import MOEBIUS
from .parameters import transform
from .simd import LANES, LOGISTIC, PLAIN, STEP
from .threads import share


class _Fused(torch.autograd.Function):
    """`fixed` or `mixed` as one differentiable operation."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, source: Tensor, weight: Tensor | None, coef: Tensor, settings: _Settings
    ) -> Tensor:
        x, coef = x.contiguous(), coef.contiguous()
        exact = coef if settings.exact is None else settings.exact.contiguous()
        slope = coef if settings.slope is None else settings.slope.contiguous()
        blocks, nodes, k = len(x), source.shape[0], source.shape[1]
        nothing = x.new_empty((blocks, 0, LANES))
        noise = nothing if settings.noise is None else settings.noise
        kept = weight is None and settings.squash == LOGISTIC  # backward needs the probabilities
        y = x.new_empty((blocks, nodes, LANES)) if kept or not settings.groups else nothing
        if weight is None:
            counts = x.new_empty((blocks, settings.groups, LANES)) if settings.groups else nothing
            given = _arrays(x, source.view(nodes, k), exact, noise)
            share(fixed.kernels(k)[0], blocks, *given, settings.squash, *_arrays(y, counts))
        else:
            weight = weight.contiguous()
            given = _arrays(x, source, weight, exact, noise)
            share(mixed.kernels(k)[0], blocks, *given, settings.squash, y.numpy())
        ctx.save_for_backward(
            x, source, nothing if weight is None else weight, slope, noise, y if kept else nothing
        )
        ctx.alone = weight is None  # type: ignore[attr-defined]
        ctx.squash = LOGISTIC if settings.logistic else PLAIN  # type: ignore[attr-defined]
        return counts if settings.groups else y

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, source, weight, slope, noise, y = ctx.saved_tensors  # type: ignore[attr-defined]
        alone = ctx.alone  # type: ignore[attr-defined]
        need_x, _, need_weight, need_coef, _ = ctx.needs_input_grad  # type: ignore[attr-defined]
        squash = ctx.squash  # type: ignore[attr-defined]
        blocks, nodes, k = len(x), source.shape[0], source.shape[1]
        y_grad = grads[0].contiguous()
        x_grad = torch.empty_like(x) if need_x else x.new_empty((blocks, 0, LANES))
        coef_grad = slope.new_empty((blocks, *slope.shape))
        weight_grad = None
        if alone:
            given = _arrays(x, source.view(nodes, k), slope, noise)
            found = _arrays(y, y_grad, x_grad, coef_grad)
            share(fixed.kernels(k)[1], blocks, *given, squash, *found)
        else:
            weight_grad = weight.new_empty((blocks, *weight.shape) if need_weight else (blocks, 0, 1, 1))
            given = _arrays(x, source, weight, slope, noise)
            found = _arrays(y_grad, x_grad, weight_grad, coef_grad)
            share(mixed.kernels(k)[1], blocks, *given, squash, *found)
        return (
            x_grad if need_x else None,
            None,
            _over_blocks(weight_grad) if weight_grad is not None and need_weight else None,
            _over_blocks(coef_grad) if need_coef else None,
            None,
        )


def _over_blocks(grad: Tensor) -> Tensor:
    """Sum of blocks' gradients; torch's sum over a first axis takes several times as long for two."""
    return grad[0] + grad[1] if len(grad) == 2 else grad.sum(0)


def _arrays(*tensors: Tensor) -> tuple[Array, ...]:
    return tuple([tensor.numpy() for tensor in tensors])  # a generator takes twice as long


@dataclass(frozen=True, eq=False)
class _Settings:
    """What `fused` was asked for besides its differentiable arguments; see there."""

    exact: Tensor | None
    slope: Tensor | None
    noise: Tensor | None
    logistic: bool
    hard: bool
    groups: int

    @property
    def squash(self) -> int:
        """What becomes of the polynomials in the forward pass."""
        if self.exact is not None or not self.logistic:
            return PLAIN
        return STEP if self.hard else LOGISTIC


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
    groups: int = 0,
) -> Tensor:
    """Evaluate a layer on `x` float32 `[blocks, features, LANES]`; see `lgc.frontend.kernels.cpu`.

    `weight` None is fixed wiring: one candidate per pin, read as it is. With `exact` the output is that
    of these coefficients, the gradient that of `coef`. With `slope` the gradients of `x` and `weight`
    are those of these coefficients. With `logistic` the polynomials, plus `noise` float32
    `[blocks, nodes, LANES]`, are logits, and the output is their probability, or with `hard` whether
    they are positive. With `groups`, which needs fixed wiring, the sums over as many equal, contiguous
    groups of nodes are returned, `[blocks, groups, LANES]`: the nodes' gradients are never spelt out.
    """
    assert weight is None or not groups
    if devices.on_gpu(x):
        from . import gpu

        return gpu.fused(
            x,
            source,
            weight,
            coef,
            exact,
            slope=slope,
            noise=noise,
            logistic=logistic,
            hard=hard,
            groups=groups,
        )
    settings = _Settings(exact, slope, noise, logistic, hard, groups)
    return cast(Tensor, _Fused.apply(x, source, weight, coef, settings))  # type: ignore[no-untyped-call]


def monomials(table: Tensor) -> Tensor:
    """Coefficients `[nodes, 2**k]` of the polynomials through truth tables `[nodes, 2**k]` (Moebius)."""
    if devices.on_gpu(table):
        from . import gpu

        return gpu.monomials(table)
    return transform(table, MOEBIUS)
