"""Exploration: spaces are checked before the first trial, fronts are fronts, a killed study loses nothing."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from lgc.cli import main
from lgc.errors import LgcError, UsageError
from lgc.exploration import Finished, Space, explore, pareto
from lgc.exploration.plot import draw
from lgc.exploration.stopping import Judge, rivals
from lgc.exploration.trial import Task, run

SMALL = {
    "base": "digits",
    "trials": 3,
    "objectives": ["accuracy", "luts", "latency_cycles"],
    "sampler": "random",
    "fix": {
        "data.source": "wine",
        "data.validation": 30,
        "data.augment": "none",
        "train.epochs": 3,
        "model.layers": [{"width": 60}, {"width": 30}],
    },
    "vary": {"model.layers.0.width": {"low": 30, "high": 90, "step": 10}, "compile.levels": [2, 4]},
}


def changed(**values: object) -> dict[str, object]:
    return {**SMALL, **values}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed(trails=3), "There is no setting trails in a space. Did you mean trials"),
        (changed(objectives=["acuracy"]), "There is no objective 'acuracy'. Did you mean accuracy"),
        (
            changed(compile={"until": "verilog"}, objectives=["cells"]),
            "cells is known after the stage bitstream",
        ),
        (changed(sampler="tp"), "There is no sampler 'tp'. Did you mean tpe"),
        (changed(pruner="medium"), "There is no pruner 'medium'. Did you mean median"),
        (changed(vary={}), "varies nothing"),
        (changed(vary={"train.lr": {"low": 1}}), "neither a list of choices nor a range"),
        (
            changed(vary={"train.lr": {"low": 0, "high": 1, "log": True}}),
            "neither a list of choices nor a range",
        ),
        (changed(vary={"train.rl": [1]}), "There is no setting train.rl. Did you mean lr"),
        (changed(vary={"model.layers.0.width": {"low": 0, "high": 10}}), "width is 0; it must be 1"),
        (changed(vary={"compile.level": [1]}), "`lgc compile` has no option level. Did you mean levels"),
        (changed(trials=0), "one objective and one trial"),
    ],
)
def test_bad_spaces_are_refused_before_anything_runs(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Space.of(values)


def test_the_build_goes_as_far_as_the_objectives_need() -> None:
    assert Space.of(SMALL).until == "verilog"
    assert Space.of(changed(objectives=["accuracy", "fmax_mhz"])).until == "bitstream"


SCORES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


@given(SCORES)
def test_the_front_is_what_nobody_beats(scores: list[tuple[int, int]]) -> None:
    space = dataclasses.replace(Space.of(SMALL), objectives=("accuracy", "luts"))
    trials = [Finished(i, {}, (float(a), float(b)), {}, "") for i, (a, b) in enumerate(scores)]
    front = {trial.number for trial in pareto(space, trials)}
    for i, (a, b) in enumerate(scores):
        better = any(c >= a and d <= b and (c, d) != (a, b) for c, d in scores)
        assert (i in front) == (not better)
    if trials:
        picture = ElementTree.fromstring(draw(space, trials))
        written = [(text.get("x"), text.get("y")) for text in picture.findall(".//{*}text")]
        assert len(set(written)) == len(written)  # those of one place share a label
        assert len(picture.findall(".//{*}circle")) == len(trials)


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Finished]]:
    out = tmp_path_factory.mktemp("explore") / "study"
    return out, explore(Space.of(SMALL), out)


def test_every_trial_leaves_its_network_and_its_report(studied: tuple[Path, list[Finished]]) -> None:
    out, found = studied
    assert [trial.number for trial in found] == [0, 1, 2]
    for trial in found:
        assert not trial.error
        folder = out / "trials" / f"{trial.number:04}"
        report = json.loads((folder / "report.json").read_text())
        assert report["model"]["validation_accuracy"] * 100 == trial.values[0]
        assert report["netlist"]["stages"] == trial.values[2]
        assert (folder / "model.safetensors").is_file()
    rows = json.loads((out / "trials.json").read_text())["trials"]
    assert [row["number"] for row in rows] == [0, 1, 2]
    assert any(row["pareto"] for row in rows)


def test_more_trials_add_to_what_is_there(studied: tuple[Path, list[Finished]]) -> None:
    out, found = studied
    more = explore(dataclasses.replace(Space.of(SMALL), trials=4), out)
    assert more[:3] == found
    assert len(more) == 4
    assert len({tuple(trial.chosen.items()) for trial in more}) > 1


def test_another_space_is_refused(studied: tuple[Path, list[Finished]]) -> None:
    with pytest.raises(LgcError, match="a study of another space: seed differ"):
        explore(dataclasses.replace(Space.of(SMALL), seed=9), studied[0])


def test_a_contradiction_fails_its_trial_only(tmp_path: Path) -> None:
    values = changed(vary={"model.layers.0.k": [6, 2]}, sampler="random", trials=4)
    found = explore(Space.of(values), tmp_path / "study")
    wrong = [trial for trial in found if trial.chosen["model.layers.0.k"] == "6"]
    assert wrong
    assert all("no nodes of 6 inputs" in trial.error for trial in wrong)
    assert any(not trial.error for trial in found)


def test_who_must_keep_up_with_whom() -> None:
    own = {"model.layers.0.width": "60", "train.lr": "0.1", "compile.levels": "4"}
    assert rivals(own, own | {"train.lr": "0.2"})
    assert rivals(own, own | {"model.layers.0.width": "50"})
    assert not rivals(own, own | {"model.layers.0.width": "70"})  # larger, so better
    assert not rivals(own, own | {"compile.levels": "2"})
    assert not rivals({"model.layers": "[{width = 9}]"}, {"model.layers": "[{width = 8}]"})
    assert not rivals(own, {"train.lr": "0.1"})


def test_a_trial_that_falls_behind_ends_without_a_build(tmp_path: Path) -> None:
    space = Space.of({**SMALL, "vary": {"train.lr": [0.0001]}})
    config, options = space.resolve({"train.lr": "0.0001", "train.epochs": "6"})
    ahead = dict.fromkeys(range(1, 7), 0.99)
    task = Task(0, config.to_dict(), options, space.objectives, "median", (ahead,) * 4)
    found = run(task, tmp_path)
    assert (found.stopped, found.values, found.error) == (True, (), "")
    assert found.facts is not None
    assert found.facts["epochs"] == 2  # a third of six
    assert not (tmp_path / "build").exists()
    few = Judge("median", (ahead,) * 3, 6, {})
    assert few.trial is None


def test_hopeless_trials_are_stopped_and_kept(tmp_path: Path) -> None:
    """Learning rates that teach nothing, besides useful ones: the log ends early, the study goes on."""
    values = {
        **SMALL,
        "vary": {"train.lr": [0.2, 0.0001]},
        "fix": {**SMALL["fix"], "train.epochs": 6, "train.batch": 8},  # type: ignore[dict-item]
        "trials": 6,
        "objectives": ["accuracy", "luts"],
    }
    first = explore(Space.of(values), tmp_path / "study")
    assert not any(trial.stopped for trial in first)  # too few rivals yet
    found = explore(Space.of(values | {"trials": 9}), tmp_path / "study")
    assert found[:6] == first
    stopped = [trial for trial in found if trial.stopped]
    assert stopped
    assert {trial.chosen["train.lr"] for trial in stopped} == {"0.0001"}
    for trial in stopped:
        folder = tmp_path / "study" / "trials" / f"{trial.number:04}"
        epochs = len((folder / "model.metrics.jsonl").read_text().splitlines())
        assert 2 <= epochs == trial.facts["epochs"] < 6
        assert (trial.values, trial.error) == ((), "")
        assert not (folder / "build").exists()
    assert any(trial.values for trial in found if trial.chosen["train.lr"] == "0.2")
    rows = json.loads((tmp_path / "study" / "trials.json").read_text())["trials"]
    assert [row["stopped"] for row in rows] == [trial.stopped for trial in found]


def test_a_killed_study_goes_on_where_it_was(tmp_path: Path) -> None:
    space = tmp_path / "space.toml"
    space.write_text(
        'base = "digits"\ntrials = 2\nobjectives = ["accuracy", "luts"]\n[fix]\n"train.epochs" = 60\n'
        '[vary]\n"train.lr" = [0.02]\n"model.layers.0.width" = [150]\n"model.layers.1.width" = [100]\n'
    )
    command = [sys.executable, "-m", "lgc", "explore", str(space), "-q"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    log = tmp_path / "space" / "trials" / "0000" / "model.metrics.jsonl"
    try:
        deadline = time.monotonic() + 120
        while not (log.exists() and len(log.read_text().splitlines()) >= 3):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = CliRunner().invoke(main, ["explore", str(space), "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "space" / "trials.json").read_text())["trials"]
    assert [row["number"] for row in rows] == [0, 1]
    epochs = [json.loads(line)["epoch"] for line in log.read_text().splitlines()]
    assert epochs == list(range(1, 61))  # none twice, none missing
    assert rows[0]["values"] == rows[1]["values"]  # the interrupted training ends like the other one


def test_several_at_a_time(tmp_path: Path) -> None:
    one = explore(Space.of(SMALL), tmp_path / "one")
    two = explore(Space.of(SMALL), tmp_path / "two", jobs=2)
    # Which trial ends first does not matter to random draws.
    assert [(trial.chosen, trial.values) for trial in one] == [(trial.chosen, trial.values) for trial in two]
