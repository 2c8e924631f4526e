"""The GPU kernels against the plain formula and the CPU kernels; `test_gpu` runs them.

On a GPU if there is one, else in Triton's interpreter: TRITON_INTERPRET=1 before Triton is imported.
"""

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lgc.frontend import devices
from lgc.frontend.checkpoint import Layer
from lgc.frontend.config import LayerConfig, ModelConfig, TrainConfig
from lgc.frontend.connections import Sources
from lgc.frontend.data import Dataset
from lgc.frontend.kernels import autograd, cpu, gpu
from lgc.frontend.network import Network, blocks
from lgc.frontend.relaxations import RELAXATIONS, Relaxation
from lgc.frontend.train import train
from lgc.ir.encoder import FixedPoint

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
assert DEVICE == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"

MODES = {
    "plain": {},
    "logistic": {"logistic": True},
    "noisy step": {"logistic": True, "hard": True, "noise": True},
    "exact": {"exact": True},
    "slope": {"slope": True, "exact": True},
    "noisy probability": {"logistic": True, "noise": True},
}


@pytest.fixture
def _few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Larger tiles: the interpreter takes its time per program, not per element."""
    if DEVICE == "cpu":
        monkeypatch.setattr(gpu, "_FORWARD_TILE", dict.fromkeys(range(1, 7), 8))
        monkeypatch.setattr(gpu, "_BACKWARD_TILE", dict.fromkeys(range(1, 7), 8))


def plain(x: Tensor, source: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    """The layer's definition: the table row by row, weighed by its inputs."""
    pins = (x[:, source.long()] * weight[None, ..., None]).sum(3)
    y = torch.zeros_like(pins[:, :, 0])
    for row, bits in enumerate(itertools.product((0, 1), repeat=source.shape[1])):
        reached = torch.ones_like(y)
        for pin, bit in enumerate(reversed(bits)):
            reached = reached * (pins[:, :, pin] if bit else 1 - pins[:, :, pin])
        y = y + table[:, row, None] * reached
    return y


def problem(
    k: int, candidates: int, *, features: int = 7, nodes: int = 9, count: int = 2
) -> dict[str, Tensor]:
    """Random float64 tensors; the last feature is read by nobody, the first node reads one source only."""
    rng = torch.Generator().manual_seed(10 * k + candidates)
    real = {"generator": rng, "dtype": torch.float64}
    source = torch.randint(0, features - 1, (nodes, k, candidates), generator=rng, dtype=torch.int32)
    source[0] = source[0, 0, 0]
    return {
        "x": torch.rand((count, features, cpu.LANES), **real),
        "source": source,
        "weight": torch.rand((nodes, k, candidates), **real).softmax(2),
        "table": torch.rand((nodes, 2**k), **real) - 0.4,
        "exact": torch.rand((nodes, 2**k), **real).round(),
        "slope": torch.rand((nodes, 2**k), **real),
        "noise": torch.randn((count, nodes, cpu.LANES), **real),
        "seed": torch.randn((count, nodes, cpu.LANES), **real),
    }


def single(given: dict[str, Tensor], device: str) -> dict[str, Tensor]:
    return {name: (t.float() if t.is_floating_point() else t).to(device) for name, t in given.items()}


def outcome(module: object, given: dict[str, Tensor], mode: dict[str, bool], fixed: bool) -> list[Tensor]:
    """Output and gradients of x, table and weight of the kernels in `module`."""
    names = ["x", "table"] if fixed else ["x", "table", "weight"]
    leaf = {name: given[name].clone().requires_grad_() for name in names}
    to = module.monomials  # type: ignore[attr-defined]
    y = module.fused(  # type: ignore[attr-defined]
        leaf["x"],
        given["source"],
        leaf.get("weight"),
        to(leaf["table"]),
        to(given["exact"]) if mode.get("exact") else None,
        slope=to(given["slope"]) if mode.get("slope") else None,
        noise=given["noise"] if mode.get("noise") else None,
        logistic=mode.get("logistic", False),
        hard=mode.get("hard", False),
    )
    (y * given["seed"]).sum().backward()
    grads = [leaf[name].grad for name in names]
    assert all(grad is not None for grad in grads)
    return [y.detach().cpu(), *(grad.cpu() for grad in grads if grad is not None)]


def formula(given: dict[str, Tensor], mode: dict[str, bool], fixed: bool) -> list[Tensor]:
    """The same in float64 by autograd, a function of the definition only."""
    names = ["x", "table"] if fixed else ["x", "table", "weight"]
    leaf = {name: given[name].clone().requires_grad_() for name in names}
    weight = leaf.get("weight", torch.ones_like(given["weight"]))
    value = plain(leaf["x"], given["source"], weight, leaf["table"])
    if mode.get("noise"):
        value = value + given["noise"]
    y = value.sigmoid() if mode.get("logistic") else value
    (y * given["seed"]).sum().backward()
    if mode.get("hard"):
        y = (value > 0).double()
    if mode.get("exact"):
        y = plain(leaf["x"], given["source"], weight, given["exact"])
    grads = [leaf[name].grad for name in names]
    if mode.get("slope"):  # of the inputs and weights, another polynomial's gradients
        flat = [t for t in (leaf["x"], leaf.get("weight")) if t is not None]
        other = plain(flat[0], given["source"], weight, given["slope"])
        mixed = torch.autograd.grad((other * given["seed"]).sum(), flat)
        grads = [mixed[0], grads[1], *mixed[1:]]
    return [y.detach(), *(grad for grad in grads if grad is not None)]


@pytest.mark.usefixtures("_few_programs")
@pytest.mark.parametrize(
    ("k", "candidates", "mode"),
    [
        *((2, candidates, mode) for candidates in (1, 3) for mode in MODES),
        *((k, 1, "plain") for k in (1, 3, 4, 5, 6)),
        *((k, 1, "noisy probability") for k in (1, 4)),
        (1, 5, "plain"),
        (4, 2, "noisy probability"),
    ],
)
def test_outputs_and_gradients(k: int, candidates: int, mode: str) -> None:
    given, fixed = problem(k, candidates), candidates == 1
    found = outcome(gpu, single(given, DEVICE), MODES[mode], fixed)
    for ours, exact in zip(found, formula(given, MODES[mode], fixed), strict=True):
        torch.testing.assert_close(ours, exact.float(), rtol=1e-5, atol=1e-4)
    for ours, theirs in zip(found, outcome(autograd, single(given, "cpu"), MODES[mode], fixed), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("candidates", "programs"), [(1, 1), (1, 4096), (3, 5)])
def test_sums_over_chunks_of_blocks(candidates: int, programs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem(2, candidates, features=40, nodes=11, count=5)
    monkeypatch.setattr(gpu, "_PROGRAMS", programs)
    mine = single(given, DEVICE)
    found = outcome(gpu, mine, {}, candidates == 1)
    for ours, exact in zip(found, formula(given, {}, candidates == 1), strict=True):
        torch.testing.assert_close(ours, exact.float(), rtol=1e-5, atol=1e-4)
    again = outcome(gpu, mine, {}, candidates == 1)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


def test_groups_are_summed() -> None:
    given = single(problem(2, 1, nodes=6), DEVICE)
    coef = gpu.monomials(given["table"])
    y = gpu.fused(given["x"], given["source"], None, coef)
    counts = gpu.fused(given["x"], given["source"], None, coef, groups=3)
    torch.testing.assert_close(counts, torch.stack([y[:, i : i + 2].sum(1) for i in (0, 2, 4)], 1))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_monomials_and_their_transposed_map(k: int) -> None:
    rng = torch.Generator().manual_seed(k)
    nodes = 2 * (256 >> k) + 1
    table, seed = torch.randn((2, nodes, 2**k), generator=rng)
    results = []
    for module, device in ((autograd, "cpu"), (gpu, DEVICE)):
        leaf = table.to(device).requires_grad_()
        coef = module.monomials(leaf)
        (coef * seed.to(device)).sum().backward()
        assert leaf.grad is not None
        results.append((coef.detach().cpu(), leaf.grad.cpu()))
    for ours, theirs in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("key", [0, 12345, 2**63 + 77, 2**64 - 1])
def test_noise_is_that_of_the_cpu(key: int) -> None:
    expected = np.empty((2, 9, cpu.LANES), np.float32)
    cpu.logistic_noise(np.uint64(key), 0.7, expected, 0, 2)
    found = gpu.logistic_noise(expected.shape, key, 0.7, DEVICE).cpu().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 64, 130])
def test_blocks_are_those_of_the_cpu(samples: int) -> None:
    rng = np.random.default_rng(samples)
    bits, order = rng.random((200, 5)) < 0.5, rng.integers(0, 200, samples)
    found = gpu.blocks(bits, order, DEVICE)
    assert found.is_contiguous()
    assert torch.equal(found.cpu(), blocks(bits, order))


def test_consumers_follow_the_wiring() -> None:
    source = torch.tensor([[[2], [0]], [[2], [3]]], dtype=torch.int32, device=DEVICE)
    first = gpu.consumers(source, 5)
    assert first.entry.tolist() == [1, 0, 2, 3]
    assert first.start.tolist() == [0, 1, 1, 3, 4, 4]
    assert gpu.consumers(source, 5) is first
    source[0, 0] = 4
    assert gpu.consumers(source, 5).start.tolist() == [0, 1, 1, 2, 3, 4]


@pytest.fixture
def as_on_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Send all layers to the GPU's kernels, which the interpreter runs on tensors of the CPU."""

    def switch() -> None:
        if DEVICE == "cpu":
            monkeypatch.setattr(devices, "on_gpu", lambda _: True)
            for kind in RELAXATIONS.values():  # as for parameters that are not the CPU's
                monkeypatch.setattr(type(kind), "coefficients", Relaxation.coefficients)

    return switch


@pytest.mark.parametrize("estimator", ["soft", "gumbel-hard"])
@pytest.mark.parametrize("relaxation", ["dlgn", "light", "warp"])
def test_networks_agree(relaxation: str, estimator: str, as_on_gpu: Callable[[], None]) -> None:
    first = LayerConfig(width=20, k=2, relaxation=relaxation, connections="learned", candidates=3)
    layers = (first, LayerConfig(width=9, k=2, relaxation=relaxation))
    x = blocks(np.random.default_rng(0).random((70, 12)) < 0.5, np.arange(70))
    results = []
    for device in ("cpu", DEVICE):
        if results:
            as_on_gpu()
        sources = Sources(np.arange(12, dtype=np.int32))
        model = ModelConfig(layers, estimator=estimator)
        network = Network(model, sources, 3, np.random.default_rng(1)).to(device)
        noise = (1, 2) if estimator.startswith("gumbel") else ()
        logits = network(x.to(device), hard=estimator.endswith("hard"), noise=noise)
        logits.square().sum().backward()
        grads = [item.grad for item in network.parameters()]
        results.append([logits.detach().cpu(), *(grad.cpu() for grad in grads if grad is not None)])
        hardened = network.hardened()
        results[-1] += [torch.from_numpy(each) for h in hardened for each in (h.fanin, h.parameters)]
    assert len(results[0]) == 8
    for ours, theirs in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_run_is_that_of_the_cpu(tmp_path: Path, as_on_gpu: Callable[[], None]) -> None:
    x = np.random.default_rng(0).integers(0, 16, (240, 6)).astype(np.uint8)
    y = (x[:, 0] > x[:, 1]).astype(np.int64)
    data = Dataset(x[:200], y[:200], x[200:], y[200:], ("no", "yes"), FixedPoint(4), None, "random")
    settings: dict[str, object] = {
        "data": {"validation": 60},
        "encoder": {"levels": 3},
        "model": {"layers": [{"width": 16, "k": 2, "relaxation": "light"}]},
    }
    results = []
    for name in ("cpu", "gpu", "again"):
        if name == "gpu":
            as_on_gpu()
        device = "cpu" if name == "cpu" or DEVICE == "cpu" else "auto"
        how = {"epochs": 1 if name == "again" else 2, "batch": 100, "device": device}
        out = tmp_path / f"{name}.safetensors"
        result = train(TrainConfig.from_dict(settings | {"train": how}), data, out=out)
        if name == "again":  # interrupted after one epoch
            how["epochs"] = 2
            result = train(TrainConfig.from_dict(settings | {"train": how}), data, out=out, resume=True)
        results.append(result)
    cpu_, gpu_, again = (result.layers[0] for result in results)
    assert isinstance(cpu_, Layer)
    assert isinstance(gpu_, Layer)
    assert isinstance(again, Layer)
    assert np.array_equal(cpu_.fanin, gpu_.fanin)
    np.testing.assert_allclose(gpu_.parameters, cpu_.parameters, rtol=1e-3, atol=1e-3)
    assert np.array_equal(again.parameters, gpu_.parameters)
