import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import UsageError
from lgc.frontend.config import LayerConfig
from lgc.frontend.connections import Sources, wire


def rings(width: int, k: int, sources: int, groups: int) -> np.ndarray:
    layer = LayerConfig(width=width, k=k, connections="ring")
    known = Sources(np.arange(sources, dtype=np.int32))
    return wire(layer, known, groups, np.random.default_rng(0)).candidates[:, :, 0]


def test_neighbours_share_a_source() -> None:
    assert rings(8, 2, 8, 2).tolist() == [
        [0, 1], [1, 2], [2, 3], [3, 0],
        [4, 5], [5, 6], [6, 7], [7, 4],
    ]  # fmt: skip


@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 40), st.integers(0, 60))
def test_groups_read_their_own_sources_evenly(k: int, groups: int, nodes: int, spare: int) -> None:
    sources = groups * k + spare
    fanin = rings(nodes * groups, k, sources, groups)
    assert fanin.shape == (nodes * groups, k)
    for group in range(groups):
        own = fanin[group * nodes : (group + 1) * nodes]
        first, last = group * sources // groups, (group + 1) * sources // groups
        assert own.min() >= first
        assert own.max() < last
        assert all(len(set(row)) == k for row in own.tolist())
        uses = np.bincount(own.ravel() - first, minlength=last - first)
        assert uses.sum() == nodes * k
        if nodes >= last - first:  # every source is read, about as often as any other
            assert uses.min() >= 1
            assert uses.max() - uses.min() <= k


def test_a_ring_needs_sources() -> None:
    with pytest.raises(UsageError, match="^A ring of 3 sources cannot feed nodes of 4 inputs"):
        rings(20, 4, 6, 2)
