"""From a relaxation's parameters to coefficients of nodes, and gradients back, row by row.

A map of 2^k numbers per node that is the same for each pin, a Kronecker power of a 2 x 2 matrix, takes
k 2^k additions: Moebius' transform, Hadamard's, their transposes, and Walsh coefficients to monomials.
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit

from .._typing import F32x1
from .simd import (
    WIDTH,
    alternate,
    exp,
    larger,
    load,
    sigmoid,
    splat,
    store,
    swap,
)

Kernel = Callable[..., None]
Matrix = tuple[float, float, float, float]
IDENTITY: Matrix = (1, 0, 0, 1)
MOEBIUS: Matrix = (1, 0, -1, 1)
ZETA: Matrix = (1, 0, 1, 1)
"""Of monomials, the table: the inverse of `MOEBIUS`."""
HADAMARD: Matrix = (1, 1, 1, -1)
WALSH: Matrix = (1, 1, 0, -2)
"""Of Walsh coefficients, the monomials': w0 + w1 (1 - 2 x)."""


def transposed(matrix: Matrix) -> Matrix:
    """Exchange rows and columns."""
    a, b, c, d = matrix
    return a, c, b, d


@njit(cache=True, nogil=True)
def _slope(gate: F32x1, i: Any) -> Any:
    p = load(gate, i)
    return p * (splat(np.float32(1)) - p)


@njit(cache=True, nogil=True)
def rows(
    k: int,
    given: F32x1,
    noise: F32x1,
    scale: float,
    matrix: tuple[float, float, float, float],
    squash: int,
    gate: F32x1,
    late: bool,
    out: F32x1,
    kept: F32x1,
    first: int,
    stop: int,
) -> None:
    """Map groups `first .. stop - 1` of max(16, 2^k) elements of flat arrays, tables of 2^k rows.

    (`given` + `noise`) times `scale`, if `gate` has elements p times p (1 - p), `late` after
    everything else; sigmoid if `squash` is 1, copied to `kept` if that has elements; the
    transform; sigmoid if `squash` is 2.
    """
    size = max(WIDTH, 1 << k)
    m00, m01 = np.float32(matrix[0]), np.float32(matrix[1])
    m10, m11 = np.float32(matrix[2]), np.float32(matrix[3])
    factor = splat(np.float32(scale))
    for group in range(first, stop):
        for chunk in range(0, size, WIDTH):
            i = np.uint64(group * size + chunk)
            v = load(given, i)
            if noise.size:
                v = v + load(noise, i)
            v = v * factor
            if gate.size and not late:
                v = v * _slope(gate, i)
            if squash == 1:
                v = sigmoid(v)
            if kept.size:
                store(kept, i, v)
            if k > 0:
                v = v * alternate(m00, m11, 1) + swap(v, 1) * alternate(m01, m10, 1)
            if k > 1:
                v = v * alternate(m00, m11, 2) + swap(v, 2) * alternate(m01, m10, 2)
            if k > 2:
                v = v * alternate(m00, m11, 4) + swap(v, 4) * alternate(m01, m10, 4)
            if k > 3:
                v = v * alternate(m00, m11, 8) + swap(v, 8) * alternate(m01, m10, 8)
            store(out, i, v)
        step = WIDTH
        while step < size:
            for r in range(0, size, 2 * step):
                for s in range(r, r + step, WIDTH):
                    i, j = np.uint64(group * size + s), np.uint64(group * size + s + step)
                    a, b = load(out, i), load(out, j)
                    store(out, i, a * splat(m00) + b * splat(m01))
                    store(out, j, a * splat(m10) + b * splat(m11))
            step *= 2
        if squash == 2 or (gate.size and late):
            for chunk in range(0, size, WIDTH):
                i = np.uint64(group * size + chunk)
                v = load(out, i)
                v = sigmoid(v) if squash == 2 else v * _slope(gate, i)
                store(out, i, v)


@njit(cache=True, nogil=True)
def _most(v: Any, count: int) -> Any:
    v = larger(v, swap(v, 1))
    if count > 2:
        v = larger(v, swap(v, 2))
    if count > 4:
        v = larger(v, swap(v, 4))
    if count > 8:
        v = larger(v, swap(v, 8))
    return v


@njit(cache=True, nogil=True)
def _sum(v: Any, count: int) -> Any:
    v = v + swap(v, 1)
    if count > 2:
        v = v + swap(v, 2)
    if count > 4:
        v = v + swap(v, 4)
    if count > 8:
        v = v + swap(v, 8)
    return v


@cache
def softmax(count: int) -> tuple[Kernel, Kernel]:
    """Softmax of rows of `count` logits and its gradient, compiled for 2, 4, 8 or a multiple of 16.

    A vector holds several short rows: exchanging lanes inside a row joins its elements in all of them.
    """
    size = max(WIDTH, count)

    @njit(cache=True, nogil=True)
    def forward(z: F32x1, out: F32x1, first: int, stop: int) -> None:
        """Fill groups `first .. stop - 1` of `size` elements of flat arrays."""
        for group in range(first, stop):
            i = np.uint64(group * size)
            most, total = load(z, i), splat(np.float32(0))
            for chunk in range(WIDTH, size, WIDTH):
                most = larger(most, load(z, i + np.uint64(chunk)))
            most = _most(most, count)
            for chunk in range(0, size, WIDTH):
                v = exp(load(z, i + np.uint64(chunk)) - most)
                store(out, i + np.uint64(chunk), v)
                total = total + v
            share = splat(np.float32(1)) / _sum(total, count)
            for chunk in range(0, size, WIDTH):
                store(out, i + np.uint64(chunk), load(out, i + np.uint64(chunk)) * share)

    @njit(cache=True, nogil=True)
    def backward(y: F32x1, y_grad: F32x1, z_grad: F32x1, first: int, stop: int) -> None:
        """Fill groups of `z_grad`, `y` being what `forward` gave."""
        for group in range(first, stop):
            i = np.uint64(group * size)
            total = splat(np.float32(0))
            for chunk in range(0, size, WIDTH):
                j = i + np.uint64(chunk)
                total = total + load(y, j) * load(y_grad, j)
            total = _sum(total, count)
            for chunk in range(0, size, WIDTH):
                j = i + np.uint64(chunk)
                store(z_grad, j, load(y, j) * (load(y_grad, j) - total))

    return forward, backward
