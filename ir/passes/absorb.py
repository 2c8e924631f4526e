"""Readout algebra."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ..netlist import Netlist
from ..readout import Readout


@dataclass(frozen=True)
class Absorb:
    """Merge readout entries: constants go to the bias, repeated signals add up their weights.

    Complementary outputs, which `strash` leaves as one signal with weights +1 and -1, cancel.
    """

    name: ClassVar[str] = "absorb"

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with at most one entry per class and signal, none constant."""
        if net.readout is None:
            return net
        return replace(net, readout=_merge(net.readout, net.signals))


def _merge(head: Readout, signals: int) -> Readout:
    of_class = head.class_of_entry
    bias = head.bias.copy()
    one = head.signal == 1
    np.add.at(bias, of_class[one], head.weight[one])
    real = head.signal >= 2
    key = of_class[real].astype(np.int64) * signals + head.signal[real]
    unique, position = np.unique(key, return_inverse=True)
    weight = np.zeros(len(unique), np.int64)
    np.add.at(weight, position, head.weight[real])
    unique, weight = unique[weight != 0], weight[weight != 0]
    return Readout(
        bias=bias,
        start=np.searchsorted(unique, np.arange(head.classes + 1, dtype=np.int64) * signals),
        signal=(unique % signals).astype(np.int32),
        weight=weight.astype(np.int32),
    )
