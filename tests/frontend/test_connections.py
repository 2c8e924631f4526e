import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import UsageError
from lgc.frontend._typing import I32x2
from lgc.frontend.butterfly import ancestors
from lgc.frontend.config import LayerConfig
from lgc.frontend.connections import CONNECTIONS, SLOTS, Sources, wire


def image(side: int) -> Sources:
    rows, columns = np.divmod(np.arange(side * side), side)
    return Sources(
        np.arange(side * side, dtype=np.int32) + 7, np.stack([rows, columns], 1).astype(np.float32)
    )


@given(
    st.sampled_from(sorted(CONNECTIONS)),
    st.integers(1, 80),
    st.integers(1, 6),
    st.integers(2, 6),
    st.integers(0, 99),
)
def test_wiring_is_well_formed_and_repeatable(
    name: str, width: int, k: int, candidates: int, seed: int
) -> None:
    layer = LayerConfig(width=width, k=k, connections=name, candidates=candidates)
    first = wire(layer, image(6), 1, np.random.default_rng(seed)).candidates
    counts = {"learned": candidates, "local": candidates, "full": 36, "slots": SLOTS}
    assert first.shape == (width, k, counts.get(name, 1))
    assert first.dtype == np.int32
    assert set(first.ravel()) <= set(range(7, 43))
    assert np.array_equal(first, wire(layer, image(6), 1, np.random.default_rng(seed)).candidates)
    if name != "random":  # what a pin chooses from, and what a node with fixed pins reads, differs
        axis = 2 if name in {"learned", "local", "full"} else 1
        ordered = np.sort(first, axis=axis)
        assert (np.diff(ordered, axis=axis) > 0).all()


@pytest.mark.parametrize("name", ["random", "random-unique", "learned", "slots", "butterfly"])
@given(width=st.integers(1, 40).map(lambda n: 10 * n), k=st.integers(2, 6), seed=st.integers(0, 99))
def test_sources_are_used_evenly(name: str, width: int, k: int, seed: int) -> None:
    layer = LayerConfig(width=width, k=k, connections=name, candidates=4)
    for groups in (1, 10):
        drawn = wire(layer, image(10), groups, np.random.default_rng(seed)).candidates
        uses = np.bincount(drawn.ravel() - 7, minlength=100)
        assert uses.max() - uses.min() <= 1


def butterflies(k: int, width: int, depth: int) -> list[I32x2]:
    """Fan-ins of layers of equal width on an image of 28 x 28 bits, the last one in ten groups."""
    rows, columns = np.divmod(np.arange(784), 28)
    sources = Sources(np.arange(784, dtype=np.int32), np.stack([rows, columns], 1).astype(np.float32))
    found = []
    for level in range(depth):
        layer = LayerConfig(width=width, k=k, connections="butterfly")
        groups = 10 if level == depth - 1 and not width % 10 else 1
        wiring = wire(layer, sources, groups, np.random.default_rng(level))
        found.append(wiring.candidates[:, :, 0])
        sources = Sources(np.arange(width, dtype=np.int32), wiring.position, stage=wiring.stage)
    return found


@pytest.mark.parametrize(("k", "depth"), [(2, 6), (4, 3)])
def test_a_butterfly_of_a_ring_wastes_no_ancestors(k: int, depth: int) -> None:
    sources = Sources(np.arange(256, dtype=np.int32))
    fanins = []
    for _ in range(depth):
        layer = LayerConfig(width=256, k=k, connections="butterfly")
        wiring = wire(layer, sources, 1, np.random.default_rng(0))
        fanins.append(wiring.candidates[:, :, 0])
        sources = Sources(np.arange(256, dtype=np.int32), stage=wiring.stage)
    for level, counts in enumerate(ancestors(fanins, 256), 1):
        assert (counts == k**level).all()


@pytest.mark.parametrize(("k", "width", "depth"), [(2, 784, 6), (2, 500, 4), (4, 784, 4), (4, 2000, 3)])
def test_a_butterfly_of_an_image_wastes_few_ancestors(k: int, width: int, depth: int) -> None:
    for level, counts in enumerate(ancestors(butterflies(k, width, depth), 784), 1):
        assert counts.mean() > 0.95 * k**level


def test_a_butterfly_meets_neighbours_first() -> None:
    fanin = butterflies(2, 784, 1)[0]
    rows, columns = np.divmod(fanin, 28)
    assert (rows[:, 1] - rows[:, 0] == 0).mean() > 0.9
    assert (columns[:, 1] - columns[:, 0] == 1).mean() > 0.9
    wide = butterflies(2, 784 * 4, 1)[0]
    rows, columns = np.divmod(wide, 28)
    steps = np.stack([(rows[:, 1] - rows[:, 0]) % 28, (columns[:, 1] - columns[:, 0]) % 28], 1)
    for step in ((0, 1), (1, 0), (0, 2), (2, 0)):
        assert (steps == step).all(axis=1).mean() > 0.2


def test_a_butterfly_keeps_bits_of_one_pixel_apart() -> None:
    rows, columns = np.divmod(np.repeat(np.arange(64), 3), 8)
    position = np.stack([rows, columns], 1).astype(np.float32)
    layer = LayerConfig(width=640, k=2, connections="butterfly")
    wiring = wire(layer, Sources(np.arange(192, dtype=np.int32), position), 1, np.random.default_rng(0))
    pixels = wiring.candidates[:, :, 0] // 3
    assert (pixels[:, 0] != pixels[:, 1]).mean() > 0.98
    assert (wiring.candidates[:, 0] % 3 == wiring.candidates[:, 1] % 3).mean() > 0.85  # the rest wraps


def test_groups_of_a_butterfly_cover_the_ring() -> None:
    layer = LayerConfig(width=1000, k=2, connections="butterfly")
    wiring = wire(layer, Sources(np.arange(500, dtype=np.int32)), 10, np.random.default_rng(0))
    for nodes in wiring.candidates[:, 0, 0].reshape(10, 100):
        assert np.bincount(nodes // 50, minlength=10).min() >= 8


def test_ancestors_are_counted() -> None:
    layers = [np.array([[0, 1], [1, 2], [2, 2]], np.int32), np.array([[0, 1], [1, 2], [0, 2]], np.int32)]
    assert [counts.tolist() for counts in ancestors(layers, 3)] == [[2, 2, 1], [3, 2, 3]]


def test_local_wiring_stays_in_its_window() -> None:
    layer = LayerConfig(width=500, k=3, connections="local", candidates=4, window=6)
    sources = image(28)
    wiring = wire(layer, sources, 10, np.random.default_rng(0))
    assert sources.position is not None
    assert wiring.position is not None
    read = sources.position[wiring.candidates - 7]
    distance = np.abs(read - wiring.position[:, None, None]).max(axis=3)
    middle = ((wiring.position > 3) & (wiring.position < 24)).all(axis=1)
    assert distance[middle].max() <= 3
    assert middle.sum() > 200
    # each class covers the image: no quadrant holds more than 40 % of a class's nodes
    quadrant = (wiring.position > 13.5) @ [1, 2]
    for nodes in quadrant.reshape(10, 50):
        assert np.bincount(nodes, minlength=4).max() <= 20
        assert np.bincount(nodes, minlength=4).min() >= 5
    assert (np.diff(np.sort(wiring.candidates.reshape(500, -1)), axis=1) > 0).all()


def test_few_sources() -> None:
    few = Sources(np.arange(3, dtype=np.int32), np.zeros((3, 2), np.float32))
    unique = wire(LayerConfig(width=9, k=3, connections="random-unique"), few, 1, np.random.default_rng(0))
    assert (np.sort(unique.candidates[:, :, 0]) == [0, 1, 2]).all()
    fewer = wire(LayerConfig(width=9, connections="learned", candidates=8), few, 1, np.random.default_rng(0))
    assert fewer.candidates.shape == (9, 2, 3)
    with pytest.raises(UsageError, match="^A node with 4 inputs cannot read 3 different sources"):
        wire(LayerConfig(width=9, k=4, connections="random-unique"), few, 1, np.random.default_rng(0))
    with pytest.raises(UsageError, match="^2 inputs with 8 candidates each exceed 3 sources"):
        wire(LayerConfig(width=9, connections="local"), few, 1, np.random.default_rng(0))


def test_local_needs_positions() -> None:
    with pytest.raises(UsageError, match="^Local connections need to know where"):
        wire(LayerConfig(connections="local"), Sources(image(6).index), 1, np.random.default_rng(0))


def test_unknown_name() -> None:
    with pytest.raises(UsageError, match=r"^There are no connections 'learnt'\. Did you mean learned"):
        wire(LayerConfig(connections="learnt"), image(6), 1, np.random.default_rng(0))
