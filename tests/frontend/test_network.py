import itertools
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
from lgc.frontend.checkpoint import Checkpoint
from lgc.frontend.config import LayerConfig, ModelConfig
from lgc.frontend.connections import Sources, Wiring
from lgc.frontend.kernels import cpu
from lgc.frontend.layers import LutLayer
from lgc.frontend.lower import lower
from lgc.frontend.network import Network, blocks
from lgc.frontend.relaxations import ESTIMATORS, RELAXATIONS
from lgc.frontend.train import Progress, train
from lgc.ir.encoder import FixedPoint, Thermometer

from .test_relaxations import DIFFLOGIC

KINDS = [(name, k) for name, kind in RELAXATIONS.items() for k in kind.ks]
PAIRS = [(name, k, est) for name, k in KINDS for est in RELAXATIONS[name].estimators]
BLOCKS, FEATURES, NODES = 2, 12, 5


def corners(pins: Tensor) -> Tensor:
    """Weight of each table row, `[rows, ...]`, from pins `[k, ...]`."""
    rows = []
    for bits in itertools.product((0, 1), repeat=len(pins)):
        factors = [pin if bit else 1 - pin for pin, bit in zip(pins, reversed(bits), strict=True)]
        rows.append(math.prod(factors[1:], start=factors[0]))
    return torch.stack(rows)


def formula(name: str, estimator: str, pins: Tensor, p: Tensor, temperature: float, noise: Tensor) -> Tensor:
    """One node as its paper has it: `pins` `[k, n]`, parameters `p`, straight-through if hard."""
    k = len(pins)
    if name == "dlgn":
        z = p + noise
        gates = torch.stack([gate(pins[0], pins[1]) + 0 * pins[0] for gate in DIFFLOGIC])  # type: ignore[arg-type]
        soft = (z / temperature).softmax(0) @ gates
        hard = gates[z.argmax()]
    elif name == "light":
        soft = ((p + noise) / temperature).sigmoid() @ corners(pins)
        hard = (p + noise > 0).double() @ corners(pins)
    else:
        signs = 1 - 2 * pins
        products = [
            math.prod((signs[q] for q in range(k) if s >> q & 1), start=0 * signs[0] + 1) for s in range(2**k)
        ]
        z = p @ torch.stack(products)
        soft = ((-z + noise) / temperature).sigmoid()
        hard = (-z + noise > 0).double()
    return soft + (hard - soft).detach() if "hard" in estimator else soft


def dwn(pins: Tensor, p: Tensor, seed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Output of a DWN node, and the gradients its paper gives pins and entries for that of the output."""
    k = len(pins)
    address = sum(pins[q].long() << q for q in range(k))
    assert isinstance(address, Tensor)
    pin_grad = torch.zeros_like(pins)
    for q, other in itertools.product(range(k), range(2**k)):
        far = torch.tensor([((int(a) ^ other) & ~(1 << q)).bit_count() for a in address])
        pin_grad[q] += (2 * (other >> q & 1) - 1) * p[other] * 0.5 * 0.75 ** (k - 1) / 3.0**far
    entry_grad = torch.zeros_like(p).index_add_(0, address, seed)
    return (p[address] > 0).double(), pin_grad * seed, entry_grad


@pytest.mark.parametrize("candidates", [1, 3])
@pytest.mark.parametrize(("name", "k", "estimator"), PAIRS)
def test_layers_and_their_gradients_are_the_papers_formulas(
    name: str, k: int, estimator: str, candidates: int
) -> None:
    rng = np.random.default_rng(k)
    settings = LayerConfig(width=NODES, k=k, relaxation=name, init="gaussian")
    source = rng.integers(0, FEATURES, (NODES, k, candidates)).astype(np.int32)
    layer = LutLayer(settings, Wiring(source), rng, estimator=estimator)
    hard, noisy = estimator.endswith("hard"), estimator.startswith("gumbel")
    x = rng.random((BLOCKS, FEATURES, cpu.LANES), np.float32)
    x = torch.from_numpy(np.rint(x) if hard else x).requires_grad_()
    y = layer(x, hard, 0.7, np.random.default_rng(3) if noisy else None)
    seed = torch.from_numpy(rng.standard_normal(y.shape, np.float32))
    (y * seed).sum().backward()

    on_functions = RELAXATIONS[name].noise(tuple(layer.functions.shape), np.random.default_rng(3))
    noise = torch.zeros(NODES, 1)
    if noisy and on_functions is not None:
        noise = torch.from_numpy(on_functions)
    elif noisy:
        noise = 0.7 * layer._output_noise(BLOCKS, 0.7, np.random.default_rng(3)).transpose(0, 1).flatten(1)
    exact_x = x.detach().double().requires_grad_()
    functions = layer.functions.detach().double().requires_grad_()
    choice = None if layer.choice is None else layer.choice.detach().double().requires_grad_()
    weights = torch.ones(source.shape, dtype=torch.float64)
    if choice is not None:
        weights = choice.softmax(2)
        if hard:
            best = torch.nn.functional.one_hot(weights.argmax(2), candidates).double()
            weights = weights + (best - weights).detach()
    rows = exact_x.transpose(0, 1).flatten(1)
    upstream = seed.double().transpose(0, 1).flatten(1)
    found = y.detach().double().transpose(0, 1).flatten(1)
    for i in range(NODES):
        pins = (rows[source[i]] * weights[i, :, :, None]).sum(1)
        if name == "dwn":
            expected, pin_grad, entry_grad = dwn(pins.detach().round(), functions[i].detach(), upstream[i])
            (pins * pin_grad).sum().backward(retain_graph=True)
            (functions[i] * entry_grad).sum().backward()
        else:
            expected = formula(name, estimator, pins, functions[i], 0.7, noise[i].double())
            (expected * upstream[i]).sum().backward(retain_graph=True)
        torch.testing.assert_close(found[i], expected.detach(), rtol=1e-5, atol=2e-5)
    pairs = [(layer.functions, functions), (x, exact_x)]
    if choice is not None and layer.choice is not None:
        pairs.append((layer.choice, choice))
    for ours, theirs in pairs:
        assert ours.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-3)


def network(name: str, k: int, *, seed: int = 0, estimator: str = "soft", layers: int = 2) -> Network:
    widths = [LayerConfig(width=20, k=k, relaxation=name, init="gaussian") for _ in range(layers)]
    widths[0] = LayerConfig(width=20, k=k, relaxation=name, connections="learned", candidates=2, residual=0)
    settings = ModelConfig(tuple(widths), tau=1.0, estimator=estimator)
    return Network(settings, Sources(np.arange(15, dtype=np.int32)), 4, np.random.default_rng(seed))


@pytest.mark.parametrize(("name", "k"), KINDS)
@given(seed=st.integers(0, 2**32))
def test_a_hard_forward_is_the_lowered_netlist(name: str, k: int, seed: int) -> None:
    net = network(name, k, seed=seed, estimator="hard")
    threshold = np.tile([4, 8, 12], (5, 1)).astype(np.int32)
    encoder = Thermometer(threshold, FixedPoint(4))
    model = Checkpoint(encoder, net.hardened(), tuple("abcd"), 1.0)
    x = np.random.default_rng(seed).integers(0, 16, (70, 5))
    with torch.no_grad():
        counts = net(blocks(encoder.encode(x), np.arange(70)), hard=True)[:70].numpy()
    assert np.array_equal(np.rint(counts), lower(model).scores(x))
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-4)


@pytest.mark.parametrize("estimator", ["gumbel", "gumbel-hard"])
@pytest.mark.parametrize("name", ["dlgn", "light", "warp"])
def test_noise_depends_on_its_seed_alone(name: str, estimator: str) -> None:
    net = network(name, 2, estimator=estimator)
    x = (torch.rand(2, 15, cpu.LANES, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    hard = estimator.endswith("hard")
    first = net(x, hard=hard, noise=(0, 1, 1))
    assert torch.equal(first, net(x, hard=hard, noise=(0, 1, 1)))
    for other in ((1, 1, 1), (0, 2, 1), (0, 1, 2), ()):
        assert not torch.equal(first, net(x, hard=hard, noise=other))
    if hard:
        assert torch.equal(first, first.round())


def test_noise_has_the_gumbel_and_logistic_distributions() -> None:
    rng = np.random.default_rng(0)
    gumbel = RELAXATIONS["dlgn"].noise((20000, 16), rng)
    logistic = RELAXATIONS["light"].noise((20000, 16), rng)
    assert gumbel is not None
    assert logistic is not None
    np.testing.assert_allclose([gumbel.mean(), gumbel.var()], [np.euler_gamma, np.pi**2 / 6], rtol=0.02)
    outputs = np.empty((3, 700, cpu.LANES), np.float32)
    cpu.logistic_noise(np.uint64(5), 2.0, outputs, 0, 3)
    for sample in (2 * logistic, outputs):
        np.testing.assert_allclose(sample.mean(), 0, atol=0.05)
        np.testing.assert_allclose(sample.var(), 4 * np.pi**2 / 3, rtol=0.03)
        np.testing.assert_allclose(np.quantile(sample, 0.9), 2 * np.log(9), rtol=0.03)
    again = np.empty_like(outputs)
    for block in (2, 0, 1):  # as other threads would
        cpu.logistic_noise(np.uint64(5), 2.0, again, block, block + 1)
    assert np.array_equal(outputs, again)


@given(st.floats(-200, 200, width=32))
def test_probabilities_are_accurate(logit: float) -> None:
    values = np.full(cpu.LANES, logit, np.float32)
    cpu._probability(values, np.empty(cpu.LANES, np.int32))
    exact = 1 / (1 + math.exp(-logit)) if logit > -100 else 0
    np.testing.assert_allclose(values, exact, rtol=3e-7 + 2e-7 * abs(logit), atol=1e-37)
    np.testing.assert_allclose(values, exact, atol=2e-7)


def test_probabilities_keep_what_is_no_number() -> None:
    values = np.full(cpu.LANES, np.nan, np.float32)
    cpu._probability(values, np.empty(cpu.LANES, np.int32))
    assert np.isnan(values).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimators_of_dwn(estimator: str) -> None:
    if estimator == "hard":
        network("dwn", 3, estimator=estimator)
        return
    with pytest.raises(UsageError, match="^The relaxation dwn has no estimator"):
        network("dwn", 3, estimator=estimator)


def test_nodes_that_do_not_exist() -> None:
    with pytest.raises(UsageError, match=r"^The relaxation warp has no nodes of 1 inputs\. .* light"):
        network("warp", 1)


def test_dwn_entries_stay_within_bounds() -> None:
    net = network("dwn", 2, estimator="hard")
    layer = net.layers[0]
    assert isinstance(layer, LutLayer)
    with torch.no_grad():
        layer.functions.mul_(100)
    net.eval()(torch.zeros(1, 15, cpu.LANES), hard=True)
    assert layer.functions.abs().max() > 1
    net.train()(torch.zeros(1, 15, cpu.LANES), hard=True)
    assert layer.functions.abs().max() == 1


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [2, 2, 2]), ("linear", [2, 1.25, 0.5]), ("exponential", [2, 1, 0.5])],
)
def test_temperature_schedules(schedule: str, expected: list[float]) -> None:
    model = ModelConfig(temperature=2.0, temperature_end=0.5, temperature_schedule=schedule)
    assert [model.temperature_at(done) for done in (0, 0.5, 1)] == pytest.approx(expected)


class Interrupt:
    """Presses Ctrl-C in the middle of the second epoch."""

    def __call__(self, progress: Progress) -> None:
        if (progress.epoch, progress.step) == (2, 5):
            raise KeyboardInterrupt


LEARNERS = [
    ("dlgn", 2, "gumbel-hard", "gaussian"),
    ("light", 4, "gumbel", "catalogue"),
    ("warp", 4, "gumbel-hard", "residual"),
    ("warp", 6, "soft", "catalogue"),
    ("dwn", 6, "hard", "gaussian"),
]


@pytest.mark.parametrize(("name", "k", "estimator", "init"), LEARNERS)
def test_every_node_learns_digits_and_resumes(
    name: str, k: int, estimator: str, init: str, tmp_path: Path
) -> None:
    digits = data.load("digits")
    layer = f'{{width=300, k={k}, relaxation="{name}", connections="random-unique", init="{init}"}}'
    settings = config.load(
        "digits",
        [
            f"model.layers=[{layer}]", f"model.estimator={estimator}", "data.augment=none", "train.epochs=3",
            "model.temperature_end=0.5", "model.temperature_schedule=linear", "model.harden=0.9",
        ],
    )  # fmt: skip
    straight = train(settings, digits, out=tmp_path / "straight.safetensors")
    assert straight.metadata["validation_accuracy"] > 0.6  # three epochs; chance is 0.1
    out = tmp_path / "resumed.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(settings, digits, out=out, progress=Interrupt())
    resumed = train(settings, digits, out=out, resume=True)
    for ours, theirs in zip(straight.layers, resumed.layers, strict=True):
        assert np.array_equal(ours.parameters, theirs.parameters)
