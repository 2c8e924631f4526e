# what hangs below `dut` is known to the simulator only
"""cocotb tests of a design behind an SPI slave, seen from the master."""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer

from lgc.backend.interfaces.protocol import SpiCommand, SpiStatus

from .link_bench import PERIOD, Link, note, now, reset, start

HALF = 4 * PERIOD
"""Half a period of SCK: the fastest allowed."""


class Master:
    """SPI master, mode 0."""

    def __init__(self, dut: Any, link: Link) -> None:
        self.dut, self.link = dut, link
        dut.sck.value = 0
        dut.cs_n.value = 1
        dut.mosi.value = 0

    async def transfer(self, data: bytes, *, bits: int = 8) -> bytes:
        """Send bytes within one chip select, the last of `bits` bits; return what came back."""
        dut, got = self.dut, bytearray()
        dut.cs_n.value = 0
        await Timer(2 * HALF, "ns")
        for n, byte in enumerate(data):
            found = 0
            for place in range(bits if n == len(data) - 1 else 8):
                dut.mosi.value = byte >> (7 - place) & 1
                await Timer(HALF, "ns")
                found = found << 1 | int(dut.miso.value)
                dut.sck.value = 1
                await Timer(HALF, "ns")
                dut.sck.value = 0
            got.append(found)
            if self.link.rng.random() < 0.3:
                await Timer(int(self.link.rng.integers(1, 20)) * PERIOD, "ns")
        await Timer(HALF, "ns")
        dut.cs_n.value = 1
        await Timer(20 * PERIOD, "ns")
        return bytes(got)

    async def status(self) -> SpiStatus:
        """Ask for the status."""
        return SpiStatus((await self.transfer(bytes([SpiCommand.STATUS])))[0])

    def frame(self, sample: int) -> bytes:
        """Return the bytes that load a sample."""
        return bytes([SpiCommand.LOAD, *self.link.words[sample].tolist()])

    async def result(self) -> None:
        """Wait for a result."""
        for _ in range(20 + self.link.facts["period"]):
            if await self.status() & SpiStatus.RESULT:
                return
        raise AssertionError("no result")

    async def read(self, sample: int, *, scores: bool) -> None:
        """Read a result and compare."""
        want = bytes(self.link.reply(sample, scores=scores))
        command = SpiCommand.SCORES if scores else SpiCommand.CLASS
        got = (await self.transfer(bytes([command]) + bytes(len(want))))[1:]
        assert got == want, f"sample {sample}: {got.hex()}, expected {want.hex()}"
        assert not await self.status() & (SpiStatus.RESULT | SpiStatus.BUSY), "the result was not taken"

    async def ask(self, sample: int, *, scores: bool = False) -> None:
        """Load a sample, read the answer and compare."""
        await self.transfer(self.frame(sample))
        await self.result()
        await self.read(sample, scores=scores)


@cocotb.test()
async def every_sample(dut: Any) -> None:
    """Every sample: its class, and its scores where the design has them."""
    link = Link.load()
    master = Master(dut, link)
    await start(dut)
    best = []
    for n in range(len(link.classes)):
        begin = now()
        await master.ask(n)
        best.append(now() - begin)
        if link.with_scores:
            await master.ask(n, scores=True)
    note(min(best))


@cocotb.test()
async def wrong_frames(dut: Any) -> None:
    """Refuse loads of a wrong length or while a result waits; keep a result whose reading broke off."""
    link = Link.load()
    master = Master(dut, link)
    await start(dut)
    good = master.frame(0)
    for n, (data, bits) in enumerate(
        [(good[:-1], 8), (good[: int(link.rng.integers(1, len(good)))], 8), (good + b"\x55", 8), (good, 5)]
    ):
        await master.transfer(data, bits=bits)
        assert await master.status() == SpiStatus.FAILED, f"case {n}"
        await master.ask(n % len(link.classes), scores=link.with_scores)
        assert await master.status() == SpiStatus(0)
    await master.transfer(good)
    await master.result()
    await master.transfer(master.frame(len(link.classes) - 1))
    assert await master.status() == SpiStatus.RESULT | SpiStatus.FAILED
    if link.with_scores:
        await master.transfer(bytes([SpiCommand.SCORES, 0, 0]))
    await master.transfer(bytes([SpiCommand.CLASS, 0]), bits=3)
    await master.transfer(b"\x77\x77")
    await master.read(0, scores=link.with_scores)
    await master.ask(0)


@cocotb.test()
async def reset_within_a_frame(dut: Any) -> None:
    """Reset drops half a frame and a result."""
    link = Link.load()
    master = Master(dut, link)
    await start(dut)
    good = master.frame(0)
    await master.transfer(good[: int(link.rng.integers(1, len(good)))])
    await reset(dut)
    assert await master.status() == SpiStatus(0)
    await master.transfer(good)
    await master.result()
    await reset(dut)
    assert await master.status() == SpiStatus(0)
    await master.ask(len(link.classes) - 1)


@cocotb.test()
async def chip(dut: Any) -> None:
    """Not a test of its own: transfer what comes over the terminal of `port.txt`, until `stop` exists.

    A transfer is four bytes of length, lowest first, and the bytes; as many go back.
    """
    link = Link.load()
    master = Master(dut, link)
    port = os.open(Path("port.txt").read_text(), os.O_RDWR | os.O_NOCTTY)
    await start(dut)
    waiting = b""
    while not Path("stop").exists():
        if select.select([port], [], [], 0)[0]:
            waiting += os.read(port, 4096)
        size = int.from_bytes(waiting[:4], "little")
        if len(waiting) >= 4 + size > 4:
            os.write(port, await master.transfer(waiting[4 : 4 + size]))
            waiting = waiting[4 + size :]
        else:
            await Timer(20 * PERIOD, "ns")
    os.close(port)
    note(now())
