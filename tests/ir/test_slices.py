"""Slices: every LUT has one place, and chains stay in one stage."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from lgc.errors import LgcError
from lgc.ir.carry import GONE
from lgc.ir.equivalence import patterns
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import Netlist
from lgc.ir.passes.expand_readout import expand
from lgc.ir.passes.pipeline import Pipeline
from lgc.ir.simulate import scores
from lgc.ir.sites import sites
from lgc.ir.slices import OWN, Slices, depth, luts, staged
from lgc.ir.verify import check

from .netlists import difflogic, netlists


def carried(net: Netlist) -> Fabric:
    return expand(net, k=6, fractured=True, carry=True)


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return carried(difflogic(60, [400, 400], classes=5, seed=1, passing=0.5))


def test_places_are_those_that_the_site_count_assumes(fabric: Fabric) -> None:
    assert fabric.chains is not None
    found = Slices.of(fabric)
    assert found.positions == fabric.chains.positions
    hosted = fabric.chains.hosted(fabric.netlist)
    assert np.array_equal(found.home != OWN, hosted)
    assert sites(fabric.netlist, fabric.chains).count < luts(fabric) < fabric.netlist.luts
    assert fabric.netlist.luts - luts(fabric) > fabric.chains.positions  # a sum each, most a carry too


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_a_chain_has_one_stage(fabric: Fabric, levels: int) -> None:
    found = staged(fabric, levels)
    net = found.netlist
    check(net)
    assert net.stage is not None
    home = Slices.of(found).home
    for chain in range(home.max() + 1):
        assert len(set(net.stage[home == chain].tolist())) == 1
    stage = np.concatenate([np.zeros(net.first_lut, np.int64), net.stage])
    assert (stage[net.fanin].max(axis=1) <= net.stage).all()
    assert (found.latency + 1) * levels >= depth(found)
    assert staged(found, 0).netlist.stage is None


def test_without_chains_stages_are_those_of_the_pass() -> None:
    fabric = expand(difflogic(40, [80, 80], classes=4, seed=2))
    ours, plain = staged(fabric, 3).netlist.stage, Pipeline(levels=3)(fabric.netlist).stage
    assert ours is not None
    assert np.array_equal(ours, plain)
    assert luts(fabric) == fabric.netlist.luts


@settings(max_examples=25, deadline=None)
@given(netlists(max_k=6, outputs=0))
def test_any_readout_has_slices(net: Netlist) -> None:
    fabric = carried(net)
    found = staged(fabric, 2)
    bits = patterns(net.inputs, samples=0, seed=0)
    assert np.array_equal(found.scores(bits), scores(net, bits))
    slices = Slices.of(found)
    driven = [s for _, chain in slices.chains for p in chain for s in (p.wire, p.sum) if s != GONE]
    assert len(driven) == len(set(driven))


def test_a_fabric_with_chains_can_be_stored(fabric: Fabric) -> None:
    again = Fabric.stored(fabric.netlist, fabric.facts())
    assert again.chains is not None
    assert fabric.chains is not None
    again.chains.check(again.netlist)
    assert np.array_equal(again.chains.propagate, fabric.chains.propagate)


def test_a_carry_that_is_read_outside_is_refused(fabric: Fabric) -> None:
    chains = fabric.chains
    assert chains is not None
    slices, net = Slices.of(fabric), fabric.netlist
    visible = {s for _, chain in slices.chains for p in chain for s in (p.wire, p.sum)}
    hidden = next(int(c >> 1) for c in chains.carry if c > 1 and c >> 1 not in visible)
    wrong = replace(net, outputs=np.append(net.outputs[1:], hidden).astype(np.int32))
    with pytest.raises(LgcError, match=f"^Signal %{hidden} is read outside of its carry chain"):
        Slices.of(replace(fabric, netlist=wrong))
