"""Damaged and hostile files: one error, or a valid checkpoint; never anything else, nor much memory."""

import importlib.util
import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from lgc import importing, netlists
from lgc.errors import LgcError
from lgc.frontend import checkpoint
from lgc.frontend.importers import Options, container, files
from lgc.frontend.lower import lower

from . import foreign, packages
from .test_circuit import random_circuit
from .test_circuit import write as write_circuit
from .test_container import write as write_container
from .test_dwn import build as dwn_network
from .test_dwn import save as save_dwn
from .test_formats import save_torchlogix
from .test_wires import random_netlist


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Valid files of every format: bytes, suffix, format and options."""
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(0)
    layers = foreign.network(rng, widths=(6, 6))
    options = Options(inputs=(12,), classes=3)
    difflogic = foreign.save_difflogic(folder, rng, layers)
    csv = foreign.save_ddlgn(folder, layers)
    npz = foreign.save_lilogicnet(folder / "l.npz", rng, layers, "npz")
    old = foreign.save_lilogicnet(folder / "old.pth", rng, layers, "old")
    new = foreign.save_lilogicnet(folder / "new.pth", rng, layers, "top")
    save_torchlogix(folder / "t.pth", rng, "warp", 4, True)
    for suffix in (".blif", ".v", ".aig"):
        netlists.write(folder / f"net{suffix}", random_netlist(rng))
    learned = Options(inputs=(10,), classes=2, parametrization="warp")
    found = [
        (difflogic, "difflogic", Options(inputs=(12,), classes=3, connections=folder / "wiring.npz")),
        (csv, "ddlgn", options),
        (npz, "lilogicnet", options),
        (old, "lilogicnet", options),
        (new, "lilogicnet", options),
        (folder / "t.pth", "torchlogix", learned),
        (write_container(folder), "lgc-json", Options()),
        (save_dwn(folder / "fixed.pth", dwn_network(rng, 3, False)), "dwn", Options(inputs=(10,), classes=3)),
        (save_dwn(folder / "dwn.pth", dwn_network(rng, 2, True)), "dwn", Options(classes=3)),
        (write_circuit(folder, random_circuit(rng)), "torchlogix-circuit", Options()),
        (folder / "net.blif", "netlist", Options()),
        (folder / "net.v", "netlist", Options()),
        (folder / "net.aig", "netlist", Options()),
    ]
    found += convolutions(folder)
    return [(path.read_bytes(), path.suffix, kind, given) for path, kind, given in found]


def convolutions(folder):
    """What torchlogix saves of a convolution, where it is installed."""
    if importlib.util.find_spec("torchlogix") is None:
        return []
    layers = packages.torchlogix()
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        layers.LogicConv2d(4, channels=1, num_kernels=2, tree_depth=1, receptive_field_size=2, padding=1),
        torch.nn.Flatten(),
        layers.LogicDense(50, 26),
        layers.GroupSum(2),
    )
    torch.save(module, folder / "module.pth")
    torch.save(module.state_dict(), folder / "conv.pth")
    save_file({k: v.contiguous() for k, v in module.state_dict().items()}, folder / "conv.safetensors")
    known = [{"type": "LogicConv2d", "in_dim": 4, "padding": 1}, {"type": "Flatten"}, {"type": "LogicDense"}]
    (folder / "described.json").write_text(json.dumps({"layers": [*known, {"type": "GroupSum", "k": 2}]}))
    described = Options(config=folder / "described.json")
    return [
        (folder / "module.pth", "module", Options()),
        (folder / "conv.pth", "torchlogix", described),
        (folder / "conv.safetensors", "torchlogix", described),
    ]


class Peak:
    """The most memory the process held since the last `reset`, MiB; only Linux tells."""

    status = Path("/proc/self/status")

    def reset(self):
        Path("/proc/self/clear_refs").write_text("5")
        self.before = self.now("VmRSS")

    def now(self, name):
        line = next(line for line in self.status.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) / 1024

    @property
    def grown(self):
        return self.now("VmHWM") - self.before


def attempt(path, kind, options):
    """Import; what comes out must be saved, loaded and lowered."""
    try:
        found = importing.read(path, kind, options)
        checkpoint.save(path.with_suffix(".safetensors"), found.checkpoint)
    except LgcError:
        return False
    again = checkpoint.load(path.with_suffix(".safetensors"))
    assert lower(again).netlist.luts > 0
    return True


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 15), st.integers(0, 2**32), st.booleans())
def test_damaged_files(small, tmp_path, which, seed, auto):
    data, suffix, kind, options = small[which % len(small)]
    rng = np.random.default_rng(seed)
    damaged = bytearray(data)
    if seed % 3 == 0:
        damaged = damaged[: rng.integers(0, len(data))]
    else:
        for at in rng.integers(0, len(data), 1 + seed % 5):
            damaged[at] = rng.integers(0, 256)
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(bytes(damaged))
    within(64, path, "auto" if auto else kind, options)


def within(mib, path, kind, options):
    """Import a file of a few KiB in so much memory."""
    if not Peak.status.exists():
        attempt(path, kind, options)
        return
    peak = Peak()
    peak.reset()
    attempt(path, kind, options)
    assert peak.grown < mib


def numbers(text):
    """Places of numbers in a text file: those are what sizes and indices are made of."""
    return [(match.start(), match.end()) for match in re.finditer(rb"\d+", text)]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(0, 15), st.integers(0, 2**32), st.sampled_from([-1, 0, 65_536, 2**31, 2**63, 10**18, 10**40])
)
def test_absurd_numbers_in_text(small, tmp_path, which, seed, number):
    """One number of a text file becomes another one."""
    texts = [each for each in small if each[1] in (".csv", ".json", ".blif", ".v")]
    data, suffix, kind, options = texts[which % len(texts)]
    places = numbers(data)
    begin, end = places[seed % len(places)]
    path = tmp_path / f"absurd{suffix}"
    path.write_bytes(data[:begin] + str(number).encode() + data[end:])
    within(256, path, kind, options)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(0, 15),
    st.integers(0, 2**32),
    st.sampled_from([torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int64, torch.bool]),
    st.sampled_from(["dtype", "shape", "nan", "range", "drop", "scalar"]),
)  # fmt: skip
def test_other_tensors_in_torch_files(small, tmp_path, which, seed, dtype, change):
    """One tensor of a state dict has another type, another shape, NaN, or numbers out of range."""
    states = [each for each in small if each[1] == ".pth" and each[2] != "module"]
    data, _, kind, options = states[which % len(states)]
    path = tmp_path / "changed.pth"
    path.write_bytes(data)
    state = torch.load(path, weights_only=True)
    names = [name for name in state if isinstance(state[name], torch.Tensor)]
    name = names[seed % len(names)]
    value = state[name]
    state[name] = {
        "dtype": lambda: value.to(dtype),
        "shape": lambda: value.flatten() if seed % 2 else value[..., None],
        "nan": lambda: torch.full(value.shape, float("nan") if seed % 2 else float("inf")),
        "range": lambda: torch.full_like(value, 100 if seed % 2 else -1),
        "drop": lambda: value[:-1] if seed % 2 else value[:0],
        "scalar": lambda: torch.tensor(3).to(dtype),
    }[change]()
    torch.save(state, path)
    within(64, path, kind, options)
    if change == "nan" and value.is_floating_point() and kind != "lilogicnet":
        assert not attempt(path, kind, options)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32), st.sampled_from(["bytes", "dtype", "range", "shape", "drop"]))
def test_damaged_connections_and_scores(tmp_path, seed, change):
    """The files next to a network: wiring, and the scores to compare with."""
    rng = np.random.default_rng(seed)
    layers = foreign.network(np.random.default_rng(1), widths=(6, 6))
    file = foreign.save_difflogic(tmp_path, np.random.default_rng(1), layers)
    x = foreign.every_pattern(12)[:40]
    np.savez(tmp_path / "scores.npz", bits=x, scores=foreign.run(layers, x, 3))
    victim = tmp_path / ("wiring.npz" if seed % 2 else "scores.npz")
    if change == "bytes":
        damaged = bytearray(victim.read_bytes())
        for at in rng.integers(0, len(damaged), 1 + seed % 5):
            damaged[at] = rng.integers(0, 256)
        victim.write_bytes(bytes(damaged))
    else:
        found = dict(np.load(victim))
        name = sorted(found)[seed % len(found)]
        value = found[name]
        found[name] = {
            "dtype": lambda: value.astype(rng.choice(["f4", "i1", "u8", "?", "U3", "c8"])),
            "range": lambda: np.full_like(value, -1 if value.dtype.kind == "i" else 1) * rng.integers(1, 99),
            "shape": lambda: value[None],
            "drop": lambda: value[:-1],
        }[change]()
        np.savez(victim, **found)
    options = Options(inputs=(12,), classes=3, connections=tmp_path / "wiring.npz")
    try:
        importing.check(importing.read(file, options=options), tmp_path / "scores.npz")
    except LgcError:
        return


def test_the_undamaged_ones_are_fine(small, tmp_path):
    for data, suffix, kind, options in small:
        path = tmp_path / f"fine{suffix}"
        path.write_bytes(data)
        assert attempt(path, "auto", options), kind


class Runs:
    def __reduce__(self):
        return (open, ("/nonexistent/lgc-ran-this", "w"))


def test_code_is_not_run(tmp_path):
    """Opening it with pickles allowed would raise FileNotFoundError, for it would run."""
    file = tmp_path / "model.pth"
    torch.save({"0.weights": Runs()}, file)
    with pytest.raises(FileNotFoundError):
        torch.load(file, weights_only=False)
    with pytest.raises(LgcError, match="would run its code; lgc does not"):
        importing.read(file, options=Options(inputs=(12,), classes=3))


def test_a_module_of_other_layers_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(LgcError, match="A layer of the class Linear is not known"):
        importing.read(tmp_path / "model.pth")
    with pytest.raises(LgcError, match="is no state dict but a Linear. Leave --format out"):
        importing.read(tmp_path / "model.pth", "difflogic", Options(inputs=(12,), classes=3))


def test_what_is_neither_is_refused_with_the_way_to_convert(tmp_path):
    torch.save({"0.weights": Runs()}, tmp_path / "model.pth")
    with pytest.raises(
        LgcError, match=r"torch\.save\(torch\.load\(file, weights_only=False\)\.state_dict\(\)"
    ):
        importing.read(tmp_path / "model.pth")


def test_a_bare_pickle_is_refused(tmp_path):
    (tmp_path / "model.pth").write_bytes(pickle.dumps({"0.weights": [1]}))
    with pytest.raises(LgcError, match="is a bare pickle, which lgc does not open"):
        importing.read(tmp_path / "model.pth")


def test_a_tensor_may_not_claim_more_than_it_has(tmp_path):
    """A stride of 0 makes terabytes of one number."""
    torch.save({"0.weights": torch.zeros(1).expand(1 << 40, 16)}, tmp_path / "model.pth")
    with pytest.raises(LgcError, match=r"claims \[1099511627776, 16\] values; the file has fewer"):
        importing.read(tmp_path / "model.pth")


def test_an_archive_may_not_claim_more_than_it_has(tmp_path):
    torch.save({"0.weights": torch.zeros(1 << 20)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as source,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for member in source.infolist():
            bomb.writestr(member.filename, source.read(member))
    assert (tmp_path / "bomb.pth").stat().st_size < 20_000
    with pytest.raises(LgcError, match="bytes of data in"):
        importing.read(tmp_path / "bomb.pth")


def test_an_array_may_not_claim_more_than_it_has(tmp_path):
    header = (
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<i8', 'fortran_order': False, 'shape': (1099511627776,), }"
    )
    with zipfile.ZipFile(tmp_path / "n.npz", "w") as archive:
        archive.writestr("gate_types.npy", header.ljust(127) + b"\n")
    with pytest.raises(LgcError, match=r"the array gate_types claims \[1099511627776\] values"):
        files.arrays(tmp_path / "n.npz")


def test_objects_in_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "n.npz", gate_types=np.array([Runs()], object))
    with pytest.raises(LgcError, match="is damaged"):
        importing.read(tmp_path / "n.npz")


def change(name, value):
    def apply(state):
        state[name] = value

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change("0.weights", torch.full((9, 16), float("nan"))), "0.weights has NaN or infinite values"),
        (change("0.weights", torch.zeros(9, 15)), "0.weights has 15 columns instead of 16"),
        (change("0.weights", torch.zeros(16)), "0.weights is not a matrix of numbers"),
        (change("0.weights", torch.zeros(8, 16)), "Layer 1 has 8 gates, but 9 and 9 connections"),
        (change("3.weights", torch.zeros(6, 16)), "has 6 arrays; the network needs 8: a0, b0 to b3"),
        (lambda state: state.pop("1.weights"), "has 6 arrays; the network needs 4"),
        (lambda state: state.clear(), "is of no known format; its tensors are none"),
    ],
)
def test_inconsistent_difflogic(tmp_path, damage, message):
    rng = np.random.default_rng(1)
    file = foreign.save_difflogic(tmp_path, rng, foreign.network(rng))
    state = torch.load(file, weights_only=True)
    damage(state)
    torch.save(state, file)
    options = Options(inputs=(12,), classes=3, connections=tmp_path / "wiring.npz")
    kind = "auto" if not state else "difflogic"
    with pytest.raises(LgcError) as caught:
        importing.read(file, kind, options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,9,0,0,3", None),
        ("1,8,0,0,3", "layer 1 has gates missing or twice"),
        ("1,10,0,0,3", "layer 1 has gates missing or twice"),
        ("5,0,0,0,3", "layer 4 has gates missing or twice"),
        ("0,0,0,0,3", "has numbers out of range. Layers count from 1"),
        ("1,9,0,0,16", "Layer 1 has a gate number outside 0 to 15"),
        ("1,9,12,0,3", "Layer 1 reads source 12; there are 12"),
        ("1,9,x,0,3", "line 25: '1,9,x,0,3' is no gate"),
        ("1,9,0", "line 25: '1,9,0' is no gate"),
        ("1,9,0,0,99999999999999999999", "is no gate"),
        ("99999999,0,0,0,3", "has numbers out of range"),
    ],
)
def test_lines_of_a_gate_list(tmp_path, line, message):
    file = foreign.save_ddlgn(tmp_path, foreign.network(np.random.default_rng(2)))
    file.write_text(file.read_text() + line + "\n")
    options = Options(inputs=(12,), classes=3)
    if message is None:
        assert importing.read(file, options=options).checkpoint.layers[0].nodes == 10
        return
    with pytest.raises(LgcError) as caught:
        importing.read(file, options=options)
    assert message in str(caught.value)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 70)
    | st.sampled_from([10**30, 1e300, 0.5, "", "feature", [[0]]]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["fanin", "table"]), inner),
    max_leaves=6,
)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([*sorted(container._KEYS - {"format"})]), VALUES)
def test_any_value_of_a_container(tmp_path, key, value):
    path = write_container(tmp_path, **{key: value})
    if key == "groups" and value is not None:
        path = write_container(tmp_path, groups=value, classes=None)
    attempt(path, "lgc-json", Options())


def test_a_gate_list_cut_short_in_its_first_gate(tmp_path):
    file = foreign.save_ddlgn(tmp_path, foreign.network(np.random.default_rng(3)))
    header, first = file.read_text().splitlines()[:2]
    for commas in range(1, 5):
        file.write_text(f"{header}\n{','.join(first.split(',')[:commas])}")
        with pytest.raises(LgcError, match="line 2: .* is no gate"):
            importing.read(file, options=Options(inputs=(12,), classes=3))
