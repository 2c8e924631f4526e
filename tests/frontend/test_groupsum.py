import math

import pytest
import torch

from lgc.frontend.config import LayerConfig, ModelConfig
from lgc.frontend.groupsum import GroupSum
from lgc.frontend.kernels import cpu


def head(rule: str, tau: float = 2.0, width: int = 600) -> GroupSum:
    return GroupSum(ModelConfig(layers=(LayerConfig(width=width),), tau=tau, tau_rule=rule), 10, width)


@pytest.mark.parametrize(
    ("rule", "tau"),
    [
        ("fixed", 2.0),
        ("sqrt", 2 * math.sqrt(60)),
        ("auto", math.sqrt(10)),
        ("adavar", math.sqrt(60)),
        ("learned", 2.0),
    ],
)
def test_rules(rule: str, tau: float) -> None:
    assert head(rule).tau == pytest.approx(tau)


def test_counts_of_contiguous_groups() -> None:
    x = torch.zeros(2, 600, cpu.LANES)
    x[1, 60:63, 5] = 1
    logits = head("fixed")(x)
    assert logits.shape == (2 * cpu.LANES, 10)
    assert logits[cpu.LANES + 5].tolist() == [0, 1.5, *[0] * 8]
    assert logits.sum() == 1.5


def test_adavar_follows_the_spread_of_the_counts() -> None:
    readout = head("adavar")
    torch.manual_seed(0)
    counts = 30 + 24 * torch.randn(5000, dtype=torch.float64)
    sums = torch.stack([counts.new_tensor(counts.numel()), counts.sum(), counts.square().sum()])
    first = readout.tau
    readout.observe(sums)
    assert readout.tau == pytest.approx(0.97 * first + 0.03 * counts.std().item() / 6, rel=1e-3)
    for _ in range(400):
        readout.observe(sums)
    assert readout.tau == pytest.approx(4, rel=0.03)
    readout.observe(torch.tensor([1.0, 0.0, 1e9], dtype=torch.float64))
    assert readout.tau == 10  # n / 6
    assert "average" in readout.state_dict()


def test_learned_tau_has_the_gradient_of_the_formula() -> None:
    readout = head("learned")
    x = torch.rand(1, 600, cpu.LANES)
    labels = torch.arange(cpu.LANES) % 10
    torch.nn.functional.cross_entropy(readout(x), labels).backward()
    tau = torch.tensor(math.log(2.0), dtype=torch.float64, requires_grad=True)
    plain = x[0].double().view(10, 60, cpu.LANES).sum(1).T / tau.exp()
    torch.nn.functional.cross_entropy(plain, labels).backward()
    assert readout.log_tau.grad is not None
    assert tau.grad is not None
    assert readout.log_tau.grad.item() == pytest.approx(tau.grad.item(), rel=1e-4)
