"""What all classes share can go: classes and differences of scores stay."""

import numpy as np
from hypothesis import given

from lgc.ir.equivalence import patterns
from lgc.ir.netlist import Netlist
from lgc.ir.passes import DropCommon, run_checked
from lgc.ir.simulate import scores
from lgc.ir.text import parse
from lgc.ir.verify import check

from .netlists import netlists


@given(netlists())
def test_only_a_common_amount_is_lost(net: Netlist) -> None:
    after, verdicts = run_checked([DropCommon()], net)
    check(after)
    bits = patterns(net.inputs, samples=0, seed=0)
    lost = scores(net, bits) - scores(after, bits)
    assert (lost == lost[:, :1]).all()
    assert np.array_equal(scores(net, bits).argmax(axis=1), scores(after, bits).argmax(axis=1))
    assert verdicts[0].comparison.proof == "exhaustive"


@given(netlists())
def test_never_more_bits(net: Netlist) -> None:
    def bits(weights: np.ndarray) -> int:
        return sum(bin(abs(w)).count("1") for w in weights.tolist())

    once = DropCommon()(net)
    assert once.readout is not None
    assert net.readout is not None
    assert bits(once.readout.weight) <= bits(net.readout.weight)


def test_a_wrong_weight_is_caught() -> None:
    net = parse("netlist k=1 inputs=3\nclass 0 = 0 + %2 + %3\nclass 1 = 0 + %2 + %4\n")
    wrong = parse("netlist k=1 inputs=3\nclass 0 = 0 + %3\nclass 1 = 0 + 2 * %4\n")
    assert DropCommon().verify(net, DropCommon()(net), 1).equal
    assert not DropCommon().verify(net, wrong, 1).equal
