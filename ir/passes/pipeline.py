"""Stage numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from lgc.errors import LgcError

from .. import _kernels
from .._typing import I32x1
from ..netlist import Netlist


@dataclass(frozen=True)
class Pipeline:
    """Give every LUT a stage so that at most `levels` LUTs lie between two registers.

    A LUT that ends such a run is read by later stages only, so its register shares its logic cell
    and costs nothing. Inputs are stage 0. At most one of `stages` and `clock` takes the place of
    `levels`.

    Attributes:
        levels: LUTs between two registers at most; 0 removes the stages.
        stages: register stages at most, with as few LUTs between them as that allows; -1 for any.
        clock: MHz to be reached, where a LUT and its wire take `delay` picoseconds; 0 for any.
        delay: picoseconds, of a LUT and the wire behind it.
    """

    name: ClassVar[str] = "pipeline"
    levels: int = 4
    stages: int = -1
    clock: int = 0
    delay: int = 1300

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if self.levels < 0:
            raise ValueError(f"levels must be 0 or more, not {self.levels}")
        if self.stages < -1 or self.clock < 0 or self.delay < 1:
            raise ValueError("stages and clock must not be negative, and delay must be positive")
        if self.stages >= 0 and self.clock:
            raise ValueError("give stages or clock, not both")

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with `stage` set.

        Raises:
            LgcError: a single LUT takes longer than a period of `clock`.
        """
        if self.stages >= 0:
            return _within(net, self.stages)
        if self.clock:
            levels = 1_000_000 // (self.clock * self.delay)
            if not levels:
                raise LgcError(
                    f"A LUT of {self.delay} ps does not run at {self.clock} MHz.",
                    hint="Ask for a slower clock.",
                )
            return _staged(net, _levels(net), levels)
        if self.levels == 0:
            return replace(net, stage=None)
        return _staged(net, _levels(net), self.levels)


def _levels(net: Netlist) -> I32x1:
    level = np.zeros(net.signals, np.int32)
    _kernels.levels(net.fanin, net.first_lut, level)
    return level


def _staged(net: Netlist, level: I32x1, per_stage: int) -> Netlist:
    stage = np.zeros(net.signals, np.int32)
    _kernels.stages(net.fanin, net.first_lut, per_stage, level, stage)
    return replace(net, stage=stage[net.first_lut :].astype(np.uint16))


def _within(net: Netlist, stages: int) -> Netlist:
    """Take the fewest levels per stage that need no more than so many register stages."""
    level = _levels(net)
    depth = int(level.max(initial=1))
    for per_stage in range(max(1, -(-depth // (stages + 1))), depth + 1):
        staged = _staged(net, level, per_stage)
        assert staged.stage is not None
        if int(staged.stage.max(initial=0)) <= stages:
            break
    return staged
