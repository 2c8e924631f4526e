"""Technology mapping: merge small LUTs into k-input ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .. import _cuts
from .._typing import I8x2, I32x1, I32x3
from ..netlist import Netlist, table_dtype
from ._sweep import sweep
from .dce import Dce


@dataclass(frozen=True)
class LutMap:
    """Merge LUTs into as few k-input LUTs as possible, by priority cuts and exact area.

    Priority cuts with area flow, then exact area (Mishchenko et al., ICCAD 2007), then fan-out
    elimination: a LUT that fits into all its readers is deleted. Fan-out in a logic-gate network
    is about 2, a move that single-node area recovery cannot see.

    Attributes:
        k: pins per LUT of the result, 2 to 6; at least the pins of the LUTs given.
        depth: keep the smallest depth that cuts allow, instead of trading depth for area.
        cuts: cuts kept per LUT.
    """

    name: ClassVar[str] = "lut-map"
    k: int = 4
    depth: bool = False
    cuts: int = 8

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if not 2 <= self.k <= 6:
            raise ValueError(f"k must be 2 to 6, not {self.k}")
        if not 1 <= self.cuts <= 64:
            raise ValueError(f"cuts must be 1 to 64, not {self.cuts}")

    def __call__(self, net: Netlist) -> Netlist:
        """Return the mapped netlist.

        Raises:
            ValueError: a LUT of `net` needs more than k pins.
        """
        net = Dce()(sweep(net, share=True))
        widest = int((net.fanin != 0).sum(axis=1).max(initial=0))
        if widest > self.k:
            raise ValueError(f"a LUT with {widest} pins does not fit LUTs of {self.k}")
        mapped = _cover(net, self)
        return Dce()(sweep(_eliminate(mapped), share=True))


def _cover(net: Netlist, options: LutMap) -> Netlist:
    """Choose cuts and turn those of the cover into LUTs."""
    n, k, first = net.luts, options.k, net.first_lut
    leaves = np.zeros((n, options.cuts, k), np.int32)
    sizes, counts = np.zeros((n, options.cuts), np.int8), np.zeros(n, np.int8)
    depth, flow = np.zeros(net.signals, np.int32), np.zeros(net.signals, np.float32)
    required = np.full(net.signals, _cuts.UNREACHED, np.int32)
    refs = np.zeros(net.signals, np.int32)
    roots = net.roots()
    estimate = (np.bincount(net.fanin.ravel(), minlength=net.signals) + _count(roots, net.signals)).astype(
        np.float32
    )
    cuts = (leaves, sizes, counts)
    _cuts.enumerate_cuts(net.fanin, first, k, options.depth, required, estimate, *cuts, depth, flow)
    limit = int(depth[roots].max(initial=0)) if options.depth else int(_cuts.UNREACHED)
    for _ in range(2):
        _cuts.cover(leaves, sizes, first, roots, refs)
        _cuts.require(leaves, sizes, first, refs, roots, limit, required)
        estimate = ((estimate + 2 * refs) / 3).astype(np.float32)
        _cuts.enumerate_cuts(net.fanin, first, k, False, required, estimate, *cuts, depth, flow)
    for _ in range(3):
        _cuts.cover(leaves, sizes, first, roots, refs)
        _cuts.require(leaves, sizes, first, refs, roots, limit, required)
        _cuts.exact_area(leaves, sizes, counts, first, required, refs, depth)
    _cuts.cover(leaves, sizes, first, roots, refs)
    return _extract(net, k, np.flatnonzero(refs[first:] > 0).astype(np.int32), leaves, sizes)


def _count(signals: I32x1, size: int) -> I32x1:
    return np.bincount(signals, minlength=size).astype(np.int32)


def _extract(net: Netlist, k: int, chosen: I32x1, leaves: I32x3, sizes: I8x2) -> Netlist:
    """Build the netlist of the chosen LUTs and their best cuts."""
    table = np.zeros(len(chosen), np.uint64)
    _cuts.cone_tables(net.fanin, net.table.astype(np.uint64), net.first_lut, chosen, leaves, sizes, table)
    signal = np.arange(net.signals, dtype=np.int32)
    signal[net.first_lut + chosen] = net.first_lut + np.arange(len(chosen), dtype=np.int32)
    pins = np.where(np.arange(k) < sizes[chosen, 0, None], leaves[chosen, 0], 0)
    mapped = replace(
        net,
        fanin=signal[pins],
        table=table.astype(table_dtype(k)),
        stage=None,
        origin=None if net.origin is None else net.origin[chosen],
    )
    return mapped.with_roots(signal[net.roots()])


def _eliminate(net: Netlist) -> Netlist:
    """Run fan-out elimination to its fixed point; deleted LUTs stay in the arrays, unread."""
    fanin, table = net.fanin.copy(), net.table.astype(np.uint64)
    sizes = (fanin != 0).sum(axis=1).astype(np.int8)
    is_root = _count(net.roots(), net.signals) > 0
    dead = np.zeros(net.luts, np.bool_)
    while _cuts.eliminate(fanin, sizes, table, net.first_lut, is_root, dead):
        pass
    return replace(net, fanin=fanin, table=table.astype(net.table.dtype))
