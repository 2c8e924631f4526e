"""Stage numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .. import _kernels
from ..netlist import Netlist


@dataclass(frozen=True)
class Pipeline:
    """Give every LUT a stage so that at most `levels` LUTs lie between two registers.

    A LUT that ends such a run is read by later stages only, so its register shares its logic cell
    and costs nothing. Inputs are stage 0; `levels=0` removes the stages.
    """

    name: ClassVar[str] = "pipeline"
    levels: int = 4

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if self.levels < 0:
            raise ValueError(f"levels must be 0 or more, not {self.levels}")

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with `stage` set."""
        if self.levels == 0:
            return replace(net, stage=None)
        level, stage = np.zeros(net.signals, np.int32), np.zeros(net.signals, np.int32)
        _kernels.levels(net.fanin, net.first_lut, level)
        _kernels.stages(net.fanin, net.first_lut, self.levels, level, stage)
        return replace(net, stage=stage[net.first_lut :].astype(np.uint16))
