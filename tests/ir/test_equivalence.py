import numpy as np
import pytest
from hypothesis import given

from lgc.ir import sat
from lgc.ir.equivalence import compare
from lgc.ir.netlist import Netlist
from lgc.ir.proof import same_outputs
from lgc.ir.text import parse

from .netlists import netlists, random_netlist

AND = "netlist k=2 inputs=2\n%4 = lut 0x8 %2 %3\noutput %4\n"


def test_a_difference_comes_with_a_counterexample() -> None:
    comparison = compare(parse(AND), parse(AND.replace("0x8", "0xe")))
    assert not comparison.equal
    assert comparison.counterexample is not None
    assert comparison.counterexample.sum() == 1


def test_scores_count_as_well_as_outputs() -> None:
    a, b = (parse(f"netlist k=1 inputs=1\nclass 0 = {bias} + %2\n") for bias in (0, 1))
    assert not compare(a, b).equal


def test_wide_netlists_are_proved_or_simulated_and_say_so() -> None:
    text = "netlist k=1 inputs=40\noutput %2\n"
    data = np.ones((3, 40), bool)
    simulated = compare(parse(text), parse(text), samples=100, data=data, prove=False)
    assert simulated.equal
    assert simulated.method == "simulation of 203 vectors"
    assert compare(parse(text), parse(text)).method.startswith("proof (SAT sweeping")


def test_data_is_tried_too() -> None:
    a = parse("netlist k=1 inputs=40\noutput %2\n")
    b = parse("netlist k=1 inputs=40\noutput %3\n")
    data = np.zeros((1, 40), bool)
    data[0, 1] = True
    assert compare(a, b, samples=0, data=data, prove=False).counterexample is not None


def test_scores_are_proved_by_equal_weights_on_equal_signals() -> None:
    head = "netlist k=2 inputs=20\n%22 = lut 0x8 %2 %3\n%23 = lut 0x7 %2 %3\n"
    a = parse(head + "class 0 = 0 + %22 + %23 + %4\nclass 1 = 2 - 2 * %23\n")
    b = parse(head + "class 0 = 1 + %4\nclass 1 = 0 + %22 + %22\n")
    assert compare(a, b).proof
    c = parse(head + "class 0 = 1 + %4\nclass 1 = 0 + %22 + %23\n")
    assert not compare(a, c).equal


@given(netlists(max_k=3))
def test_a_netlist_equals_itself(net: Netlist) -> None:
    assert compare(net, net).equal


def test_what_hashing_shows_is_not_asked_of_a_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver would look at every pair that is alike, whether an output depends on it or not."""
    net = random_netlist(1, inputs=40, luts=3000, k=3, outputs=40)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a solver was asked")

    monkeypatch.setattr(sat, "Cones", refuse)
    assert compare(net, net).proof.startswith("SAT sweeping")
    assert same_outputs(net, net)
