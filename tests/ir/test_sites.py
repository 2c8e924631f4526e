import numpy as np
import pytest
from hypothesis import given

from lgc.ir.equivalence import compare
from lgc.ir.netlist import Netlist
from lgc.ir.passes import REGISTRY, LutMap, run
from lgc.ir.passes._fold import STRATEGIES
from lgc.ir.passes.expand_readout import expand
from lgc.ir.sites import PINS, absorb_twins, sites
from lgc.ir.text import parse
from lgc.ir.verify import check

from .netlists import difflogic, netlists


def check_sites(net: Netlist) -> None:
    found = sites(net)
    single = np.flatnonzero(found.partner < 0)
    paired = np.flatnonzero(found.partner >= 0)
    assert np.array_equal(found.partner[found.partner[paired]], paired)
    assert (found.partner != np.arange(net.luts)).all()
    assert found.count == len(single) + len(paired) // 2
    for i in paired.tolist():
        pins = set(net.fanin[i].tolist()) | set(net.fanin[found.partner[i]].tolist())
        assert len(pins - {0}) <= PINS


@given(netlists(max_k=6))
def test_partners_fit_into_a_site(net: Netlist) -> None:
    check_sites(net)


def test_luts_of_two_unshared_pins_fill_sites() -> None:
    """Nothing is shared, so that only the number of pins counts: 2 + 2, 3 + 2, and 4 + 2 not."""
    fanin = np.zeros((5, 4), np.int32)
    at = 2
    for row, pins in enumerate([2, 2, 3, 2, 4]):
        fanin[row, :pins] = np.arange(at, at + pins)
        at += pins
    net = Netlist(13, fanin, np.full(5, 6, np.uint16), np.arange(15, 20, dtype=np.int32))
    assert sites(net).count == 3


@pytest.mark.parametrize("k", [4, 6])
def test_a_logic_gate_network_pairs_well(k: int) -> None:
    net = difflogic(784, [2000] * 3, classes=10, seed=0, passing=0.45)
    mapped = LutMap(k=k)(net)
    check_sites(mapped)
    assert sites(mapped).count < 0.6 * LutMap(k=4)(net).luts


@given(netlists(max_k=4))
def test_absorbing_twins_keeps_the_function(net: Netlist) -> None:
    swept = run(REGISTRY.parse("simplify"), net)
    result = run(REGISTRY.parse("dce"), absorb_twins(swept))
    check(result)
    assert compare(net, result).equal
    assert result.luts <= swept.luts


def test_gates_are_absorbed_into_an_adder() -> None:
    """Sum and carry of two gates and an input: three sites before, one after."""
    net = parse(
        "netlist k=3 inputs=5\n%7 = lut 0x8 %2 %3\n%8 = lut 0xe %4 %5\n%9 = lut 0x96 %6 %7 %8\n"
        "%10 = lut 0xe8 %6 %7 %8\noutput %9 %10\n"
    )
    result = run(REGISTRY.parse("dce"), absorb_twins(net))
    assert (result.luts, sites(result).count) == (2, 1)
    assert compare(net, result).equal


def test_fractured_picks_the_fewest_sites() -> None:
    net = difflogic(784, [1000] * 3, classes=10, seed=0, passing=0.45)
    names = list(STRATEGIES[6])
    every = [sites(expand(net, k=6, strategy=name).netlist).count for name in names]
    best = expand(net, k=6, fractured=True)
    check_sites(best.netlist)
    assert sites(best.netlist).count <= min(every)
