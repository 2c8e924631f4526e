"""Where the bits to be counted belong: neighbours are counted together."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _kernels
from .._typing import F64x1, F64x2, I64x1
from ..netlist import FIRST_INPUT, Netlist


def places(net: Netlist, position: F64x2 | None) -> list[Any]:
    """Place of each signal on a line, from the mean of the inputs it depends on; `[signals]`."""
    if position is None:
        place = np.arange(net.signals, dtype=np.float64)
        _kernels.places(net.fanin, net.first_lut, place)
        return list(place)
    plane = np.zeros((2, net.signals))
    plane[:, FIRST_INPUT : net.first_lut] = position.T
    for axis in plane:
        _kernels.places(net.fanin, net.first_lut, axis)
    return list(_hilbert(*plane))


def _hilbert(x: F64x1, y: F64x1, order: int = 6) -> I64x1:
    """Index along the Hilbert curve of points within 0 and 1: near on the curve, near in the plane."""
    side = 1 << order
    column, row = (np.clip(axis * side, 0, side - 1).astype(np.int64) for axis in (x, y))
    index = np.zeros(len(x), np.int64)
    for bit in range(order - 1, -1, -1):
        right, up = column >> bit & 1, row >> bit & 1
        index += ((3 * right) ^ up) << (2 * bit)
        flip = (up == 0) & (right == 1)
        column, row = np.where(flip, side - 1 - column, column), np.where(flip, side - 1 - row, row)
        column, row = np.where(up == 0, row, column), np.where(up == 0, column, row)
    return index
