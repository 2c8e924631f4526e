"""Convolutions by gate trees on the CPU: all of a tree at one position at once, forward and backward.

The layout and the threads' shares are those of `cpu`. `x` is float32 `[blocks, elements, LANES]`, an
image with its border of zeros. Leaf j of kernel c at a position reads `x[offset[c, j] + base]`; `base`
int32 `[outputs per kernel, members]` lists the positions whose maximum an output is: one, or those of an
OR pool, -1 for members in its padding. Nodes are numbered as in `lgc.frontend.graph.ConvLayer`, their
polynomials `coef` float32 `[kernels, nodes, 2**k]` are in the monomial basis as in `cpu`.

Nothing but outputs is stored: the backward pass evaluates the trees again. The maximum passes the
gradient to its first largest member (Petersen 2024, arXiv 2411.04732: maximum t-conorm).
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np
from numba import njit

from .._typing import F32x3, I32x1, I32x2
from .cpu import LANES

_FAST = {"reassoc", "contract", "nsz"}  # sums may be vectorised; NaN stays NaN


@njit(cache=True, nogil=True)
def lay(x: F32x3, index: I32x1, out: F32x3, first: int, stop: int) -> None:
    """Set `out[b, i]` to `x[b, index[i]]`, to 0 where that is -1, for blocks `first .. stop - 1`."""
    for b in range(first, stop):
        for i in range(len(index)):
            s = index[i]
            if s < 0:
                for lane in range(LANES):
                    out[b, i, lane] = 0
            else:
                for lane in range(LANES):
                    out[b, i, lane] = x[b, s, lane]


@njit(cache=True, nogil=True)
def collect(grad: F32x3, index: I32x1, x_grad: F32x3, first: int, stop: int) -> None:
    """Undo `lay` for gradients: set `x_grad` on blocks `first .. stop - 1`."""
    for b in range(first, stop):
        x_grad[b] = 0
        for i in range(len(index)):
            s = index[i]
            if s >= 0:
                for lane in range(LANES):
                    x_grad[b, s, lane] += grad[b, i, lane]


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _tree(x: F32x3, n: int, offset: I32x2, c: int, at: int, coef: F32x3, values: F32x3, w: int) -> None:
    """Evaluate tree c of two-input nodes at `at`, node m into `values[w, m]`."""
    width = offset.shape[1] // 2
    for m in range(width):
        a, b = np.uint64(offset[c, 2 * m] + at), np.uint64(offset[c, 2 * m + 1] + at)
        c0, c1, c2, c3 = coef[c, m, 0], coef[c, m, 1], coef[c, m, 2], coef[c, m, 3]
        for lane in range(LANES):
            u = x[n, a, lane]
            values[w, m, lane] = (c0 + c1 * u) + x[n, b, lane] * (c2 + c3 * u)
    below, node = 0, width
    while width > 1:
        width //= 2
        for m in range(width):
            i, j = below + 2 * m, below + 2 * m + 1
            c0, c1, c2, c3 = coef[c, node, 0], coef[c, node, 1], coef[c, node, 2], coef[c, node, 3]
            for lane in range(LANES):
                u = values[w, i, lane]
                values[w, node, lane] = (c0 + c1 * u) + values[w, j, lane] * (c2 + c3 * u)
            node += 1
        below += 2 * width


@njit(cache=True, nogil=True, fastmath=_FAST)
def forward(x: F32x3, offset: I32x2, base: I32x2, coef: F32x3, y: F32x3, first: int, stop: int) -> None:
    """Fill `y` `[blocks, kernels * outputs per kernel, LANES]` for blocks `first .. stop - 1`."""
    kernels, leaves = offset.shape
    outputs, members = base.shape
    values = np.empty((1, leaves - 1, LANES), np.float32)
    for n in range(first, stop):
        for c in range(kernels):
            for q in range(outputs):
                o = c * outputs + q
                fresh = True
                for w in range(members):
                    at = base[q, w]
                    if at < 0:
                        continue
                    _tree(x, n, offset, c, at, coef, values, 0)
                    if fresh:
                        for lane in range(LANES):
                            y[n, o, lane] = values[0, leaves - 2, lane]
                    else:
                        for lane in range(LANES):
                            y[n, o, lane] = max(y[n, o, lane], values[0, leaves - 2, lane])
                    fresh = False


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _share_out(
    values: F32x3, root: int, base: I32x2, q: int, y_grad: F32x3, n: int, o: int, g: F32x3
) -> None:
    """Set `g[w, root]` to the gradient of member w, that of the output if w is the first largest."""
    members = base.shape[1]
    if members == 1:
        for lane in range(LANES):
            g[0, root, lane] = y_grad[n, o, lane]
        return
    best = members  # the last row of g holds the maximum, then what is left to share out
    fresh = True
    for w in range(members):
        if base[q, w] >= 0:
            for lane in range(LANES):
                v = values[w, root, lane]
                g[best, 0, lane] = v if fresh else max(g[best, 0, lane], v)
            fresh = False
    for lane in range(LANES):
        g[best, 1, lane] = y_grad[n, o, lane]
    for w in range(members):
        if base[q, w] >= 0:
            for lane in range(LANES):
                u = g[best, 1, lane]
                hit = values[w, root, lane] == g[best, 0, lane]
                g[w, root, lane] = u if hit else np.float32(0)
                g[best, 1, lane] = np.float32(0) if hit else u


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _descend(
    values: F32x3, w: int, c: int, slope: F32x3, g: F32x3, n: int, coef_grad: F32x3, leaves: int
) -> None:
    """Spread the root's gradient `g[w, leaves - 2]` over the nodes above the leaves' level.

    Adds to `coef_grad[n]` `[kernels * nodes, 4]`.
    """
    node, width = leaves - 2, 1
    below = node
    while 2 * width < leaves:
        below -= 2 * width
        for m in range(width):
            i, j, r = below + 2 * m, below + 2 * m + 1, node + m
            c1, c2, c3 = slope[c, r, 1], slope[c, r, 2], slope[c, r, 3]
            s0 = s1 = s2 = s3 = np.float32(0)
            for lane in range(LANES):
                u, a, b = g[w, r, lane], values[w, i, lane], values[w, j, lane]
                v = u * b
                s0 += u
                s1 += u * a
                s2 += v
                s3 += v * a
                g[w, i, lane] = u * (c1 + c3 * b)
                g[w, j, lane] = u * (c2 + c3 * a)
            row = c * (leaves - 1) + r
            coef_grad[n, row, 0] += s0
            coef_grad[n, row, 1] += s1
            coef_grad[n, row, 2] += s2
            coef_grad[n, row, 3] += s3
        node = below
        width *= 2


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _leaves(
    x: F32x3,
    n: int,
    offset: I32x2,
    c: int,
    at: int,
    slope: F32x3,
    g: F32x3,
    w: int,
    x_grad: F32x3,
    coef_grad: F32x3,
) -> None:
    """Spread the gradients of the leaves' level, `g[w]`; adds to `x_grad[n]` and `coef_grad[n]`."""
    leaves = offset.shape[1]
    for m in range(leaves // 2):
        a, b = np.uint64(offset[c, 2 * m] + at), np.uint64(offset[c, 2 * m + 1] + at)
        s0 = s1 = s2 = s3 = np.float32(0)
        if x_grad.shape[1]:
            c1, c2, c3 = slope[c, m, 1], slope[c, m, 2], slope[c, m, 3]
            for lane in range(LANES):
                u, p, q = g[w, m, lane], x[n, a, lane], x[n, b, lane]
                v = u * q
                s0 += u
                s1 += u * p
                s2 += v
                s3 += v * p
                x_grad[n, a, lane] += u * (c1 + c3 * q)
                x_grad[n, b, lane] += u * (c2 + c3 * p)
        else:
            for lane in range(LANES):
                u, p, q = g[w, m, lane], x[n, a, lane], x[n, b, lane]
                v = u * q
                s0 += u
                s1 += u * p
                s2 += v
                s3 += v * p
        row = c * (leaves - 1) + m
        coef_grad[n, row, 0] += s0
        coef_grad[n, row, 1] += s1
        coef_grad[n, row, 2] += s2
        coef_grad[n, row, 3] += s3


@njit(cache=True, nogil=True, fastmath=_FAST)
def backward(
    x: F32x3,
    offset: I32x2,
    base: I32x2,
    exact: F32x3,
    slope: F32x3,
    y_grad: F32x3,
    x_grad: F32x3,
    coef_grad: F32x3,
    first: int,
    stop: int,
) -> None:
    """Set the gradients of blocks `first .. stop - 1`.

    Values are those of the polynomials `exact`, gradients those of `slope`. `x_grad` is like `x`, or
    without elements if nobody needs it; `coef_grad` `[blocks, kernels * nodes, 4]`.
    """
    kernels, leaves = offset.shape
    outputs, members = base.shape
    nodes = leaves - 1
    values = np.empty((members, nodes, LANES), np.float32)
    g = np.empty((members + 1, max(nodes, 2), LANES), np.float32)
    for n in range(first, stop):
        x_grad[n] = 0
        coef_grad[n] = 0
        for c in range(kernels):
            for q in range(outputs):
                for w in range(members):
                    if base[q, w] >= 0:
                        _tree(x, n, offset, c, base[q, w], exact, values, w)
                _share_out(values, nodes - 1, base, q, y_grad, n, c * outputs + q, g)
                for w in range(members):
                    if base[q, w] >= 0:
                        _descend(values, w, c, slope, g, n, coef_grad, leaves)
                        _leaves(x, n, offset, c, base[q, w], slope, g, w, x_grad, coef_grad)


@njit(cache=True, nogil=True, fastmath=_FAST)
def pool(x: F32x3, member: I32x2, y: F32x3, first: int, stop: int) -> None:
    """Fill `y` `[blocks, outputs, LANES]` with maxima over `member` `[outputs, members]`, -1 for none."""
    for n in range(first, stop):
        for o in range(len(member)):
            fresh = True
            for w in range(member.shape[1]):
                s = member[o, w]
                if s >= 0:
                    for lane in range(LANES):
                        y[n, o, lane] = x[n, s, lane] if fresh else max(y[n, o, lane], x[n, s, lane])
                    fresh = False


@njit(cache=True, nogil=True, fastmath=_FAST)
def pool_backward(
    x: F32x3, member: I32x2, y: F32x3, y_grad: F32x3, x_grad: F32x3, first: int, stop: int
) -> None:
    """Set `x_grad` of blocks `first .. stop - 1`: the first largest member gets the output's gradient."""
    left = np.empty(LANES, np.float32)
    for n in range(first, stop):
        x_grad[n] = 0
        for o in range(len(member)):
            for lane in range(LANES):
                left[lane] = y_grad[n, o, lane]
            for w in range(member.shape[1]):
                s = member[o, w]
                if s >= 0:
                    for lane in range(LANES):
                        u = left[lane]
                        hit = x[n, s, lane] == y[n, o, lane]
                        x_grad[n, s, lane] += u if hit else np.float32(0)
                        left[lane] = np.float32(0) if hit else u
