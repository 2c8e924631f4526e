"""Mapping a netlist of LUTs once more, counters and all, now that every reader is known.

General optimisation destroys counters; priority cuts and eviction of `LutMap` only ever merge LUTs, and
find some at the borders between network, counters and comparators.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._typing import Bool1, I64x1
from ..builder import Builder
from ..netlist import Netlist
from ..readout import Readout
from ._polarity import plainer
from .lut_map import LutMap

_ROUNDS = 3


def squeeze(net: Netlist, k: int, *, depth: bool = False) -> Netlist:
    """Return `net` mapped again where that saves LUTs, or levels at as many LUTs; `net` itself elsewhere.

    Outputs keep their functions, those of LUTs that no output needs go. `origin` names the LUT of `net`
    that each stems from: LUTs that stem from the first n read none that stem from later ones.

    Args:
        net: LUTs of at most k pins, no readout.
        k: pins per LUT.
        depth: the other way round, levels come first.
    """
    found = best = replace(net, stage=None, origin=np.arange(net.luts, dtype=np.int32))
    order = -1 if depth else 1
    for _ in range(_ROUNDS):
        found = _again(found, k, depth=depth)
        if size(found)[::order] >= size(best)[::order]:
            break
        best = found
    return best


def _again(net: Netlist, k: int, *, depth: bool) -> Netlist:
    """Map with the outputs as readout entries, where an inverter is a sign; LUTs then take the inverters."""
    roots, place = np.unique(net.outputs, return_inverse=True)
    entries = Readout(
        bias=np.zeros(1, np.int64),
        start=np.array([0, len(roots)], np.int64),
        signal=roots,
        weight=np.ones(len(roots), np.int32),
    )
    mapped = LutMap(k=k, depth=depth).once(replace(net, outputs=np.empty(0, np.int32), readout=entries))
    head = mapped.readout
    assert head is not None
    plain: I64x1 = np.where(head.signal == 1, 1, 2 * head.signal.astype(np.int64))
    wanted: I64x1 = plain ^ (head.weight < 0)
    flipped, literal = plainer(replace(mapped, readout=None), wanted)
    whole = Builder(flipped, k=k).netlist(literal[place].tolist())
    origin = mapped.origin
    assert origin is not None
    inverters = np.full(whole.luts - mapped.luts, net.luts, np.int32)
    return replace(whole, origin=np.concatenate([origin, inverters]))


def size(net: Netlist) -> tuple[int, int]:
    """LUTs, and the levels of the deepest output: what netlists are chosen by."""
    return net.luts, int(net.levels()[net.outputs].max(initial=0))


def parted(net: Netlist, first: Bool1) -> Netlist:
    """Return `net` with the LUTs `first`, bool `[luts]`, before all others, of which they read none."""
    order = np.argsort(~first, kind="stable")
    signal = np.arange(net.signals, dtype=np.int32)
    signal[net.first_lut + order] = np.arange(net.first_lut, net.signals, dtype=np.int32)
    return replace(
        net,
        fanin=signal[net.fanin[order]],
        table=net.table[order],
        outputs=signal[net.outputs],
        origin=None,
    )
