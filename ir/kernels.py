"""A network whose convolutions are kept as kernels: one netlist per layer, evaluated at each position.

What the folded, streaming hardware is built from. `Folded.unrolled` is the same function as one flat
netlist. Everything has two axes; signals in time are images of one row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ._typing import I32x1, I32x2, I64x1, I64x2
from .netlist import FIRST_INPUT, Netlist, table_dtype
from .passes.dce import Dce

Pair = tuple[int, int]
"""Rows, columns."""

_Tables = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Sliding:
    """A window that slides over an image of `channels` bits per place.

    Attributes:
        channels: bits per place.
        extent: rows and columns of the image.
        size: rows and columns of the window.
        stride: steps between windows.
        padding: zeros before the first and after the last row and column.
    """

    channels: int
    extent: Pair
    size: Pair
    stride: Pair
    padding: Pair

    @property
    def positions(self) -> Pair:
        """Windows per axis."""
        each = zip(self.extent, self.size, self.stride, self.padding, strict=True)
        down, across = ((n + 2 * pad - size) // step + 1 for n, size, step, pad in each)
        return down, across

    @property
    def bits(self) -> int:
        """Bits in a window."""
        return self.channels * math.prod(self.size)

    def reads(self) -> I64x2:
        """Which bit of the image each bit of each window is, -1 in the padding; int64 `[windows, bits]`.

        Bits of a window are ordered by row, column, channel; those of an image by channel, row, column.
        """
        corner = [
            np.arange(n) * step - pad
            for n, step, pad in zip(self.positions, self.stride, self.padding, strict=True)
        ]
        place = [start[:, None] + np.arange(n) for start, n in zip(corner, self.size, strict=True)]
        inside = [(at >= 0) & (at < n) for at, n in zip(place, self.extent, strict=True)]
        row, column = place[0][:, None, :, None], place[1][None, :, None, :]
        flat = row * self.extent[1] + column
        flat = np.where(inside[0][:, None, :, None] & inside[1][None, :, None, :], flat, -1)
        channel = np.arange(self.channels) * math.prod(self.extent)
        found: I64x2 = np.where(flat[..., None] < 0, -1, flat[..., None] + channel)
        return found.reshape(math.prod(self.positions), self.bits)


@dataclass(frozen=True, eq=False)
class Kernel:
    """A layer that computes the same function of each window.

    Attributes:
        window: what it slides over.
        netlist: combinational, its inputs the window's bits by row, column, channel (so that the bits
            of a thermometer code are neighbours), its outputs one bit per channel of the result.
        pool: whether the function is the OR of each channel, which hardware needs no netlist for.
        text: one line for reports.
    """

    window: Sliding
    netlist: Netlist
    pool: bool
    text: str

    @property
    def channels(self) -> int:
        """Bits per place of the result."""
        return len(self.netlist.outputs)

    @property
    def outputs(self) -> int:
        """Bits of the result."""
        return self.channels * math.prod(self.window.positions)

    @property
    def used(self) -> npt.NDArray[np.bool_]:
        """Which bits of the window are read, bool `[rows, columns, channels]`."""
        return _read(self.netlist).reshape(*self.window.size, self.window.channels)


@dataclass(frozen=True, eq=False)
class Folded:
    """Kernels one after the other, then a netlist with readout.

    Attributes:
        kernels: first to last; each slides over the result of the one before.
        source: int32 `[bits of the first image]`, the input bit at each place, channel-major.
        inputs: number of input bits.
        tail: its inputs are the last kernel's outputs by channel, row, column.
    """

    kernels: tuple[Kernel, ...]
    source: I32x1
    inputs: int
    tail: Netlist

    @property
    def luts(self) -> int:
        """LUTs with each kernel once; pools count nothing."""
        return self.tail.luts + sum(kernel.netlist.luts for kernel in self.kernels if not kernel.pool)

    @property
    def bare(self) -> bool:
        """Whether there are only wires before the tail: a network of dense layers."""
        return not any(kernel.pool or kernel.netlist.luts for kernel in self.kernels)

    def front(self) -> Netlist:
        """Return the kernels at all of their positions; the outputs are the inputs of the tail.

        Signals beyond borders are constant 0.
        """
        k = max(net.k for net in (self.tail, *(kernel.netlist for kernel in self.kernels)))
        image = FIRST_INPUT + self.source.astype(np.int64)
        first = FIRST_INPUT + self.inputs
        fanin, table = [np.zeros((0, k), np.int32)], [np.zeros(0, table_dtype(k))]
        for kernel in self.kernels:
            reads = kernel.window.reads()
            wired = np.where(reads < 0, 0, image[np.maximum(reads, 0)])
            lines, tables, image = _placed(kernel.netlist, wired, first, k)
            fanin.append(lines)
            table.append(tables)
            first += len(lines)
        return Netlist(self.inputs, np.concatenate(fanin), np.concatenate(table), image.astype(np.int32))

    def unrolled(self) -> Netlist:
        """Return the whole network as one netlist."""
        front, tail = self.front(), self.tail
        wired = front.outputs[None].astype(np.int64)
        lines, tables, _ = _placed(replace(tail, outputs=tail.outputs[:0]), wired, front.signals, front.k)
        signal = _signals(tail, wired, front.signals)[0].astype(np.int32)
        head = tail.readout
        return Netlist(
            inputs=self.inputs,
            fanin=np.concatenate([front.fanin, lines]),
            table=np.concatenate([front.table, tables]),
            outputs=signal[tail.outputs],
            readout=None if head is None else replace(head, signal=signal[head.signal]),
        )

    def trimmed(self) -> Folded:
        """Return the network with outputs of kernels that nobody reads as constant 0."""
        wanted = _read(self.tail).reshape(self.kernels[-1].channels, -1).any(axis=1)
        kernels: list[Kernel] = []
        for kernel in reversed(self.kernels):
            net = kernel.netlist
            kept = replace(net, outputs=np.where(wanted, net.outputs, 0).astype(np.int32))
            kernels.append(replace(kernel, netlist=Dce()(kept)))
            wanted = np.logical_or.reduce(kernels[-1].used, axis=(0, 1))
        return replace(self, kernels=tuple(reversed(kernels)))


def _read(net: Netlist) -> npt.NDArray[np.bool_]:
    """Whether each input is read, bool `[inputs]`."""
    read = np.zeros(net.signals, np.bool_)
    read[net.fanin] = True
    read[net.roots()] = True
    return read[FIRST_INPUT : net.first_lut]


def _signals(net: Netlist, wired: I64x2, first: int) -> I64x2:
    """Signal of each signal of `net` in each copy, int64 `[copies, signals]`.

    Copies of a LUT lie next to each other, so that LUTs are in topological order.
    """
    copies = len(wired)
    constants = np.broadcast_to(np.arange(FIRST_INPUT), (copies, FIRST_INPUT))
    own = first + np.arange(net.luts) * copies + np.arange(copies)[:, None]
    return np.concatenate([constants, wired, own], axis=1).astype(np.int64)


def _placed(net: Netlist, wired: I64x2, first: int, k: int) -> tuple[I32x2, _Tables, I64x1]:
    """Return copies of a netlist.

    Args:
        net: the netlist.
        wired: int64 `[copies, inputs]`, signals that the inputs of each copy are.
        first: signal of the first LUT.
        k: pins of the LUTs made.

    Returns:
        Fan-in, tables, and the signals of the outputs, `[outputs * copies]`, output-major.
    """
    signal, copies = _signals(net, wired, first), len(wired)
    fanin = np.zeros((net.luts, copies, k), np.int32)
    fanin[:, :, : net.k] = signal[:, net.fanin].transpose(1, 0, 2)
    table = np.repeat(widened(net, k), copies)
    return fanin.reshape(-1, k), table, signal[:, net.outputs].T.ravel()


def widened(net: Netlist, k: int) -> _Tables:
    """Tables for LUTs of k pins; those added are not looked at."""
    table = net.table.astype(np.uint64)
    for pins in range(net.k, k):
        table |= table << np.uint64(1 << pins)
    found: _Tables = table.astype(table_dtype(k))
    return found


def pooled(channels: int, members: int, k: int) -> Netlist:
    """Return the OR of each channel over a window, its inputs by member, then channel.

    Args:
        channels: number of channels.
        members: places in the window.
        k: pins of its LUTs.
    """
    table = np.uint64((1 << (1 << k)) - 2)
    inputs = channels * members
    below = FIRST_INPUT + np.arange(inputs).reshape(members, channels).T
    fanin = []
    first = FIRST_INPUT + inputs
    while below.shape[1] > 1:
        groups = -(-below.shape[1] // k)
        padded = np.zeros((channels, groups * k), np.int64)
        padded[:, : below.shape[1]] = below
        fanin.append(padded.reshape(channels * groups, k))
        below = first + np.arange(channels * groups).reshape(channels, groups)
        first += channels * groups
    rows = np.concatenate([np.zeros((0, k), np.int64), *fanin]).astype(np.int32)
    return Netlist(inputs, rows, np.full(len(rows), table, table_dtype(k)), below[:, 0].astype(np.int32))
