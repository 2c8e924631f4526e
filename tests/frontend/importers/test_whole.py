"""Whole modules and described state dicts: built by the packages, saved, and read without their code."""

import json
import re
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lgc import importing
from lgc.errors import LgcError, MismatchError, UsageError
from lgc.frontend import checkpoint
from lgc.frontend.graph import ConvLayer, Layer
from lgc.frontend.importers import Options
from lgc.frontend.lower import lower

from . import packages
from .test_live import RANKS


def seen(kind, k, case):
    """A module, the shape of its bits, and the description of its layers."""
    layers = packages.torchlogix()
    both = {"lut_rank": k, "parametrization": kind}
    flat, sums = {"type": "Flatten"}, {"type": "GroupSum", "k": 2, "tau": 4.0, "beta": 1.5}
    head = layers.GroupSum(2, tau=4.0, beta=1.5)
    if case in ("fixed", "learnable"):
        model = [layers.LogicDense(12, 30, connections=case, **both), layers.LogicDense(30, 24, **both), head]
        return model, (12,), [{"type": "LogicDense"}, {"type": "LogicDense"}, sums]
    if case == "conv2d":
        given = {"in_dim": [6, 5], "channels": 2, "receptive_field_size": [3, 2], "stride": 2, "padding": 1}
        model = [
            layers.LogicConv2d(
                (6, 5), channels=2, num_kernels=4, tree_depth=2, receptive_field_size=(3, 2), stride=2,
                padding=1, **both,
            ),
            layers.OrPooling2d(2, 1, padding=1),
            torch.nn.Flatten(),
            layers.LogicDense(64, 40, **both),
            head,
        ]  # fmt: skip
        pool = {"type": "OrPooling2d", "kernel_size": 2, "stride": 1, "padding": 1}
        return model, (2, 6, 5), [{"type": "LogicConv2d"} | given, pool, flat, {"type": "LogicDense"}, sums]
    if case == "conv3d":
        given = {"in_dim": [4, 5, 4], "channels": 2, "receptive_field_size": 3, "padding": 1}
        model = [
            layers.LogicConv3d(
                (4, 5, 4), channels=2, num_kernels=3, tree_depth=1, receptive_field_size=3, padding=1, **both
            ),
            layers.OrPooling3d(2, 2),
            torch.nn.Flatten(),
            layers.LogicDense(24, 20, **both),
            head,
        ]
        pool = {"type": "OrPooling3d", "kernel_size": 2}
        return model, (2, 4, 5, 4), [
            {"type": "LogicConv3d"} | given, pool, flat, {"type": "LogicDense"}, sums,
        ]  # fmt: skip
    if case == "residual":
        block = packages.torchlogix_part("modules.resblock").ResidualLogicBlock
        model = [
            layers.LogicConv2d(
                5, channels=1, num_kernels=3, tree_depth=1, receptive_field_size=3, padding=1, **both
            ),
            block(5, 3, 3, tree_depth=1, **both),
            torch.nn.Flatten(),
            layers.LogicDense(75, 60, **both),
            head,
        ]
        first = {"type": "LogicConv2d", "in_dim": 5, "receptive_field_size": 3, "padding": 1}
        dense = {"type": "LogicDense", "in_dim": 75, "out_dim": 60}
        return model, (1, 5, 5), [first, {"type": "ResidualLogicBlock"}, flat, dense, sums]
    given = {"in_dim": [3, 4], "channels": 2, "receptive_field_size": 3, "stride": 2, "output_padding": 1}
    conv = layers.LogicConvTranspose2d(
        (3, 4), channels=2, num_kernels=3, tree_depth=1, receptive_field_size=3, stride=2, output_padding=1,
        **both,
    )  # fmt: skip
    model = [conv, torch.nn.Flatten(), layers.LogicDense(240, 130, **both), head]
    return model, (2, 3, 4), [{"type": "LogicConvTranspose2d"} | given, flat, {"type": "LogicDense"}, sums]


CASES = ("fixed", "learnable", "conv2d", "conv3d", "residual", "transposed")


@pytest.mark.parametrize(("kind", "k"), RANKS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("form", ["module", "state dict"])
def test_every_score(tmp_path, kind, k, case, form):
    """Saved as a module, or as a state dict with a description; the command asks the package."""
    found, shape, description = seen(kind, k, case)
    model = packages.random_weights(torch.nn.Sequential(*found), seed=k)
    given = {}
    if form == "module":
        torch.save(model, tmp_path / "m.pth")
    else:
        torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "m.pth")
        (tmp_path / "c.json").write_text(json.dumps({"layers": description, "parametrization": kind}))
        given = {"config": tmp_path / "c.json"}
    imported = importing.read(tmp_path / "m.pth", options=Options(**given))
    bits = packages.structured(np.random.default_rng(1), shape)
    expected = packages.counts(model, bits.reshape(-1, *shape), 4.0, 1.5)
    assert np.array_equal(imported.scores(bits), expected)
    assert (imported.checkpoint.tau, imported.checkpoint.metadata["beta"]) == (4.0, 1.5)
    first = imported.checkpoint.layers[0]
    assert type(first) is (ConvLayer if case in ("conv2d", "conv3d") else Layer)
    facts = importing.run(tmp_path / "m.pth", tmp_path / "m.safetensors", "auto", None, **given)
    assert facts["checked"].startswith("all scores of 256 random samples equal those of torchlogix")
    assert facts["format"] == ("module" if form == "module" else "torchlogix")
    assert np.array_equal(importing.Imported(checkpoint.load(tmp_path / "m.safetensors"), "", imported.place).scores(bits), expected)  # fmt: skip


@pytest.mark.parametrize("case", ["learnable", "conv2d", "residual"])
@pytest.mark.parametrize("form", ["module", "state dict"])
def test_saved_in_export_mode(tmp_path, case, form):
    """torchlogix then keeps resolved gates and wiring next to the parameters."""
    found, shape, description = seen("raw", 2, case)
    model = packages.random_weights(torch.nn.Sequential(*found))
    bits = packages.structured(np.random.default_rng(1), shape)
    expected = packages.counts(model, bits.reshape(-1, *shape), 4.0, 1.5)
    packages.torchlogix_part("utils").set_export_mode(model)
    torch.save(model if form == "module" else model.state_dict(), tmp_path / "m.pth")
    (tmp_path / "c.json").write_text(json.dumps({"layers": description}))
    given = {} if form == "module" else {"config": tmp_path / "c.json"}
    assert np.array_equal(importing.read(tmp_path / "m.pth", options=Options(**given)).scores(bits), expected)
    facts = importing.run(tmp_path / "m.pth", tmp_path / "m.safetensors", "auto", None, **given)
    if (case, form) != ("residual", "module"):  # its relaxed OR does not take booleans
        assert facts["checked"].startswith("all scores of 256 random samples equal those of torchlogix")


def test_convolutions_learn_no_connections_in_torchlogix():
    """So fixed ones are all that there are to import."""
    layers = packages.torchlogix()
    for kind in (layers.LogicConv2d, layers.LogicConv3d, layers.LogicConvTranspose2d):
        with pytest.raises(ValueError, match="Unknown connections method: learnable"):
            kind(4, tree_depth=1, connections="learnable")


THRESHOLDS = torch.tensor([[0.1, 0.2, 0.7], [0.3, 0.5, 0.6]])


@pytest.mark.parametrize("kind", ["FixedBinarization", "SoftBinarization", "LearnableBinarization"])
@pytest.mark.parametrize("form", ["module", "state dict"])
def test_thresholds_before_convolutions(tmp_path, kind, form):
    layers = packages.torchlogix()
    inner = packages.random_weights(
        torch.nn.Sequential(
            layers.LogicConv2d((4, 5), channels=6, num_kernels=8, tree_depth=2, receptive_field_size=2),
            torch.nn.Flatten(),
            layers.LogicDense(96, 60),
            layers.GroupSum(2),
        )
    )
    own = {"temperature_softplus": 0.3} if kind == "LearnableBinarization" else {}
    bits = getattr(layers, kind)(THRESHOLDS, feature_dim=1, **own)
    if own:
        with torch.no_grad():
            bits.raw_diffs += torch.tensor([[0.02, -0.3, 0.1], [0.01, 0.05, -0.01]])
    model = torch.nn.Sequential(bits, *inner).eval()
    given = {"learned": "softplus"} if own else {}
    if form == "module":
        torch.save(model, tmp_path / "m.pth")
    else:
        torch.save(model.state_dict(), tmp_path / "m.pth")
        (tmp_path / "c.toml").write_text(
            f'[[layers]]\ntype = "{kind}"\nfeature_dim = 1\n'
            + "".join(f"{name} = {value}\n" for name, value in own.items())
            + '[[layers]]\ntype = "LogicConv2d"\nin_dim = [4, 5]\nchannels = 6\n[[layers]]\ntype = "Flatten"\n'
            + '[[layers]]\ntype = "LogicDense"\n[[layers]]\ntype = "GroupSum"\nk = 2\n'
        )
        given["config"] = tmp_path / "c.toml"
    facts = importing.run(tmp_path / "m.pth", tmp_path / "s.safetensors", "auto", None, scale=255.0, **given)
    assert facts["checked"].startswith("all scores of 256 random samples equal those of torchlogix")
    x = np.random.default_rng(2).integers(0, 256, (500, 4, 5, 2)).astype(np.uint8)
    expected = packages.counts(model, (x.astype(np.float32) / np.float32(255)).transpose(0, 3, 1, 2).copy())
    assert np.array_equal(lower(checkpoint.load(tmp_path / "s.safetensors")).scores(x), expected)
    if own:
        with pytest.raises(UsageError, match="Give --learned-thresholds"):
            importing.read(tmp_path / "m.pth", options=Options(config=given.get("config")))


@pytest.mark.parametrize("implementation", ["python", "cuda"])
@pytest.mark.parametrize("connections", ["random", "unique"])
def test_whole_difflogic_modules(tmp_path, connections, implementation):
    """Wiring is in whole modules; those built for CUDA hold the backward's index lists too."""
    package = packages.difflogic()
    common = {"device": "cpu", "implementation": implementation, "connections": connections}
    torch.manual_seed(3)
    model = torch.nn.Sequential(
        torch.nn.Flatten(),
        package.LogicLayer(12, 20, **common),
        package.LogicLayer(20, 18, **common),
        package.GroupSum(3, 5.0, device="cpu"),
    ).eval()
    torch.save(model, tmp_path / "m.pth")
    imported = importing.read(tmp_path / "m.pth")
    bits = packages.structured(np.random.default_rng(0), (12,))
    for layer in model[1:3]:
        layer.implementation = "python"
    assert np.array_equal(imported.scores(bits), packages.counts(model, bits, 5.0))
    assert imported.checkpoint.tau == 5
    facts = importing.run(tmp_path / "m.pth", tmp_path / "s.safetensors", "auto", None)
    assert facts["checked"].startswith("all scores of 256 random samples equal those of difflogic")
    assert facts["wiring"] == "in the file"


def wrapped(name, **inside):
    """A model class of a user's script."""
    made = type(name, (torch.nn.Module,), {"__module__": "__main__"})()
    for key, value in inside.items():
        setattr(made, key, value)
    return made


def test_a_users_class_around_a_sequence(tmp_path, monkeypatch):
    """Its own code is not in the file, so its layers are taken in order, and nothing can be asked."""
    import __main__

    layers = packages.torchlogix()
    inner = packages.random_weights(torch.nn.Sequential(layers.LogicDense(12, 30), layers.GroupSum(3)))
    model = wrapped("Net", model=inner)
    monkeypatch.setattr(__main__, "Net", type(model), raising=False)
    torch.save({"model": model, "epoch": 7}, tmp_path / "m.pth")
    imported = importing.read(tmp_path / "m.pth")
    bits = packages.structured(np.random.default_rng(0), (12,))
    assert np.array_equal(imported.scores(bits), packages.counts(inner, bits))
    facts = importing.run(tmp_path / "m.pth", tmp_path / "s.safetensors", "auto", None)
    assert facts["checked"] == "agreement with the original package was not checked"
    several = wrapped("Net", first=inner[0], second=inner[1])
    monkeypatch.setattr(__main__, "Net", type(several))
    torch.save(several, tmp_path / "m.pth")
    with pytest.raises(LgcError, match="A layer of the class Net is not known"):
        importing.read(tmp_path / "m.pth")


def test_models_of_its_zoo(tmp_path):
    packages.torchlogix()
    zoo = packages.torchlogix_part("models.nn").RandomlyConnectedNN
    model = zoo(in_dim=20, k=24, layers=3, class_count=4, tau=3.0, parametrization="warp", lut_rank=4)
    torch.save(packages.random_weights(model), tmp_path / "m.pth")
    facts = importing.run(tmp_path / "m.pth", tmp_path / "s.safetensors", "auto", None)
    assert facts["checked"].startswith("all scores of 256 random samples equal those of torchlogix")


def test_a_convolutional_model_of_its_zoo(tmp_path):
    """Three convolutions, three pools, three dense layers, as for MNIST."""
    packages.torchlogix()
    zoo = packages.torchlogix_part("models.conv").ClgnMnistTiny
    model = zoo(thresholds=None, binarization="dummy", binarization_kwargs={}, parametrization="light")
    torch.save(packages.random_weights(model), tmp_path / "m.pth")
    facts = importing.run(tmp_path / "m.pth", tmp_path / "s.safetensors", "auto", None)
    assert facts["checked"].startswith("all scores of 256 random samples equal those of torchlogix")
    assert (facts["layers"], facts["classes"]) == (9, 10)


def test_the_description_in_the_docs(tmp_path):
    """The TOML of docs/import.md is read as it stands there."""
    layers = packages.torchlogix()
    text = (Path(__file__).parents[3] / "docs" / "import.md").read_text()
    (tmp_path / "layers.toml").write_text(re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1])
    rest = packages.random_weights(
        torch.nn.Sequential(
            layers.LogicConv2d(
                32, channels=9, num_kernels=4, tree_depth=2, receptive_field_size=3, padding=1,
                parametrization="light",
            ),
            layers.OrPooling2d(2, 2),
            torch.nn.Flatten(),
            layers.LogicDense(1024, 520, parametrization="light"),
            layers.GroupSum(10, tau=8.0),
        )
    )  # fmt: skip
    bits = layers.LearnableBinarization(torch.tensor([[0.25, 0.5, 0.75]] * 3), feature_dim=1)
    torch.save(torch.nn.Sequential(bits, *rest).state_dict(), tmp_path / "state.pth")
    given = {"config": tmp_path / "layers.toml", "inputs": "32x32x3", "scale": 255.0, "learned": "softplus"}
    facts = importing.run(tmp_path / "state.pth", tmp_path / "m.safetensors", "auto", None, **given)
    assert facts["checked"].startswith("all scores of 256 random samples equal those of torchlogix")
    assert facts["inputs"] == "3,072 features of 8 bits, 3 thresholds: 9,216 input bits"


def test_another_forward_is_found(tmp_path, monkeypatch):
    """The package is asked for what it computes, not for what we think that it computes."""
    layers = packages.torchlogix()
    model = packages.random_weights(torch.nn.Sequential(layers.LogicDense(12, 30), layers.GroupSum(3)))
    torch.save(model, tmp_path / "m.pth")
    before = layers.LogicDense.forward
    monkeypatch.setattr(layers.LogicDense, "forward", lambda self, x: before(self, 1 - x))
    with pytest.raises(MismatchError, match="Random sample 0, class"):
        importing.run(tmp_path / "m.pth", tmp_path / "s.safetensors", "auto", None)


def test_a_module_that_its_package_cannot_run_is_imported_unchecked(tmp_path):
    """As those of older versions, which lack attributes."""
    layers = packages.torchlogix()
    model = packages.random_weights(torch.nn.Sequential(layers.LogicDense(12, 30), layers.GroupSum(3)))
    del model[0].grad_factor
    torch.save(model, tmp_path / "m.pth")
    facts = importing.run(tmp_path / "m.pth", tmp_path / "s.safetensors", "auto", None)
    assert facts["checked"].startswith("agreement with the original package was not checked, which fails: ")
    assert "grad_factor" in facts["checked"]


def test_convolutions_without_a_description_say_what_to_supply(tmp_path):
    model, _, _ = seen("warp", 2, "conv2d")
    torch.save(torch.nn.Sequential(*model).state_dict(), tmp_path / "m.pth")
    with pytest.raises(UsageError, match="neither input size nor padding nor pools") as caught:
        importing.read(tmp_path / "m.pth", options=Options(parametrization="warp"))
    blank = str(caught.value).partition("\n")[2]
    assert blank.splitlines() == [
        "[[layers]]", 'name = "0"', 'type = "LogicConv2d"', "in_dim = ?", "channels = ?",
        "receptive_field_size = ?", "stride = 1", "padding = 0", "# 4 kernels at 9 positions",
        "[[layers]]", 'name = "3"', 'type = "LogicDense"',
    ]  # fmt: skip


def changed(index, **more):
    def apply(description):
        description["layers"][index] |= more
        return description

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(0, padding=0), "has 9 positions in the file, [2, 2] by the description"),
        (changed(0, stride=0), "does not fit its tensors: ValueError('stride = 0')"),
        (changed(0, in_dim="six"), "does not fit its tensors: ValueError"),
        (changed(0, in_dim=[6, 5, 4]), "does not fit its tensors"),
        (changed(0, channels=1), "of [8, 7, 1]. Check in_dim, channels and padding"),
        (changed(0, num_kernels=5), "The description has num_kernels = 5, the file 4"),
        (changed(0, paddding=1), "LogicConv2d has no argument 'paddding'. Did you mean padding"),
        (changed(0, type="LogicConv4d"), "has the type 'LogicConv4d'. Did you mean LogicConv"),
        (changed(3, type="LogicConv2d"), "Layer 4, LogicConv2d needs in_dim"),
        (changed(0, name="7"), "The file has no module 7: it has 0 (a convolution), 3"),
        (changed(1, kernel_size=None), "needs kernel_size"),
        (changed(1, kernel_size=9), "Windows [9, 9] do not fit"),
        (changed(1, padding=500), "A pool of windows [2, 2], padding [500, 500] is out of range"),
        (changed(3, in_dim=63), "A dense layer of 63 inputs reads"),
        (changed(3, parametrization="wrap"), "There is no parametrization 'wrap'. Did you mean"),
        (changed(4, k=7), "7 classes cannot share"),
        (changed(4, tau=-1), "The scale tau is -1"),
        (lambda d: {"layers": d["layers"][:3]}, "The description has no layer for 3"),
        (lambda d: {"layers": [*d["layers"][:4], *d["layers"][3:]]}, "The file has no tensors for the LogicDense"),
        (lambda d: d | {"layers": []}, "lists no layers"),
        (lambda d: {"layers": d["layers"] * 300}, "lists 1,500 layers"),
        (lambda d: d | {"inputs": 4}, "has an unknown key 'inputs'"),
        (lambda d: [d], "lists no layers"),
    ],
)  # fmt: skip
def test_descriptions_that_do_not_fit(tmp_path, change, message):
    model, _, layers = seen("warp", 2, "conv2d")
    torch.save(torch.nn.Sequential(*model).state_dict(), tmp_path / "m.pth")
    description = change({"layers": layers, "parametrization": "warp"})
    text = json.dumps(description, default=lambda _: None)
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(LgcError) as caught:
        importing.read(tmp_path / "m.pth", options=Options(config=tmp_path / "c.json"))
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["[[layers]", "{", "layers = 3", "\0", "[[layers]]\nkind = 1"])
def test_texts_that_are_no_description(tmp_path, text):
    model, _, _ = seen("warp", 2, "conv2d")
    torch.save(torch.nn.Sequential(*model).state_dict(), tmp_path / "m.pth")
    for suffix in (".toml", ".json"):
        (tmp_path / f"c{suffix}").write_text(text)
        with pytest.raises(LgcError):
            importing.read(tmp_path / "m.pth", options=Options(config=tmp_path / f"c{suffix}"))


def test_safetensors_are_put_in_order_by_their_numbers(tmp_path):
    """They sort names as text: 10 comes before 2."""
    from safetensors.torch import save_file

    layers = packages.torchlogix()
    dense = [layers.LogicDense(12, 12) for _ in range(11)]
    model = packages.random_weights(torch.nn.Sequential(*dense, layers.GroupSum(3)))
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    (tmp_path / "c.json").write_text(
        json.dumps({"layers": [{"type": "LogicDense"}] * 11 + [{"type": "GroupSum", "k": 3}]})
    )
    imported = importing.read(tmp_path / "m.safetensors", options=Options(config=tmp_path / "c.json"))
    bits = packages.structured(np.random.default_rng(0), (12,))
    assert np.array_equal(imported.scores(bits), packages.counts(model, bits))


def test_modules_that_never_end(tmp_path):
    """Forty sequences, each the next one twice: 2**40 layers in a few bytes."""
    layers = packages.torchlogix()
    model = torch.nn.Sequential(layers.LogicDense(4, 4), torch.nn.Flatten())
    for _ in range(40):
        model = torch.nn.Sequential(model, model)
    torch.save(model, tmp_path / "m.pth")
    with pytest.raises(LgcError, match="has 4,096 layers or more"):
        importing.read(tmp_path / "m.pth")
    endless = torch.nn.Sequential(layers.LogicDense(4, 4))
    endless._modules["1"] = endless
    torch.save(endless, tmp_path / "m.pth")
    with pytest.raises(LgcError, match="is not complete|4,096 layers"):
        importing.read(tmp_path / "m.pth")


ATTRIBUTES = (
    st.none() | st.integers(-5, 1 << 40) | st.floats() | st.text(max_size=3) | st.just({}) | st.just(())
)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["conv2d", "learnable", "residual"]), st.integers(0, 1 << 30), ATTRIBUTES)
def test_any_attribute_of_a_module(tmp_path, case, which, value):
    """One attribute of one module of the file is another value: an error, or a network."""
    found, _, _ = seen("light", 2, case)
    model = torch.nn.Sequential(*found)
    places = [
        (module, name)
        for module in model.modules()
        for name in list(vars(module))
        if not name.startswith(("_backward", "_forward", "_state", "_load"))
    ]
    module, name = places[which % len(places)]
    object.__setattr__(module, name, value)
    torch.save(model, tmp_path / "m.pth")
    try:
        imported = importing.read(tmp_path / "m.pth")
        checkpoint.save(tmp_path / "m.safetensors", imported.checkpoint)
    except LgcError:
        return
    assert lower(checkpoint.load(tmp_path / "m.safetensors")).netlist.luts > 0


ARGUMENTS = st.sampled_from(
    ["in_dim", "channels", "receptive_field_size", "stride", "padding", "kernel_size", "out_dim", "k", "tau", "beta",
     "type", "name", "num_kernels", "tree_depth", "parametrization", "feature_dim", "output_padding", "lut_rank",
     "in_channels", "out_channels", "downsample"]
)  # fmt: skip
VALUES = (
    st.integers(-3, 9)
    | st.sampled_from(
        [0.5, 1e300, 10**30, "raw", "light", "", "0", "3", "LogicConv2d", "Flatten", None, True, {}]
    )
    | st.lists(st.integers(-2, 7), max_size=3)
)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["conv2d", "residual", "transposed"]), st.integers(0, 4), ARGUMENTS, VALUES)
def test_any_argument_of_a_description(tmp_path, case, layer, name, value):
    """One argument is something else: an error, or a network."""
    model, _, layers = seen("warp", 2, case)
    torch.save(torch.nn.Sequential(*model).state_dict(), tmp_path / "m.pth")
    layers[layer % len(layers)] |= {name: value}
    (tmp_path / "c.json").write_text(json.dumps({"layers": layers, "parametrization": "warp"}))
    try:
        imported = importing.read(tmp_path / "m.pth", options=Options(config=tmp_path / "c.json"))
        checkpoint.save(tmp_path / "m.safetensors", imported.checkpoint)
    except LgcError:
        return
    assert lower(checkpoint.load(tmp_path / "m.safetensors")).netlist.luts > 0


def test_classes_of_a_file_are_never_called(tmp_path):
    """A class that asks to be called with arguments is not built, whatever its name."""

    class Asks:
        def __reduce__(self):
            return (types.SimpleNamespace, (), {"a": 1})

    class Calls:
        def __reduce__(self):
            return (print, ("never",))

    for value in (Calls(), torch.nn.Sequential(), Asks()):
        torch.save({"x": value, "0.weights": torch.zeros(2, 16)}, tmp_path / "m.pth")
        with pytest.raises(LgcError):
            importing.read(tmp_path / "m.pth", options=Options(inputs=(4,), classes=2))
