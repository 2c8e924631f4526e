import numpy as np
import pytest
import torch

from lgc.frontend import usage
from lgc.frontend.config import LayerConfig, ModelConfig
from lgc.frontend.connections import Sources
from lgc.frontend.network import Network
from lgc.frontend.regularise import expected_cost, penalty, undecided
from lgc.frontend.relaxations import relaxation


def decided(name: str, tables: np.ndarray) -> torch.Tensor:
    """Parameters that are sure of these truth tables, bool `[nodes, 4]`."""
    signs = 2.0 * tables - 1
    if name == "dlgn":
        from lgc.frontend.relaxations.dlgn import GATE_TABLES

        which = (GATE_TABLES[None] == tables[:, None]).all(2)
        return torch.from_numpy(60.0 * which)
    if name == "warp":
        from lgc.frontend.relaxations.warp import hadamard

        return torch.from_numpy(-60.0 * signs @ hadamard(2) / 4)
    return torch.from_numpy(signs if name == "dwn" else 60 * signs)


@pytest.mark.parametrize("name", ["dlgn", "light", "warp", "dwn"])
def test_decided_gates_cost_what_the_counters_say(name: str) -> None:
    tables = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(bool)
    fanin = np.tile(np.array([[0, 1]], np.int32), (16, 1))
    logic = usage.kinds(fanin, tables) == usage.KINDS.index("logic")
    kind, parameters = relaxation(name), decided(name, tables)
    assert np.array_equal(kind.hard(parameters.numpy()), tables)
    cost = expected_cost(kind, parameters)
    np.testing.assert_allclose(cost.numpy(), logic, atol=1e-6)
    np.testing.assert_allclose(undecided(kind, parameters).numpy(), 0, atol=1e-6)


def test_undecided_functions() -> None:
    assert undecided(relaxation("dlgn"), torch.zeros(3, 16)).tolist() == pytest.approx([1, 1, 1])
    assert undecided(relaxation("light"), torch.zeros(3, 8)).tolist() == pytest.approx([1, 1, 1])
    # ten of sixteen gates read both inputs
    assert expected_cost(relaxation("dlgn"), torch.zeros(2, 16)).tolist() == pytest.approx([0.625, 0.625])


@pytest.mark.parametrize("name", ["dlgn", "light", "warp"])
@pytest.mark.parametrize("of", [expected_cost, undecided])
def test_gradients(name: str, of: object) -> None:
    rows = 16 if name == "dlgn" else 4
    torch.manual_seed(0)
    parameters = torch.randn(5, rows, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: of(relaxation(name), z, 0.7), (parameters,))  # type: ignore[operator]


def network(**more: object) -> Network:
    layer = LayerConfig(width=40, connections="learned", candidates=4)
    config = ModelConfig(layers=(layer, layer), **more)  # type: ignore[arg-type]
    return Network(config, Sources(np.arange(30, dtype=np.int32)), 10, np.random.default_rng(0))


@pytest.mark.parametrize("weights", [{"lut_cost": 1.0, "entropy": 0.0}, {"lut_cost": 0.0, "entropy": 1.0}])
def test_descending_the_penalty_alone_decides_or_cheapens(weights: dict[str, float]) -> None:
    net = network()
    adam = torch.optim.Adam(net.parameters(), lr=0.1)
    first = penalty(net, **weights).item()
    for _ in range(100):
        adam.zero_grad()
        penalty(net, **weights).backward()
        adam.step()
    assert penalty(net, **weights).item() < 0.2 * first


def test_frozen_layers_are_left_out() -> None:
    net = network()
    both = penalty(net, lut_cost=0, entropy=1).item()
    net.layers[0].requires_grad_(False)
    assert penalty(net, lut_cost=0, entropy=1).item() < 0.7 * both
