# what hangs below `dut` is known to the simulator only
"""What the cocotb tests of all interfaces share: expectation, clock, reset."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, Timer
from cocotb.utils import get_sim_time

from .flash import boot

PERIOD = 10
"""Nanoseconds per clock."""


@dataclass(frozen=True)
class Link:
    """What is sent and what should come back; arrays are `[samples, ...]`."""

    words: npt.NDArray[np.uint32]
    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.int64]
    facts: dict[str, Any]
    rng: np.random.Generator

    @classmethod
    def load(cls) -> Link:
        """Read it from the working directory."""
        facts = json.loads(Path("bench.json").read_text())
        with np.load("expect.npz") as arrays:
            words, classes, scores = (arrays[name] for name in ("words", "classes", "scores"))
        return cls(words, classes, scores, facts, np.random.default_rng(facts["seed"]))

    @property
    def word(self) -> int:
        """Bits per word."""
        return int(self.facts["core"]["packing"]["word"])

    @property
    def with_scores(self) -> bool:
        """Whether the design gives scores."""
        return bool(self.facts["core"]["scores"])

    def reply(self, sample: int, *, scores: bool) -> list[int]:
        """Words that answer a sample."""
        core = self.facts["core"]
        numbers = [(int(self.classes[sample]), core["class_width"])]
        if scores:
            numbers += [(score, core["score_width"]) for score in self.scores[sample].tolist()]
        mask = (1 << self.word) - 1
        return [(value >> shift) & mask for value, width in numbers for shift in range(0, width, self.word)]


async def start(dut: Any, clk: str = "clk", rst: str = "rst", active: int = 1) -> None:
    """Start the clock, reset, and have the program loaded."""
    await Timer(PERIOD, "ns")  # a pin without a level at the first edge looks like a start bit
    Clock(getattr(dut, clk), PERIOD, unit="ns").start()
    await reset(dut, clk, rst, active)
    await boot(dut, json.loads(Path("bench.json").read_text())["flash"], clk)


async def reset(dut: Any, clk: str = "clk", rst: str = "rst", active: int = 1) -> None:
    """Hold reset for a few clocks."""
    await FallingEdge(getattr(dut, clk))
    getattr(dut, rst).value = active
    await ClockCycles(getattr(dut, clk), 4)
    await FallingEdge(getattr(dut, clk))
    getattr(dut, rst).value = 1 - active


def now() -> int:
    """Clocks since the start of the simulation."""
    return int(get_sim_time("ns")) // PERIOD


def note(clocks: int) -> None:
    """Write the measurement of `every_sample`."""
    cocotb.log.info("best sample: %d clocks", clocks)
    Path("measured.json").write_text(json.dumps({"clocks": clocks}))
