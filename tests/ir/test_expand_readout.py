import numpy as np
import pytest
from hypothesis import given

from lgc.errors import LgcError
from lgc.ir.equivalence import patterns
from lgc.ir.netlist import Netlist
from lgc.ir.passes.expand_readout import expand
from lgc.ir.readout import Readout
from lgc.ir.simulate import scores
from lgc.ir.text import parse
from lgc.ir.verify import check

from .netlists import difflogic, netlists


@given(netlists(max_k=4, outputs=0))
def test_scores_are_exact(net: Netlist) -> None:
    fabric = expand(net)
    check(fabric.netlist)
    bits = patterns(net.inputs, samples=0, seed=0)
    assert np.array_equal(fabric.scores(bits), scores(net, bits))


@pytest.mark.parametrize("inputs", range(1, 14))
def test_popcount_of_bare_inputs_exhaustively(inputs: int) -> None:
    net = Netlist(
        inputs,
        np.empty((0, 4), np.int32),
        np.empty(0, np.uint16),
        np.empty(0, np.int32),
        Readout.group_sum(np.arange(2, 2 + inputs), 1),
    )
    fabric = expand(net)
    bits = patterns(inputs, samples=0, seed=0)
    assert np.array_equal(fabric.scores(bits)[:, 0], bits.sum(axis=1))
    assert fabric.network_luts == 0


@pytest.mark.parametrize("k", [4, 6])
def test_gates_in_front_of_the_popcount_encode_its_pairs(k: int) -> None:
    net = difflogic(784, [4000], classes=10, seed=0)
    fabric = expand(net, k=k)
    bits = patterns(784, samples=256, seed=1)
    assert np.array_equal(fabric.scores(bits), scores(net, bits))
    assert net.readout is not None
    counted = len(np.unique(net.readout.signal))
    assert (fabric.netlist.luts - fabric.network_luts) / counted < 1.34


def test_bits_without_gates_cost_little_more() -> None:
    rng = np.random.default_rng(0)
    fanin = rng.permutation(np.arange(4000) % 500).reshape(-1, 4).astype(np.int32) + 2
    table = rng.integers(0, 1 << 16, 1000).astype(np.uint16)
    net = Netlist(500, fanin, table, np.empty(0, np.int32), Readout.group_sum(np.arange(502, 1502), 5))
    fabric = expand(net)
    assert 990 < fabric.network_luts <= 1000
    assert (fabric.netlist.luts - fabric.network_luts) / 1000 < 1.56


def test_a_netlist_without_readout_is_refused() -> None:
    with pytest.raises(LgcError, match="^Only a netlist with a readout and no other outputs can be expanded"):
        expand(parse("netlist k=1 inputs=1\noutput %2"))


def test_bits_of_neighbouring_inputs_are_counted_together() -> None:
    """With positions the order of counting follows them, and the scores stay what they are."""
    net = difflogic(256, [600], classes=4, seed=3)
    position = np.stack(np.unravel_index(np.arange(256), (16, 16)), axis=1) / 16
    shuffled = position[np.random.default_rng(0).permutation(256)]
    bits = patterns(256, samples=200, seed=1)
    fabrics = [expand(net), expand(net, position=position), expand(net, position=shuffled)]
    for fabric in fabrics:
        assert np.array_equal(fabric.scores(bits), scores(net, bits))
    assert not np.array_equal(fabrics[1].netlist.fanin, fabrics[2].netlist.fanin)
