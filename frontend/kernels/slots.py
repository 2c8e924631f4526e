"""Nodes that mix sixteen gates on sixteen pairs of sources, forward and backward in one pass each.

Layout and sharing are those of `lgc.frontend.kernels.cpu`. A slot evaluates the polynomial
`c0 + c1 a + c2 b + c3 a b` of its pair; a node is the slots' weighted sum.
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np
from numba import njit

from .._typing import F32x1, F32x2, F32x3, I32x1, I32x2, I32x3
from .cpu import LANES

_FAST = {"reassoc", "contract", "nsz"}
KEEP, REFILL, RESTART = 0, 1, 2
"""What becomes of a node's slots: nothing, all but the winner drawn anew, all drawn anew."""


@njit(cache=True, nogil=True, fastmath=_FAST)
def forward(
    x: F32x3,
    source: I32x3,
    op: I32x2,
    gates: F32x2,
    weight: F32x2,
    y: F32x3,
    first: int,
    stop: int,
) -> None:
    """Fill blocks `first .. stop - 1` of `y` `[blocks, nodes, LANES]` from `x` `[blocks, features, LANES]`.

    `source` is `[nodes, 2, slots]`, `op` `[nodes, slots]` indexes the polynomials `gates` `[gates, 4]`,
    `weight` is `[nodes, slots]`; slots of weight 0 are skipped.
    """
    nodes, slots = op.shape
    for block in range(first, stop):
        for i in range(nodes):
            for lane in range(LANES):
                y[block, i, lane] = 0
            for g in range(slots):
                w = weight[i, g]
                if w == 0:
                    continue
                c = gates[op[i, g]]
                c0, c1, c2, c3 = w * c[0], w * c[1], w * c[2], w * c[3]
                s, t = source[i, 0, g], source[i, 1, g]
                for lane in range(LANES):
                    a, b = x[block, s, lane], x[block, t, lane]
                    y[block, i, lane] += c0 + c1 * a + c2 * b + c3 * a * b


@njit(cache=True, nogil=True, fastmath=_FAST)
def backward(
    x: F32x3,
    source: I32x3,
    op: I32x2,
    gates: F32x2,
    weight: F32x2,
    y_grad: F32x3,
    x_grad: F32x3,
    weight_grad: F32x3,
    first: int,
    stop: int,
) -> None:
    """Add the gradients of blocks `first .. stop - 1` to `x_grad`, and fill those of the weights.

    `x_grad` is like `x`, or has no features if nobody needs it; `weight_grad` `[blocks, nodes, slots]`.
    """
    nodes, slots = op.shape
    for block in range(first, stop):
        for i in range(nodes):
            for g in range(slots):
                w = weight[i, g]
                c = gates[op[i, g]]
                c0, c1, c2, c3 = c[0], c[1], c[2], c[3]
                s, t = source[i, 0, g], source[i, 1, g]
                total = np.float32(0)
                for lane in range(LANES):
                    a, b = x[block, s, lane], x[block, t, lane]
                    total += y_grad[block, i, lane] * (c0 + c1 * a + c2 * b + c3 * a * b)
                weight_grad[block, i, g] = total
                if x_grad.shape[1] and w != 0:
                    d1, d2, d3 = w * c1, w * c2, w * c3
                    for lane in range(LANES):
                        x_grad[block, s, lane] += y_grad[block, i, lane] * (d1 + d3 * x[block, t, lane])
                    for lane in range(LANES):
                        x_grad[block, t, lane] += y_grad[block, i, lane] * (d2 + d3 * x[block, s, lane])


@njit(cache=True, nogil=True)
def settle(
    logits: F32x2,
    mean: F32x1,
    rest: I32x1,
    patience: int,
    certain: float,
    unsure: float,
    action: I32x1,
    first: int,
    stop: int,
) -> None:
    """Watch the entropy of nodes `first .. stop - 1` and decide what becomes of their slots.

    `mean` is the entropy's moving average (negative before the first step), `rest` for how many steps
    the entropy has been near it. Both are updated; a node that is acted on starts anew.
    """
    slots = logits.shape[1]
    for i in range(first, stop):
        peak = logits[i].max()
        total, moment = 0.0, 0.0
        for g in range(slots):
            e = np.exp(logits[i, g] - peak)
            total += e
            moment += e * (logits[i, g] - peak)
        entropy = (np.log(total) - moment / total) / np.log(slots)
        mean[i] = entropy if mean[i] < 0 else 0.99 * mean[i] + 0.01 * entropy
        rest[i] = rest[i] + 1 if abs(entropy - mean[i]) < 5e-4 else 0
        action[i] = KEEP
        if rest[i] >= patience:
            rest[i] = 0
            if 1 / total > certain:
                action[i] = REFILL
            elif 1 / total < unsure:
                action[i] = RESTART
            if action[i] != KEEP:
                mean[i] = -1
