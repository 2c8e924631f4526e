"""Layers of fixed wiring on the CPU: node functions several pins at a time, forward and backward.

The layout, the polynomials and the threads' shares are those of `cpu`. Intermediate values of two pins
`(c0 + c1 a) + b (c2 + c3 a)`, or of four, stay in registers; what they leave is a polynomial in the other
pins, its coefficients rows of 64 samples. Gradients go back the same way.

Elements are indexed from the whole arrays: a view of a row would be counted as a reference, atomically,
which takes longer than the row. Loops that write several rows write one array, since LLVM must prove
that rows do not overlap, and does not vectorise where that takes more than eight comparisons.
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numba import njit

from .._typing import F32x1, F32x2, F32x3, I32x2
from .cpu import LANES, LOGISTIC, PLAIN, _add, _probability

Kernel = Callable[..., None]

_FAST = {"reassoc", "contract", "nsz"}  # sums may be vectorised; NaN stays NaN


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _pair(x: F32x3, n: int, source: I32x2, i: int, coef: F32x2, r: int, out: F32x3, m: int, row: int) -> None:
    """Set `out[m, row]` to node i's polynomial in its first two pins, coefficients 4 r to 4 r + 3."""
    a, b = np.uint64(source[i, 0]), np.uint64(source[i, 1])
    c0, c1, c2, c3 = coef[i, 4 * r], coef[i, 4 * r + 1], coef[i, 4 * r + 2], coef[i, 4 * r + 3]
    for lane in range(LANES):
        u = x[n, a, lane]
        out[m, row, lane] = (c0 + c1 * u) + x[n, b, lane] * (c2 + c3 * u)


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _unpair(
    x: F32x3,
    n: int,
    source: I32x2,
    i: int,
    coef: F32x2,
    r: int,
    g: F32x3,
    m: int,
    row: int,
    x_grad: F32x3,
    coef_grad: F32x3,
) -> None:
    """Undo `_pair` for gradients, `g[m, row]` being the output's: add to `x_grad`, set `coef_grad`."""
    a, b = np.uint64(source[i, 0]), np.uint64(source[i, 1])
    c1, c2, c3 = coef[i, 4 * r + 1], coef[i, 4 * r + 2], coef[i, 4 * r + 3]
    s0 = s1 = s2 = s3 = np.float32(0)
    for lane in range(LANES):
        u, p, q = g[m, row, lane], x[n, a, lane], x[n, b, lane]
        v = u * q
        s0 += u
        s1 += u * p
        s2 += v
        s3 += v * p
        x_grad[n, a, lane] += u * (c1 + c3 * q)
        x_grad[n, b, lane] += u * (c2 + c3 * p)
    coef_grad[n, i, 4 * r] = s0
    coef_grad[n, i, 4 * r + 1] = s1
    coef_grad[n, i, 4 * r + 2] = s2
    coef_grad[n, i, 4 * r + 3] = s3


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _four(x: F32x3, n: int, source: I32x2, i: int, coef: F32x2, r: int, out: F32x3) -> None:
    """Set `out[0, r]` to node i's polynomial in its first four pins, coefficients 16 r to 16 r + 15."""
    a, b = np.uint64(source[i, 0]), np.uint64(source[i, 1])
    c, d = np.uint64(source[i, 2]), np.uint64(source[i, 3])
    o = 16 * r
    w0, w1, w2, w3 = coef[i, o], coef[i, o + 1], coef[i, o + 2], coef[i, o + 3]
    w4, w5, w6, w7 = coef[i, o + 4], coef[i, o + 5], coef[i, o + 6], coef[i, o + 7]
    v0, v1, v2, v3 = coef[i, o + 8], coef[i, o + 9], coef[i, o + 10], coef[i, o + 11]
    v4, v5, v6, v7 = coef[i, o + 12], coef[i, o + 13], coef[i, o + 14], coef[i, o + 15]
    for lane in range(LANES):
        p, q, s = x[n, a, lane], x[n, b, lane], x[n, c, lane]
        q0 = (w0 + w1 * p) + q * (w2 + w3 * p)
        q1 = (w4 + w5 * p) + q * (w6 + w7 * p)
        q2 = (v0 + v1 * p) + q * (v2 + v3 * p)
        q3 = (v4 + v5 * p) + q * (v6 + v7 * p)
        out[0, r, lane] = (q0 + q1 * s) + x[n, d, lane] * (q2 + q3 * s)


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _unfour(
    x: F32x3,
    n: int,
    source: I32x2,
    i: int,
    coef: F32x2,
    r: int,
    tree: F32x3,
    grads: F32x1,
    coef_grad: F32x3,
) -> None:
    """Undo `_four`: add the pins' gradients to `grads` `[4 * LANES]`, set those of the coefficients."""
    a, b = np.uint64(source[i, 0]), np.uint64(source[i, 1])
    c, d = np.uint64(source[i, 2]), np.uint64(source[i, 3])
    o = 16 * r
    w1, w2, w3 = coef[i, o + 1], coef[i, o + 2], coef[i, o + 3]
    w4, w5, w6, w7 = coef[i, o + 4], coef[i, o + 5], coef[i, o + 6], coef[i, o + 7]
    v0, v1, v2, v3 = coef[i, o + 8], coef[i, o + 9], coef[i, o + 10], coef[i, o + 11]
    v4, v5, v6, v7 = coef[i, o + 12], coef[i, o + 13], coef[i, o + 14], coef[i, o + 15]
    for lane in range(LANES):
        u, p, q = tree[0, r, lane], x[n, a, lane], x[n, b, lane]
        s, t = x[n, c, lane], x[n, d, lane]
        s0, s1, s2, s3 = w1 + w3 * q, w5 + w7 * q, v1 + v3 * q, v5 + v7 * q
        q1, q2, q3 = (w4 + w6 * q) + s1 * p, (v0 + v2 * q) + s2 * p, (v4 + v6 * q) + s3 * p
        on_b = (w2 + w3 * p) + s * (w6 + w7 * p) + t * ((v2 + v3 * p) + s * (v6 + v7 * p))
        grads[lane] += u * ((s0 + s * s1) + t * (s2 + s * s3))
        grads[LANES + lane] += u * on_b
        grads[2 * LANES + lane] += u * (q1 + t * q3)
        grads[3 * LANES + lane] += u * (q2 + s * q3)
    for half in range(2):
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.float32(0)
        for lane in range(LANES):
            p, q, s = x[n, a, lane], x[n, b, lane], x[n, c, lane]
            u = tree[0, r, lane]
            if half:
                u *= x[n, d, lane]
            v, us = u * q, u * s
            vs = v * s
            s0 += u
            s1 += u * p
            s2 += v
            s3 += v * p
            s4 += us
            s5 += us * p
            s6 += vs
            s7 += vs * p
        h = o + 8 * half
        coef_grad[n, i, h], coef_grad[n, i, h + 1] = s0, s1
        coef_grad[n, i, h + 2], coef_grad[n, i, h + 3] = s2, s3
        coef_grad[n, i, h + 4], coef_grad[n, i, h + 5] = s4, s5
        coef_grad[n, i, h + 6], coef_grad[n, i, h + 7] = s6, s7


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _fold(k: int, x: F32x3, n: int, source: I32x2, i: int, coef: F32x2, tree: F32x3) -> int:
    """Evaluate node i of k >= 2 pins on block n; returns the row of `tree` `[1, 5, LANES]` with its output.

    Rows 0 to 3 are polynomials in the first two or four pins, the next one joins them by the last pins.
    """
    if k < 4:
        for r in range(1 << (k - 2)):
            _pair(x, n, source, i, coef, r, tree, 0, r)
    else:
        for r in range(1 << (k - 4)):
            _four(x, n, source, i, coef, r, tree)
    if k & 1:
        c = np.uint64(source[i, k - 1])
        for lane in range(LANES):
            tree[0, 2, lane] = tree[0, 0, lane] + tree[0, 1, lane] * x[n, c, lane]
        return 2
    if k == 6:
        c, d = np.uint64(source[i, 4]), np.uint64(source[i, 5])
        for lane in range(LANES):
            u = x[n, c, lane]
            low = tree[0, 0, lane] + tree[0, 1, lane] * u
            tree[0, 4, lane] = low + x[n, d, lane] * (tree[0, 2, lane] + tree[0, 3, lane] * u)
        return 4
    return 0


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _unjoin(k: int, x: F32x3, n: int, source: I32x2, i: int, tree: F32x3, x_grad: F32x3) -> None:
    """Undo the last step of `_fold`; gradients of the polynomials overwrite rows 0 to 3 of `tree`."""
    if k & 1:
        c = np.uint64(source[i, k - 1])
        for lane in range(LANES):
            x_grad[n, c, lane] += tree[0, 2, lane] * tree[0, 1, lane]
        for lane in range(LANES):
            g = tree[0, 2, lane]
            tree[0, 0, lane] = g
            tree[0, 1, lane] = g * x[n, c, lane]
    if k == 6:
        c, d = np.uint64(source[i, 4]), np.uint64(source[i, 5])
        for lane in range(LANES):
            slope = tree[0, 1, lane] + tree[0, 3, lane] * x[n, d, lane]
            x_grad[n, c, lane] += tree[0, 4, lane] * slope
        for lane in range(LANES):
            slope = tree[0, 2, lane] + tree[0, 3, lane] * x[n, c, lane]
            x_grad[n, d, lane] += tree[0, 4, lane] * slope
        for lane in range(LANES):
            g = tree[0, 4, lane]
            tree[0, 0, lane] = g
            tree[0, 1, lane] = g * x[n, c, lane]
        for lane in range(LANES):
            h = tree[0, 4, lane] * x[n, d, lane]
            tree[0, 2, lane] = h
            tree[0, 3, lane] = h * x[n, c, lane]


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _unfold(
    k: int,
    x: F32x3,
    n: int,
    source: I32x2,
    i: int,
    coef: F32x2,
    tree: F32x3,
    grads: F32x1,
    x_grad: F32x3,
    coef_grad: F32x3,
) -> None:
    """Undo `_fold`; the row of `tree` it returned holds the output's gradient on entry.

    Overwrites `tree` and `grads` `[4 * LANES]`, adds to `x_grad`, sets `coef_grad`.
    """
    _unjoin(k, x, n, source, i, tree, x_grad)
    if k < 4:
        for r in range(1 << (k - 2)):
            _unpair(x, n, source, i, coef, r, tree, 0, r, x_grad, coef_grad)
        return
    for lane in range(4 * LANES):
        grads[lane] = 0
    for r in range(1 << (k - 4)):
        _unfour(x, n, source, i, coef, r, tree, grads, coef_grad)
    for p in range(4):
        s = np.uint64(source[i, p])
        for lane in range(LANES):
            x_grad[n, s, lane] += grads[p * LANES + lane]


@cache
def kernels(k: int) -> tuple[Kernel, Kernel]:
    """Forward and backward of layers of k >= 2, compiled for this k: its loops unroll."""

    @njit(cache=True, nogil=True, fastmath=_FAST)
    def forward(
        x: F32x3,
        source: I32x2,
        coef: F32x2,
        noise: F32x3,
        squash: int,
        y: F32x3,
        first: int,
        stop: int,
    ) -> None:
        """Evaluate a layer on blocks `first .. stop - 1`; as `cpu.forward`, `source` `[nodes, k]`."""
        nodes = len(source)
        tree = np.empty((1, 5, LANES), np.float32)
        scratch = np.empty(LANES, np.int32)
        for n in range(first, stop):
            for i in range(nodes):
                if k == 2 and squash == PLAIN:
                    _pair(x, n, source, i, coef, 0, y, n, i)
                    continue
                last = _fold(k, x, n, source, i, coef, tree)
                if squash != PLAIN:
                    _add(tree[0, last], noise[n], i)
                if squash == LOGISTIC:
                    _probability(tree[0, last], scratch)
                if squash in (PLAIN, LOGISTIC):
                    for lane in range(LANES):
                        y[n, i, lane] = tree[0, last, lane]
                else:
                    for lane in range(LANES):
                        y[n, i, lane] = np.float32(tree[0, last, lane] > 0)

    @njit(cache=True, nogil=True, fastmath=_FAST)
    def backward(
        x: F32x3,
        source: I32x2,
        coef: F32x2,
        noise: F32x3,
        squash: int,
        y_grad: F32x3,
        x_grad: F32x3,
        coef_grad: F32x3,
        first: int,
        stop: int,
    ) -> None:
        """Set `x_grad` and `coef_grad` `[blocks, nodes, 2**k]` of blocks `first .. stop - 1`.

        As `cpu.backward`, but nothing need be cleared before.
        """
        nodes = len(source)
        tree = np.empty((1, 5, LANES), np.float32)
        grads = np.empty(4 * LANES, np.float32)
        scratch = np.empty(LANES, np.int32)
        for n in range(first, stop):
            x_grad[n] = 0
            for i in range(nodes):
                if k == 2 and squash == PLAIN:
                    _unpair(x, n, source, i, coef, 0, y_grad, n, i, x_grad, coef_grad)
                    continue
                last = _fold(k, x, n, source, i, coef, tree)
                if squash == PLAIN:
                    for lane in range(LANES):
                        tree[0, last, lane] = y_grad[n, i, lane]
                else:
                    _add(tree[0, last], noise[n], i)
                    _probability(tree[0, last], scratch)
                    for lane in range(LANES):
                        p = tree[0, last, lane]
                        tree[0, last, lane] = p * (1 - p) * y_grad[n, i, lane]
                _unfold(k, x, n, source, i, coef, tree, grads, x_grad, coef_grad)

    return forward, backward
