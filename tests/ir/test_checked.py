"""Checked pipelines: right ones are proved, wrong ones name the pass and an input pattern."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from lgc.errors import MismatchError
from lgc.ir.equivalence import Comparison
from lgc.ir.netlist import Netlist
from lgc.ir.passes import REGISTRY, Dce, Merge, Strash, codes_of, know, run_checked
from lgc.ir.passes.base import Pass
from lgc.ir.simulate import simulate_roots

from .netlists import difflogic

NET = difflogic(40, [60, 60], classes=3, seed=1, passing=0.3)


@dataclass(frozen=True)
class Wrong:
    """A pass that inverts its last LUT."""

    name: ClassVar[str] = "wrong"

    def __call__(self, net: Netlist) -> Netlist:
        table = net.table.copy()
        table[-1] ^= 0xF
        return replace(net, table=table)


@dataclass(frozen=True)
class Renaming:
    """A pass that gives its outputs another meaning, and says how to check that."""

    verify: Callable[[Netlist, Netlist, int], Comparison]
    name: ClassVar[str] = "renaming"

    def __call__(self, net: Netlist) -> Netlist:
        assert net.readout is not None
        return replace(net, outputs=net.readout.signal, readout=None)


def test_a_right_pipeline_is_proved_as_a_whole() -> None:
    after, verdicts = run_checked(REGISTRY.parse("simplify,merge,lut-map"), NET)
    assert after.luts < NET.luts
    assert [v.passes for v in verdicts] == ["strash,absorb,dce,merge,lut-map"]
    assert verdicts[0].comparison.proof.startswith("SAT sweeping")


def test_each_pass_on_its_own() -> None:
    _, verdicts = run_checked(REGISTRY.parse("simplify,merge"), NET, each=True)
    assert [v.passes for v in verdicts] == ["strash", "absorb", "dce", "merge"]
    assert all(v.comparison.proof for v in verdicts)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("each", [False, True])
def test_the_guilty_pass_is_named(place: int, each: bool) -> None:
    pipeline: list[Pass] = [Strash(), Dce(), Merge()]
    pipeline.insert(place, Wrong())
    with pytest.raises(MismatchError, match=r"Pass wrong changes the function for the inputs [01]{40}\."):
        run_checked(pipeline, NET, each=each)


def test_the_pattern_named_tells_the_difference() -> None:
    with pytest.raises(MismatchError) as caught:
        run_checked([Wrong()], NET)
    word = str(caught.value).split("inputs ")[1][:40]
    bits = np.array([[c == "1" for c in word]])
    assert (simulate_roots(NET, bits) != simulate_roots(Wrong()(NET), bits)).any()


def test_a_pass_may_say_how_it_is_checked() -> None:
    seen = []

    def verify(before: Netlist, after: Netlist, levels: int) -> Comparison:
        seen.append((before.readout is None, after.readout is None, levels))
        return Comparison(equal=len(seen) == 1, patterns=0, proof="by hand")

    pipeline: list[Pass] = [Strash(), Renaming(verify), Dce()]
    _, verdicts = run_checked(pipeline, NET)
    assert seen == [(False, True, 1)]
    assert [v.comparison.proof[:7] for v in verdicts] == ["SAT swe", "by hand", "SAT swe"]
    with pytest.raises(MismatchError, match="Pass renaming"):
        run_checked(pipeline, NET)


def test_what_is_known_of_the_inputs_reaches_the_passes() -> None:
    pipeline = know(REGISTRY.parse("strash,merge,merge{thermometer=2}"), 3)
    assert [getattr(step, "thermometer", None) for step in pipeline] == [None, 3, 2]
    assert codes_of(pipeline) == 3
    assert codes_of(REGISTRY.parse("strash,merge")) == 1


def test_thermometer_dont_cares_are_proved_as_such() -> None:
    net = difflogic(12, [200, 100], classes=2, seed=2)
    after, verdicts = run_checked([Merge(thermometer=3)], net)
    assert verdicts[0].comparison.proof
    assert after.luts < Merge()(net).luts
