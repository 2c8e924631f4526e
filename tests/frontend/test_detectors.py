"""Edge and curvature detectors: one meaning in numpy, in the training's kernel and in the netlist."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lgc.errors import LgcError, UsageError
from lgc.frontend import checkpoint, config, data, detectors, encoder
from lgc.frontend.checkpoint import Checkpoint, read_tensors, write_tensors
from lgc.frontend.config import EncoderConfig, LayerConfig, ModelConfig
from lgc.frontend.connections import Sources
from lgc.frontend.graph import Detectors, Layer
from lgc.frontend.lower import lower, place
from lgc.frontend.network import Network, blocks
from lgc.frontend.train import Progress, train
from lgc.ir.encoder import FixedPoint, Thermometer
from lgc.ir.netlist import FIRST_INPUT
from lgc.ir.simulate import outputs


def responses(kernel: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Plain correlation of `[samples, H, W, C]` levels with `[detectors, 3, 3]` kernels, edges repeated."""
    around = np.pad(level.astype(np.int64), [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
    height, width = level.shape[1:3]
    shifted = [
        kernel[:, i, j, None, None, None] * around[:, None, i : i + height, j : j + width]
        for i in range(3)
        for j in range(3)
    ]
    total: np.ndarray = np.sum(shifted, axis=0)
    return total


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 2)),
    levels=st.integers(1, 4),
    name=st.sampled_from([*detectors.KERNELS, "any"]),
    wide=st.integers(2, 4),
)
def test_netlist_and_kernel_are_the_formula(
    seed: int, shape: tuple[int, int, int], levels: int, name: str, wide: int
) -> None:
    rng = np.random.default_rng(seed)
    kernel = detectors.KERNELS.get(name)
    if kernel is None:
        kernel = rng.integers(-2, 3, (2, 3, 3)).astype(np.int32)
        kernel[:, 1, 1] = rng.integers(1, 4, 2)
    reach = int(np.maximum(kernel, 0).sum(axis=(1, 2)).min()) * levels
    threshold = rng.integers(1, reach + 1, 2).astype(np.int32)
    layer = Detectors(shape, levels, kernel, threshold)
    layer.check()
    row = np.sort(rng.choice(np.arange(1, 16), levels, replace=False)).astype(np.int32)
    thermometer = Thermometer(np.tile(row, (int(np.prod(shape)), 1)), FixedPoint(4))
    codes = rng.integers(0, 16, (50, *shape))
    level = (codes[..., None] >= row).sum(axis=-1)
    found = responses(kernel, level)[:, :, None] >= threshold[:, None, None, None]
    bits = thermometer.encode(codes)
    expected = np.concatenate([bits, found.reshape(50, -1)], axis=1)
    assert np.array_equal(detectors.detect(layer, bits), expected)
    last = Layer(np.zeros((2, wide), np.int32), np.zeros((2, 1 << wide), np.float32), "light")
    model = Checkpoint(thermometer, (layer, last), ("a", "b"), 1.0)
    net = lower(model).netlist
    luts = place(model)[0].luts
    own = np.arange(luts.stop - layer.nodes, luts.stop, dtype=np.int32) + FIRST_INPUT + thermometer.bits
    read = dataclasses.replace(net, outputs=own.astype(np.int32), readout=None)
    assert np.array_equal(outputs(read, bits), expected)


def image_model(seed: int, *, conv: bool) -> tuple[Network, Checkpoint, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (5, 4, 2)
    thermometer = Thermometer(np.tile(np.array([4, 9], np.int32), (40, 1)), FixedPoint(4))
    x = rng.integers(0, 16, (70, *shape))
    layer = detectors.build(
        EncoderConfig(kind="thresholds", detectors=("edges", "curvature"), responses=(1, 2)),
        thermometer,
        shape,
    )
    assert layer is not None
    base = encoder.sources(thermometer, x, shape)
    known = detectors.sources(layer, base, detectors.pieces(thermometer, x))
    first = {"kind": "conv", "width": 6, "depth": 2} if conv else {"connections": "local", "window": 3}
    layers = (LayerConfig(init="gaussian", **first), LayerConfig(width=30, init="gaussian"))  # type: ignore[arg-type]
    if not conv:
        layers = (dataclasses.replace(layers[0], width=40), layers[1])
    net = Network(ModelConfig(layers, tau=1.0, estimator="hard"), known, 3, rng)
    return net, Checkpoint(thermometer, (layer, *net.hardened()), ("a", "b", "c"), 1.0), x


@pytest.mark.parametrize("conv", [False, True])
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_a_hard_forward_is_the_lowered_netlist(
    tmp_path_factory: pytest.TempPathFactory, conv: bool, seed: int
) -> None:
    net, model, x = image_model(seed, conv=conv)
    first = model.layers[0]
    assert isinstance(first, Detectors)
    bits = detectors.detect(first, model.encoder.encode(x))
    with torch.no_grad():
        logits = net(blocks(bits, np.arange(70)), hard=True)[:70]
    assert np.array_equal(logits.numpy(), lower(model).scores(x))
    path = tmp_path_factory.mktemp("detectors") / "m.safetensors"
    checkpoint.save(path, model)
    assert read_tensors(path)[1]["format"] == 3
    assert np.array_equal(lower(checkpoint.load(path)).scores(x), logits.numpy())


def test_sources_know_what_changes_and_where() -> None:
    """One vertical edge: detectors fire at its sides alone, and their channel is a place of the image."""
    thermometer = Thermometer(np.full((12, 1), 8, np.int32), FixedPoint(4))
    x = np.zeros((4, 3, 4), np.int64)
    x[1::2, :, 2:] = 15
    layer = detectors.build(EncoderConfig(kind="thresholds", detectors=("edges",)), thermometer, (3, 4))
    assert layer is not None
    base = encoder.sources(thermometer, x, (3, 4))
    found = detectors.sources(layer, base, detectors.pieces(thermometer, x))
    assert isinstance(found, Sources)
    assert found.shape == (5, 3, 4)
    assert found.outputs == layer.nodes == 60
    assert found.order is not None
    assert found.position is not None
    bits = detectors.detect(layer, thermometer.encode(x))
    assert np.array_equal(found.index, np.flatnonzero(bits[0] != bits[1]))
    rising = bits[1, found.order].reshape(5, 3, 4)[1]
    assert np.array_equal(rising, np.tile([False, True, True, False], (3, 1)))
    assert np.array_equal(found.position[-6:], [[y, x] for y in range(3) for x in (1, 2)])


@pytest.mark.parametrize(
    ("values", "shape", "message"),
    [
        ({"detectors": ["edge"]}, (4, 4), r"^encoder\.detectors cannot be 'edge'\. Did you mean edges"),
        ({"detectors": ["edges"]}, None, r"^Detectors need images"),
        (
            {"detectors": ["edges"], "kind": "quantile"},
            (4, 4),
            r"^Detectors compare pixels, whose thresholds",
        ),
        (
            {"detectors": ["edges"], "kind": "learned", "scope": "global"},
            (4, 4),
            r"must be the same and stay",
        ),
        (
            {"detectors": ["edges"], "responses": [2]},
            (4, 4),
            r"^A detector's response of 2 levels .* 1 to 1\.",
        ),
        ({"detectors": ["edges"], "responses": []}, (4, 4), r"^Detectors have no response to look for"),
    ],
)
def test_settings_that_do_not_fit(
    values: dict[str, Any], shape: tuple[int, ...] | None, message: str
) -> None:
    found = config.TrainConfig.from_dict({"encoder": {"kind": "thresholds"} | values})
    thermometer = Thermometer(np.full((16, 1), 8, np.int32), FixedPoint(4))
    with pytest.raises(UsageError, match=message):
        detectors.build(found.encoder, thermometer, shape)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers.0.kernel": np.ones((1, 2, 3), np.int32)}, "no 3 x 3 kernels"),
        ({"layers.0.kernel": np.full((1, 3, 3), 99, np.int32)}, "coefficients up to 8"),
        ({"layers.0.threshold": np.zeros(1, np.int32)}, "response of 0 levels"),
        ({"layers.0.threshold": np.ones(1, np.int64)}, r"threshold is int64 \[1\]; expected int32"),
        ({"shape": [5, 4, 1]}, r"detects in \[5, 4, 1\] of 2 levels; there are 80 bits"),
    ],
)
def test_bad_files(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, image_model(0, conv=False)[1])
    tensors, header = read_tensors(path)
    if "shape" in change:
        header["layers"][0]["shape"] = change.pop("shape")
    write_tensors(path, tensors | change, header)
    with pytest.raises(LgcError, match=message):
        checkpoint.load(path)


def test_a_run_learns_digits_and_resumes_exactly(tmp_path: Path) -> None:
    digits = data.load("digits")
    found = config.load(
        "digits",
        ["encoder.kind=thresholds", "encoder.thresholds=[4, 8, 12]", 'encoder.detectors=["edges", "curvature"]',
         "encoder.responses=[1, 2]", "train.epochs=5", "model.layers.0.width=300", "model.layers.1.width=200"],
    )  # fmt: skip

    def stop(now: Progress) -> None:
        if (now.epoch, now.step) == (3, 5):
            raise KeyboardInterrupt

    straight = train(found, digits, out=tmp_path / "straight.safetensors")
    out = tmp_path / "m.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(found, digits, out=out, progress=stop)
    resumed = train(found, digits, out=out, resume=True)
    assert straight.metadata["validation_accuracy"] > 0.7  # five epochs; chance is 0.1
    for ours, theirs in zip(straight.layers[1:], resumed.layers[1:], strict=True):
        assert isinstance(ours, Layer)
        assert isinstance(theirs, Layer)
        assert np.array_equal(ours.parameters, theirs.parameters)
        assert np.array_equal(ours.fanin, theirs.fanin)
    first = straight.layers[1]
    assert isinstance(first, Layer)
    assert (first.fanin >= 192).any()  # some read detectors
    loaded = checkpoint.load(out)
    accuracy = (lower(loaded).predict(digits.test_x) == digits.test_y).mean()
    assert accuracy == resumed.metadata["test_accuracy"]
