"""Bit-parallel simulation: 64 samples per machine word."""

from __future__ import annotations

import numpy as np

from . import _kernels
from ._typing import Bool2, I64x2, U64x2
from .netlist import FIRST_INPUT, Netlist

_WORDS_PER_BLOCK = 16
"""Words simulated at once: 1,024 samples keep a 10,000-LUT network inside the L2 cache."""


def pack(bits: Bool2) -> U64x2:
    """Pack bool `[samples, signals]` to uint64 `[signals, words]`, sample 0 in bit 0."""
    samples = bits.shape[0]
    padded = np.zeros((bits.shape[1], -(-samples // 64) * 64), np.bool_)
    padded[:, :samples] = bits.T
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)


def unpack(words: U64x2, samples: int) -> Bool2:
    """Undo `pack`: uint64 `[signals, words]` to bool `[samples, signals]`."""
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")
    return bits[:, :samples].T.astype(np.bool_)


def simulate_words(net: Netlist, inputs: U64x2) -> U64x2:
    """Values of every signal, uint64 `[signals, words]`, for packed `inputs` `[inputs, words]`."""
    if inputs.shape[0] != net.inputs:
        raise ValueError(f"the netlist has {net.inputs} inputs, the data {inputs.shape[0]} bits")
    values = np.zeros((net.signals, inputs.shape[1]), np.uint64)
    values[1] = ~np.uint64(0)
    values[FIRST_INPUT : net.first_lut] = inputs
    _kernels.simulate(net.fanin, net.table.astype(np.uint64), net.first_lut, values)
    return values


def simulate_roots(net: Netlist, bits: Bool2) -> Bool2:
    """Values of `net.roots()`, bool `[samples, roots]`, for input `bits` bool `[samples, inputs]`."""
    packed = pack(bits)
    out = np.empty((len(bits), len(net.roots())), np.bool_)
    for start in range(0, packed.shape[1], _WORDS_PER_BLOCK):
        values = simulate_words(net, packed[:, start : start + _WORDS_PER_BLOCK])
        rows = slice(start * 64, min((start + _WORDS_PER_BLOCK) * 64, len(bits)))
        out[rows] = unpack(values[net.roots()], rows.stop - rows.start)
    return out


def outputs(net: Netlist, bits: Bool2) -> Bool2:
    """Values of `net.outputs`, bool `[samples, outputs]`."""
    return simulate_roots(net, bits)[:, : len(net.outputs)]


def scores(net: Netlist, bits: Bool2) -> I64x2:
    """Readout scores int64 `[samples, classes]` for input `bits` bool `[samples, inputs]`.

    Raises:
        ValueError: the netlist has no readout, or `bits` has the wrong width.
    """
    head = net.readout
    if head is None:
        raise ValueError("the netlist has no readout")
    values = simulate_roots(net, bits)[:, len(net.outputs) :]
    weights = np.zeros((len(head.signal), head.classes), np.float64)
    weights[np.arange(len(head.signal)), head.class_of_entry] = head.weight
    return (values.astype(np.float32) @ weights.astype(np.float32)).round().astype(np.int64) + head.bias
