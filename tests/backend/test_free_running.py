"""The design that never stops: comparators, places for results, and designs at full rate in simulation."""

import json
from pathlib import Path

import numpy as np
import pytest
from amaranth import Module, Shape, Signal
from amaranth.sim import Simulator
from hypothesis import given
from hypothesis import strategies as st

from lgc.backend import plan as plans
from lgc.backend.compare import at_least, clocks, delayed
from lgc.backend.free_running import closing
from lgc.backend.plan import Plan
from lgc.backend.rtl import write_rtl
from lgc.hw_tests.runner import simulate
from lgc.hw_tests.samples import random_sample
from lgc.ir.encoder import FixedPoint, Thermometer

from ..needs import needs_tools


def compared(code: Shape, threshold: Shape | list[int], pairs: list[tuple[int, int]]) -> list[list[int]]:
    """What comparators say of one pair after the other, of which one comes every clock."""
    m = Module()
    a = Signal(code)
    if isinstance(threshold, Shape):
        b = Signal(threshold)
        outputs, late = [at_least(m, a, b)], clocks(code, threshold)
    else:
        late = clocks(code, None)
        outputs = [at_least(m, a, value) for value in threshold]
    delayed(m, a, 1)  # so that there is a clock whatever is compared
    found: list[list[int]] = []

    async def bench(ctx):
        for n in range(len(pairs) + late):
            if n < len(pairs):
                ctx.set(a, pairs[n][0])
                if isinstance(threshold, Shape):
                    ctx.set(b, pairs[n][1])
            if n >= late:
                found.append([ctx.get(bit) for bit in outputs])
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("width", [1, 3, 4, 5, 8, 9])
def test_constants_are_compared_at_every_clock(width: int, signed: bool) -> None:
    """All codes with the least and greatest thresholds, those no code reaches, and some between."""
    form = FixedPoint(width, signed=signed)
    thresholds = {form.low - 1, form.low, form.low + 1, 0, form.high, form.high + 1, form.high + 9}
    thresholds |= set(np.random.default_rng(width).integers(form.low, form.high + 2, 6).tolist())
    codes = np.random.default_rng(1).permutation(np.arange(form.low, form.high + 1)).tolist()
    found = compared(Shape(width, signed), sorted(thresholds), [(code, 0) for code in codes])
    assert found == [[int(code >= value) for value in sorted(thresholds)] for code in codes]


@given(
    code=st.builds(Shape, st.integers(1, 9), st.booleans()),
    threshold=st.builds(Shape, st.integers(1, 9), st.booleans()),
    seed=st.integers(0, 99),
)
def test_signals_of_any_shapes_are_compared(code: Shape, threshold: Shape, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = []
    for shape in (code, threshold):
        low = -(1 << shape.width - 1) if shape.signed else 0
        pairs.append(rng.integers(low, low + (1 << shape.width), 40).tolist())
    both = list(zip(*pairs, strict=True))
    assert compared(code, threshold, both) == [[int(a >= b)] for a, b in both]


def test_a_comparator_for_each_value_in_place_of_a_memory() -> None:
    threshold = np.array([[10, 20, 30], [10, 20, 40], [30, 30, 40]], np.int32)
    plan = Plan(Thermometer(threshold, FixedPoint(8)), np.array([0, 2, 4, 5, 6, 7], np.int64))
    assert plan.memory[1] > 0
    found = plan.by_value()
    assert found.memory[1] == 0
    assert found.feature.tolist() == plan.feature.tolist() == [0, 0, 1, 1, 2, 2]
    values = [found.constant(column) for column in range(found.levels.size)]
    assert values == [10, 20, 30, 40]
    assert [values[column] for column in found.column.tolist()] == [10, 30, 20, 40, 30, 30]


def test_thresholds_of_many_values_stay_in_their_memory() -> None:
    threshold = np.arange(100, dtype=np.int32)[:, None]
    plan = Plan(Thermometer(threshold, FixedPoint(8)), np.arange(100))
    assert plan.by_value() is plan
    shared = Plan(Thermometer(np.full((100, 1), 7, np.int32), FixedPoint(8)), np.arange(100))
    assert shared.by_value() is shared  # has none


@needs_tools
@pytest.mark.parametrize(
    ("features", "memory", "width", "per_stage"),
    [(9, False, 8, 1), (16, True, 6, 1), (13, True, 8, 2), (17, False, 3, 1), (31, False, 9, 1)],
    ids=["few features, many on their way", "thresholds in a memory", "row left open", "one LUT", "prime"],
)
def test_frames_follow_each_other_without_a_gap(
    features: int, memory: bool, width: int, per_stage: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if memory:
        monkeypatch.setattr(plans, "MOST", 0)
    sample = random_sample(
        seed=features, features=features, width=width, signed=features % 2 == 0, shared=not memory,
        layers=(60, 50), classes=5, luts_per_stage=per_stage,
    )  # fmt: skip
    rtl = write_rtl(sample.encoder, sample.fabric, out=tmp_path / "rtl", argmax_registers=True)
    assert (rtl.cycles_per_sample, rtl.memory[1] > 0) == (features, memory)
    assert ("lgc_top.waiting" in (tmp_path / "rtl" / "shell.v").read_text()) is True
    codes = sample.codes(40, seed=2)
    scores = sample.fabric.scores(sample.bits(codes))
    want = {"codes": codes, "expected_class": scores.argmax(axis=1), "expected_scores": scores}
    found = simulate(rtl, out=tmp_path / "sim", simulator="icarus", stress_frames=30, **want)
    assert (found.matching_classes, found.matching_scores, found.stress_frames) == (40, 40, 30)
    cycles = json.loads((tmp_path / "sim" / "measured.json").read_text())["bulk"]["cycles"]
    assert cycles <= 40 * features + rtl.latency + 8  # the reset and the last result


@needs_tools
@pytest.mark.parametrize("features", [1, 3])
def test_short_frames_go_one_at_a_time(features: int, tmp_path: Path) -> None:
    sample = random_sample(
        seed=3, features=features, shared=False, layers=(20, 15), classes=3, luts_per_stage=1
    )
    rtl = write_rtl(sample.encoder, sample.fabric, out=tmp_path / "rtl", argmax_registers=True)
    assert rtl.cycles_per_sample == rtl.latency > features
    codes = sample.codes(12, seed=2)
    scores = sample.fabric.scores(sample.bits(codes))
    want = {"codes": codes, "expected_class": scores.argmax(axis=1), "expected_scores": scores}
    found = simulate(rtl, out=tmp_path / "sim", simulator="icarus", **want)
    assert (found.matching_classes, found.cycles_per_sample) == (12, rtl.cycles_per_sample)


def test_short_frames_are_held_up() -> None:
    """Features pass the gate before it closes: a frame must be longer than that."""
    for features, free in ((5, False), (6, True)):
        plan = Plan(Thermometer(np.ones((features, 1), np.int32), FixedPoint(1)), np.arange(features))
        assert (closing(plan) >= 0) is free


@needs_tools
def test_processes_run_once_at_the_start(tmp_path: Path) -> None:
    """What a register takes over is defined from the first clock on, and names do not tell Yosys' version."""
    sample = random_sample(seed=1, features=9, layers=(20,), classes=3)
    write_rtl(sample.encoder, sample.fabric, out=tmp_path, argmax_registers=True)
    text = (tmp_path / "shell.v").read_text()
    assert "$auto$" not in text
    assert "initial started1 <= 0;" in text
