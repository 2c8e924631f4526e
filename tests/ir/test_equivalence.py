import numpy as np
from hypothesis import given

from lgc.ir.equivalence import compare
from lgc.ir.netlist import Netlist
from lgc.ir.text import parse

from .netlists import netlists

AND = "netlist k=2 inputs=2\n%4 = lut 0x8 %2 %3\noutput %4\n"


def test_a_difference_comes_with_a_counterexample() -> None:
    comparison = compare(parse(AND), parse(AND.replace("0x8", "0xe")))
    assert not comparison.equal
    assert comparison.counterexample is not None
    assert comparison.counterexample.sum() == 1


def test_scores_count_as_well_as_outputs() -> None:
    a, b = (parse(f"netlist k=1 inputs=1\nclass 0 = {bias} + %2\n") for bias in (0, 1))
    assert not compare(a, b).equal


def test_wide_netlists_are_simulated_and_say_so() -> None:
    text = "netlist k=1 inputs=40\noutput %2\n"
    comparison = compare(parse(text), parse(text), samples=100, data=np.ones((3, 40), bool))
    assert comparison.equal
    assert comparison.method == "simulation of 103 vectors"


@given(netlists(max_k=3))
def test_a_netlist_equals_itself(net: Netlist) -> None:
    assert compare(net, net).equal
