"""The head of a logic-gate network: weighted counts of signals, one per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Readout:
    """Integer scores per class, `score[c] = bias[c] + sum(weight[e] * value(signal[e]))`.

    The entries `e` of class `c` are `start[c] .. start[c + 1] - 1`. A plain GroupSum has bias 0
    and weight 1 throughout; passes turn an inverted signal into bias and weight -1, a repeated
    one into weight 2, a constant into bias. Argmax ties go to the lowest class.

    Attributes:
        bias: int64 `[classes]`.
        start: int64 `[classes + 1]`, ascending from 0 to the number of entries.
        signal: int32 `[entries]`, signals of the netlist this readout belongs to.
        weight: int32 `[entries]`.
    """

    bias: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    signal: npt.NDArray[np.int32]
    weight: npt.NDArray[np.int32]

    @classmethod
    def group_sum(cls, signals: npt.ArrayLike, classes: int) -> Readout:
        """Count `classes` equal, contiguous groups of `signals` (difflogic's GroupSum).

        Raises:
            ValueError: if the number of signals is not a multiple of `classes`.
        """
        signal = np.ascontiguousarray(signals, dtype=np.int32)
        if classes < 1 or signal.size % classes:
            raise ValueError(f"{signal.size} signals do not split into {classes} equal groups")
        return cls(
            bias=np.zeros(classes, np.int64),
            start=np.arange(classes + 1, dtype=np.int64) * (signal.size // classes),
            signal=signal,
            weight=np.ones(signal.size, np.int32),
        )

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.bias)

    @property
    def class_of_entry(self) -> npt.NDArray[np.int32]:
        """Class of each entry, int32 `[entries]`."""
        return np.repeat(np.arange(self.classes, dtype=np.int32), np.diff(self.start))

    def bounds(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Lowest and highest score each class could reach, two int64 `[classes]`."""
        low, high = self.bias.copy(), self.bias.copy()
        np.add.at(low, self.class_of_entry, np.minimum(self.weight, 0))
        np.add.at(high, self.class_of_entry, np.maximum(self.weight, 0))
        return low, high
