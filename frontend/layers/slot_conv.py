"""Convolutions whose nodes learn gate and place at once: slots inside a window."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from lgc.errors import UsageError

from .._typing import I32x1, I32x3, I64x1
from ..config import LayerConfig
from ..connections import Sources
from ..graph import ConvLayer
from ..kernels import conv, cpu
from ..kernels import slot_conv as kernel
from ..kernels.threads import share
from .conv import border, padded, positions, read_channels
from .pool import outputs, sliding
from .slots import GATES, SlotNodes, distinct_pairs


class SlotConvLayer(SlotNodes):
    """One gate per output channel, the same at every position, chosen among slots.

    The convolution of CompactLogic (arXiv 2602.05830): each of a node's 16 slots has a gate and two
    different places of the window in the channels that the node reads (one in the paper, `reads = 1`:
    channel `output mod inputs`). Slots are drawn anew as in dense layers, in the same channels.

    Attributes:
        channels: int32 `[width, reads]`, the input channels of each node.
        window: input shape, receptive field, stride and padding.
    """

    channels: Tensor

    def __init__(
        self,
        config: LayerConfig,
        sources: Sources,
        rng: np.random.Generator,
        *,
        estimator: str = "soft",
        temperature: float = 1.0,
    ) -> None:
        if sources.shape is None:
            raise UsageError(
                "A convolution needs an image, or a signal of known shape.",
                hint="Set the layer's shape to [length, channels], or use image data.",
            )
        if config.depth != 1:
            raise UsageError(
                f"Slots choose single gates, not trees of depth {config.depth}.",
                hint="Set the layer's depth to 1, or leave connections out.",
            )
        self.window = sliding(sources.shape, config.field or 3, config.stride or 1, config.padding)
        self._places = math.prod(self.window.size)
        channels = read_channels(config, self.window.shape[0], rng)
        if channels.shape[1] * self._places < 2:
            raise UsageError("A window of one place has no pair.", hint="Set field or reads higher.")
        drawn = _sources(channels, self._places, rng)
        super().__init__(config, drawn, rng, estimator=estimator, temperature=temperature)
        self.register_buffer("channels", torch.from_numpy(channels))
        self._order = sources.order
        self._index, self._base = border(self.window, sources.order), positions(self.window)
        within = np.unravel_index(np.arange(self.window.shape[0] * self._places), self._reads)
        self._offset: I32x1 = np.ravel_multi_index(within, padded(self.window)).astype(np.int32)

    @property
    def _reads(self) -> tuple[int, ...]:
        """Input channels, and extent of the window: what a source's number is an index of."""
        return self.window.shape[0], *self.window.size

    def sources(self) -> Sources:
        """Describe the outputs."""
        return outputs((self.config.width, *self.window.positions))

    def forward(
        self, x: Tensor, hard: bool, temperature: float = 1.0, rng: np.random.Generator | None = None
    ) -> Tensor:
        """Evaluate the layer, float32 `[blocks, features, LANES]`; a hard one has the mixture's gradient.

        With `rng` the logits carry Gumbel noise, the same at all positions.
        """
        soft, exact = self.mixture(hard, temperature, rng)
        offset = self._offset[self.source.numpy()]
        where = (self._index, offset, self._base, self.op)
        return cast(Tensor, _SlotConv.apply(x, soft, exact, where))  # type: ignore[no-untyped-call]

    def pairs(self, rows: I64x1, rng: np.random.Generator) -> I32x3:
        """Draw pairs of different places for nodes `rows`, int32 `[rows, 2, SLOTS]`."""
        return _sources(self.channels.numpy()[rows], self._places, rng)

    def hardened(self) -> ConvLayer:
        """Copy the layer with each node's best slot, for a checkpoint."""
        source, gates = self.best()
        leaf = np.stack(np.unravel_index(source, self._reads), axis=2).astype(np.int32)
        return ConvLayer(self.window, leaf, gates[:, None], "dlgn", self._order)


def _sources(channels: np.ndarray, places: int, rng: np.random.Generator) -> I32x3:
    """Draw pairs `channel * places + place` in the channels of each node `[nodes, reads]`."""
    drawn = distinct_pairs(channels.shape[1] * places, len(channels), rng)
    channel = channels[np.arange(len(channels))[:, None, None], drawn // places]
    found: I32x3 = (channel * places + drawn % places).astype(np.int32)
    return found


class _SlotConv(torch.autograd.Function):
    """`lgc.frontend.kernels.slot_conv` as a differentiable operation."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        soft: Tensor,
        exact: Tensor,
        where: tuple[I32x1 | None, I32x3, I32x1, Tensor],
    ) -> Tensor:
        index, offset, base, op = where
        ctx.save_for_backward(x, soft, op)
        ctx.where = where  # type: ignore[attr-defined]
        y = x.new_empty((len(x), len(offset) * len(base), cpu.LANES))
        given = (_laid(x, index), offset, base, op.numpy(), GATES, exact.numpy(), y.numpy())
        share(kernel.forward, len(x), *given)
        return y

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, soft, op = ctx.saved_tensors  # type: ignore[attr-defined]
        index, offset, base, _ = ctx.where  # type: ignore[attr-defined]
        need_x, need_weight = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        laid = _laid(x, index)
        found = np.empty(laid.shape if need_x else (len(x), 0, cpu.LANES), np.float32)
        weight_grad = soft.new_empty((len(x), *soft.shape))
        given = (laid, offset, base, op.numpy(), GATES, soft.numpy(), grads[0].contiguous().numpy())
        share(kernel.backward, len(x), *given, found, weight_grad.numpy())
        x_grad = None
        if need_x:
            x_grad = torch.from_numpy(found) if index is None else torch.empty_like(x)
            if index is not None:
                share(conv.collect, len(x), found, index, x_grad.numpy())
        return x_grad, weight_grad.sum(0) if need_weight else None, None, None


def _laid(x: Tensor, index: I32x1 | None) -> np.ndarray:
    """Lay `x` out with its border."""
    if index is None:
        return x.numpy()
    out = np.empty((len(x), len(index), cpu.LANES), np.float32)
    share(conv.lay, len(x), x.numpy(), index, out)
    return out
