"""Constant folding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..netlist import Netlist
from ._sweep import sweep


@dataclass(frozen=True)
class Fold:
    """Fold constants, buffers, inverters and repeated or unread pins into the tables that read them.

    Inverters in front of the readout become negative weights. Pins end up ascending, and every
    remaining LUT depends on at least two signals (inverters in front of outputs excepted).
    """

    name: ClassVar[str] = "fold"

    def __call__(self, net: Netlist) -> Netlist:
        """Return the folded netlist."""
        return sweep(net, share=False)
