import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import UsageError
from lgc.frontend.config import LayerConfig
from lgc.frontend.connections import CONNECTIONS, Sources, wire


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
    assert first.shape == (width, k, candidates if name in {"learned", "local"} else 1)
    assert first.dtype == np.int32
    assert set(first.ravel()) <= set(range(7, 43))
    assert np.array_equal(first, wire(layer, image(6), 1, np.random.default_rng(seed)).candidates)
    if name != "random":  # what a pin chooses from, and what a node with fixed pins reads, differs
        axis = 1 if name == "random-unique" else 2
        ordered = np.sort(first, axis=axis)
        assert (np.diff(ordered, axis=axis) > 0).all()


@pytest.mark.parametrize("name", ["random", "random-unique", "learned"])
def test_sources_are_used_evenly(name: str) -> None:
    layer = LayerConfig(width=300, k=2, connections=name, candidates=4)
    drawn = wire(layer, image(10), 1, np.random.default_rng(0)).candidates
    uses = np.bincount(drawn.ravel() - 7, minlength=100)
    assert uses.max() - uses.min() <= 1


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
