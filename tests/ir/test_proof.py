"""Proof of expanded readouts: it succeeds on every network, and on no fabric with a wrong bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.ir.ledger import Block
from lgc.ir.netlist import Netlist, table_dtype
from lgc.ir.passes.expand_argmax import ExpandArgmax
from lgc.ir.passes.expand_readout import expand
from lgc.ir.proof import prove, prove_argmax
from lgc.ir.sat import available
from lgc.ir.simulate import outputs, scores

from .netlists import difflogic, netlists


@given(net=netlists(max_k=4, outputs=0), k=st.sampled_from([4, 6]))
def test_every_expansion_is_proved(net: Netlist, k: int) -> None:
    proof = prove(net, expand(net, k=k))
    assert proof.proved, proof.reason


@pytest.mark.parametrize("k", [4, 6])
def test_no_flipped_bit_is_proved(k: int) -> None:
    net = difflogic(60, [120, 120], classes=4, seed=3, passing=0.4)
    fabric = expand(net, k=k)
    assert prove(net, fabric).proved
    rng = np.random.default_rng(0)
    for _ in range(60):
        table = fabric.netlist.table.copy()
        lut = int(rng.integers(fabric.netlist.luts))
        row = int(rng.integers(1 << int((fabric.netlist.fanin[lut] != 0).sum())))
        table[lut] ^= table.dtype.type(1 << row)
        mutant = replace(fabric, netlist=replace(fabric.netlist, table=table))
        if prove(net, mutant).proved:  # then the row never occurs
            bits = rng.random((20_000, net.inputs)) < rng.random((20_000, 1))
            assert np.array_equal(mutant.scores(bits), scores(net, bits))


def test_wrong_books_are_not_believed() -> None:
    net = difflogic(40, [80], classes=2, seed=1)
    fabric = expand(net)
    ledger = fabric.ledger
    assert ledger is not None

    def reason(**changes: object) -> str:
        return prove(net, replace(fabric, ledger=replace(ledger, **changes))).reason

    last = ledger.counted[-1]
    assert reason(counted=ledger.counted[:-1])
    assert reason(counted=(*ledger.counted, last)).endswith("a term that is not there")
    assert reason(counted=(*ledger.counted[:-1], Block(last.group, last.inputs, last.outputs[:-1])))
    assert reason(outputs=ledger.outputs[::-1].copy())
    assert reason(crossing=(ledger.crossing[0], ledger.crossing[1] ^ 1))
    assert "does not fit" in prove(net, replace(fabric, offset=fabric.offset + 1)).reason


def test_another_network_is_not_proved() -> None:
    a, b = (difflogic(40, [80], classes=2, seed=seed) for seed in (1, 2))
    assert not prove(a, expand(b)).proved


def test_a_fabric_without_books_is_not_proved() -> None:
    net = difflogic(10, [20], classes=2, seed=1)
    assert prove(net, replace(expand(net), ledger=None)).reason == "the fabric has no ledger"


def scores_only(classes: int, width: int, k: int) -> Netlist:
    bits = np.arange(2, 2 + classes * width, dtype=np.int32)
    none = np.zeros((0, k), np.int32)
    return Netlist(classes * width, none, np.zeros(0, table_dtype(k)), bits)


@pytest.mark.skipif(not available(), reason="python-sat is not installed")
@pytest.mark.parametrize(("classes", "width", "k"), [(1, 3, 4), (2, 5, 4), (3, 4, 5), (7, 6, 6), (10, 9, 4)])
def test_argmax_is_proved_and_its_mutants_are_not(classes: int, width: int, k: int) -> None:
    step, net = ExpandArgmax(classes=classes, k=k), scores_only(classes, width, k)
    after = step(net)
    assert step.verify(net, after, 1).proof == "SAT, for each two classes"
    scores = 2 * net.outputs.astype(np.int64).reshape(classes, width)
    rng = np.random.default_rng(0)
    for _ in range(min(10, after.luts)):
        table = after.table.copy()
        lut = int(rng.integers(after.luts))
        row = int(rng.integers(1 << int((after.fanin[lut] != 0).sum())))
        table[lut] ^= table.dtype.type(1 << row)
        mutant = replace(after, table=table)
        if prove_argmax(mutant, scores, 2 * mutant.outputs.astype(np.int64)):
            bits = rng.random((20_000, net.inputs)) < rng.random((20_000, 1))
            assert np.array_equal(outputs(mutant, bits), outputs(after, bits))
