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

from .._typing import F32x1, F32x2, F32x3, F32x4, I32x1, I32x3
from .fixed import slope_row, squash_row
from .polynomial import evaluate, gradients
from .simd import LANES, LOGISTIC, PLAIN, load, splat, store, store_totals, total

Kernel = Callable[..., None]


@njit(cache=True, nogil=True)
def _mix(x: F32x1, base: int, source: I32x1, weight: F32x1, c: int, count: int, pin: F32x1, to: Any) -> None:
    """Set 64 elements of `pin` to the sum of candidates `c` to `c + count - 1`, weighted."""
    zero = splat(np.float32(0))
    a, b, d, e = zero, zero, zero, zero
    for i in range(np.uint64(c), np.uint64(c + count)):
        if weight[i] != 0:
            w = splat(weight[i])
            s = np.uint64(base + source[i]) * np.uint64(LANES)
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
def _weigh(
    x: F32x1, base: int, source: I32x1, c: int, count: int, pin_grad: F32x1, p: Any, out: F32x1, o: int
) -> None:
    """Set `out[o : o + count]` to the gradients of the candidates' weights."""
    a, b = load(pin_grad, p), load(pin_grad, p + np.uint64(16))
    d, e = load(pin_grad, p + np.uint64(32)), load(pin_grad, p + np.uint64(48))
    lanes, i = np.uint64(LANES), 0
    while i + 4 <= count:
        j = np.uint64(c + i)
        sums = (
            _dot(x, np.uint64(base + source[j]) * lanes, a, b, d, e),
            _dot(x, np.uint64(base + source[j + np.uint64(1)]) * lanes, a, b, d, e),
            _dot(x, np.uint64(base + source[j + np.uint64(2)]) * lanes, a, b, d, e),
            _dot(x, np.uint64(base + source[j + np.uint64(3)]) * lanes, a, b, d, e),
        )
        store_totals(out, np.uint64(o + i), sums)
        i += 4
    while i < count:
        s = np.uint64(base + source[np.uint64(c + i)]) * lanes
        out[o + i] = total(_dot(x, s, a, b, d, e))
        i += 1


@njit(cache=True, nogil=True)
def _spread(
    x_grad: F32x1,
    base: int,
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
            s = np.uint64(base + source[i]) * np.uint64(LANES)
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
        x: F32x3,
        source: I32x3,
        weight: F32x3,
        coef: F32x2,
        noise: F32x3,
        squash: int,
        y: F32x3,
        first: int,
        stop: int,
    ) -> None:
        """Evaluate a layer on blocks `first .. stop - 1`; arguments as in `cpu`."""
        nodes, _, count = source.shape
        noisy = noise.shape[1] > 0
        pins = np.empty(k * LANES, np.float32)
        at = np.arange(k).astype(np.uint64) * np.uint64(LANES)
        xs, ss, ws, cs, ns, ys = (
            x.ravel(),
            source.ravel(),
            weight.ravel(),
            coef.ravel(),
            noise.ravel(),
            y.ravel(),
        )
        for n in range(first, stop):
            for i in range(nodes):
                for p in range(k):
                    _mix(xs, n * x.shape[1], ss, ws, (i * k + p) * count, count, pins, np.uint64(p * LANES))
                o = np.uint64((n * nodes + i) * LANES)
                evaluate(k, pins, at, cs, np.uint64(i * rows), ys, o)
                if squash != PLAIN:
                    squash_row(ys, o, ns, o, noisy, squash)

    @njit(cache=True, nogil=True)
    def backward(
        x: F32x3,
        source: I32x3,
        weight: F32x3,
        coef: F32x2,
        noise: F32x3,
        squash: int,
        y_grad: F32x3,
        x_grad: F32x3,
        weight_grad: F32x4,
        coef_grad: F32x3,
        first: int,
        stop: int,
    ) -> None:
        """Set the gradients of blocks `first .. stop - 1`.

        A node that is squashed has the gradient of its probability. `x_grad` is `[blocks, features,
        LANES]`, or has no features if nobody needs it; `weight_grad` `[blocks, nodes, k, candidates]`, or
        without nodes; `coef_grad` `[blocks, nodes, 2**k]`. Nothing need be cleared before.
        """
        nodes, _, count = source.shape
        noisy, want, learn = noise.shape[1] > 0, x_grad.shape[1] > 0, weight_grad.shape[1] > 0
        pins, pin_grad = np.empty(k * LANES, np.float32), np.empty(k * LANES, np.float32)
        row, scratch = np.empty(LANES, np.float32), np.empty(16 * LANES, np.float32)
        at = np.arange(k).astype(np.uint64) * np.uint64(LANES)
        xs, ss, ws, cs, ns = x.ravel(), source.ravel(), weight.ravel(), coef.ravel(), noise.ravel()
        gs, xg, wg, cg = y_grad.ravel(), x_grad.ravel(), weight_grad.ravel(), coef_grad.ravel()
        zero = np.uint64(0)
        for n in range(first, stop):
            base = n * x.shape[1]
            if want:
                x_grad[n] = 0
            for i in range(nodes):
                for p in range(k):
                    _mix(xs, base, ss, ws, (i * k + p) * count, count, pins, np.uint64(p * LANES))
                o, j = np.uint64((n * nodes + i) * LANES), np.uint64(i * rows)
                h = np.uint64((n * nodes + i) * rows)
                pin_grad[:] = 0
                if squash == PLAIN:
                    gradients(k, 1, pins, at, cs, j, gs, o, pin_grad, at, cg, h, scratch)
                else:
                    evaluate(k, pins, at, cs, j, row, zero)
                    squash_row(row, zero, ns, o, noisy, LOGISTIC)
                    slope_row(row, zero, gs, o, row)
                    gradients(k, 1, pins, at, cs, j, row, zero, pin_grad, at, cg, h, scratch)
                for p in range(k):
                    c, lane = (i * k + p) * count, np.uint64(p * LANES)
                    if learn:
                        _weigh(
                            xs,
                            base,
                            ss,
                            c,
                            count,
                            pin_grad,
                            lane,
                            wg,
                            (n * nodes + i) * k * count + p * count,
                        )
                    if want:
                        _spread(xg, base, ss, ws, c, count, pin_grad, lane)

    return forward, backward
