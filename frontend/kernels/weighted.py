"""Weighted sums of each class's outputs, forward and backward; layout and sharing are those of `cpu`."""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np
from numba import njit

from .._typing import F32x2, F32x3
from .cpu import LANES

_FAST = {"reassoc", "contract", "nsz"}


@njit(cache=True, nogil=True, fastmath=_FAST)
def forward(x: F32x3, weight: F32x2, y: F32x3, first: int, stop: int) -> None:
    """Set blocks `first .. stop - 1` of `y` `[blocks, classes, LANES]` to `sum_i weight[c, i] x[c, i]`.

    `x` is `[blocks, classes * outputs, LANES]`, `weight` `[classes, outputs]`.
    """
    classes, outputs = weight.shape
    for block in range(first, stop):
        for c in range(classes):
            for lane in range(LANES):
                y[block, c, lane] = 0
            for i in range(outputs):
                w = weight[c, i]
                for lane in range(LANES):
                    y[block, c, lane] += w * x[block, c * outputs + i, lane]


@njit(cache=True, nogil=True, fastmath=_FAST)
def backward(
    x: F32x3, weight: F32x2, y_grad: F32x3, x_grad: F32x3, weight_grad: F32x3, first: int, stop: int
) -> None:
    """Set the gradients of blocks `first .. stop - 1`; `weight_grad` is `[blocks, classes, outputs]`."""
    classes, outputs = weight.shape
    for block in range(first, stop):
        for c in range(classes):
            for i in range(outputs):
                w, row = weight[c, i], c * outputs + i
                total = np.float32(0)
                for lane in range(LANES):
                    x_grad[block, row, lane] = w * y_grad[block, c, lane]
                    total += x[block, row, lane] * y_grad[block, c, lane]
                weight_grad[block, c, i] = total
