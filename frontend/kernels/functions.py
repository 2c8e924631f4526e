"""From a layer's parameters to the tables or polynomials its kernels read, and gradients back.

Nodes come in the order of evaluation: what was a pass over all nodes for the map, one to arrange its
results, one to sum the blocks' gradients and one to arrange these is one pass, a few nodes at a time.
"""
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from torch import Tensor

from .._typing import F32x1, F32x2, F32x3, F64x1, I32x1, U64x1
from . import maps, mixtures
from .maps import MOEBIUS, ZETA, Matrix
from .simd import WIDTH

_NODES = 64
"""Nodes mapped at a time."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """How parameters `[nodes, n]` become tables of 2^k numbers.

    Attributes:
        matrix: its k-th Kronecker power maps `scale` (parameters + noise) to tables.
        squash: whether these are the sigmoids' instead.
        basis: float32 `[16, 4]`: tables are softmax(`scale` (parameters + noise)) times it instead.
        slope: a matrix that gives the tables whose polynomials' slopes are the gradients of the pins.
        walsh: truth tables are those whose sums of Walsh's coefficients are negative; else where parameters +
            noise are positive, or with `basis` the row of the largest.
        noise: float32, as the parameters.
    """

    matrix: Matrix = ZETA
    scale: float = 1.0
    squash: bool = False
    basis: F32x2 | None = None
    slope: Matrix | None = None
    walsh: bool = False
    noise: Tensor | None = None


POLYNOMIALS = Recipe()
"""Parameters are the coefficients of polynomials."""


def product(a: Matrix, b: Matrix) -> Matrix:
    """Multiply: apply `b`, then `a`."""
    found = np.array(a).reshape(2, 2) @ np.array(b).reshape(2, 2)
    w, x, y, z = found.ravel().tolist()
    return w, x, y, z


@njit(cache=True, nogil=True)
def _forward(
    k: int,
    given: F32x1,
    noise: F32x1,
    order: I32x1,
    scale: float,
    matrix: tuple[float, float, float, float],
    squash: int,
    out: F32x1,
    kept: F32x1,
    first: int,
    stop: int,
) -> None:
    """Set rows `first .. stop - 1` of `out` to maps of rows `order` of `given`; see `maps.rows`."""
    size = 1 << k
    group, room = max(WIDTH, size), _NODES * size
    here, there = np.zeros(room, np.float32), np.empty(room, np.float32)
    sigmoids = np.empty(room if kept.size else 0, np.float32)
    noises, nothing = np.zeros(room if noise.size else 0, np.float32), np.empty(0, np.float32)
    n = np.uint64(size)
    for begin in range(first, stop, _NODES):
        count = min(_NODES, stop - begin)
        for t in range(np.uint64(count)):
            i, o = np.uint64(order[np.uint64(begin) + t]) * n, t * n
            for s in range(n):
                here[o + s] = given[i + s]
            if noise.size:
                for s in range(n):
                    noises[o + s] = noise[i + s]
        groups = -(-count * size // group)
        maps.rows(k, here, noises, scale, matrix, squash, nothing, False, there, sigmoids, 0, groups)
        o = np.uint64(begin) * n
        for s in range(np.uint64(count) * n):
            out[o + s] = there[s]
        if kept.size:
            for s in range(np.uint64(count) * n):
                kept[o + s] = sigmoids[s]


@njit(cache=True, nogil=True)
def _backward(
    k: int,
    out_grad: F32x3,
    place: I32x1,
    scale: float,
    matrix: tuple[float, float, float, float],
    kept: F32x1,
    given_grad: F32x1,
    first: int,
    stop: int,
) -> None:
    """Set rows `first .. stop - 1` of `given_grad`, those of row i being from the row `place[i]`.

    `out_grad` `[blocks, nodes, 2**k]` is summed over blocks; `matrix` is transposed already.
    """
    size = 1 << k
    group, room = max(WIDTH, size), _NODES * size
    here, there = np.zeros(room, np.float32), np.empty(room, np.float32)
    gate, nothing = np.zeros(room if kept.size else 0, np.float32), np.empty(0, np.float32)
    blocks, n = np.uint64(out_grad.shape[0]), np.uint64(size)
    flat, all_rows = out_grad.ravel(), np.uint64(len(place)) * n
    for begin in range(first, stop, _NODES):
        count = min(_NODES, stop - begin)
        for i in range(np.uint64(count)):
            t, o = np.uint64(place[np.uint64(begin) + i]) * n, i * n
            for s in range(n):
                here[o + s] = flat[t + s]
            for b in range(np.uint64(1), blocks):
                for s in range(n):
                    here[o + s] += flat[b * all_rows + t + s]
            if kept.size:
                for s in range(n):
                    gate[o + s] = kept[t + s]
        groups = -(-count * size // group)
        maps.rows(k, here, nothing, scale, matrix, 0, gate, True, there, nothing, 0, groups)
        o = np.uint64(begin) * n
        for s in range(np.uint64(count) * n):
            given_grad[o + s] = there[s]


@njit(cache=True, nogil=True)
def _walsh(given: F32x1, i: Any, rows: int, sums: F64x1) -> Any:
    """Word of which of Walsh's sums of `given[i : i + rows]` are negative."""
    for s in range(rows):
        sums[s] = given[i + np.uint64(s)]
    bit = 1
    while bit < rows:
        for base in range(0, rows, 2 * bit):
            for s in range(base, base + bit):
                a, b = sums[s], sums[s + bit]
                sums[s], sums[s + bit] = a + b, a - b
        bit *= 2
    word = np.uint64(0)
    for s in range(rows):
        word |= np.uint64(sums[s] < 0) << np.uint64(s)
    return word


@njit(cache=True, nogil=True)
def _decide(
    given: F32x1,
    noise: F32x1,
    order: I32x1,
    count: int,
    walsh: bool,
    out: U64x1,
    first: int,
    stop: int,
) -> None:
    """Set `out[t]` to the truth table of the `count` parameters of node `order[t]`; see `Recipe`."""
    noisy, n = noise.size > 0, np.uint64(count)
    sums = np.empty(count, np.float64)
    for t in range(first, stop):
        i = np.uint64(order[t]) * n
        if walsh:
            out[t] = _walsh(given, i, count, sums)
            continue
        word = np.uint64(0)
        for s in range(n):
            value = given[i + s] + noise[i + s] if noisy else given[i + s]
            word |= np.uint64(value > 0) << s
        out[t] = word


class Functions:
    """A layer's functions in a training step.

    `prepare` fills `coef` for a range of nodes, `found` a range of the parameters' gradients; threads share
    out the ranges, which are numbers of `mixtures.GROUP` nodes.

    Attributes:
        coef: float32 `[nodes, 2**k]` in order of evaluation: tables, or with `polynomials` coefficients.
        slope: as `coef`, of the polynomials whose slopes count; `coef` itself if there are no others.
        words: truth tables, uint64 `[nodes]`, if they are asked for.
    """

    def __init__(
        self,
        parameters: Tensor,
        recipe: Recipe,
        order: I32x1,
        place: I32x1,
        k: int,
        *,
        polynomials: bool,
        words: bool,
    ) -> None:
        self._given = parameters.detach().contiguous().view(-1).numpy()
        self._shape = parameters.shape
        noise = recipe.noise
        self._noise = np.empty(0, np.float32) if noise is None else noise.contiguous().view(-1).numpy()
        self._order, self._place = order, place  # inverse to each other
        self._recipe, self._polynomials = recipe, polynomials
        self.count, self._k = len(order), k
        self._matrix = product(MOEBIUS, recipe.matrix) if polynomials else recipe.matrix
        room = -(-self.count // mixtures.GROUP) * mixtures.GROUP
        self.coef: F32x2 = np.empty((self.count, 1 << k), np.float32)
        self._basis, self._kept = None, np.empty(0, np.float32)
        if recipe.basis is not None:
            table: F32x2 = recipe.basis
            self._basis = np.ascontiguousarray(_monomials(table) if polynomials else table)
            self._kept = np.empty(room * len(self._basis), np.float32)
        elif recipe.squash:
            self._kept = np.empty(self.count << k, np.float32)
        self.slope = self.coef if recipe.slope is None else np.empty_like(self.coef)
        self.words: U64x1 = np.empty(self.count if words else 0, np.uint64)

    @property
    def parts(self) -> int:
        """How many groups of nodes there are to share out."""
        return -(-self.count // mixtures.GROUP)

    def _range(self, part: int, parts: int) -> tuple[int, int]:
        """Nodes of one of `parts` shares."""
        bounds = [self.parts * i // parts * mixtures.GROUP for i in (part, part + 1)]
        return bounds[0], min(bounds[1], self.count)

    def prepare(self, part: int, parts: int) -> None:
        """Fill one of `parts` shares of `coef`, `slope` and `words`."""
        first, stop = self._range(part, parts)
        recipe, order, given, noise = self._recipe, self._order, self._given, self._noise
        if self._basis is not None and recipe.basis is not None:
            known = _words(recipe.basis) if len(self.words) else self.words
            state = (recipe.scale, self._basis, self._kept, self.coef.ravel(), known, self.words)
            mixtures.forward(given, noise, order, *state, first, stop)
        else:
            given_ = (self._k, given, noise, order, float(recipe.scale), _numbers(self._matrix))
            _forward(*given_, int(recipe.squash), self.coef.ravel(), self._kept, first, stop)
            if recipe.slope is not None:
                matrix = product(MOEBIUS, recipe.slope) if self._polynomials else recipe.slope
                nothing = np.empty(0, np.float32)
                given_ = (self._k, given, nothing, order, 1.0, _numbers(matrix))
                _forward(*given_, 0, self.slope.ravel(), nothing, first, stop)
            if len(self.words):
                _decide(given, noise, order, self._shape[1], recipe.walsh, self.words, first, stop)

    def found(self, coef_grad: F32x3, out: F32x1, part: int, parts: int) -> None:
        """Fill one of `parts` shares of the parameters' gradients, flat, from those of blocks of `coef`."""
        first, stop = self._range(part, parts)
        recipe = self._recipe
        if self._basis is not None:
            state = (recipe.scale, self._basis, self._kept, self.coef.ravel())
            mixtures.backward(coef_grad, self._order, *state, out, first, stop)
        else:
            matrix = _numbers(maps.transposed(self._matrix))
            given = (self._k, coef_grad, self._place, float(recipe.scale), matrix)
            _backward(*given, self._kept, out, first, stop)


def _numbers(matrix: Matrix) -> tuple[float, float, float, float]:
    a, b, c, d = map(float, matrix)
    return a, b, c, d


def _monomials(table: F32x2) -> F32x2:
    """Coefficients `[n, 2**k]` of the polynomials through tables."""
    out = table.copy()
    for p in range(out.shape[1].bit_length() - 1):
        pairs = out.reshape(len(out), -1, 2, 1 << p)
        pairs[:, :, 1] -= pairs[:, :, 0]
    return out


def _words(table: F32x2) -> U64x1:
    """Words of truth tables of 0 and 1."""
    bits = table.astype(np.uint64) << np.arange(table.shape[1], dtype=np.uint64)
    words: U64x1 = np.bitwise_or.reduce(bits, axis=1)
    return words
