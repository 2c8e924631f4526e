"""The rung of the trained model: torch in evaluation mode gives what the lowered network gives."""

import dataclasses

import numpy as np
import pytest

from lgc.frontend import detectors
from lgc.frontend.checkpoint import Checkpoint, Detectors, Layer, OrPool, Window
from lgc.frontend.lower import lower
from lgc.frontend.relaxations import relaxation
from lgc.ir.encoder import FixedPoint, Thermometer
from lgc.ir.simulate import scores
from lgc.verification.software import model_scores
from tests.frontend.networks import random_conv, random_conv_checkpoint

pytest.importorskip("torch")


def random_bits(model: Checkpoint, count: int = 70) -> np.ndarray:
    encoder = model.encoder
    codes = np.random.default_rng(1).integers(0, 16, (count, encoder.features))
    return encoder.compare(codes.astype(np.int32))


def wide(model: Checkpoint) -> Checkpoint:
    """The same convolutions in front of more nodes, since a few of random ones are constant."""
    rng = np.random.default_rng(2)
    *front, _ = model.layers
    fanin = rng.integers(0, front[-1].nodes, (90, 2)).astype(np.int32)
    last = Layer(fanin, rng.normal(size=(90, 16)).astype(np.float32), "dlgn")
    return dataclasses.replace(model, layers=(*front, last))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("name", "k", "depth"), [("dlgn", 2, 2), ("light", 4, 1), ("light", 1, 2)])
def test_convolutions(axes: int, name: str, k: int, depth: int) -> None:
    """Windows of unequal sides, strides and borders, pools behind convolutions."""
    varied, seed = 0, 0
    while varied < 3:  # many a random network is constant
        seed += 1
        model = wide(random_conv_checkpoint(seed, axes=axes, name=name, k=k, depth=depth))
        bits = random_bits(model)
        expected = scores(lower(model).netlist, bits)
        assert np.array_equal(model_scores(model, bits), expected)
        varied += len(np.unique(expected, axis=0)) > 1


def test_a_wrong_parameter_is_seen() -> None:
    """The scores are those of the model's own parameters: other functions give others."""
    model = wide(random_conv_checkpoint(1, axes=1))
    bits = random_bits(model)
    *front, dense = model.layers
    assert isinstance(dense, Layer)
    other = dataclasses.replace(dense, parameters=-dense.parameters)
    wrong = dataclasses.replace(model, layers=(*front, other))
    assert not np.array_equal(model_scores(wrong, bits), scores(lower(model).netlist, bits))


def test_detectors_and_pools_alone() -> None:
    rng = np.random.default_rng(3)
    shape, levels = (4, 5, 1), 3
    kernel = detectors.KERNELS["edges"]
    found = Detectors(shape, levels, kernel, np.array([1, 2], np.int32))
    row = np.array([3, 7, 12], np.int32)
    pool = OrPool(Window((1, 1, found.nodes), (1, 3), (1, 2), (0, 1)))
    conv = random_conv(rng, pool.output_shape)
    fanin = rng.integers(0, conv.nodes, (4, 2)).astype(np.int32)
    dense = Layer(fanin, relaxation("dlgn").initial(4, 2, 0.0, rng), "dlgn")
    encoder = Thermometer(np.tile(row, (20, 1)), FixedPoint(4))
    weights = np.array([1, 3, 2, 1], np.int32)
    model = Checkpoint(encoder, (found, pool, conv, dense), ("a", "b"), 1.0, weights=weights)
    bits = random_bits(model)
    assert np.array_equal(model_scores(model, bits), scores(lower(model).netlist, bits))
