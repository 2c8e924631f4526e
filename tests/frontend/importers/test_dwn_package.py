"""Networks built by torch_dwn itself: state dicts, whole modules and live ones, thermometers included."""

import numpy as np
import pytest
import torch

import lgc
from lgc import importing
from lgc.frontend.importers import Options
from lgc.frontend.lower import lower

from . import foreign, packages


@pytest.fixture
def package(monkeypatch):
    return packages.dwn(monkeypatch)


def network(package, n, mapping, *, bits=10, permuted=False):
    """Two layers; 7 outputs for 3 classes, so that the group sum pads."""
    torch.manual_seed(n + 20)
    return torch.nn.Sequential(
        package.LUTLayer(bits, 9, n=n, mapping=mapping),
        package.LUTLayer(9, 7, n=n),
        package.GroupSum(k=3, tau=1 / 0.3, randperm=7 if permuted else False),
    ).eval()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("mapping", ["arange", "random", "learnable"])
@pytest.mark.parametrize("form", ["state dict", "module", "live"])
def test_every_score(package, tmp_path, n, mapping, form):
    model = network(package, n, mapping)
    x = foreign.every_pattern(10)
    expected = packages.counts(model, x, 1 / 0.3)
    if form == "state dict":
        torch.save(model.state_dict(), tmp_path / "d.pth")
        found = importing.read(tmp_path / "d.pth", options=Options(inputs=(10,), classes=3))
        assert found.format == "dwn"
    elif form == "module":
        torch.save(model, tmp_path / "d.pth")
        found = importing.read(tmp_path / "d.pth")
        assert found.format == "module"
    else:
        found = lgc.from_torch(model)
    assert np.array_equal(found.scores(x), expected)
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize("form", ["module", "live"])
def test_a_group_sum_that_permutes(package, tmp_path, form):
    model = network(package, 4, "learnable", permuted=True)
    torch.save(model, tmp_path / "d.pth")
    found = importing.read(tmp_path / "d.pth") if form == "module" else lgc.from_torch(model)
    x = foreign.every_pattern(10)
    assert np.array_equal(found.scores(x), packages.counts(model, x, 1 / 0.3))
    assert found.checkpoint.tau == 1 / 0.3


@pytest.mark.parametrize("kind", ["Thermometer", "GaussianThermometer", "DistributiveThermometer"])
@pytest.mark.parametrize("feature_wise", [True, False])
def test_thermometers(package, tmp_path, kind, feature_wise):
    """Fitted by the package, saved as an array, compared as 12-bit numbers with 8 bits after the point."""
    rng = np.random.default_rng(3)
    x = rng.integers(-2048, 2048, (400, 5)).astype(np.float32) / 256
    fitted = getattr(package, kind)(3, feature_wise).fit(torch.from_numpy(x))
    np.save(tmp_path / "t.npy", fitted.thresholds.numpy())
    model = network(package, 4, "random", bits=15)
    torch.save(model.state_dict(), tmp_path / "d.pth")
    given = importing.options(inputs="5", thresholds=str(tmp_path / "t.npy"), bits="s12.8", classes=3)
    found = importing.read(tmp_path / "d.pth", options=given)
    bits = fitted.binarize(torch.from_numpy(x)).flatten(start_dim=1)
    assert np.array_equal(lower(found.checkpoint).scores(x), packages.counts(model, bits.numpy(), 1 / 0.3))


def test_on_the_cpu_its_layers_are_not_asked(package, tmp_path, monkeypatch):
    """Their own look-up exists for CUDA only, and the import says so."""
    monkeypatch.undo()
    model = network(package, 2, "random")
    torch.save(model, tmp_path / "d.pth")
    facts = importing.run(tmp_path / "d.pth", tmp_path / "m.safetensors", "auto", None)
    assert facts["checked"] == "agreement with the original package was not checked"
    with pytest.raises(TypeError, match="exceptions must derive from BaseException"):
        model(torch.zeros(1, 10))
