import gc
import itertools
import re
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lgc.frontend.kernels import cpu, memory, stack, threads
from lgc.frontend.kernels.autograd import fused, monomials, stacked
from lgc.frontend.kernels.functions import Functions, Recipe
from lgc.frontend.kernels.layer import Nodes
from lgc.frontend.kernels.maps import HADAMARD, MOEBIUS, WALSH, Matrix
from lgc.frontend.kernels.parameters import softmax, transform
from lgc.frontend.kernels.warp import warp
from lgc.frontend.network import blocks


def reference(x: Tensor, source: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    """The layer's definition in plain autograd: the table row by row, weighed by its inputs."""
    pins = (x[:, source.long()] * weight[None, ..., None]).sum(3)
    k = source.shape[1]
    y = torch.zeros_like(pins[:, :, 0])
    for row, bits in enumerate(itertools.product((0, 1), repeat=k)):
        reached = torch.ones_like(y)
        for pin, bit in enumerate(reversed(bits)):
            reached = reached * (pins[:, :, pin] if bit else 1 - pins[:, :, pin])
        y = y + table[:, row, None] * reached
    return y


def problem(k: int, candidates: int, *, features: int = 9, nodes: int = 6, count: int = 3) -> list[Tensor]:
    rng = torch.Generator().manual_seed(k * 10 + candidates)
    x = torch.rand((count, features, cpu.LANES), generator=rng, dtype=torch.float64)
    source = torch.randint(0, features, (nodes, k, candidates), generator=rng, dtype=torch.int32)
    weight = torch.rand((nodes, k, candidates), generator=rng, dtype=torch.float64).softmax(2)
    table = torch.rand((nodes, 2**k), generator=rng, dtype=torch.float64)
    seed = torch.randn((count, nodes, cpu.LANES), generator=rng, dtype=torch.float64)
    return [x, source, weight, table, seed]


@pytest.mark.parametrize("candidates", [1, 3])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 6])
def test_outputs_and_gradients_match_autograd(k: int, candidates: int) -> None:
    x, source, weight, table, seed = problem(k, candidates)
    exact = [tensor.clone().requires_grad_() for tensor in (x, weight, table)]
    expected = reference(exact[0], source, exact[1], exact[2])
    (expected * seed).sum().backward()
    single = [tensor.float().requires_grad_() for tensor in (x, weight, table)]
    found = fused(single[0], source, single[1], monomials(single[2]))
    (found * seed.float()).sum().backward()
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(single, exact, strict=True):
        assert theirs.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad.float(), rtol=1e-4, atol=1e-3)


@given(st.integers(1, 6), st.integers(0, 2**32))
def test_bits_give_exact_bits(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 2, (5, 2**k))
    bits = rng.integers(0, 2, (1, 8, cpu.LANES))
    source = rng.integers(0, 8, (5, k, 1)).astype(np.int32)
    coef = monomials(torch.from_numpy(table).float())
    x = torch.from_numpy(bits).float()
    y = fused(x, torch.from_numpy(source), torch.ones(source.shape), coef)
    row = (bits[0][source[:, :, 0]] << np.arange(k)[None, :, None]).sum(1)
    assert np.array_equal(y[0].numpy(), np.take_along_axis(table, row, axis=1))


def test_exact_output_relaxed_gradient() -> None:
    x, source, weight, table, seed = (t.float() if t.is_floating_point() else t for t in problem(3, 1))
    coef = monomials(table).requires_grad_()
    hard = monomials((table > 0.5).float())
    y = fused(x, source, weight, coef, hard)
    torch.testing.assert_close(y, fused(x, source, weight, hard))
    (y * seed).sum().backward()
    given_coef = coef.grad
    coef.grad = None
    (fused(x, source, weight, coef) * seed).sum().backward()
    assert torch.equal(given_coef, coef.grad)  # type: ignore[arg-type]


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    x, source, weight, table, seed = (
        t.float() if t.is_floating_point() else t for t in problem(4, 3, features=40, nodes=50, count=7)
    )
    results = []
    for cores in (1, 2, 5):
        monkeypatch.setattr(threads, "cores", lambda cores=cores: cores)
        leaves = [tensor.clone().requires_grad_() for tensor in (x, weight, table)]
        y = fused(leaves[0], source, leaves[1], monomials(leaves[2]))
        (y * seed).sum().backward()
        results.append([y, *(leaf.grad for leaf in leaves)])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))  # type: ignore[arg-type]


def test_threads_pass_errors_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 2)

    def kernel(first: int, _: int) -> None:
        if first:
            raise ValueError("from the other thread")

    with pytest.raises(ValueError, match="from the other thread"):
        threads.share(kernel, 2)


@given(st.integers(1, 200), st.integers(1, 9))
def test_blocks_hold_the_samples_in_order(samples: int, bits: int) -> None:
    rng = np.random.default_rng(samples)
    data = rng.random((300, bits)) < 0.5
    order = rng.integers(0, 300, samples)
    x = blocks(data, order)
    assert x.shape == (-(-samples // cpu.LANES), bits, cpu.LANES)
    assert np.array_equal(x.transpose(1, 2).reshape(-1, bits)[:samples].numpy(), data[order])


IDENTITY = [1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ("affine", "change"),
    [
        (IDENTITY, lambda image: image),
        ([1, 0, 1, 0, 1, 0], lambda image: np.concatenate([image[1:], 0 * image[:1]])),
        ([1, 0, 0, 0, 1, -1], lambda image: np.concatenate([0 * image[:, :1], image[:, :-1]], axis=1)),
        ([0, 1, 0, -1, 0, 0], np.rot90),
        ([-1, 0, 0, 0, -1, 0], lambda image: image[::-1, ::-1]),
    ],
    ids=["identity", "up", "right", "quarter turn", "half turn"],
)
def test_warps_that_move_whole_pixels(affine: list[float], change: object) -> None:
    image = np.random.default_rng(0).random((1, 5, 5, 2), np.float32)
    out = np.empty_like(image)
    warp(image, np.array([affine], np.float32), np.zeros((1, 3, 3, 2), np.float32), out, 0, 1)
    np.testing.assert_allclose(out[0], change(image[0]), atol=1e-6)  # type: ignore[operator]


def test_warp_displaces_smoothly() -> None:
    ramp = np.tile(np.arange(9, dtype=np.float32), (9, 1))[None, :, :, None]
    grids = np.zeros((1, 3, 3, 2), np.float32)
    grids[0, 1, 1, 1] = 2  # the middle reads two columns further right
    out = np.empty_like(ramp)
    warp(ramp, np.array([IDENTITY], np.float32), grids, out, 0, 1)
    moved = (out - ramp)[0, :, :, 0]
    assert moved[4].tolist()[:5] == [0, 0.5, 1, 1.5, 2]
    assert not moved[0].any()


@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_fixed_wiring_is_one_candidate_of_weight_1(
    k: int, logistic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, source, _, table, seed = (
        t.float() if t.is_floating_point() else t for t in problem(k, 1, features=40, nodes=50, count=7)
    )
    source[0] = source[0, 0].clone()  # all pins of a node may read one source
    results = []
    for cores, weight in ((1, torch.ones(source.shape)), (1, None), (2, None), (5, None)):
        monkeypatch.setattr(threads, "cores", lambda cores=cores: cores)
        leaves = [tensor.clone().requires_grad_() for tensor in (x, table)]
        y = fused(leaves[0], source, weight, monomials(leaves[1]), logistic=logistic)
        (y * seed).sum().backward()
        results.append([y, *(leaf.grad for leaf in leaves)])
    for ours, theirs in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    for other in results[2:]:
        assert all(torch.equal(a, b) for a, b in zip(results[1], other, strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_groups_are_summed(k: int, logistic: bool) -> None:
    x, source, _, table, seed = (
        t.float() if t.is_floating_point() else t for t in problem(k, 1, features=40, nodes=12)
    )
    results = []
    for groups in (0, 4):
        leaves = [tensor.clone().requires_grad_() for tensor in (x, table)]
        y = fused(leaves[0], source, None, monomials(leaves[1]), logistic=logistic, groups=groups)
        if not groups:
            y = y.view(len(x), 4, -1, cpu.LANES).sum(2)
        (y * seed[:, :4]).sum().backward()
        results.append([y, *(leaf.grad for leaf in leaves)])
    for ours, theirs in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("squash", [0, 1, 2])
@pytest.mark.parametrize("matrix", [MOEBIUS, HADAMARD, WALSH, (1, 0, 0, 1), (0.3, 0.2, 0.5, -0.7)])
@given(k=st.integers(1, 6), nodes=st.integers(1, 40), noisy=st.booleans())
def test_transforms_are_kronecker_powers(
    squash: int, matrix: Matrix, k: int, nodes: int, noisy: bool
) -> None:
    rng = torch.Generator().manual_seed(nodes)
    given_, noise, seed = torch.randn((3, nodes, 2**k), generator=rng)
    power = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(k):
        power = torch.kron(torch.tensor(matrix, dtype=torch.float64).view(2, 2), power)
    ours, theirs = given_.clone().requires_grad_(), given_.double().requires_grad_()
    found = transform(ours, matrix, noise=noise if noisy else None, scale=0.7, squash=squash)
    expected = 0.7 * (theirs + noise.double()) if noisy else 0.7 * theirs
    expected = (expected.sigmoid() if squash == 1 else expected) @ power.T
    expected = expected.sigmoid() if squash == 2 else expected
    (found * seed).sum().backward()
    (expected * seed.double()).sum().backward()
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=5e-5)
    torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=2e-4)  # type: ignore[union-attr]


@given(nodes=st.integers(1, 40), spread=st.sampled_from([1.0, 30.0, 1000.0]), noisy=st.booleans())
def test_mixtures_are_softmax_times_a_basis(nodes: int, spread: float, noisy: bool) -> None:
    rng = torch.Generator().manual_seed(nodes)
    z, noise = torch.randn((2, nodes, 16), generator=rng)
    basis = (torch.rand((16, 4), generator=rng) < 0.5).float()
    ours, order = z * spread, torch.randperm(nodes, generator=rng)
    place = torch.argsort(order).int().numpy()
    recipe = Recipe(scale=1.3, basis=basis.numpy(), noise=noise if noisy else None)
    grads = torch.randn((2, nodes, 4), generator=rng)
    theirs = ours.double().requires_grad_()
    logits = theirs + noise.double() if noisy else theirs
    table = (1.3 * logits).softmax(1) @ basis.double()
    (table[order] * grads.sum(0).double()).sum().backward()
    results = []
    for parts in (1, 3):
        made = Functions(ours, recipe, order.int().numpy(), place, 2, polynomials=False, words=True)
        found = np.empty(nodes * 16, np.float32)
        for part in range(parts):
            made.prepare(part, parts)
        for part in range(parts):
            made.found(grads.numpy(), found, part, parts)
        results.append((made.coef, found, made.words))
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    close = {"rtol": 1e-4, "atol": 1e-4 * spread**0.5}
    coef, found, words = results[0]
    np.testing.assert_allclose(coef, table[order].detach(), **close)
    assert theirs.grad is not None
    np.testing.assert_allclose(found.reshape(nodes, 16), theirs.grad, **close)
    best = (ours + noise if noisy else ours).argmax(1)
    known = (basis[best].long() << torch.arange(4)).sum(1)
    assert words.tolist() == known[order].tolist()


@given(
    nodes=st.integers(1, 9),
    count=st.sampled_from([1, 2, 3, 4, 8, 16, 32, 48]),
    spread=st.sampled_from([1.0, 30.0, 1000.0]),
)
def test_softmaxes_of_short_rows(nodes: int, count: int, spread: float) -> None:
    rng = torch.Generator().manual_seed(nodes)
    ours = (torch.randn((nodes, 3, count), generator=rng) * spread).requires_grad_()
    theirs = ours.detach().double().requires_grad_()
    seed = torch.randn((nodes, 3, count), generator=rng)
    found, expected = softmax(ours), theirs.softmax(-1)
    (found * seed).sum().backward()
    (expected * seed.double()).sum().backward()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-5)  # type: ignore[union-attr]


def test_softmaxes_pass_nan_on() -> None:
    z = torch.zeros((4, 8))
    z[1, 3] = torch.nan
    assert softmax(z).isnan().any(1).tolist() == [False, True, False, False]


def layers(kinds: str) -> list[Nodes]:
    """Layers of 2 or 4 pins, wired or with candidates (m), some logistic (s), the same for each call."""
    rng = torch.Generator().manual_seed(len(kinds))
    out, features = [], 40
    for kind in kinds:
        k, count, nodes = (4 if kind == "s" else 2), (3 if kind == "m" else 1), 30
        source = torch.randint(0, features, (nodes, k, count), generator=rng, dtype=torch.int32)
        table = torch.rand((nodes, 2**k), generator=rng)
        weight = torch.rand((nodes, k, count), generator=rng).softmax(2).requires_grad_()
        coef = monomials(table).detach().requires_grad_()
        out.append(Nodes(source, coef, weight if kind == "m" else None, logistic=kind == "s"))
        features = nodes
    return out


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("groups", [0, 5])
@pytest.mark.parametrize("kinds", ["ff", "fff", "fmf", "sfs", "mms", "msf", "f"])
def test_a_stack_is_its_layers_one_by_one(
    kinds: str, groups: int, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "cores", lambda: cores)
    rng = torch.Generator().manual_seed(0)
    data = torch.rand((4, 40, cpu.LANES), generator=rng)
    seed = torch.randn((4, groups or 30, cpu.LANES), generator=rng)
    results = []
    for together in (True, False):
        x, parts = data.clone().requires_grad_(), layers(kinds)
        if together:
            y = stacked(x, parts, groups)
        else:
            y = x
            for i, each in enumerate(parts, 1):
                y = stacked(y, [each], groups if i == len(parts) else 0)
        for _ in range(2):  # activations are gone the second time
            (y * seed).sum().backward(retain_graph=True)
        leaves = [x] + [leaf for each in parts for leaf in (each.coef, each.weight) if leaf is not None]
        results.append([y, *(leaf.grad for leaf in leaves)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_rows_are_found_and_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(list[Tensor]):
        def pop(self, index: Any = -1) -> Tensor:
            assert memory._LOCK.locked()  # else another thread may have taken what was found
            return super().pop(index)

    spare = torch.empty(5 * cpu.LANES)
    monkeypatch.setattr(memory, "_SPARE", Watched([spare]))
    assert memory.Rows(1, [5])._all is spare


def test_a_pass_ends_with_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    begin = stack._Pass.__init__

    def watched(self: stack._Pass, *given: object) -> None:
        begin(self, *given)  # type: ignore[arg-type]
        passes.append(weakref.ref(self))

    monkeypatch.setattr(stack._Pass, "__init__", watched)
    gc.disable()
    try:
        y = stacked(torch.rand((1, 40, cpu.LANES)), layers("ff"))
        y.sum().backward()
        del y
        assert [each() for each in passes] == [None]
    finally:
        gc.enable()


def test_a_stack_sees_other_wiring() -> None:
    x, parts = torch.rand((1, 40, cpu.LANES)), layers("ff")
    stacked(x, parts)
    parts[0].source.copy_(parts[0].source.flip(0))
    again = stacked(stacked(x, parts[:1]), parts[1:])
    torch.testing.assert_close(stacked(x, parts), again)


def test_freed_memory_is_kept_in_large_pages() -> None:
    if not Path("/sys/kernel/mm/transparent_hugepage").is_dir():
        pytest.skip("this system has no transparent huge pages")
    if not memory.keep():
        pytest.skip("this C library has no mallopt")
    held = torch.ones(7 << 20)  # too large for a hole in what was there before
    middle = held.data_ptr() + (7 << 21)
    mapped = Path("/proc/self/smaps").read_text().split("\n")
    inside, flags = False, None
    for line in mapped:
        bounds = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
        if bounds:
            inside = int(bounds[1], 16) <= middle < int(bounds[2], 16)
        elif line.startswith("VmFlags:") and inside:
            flags = line.split()[1:]
    assert flags is not None
    assert "hg" in flags
