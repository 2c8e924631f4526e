"""The clients of a chip's UART and SPI: against the simulated chip at a pty, and lines that fail."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lgc.backend.interfaces.packing import ranks
from lgc.backend.interfaces.protocol import Answer, SpiCommand, SpiStatus, crc8
from lgc.backend.interfaces.settings import Interface
from lgc.backend.rtl import RtlFiles, write_rtl
from lgc.errors import LgcError, ToolMissingError
from lgc.host import Client, FileLine, open_port
from lgc.hw_tests.chip import simulated_chip
from lgc.hw_tests.samples import random_sample
from lgc.spi import SpiClient, TerminalBus, open_device

from .needs import lacking

SAMPLE = random_sample(seed=8, features=9, levels=2, layers=(20, 18), classes=3, luts_per_stage=2, offset=-4)


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> RtlFiles:
    if reason := lacking("yosys", simulator=True):
        pytest.skip(reason)
    interface = Interface("uart", scores=True, clock_hz=8e6, baud=1_000_000, timeout_s=1e-4)
    out = tmp_path_factory.mktemp("rtl")
    return write_rtl(
        SAMPLE.encoder, SAMPLE.fabric, out=out, argmax_registers=True, held=True, interface=interface
    )


@contextmanager
def chip(design: RtlFiles, out: Path, *, answer_s: float = 5) -> Iterator[Client]:
    """A client of the simulated chip; its retries outlast a slow simulation."""
    with simulated_chip(design, out) as terminal:
        descriptor = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
        yield Client(
            FileLine(descriptor), design.core, design.offset, silence_s=0.2, answer_s=answer_s, retries=8
        )
        os.close(descriptor)


def test_classes_and_scores_of_the_simulated_chip(design: RtlFiles, tmp_path: Path) -> None:
    codes = SAMPLE.codes(20, seed=5)
    want = SAMPLE.fabric.scores(SAMPLE.bits(codes))
    sent = ranks(SAMPLE.encoder, codes)
    # nothing goes wrong on this line: patience, lest a busy machine's late answer is taken for the next one
    with chip(design, tmp_path / "sim", answer_s=120) as client:
        assert client.classify(sent).tolist() == want.argmax(axis=1).tolist()
        assert np.array_equal(client.scores(sent), want)


def test_a_client_starts_over_after_half_a_request(design: RtlFiles, tmp_path: Path) -> None:
    """A program ended within a request; the next one waits, forgets what comes, and is answered."""
    codes = SAMPLE.codes(4, seed=6)
    want = SAMPLE.fabric.scores(SAMPLE.bits(codes)).argmax(axis=1)
    sent = ranks(SAMPLE.encoder, codes)
    with chip(design, tmp_path / "sim") as client:
        for left in (b"\x01", b"\x02\x00\x00", b"\x77", b"\xff" * 40):
            client.line.write(left)
            client.settle()
            assert client.classify(sent).tolist() == want.tolist()
            client.line.write(left)  # without waiting: the error is understood, the request repeated
            assert client.classify(sent).tolist() == want.tolist()


class Scripted:
    """A line whose other end says what it was told to."""

    def __init__(self, *replies: bytes) -> None:
        self.replies, self.sent, self.ready = list(replies), 0, b""

    def write(self, data: bytes) -> None:
        assert data
        self.sent += 1
        self.ready = self.replies.pop(0) if self.replies else b""

    def read(self, size: int, timeout_s: float) -> bytes:
        assert timeout_s >= 0
        found, self.ready = self.ready[:size], self.ready[size:]
        return found


def framed(*body: int) -> bytes:
    return bytes(body) + bytes([crc8(bytes(body))])


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"", "nothing came back"),
        (b"\x77", "it sent 0x77, which is no answer"),
        (b"\x01", "its answer broke off"),
        (b"\x01\x02\x00", "the checksum of its answer was wrong"),
        (framed(Answer.BAD_CHECKSUM), "the checksum was wrong"),
        (framed(Answer.OVERRUN), "bytes came faster than it could take them"),
    ],
)
def test_errors_on_the_line(design: RtlFiles, reply: bytes, message: str) -> None:
    codes = np.zeros((1, 9), np.int32)
    once = Scripted(reply, framed(Answer.CLASS, 2))
    assert Client(once, design.core, 0, silence_s=0).classify(codes).tolist() == [2]
    assert once.sent == 2
    always = Scripted(*[reply] * 3)
    with pytest.raises(LgcError, match=rf"^The chip did not answer 3 requests: {message}\.$"):
        Client(always, design.core, 0, silence_s=0).classify(codes)


@pytest.fixture(scope="module")
def over_spi(tmp_path_factory: pytest.TempPathFactory) -> RtlFiles:
    if reason := lacking("yosys", simulator=True):
        pytest.skip(reason)
    out = tmp_path_factory.mktemp("spi")
    return write_rtl(
        SAMPLE.encoder, SAMPLE.fabric, out=out, argmax_registers=True, held=True,
        interface=Interface("spi", scores=True),
    )  # fmt: skip


def test_spi_of_the_simulated_chip(over_spi: RtlFiles, tmp_path: Path) -> None:
    """Classes, scores, and a result that an earlier program left."""
    codes = SAMPLE.codes(6, seed=5)
    want = SAMPLE.fabric.scores(SAMPLE.bits(codes))
    sent = ranks(SAMPLE.encoder, codes)
    with simulated_chip(over_spi, tmp_path / "sim") as terminal:
        descriptor = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
        bus = TerminalBus(FileLine(descriptor), 60)
        client = SpiClient(bus, over_spi.core, over_spi.offset, answer_s=60)
        assert client.classify(sent).tolist() == want.argmax(axis=1).tolist()
        bus.transfer(bytes([SpiCommand.LOAD]) + client.packing.bytes(sent)[0].tobytes())
        client.settle()
        assert np.array_equal(client.scores(sent), want)
        os.close(descriptor)


class Silent:
    """A bus whose chip always gives the same status."""

    def __init__(self, status: int) -> None:
        self.status = status

    def transfer(self, data: bytes) -> bytes:
        return bytes([self.status]) * len(data)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (SpiStatus.FAILED, r"^The chip refused a sample of \d+ bytes 3 times\.$"),
        (SpiStatus.BUSY, r"^The chip gave no result within 0 s\."),
        (0, r"^The chip gave no result within 0 s\."),
    ],
)
def test_errors_over_spi(over_spi: RtlFiles, status: int, message: str) -> None:
    with pytest.raises(LgcError, match=message):
        SpiClient(Silent(status), over_spi.core, 0, answer_s=0).classify(np.zeros((1, 9), np.int32))


def test_spi_devices_that_are_not_there() -> None:
    with (
        pytest.raises((LgcError, ToolMissingError), match=r"(Cannot open|spidev)"),
        open_device("/dev/spidev99.9"),
    ):
        raise AssertionError("opened")


def test_ports_that_are_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises((LgcError, ToolMissingError), match=r"(Cannot open|pyserial)"),
        open_port(str(tmp_path / "none"), 115_200),
    ):
        raise AssertionError("opened")
