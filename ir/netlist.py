"""The netlist: a struct of arrays, one row per LUT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .readout import Readout

FIRST_INPUT = 2
"""Signals 0 and 1 are the constants; inputs come next."""


def table_dtype(k: int) -> np.dtype[Any]:
    """Return the smallest unsigned type that holds the 2**k rows of a k-input truth table."""
    if not 1 <= k <= 6:
        raise ValueError(f"LUTs have 1 to 6 inputs, not {k}")
    return np.dtype(np.uint8 if k <= 3 else f"u{(1 << k) // 8}")


@dataclass(frozen=True, eq=False)
class Netlist:
    """A combinational network of k-input LUTs with outputs and, usually, a readout.

    A *signal* is an integer: 0 and 1 are the constants, `2 .. 2 + inputs - 1` the inputs, and
    LUT `i` drives signal `2 + inputs + i`. LUTs are in topological order: each reads only smaller
    signals. Bit `r` of `table[i]` is the output when the inputs spell the number `r`,
    `fanin[i, 0]` being the least significant bit, as Yosys' `$lut` and iCE40's `LUT_INIT` count.
    A LUT that needs fewer than k inputs reads signal 0 on its last pins.

    Attributes:
        inputs: number of input bits.
        fanin: int32 `[luts, k]`, the signals each LUT reads.
        table: unsigned `[luts]`, see `table_dtype`.
        outputs: int32 `[outputs]`, signals visible outside besides the readout.
        readout: weighted counts per class, or None.
        stage: uint16 `[luts]` or None. A LUT of stage s is computed s clocks after the inputs
            arrive; a signal read by a later stage passes one register per stage in between.
        origin: int32 `[luts]` or None, the LUT of the lowered network each LUT stems from.
    """

    inputs: int
    fanin: npt.NDArray[np.int32]
    table: npt.NDArray[np.unsignedinteger[Any]]
    outputs: npt.NDArray[np.int32]
    readout: Readout | None = None
    stage: npt.NDArray[np.uint16] | None = None
    origin: npt.NDArray[np.int32] | None = None

    @property
    def k(self) -> int:
        """Inputs per LUT."""
        return int(self.fanin.shape[1])

    @property
    def luts(self) -> int:
        """Number of LUTs."""
        return len(self.fanin)

    @property
    def first_lut(self) -> int:
        """The signal that LUT 0 drives."""
        return FIRST_INPUT + self.inputs

    @property
    def signals(self) -> int:
        """Number of signals, constants included."""
        return self.first_lut + self.luts

    def roots(self) -> npt.NDArray[np.int32]:
        """Signals somebody outside looks at: outputs, then readout entries; int32 `[roots]`."""
        if self.readout is None:
            return self.outputs
        return np.concatenate([self.outputs, self.readout.signal])

    def levels(self) -> npt.NDArray[np.int32]:
        """LUTs on the longest path to each signal, itself included, int32 `[signals]`."""
        from . import _kernels  # compiled code is loaded when it is needed

        level = np.zeros(self.signals, np.int32)
        _kernels.levels(self.fanin, self.first_lut, level)
        return level

    def with_roots(self, roots: npt.NDArray[np.int32]) -> Netlist:
        """Return the netlist with `roots()` replaced, in the same order."""
        split = len(self.outputs)
        readout = self.readout and replace(self.readout, signal=roots[split:].astype(np.int32))
        return replace(self, outputs=roots[:split].astype(np.int32), readout=readout)
