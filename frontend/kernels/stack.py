"""Layers one after another as a single differentiable operation: block by block, through all of them.

A block of 64 samples goes through every layer before the next block does, forward and then backward, so
that what a layer wrote is still in cache when the next one reads it. Activations of cheap layers are not
kept: backward evaluates a block again, which takes less than fetching it from memory. Nodes of fixed
wiring are evaluated in the order of their first sources, and lie in it, so that one of the rows a node
reads comes after the one its predecessor read.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.utils.weak import WeakTensorKeyDictionary

from .._typing import Array, F32x2, F32x3, I32x1
from . import fixed, mixed, threads
from .memory import Rows
from .simd import LANES, LOGISTIC, PLAIN, STEP
from .threads import share

_NOTHING = np.empty((0, LANES), np.float32)


@dataclass(frozen=True, eq=False)
class Nodes:
    """A layer of a forward pass.

    Attributes:
        source: rows that may be read, int32 `[nodes, k, candidates]`.
        coef: polynomials float32 `[nodes, 2**k]` in the monomial basis.
        weight: of the candidates, float32 as `source`; None if each pin has one, read as it is.
        exact: polynomials whose outputs are returned, the gradients being those of `coef`.
        slope: polynomials whose slopes are the gradients of sources and weights.
        noise: float32 `[blocks, nodes, LANES]`, added to the logits.
        logistic: the polynomials are logits, the outputs their probabilities,
        hard: or whether they are positive.
    """

    source: Tensor
    coef: Tensor
    weight: Tensor | None = None
    exact: Tensor | None = None
    slope: Tensor | None = None
    noise: Tensor | None = None
    logistic: bool = False
    hard: bool = False

    @property
    def squash(self) -> int:
        """What becomes of the polynomials in the forward pass."""
        if self.exact is not None or not self.logistic:
            return PLAIN
        return STEP if self.hard else LOGISTIC


@dataclass(frozen=True, eq=False)
class _Order:
    """In which order nodes of fixed wiring are evaluated, `order`, and the rows `source` they then read."""

    order: I32x1
    source: Array


_ORDERS: Any = WeakTensorKeyDictionary()
"""Of the last layer's sources: what the orders were made for, and the orders."""


def _orders(layers: Sequence[Nodes]) -> list[_Order]:
    """Orders of a stack's layers, kept as long as the last one's sources are and nothing changes."""
    state = [(each.source._version, each.weight is None) for each in layers]
    known = _ORDERS.get(layers[-1].source)
    if known is not None:
        sources, before, orders = known
        if before == state and all(a() is b.source for a, b in zip(sources, layers, strict=True)):
            return cast(list[_Order], orders)
    found = _arrange(layers)
    _ORDERS[layers[-1].source] = [weakref.ref(each.source) for each in layers], state, found
    return found


def _arrange(layers: Sequence[Nodes]) -> list[_Order]:
    out = []
    place: I32x1 | None = None  # row of each node of the layer before, None if they are in order
    for each in layers:
        source = each.source.numpy() if place is None else place[each.source.numpy()]
        if each.weight is None:
            rows = source.reshape(source.shape[:2])
            order = np.argsort(rows[:, 0], kind="stable").astype(np.int32)
            out.append(_Order(order, np.ascontiguousarray(rows[order])))
            place = np.empty(len(order), np.int32)
            place[order] = np.arange(len(order), dtype=np.int32)
        else:
            out.append(_Order(np.arange(len(source), dtype=np.int32), np.ascontiguousarray(source)))
            place = None
    return out


class _Layer:
    """Kernels of a layer and the arrays that they read, a block's rows of noise still to be chosen."""

    def __init__(self, nodes: Nodes, order: _Order, placed: bool) -> None:
        k, self.fixed = nodes.source.shape[1], nodes.weight is None
        self.count, self.rows = len(order.order), 1 << k
        self.order = order.order
        self._arrange, self._total = fixed.arranging(k)
        coef = self._arranged(nodes.coef.detach())
        exact = coef if nodes.exact is None else self._arranged(nodes.exact)
        slope = coef if nodes.slope is None else self._arranged(nodes.slope)
        self.noise = None if nodes.noise is None else nodes.noise.numpy()
        self.forward, self.backward = (fixed if self.fixed else mixed).kernels(k)
        self.squash = nodes.squash
        self.slope = LOGISTIC if nodes.logistic else PLAIN
        # backward needs the probabilities
        self.kept = self.fixed and self.squash == LOGISTIC
        self.placed = placed
        if nodes.weight is None:
            self.weight_shape = None
            given: tuple[Array, ...] = (order.source, order.order)
        else:
            weight = nodes.weight.detach().contiguous().numpy()
            self.weight_shape = weight.shape
            given = (order.source, weight)
        self.given, self.exact, self.coef = given, (*given, exact), (*given, slope)

    def _arranged(self, coef: Tensor) -> F32x2:
        """Polynomials in the order of evaluation."""
        given: F32x2 = coef.contiguous().numpy()
        if not self.fixed:
            return given
        out = np.empty_like(given)
        self._arrange(given, self.order, out)
        return out

    def total(self, coef_grad: Array) -> Tensor:
        """Gradient of the polynomials from those of blocks."""
        if not self.fixed:
            return _over_blocks(torch.from_numpy(coef_grad))
        out = torch.empty(coef_grad.shape[1:])
        self._total(coef_grad, self.order, out.numpy())
        return out

    def run(self, x: F32x2, block: int, y: F32x2, counts: F32x2) -> None:
        """Fill the outputs of a block, or the sums of groups of them."""
        noise = _NOTHING if self.noise is None else self.noise[block]
        if self.fixed:
            self.forward(x, *self.exact, noise, self.squash, self.placed, y, counts)
        else:
            self.forward(x, *self.exact, noise, self.squash, y)

    def undo(
        self, x: F32x2, block: int, y: F32x2, y_grad: F32x2, x_grad: F32x2, found: tuple[Array, Array]
    ) -> None:
        """Fill the gradients of a block."""
        noise = _NOTHING if self.noise is None else self.noise[block]
        coef_grad, weight_grad = found
        if self.fixed:
            y = y if self.kept else _NOTHING
            given = (x, *self.coef, noise, self.slope, self.placed, y, y_grad)
            self.backward(*given, x_grad, coef_grad[block])
        else:
            given = (x, *self.coef, noise, self.slope, y_grad)
            self.backward(*given, x_grad, weight_grad[block], coef_grad[block])


class _Pass:
    """A batch on its way through a stack.

    Attributes:
        held: the block whose activations lie in each slot, -1 if there is none. A core has one slot; with
            `keep` a block has one.
    """

    def __init__(self, x: Tensor, layers: Sequence[Nodes], groups: int, keep: bool) -> None:
        self.x, self.blocks = x.numpy(), len(x)
        last = len(layers) - 1
        self.layers = [
            _Layer(each, order, i == last)
            for i, (each, order) in enumerate(zip(layers, _orders(layers), strict=True))
        ]
        slots = self.blocks if keep else min(threads.cores(), self.blocks)
        self.held = [-1] * slots
        top = self.layers[-1]
        # not what is returned, which will refer to this pass by its gradient: nobody would free either
        self._out, self._groups = x.new_empty((self.blocks, groups or top.count, LANES)), groups
        spare = top.count if groups and top.kept else 0
        self._counts = [layer.count for layer in self.layers[:-1]] + [spare]
        self._y: Rows | None = None

    def _of(self, slot: int, block: int) -> list[F32x2]:
        """Where the input and each layer's output of a block lie."""
        assert self._y is not None
        rows = [self.x[block], *[y[slot] for y in self._y.parts]]
        if not self._groups:
            rows[-1] = self._out.numpy()[block]
        return rows

    def _range(self, slot: int) -> range:
        slots = len(self.held)
        return range(self.blocks * slot // slots, self.blocks * (slot + 1) // slots)

    def forward(self, grad: bool) -> Tensor:
        """Return outputs, or the sums of groups of them; with `grad` activations are held."""
        self._y = Rows(len(self.held), self._counts)
        share(self._forward, len(self.held))
        if not grad:
            self._y.give_back()
        return self._out.detach()

    def backward(self, *given: Any) -> None:
        """Fill gradients, see `_backward`; a second time activations are computed again."""
        if self._y is None:
            self._y = Rows(len(self.held), self._counts)
        share(self._backward, len(self.held), *given)
        self._y.give_back()
        self._y, self.held = None, [-1] * len(self.held)

    def _forward(self, first: int, stop: int) -> None:
        for slot in range(first, stop):
            for block in self._range(slot):
                self._run(slot, block, self.layers)

    def _run(self, slot: int, block: int, layers: Sequence[_Layer]) -> None:
        rows = self._of(slot, block)
        for i, layer in enumerate(layers):
            counts = self._out.numpy()[block] if self._groups and i + 1 == len(self.layers) else _NOTHING
            layer.run(rows[i], block, rows[i + 1], counts)
        self.held[slot] = block

    def _backward(
        self,
        y_grad: F32x3,
        x_grad: F32x3,
        found: Sequence[tuple[Array, Array]],
        lowest: int,
        first: int,
        stop: int,
    ) -> None:
        """Send gradients back through the blocks of these slots, down to the layer `lowest`."""
        widest = max([layer.count for layer in self.layers[:-1]], default=0)
        grads = Rows(2, [widest])
        room = grads.parts[0]
        top = self.layers[-1]
        for slot in range(first, stop):
            for block in reversed(self._range(slot)):
                if self.held[slot] != block:
                    self._run(slot, block, self.layers if self._groups and top.kept else self.layers[:-1])
                rows, grad = self._of(slot, block), y_grad[block]
                for i in reversed(range(lowest, len(self.layers))):
                    if i > lowest:
                        below = room[i % 2, : self.layers[i - 1].count]
                    else:
                        below = x_grad[block] if i == 0 and len(x_grad) else _NOTHING
                    self.layers[i].undo(rows[i], block, rows[i + 1], grad, below, found[i])
                    grad = below
        grads.give_back()


def _recalled(layers: Sequence[Nodes]) -> bool:
    """Whether evaluating a block again takes less than fetching its activations from memory."""
    return all(each.source.shape[1] <= 4 and each.weight is None for each in layers)


class _Stack(torch.autograd.Function):
    """Layers as one differentiable operation of `x`, coefficients and weights."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, settings: tuple[Sequence[Nodes], int, bool], *tensors: Tensor | None
    ) -> Tensor:
        layers, groups, grad = settings
        made = _Pass(x.contiguous(), layers, groups, grad and not _recalled(layers))
        out = made.forward(grad)
        ctx.save_for_backward(x, *cast(Sequence[Tensor], tensors))  # what changes meanwhile is an error
        ctx.made = made  # type: ignore[attr-defined]
        return out

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, *tensors = ctx.saved_tensors  # type: ignore[attr-defined]
        need_x, _, *need = ctx.needs_input_grad  # type: ignore[attr-defined]
        made: _Pass = ctx.made  # type: ignore[attr-defined]
        blocks = len(x)
        x_grad = torch.empty_like(x) if need_x else x.new_empty((0, 0, LANES))
        found = [
            x.new_empty((blocks, *tensor.shape) if wanted or i % 2 == 0 else (blocks, 0, 1, 1))
            if tensor is not None
            else x.new_empty(0)
            for i, (tensor, wanted) in enumerate(zip(tensors, need, strict=True))
        ]
        lowest = 0 if need_x else next((i // 2 for i, wanted in enumerate(need) if wanted), 0)
        pairs = [(found[i].numpy(), found[i + 1].numpy()) for i in range(0, len(found), 2)]
        given = (grads[0].contiguous().numpy(), x_grad.numpy(), pairs, lowest)
        made.backward(*given)
        totals: list[Tensor | None] = []
        for i, layer in enumerate(made.layers):
            coef_grad, weight_grad = pairs[i]
            totals.append(layer.total(coef_grad) if need[2 * i] else None)
            totals.append(_over_blocks(torch.from_numpy(weight_grad)) if need[2 * i + 1] else None)
        return (x_grad if need_x else None, None, *totals)


def _over_blocks(grad: Tensor) -> Tensor:
    """Sum of blocks' gradients; torch's sum over a first axis takes several times as long for two."""
    return grad[0] + grad[1] if len(grad) == 2 else grad.sum(0)


def evaluate(x: Tensor, layers: Sequence[Nodes], groups: int = 0) -> Tensor:
    """Send `x` float32 `[blocks, features, LANES]` through layers, each reading the one before.

    With `groups`, for which the last layer's wiring must be fixed, the sums over as many equal,
    contiguous groups of its nodes are returned, `[blocks, groups, LANES]`.
    """
    assert not groups or layers[-1].weight is None
    tensors = [tensor for each in layers for tensor in (each.coef, each.weight)]
    settings = (layers, groups, torch.is_grad_enabled())
    return cast(Tensor, _Stack.apply(x, settings, *tensors))  # type: ignore[no-untyped-call]
