"""Lowering that keeps the kernels of convolutions, for hardware that evaluates them position by position."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lgc.errors import UsageError
from lgc.ir.encoder import FixedPoint, Thermometer
from lgc.ir.kernels import Folded, Kernel, Pair, Sliding, pooled
from lgc.ir.netlist import FIRST_INPUT, Netlist, table_dtype

from ._typing import I32x1, I64x2
from .checkpoint import Checkpoint
from .graph import AnyLayer, ConvLayer, OrPool, Shape, Window
from .lower import lower, tables


def fold(checkpoint: Checkpoint) -> Folded:
    """Lower the leading convolutions and pools to one kernel each and all that follows to one netlist.

    The function is that of `lower(checkpoint)`; nothing is simplified. Without convolutions and pools in
    front there is one kernel all the same: it hands the thermometer code of each feature on.

    Raises:
        UsageError: convolutions that cannot be kept.
    """
    layers = checkpoint.layers
    kept = 0
    while kept < len(layers) and isinstance(layers[kept], ConvLayer | OrPool):
        kept += 1
    front = layers[:kept]
    if not front:
        return _dense(checkpoint)
    kernels = tuple(_kernel(layer) for layer in front)
    first = front[0]
    source = first.source if isinstance(first, ConvLayer) else None
    order = np.arange(checkpoint.encoder.bits, dtype=np.int32) if source is None else source
    for later in front[1:]:
        if isinstance(later, ConvLayer) and later.source is not None:
            raise UsageError("A convolution reads the layer before in another order: it cannot be folded.")
    return Folded(kernels, order, checkpoint.encoder.bits, _tail(checkpoint, kept))


def _dense(checkpoint: Checkpoint) -> Folded:
    """Return a network without kernels behind one that computes nothing, an image of one row of features."""
    encoder = checkpoint.encoder
    window = Sliding(encoder.levels, (1, encoder.features), (1, 1), (1, 1), (0, 0))
    codes = np.arange(FIRST_INPUT, FIRST_INPUT + encoder.levels, dtype=np.int32)
    wires = Netlist(encoder.levels, np.zeros((0, 4), np.int32), np.zeros(0, np.uint16), codes)
    source = np.arange(encoder.bits, dtype=np.int32).reshape(encoder.features, -1).T.ravel()
    whole = lower(checkpoint).netlist
    order = np.zeros(whole.signals, np.int32)
    order[: whole.first_lut] = np.append([0, 1], FIRST_INPUT + np.argsort(source))
    order[whole.first_lut :] = np.arange(whole.first_lut, whole.signals)
    head = whole.readout
    assert head is not None
    tail = replace(whole, fanin=order[whole.fanin], readout=replace(head, signal=order[head.signal]))
    return Folded((Kernel(window, wires, False, "features"),), source, encoder.bits, tail)


def _tail(checkpoint: Checkpoint, kept: int) -> Netlist:
    """Return the layers behind the kernels, with the readout."""
    bits = checkpoint.layers[kept - 1].nodes
    rest = checkpoint.layers[kept:]
    if not rest:
        whole = lower(checkpoint).netlist
        head = whole.readout
        assert head is not None
        own = head.signal - np.int32(whole.signals - bits - FIRST_INPUT)
        nothing = np.zeros((0, 4), np.int32), np.zeros(0, np.uint16), np.empty(0, np.int32)
        return Netlist(bits, *nothing, replace(head, signal=own))
    # features of one bit are their own encoding
    plain = Thermometer(np.ones((bits, 1), np.int32), FixedPoint(1))
    return lower(replace(checkpoint, encoder=plain, layers=rest)).netlist


def _kernel(layer: AnyLayer) -> Kernel:
    """Lower one layer."""
    assert isinstance(layer, ConvLayer | OrPool)
    window = _flat(layer.window)
    if isinstance(layer, OrPool):
        members = window.size[0] * window.size[1]
        return Kernel(window, pooled(window.channels, members, 4), True, layer.text)
    return Kernel(window, _trees(layer, window), False, layer.text)


def _flat(window: Window) -> Sliding:
    """Describe a window over one or two axes.

    Raises:
        UsageError: another number of axes.
    """
    if len(window.size) > 2:
        raise UsageError("Convolutions over three axes cannot be folded.", hint="Compile without --fold.")
    return Sliding(
        window.shape[0],
        _pair(window.shape[1:], 1),
        _pair(window.size, 1),
        _pair(window.stride, 1),
        _pair(window.padding, 0),
    )


def _pair(each: Shape, other: int) -> Pair:
    """Add the row of a signal in time."""
    return (other, each[0]) if len(each) == 1 else (each[0], each[1])


def _trees(layer: ConvLayer, window: Sliding) -> Netlist:
    """Return the trees of all output channels as one netlist over the window's bits."""
    k, channels = layer.k, layer.channels
    place = layer.leaf[..., 1:].astype(np.int64)
    row = place[..., 0] if place.shape[2] == 2 else np.zeros_like(place[..., 0])
    below: I64x2 = (row * window.size[1] + place[..., -1]) * window.channels + layer.leaf[..., 0]
    below = below + FIRST_INPUT
    ((_, hard),) = tables([layer])
    rows = (hard.astype(np.uint64) << np.arange(1 << k, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
    rows = rows.astype(table_dtype(k)).reshape(channels, -1)
    fanin, table, node, first = [], [], 0, FIRST_INPUT + window.bits
    for level in layer.levels:
        fanin.append(below.reshape(channels * level, k))
        table.append(rows[:, node : node + level].ravel())
        below = first + np.arange(channels * level).reshape(channels, level)
        node, first = node + level, first + channels * level
    roots: I32x1 = below.ravel().astype(np.int32)
    return Netlist(window.bits, np.concatenate(fanin).astype(np.int32), np.concatenate(table), roots)
