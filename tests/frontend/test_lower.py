import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.frontend import checkpoint
from lgc.frontend.checkpoint import Checkpoint, ConvLayer, Layer, OrPool, Window
from lgc.frontend.lower import lower, place
from lgc.frontend.relaxations import relaxation
from lgc.ir.encoder import FixedPoint, Thermometer

from .networks import random_checkpoint, random_conv_checkpoint
from .test_relaxations import DIFFLOGIC


def by_hand(model: Checkpoint, x: np.ndarray) -> np.ndarray:
    """Scores of one sample at a time, straight from the definitions."""
    scores = np.zeros((len(x), len(model.class_names)), np.int64)
    for n, bits in enumerate(model.encoder.encode(x)):
        values = [int(bit) for bit in bits]
        for layer in model.layers:
            tables = relaxation(layer.relaxation).hard(layer.parameters)
            values = [
                int(table[sum(values[s] << p for p, s in enumerate(pins))])
                for table, pins in zip(tables, layer.fanin, strict=True)
            ]
        scores[n] = np.reshape(values, (len(model.class_names), -1)).sum(axis=1)
    return scores


@given(
    st.integers(0, 2**32),
    st.sampled_from(["dlgn2", "light4", "dlgn2 light4", "light6 dlgn2 light3", "light1 light2 dlgn2"]),
)
def test_the_netlist_computes_what_the_checkpoint_says(seed: int, layers: str) -> None:
    model = random_checkpoint(seed, layers=layers)
    x = np.random.default_rng(seed).integers(0, 16, (12, 5))
    classifier = lower(model)
    assert np.array_equal(classifier.scores(x), by_hand(model, x))
    assert classifier.netlist.luts == sum(layer.nodes for layer in model.layers)
    assert classifier.class_names == model.class_names


def padded(window: Window, flat: np.ndarray) -> np.ndarray:
    return np.pad(flat.reshape(window.shape), [(0, 0), *((p, p) for p in window.padding)])


def convolve(layer: ConvLayer, flat: np.ndarray) -> np.ndarray:
    """One sample, one position at a time."""
    image = padded(layer.window, flat if layer.source is None else flat[layer.source])
    tables = relaxation(layer.relaxation).hard(layer.parameters.reshape(-1, layer.parameters.shape[2]))
    tables = tables.reshape(layer.channels, -1, tables.shape[1])
    out = np.zeros(layer.output_shape, np.int64)
    for channel, *at in np.ndindex(*layer.output_shape):
        corner = [p * s for p, s in zip(at, layer.window.stride, strict=True)]
        values = [
            int(image[c, *(d + o for d, o in zip(offset, corner, strict=True))])
            for c, *offset in layer.leaf[channel]
        ]
        node = 0
        while node < tables.shape[1]:
            groups = np.reshape(values, (-1, layer.k))
            values = [
                int(tables[channel, node + m][sum(v << p for p, v in enumerate(pins))])
                for m, pins in enumerate(groups)
            ]
            node += len(groups)
        (out[channel, *at],) = values
    return out.ravel()


def pool(layer: OrPool, flat: np.ndarray) -> np.ndarray:
    window, image = layer.window, padded(layer.window, flat)
    out = np.zeros(layer.output_shape, np.int64)
    for channel, *at in np.ndindex(*layer.output_shape):
        where = [slice(p * s, p * s + n) for p, s, n in zip(at, window.stride, window.size, strict=True)]
        out[channel, *at] = image[channel, *where].max()
    return out.ravel()


@pytest.mark.parametrize(
    ("name", "k", "depth"), [("dlgn", 2, 3), ("light", 1, 2), ("warp", 3, 1), ("dwn", 4, 2)]
)
@given(seed=st.integers(0, 2**32), axes=st.integers(1, 3))
def test_convolutions_unroll_to_what_they_say(name: str, k: int, depth: int, seed: int, axes: int) -> None:
    model = random_conv_checkpoint(seed, axes=axes, name=name, k=k, depth=depth)
    x = np.random.default_rng(seed).integers(0, 16, (6, model.encoder.features))
    classifier = lower(model)
    for sample, scores in zip(x, classifier.scores_of_codes(x.astype(np.int32)), strict=True):
        values = model.encoder.encode(sample[None])[0].astype(np.int64)
        for layer in model.layers:
            if isinstance(layer, ConvLayer):
                values = convolve(layer, values)
            elif isinstance(layer, OrPool):
                values = pool(layer, values)
            else:
                tables = relaxation(layer.relaxation).hard(layer.parameters)
                rows = (values[layer.fanin] << np.arange(layer.k)).sum(axis=1)
                values = np.take_along_axis(tables, rows[:, None], axis=1)[:, 0].astype(np.int64)
        assert np.array_equal(scores, values.reshape(3, -1).sum(axis=1))
    placed = place(model)
    assert [each.shape for each in placed[:3]] == [layer.output_shape for layer in model.layers[:3]]  # type: ignore[union-attr]
    assert placed[-1].luts.stop == classifier.netlist.luts
    # a layer reads outputs of the one before and constants, or its own LUTs
    net = classifier.netlist
    for each in placed:
        read = net.fanin[each.luts.start : each.luts.stop]
        own = read >= net.first_lut + each.luts.start
        assert (own | (read == 0) | ((read >= each.inputs.start) & (read < each.inputs.stop))).all()


def test_a_layer_of_logictreenet_medium_unrolls() -> None:
    """256 trees of depth 3 on 32 x 32 x 6 bits, pooled: two million gates."""
    rng = np.random.default_rng(0)
    window = Window((6, 32, 32), (3, 3), (1, 1), (1, 1))
    leaf = rng.integers(0, (6, 3, 3), (256, 8, 3)).astype(np.int32)
    parameters = rng.standard_normal((256, 7, 16), np.float32)
    conv = ConvLayer(window, leaf, parameters, "dlgn")
    pooled = OrPool(Window(conv.output_shape, (2, 2), (2, 2), (0, 0)))
    encoder = Thermometer(np.arange(1, 4, dtype=np.int32)[None].repeat(2048, 0), FixedPoint(2))
    fanin = rng.integers(0, pooled.nodes, (100, 2)).astype(np.int32)
    tail = Layer(fanin, rng.random((100, 16), np.float32), "dlgn")
    net = lower(Checkpoint(encoder, (conv, pooled, tail), tuple("abcdefghij"), 1.0)).netlist
    assert net.luts == 256 * 1024 * 7 + 256 * 256 * 3 + 100
    top = net.fanin[: 256 * 1024 * 4].reshape(256, 32, 32, 8)[:, 0] == 0
    column = np.arange(32)[None, :, None]
    dy, dx = leaf[:, None, :, 1], leaf[:, None, :, 2]
    assert np.array_equal(top, (dy == 0) | ((dx == 0) & (column == 0)) | ((dx == 2) & (column == 31)))


@pytest.mark.parametrize("gate", range(16))
def test_a_gate_of_difflogic_survives(gate: int) -> None:
    """Two features a and b, one gate per class: the class with the gate wins when it is 1."""
    encoder = Thermometer(np.array([[1], [1]], np.int32), FixedPoint(1))
    parameters = np.full((2, 16), -1, np.float32)
    parameters[0, 0] = parameters[1, gate] = 1
    layer = Layer(np.array([[0, 1], [0, 1]], np.int32), parameters, "dlgn")
    predicted = lower(Checkpoint(encoder, (layer,), ("no", "yes"), 1.0)).predict(
        [[0, 0], [1, 0], [0, 1], [1, 1]]
    )
    assert predicted.tolist() == [DIFFLOGIC[gate](a, b) for a, b in ((0, 0), (1, 0), (0, 1), (1, 1))]


def test_loading_and_lowering_need_no_torch(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "model.safetensors", random_checkpoint(0))
    script = (
        "import sys; sys.modules['torch'] = None; sys.modules['sklearn'] = None\n"
        "from pathlib import Path\n"
        "import lgc.errors\nimport lgc.frontend\n"
        "from lgc.frontend import checkpoint, config, data, lower\n"
        f"model = checkpoint.load(Path({str(tmp_path / 'model.safetensors')!r}))\n"
        "print(lower.lower(model).netlist.luts, 'digits' in config.presets())\n"
        "try:\n    import lgc.frontend.train\n"
        "except lgc.errors.ToolMissingError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    luts = sum(layer.nodes for layer in random_checkpoint(0).layers)
    assert done.stdout.splitlines() == [
        f"{luts} True",
        'Training needs PyTorch, which is not installed. pip install "lgc[train]"',
    ]


def test_facade_is_light_and_says_what_it_lacks() -> None:
    script = (
        "import sys, lgc.frontend as f\n"
        "print(sorted({'numpy', 'numba', 'torch', 'safetensors'} & set(sys.modules)))\n"
        "print([getattr(f, name).__name__ for name in f.__all__])\n"
        "f.nothing\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "['Checkpoint', 'Dataset', 'Layer', 'TrainConfig']"]
    assert "AttributeError: module 'lgc.frontend' has no attribute 'nothing'" in done.stderr
