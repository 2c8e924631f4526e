"""Layers of fixed wiring on the CPU: node functions two pins at a time, forward and backward.

The layout, the polynomials and the threads' shares are those of `cpu`. Every row operation here does the
work of three of its there, which is what a node of fixed wiring spends its time with: the polynomial
in pins a, b is `(c0 + c1 a) + b (c2 + c3 a)`, and what it leaves is a polynomial in the other pins,
its coefficients rows of 64 samples. Gradients go back the same way.
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np
from numba import njit

from .._typing import F32x1, F32x2, F32x3, I32x1, I32x2
from .cpu import LANES, LOGISTIC, PLAIN, _add, _probability

_FAST = {"reassoc", "contract", "nsz"}  # sums may be vectorised; NaN stays NaN


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _pair(a: F32x1, b: F32x1, coef: F32x1, first: int, out: F32x1) -> None:
    """Evaluate the polynomial in a, b with coefficients `coef[first : first + 4]`."""
    c0, c1, c2, c3 = coef[first], coef[first + 1], coef[first + 2], coef[first + 3]
    for lane in range(LANES):
        x = a[lane]
        out[lane] = (c0 + c1 * x) + b[lane] * (c2 + c3 * x)


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _unpair(
    a: F32x1, b: F32x1, coef: F32x1, first: int, g: F32x1, a_grad: F32x1, b_grad: F32x1, coef_grad: F32x1
) -> None:
    """Add the gradients of a and b and set those of the coefficients, `g` being the output's."""
    c1, c2, c3 = coef[first + 1], coef[first + 2], coef[first + 3]
    total = np.float32(0)
    on_a = np.float32(0)
    on_b = np.float32(0)
    on_both = np.float32(0)
    for lane in range(LANES):
        u, x, y = g[lane], a[lane], b[lane]
        v = u * y
        total += u
        on_a += u * x
        on_b += v
        on_both += v * x
        a_grad[lane] += u * (c1 + c3 * y)
        b_grad[lane] += u * (c2 + c3 * x)
    coef_grad[first] = total
    coef_grad[first + 1] = on_a
    coef_grad[first + 2] = on_b
    coef_grad[first + 3] = on_both


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _fold(x: F32x2, source: I32x1, coef: F32x1, tree: F32x2) -> int:
    """Evaluate a node of two or more pins; returns the row of `tree` `[rows, LANES]` with its output.

    `tree` receives 2**(k-2) rows with two pins eliminated, then a quarter as many with four
    eliminated, ...; an odd last pin halves the rows.
    """
    k = len(source)
    rows = 1 << (k - 2)
    a, b = x[np.uint64(source[0])], x[np.uint64(source[1])]
    for r in range(rows):
        _pair(a, b, coef, 4 * r, tree[np.uint64(r)])
    below = 0
    for p in range(2, k - 1, 2):
        here = below + rows
        rows >>= 2
        c, d = x[np.uint64(source[p])], x[np.uint64(source[p + 1])]
        for r in range(rows):
            q = below + 4 * r
            q0, q1, q2, q3 = tree[q], tree[q + 1], tree[q + 2], tree[q + 3]
            out = tree[here + r]
            for lane in range(LANES):
                u = c[lane]
                out[lane] = (q0[lane] + q1[lane] * u) + d[lane] * (q2[lane] + q3[lane] * u)
        below = here
    if k & 1:
        c = x[np.uint64(source[k - 1])]
        q0, q1, out = tree[below], tree[below + 1], tree[below + 2]
        for lane in range(LANES):
            out[lane] = q0[lane] + q1[lane] * c[lane]
        below += 2
    return below


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _unfold(
    x: F32x2, source: I32x1, coef: F32x1, tree: F32x2, last: int, x_grad: F32x2, coef_grad: F32x1
) -> None:
    """Undo `_fold` for gradients; row `last` of `tree` holds the output's gradient on entry.

    Overwrites `tree` by gradients, adds to `x_grad`, sets `coef_grad`. A loop writes two rows at most:
    with more, LLVM gives up checking that rows do not overlap, and does not vectorise.
    """
    k = len(source)
    here, rows = last, 1
    if k & 1:
        c, c_grad = x[np.uint64(source[k - 1])], x_grad[np.uint64(source[k - 1])]
        q0, q1, g = tree[here - 2], tree[here - 1], tree[here]
        for lane in range(LANES):
            c_grad[lane] += g[lane] * q1[lane]
        for lane in range(LANES):
            q0[lane] = g[lane]
            q1[lane] = g[lane] * c[lane]
        here, rows = here - 2, 2
    for p in range(k - 2 - (k & 1), 0, -2):
        c, d = x[np.uint64(source[p])], x[np.uint64(source[p + 1])]
        c_grad, d_grad = x_grad[np.uint64(source[p])], x_grad[np.uint64(source[p + 1])]
        below = here - 4 * rows
        for r in range(rows):
            q = below + 4 * r
            q0, q1, q2, q3, g = tree[q], tree[q + 1], tree[q + 2], tree[q + 3], tree[here + r]
            for lane in range(LANES):
                c_grad[lane] += g[lane] * (q1[lane] + q3[lane] * d[lane])
            for lane in range(LANES):
                d_grad[lane] += g[lane] * (q2[lane] + q3[lane] * c[lane])
            for lane in range(LANES):
                q0[lane] = g[lane]
                q1[lane] = g[lane] * c[lane]
            for lane in range(LANES):
                h = g[lane] * d[lane]
                q2[lane] = h
                q3[lane] = h * c[lane]
        here, rows = below, 4 * rows
    a, b = x[np.uint64(source[0])], x[np.uint64(source[1])]
    a_grad, b_grad = x_grad[np.uint64(source[0])], x_grad[np.uint64(source[1])]
    for r in range(rows):
        _unpair(a, b, coef, 4 * r, tree[np.uint64(r)], a_grad, b_grad, coef_grad)


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
    """Evaluate a layer of k >= 2 on blocks `first .. stop - 1`; as `cpu.forward`, `source` `[nodes, k]`."""
    nodes, k = source.shape
    tree = np.empty((1 << (k - 1), LANES), np.float32)
    scratch = np.empty(LANES, np.int32)
    for b in range(first, stop):
        for i in range(nodes):
            if k == 2 and squash == PLAIN:
                s = source[i]
                _pair(x[b, np.uint64(s[0])], x[b, np.uint64(s[1])], coef[i], 0, y[b, i])
                continue
            last = _fold(x[b], source[i], coef[i], tree)
            value = tree[last]
            if squash != PLAIN:
                _add(value, noise[b], i)
            if squash == LOGISTIC:
                _probability(value, scratch)
            if squash in (PLAIN, LOGISTIC):
                for lane in range(LANES):
                    y[b, i, lane] = value[lane]
            else:
                for lane in range(LANES):
                    y[b, i, lane] = np.float32(value[lane] > 0)


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
    """Add to `x_grad` and set `coef_grad` `[blocks, nodes, 2**k]` for blocks `first .. stop - 1`.

    As `cpu.backward`, k >= 2, but a block of `x_grad` is cleared first.
    """
    nodes, k = source.shape
    tree = np.empty((1 << (k - 1), LANES), np.float32)
    scratch = np.empty(LANES, np.int32)
    for b in range(first, stop):
        x_grad[b] = 0
        for i in range(nodes):
            if k == 2 and squash == PLAIN:
                s, t = np.uint64(source[i, 0]), np.uint64(source[i, 1])
                _unpair(
                    x[b, s], x[b, t], coef[i], 0, y_grad[b, i], x_grad[b, s], x_grad[b, t], coef_grad[b, i]
                )
                continue
            last = _fold(x[b], source[i], coef[i], tree)
            g = tree[last]
            if squash == PLAIN:
                for lane in range(LANES):
                    g[lane] = y_grad[b, i, lane]
            else:
                _add(g, noise[b], i)
                _probability(g, scratch)
                for lane in range(LANES):
                    g[lane] = g[lane] * (1 - g[lane]) * y_grad[b, i, lane]
            _unfold(x[b], source[i], coef[i], tree, last, x_grad[b], coef_grad[b, i])
