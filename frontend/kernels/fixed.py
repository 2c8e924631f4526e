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

from .._typing import F32x1, F32x2, I32x1, I32x2
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
        x: F32x2,
        source: I32x2,
        order: I32x1,
        coef: F32x2,
        noise: F32x2,
        squash: int,
        placed: bool,
        y: F32x2,
        counts: F32x2,
    ) -> None:
        """Evaluate a layer on a block `x` `[features, LANES]`, node `order[t]` as the t-th.

        It reads the rows `source[t]` of `x`, the polynomial `coef[t]`, the noise of its own row, and
        writes the row t of `y`, or its own if `placed`. `counts` `[groups, LANES]`, if it has groups, becomes
        the sums of as many equal, contiguous groups of nodes; then `y` may be without nodes.
        """
        nodes, groups = len(order), counts.shape[0]
        share = np.uint64(nodes // max(groups, 1))
        keep, noisy = y.shape[0] > 0, noise.shape[0] > 0
        row = np.empty(LANES, np.float32)
        xs, ss, cs, ns = x.ravel(), source.ravel(), coef.ravel(), noise.ravel()
        ys, sums = y.ravel(), counts.ravel()
        lanes, zero = np.uint64(LANES), np.uint64(0)
        counts[:] = 0
        for t in range(np.uint64(nodes)):
            i, j = np.uint64(order[t]), t * np.uint64(rows)
            n = i * lanes
            if keep:
                o = (i if placed else t) * lanes
                evaluate(k, xs, ss, t * np.uint64(k), cs, j, ys, o)
                if squash != PLAIN:
                    squash_row(ys, o, ns, n, noisy, squash)
                if groups:
                    add_row(sums, i // share * lanes, ys, o)
            else:
                evaluate(k, xs, ss, t * np.uint64(k), cs, j, row, zero)
                if squash != PLAIN:
                    squash_row(row, zero, ns, n, noisy, squash)
                add_row(sums, i // share * lanes, row, zero)

    @njit(cache=True, nogil=True)
    def backward(
        x: F32x2,
        source: I32x2,
        order: I32x1,
        coef: F32x2,
        noise: F32x2,
        squash: int,
        placed: bool,
        y: F32x2,
        y_grad: F32x2,
        x_grad: F32x2,
        coef_grad: F32x2,
    ) -> None:
        """Set `x_grad`, unless it is without features, and `coef_grad`, whose rows are those of `coef`.

        Arguments as in `forward`; nothing need be cleared before. `y` are the probabilities that the
        forward pass gave, or it has no nodes; `y_grad` has a row per node, or one per group of nodes.
        """
        nodes, given = len(order), y_grad.shape[0]
        share = np.uint64(nodes // given)
        keep, noisy, want = y.shape[0] > 0, noise.shape[0] > 0, x_grad.shape[0] > 0
        row = np.empty(LANES, np.float32)
        scratch = np.empty(16 * LANES, np.float32)
        xs, ss, cs, ns, ys = x.ravel(), source.ravel(), coef.ravel(), noise.ravel(), y.ravel()
        gs, xg, cg = y_grad.ravel(), x_grad.ravel(), coef_grad.ravel()
        lanes, zero = np.uint64(LANES), np.uint64(0)
        x_grad[:] = 0
        for t in range(np.uint64(nodes)):
            i, p = np.uint64(order[t]), t * np.uint64(k)
            j, o = t * np.uint64(rows), (i if placed else t) * lanes
            g = o if given == nodes else i // share * lanes
            if squash == PLAIN:
                if want:
                    gradients(k, 1, xs, ss, p, cs, j, gs, g, xg, cg, j, scratch)
                else:
                    gradients(k, 0, xs, ss, p, cs, j, gs, g, xg, cg, j, scratch)
                continue
            if keep:
                slope_row(ys, o, gs, g, row)
            else:
                evaluate(k, xs, ss, p, cs, j, row, zero)
                squash_row(row, zero, ns, i * lanes, noisy, LOGISTIC)
                slope_row(row, zero, gs, g, row)
            if want:
                gradients(k, 1, xs, ss, p, cs, j, row, zero, xg, cg, j, scratch)
            else:
                gradients(k, 0, xs, ss, p, cs, j, row, zero, xg, cg, j, scratch)

    return forward, backward
