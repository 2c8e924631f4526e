"""Fused layers on the CPU: wiring and node function in one pass, forward and backward.

Activations are float32 `[block, feature, LANES]`: a block is a `[feature, batch]` matrix of 64 samples
that stays in a core's cache. Threads share out the blocks (`threads.share`), so scattered gradients never
collide, and sums over blocks are taken in order: results do not depend on the number of threads.

A layer's node i has k pins; pin p reads `sum_c weight[i, p, c] * x[source[i, p, c]]` (one candidate of
weight 1 if the wiring is fixed) and the node evaluates the polynomial `coef[i]` in the monomial
basis: bit p of the index s tells whether pin p is a factor of the monomial s. A squashed node's
polynomial, plus noise if there is any, is a logit: `LOGISTIC` gives its probability, `STEP` its sign.
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np
from numba import njit

from .._typing import Bool2, F32x1, F32x2, F32x3, F32x4, I32x1, I32x3, I64x1

LANES = 64
"""Samples per block."""
PLAIN, LOGISTIC, STEP = 0, 1, 2
"""What becomes of a node's polynomial: the output, its probability, or whether it is positive."""

_FAST = {"reassoc", "contract", "nsz"}  # sums may be vectorised; NaN stays NaN


@njit(cache=True, nogil=True, fastmath=_FAST)
def _mix(x: F32x2, source: I32x3, weight: F32x3, i: int, pins: F32x2) -> None:
    """Fill `pins` `[k, LANES]` with what node i reads from `x` `[features, LANES]`."""
    _, k, candidates = source.shape
    for p in range(k):
        s = source[i, p, 0]
        w = weight[i, p, 0]
        for lane in range(LANES):
            pins[p, lane] = w * x[s, lane]
        for c in range(1, candidates):
            w = weight[i, p, c]
            if w != 0:
                s = source[i, p, c]
                for lane in range(LANES):
                    pins[p, lane] += w * x[s, lane]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _fold(pins: F32x2, coef: F32x2, i: int, tree: F32x2) -> None:
    """Evaluate the polynomial by eliminating one pin after the other.

    `tree` `[2**k - 1, LANES]` receives 2**(k-1) rows with pin 0 eliminated, then half as many with pin 1
    eliminated, ..., last the node's output.
    """
    k = pins.shape[0]
    rows = 1 << (k - 1)
    for r in range(rows):
        low, high = coef[i, 2 * r], coef[i, 2 * r + 1]
        for lane in range(LANES):
            tree[r, lane] = low + high * pins[0, lane]
    below = 0
    for p in range(1, k):
        here = below + rows
        rows >>= 1
        for r in range(rows):
            a, b = below + 2 * r, below + 2 * r + 1
            for lane in range(LANES):
                tree[here + r, lane] = tree[a, lane] + pins[p, lane] * tree[b, lane]
        below = here


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")  # a check for 0 stops vectorising
def _probability(logits: F32x1, scratch: I32x1) -> None:
    """Replace `logits` `[LANES]` by `1 / (1 + exp(-logit))`, to 2e-7; `scratch` `[LANES]`.

    In plain arithmetic, so that it vectorises: exp(-v) = 2^n 2^f with n an integer, |f| <= 1/2.
    """
    power = scratch.view(np.float32)
    for lane in range(LANES):
        t = logits[lane] * np.float32(-1.4426950408889634)
        n = min(max(np.floor(t + np.float32(0.5)), np.float32(-126)), np.float32(126))
        scratch[lane] = (np.int32(n) + 127) << 23
        logits[lane] = t - n
    for lane in range(LANES):
        f = logits[lane]
        # Taylor series of 2^f: beyond the clamp it grows past all bounds, as it should; NaN stays
        e = np.float32(0.00015403530) * f + np.float32(0.0013333558)
        e = e * f + np.float32(0.0096181291)
        e = e * f + np.float32(0.055504109)
        e = e * f + np.float32(0.24022651)
        e = e * f + np.float32(0.69314718)
        e = (e * f + np.float32(1)) * power[lane]
        logits[lane] = np.float32(1) / (np.float32(1) + e)


@njit(cache=True, nogil=True, fastmath=_FAST)
def _squash(logits: F32x1, squash: int, scratch: I32x1) -> None:
    if squash == LOGISTIC:
        _probability(logits, scratch)
    else:
        for lane in range(LANES):
            logits[lane] = np.float32(logits[lane] > 0)


@njit(cache=True, nogil=True, fastmath=_FAST)
def _add(values: F32x1, more: F32x2, i: int) -> None:
    """Add row i of `more`, if it has rows."""
    if more.shape[0]:
        for lane in range(LANES):
            values[lane] += more[i, lane]


@njit(cache=True, nogil=True, fastmath=_FAST)
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
    """Evaluate a layer on blocks `first .. stop - 1`.

    Fills `y` `[blocks, nodes, LANES]` from `x` `[blocks, features, LANES]`; `noise` is like `y`, or
    without nodes. `squash` is `PLAIN`, `LOGISTIC` or `STEP`.
    """
    nodes, k, _ = source.shape
    pins = np.empty((k, LANES), np.float32)
    tree = np.empty(((1 << k) - 1, LANES), np.float32)
    scratch = np.empty(LANES, np.int32)
    last = (1 << k) - 2
    for b in range(first, stop):
        for i in range(nodes):
            _mix(x[b], source, weight, i, pins)
            _fold(pins, coef, i, tree)
            for lane in range(LANES):
                y[b, i, lane] = tree[last, lane]
            if squash != PLAIN:
                _add(y[b, i], noise[b], i)
                _squash(y[b, i], squash, scratch)


@njit(cache=True, nogil=True, fastmath=_FAST)
def _unfold(pins: F32x2, coef: F32x2, i: int, tree: F32x2, pin_grad: F32x2, coef_grad: F32x2) -> None:
    """Undo `_fold` for gradients; the last row of `tree` holds the output's gradient on entry.

    Overwrites `tree` by gradients, fills `pin_grad` `[k, LANES]`, adds to `coef_grad[i]`.
    """
    k = pins.shape[0]
    rows = 1
    here = (1 << k) - 2
    for p in range(k - 1, 0, -1):
        below = here - 2 * rows
        for lane in range(LANES):
            pin_grad[p, lane] = 0
        for r in range(rows):
            a, b, g = below + 2 * r, below + 2 * r + 1, here + r
            for lane in range(LANES):
                pin_grad[p, lane] += tree[g, lane] * tree[b, lane]
                tree[a, lane] = tree[g, lane]
                tree[b, lane] = tree[g, lane] * pins[p, lane]
        here = below
        rows *= 2
    for lane in range(LANES):
        pin_grad[0, lane] = 0
    for r in range(rows):
        high = coef[i, 2 * r + 1]
        total = np.float32(0)
        moment = np.float32(0)
        for lane in range(LANES):
            pin_grad[0, lane] += high * tree[r, lane]
            total += tree[r, lane]
            moment += tree[r, lane] * pins[0, lane]
        coef_grad[i, 2 * r] += total
        coef_grad[i, 2 * r + 1] += moment


@njit(cache=True, nogil=True, fastmath=_FAST)
def _unmix(
    x: F32x2, source: I32x3, weight: F32x3, i: int, pin_grad: F32x2, x_grad: F32x2, weight_grad: F32x3
) -> None:
    """Spread the pins' gradients to the sources (if `x_grad` has rows) and weights (likewise)."""
    _, k, candidates = source.shape
    for p in range(k):
        for c in range(candidates):
            s = source[i, p, c]
            if weight_grad.shape[0]:
                total = np.float32(0)
                for lane in range(LANES):
                    total += pin_grad[p, lane] * x[s, lane]
                weight_grad[i, p, c] += total
            w = weight[i, p, c]
            if x_grad.shape[0] and w != 0:
                for lane in range(LANES):
                    x_grad[s, lane] += w * pin_grad[p, lane]


@njit(cache=True, nogil=True, fastmath=_FAST)
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
    """Add the gradients of blocks `first .. stop - 1` to `x_grad`, `weight_grad` and `coef_grad`.

    A node that is squashed has the gradient of its probability.

    `x_grad` is `[blocks, features, LANES]`, or has no features if nobody needs it; `weight_grad`
    `[blocks, nodes, k, candidates]`, or without nodes; `coef_grad` `[blocks, nodes, 2**k]`.
    """
    nodes, k, _ = source.shape
    pins = np.empty((k, LANES), np.float32)
    pin_grad = np.empty((k, LANES), np.float32)
    tree = np.empty(((1 << k) - 1, LANES), np.float32)
    scratch = np.empty(LANES, np.int32)
    slope = np.empty(LANES, np.float32)
    last = (1 << k) - 2
    for b in range(first, stop):
        for i in range(nodes):
            _mix(x[b], source, weight, i, pins)
            _fold(pins, coef, i, tree)
            if squash != PLAIN:
                _add(tree[last], noise[b], i)
                _probability(tree[last], scratch)
                for lane in range(LANES):
                    slope[lane] = tree[last, lane] * (1 - tree[last, lane])
            for lane in range(LANES):
                tree[last, lane] = y_grad[b, i, lane]
            if squash != PLAIN:
                for lane in range(LANES):
                    tree[last, lane] *= slope[lane]
            _unfold(pins, coef, i, tree, pin_grad, coef_grad[b])
            _unmix(x[b], source, weight, i, pin_grad, x_grad[b], weight_grad[b])


@njit(cache=True, nogil=True)
def gather(bits: Bool2, order: I64x1, out: F32x3, first: int, stop: int) -> None:
    """Lay samples `order` of `bits` `[samples, features]` out as `[blocks, features, LANES]`.

    Lanes beyond the last sample repeat it.
    """
    features = out.shape[1]
    for b in range(first, stop):
        for lane in range(LANES):
            sample = order[min(b * LANES + lane, len(order) - 1)]
            for f in range(features):
                out[b, f, lane] = bits[sample, f]


@njit(cache=True, nogil=True)
def logistic_noise(key: np.uint64, scale: float, out: F32x3, first: int, stop: int) -> None:
    """Fill blocks `first .. stop - 1` of `out` with logistic noise of this scale.

    The value of an element depends on `key` and its place alone: splitmix64 (Steele 2014) of a counter.
    """
    _, nodes, lanes = out.shape
    for b in range(first, stop):
        for i in range(nodes):
            for lane in range(lanes):
                z = key + np.uint64((b * nodes + i) * lanes + lane + 1) * np.uint64(0x9E3779B97F4A7C15)
                z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                z ^= z >> np.uint64(31)
                u = (np.float64(z >> np.uint64(12)) + 0.5) / (1 << 52)
                out[b, i, lane] = scale * np.log(u / (1 - u))


@njit(cache=True, nogil=True)
def moebius(table: F32x2) -> None:
    """Turn truth tables `[nodes, 2**k]` into coefficients of monomials, in place."""
    nodes, rows = table.shape
    for i in range(nodes):
        step = 1
        while step < rows:
            for r in range(0, rows, 2 * step):
                for s in range(r, r + step):
                    table[i, s + step] -= table[i, s]
            step *= 2


@njit(cache=True, nogil=True)
def moebius_transposed(grad: F32x2) -> None:
    """Turn gradients of coefficients `[nodes, 2**k]` into those of truth tables, in place."""
    nodes, rows = grad.shape
    for i in range(nodes):
        step = rows >> 1
        while step:
            for r in range(0, rows, 2 * step):
                for s in range(r, r + step):
                    grad[i, s] -= grad[i, s + step]
            step >>= 1
