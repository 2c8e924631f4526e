"""Merging of equivalent signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .. import satsweep
from ..netlist import Netlist
from ._sweep import rebuild
from .dce import Dce

_WORK = 2_000_000
"""Signals of cones that SAT is told of at most: a minute or two."""


@dataclass(frozen=True)
class Merge:
    """Merge signals that are equal or complementary whatever their structure, and constant ones.

    Simulation proposes pairs, proofs over small cuts and SAT decide (`satsweep`). Pairs that SAT
    does not settle within `conflicts` stay apart, and those left when cones were large enough for a minute;
    networks of more than a million LUTs are gone over twice, smaller ones more often.

    Attributes:
        thermometer: inputs are thermometer codes of so many bits, so that patterns in which a later
            bit is set without the earlier ones never occur; 1 if any pattern can occur, 0 for what a
            compilation knows from the encoder, and 1 elsewhere.
        conflicts: SAT conflicts spent on a pair.
    """

    name: ClassVar[str] = "merge"
    thermometer: int = 0
    conflicts: int = 2000

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if self.thermometer < 0:
            raise ValueError(f"thermometer must be 0 or more, not {self.thermometer}")

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with every function of the inputs computed once, as far as proved.

        Raises:
            LgcError: the inputs do not divide into thermometer codes of that many bits.
        """
        found = satsweep.sweep(net, levels=self.thermometer or 1, conflicts=self.conflicts, work=_WORK)
        return Dce()(rebuild(net, found.fanin, found.table, found.kept, found.literal))
