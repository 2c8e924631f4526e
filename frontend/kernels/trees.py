"""Convolutions by trees of any nodes: k inputs, logits, noise. As `conv`, which is faster where it applies.

A node that is squashed (`cpu.LOGISTIC`, `cpu.STEP`) has a polynomial that is a logit; noise is drawn where
it is needed, the same forward and backward.
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np
from numba import njit

from .._typing import F32x2, F32x3, I32x1, I32x2
from .conv import _share_out
from .cpu import LANES, LOGISTIC, PLAIN, _probability

_FAST = {"reassoc", "contract", "nsz"}  # sums may be vectorised; NaN stays NaN


@njit(cache=True, nogil=True)
def _noise(key: np.uint64, scale: float, place: int, out: F32x2, row: int) -> None:
    """Add logistic noise that depends on `key` and the place alone: splitmix64 (Steele 2014) of a counter."""
    if scale == 0:
        return
    for lane in range(LANES):
        z = key + np.uint64(place * LANES + lane + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        u = (np.float64(z >> np.uint64(12)) + 0.5) / (1 << 52)
        out[row, lane] += np.float32(scale * np.log(u / (1 - u)))


@njit(cache=True, nogil=True, fastmath=_FAST)
def _fold(pins: F32x3, w: int, below: int, coef: F32x3, c: int, m: int, work: F32x2) -> int:
    """Evaluate the polynomial of node m on rows `below ...` of `pins[w]`; returns its row of `work`.

    `work` `[2**k - 1, LANES]` receives 2**(k-1) rows with pin 0 eliminated, then half as many, ...
    """
    rows = coef.shape[2] // 2
    for r in range(rows):
        low, high = coef[c, m, 2 * r], coef[c, m, 2 * r + 1]
        for lane in range(LANES):
            work[r, lane] = low + high * pins[w, below, lane]
    start, p = 0, 1
    while rows > 1:
        here = start + rows
        rows //= 2
        for r in range(rows):
            a, b = start + 2 * r, start + 2 * r + 1
            for lane in range(LANES):
                work[here + r, lane] = work[a, lane] + pins[w, below + p, lane] * work[b, lane]
        start = here
        p += 1
    return start


@njit(cache=True, nogil=True, fastmath=_FAST)
def _unfold(
    pins: F32x3,
    w: int,
    below: int,
    coef: F32x3,
    c: int,
    m: int,
    work: F32x2,
    g: F32x3,
    coef_grad: F32x3,
    n: int,
) -> None:
    """Undo `_fold`; the last row of `work` holds the output's gradient on entry.

    Overwrites `work` by gradients, sets rows `below ...` of `g[w]`, adds to `coef_grad[n]`.
    """
    here, rows = coef.shape[2] - 2, 1
    p = 0
    while 2 << p < coef.shape[2]:
        p += 1
    while p > 0:
        start = here - 2 * rows
        for lane in range(LANES):
            g[w, below + p, lane] = 0
        for r in range(rows):
            a, b = start + 2 * r, start + 2 * r + 1
            for lane in range(LANES):
                u = work[here + r, lane]
                g[w, below + p, lane] += u * work[b, lane]
                work[a, lane] = u
                work[b, lane] = u * pins[w, below + p, lane]
        here, rows = start, 2 * rows
        p -= 1
    for lane in range(LANES):
        g[w, below, lane] = 0
    row = c * coef.shape[1] + m
    for r in range(rows):
        high = coef[c, m, 2 * r + 1]
        total = moment = np.float32(0)
        for lane in range(LANES):
            g[w, below, lane] += high * work[r, lane]
            total += work[r, lane]
            moment += work[r, lane] * pins[w, below, lane]
        coef_grad[n, row, 2 * r] += total
        coef_grad[n, row, 2 * r + 1] += moment


@njit(cache=True, nogil=True, fastmath=_FAST)
def _evaluate(
    x: F32x3,
    n: int,
    offset: I32x2,
    c: int,
    at: int,
    k: int,
    coef: F32x3,
    squash: int,
    key: np.uint64,
    scale: float,
    place: int,
    values: F32x3,
    w: int,
    work: F32x2,
    scratch: I32x1,
) -> None:
    """Fill `values[w]` with the leaves, then the nodes."""
    leaves, nodes = offset.shape[1], coef.shape[1]
    for j in range(leaves):
        s = np.uint64(offset[c, j] + at)
        for lane in range(LANES):
            values[w, j, lane] = x[n, s, lane]
    for m in range(nodes):
        last = _fold(values, w, k * m, coef, c, m, work)
        if squash != PLAIN:
            _noise(key, scale, place * nodes + m, work, last)
            if squash == LOGISTIC:
                _probability(work[last], scratch)
            else:
                for lane in range(LANES):
                    work[last, lane] = np.float32(work[last, lane] > 0)
        for lane in range(LANES):
            values[w, leaves + m, lane] = work[last, lane]


@njit(cache=True, nogil=True, fastmath=_FAST)
def forward(
    x: F32x3,
    offset: I32x2,
    base: I32x2,
    k: int,
    coef: F32x3,
    squash: int,
    key: np.uint64,
    scale: float,
    y: F32x3,
    first: int,
    stop: int,
) -> None:
    """As `conv.forward`, `squash` being `cpu.PLAIN`, `LOGISTIC` or `STEP`, `scale` that of noise."""
    kernels, leaves = offset.shape
    outputs, members = base.shape
    root = leaves + coef.shape[1] - 1
    values = np.empty((1, root + 1, LANES), np.float32)
    work = np.empty((coef.shape[2] - 1, LANES), np.float32)
    scratch = np.empty(LANES, np.int32)
    for n in range(first, stop):
        for c in range(kernels):
            for q in range(outputs):
                o = c * outputs + q
                fresh = True
                for w in range(members):
                    if base[q, w] < 0:
                        continue
                    place = (n * kernels * outputs + o) * members + w
                    _evaluate(
                        x, n, offset, c, base[q, w], k, coef, squash, key, scale, place,
                        values, 0, work, scratch,
                    )  # fmt: skip
                    for lane in range(LANES):
                        v = values[0, root, lane]
                        y[n, o, lane] = v if fresh else max(y[n, o, lane], v)
                    fresh = False


@njit(cache=True, nogil=True, fastmath=_FAST)
def backward(
    x: F32x3,
    offset: I32x2,
    base: I32x2,
    k: int,
    exact: F32x3,
    slope: F32x3,
    squash: int,
    logistic: bool,
    key: np.uint64,
    scale: float,
    y_grad: F32x3,
    x_grad: F32x3,
    coef_grad: F32x3,
    first: int,
    stop: int,
) -> None:
    """As `conv.backward`; values are those of a forward pass with `exact` and `squash`.

    With `logistic`, gradients are those of the probability whose logit `slope` gives.
    """
    kernels, leaves = offset.shape
    outputs, members = base.shape
    nodes, rows = exact.shape[1], exact.shape[2]
    root = leaves + nodes - 1
    values = np.empty((members, root + 1, LANES), np.float32)
    g = np.empty((members + 1, max(root + 1, 2), LANES), np.float32)
    work = np.empty((rows - 1, LANES), np.float32)
    scratch = np.empty(LANES, np.int32)
    chance = np.empty(LANES, np.float32)
    for n in range(first, stop):
        x_grad[n] = 0
        coef_grad[n] = 0
        for c in range(kernels):
            for q in range(outputs):
                o = c * outputs + q
                place = (n * kernels * outputs + o) * members
                for w in range(members):
                    if base[q, w] >= 0:
                        _evaluate(
                            x, n, offset, c, base[q, w], k, exact, squash, key, scale, place + w,
                            values, w, work, scratch,
                        )  # fmt: skip
                _share_out(values, root, base, q, y_grad, n, o, g)
                for w in range(members):
                    if base[q, w] < 0:
                        continue
                    for m in range(nodes - 1, -1, -1):
                        last = _fold(values, w, k * m, slope, c, m, work)
                        if logistic:
                            _noise(key, scale, (place + w) * nodes + m, work, last)
                            for lane in range(LANES):
                                chance[lane] = work[last, lane]
                            _probability(chance, scratch)
                        for lane in range(LANES):
                            u = g[w, leaves + m, lane]
                            work[last, lane] = u * chance[lane] * (1 - chance[lane]) if logistic else u
                        _unfold(values, w, k * m, slope, c, m, work, g, coef_grad, n)
                    if x_grad.shape[1]:
                        for j in range(leaves):
                            s = np.uint64(offset[c, j] + base[q, w])
                            for lane in range(LANES):
                                x_grad[n, s, lane] += g[w, j, lane]
