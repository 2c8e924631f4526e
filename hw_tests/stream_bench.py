# what hangs below `dut` is known to the simulator only
"""cocotb tests of a design inside `stream_bench.v`; run by `lgc.hw_tests.runner` in its directory.

`bench.json` says what to expect, `codes.hex` what to send, `expect.npz` holds classes and scores; the tests
write what they measured to `measured.json` before they assert.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, with_timeout
from cocotb.types import LogicArray

from .flash import boot


@dataclass(frozen=True)
class Expectation:
    """What a simulation should show: beats of each sample; arrays are `[samples, ...]`."""

    beats: list[list[int]]
    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.int64]
    facts: dict[str, Any]

    @classmethod
    def load(cls) -> Expectation:
        """Read it from the working directory."""
        facts = json.loads(Path("bench.json").read_text())
        words = [int(word, 16) for word in Path("codes.hex").read_text().split()]
        first, size = facts["first"], facts["features"]
        frames = [words[:first], *(words[at : at + size] for at in range(first, len(words), size))]
        with np.load("expect.npz") as arrays:
            return cls(frames, arrays["classes"], arrays["scores"], facts)

    def result(self, sample: int) -> int:
        """Return what should come out: the class, and the scores above it where results hold them."""
        facts = self.facts
        found, at = int(self.classes[sample]), facts["class_width"]
        if facts["result_width"] > at:
            for score in self.scores[sample].tolist():
                found |= (score - facts["offset"]) << at
                at += facts["score_width"]
        return found


def _number(value: Any) -> int | None:
    """Unsigned number of a signal, or None where a bit is undefined."""
    if not value.is_resolvable:
        return None
    return value.to_unsigned() if isinstance(value, LogicArray) else int(value)  # one bit is a Logic


def _split(word: int | None, width: int, count: int, offset: int) -> list[int] | None:
    """Scores out of a class-major word."""
    if word is None:
        return None
    return [(word >> (c * width) & ((1 << width) - 1)) + offset for c in range(count)]


async def _start(dut: Any) -> None:
    """Start the clock, where the bench has none, and reset."""
    if cocotb.SIM_NAME.startswith("Verilator"):
        Clock(dut.clk, 10, unit="ns").start()
    await _reset(dut)


async def _reset(dut: Any) -> None:
    """Hold reset for a few clocks."""
    dut.rst.value = 1
    for _ in range(4):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


def _note(name: str, found: dict[str, Any]) -> None:
    """Add measurements to `measured.json`."""
    path = Path("measured.json")
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | {name: found}, indent=1))


@cocotb.test()
async def bulk(dut: Any) -> None:
    """All samples at full rate: classes, scores, latency, throughput."""
    want = Expectation.load()
    facts = want.facts
    await _start(dut)
    await boot(dut, facts["flash"])
    dut.bulk.value = 1
    await RisingEdge(dut.finished)
    got = int(dut.results.value)
    outputs = [_number(dut.class_of[n].value) for n in range(got)]
    mask = (1 << facts["class_width"]) - 1
    classes = [None if value is None else value & mask for value in outputs]
    words = [_number(dut.scores_of[n].value) if facts["scores"] else None for n in range(got)]
    scores = [_split(word, facts["score_width"], facts["classes"], facts["offset"]) for word in words]
    accepted = [int(dut.accepted_at[n].value) for n in range(got)]
    results = [int(dut.result_at[n].value) for n in range(got)]
    right_class = [value == want.result(n) for n, value in enumerate(outputs)]
    right_scores = [a == b for a, b in zip(scores, want.scores.tolist(), strict=False)]
    if not facts["scores"]:
        right_scores = [False] * got  # not seen, so not counted as equal
    wrong = [n for n in range(got) if not (right_class[n] and (right_scores[n] or not facts["scores"]))]
    found = {
        "results": got,
        "matching_classes": sum(right_class),
        "matching_scores": sum(right_scores),
        "latency": min((r - a for r, a in zip(results, accepted, strict=False)), default=0),
        "cycles_per_sample": min((b - a for a, b in pairwise(results)), default=None),
        "cycles": int(dut.cycle.value),
        "first_mismatch": _mismatch(want, wrong[0], classes, scores) if wrong else None,
    }
    _note("bulk", found)
    assert not bool(dut.hung.value), f"no result for a long time after {got} of {len(want.beats)}"
    assert got == len(want.beats)
    assert not wrong, f"{len(wrong)} of {got} samples differ, first {found['first_mismatch']}"


def _mismatch(
    want: Expectation, sample: int, classes: list[int | None], scores: list[list[int] | None]
) -> dict[str, Any]:
    """Return what differs in a sample."""
    return {
        "sample": sample,
        "class": classes[sample],
        "expected_class": int(want.classes[sample]),
        "scores": scores[sample],
        "expected_scores": want.scores[sample].tolist(),
    }


@cocotb.test()
async def stress(dut: Any) -> None:
    """Send a few frames with random gaps and back-pressure, after a reset within a frame."""
    want = Expectation.load()
    rng = np.random.default_rng(want.facts["seed"])
    frames = min(want.facts["stress_frames"], len(want.beats))
    dut.bulk.value = 0
    await _start(dut)
    await boot(dut, want.facts["flash"])
    cut = int(rng.integers(want.facts["first"])) if want.facts["reset"] else 0
    await _send(dut, want.beats[0][:cut], rng)
    await _reset(dut)
    longest = 2 * max(want.facts["features"], want.facts["latency"])
    receiver = cocotb.start_soon(_receive(dut, frames, rng, longest))
    sender = cocotb.start_soon(_send_all(dut, want.beats[:frames], rng))
    clocks = 100 * frames * (want.facts["first"] + want.facts["latency"])
    got = await with_timeout(receiver, clocks * 10, "ns")
    await sender
    _note("stress", {"frames": frames, "classes": got, "cut": cut})
    wanted = [want.result(n) for n in range(frames)]
    assert got == wanted, f"results {got}, expected {wanted}"


async def _send(dut: Any, codes: list[int], rng: np.random.Generator) -> None:
    """Offer codes one after the other, with gaps; each stays until it is accepted."""
    mask = (1 << len(dut.drive_code)) - 1
    gap = rng.choice([0.0, 0.2, 0.8])
    for code in codes:
        while rng.random() < gap:
            await FallingEdge(dut.clk)
        dut.drive_code.value = code & mask
        dut.drive_valid.value = 1
        while True:
            await RisingEdge(dut.clk)
            accepted = bool(dut.ready.value)
            await FallingEdge(dut.clk)
            if accepted:
                break
        dut.drive_valid.value = 0


async def _send_all(dut: Any, frames: list[list[int]], rng: np.random.Generator) -> None:
    """Send frames one after the other."""
    for codes in frames:
        await _send(dut, codes, rng)


async def _receive(dut: Any, frames: int, rng: np.random.Generator, longest: int) -> list[int | None]:
    """Take `frames` results; some wait for `longest` clocks, longer than a frame lasts.

    One waits until the design lets nothing in any more, or much longer.
    """
    got: list[int | None] = []
    while len(got) < frames:
        dut.drive_ready.value = 0
        silent = 0
        for _ in range(10 * longest * (len(got) == 1)):
            await FallingEdge(dut.clk)
            offered = bool(dut.drive_valid.value)
            silent = 0 if offered else silent + 1
            if silent > 100 or (offered and not bool(dut.ready.value)):  # all was sent, or no more goes in
                break
        for _ in range(int(rng.choice([0, 3, longest]))):
            await FallingEdge(dut.clk)
        dut.drive_ready.value = 1
        await RisingEdge(dut.clk)
        while not bool(dut.result_valid.value):
            await RisingEdge(dut.clk)
        got.append(_number(dut.result.value))
        await FallingEdge(dut.clk)
    dut.drive_ready.value = 0
    return got
