"""Networks built by torchlogix itself, in eval mode, against what is imported of them."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from lgc import importing
from lgc.errors import MismatchError, UsageError
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


@pytest.mark.parametrize("temperature", [None, 0.3])
def test_learned_thresholds_of_a_state_dict(layers, tmp_path, temperature):
    """Version 0.2.2's rule; its temperature is an argument that the file does not hold."""
    torch.manual_seed(0)
    given = {} if temperature is None else {"temperature_softplus": temperature}
    bits = layers.LearnableBinarization(torch.tensor([[0.1, 0.2, 0.7], [0.3, 0.5, 0.6]]), **given)
    with torch.no_grad():
        bits.raw_diffs += torch.tensor([[0.02, -0.3, 0.1], [0.01, 0.05, -0.01]])
    model = torch.nn.Sequential(bits, layers.LogicDense(6, 20), layers.GroupSum(2))
    torch.nn.init.normal_(model[1].weight)
    model.eval()
    torch.save(model.state_dict(), tmp_path / "t.pth")
    rule = "softplus" if temperature is None else f"softplus={temperature}"
    options = Options(inputs=(2,), classes=2, scale=255.0, learned=rule)
    x = np.random.default_rng(0).integers(0, 256, (400, 2)).astype(np.uint8)
    found = importing.read(tmp_path / "t.pth", options=options)
    assert np.array_equal(
        lower(found.checkpoint).scores(x), packages.counts(model, x.astype(np.float32) / np.float32(255))
    )


def test_learned_thresholds_of_an_older_version(tmp_path):
    """0.2.1: the running sum of the differences, which may fall."""
    state = {
        "0.thresholds": torch.tensor([0.1, 0.2]),
        "0.raw_diffs": torch.tensor([0.5, -0.25]),
        "1.weight": torch.eye(16)[[3, 5]] * 4,  # pass the first input, pass the second
        "1.connections.indices": torch.tensor([[0, 0], [1, 1]]),
    }
    torch.save(state, tmp_path / "t.pth")
    options = Options(inputs=(1,), classes=2, scale=256.0, learned="cumsum")
    x = np.arange(256, dtype=np.uint8)[:, None]
    expected = np.stack([x[:, 0] / 256 > 0.5, x[:, 0] / 256 > 0.25], axis=1)
    found = importing.read(tmp_path / "t.pth", options=options)
    assert np.array_equal(lower(found.checkpoint).scores(x), expected)
    for rule in ("sum", "softplus=0", "softplus=x", "cumsum=1"):
        with pytest.raises(UsageError, match="Cannot read the rule"):
            importing.read(tmp_path / "t.pth", options=Options(inputs=(1,), classes=2, learned=rule))
    with pytest.raises(UsageError, match="Give --learned-thresholds softplus"):
        importing.read(tmp_path / "t.pth", options=Options(inputs=(1,), classes=2))


@pytest.mark.parametrize(("kind", "k", "connections"), CASES)
def test_the_command_asks_the_package(layers, tmp_path, kind, k, connections):
    """Without scores to check, the state dict is run by the package itself."""
    torch.manual_seed(k)
    common = {"parametrization": kind, "lut_rank": k, "connections": connections}
    model = torch.nn.Sequential(layers.LogicDense(12, 30, **common), layers.LogicDense(30, 24, **common))
    packages.random_weights(model)
    torch.save(model.state_dict(), tmp_path / "t.pth")
    given = {"parametrization": kind, "inputs": "12", "classes": 3}
    facts = importing.run(tmp_path / "t.pth", tmp_path / "m.safetensors", "auto", None, **given)
    assert facts["checked"].startswith("all scores of 256 random samples equal those of torchlogix")


def test_a_wrong_parametrization_is_found_by_asking(layers, tmp_path):
    """Import as Light what the package is told is WARP."""
    model = packages.random_weights(torch.nn.Sequential(layers.LogicDense(12, 30, parametrization="warp")))
    torch.save(model.state_dict(), tmp_path / "t.pth")
    options = Options(inputs=(12,), classes=3, parametrization="light")
    found = importing.read(tmp_path / "t.pth", options=options)
    with pytest.raises(MismatchError, match="Random sample 0, class 0: the imported network scores"):
        importing.ask_original(found, tmp_path / "t.pth", replace(options, parametrization="warp"))


def test_the_command_asks_difflogic(tmp_path):
    packages.difflogic()
    rng = np.random.default_rng(0)
    foreign.save_difflogic(tmp_path, rng, foreign.network(rng))
    given = {"connections": tmp_path / "wiring.npz", "inputs": "12", "classes": 3}
    facts = importing.run(tmp_path / "d.pth", tmp_path / "m.safetensors", "auto", None, **given)
    assert facts["checked"].startswith("all scores of 256 random samples equal those of difflogic")
