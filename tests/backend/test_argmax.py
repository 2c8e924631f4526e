"""The tournament argmax in Amaranth's simulator."""

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator

from lgc.backend.argmax import Argmax, Scores


def play(scores: Scores, values: np.ndarray, *, registers: bool) -> list[int]:
    """Index for each row of values `[samples, classes]`; only the variable bits are applied."""
    dut = Argmax(scores, registers=registers)
    found = []

    async def bench(ctx) -> None:
        for row in values:
            for c, bits in enumerate(scores):
                variable = [weight for weight, bit in enumerate(bits) if not isinstance(bit, bool)]
                if variable:
                    word = sum((int(row[c]) >> weight & 1) << n for n, weight in enumerate(variable))
                    ctx.set(getattr(dut, f"s{c}"), word)
            await ctx.tick().repeat(dut.latency) if dut.latency else await ctx.delay(1e-6)
            found.append(ctx.get(dut.index))

    simulator = Simulator(dut)
    if registers and dut.latency:
        simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def plain(classes: int, width: int) -> Scores:
    return tuple(tuple(range(width)) for _ in range(classes))


@pytest.mark.parametrize("registers", [False, True])
@pytest.mark.parametrize("classes", [1, 2, 3, 5, 10, 16])
def test_highest_score_wins_and_ties_go_to_the_lowest_class(classes: int, registers: bool) -> None:
    rng = np.random.default_rng(classes)
    values = np.concatenate([rng.integers(0, 4, (60, classes)), rng.integers(0, 32, (60, classes))])
    assert play(plain(classes, 5), values, registers=registers) == values.argmax(axis=1).tolist()


def test_constant_bits_count() -> None:
    scores: Scores = ((0, 1, False), (True, 0, True), (True, False, True))
    rng = np.random.default_rng(0)
    values = np.stack([rng.integers(0, 4, 40), 5 + 2 * rng.integers(0, 2, 40), np.full(40, 5)], axis=1)
    assert play(scores, values, registers=False) == values.argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("classes", "latency", "width"), [(1, 0, 1), (2, 1, 1), (10, 4, 4), (16, 4, 4), (17, 5, 5)]
)
def test_latency_and_width(classes: int, latency: int, width: int) -> None:
    dut = Argmax(plain(classes, 3), registers=True)
    assert (dut.latency, len(dut.index)) == (latency, width)
    assert rtlil.convert(dut, emit_src=False)
