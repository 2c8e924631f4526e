"""Talk to a chip: stream samples to a build over its UART or SPI and read classes and scores back.

    lgc host BUILD --port /dev/ttyUSB1 --data digits

`Client`, for a UART, works over anything with `read` and `write`: a serial port, a pty. `lgc.spi` has the
client for SPI. See docs/interfaces.md for the frames.
"""

from __future__ import annotations

import importlib
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lgc.backend.interfaces.packing import Packing
from lgc.backend.interfaces.protocol import REASON, Answer, Command, crc8
from lgc.backend.interfaces.settings import Core, Interface
from lgc.build import Build, read_rtl
from lgc.errors import LgcError, ToolMissingError
from lgc.spi import SpiClient, TerminalBus, open_device

ANSWER_S = 1.0
"""How long to wait for a chip's answer."""
SIMULATED_ANSWER_S = 300.0
"""The same for a simulated chip."""


class Transport(Protocol):
    """What a client needs of a line."""

    def read(self, size: int, timeout_s: float) -> bytes:
        """Return what has come, at most `size` bytes; none if nothing comes for `timeout_s`."""

    def write(self, data: bytes) -> object:
        """Send bytes."""


class Chip(Protocol):
    """What `run` needs of a client, whatever is between it and the chip."""

    @property
    def core(self) -> Core:
        """What the chip takes and gives."""

    def settle(self) -> None:
        """Wait until both ends agree that nothing is under way."""

    def classify(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Classes `[samples]`."""

    def scores(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Scores `[samples, classes]`."""


class FileLine:
    """A terminal by its file descriptor, a pty for instance; POSIX."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def read(self, size: int, timeout_s: float) -> bytes:
        """Wait for bytes; none if the time-out passes."""
        ready, _, _ = select.select([self.descriptor], [], [], timeout_s)
        return os.read(self.descriptor, size) if ready else b""

    def write(self, data: bytes) -> None:
        """Send all bytes."""
        while data:
            data = data[os.write(self.descriptor, data) :]


class SerialLine:
    """A serial port of pyserial."""

    def __init__(self, port: Any) -> None:
        self.port = port

    def read(self, size: int, timeout_s: float) -> bytes:
        """Wait for a byte, then take what has come; none if the time-out passes.

        Raises:
            LgcError: the port is gone.
        """
        try:
            self.port.timeout = timeout_s
            first: bytes = self.port.read(1)
            more: bytes = self.port.read(min(size - 1, self.port.in_waiting)) if first else b""
        except OSError as error:
            raise LgcError(f"Lost {self.port.name}: {error}.") from error
        return first + more

    def write(self, data: bytes) -> None:
        """Send all bytes.

        Raises:
            LgcError: the port is gone.
        """
        try:
            self.port.write(data)
        except OSError as error:
            raise LgcError(f"Lost {self.port.name}: {error}.") from error


@contextmanager
def open_port(port: str, baud: int) -> Iterator[Transport]:
    """Open a serial port through pyserial, and close it in the end.

    Raises:
        ToolMissingError: pyserial is not installed.
        LgcError: the port cannot be opened.
    """
    try:
        serial: Any = importlib.import_module("serial")
    except ImportError:
        raise ToolMissingError("Serial ports need pyserial.", hint='Try: pip install "lgc[host]"') from None
    try:
        opened = serial.Serial(port, baud)
    except (OSError, ValueError) as error:
        raise LgcError(f"Cannot open {port}: {error}.") from error
    with opened:
        yield SerialLine(opened)


@dataclass(frozen=True)
class Client:
    """A chip behind a UART.

    Attributes:
        line: the way to it.
        core: what the chip takes and gives.
        offset: what is added to its scores.
        silence_s: silence after which the chip expects a new frame.
        answer_s: how long to wait for an answer.
        retries: how often a frame is sent again after an error on the line.
    """

    line: Transport
    core: Core
    offset: int
    silence_s: float
    answer_s: float = ANSWER_S
    retries: int = 2

    @classmethod
    def of(cls, build: Path, line: Transport, *, answer_s: float = ANSWER_S) -> Client:
        """Return the client of a build.

        Raises:
            LgcError: not a build, or one without a UART.
        """
        rtl = read_rtl(build)
        if rtl.interface.name != "uart":
            raise LgcError(
                f"{build} has the interface {rtl.interface.name}, not uart.",
                hint="Compile with --interface uart.",
            )
        return cls(line, rtl.core, rtl.offset, rtl.interface.timeout_s, answer_s)

    @property
    def packing(self) -> Packing:
        """How a sample lies in its bytes."""
        return self.core.packing

    def classify(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Classes int64 `[samples]` of what the chip takes, int32 `[samples, features]`.

        Raises:
            LgcError: no answer, or errors again and again.
        """
        replies = [self._ask(Command.CLASS, row.tobytes()) for row in self.packing.bytes(codes)]
        return np.array([int.from_bytes(reply, "little") for reply in replies], np.int64)

    def scores(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Scores int64 `[samples, classes]`, of a design compiled with them.

        Raises:
            LgcError: no scores in this design, no answer, or errors again and again.
        """
        if not self.core.scores:
            raise LgcError("This design gives no scores.", hint="Compile with --with-scores.")
        skip, size = self.core.class_words, self.core.score_words
        rows = []
        for row in self.packing.bytes(codes):
            reply = self._ask(Command.SCORES, row.tobytes())[skip:]
            rows.append([int.from_bytes(reply[n : n + size], "little") for n in range(0, len(reply), size)])
        return np.array(rows, np.int64).reshape(-1, self.core.classes) + self.offset

    def settle(self, times: int = 2) -> None:
        """Wait until the line was silent for so many time-outs, and forget what came.

        Then both ends agree where a frame starts, whatever was sent before: half a request of a
        program that ended, for instance.
        """
        while self.line.read(4096, times * self.silence_s):
            pass

    def _ask(self, command: Command, payload: bytes) -> bytes:
        """Send a request until an answer comes; return its words."""
        body = bytes([command]) + payload
        frame = body + bytes([crc8(body)])
        problem = ""
        for attempt in range(self.retries + 1):
            self.line.write(frame)
            reply, problem = self._reply(command)
            if not problem:
                return reply
            self.settle(2 << attempt)
        raise LgcError(f"The chip did not answer {self.retries + 1} requests: {problem}.")

    def _reply(self, command: Command) -> tuple[bytes, str]:
        """Return an answer's words and "", or b"" and what is wrong."""
        kind = self._take(1)
        if not kind:
            return b"", "nothing came back"
        if kind[0] not in set(Answer):
            return b"", f"it sent {kind[0]:#04x}, which is no answer"
        if kind[0] in REASON:
            return b"", REASON[Answer(kind[0])]
        words = self.core.reply_words if command == Command.SCORES else self.core.class_words
        rest = self._take(words + 1)
        if len(rest) != words + 1:
            return b"", "its answer broke off"
        if kind[0] != command or crc8(kind + rest):
            return b"", "the checksum of its answer was wrong"
        return rest[:-1], ""

    def _take(self, size: int) -> bytes:
        """Read so many bytes, fewer if the line stays silent."""
        found = b""
        while len(found) < size and (more := self.line.read(size - len(found), self.answer_s)):
            found += more
        return found


@dataclass(frozen=True)
class Run:
    """What a chip answered.

    Attributes:
        samples: samples sent.
        equal: of these given the network's class.
        scores_equal: of these given all of the network's scores; None of a design without scores.
        correct: of these given the right class; None without labels.
        seconds: time for all of them.
        classes: what the chip said, `[samples]`.
        difference: the first one, as a sentence; "" if there is none.
    """

    samples: int
    equal: int
    scores_equal: int | None
    correct: int | None
    seconds: float
    classes: npt.NDArray[np.int64]
    difference: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what a person wants to know."""
        found: dict[str, Any] = {"classes as the network's": f"{self.equal:,} of {self.samples:,}"}
        if self.scores_equal is not None:
            found["scores as the network's"] = f"{self.scores_equal:,} of {self.samples:,}"
        if self.difference:
            found["first difference"] = self.difference
        if self.correct is not None:
            found["accuracy on the chip"] = self.correct / self.samples
        return found | {"seconds": self.seconds, "samples per second": round(self.samples / self.seconds, 1)}

    @property
    def right(self) -> bool:
        """Whether every answer was the network's."""
        return (
            self.equal == self.samples == (self.samples if self.scores_equal is None else self.scores_equal)
        )


def run(client: Chip, build: Path, *, data: str = "", images: int | None = None) -> Run:
    """Send the test samples of a data set to a chip and compare its answers with the network's.

    Args:
        client: the chip.
        build: the build that it was loaded with.
        data: data set; what the build used if "".
        images: samples to send, all if None.

    Raises:
        LgcError: not a build with such an interface, data that does not fit, or no answer.
    """
    from lgc import models

    opened = Build.open(build)
    interface: Interface = read_rtl(build).interface
    network, scored = opened.references
    source = data or opened.report.model.data_source
    samples = models.samples(network, source, required=bool(data)).first(images)
    want = network.scores_of_codes(samples.codes)
    sent = interface.taken(network.encoder, samples.codes)
    client.settle()
    start = time.monotonic()
    got = client.classify(sent)
    seconds = time.monotonic() - start
    same = got == want.argmax(axis=1)
    difference, alike = "", None
    if not same.all():
        n = int(same.argmin())
        difference = f"Sample {n}: class {got[n]}, expected {want[n].argmax()}."
    if client.core.scores:
        want = want if scored is network else scored.scores_of_codes(samples.codes)
        scores = client.scores(sent)
        alike = (scores == want).all(axis=1)
        if not difference and not alike.all():
            n = int(alike.argmin())
            difference = f"Sample {n}: scores {scores[n].tolist()}, expected {want[n].tolist()}."
    return Run(
        samples=len(samples),
        equal=int(same.sum()),
        scores_equal=None if alike is None else int(alike.sum()),
        correct=None if samples.labels is None else int((got == samples.labels).sum()),
        seconds=round(seconds, 3),
        classes=got,
        difference=difference,
    )


@contextmanager
def connected(build: Path, port: str) -> Iterator[Chip]:
    """Open the line to a chip, or to a simulation of the build's Verilog if `port` is "simulate".

    Raises:
        LgcError: not a build with a UART or SPI, or the port cannot be opened.
        ToolMissingError: no pyserial or spidev, or no simulator.
    """
    rtl = read_rtl(build)
    over_spi = rtl.interface.name == "spi"
    if port != "simulate" and over_spi:
        with open_device(port) as bus:
            yield SpiClient(bus, rtl.core, rtl.offset, answer_s=ANSWER_S)
        return
    if port != "simulate":
        with open_port(port, rtl.interface.baud) as line:
            yield Client.of(build, line, answer_s=ANSWER_S)
        return
    from lgc.hw_tests.chip import simulated_chip

    with simulated_chip(rtl, build / "sim" / "chip") as terminal:
        descriptor = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
        try:
            line = FileLine(descriptor)
            if over_spi:
                bus = TerminalBus(line, SIMULATED_ANSWER_S)
                yield SpiClient(bus, rtl.core, rtl.offset, answer_s=SIMULATED_ANSWER_S)
            else:
                yield Client.of(build, line, answer_s=SIMULATED_ANSWER_S)
        finally:
            os.close(descriptor)
