import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings

from lgc.errors import LgcError, UsageError
from lgc.ir import _kernels
from lgc.ir.equivalence import patterns
from lgc.ir.fabric import Fabric
from lgc.ir.ledger import DEAD, SINGLE, Block, Ledger, Term
from lgc.ir.netlist import Netlist
from lgc.ir.passes import REGISTRY
from lgc.ir.passes._fold import STRATEGIES
from lgc.ir.passes.expand_readout import expand
from lgc.ir.readout import Readout
from lgc.ir.simulate import outputs, scores
from lgc.ir.text import parse
from lgc.ir.verify import check

from .netlists import difflogic, netlists


def replay(fabric: Fabric, *, seed: int = 0) -> int:
    """Follow the ledger from the entries to the score bits; returns the number of blocks tried.

    Each block is simulated on all or on random values of its input signals, with every signal before
    them left unknown: only the LUTs between inputs and outputs may decide.
    """
    book = fabric.ledger
    assert book is not None
    width, rng = fabric.score_width, np.random.default_rng(seed)
    terms = [Counter(entry_terms(book, c, width)) for c in range(fabric.classes)]
    for block in book.folded:
        settle(terms[block.group], block, book.extended, width, rng)
    over = dict(zip(*(side.tolist() for side in book.crossing), strict=True))
    for c, left in enumerate(terms):
        terms[c] = Counter()
        for (w, x, p), times in (+left).items():
            terms[c][w, over[x], over[p] if p >= 0 else p] += times
    counting = fabric.netlist if book.counting is None else book.counting
    for block in book.counted:
        settle(terms[block.group], block, counting, width, rng)
    for c, left in enumerate(terms):
        bits = [(w, x, SINGLE) for w, x in enumerate(book.outputs[c].tolist()) if x]
        assert {t for t in left.elements() if t[0] < width} == set(bits)
        assert sum(times for t, times in left.items() if t[0] < width) == len(bits)
    signals = np.where(book.outputs == 1, 1, book.outputs >> 1).ravel()
    assert np.array_equal(signals, counting.outputs)
    every = patterns(counting.inputs, samples=64, seed=seed)
    assert np.array_equal(outputs(counting, every), outputs(fabric.netlist, every))
    assert fabric.offset == book.offset
    return len(book.folded) + len(book.counted)


def entry_terms(book: Ledger, c: int, width: int) -> list[Term]:
    head = book.network.readout
    assert head is not None
    chosen = head.class_of_entry == c
    entries = list(zip(head.signal[chosen].tolist(), head.weight[chosen].tolist(), strict=True))
    assert book.constant[c] == head.bias[c] + sum(min(v, 0) for _, v in entries)
    extra = int(book.constant[c]) - book.offset
    assert extra >= 0
    assert extra + sum(abs(v) for _, v in entries) < 1 << width
    bits = [(w, 2 * s + (v < 0), SINGLE) for s, v in entries for w in range(width) if abs(v) >> w & 1]
    return bits + [(w, 1, SINGLE) for w in range(width) if extra >> w & 1]


def settle(terms: Counter[Term], block: Block, net: Netlist, width: int, rng: np.random.Generator) -> None:
    for term in block.inputs:
        assert terms[term] > 0, "a term is consumed that is not there"
        terms[term] -= 1
    terms.update(block.outputs)
    leaves = sorted({x >> 1 for _, *pair in block.inputs for x in pair if x > 1})
    assert len(leaves) <= 12
    rows = np.arange(1 << len(leaves)) if len(leaves) <= 6 else rng.integers(0, 1 << len(leaves), 64)
    values = {0: np.zeros(len(rows), np.int64)}
    values |= {leaf: rows >> at & 1 for at, leaf in enumerate(leaves)}
    before, after = (worth(side, net, values, width) for side in (block.inputs, block.outputs))
    assert (before == after).all()


def worth(terms: tuple[Term, ...], net: Netlist, values: dict[int, np.ndarray], width: int) -> np.ndarray:
    total = np.zeros_like(values[0])
    for w, x, p in terms:
        assert (x == DEAD) == (w >= width)
        if x != DEAD:
            bit = literal(x, net, values)
            total += (bit + (bit ^ literal(p, net, values) if p != SINGLE else 0)) << w
    return total % (1 << width)


def literal(x: int, net: Netlist, values: dict[int, np.ndarray]) -> np.ndarray:
    return values_of(x >> 1, net, values) ^ (x & 1)


def values_of(signal: int, net: Netlist, values: dict[int, np.ndarray]) -> np.ndarray:
    if signal not in values:
        assert signal >= net.first_lut, "a block reads an input that it does not count"
        lut = signal - net.first_lut
        row = np.zeros_like(values[0])
        for pin, s in enumerate(net.fanin[lut].tolist()):
            row += values_of(s, net, values) << pin
        values[signal] = int(net.table[lut]) >> row.astype(object) & 1
        values[signal] = values[signal].astype(np.int64)
    return values[signal]


@settings(max_examples=40, deadline=None)
@given(netlists(max_k=4, outputs=0))
def test_scores_are_exact(net: Netlist) -> None:
    for k in (4, 6):
        fabric = expand(net, k=k)
        check(fabric.netlist)
        bits = patterns(net.inputs, samples=0, seed=0)
        assert np.array_equal(fabric.scores(bits), scores(net, bits))
        replay(fabric)


@settings(max_examples=15, deadline=None)
@given(netlists(max_k=6, outputs=0))
def test_wide_luts_are_taken_apart_and_estimates_count_exactly(net: Netlist) -> None:
    bits = patterns(net.inputs, samples=0, seed=0)
    for fabric in (expand(net, k=4), expand(net, k=4, quick=True), expand(net, k=6, quick=True)):
        check(fabric.netlist)
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
    replay(fabric)


@pytest.mark.parametrize("k", [4, 6])
def test_gates_in_front_of_the_popcount_encode_its_pairs(k: int) -> None:
    net = difflogic(784, [4000], classes=10, seed=0)
    fabric = expand(net, k=k)
    bits = patterns(784, samples=256, seed=1)
    assert np.array_equal(fabric.scores(bits), scores(net, bits))
    assert net.readout is not None
    assert replay(fabric) > 100
    counted = len(np.unique(net.readout.signal))
    assert (fabric.netlist.luts - counted) / counted < {4: 1.35, 6: 0.6}[k]


@pytest.mark.parametrize(("k", "strategy"), [(k, name) for k in (4, 5, 6) for name in STRATEGIES[k]])
def test_every_strategy_counts_exactly(k: int, strategy: str) -> None:
    for passing in (0.0, 0.5):
        net = difflogic(60, [400, 400], classes=5, seed=k, passing=passing)
        fabric = expand(net, k=k, strategy=strategy)
        check(fabric.netlist)
        bits = patterns(60, samples=300, seed=1)
        assert np.array_equal(fabric.scores(bits), scores(net, bits))
        replay(fabric)


def test_bits_without_gates_cost_little_more() -> None:
    rng = np.random.default_rng(0)
    fanin = rng.permutation(np.arange(4000) % 500).reshape(-1, 4).astype(np.int32) + 2
    table = rng.integers(0, 1 << 16, 1000).astype(np.uint16)
    net = Netlist(500, fanin, table, np.empty(0, np.int32), Readout.group_sum(np.arange(502, 1502), 5))
    fabric = expand(net)
    assert (fabric.netlist.luts - 1000) / 1000 < 1.56


def test_a_netlist_without_readout_is_refused() -> None:
    with pytest.raises(LgcError, match="^Only a netlist with a readout and no other outputs can be expanded"):
        expand(parse("netlist k=1 inputs=1\noutput %2"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("k=3", "k must be 4, 5 or 6, not 3."),
        (
            "strategy=mixed",
            "strategy must be auto or, with k=4, plain, pairs, chains, pairs-all, chains-all, not 'mixed'.",
        ),
    ],
)
def test_bad_options_are_refused(options: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^Pass expand-readout: {re.escape(message)}$"):
        REGISTRY.parse(f"expand-readout{{{options}}}")


def test_auto_is_the_best_strategy() -> None:
    net = difflogic(784, [1000] * 3, classes=10, seed=0, passing=0.45)
    for k in (4, 6):
        luts = {name: expand(net, k=k, strategy=name).netlist.luts for name in STRATEGIES[k]}
        assert expand(net, k=k).netlist.luts <= 1.01 * min(luts.values()), luts


def test_levels_grow_with_the_logarithm_of_the_count() -> None:
    deep = {}
    for bits in (400, 3200):
        net = Netlist(
            bits,
            np.empty((0, 4), np.int32),
            np.empty(0, np.uint16),
            np.empty(0, np.int32),
            Readout.group_sum(np.arange(2, 2 + bits), 1),
        )
        fabric = expand(net).netlist
        level = np.zeros(fabric.signals, np.int32)
        _kernels.levels(fabric.fanin, fabric.first_lut, level)
        deep[bits] = level.max()
    assert deep[3200] <= deep[400] + 16, deep


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
