"""A small build to a bitstream, and one that stops early, for all tests of reports."""

from pathlib import Path

import numpy as np
import pytest

import lgc
from lgc.frontend import checkpoint
from lgc.frontend.checkpoint import Checkpoint, Layer
from lgc.ir.encoder import FixedPoint, Thermometer

PIXELS = 64


def network(*, seed: int = 0, widths: tuple[int, ...] = (60, 40), source: str = "digits") -> Checkpoint:
    """Layers of random gates over the digits' pixels, two thresholds each."""
    rng = np.random.default_rng(seed)
    before, layers = 2 * PIXELS, []
    for width in widths:
        fanin = rng.integers(0, before, (width, 2)).astype(np.int32)
        layers.append(Layer(fanin, rng.normal(size=(width, 16)).astype(np.float32), "dlgn"))
        before = width
    threshold = np.tile(np.array([4, 10], np.int32), (PIXELS, 1))
    facts = {"source": source, "image_shape": [8, 8], "seed": seed}
    facts |= {"validation_accuracy": 0.125, "test_accuracy": 0.1}
    return Checkpoint(Thermometer(threshold, FixedPoint(5)), tuple(layers), tuple("0123456789"), 1.0, facts)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> lgc.Build:
    """A build to the bitstream: 20 digits simulated, the faster of two placements."""
    folder = tmp_path_factory.mktemp("built")
    checkpoint.save(folder / "small.safetensors", network())
    return lgc.compile(folder / "small.safetensors", images=20, seeds=2)


@pytest.fixture(scope="session")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> lgc.Build:
    """A build of another network, on data that is not there, up to the Verilog."""
    folder = tmp_path_factory.mktemp("drafted")
    checkpoint.save(folder / "draft.safetensors", network(seed=1, source="gone <&> away"))
    return lgc.compile(folder / "draft.safetensors", until="verilog")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    checkpoint.save(path, network())
    return path
