# what hangs below `dut` is known to the simulator only
"""cocotb tests of a design between two streams of words, with random gaps and back-pressure."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge, with_timeout

from .link_bench import Link, note, now, reset, start


async def send(dut: Any, link: Link, words: list[int], *, gaps: bool = True) -> None:
    """Offer words; each stays until it is taken."""
    chance = link.rng.choice([0.0, 0.3, 0.8]) if gaps else 0.0
    for word in words:
        while link.rng.random() < chance:
            await FallingEdge(dut.clk)
        dut.words__payload.value = word
        dut.words__valid.value = 1
        while True:
            await RisingEdge(dut.clk)
            taken = bool(dut.words__ready.value)
            await FallingEdge(dut.clk)
            if taken:
                break
        dut.words__valid.value = 0


async def expect(dut: Any, link: Link, samples: list[int], *, gaps: bool = True) -> None:
    """Take the answers to samples and compare."""
    for sample in samples:
        want = link.reply(sample, scores=link.with_scores)
        got: list[int] = []
        chance = link.rng.choice([0.0, 0.5, 0.95]) if gaps else 0.0
        last = False
        while not last:
            dut.reply__ready.value = ready = int(link.rng.random() >= chance)
            await RisingEdge(dut.clk)
            if ready and bool(dut.reply__valid.value):
                got.append(int(dut.reply__payload.value))
                last = bool(dut.reply_last.value)
            await FallingEdge(dut.clk)
        dut.reply__ready.value = 0
        assert got == want, f"sample {sample}: {got}, expected {want}"


async def begin(dut: Any) -> Link:
    """Start the clock and reset, with idle streams."""
    dut.words__valid.value = 0
    dut.reply__ready.value = 0
    await start(dut)
    return Link.load()


@cocotb.test()
async def every_sample(dut: Any) -> None:
    """Every sample, at full rate and with gaps."""
    link = await begin(dut)
    best = []
    for n in range(len(link.classes)):
        before = now()
        await send(dut, link, link.words[n].tolist(), gaps=False)
        await expect(dut, link, [n], gaps=False)
        best.append(now() - before)
    order = list(range(len(link.classes)))
    waiting = cocotb.start_soon(expect(dut, link, order))
    for n in order:
        await send(dut, link, link.words[n].tolist())
    await with_timeout(waiting, 10**7, "ns")
    note(min(best))


@cocotb.test()
async def reset_within_a_frame(dut: Any) -> None:
    """Reset drops half a frame."""
    link = await begin(dut)
    words = link.words[0].tolist()
    await send(dut, link, words[: int(link.rng.integers(len(words)))])
    await reset(dut)
    last = len(link.classes) - 1
    await send(dut, link, link.words[last].tolist())
    await with_timeout(cocotb.start_soon(expect(dut, link, [last])), 10**7, "ns")
