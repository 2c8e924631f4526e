"""Layers whose inputs are bits, forward and backward: 64 samples of an input are a word.

A word takes a 32nd of the room of 64 float32, so what a layer reads stays in the first caches, and a node
of a hard forward pass is a few operations on words. Backward a bit says which slope is a pin's and which
entries get the output's gradient; gradients themselves are float32 `[nodes, LANES]` as in `fixed`.
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit

from .._typing import F32x1, F32x2, F32x3, I32x1, I32x2, I32x3, U64x1, U64x2
from .bits import (
    ADDRESSED,
    add_word,
    dot_word,
    gradients,
    look_up,
    output,
    row_differs,
    row_word,
    write_word,
)
from .fixed import add_row, slope_row, squash_row
from .simd import LANES, LOGISTIC, PLAIN, STEP, total

Kernel = Callable[..., None]


@njit(cache=True, nogil=True)
def pack(x: F32x3, words: U64x2, first: int, stop: int) -> bool:
    """Set blocks `first .. stop - 1` of `words` `[blocks, features]` to `x`; False if some is no 0 or 1."""
    features = np.uint64(x.shape[1])
    flat, found, differs = x.ravel(), words.ravel(), np.uint64(0)
    for i in range(np.uint64(first) * features, np.uint64(stop) * features):
        o = i * np.uint64(LANES)
        found[i] = row_word(flat, o)
        differs |= row_differs(flat, o, found[i])
        if differs:
            break
    return bool(differs == np.uint64(0))


@njit(cache=True, nogil=True)
def tables(values: F32x2, out: U64x1) -> bool:
    """Set bit r of `out[i]` to `values[i, r]`; False if some is no 0 or 1."""
    for i in range(len(values)):
        word = np.uint64(0)
        for r in range(values.shape[1]):
            value = values[i, r]
            if value * (value - 1) != 0:
                return False
            word |= np.uint64(value) << np.uint64(r)
        out[i] = word
    return True


@njit(cache=True, nogil=True)
def chosen(weight: F32x3, source: I32x3, out: I32x2) -> bool:
    """Set `out` `[nodes, k]` to the candidates whose weights are not 0; False if a pin has not one."""
    nodes, k, count = weight.shape
    for i in range(nodes):
        for p in range(k):
            found = 0
            for c in range(count):
                if weight[i, p, c] != 0:
                    found += 1
                    out[i, p] = source[i, p, c]
            if found != 1:
                return False
    return True


@njit(cache=True, nogil=True)
def _by_address(address: I32x1, values: F32x1, o: Any, rows: int, found: F32x1, out: F32x1, h: Any) -> None:
    """Set `out[h + r]` to the sum of those of `values[o : o + 64]` whose address is r.

    Four sums of each are kept, so that equal addresses need not wait for each other.
    """
    n = np.uint64(rows)
    found[:] = 0
    for s in range(np.uint64(0), np.uint64(LANES), np.uint64(4)):
        for i in range(np.uint64(4)):
            found[np.uint64(address[s + i]) + i * n] += values[o + s + i]
    for r in range(n):
        low = found[r] + found[r + n]
        out[h + r] = low + (found[r + n + n] + found[r + n + n + n])


@cache
def kernels(k: int, permute: bool) -> tuple[Kernel, Kernel]:
    """Forward and backward of layers of k pins of one source each, compiled for this k."""
    rows, fast = 1 << k, int(permute)

    @njit(cache=True, nogil=True)
    def forward(
        x: U64x1,
        source: I32x2,
        order: I32x1,
        table: U64x1,
        logit: F32x1,
        noise: F32x2,
        squash: int,
        placed: bool,
        words: U64x1,
        y: F32x2,
        counts: F32x2,
    ) -> None:
        """Evaluate a layer on a block `x` `[features]` of words, node `order[t]` as the t-th.

        Its truth table is `table[t]`; or, if `logit` has entries `[nodes, 2**k]`, flat, its output is the
        one addressed, plus the noise of its own row, squashed. Outputs go to `words[t]`; to the row t of `y`,
        or its own if `placed`; or, summed, to `counts` `[groups, LANES]`: whatever has elements.
        """
        nodes, groups = len(order), counts.shape[0]
        share = np.uint64(nodes // max(groups, 1))
        soft, noisy, keep = logit.size > 0, noise.shape[0] > 0, y.shape[0] > 0
        row = np.empty(LANES, np.float32)
        ss, ns, ys, sums = source.ravel(), noise.ravel(), y.ravel(), counts.ravel()
        lanes, zero = np.uint64(LANES), np.uint64(0)
        counts[:] = 0
        for t in range(np.uint64(nodes)):
            i, p = np.uint64(order[t]), t * np.uint64(k)
            o, g = (i if placed else t) * lanes, i // share * lanes
            if soft and squash != STEP:
                to, at = (ys, o) if keep else (row, zero)
                look_up(k, fast, x, ss, p, logit, t * np.uint64(rows), to, at)
                if squash != PLAIN:
                    squash_row(to, at, ns, i * lanes, noisy, squash)
                if groups:
                    add_row(sums, g, to, at)
                continue
            if soft:
                look_up(k, fast, x, ss, p, logit, t * np.uint64(rows), row, zero)
                if noisy:
                    squash_row(row, zero, ns, i * lanes, noisy, PLAIN)
                word = row_word(row, zero)
            else:
                word = output(k, fast, x, ss, p, table[t])
            if groups:
                add_word(sums, g, word)
            elif keep:
                write_word(ys, o, word)
            else:
                words[t] = word

    @njit(cache=True, nogil=True)
    def backward(
        x: U64x1,
        source: I32x2,
        order: I32x1,
        entries: F32x1,
        logit: F32x1,
        noise: F32x2,
        squash: int,
        placed: bool,
        y: F32x2,
        y_grad: F32x2,
        candidate: I32x3,
        x_grad: F32x2,
        weight_grad: F32x3,
        table_grad: F32x2,
    ) -> None:
        """Set `x_grad`, unless it is without features, `weight_grad`, unless without nodes, and `table_grad`.

        Arguments as in `forward`. Slopes are those of the tables `entries`, flat; with `squash` the gradient
        goes through the probability, `y` if it has nodes, else of `logit` and noise. `candidate`, where the
        sources were chosen among several, are all of them. Nothing need be cleared before; the rows of
        `table_grad` are nodes in order of evaluation, `y_grad` has a row per node, or per group of nodes.
        """
        nodes, given = len(order), y_grad.shape[0]
        share = np.uint64(nodes // given)
        keep, noisy = y.shape[0] > 0, noise.shape[0] > 0
        want, learn = x_grad.shape[0] > 0, weight_grad.shape[0] > 0
        row, sums = np.empty(LANES, np.float32), np.empty(4 * rows, np.float32)
        address = np.empty(LANES, np.int32)
        pins, own = np.empty(k * LANES, np.float32), np.arange(k).astype(np.int32)
        ss, ns, ys, gs = source.ravel(), noise.ravel(), y.ravel(), y_grad.ravel()
        xg, cg, wg, cs = x_grad.ravel(), table_grad.ravel(), weight_grad.ravel(), candidate.ravel()
        lanes, zero = np.uint64(LANES), np.uint64(0)
        count = np.uint64(candidate.shape[2])
        x_grad[:] = 0
        for t in range(np.uint64(nodes)):
            i, p, j = np.uint64(order[t]), t * np.uint64(k), t * np.uint64(rows)
            o = (i if placed else t) * lanes
            u, g = gs, o if given == nodes else i // share * lanes
            if squash != PLAIN:
                if keep:
                    slope_row(ys, o, gs, g, row)
                else:
                    look_up(k, fast, x, ss, p, logit, j, row, zero)
                    squash_row(row, zero, ns, i * lanes, noisy, LOGISTIC)
                    slope_row(row, zero, gs, g, row)
                u, g = row, zero
            if learn:
                pins[:] = 0
                gradients(k, fast, 1, x, ss, p, entries, j, u, g, pins, own, zero, cg, j, address)
                for q in range(np.uint64(k)):
                    for c in range(count):
                        e = (p + q) * count + c
                        wg[e] = total(dot_word(pins, q * lanes, x[np.uint64(cs[e])]))
                    if want:
                        add_row(xg, np.uint64(ss[p + q]) * lanes, pins, q * lanes)
            elif want:
                gradients(k, fast, 1, x, ss, p, entries, j, u, g, xg, ss, p, cg, j, address)
            else:
                gradients(k, fast, 0, x, ss, p, entries, j, u, g, xg, ss, p, cg, j, address)
            if k >= ADDRESSED:
                _by_address(address, u, g, rows, sums, cg, j)

    return forward, backward
