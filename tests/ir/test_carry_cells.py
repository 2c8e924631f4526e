"""Carry cells: argmax in chains against numpy, proofs, and what no device can build."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError
from lgc.ir.carry_cells import ALONE, CarryCells
from lgc.ir.equivalence import patterns
from lgc.ir.netlist import Netlist
from lgc.ir.passes._polarity import invert
from lgc.ir.passes.expand_argmax import add_argmax, expand_argmax, possible_rounds, prove_expanded
from lgc.ir.passes.expand_readout import expand
from lgc.ir.passes.pipeline import Pipeline
from lgc.ir.simulate import outputs
from lgc.ir.text import parse
from lgc.ir.verify import check

from .netlists import difflogic, netlists


def driven(
    classes: int, width: int, *, seed: int, constants: int = 0, later: list[int] | None = None
) -> Netlist:
    """Score bits that LUTs drive, each the XOR of an input and the last one, and a few constants.

    With `later` each bit of a score takes so many levels more, each an XOR with the last input.
    """
    rng = np.random.default_rng(seed)
    bits = classes * width
    fanin = np.zeros((bits, 4), np.int32)
    inputs = bits + 1
    fanin[:, 0] = np.arange(2, 2 + bits)
    fanin[:, 1] = 2 + bits
    roots = np.arange(2 + inputs, 2 + inputs + bits, dtype=np.int32)
    for bit, more in enumerate((later or [0] * width) * classes):
        for _ in range(more):
            fanin = np.concatenate([fanin, np.array([[roots[bit], 2 + bits, 0, 0]], np.int32)])
            roots[bit] = 1 + inputs + len(fanin)
    roots[rng.permutation(bits)[:constants]] = rng.integers(0, 2, min(constants, bits))
    return Netlist(inputs, fanin, np.full(len(fanin), 6, np.uint16), roots)


def wanted(net: Netlist, classes: int, bits: np.ndarray) -> np.ndarray:
    score = outputs(net, bits).reshape(len(bits), classes, -1).astype(np.int64)
    return (score @ (1 << np.arange(score.shape[2]))).argmax(axis=1)


@given(
    classes=st.integers(1, 12),
    width=st.integers(1, 9),
    constants=st.integers(0, 4),
    three=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_argmax_in_chains(classes: int, width: int, constants: int, three: bool, seed: int) -> None:
    net = driven(classes, width, seed=seed, constants=constants)
    rng = np.random.default_rng(seed)
    bits = rng.random((256, net.inputs)) < rng.random((256, 1))
    full = expand_argmax(net, classes=classes, carry=True, three=three)
    check(full.netlist)
    full.carries.check(full.netlist)
    index = outputs(full.netlist, bits)
    assert np.array_equal(index @ (1 << np.arange(index.shape[1])), wanted(net, classes, bits))
    assert len(full.round_of) == full.netlist.luts - net.luts


@given(
    classes=st.integers(2, 10),
    levels=st.lists(st.integers(0, 4), min_size=1, max_size=8),
    play=st.data(),
    constants=st.integers(0, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_argmax_in_rounds_of_every_size(
    classes: int, levels: list[int], play: st.DataObject, constants: int, seed: int
) -> None:
    """Bits come at different levels, so that carries begin with LUTs or end in them."""
    net = driven(classes, len(levels), seed=seed, constants=constants, later=levels)
    rounds = play.draw(st.sampled_from(list(possible_rounds(classes))))
    slack = play.draw(st.sampled_from([(0, 0), (0, 2), (1, 4), (8, 8)]))
    full = expand_argmax(net, classes=classes, carry=True, rounds=rounds, slack=slack)
    check(full.netlist)
    full.carries.check(full.netlist)
    rng = np.random.default_rng(seed)
    bits = rng.random((256, net.inputs)) < rng.random((256, 1))
    index = outputs(full.netlist, bits)
    assert np.array_equal(index @ (1 << np.arange(index.shape[1])), wanted(net, classes, bits))
    assert len(full.round_of) == full.netlist.luts - net.luts


def test_pairs_meet_in_carries_and_the_last_three_in_both() -> None:
    """Seven bits that come one after another are compared in a LUT, those of winners in carries of two levels."""
    net = driven(6, 7, seed=0, later=list(range(7)))
    found = {
        slack: expand_argmax(net, classes=6, carry=True, rounds=(3, 1), slack=(0, slack))
        for slack in (0, 1, 2, 3)
    }
    luts = [full.carries.luts(full.netlist) - net.luts for full in found.values()]
    # matches of 7 multiplexers and a verdict; duels, the last one of equal polarity; 5 for the number
    assert luts == [3 * 8 + n + 5 for n in (9 + 9 + 9, 7 + 7 + 8, 5 + 5 + 7, 3 + 3 + 6)]
    for full in found.values():
        full.carries.check(full.netlist)
        assert prove_expanded(net, full)


@given(net=netlists(max_k=4, outputs=12))
def test_random_logic_exhaustively(net: Netlist) -> None:
    bare = Netlist(net.inputs, net.fanin, net.table, net.outputs)
    if net.k != 4:
        bare = Netlist(
            net.inputs, np.pad(net.fanin, ((0, 0), (0, 4 - net.k))), net.table.astype(np.uint16), net.outputs
        )
    bits = patterns(net.inputs, samples=0, seed=0)
    for classes in (2, 3):
        full = expand_argmax(bare, classes=classes, carry=True)
        full.carries.check(full.netlist)
        index = outputs(full.netlist, bits)
        assert np.array_equal(index @ (1 << np.arange(index.shape[1])), wanted(bare, classes, bits))


@given(net=netlists(max_k=6, outputs=3), seed=st.integers(0, 2**32 - 1))
def test_inverted_signals_are_complements_and_nothing_else_changes(net: Netlist, seed: int) -> None:
    chosen = np.random.default_rng(seed).random(net.signals) < 0.5
    chosen[: net.first_lut] = False
    bare = replace(net, readout=None, outputs=np.arange(net.first_lut, net.signals, dtype=np.int32))
    changed = invert(bare, chosen)
    check(changed)
    bits = patterns(net.inputs, samples=64, seed=0)
    assert np.array_equal(outputs(changed, bits), outputs(bare, bits) ^ chosen[net.first_lut :])


def test_ten_scores_of_seven_bits() -> None:
    """Eight matches of 7 multiplexers and a verdict, a last verdict, 7 multiplexers of indices."""
    full = expand_argmax(driven(10, 7, seed=0), classes=10, carry=True)
    assert full.carries.luts(full.netlist) - 70 == 8 * 8 + 1 + 7
    # the lowest carry of each match shares no cell, those of the last no multiplexer
    assert full.carries.cells(full.netlist) - 70 == 8 * 9 + 7 + 7
    assert full.round_of.max() == 3
    assert expand_argmax(driven(10, 7, seed=0), classes=10, carry=True, three=True).round_of.max() == 2


@pytest.mark.parametrize("three", [False, True])
def test_it_is_proved_and_a_wrong_one_refuted(three: bool) -> None:
    net = difflogic(60, [300, 300], classes=10, seed=5)
    fabric = expand(net)
    full = expand_argmax(fabric.netlist, classes=10, carry=True, three=three)
    assert prove_expanded(fabric.netlist, full) == "SAT, for each two classes"
    wrong = replace(full, netlist=replace(full.netlist, outputs=full.netlist.outputs[::-1].copy()))
    assert prove_expanded(fabric.netlist, wrong) == ""
    scores = full.scores.copy()
    scores[1, 0] ^= 1
    assert prove_expanded(fabric.netlist, replace(full, scores=scores)) == ""


@pytest.mark.parametrize("levels", [0, 3])
def test_a_fabric_with_an_argmax_keeps_its_scores(levels: int) -> None:
    net = difflogic(60, [300, 300], classes=10, seed=6)
    fabric = expand(net)
    fabric = replace(fabric, netlist=Pipeline(levels=levels)(fabric.netlist))
    full, argmax = add_argmax(fabric, carry=True)
    check(full.netlist)
    assert argmax.carries.carry.size
    bits = patterns(60, samples=500, seed=1)
    assert np.array_equal(full.scores(bits), fabric.scores(bits))
    assert np.array_equal(full.index(bits), fabric.scores(bits).argmax(axis=1))
    assert full.latency == (fabric.latency + 4 if levels else 0)
    assert full.score_latency <= fabric.latency


CHAIN = """netlist k=4 inputs=4
%6 = lut 0x8 %2 %3
%7 = lut 0xe8 %4 %5 %6
%8 = lut 0xca %4 %5 %2
%9 = lut 0x6 %7 %2
output %9 %8
"""


def cells(**changes: int) -> CarryCells:
    second = {"carry": 7, "i0": 4, "i1": 5, "ci": 6, "beside": 8} | changes
    return CarryCells.of([(6, 2, 3, 0, ALONE), tuple(second.values())])  # type: ignore[list-item]


def test_a_legal_chain() -> None:
    net = parse(CHAIN)
    cells().check(net)
    assert (cells().luts(net), cells().cells(net)) == (2, 3)
    assert CarryCells.of([tuple(row) for row in cells().rows()]).rows() == cells().rows()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (CHAIN, {"i0": 3}, "Carry %7 is not the majority of %3, %5 and %6."),
        (CHAIN, {"carry": 5}, "Carry %5 is not the majority of %4, %5 and %6."),
        (CHAIN, {"beside": 9}, "Carry %7 cannot share the logic cell of LUT %9."),
        (CHAIN, {"beside": 3}, "Carry %7 cannot share the logic cell of LUT %3."),
        (CHAIN.replace("output %9", "output %7 %9"), {}, "Carry %7 is read by something else than"),
        (CHAIN.replace("%9 = lut 0x6 %7 %2", "%9 = lut 0x96 %7 %2 %6"), {}, "Carry %6 is read by something"),
    ],
)
def test_what_no_logic_cell_can_do(text: str, changes: dict[str, int], message: str) -> None:
    with pytest.raises(LgcError, match=f"^{re.escape(message)}"):
        cells(**changes).check(parse(text))


def test_a_carry_continues_a_carry() -> None:
    alone = CarryCells.of([(7, 4, 5, 6, 8)])
    with pytest.raises(LgcError, match="^Carry %7 continues %6, which is no carry"):
        alone.check(parse(CHAIN))
