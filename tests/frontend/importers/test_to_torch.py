"""`lgc.to_torch`: networks into the original packages and our own, back again, and trained further."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import lgc
from lgc.errors import LgcError, ToolMissingError, UsageError
from lgc.frontend import checkpoint
from lgc.frontend.graph import ConvLayer, Layer, OrPool
from lgc.frontend.lower import lower

from . import packages


def learns(model, x, y, *, steps):
    """Whether Adam brings the loss down by a tenth."""
    adam = torch.optim.Adam(model.parameters(), 0.05)
    losses = []
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    ("package", "kind"),
    [("torchlogix", "raw"), ("torchlogix", "warp"), ("torchlogix", "light"), ("difflogic", "raw")],
)
@pytest.mark.parametrize("ks", [(2, 2), (1, 2)])
def test_there_and_back(package, kind, ks):
    getattr(packages, package)()
    model = small(ks)
    again = lgc.from_torch(lgc.to_torch(model, package=package, parametrization=kind))
    bits = packages.structured(np.random.default_rng(0), (10,))
    assert np.array_equal(
        lower(again.checkpoint).scores_of_codes(bits.astype(np.int32)),
        lower(model).scores_of_codes(bits.astype(np.int32)),
    )
    assert again.checkpoint.tau == model.tau


@pytest.mark.parametrize(("kind", "ks"), list(itertools.product(("warp", "light"), [(3, 4), (5, 6), (6, 1)])))
def test_wide_luts_there_and_back(kind, ks):
    packages.torchlogix()
    model = small(ks)
    built = lgc.to_torch(model, package="torchlogix", parametrization=kind, confidence=0.8)
    again = lgc.from_torch(built)
    bits = packages.structured(np.random.default_rng(0), (10,)).astype(np.int32)
    assert np.array_equal(lower(again.checkpoint).scores_of_codes(bits), lower(model).scores_of_codes(bits))


def test_further_training_in_torchlogix():
    """What comes back learns: its loss on random labels falls."""
    packages.torchlogix()
    built = lgc.to_torch(small((4, 4)), package="torchlogix", parametrization="warp").train()
    torch.manual_seed(0)
    x, y = (torch.rand(64, 10) < 0.5).float(), torch.randint(0, 2, (64,))
    assert learns(built, x, y, steps=30)


def small(ks, seed=0):
    """A checkpoint of random tables: 10 ready bits, 2 classes."""
    from lgc.ir.encoder import FixedPoint, Thermometer

    rng = np.random.default_rng(seed)
    layers, sources = [], 10
    for k, nodes in zip(ks, (16, 12), strict=True):
        rows = rng.random((nodes, 1 << k)) < 0.5
        fanin = rng.integers(0, sources, (nodes, k)).astype(np.int32)
        layers.append(Layer(fanin, np.where(rows, 1, -1).astype(np.float32), "light"))
        sources = nodes
    encoder = Thermometer(np.ones((10, 1), np.int32), FixedPoint(1))
    return checkpoint.Checkpoint(encoder, tuple(layers), ("a", "b"), 2.0)


@pytest.mark.parametrize("confidence", [None, 0.9])
def test_our_own_network_has_the_same_layers(confidence, tmp_path):
    model = small((3, 6))
    checkpoint.save(tmp_path / "m.safetensors", model)
    network = lgc.to_torch(tmp_path / "m.safetensors", confidence=confidence)
    again = network.hardened()
    for before, after in zip(model.layers, again, strict=True):
        assert np.array_equal(before.fanin, after.fanin)
        assert np.array_equal(before.parameters > 0, after.parameters > 0)
        if confidence is None:
            assert np.array_equal(before.parameters, after.parameters)
        else:
            assert np.allclose(1 / (1 + np.exp(-np.abs(after.parameters))), confidence)


def test_our_own_network_computes_the_same_and_learns():
    from lgc.frontend.network import blocks

    model = small((4, 4))
    network = lgc.to_torch(model)
    rng = np.random.default_rng(0)
    bits = rng.random((128, 10)) < 0.5
    x = blocks(bits, np.arange(128))
    logits = network(x, hard=True).detach().numpy() * model.tau
    assert np.array_equal(np.rint(logits), lower(model).scores_of_codes(bits.astype(np.int32)))
    labels = torch.from_numpy(rng.integers(0, 2, 128))
    adam = torch.optim.Adam(network.parameters(), 0.05)
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(network(x, hard=False), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_packages_that_cannot_hold_it():
    with pytest.raises(UsageError, match="There is no package 'torch_logix'"):
        lgc.to_torch(small((2, 2)), package="torch_logix")
    with pytest.raises(UsageError, match="A confidence of 1.5 is out of range"):
        lgc.to_torch(small((2, 2)), confidence=1.5)
    packages.torchlogix()
    with pytest.raises(UsageError, match="raw parametrization has 2 inputs, not 4"):
        lgc.to_torch(small((2, 3)), package="torchlogix", parametrization="raw")
    packages.difflogic()
    with pytest.raises(UsageError, match="gates of 2 inputs, not LUTs of 3"):
        lgc.to_torch(small((2, 3)), package="difflogic")


def test_a_package_that_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torchlogix.layers", None)
    with pytest.raises(ToolMissingError, match="torchlogix cannot be imported"):
        lgc.to_torch(small((2, 2)), package="torchlogix")


def convolutional(k, depth, axes=2, *, pad=0, classes=2, shuffled=True):
    """A checkpoint of random tables: convolution, pool, dense layer, on ready bits."""
    from lgc.frontend.graph import Window
    from lgc.ir.encoder import FixedPoint, Thermometer

    rng = np.random.default_rng(10 * k + depth)
    shape = (2, 5, 4, 3)[: axes + 1]
    size, bits = (3, 2, 2)[:axes], int(np.prod(shape))
    leaf = np.stack([rng.integers(0, n, (4, k**depth)) for n in (2, *size)], axis=2).astype(np.int32)
    nodes = sum(k**level for level in range(depth))
    source = rng.permutation(bits).astype(np.int32) if shuffled else None
    window = Window(shape, size, (1,) * axes, (pad,) * axes)
    conv = ConvLayer(window, leaf, random_signs(rng, 4, nodes, 1 << k), "light", source)
    pool = OrPool(Window(conv.output_shape, (2,) * axes, (1,) * axes, (1,) + (0,) * (axes - 1)))
    reads = rng.integers(0, pool.nodes, (10 * classes, k)).astype(np.int32)
    dense = Layer(reads, random_signs(rng, 10 * classes, 1 << k), "light")
    encoder = Thermometer(np.ones((bits, 1), np.int32), FixedPoint(1))
    names = tuple(map(str, range(classes)))
    return checkpoint.Checkpoint(encoder, (conv, pool, dense), names, 2.0, {"beta": 1.5})


def random_signs(rng, *shape):
    return np.float32([-1, 1])[rng.integers(0, 2, shape)]


@pytest.mark.parametrize(
    ("kind", "k", "depth"),
    [("raw", 1, 2), ("raw", 2, 1), ("raw", 2, 3)]
    + [
        (kind, k, d)
        for kind in ("warp", "light")
        for k, d in ((1, 1), (2, 3), (3, 2), (4, 2), (5, 1), (6, 1))
    ],
)
@pytest.mark.parametrize("axes", [2, 3])
def test_convolutions_in_torchlogix(kind, k, depth, axes):
    """Module and network give the same logits, and the module comes back as the same layers."""
    packages.torchlogix()
    model = convolutional(k, depth, axes, pad=k % 2)
    built = lgc.to_torch(model, package="torchlogix", parametrization=kind, confidence=0.7).eval()
    conv = model.layers[0]
    bits = packages.structured(np.random.default_rng(0), (conv.window.shape[0], *conv.window.shape[1:]))
    images = bits[:, conv.source].reshape(-1, *conv.window.shape)
    expected = lower(model).scores_of_codes(bits.astype(np.int32))
    assert np.array_equal(packages.counts(built, images, 2.0, 1.5), expected)
    again = lgc.from_torch(built)
    assert np.array_equal(again.scores(images.reshape(len(bits), -1)), expected)
    assert [type(layer) for layer in again.checkpoint.layers] == [ConvLayer, OrPool, Layer]
    assert (again.checkpoint.tau, again.checkpoint.metadata["beta"]) == (2.0, 1.5)


def test_an_imported_convolution_goes_back():
    """The module that comes out takes what the original took, and has its logits."""
    layers = packages.torchlogix()
    model = torch.nn.Sequential(
        layers.LogicConv2d(
            (6, 5), channels=2, num_kernels=4, tree_depth=2, receptive_field_size=(3, 2), stride=2, padding=1
        ),
        torch.nn.Flatten(),
        layers.LogicDense(36, 30),
        layers.GroupSum(2, tau=3.0, beta=2.5),
    )
    found = packages.agree(model, (2, 6, 5), tau=3.0, beta=2.5)
    built = lgc.to_torch(found, package="torchlogix", parametrization="light").eval()
    x = (
        torch.from_numpy(packages.structured(np.random.default_rng(5), (2, 6, 5)))
        .reshape(-1, 2, 6, 5)
        .float()
    )
    with torch.no_grad():
        assert torch.equal(built(x), model(x))
    assert [type(layer).__name__ for layer in built] == [type(layer).__name__ for layer in model]


def test_convolutions_learn_on_in_torchlogix():
    packages.torchlogix()
    built = lgc.to_torch(convolutional(2, 2), package="torchlogix", parametrization="warp").train()
    torch.manual_seed(0)
    x, y = (torch.rand(64, 2, 5, 4) < 0.5).float(), torch.randint(0, 2, (64,))
    assert learns(built, x, y, steps=40)


def with_window(model, number, **changes):
    layers = list(model.layers)
    layers[number] = replace(layers[number], window=replace(layers[number].window, **changes))
    return replace(model, layers=tuple(layers))


def test_convolutions_that_torchlogix_has_not():
    packages.torchlogix()
    packages.difflogic()
    model = convolutional(2, 2)
    cases = [
        (with_window(model, 0, stride=(1, 2)), r"no convolution with windows \[3, 2\], strides \[1, 2\]"),
        (with_window(model, 0, padding=(1, 0)), r"no convolution .* padding \[1, 0\]"),
        (with_window(model, 0, stride=(3, 3)), r"no strides of 3 for windows \[3, 2\]"),
        (with_window(model, 1, padding=(2, 0)), r"no pool with windows \[2, 2\] and padding \[2, 0\]"),
        (convolutional(2, 2, 1), "It has 2 or 3 axes"),
    ]
    for changed, message in cases:
        with pytest.raises(UsageError, match=message):
            lgc.to_torch(changed, package="torchlogix")
    with pytest.raises(UsageError, match="raw parametrization has 2 inputs, not 4"):
        lgc.to_torch(convolutional(3, 1), package="torchlogix", parametrization="raw")
    with pytest.raises(UsageError, match="difflogic has no convolutions and pools"):
        lgc.to_torch(model, package="difflogic")


@pytest.mark.parametrize(("kind", "k"), [("raw", 2), ("warp", 4)])
def test_transposed_convolutions_in_space(kind, k):
    layers = packages.torchlogix()
    conv = layers.LogicConvTranspose3d(
        (2, 3, 2), channels=2, num_kernels=3, tree_depth=1, receptive_field_size=2, stride=2, lut_rank=k,
        parametrization=kind, output_padding=1,
    )  # fmt: skip
    with torch.no_grad():
        width = conv(torch.zeros(1, 2, 2, 3, 2)).numel()
    model = torch.nn.Sequential(
        conv, torch.nn.Flatten(), layers.LogicDense(width, width + width % 2), layers.GroupSum(2)
    )
    packages.agree(model, (2, 2, 3, 2))


@pytest.mark.parametrize("kind", ["raw", "warp", "light"])
def test_export_mode(kind):
    """torchlogix' boolean mode computes the same, and is asked with booleans."""
    layers = packages.torchlogix()
    model = torch.nn.Sequential(
        layers.LogicConv2d((4, 4), channels=2, num_kernels=3, tree_depth=2, parametrization=kind),
        layers.OrPooling2d(2, 1),
        torch.nn.Flatten(),
        layers.LogicDense(12, 20, connections="learnable", parametrization=kind),
        layers.GroupSum(2),
    )
    packages.random_weights(model)
    packages.torchlogix_part("utils").set_export_mode(model)
    found = lgc.from_torch(model)
    assert found.checkpoint.metadata["imported"]["checked"].startswith("all scores of 256")


def test_trees_that_torchlogix_does_not_build():
    layers = packages.torchlogix()
    conv = layers.LogicConv2d((4, 4), channels=2, num_kernels=3, tree_depth=2)
    conv.connections._indices_L1 = conv.connections._indices_L1.flip(0)
    model = torch.nn.Sequential(conv, torch.nn.Flatten(), layers.LogicDense(27, 20), layers.GroupSum(2))
    with pytest.raises(LgcError, match="level 1 is no plain tree"):
        lgc.from_torch(model)


@pytest.mark.parametrize("confidence", [None, 0.9])
@pytest.mark.parametrize("size", [3, 2])
def test_convolutions_in_our_own_network(confidence, size):
    """A convolution of shuffled input bits, a pool, a dense layer: there, and what it computes."""
    from lgc.frontend.graph import Window
    from lgc.frontend.network import blocks
    from lgc.ir.encoder import FixedPoint, Thermometer

    rng = np.random.default_rng(size)
    window = Window((2, 5, 6), (size, size), (1, 1), (1, 1))
    leaf = np.stack([rng.integers(0, n, (4, 4)) for n in (2, size, size)], axis=2).astype(np.int32)
    signs = [np.float32([-1, 1])[rng.integers(0, 2, shape)] for shape in ((4, 3, 4), (12, 8))]
    conv = ConvLayer(window, leaf, signs[0], "light", rng.permutation(60).astype(np.int32))
    pool = OrPool(Window(conv.output_shape, (2, 2), (2, 2), (0, 0)))
    dense = Layer(rng.integers(0, pool.nodes, (12, 3)).astype(np.int32), signs[1], "light")
    encoder = Thermometer(np.ones((60, 1), np.int32), FixedPoint(1))
    model = checkpoint.Checkpoint(encoder, (conv, pool, dense), ("a", "b", "c"), 1.0)
    network = lgc.to_torch(model, confidence=confidence)
    bits = rng.random((128, 60)) < 0.5
    logits = network(blocks(bits, np.arange(128)), hard=True).detach().numpy()
    assert np.array_equal(np.rint(logits), lower(model).scores_of_codes(bits.astype(np.int32)))
    again = checkpoint.Checkpoint(encoder, network.hardened(), model.class_names, 1.0)
    assert [layer.text for layer in again.layers] == [layer.text for layer in model.layers]
    assert np.array_equal(lower(again).netlist.table, lower(model).netlist.table)
    assert np.array_equal(lower(again).netlist.fanin, lower(model).netlist.fanin)
    lopsided = replace(conv, window=replace(window, size=(size, size - 1), stride=(1, 1)))
    with pytest.raises(UsageError, match="is not the same per axis"):
        lgc.to_torch(replace(model, layers=(lopsided, pool, dense)))
