"""What the network, counters and argmax of a Xilinx design are chosen for: what `--head` says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lgc.errors import DoesNotFitError, UsageError
from lgc.ir.fabric import Fabric
from lgc.ir.passes.expand_argmax import Argmax
from lgc.ir.passes.heads import best_head

if TYPE_CHECKING:
    from lgc.backend.target import Target
    from lgc.ir.netlist import Netlist
    from lgc.pace import Pace

_HEAD = re.compile(r"(sites|luts)(?::([1-9]\d*))?")


@dataclass(frozen=True)
class Aim:
    """What was asked for.

    Attributes:
        luts: for the fewest LUTs, each with one output, not the fewest sites of two.
        levels: LUTs and carry cells on the longest path at most; None for any number.
    """

    luts: bool = False
    levels: int | None = None

    @classmethod
    def of(cls, head: str) -> Aim:
        """Read the option of `lgc compile`.

        Raises:
            UsageError: text that means nothing.
        """
        found = _HEAD.fullmatch(head)
        if found is None:
            raise UsageError(
                f"--head takes sites or luts, with levels behind a colon if wanted, not {head!r}.",
                hint="Say sites:12, for instance.",
            )
        return cls(found[1] == "luts", int(found[2]) if found[2] else None)

    @property
    def chosen(self) -> bool:
        """Whether counters and argmax are chosen together, as this object does when called."""
        return self.luts or self.levels is not None

    def check(self, target: Target, pace: Pace) -> None:
        """Raise `UsageError` where a target or its registers leave nothing to choose."""
        if self.chosen and not target.cells.own_cells:
            raise UsageError(
                f"--head is for Xilinx; designs for {target.name} take the fewest LUTs in any case.",
                hint="Leave it out.",
            )
        if self.chosen and not pace.chained:
            raise UsageError(
                "--head chooses among carry chains, which --throughput full and --pipeline N would cut.",
                hint="Leave --head out, or set stages with --levels or --clock.",
            )

    def __call__(self, net: Netlist, k: int) -> tuple[Fabric, Argmax]:
        """Build network and counters, and the argmax behind them.

        Raises:
            DoesNotFitError: no head that was found has so few levels.
        """
        head = best_head(net, k=k, fractured=not self.luts, carry=True, levels=self.levels)
        fabric, argmax = head.parts()
        if self.levels is not None and (found := levels_of(fabric, argmax)) > self.levels:
            raise DoesNotFitError(
                f"No network, counters and argmax of at most {self.levels} levels were found, "
                f"the fewest are {found}.",
                hint=f"Say --head {'luts' if self.luts else 'sites'}:{found}, or leave the number out.",
            )
        return fabric, argmax

    def words(self, levels: int, pace: Pace) -> str:
        """Say what was chosen for, and the levels of what was built."""
        if not pace.chained:
            what = "LUT sites and registers" if pace.full else "LUT sites"
            return f"the fewest {what}, without carry chains; it has {levels} levels of LUTs"
        what = "LUTs" if self.luts else "LUT sites"
        within = "" if self.levels is None else f" in at most {self.levels} levels"
        return f"the fewest {what}{within}; it has {levels}, each CARRY4 being one"


def levels_of(fabric: Fabric, argmax: Argmax) -> int:
    """LUTs on the longest path to the class, each CARRY4 on the way being one."""
    net = argmax.netlist
    level = net.levels() if fabric.chains is None else fabric.chains.levels(net, carry=True)
    return int(level[net.outputs].max(initial=0))
