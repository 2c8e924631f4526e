"""Dead-code elimination."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .. import _kernels
from .._typing import Bool1
from ..netlist import Netlist


@dataclass(frozen=True)
class Dce:
    """Remove LUTs that no output and no readout entry depends on; inputs stay."""

    name: ClassVar[str] = "dce"

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with live LUTs only."""
        needed = np.zeros(net.signals, np.bool_)
        needed[net.roots()] = True
        _kernels.live(net.fanin, net.first_lut, needed)
        return keep_luts(net, needed[net.first_lut :])


def keep_luts(net: Netlist, keep: Bool1) -> Netlist:
    """Drop the LUTs not in `keep` `[luts]`, which nothing kept may read, and renumber the others."""
    signal = np.arange(net.signals, dtype=np.int32)
    signal[net.first_lut :] = net.first_lut + np.cumsum(keep, dtype=np.int32) - 1
    smaller = replace(
        net,
        fanin=signal[net.fanin[keep]],
        table=net.table[keep],
        stage=None if net.stage is None else net.stage[keep],
        origin=None if net.origin is None else net.origin[keep],
    )
    return smaller.with_roots(signal[net.roots()])
