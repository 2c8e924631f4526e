"""Structural hashing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..netlist import Netlist
from ._sweep import sweep


@dataclass(frozen=True)
class Strash:
    """Merge LUTs that read the same signals through the same or the complementary table.

    Folds on the way, so that LUTs made equal by merging their inputs are found in the same run.
    """

    name: ClassVar[str] = "strash"

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with every function of the same signals computed once."""
        return sweep(net, share=True)
