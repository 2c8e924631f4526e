"""What a foreign module does, step by step, and the layers that make of it.

Steps in a row become a checkpoint's own dense layers, convolutions and OR pools. Residual blocks and
transposed convolutions are unrolled to dense layers, bit for bit the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lgc.errors import LgcError
from lgc.ir.readout import Readout

from .._typing import Array, Bool2, I32x1
from ..graph import ConvLayer, OrPool, Window
from .network import MAX_BITS, ForeignLayer, Tables
from .wires import Wires, layered

_MAX_READS = 1 << 28
"""Elements that all windows of a pool read together."""


@dataclass(frozen=True, eq=False)
class Dense:
    """Nodes that read the flattened values before them, `reads` of them."""

    tables: Tables
    reads: int


@dataclass(frozen=True, eq=False)
class Conv:
    """Trees of LUTs at every position.

    Attributes:
        shape: of the input, `(C, ...)`.
        reads: int64 `[kernels, positions, leaves, 1 + axes]`: channel, then place in the widened input.
        rows: per level, leaves' first, bool `[kernels, nodes, 2**k]`; pin 0 is bit 0 of a row's number.
        positions: per axis.
        dilation: distance of neighbours of the input in the widened one; 1 for plain convolutions.
        after: zeros appended to each axis after dilation.
        padding: zeros on both sides of each axis after that.
        size: receptive field per axis.
        stride: 1 for transposed convolutions.
    """

    shape: tuple[int, ...]
    reads: Array
    rows: tuple[Bool2, ...]
    positions: tuple[int, ...]
    dilation: int
    after: tuple[int, ...]
    padding: int
    size: tuple[int, ...]
    stride: int

    @property
    def layer(self) -> ConvLayer | None:
        """The same as a convolution of checkpoints; None where it is not the same at every position."""
        if self.dilation != 1 or any(self.after) or not self.rows:
            return None
        axes = len(self.size)
        window = Window(self.shape, self.size, (self.stride,) * axes, (self.padding,) * axes)
        leaf = self.reads[:, 0]
        if math.prod(window.positions) > self.reads.shape[1]:
            return None
        if window.positions != self.positions or leaf.min() < 0:
            return None
        if (leaf.reshape(-1, 1 + axes).max(axis=0) >= (self.shape[0], *self.size)).any():
            return None
        shift = np.concatenate([np.zeros((len(self.reads[0]), 1), np.int64), window.starts()], axis=1)
        shift[:, 1:] += self.padding
        if not np.array_equal(self.reads, leaf[:, None] + shift[None, :, None]):
            return None
        rows = np.concatenate(self.rows, axis=1)
        parameters = np.where(rows, 1, -1).astype(np.float32)
        return ConvLayer(window, leaf.astype(np.int32), parameters, "light")

    def signals(self, x: I32x1, wires: Wires) -> I32x1:
        """Signals of the outputs, `[kernels, ...]`, of those of the input `[C, ...]`."""
        wide = _widened(x, self.dilation, self.after, self.padding)
        reads = self.reads
        if reads.min() < 0 or (reads.reshape(-1, wide.ndim).max(axis=0) >= wide.shape).any():
            raise LgcError("A convolution reads outside of its input.", hint="The model is inconsistent.")
        below: I32x1 = wide[tuple(np.moveaxis(reads, 3, 0))]
        kernels, positions = below.shape[:2]
        for rows in self.rows:
            nodes, count = rows.shape[1:]
            k = count.bit_length() - 1
            table = np.broadcast_to(rows[:, None], (kernels, positions, nodes, count))
            found = wires.luts(below.reshape(-1, k), table.reshape(-1, count))
            below = found.reshape(kernels, positions, nodes)
        outputs: I32x1 = below.reshape(kernels, *self.positions)
        return outputs


@dataclass(frozen=True)
class Pool:
    """OR of windows per channel."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]

    def window(self, shape: tuple[int, ...]) -> Window:
        """Return the window over an input `(C, ...)`.

        Raises:
            LgcError: padding that torch refuses, or too many elements.
        """
        found = Window(shape, self.size, self.stride, self.padding)
        sane = min(*self.size, *self.stride) >= 1 and all(
            0 <= 2 * pad <= size for pad, size in zip(self.padding, self.size, strict=True)
        )
        if not sane or shape[0] * math.prod(found.positions) * math.prod(self.size) > _MAX_READS:
            raise LgcError(
                f"A pool of windows {list(self.size)}, padding {list(self.padding)} is out of range."
            )
        return found

    def signals(self, x: I32x1, wires: Wires) -> I32x1:
        """Signals of the outputs `[C, ...]`."""
        if x.ndim != len(self.size) + 1:
            raise LgcError(f"A pool of windows {list(self.size)} reads {list(x.shape)}.")
        window = self.window(x.shape)
        if min(window.positions) < 1:
            raise LgcError(f"Windows {list(self.size)} do not fit {list(x.shape[1:])}.")
        reads = OrPool(window).reads()
        flat = np.where(reads < 0, 0, x.ravel()[np.maximum(reads, 0)])
        return wires.any_of(flat).reshape(x.shape[0], *window.positions)


@dataclass(frozen=True)
class Residual:
    """OR of two branches."""

    main: tuple[Step, ...]
    shortcut: tuple[Step, ...]


@dataclass(frozen=True)
class Flatten:
    """Everything in a row, channels first."""


Step = Dense | Conv | Pool | Residual | Flatten


def layers_of(steps: Sequence[Step], shape: tuple[int, ...], classes: int) -> tuple[ForeignLayer, ...]:
    """Turn steps into layers.

    Args:
        steps: first to last.
        shape: of the input: bits, or `(C, ...)` if convolutions or pools read it.
        classes: the last step's outputs are counted in so many equal groups.

    Raises:
        LgcError: a step does not fit the one before.
    """
    if min(shape, default=0) < 1 or math.prod(shape) > MAX_BITS:
        raise LgcError(f"An input of {list(shape)} is out of range.", hint="The file is damaged.")
    plain = _plain(steps, shape)
    if plain is not None:
        return plain
    wires = Wires(math.prod(shape))
    last = _signals(steps, wires.inputs.reshape(shape), wires).ravel()
    if last.size % classes:
        raise LgcError(f"{classes} classes cannot share the last layer's {last.size} outputs equally.")
    found, _ = layered(wires.netlist(Readout.group_sum(last, classes)))
    return found


def _plain(steps: Sequence[Step], shape: tuple[int, ...]) -> tuple[ForeignLayer, ...] | None:
    """Layers of checkpoints as they are, if there is one for every step."""
    found: list[ForeignLayer] = []
    for step in steps:
        if isinstance(step, Flatten):
            shape = (math.prod(shape),)
        elif isinstance(step, Dense):
            if math.prod(shape) != step.reads:
                raise LgcError(f"A dense layer of {step.reads} inputs reads {list(shape)}.")
            found.append(step.tables)
            shape = (len(step.tables.fanin),)
        elif isinstance(step, Conv):
            conv = step.layer
            if conv is None or conv.window.shape != shape:
                return None
            found.append(conv)
            shape = conv.output_shape
        elif isinstance(step, Pool) and found and len(shape) == len(step.size) + 1:
            pool = OrPool(step.window(shape))
            if min(pool.output_shape) < 1:
                return None
            found.append(pool)
            shape = pool.output_shape
        else:
            return None
    return tuple(found) if found and not isinstance(found[-1], OrPool) else None


def _signals(steps: Sequence[Step], x: I32x1, wires: Wires) -> I32x1:
    for step in steps:
        if isinstance(step, Flatten):
            x = x.ravel()
        elif isinstance(step, Dense):
            x = _dense(step, x, wires)
        elif isinstance(step, Residual):
            both = [_signals(branch, x, wires) for branch in (step.main, step.shortcut)]
            if both[0].shape != both[1].shape:
                raise LgcError(f"A residual block adds {list(both[0].shape)} to {list(both[1].shape)}.")
            x = wires.any_of(np.stack([each.ravel() for each in both], axis=1)).reshape(both[0].shape)
        else:
            if isinstance(step, Conv) and x.shape != step.shape:
                raise LgcError(f"A convolution of {list(step.shape)} reads {list(x.shape)}.")
            x = step.signals(x, wires)
    return x


def _dense(step: Dense, x: I32x1, wires: Wires) -> I32x1:
    tables = step.tables
    if x.size != step.reads or tables.fanin.min() < 0 or tables.fanin.max() >= x.size:
        raise LgcError(f"A dense layer of {step.reads} inputs reads {list(x.shape)}.")
    return wires.luts(x.ravel()[tables.fanin], tables.rows)


def _widened(x: I32x1, dilation: int, after: tuple[int, ...], padding: int) -> I32x1:
    """Zeros between and around the elements."""
    inner = tuple((n - 1) * dilation + 1 + more for n, more in zip(x.shape[1:], after, strict=True))
    if padding < 0 or math.prod(n + 2 * padding for n in inner) * x.shape[0] > _MAX_READS:
        raise LgcError(f"An input of {list(inner)} is too large.", hint="The model is inconsistent.")
    wide = np.zeros((x.shape[0], *inner), np.int32)
    spread = [slice(0, (n - 1) * dilation + 1, dilation) for n in x.shape[1:]]
    wide[(slice(None), *spread)] = x
    return np.pad(wide, [(0, 0)] + [(padding, padding)] * len(inner))


def lsb_first(rows: Bool2) -> Bool2:
    """Tables `[..., 2**k]` whose first input is a row's highest bit, with the first as its lowest bit."""
    k = rows.shape[-1].bit_length() - 1
    number = np.arange(1 << k)
    turned = sum((number >> bit & 1) << (k - 1 - bit) for bit in range(k))
    found: Bool2 = rows[..., turned]
    return found
