"""OR pools: the maximum of a window while training."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from lgc.errors import UsageError

from .._typing import I32x1
from ..config import LayerConfig
from ..connections import Sources
from ..graph import OrPool, Shape, Window
from ..kernels.conv_autograd import pool


class PoolLayer(nn.Module):
    """The OR of each window of a channel, in training the maximum (Petersen 2024, arXiv 2411.04732).

    The gradient goes to the first largest member alone. A pool after a convolution is evaluated
    with it, see `TreeLayer.attach`; this one stands alone.
    """

    def __init__(self, config: LayerConfig, sources: Sources) -> None:
        super().__init__()
        if sources.shape is None:
            raise UsageError(
                "An OR pool needs an image or a convolution before it.", hint="Put it after a conv layer."
            )
        self.layer = or_pool(config, sources.shape)
        self._member = _rearranged(self.layer, sources.order)

    @classmethod
    def of(cls, layer: OrPool) -> PoolLayer:
        """Make the module of a checkpoint's layer."""
        made = cls(LayerConfig(kind="or-pool", field=1), outputs(layer.window.shape))
        made.layer, made._member = layer, _rearranged(layer, None)
        return made

    def forward(self, x: Tensor, *_: object) -> Tensor:
        """Pool float32 `[blocks, features, LANES]`; hard and relaxed are the same."""
        return pool(x, self._member)

    def sources(self) -> Sources:
        """Describe the outputs."""
        return outputs(self.layer.output_shape)

    def hardened(self) -> OrPool:
        """Return the layer of the checkpoint."""
        return self.layer


def or_pool(config: LayerConfig, shape: Shape) -> OrPool:
    """Make the pool a layer's settings ask for on an input of this shape.

    Raises:
        UsageError: it does not fit, or pads as much as its window.
    """
    side = config.field or 2
    if config.padding >= side:
        raise UsageError(f"An OR pool of side {side} cannot pad {config.padding}.", hint="Pad less.")
    return OrPool(sliding(shape, side, config.stride or side, config.padding))


def sliding(shape: Shape, side: int, stride: int, padding: int) -> Window:
    """Make a window of equal sides.

    Raises:
        UsageError: it is larger than the padded input.
    """
    if any(extent + 2 * padding < side for extent in shape[1:]):
        here = " x ".join(map(str, shape[1:]))
        raise UsageError(f"A window of side {side} does not fit {here} elements.", hint="Pad more.")
    axes = len(shape) - 1
    return Window(tuple(shape), (side,) * axes, (stride,) * axes, (padding,) * axes)


def outputs(shape: Shape) -> Sources:
    """Describe the outputs of a layer of this shape."""
    return Sources(np.arange(np.prod(shape), dtype=np.int32), shape=tuple(shape))


def _rearranged(layer: OrPool, order: I32x1 | None) -> I32x1:
    reads = layer.reads()
    found: I32x1 = (reads if order is None else np.where(reads < 0, -1, order[reads])).astype(np.int32)
    return found
