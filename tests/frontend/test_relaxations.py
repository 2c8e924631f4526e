import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError, UsageError
from lgc.frontend.relaxations import RELAXATIONS, relaxation
from lgc.frontend.relaxations.dlgn import GATE_TABLES, Dlgn

# difflogic's own list of the sixteen gates, by id (Petersen 2022): the convention must match it
DIFFLOGIC: list[Callable[[int, int], int]] = [
    lambda _a, _b: 0,
    lambda a, b: a * b,
    lambda a, b: a - a * b,
    lambda a, _b: a,
    lambda a, b: b - a * b,
    lambda _a, b: b,
    lambda a, b: a + b - 2 * a * b,
    lambda a, b: a + b - a * b,
    lambda a, b: 1 - (a + b - a * b),
    lambda a, b: 1 - (a + b - 2 * a * b),
    lambda _a, b: 1 - b,
    lambda a, b: 1 - b + a * b,
    lambda a, _b: 1 - a,
    lambda a, b: 1 - a + a * b,
    lambda a, b: 1 - a * b,
    lambda _a, _b: 1,
]


@pytest.mark.parametrize("gate", range(16))
def test_gate_ids_are_difflogics(gate: int) -> None:
    for a in (0, 1):
        for b in (0, 1):
            assert GATE_TABLES[gate, a + 2 * b] == DIFFLOGIC[gate](a, b)


def probabilities(name: str, parameters: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """Probability of a 1 in each table row; DWN has bits instead."""
    soft = relaxation(name).soft(parameters, temperature)
    if name == "dwn":
        return (soft > 0).double()
    return soft.sigmoid() if relaxation(name).logistic else soft


@pytest.mark.parametrize("name", sorted(RELAXATIONS))
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_soft_tables(name: str, k: int) -> None:
    kind = relaxation(name)
    assert kind.name == name
    count = kind.parameters(k)
    if not count:
        assert (name, k) in {("dlgn", k), ("warp", 1), ("dwn", 1)} - {("dlgn", 2)}
        return
    parameters = kind.initial(40, k, 0.0, np.random.default_rng(0))
    assert (parameters.dtype, parameters.shape) == (np.float32, (40, count))
    soft = probabilities(name, torch.from_numpy(parameters).double())
    assert soft.shape == (40, 2**k)
    assert ((soft >= 0) & (soft <= 1)).all()
    # scaling the parameters up, or the temperature down, turns the soft table into the hard one
    for limit in (
        probabilities(name, torch.from_numpy(parameters).double() * 1e6),
        probabilities(name, torch.from_numpy(parameters).double(), 1e-6),
    ):
        assert np.array_equal(limit > 0.5, kind.hard(parameters))


@pytest.mark.parametrize("name", sorted(RELAXATIONS))
@pytest.mark.parametrize("k", [2, 4])
def test_residual_start_passes_the_first_input(name: str, k: int) -> None:
    kind = relaxation(name)
    if k not in kind.ks:
        return
    parameters = kind.initial(500, k, 0.9, np.random.default_rng(0))
    assert np.array_equal(kind.hard(parameters), np.tile([False, True] * 2 ** (k - 1), (500, 1)))
    mean = probabilities(name, torch.from_numpy(parameters)).mean(0)
    assert mean[1] > 0.89
    assert mean[0] < 0.11
    assert parameters.dtype == np.float32


@pytest.mark.parametrize("name", ["light", "warp"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_residual_probability_is_that_at_the_first_temperature(name: str, temperature: float) -> None:
    rng = np.random.default_rng(0)
    start = relaxation(name).initial(4000, 4, 0.951, rng, temperature=temperature)
    mean = probabilities(name, torch.from_numpy(start), temperature).mean(0)
    np.testing.assert_allclose(mean, [0.049, 0.951] * 8, atol=0.005)


@pytest.mark.parametrize("name", ["light", "warp"])
def test_a_catalogue_has_random_functions_at_the_rest(name: str) -> None:
    kind = relaxation(name)
    tables = kind.hard(kind.initial(1000, 4, 0.8, np.random.default_rng(0), init="catalogue"))
    other = (tables != np.tile([False, True], 8)).any(axis=1)
    assert 198 <= other.sum() <= 200  # a random table may be pass-first
    assert len(np.unique(tables[other], axis=0)) > 150
    assert 0.4 < tables[other].mean() < 0.6


@pytest.mark.parametrize(
    ("name", "estimator", "init", "message"),
    [
        ("dwn", "soft", "gaussian", r"^The relaxation dwn has no estimator soft\. .*hard"),
        ("dwn", "gumbel-hard", "gaussian", r"^The relaxation dwn has no estimator gumbel-hard\."),
        ("dwn", "hard", "catalogue", r"^The relaxation dwn has no init catalogue\. .*gaussian"),
        ("dlgn", "soft", "catalogue", r"^The relaxation dlgn has no init catalogue\."),
    ],
)
def test_what_a_source_does_not_define_is_refused(name: str, estimator: str, init: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        relaxation(name).check(estimator, init)


@given(st.integers(2, 6), st.integers(0, 2**32))
def test_warp_tables_are_signs_of_walsh_sums(k: int, seed: int) -> None:
    """The formula, product by product, at every corner."""
    w = np.random.default_rng(seed).standard_normal((3, 2**k), np.float32)
    for row in range(2**k):
        signs = [1 - 2 * (row >> p & 1) for p in range(k)]
        products = [math.prod(signs[p] for p in range(k) if s >> p & 1) for s in range(2**k)]
        z = w.astype(np.float64) @ products
        assert np.array_equal(relaxation("warp").hard(w)[:, row], -z > 0)
        np.testing.assert_allclose(
            relaxation("warp").soft(torch.from_numpy(w), 2.0)[:, row], -z / 2, atol=1e-5
        )


@given(st.integers(2, 6), st.integers(0, 2**32))
def test_dwn_slopes_are_the_extended_finite_difference(k: int, seed: int) -> None:
    """Its formula, address by address, with alpha and beta of the paper's code."""
    table = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (3, 2**k)))
    smooth = relaxation("dwn").slope(table)
    assert smooth is not None
    alpha, beta = 0.5 * 0.75 ** (k - 1), 0.25 / 0.75
    for address in range(2**k):
        for pin in range(k):
            expected = torch.zeros(3, dtype=torch.float64)
            for other in range(2**k):
                distance = ((address ^ other) & ~(1 << pin)).bit_count()
                sign = 1 if other >> pin & 1 else -1
                expected += sign * table[:, other] * alpha * beta**distance
            found = smooth[:, address | 1 << pin] - smooth[:, address & ~(1 << pin)]
            torch.testing.assert_close(found, expected)


def test_residual_is_the_probability_of_gate_a() -> None:
    z = torch.from_numpy(Dlgn().initial(1, 2, 0.9, np.random.default_rng(0)))
    assert z.softmax(1)[0, 3].item() == pytest.approx(0.9)


@pytest.mark.parametrize(("name", "k"), [("dlgn", 2), ("light", 2), ("light", 4), ("warp", 4)])
def test_gradients(name: str, k: int) -> None:
    kind = relaxation(name)
    start = torch.from_numpy(kind.initial(3, k, 0.0, np.random.default_rng(2))).double().requires_grad_()
    assert torch.autograd.gradcheck(kind.soft, (start,))


def test_unknown_relaxation() -> None:
    with pytest.raises(LgcError, match=r"^There is no relaxation 'dlng'\. Did you mean dlgn"):
        relaxation("dlng")
