"""Thermometer encoding: what turns numbers into the network's input bits, exactly."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError


@dataclass(frozen=True)
class FixedPoint:
    """The number format of the features at the hardware's pins.

    A real feature x is seen as `floor(x * 2**fraction)`, saturated to `width` bits.
    8-bit pixels are `FixedPoint(8)`.

    Attributes:
        width: bits per feature.
        fraction: bits after the point; may be negative.
        signed: two's complement.
        shift: how many more bits after the point each feature has; empty for none. Hardware sees codes of
            `width` bits and need not know.
    """

    width: int
    fraction: int = 0
    signed: bool = False
    shift: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Take lists, as JSON has them."""
        object.__setattr__(self, "shift", tuple(self.shift))

    @property
    def fractions(self) -> npt.NDArray[np.int32]:
        """Bits after the point, int32 `[features]`, or `[]` if all features share them."""
        return np.array(self.shift or 0, np.int32) + np.int32(self.fraction)

    def of(self, feature: int) -> FixedPoint:
        """Return the format of one feature."""
        return FixedPoint(self.width, self.fraction + (self.shift[feature] if self.shift else 0), self.signed)

    @property
    def low(self) -> int:
        """Smallest code."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest code."""
        return (1 << (self.width - self.signed)) - 1

    def quantise(self, x: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Turn real features `[...]` into integer codes, int32 of the same shape.

        With `shift`, the last axis is that of the features.
        """
        values = np.asarray(x)
        if values.dtype.kind == "f":
            if not np.isfinite(values).all():
                raise LgcError(
                    "The features hold NaN or infinite values.", hint="Clean or impute them first."
                )
            values = np.floor(np.ldexp(values.astype(np.float64), self.fractions))
        else:
            values = (
                values.astype(np.int64) << np.maximum(self.fractions, 0) >> np.maximum(-self.fractions, 0)
            )
        codes: npt.NDArray[np.int32] = np.clip(values, self.low, self.high).astype(np.int32)
        return codes


@dataclass(frozen=True, eq=False)
class Thermometer:
    """Input bit `f * levels + l` is `code[f] >= threshold[f, l]`.

    Thresholds are integers in the feature's fixed-point format, ascending along the levels, so
    software and hardware agree exactly. `low + 1 .. high` are useful values; a threshold at or
    below the format's lowest code makes a bit that is always 1.

    Attributes:
        threshold: int32 `[features, levels]`.
        format: fixed-point format of the features.
    """

    threshold: npt.NDArray[np.int32]
    format: FixedPoint = field(default_factory=lambda: FixedPoint(8))

    @property
    def features(self) -> int:
        """Number of features."""
        return len(self.threshold)

    @property
    def levels(self) -> int:
        """Thresholds per feature."""
        return int(self.threshold.shape[1])

    @property
    def code_levels(self) -> int:
        """Bits per thermometer code, of which a later one implies the earlier; 1 if none does."""
        return self.levels if self.levels and (np.diff(self.threshold) >= 0).all() else 1

    @property
    def bits(self) -> int:
        """Number of input bits the network sees."""
        return self.threshold.size

    def codes(self, x: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Quantise samples `[samples, ...]` to integer codes int32 `[samples, features]`.

        Raises:
            LgcError: wrong number of features, or NaN.
        """
        values = np.asarray(x)
        values = values.reshape(len(values), -1)
        if values.shape[1] != self.features:
            raise LgcError(
                f"The data has {values.shape[1]} features per sample, the model expects {self.features}.",
                hint="Give the data set the model was trained on.",
            )
        return self.format.quantise(values)

    def encode(self, x: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Encode samples `[samples, ...]` to bool `[samples, bits]`."""
        return self.compare(self.codes(x))

    def compare(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Compare codes int32 `[samples, features]` with the thresholds: bool `[samples, bits]`."""
        return (codes[:, :, None] >= self.threshold[None]).reshape(len(codes), -1)
