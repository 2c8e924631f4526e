"""Layers one after another as a single differentiable operation: block by block, through all of them.

A block of 64 samples goes through every layer before the next block does, forward and then backward, so
that what a layer wrote is still in cache when the next one reads it. Activations of cheap layers are not
kept: backward evaluates a block again, which takes less than fetching it from memory. Nodes of fixed
wiring are evaluated in the order of their first sources, and lie in it, so that one of the rows a node
reads comes after the one its predecessor read. Where activations are bits, which inputs usually are and
a hard forward's layers always, 64 of them are a word (`packed`), and all are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from .._typing import Array, F32x3, U64x2
from . import packed, threads
from .layer import NOTHING, BitLayer, Layer, Nodes, over_blocks, prepare
from .memory import Rows
from .simd import LANES
from .threads import share


class _Pass:
    """A batch on its way through a stack.

    Attributes:
        held: the block whose activations lie in each slot, -1 if there is none. A core has one slot; with
            `keep` a block has one.
    """

    def __init__(self, x: Tensor, layers: Sequence[Nodes], groups: int, grad: bool) -> None:
        self.x, self.blocks = x.numpy(), len(x)
        words = _packed(self.x)
        self.layers = prepare(layers, words is not None, groups > 0)
        if words is not None and isinstance(self.layers[0], BitLayer):
            self.x = words
        slots = self.blocks if grad and not self._recalled(layers) else min(threads.cores(), self.blocks)
        self.held = [-1] * slots
        top = self.layers[-1]
        # not what is returned, which will refer to this pass by its gradient: nobody would free either
        self._out, self._groups = x.new_empty((self.blocks, groups or top.count, LANES)), groups
        spare = top.count if groups and top.kept else 0
        self._counts = [0 if layer.gives_bits else layer.count for layer in self.layers[:-1]] + [spare]
        self._words = [np.empty((slots, each.count * each.gives_bits), np.uint64) for each in self.layers]
        self._y: Rows | None = None

    def _recalled(self, layers: Sequence[Nodes]) -> bool:
        """Whether evaluating a block again takes less than fetching its activations from memory."""
        if all(each.gives_bits for each in self.layers[:-1]):
            return False
        return all(each.source.shape[1] <= 4 and each.weight is None for each in layers)

    def _of(self, slot: int, block: int) -> list[Array]:
        """Where the input and each layer's output of a block lie."""
        assert self._y is not None
        rows: list[Array] = [self.x[block]]
        for layer, floats, words in zip(self.layers, self._y.parts, self._words, strict=True):
            rows.append(words[slot] if layer.gives_bits else floats[slot])
        if not self._groups:
            rows[-1] = self._out.numpy()[block]
        return rows

    def _range(self, slot: int) -> range:
        slots = len(self.held)
        return range(self.blocks * slot // slots, self.blocks * (slot + 1) // slots)

    def forward(self, grad: bool) -> Tensor:
        """Return outputs, or the sums of groups of them; with `grad` activations are held."""
        parts = self._parts()
        share(self._prepare, parts, parts)
        for layer in self.layers:
            layer.begin()
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

    def _parts(self) -> int:
        return max(1, min(threads.cores(), *(layer.functions.parts for layer in self.layers)))

    def _prepare(self, parts: int, first: int, stop: int) -> None:
        """Prepare these of `parts` shares of the layers' functions."""
        for part in range(first, stop):
            for layer in self.layers:
                layer.functions.prepare(part, parts)

    def found(self, coef_grads: Sequence[tuple[int, F32x3, Tensor]]) -> None:
        """Fill gradients of parameters, the last, from those of the tables or polynomials of layers."""
        parts = self._parts()
        share(self._found, parts, coef_grads, parts)

    def _found(
        self, coef_grads: Sequence[tuple[int, F32x3, Tensor]], parts: int, first: int, stop: int
    ) -> None:
        for part in range(first, stop):
            for i, coef_grad, out in coef_grads:
                self.layers[i].functions.found(coef_grad, out.view(-1).numpy(), part, parts)

    def _forward(self, first: int, stop: int) -> None:
        for slot in range(first, stop):
            for block in self._range(slot):
                self._run(slot, block, self.layers)

    def _run(self, slot: int, block: int, layers: Sequence[Layer]) -> None:
        rows = self._of(slot, block)
        for i, layer in enumerate(layers):
            counts = self._out.numpy()[block] if self._groups and i + 1 == len(self.layers) else NOTHING
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
                        below = x_grad[block] if i == 0 and len(x_grad) else NOTHING
                    self.layers[i].undo(rows[i], block, rows[i + 1], grad, below, found[i])
                    grad = below
        grads.give_back()


def _packed(x: F32x3) -> U64x2 | None:
    """Words of the input's bits `[blocks, features]`; None if it is not all bits."""
    words = np.empty(x.shape[:2], np.uint64)
    return words if packed.pack(x, words, 0, len(x)) else None


class _Stack(torch.autograd.Function):
    """Layers as one differentiable operation of `x`, coefficients and weights."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, settings: tuple[Sequence[Nodes], int, bool], *tensors: Tensor | None
    ) -> Tensor:
        layers, groups, grad = settings
        made = _Pass(x.contiguous(), layers, groups, grad)
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
        found: list[tuple[Array, Array]] = []
        for i, layer in enumerate(made.layers):
            weight = tensors[2 * i + 1]
            shape = (blocks, *weight.shape) if weight is not None and need[2 * i + 1] else (blocks, 0, 1, 1)
            rows = (blocks, layer.count, layer.rows)
            found.append((np.empty(rows, np.float32), np.empty(shape, np.float32)))
        lowest = 0 if need_x else next((i // 2 for i, wanted in enumerate(need) if wanted), 0)
        made.backward(grads[0].contiguous().numpy(), x_grad.numpy(), found, lowest)
        totals: list[Tensor | None] = [None] * len(tensors)
        wanted = []
        for i, (coef_grad, weight_grad) in enumerate(found):
            if need[2 * i]:
                total = totals[2 * i] = x.new_empty(tensors[2 * i].shape)
                wanted.append((i, cast(F32x3, coef_grad), total))
            if need[2 * i + 1]:
                totals[2 * i + 1] = over_blocks(torch.from_numpy(weight_grad))
        made.found(wanted)
        return (x_grad if need_x else None, None, *totals)


def evaluate(x: Tensor, layers: Sequence[Nodes], groups: int = 0) -> Tensor:
    """Send `x` float32 `[blocks, features, LANES]` through layers, each reading the one before.

    With `groups`, for which the last layer's wiring must be fixed, the sums over as many equal,
    contiguous groups of its nodes are returned, `[blocks, groups, LANES]`.
    """
    assert not groups or layers[-1].weight is None
    tensors = [tensor for each in layers for tensor in (each.coef, each.weight)]
    settings = (layers, groups, torch.is_grad_enabled())
    return cast(Tensor, _Stack.apply(x, settings, *tensors))  # type: ignore[no-untyped-call]
