import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError
from lgc.frontend import config, data, usage
from lgc.frontend.curves import write_curves
from lgc.frontend.relaxations.dlgn import GATE_TABLES
from lgc.frontend.train import cpu_seconds, curves_path, metrics_path, train

SVG = "{http://www.w3.org/2000/svg}"
EPOCHS = [
    {"loss": 2.0, "val_acc": 0.5, "hard_val_acc": 0.25},
    {"loss": 1.0, "val_acc": 0.75, "hard_val_acc": 0.75},
    {"loss": 0.5, "val_acc": 0.875, "hard_val_acc": 0.5},
]


def drawn(folder: Path, epochs: list[dict[str, Any]]) -> ET.Element:
    (folder / "m.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    write_curves(folder / "m.jsonl", folder / "m.svg")
    return ET.fromstring((folder / "m.svg").read_text())


def polylines(svg: ET.Element) -> list[list[tuple[float, float]]]:
    texts = [line.attrib["points"] for line in svg.iter(f"{SVG}polyline")]
    return [[tuple(map(float, pair.split(","))) for pair in text.split()] for text in texts]


def test_curves_are_the_numbers(tmp_path: Path) -> None:
    svg = drawn(tmp_path, EPOCHS)
    loss, hard, soft, gap = polylines(svg)
    for curve in (loss, hard, soft, gap):
        steps = np.diff([x for x, _ in curve])
        assert len(curve) == 3
        assert steps[0] == pytest.approx(steps[1])
    heights = [-y for _, y in loss]
    assert (heights[0] - heights[2]) / (heights[1] - heights[2]) == pytest.approx(3, rel=0.02)
    # hard and soft share their axis: equal values, equal heights
    assert hard[1] == soft[1]
    assert gap[1][1] > gap[0][1]
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert "75.00 in epoch 2" in texts
    assert {"loss", "hard", "soft", "gap", "epoch"} < set(texts)


def test_the_chosen_epoch_is_marked(tmp_path: Path) -> None:
    tie = [{"loss": 1.0, "val_acc": 0.5, "hard_val_acc": 0.5, "best_epoch": e} for e in (1, 1, 3)]
    assert "50.00 in epoch 3" in [text.text for text in drawn(tmp_path, tie).iter(f"{SVG}text")]


def test_usage_is_stacked_to_the_whole(tmp_path: Path) -> None:
    shares = {"constant": 0.125, "pass": 0.25, "invert": 0.125, "logic": 0.5}
    svg = drawn(tmp_path, [epoch | {"usage": shares} for epoch in EPOCHS])
    areas = []
    for polygon in svg.iter(f"{SVG}polygon"):
        points = [tuple(map(float, pair.split(","))) for pair in polygon.attrib["points"].split()]
        areas.append(points[-1][1] - points[0][1])
    assert np.array(areas) / sum(areas) == pytest.approx([0.5, 0.125, 0.25, 0.125], abs=0.01)
    labels = {text.text for text in svg.iter(f"{SVG}text")}
    assert {"logic 50", "invert 12", "pass 25", "constant 12"} <= labels


@given(
    st.lists(
        st.tuples(st.floats(0, 1e6), st.floats(0, 1), st.floats(0, 1)),
        min_size=1,
        max_size=30,
    )
)
def test_any_run_can_be_drawn(
    tmp_path_factory: pytest.TempPathFactory, epochs: list[tuple[float, float, float]]
) -> None:
    folder = tmp_path_factory.mktemp("curves")
    names = ("loss", "val_acc", "hard_val_acc")
    svg = drawn(folder, [dict(zip(names, epoch, strict=True)) for epoch in epochs])
    width, height = 880, 500
    for curve in polylines(svg):
        assert len(curve) == len(epochs)
        assert all(0 <= x <= width and 0 <= y <= height for x, y in curve)
    for text in svg.iter(f"{SVG}text"):
        assert not re.search("nan|inf|None", text.text or "")


def test_bad_metrics(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with pytest.raises(LgcError, match=r"^Cannot read the metrics .*m\.jsonl"):
        write_curves(path, tmp_path / "m.svg")
    path.write_text("")
    with pytest.raises(LgcError, match="has no epoch to draw"):
        write_curves(path, tmp_path / "m.svg")
    for line in ("{", "3", '{"loss": 1}', '{"loss": 1, "val_acc": null, "hard_val_acc": 1}'):
        path.write_text(json.dumps(EPOCHS[0]) + "\n" + line + "\n")
        with pytest.raises(LgcError, match=r"m\.jsonl, line 2 is not an epoch of a training run"):
            write_curves(path, tmp_path / "m.svg")
    path.write_text(json.dumps(EPOCHS[0]) + "\n")
    with pytest.raises(LgcError, match="^Cannot write .*nowhere"):
        write_curves(path, tmp_path / "nowhere" / "m.svg")


@given(st.integers(1, 4), st.integers(0, 2**32))
def test_kinds_are_what_the_node_computes(k: int, seed: int) -> None:
    """Against the definition: evaluate each node for all values of its distinct sources."""
    rng = np.random.default_rng(seed)
    fanin = rng.integers(0, 3, (8, k)).astype(np.int32)
    table = rng.random((8, 1 << k)) < rng.choice([0.1, 0.5, 0.9])
    values = np.array([[(v >> s) & 1 for s in range(3)] for v in range(8)])
    for i, kind in enumerate(usage.kinds(fanin, table)):
        row = (values[:, fanin[i]] << np.arange(k)).sum(axis=1)
        out = table[i, row].astype(int)
        functions = {tuple(values[:, s]): "pass" for s in range(3)}
        functions |= {tuple(1 - values[:, s]): "invert" for s in range(3)}
        functions |= {(c,) * 8: "constant" for c in (0, 1)}
        assert usage.KINDS[kind] == functions.get(tuple(out), "logic")


def test_gates_have_difflogics_numbers() -> None:
    assert usage.gates(GATE_TABLES).tolist() == [1] * 16
    assert np.flatnonzero(usage.gates(GATE_TABLES[[7, 7, 1]])).tolist() == [1, 7]
    fanin = np.tile(np.array([[0, 1]], np.int32), (16, 1))
    names = [usage.KINDS[kind] for kind in usage.kinds(fanin, GATE_TABLES)]
    expected = {0: "constant", 15: "constant", 3: "pass", 5: "pass", 10: "invert", 12: "invert"}
    assert names == [expected.get(gate, "logic") for gate in range(16)]


RUN = """
[data]
source = "iris"
validation = 30
[encoder]
levels = 5
[model]
tau = 2.0
[[model.layers]]
width = 60
connections = "learned"
residual = 0.0
[[model.layers]]
width = 30
k = 3
relaxation = "light"
[train]
epochs = 40
batch = 32
lr = 0.1
"""


def run(folder: Path, *more: str, resume: bool = False) -> tuple[list[dict[str, Any]], Path]:
    (folder / "run.toml").write_text(RUN)
    out = folder / "m.safetensors"
    train(config.load(folder / "run.toml", more), data.load("iris"), out=out, resume=resume)
    return [json.loads(line) for line in metrics_path(out).read_text().splitlines()], out


def test_a_run_logs_its_gap_and_usage_and_is_drawn(tmp_path: Path) -> None:
    epochs, out = run(tmp_path, "train.epochs=6")
    assert len(epochs) == 6
    for epoch in epochs:
        assert epoch["gap"] == epoch["val_acc"] - epoch["hard_val_acc"]
        assert sum(epoch["usage"].values()) == pytest.approx(1, abs=1e-5)
        first, second = epoch["layers"]
        assert sum(first["gates"]) == 60
        assert "gates" not in second
        assert sum(second[kind] for kind in usage.KINDS) == 30
        assert 0 < epoch["epoch_seconds"] <= epoch["seconds"]
        assert epoch["cpu_seconds"] > 0
    assert cpu_seconds(out) == pytest.approx(sum(epoch["cpu_seconds"] for epoch in epochs), abs=0.1)
    assert cpu_seconds(tmp_path / "other.safetensors") is None
    svg = ET.fromstring(curves_path(out).read_text())
    assert all(len(curve) == 6 for curve in polylines(svg))


def test_patience_stops_and_resuming_agrees(tmp_path: Path) -> None:
    epochs, out = run(tmp_path, "train.patience=4")
    assert len(epochs) < 40
    assert len(epochs) == epochs[-1]["best_epoch"] + 4
    stopped = out.read_bytes()
    assert run(tmp_path, "train.patience=4", resume=True)[0] == epochs
    assert out.read_bytes() == stopped
    # a relaxed start does not count against a network that hardens later
    later, _ = run(tmp_path, "train.patience=4", "model.harden=0.9")
    assert len(later) >= 40


def test_a_lost_log_does_not_cost_the_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, out = run(tmp_path, "train.epochs=2")
    metrics_path(out).unlink()
    out.unlink()
    run(tmp_path, "train.epochs=2", resume=True)
    assert out.is_file()
    assert "No learning curves: " in caplog.text


def test_patience_may_change_when_a_run_goes_on(tmp_path: Path) -> None:
    stopped, _ = run(tmp_path, "train.patience=4")
    longer, out = run(tmp_path, resume=True)
    assert longer[: len(stopped)] == stopped
    assert len(longer) == 40
    again = tmp_path / "again"
    again.mkdir()
    whole, other = run(again)
    assert [epoch["loss"] for epoch in whole] == [epoch["loss"] for epoch in longer]
    assert other.read_bytes() == out.read_bytes()
