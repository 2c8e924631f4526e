"""What a training step needs besides its layers: input bits in blocks, noise, the Moebius transform.

Activations are float32 `[block, feature, LANES]`: a block is a `[feature, batch]` matrix of 64 samples
that stays in a core's cache. Threads share out the blocks (`threads.share`), so scattered gradients never
collide, and sums over blocks are taken in order: results do not depend on the number of threads.

A layer's node i has k pins; pin p reads `sum_c weight[i, p, c] * x[source[i, p, c]]` (`mixed`), or
`x[source[i, p]]` if the wiring is fixed (`fixed`), and the node evaluates the polynomial `coef[i]` in the
monomial basis: bit p of the index s tells whether pin p is a factor of the monomial s. A squashed node's
polynomial, plus noise if there is any, is a logit: `LOGISTIC` gives its probability, `STEP` its sign.
A layer whose inputs are all bits reads them as words of 64 samples (`packed`).
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np
from numba import njit

from .._typing import Bool2, F32x1, F32x3, I32x1, I64x1
from . import simd

LANES = simd.LANES
"""Samples per block."""
PLAIN, LOGISTIC, STEP = simd.PLAIN, simd.LOGISTIC, simd.STEP
"""What becomes of a node's polynomial: the output, its probability, or whether it is positive."""

_FAST = {"reassoc", "contract", "nsz"}  # sums may be vectorised; NaN stays NaN


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
