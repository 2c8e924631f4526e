import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd.function import FunctionCtx

from lgc.errors import UsageError
from lgc.frontend import checkpoint, config, data, encoder, optimiser
from lgc.frontend.checkpoint import Checkpoint
from lgc.frontend.config import LayerConfig, ModelConfig
from lgc.frontend.connections import Sources
from lgc.frontend.graph import ConvLayer, Layer, OrPool
from lgc.frontend.kernels import cpu, trees
from lgc.frontend.layers import PoolLayer, TreeLayer
from lgc.frontend.lower import lower
from lgc.frontend.network import Network, blocks
from lgc.frontend.relaxations import RELAXATIONS
from lgc.frontend.train import Progress, train
from lgc.ir.encoder import FixedPoint, Thermometer

from .test_network import dwn, formula

BLOCKS = 2
CASES = [
    (name, k, depth, estimator)
    for name, k, depth in [
        ("dlgn", 2, 1), ("dlgn", 2, 3), ("light", 2, 2), ("light", 3, 2), ("light", 1, 2), ("light", 6, 1),
        ("warp", 2, 2), ("warp", 4, 1), ("dwn", 2, 2), ("dwn", 3, 2),
    ]
    for estimator in RELAXATIONS[name].estimators
]  # fmt: skip


class Dwn(torch.autograd.Function):
    """A DWN node with its paper's gradients, as `dwn` of the dense tests gives them."""

    @staticmethod
    def forward(ctx: FunctionCtx, pins: Tensor, entries: Tensor) -> Tensor:
        ctx.save_for_backward(pins, entries)
        return dwn(pins, entries, torch.ones(pins.shape[1:], dtype=pins.dtype))[0]

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, Tensor]:
        return dwn(*ctx.saved_tensors, grads[0])[1:]  # type: ignore[attr-defined,no-any-return]


def node(name: str, estimator: str, pins: Tensor, p: Tensor, noise: Tensor) -> Tensor:
    if name == "dwn":
        return Dwn.apply(pins, p)  # type: ignore[no-untyped-call,no-any-return]
    return formula(name, estimator, pins, p, 0.7, noise)


def maximum(values: list[Tensor]) -> Tensor:
    """The maximum, its gradient going to the first largest value alone."""
    stack = torch.stack(values)
    first = (stack == stack.max(0).values).int().argmax(0, keepdim=True)
    return stack.gather(0, first)[0]


def output_noise(layer: TreeLayer, key: np.uint64, n: int, c: int, q: int, w: int, m: int) -> Tensor:
    """What the kernel draws for one node, taken from its own generator."""
    base = layer.geometry().base
    place = ((n * layer.config.width + c) * len(base) + q) * base.shape[1] + w
    out = np.zeros((1, cpu.LANES), np.float32)
    trees._noise(key, 1 / 0.7, place * layer.nodes + m, out, 0)
    return torch.from_numpy(out[0]).double() * 0.7


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize(("name", "k", "depth", "estimator"), CASES)
def test_trees_and_their_gradients_are_the_papers_formulas(
    name: str, k: int, depth: int, estimator: str, pooled: bool
) -> None:
    rng = np.random.default_rng(k + depth)
    settings = LayerConfig(
        kind="conv", width=2, k=k, depth=depth, relaxation=name, init="gaussian", field=2, padding=1, stride=2
    )
    order = rng.permutation(2 * 3 * 2).astype(np.int32)
    layer = TreeLayer(settings, Sources(order, shape=(2, 3, 2), order=order), rng, estimator=estimator)
    if pooled:
        layer.attach(LayerConfig(kind="or-pool", field=2, stride=2, padding=1))
    hard, noisy = estimator.endswith("hard"), estimator.startswith("gumbel")
    x = rng.random((BLOCKS, 12, cpu.LANES), np.float32)
    x = torch.from_numpy(np.rint(x) if hard else x).requires_grad_()
    y = layer(x, hard, 0.7, np.random.default_rng(3) if noisy else None)
    seed = torch.from_numpy(rng.standard_normal(y.shape, np.float32))
    (y * seed).sum().backward()

    drawn = RELAXATIONS[name].noise(tuple(layer.functions.shape), np.random.default_rng(3)) if noisy else None
    key = np.random.default_rng(3).integers(1 << 64, dtype=np.uint64)
    exact_x = x.detach().double().requires_grad_()
    functions = layer.functions.detach().double().requires_grad_()
    conv = layer.hardened()[0]
    reads = conv.reads()
    zero = torch.zeros(cpu.LANES, dtype=torch.float64)
    pool = None if layer.pool is None else layer.pool.reads()[: int(np.prod(layer.pool.window.positions))]
    members = np.arange(reads.shape[1])[:, None] if pool is None else pool
    total = torch.zeros((), dtype=torch.float64)
    for n, c, (q, row) in itertools.product(range(BLOCKS), range(2), enumerate(members)):
        found = []
        for w, position in enumerate(row):
            if position < 0:
                continue
            values = [exact_x[n, s] if s >= 0 else zero for s in reads[c, position]]
            m = 0
            for level in conv.levels:
                above = []
                for i in range(level):
                    place = c * layer.nodes + m
                    noise = torch.zeros(1, dtype=torch.float64)
                    if noisy and drawn is not None:
                        noise = torch.from_numpy(drawn[place]).double()
                    elif noisy:
                        noise = output_noise(layer, key, n, c, q, w, m)
                    pins = torch.stack(values[k * i : k * i + k])
                    above.append(node(name, estimator, pins, functions[place], noise))
                    m += 1
                values = above
            found += values
        expected = maximum(found)
        out = c * len(members) + q
        torch.testing.assert_close(y[n, out].detach().double(), expected.detach(), rtol=1e-5, atol=2e-5)
        total = total + (expected * seed[n, out].double()).sum()
    total.backward()  # type: ignore[no-untyped-call]
    for ours, theirs in [(layer.functions, functions), (x, exact_x)]:
        assert ours.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-3)


def test_a_pool_alone_is_torchs() -> None:
    rng = np.random.default_rng(0)
    settings = LayerConfig(kind="or-pool", field=3, stride=2, padding=1)
    layer = PoolLayer(settings, Sources(np.arange(2 * 5 * 4, dtype=np.int32), shape=(2, 5, 4)))
    x = torch.from_numpy(np.rint(4 * rng.random((BLOCKS, 40, cpu.LANES), np.float32))).requires_grad_()
    y = layer(x, False, 1.0, None)
    seed = torch.from_numpy(rng.standard_normal(y.shape, np.float32))
    (y * seed).sum().backward()
    other = x.detach().clone().requires_grad_()
    images = other.permute(0, 2, 1).reshape(-1, 2, 5, 4)
    expected = torch.nn.functional.max_pool2d(images, 3, 2, 1).flatten(1)
    expected = expected.view(BLOCKS, cpu.LANES, -1).permute(0, 2, 1)
    (expected * seed).sum().backward()
    assert torch.equal(y, expected)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, other.grad)


CONV = [
    {"kind": "conv", "width": 8, "depth": 2, "padding": 1},
    {"kind": "or-pool"},
    {"kind": "conv", "width": 12, "depth": 1, "field": 2, "stride": 2, "reads": 1},
    {"kind": "dense", "width": 30},
]


@pytest.mark.parametrize(("name", "k"), [("dlgn", 2), ("light", 2), ("light", 3), ("warp", 2), ("dwn", 4)])
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), axes=st.integers(1, 2))
def test_a_hard_forward_is_the_lowered_netlist(name: str, k: int, seed: int, axes: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = [LayerConfig(k=k, relaxation=name, init="gaussian", **values) for values in CONV]  # type: ignore[arg-type]
    sides = rng.integers(4, 7, axes).tolist()
    threshold = np.sort(rng.integers(1, 16, (int(np.prod(sides)), 2)), axis=1).astype(np.int32)
    shape, order = encoder.arranged(tuple(sides), axes, 2)
    sources = Sources(np.arange(threshold.size, dtype=np.int32), shape=shape, order=order)
    net = Network(ModelConfig(tuple(kinds), tau=1.0, estimator="hard"), sources, 3, rng)
    thermometer = Thermometer(threshold, FixedPoint(4))
    model = Checkpoint(thermometer, net.hardened(), ("a", "b", "c"), 1.0)
    x = rng.integers(0, 16, (70, len(threshold)))
    with torch.no_grad():
        logits = net(blocks(thermometer.encode(x), np.arange(70)), hard=True)[:70]
    assert np.array_equal(logits.numpy(), lower(model).scores(x))


def test_a_signal_of_known_shape() -> None:
    """12 times 2 sensors of 2 thresholds: the setting says what a table does not."""
    rng = np.random.default_rng(0)
    kinds = (
        LayerConfig(kind="conv", shape=(12, 2), width=6, field=4, init="gaussian"),
        LayerConfig(width=30, init="gaussian"),
    )
    threshold = np.sort(rng.integers(1, 16, (24, 2)), axis=1).astype(np.int32)
    sources = Sources(np.arange(1, 48, dtype=np.int32), outputs=48)
    net = Network(ModelConfig(kinds, tau=1.0, estimator="hard"), sources, 3, rng)
    conv = net.hardened()[0]
    assert isinstance(conv, ConvLayer)
    assert (conv.window.shape, conv.output_shape) == ((4, 12), (6, 9))
    thermometer = Thermometer(threshold, FixedPoint(4))
    x = rng.integers(0, 16, (64, 24))
    with torch.no_grad():
        logits = net(blocks(thermometer.encode(x), np.arange(64)), hard=True)
    model = Checkpoint(thermometer, net.hardened(), ("a", "b", "c"), 1.0)
    assert np.array_equal(logits.numpy(), lower(model).scores(x))
    wrong = (LayerConfig(kind="conv", shape=(7,)), kinds[1])
    with pytest.raises(UsageError, match=r"^The shape \[7\] does not arrange 48 input bits"):
        Network(ModelConfig(wrong), sources, 3, rng)


def test_an_or_pool_first() -> None:
    """A pool of the input bits, which are not in channel-major order."""
    rng = np.random.default_rng(0)
    shape, order = encoder.arranged((4, 4), 2, 2)
    pool = PoolLayer(
        LayerConfig(kind="or-pool"), Sources(np.arange(32, dtype=np.int32), shape=shape, order=order)
    )
    bits = rng.random((64, 32)) < 0.2
    found = pool(blocks(bits, np.arange(64)), True, 1.0, None)[0].T.numpy() > 0
    expected = bits.reshape(64, 2, 2, 2, 2, 2).any(axis=(2, 4)).transpose(0, 3, 1, 2).reshape(64, -1)
    assert np.array_equal(found, expected)


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits")


SHORT = (
    "train.epochs=3", "encoder.levels=2", "model.layers.0.width=24", "model.layers.0.reads=2",
    "model.layers.2.width=100", "model.layers.3.width=60",
)  # fmt: skip


def test_a_convolutional_network_learns_digits(digits: data.Dataset, tmp_path: Path) -> None:
    result = train(config.load("digits-conv"), digits, out=tmp_path / "m.safetensors")
    assert result.metadata["test_accuracy"] >= 0.89
    loaded = checkpoint.load(tmp_path / "m.safetensors")
    kinds = [type(layer) for layer in loaded.layers]
    assert kinds == [ConvLayer, OrPool, Layer, Layer]
    accuracy = (lower(loaded).predict(digits.test_x) == digits.test_y).mean()
    assert accuracy == result.metadata["test_accuracy"]


@pytest.mark.parametrize("step", [5, 18], ids=["mid-epoch", "right after the epoch"])
def test_resuming_ends_with_the_same_tensors(digits: data.Dataset, tmp_path: Path, step: int) -> None:
    def interrupt(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (2, step):
            raise KeyboardInterrupt

    short = config.load("digits-conv", SHORT)
    straight = train(short, digits, out=tmp_path / "straight.safetensors")
    with pytest.raises(KeyboardInterrupt):
        train(short, digits, out=tmp_path / "m.safetensors", progress=interrupt)
    resumed = train(short, digits, out=tmp_path / "m.safetensors", resume=True)
    for ours, theirs in zip(straight.layers, resumed.layers, strict=True):
        if not isinstance(ours, OrPool) and not isinstance(theirs, OrPool):
            assert np.array_equal(ours.parameters, theirs.parameters)


def layer(rng: np.random.Generator, shape: tuple[int, ...], **values: Any) -> TreeLayer:
    kind = LayerConfig(kind="conv", **values)
    return TreeLayer(kind, Sources(np.arange(np.prod(shape), dtype=np.int32), shape=shape), rng)


@given(
    st.integers(0, 2**32),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 4),
)
def test_trees_read_few_channels_of_their_group_evenly(
    seed: int, groups: int, each: int, made: int, reads: int, depth: int
) -> None:
    rng, reads = np.random.default_rng(seed), min(reads, each)
    found = layer(rng, (groups * each, 5, 5), width=groups * made, groups=groups, reads=reads, depth=depth)
    leaf = found.leaf.numpy()
    used = np.zeros(groups * each, np.int64)
    for c, row in enumerate(leaf):
        channels = np.unique(row[:, 0])
        assert len(channels) <= reads
        assert (channels // each == c // made).all()
        assert len(np.unique(row, axis=0)) == min(2**depth, 9 * reads)
        used[channels] += 1
    if reads == 1:
        assert (leaf[:, 0, 0] % each == np.arange(groups * made) % made % each).all()
        assert used.max() - used.min() <= 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 8, "groups": 3}, r"^3 groups do not divide 4 input and 8 output channels"),
        ({"width": 8, "groups": 2, "reads": 3}, r"^A tree cannot read 3 of 2 channels\. Set reads lower"),
        ({"width": 8, "field": 6}, r"^A window of side 6 does not fit 5 x 5 elements\. Pad more"),
        ({"width": 8, "k": 4}, r"^The relaxation dlgn has no nodes of 4 inputs"),
    ],
)
def test_settings_that_do_not_fit(values: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        layer(np.random.default_rng(0), (4, 5, 5), **values)


def test_layers_that_need_an_image() -> None:
    rng, plain = np.random.default_rng(0), Sources(np.arange(8, dtype=np.int32))
    with pytest.raises(UsageError, match=r"^A convolution needs an image, or a signal of known shape"):
        TreeLayer(LayerConfig(kind="conv"), plain, rng)
    with pytest.raises(UsageError, match=r"^An OR pool needs an image or a convolution before it"):
        PoolLayer(LayerConfig(kind="or-pool"), plain)
    with pytest.raises(UsageError, match=r"^An OR pool of side 2 cannot pad 2"):
        PoolLayer(LayerConfig(kind="or-pool", padding=2), Sources(plain.index, shape=(2, 2, 2)))


def test_weight_decay_is_that_of_the_functions_alone() -> None:
    overrides = ("train.decay=0.25", "train.lr=0.5", 'model.layers.2.choice_init="normal"')
    settings = config.load("digits-conv", overrides)
    shape, order = encoder.arranged((8, 8), 2, 4)
    sources = Sources(np.arange(256, dtype=np.int32), shape=shape, order=order)
    network = Network(settings.model, sources, 10, np.random.default_rng(0))
    before = {name: item.detach().clone() for name, item in network.named_parameters()}
    adam = optimiser.adam(settings, network)
    for item in network.parameters():
        item.grad = torch.zeros_like(item)
    adam.step()
    for name, item in network.named_parameters():
        factor = 1 - 0.5 * 0.25 if name.endswith("functions") else 1.0
        torch.testing.assert_close(item.detach(), factor * before[name])
