"""Layers whose pins read weighted candidates, forward and backward.

The layout, the polynomials and the threads' shares are those of `cpu`; the nodes are those of
`polynomial`. Candidates of weight 0, as hard wiring has all but one, cost nothing but the gradients of
their weights.
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit

from .._typing import F32x1, F32x2, F32x3, I32x1, I32x3
from .fixed import slope_row, squash_row
from .polynomial import evaluate, gradients
from .simd import LANES, LOGISTIC, PLAIN, load, splat, store, store_totals, total

Kernel = Callable[..., None]


@njit(cache=True, nogil=True)
def _mix(x: F32x1, source: I32x1, weight: F32x1, c: int, count: int, pin: F32x1, to: Any) -> None:
    """Set 64 elements of `pin` to the sum of candidates `c` to `c + count - 1`, weighted."""
    zero = splat(np.float32(0))
    a, b, d, e = zero, zero, zero, zero
    for i in range(np.uint64(c), np.uint64(c + count)):
        if weight[i] != 0:
            w = splat(weight[i])
            s = np.uint64(source[i]) * np.uint64(LANES)
            a = a + w * load(x, s)
            b = b + w * load(x, s + np.uint64(16))
            d = d + w * load(x, s + np.uint64(32))
            e = e + w * load(x, s + np.uint64(48))
    store(pin, to, a)
    store(pin, to + np.uint64(16), b)
    store(pin, to + np.uint64(32), d)
    store(pin, to + np.uint64(48), e)


@njit(cache=True, nogil=True)
def _dot(x: F32x1, s: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Sum of the products of 64 elements of `x` with those of four vectors, as a vector."""
    low = load(x, s) * a + load(x, s + np.uint64(16)) * b
    return low + (load(x, s + np.uint64(32)) * c + load(x, s + np.uint64(48)) * d)


@njit(cache=True, nogil=True)
def _weigh(x: F32x1, source: I32x1, c: int, count: int, pin_grad: F32x1, p: Any, out: F32x1) -> None:
    """Set `out[c : c + count]` to the gradients of the candidates' weights."""
    a, b = load(pin_grad, p), load(pin_grad, p + np.uint64(16))
    d, e = load(pin_grad, p + np.uint64(32)), load(pin_grad, p + np.uint64(48))
    lanes, i = np.uint64(LANES), 0
    while i + 4 <= count:
        j = np.uint64(c + i)
        sums = (
            _dot(x, np.uint64(source[j]) * lanes, a, b, d, e),
            _dot(x, np.uint64(source[j + np.uint64(1)]) * lanes, a, b, d, e),
            _dot(x, np.uint64(source[j + np.uint64(2)]) * lanes, a, b, d, e),
            _dot(x, np.uint64(source[j + np.uint64(3)]) * lanes, a, b, d, e),
        )
        store_totals(out, j, sums)
        i += 4
    while i < count:
        s = np.uint64(source[np.uint64(c + i)]) * lanes
        out[c + i] = total(_dot(x, s, a, b, d, e))
        i += 1


@njit(cache=True, nogil=True)
def _spread(
    x_grad: F32x1,
    source: I32x1,
    weight: F32x1,
    c: int,
    count: int,
    pin_grad: F32x1,
    p: Any,
) -> None:
    """Add the pin's gradient, weighted, to those of its candidates."""
    a, b = load(pin_grad, p), load(pin_grad, p + np.uint64(16))
    d, e = load(pin_grad, p + np.uint64(32)), load(pin_grad, p + np.uint64(48))
    for i in range(np.uint64(c), np.uint64(c + count)):
        if weight[i] != 0:
            w = splat(weight[i])
            s = np.uint64(source[i]) * np.uint64(LANES)
            store(x_grad, s, load(x_grad, s) + w * a)
            store(x_grad, s + np.uint64(16), load(x_grad, s + np.uint64(16)) + w * b)
            store(x_grad, s + np.uint64(32), load(x_grad, s + np.uint64(32)) + w * d)
            store(x_grad, s + np.uint64(48), load(x_grad, s + np.uint64(48)) + w * e)


@cache
def kernels(k: int) -> tuple[Kernel, Kernel]:
    """Forward and backward of layers of k pins, compiled for this k."""
    rows = 1 << k

    @njit(cache=True, nogil=True)
    def forward(
        x: F32x2,
        source: I32x3,
        weight: F32x3,
        coef: F32x2,
        noise: F32x2,
        squash: int,
        y: F32x2,
    ) -> None:
        """Evaluate a layer on a block `x` `[features, LANES]`; arguments as in `cpu`."""
        nodes, _, count = source.shape
        noisy = noise.shape[0] > 0
        pins, at = np.empty(k * LANES, np.float32), np.arange(k).astype(np.int32)
        xs, ss, ws = x.ravel(), source.ravel(), weight.ravel()
        cs, ns, ys = coef.ravel(), noise.ravel(), y.ravel()
        zero = np.uint64(0)
        for i in range(nodes):
            for p in range(k):
                _mix(xs, ss, ws, (i * k + p) * count, count, pins, np.uint64(p * LANES))
            o = np.uint64(i * LANES)
            evaluate(k, pins, at, zero, cs, np.uint64(i * rows), ys, o)
            if squash != PLAIN:
                squash_row(ys, o, ns, o, noisy, squash)

    @njit(cache=True, nogil=True)
    def backward(
        x: F32x2,
        source: I32x3,
        weight: F32x3,
        coef: F32x2,
        noise: F32x2,
        squash: int,
        y_grad: F32x2,
        x_grad: F32x2,
        weight_grad: F32x3,
        coef_grad: F32x2,
    ) -> None:
        """Set the gradients of a block.

        A node that is squashed has the gradient of its probability. `x_grad` is `[features, LANES]`, or
        has no features if nobody needs it; `weight_grad` `[nodes, k, candidates]`, or without nodes;
        `coef_grad` `[nodes, 2**k]`. Nothing need be cleared before.
        """
        nodes, _, count = source.shape
        noisy, want, learn = noise.shape[0] > 0, x_grad.shape[0] > 0, weight_grad.shape[0] > 0
        pins, pin_grad = np.empty(k * LANES, np.float32), np.empty(k * LANES, np.float32)
        row, scratch = np.empty(LANES, np.float32), np.empty(16 * LANES, np.float32)
        at = np.arange(k).astype(np.int32)
        xs, ss, ws, cs, ns = x.ravel(), source.ravel(), weight.ravel(), coef.ravel(), noise.ravel()
        gs, xg, wg, cg = y_grad.ravel(), x_grad.ravel(), weight_grad.ravel(), coef_grad.ravel()
        zero = np.uint64(0)
        x_grad[:] = 0
        for i in range(nodes):
            for p in range(k):
                _mix(xs, ss, ws, (i * k + p) * count, count, pins, np.uint64(p * LANES))
            o, j = np.uint64(i * LANES), np.uint64(i * rows)
            pin_grad[:] = 0
            if squash == PLAIN:
                gradients(k, 1, pins, at, zero, cs, j, gs, o, pin_grad, cg, j, scratch)
            else:
                evaluate(k, pins, at, zero, cs, j, row, zero)
                squash_row(row, zero, ns, o, noisy, LOGISTIC)
                slope_row(row, zero, gs, o, row)
                gradients(k, 1, pins, at, zero, cs, j, row, zero, pin_grad, cg, j, scratch)
            for p in range(k):
                c, lane = (i * k + p) * count, np.uint64(p * LANES)
                if learn:
                    _weigh(xs, ss, c, count, pin_grad, lane, wg)
                if want:
                    _spread(xg, ss, ws, c, count, pin_grad, lane)

    return forward, backward
