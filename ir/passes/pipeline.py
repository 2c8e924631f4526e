"""Stage numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from lgc.errors import LgcError

from .. import _kernels
from .._typing import I32x1, I64x1
from ..netlist import FIRST_INPUT, Netlist
from ..sites import sites

_MOST = 0xFFFF
"""Stages that a netlist can number."""


@dataclass(frozen=True)
class Pipeline:
    """Give every LUT a stage so that at most `levels` LUTs lie between two registers.

    For inputs that stand still until the result is there, a LUT that ends such a run is read by
    later stages only: its register shares its logic cell and costs nothing, at the price of more
    stages. `balanced` is for new inputs every clock: signals get a register for each stage they
    cross, and the stages are as few as can be. With `wires` as many more stages lie in front of each,
    in which signals only travel. Inputs are stage 0. At most one of `stages` and `clock` takes the place of
    `levels`.

    Attributes:
        levels: LUTs between two registers at most; 0 removes the stages.
        stages: register stages at most, with as few LUTs between them as that allows; -1 for any.
        clock: MHz to be reached, where a LUT and its wire take `delay` picoseconds; 0 for any.
        delay: picoseconds, of a LUT and the wire behind it.
        balanced: as few stages as possible, whatever registers that takes.
        wires: with `balanced`, registers on the way from each stage to the next, and from the inputs.
    """

    name: ClassVar[str] = "pipeline"
    levels: int = 4
    stages: int = -1
    clock: int = 0
    delay: int = 1300
    balanced: bool = False
    wires: int = 0

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if self.levels < 0:
            raise ValueError(f"levels must be 0 or more, not {self.levels}")
        if self.stages < -1 or self.clock < 0 or self.delay < 1:
            raise ValueError("stages and clock must not be negative, and delay must be positive")
        if self.stages >= 0 and self.clock:
            raise ValueError("give stages or clock, not both")
        if self.wires < 0 or (self.wires and not self.balanced):
            raise ValueError("wires must not be negative, and needs balanced=true")

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with `stage` set.

        Raises:
            LgcError: a single LUT takes longer than a period of `clock`, or there are too many stages.
        """
        level = net.levels()
        if self.stages >= 0:
            return self._within(net, level)
        levels = self.levels
        if self.clock:
            levels = 1_000_000 // (self.clock * self.delay)
            if not levels:
                raise LgcError(
                    f"A LUT of {self.delay} ps does not run at {self.clock} MHz.",
                    hint="Ask for a slower clock.",
                )
        return self._staged(net, level, levels) if levels else replace(net, stage=None)

    def _staged(self, net: Netlist, level: I32x1, per_stage: int) -> Netlist:
        stage = np.maximum(level - 1, 0) // per_stage
        if not self.balanced:
            stage = np.zeros_like(level)
            _kernels.stages(net.fanin, net.first_lut, per_stage, level, stage)
        stage = (1 + self.wires) * stage.astype(np.int64) + self.wires
        if stage.max(initial=0) > _MOST:
            raise LgcError(
                f"That would be {stage.max():,} register stages, more than {_MOST:,}.",
                hint="Allow more LUTs between registers, or fewer registers on wires.",
            )
        return replace(net, stage=stage[net.first_lut :].astype(np.uint16))

    def _within(self, net: Netlist, level: I32x1) -> Netlist:
        """Take the fewest levels per stage that need no more than `stages` register stages."""
        depth = int(level.max(initial=1))
        for per_stage in range(max(1, -(-depth // (self.stages + 1))), depth + 1):
            staged = self._staged(net, level, per_stage)
            assert staged.stage is not None
            if int(staged.stage.max(initial=0)) <= self.stages:
                break
        return staged


def last_reads(net: Netlist, stage: I64x1) -> I64x1:
    """Last stage at which a LUT reads each signal, its own if none does; constants are 0. `[signals]`."""
    latest = stage.copy()
    np.maximum.at(latest, net.fanin, stage[net.first_lut :, None])
    latest[:FIRST_INPUT] = 0
    return latest


def registered_cells(net: Netlist, levels: int, *, fractured: bool = False) -> int:
    """Logic cells of `net` with its registers, new inputs coming every clock; see `Pipeline.balanced`.

    Outputs count as read where they are made. A register shares the cell of the LUT that it alone reads.
    With `fractured` a cell is a site of two LUTs beside two registers, which may be anybody's.
    """
    staged = Pipeline(levels=levels, balanced=True)(net)
    stage = np.zeros(net.signals, np.int64)
    if staged.stage is not None:
        stage[net.first_lut :] = staged.stage
    delay = last_reads(net, stage) - stage
    if fractured:
        return max(sites(net).count, -(-int(delay.sum()) // 2))
    alone = delay > 0
    alone[net.fanin[stage[net.fanin] == stage[net.first_lut :, None]]] = False
    return net.luts + int(delay.sum() - alone[net.first_lut :].sum())
