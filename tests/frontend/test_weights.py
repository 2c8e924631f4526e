"""Weighted outputs: trained with their gradients, rounded, saved, lowered, counted alike everywhere."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lgc
from lgc.errors import LgcError, UsageError
from lgc.frontend import checkpoint, config, data
from lgc.frontend.checkpoint import Checkpoint, read_tensors, write_tensors
from lgc.frontend.config import LayerConfig, ModelConfig, ReadoutConfig
from lgc.frontend.connections import Sources
from lgc.frontend.groupsum import GroupSum, rounded
from lgc.frontend.importers import rebuild
from lgc.frontend.kernels import cpu
from lgc.frontend.lower import lower
from lgc.frontend.network import Network, blocks
from lgc.frontend.train import Progress, train
from lgc.ir.encoder import FixedPoint, Thermometer
from lgc.verification.software import model_scores

CLASSES, WIDTH = 3, 15
READOUTS = {
    "pattern": ReadoutConfig((1, 2, 4)),
    "each": ReadoutConfig(tuple(range(WIDTH))),
    "integer": ReadoutConfig((1, 2), "integer"),
    "power": ReadoutConfig((), "power", 8),
}


def head(readout: ReadoutConfig, *, rule: str = "fixed", spread: float = 0.0) -> GroupSum:
    settings = ModelConfig((LayerConfig(width=WIDTH),), tau=2.0, tau_rule=rule, readout=readout)
    found = GroupSum(settings, CLASSES, WIDTH)
    if found.weights is not None:
        with torch.no_grad():
            found.weights.add_(spread * torch.randn(found.weights.shape, generator=torch.manual_seed(0)))
    return found


def nearest_of(values: list[int], weight: float) -> int:
    return max(v for v in values if abs(v - weight) == min(abs(u - weight) for u in values))


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("name", READOUTS)
def test_logits_and_gradients_are_the_formulas(name: str, hard: bool) -> None:
    readout = READOUTS[name]
    ours = head(readout, spread=1.5)
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(2, WIDTH, cpu.LANES, generator=generator).requires_grad_()
    upstream = torch.randn(2 * cpu.LANES, CLASSES, generator=generator)
    logits = ours(x, hard)
    (logits * upstream).sum().backward()
    exact_x = x.detach().double().requires_grad_()
    if ours.weights is None:
        start = np.resize(readout.weights, WIDTH // CLASSES) if len(readout.weights) < WIDTH else None
        rows = (
            np.tile(start, (CLASSES, 1)) if start is not None else np.reshape(readout.weights, (CLASSES, -1))
        )
        w = torch.from_numpy(rows.astype(np.float64)).requires_grad_()
    else:
        w = ours.weights.detach().double().requires_grad_()
        assert w.min() >= 0
        assert w.max() <= readout.largest
    known = [0, 1, 2, 4, 8] if name == "power" else list(range(readout.largest + 1))
    used = w
    if hard and ours.weights is not None:
        near = torch.tensor([nearest_of(known, float(each)) for each in w.detach().flatten()])
        used = w + (near.view_as(w) - w).detach()
    per = exact_x.view(2, CLASSES, -1, cpu.LANES)
    expected = (per * used[None, :, :, None]).sum(2).transpose(1, 2).reshape(-1, CLASSES) / 2.0
    (expected * upstream).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(logits.double(), expected, rtol=1e-5, atol=1e-5)
    assert x.grad is not None
    torch.testing.assert_close(x.grad.double(), exact_x.grad, rtol=1e-5, atol=1e-5)
    if ours.weights is not None:
        assert ours.weights.grad is not None
        torch.testing.assert_close(ours.weights.grad.double(), w.grad, rtol=1e-4, atol=1e-4)


@given(st.floats(0, 40, width=32), st.integers(1, 40))
def test_rounding_takes_the_nearest(weight: float, largest: int) -> None:
    values = {
        "integer": list(range(largest + 1)),
        "power": [0, *(1 << i for i in range(largest.bit_length()))],
    }
    for learn, known in values.items():
        found = rounded(torch.tensor([weight]), ReadoutConfig((), learn, largest))
        assert found.item() == nearest_of(known, weight)


def test_rules_of_tau_count_what_weights_spread() -> None:
    """Five outputs a class, weighing 1, 2, 4, 1, 2: squares 26, sum 10."""
    readout = ReadoutConfig((1, 2, 4))
    assert head(readout, rule="sqrt").tau == pytest.approx(2 * 26**0.5)
    assert head(readout, rule="auto").tau == pytest.approx((26 / 6) ** 0.5)
    assert head(readout, rule="adavar").tau == pytest.approx(10 / 6)


def small(readout: ReadoutConfig, seed: int) -> tuple[Network, Thermometer]:
    rng = np.random.default_rng(seed)
    layers = (LayerConfig(width=20, init="gaussian"), LayerConfig(width=WIDTH, init="gaussian"))
    threshold = np.sort(rng.integers(1, 16, (6, 2)), axis=1).astype(np.int32)
    settings = ModelConfig(layers, tau=1.0, readout=readout)
    net = Network(settings, Sources(np.arange(12, dtype=np.int32)), CLASSES, rng)
    if net.head.weights is not None:
        with torch.no_grad():
            net.head.weights.add_(torch.from_numpy(rng.normal(0, 2, (CLASSES, 5)).astype(np.float32)))
    return net, Thermometer(threshold, FixedPoint(4))


@pytest.mark.parametrize("name", READOUTS)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_a_hard_forward_is_the_lowered_netlist(
    tmp_path_factory: pytest.TempPathFactory, name: str, seed: int
) -> None:
    net, encoder = small(READOUTS[name], seed)
    x = np.random.default_rng(seed).integers(0, 16, (70, 6))
    with torch.no_grad():
        logits = net(blocks(encoder.encode(x), np.arange(70)), hard=True)[:70]
    model = Checkpoint(encoder, net.hardened(), ("a", "b", "c"), 1.0, {}, net.head.hardened())
    scores = lower(model).scores(x)
    assert np.array_equal(logits.numpy(), scores)
    assert np.array_equal(model_scores(model, encoder.encode(x)), scores)
    path = tmp_path_factory.mktemp("weights") / "m.safetensors"
    checkpoint.save(path, model)
    assert read_tensors(path)[1]["format"] == 3
    loaded = checkpoint.load(path)
    assert np.array_equal(lower(loaded).scores(x), scores)
    with torch.no_grad():
        again = lgc.to_torch(loaded)(blocks(encoder.encode(x), np.arange(70)), hard=True)[:70]
    assert np.array_equal(again.numpy(), scores)


def test_to_torch_says_what_others_cannot_count() -> None:
    net, encoder = small(READOUTS["pattern"], 0)
    model = Checkpoint(encoder, net.hardened(), ("a", "b", "c"), 1.0, {}, net.head.hardened())
    with pytest.raises(UsageError, match=r"^difflogic counts every output once"):
        rebuild._only_dense(model, "difflogic")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": [1, -1]}, r"^model\.readout\.weights\.1 is -1; it must be 0 to 32767\.$"),
        ({"weights": [0]}, r"^All outputs of a class have the weight 0\."),
        ({"weights": [1] * 7}, r"has 7 weights; a class has 5 outputs\. Give at most 5"),
        (
            {"weights": [5], "learn": "power"},
            r"weights\.0 is 5; it must be 0 to 4\. Set model\.readout\.largest higher",
        ),
        ({"weight": [1]}, r"no setting model\.readout\.weight\. Did you mean weights"),
        ({"learn": "integers"}, r"model\.readout\.learn cannot be 'integers'\. Did you mean integer"),
        ({"weights": ["a"]}, r"model\.readout\.weights\.0 must be an integer, not 'a'"),
    ],
)
def test_settings_that_do_not_fit(values: dict[str, Any], message: str) -> None:
    def build() -> GroupSum:
        settings = config.TrainConfig.from_dict({"model": {"readout": values, "layers": [{"width": WIDTH}]}})
        return GroupSum(settings.model, CLASSES, WIDTH)

    with pytest.raises(UsageError, match=message):
        build()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(4, np.int32), "There are 4 weights for 15 outputs"),
        (np.full(WIDTH, -1, np.int32), "are negative"),
        (np.full(WIDTH, 2**30, np.int32), "reach more than"),
        (np.ones(WIDTH, np.int64), r"readout\.weight is int64 \[15\]; expected int32"),
    ],
)
def test_bad_weights_in_a_file(tmp_path: Path, weights: np.ndarray, message: str) -> None:
    net, encoder = small(READOUTS["pattern"], 0)
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, Checkpoint(encoder, net.hardened(), ("a", "b", "c"), 1.0, {}, net.head.hardened()))
    tensors, header = read_tensors(path)
    write_tensors(path, tensors | {"readout.weight": weights}, header)
    with pytest.raises(LgcError, match=message):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "readout",
    ["model.readout.weights=[1,2,4]", "model.readout.learn=integer", "model.readout.learn=power"],
)
def test_digits_are_learned_and_runs_resume_exactly(tmp_path: Path, readout: str) -> None:
    digits = data.load("digits")
    settings = config.load(
        "digits",
        ['model.layers=[{width=300, connections="learned"}, {width=100}]', readout, "data.augment=none", "train.epochs=6",
         "train.lr_weights=0.1", "model.tau_rule=auto", "model.harden=0.5"],
    )  # fmt: skip

    def stop(now: Progress) -> None:
        if (now.epoch, now.step) == (4, 5):
            raise KeyboardInterrupt

    straight = train(settings, digits, out=tmp_path / "straight.safetensors")
    out = tmp_path / "m.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(settings, digits, out=out, progress=stop)
    resumed = train(settings, digits, out=out, resume=True)
    assert straight.metadata["validation_accuracy"] > 0.7  # six epochs; chance is 0.1
    assert straight.weights is not None
    assert resumed.weights is not None
    assert np.array_equal(straight.weights, resumed.weights)
    assert len(np.unique(straight.weights)) > 1
    for ours, theirs in zip(straight.layers, resumed.layers, strict=True):
        assert np.array_equal(ours.parameters, theirs.parameters)  # type: ignore[union-attr]
    loaded = checkpoint.load(out)
    accuracy = (lower(loaded).predict(digits.test_x) == digits.test_y).mean()
    assert accuracy == resumed.metadata["test_accuracy"]
