# what hangs below `dut` is known to the simulator only
"""cocotb tests of a design behind a UART, seen from the host's end of the line."""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, Timer, with_timeout

from lgc.backend.interfaces.protocol import Answer, Command, crc8

from .link_bench import PERIOD, Link, note, now, reset, start


class Line:
    """The host's UART; its clock is a little off."""

    def __init__(self, dut: Any, link: Link) -> None:
        self.dut, self.link = dut, link
        self.bit = round(link.facts["interface"]["clocks"] * PERIOD * link.rng.choice([0.985, 1.0, 1.015]))
        dut.rx.value = 1

    async def send(self, data: bytes, *, gaps: bool = True) -> None:
        """Send bytes, with random gaps far below the time-out."""
        for byte in data:
            for level in (0, *((byte >> n) & 1 for n in range(8)), 1):
                self.dut.rx.value = level
                await Timer(self.bit, "ns")
            if gaps and self.link.rng.random() < 0.3:
                await Timer(int(self.link.rng.integers(1, 6 * self.bit)), "ns")

    async def byte(self) -> int:
        """Receive a byte."""
        if self.dut.tx.value == 1:
            await FallingEdge(self.dut.tx)
        await Timer(self.bit * 3 // 2, "ns")
        found = 0
        for n in range(8):
            found |= int(self.dut.tx.value) << n
            await Timer(self.bit, "ns")
        assert self.dut.tx.value == 1, "no stop bit"
        return found

    async def receive(self, count: int) -> bytes:
        """Receive bytes."""

        async def several() -> bytes:
            return bytes([await self.byte() for _ in range(count)])

        bytes_sent = count * (2 + self.link.words.shape[1])  # while these come back
        patience = (100 + 20 * bytes_sent) * self.bit + 20 * self.link.facts["period"] * PERIOD
        return bytes(await with_timeout(cocotb.start_soon(several()), patience, "ns"))

    def request(self, sample: int, *, scores: bool) -> bytes:
        """Return the frame that asks for a sample's class or scores."""
        size = self.link.word // 8
        words = self.link.words[sample].tolist()
        command = Command.SCORES if scores else Command.CLASS
        body = bytes([command]) + b"".join(word.to_bytes(size, "little") for word in words)
        return body + bytes([crc8(body)])

    def answer(self, sample: int, *, scores: bool) -> bytes:
        """Return the frame that should come back."""
        kind = Answer.SCORES if scores else Answer.CLASS
        body = bytes([kind, *self.link.reply(sample, scores=scores)])
        return body + bytes([crc8(body)])

    async def ask(self, sample: int, *, scores: bool, gaps: bool = True) -> None:
        """Send a sample and compare the answer."""
        want = self.answer(sample, scores=scores)
        receiver = cocotb.start_soon(self.receive(len(want)))
        await self.send(self.request(sample, scores=scores), gaps=gaps)
        got = await receiver
        assert got == want, f"sample {sample}: {got.hex()}, expected {want.hex()}"
        self.lit(sample)

    def lit(self, sample: int) -> None:
        """Compare the LEDs, where there are any, with the class that was answered."""
        facts = self.link.facts["interface"]
        mask = (1 << facts["leds"]) - 1
        if mask:
            want = (int(self.link.classes[sample]) ^ (mask if facts["leds_inverted"] else 0)) & mask
            assert int(self.dut.led.value) == want, f"sample {sample}: LEDs show {self.dut.led.value}"

    async def refused(self, data: bytes, reason: Answer, *, wait: bool) -> None:
        """Send bytes that must be answered by an error; wait until the device listens again."""
        silence = self.link.facts["interface"]["timeout_s"] * self.link.facts["interface"]["clock_hz"]
        body = bytes([reason])
        patience = int(3 * silence) * PERIOD + (40 + 15 * len(data)) * self.bit

        async def answer() -> bytes:
            return bytes([await self.byte(), await self.byte()])

        listener = cocotb.start_soon(answer())
        await self.send(data, gaps=False)
        got = await with_timeout(listener, patience, "ns")
        assert got == body + bytes([crc8(body)]), f"{got.hex()}, expected {body.hex()}"
        if wait:
            await Timer(int(1.1 * silence + 100) * PERIOD, "ns")


@cocotb.test()
async def every_sample(dut: Any) -> None:
    """Every sample: its class, and its scores where the design has them."""
    link = Link.load()
    line = Line(dut, link)
    await start(dut)
    best = []
    for sample in range(len(link.classes)):
        begin = now()
        await line.ask(sample, scores=False, gaps=bool(sample % 2))
        best.append(now() - begin)
        if link.with_scores:
            await line.ask(sample, scores=True)
    # The next request may be sent while the answer to the one before comes back.
    wants = [line.answer(n, scores=False) for n in range(len(link.classes))]
    receiver = cocotb.start_soon(line.receive(sum(map(len, wants))))
    await line.send(b"".join(line.request(n, scores=False) for n in range(len(wants))), gaps=False)
    assert await receiver == b"".join(wants), "differs where requests follow at once"
    note(min(best))


@cocotb.test()
async def wrong_frames(dut: Any) -> None:
    """After each kind of wrong frame, one by one, the next right frame is answered."""
    link = Link.load()
    line = Line(dut, link)
    await start(dut)
    good = line.request(0, scores=False)
    cut = int(link.rng.integers(1, len(good)))
    bit = 1 << int(link.rng.integers(8))
    at = int(link.rng.integers(1, len(good)))
    flipped = bytes(byte ^ (bit if n == at else 0) for n, byte in enumerate(good))
    cases = [
        (good[:cut], Answer.TRUNCATED),
        (good[:-1], Answer.TRUNCATED),
        (flipped, Answer.BAD_CHECKSUM),
        (b"\xff", Answer.BAD_COMMAND),
        (b"\x00" + good, Answer.BAD_COMMAND),
        (good[:2] + good, Answer.BAD_CHECKSUM),
    ]
    if not link.with_scores:
        cases.append((line.request(0, scores=True), Answer.BAD_COMMAND))
    for n, (data, reason) in enumerate(cases):
        await line.refused(data, reason, wait=True)
        await line.ask(n % len(link.classes), scores=False)


@cocotb.test()
async def reset_within_a_frame(dut: Any) -> None:
    """Reset drops half a frame, a result that is being sent, and noise on the line."""
    link = Link.load()
    line = Line(dut, link)
    await start(dut)
    good = line.request(0, scores=False)
    await line.send(good[: int(link.rng.integers(1, len(good)))])
    await reset(dut)
    await line.ask(0, scores=link.with_scores)
    await line.send(good)
    await Timer(5 * line.bit, "ns")
    await reset(dut)
    await Timer(2 * line.bit, "ns")
    dut.rx.value = 0  # shorter than half a bit: a glitch
    await Timer(PERIOD, "ns")
    dut.rx.value = 1
    await Timer(3 * line.bit, "ns")
    await line.ask(len(link.classes) - 1, scores=False)


@cocotb.test()
async def chip(dut: Any) -> None:
    """Not a test of its own: be the chip at the terminal that `port.txt` names, until `stop` exists."""
    link = Link.load()
    line = Line(dut, link)
    port = os.open(Path("port.txt").read_text(), os.O_RDWR | os.O_NOCTTY)
    await start(dut)

    async def answers() -> None:
        while True:
            os.write(port, bytes([await line.byte()]))

    answering = cocotb.start_soon(answers())
    while not Path("stop").exists():
        if select.select([port], [], [], 0)[0]:
            await line.send(os.read(port, 256), gaps=False)
        else:
            await Timer(20 * line.bit, "ns")
    answering.cancel()
    os.close(port)
    note(now())
