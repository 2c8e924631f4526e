import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lgc.frontend import config, data, detectors, encoder
from lgc.frontend.graph import Layer
from lgc.frontend.network import Network, blocks
from lgc.frontend.train import train
from lgc.ir.encoder import FixedPoint

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("LGC_DATA", ROOT.parent / "shared" / "data"))
needs_uci = pytest.mark.skipif(not (DATA / "uci").is_dir(), reason=f"no UCI sets at {DATA}; set LGC_DATA")

SHAPES = {
    "digits": ((8, 8), 10, FixedPoint(5)),
    "mnist": ((28, 28), 10, FixedPoint(8)),
    "cifar10": ((32, 32, 3), 10, FixedPoint(8)),
    "uci/adult": ((116,), 2, FixedPoint(1)),
    "openml:42468": ((16,), 5, FixedPoint(16)),
    "uci/monks-1": ((17,), 2, FixedPoint(1)),
    "uci/monks-2": ((17,), 2, FixedPoint(1)),
    "uci/monks-3": ((17,), 2, FixedPoint(1)),
}
"""Shape, classes and format of the presets' data sets."""

GATES = {
    "difflogic-adult": 1280,
    "difflogic-cifar10-medium": 512_000,
    "difflogic-cifar10-small": 48_000,
    "difflogic-mnist-large": 384_000,
    "difflogic-mnist-small": 48_000,
    "difflogic-monk1": 144,
    "difflogic-monk2": 72,
    "difflogic-monk3": 72,
    "dwn-jsc-lg": 2400,
    "dwn-jsc-md": 360,
    "dwn-jsc-sm10": 10,
    "dwn-jsc-sm50": 50,
    "dwn-mnist": 3000,
    "lilogic-cifar10-large": 256_000,
    "lilogic-cifar10-medium": 64_000,
    "lilogic-cifar10-small": 8_000,
    "lilogic-mnist-large": 32_000,
    "lilogic-mnist-medium": 8_000,
    "lilogic-mnist-small": 4_000,
    "warp-cifar10-2": 48_000,
    "warp-cifar10-4": 24_000,
    "warp-cifar10-6": 12_000,
    "warp-mnist-2": 40_000,
    "warp-mnist-4": 20_000,
    "warp-mnist-6": 11_650,
}
"""The sizes that the papers print."""


@pytest.mark.parametrize("name", config.presets())
def test_presets_build_their_network(name: str) -> None:
    settings = config.load(name)
    shape, classes, form = SHAPES[settings.data.source]
    x = np.random.default_rng(0).integers(0, form.high + 1, (256, *shape))
    fitted = encoder.fit(settings.encoder, x, form)
    sources = encoder.sources(fitted, x, shape if len(shape) > 1 else None)
    front = detectors.build(settings.encoder, fitted, shape if len(shape) > 1 else None)
    if front is not None:
        sources = detectors.sources(front, sources, detectors.pieces(fitted, x))
    network = Network(settings.model, sources, classes, np.random.default_rng(0))
    layers = network.hardened()
    gates = sum(layer.nodes for layer in layers)
    if name in GATES:
        assert gates == GATES[name]
    bits = fitted.bits if front is None else front.nodes
    assert not isinstance(layers[0], Layer) or layers[0].fanin.max() < bits
    assert layers[-1].nodes % classes == 0
    if gates < 100_000:
        with torch.no_grad():
            read = fitted.encode(x) if front is None else detectors.detect(front, fitted.encode(x))
            logits = network(blocks(read, np.arange(256)), hard=True)
        assert logits.shape == (256, classes)
        assert math.isfinite(float(logits.abs().sum()))


@pytest.mark.parametrize("name", config.presets())
def test_presets_say_where_they_come_from(name: str) -> None:
    text = (ROOT / "frontend" / "presets" / f"{name}.toml").read_text()
    assert text.startswith("# ")
    assert name not in GATES or "arXiv" in text


@needs_uci
def test_difflogic_solves_monk_1(tmp_path: Path) -> None:
    """The paper reports 100 % on MONK 1; a network that memorised the 124 samples would not."""
    settings = config.load("difflogic-monk1", ["train.epochs=600"])
    result = train(settings, data.load(DATA / "uci" / "monks-1"), out=tmp_path / "m.safetensors")
    assert result.metadata["test_samples"] == 432
    assert result.metadata["test_accuracy"] >= 0.9
