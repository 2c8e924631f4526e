"""What the encoder in hardware has to compute and to store, before any of it is built."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lgc.ir.encoder import Thermometer

from .fabric import CHUNK

MOST = 64
"""Constants with which a feature is compared rather than with thresholds from a memory."""

_I64x1 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Plan:
    """What the encoder has to compute and to store.

    Attributes:
        encoder: thresholds and number format.
        used: int64 `[bits]`, the encoder bits that the fabric reads, ascending.
    """

    encoder: Thermometer
    used: _I64x1

    @cached_property
    def feature(self) -> _I64x1:
        """Feature of each used bit, int64 `[bits]`."""
        return self.used // self.encoder.levels

    @cached_property
    def column(self) -> _I64x1:
        """Comparator of each used bit, int64 `[bits]`."""
        return np.searchsorted(self.levels, self.used % self.encoder.levels)

    @cached_property
    def levels(self) -> _I64x1:
        """Levels that some used bit has, ascending: one comparator each."""
        return np.unique(self.used % self.encoder.levels)

    @cached_property
    def thresholds(self) -> npt.NDArray[np.int64]:
        """Thresholds int64 `[features, comparators]`, clipped to what a code can reach."""
        form = self.encoder.format
        return np.clip(self.encoder.threshold[:, self.levels].astype(np.int64), form.low, form.high + 1)

    def constant(self, column: int) -> int | None:
        """Return the threshold that all used bits of a comparator share, or None."""
        values = np.unique(self.thresholds[self.feature[self.column == column], column])
        return int(values[0]) if values.size == 1 else None

    @cached_property
    def table(self) -> tuple[list[int], npt.NDArray[np.int64]]:
        """Comparators whose threshold depends on the feature, and the thresholds `[features, own]`.

        Where a comparator's bit is not used, its lowest threshold stands in.
        """
        own = [column for column in range(self.levels.size) if self.constant(column) is None]
        table = np.empty((self.encoder.features, len(own)), np.int64)
        for n, column in enumerate(own):
            features = self.feature[self.column == column]
            values = self.thresholds[features, column]
            table[:, n] = values.min()
            table[features, n] = values
        return own, table

    @cached_property
    def memory(self) -> tuple[int, int]:
        """Words and bits per word of the threshold memory, 0 bits if there is none."""
        own, table = self.table
        return self.encoder.features, len(own) * span(table)[0]

    def by_value(self) -> Plan:
        """Return the same with a comparator for each value of a threshold, where these are few: no memory.

        The used bits keep their order.
        """
        values = self.thresholds[self.feature, self.column]
        distinct = np.unique(values)
        if not self.memory[1] or distinct.size > MOST:
            return self
        encoder = Thermometer(
            np.tile(distinct.astype(np.int32), (self.encoder.features, 1)), self.encoder.format
        )
        return Plan(encoder, self.feature * distinct.size + np.searchsorted(distinct, values))

    @property
    def words(self) -> list[int]:
        """What is in the threshold memory: the thresholds of a feature, the first in the lowest bits."""
        _, table = self.table
        width = span(table)[0]
        return [
            sum((int(value) & ((1 << width) - 1)) << (n * width) for n, value in enumerate(row))
            for row in table
        ]

    @property
    def chunks(self) -> list[int]:
        """Widths of the vectors that carry the used bits."""
        return [min(CHUNK, self.used.size - start) for start in range(0, self.used.size, CHUNK)]


def span(table: npt.NDArray[np.int64]) -> tuple[int, bool]:
    """Bits of the thresholds `[features, own]`, and whether they are signed."""
    low, high = (int(table.min()), int(table.max())) if table.size else (0, 0)
    if low < 0:
        return max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1, True
    return high.bit_length(), False
