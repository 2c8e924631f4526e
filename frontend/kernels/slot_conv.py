"""Convolutions of nodes that mix gates on pairs of their own, forward and backward in one pass each.

Layout and sharing are those of `lgc.frontend.kernels.conv`: pin p of slot g of kernel c reads
`x[offset[c, p, g] + base[q]]` at position q, x being the image with its border. A slot evaluates the
polynomial `c0 + c1 a + c2 b + c3 a b` of its pair; a node is the slots' weighted sum.
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np
from numba import njit

from .._typing import F32x2, F32x3, I32x1, I32x2, I32x3
from .cpu import LANES

_FAST = {"reassoc", "contract", "nsz"}
_AT_ONCE = 4
"""Slots per pass over the output."""


@njit(cache=True, nogil=True, fastmath=_FAST)
def _used(c: int, offset: I32x3, op: I32x2, gates: F32x2, weight: F32x2, at: I32x2, coef: F32x2) -> int:
    """Collect kernel c's slots of weight other than 0 in `at` and `coef`; returns how many, rounded up."""
    count = 0
    for g in range(op.shape[1]):
        w = weight[c, g]
        if w != 0:
            at[count, 0], at[count, 1] = offset[c, 0, g], offset[c, 1, g]
            for i in range(4):
                coef[count, i] = w * gates[op[c, g], i]
            count += 1
    while count % _AT_ONCE:
        at[count] = offset[c, :, 0]
        coef[count] = 0
        count += 1
    return count


@njit(cache=True, nogil=True, fastmath=_FAST)
def forward(
    x: F32x3,
    offset: I32x3,
    base: I32x1,
    op: I32x2,
    gates: F32x2,
    weight: F32x2,
    y: F32x3,
    first: int,
    stop: int,
) -> None:
    """Fill blocks `first .. stop - 1` of `y` `[blocks, kernels * positions, LANES]`.

    `offset` is int32 `[kernels, 2, slots]`, `base` int32 `[positions]`, `op` `[kernels, slots]` indexes the
    polynomials `gates` `[gates, 4]`, `weight` is `[kernels, slots]`; slots of weight 0 are skipped.
    """
    kernels, slots = op.shape
    positions = len(base)
    at = np.empty((slots + _AT_ONCE, 2), np.int32)
    coef = np.empty((slots + _AT_ONCE, 4), np.float32)
    for c in range(kernels):
        count = _used(c, offset, op, gates, weight, at, coef)
        for n in range(first, stop):
            for q in range(positions):
                o, start = c * positions + q, base[q]
                for lane in range(LANES):
                    y[n, o, lane] = 0
                for g in range(0, count, _AT_ONCE):
                    a0, b0 = np.uint64(at[g, 0] + start), np.uint64(at[g, 1] + start)
                    a1, b1 = np.uint64(at[g + 1, 0] + start), np.uint64(at[g + 1, 1] + start)
                    a2, b2 = np.uint64(at[g + 2, 0] + start), np.uint64(at[g + 2, 1] + start)
                    a3, b3 = np.uint64(at[g + 3, 0] + start), np.uint64(at[g + 3, 1] + start)
                    k, m, s, t = coef[g], coef[g + 1], coef[g + 2], coef[g + 3]
                    k0, k1, k2, k3 = k[0], k[1], k[2], k[3]
                    m0, m1, m2, m3 = m[0], m[1], m[2], m[3]
                    s0, s1, s2, s3 = s[0], s[1], s[2], s[3]
                    t0, t1, t2, t3 = t[0], t[1], t[2], t[3]
                    for lane in range(LANES):
                        u, v, w, z = x[n, a0, lane], x[n, a1, lane], x[n, a2, lane], x[n, a3, lane]
                        low = (k0 + k1 * u) + x[n, b0, lane] * (k2 + k3 * u)
                        low += (m0 + m1 * v) + x[n, b1, lane] * (m2 + m3 * v)
                        high = (s0 + s1 * w) + x[n, b2, lane] * (s2 + s3 * w)
                        high += (t0 + t1 * z) + x[n, b3, lane] * (t2 + t3 * z)
                        y[n, o, lane] += low + high


@njit(cache=True, nogil=True, fastmath=_FAST)
def backward(
    x: F32x3,
    offset: I32x3,
    base: I32x1,
    op: I32x2,
    gates: F32x2,
    weight: F32x2,
    y_grad: F32x3,
    x_grad: F32x3,
    weight_grad: F32x3,
    first: int,
    stop: int,
) -> None:
    """Set the gradients of blocks `first .. stop - 1`; `weight_grad` is `[blocks, kernels, slots]`.

    `x_grad` is like `x`, or has no elements if nobody needs it.
    """
    kernels, slots = op.shape
    positions = len(base)
    for n in range(first, stop):
        x_grad[n] = 0
        for c in range(kernels):
            for g in range(slots):
                w = weight[c, g]
                k = gates[op[c, g]]
                c0, c1, c2, c3 = k[0], k[1], k[2], k[3]
                d1, d2, d3 = w * c1, w * c2, w * c3
                total = np.float32(0)
                for q in range(positions):
                    o = c * positions + q
                    a = np.uint64(offset[c, 0, g] + base[q])
                    b = np.uint64(offset[c, 1, g] + base[q])
                    if x_grad.shape[1] and w != 0:
                        for lane in range(LANES):
                            u, p, r = y_grad[n, o, lane], x[n, a, lane], x[n, b, lane]
                            total += u * ((c0 + c1 * p) + r * (c2 + c3 * p))
                            x_grad[n, a, lane] += u * (d1 + d3 * r)
                            x_grad[n, b, lane] += u * (d2 + d3 * p)
                    else:
                        for lane in range(LANES):
                            u, p, r = y_grad[n, o, lane], x[n, a, lane], x[n, b, lane]
                            total += u * ((c0 + c1 * p) + r * (c2 + c3 * p))
                weight_grad[n, c, g] = total
