"""Networks built by torchlogix itself, in eval mode, against what is imported of them."""

import itertools

import numpy as np
import pytest
import torch

from lgc import importing
from lgc.frontend.importers import Options
from lgc.frontend.lower import lower

from . import foreign, packages


@pytest.fixture(scope="module")
def layers():
    return packages.torchlogix()


CASES = [
    (kind, k, connections)
    for kind, k, connections in itertools.product(("raw", "warp", "light"), (2, 4, 6), ("fixed", "learnable"))
    if kind != "raw" or k == 2
]


@pytest.mark.parametrize(("kind", "k", "connections"), CASES)
def test_every_score(layers, tmp_path, kind, k, connections):
    torch.manual_seed(k)
    common = {"parametrization": kind, "lut_rank": k, "connections": connections}
    model = torch.nn.Sequential(
        layers.LogicDense(12, 30, **common), layers.LogicDense(30, 24, **common), layers.GroupSum(3, tau=2.0)
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    model.eval()
    torch.save(model.state_dict(), tmp_path / "t.pth")
    options = Options(inputs=(12,), classes=3, parametrization=kind, tau=2.0)
    found = importing.read(tmp_path / "t.pth", options=options)
    x = foreign.every_pattern(12)
    with torch.no_grad():
        logits = model(torch.from_numpy(x).float())
    assert found.format == "torchlogix"
    assert np.array_equal(found.scores(x), (logits * 2).round().long().numpy())


def test_fixed_thresholds_are_in_the_file(layers, tmp_path):
    torch.manual_seed(0)
    thresholds = torch.tensor([[0.1, 0.2, 0.7], [0.3, 0.5, 0.6], [0.2, 0.4, 0.8], [0.1, 0.5, 0.9]])
    model = torch.nn.Sequential(
        layers.FixedBinarization(thresholds, feature_dim=-2),
        layers.LogicDense(12, 24),
        layers.GroupSum(2, tau=1.0),
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    model.eval()
    torch.save(model.state_dict(), tmp_path / "t.pth")
    found = importing.read(tmp_path / "t.pth", options=Options(inputs=(4,), classes=2, scale=255.0))
    x = np.random.default_rng(0).integers(0, 256, (400, 4)).astype(np.uint8)
    with torch.no_grad():
        logits = model(torch.from_numpy(x).float() / 255)
    assert np.array_equal(lower(found.checkpoint).scores(x), logits.round().long().numpy())
