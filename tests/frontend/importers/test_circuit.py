"""Circuits exported by torchlogix as JSON, raw and simplified, and damaged ones."""

# ruff: noqa: ARG005

import json
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lgc import importing
from lgc.errors import LgcError, MismatchError
from lgc.frontend.importers import Options

from . import foreign, packages

OPS = {  # torchlogix' `_eval_gate_op`
    "CONST_FALSE": lambda a, b: a & ~a, "CONST_TRUE": lambda a, b: a | ~a, "WIRE": lambda a, b: a,
    "NOT": lambda a, b: ~a, "NOT_A": lambda a, b: ~a, "NOT_B": lambda a, b: ~b, "AND": lambda a, b: a & b,
    "OR": lambda a, b: a | b, "XOR": lambda a, b: a ^ b, "NAND": lambda a, b: ~(a & b),
    "NOR": lambda a, b: ~(a | b), "XNOR": lambda a, b: ~(a ^ b), "AND_NOT_B": lambda a, b: a & ~b,
    "AND_NOT_A": lambda a, b: ~a & b, "OR_NOT_B": lambda a, b: a | ~b, "OR_NOT_A": lambda a, b: ~a | b,
}  # fmt: skip


def random_circuit(rng, bits=8, gates=40, classes=3, betas=(0, 0, 0)):
    """A circuit whose gates read any before them; ids with gaps, as passes leave them."""
    ids = list(range(bits))
    made = []
    for _ in range(gates):
        number = ids[-1] + int(rng.integers(1, 4))
        pins = [int(rng.choice(ids)), int(rng.choice([*ids, -1]))]
        made.append(
            {
                "gate_id": number,
                "op": str(rng.choice(list(OPS))),
                "in0": pins[0],
                "in1": pins[1],
                "node_idx": 0,
            }
        )
        ids.append(number)
    sums = [
        {"node_id": 10_000 + c, "input_ids": [int(n) for n in rng.choice(ids, rng.integers(1, 9))],
         "tau": 2.0, "beta": betas[c]}
        for c in range(classes)
    ]  # fmt: skip
    return {
        "n_inputs": bits, "input_shape": [bits], "outputs": [s["node_id"] for s in sums],
        "output_shape": [classes], "gates": made, "sum_nodes": sums,
    }  # fmt: skip


def evaluate(circuit, x):
    value = {i: x[:, i] for i in range(circuit["n_inputs"])} | {-1: np.zeros(len(x), bool)}
    for gate in circuit["gates"]:
        value[gate["gate_id"]] = OPS[gate["op"]](value[gate["in0"]], value[gate["in1"]])
    return np.stack([sum(value[n].astype(int) for n in s["input_ids"]) for s in circuit["sum_nodes"]], axis=1)


def write(folder, circuit):
    (folder / "c.json").write_text(json.dumps(circuit))
    return folder / "c.json"


@pytest.mark.parametrize("betas", [(0, 0, 0), (3, 0, 7), (5, 5, 5), (-2, 1, 0), (0.5, 2.5, 0.5)])
@pytest.mark.parametrize("seed", range(4))
def test_every_score(tmp_path, seed, betas):
    circuit = random_circuit(np.random.default_rng(seed), betas=betas)
    found = importing.read(write(tmp_path, circuit))
    x = foreign.every_pattern(8)
    expected = evaluate(circuit, x) + np.array(betas)
    assert found.format == "torchlogix-circuit"
    assert found.checkpoint.tau == 2
    assert np.array_equal(found.scores(x) + found.checkpoint.metadata.get("beta", 0), expected)


def test_outputs_without_sums_are_counted(tmp_path):
    circuit = random_circuit(np.random.default_rng(1))
    circuit["outputs"] = [gate["gate_id"] for gate in circuit["gates"][-6:]]
    del circuit["sum_nodes"]
    path = write(tmp_path, circuit)
    with pytest.raises(LgcError, match=r"The circuit has no sums. Say how many classes"):
        importing.read(path)
    found = importing.read(path, options=Options(classes=2))
    x = foreign.every_pattern(8)
    groups = [{"input_ids": circuit["outputs"][i : i + 3]} for i in (0, 3)]
    assert np.array_equal(found.scores(x), evaluate(circuit | {"sum_nodes": groups}, x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("simplified", [False, True])
@pytest.mark.parametrize("beta", [0.0, 3.0])
def test_what_torchlogix_exports(tmp_path, simplified, beta):
    """Simplification folds constants into the sums, which its own Verilog then forgets."""
    layers, circuit = packages.torchlogix(), packages.circuits()
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        layers.LogicDense(10, 40), layers.LogicDense(40, 40), layers.GroupSum(2, beta=beta)
    )
    packages.random_weights(model)
    x = foreign.every_pattern(10)
    expected = packages.counts(model, x)
    made = circuit.from_model(model, [10])
    if simplified:
        made.simplify()
        assert any(s.beta != beta for s in made.sum_nodes)
    made.write_json(str(tmp_path / "c.json"))
    found = importing.read(tmp_path / "c.json")
    assert np.array_equal(found.scores(x) + found.checkpoint.metadata.get("beta", 0), expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("gates", "samples"), [(40, 256), (9_000, 58)])
def test_the_command_asks_the_evaluator(tmp_path, monkeypatch, gates, samples):
    """Of the package, where its module is readable; on Python 3.11 what the tests make of it."""
    packages.torchlogix()
    readable = types.SimpleNamespace(Circuit=packages.circuits())
    monkeypatch.setitem(sys.modules, "torchlogix.circuit", readable)
    path = write(tmp_path, random_circuit(np.random.default_rng(3), gates=gates, betas=(3, 0, 7)))
    facts = importing.run(path, tmp_path / "m.safetensors", "auto", None)
    assert facts["checked"].startswith(f"all scores of {samples} random samples equal those of torchlogix")


def test_a_circuit_that_disagrees_and_one_that_cannot_be_asked(tmp_path, monkeypatch):
    packages.torchlogix()
    readable = types.SimpleNamespace(Circuit=packages.circuits())
    monkeypatch.setitem(sys.modules, "torchlogix.circuit", readable)
    before = readable.Circuit.__call__
    monkeypatch.setattr(readable.Circuit, "__call__", lambda self, x: before(self, ~x))
    out = tmp_path / "m.safetensors"
    with pytest.raises(MismatchError, match="Random sample 0, class"):
        importing.run(write(tmp_path, random_circuit(np.random.default_rng(3))), out, "auto", None)
    negative = write(tmp_path, random_circuit(np.random.default_rng(3), betas=(-2, 1, 0)))
    assert importing.run(negative, out, "auto", None)["checked"] == importing.UNCHECKED


def damaged(**changes):
    def change(circuit):
        for key, value in changes.items():
            if key in circuit:
                circuit[key] = value
            else:
                circuit["gates"][3][key] = value
        return circuit

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damaged(n_inputs=0), "has 0 inputs"),
        (damaged(n_inputs=1 << 60), "inputs and"),
        (damaged(n_inputs="many"), "is no circuit of torchlogix"),
        (damaged(op="MAJ"), "is no circuit of torchlogix: KeyError('MAJ')"),
        (damaged(in0=99999), "A gate reads 99999, which is not there"),
        (damaged(in0=1 << 70), "is no circuit of torchlogix"),
        (damaged(gate_id=0), "Two gates have one number"),
        (damaged(outputs=[0, 10_000]), "Some outputs of the circuit are sums, some are not"),
        (damaged(outputs=[]), "Some outputs"),
        (damaged(gates=[]), "which is not there"),
        (damaged(gates=[None]), "is no circuit of torchlogix"),
        (damaged(sum_nodes=[{"node_id": 1}]), "Some outputs"),
    ],
)
def test_damaged_circuits(tmp_path, change, message):
    path = write(tmp_path, change(random_circuit(np.random.default_rng(0))))
    with pytest.raises(LgcError) as caught:
        importing.read(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("betas", "message"),
    [((0.5, 0.0, 0.0), "differ by fractions"), ((float("nan"), 0, 0), "has the bias"), ((1e9, 0, 0), "bias")],
)
def test_biases_that_are_no_counts(tmp_path, betas, message):
    path = write(tmp_path, random_circuit(np.random.default_rng(0), betas=betas))
    with pytest.raises(LgcError, match=message):
        importing.read(path)


def test_a_gate_before_what_it_reads(tmp_path):
    circuit = random_circuit(np.random.default_rng(0))
    circuit["gates"][2]["in0"] = circuit["gates"][9]["gate_id"]
    with pytest.raises(LgcError, match="reads one that comes after it"):
        importing.read(write(tmp_path, circuit))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_fuzzed_text(tmp_path, seed):
    rng = np.random.default_rng(seed)
    text = bytearray(json.dumps(random_circuit(np.random.default_rng(0), gates=8)).encode())
    for at in rng.integers(0, len(text), 1 + seed % 4):
        text[at] = rng.integers(32, 127)
    (tmp_path / "c.json").write_bytes(bytes(text))
    try:
        found = importing.read(tmp_path / "c.json", "torchlogix-circuit")
    except LgcError:
        return
    assert found.scores(foreign.every_pattern(len(found.place))[:4]).shape[0] == 4
