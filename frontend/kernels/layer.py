"""Layers of a stack: what they are given, the order of their nodes, and the kernels that evaluate them."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from .._typing import Array, F32x1, F32x2, I32x1, I32x2, I32x3, U64x1
from . import bits, fixed, mixed, packed
from .functions import POLYNOMIALS, Functions, Recipe
from .maps import MOEBIUS, ZETA
from .parameters import transform
from .simd import LANES, LOGISTIC, PLAIN, STEP

NOTHING = np.empty((0, LANES), np.float32)
_NO_WORDS = np.empty(0, np.uint64)
_NO_NUMBERS = np.empty(0, np.float32)
_NO_WEIGHTS = np.empty((0, 1, 1), np.float32)
_NO_CANDIDATES = np.empty((0, 1, 1), np.int32)


@dataclass(frozen=True, eq=False)
class Nodes:
    """A layer of a forward pass.

    Attributes:
        source: rows that may be read, int32 `[nodes, k, candidates]`.
        coef: polynomials float32 `[nodes, 2**k]` in the monomial basis; with a recipe for something else,
            parameters.
        weight: of the candidates, float32 as `source`; None if each pin has one, read as it is.
        exact: polynomials whose outputs are returned, the gradients being those of `coef`.
        slope: polynomials whose slopes are the gradients of sources and weights.
        noise: float32 `[blocks, nodes, LANES]`, added to the logits.
        logistic: the polynomials are logits, the outputs their probabilities,
        hard: or whether they are positive.
        recipe: how polynomials come from `coef`.
        rounded: the truth tables of the recipe are returned, as if they were `exact`.
    """

    source: Tensor
    coef: Tensor
    weight: Tensor | None = None
    exact: Tensor | None = None
    slope: Tensor | None = None
    noise: Tensor | None = None
    logistic: bool = False
    hard: bool = False
    recipe: Recipe = POLYNOMIALS
    rounded: bool = False

    @property
    def squash(self) -> int:
        """What becomes of the polynomials in the forward pass."""
        if self.exact is not None or self.rounded or not self.logistic:
            return PLAIN
        return STEP if self.hard else LOGISTIC


@dataclass(frozen=True, eq=False)
class Order:
    """In which order nodes of fixed wiring are evaluated.

    Attributes:
        order: the nodes.
        place: each node's place in `order`.
        source: the rows that nodes then read.
    """

    order: I32x1
    place: I32x1
    source: Array


_ORDERS: Any = WeakTensorKeyDictionary()
"""Of the last layer's sources: what the orders were made for, and the orders."""


def orders(layers: Sequence[Nodes]) -> list[Order]:
    """Orders of a stack's layers, kept as long as the last one's sources are and nothing changes."""
    state = [(each.source._version, each.weight is None) for each in layers]
    known = _ORDERS.get(layers[-1].source)
    if known is not None:
        sources, before, orders = known
        if before == state and all(a() is b.source for a, b in zip(sources, layers, strict=True)):
            return cast(list[Order], orders)
    found = _arrange(layers)
    _ORDERS[layers[-1].source] = [weakref.ref(each.source) for each in layers], state, found
    return found


def _arrange(layers: Sequence[Nodes]) -> list[Order]:
    out = []
    place: I32x1 | None = None  # row of each node of the layer before, None if they are in order
    for each in layers:
        source = each.source.numpy() if place is None else place[each.source.numpy()]
        if each.weight is None:
            rows = source.reshape(source.shape[:2])
            order = np.argsort(rows[:, 0], kind="stable").astype(np.int32)
            place = np.empty(len(order), np.int32)
            place[order] = np.arange(len(order), dtype=np.int32)
            out.append(Order(order, place, np.ascontiguousarray(rows[order])))
        else:
            order = np.arange(len(source), dtype=np.int32)
            out.append(Order(order, order, np.ascontiguousarray(source)))
            place = None
    return out


class Layer:
    """Kernels of a layer and the arrays that they read, a block's rows of noise still to be chosen.

    Attributes:
        count: nodes.
        functions: their polynomials; once they are prepared, `begin` is to be called.
        gives_bits: outputs are words of 64 bits `[nodes]`, not float32 `[nodes, LANES]`.
        kept: backward needs the outputs, which are probabilities.
        placed: outputs lie in the nodes' own order.
    """

    gives_bits = False
    takes_bits = False

    def __init__(self, nodes: Nodes, order: Order, placed: bool) -> None:
        self.k, self.fixed = nodes.source.shape[1], nodes.weight is None
        self.count, self.rows = len(order.order), 1 << self.k
        self.nodes, self.order, self.placed = nodes, order, placed
        self.noise = None if nodes.noise is None else nodes.noise.numpy()
        self.squash = nodes.squash
        self.slope = LOGISTIC if nodes.logistic else PLAIN
        self.kept = self.fixed and self.squash == LOGISTIC
        self.functions = Functions(
            nodes.coef,
            nodes.recipe,
            order.order,
            order.place,
            self.k,
            polynomials=not self.takes_bits,
            words=nodes.rounded,
        )

    def begin(self) -> None:
        """Note what the kernels read."""
        exact, slope = self.functions.coef, self.functions.slope
        if self.nodes.exact is not None:
            exact = self._arranged(self.nodes.exact)
        elif self.nodes.rounded:
            table = self.functions.words[:, None] >> np.arange(self.rows, dtype=np.uint64) & np.uint64(1)
            exact = transform(torch.from_numpy(table.astype(np.float32)), MOEBIUS).numpy()
        if self.nodes.slope is not None:
            slope = self._arranged(self.nodes.slope)
        self.forward, self.backward = (fixed if self.fixed else mixed).kernels(self.k)
        if self.nodes.weight is None:
            given = (self.order.source, self.order.order)
        else:
            given = (self.order.source, self.nodes.weight.detach().contiguous().numpy())
        self.exact, self.coef = (*given, exact), (*given, slope)

    def _arranged(self, coef: Tensor) -> F32x2:
        """Polynomials in the order of evaluation."""
        given: F32x2 = coef.contiguous().numpy()
        return given[self.order.order] if self.fixed else given

    def _noise(self, block: int) -> F32x2:
        return NOTHING if self.noise is None else self.noise[block]

    def run(self, x: Array, block: int, y: Array, counts: F32x2) -> None:
        """Fill the outputs of a block, or the sums of groups of them."""
        if self.fixed:
            self.forward(x, *self.exact, self._noise(block), self.squash, self.placed, y, counts)
        else:
            self.forward(x, *self.exact, self._noise(block), self.squash, y)

    def undo(
        self, x: Array, block: int, y: Array, y_grad: F32x2, x_grad: F32x2, found: tuple[Array, Array]
    ) -> None:
        """Fill the gradients of a block."""
        coef_grad, weight_grad = found
        if self.fixed:
            y = y if self.kept else NOTHING
            state = (x, *self.coef, self._noise(block), self.slope, self.placed)
            self.backward(*state, y, y_grad, x_grad, coef_grad[block])
        else:
            given = (x, *self.coef, self._noise(block), self.slope, y_grad)
            self.backward(*given, x_grad, weight_grad[block], coef_grad[block])


class BitLayer(Layer):
    """A layer whose inputs are words of 64 bits, `[features]`.

    Attributes:
        wiring: the sources that nodes read, int32 `[nodes, k]`.
        tables: truth tables in the nodes' own order; None if they are not `exact`, or it has none.
    """

    takes_bits = True

    def __init__(
        self,
        nodes: Nodes,
        order: Order,
        placed: bool,
        *,
        wiring: I32x2,
        tables: U64x1 | None,
        gives_bits: bool,
    ) -> None:
        self.wiring, self.tables, self.gives_bits = wiring, tables, gives_bits
        super().__init__(nodes, order, placed)

    def begin(self) -> None:
        """Note what the kernels read."""
        nodes, coef = self.nodes, self.functions.coef.ravel()
        entries = self.functions.slope.ravel() if nodes.slope is None else self._table(nodes.slope)
        words, addressed = self.functions.words, _NO_NUMBERS
        if self.tables is not None:
            words = self.tables[self.order.order]
        elif nodes.exact is not None:
            addressed = self._table(nodes.exact)
        elif not nodes.rounded:
            addressed = coef
        self._candidates: Array = _NO_CANDIDATES if self.fixed else self.order.source
        self.forward, self.backward = packed.kernels(self.k, bits.permutes())
        self._run = (self.wiring, self.order.order, words, addressed)
        self._undo = (self.wiring, self.order.order, entries, coef)

    def _table(self, coef: Tensor) -> F32x1:
        """Tables that polynomials go through, in the order of evaluation, flat."""
        found: F32x1 = transform(torch.from_numpy(self._arranged(coef)), ZETA).numpy().ravel()
        return found

    def run(self, x: Array, block: int, y: Array, counts: F32x2) -> None:
        """Fill the outputs of a block, or the sums of groups of them."""
        words, rows = (y, NOTHING) if self.gives_bits else (_NO_WORDS, y)
        given = (x, *self._run, self._noise(block), self.squash, self.placed)
        self.forward(*given, words, rows, counts)

    def undo(
        self, x: Array, block: int, y: Array, y_grad: F32x2, x_grad: F32x2, found: tuple[Array, Array]
    ) -> None:
        """Fill the gradients of a block."""
        coef_grad, weight_grad = found
        y, weights = (y if self.kept else NOTHING), (_NO_WEIGHTS if self.fixed else weight_grad[block])
        state = (self._noise(block), self.slope, self.placed, y, y_grad, self._candidates)
        self.backward(x, *self._undo, *state, x_grad, weights, coef_grad[block])


def _wiring(nodes: Nodes, order: Order) -> I32x2 | None:
    """Find the one source that each pin reads as it is, if it has one."""
    if nodes.weight is None:
        return cast(I32x2, order.source)
    out = np.empty(nodes.source.shape[:2], np.int32)
    return (
        out
        if packed.chosen(nodes.weight.detach().contiguous().numpy(), cast(I32x3, order.source), out)
        else None
    )


def _tables(nodes: Nodes) -> U64x1 | None:
    """Truth tables of nodes whose outputs are bits by them, a word each."""
    if nodes.exact is None:
        return None
    words = np.empty(len(nodes.exact), np.uint64)
    return words if packed.tables(transform(nodes.exact, ZETA).numpy(), words) else None


def prepare(layers: Sequence[Nodes], x_bits: bool, grouped: bool) -> list[Layer]:
    """Choose the kernels of a stack's layers; `x_bits` tells whether its input is bits.

    With `grouped` the outputs of groups of the last layer's nodes are summed.
    """
    out: list[Layer] = []
    given, last = orders(layers), len(layers) - 1
    wiring = [_wiring(each, order) for each, order in zip(layers, given, strict=True)]
    for i, (each, order) in enumerate(zip(layers, given, strict=True)):
        found, placed = wiring[i], i == last and not grouped
        if x_bits and found is not None:
            tables = _tables(each)
            hard = each.rounded or tables is not None or each.squash == STEP
            gives = i < last and wiring[i + 1] is not None and hard
            out.append(BitLayer(each, order, placed, wiring=found, tables=tables, gives_bits=gives))
        else:
            out.append(Layer(each, order, placed))
        x_bits = out[-1].gives_bits
    return out


def over_blocks(grad: Tensor) -> Tensor:
    """Sum of blocks' gradients; torch's sum over a first axis takes several times as long for two."""
    return grad[0] + grad[1] if len(grad) == 2 else grad.sum(0)
