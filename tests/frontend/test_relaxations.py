from collections.abc import Callable

import numpy as np
import pytest
import torch

from lgc.errors import LgcError
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


@pytest.mark.parametrize("name", sorted(RELAXATIONS))
@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_soft_tables(name: str, k: int) -> None:
    kind = relaxation(name)
    count = kind.parameters(k)
    if not count:
        assert (name, k == 2) == ("dlgn", False)
        return
    parameters = kind.initial(40, k, 0.0, np.random.default_rng(0))
    assert (parameters.dtype, parameters.shape) == (np.float32, (40, count))
    soft = kind.soft(torch.from_numpy(parameters).double().requires_grad_())
    assert soft.shape == (40, 2**k)
    assert ((soft > 0) & (soft < 1)).all()
    # scaling the parameters up turns the soft table into the hard one
    limit = kind.soft(torch.from_numpy(parameters).double() * 1e6).numpy()
    assert np.array_equal(np.rint(limit).astype(bool), kind.hard(parameters))


@pytest.mark.parametrize("name", sorted(RELAXATIONS))
def test_residual_start_passes_the_first_input(name: str) -> None:
    kind = relaxation(name)
    parameters = kind.initial(500, 2, 0.9, np.random.default_rng(0))
    assert np.array_equal(kind.hard(parameters), np.tile([False, True, False, True], (500, 1)))
    mean = kind.soft(torch.from_numpy(parameters)).mean(0)
    assert mean[1] > 0.89
    assert mean[0] < 0.11
    different = kind.initial(5, 2, 0.9, np.random.default_rng(1))
    assert different.dtype == np.float32


def test_residual_is_the_probability_of_gate_a() -> None:
    z = torch.from_numpy(Dlgn().initial(1, 2, 0.9, np.random.default_rng(0)))
    assert z.softmax(1)[0, 3].item() == pytest.approx(0.9)


@pytest.mark.parametrize(("name", "k"), [("dlgn", 2), ("light", 2), ("light", 4)])
def test_gradients(name: str, k: int) -> None:
    kind = relaxation(name)
    start = torch.from_numpy(kind.initial(3, k, 0.0, np.random.default_rng(2))).double().requires_grad_()
    assert torch.autograd.gradcheck(kind.soft, (start,))


def test_unknown_relaxation() -> None:
    with pytest.raises(LgcError, match=r"^There is no relaxation 'dlng'\. Did you mean dlgn"):
        relaxation("dlng")
