"""Maps from parameters to tables and coefficients as differentiable operations of torch."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from .._typing import F32x2
from . import maps
from .maps import IDENTITY, Matrix
from .simd import WIDTH
from .threads import share

_NOTHING = torch.empty(0)


def _rows(
    given: Tensor,
    matrix: Matrix,
    *,
    noise: Tensor | None = None,
    scale: float = 1.0,
    squash: int = 0,
    gate: Tensor = _NOTHING,
    late: bool = False,
    keep: bool = False,
) -> tuple[Tensor, Tensor]:
    """Apply `maps.rows` to float32 `[nodes, 2**k]`; returns the outputs and, with `keep`, the sigmoids."""
    shape, size = given.shape, given.numel()
    k = shape[1].bit_length() - 1
    group = max(WIDTH, 1 << k)
    room = -(-size // group) * group

    def flat(tensor: Tensor) -> Any:
        if tensor.numel() == room or not tensor.numel():
            return tensor.detach().reshape(-1).numpy()
        padded = tensor.new_zeros(room)  # a vector may hold several nodes
        padded[:size] = tensor.detach().reshape(-1)
        return padded.numpy()

    out, kept = given.new_empty(room), given.new_empty(room if keep else 0)
    noisy = _NOTHING if noise is None else noise
    arrays = (flat(given), flat(noisy), float(scale), tuple(map(float, matrix)), squash, flat(gate), late)
    share(maps.rows(k), room // group, *arrays, out.numpy(), kept.numpy())
    return out[:size].view(shape), kept[:size].view(shape) if keep else kept


class _Transform(torch.autograd.Function):
    """`[nodes, 2**k]` times a Kronecker power, sigmoids before or after."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, given: Tensor, noise: Tensor | None, matrix: Matrix, scale: float, squash: int
    ) -> Tensor:
        out, kept = _rows(given, matrix, noise=noise, scale=scale, squash=squash, keep=squash == 1)
        ctx.save_for_backward(kept if squash == 1 else out if squash == 2 else _NOTHING)
        ctx.settings = matrix, scale, squash  # type: ignore[attr-defined]
        return out

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (gate,) = ctx.saved_tensors  # type: ignore[attr-defined]
        matrix, scale, squash = ctx.settings  # type: ignore[attr-defined]
        back = maps.transposed(matrix)
        grad, _ = _rows(grads[0].contiguous(), back, scale=scale, gate=gate, late=squash == 1)
        return grad, None, None, None, None


def transform(
    given: Tensor,
    matrix: Matrix = IDENTITY,
    *,
    noise: Tensor | None = None,
    scale: float = 1.0,
    squash: int = 0,
) -> Tensor:
    """Map float32 `[nodes, 2**k]`: `scale` (given + noise) times the k-th Kronecker power of `matrix`.

    The factor of the lowest pin varies fastest. `squash` 1 takes the sigmoid before the product, 2 after.
    """
    found = _Transform.apply(given, noise, matrix, scale, squash)  # type: ignore[no-untyped-call]
    return cast(Tensor, found)


class _Mixture(torch.autograd.Function):
    """Softmax over sixteen, times a basis."""

    @staticmethod
    def forward(ctx: FunctionCtx, z: Tensor, noise: Tensor | None, basis: F32x2, scale: float) -> Tensor:
        nodes = len(z)
        weight, out = torch.empty_like(z, memory_format=torch.contiguous_format), z.new_empty((nodes, 4))
        noisy = _NOTHING if noise is None else noise.contiguous()
        arrays = (z.contiguous().view(-1).numpy(), noisy.view(-1).numpy(), float(scale), basis)
        share(maps.mixture, -(-nodes // 4), *arrays, weight.view(-1).numpy(), out.view(-1).numpy())
        ctx.save_for_backward(weight, out)
        ctx.settings = basis, scale  # type: ignore[attr-defined]
        return out

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, out = ctx.saved_tensors  # type: ignore[attr-defined]
        basis, scale = ctx.settings  # type: ignore[attr-defined]
        grad = torch.empty_like(weight)
        arrays = [each.view(-1).numpy() for each in (grads[0].contiguous(), out, weight)]
        share(maps.mixture_gradient, len(weight), *arrays, float(scale), basis, grad.view(-1).numpy())
        return grad, None, None, None


def mixture(z: Tensor, basis: F32x2, *, noise: Tensor | None = None, scale: float = 1.0) -> Tensor:
    """softmax(`scale` (z + noise)) of float32 `[nodes, 16]` times `basis` float32 `[4, 16]`, `[nodes, 4]`."""
    assert basis.dtype == np.float32
    found = _Mixture.apply(z, noise, basis, scale)  # type: ignore[no-untyped-call]
    return cast(Tensor, found)
