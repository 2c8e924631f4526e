"""The critical path in the network's own terms: which neuron, which class."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from lgc.ir.equivalence import patterns
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import Netlist
from lgc.ir.simulate import outputs

_CELL = re.compile(r"\bfabric\.(?:network|popcount|argmax)\.(?:\w+_)?([np])(\d+)")
_SAMPLES = 1024
LARGEST = 100_000
"""Nodes and LUTs above which names stay as they are."""

Hops = Iterable[tuple[str, str, float]]


@dataclass(frozen=True, eq=False)
class Terms:
    """What the LUTs of a fabric are called in the network.

    Attributes:
        fabric: the LUTs.
        node: for each LUT of the network a node of the lowered network that computes the same, or its
            complement, for all inputs tried; -1 where none does.
        classes: for each signal the classes whose scores depend on it.
    """

    fabric: Fabric
    node: tuple[int, ...]
    classes: tuple[frozenset[int], ...]

    @classmethod
    def of(cls, fabric: Fabric, network: Netlist, *, levels: int = 1) -> Terms:
        """Find nodes by what they compute, classes by what they reach."""
        net = fabric.netlist
        bits = patterns(net.inputs, samples=_SAMPLES, seed=0, levels=levels)
        rows = []
        for each in (network, net):
            every = np.arange(each.first_lut, each.signals, dtype=np.int32)
            value = outputs(replace(each, outputs=every, readout=None, stage=None), bits).T
            rows.append(np.packbits(value ^ value[:, :1], axis=1))
        known: dict[bytes, int] = {}
        for n, row in enumerate(rows[0]):
            known.setdefault(row.tobytes(), n)
        node = tuple(known.get(row.tobytes(), -1) for row in rows[1][: fabric.network_luts])
        return cls(fabric, node, _reached(fabric))

    def words(self, cell: str) -> str:
        """Say what a cell or net of the router is; "" where it is not in the fabric."""
        found = _CELL.search(cell)
        if found is None:
            return ""
        row = int(found[2]) + (self.fabric.network_luts if found[1] == "p" else 0)
        if row >= self.fabric.netlist.luts:
            return ""
        if found[1] == "n":
            return f"neuron {self.node[row]}" if self.node[row] >= 0 else "between neurons"
        classes = sorted(self.classes[self.fabric.netlist.first_lut + row])
        if not classes:
            return "argmax"
        return f"count of class {classes[0]}" if len(classes) == 1 else f"count of {len(classes)} classes"


def _reached(fabric: Fabric) -> tuple[frozenset[int], ...]:
    """Classes whose scores depend on each signal; a score bit belongs to its own class."""
    net = fabric.netlist
    mask = [0] * net.signals
    for c, row in enumerate(fabric.score_signals.reshape(fabric.classes, -1).tolist()):
        for signal in row:
            mask[signal] |= 1 << c
    for lut in range(net.luts - 1, -1, -1):
        if mine := mask[net.first_lut + lut]:
            for signal in net.fanin[lut].tolist():
                mask[signal] |= mine
    return tuple(frozenset(c for c in range(fabric.classes) if found >> c & 1) for found in mask)


def named(path: Hops, fabric: Fabric, network: Netlist, *, levels: int = 1) -> list[tuple[str, str, float]]:
    """Add to each cell of a path what it is in the network, in brackets.

    Args:
        path: kind, name and delay of each cell and net, as the router says.
        fabric: what was placed.
        network: the lowered network.
        levels: bits per thermometer code of its inputs.
    """
    steps = list(path)
    inside = any(_CELL.search(name) for _, name, _ in steps)
    alike = fabric.netlist.inputs == network.inputs  # not where kernels are kept, see `lgc.folding`
    if not (inside and alike) or max(fabric.netlist.luts, network.luts) > LARGEST:
        return steps
    terms = Terms.of(fabric, network, levels=levels)
    found = []
    for kind, name, ns in steps:
        words = "" if kind == "routing" else terms.words(name)
        found.append((kind, f"{name} ({words})" if words else name, ns))
    return found
