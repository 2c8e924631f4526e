"""The client of a chip's UART: against the simulated chip at a pty, and against lines that fail."""

import os
import pty
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lgc.backend import tools
from lgc.backend.interfaces.packing import ranks
from lgc.backend.interfaces.protocol import Answer, crc8
from lgc.backend.interfaces.settings import Interface
from lgc.backend.rtl import RtlFiles, write_rtl
from lgc.errors import LgcError, ToolMissingError
from lgc.host import Client, FileLine, open_port
from lgc.hw_tests.links import simulate_link
from lgc.hw_tests.runner import choose
from lgc.hw_tests.samples import random_sample

SAMPLE = random_sample(seed=8, features=9, levels=2, layers=(20, 18), classes=3, luts_per_stage=2, offset=-4)


def lacking() -> str:
    try:
        tools.find("yosys")
        choose("icarus", clocks=1)
    except ToolMissingError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> RtlFiles:
    if reason := lacking():
        pytest.skip(reason)
    interface = Interface("uart", scores=True, clock_hz=8e6, baud=1_000_000, timeout_s=1e-4)
    out = tmp_path_factory.mktemp("rtl")
    return write_rtl(
        SAMPLE.encoder, SAMPLE.fabric, out=out, argmax_registers=True, held=True, interface=interface
    )


@contextmanager
def chip(design: RtlFiles, out: Path) -> Iterator[int]:
    """Run the simulated chip at the other end of a pty."""
    host, end = pty.openpty()
    tty.setraw(host)
    tty.setraw(end)
    out.mkdir()
    (out / "port.txt").write_text(os.ttyname(end))
    failures: list[BaseException] = []
    nothing = np.zeros((1, SAMPLE.encoder.features), np.int32)

    def work() -> None:
        try:
            simulate_link(
                design,
                codes=nothing,
                expected_class=np.zeros(1, np.int64),
                expected_scores=np.zeros((1, 3), np.int64),
                out=out,
                simulator="icarus",
                tests=("chip",),
            )
        except BaseException as error:  # whatever it is, the test's own thread tells
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield host
    finally:
        (out / "stop").touch()
        thread.join()
        os.close(host)
        os.close(end)
    assert not failures, failures


def test_classes_and_scores_of_the_simulated_chip(design: RtlFiles, tmp_path: Path) -> None:
    codes = SAMPLE.codes(20, seed=5)
    want = SAMPLE.fabric.scores(SAMPLE.bits(codes))
    sent = ranks(SAMPLE.encoder, codes)
    with chip(design, tmp_path / "sim") as host:
        line = FileLine(host, timeout_s=60)
        client = Client(line, design.core, design.offset, silence_s=0.1)
        assert client.classify(sent).tolist() == want.argmax(axis=1).tolist()
        assert np.array_equal(client.scores(sent), want)


class Scripted:
    """A line whose other end says what it was told to."""

    def __init__(self, *replies: bytes) -> None:
        self.replies, self.sent, self.ready = list(replies), 0, b""

    def write(self, data: bytes) -> None:
        assert data
        self.sent += 1
        self.ready = self.replies.pop(0) if self.replies else b""

    def read(self, size: int) -> bytes:
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


def test_ports_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises((LgcError, ToolMissingError), match=r"(Cannot open|pyserial)"):
        open_port(str(tmp_path / "none"), 115_200)
