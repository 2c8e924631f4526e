"""What a report says of a network, against counting by hand."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from lgc.frontend.lower import lower
from lgc.ir.netlist import Netlist
from lgc.report import describe
from lgc.report.sections import FANOUT, KINDS

from .conftest import network


def needed_pins(net: Netlist, lut: int) -> list[int]:
    """Signals that the output of a LUT depends on, found by trying all values of its distinct inputs."""
    pins = net.fanin[lut].tolist()
    distinct = sorted({s for s in pins if s > 1})

    def value(bits: dict[int, int]) -> int:
        row = sum(({0: 0, 1: 1} | bits)[s] << at for at, s in enumerate(pins))
        return int(net.table[lut]) >> row & 1

    found = []
    for s in distinct:
        others = [d for d in distinct if d != s]
        for spelt in range(1 << len(others)):
            bits = {d: spelt >> at & 1 for at, d in enumerate(others)}
            if value(bits | {s: 0}) != value(bits | {s: 1}):
                found.append(s)
                break
    return found


@given(seed=st.integers(0, 2**32 - 1), first=st.integers(1, 40), last=st.integers(1, 4))
def test_layers_are_counted_as_by_hand(seed: int, first: int, last: int) -> None:
    found = network(seed=seed, widths=(first, 10 * last))
    net = lower(found).netlist
    reads = [needed_pins(net, lut) for lut in range(net.luts)]
    live, todo = set(), [s for s in net.roots().tolist() if s >= net.first_lut]
    while todo:
        s = todo.pop()
        if s not in live:
            live.add(s)
            todo += [r for r in reads[s - net.first_lut] if r >= net.first_lut]
    fanout = Counter(net.roots().tolist())
    for s in live:
        fanout.update(reads[s - net.first_lut])
    start = net.first_lut
    for layer, width in zip(describe.layers(found, net), (first, 10 * last), strict=True):
        mine = [s for s in range(start, start + width) if s in live]
        kinds = Counter(min(len(reads[s - net.first_lut]), 2) for s in mine)
        assert (layer.constants, layer.wires, layer.gates) == (kinds[0], kinds[1], kinds[2])
        assert layer.pruned == width - len(mine)
        assert layer.nodes == width == len(layer.kinds) == len(layer.reads)
        letters = "".join(
            KINDS[1 + min(len(reads[s - net.first_lut]), 2)] if s in live else "p"
            for s in range(start, start + width)
        )
        assert layer.kinds == letters
        assert layer.fanout == tuple(_binned([fanout[s] for s in mine]))
        start += width


def _binned(counts: list[int]) -> list[int]:
    lows = [0, 1, 2, 3, 4, 5, 9, 17, 1 << 60]
    assert len(lows) == len(FANOUT) + 1
    return [sum(low <= n < high for n in counts) for low, high in pairwise(lows)]


def test_large_layers_are_drawn_in_fewer_squares() -> None:
    found = network(widths=(describe.SQUARES * 2 + 1, 10))
    layer = describe.layers(found, lower(found).netlist)[0]
    assert layer.per_square == 3
    assert len(layer.kinds) == math.ceil(layer.nodes / 3) <= describe.SQUARES
    assert sum(layer.fanout) == layer.nodes - layer.pruned


@given(seed=st.integers(0, 2**32 - 1))
def test_inputs_are_counted_as_by_hand(seed: int) -> None:
    net = lower(network(seed=seed)).netlist
    used = describe.inputs(net, features=64, shape=(8, 8))
    pins = [s - 2 for s in [*net.fanin.ravel().tolist(), *net.roots().tolist()] if 2 <= s < net.first_lut]
    assert used.shape == (8, 8)
    assert Counter({f: n for f, n in enumerate(used.reads) if n}) == Counter(pin // 2 for pin in pins)
    assert used.bits == tuple(len({pin for pin in pins if pin // 2 == f}) for f in range(64))


@pytest.mark.parametrize(
    ("shape", "shown"), [(None, (64,)), ((8, 8), (8, 8)), ((4, 4, 4), (4, 4, 4)), ((3, 3), (64,))]
)
def test_only_images_have_a_shape(shape: tuple[int, ...] | None, shown: tuple[int, ...]) -> None:
    assert describe.inputs(lower(network()).netlist, features=64, shape=shape).shape == shown


@pytest.mark.parametrize("shape", [[8, 8], (8, 8), [64], None, "8x8", [0, 8], ["8", "8"]])
def test_image_shapes_of_checkpoints(shape: object) -> None:
    found = replace(network(), metadata={"image_shape": shape})
    expected = (8, 8) if shape in ([8, 8], (8, 8)) else None
    assert describe.image_shape(found) == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_confusions_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, classes = (np.array(side) for side in zip(*pairs, strict=True))
    found = describe.confusion("abcd", labels, classes, "test")
    assert np.array_equal(found.counts, confusion_matrix(labels, classes, labels=range(4)))
