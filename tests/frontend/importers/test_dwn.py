"""DWN: its layers need CUDA, so what they compute is stated here again, from the kernel and its modules."""

import types

import numpy as np
import pytest
import torch

import lgc
from lgc import importing
from lgc.errors import LgcError
from lgc.frontend.importers import Options
from lgc.frontend.lower import lower

from . import foreign


def forward(layers, bits, classes, order=None):
    """Kernel `efd_cuda_forward`, the learnable mapping before it, STE after it, GroupSum at the end."""
    x = bits.astype(np.float32)
    for luts, mapping, weights in layers:
        if weights is not None:
            x = x[:, weights.argmax(axis=0)]
        out = np.empty((len(x), len(luts)), np.float32)
        for i in range(len(x)):
            for j in range(len(luts)):
                address = 0
                for place in range(mapping.shape[1]):
                    address |= int(x[i, mapping[j, place]] > 0) << place
                out[i, j] = luts[j, address]
        x = (out > 0).astype(np.float32)
    if order is not None:
        x = x[:, order]
    x = np.pad(x, ((0, 0), (0, -x.shape[1] % classes)))
    return x.reshape(len(x), classes, -1).sum(axis=2).astype(int)


def build(rng, n, learnable, widths=(9, 7), bits=10):
    layers = []
    for width in widths:
        luts = rng.uniform(-1, 1, (width, 1 << n)).astype(np.float32)
        weights = rng.random((bits, width * n)).astype(np.float32) if learnable else None
        dummy = np.arange(width * n).reshape(width, n)
        mapping = dummy if learnable else rng.integers(0, bits, (width, n))
        layers.append((luts, mapping.astype(np.int32), weights))
        bits = width
    return layers


def save(path, layers):
    state = {}
    for i, (luts, mapping, weights) in enumerate(layers):
        state[f"{i}.luts"] = torch.from_numpy(luts)
        if weights is None:
            state[f"{i}.mapping"] = torch.from_numpy(mapping)
        else:
            state[f"{i}.mapping.weights"] = torch.from_numpy(weights)
            state[f"{i}._LUTLayer__dummy_mapping"] = torch.from_numpy(mapping)
    torch.save(state, path)
    return path


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("learnable", [False, True])
def test_every_score(tmp_path, n, learnable):
    layers = build(np.random.default_rng(n), n, learnable)
    path = save(tmp_path / "dwn.pth", layers)
    found = importing.read(path, options=Options(inputs=() if learnable else (10,), classes=3))
    assert found.format == "dwn"
    x = foreign.every_pattern(10)
    assert np.array_equal(found.scores(x), forward(layers, x, 3))


def uniform(x, levels):
    low, high = x.min(axis=0), x.max(axis=0)
    return low[:, None] + np.arange(1, levels + 1) * ((high - low) / (levels + 1))[:, None]


def gaussian(x, levels):
    skew = torch.distributions.Normal(0, 1).icdf(torch.arange(1, levels + 1) / (levels + 1)).numpy()
    return skew * x.std(axis=0, ddof=1)[:, None] + x.mean(axis=0)[:, None]


def distributive(x, levels):
    ordered = np.sort(x, axis=0)
    return ordered[[int(len(x) * i / (levels + 1)) for i in range(1, levels + 1)]].T


@pytest.mark.parametrize("thermometer", [uniform, gaussian, distributive])
def test_thermometers(tmp_path, thermometer):
    """Thresholds are the user's to save; the features here are 12-bit numbers, 8 after the point."""
    rng = np.random.default_rng(3)
    x = rng.integers(-2048, 2048, (400, 5)).astype(np.float32) / 256
    thresholds = thermometer(x, 3).astype(np.float32)
    np.save(tmp_path / "t.npy", thresholds)
    layers = build(rng, 4, False, bits=15)
    given = importing.options(inputs="5", thresholds=str(tmp_path / "t.npy"), bits="s12.8", classes=3)
    found = importing.read(save(tmp_path / "d.pth", layers), options=given)
    bits = (x[:, :, None] > thresholds).reshape(len(x), -1)
    assert np.array_equal(lower(found.checkpoint).scores(x), forward(layers, bits, 3))


def module(layers, order=None):
    """Modules with the attributes and class names of the package, which does not import without CUDA."""
    fake = types.ModuleType("torch_dwn.lut_layer")
    for name in ("LUTLayer", "GroupSum", "LearnableMapping"):
        setattr(fake, name, type(name, (torch.nn.Module,), {"__module__": fake.__name__}))
    made, bits = [], 10
    for luts, mapping, weights in layers:
        layer = fake.LUTLayer()
        layer.input_size, layer.n, layer.ste = bits, mapping.shape[1], True
        layer.luts = torch.nn.Parameter(torch.from_numpy(luts))
        if weights is None:
            layer.mapping = torch.nn.Parameter(torch.from_numpy(mapping), requires_grad=False)
        else:
            layer.mapping = fake.LearnableMapping()
            layer.mapping.weights = torch.nn.Parameter(torch.from_numpy(weights))
        made.append(layer)
        bits = len(luts)
    head = fake.GroupSum()
    head.k, head.tau, head.randperm = 3, 4.0, order
    return torch.nn.Sequential(*made, head)


@pytest.mark.parametrize("learnable", [False, True])
@pytest.mark.parametrize("permuted", [False, True])
def test_live_modules(learnable, permuted):
    layers = build(np.random.default_rng(0), 6, learnable)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0)) if permuted else None
    found = lgc.from_torch(module(layers, order))
    x = foreign.every_pattern(10)
    expected = forward(layers, x, 3, None if order is None else order.numpy())
    assert np.array_equal(found.scores(x), expected)
    assert found.checkpoint.tau == 4
    assert found.checkpoint.metadata["imported"]["checked"].endswith("was not checked")


def test_layers_that_give_numbers_are_refused():
    model = module(build(np.random.default_rng(0), 2, False))
    model[1].ste = False
    with pytest.raises(LgcError, match="without `ste` gives numbers, not bits"):
        lgc.from_torch(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"0.luts": torch.zeros(9, 12)}, "Layer 1 has LUTs of 12 entries"),
        ({"0.luts": torch.zeros(9, 128)}, "Layer 1 has LUTs of 128 entries"),
        ({"0.luts": torch.full((9, 4), float("nan"))}, "NaN or infinite"),
        ({"0.luts": torch.zeros(8, 4)}, "Layer 1 has 8 LUTs of 2 inputs, but a mapping"),
        ({"0.mapping": torch.zeros(9, 2)}, "0.mapping is not an array of integers"),
        ({"0.mapping": torch.full((9, 2), 10)}, "Layer 1 reads source 10; there are 10"),
        ({"1.mapping": torch.full((7, 2), -1)}, "Layer 2 reads source -1; there are 9"),
        ({"1.mapping.weights": torch.zeros(4, 14)}, "Layer 2 chooses from 4 sources; there are 9"),
        ({"1.mapping.weights": torch.zeros(9, 13)}, "has 13 columns instead of 14"),
    ],
)
def test_damaged_files(tmp_path, changes, message):
    path = save(tmp_path / "d.pth", build(np.random.default_rng(0), 2, False))
    torch.save(torch.load(path, weights_only=True) | changes, path)
    with pytest.raises(LgcError) as caught:
        importing.read(path, "dwn", Options(inputs=(10,), classes=3))
    assert message in str(caught.value)
