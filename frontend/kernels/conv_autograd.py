"""Convolutions by gate trees and OR pools as differentiable operations of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from .._typing import F32x3, I32x1, I32x2
from . import conv, cpu, trees
from .threads import share


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where trees read; see `lgc.frontend.kernels.conv`.

    Attributes:
        index: int32 `[elements]`, output of the layer before at each element, -1 for zeros around them;
            None if they are the elements.
        offset: int32 `[kernels, leaves]`.
        base: int32 `[outputs per kernel, members]`.
    """

    index: I32x1 | None
    offset: I32x2
    base: I32x2


@dataclass(frozen=True, eq=False)
class Nodes:
    """How nodes are evaluated besides `coef`, whose gradient is wanted.

    Attributes:
        exact: coefficients float32 `[kernels, nodes, 2**k]` of the forward pass; None for `coef`.
        slope: coefficients whose polynomials' slopes are the inputs' gradients; None for `coef`.
        logistic: `coef` gives logits, the output is their probability.
        hard: the output is whether logits are positive, unless `exact` gives it.
        noise: key and scale of logistic noise on the logits; None for none.
    """

    exact: Tensor | None = None
    slope: Tensor | None = None
    logistic: bool = False
    hard: bool = False
    noise: tuple[np.uint64, float] | None = None

    @property
    def squash(self) -> int:
        """What becomes of the polynomials in the forward pass."""
        if self.exact is not None or not self.logistic:
            return cpu.PLAIN
        return cpu.STEP if self.hard else cpu.LOGISTIC


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, coef: Tensor, at: Geometry, how: Nodes) -> Tensor:
        coef = coef.contiguous()
        ctx.save_for_backward(x, coef)
        ctx.given = (at, how)  # type: ignore[attr-defined]
        y = x.new_empty((len(x), len(at.offset) * len(at.base), cpu.LANES))
        exact = coef if how.exact is None else how.exact
        if _fast(coef, how):
            share(conv.forward, len(x), _elements(x, at), at.offset, at.base, exact.numpy(), y.numpy())
        else:
            share(
                trees.forward, len(x), _elements(x, at), at.offset, at.base, _inputs(coef), exact.numpy(),
                how.squash, *_noise(how), y.numpy(),
            )  # fmt: skip
        return y

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, coef = ctx.saved_tensors  # type: ignore[attr-defined]
        at, how = ctx.given  # type: ignore[attr-defined]
        need_x = ctx.needs_input_grad[0]  # type: ignore[attr-defined]
        blocks, (kernels, nodes, rows) = len(x), coef.shape
        elements = _elements(x, at)
        found = np.empty(elements.shape if need_x else (blocks, 0, cpu.LANES), np.float32)
        coef_grad = coef.new_empty((blocks, kernels * nodes, rows))
        exact = coef if how.exact is None else how.exact
        slope = coef if how.slope is None else how.slope
        where = (elements, at.offset, at.base)
        arrays = (grads[0].contiguous().numpy(), found, coef_grad.numpy())
        if _fast(coef, how):
            share(conv.backward, blocks, *where, exact.numpy(), slope.numpy(), *arrays)
        else:
            share(
                trees.backward, blocks, *where, _inputs(coef), exact.numpy(), slope.numpy(), how.squash,
                how.logistic, *_noise(how), *arrays,
            )  # fmt: skip
        x_grad = None
        if need_x and at.index is None:
            x_grad = torch.from_numpy(found)
        elif need_x:
            x_grad = torch.empty_like(x)
            share(conv.collect, blocks, found, at.index, x_grad.numpy())
        return x_grad, coef_grad.sum(0).view(coef.shape), None, None


def _inputs(coef: Tensor) -> int:
    return int(coef.shape[2]).bit_length() - 1


def _fast(coef: Tensor, how: Nodes) -> bool:
    return coef.shape[2] == 4 and not how.logistic


def _noise(how: Nodes) -> tuple[np.uint64, float]:
    return how.noise or (np.uint64(0), 0.0)


def _elements(x: Tensor, at: Geometry) -> F32x3:
    """Lay `x` out with its border."""
    if at.index is None:
        return x.numpy()
    out = np.empty((len(x), len(at.index), cpu.LANES), np.float32)
    share(conv.lay, len(x), x.numpy(), at.index, out)
    return out


def convolve(x: Tensor, coef: Tensor, at: Geometry, how: Nodes) -> Tensor:
    """Evaluate trees on `x` float32 `[blocks, features, LANES]`; differentiable in `x` and `coef`.

    Returns:
        float32 `[blocks, kernels * outputs per kernel, LANES]`.
    """
    return cast(Tensor, _Convolve.apply(x, coef, at, how))  # type: ignore[no-untyped-call]


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, member: I32x2) -> Tensor:
        y = x.new_empty((len(x), len(member), cpu.LANES))
        share(conv.pool, len(x), x.numpy(), member, y.numpy())
        ctx.save_for_backward(x, y)
        ctx.member = member  # type: ignore[attr-defined]
        return y

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors  # type: ignore[attr-defined]
        x_grad, y_grad = torch.empty_like(x), grads[0].contiguous()
        given = (x, y, y_grad, x_grad)
        x_, y_, y_grad_, x_grad_ = (tensor.numpy() for tensor in given)
        share(conv.pool_backward, len(x), x_, ctx.member, y_, y_grad_, x_grad_)  # type: ignore[attr-defined]
        return x_grad, None


def pool(x: Tensor, member: I32x2) -> Tensor:
    """Maxima of `x` float32 `[blocks, features, LANES]`.

    Args:
        x: activations.
        member: int32 `[outputs, members]`, the features each output is the maximum of, -1 for none.
    """
    return cast(Tensor, _Pool.apply(x, member))  # type: ignore[no-untyped-call]
