"""Learned thermometers: thresholds as parameters, comparisons as sigmoids while training."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from lgc.ir.encoder import Thermometer

from ._typing import Array, F32x1, F32x3, F64x1, I32x2
from .config import EncoderConfig
from .kernels import cpu
from .kernels.threads import share

_LEAST = 1e-3
"""Smallest distance of two thresholds at the start, in units of the spacing's temperature."""


class LearnedThermometer(nn.Module):
    """Thermometer whose thresholds are trained (WARP Logic Networks, arXiv 2602.03527).

    A feature's range in the training data is 0 to 1. Thresholds are kept ascending: the first is a
    parameter, each later one lies `T softplus(d / T)` above the one before, T being `encoder.spacing`.
    In training a bit is `sigmoid((x - t) / T')`, T' being `encoder.softness`; a hard forward takes
    `x > t` and the sigmoid's gradient. The hardware compares codes, and `code > t` is
    `code >= floor(t) + 1`, so what is built equals the hard forward exactly.

    Attributes:
        thresholds: first threshold, then the raw differences d, float32 `[rows, levels]`; one row per
            feature, or a single one for all (`encoder.scope = "global"`).
    """

    low: Tensor
    span: Tensor

    def __init__(self, config: EncoderConfig, start: Thermometer, x: Array) -> None:
        """Start from the fitted thermometer `start`, for training samples `x` `[samples, ...]`."""
        super().__init__()
        self.config = config
        self.start = start
        codes = start.codes(np.stack([x.min(axis=0), x.max(axis=0)])).astype(np.float64)
        low, high = codes[0], codes[1]
        if config.scope == "global":
            low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
        self.register_buffer("low", torch.from_numpy(low), persistent=False)
        self.register_buffer("span", torch.from_numpy(np.maximum(high - low, 1.0)), persistent=False)
        rows = slice(0, 1) if config.scope == "global" else slice(None)
        # halfway below the threshold: floor(t) + 1 gives it back
        first = (start.threshold[rows] - 0.5 - low[rows, None]) / self.span.numpy()[rows, None]
        steps = np.maximum(np.diff(first, axis=1) / config.spacing, _LEAST)
        raw = np.where(steps > 30, steps, np.log(np.expm1(np.minimum(steps, 30)))) * config.spacing
        initial = np.concatenate([first[:, :1], raw], axis=1).astype(np.float32)
        self.thresholds = nn.Parameter(torch.from_numpy(initial))

    def positions(self) -> Tensor:
        """Thresholds within the features' range, ascending, float32 `[rows, levels]`."""
        temperature = self.config.spacing
        steps = temperature * nn.functional.softplus(self.thresholds[:, 1:] / temperature)
        return torch.cat([self.thresholds[:, :1], steps], dim=1).cumsum(1)

    def encoder(self) -> Thermometer:
        """Return the thermometer that the hardware compares with."""
        form = self.start.format
        with torch.no_grad():
            place = self.positions().numpy().astype(np.float64)
        codes = np.floor(place * self.span.numpy()[:, None] + self.low.numpy()[:, None]) + 1
        threshold = np.clip(codes, form.low, form.high).astype(np.int32)
        return Thermometer(threshold, form)

    def forward(self, codes: I32x2, hard: bool) -> Tensor:
        """Bits float32 `[blocks, features * levels, LANES]` of codes int32 `[samples, features]`.

        Lanes beyond the last sample repeat it.
        """
        place = self.positions().expand(len(self.span), -1)
        exact = self.encoder().threshold if hard else np.empty((0, 0), np.int32)
        bits: Tensor = _Compare.apply(  # type: ignore[no-untyped-call]
            place, codes, self.low.numpy(), self.span.numpy(), exact, self.config.softness
        )
        return bits


class _Compare(torch.autograd.Function):
    """Comparisons with a gradient for the thresholds."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, place: Tensor, codes: I32x2, low: F64x1, span: F64x1, exact: I32x2, softness: float
    ) -> Tensor:
        blocks = -(-len(codes) // cpu.LANES)
        soft = np.empty((blocks, place.numel(), cpu.LANES), np.float32)
        scaled = ((codes - low) / span).astype(np.float32)
        share(_sigmoids, blocks, scaled, place.detach().contiguous().numpy(), np.float32(1 / softness), soft)
        ctx.save_for_backward(torch.from_numpy(soft))
        ctx.shape, ctx.softness, ctx.samples = place.shape, softness, len(codes)  # type: ignore[attr-defined]
        if not exact.size:
            return torch.from_numpy(soft.copy())
        bits = np.empty_like(soft)
        share(_steps, blocks, codes, exact, bits)
        return torch.from_numpy(bits)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (soft,) = ctx.saved_tensors  # type: ignore[attr-defined]
        grad = np.empty(soft.shape[:2], np.float32)
        share(_slopes, len(soft), soft.numpy(), grads[0].contiguous().numpy(), grad)
        total = torch.from_numpy(grad.sum(axis=0)).view(ctx.shape)  # type: ignore[attr-defined]
        return total / -ctx.softness, None, None, None, None, None  # type: ignore[attr-defined]


@njit(cache=True, nogil=True)
def _sigmoids(x: Array, place: Array, sharpness: float, out: F32x3, first: int, stop: int) -> None:
    """`sigmoid(sharpness (x - t))` of samples `x` `[samples, features]` in blocks `first .. stop - 1`."""
    features, levels = place.shape
    row = np.empty(cpu.LANES, np.float32)
    for b in range(first, stop):
        for f in range(features):
            for lane in range(cpu.LANES):
                row[lane] = x[min(b * cpu.LANES + lane, len(x) - 1), f]
            for i in range(levels):
                for lane in range(cpu.LANES):
                    out[b, f * levels + i, lane] = 1 / (1 + np.exp(-sharpness * (row[lane] - place[f, i])))


@njit(cache=True, nogil=True)
def _steps(codes: I32x2, threshold: I32x2, out: F32x3, first: int, stop: int) -> None:
    """`code >= threshold`, likewise."""
    features, levels = threshold.shape
    for b in range(first, stop):
        for f in range(features):
            for lane in range(cpu.LANES):
                code = codes[min(b * cpu.LANES + lane, len(codes) - 1), f]
                for i in range(levels):
                    out[b, f * levels + i, lane] = code >= threshold[f, i]


@njit(cache=True, nogil=True)
def _slopes(y: F32x3, grad: F32x3, out: F32x1, first: int, stop: int) -> None:
    """Sum `grad y (1 - y)` over the lanes of each bit."""
    for b in range(first, stop):
        for i in range(y.shape[1]):
            total = np.float32(0)
            for lane in range(y.shape[2]):
                total += grad[b, i, lane] * y[b, i, lane] * (1 - y[b, i, lane])
            out[b, i] = total
