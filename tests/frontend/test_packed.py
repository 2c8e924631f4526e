"""Layers on packed bits: what `lgc.frontend.kernels.packed` gives, next to rows of float32."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lgc.frontend.kernels import bits, cpu, layer, stack, threads
from lgc.frontend.kernels.autograd import monomials, stacked
from lgc.frontend.kernels.functions import Functions
from lgc.frontend.kernels.layer import Nodes
from lgc.frontend.kernels.packed import pack, tables
from lgc.frontend.relaxations import RELAXATIONS

FEATURES, NODES, BLOCKS = 37, 24, 3
MODES = ("soft", "logistic", "noisy", "hard", "hard logistic", "hard noisy", "hard slope")


def nodes(k: int, mode: str, candidates: int, features: int, rng: torch.Generator) -> Nodes:
    """A layer whose tensors want gradients."""
    source = torch.randint(0, features, (NODES, k, candidates), generator=rng, dtype=torch.int32)
    source[0] = source[0, 0].clone()  # all pins of a node may read one source
    coef = monomials(torch.randn((NODES, 2**k), generator=rng)).requires_grad_()
    weight = exact = slope = noise = None
    if candidates > 1:
        best = torch.randint(0, candidates, (NODES, k), generator=rng)
        weight = torch.nn.functional.one_hot(best, candidates).float().requires_grad_()
    if mode.startswith("hard") and "noisy" not in mode:
        exact = monomials((torch.rand((NODES, 2**k), generator=rng) < 0.5).float())
    if mode == "hard slope":
        slope = monomials(torch.randn((NODES, 2**k), generator=rng))
    if "noisy" in mode:
        noise = torch.randn((BLOCKS, NODES, cpu.LANES), generator=rng)
    logistic = "logistic" in mode or "noisy" in mode
    return Nodes(source, coef, weight, exact, slope, noise, logistic, mode.startswith("hard"))


def results(k: int, mode: str, candidates: int, groups: int, depth: int) -> tuple[list[Tensor], list[str]]:
    """Outputs and all gradients of a stack on bits, and the classes of its layers."""
    rng = torch.Generator().manual_seed(k)
    x = (torch.rand((BLOCKS, FEATURES, cpu.LANES), generator=rng) < 0.4).float().requires_grad_()
    parts = [nodes(k, mode, candidates, NODES if i else FEATURES, rng) for i in range(depth)]
    seed = torch.randn((BLOCKS, groups or NODES, cpu.LANES), generator=rng)
    used: list[str] = []
    prepare = stack.prepare

    def watched(layers: list[Nodes], x_bits: bool, grouped: bool) -> list[layer.Layer]:
        made = prepare(layers, x_bits, grouped)
        used.extend(type(each).__name__ for each in made)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack, "prepare", watched)
        y = stacked(x, parts, groups)
        for _ in range(2):  # activations are gone the second time
            (y * seed).sum().backward(retain_graph=True)
    leaves = [x] + [leaf for each in parts for leaf in (each.coef, each.weight) if leaf is not None]
    return [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)], used


@pytest.mark.parametrize("permute", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_bits_and_rows_agree(k: int, mode: str, permute: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if permute and not bits.permutes():
        pytest.skip("this processor has no AVX-512")
    for candidates, groups in ((1, 0), (1, 6), (3, 0)):
        if candidates > 1 and not mode.startswith("hard"):
            continue  # soft layers weigh their candidates
        monkeypatch.setattr(bits, "permutes", lambda: permute)
        ours, used = results(k, mode, candidates, groups, 2)
        assert used == ["BitLayer", "BitLayer" if mode.startswith("hard") else "Layer"]
        with monkeypatch.context() as patch:
            patch.setattr(stack, "_packed", lambda _: None)
            theirs, plain = results(k, mode, candidates, groups, 2)
        assert plain == ["Layer", "Layer"]
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=2e-5, atol=2e-4)


@pytest.mark.parametrize("mode", ["hard", "hard noisy", "logistic"])
def test_packed_results_do_not_depend_on_the_number_of_threads(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for cores in (1, 2, 5):
        monkeypatch.setattr(threads, "cores", lambda cores=cores: cores)
        found.append(results(4, mode, 1, 6, 3)[0])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_processors_without_permutes_get_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    if not bits.permutes():
        pytest.skip("this processor has no AVX-512")
    found = []
    for permute in (False, True):
        monkeypatch.setattr(bits, "permutes", lambda permute=permute: permute)
        found.append(results(6, "hard logistic", 1, 6, 3)[0])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0, 1e-30, float("nan")])
def test_numbers_that_are_no_bits_stay_rows(value: float) -> None:
    x = torch.ones((2, 3, cpu.LANES))
    assert pack(x.numpy(), np.empty((2, 3), np.uint64), 0, 2)
    x[1, 2, 63] = value
    assert not pack(x.numpy(), np.empty((2, 3), np.uint64), 0, 2)
    assert stack._packed(x.numpy()) is None


def test_polynomials_that_are_no_bits_stay_rows() -> None:
    rng = torch.Generator().manual_seed(0)
    x = (torch.rand((1, FEATURES, cpu.LANES), generator=rng) < 0.5).float()
    first, second = (nodes(2, "hard", 1, FEATURES if i == 0 else NODES, rng) for i in range(2))
    assert first.exact is not None
    first.exact[3, 0] += 0.25
    expected = stacked(stacked(x, [first]), [second])
    torch.testing.assert_close(stacked(x, [first, second]), expected, rtol=1e-6, atol=1e-6)
    assert (expected * 4 % 4).any()


@given(st.integers(1, 6), st.integers(0, 2**32))
def test_words_are_the_tables_entries(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 2, (NODES, 2**k))
    x = rng.integers(0, 2, (1, FEATURES, cpu.LANES))
    source = rng.integers(0, FEATURES, (NODES, k, 1)).astype(np.int32)
    exact = monomials(torch.from_numpy(table).float())
    given_ = Nodes(torch.from_numpy(source), torch.zeros_like(exact), exact=exact, hard=True)
    y = stacked(torch.from_numpy(x).float(), [given_])
    row = (x[0][source[:, :, 0]] << np.arange(k)[None, :, None]).sum(1)
    assert np.array_equal(y[0].numpy(), np.take_along_axis(table, row, axis=1))
    words = np.empty(NODES, np.uint64)
    assert tables(table.astype(np.float32), words)
    assert np.array_equal((words[:, None] >> np.arange(2**k).astype(np.uint64)) & np.uint64(1), table)


def test_gradients_are_those_of_float64() -> None:
    rng = torch.Generator().manual_seed(1)
    for k in (2, 4, 6):
        x = (torch.rand((1, FEATURES, cpu.LANES), generator=rng) < 0.5).float().requires_grad_()
        given_ = nodes(k, "hard", 1, FEATURES, rng)
        seed = torch.randn((1, NODES, cpu.LANES), generator=rng)
        (stacked(x, [given_]) * seed).sum().backward()
        exact_x = x.detach().double().requires_grad_()
        coef = given_.coef.detach().double().requires_grad_()
        pins = exact_x[:, given_.source[:, :, 0].long()]
        y = torch.zeros((1, NODES, cpu.LANES), dtype=torch.float64)
        for s in itertools.product((0, 1), repeat=k):
            chosen = [pins[:, :, p] for p in range(k) if s[p]]
            product = torch.stack(chosen).prod(0) if chosen else torch.ones_like(y)
            y = y + coef[:, sum(b << p for p, b in enumerate(s)), None] * product
        (y * seed.double()).sum().backward()
        for ours, theirs in ((x, exact_x), (given_.coef, coef)):
            assert ours.grad is not None
            assert theirs.grad is not None
            torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "k"), [("dlgn", 2), ("light", 1), ("light", 5), ("warp", 3), ("warp", 6), ("dwn", 4)]
)
@given(seed=st.integers(0, 2**32), noisy=st.booleans())
def test_kernels_round_as_hardening_does(name: str, k: int, seed: int, noisy: bool) -> None:
    rng = np.random.default_rng(seed)
    kind = RELAXATIONS[name]
    # small whole numbers make ties, those with thirds sums that depend on their order
    parameters = (rng.integers(-2, 3, (50, kind.parameters(k))) / rng.choice([1, 3], (50, 1))).astype(
        np.float32
    )
    noise = rng.integers(-1, 2, parameters.shape).astype(np.float32)
    noisy = noisy and name in {"dlgn", "light"}
    recipe = kind.recipe(1.0, torch.from_numpy(noise) if noisy else None)
    assert recipe is not None
    order = rng.permutation(50).astype(np.int32)
    place = np.argsort(order).astype(np.int32)
    made = Functions(torch.from_numpy(parameters), recipe, order, place, k, polynomials=True, words=True)
    for part in range(2):
        made.prepare(part, 2)
    expected = kind.hard(parameters + noise if noisy else parameters)[order]
    found = made.words[:, None] >> np.arange(2**k, dtype=np.uint64) & np.uint64(1)
    assert np.array_equal(found.astype(bool), expected)
