"""Convolutions by trees of nodes."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from lgc.errors import UsageError

from .._typing import I32x1, I32x2, I32x3
from ..config import LayerConfig
from ..connections import Sources
from ..graph import ConvLayer, OrPool, Window, tree_levels
from ..kernels.autograd import monomials
from ..kernels.conv_autograd import Geometry, Nodes, convolve
from ..relaxations import relaxation_for
from .pool import or_pool, outputs, sliding


class TreeLayer(nn.Module):
    """A tree of nodes per output channel, the same at every position, and the OR pool after it, if any.

    The tree of LogicTreeNet (Petersen 2024, arXiv 2411.04732): leaves at random places of a few
    input channels, functions learned. Of depth 1 it is CompactLogic's node (arXiv 2602.05830), which
    reads one channel.

    Attributes:
        functions: parameters of the relaxation, float32 `[channels * nodes, parameters]`.
        leaf: int32 `[channels, leaves, 1 + axes]`, see `lgc.frontend.graph.ConvLayer`.
        window: input shape, receptive field, stride and padding.
        pool: the pool, evaluated with the convolution.
    """

    leaf: Tensor

    def __init__(
        self,
        config: LayerConfig,
        sources: Sources,
        rng: np.random.Generator,
        *,
        estimator: str = "soft",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if sources.shape is None:
            raise UsageError(
                "A convolution needs an image, or a signal of known shape.",
                hint="Set the layer's shape to [length, channels], or use image data.",
            )
        self.config = config
        self.relaxation = relaxation_for(config.relaxation, config.k, estimator, config.init)
        self.window = sliding(sources.shape, config.field or 3, config.stride or 1, config.padding)
        self.register_buffer("leaf", torch.from_numpy(draw_leaves(config, self.window, rng)))
        initial = self.relaxation.initial(
            config.width * self.nodes,
            config.k,
            config.residual,
            rng,
            init=config.init,
            temperature=temperature,
        )
        self.functions = nn.Parameter(torch.from_numpy(initial))
        self.pool: OrPool | None = None
        self._order = sources.order
        self._geometry: Geometry | None = None

    @classmethod
    def of(cls, layer: ConvLayer, pool: OrPool | None = None) -> TreeLayer:
        """Make the module of a checkpoint's layer, and of the pool after it."""
        channels, leaves, _ = layer.leaf.shape
        nodes = layer.parameters.shape[1]
        depth = nodes if layer.k == 1 else len(tree_levels(layer.k, leaves, nodes))
        config = LayerConfig(
            kind="conv", width=channels, k=layer.k, depth=depth, relaxation=layer.relaxation, field=1
        )
        made = cls(config, outputs(layer.window.shape), np.random.default_rng(0))
        made.window, made.pool, made._order = layer.window, pool, layer.source
        made.leaf = torch.from_numpy(layer.leaf.copy())
        parameters = layer.parameters.reshape(channels * nodes, -1).copy()
        made.functions = nn.Parameter(torch.from_numpy(parameters))
        return made

    @property
    def nodes(self) -> int:
        """Nodes per tree."""
        return sum(self.config.k**level for level in range(self.config.depth))

    def attach(self, config: LayerConfig) -> None:
        """Pool the outputs.

        Raises:
            UsageError: the pool does not fit.
        """
        self.pool = or_pool(config, (self.config.width, *self.window.positions))
        self._geometry = None

    def sources(self) -> Sources:
        """Describe the outputs."""
        return outputs(self.pool.output_shape if self.pool else (self.config.width, *self.window.positions))

    def geometry(self) -> Geometry:
        """Where the trees read; made at the first use, since wiring may come from a saved state."""
        if self._geometry is None:
            self._geometry = _geometry(self.hardened()[0], self.pool)
        return self._geometry

    def forward(
        self, x: Tensor, hard: bool, temperature: float = 1.0, rng: np.random.Generator | None = None
    ) -> Tensor:
        """Evaluate the relaxed or the hardened layer, float32 `[blocks, features, LANES]`.

        Gradients are those of the relaxed functions, as in `LutLayer`. With `rng` the functions carry
        noise, the same at all positions, or, if the relaxation has it so, on each node's output.
        """
        kind = self.relaxation
        if self.training and math.isfinite(kind.bound):
            with torch.no_grad():
                self.functions.clamp_(-kind.bound, kind.bound)
        hard = hard or "soft" not in kind.estimators
        drawn = None if rng is None else kind.noise(tuple(self.functions.shape), rng)
        noise = None if drawn is None else torch.from_numpy(drawn)
        table = kind.soft(self.functions, temperature, noise)
        slope = kind.slope(table.detach())
        noisy_outputs = rng is not None and drawn is None
        exact = None
        if hard and not noisy_outputs:
            parameters = self.functions.detach() if noise is None else self.functions.detach() + noise
            exact = self._trees(torch.from_numpy(kind.hard(parameters.numpy())).to(table.dtype))
        how = Nodes(
            exact,
            None if slope is None else self._trees(slope),
            kind.logistic,
            hard,
            (rng.integers(1 << 64, dtype=np.uint64), 1 / temperature) if rng and noisy_outputs else None,
        )
        return convolve(x, self._trees(table), self.geometry(), how)

    def _trees(self, table: Tensor) -> Tensor:
        """Coefficients `[channels, nodes, 2**k]` of tables `[channels * nodes, 2**k]`."""
        return monomials(table).view(self.config.width, self.nodes, -1)

    def hardened(self) -> tuple[ConvLayer] | tuple[ConvLayer, OrPool]:
        """Copy the layers for a checkpoint."""
        parameters = self.functions.detach().numpy().reshape(self.config.width, self.nodes, -1).copy()
        leaf = self.leaf.numpy().copy()
        conv = ConvLayer(self.window, leaf, parameters, self.config.relaxation, self._order)
        return (conv,) if self.pool is None else (conv, self.pool)


def draw_leaves(config: LayerConfig, window: Window, rng: np.random.Generator) -> I32x3:
    """Draw where the leaves of each tree read; int32 `[channels, leaves, 1 + axes]`.

    They read the channels of `read_channels`, and differ within a tree as far as their number allows.

    Raises:
        UsageError: see `read_channels`.
    """
    channels = read_channels(config, window.shape[0], rng)
    leaves, places = config.k**config.depth, math.prod(window.size)
    candidates = channels.shape[1] * places
    shares = [candidates] * (leaves // candidates) + [leaves % candidates]
    drawn = np.array(
        [
            np.concatenate([rng.choice(candidates, share, replace=False) for share in shares])
            for _ in range(config.width)
        ]
    )
    channel = np.take_along_axis(channels, drawn // places, axis=1)
    place = np.unravel_index(drawn % places, window.size)
    return np.stack([channel, *place], axis=2).astype(np.int32)


def read_channels(config: LayerConfig, inputs: int, rng: np.random.Generator) -> I32x2:
    """Draw which input channels each output channel reads; int32 `[width, reads]`.

    The channels of input and output are split into `groups` equal runs; an output reads `reads` channels of
    its group's, all of them equally often. With one it is channel `output mod inputs`, as in CompactLogic.

    Raises:
        UsageError: channels that the groups do not divide, or fewer than `reads` in a group.
    """
    if inputs % config.groups or config.width % config.groups:
        raise UsageError(
            f"{config.groups} groups do not divide {inputs} input and {config.width} output channels."
        )
    each, made = inputs // config.groups, config.width // config.groups
    reads = config.reads or each
    if reads > each:
        raise UsageError(
            f"A tree cannot read {reads} of {each} channels.", hint="Set reads lower, or fewer groups."
        )
    return np.concatenate([g * each + _channels(each, made, reads, rng) for g in range(config.groups)])


def _channels(inputs: int, count: int, reads: int, rng: np.random.Generator) -> I32x2:
    """Choose `reads` different of `inputs` channels for each of `count` trees, all equally often."""
    if reads == 1:
        return (np.arange(count) % inputs)[:, None].astype(np.int32)
    rounds = -(-count * reads // inputs)
    rows: list[int] = []
    for _ in range(rounds):
        start = len(rows) // reads * reads
        partial = rows[start:]
        fresh = rng.permutation(inputs)
        # a tree that two rounds share must not read a channel twice
        late = np.isin(fresh, partial)
        rows += [*fresh[~late], *fresh[late]]
    return np.array(rows[: count * reads], np.int32).reshape(count, reads)


def _geometry(layer: ConvLayer, pool: OrPool | None) -> Geometry:
    """Work out where trees read in the padded input."""
    window = layer.window
    offset = np.ravel_multi_index(tuple(np.moveaxis(layer.leaf, 2, 0)), padded(window)).astype(np.int32)
    index, base = border(window, layer.source), positions(window)[:, None]
    if pool is not None:
        member = pool.reads()[: math.prod(pool.window.positions)]  # of the first channel
        base = np.where(member < 0, -1, base[member, 0]).astype(np.int32)
    return Geometry(index, offset, base)


def padded(window: Window) -> tuple[int, ...]:
    """Shape of a window's input with its border."""
    extent = (n + 2 * p for n, p in zip(window.shape[1:], window.padding, strict=True))
    return window.shape[0], *extent


def border(window: Window, source: I32x1 | None) -> I32x1 | None:
    """Output of the layer before at each element of the input with its border, -1 in the border.

    None if the elements are those outputs. `source` is that of `lgc.frontend.graph.ConvLayer`.
    """
    if source is None and not any(window.padding):
        return None
    inner = np.arange(math.prod(window.shape)) if source is None else source
    spread = [(0, 0), *((p, p) for p in window.padding)]
    index: I32x1 = np.pad(inner.reshape(window.shape), spread, constant_values=-1).ravel().astype(np.int32)
    return index


def positions(window: Window) -> I32x1:
    """First element of each window in the input with its border, int32 `[positions]`."""
    starts = window.starts() + np.array(window.padding)
    found: I32x1 = np.ravel_multi_index(tuple(starts.T), padded(window)[1:]).astype(np.int32)
    return found
