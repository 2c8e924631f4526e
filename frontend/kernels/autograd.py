"""The kernels as differentiable operations of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from .._typing import Array
from . import cpu, fixed
from .threads import share


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
