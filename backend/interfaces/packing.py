"""How the features of a sample lie in words of 8, 16 or 32 bits; the host's half and the hardware's facts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError, UsageError
from lgc.ir.encoder import FixedPoint, Thermometer

WORDS = (8, 16, 32)
"""Widths of a word."""


@dataclass(frozen=True)
class Packing:
    """Features in words.

    As many features as fit lie in a word, each in a slot of `word // slots` bits, the first in the
    lowest; the bits above the feature are ignored. A feature wider than a word takes several, the
    lowest first. Words travel as bytes with the lowest first.

    Attributes:
        features: features per sample.
        width: bits per feature.
        word: bits per word, one of `WORDS`.
    """

    features: int
    width: int
    word: int = 8

    def __post_init__(self) -> None:
        """Reject a word that no interface has."""
        if self.word not in WORDS:
            raise UsageError(f"Words have 8, 16 or 32 bits, not {self.word}.")

    @property
    def slots(self) -> int:
        """Features per word; 1 if a feature takes a whole one or more."""
        return max(self.word // self.width, 1)

    @property
    def slot(self) -> int:
        """Bits from one feature to the next within a word."""
        return self.word // self.slots

    @property
    def parts(self) -> int:
        """Words per feature; 1 if several features share one."""
        return -(-self.width // self.word)

    @property
    def words(self) -> int:
        """Words per sample."""
        return -(-self.features // self.slots) * self.parts

    @property
    def last(self) -> int:
        """Features in a sample's last word."""
        return (self.features - 1) % self.slots + 1

    def pack(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.uint32]:
        """Pack codes int32 `[samples, features]` into words uint32 `[samples, words]`.

        Raises:
            LgcError: another number of features.
        """
        if codes.ndim != 2 or codes.shape[1] != self.features:
            raise LgcError(f"Got codes of shape {codes.shape}, expected [samples, {self.features}].")
        raw = codes.astype(np.int64) & ((1 << self.width) - 1)
        if self.parts > 1:
            shift = self.word * np.arange(self.parts)
            parts = (raw[:, :, None] >> shift) & ((1 << self.word) - 1)
            return np.asarray(parts.reshape(len(raw), -1), np.uint32)
        padded = np.zeros((len(raw), self.words * self.slots), np.int64)
        padded[:, : self.features] = raw
        shift = self.slot * np.arange(self.slots)
        slots = padded.reshape(len(raw), self.words, self.slots) << shift
        return np.asarray(np.bitwise_or.reduce(slots, axis=2), np.uint32)

    def bytes(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
        """Pack codes int32 `[samples, features]` into bytes uint8 `[samples, words * word // 8]`."""
        words = self.pack(codes).astype("<u4")
        return np.ascontiguousarray(
            words.view(np.uint8).reshape(len(words), self.words, 4)[:, :, : self.word // 8]
        ).reshape(len(words), -1)


def ranked(encoder: Thermometer) -> Thermometer:
    """Return the encoder whose codes are how many of a feature's thresholds the old code reached.

    Its bits are those of `encoder`, its codes shorter, and every feature has the same thresholds, so
    that the hardware needs no table of them. What it takes is made by `ranks`.

    Raises:
        LgcError: thresholds that do not ascend, so that a number does not tell the bits.
    """
    if (np.diff(encoder.threshold) < 0).any():
        raise LgcError("The thresholds do not ascend, so levels cannot be sent.", hint="Try --pack codes.")
    threshold = np.arange(1, encoder.levels + 1, dtype=np.int32)
    rows = np.broadcast_to(threshold, encoder.threshold.shape).copy()
    return Thermometer(rows, FixedPoint(max(encoder.levels.bit_length(), 1)))


def ranks(encoder: Thermometer, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Turn codes int32 `[samples, features]` of an encoder into those of `ranked(encoder)`."""
    bits = encoder.compare(codes).reshape(*codes.shape, encoder.levels)
    return np.asarray(bits.sum(axis=2), np.int32)
