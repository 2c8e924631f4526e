"""Kernels kept by the lowering: the same function as the flat netlist."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import UsageError
from lgc.frontend.checkpoint import OrPool
from lgc.frontend.fold import fold
from lgc.frontend.graph import Shape, Window
from lgc.frontend.lower import lower
from lgc.ir.equivalence import compare
from lgc.ir.kernels import Sliding, pooled
from lgc.ir.simulate import outputs
from lgc.ir.verify import check

from ...frontend.networks import random_checkpoint, random_conv_checkpoint
from .networks import network

SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=2).map(tuple)


@given(st.integers(0, 2**32), SHAPES, st.integers(1, 2), st.booleans())
def test_kernels_at_all_positions_are_the_flat_netlist(
    seed: int, image: Shape, per_place: int, tail: bool
) -> None:
    model = network(seed, image=image, per_place=per_place, tail=tail)
    folded = fold(model)
    unrolled = folded.unrolled()
    check(unrolled)
    assert compare(lower(model).netlist, unrolled).equal
    assert folded.luts <= unrolled.luts


@given(st.integers(0, 2**32))
def test_dense_networks_stand_behind_wires(seed: int) -> None:
    model = random_checkpoint(seed)
    folded = fold(model)
    assert folded.bare
    assert compare(lower(model).netlist, folded.unrolled()).equal


@given(st.integers(0, 2**32), st.integers(1, 2))
def test_padding_wider_than_the_window(seed: int, axes: int) -> None:
    model = random_conv_checkpoint(seed, axes=axes)
    assert compare(lower(model).netlist, fold(model).unrolled()).equal


def test_what_cannot_be_folded() -> None:
    with pytest.raises(UsageError, match=r"^Convolutions over three axes cannot be folded"):
        fold(random_conv_checkpoint(0, axes=3))


@given(st.integers(0, 2**32), SHAPES, st.integers(1, 3))
def test_windows_are_those_of_the_layer_graph(seed: int, image: Shape, channels: int) -> None:
    rng = np.random.default_rng(seed)
    size = tuple(int(rng.integers(1, n + 1)) for n in image)
    flat = Window((channels, *image), size, (2,) * len(image), (0,) * len(image))
    two = ((1, image[0]), (1, size[0])) if len(image) == 1 else (image, size)
    found = Sliding(channels, *two, (2, 2), (0, 0)).reads()
    members = int(np.prod(size))
    expected = OrPool(flat).reads().reshape(channels, -1, members).transpose(1, 2, 0)
    assert np.array_equal(found, expected.reshape(len(found), -1))


@given(st.integers(1, 4), st.integers(1, 20), st.integers(2, 6), st.integers(0, 2**32))
def test_a_pool_is_an_or(channels: int, members: int, k: int, seed: int) -> None:
    bits = np.random.default_rng(seed).random((50, members * channels)) < 0.1
    found = outputs(pooled(channels, members, k), bits)
    assert np.array_equal(found, bits.reshape(50, members, channels).any(axis=1))
