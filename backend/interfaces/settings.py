"""What `--interface` and its companions say, and what the interface has to know of the design."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lgc.errors import UsageError, nearest
from lgc.ir.encoder import FixedPoint, Thermometer

from .packing import Packing, ranked, ranks

NAMES = ("stream", "parallel", "words", "axi", "uart", "spi")
"""Interfaces: one feature per clock, all in one clock, packed words, AXI4-Stream, UART, SPI."""

PACKS = ("levels", "codes", "bits")
"""What is sent of a feature: the number of its thresholds that it reaches, its code, or a bit for each
threshold, where the sender encodes."""

LEAST_CLOCKS = 4
"""Clocks that a bit of a UART takes at least."""

BAUD_ERROR = 0.02
"""Largest deviation from the baud rate; a frame of ten bits tolerates 5 % of both ends together."""


@dataclass(frozen=True)
class Interface:
    """An interface as asked for.

    Attributes:
        name: one of `NAMES`.
        word: bits per word of `words` and `axi`; UART and SPI carry bytes.
        pack: one of `PACKS`; `stream` always takes codes.
        scores: whether scores can be had, too.
        clock_hz: clock of the design, for the UART.
        baud: bits per second of the UART.
        timeout_s: silence that ends a frame of the UART.
        leds: LEDs that show the lowest bits of the class answered last; the UART has them.
        leds_inverted: whether a 0 lights them.
    """

    name: str = "stream"
    word: int = 8
    pack: str = "levels"
    scores: bool = False
    clock_hz: float = 12e6
    baud: int = 115_200
    timeout_s: float = 0.05
    leds: int = 0
    leds_inverted: bool = False

    def __post_init__(self) -> None:
        """Reject what cannot be built."""
        for what, value, known in (("interface", self.name, NAMES), ("packing", self.pack, PACKS)):
            if value not in known:
                raise UsageError(f"There is no {what} '{value}'.", hint=nearest(value, known))
        if self.word != 8 and self.name not in {"words", "axi"}:
            raise UsageError(f"{self.name} has no words of {self.word} bits.", hint="Leave --word out.")
        if self.name == "stream" and self.scores:
            raise UsageError(
                "The plain stream gives classes only.", hint="Take --interface words, axi, uart or spi."
            )
        if self.name == "uart":
            self._check_baud()

    def _check_baud(self) -> None:
        """Compare the bit time with whole clocks."""
        if not (self.clock_hz > 0 and self.baud > 0 and self.timeout_s > 0):
            raise UsageError("Clock, baud rate and time-out are numbers above 0.")
        clocks = self.clock_hz / self.baud
        if self.clocks < LEAST_CLOCKS or abs(self.clocks / clocks - 1) > BAUD_ERROR:
            raise UsageError(
                f"A clock of {self.clock_hz:g} Hz cannot make {self.baud} baud: a bit would take "
                f"{clocks:.2f} clocks, of at least {LEAST_CLOCKS} and within {BAUD_ERROR:.0%} of a "
                "whole number."
            )

    @property
    def wraps(self) -> bool:
        """Whether there is a module around the design."""
        return self.name not in {"stream", "parallel"}

    @property
    def clocks(self) -> int:
        """Clocks per bit of the UART."""
        return round(self.clock_hz / self.baud)

    @property
    def timeout_bits(self) -> int:
        """Bit times of silence that end a frame; more than the ten of a byte."""
        return max(round(self.timeout_s * self.baud), 20)

    def encoder(self, encoder: Thermometer) -> Thermometer:
        """Return the encoder to build: that of the levels or bits where those are sent."""
        if self.name == "stream" or self.pack == "codes":
            return encoder
        if self.pack == "levels":
            return ranked(encoder)
        return Thermometer(np.ones((encoder.bits, 1), np.int32), FixedPoint(1))

    def taken(self, encoder: Thermometer, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Return what the interface takes for codes int32 `[samples, features]` of an encoder."""
        if self.name == "stream" or self.pack == "codes":
            return codes
        return ranks(encoder, codes) if self.pack == "levels" else encoder.compare(codes).astype(np.int32)


STREAM = Interface()
"""The plain stream, nothing around the design."""


@dataclass(frozen=True)
class Core:
    """What an interface has to know of the design behind it.

    Attributes:
        packing: of the features that it takes.
        classes: number of classes.
        class_width: bits of the class index.
        score_width: bits of a score, unsigned and without the offset.
        scores: whether they are to be had.
        flash: whether the design has pins to a flash.
    """

    packing: Packing
    classes: int
    class_width: int
    score_width: int
    scores: bool
    flash: bool = False

    @property
    def class_words(self) -> int:
        """Words of the class index."""
        return -(-self.class_width // self.packing.word)

    @property
    def score_words(self) -> int:
        """Words of one score."""
        return -(-self.score_width // self.packing.word)

    def frame(self, name: str) -> tuple[int, int]:
        """Return the words of a request and of its answer, with what the interface `name` adds."""
        more = {"uart": (2, 2), "spi": (1, 1)}.get(name, (0, 0))
        answer = self.class_words if more != (0, 0) else self.reply_words if self.scores else self.class_words
        return self.packing.words + more[0], answer + more[1]

    @property
    def reply_words(self) -> int:
        """Words of class and all scores."""
        return self.class_words + self.classes * self.score_words
