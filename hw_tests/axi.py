# what hangs below `dut` is known to the simulator only
"""cocotb tests of a design between two AXI4-Streams, with random gaps and back-pressure."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge, with_timeout

from .link_bench import PERIOD, Link, note, now, reset, start

PINS = ("aclk", "aresetn", 0)


class Bus:
    """Source of frames and sink of answers."""

    def __init__(self, dut: Any, link: Link) -> None:
        self.dut, self.link = dut, link
        dut.s_axis_tvalid.value = 0
        dut.m_axis_tready.value = 0

    async def send(self, words: list[int], *, last: bool = True, gaps: bool = True) -> None:
        """Offer beats; each stays until it is taken. `last` tells whether the final one has TLAST."""
        dut, rng = self.dut, self.link.rng
        chance = rng.choice([0.0, 0.3, 0.8]) if gaps else 0.0
        for n, word in enumerate(words):
            while rng.random() < chance:
                await FallingEdge(dut.aclk)
            dut.s_axis_tdata.value = word
            dut.s_axis_tlast.value = int(last and n == len(words) - 1)
            dut.s_axis_tvalid.value = 1
            while True:
                await RisingEdge(dut.aclk)
                taken = bool(dut.s_axis_tready.value)
                await FallingEdge(dut.aclk)
                if taken:
                    break
            dut.s_axis_tvalid.value = 0

    async def receive(self, *, gaps: bool = True) -> list[int]:
        """Take an answer; what is offered must stand until it is taken."""
        dut, rng = self.dut, self.link.rng
        found: list[int] = []
        chance = rng.choice([0.0, 0.5, 0.95]) if gaps else 0.0
        while True:
            dut.m_axis_tready.value = ready = int(rng.random() >= chance)
            await RisingEdge(dut.aclk)
            offered = bool(dut.m_axis_tvalid.value)
            beat = (int(dut.m_axis_tdata.value), bool(dut.m_axis_tlast.value)) if offered else None
            await FallingEdge(dut.aclk)
            if offered and not ready:
                now_offered = (int(dut.m_axis_tdata.value), bool(dut.m_axis_tlast.value))
                assert dut.m_axis_tvalid.value == 1, "TVALID fell"
                assert now_offered == beat, "TDATA or TLAST changed"
            elif beat:
                found.append(beat[0])
                if beat[1]:
                    dut.m_axis_tready.value = 0
                    return found

    async def expect(self, samples: list[int], *, gaps: bool = True) -> None:
        """Take as many answers and compare."""
        for sample in samples:
            got = await self.receive(gaps=gaps)
            want = self.link.reply(sample, scores=self.link.with_scores)
            assert got == want, f"sample {sample}: {got}, expected {want}"

    def expecting(self, samples: list[int]) -> Any:
        """Start `expect` with a time limit."""
        beats = self.link.words.shape[1] + 200
        clocks = 200 * (len(samples) + 4) * (beats + self.link.facts["period"])
        return with_timeout(cocotb.start_soon(self.expect(samples)), clocks * PERIOD, "ns")


@cocotb.test()
async def every_sample(dut: Any) -> None:
    """Every sample, at full rate and with gaps."""
    link = Link.load()
    bus = Bus(dut, link)
    await start(dut, *PINS)
    best = []
    for n in range(len(link.classes)):
        begin = now()
        await bus.send(link.words[n].tolist(), gaps=False)
        await bus.expect([n], gaps=False)
        best.append(now() - begin)
    order = list(range(len(link.classes)))
    waiting = cocotb.start_soon(bus.expect(order))
    for n in order:
        await bus.send(link.words[n].tolist())
    await with_timeout(waiting, 10**7, "ns")
    note(min(best))


@cocotb.test()
async def wrong_frames(dut: Any) -> None:
    """Frames that are too short or too long are counted as errors and give no answer."""
    link = Link.load()
    bus = Bus(dut, link)
    await start(dut, *PINS)
    errors = 0

    async def count() -> None:
        nonlocal errors
        while True:
            await FallingEdge(dut.aclk)
            errors += int(dut.frame_error.value)

    counting = cocotb.start_soon(count())
    length = link.words.shape[1]
    order = list(range(len(link.classes)))
    waiting = cocotb.start_soon(bus.expect(order))
    wrong = 0
    for n in order:
        words = link.words[n].tolist()
        if length > 1:
            await bus.send(words[: int(link.rng.integers(1, length))])
            wrong += 1
        await bus.send(words)
        await bus.send((3 * words)[: length + int(link.rng.integers(1, 2 * length + 1))])
        wrong += 1
    await with_timeout(waiting, 10**7, "ns")
    for _ in range(4 * link.facts["period"] + 20):
        await FallingEdge(dut.aclk)
        assert dut.m_axis_tvalid.value == 0, "an answer to a wrong frame"
    counting.cancel()
    assert errors == wrong, f"{errors} frame errors, expected {wrong}"


@cocotb.test()
async def reset_within_a_frame(dut: Any) -> None:
    """Reset drops half a frame and a result that waits."""
    link = Link.load()
    bus = Bus(dut, link)
    await start(dut, *PINS)
    words = link.words[0].tolist()
    await bus.send(words[: int(link.rng.integers(len(words)))], last=False)
    await reset(dut, *PINS)
    await bus.send(words)
    await bus.expect([0])
    await bus.send(words)
    for _ in range(2 * link.facts["period"]):
        await FallingEdge(dut.aclk)
    assert dut.m_axis_tvalid.value == 1, "no result"
    await reset(dut, *PINS)
    last = len(link.classes) - 1
    await bus.send(link.words[last].tolist())
    await bus.expect([last])
