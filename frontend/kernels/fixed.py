"""Layers of fixed wiring on the CPU, forward and backward.

The layout, the polynomials and the threads' shares are those of `cpu`; the nodes are those of
`polynomial`. What a step reads and writes most are rows of 64 samples at random places: a node of k
pins reads k of them forward, and backward reads as many and adds to as many.
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit

from .._typing import F32x1, F32x2, F32x3, I32x2
from .polynomial import evaluate, gradients
from .simd import LANES, LOGISTIC, PLAIN, WIDTH, load, positive, sigmoid, splat, store

Kernel = Callable[..., None]


@njit(cache=True, nogil=True)
def squash_row(row: F32x1, o: Any, noise: F32x1, m: Any, noisy: bool, squash: int) -> None:
    """Replace 64 logits from `row[o]` on by their probabilities or signs, noise from `noise[m]` on added."""
    for chunk in range(0, LANES, WIDTH):
        s = np.uint64(chunk)
        v = load(row, o + s)
        if noisy:
            v = v + load(noise, m + s)
        if squash == LOGISTIC:
            v = sigmoid(v)
        elif squash != PLAIN:
            v = positive(v)
        store(row, o + s, v)


@njit(cache=True, nogil=True)
def add_row(a: F32x1, i: Any, b: F32x1, j: Any) -> None:
    """Add 64 elements from `b[j]` on to those from `a[i]` on."""
    for chunk in range(0, LANES, WIDTH):
        s = np.uint64(chunk)
        store(a, i + s, load(a, i + s) + load(b, j + s))


@njit(cache=True, nogil=True)
def slope_row(p: F32x1, i: Any, y_grad: F32x1, g: Any, out: F32x1) -> None:
    """Set `out` `[64]` to the logits' gradients, `p[i]` on being their probabilities."""
    one = splat(np.float32(1))
    for chunk in range(0, LANES, WIDTH):
        s = np.uint64(chunk)
        v = load(p, i + s)
        store(out, s, load(y_grad, g + s) * (v * (one - v)))


@cache
def kernels(k: int) -> tuple[Kernel, Kernel]:
    """Forward and backward of layers of k pins, compiled for this k."""
    rows = 1 << k

    @njit(cache=True, nogil=True)
    def forward(
        x: F32x3,
        source: I32x2,
        coef: F32x2,
        noise: F32x3,
        squash: int,
        y: F32x3,
        counts: F32x3,
        first: int,
        stop: int,
    ) -> None:
        """Evaluate a layer on blocks `first .. stop - 1`; as `cpu.forward`, `source` `[nodes, k]`.

        `counts` `[blocks, groups, LANES]`, if it has groups, becomes the sums of as many equal,
        contiguous groups of outputs; then `y` may be without nodes.
        """
        nodes, groups = len(source), counts.shape[1]
        share = nodes // max(groups, 1)
        keep, noisy = y.shape[1] > 0, noise.shape[1] > 0
        at = np.empty(k, np.uint64)
        row = np.empty(LANES, np.float32)
        xs, cs, ns, ys, sums = x.ravel(), coef.ravel(), noise.ravel(), y.ravel(), counts.ravel()
        for n in range(first, stop):
            base = n * x.shape[1]
            if groups:
                counts[n] = 0
            for i in range(nodes):
                for p in range(k):
                    at[p] = np.uint64(base + source[i, p]) * np.uint64(LANES)
                o = np.uint64((n * nodes + i) * LANES)
                if keep:
                    evaluate(k, xs, at, cs, np.uint64(i * rows), ys, o)
                    if squash != PLAIN:
                        squash_row(ys, o, ns, o, noisy, squash)
                    if groups:
                        add_row(sums, np.uint64((n * groups + i // share) * LANES), ys, o)
                else:
                    evaluate(k, xs, at, cs, np.uint64(i * rows), row, np.uint64(0))
                    if squash != PLAIN:
                        squash_row(row, np.uint64(0), ns, o, noisy, squash)
                    add_row(sums, np.uint64((n * groups + i // share) * LANES), row, np.uint64(0))

    @njit(cache=True, nogil=True)
    def backward(
        x: F32x3,
        source: I32x2,
        coef: F32x2,
        noise: F32x3,
        squash: int,
        y: F32x3,
        y_grad: F32x3,
        x_grad: F32x3,
        coef_grad: F32x3,
        first: int,
        stop: int,
    ) -> None:
        """Set `x_grad` and `coef_grad` `[blocks, nodes, 2**k]` of blocks `first .. stop - 1`.

        As `cpu.backward`, but nothing need be cleared before. `y` are the probabilities that the forward
        pass gave, or it has no nodes; `y_grad` has a row per node, or one per equal group of nodes.
        """
        nodes, given = len(source), y_grad.shape[1]
        share = nodes // given
        keep, noisy, want = y.shape[1] > 0, noise.shape[1] > 0, x_grad.shape[1] > 0
        at = np.empty(k, np.uint64)
        row = np.empty(LANES, np.float32)
        scratch = np.empty(16 * LANES, np.float32)
        xs, cs, ns, ys = x.ravel(), coef.ravel(), noise.ravel(), y.ravel()
        gs, xg, cg = y_grad.ravel(), x_grad.ravel(), coef_grad.ravel()
        zero = np.uint64(0)
        for n in range(first, stop):
            base = n * x.shape[1]
            if want:
                x_grad[n] = 0
            for i in range(nodes):
                for p in range(k):
                    at[p] = np.uint64(base + source[i, p]) * np.uint64(LANES)
                o = np.uint64((n * nodes + i) * LANES)
                g = o if given == nodes else np.uint64((n * given + i // share) * LANES)
                j, h = np.uint64(i * rows), np.uint64((n * nodes + i) * rows)
                if squash == PLAIN:
                    if want:
                        gradients(k, 1, xs, at, cs, j, gs, g, xg, at, cg, h, scratch)
                    else:
                        gradients(k, 0, xs, at, cs, j, gs, g, xg, at, cg, h, scratch)
                    continue
                if keep:
                    slope_row(ys, o, gs, g, row)
                else:
                    evaluate(k, xs, at, cs, j, row, zero)
                    squash_row(row, zero, ns, o, noisy, LOGISTIC)
                    slope_row(row, zero, gs, g, row)
                if want:
                    gradients(k, 1, xs, at, cs, j, row, zero, xg, at, cg, h, scratch)
                else:
                    gradients(k, 0, xs, at, cs, j, row, zero, xg, at, cg, h, scratch)

    return forward, backward
