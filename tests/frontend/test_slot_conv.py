"""Convolutions of slots: the paper's formula, its redrawing, the netlist, runs that resume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lgc.errors import UsageError
from lgc.frontend import config, data, encoder, regularise
from lgc.frontend.checkpoint import Checkpoint, ConvLayer
from lgc.frontend.config import LayerConfig, ModelConfig
from lgc.frontend.connections import SLOTS, Sources
from lgc.frontend.kernels import cpu
from lgc.frontend.layers import SlotConvLayer
from lgc.frontend.lower import lower
from lgc.frontend.network import Network, blocks
from lgc.frontend.progress import Progress
from lgc.frontend.train import train
from lgc.ir.encoder import FixedPoint, Thermometer

from .test_relaxations import DIFFLOGIC

CHANNELS, BLOCKS = 3, 2


def layer(shape: tuple[int, ...], *, estimator: str = "soft", **values: Any) -> SlotConvLayer:
    given = {"width": CHANNELS, "depth": 1, "init": "gaussian", "patience": 0} | values
    settings = LayerConfig(kind="conv", connections="slots", **given)
    sources = Sources(np.arange(np.prod(shape), dtype=np.int32), shape=shape)
    built = SlotConvLayer(settings, sources, np.random.default_rng(0), estimator=estimator)
    built.op.copy_(torch.from_numpy(np.random.default_rng(5).integers(0, 16, built.op.shape)))
    return built


def formula(ours: SlotConvLayer, x: Tensor, logits: Tensor, noise: Tensor, *, hard: bool) -> Tensor:
    """The paper's node in float64 at every position, straight-through if hard; `[blocks, outputs, LANES]`."""
    window = ours.window
    reads = (window.shape[0], *window.size)
    nodes = []
    for c in range(len(logits)):
        soft = ((logits[c] + noise[c]) / 0.7).softmax(0)
        weight = soft
        if hard:
            exact = torch.nn.functional.one_hot(soft.argmax(), SLOTS).double()
            weight = soft + (exact - soft).detach()
        for start in window.starts():
            pins = []
            for p in range(2):
                leaf = np.stack(np.unravel_index(ours.source[c, p].numpy(), reads), axis=1)
                flat = window.elements(start + leaf[:, 1:], leaf[:, 0])
                inside = torch.from_numpy((flat >= 0).astype(np.float64))
                pins.append(x[:, np.maximum(flat, 0)] * inside[None, :, None])
            gates = torch.stack(
                [
                    DIFFLOGIC[int(op)](pins[0][:, g], pins[1][:, g]) + 0 * x[:, 0]
                    for g, op in enumerate(ours.op[c])
                ]  # type: ignore[arg-type]
            )
            hardened = torch.einsum("g,gbl->bl", weight.detach(), gates)
            mixed = torch.einsum("g,gbl->bl", soft, gates)
            nodes.append(mixed + (hardened - mixed).detach() if hard else mixed)
    return torch.stack(nodes, 1)


@pytest.mark.parametrize("estimator", ["soft", "gumbel", "hard", "gumbel-hard"])
@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ((1, 4, 5), {"reads": 1, "padding": 1, "stride": 2}),
        ((3, 4, 4), {"reads": 2}),
        ((2, 9), {"field": 4, "padding": 1}),
    ],
)
def test_values_and_gradients_are_the_papers_formula(
    shape: tuple[int, ...], values: dict[str, int], estimator: str
) -> None:
    ours = layer(shape, estimator=estimator, **values)
    rng = np.random.default_rng(1)
    hard, noisy = estimator.endswith("hard"), estimator.startswith("gumbel")
    features = int(np.prod(shape))
    x = torch.from_numpy(rng.random((BLOCKS, features, cpu.LANES), np.float32)).requires_grad_()
    y = ours(x, hard, 0.7, np.random.default_rng(3) if noisy else None)
    upstream = torch.from_numpy(rng.standard_normal(y.shape, np.float32))
    (y * upstream).sum().backward()
    noise = torch.zeros(CHANNELS, SLOTS)
    if noisy:
        drawn = ours.relaxation.noise((CHANNELS, SLOTS), np.random.default_rng(3))
        assert drawn is not None
        noise = torch.from_numpy(drawn)
    exact_x = x.detach().double().requires_grad_()
    logits = ours.functions.detach().double().requires_grad_()
    expected = formula(ours, exact_x, logits, noise.double(), hard=hard)
    (expected * upstream).sum().backward()  # type: ignore[no-untyped-call]
    assert y.shape == expected.shape
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)
    assert ours.functions.grad is not None
    assert x.grad is not None
    torch.testing.assert_close(ours.functions.grad.double(), logits.grad, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(x.grad.double(), exact_x.grad, rtol=1e-4, atol=1e-4)


def test_inputs_without_a_gradient_give_the_functions_the_same() -> None:
    ours = layer((1, 6, 6), reads=1)
    x = torch.rand(BLOCKS, 36, cpu.LANES, generator=torch.Generator().manual_seed(0))
    ours(x.clone().requires_grad_(), False).square().sum().backward()
    assert ours.functions.grad is not None
    first = ours.functions.grad.clone()
    ours.functions.grad = None
    ours(x, False).square().sum().backward()
    # two kernels, whose sums the compiler may order differently: they do without AVX-512
    torch.testing.assert_close(ours.functions.grad, first)


LAYERS: list[dict[str, Any]] = [
    {"kind": "conv", "width": 6, "depth": 1, "reads": 1, "padding": 1, "connections": "slots"},
    {"kind": "or-pool"},
    {"kind": "conv", "width": 8, "depth": 1, "field": 2, "connections": "slots"},
    {"kind": "dense", "width": 30},
]


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), axes=st.integers(1, 2))
def test_a_hard_forward_is_the_lowered_netlist(seed: int, axes: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = tuple(LayerConfig(init="gaussian", **values) for values in LAYERS)
    sides = rng.integers(4, 7, axes).tolist()
    threshold = np.sort(rng.integers(1, 16, (int(np.prod(sides)), 2)), axis=1).astype(np.int32)
    shape, order = encoder.arranged(tuple(sides), axes, 2)
    sources = Sources(np.arange(threshold.size, dtype=np.int32), shape=shape, order=order)
    net = Network(ModelConfig(kinds, tau=1.0, estimator="hard"), sources, 3, rng)
    for each in net.layers:
        if isinstance(each, SlotConvLayer):
            each.op.copy_(torch.from_numpy(rng.integers(0, 16, each.op.shape)))
    thermometer = Thermometer(threshold, FixedPoint(4))
    model = Checkpoint(thermometer, net.hardened(), ("a", "b", "c"), 1.0)
    assert isinstance(model.layers[0], ConvLayer)
    x = rng.integers(0, 16, (70, len(threshold)))
    with torch.no_grad():
        logits = net(blocks(thermometer.encode(x), np.arange(70)), hard=True)[:70]
    assert np.array_equal(logits.numpy(), lower(model).scores(x))


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 3), st.integers(2, 3))
def test_slots_read_different_places_of_their_nodes_channels(
    seed: int, inputs: int, reads: int, field: int
) -> None:
    reads = min(reads, inputs)
    ours = layer((inputs, 5, 5), width=8, reads=reads, field=field)
    drawn = ours.pairs(np.array([1, 6]), np.random.default_rng(seed))
    for rows, source in ((np.arange(8), ours.source.numpy()), (np.array([1, 6]), drawn)):
        assert (source[:, 0] != source[:, 1]).all()
        for c, pairs in zip(rows, source, strict=True):
            assert np.isin(pairs // field**2, ours.channels[c].numpy()).all()
    if reads == 1:
        assert np.array_equal(ours.channels[:, 0].numpy(), np.arange(8) % inputs)


def test_settled_kernels_are_drawn_anew() -> None:
    ours = layer((2, 6, 6), patience=5, reads=1)
    adam = torch.optim.Adam(ours.parameters())
    with torch.no_grad():
        ours.functions.zero_()
        ours.functions[0, 5] = 9  # certain
        ours.functions[2, 5] = 3.5  # in between
    before, ops = ours.source.clone(), ours.op.clone()
    for step in range(6):
        ours.after_step(adam, (0, 1, step, 1))
    assert torch.equal(ours.source[0, :, 5], before[0, :, 5])
    assert ours.op[0, 5] == ops[0, 5]
    assert ours.functions[0].argmax() == 5
    assert not torch.equal(ours.source[0], before[0])
    assert not torch.equal(ours.source[1], before[1])
    assert torch.equal(ours.source[2], before[2])


def test_the_cost_is_that_of_the_gates_drawn() -> None:
    ours = layer((1, 6, 6), reads=1)
    ours.op.fill_(1)  # AND
    assert regularise.penalty(ours, lut_cost=1.0, entropy=0.0).item() == pytest.approx(1)
    ours.op.fill_(5)  # a wire
    assert regularise.penalty(ours, lut_cost=1.0, entropy=0.0).item() == pytest.approx(0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depth": 3}, r"^Slots choose single gates, not trees of depth 3\. Set the layer's depth to 1"),
        ({"k": 4}, r"^Slots hold 2-input gates, not dlgn nodes of 4 inputs"),
        ({"field": 1, "reads": 1}, r"^A window of one place has no pair\. Set field or reads higher"),
        ({"reads": 3}, r"^A tree cannot read 3 of 2 channels"),
    ],
)
def test_settings_that_do_not_fit(values: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        layer((2, 5, 5), **values)


def test_other_connections_are_refused() -> None:
    kinds = (LayerConfig(kind="conv", connections="learned"), LayerConfig(width=30))
    sources = Sources(np.arange(25, dtype=np.int32), shape=(1, 5, 5))
    with pytest.raises(UsageError, match=r"^A convolution's connections cannot be learned\. Leave"):
        Network(ModelConfig(kinds), sources, 3, np.random.default_rng(0))


DIGITS = [
    'model.layers=[{kind="conv", width=32, depth=1, padding=1, reads=1, connections="slots", init="gaussian", patience=3},'
    ' {kind="conv", width=64, depth=1, stride=2, padding=1, reads=1, connections="slots", init="gaussian", patience=3},'
    ' {width=300, connections="slots", init="gaussian", patience=3}]',
    "encoder.levels=3", "data.augment=none", "train.epochs=8", "train.lr=0.1", "train.batch=32",
    "model.tau_rule=auto", "train.freeze=[0.7, 0.8]",
]  # fmt: skip


def test_a_run_learns_digits_and_resumes_exactly(tmp_path: Path) -> None:
    digits = data.load("digits")

    def stop(now: Progress) -> None:
        if (now.epoch, now.step) == (5, 5):
            raise KeyboardInterrupt

    found = config.load("digits", [*DIGITS, "train.resample=0.6"])
    straight = train(found, digits, out=tmp_path / "straight.safetensors")
    out = tmp_path / "m.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(found, digits, out=out, progress=stop)
    resumed = train(found, digits, out=out, resume=True)
    still = train(config.load("digits", [*DIGITS, "train.resample=0"]), digits, out=out)
    assert straight.metadata["validation_accuracy"] > 0.7  # eight epochs; chance is 0.1
    differ = 0
    for ours, theirs, others in zip(straight.layers, resumed.layers, still.layers, strict=True):
        for name in ("parameters", "leaf", "fanin"):
            if hasattr(ours, name):
                assert np.array_equal(getattr(ours, name), getattr(theirs, name))
                differ += not np.array_equal(getattr(ours, name), getattr(others, name))
    assert differ
