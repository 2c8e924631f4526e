"""Lowering: from a trained checkpoint to the netlist the hardware will compute."""

from __future__ import annotations

import numpy as np

from lgc.ir.classifier import Classifier
from lgc.ir.netlist import FIRST_INPUT, Netlist, table_dtype
from lgc.ir.readout import Readout

from ._typing import Bool2, I32x2, U64x1
from .checkpoint import Checkpoint, Layer
from .relaxations import relaxation


def lower(checkpoint: Checkpoint) -> Classifier:
    """Harden every node to its truth table and flatten the layers into one netlist.

    Each node becomes one LUT, in order; nothing is simplified. Layers of fewer inputs than the
    widest read signal 0 on their last pins.
    """
    k = max(layer.k for layer in checkpoint.layers)
    fanin, table = [], []
    base = FIRST_INPUT
    sources = checkpoint.encoder.bits
    for layer in checkpoint.layers:
        fanin.append(_padded(layer.fanin + np.int32(base), k))
        table.append(_tables(layer, k))
        base += sources
        sources = layer.nodes
    last = np.arange(base, base + sources, dtype=np.int32)
    netlist = Netlist(
        inputs=checkpoint.encoder.bits,
        fanin=np.concatenate(fanin),
        table=np.concatenate(table).astype(table_dtype(k)),
        outputs=np.empty(0, np.int32),
        readout=Readout.group_sum(last, len(checkpoint.class_names)),
    )
    return Classifier(checkpoint.encoder, netlist, checkpoint.class_names)


def _padded(fanin: I32x2, k: int) -> I32x2:
    out = np.zeros((len(fanin), k), np.int32)
    out[:, : fanin.shape[1]] = fanin
    return out


def _tables(layer: Layer, k: int) -> U64x1:
    """Truth tables as integers; rows that a constant-0 pin cannot address repeat the others."""
    rows: Bool2 = relaxation(layer.relaxation).hard(layer.parameters)
    repeated = np.tile(rows, (1, 1 << (k - layer.k))).astype(np.uint64)
    tables: U64x1 = (repeated << np.arange(1 << k, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
    return tables
