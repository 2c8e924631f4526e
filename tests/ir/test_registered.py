"""Fabrics for new inputs every clock, where what waits costs registers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgc.ir.equivalence import patterns
from lgc.ir.netlist import Netlist
from lgc.ir.passes.expand_argmax import add_argmax, prove_expanded
from lgc.ir.passes.expand_readout import expand
from lgc.ir.passes.pipeline import registered_cells
from lgc.ir.proof import prove
from lgc.ir.simulate import scores
from lgc.ir.verify import check

from .netlists import difflogic, netlists
from .test_expand_readout import replay


@settings(max_examples=30)
@given(net=netlists(max_k=4, outputs=0), levels=st.integers(1, 3))
def test_scores_stay_what_they_were(net: Netlist, levels: int) -> None:
    fabric = expand(net, registered=levels)
    check(fabric.netlist)
    bits = patterns(net.inputs, samples=64, seed=0)
    assert np.array_equal(fabric.scores(bits), scores(net, bits))
    replay(fabric)
    if fabric.netlist.k == 4:
        found, _ = add_argmax(fabric, registered=levels)
        assert np.array_equal(found.index(bits), scores(net, bits).argmax(axis=1))


@settings(max_examples=20)
@given(net=netlists(max_k=6, outputs=0), levels=st.integers(1, 3))
def test_sites_and_registers_of_wide_luts(net: Netlist, levels: int) -> None:
    fabric = expand(net, k=6, fractured=True, registered=levels)
    assert fabric.chains is None
    found, argmax = add_argmax(fabric, registered=levels, fractured=True)
    check(found.netlist)
    bits = patterns(net.inputs, samples=64, seed=0)
    assert np.array_equal(fabric.scores(bits), scores(net, bits))
    assert np.array_equal(found.index(bits), scores(net, bits).argmax(axis=1))
    assert prove_expanded(fabric.netlist, argmax)


@pytest.fixture(scope="module")
def net() -> Netlist:
    return difflogic(60, [240, 240], classes=6, seed=3)


def test_counters_that_let_no_bit_wait_need_fewer_cells(net: Netlist) -> None:
    flat, held = expand(net, registered=1), expand(net)
    assert registered_cells(flat.netlist, 1) < 0.8 * registered_cells(held.netlist, 1)
    assert held.netlist.luts < flat.netlist.luts, "held inputs want the fewest LUTs"
    assert prove(net, flat).proved


def test_all_classes_meet_at_once(net: Netlist) -> None:
    """The lowest bits of the scores are compared first, as they come: none waits for the highest."""
    counted = expand(net, registered=1)
    usual, _ = add_argmax(counted)
    found, argmax = add_argmax(counted, registered=1)
    assert registered_cells(found.netlist, 1) < registered_cells(usual.netlist, 1)
    assert prove_expanded(counted.netlist, argmax)
    bits = patterns(net.inputs, samples=512, seed=1)
    assert np.array_equal(found.index(bits), scores(net, bits).argmax(axis=1))


@pytest.mark.parametrize(("levels", "cells"), [(1, 3 + 1 + 1), (2, 3 + 1)])
def test_registers_that_need_a_cell_of_their_own(levels: int, cells: int) -> None:
    """One LUT per stage: x2 waits for n0, and n0, behind its own LUT, once more for n2. Two: n0 is read both ways."""
    x0, x1, x2, n0, n1 = range(2, 7)
    fanin = np.array([[x0, x1], [n0, x2], [n0, n1]], np.int32)
    net = Netlist(3, fanin, np.full(3, 6, np.uint8), np.array([7], np.int32))
    assert registered_cells(net, levels) == cells


def test_a_site_has_two_luts_and_two_registers() -> None:
    """A row of four LUTs fits two sites; with one per stage x2, x3 and x4 wait for 6 registers beside 3."""
    x0, x1, x2, x3, x4, n0, n1, n2 = range(2, 10)
    fanin = np.array([[x0, x1], [n0, x2], [n1, x3], [n2, x4]], np.int32)
    net = Netlist(5, fanin, np.full(4, 6, np.uint8), np.array([10], np.int32))
    assert registered_cells(net, 4, fractured=True) == 2
    assert registered_cells(net, 1, fractured=True) == 5
