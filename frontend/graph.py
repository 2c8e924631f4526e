"""The layer graph of a trained network: dense layers, convolutions by gate trees, OR pools, detectors.

Outputs of every layer are flat. Those of a convolution or a pool are channel-major: output `(c, y, x)`
of shape `(C, H, W)` has the index `(c H + y) W + x`, as torch's flatten counts. Signals in time have
the shape `(C, L)`. Reads beyond the border are constant 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lgc.errors import UsageError

from ._typing import F32x2, F32x3, I32x1, I32x2, I32x3, I64x1, I64x2

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of n nodes with k inputs, wiring decided, functions still relaxed.

    Attributes:
        fanin: int32 `[n, k]`, outputs of the layer before (input bits for the first layer).
        parameters: float32 `[n, p]`, as the relaxation defines them.
        relaxation: its name, see `lgc.frontend.relaxations`.
    """

    fanin: I32x2
    parameters: F32x2
    relaxation: str

    @property
    def nodes(self) -> int:
        """Number of nodes, which is that of outputs."""
        return len(self.fanin)

    @property
    def k(self) -> int:
        """Inputs per node."""
        return int(self.fanin.shape[1])

    @property
    def text(self) -> str:
        """One line for reports."""
        return f"{self.nodes:,} × {self.k}-input {self.relaxation}"

    def kernels(self) -> tuple[I32x2, F32x2]:
        """Wiring and parameters of the nodes, for statistics."""
        return self.fanin, self.parameters


@dataclass(frozen=True)
class Window:
    """A window that slides over the input `shape` `(C, H, W)`, `(C, L)` or `(C, D, H, W)`.

    Attributes:
        shape: channels, then extent per axis.
        size: of the window, per axis.
        stride: steps between windows, per axis.
        padding: zeros before the first and after the last element, per axis.
    """

    shape: Shape
    size: Shape
    stride: Shape
    padding: Shape

    @property
    def positions(self) -> Shape:
        """Windows per axis."""
        each = zip(self.shape[1:], self.size, self.stride, self.padding, strict=True)
        return tuple((extent + 2 * pad - size) // step + 1 for extent, size, step, pad in each)

    def starts(self) -> I64x2:
        """First element of each window, row-major, negative in the padding; int64 `[windows, axes]`."""
        corners = np.indices(self.positions).reshape(len(self.size), -1).T
        starts: I64x2 = corners * np.array(self.stride) - np.array(self.padding)
        return starts

    def elements(self, first: I64x2, channel: I64x1 | int) -> I64x1:
        """Flat indices of elements `first` `[..., axes]` of a channel `[...]`, -1 where there is padding."""
        extent = np.array(self.shape[1:])
        inside = ((first >= 0) & (first < extent)).all(axis=-1)
        flat = np.asarray(channel, np.int64)
        for axis, size in enumerate(self.shape[1:]):
            flat = flat * size + first[..., axis]
        return np.where(inside, flat, -1)


@dataclass(frozen=True, eq=False)
class ConvLayer:
    """A convolution: per output channel a tree of LUTs, the same at every position.

    The tree of depth d has `k**d` leaves and `(k**d - 1) / (k - 1)` nodes, level by level, the leaves'
    level first; pin p of node m of a level reads leaf, or node of the level below, `k m + p`
    (Petersen 2024, arXiv 2411.04732).

    Attributes:
        window: input shape, receptive field, stride and padding.
        leaf: int32 `[channels, leaves, 1 + axes]`, what a leaf reads: input channel, then place in the
            receptive field per axis.
        parameters: float32 `[channels, nodes per tree, p]`, shared by all positions.
        relaxation: its name, see `lgc.frontend.relaxations`.
        source: int32 `[C H W]`, output of the layer before (or input bit) that feeds each element of the
            input, channel-major; None if they are in that order already.
    """

    window: Window
    leaf: I32x3
    parameters: F32x3
    relaxation: str
    source: I32x1 | None = None

    @property
    def channels(self) -> int:
        """Number of kernels."""
        return len(self.leaf)

    @property
    def k(self) -> int:
        """Inputs per node of a tree."""
        return int(self.leaf.shape[1] - 1) // int(self.parameters.shape[1]) + 1

    @property
    def levels(self) -> Shape:
        """Nodes per level of a tree, from the leaves' to the root's."""
        return tree_levels(self.k, self.leaf.shape[1], self.parameters.shape[1])

    @property
    def output_shape(self) -> Shape:
        """Shape of the outputs, `(channels, ...)`."""
        return (self.channels, *self.window.positions)

    @property
    def nodes(self) -> int:
        """Number of outputs."""
        return math.prod(self.output_shape)

    @property
    def unrolled(self) -> int:
        """Nodes at all positions."""
        return self.nodes * int(self.parameters.shape[1])

    @property
    def text(self) -> str:
        """One line for reports."""
        return (
            f"conv {_by(self.window.shape)} → {_by(self.output_shape)}, "
            f"{self.channels:,} trees of {self.parameters.shape[1]} {self.k}-input {self.relaxation}"
        )

    def reads(self) -> I64x2:
        """Output of the layer before that each leaf reads at each position, -1 for constant 0.

        Returns:
            int64 `[channels, positions, leaves]`.
        """
        leaf = self.leaf.astype(np.int64)[:, None]
        first = self.window.starts()[None, :, None, :] + leaf[..., 1:]
        flat = self.window.elements(first, leaf[..., 0])
        if self.source is None:
            return flat
        return np.where(flat < 0, -1, self.source[np.maximum(flat, 0)])

    def kernels(self) -> tuple[I32x2, F32x2]:
        """Wiring and parameters of all trees as one list of nodes, for statistics.

        Returns:
            int32 `[channels * nodes per tree, k]`, equal entries of a row being equal sources, and float32
            `[channels * nodes per tree, p]`.
        """
        place = np.ravel_multi_index(
            tuple(np.moveaxis(self.leaf, 2, 0)), (self.window.shape[0], *self.window.size)
        )
        above = sum(self.levels[:-1])
        inner = np.broadcast_to(np.arange(above), (self.channels, above))
        fanin = np.concatenate([place, inner], axis=1).reshape(-1, self.k).astype(np.int32)
        return fanin, self.parameters.reshape(len(fanin), -1)


@dataclass(frozen=True)
class OrPool:
    """The OR of each window of a channel; what training does by the maximum."""

    window: Window

    @property
    def output_shape(self) -> Shape:
        """Shape of the outputs, `(channels, ...)`."""
        return (self.window.shape[0], *self.window.positions)

    @property
    def nodes(self) -> int:
        """Number of outputs."""
        return math.prod(self.output_shape)

    @property
    def text(self) -> str:
        """One line for reports."""
        return f"OR {_by(self.window.shape)} → {_by(self.output_shape)}"

    def reads(self) -> I64x2:
        """Output of the layer before that each window has, -1 for constant 0; int64 `[nodes, members]`."""
        window = self.window
        inside = np.indices(window.size).reshape(len(window.size), -1).T
        first = window.starts()[:, None, :] + inside
        flat = window.elements(first[None], np.arange(window.shape[0])[:, None, None])
        return flat.reshape(self.nodes, -1)


@dataclass(frozen=True, eq=False)
class Detectors:
    """Fixed detectors on an image's levels, in front of all other layers; see `lgc.frontend.detectors`.

    The outputs are the input bits as they are, then `sum_p kernel_p level_p >= t`, index
    `[detector, threshold, row, column, channel]`, for the 3 x 3 pixels around each pixel. A level is the
    number of a pixel's bits that are 1; beyond the border it is the nearest pixel's.

    Attributes:
        shape: height, width and channels of the image.
        levels: input bits per pixel and channel, thresholds ascending.
        kernel: coefficients int32 `[detectors, 3, 3]`.
        threshold: int32 `[thresholds]`, at least 1.
    """

    shape: Shape
    levels: int
    kernel: I32x3
    threshold: I32x1

    @property
    def bits(self) -> int:
        """Input bits."""
        return math.prod(self.shape) * self.levels

    @property
    def response_shape(self) -> Shape:
        """Shape of the detectors' outputs: detectors, thresholds, height, width, channels."""
        return (len(self.kernel), len(self.threshold), *self.shape)

    @property
    def nodes(self) -> int:
        """Number of outputs."""
        return self.bits + math.prod(self.response_shape)

    @property
    def text(self) -> str:
        """One line for reports."""
        return (
            f"detectors {_by(self.shape)} of {self.levels} levels, "
            f"{len(self.kernel)} kernels at {', '.join(map(str, self.threshold.tolist()))}"
        )

    def around(self) -> I64x2:
        """Pixels under the kernel, row-major, `(row * width + column) * channels + channel`.

        Returns:
            int64 `[height * width * channels, 9]`.
        """
        height, width, channels = self.shape
        y, x, c = (each.reshape(-1, 1) for each in np.indices(self.shape))
        i, j = (each.reshape(1, -1) - 1 for each in np.indices((3, 3)))
        row, column = np.clip(y + i, 0, height - 1), np.clip(x + j, 0, width - 1)
        found: I64x2 = ((row * width + column) * channels + c).astype(np.int64)
        return found

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: no threshold, or one that a detector never reaches.
        """
        reach = int(np.maximum(self.kernel, 0).sum(axis=(1, 2)).min()) * self.levels
        for t in self.threshold.tolist():
            if not 1 <= t <= reach:
                raise UsageError(
                    f"A detector's response of {t} levels is not within 1 to {reach}.",
                    hint="Give encoder.responses in that range, or more encoder.levels.",
                )
        if not self.threshold.size:
            raise UsageError("Detectors have no response to look for.", hint="Give encoder.responses = [1].")


AnyLayer = Layer | ConvLayer | OrPool | Detectors


def tree_levels(k: int, leaves: int, nodes: int) -> Shape:
    """Nodes per level of a complete tree, from the leaves' level to the root's.

    Raises:
        ValueError: `leaves` and `nodes` are not those of a complete tree of k-input nodes.
    """
    if k == 1 and leaves == 1:
        return (1,) * nodes
    levels = []
    while leaves > 1 and k > 1 and leaves % k == 0:
        leaves //= k
        levels.append(leaves)
    if leaves != 1 or sum(levels) != nodes:
        raise ValueError("not a complete tree")
    return tuple(levels)


def _by(shape: Shape) -> str:
    return "×".join(map(str, shape))
