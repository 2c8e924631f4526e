"""The client of a chip's SPI: load samples, read classes and scores back; see docs/interfaces.md.

`SpiClient` works over anything with `transfer`: Linux' spidev, an FTDI cable, a simulated chip.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lgc.backend.interfaces.packing import Packing
from lgc.backend.interfaces.protocol import SpiCommand, SpiStatus
from lgc.backend.interfaces.settings import Core
from lgc.errors import LgcError, ToolMissingError

SCK_HZ = 1_000_000
"""Clock of the bus; the chip takes up to an eighth of its own."""


class Bus(Protocol):
    """What a client needs of an SPI master in mode 0."""

    def transfer(self, data: bytes) -> bytes:
        """Send bytes within one chip select; return as many that came back."""


class SpiDev:
    """A device of Linux' spidev."""

    def __init__(self, device: Any) -> None:
        self.device = device

    def transfer(self, data: bytes) -> bytes:
        """Transfer bytes within one chip select.

        Raises:
            LgcError: the device refuses, as it does more bytes than its driver's buffer has.
        """
        try:
            return bytes(self.device.xfer3(list(data)))
        except (OSError, OverflowError, ValueError) as error:
            raise LgcError(f"The SPI device did not transfer {len(data)} bytes: {error}.") from error


class TerminalBus:
    """A simulated chip at the other end of a terminal; each transfer is sent with its length before it."""

    def __init__(self, line: Any, timeout_s: float) -> None:
        self.line, self.timeout_s = line, timeout_s

    def transfer(self, data: bytes) -> bytes:
        """Transfer bytes within one chip select.

        Raises:
            LgcError: too little comes back.
        """
        self.line.write(len(data).to_bytes(4, "little") + data)
        found = b""
        while len(found) < len(data):
            more = self.line.read(len(data) - len(found), self.timeout_s)
            if not more:
                raise LgcError("The simulated chip does not answer.")
            found += more
        return found


@contextmanager
def open_device(port: str) -> Iterator[Bus]:
    """Open a device such as /dev/spidev0.1 through the package spidev, and close it in the end.

    Raises:
        ToolMissingError: spidev is not installed.
        LgcError: there is no such device.
    """
    try:
        spidev: Any = importlib.import_module("spidev")
    except ImportError:
        raise ToolMissingError(
            "SPI devices need the package spidev.", hint="Try: pip install spidev"
        ) from None
    device = spidev.SpiDev()
    try:
        bus, select = port.removeprefix("/dev/spidev").split(".")
        device.open(int(bus), int(select))
    except (OSError, ValueError) as error:
        raise LgcError(
            f"Cannot open the SPI device {port}: {error}.", hint="They are named like /dev/spidev0.0."
        ) from error
    try:
        device.mode, device.max_speed_hz = 0, SCK_HZ
        yield SpiDev(device)
    finally:
        device.close()


@dataclass(frozen=True)
class SpiClient:
    """A chip behind SPI.

    Attributes:
        bus: the way to it.
        core: what the chip takes and gives.
        offset: what is added to its scores.
        answer_s: how long to wait for a result.
        retries: how often a sample is loaded again after the chip has refused it.
    """

    bus: Bus
    core: Core
    offset: int
    answer_s: float = 1.0
    retries: int = 2

    @property
    def packing(self) -> Packing:
        """How a sample lies in its bytes."""
        return self.core.packing

    def classify(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Classes int64 `[samples]` of what the chip takes, int32 `[samples, features]`.

        Raises:
            LgcError: no result, or samples refused again and again.
        """
        size = self.core.class_words
        replies = [self._ask(SpiCommand.CLASS, row.tobytes(), size) for row in self.packing.bytes(codes)]
        return np.array([int.from_bytes(reply, "little") for reply in replies], np.int64)

    def scores(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Scores int64 `[samples, classes]`, of a design compiled with them.

        Raises:
            LgcError: no scores in this design, no result, or samples refused again and again.
        """
        if not self.core.scores:
            raise LgcError("This design gives no scores.", hint="Compile with --with-scores.")
        skip, size = self.core.class_words, self.core.score_words
        rows = []
        for row in self.packing.bytes(codes):
            reply = self._ask(SpiCommand.SCORES, row.tobytes(), self.core.reply_words)[skip:]
            rows.append([int.from_bytes(reply[n : n + size], "little") for n in range(0, len(reply), size)])
        return np.array(rows, np.int64).reshape(-1, self.core.classes) + self.offset

    def settle(self) -> None:
        """Wait until the chip is at rest, and take a result that another program left."""
        if self._wait(SpiStatus(0)) & SpiStatus.RESULT:
            self.bus.transfer(bytes([SpiCommand.CLASS]) + bytes(self.core.class_words))

    def _ask(self, command: SpiCommand, payload: bytes, words: int) -> bytes:
        """Load a sample, wait for its result and read so many words of it."""
        for _ in range(self.retries + 1):
            self.bus.transfer(bytes([SpiCommand.LOAD]) + payload)
            if self._wait(SpiStatus.RESULT | SpiStatus.FAILED) & SpiStatus.RESULT:
                return self.bus.transfer(bytes([command]) + bytes(words))[1:]
            self.settle()
        raise LgcError(f"The chip refused a sample of {len(payload)} bytes {self.retries + 1} times.")

    def _wait(self, any_of: SpiStatus) -> SpiStatus:
        """Ask for the status until it has one of these bits and is not busy."""
        deadline = time.monotonic() + self.answer_s
        while True:
            found = SpiStatus(self.bus.transfer(bytes([SpiCommand.STATUS]))[0] & 7)
            if not found & SpiStatus.BUSY and (not any_of or found & any_of):
                return found
            if time.monotonic() > deadline:
                raise LgcError(
                    f"The chip gave no result within {self.answer_s:g} s.",
                    hint="Is it loaded with this build, and wired as docs/interfaces.md says?",
                )
