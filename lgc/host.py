"""Talk to a chip: stream samples to a build over its UART and read classes and scores back.

    python -m lgc.host BUILD --port /dev/ttyUSB1 --data digits

`Client` works over anything with `read` and `write`: an open serial port, a pty, a socket's file. See
docs/interfaces.md for the frames.
"""

from __future__ import annotations

import importlib
import os
import select
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click
import numpy as np
import numpy.typing as npt

from lgc.backend.interfaces.packing import Packing, ranks
from lgc.backend.interfaces.protocol import REASON, Answer, Command, crc8
from lgc.backend.interfaces.settings import Core, Interface
from lgc.build import Build, read_rtl
from lgc.errors import LgcError, ToolMissingError


class Transport(Protocol):
    """What a client needs of a line: `read` returns at most `size` bytes, none after its time-out."""

    def read(self, size: int) -> bytes:
        """Return what has come, at most `size` bytes."""

    def write(self, data: bytes) -> object:
        """Send bytes."""


class FileLine:
    """A terminal by its file descriptor, for instance a serial port or a pty; POSIX."""

    def __init__(self, descriptor: int, *, timeout_s: float = 1.0) -> None:
        self.descriptor, self.timeout_s = descriptor, timeout_s

    def read(self, size: int) -> bytes:
        """Wait for bytes; none if the time-out passes."""
        ready, _, _ = select.select([self.descriptor], [], [], self.timeout_s)
        return os.read(self.descriptor, size) if ready else b""

    def write(self, data: bytes) -> None:
        """Send all bytes."""
        while data:
            data = data[os.write(self.descriptor, data) :]


def open_port(port: str, baud: int, *, timeout_s: float = 1.0) -> Transport:
    """Open a serial port through pyserial.

    Raises:
        ToolMissingError: pyserial is not installed.
        LgcError: the port cannot be opened.
    """
    try:
        serial: Any = importlib.import_module("serial")
    except ImportError:
        raise ToolMissingError("Serial ports need pyserial.", hint="Try: pip install pyserial") from None
    try:
        line: Transport = serial.Serial(port, baud, timeout=timeout_s)
    except OSError as error:
        raise LgcError(f"Cannot open {port}: {error}.") from error
    return line


@dataclass(frozen=True)
class Client:
    """A chip behind a UART.

    Attributes:
        line: the way to it.
        core: what the chip takes and gives.
        offset: what is added to its scores.
        silence_s: silence after which the chip expects a new frame.
        retries: how often a frame is sent again after an error on the line.
    """

    line: Transport
    core: Core
    offset: int
    silence_s: float
    retries: int = 2

    @classmethod
    def of(cls, build: Path, line: Transport) -> Client:
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
        return cls(line, rtl.core, rtl.offset, rtl.interface.timeout_s)

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

    def _ask(self, command: Command, payload: bytes) -> bytes:
        """Send a request until an answer comes; return its words."""
        body = bytes([command]) + payload
        frame = body + bytes([crc8(body)])
        problem = ""
        for _ in range(self.retries + 1):
            self.line.write(frame)
            reply, problem = self._reply(command)
            if not problem:
                return reply
            # After this silence both ends agree again where a frame starts.
            time.sleep(2 * self.silence_s)
            while self.line.read(4096):
                pass
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
        while len(found) < size and (more := self.line.read(size - len(found))):
            found += more
        return found


@dataclass(frozen=True)
class Run:
    """What a chip answered.

    Attributes:
        samples: samples sent.
        equal: of these given the network's class.
        correct: of these given the right class; None without labels.
        seconds: time for all of them.
    """

    samples: int
    equal: int
    correct: int | None
    seconds: float


def run(build: Path, line: Transport, *, data: str = "", images: int | None = None) -> Run:
    """Send the test samples of a data set to a chip and compare its classes with the network's.

    Raises:
        LgcError: not a build with a UART, data that does not fit, or no answer.
    """
    from lgc import models

    client, opened = Client.of(build, line), Build.open(build)
    interface: Interface = read_rtl(build).interface
    network = opened.references[0]
    source = data or opened.report.model.data_source
    samples = models.samples(network, source, required=bool(data)).first(images)
    sent = samples.codes
    if interface.pack == "levels":
        sent = ranks(network.encoder, sent)
    start = time.monotonic()
    got = client.classify(sent)
    seconds = time.monotonic() - start
    equal = int((got == network.scores_of_codes(samples.codes).argmax(axis=1)).sum())
    correct = None if samples.labels is None else int((got == samples.labels).sum())
    return Run(len(samples), equal, correct, round(seconds, 3))


@click.command()
@click.argument("build", type=click.Path(path_type=Path))
@click.option("--port", required=True, help="Serial port of the board.")
@click.option("--data", default="", help="Data set; what the build used if not given.")
@click.option("--images", type=click.IntRange(1), help="Samples to send; all if not given.")
def main(build: Path, port: str, data: str, images: int | None) -> None:
    """Send test samples to the chip of a BUILD with a UART, and compare its answers."""
    found = run(build, open_port(port, read_rtl(build).interface.baud), data=data, images=images)
    click.echo(f"{found.equal} of {found.samples} classes are the network's; {found.seconds} s.")
    if found.correct is not None:
        click.echo(f"Accuracy on the chip: {found.correct / found.samples:.2%}.")
    if found.equal != found.samples:
        raise SystemExit(4)


if __name__ == "__main__":
    main()
