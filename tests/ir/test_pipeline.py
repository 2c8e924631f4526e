"""Stage numbers for a number of levels, of stages, or a clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError, UsageError
from lgc.ir.netlist import Netlist
from lgc.ir.passes import REGISTRY, Pipeline, run
from lgc.ir.verify import check

from .netlists import difflogic, netlists


def latency(net: Netlist) -> int:
    assert net.stage is not None
    return int(net.stage.max(initial=0))


@given(net=netlists(max_k=4), stages=st.integers(0, 8))
def test_no_more_stages_than_asked_for(net: Netlist, stages: int) -> None:
    staged = Pipeline(stages=stages)(net)
    check(staged)
    assert latency(staged) <= stages


def test_as_few_levels_as_the_stages_allow() -> None:
    net = run(REGISTRY.parse("simplify,lut-map,expand-readout"), difflogic(64, [200] * 3, classes=4, seed=1))
    for stages in (0, 1, 3, 6):
        staged = Pipeline(stages=stages)(net)
        tighter = [levels for levels in range(1, 40) if latency(Pipeline(levels=levels)(net)) <= stages]
        assert (staged.stage == Pipeline(levels=min(tighter))(net).stage).all()


@given(net=netlists(max_k=4), levels=st.integers(1, 5))
def test_balanced_stages_are_as_few_as_the_depth_allows(net: Netlist, levels: int) -> None:
    staged = Pipeline(levels=levels, balanced=True)(net)
    check(staged)
    level = [0] * net.signals
    for i, pins in enumerate(net.fanin.tolist()):
        level[net.first_lut + i] = 1 + max(level[s] for s in pins)
    assert latency(staged) == (max(level) - 1) // levels if net.luts else latency(staged) == 0


@given(net=netlists(max_k=4), levels=st.integers(1, 5), wires=st.integers(0, 3))
def test_registers_on_wires_lie_in_front_of_each_stage(net: Netlist, levels: int, wires: int) -> None:
    bare = Pipeline(levels=levels, balanced=True)(net)
    staged = Pipeline(levels=levels, balanced=True, wires=wires)(net)
    check(staged)
    assert bare.stage is not None
    assert staged.stage is not None
    assert (staged.stage == (1 + wires) * bare.stage + wires).all()


def test_a_clock_is_a_number_of_levels() -> None:
    net = difflogic(16, [40] * 6, classes=2, seed=1)
    for clock, levels in ((100, 5), (333, 1), (160, 3)):
        assert (Pipeline(clock=clock, delay=2000)(net).stage == Pipeline(levels=levels)(net).stage).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pipeline{stages=2 clock=50}", "give stages or clock, not both"),
        ("pipeline{levels=-1}", "levels must be 0 or more"),
        ("pipeline{wires=1}", "wires must not be negative, and needs balanced=true"),
        ("pipeline{delay=0}", "delay must be positive"),
    ],
)
def test_options_out_of_range(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        REGISTRY.parse(text)


def test_an_impossible_clock_is_refused() -> None:
    with pytest.raises(LgcError, match="A LUT of 2000 ps does not run at 600 MHz"):
        Pipeline(clock=600, delay=2000)(difflogic(16, [40], classes=2, seed=1))


def test_more_stages_than_can_be_numbered_are_refused() -> None:
    net = difflogic(16, [40] * 3, classes=2, seed=1)
    with pytest.raises(LgcError, match="more than 65,535"):
        Pipeline(levels=1, balanced=True, wires=60_000)(net)
