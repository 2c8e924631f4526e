"""The sweep behind `fold` and `strash`, and how roots follow it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import _kernels
from .._typing import I32x1, I32x2, I64x1, U64x1
from ..netlist import Netlist
from ..readout import Readout


def sweep(net: Netlist, *, share: bool) -> Netlist:
    """Fold every LUT, with `share` merge equal and complementary ones; stages are dropped."""
    literal = np.zeros(net.signals, np.int64)
    fanin, table = np.zeros_like(net.fanin), np.zeros(net.luts, np.uint64)
    kept = np.zeros(net.luts, np.int32)
    count = _kernels.sweep(
        net.fanin, net.table.astype(np.uint64), net.first_lut, share, literal, fanin, table, kept
    )
    return rebuild(net, fanin[:count].copy(), table[:count], kept[:count].copy(), literal)


def rebuild(net: Netlist, fanin: I32x2, table: U64x1, kept: I32x1, literal: I64x1) -> Netlist:
    """Return the netlist of new LUTs, its roots following those of the old one; stages are dropped.

    Args:
        net: the old netlist.
        fanin: int32 `[luts, k]`, over new signals.
        table: uint64 `[luts]`.
        kept: int32 `[luts]`, the old LUT that each stems from.
        literal: int64 `[signals]`, what each old signal became, `2 * new signal + inverted`.
    """
    rebuilt = Netlist(
        inputs=net.inputs,
        fanin=fanin,
        table=table.astype(net.table.dtype),
        outputs=net.outputs,
        readout=net.readout and _follow(net.readout, literal[net.readout.signal]),
        origin=kept if net.origin is None else net.origin[kept],
    )
    return _restore_outputs(rebuilt, literal[net.outputs])


def _follow(head: Readout, literal: I64x1) -> Readout:
    """Replace entries by literals: an inverted signal is `weight - weight * signal`."""
    inverted = (literal & 1).astype(np.bool_)
    bias = head.bias.copy()
    np.add.at(bias, head.class_of_entry[inverted], head.weight[inverted])
    return Readout(
        bias=bias,
        start=head.start,
        signal=(literal >> 1).astype(np.int32),
        weight=np.where(inverted, -head.weight, head.weight).astype(np.int32),
    )


def _restore_outputs(net: Netlist, literal: I64x1) -> Netlist:
    """Point outputs at their literals, with one inverter LUT per inverted signal."""
    signal, inverted = (literal >> 1).astype(np.int32), (literal & 1).astype(np.bool_)
    constant = signal == 0
    signal[constant] = inverted[constant]
    need, position = np.unique(signal[inverted & ~constant], return_inverse=True)
    signal[inverted & ~constant] = net.signals + position
    return _append_inverters(replace(net, outputs=signal.astype(np.int32)), need)


def _append_inverters(net: Netlist, of: I32x1) -> Netlist:
    if not of.size:
        return net
    fanin = np.zeros((len(of), net.k), np.int32)
    fanin[:, 0] = of
    table = np.full(len(of), 1, net.table.dtype)
    assert net.origin is not None
    by_signal = np.concatenate([np.full(net.first_lut, -1, np.int32), net.origin])
    return replace(
        net,
        fanin=np.concatenate([net.fanin, fanin]),
        table=np.concatenate([net.table, table]),
        origin=np.concatenate([net.origin, by_signal[of]]),
    )
