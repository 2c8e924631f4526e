"""Counters and carry chains planned by arrival: sums, costs and levels as planned; mapping around chains; heads."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgc.ir.carry import GONE
from lgc.ir.equivalence import patterns
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import Netlist
from lgc.ir.passes._around import squeeze_around
from lgc.ir.passes._arrival import columns_of, count_by_plan, drawn, plan, ways_to_count, within
from lgc.ir.passes._ending import finish
from lgc.ir.passes.expand_argmax import add_argmax, prove_expanded
from lgc.ir.passes.expand_readout import expand, expand_each
from lgc.ir.passes.heads import best_head
from lgc.ir.proof import prove, same_outputs
from lgc.ir.simulate import outputs, scores
from lgc.ir.text import dump
from lgc.ir.verify import check

from .netlists import difflogic, netlists
from .test_sites_carry import bare, expected, started, worth

ROWS = np.random.default_rng(8)


def depth(fabric: Fabric) -> int:
    assert fabric.chains is not None
    return int(fabric.chains.levels(fabric.netlist, carry=True)[fabric.netlist.outputs].max())


def luts(fabric: Fabric) -> int:
    assert fabric.chains is not None
    fabric.chains.check(fabric.netlist)
    return fabric.chains.luts(fabric.netlist)


NINE = """\
netlist k=6 inputs=9
%11 = lut 0x6996966996696996 %2 %3 %4 %5 %6 %7
%12 = lut 0x6 %8 %11
%13 = lut 0xca %7 %8 %11
%14 = lut 0xe8818117177e7ee8 %2 %3 %4 %5 %6 %9
%15 = lut 0x6 %13 %14
%16 = lut 0xca %9 %13 %14
%17 = lut 0x177f7fffe8808000 %2 %3 %4 %5 %6 %10
%18 = lut 0x6 %16 %17
%19 = lut 0xca %10 %16 %17
output %12 %15 %18 %19
"""


def test_golden_nine_bits_become_four_in_three_luts() -> None:
    builder, tally = started([7, 1, 1], 4)
    (best,) = (way for way in ways_to_count(tally, builder.level) if way.luts == 3)
    count_by_plan(tally, best)
    net, found, chains = worth(builder, tally)
    assert np.array_equal(found, expected([7, 1, 1], 4))
    assert (best.level, chains.luts(net), chains.slices) == (2, 3, 1)
    assert dump(net) == NINE
    assert chains.generate.tolist() == [14, 18, 20, GONE]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(1, 7),
    st.integers(0),
    st.integers(-1, 6),
    st.booleans(),
)
def test_plans_count(heights: list[int], width: int, inverted: int, begin: int, ripple: bool) -> None:
    heights = heights[:width]
    while sum(heights) > 14:
        heights = heights[:-1]
    builder, tally = started(heights, width, inverted=inverted)
    ways = ways_to_count(tally, builder.level)
    assert [one.luts for one in ways] == sorted({one.luts for one in ways}, reverse=True)
    chosen = within(ways, begin)
    assert chosen.compared <= begin or chosen is ways[0]
    columns = columns_of(tally, builder.level)
    if ripple:
        chosen = plan(columns, begin, ripple=True, rounds=1 + inverted % 3)
    elif inverted & 1:
        chosen = drawn(columns, Random(inverted).random)
    count_by_plan(tally, chosen)
    assert all(len(column.singles) <= 1 for column in tally.columns)
    net, found, chains = worth(builder, tally)
    assert np.array_equal(found, expected(heights, width, inverted))
    inverters = sum(x & 1 for column in tally.columns for x in column.singles if x > 1)
    assert chains.luts(net) == chosen.luts + inverters
    assert chains.levels(net, carry=True).max(initial=0) <= max(chosen.level, inverters)


def test_a_last_chain_ends_all_columns_at_once() -> None:
    assert finish((2, 2, 2)) == (3, ((), (), ()), (1, 1, 1), 0)
    assert finish((1, 3, 2, 0)) == (2, ((), (), (), ()), (1, 1), 1)  # the carry-in takes the third bit
    assert finish((7, 1, 1, 0)) == (3, ((), (), (), ()), (3,), 0)
    cost, layer, groups, start = finish((9, 4, 0, 0, 0)) or (0, (), (), -1)
    assert (sum(groups) + start, sum(map(sum, layer))) != (0, 0)
    assert cost > 5
    assert finish((15, 0, 0, 0)) is None


@settings(max_examples=30, deadline=None)
@given(netlists(max_k=6, outputs=0), st.none() | st.integers(0, 12))
def test_fabrics_are_exact_and_proved(net: Netlist, levels: int | None) -> None:
    fabric = expand(net, k=6, carry=True, levels=levels)
    check(fabric.netlist)
    if fabric.chains is not None:
        fabric.chains.check(fabric.netlist)
    bits = patterns(net.inputs, samples=0, seed=0)
    assert np.array_equal(fabric.scores(bits), scores(net, bits))
    proof = prove(net, fabric)
    assert proof.proved, proof.reason


def test_bare_bits_take_six_tenths_of_a_lut() -> None:
    net = bare(200)
    fabric = expand(net, k=6, carry=True)
    quick = expand(net, k=6, carry=True, levels=0)
    assert luts(fabric) < 0.68 * 200
    assert luts(fabric) < luts(quick) < 200
    assert depth(quick) < depth(fabric) < depth(quick) + 8


def test_levels_are_traded_for_luts() -> None:
    net = difflogic(120, [240, 240], classes=4, seed=3, passing=0.45)
    found = list(expand_each(net))
    cost = [(depth(fabric), luts(fabric)) for fabric in found]
    assert len(cost) > 2
    assert [levels for levels, _ in cost] == sorted(levels for levels, _ in cost)
    assert [luts for _, luts in cost] == sorted({luts for _, luts in cost}, reverse=True)
    for fabric in found:
        assert prove(net, fabric).proved
        bits = ROWS.integers(0, 2, (100, 120)).astype(np.bool_)
        assert np.array_equal(fabric.scores(bits), scores(net, bits))


@settings(max_examples=15, deadline=None)
@given(netlists(max_k=6, outputs=0))
def test_mapping_around_chains(net: Netlist) -> None:
    fabric = expand(net, k=6, carry=True)
    ledger = fabric.ledger
    assert ledger is not None
    if fabric.chains is None:
        return
    after, chains = squeeze_around(fabric.netlist, fabric.chains, 6)
    check(after)
    chains.check(after)
    assert chains.luts(after) <= fabric.chains.luts(fabric.netlist)
    bits = patterns(net.inputs, samples=0, seed=0)
    assert np.array_equal(outputs(after, bits), outputs(fabric.netlist, bits))


@pytest.mark.parametrize(("fractured", "levels"), [(False, None), (False, 10), (True, 11)])
def test_parts_of_a_head_give_scores_and_index(fractured: bool, levels: int | None) -> None:
    """What a design is built of: no LUT of the network reads a counter, none of the counters the argmax."""
    net = difflogic(60, [120, 120], classes=6, seed=5, passing=0.3)
    head = best_head(net, k=6, carry=True, fractured=fractured, levels=levels)
    fabric, argmax = head.parts()
    assert prove(net, fabric).proved
    assert prove_expanded(fabric.netlist, argmax)
    whole, counted, chains = argmax.netlist, fabric.netlist, fabric.chains
    assert fractured or chains is not None
    assert np.array_equal(whole.fanin[: counted.luts], counted.fanin)
    for part in (whole, counted):
        check(part)
        if chains is not None:
            chains.check(part)
    network = replace(counted, fanin=counted.fanin[: fabric.network_luts], outputs=counted.outputs[:0])
    assert network.fanin.max() < network.signals
    assert whole.luts == counted.luts + len(argmax.round_of)
    assert (np.diff(argmax.round_of) >= 0).all()
    if chains is not None and not fractured:
        assert chains.luts(whole) <= 1.01 * head.cost()[1]
    bits = ROWS.integers(0, 2, (300, 60)).astype(np.bool_)
    staged, _ = add_argmax(fabric, argmax=argmax)
    found = scores(net, bits)
    assert np.array_equal(staged.scores(bits), found)
    assert np.array_equal(staged.index(bits), found.argmax(axis=1))


@pytest.mark.parametrize("carry", [False, True])
def test_heads_within_levels_are_proved(carry: bool) -> None:
    net = difflogic(60, [120, 120], classes=6, seed=5, passing=0.3)
    bits = ROWS.integers(0, 2, (300, 60)).astype(np.bool_)
    cost = []
    for levels in (None, 9, 0):
        head = best_head(net, k=6, carry=carry, levels=levels)
        assert head.prove(net)
        index = outputs(head.netlist, bits) @ (1 << np.arange(len(head.netlist.outputs)))
        assert np.array_equal(index, scores(net, bits).argmax(axis=1))
        cost.append(head.cost())
        if carry:
            assert head.chains is not None
            head.chains.check(head.netlist)
    assert cost[1][0] <= 9 or cost[1] == cost[2]
    assert cost[2][0] <= cost[1][0] <= cost[0][0] + 1
    wrong = replace(head, netlist=replace(head.netlist, outputs=head.netlist.outputs[::-1].copy()))
    assert not wrong.prove(net)
    assert same_outputs(head.netlist, head.netlist)
