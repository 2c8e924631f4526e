"""Classes that are grouped and counted in different ways, and heads that try some."""

from random import Random

import numpy as np
import pytest

from lgc.ir.builder import Builder
from lgc.ir.netlist import Netlist
from lgc.ir.passes._classwise import Classwise, climb
from lgc.ir.passes._front import Way
from lgc.ir.passes._squeeze import size
from lgc.ir.passes.expand_readout import expand
from lgc.ir.passes.heads import best_head
from lgc.ir.proof import prove
from lgc.ir.simulate import outputs, scores
from lgc.ir.verify import check

from .netlists import difflogic
from .test_expand_readout import replay

ROWS = np.random.default_rng(0)


@pytest.mark.parametrize("k", [4, 5, 6])
def test_each_class_in_a_way_of_its_own_counts_exactly(k: int) -> None:
    net = difflogic(60, [120, 120], classes=5, seed=7, passing=0.45)
    classwise, draw = Classwise(net, k=k), Random(k)
    ways = next(iter(classwise.alike()))
    bits = ROWS.integers(0, 2, (200, 60)).astype(np.bool_)
    for _ in range(12):
        ways = classwise.changed(ways, draw)
    assert len(set(ways)) > 2
    fabric = classwise.fabric(ways)
    check(fabric.netlist)
    assert replay(fabric) > 0
    assert prove(net, fabric).proved
    assert np.array_equal(fabric.scores(bits), scores(net, bits))


def test_ways_alike_are_the_strategies() -> None:
    net = difflogic(60, [120, 120], classes=5, seed=7, passing=0.45)
    classwise = Classwise(net, k=4)
    assert {way for ways in classwise.alike() for way in ways} >= {Way("plain"), Way("chains-all", 0, 3, 1)}
    fabrics = [classwise.fabric([Way(name)] * 5).netlist for name in classwise.strategies]
    assert min(map(size, fabrics)) == size(expand(net, k=4).netlist)


def test_climbing_keeps_the_better_and_does_the_same_every_time() -> None:
    net = difflogic(60, [120, 120], classes=5, seed=7, passing=0.45)
    seen: list[int] = []

    def luts(fabric: object) -> tuple[float, ...]:
        seen.append(fabric.netlist.luts)  # type: ignore[attr-defined]
        return (seen[-1],)

    best = [climb(Classwise(net, k=4), [Way("plain")] * 5, luts, 20) for _ in range(2)]
    assert seen[:21] == seen[21:]
    assert best[0].netlist.luts == best[1].netlist.luts == min(seen) < seen[0]


@pytest.mark.parametrize("cells", [False, True])
def test_heads_of_four_pins_are_proved_and_can_be_built(cells: bool) -> None:
    net = difflogic(60, [120, 120], classes=6, seed=5, passing=0.3)
    bits = ROWS.integers(0, 2, (300, 60)).astype(np.bool_)
    deep = best_head(net, k=4, cells=cells, tries=0)
    few = best_head(net, k=4, cells=cells, levels=deep.cost()[0] - 2, tries=0)
    drawn = best_head(net, k=4, cells=cells, levels=deep.cost()[0] - 2, tries=10)
    assert few.cost()[0] <= deep.cost()[0] - 2
    assert drawn.cost()[1] <= few.cost()[1]
    for head in (deep, few, drawn):
        assert head.prove(net)
        head.argmax.carries.check(head.argmax.netlist)
        index = outputs(head.netlist, bits) @ (1 << np.arange(len(head.netlist.outputs)))
        assert np.array_equal(index, scores(net, bits).argmax(axis=1))


def test_a_lut_of_its_own_is_shared_with_none() -> None:
    builder = Builder(
        Netlist(2, np.zeros((0, 4), np.int32), np.zeros(0, np.uint16), np.empty(0, np.int32)), k=4
    )

    def both(a: int, b: int) -> int:
        return a & b

    own = [builder.lut(both, 4, 6, own=True) for _ in range(2)]
    assert len({*own, builder.lut(both, 4, 6), builder.lut(both, 4, 6)}) == 3
