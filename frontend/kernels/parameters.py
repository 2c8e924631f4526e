"""Maps from parameters to tables and coefficients as differentiable operations of torch."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

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
        return _padded(tensor, room) if tensor.numel() else tensor.detach().numpy()

    out, kept = given.new_empty(room), given.new_empty(room if keep else 0)
    noisy = _NOTHING if noise is None else noise
    arrays = (k, flat(given), flat(noisy), float(scale), tuple(map(float, matrix)), squash, flat(gate), late)
    share(maps.rows, room // group, *arrays, out.numpy(), kept.numpy())
    return out[:size].view(shape), kept[:size].view(shape) if keep else kept


def _padded(tensor: Tensor, room: int) -> Any:
    """Elements in a row, zeros up to `room` after them: a vector may hold several nodes."""
    flat = tensor.detach().reshape(-1)
    if len(flat) == room:
        return flat.numpy()
    padded = flat.new_zeros(room)
    padded[: len(flat)] = flat
    return padded.numpy()


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


class _Softmax(torch.autograd.Function):
    """Softmax over the last axis."""

    @staticmethod
    def forward(ctx: FunctionCtx, z: Tensor) -> Tensor:
        groups, room = _groups(z)
        out = z.new_empty(room)
        share(maps.softmax(z.shape[-1])[0], groups, _padded(z, room), out.numpy())
        out = out[: z.numel()].view(z.shape)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors  # type: ignore[attr-defined]
        groups, room = _groups(out)
        grad = out.new_empty(room)
        given = (_padded(out, room), _padded(grads[0], room))
        share(maps.softmax(out.shape[-1])[1], groups, *given, grad.numpy())
        return cast(Tensor, grad[: out.numel()].view(out.shape))


def _groups(z: Tensor) -> tuple[int, int]:
    """How many whole vectors, or rows if these are longer, and elements with the padding."""
    size = max(WIDTH, z.shape[-1])
    groups = -(-z.numel() // size)
    return groups, groups * size


def softmax(z: Tensor) -> Tensor:
    """Softmax over the last axis of float32, to 3e-7; torch's takes ten times as long for short rows."""
    count = z.shape[-1]
    if z.device.type != "cpu" or not (count in {2, 4, 8} or (count and count % WIDTH == 0)):
        return z.softmax(-1)
    return cast(Tensor, _Softmax.apply(z))  # type: ignore[no-untyped-call]
