"""Mapping once more after counting, and classes that cannot win."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.ir.equivalence import compare, patterns
from lgc.ir.netlist import Netlist
from lgc.ir.passes._squeeze import parted, size, squeeze
from lgc.ir.passes.expand_argmax import add_argmax, beaten, best_argmax, prove_expanded, score_bounds
from lgc.ir.passes.expand_readout import expand
from lgc.ir.proof import prove, prove_argmax
from lgc.ir.readout import Readout
from lgc.ir.simulate import outputs, scores
from lgc.ir.verify import check

from .netlists import difflogic, netlists


@given(net=netlists(max_k=4, outputs=8), first=st.integers(0, 12))
def test_outputs_are_kept_and_origins_stay_apart(net: Netlist, first: int) -> None:
    bare = Netlist(net.inputs, net.fanin, net.table, net.outputs)
    found = squeeze(bare, 4)
    check(found)
    bits = patterns(net.inputs, samples=0, seed=0)
    assert np.array_equal(outputs(found, bits), outputs(bare, bits))
    assert size(found) <= size(bare)
    assert found.origin is not None
    early = found.origin < first
    split = parted(found, early)
    check(split)
    assert np.array_equal(outputs(split, bits), outputs(bare, bits))
    count = int(early.sum())
    assert (split.fanin[:count] < split.first_lut + count).all()


@pytest.mark.parametrize("k", [4, 6])
def test_a_fabric_mapped_again_is_smaller_and_proved(k: int) -> None:
    net = difflogic(200, [500, 500], classes=10, seed=1, passing=0.45)
    fabric = expand(net, k=k)
    assert fabric.ledger is not None
    assert fabric.ledger.counting is not None
    assert fabric.netlist.luts < fabric.ledger.counting.luts
    assert prove(net, fabric).proved
    head = fabric.netlist
    assert (head.fanin[: fabric.network_luts] < head.first_lut + fabric.network_luts).all()
    table = head.table.copy()
    table[-1] ^= 1
    wrong = replace(fabric, netlist=replace(head, table=table))
    assert prove(net, wrong).reason.startswith("the fabric could not be proved equal to the counters")


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ([(0, 5), (6, 9), (0, 6)], [True, False, True]),
        ([(0, 6), (6, 9), (0, 6)], [False, False, True]),
        ([(3, 3), (3, 3), (0, 3)], [False, True, True]),
        ([(0, 1), (0, 1)], [False, False]),
    ],
)
def test_classes_that_cannot_win(bounds: list[tuple[int, int]], expected: list[bool]) -> None:
    assert beaten(np.array(bounds)).tolist() == expected


def lopsided() -> Netlist:
    """Class 1 has 20 points ahead, so that 0 and 3, of a few bits each, never win."""
    net = difflogic(40, [120], classes=4, seed=3)
    start = np.array([0, 5, 45, 105, 113])
    signal = net.first_lut + np.arange(113, dtype=np.int32)
    head = Readout(np.array([0, 20, 0, 3]), start, signal, np.ones(113, np.int32))
    return replace(net, readout=head)


@pytest.mark.parametrize("carry", [False, True])
def test_they_do_not_play_and_that_is_proved(carry: bool) -> None:
    net = lopsided()
    fabric = expand(net)
    bits = patterns(40, samples=500, seed=1)
    full, argmax = add_argmax(fabric, carry=carry)
    assert beaten(argmax.bounds).tolist() == [True, False, False, True]
    assert np.array_equal(full.index(bits), scores(net, bits).argmax(axis=1))
    assert prove_expanded(fabric.netlist, argmax) == "SAT, for each two classes"
    # nothing is taken on trust about a class that may win
    unbound = replace(argmax, bounds=np.tile([0, 63], (4, 1)))
    assert prove_expanded(fabric.netlist, unbound) == ""
    every, _ = add_argmax(replace(fabric, ledger=None), carry=carry)
    assert full.netlist.luts < every.netlist.luts
    assert prove_argmax(argmax.netlist, argmax.scores, np.array([0, 0]), never=[0, 3]) is not True


@pytest.mark.parametrize(("k", "carry", "fractured"), [(4, False, False), (4, True, False), (6, False, True)])
def test_the_best_argmax_is_one(k: int, carry: bool, fractured: bool) -> None:
    net = difflogic(100, [400, 400], classes=10, seed=2)
    fabric = expand(net, k=k)
    bounds = score_bounds(fabric)
    full, mapped = best_argmax(
        fabric.netlist, classes=10, k=k, carry=carry, fractured=fractured, bounds=bounds
    )
    check(mapped)
    full.carries.check(full.netlist)
    assert bool(full.carries.carry.size) == carry
    assert prove_expanded(fabric.netlist, full) == "SAT, for each two classes"
    assert compare(full.netlist, mapped, samples=64).proof
    bits = patterns(100, samples=500, seed=1)
    assert np.array_equal(outputs(mapped, bits) @ (1 << np.arange(4)), scores(net, bits).argmax(axis=1))
