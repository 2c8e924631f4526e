"""Lowering: from a trained checkpoint to the netlist the hardware will compute."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from lgc.ir.classifier import Classifier
from lgc.ir.netlist import FIRST_INPUT, Netlist, table_dtype
from lgc.ir.readout import Readout

from ._typing import Array, Bool2, F32x2, I32x2, I64x2
from .checkpoint import Checkpoint
from .graph import AnyLayer, ConvLayer, Detectors, Layer, OrPool, Shape
from .relaxations import relaxation


@dataclass(frozen=True, eq=False)
class Placed:
    """Where a layer lies in the lowered netlist.

    Attributes:
        layer: the layer.
        shape: of its outputs, `(nodes,)` for a dense layer.
        luts: its LUTs' range; the outputs are the last ones, in order.
        inputs: signals it may read, in the order of the outputs of the layer before.
    """

    layer: AnyLayer
    shape: Shape
    luts: range
    inputs: range


def place(checkpoint: Checkpoint) -> tuple[Placed, ...]:
    """Lay the layer graph out: each layer's shape and range of LUTs in `lower(checkpoint).netlist`."""
    k = _width(checkpoint)
    bits = checkpoint.encoder.bits
    inputs = range(FIRST_INPUT, FIRST_INPUT + bits)
    first, found = 0, []
    for layer in checkpoint.layers:
        luts = range(first, first + _luts(layer, k))
        shape = (layer.nodes,) if isinstance(layer, Layer | Detectors) else layer.output_shape
        found.append(Placed(layer, shape, luts, inputs))
        first = luts.stop
        base = FIRST_INPUT + bits + first
        inputs = range(base - layer.nodes, base)
    return tuple(found)


def lower(checkpoint: Checkpoint) -> Classifier:
    """Harden every node to its truth table and flatten the layers into one netlist.

    Each node becomes one LUT, in order, kernels of convolutions once per position; nothing is
    simplified. OR pools become trees of ORs as wide as the widest node. Layers of fewer inputs than
    that read signal 0 on their last pins, and so do kernels and pools beyond the border.
    """
    k = _width(checkpoint)
    placed = place(checkpoint)
    bits, luts = checkpoint.encoder.bits, placed[-1].luts.stop
    fanin = np.zeros((luts, k), np.int32)
    table = np.empty(luts, table_dtype(k))
    for each in placed:
        rows = slice(each.luts.start, each.luts.stop)
        own = FIRST_INPUT + bits + each.luts.start
        if isinstance(each.layer, ConvLayer):
            _unroll(each.layer, each.inputs.start, own, fanin[rows], table[rows])
        elif isinstance(each.layer, OrPool):
            _pool(each.layer, each.inputs.start, own, fanin[rows], table[rows])
        elif isinstance(each.layer, Detectors):
            _detectors(each.layer, each.inputs.start, own, fanin[rows], table[rows])
        else:
            fanin[rows, : each.layer.k] = each.layer.fanin + np.int32(each.inputs.start)
            table[rows] = _tables(each.layer.parameters, each.layer.relaxation, k)
    last = np.arange(luts - placed[-1].layer.nodes, luts, dtype=np.int32) + np.int32(FIRST_INPUT + bits)
    head = Readout.group_sum(last, len(checkpoint.class_names))
    if checkpoint.weights is not None:
        head = replace(head, weight=checkpoint.weights)
    netlist = Netlist(
        inputs=bits,
        fanin=fanin,
        table=table,
        outputs=np.empty(0, np.int32),
        readout=head,
    )
    return Classifier(checkpoint.encoder, netlist, checkpoint.class_names)


def tables(layers: Iterable[AnyLayer]) -> list[tuple[I32x2, Bool2]]:
    """Wiring int32 `[nodes, k]` and hard tables bool `[nodes, 2**k]` per layer, kernels once.

    Pools and detectors, which are fixed, are left out.
    """
    learned = [layer for layer in layers if not isinstance(layer, OrPool | Detectors)]
    nodes = [(layer.relaxation, *layer.kernels()) for layer in learned]
    return [(fanin, relaxation(name).hard(parameters)) for name, fanin, parameters in nodes]


def _width(checkpoint: Checkpoint) -> int:
    """Count the inputs per LUT of the netlist; pools and detectors need two."""
    fixed = any(isinstance(layer, OrPool | Detectors) for layer in checkpoint.layers)
    learned = [layer for layer in checkpoint.layers if not isinstance(layer, OrPool | Detectors)]
    return max([2] * fixed + [layer.k for layer in learned], default=2)


def _luts(layer: AnyLayer, k: int) -> int:
    if isinstance(layer, OrPool):
        return layer.nodes * sum(_or_levels(layer, k))
    if isinstance(layer, Detectors):
        places = math.prod(layer.shape)
        from .detectors import gates  # which knows all of training

        each = (gates(kernel, layer.levels, layer.threshold) for kernel in layer.kernel)
        return layer.bits + places * sum(len(found.table) for found in each)
    return layer.unrolled if isinstance(layer, ConvLayer) else layer.nodes


def _or_levels(layer: OrPool, k: int) -> list[int]:
    """LUTs per level of the OR of a window."""
    members = int(np.prod(layer.window.size))
    levels = [-(-members // k)]
    while levels[-1] > 1:
        levels.append(-(-levels[-1] // k))
    return levels


def _signals(reads: I64x2, first: int) -> I32x2:
    """Signals of outputs that start at signal `first`, constant 0 for those that are -1."""
    signals: I32x2 = np.where(reads < 0, 0, reads + first).astype(np.int32)
    return signals


def _unroll(layer: ConvLayer, inputs: int, own: int, fanin: I32x2, table: Array) -> None:
    """Fill the LUTs of a convolution, level by level, each `[channels, positions, nodes of the level]`."""
    k, channels = layer.k, layer.channels
    positions = layer.nodes // channels
    rows = _tables(layer.kernels()[1], layer.relaxation, fanin.shape[1]).reshape(channels, -1)
    below = _signals(layer.reads(), inputs)
    start, node = 0, 0
    for level in layer.levels:
        count = channels * positions * level
        fanin[start : start + count, :k] = below.reshape(count, k)
        wide = table[start : start + count].reshape(channels, positions, level)
        wide[:] = rows[:, None, node : node + level]
        below = np.arange(own + start, own + start + count, dtype=np.int32)
        start, node = start + count, node + level


def _pool(layer: OrPool, inputs: int, own: int, fanin: I32x2, table: Array) -> None:
    """Fill the LUTs of an OR pool, level by level."""
    k = fanin.shape[1]
    table[:] = (1 << (1 << k)) - 2
    below = _signals(layer.reads(), inputs)
    start = 0
    for level in _or_levels(layer, k):
        count = layer.nodes * level
        wide = np.zeros((layer.nodes, level * k), np.int32)
        wide[:, : below.shape[1]] = below
        fanin[start : start + count] = wide.reshape(count, k)
        below = np.arange(own + start, own + start + count, dtype=np.int32).reshape(-1, level)
        start += count


def _detectors(layer: Detectors, inputs: int, own: int, fanin: I32x2, table: Array) -> None:
    """Fill the LUTs of detectors: inner gates, then the input bits and the outputs, detector by detector."""
    from .detectors import gates

    k, places, thresholds = fanin.shape[1], math.prod(layer.shape), len(layer.threshold)
    spread = np.array([_wide(rows, k) for rows in range(16)], table.dtype)
    bits = layer.around()[:, :, None] * layer.levels + np.arange(layer.levels)
    taps = (bits.reshape(places, -1) + inputs).astype(np.int32)  # signals under the kernel
    outputs = len(table) - layer.nodes
    fanin[outputs : outputs + layer.bits, 0] = np.arange(inputs, inputs + layer.bits)
    table[outputs : outputs + layer.bits] = spread[0b1010]
    start, made = 0, outputs + layer.bits
    for kernel in layer.kernel:
        found = gates(kernel, layer.levels, layer.threshold)
        inner = len(found.table) - thresholds
        signal = np.empty((places, taps.shape[1] + inner), np.int32)
        signal[:, : taps.shape[1]] = taps
        signal[:, taps.shape[1] :] = own + start + np.arange(places * inner).reshape(inner, places).T
        pins = signal[:, found.operand].transpose(1, 0, 2).reshape(-1, 2)
        tables = np.repeat(spread[found.table], places)
        for first, rows in (
            (start, slice(0, inner * places)),
            (made, slice(inner * places, len(tables))),
        ):
            count = len(tables[rows])
            fanin[first : first + count, :2], table[first : first + count] = pins[rows], tables[rows]
        start, made = start + inner * places, made + thresholds * places


def _wide(rows: int, k: int) -> int:
    """Table of k inputs of a two-input gate's, whose other pins are constant 0."""
    return sum((rows >> (r & 3) & 1) << r for r in range(1 << k))


def _tables(parameters: F32x2, name: str, k: int) -> Array:
    """Truth tables as integers; rows that a constant-0 pin cannot address repeat the others."""
    rows: Bool2 = relaxation(name).hard(parameters)
    repeated = np.tile(rows, (1, (1 << k) // rows.shape[1])).astype(np.uint64)
    tables = (repeated << np.arange(1 << k, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
    found: Array = tables.astype(table_dtype(k))
    return found
