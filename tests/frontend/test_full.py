import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lgc.errors import UsageError
from lgc.frontend import config, data
from lgc.frontend.checkpoint import Layer
from lgc.frontend.config import LayerConfig
from lgc.frontend.connections import Sources, wire
from lgc.frontend.kernels import cpu, full
from lgc.frontend.layers import FullLayer, LutLayer, wired
from lgc.frontend.layers.full import initial_choice
from lgc.frontend.progress import Progress
from lgc.frontend.train import train

FEATURES, SOURCES = 40, 27


def layer(choose: str, *, width: int = 1003, k: int = 2, init: str = "normal") -> FullLayer:
    """More pins than a chunk of the kernels has rows."""
    settings = LayerConfig(
        width=width, k=k, relaxation="light", connections="full", choose=choose, choice_init=init
    )
    rng = np.random.default_rng(0)
    sources = Sources(np.arange(3, 3 + SOURCES, dtype=np.int32))
    built = wired(settings, wire(settings, sources, 1, rng), rng)
    assert isinstance(built, FullLayer)
    return built


def formula(ours: FullLayer, x: Tensor, choice: Tensor, *, exact: bool) -> Tensor:
    """The layer in float64: pins, then the polynomial through the node's soft table."""
    weights = choice.softmax(2)
    if exact:
        best = torch.nn.functional.one_hot(weights.argmax(2), SOURCES).double()
        weights = weights + (best - weights).detach()
    pins = torch.einsum("wkc,bcl->kbwl", weights, x[:, ours.index.long()])
    table = ours.nodes.functions.detach().double().sigmoid()
    y = torch.zeros(pins.shape[1:], dtype=torch.float64)
    for row in range(table.shape[1]):
        factors = [pin if row >> p & 1 else 1 - pin for p, pin in enumerate(pins)]
        y = y + math.prod(factors[1:], start=factors[0]) * table[None, :, row, None]
    return y


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("choose", ["softmax", "hard"])
def test_values_and_gradients_are_the_formulas(choose: str, k: int) -> None:
    ours = layer(choose, k=k)
    ours.dtype = torch.float32
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.random((2, FEATURES, cpu.LANES), np.float32)).requires_grad_()
    upstream = torch.from_numpy(rng.standard_normal((2, 1003, cpu.LANES), np.float32))
    y = ours(x, False)
    (y * upstream).sum().backward()
    exact_x = x.detach().double().requires_grad_()
    choice = ours.choice.detach().double().requires_grad_()
    expected = formula(ours, exact_x, choice, exact=choose == "hard")
    (expected * upstream).sum().backward()  # type: ignore[no-untyped-call]
    assert exact_x.grad is not None
    assert choice.grad is not None
    assert x.grad is not None
    assert ours.choice.grad is not None
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(x.grad.double(), exact_x.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.choice.grad.double(), choice.grad, rtol=1e-4, atol=1e-5)
    assert choice.grad.abs().max() > 0.1


def test_the_mapping_of_dwn() -> None:
    """Weights get `(2 x - 1) g`, inputs `softmax(W / 0.001)` times the pin's g."""
    ours = layer("dwn", init="uniform")
    ours.dtype = torch.float32
    rng = np.random.default_rng(1)
    x = torch.from_numpy(np.rint(rng.random((2, FEATURES, cpu.LANES), np.float32))).requires_grad_()
    seen: list[Tensor] = []

    def keep(_: object, into: tuple[Tensor, ...], __: object) -> None:
        seen.append(into[0])

    ours.nodes.register_full_backward_hook(keep)
    upstream = torch.from_numpy(rng.standard_normal((2, 1003, cpu.LANES), np.float32))
    y = ours(x, False)
    (y * upstream).sum().backward()
    assert x.grad is not None
    assert ours.choice.grad is not None
    pin_grad = seen[0].double().view(2, 1003, 2, cpu.LANES)
    bits = 2 * x.detach().double()[:, 3 : 3 + SOURCES] - 1
    torch.testing.assert_close(
        ours.choice.grad.double(), torch.einsum("bwkl,bcl->wkc", pin_grad, bits), rtol=1e-4, atol=1e-4
    )
    sharp = (ours.choice.detach().double() / 0.001).softmax(2)
    expected = torch.zeros((2, FEATURES, cpu.LANES), dtype=torch.float64)
    expected[:, 3 : 3 + SOURCES] = torch.einsum("wkc,bwkl->bcl", sharp, pin_grad)
    torch.testing.assert_close(x.grad.double(), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(
        y.double(), formula(ours, x.detach().double(), ours.choice.detach().double(), exact=True)
    )


def test_bfloat16_products_are_near_float32_and_do_not_depend_on_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = (torch.rand(3, FEATURES, cpu.LANES, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    found = {}
    for cores in (1, 3):
        monkeypatch.setattr("lgc.frontend.kernels.threads.cores", lambda cores=cores: cores)
        for dtype in (torch.float32, torch.bfloat16):
            ours = layer("softmax")
            ours.dtype = dtype
            y = ours(x, False)
            y.square().sum().backward()
            assert ours.choice.grad is not None
            found[cores, dtype] = (y.detach(), ours.choice.grad)
    for dtype in (torch.float32, torch.bfloat16):
        for one, three in zip(found[1, dtype], found[3, dtype], strict=True):
            assert torch.equal(one, three)
    for exact, rough in zip(found[1, torch.float32], found[1, torch.bfloat16], strict=True):
        assert not torch.equal(exact, rough)
        assert (exact - rough).abs().max() < 0.01 * exact.abs().max()


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40), st.sampled_from([1.0, 1000.0]))
def test_softmax_is_accurate(logits: list[float], sharpness: float) -> None:
    row = np.array([logits], np.float32)
    out = np.empty_like(row)
    full.weigh(row, sharpness, out, full._NO_HALF)
    exact = torch.from_numpy(row).double().mul(sharpness).softmax(1).numpy()
    gap = np.abs(row - row.max()) * sharpness
    np.testing.assert_allclose(out, exact, rtol=2e-6 + 3e-7 * gap.clip(0, 90).max(), atol=1e-30)


def test_nan_is_not_lost() -> None:
    row = np.array([[0.0, np.nan, 1.0]], np.float32)
    out = np.empty_like(row)
    full.weigh(row, 1.0, out, full._NO_HALF)
    assert np.isnan(out).any()


@given(st.floats(-(2.0**99), 2.0**99, width=32))
def test_rounding_is_that_of_bfloat16(value: float) -> None:
    x = np.full((1, 1, cpu.LANES), value, np.float32)
    half = torch.empty((1, cpu.LANES), dtype=torch.bfloat16)
    full.flatten(x, np.zeros(1, np.int32), np.empty(1, np.float32), *full._views(half))
    assert torch.equal(half[0], torch.full((cpu.LANES,), value).bfloat16())


def test_starts() -> None:
    rng = np.random.default_rng(0)
    dirac = initial_choice("dirac", (50, 2, 20), rng)
    assert (dirac.max(2) > 9.9).all()
    assert ((dirac > 5).sum(2) == 1).all()
    assert (np.bincount(dirac.argmax(2).ravel(), minlength=20) == 5).all()
    assert 0.005 < np.median(np.abs(dirac)) < 0.009
    uniform = initial_choice("uniform", (50, 2, 20), rng)
    assert 0 <= uniform.min() < 0.01
    assert 0.99 < uniform.max() <= 1
    np.testing.assert_allclose(initial_choice("normal", (50, 20, 20), rng).std(), 1, rtol=0.03)


def test_hardened_wiring_is_the_heaviest() -> None:
    ours = layer("softmax", width=10)
    fanin = ours.hardened().fanin
    assert fanin.dtype == np.int32
    assert np.array_equal(fanin, ours.choice.detach().numpy().argmax(2) + 3)


def test_settings_that_contradict_each_other() -> None:
    for settings, message in (
        (LayerConfig(choose="dwn", connections="learned"), "^DWN's learnable mapping chooses among all"),
        (LayerConfig(choose="hard"), "^With connections = random there is nothing to choose"),
    ):
        rng = np.random.default_rng(0)
        with pytest.raises(UsageError, match=message):
            wired(settings, wire(settings, Sources(np.arange(20, dtype=np.int32)), 1, rng), rng)


class Interrupt:
    """Presses Ctrl-C in the middle of the second epoch."""

    def __call__(self, progress: Progress) -> None:
        if (progress.epoch, progress.step) == (2, 5):
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("choose", "init", "rate", "better_than"),
    [("softmax", "normal", 0.1, 0.8), ("hard", "dirac", 0.1, 0.75), ("dwn", "uniform", 0.02, 0.7)],
)
def test_full_connections_learn_digits_and_resume(
    choose: str, init: str, rate: float, better_than: float, tmp_path: Path
) -> None:
    digits = data.load("digits")
    nodes = (
        f'{{width=300, k=2, relaxation="light", init="gaussian", connections="full", choose="{choose}",'
        f' choice_init="{init}"}}'
    )
    settings = config.load(
        "digits",
        [f"model.layers=[{nodes}]", "data.augment=none", "train.epochs=4", f"train.lr_connections={rate}",
         "model.harden=0.5", "train.lr=0.1", "model.tau=3"],
    )  # fmt: skip
    straight = train(settings, digits, out=tmp_path / "straight.safetensors")
    assert straight.metadata["validation_accuracy"] > better_than  # four epochs; chance is 0.1
    out = tmp_path / "resumed.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(settings, digits, out=out, progress=Interrupt())
    resumed = train(settings, digits, out=out, resume=True)
    for ours, theirs in zip(straight.layers, resumed.layers, strict=True):
        assert isinstance(ours, Layer)
        assert isinstance(theirs, Layer)
        assert np.array_equal(ours.parameters, theirs.parameters)
        assert np.array_equal(ours.fanin, theirs.fanin)


@pytest.mark.parametrize(("connections", "k"), [("learned", 2), ("local", 4)])
def test_candidates_chosen_hard_have_the_softmaxs_gradient(connections: str, k: int) -> None:
    """Mommen's choice with relaxed nodes: the heaviest is read, all logits have a gradient."""
    settings = LayerConfig(
        width=9, k=k, relaxation="light", connections=connections, candidates=5, choose="hard"
    )
    rng = np.random.default_rng(0)
    place = np.stack(np.divmod(np.arange(FEATURES), 8), 1).astype(np.float32)
    sources = Sources(np.arange(FEATURES, dtype=np.int32), place)
    ours = wired(settings, wire(settings, sources, 1, rng), rng)
    assert isinstance(ours, LutLayer)
    assert ours.choice is not None
    x = torch.from_numpy(rng.random((2, FEATURES, cpu.LANES), np.float32)).requires_grad_()
    upstream = torch.from_numpy(rng.standard_normal((2, 9, cpu.LANES), np.float32))
    y = ours(x, False)
    (y * upstream).sum().backward()
    exact_x = x.detach().double().requires_grad_()
    choice = ours.choice.detach().double().requires_grad_()
    weights = choice.softmax(2)
    best = torch.nn.functional.one_hot(weights.argmax(2), 5).double()
    weights = weights + (best - weights).detach()
    pins = torch.einsum("wkc,bwkcl->kbwl", weights, exact_x[:, ours.source.long()])
    table = ours.functions.detach().double().sigmoid()
    expected = torch.zeros(y.shape, dtype=torch.float64)
    for row in range(table.shape[1]):
        factors = [pin if row >> p & 1 else 1 - pin for p, pin in enumerate(pins)]
        expected = expected + math.prod(factors[1:], start=factors[0]) * table[None, :, row, None]
    (expected * upstream).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert exact_x.grad is not None
    assert ours.choice.grad is not None
    assert choice.grad is not None
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(x.grad.double(), exact_x.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.choice.grad.double(), choice.grad, rtol=1e-4, atol=1e-4)
