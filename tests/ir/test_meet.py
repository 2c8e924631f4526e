"""Comparators by arrival times, players who meet at once, and heads within a number of levels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.ir import _kernels
from lgc.ir.builder import Builder
from lgc.ir.carry_cells import CarryCells
from lgc.ir.equivalence import patterns
from lgc.ir.netlist import Netlist, table_dtype
from lgc.ir.passes._compare import greater, shapes
from lgc.ir.passes._meet import Player, chooser, meet
from lgc.ir.passes._squeeze import size
from lgc.ir.passes.expand_argmax import (
    best_argmax,
    expand_argmax,
    possible_rounds,
    prove_expanded,
    score_bounds,
)
from lgc.ir.passes.expand_readout import expand
from lgc.ir.proof import prove
from lgc.ir.simulate import outputs, scores

from .netlists import difflogic

ROWS = np.random.default_rng(0)


def late(levels: list[int], k: int) -> Netlist:
    """Outputs that arrive at the given levels, each a row of XORs of an input of its own and a common one."""
    first, fanin, roots = 3 + len(levels), [], []
    for i, level in enumerate(levels):
        signal = 3 + i
        for _ in range(level):
            fanin.append([signal, 2] + [0] * (k - 2))
            signal = first + len(fanin) - 1
        roots.append(signal)
    table = np.full(len(fanin), 6, table_dtype(k))
    pins = np.array(fanin, np.int32).reshape(-1, k)
    return Netlist(1 + len(levels), pins, table, np.array(roots, np.int32))


def numbers(bits: np.ndarray, count: int) -> np.ndarray:
    split = bits.reshape(len(bits), count, -1).astype(np.int64)
    return split @ (1 << np.arange(split.shape[2]))


def near(inputs: int, classes: int) -> np.ndarray:
    """Random patterns, half of them such that the numbers differ in their lowest bits only."""
    bits = ROWS.integers(0, 2, (400, inputs)).astype(np.bool_)
    score = bits[:200, 1:].reshape(200, classes, -1)
    score[:, :, 1:] = score[:, :1, 1:]
    return bits


@given(levels=st.lists(st.integers(0, 5), min_size=1, max_size=9), k=st.sampled_from([4, 5, 6]))
def test_every_shape_compares_as_it_promises(levels: list[int], k: int) -> None:
    net = late(levels * 2, k)
    literals = (2 * net.outputs.astype(np.int64)).tolist()
    a, b = literals[: len(levels)], literals[len(levels) :]
    bits = near(net.inputs, 2)
    score = numbers(outputs(net, bits), 2)
    found = shapes(Builder(net, k=k), a, b)
    assert [s.level for s in found] == sorted({s.level for s in found})
    assert [s.luts for s in found] == sorted({s.luts for s in found}, reverse=True)
    for shape in found:
        builder = Builder(net, k=k)
        result = greater(builder, a, b, shape.level)
        assert builder.level(result) == shape.level
        assert builder.new == shape.luts
        made = outputs(builder.netlist([result]), bits)[:, 0]
        assert np.array_equal(made, score[:, 0] > score[:, 1])


def test_bits_that_arrive_together_may_be_compared_by_a_tree() -> None:
    a, b = ([2 * (3 + i) for i in range(start, start + 6)] for start in (0, 6))
    found = shapes(Builder(late([0] * 12, 4), k=4), a, b)
    assert [(shape.level, shape.luts) for shape in found] == [(3, 7), (4, 6), (5, 5)]
    found = shapes(Builder(late([0] * 12, 4), k=4), a, [x ^ 1 for x in b], chained=True)
    assert [(s.level, s.luts, s.carries) for s in found] == [(3, 7, 0), (4, 5, 3), (5, 3, 4), (6, 1, 5)]


@given(
    levels=st.lists(st.integers(0, 5), min_size=1, max_size=9),
    inverted=st.integers(0, 2**18 - 1),
    several=st.booleans(),
)
def test_every_shape_with_carries_compares_as_it_promises(
    levels: list[int], inverted: int, several: bool
) -> None:
    """Bits come in any polarity, or those of one number as complements; carries are as cells want them."""
    net, width = late(levels * 2, 4), len(levels)
    flips = [inverted >> i & 1 if several else int(i >= width) for i in range(2 * width)]
    literals = [2 * s ^ flip for s, flip in zip(net.outputs.tolist(), flips, strict=True)]
    a, b = literals[:width], literals[width:]
    bits = near(net.inputs, 2)
    score = numbers(outputs(net, bits) ^ np.array(flips, np.bool_), 2)
    found = shapes(Builder(net, k=4), a, b, chained=True)
    assert [s.luts for s in found] == sorted({s.luts for s in found}, reverse=True)
    assert not width > 1 or several or found[-1].luts == 1
    for shape in found:
        builder, carries = Builder(net, k=4), list[tuple[int, int, int, int]]()
        result = greater(builder, a, b, shape.level, carries)
        assert builder.level(result) == shape.level
        assert len(carries) == shape.carries
        assert builder.new == shape.luts + shape.carries
        made = builder.netlist([result])
        CarryCells.beside_luts(made, carries).check(made)
        assert np.array_equal(outputs(made, bits)[:, 0], score[:, 0] > score[:, 1])


@pytest.mark.parametrize("bits", [(1, "b", "c"), ("a", 0, "c"), ("a", "b", 1), ("a", "b", "a")])
def test_three_choose_by_the_better_of_two(bits: tuple[int | str, ...]) -> None:
    """A LUT and the one that ends it, which reads two duels, where a constant or an equal bit leaves a pin."""
    builder = Builder(late([0] * 5, 4), k=4)
    names = {"a": 6, "b": 8, "c": 10}
    own = [names[bit] if isinstance(bit, str) else bit for bit in bits]
    ab, ac, bc = 12, 14, builder.lut(lambda x, y: x & y, 4, 6)
    winner = chooser(builder, 3, [ab, ac, bc], two_first=True)(own)
    assert builder.new == 3
    net = builder.netlist([winner, bc])
    rows = patterns(net.inputs, samples=0, seed=0)
    made = outputs(net, rows)
    value = {0: np.zeros(len(rows), np.bool_), 1: np.ones(len(rows), np.bool_)}
    value |= {2 * (2 + i): rows[:, i] for i in range(net.inputs)}
    b_over_a, c_over_a, c_over_b = value[ab], value[ac], made[:, 1]
    possible = ~(b_over_a & c_over_b & ~c_over_a) & ~(~b_over_a & ~c_over_b & c_over_a)
    best = np.where(
        b_over_a & ~c_over_b, value[own[1]], np.where(c_over_a & c_over_b, value[own[2]], value[own[0]])
    )
    assert np.array_equal(made[possible, 0], best[possible])


@given(
    players=st.integers(2, 6),
    width=st.integers(1, 4),
    k=st.sampled_from([4, 5, 6]),
    slack=st.sampled_from([0, 2]),
    last=st.booleans(),
    numbered=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_best_of_a_few(
    players: int, width: int, k: int, slack: int, last: bool, numbered: bool, seed: int
) -> None:
    """Numbers are constants, or other signals as in later rounds."""
    rng = np.random.default_rng(seed)
    net = late(rng.integers(0, 3, 2 * players * width).tolist(), k)
    literals = (2 * net.outputs.astype(np.int64)).reshape(2, players, width).tolist()
    index = literals[1] if not numbered else [[c >> bit & 1 for bit in range(3)] for c in range(players)]
    builder = Builder(net, k=k)
    entered = [Player(own, score) for own, score in zip(index, literals[0], strict=True)]
    (winner,) = meet(builder, [entered], last=last, slack=slack)
    bits = near(net.inputs, 2 * players)
    given_bits = outputs(net, bits)
    score, other = (
        numbers(given_bits[:, part], players) for part in np.split(np.arange(given_bits.shape[1]), 2)
    )
    best = score.argmax(axis=1)
    rows = np.arange(len(bits))
    made = numbers(outputs(builder.netlist(winner.index), bits), 1)[:, 0]
    assert np.array_equal(made, best if numbered else other[rows, best])
    if last:
        assert winner.score == []
    else:
        assert np.array_equal(
            numbers(outputs(builder.netlist(winner.score), bits), 1)[:, 0], score[rows, best]
        )


def test_ways_to_play() -> None:
    assert list(possible_rounds(1)) == [()]
    assert list(possible_rounds(3)) == [(1,), (2, 1)]
    assert (3, 1) in set(possible_rounds(10))
    assert (1,) not in set(possible_rounds(7))
    for rounds in possible_rounds(10):
        for before, left in zip((10, *rounds), rounds, strict=False):
            assert left < before <= (6 if left == 1 else 4 * left)


@pytest.mark.parametrize("k", [4, 6])
def test_every_way_is_an_argmax_and_fewer_levels_can_be_had(k: int) -> None:
    net = difflogic(60, [200, 200], classes=10, seed=3, passing=0.45)
    fabric = expand(net, k=k)
    bounds = score_bounds(fabric)
    for rounds in ((3, 1), (4, 1), (5, 3, 1)):
        made = expand_argmax(fabric.netlist, classes=10, k=k, bounds=bounds, rounds=rounds)
        assert made.round_of.max() == len(rounds) - 1
        assert prove_expanded(fabric.netlist, made) == "SAT, for each two classes"
    usual = size(best_argmax(fabric.netlist, classes=10, k=k, bounds=bounds)[1])
    shallow, mapped = best_argmax(fabric.netlist, classes=10, k=k, bounds=bounds, levels=0)
    assert prove_expanded(fabric.netlist, shallow)
    few = size(mapped)
    assert few[1] <= usual[1]
    within = size(best_argmax(fabric.netlist, classes=10, k=k, bounds=bounds, levels=usual[1])[1])
    assert within[1] <= usual[1]
    assert within[0] <= few[0]
    if k == 4:
        assert few[1] < usual[1]


def test_shallow_heads_are_proved() -> None:
    net = difflogic(120, [400, 400], classes=4, seed=3, passing=0.45)
    depth = []
    for shallow in (False, True):
        fabric = expand(net, k=4, shallow=shallow)
        assert prove(net, fabric).proved
        bits = ROWS.integers(0, 2, (200, 120)).astype(np.bool_)
        assert np.array_equal(fabric.scores(bits), scores(net, bits))
        level = np.zeros(fabric.netlist.signals, np.int32)
        _kernels.levels(fabric.netlist.fanin, fabric.netlist.first_lut, level)
        depth.append(int(level[fabric.netlist.outputs].max()))
    assert depth[1] != depth[0]  # pairs side by side are not always shallower
