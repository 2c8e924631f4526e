"""Fan-in reduction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .. import _window
from ..netlist import Netlist
from ._sweep import sweep
from .dce import Dce


@dataclass(frozen=True)
class Reduce:
    """Drop pins that a LUT's other pins determine, or read earlier signals if these are no more.

    For each LUT, all patterns of the up to 10 signals that its pins depend on, 3 LUTs deep, are
    tried: pin patterns that never occur are satisfiability don't-cares (Mishchenko and Brayton,
    "SAT-based complete don't-care computation for network optimization", DATE 2005). A LUT left
    with one pin or none folds away, one that is no longer read is pruned.

    Attributes:
        thermometer: as in `merge`.
    """

    name: ClassVar[str] = "reduce"
    thermometer: int = 0

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if self.thermometer < 0:
            raise ValueError(f"thermometer must be 0 or more, not {self.thermometer}")

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with no more LUTs and no LUT with more pins."""
        net = Dce()(sweep(net, share=True))
        fanin, table = net.fanin.copy(), net.table.astype(np.uint64)
        if not _window.reduce_fanin(fanin, table, net.first_lut, self.thermometer or 1):
            return net
        return Dce()(sweep(replace(net, fanin=fanin, table=table.astype(net.table.dtype)), share=True))
