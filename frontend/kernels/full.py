"""Pins that read every source: softmax over all of them, as a dense matrix product.

Rows are pins. The softmax of a chunk of rows and its gradient are made next to the product that uses
them, while the chunk is in cache: neither ever lies in memory as a whole. The product is torch's, in
bfloat16 with sums in float32 where the processor has it; logits and their gradients are float32.

Chunks have a fixed size and are shared among cores, so results do not depend on the number of threads.
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch import Tensor

from .._typing import F32x1, F32x2, F32x3, I32x1, U16x2
from .cpu import LANES
from .threads import share

_CHUNK = 1000
"""Rows per chunk: with 784 sources in bfloat16, 1.5 MiB."""
_FAST = {"reassoc", "contract", "nsz"}  # sums may be vectorised; NaN stays NaN
SOFTMAX, MAPPING = 0, 1
"""Gradients of the logits: those of a softmax (whatever the forward pass read), or DWN's."""


def native() -> torch.dtype:
    """Element type of the products: bfloat16 if the processor multiplies it, else float32."""
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


@njit(cache=True, nogil=True, fastmath=_FAST | {"nnan"})
def _peak(row: F32x1) -> float:
    """Largest of a row; anything if there is NaN, which the exponentials then pass on."""
    peak: float = row[0]
    for j in range(1, len(row)):
        peak = max(peak, row[j])
    return peak


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _softmax(row: F32x1, sharpness: float, out: F32x1, scratch: I32x1) -> None:
    """Fill `out` with `softmax(sharpness * row)`, to 3e-7, in arithmetic that vectorises."""
    power = scratch.view(np.float32)
    peak = _peak(row)
    scale = np.float32(sharpness * 1.4426950408889634)
    for j in range(len(row)):
        t = max((row[j] - peak) * scale, np.float32(-126))
        n = np.floor(t + np.float32(0.5))
        scratch[j] = (np.int32(n) + 127) << 23
        out[j] = t - n
    total = np.float32(0)
    for j in range(len(row)):
        f = out[j]
        e = np.float32(0.00015403530) * f + np.float32(0.0013333558)
        e = e * f + np.float32(0.0096181291)
        e = e * f + np.float32(0.055504109)
        e = e * f + np.float32(0.24022651)
        e = e * f + np.float32(0.69314718)
        e = (e * f + np.float32(1)) * power[j]
        # a NaN logit: max() above may hide it
        out[j] = e if row[j] == row[j] else row[j]
        total += out[j]
    share_ = np.float32(1) / total
    for j in range(len(row)):
        out[j] *= share_


@njit(cache=True, nogil=True, fastmath=_FAST)
def _store(row: F32x1, wide: F32x1, half: U16x2, i: int) -> None:
    """Put a row into `wide`, or into row i of `half` as bfloat16, rounded to nearest even."""
    if half.shape[0]:
        bits = row.view(np.uint32)
        for j in range(len(row)):
            b = bits[j]
            half[i, j] = np.uint16((b + np.uint32(0x7FFF) + ((b >> np.uint32(16)) & np.uint32(1))) >> 16)
    else:
        for j in range(len(row)):
            wide[j] = row[j]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _load(wide: F32x2, half: U16x2, i: int, row: I32x1) -> F32x1:
    """Row i as float32, in `row`'s memory if it comes from `half`."""
    if half.shape[0]:
        for j in range(half.shape[1]):
            row[j] = np.int32(half[i, j]) << 16
        same: F32x1 = row[: half.shape[1]].view(np.float32)
        return same
    found: F32x1 = wide[i]
    return found


@njit(cache=True, nogil=True)
def weigh(choice: F32x2, sharpness: float, wide: F32x2, half: U16x2) -> None:
    """Softmax of rows of logits `[rows, n]` into `wide`, or into `half` as bfloat16."""
    rows, n = choice.shape
    out = np.empty(n, np.float32)
    scratch = np.empty(n, np.int32)
    for i in range(rows):
        _softmax(choice[i], sharpness, out, scratch)
        _store(out, wide[min(i, wide.shape[0] - 1)], half, i)


@njit(cache=True, nogil=True, fastmath=_FAST)
def unweigh(choice: F32x2, mode: int, sums: F32x1, wide: F32x2, half: U16x2, out: F32x2) -> None:
    """Gradient of logits `[rows, n]` from that of their weights, `wide` or `half`; fills `out`.

    `sums` holds each row's summed pin gradient, of which DWN's mapping needs the negative.
    """
    rows, n = choice.shape
    soft = np.empty(n, np.float32)
    scratch = np.empty(n, np.int32)
    for i in range(rows):
        if mode == MAPPING:
            grad = _load(wide, half, i, scratch)
            for j in range(n):
                out[i, j] = 2 * grad[j] - sums[i]
        else:
            _softmax(choice[i], 1.0, soft, scratch)
            grad = _load(wide, half, i, scratch)
            mean = np.float32(0)
            for j in range(n):
                mean += soft[j] * grad[j]
            for j in range(n):
                out[i, j] = soft[j] * (grad[j] - mean)


@njit(cache=True, nogil=True)
def heaviest(choice: F32x2, best: I32x1, first: int, stop: int) -> None:
    """Index of the largest logit of rows `first .. stop - 1`; the lowest of equals."""
    n = choice.shape[1]
    for i in range(first, stop):
        peak = _peak(choice[i])
        best[i] = 0
        for j in range(n):
            if choice[i, j] == peak:
                best[i] = j
                break


@njit(cache=True, nogil=True)
def read(x: F32x3, source: I32x1, pins: F32x3, first: int, stop: int) -> None:
    """Copy rows `source` of blocks `first .. stop - 1` of `x` to `pins`."""
    for b in range(first, stop):
        for i in range(len(source)):
            for lane in range(LANES):
                pins[b, i, lane] = x[b, source[i], lane]


@njit(cache=True, nogil=True)
def scatter(pin_grad: F32x3, source: I32x1, x_grad: F32x3, first: int, stop: int) -> None:
    """Add the pins' gradients to the rows they were read from, blocks `first .. stop - 1`."""
    for b in range(first, stop):
        for i in range(len(source)):
            for lane in range(LANES):
                x_grad[b, source[i], lane] += pin_grad[b, i, lane]


@njit(cache=True, nogil=True)
def flatten(x: F32x3, source: I32x1, sums: F32x1, wide: F32x2, half: U16x2) -> None:
    """Rows `source` of `x` `[blocks, features, LANES]` as `[rows, blocks * LANES]`, and their sums."""
    row = np.empty(x.shape[0] * LANES, np.float32)
    for i in range(len(source)):
        total = np.float32(0)
        for b in range(x.shape[0]):
            for lane in range(LANES):
                value = x[b, source[i], lane]
                row[b * LANES + lane] = value
                total += value
        sums[i] = total
        _store(row, wide[min(i, wide.shape[0] - 1)], half, i)


@njit(cache=True, nogil=True)
def spread(wide: F32x2, half: U16x2, start: int, pins: F32x3) -> None:
    """Undo `flatten`: rows `[rows, blocks * LANES]` into rows `start ..` of `pins`."""
    rows = max(wide.shape[0], half.shape[0])
    scratch = np.empty(pins.shape[0] * LANES, np.int32)
    for i in range(rows):
        row = _load(wide, half, i, scratch)
        for b in range(pins.shape[0]):
            for lane in range(LANES):
                pins[b, start + i, lane] = row[b * LANES + lane]


_NO_WIDE = np.empty((0, 0), np.float32)
_NO_HALF = np.empty((0, 0), np.uint16)


def _views(matrix: Tensor) -> tuple[F32x2, U16x2]:
    """Split a matrix into what the kernels take: `(wide, half)`, one of them empty."""
    if matrix.dtype == torch.float32:
        return matrix.numpy(), _NO_HALF
    # `wide` keeps one row, so that it can be indexed
    return np.empty((1, 0), np.float32), matrix.view(torch.int16).numpy().view(np.uint16)


@dataclass(frozen=True, eq=False)
class Product:
    """A batch `[n, samples]`, ready to be multiplied by chunks of weights.

    Attributes:
        x: the sources' values, float32 or bfloat16 `[n, samples]`.
        blocks: of the batch.
    """

    x: Tensor
    blocks: int

    @classmethod
    def of(cls, x: F32x3, index: I32x1, dtype: torch.dtype) -> Product:
        """Take rows `index` of activations `[blocks, features, LANES]`."""
        flat = torch.empty((len(index), len(x) * LANES), dtype=dtype)
        flatten(x, index, np.empty(len(index), np.float32), *_views(flat))
        return cls(flat, len(x))

    def pins(self, choice: F32x2) -> F32x3:
        """Softmax-weighted sums float32 `[blocks, rows, LANES]` for logits `[rows, n]`."""
        out = np.empty((self.blocks, len(choice), LANES), np.float32)
        share(self._pins, _chunks(choice), choice, out)
        return out

    def _pins(self, choice: F32x2, out: F32x3, first: int, stop: int) -> None:
        torch.set_num_threads(1)  # of this thread: each core has its own chunks
        for rows in _ranges(choice, first, stop):
            weight = torch.empty((len(rows), self.x.shape[0]), dtype=self.x.dtype)
            weigh(choice[rows.start : rows.stop], 1.0, *_views(weight))
            spread(*_views(weight @ self.x), rows.start, out)

    def logits(self, choice: F32x2, pin_grad: F32x3, mode: int) -> F32x2:
        """Gradient of the logits float32 `[rows, n]` from the pins' `[blocks, rows, LANES]`."""
        out = np.empty(choice.shape, np.float32)
        share(self._logits, _chunks(choice), choice, pin_grad, mode, out)
        return out

    def _logits(self, choice: F32x2, pin_grad: F32x3, mode: int, out: F32x2, first: int, stop: int) -> None:
        torch.set_num_threads(1)
        for rows in _ranges(choice, first, stop):
            grad, sums = self._flat(pin_grad, rows)
            given = _views(grad @ self.x.T)
            unweigh(choice[rows.start : rows.stop], mode, sums, *given, out[rows.start : rows.stop])

    def sources(self, choice: F32x2, pin_grad: F32x3, sharpness: float) -> Tensor:
        """Gradient of the sources float32 `[n, samples]` through softmax weights."""
        parts = torch.empty((_chunks(choice), *self.x.shape), dtype=torch.float32)
        share(self._sources, len(parts), choice, pin_grad, sharpness, parts)
        return parts.sum(0)

    def _sources(
        self, choice: F32x2, pin_grad: F32x3, sharpness: float, parts: Tensor, first: int, stop: int
    ) -> None:
        torch.set_num_threads(1)
        for part, rows in enumerate(_ranges(choice, first, stop), first):
            weight = torch.empty((len(rows), self.x.shape[0]), dtype=self.x.dtype)
            weigh(choice[rows.start : rows.stop], sharpness, *_views(weight))
            parts[part] = weight.T @ self._flat(pin_grad, rows)[0]

    def _flat(self, pin_grad: F32x3, rows: range) -> tuple[Tensor, F32x1]:
        grad = torch.empty((len(rows), self.x.shape[1]), dtype=self.x.dtype)
        sums = np.empty(len(rows), np.float32)
        flatten(pin_grad, np.arange(rows.start, rows.stop, dtype=np.int32), sums, *_views(grad))
        return grad, sums


def _chunks(choice: F32x2) -> int:
    return -(-len(choice) // _CHUNK)


def _ranges(choice: F32x2, first: int, stop: int) -> list[range]:
    """Rows of chunks `first .. stop - 1`."""
    return [range(c * _CHUNK, min((c + 1) * _CHUNK, len(choice))) for c in range(first, stop)]
