"""`lgc compile --fold` on a small network: files, checks, the model printed, and what is refused."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import lgc
from lgc import folding, rates
from lgc.build import Build
from lgc.cli import main
from lgc.errors import DoesNotFitError, MismatchError, ToolMissingError, UsageError
from lgc.frontend import checkpoint
from lgc.frontend.fold import fold
from lgc.ir.equivalence import compare
from lgc.verification import folded, verify
from lgc.verification.subject import Subject

from ...frontend.networks import random_checkpoint
from .networks import network, signal


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fold") / "tiny.safetensors"
    checkpoint.save(path, network(5, image=(7, 9)))
    return path


@pytest.fixture(scope="module")
def built(model: Path) -> Build:
    try:
        return lgc.compile(model, fold=True, until="simulation", images=5)
    except ToolMissingError as error:
        pytest.skip(str(error))


def test_the_hardware_agrees_with_the_network(built: Build) -> None:
    found = built.report.simulation
    assert found is not None
    assert (found.samples, found.classes_equal, found.scores_equal) == (5, 5, 5)
    checks = {check.rung: check for check in built.report.checks}
    assert checks["network ↔ kernels at all positions"].method.startswith("proof")
    assert all(check.equal for check in checks.values())


def test_the_report_tells_kernels_from_the_tail(built: Build) -> None:
    rows = built.report.passes
    parts = list(dict.fromkeys(row.name.partition(":")[0] for row in rows[:-1]))
    assert parts[0] == "kernel 0"
    assert parts[-1] == "tail"
    assert rows[-1].name == "kernels as built, mapped to 4 inputs, and the tail"
    assert rows[-1].after == built.report.netlist.network_luts <= rows[-1].before


def test_a_tail_as_a_program(model: Path, tmp_path: Path) -> None:
    try:
        report = lgc.compile(
            model, out=tmp_path / "serial", fold=True, tail="serial", until="simulation", images=5
        ).report
    except ToolMissingError as error:
        pytest.skip(str(error))
    assert report.simulation is not None
    assert (report.simulation.classes_equal, report.simulation.scores_equal) == (5, 5)
    checks = {check.rung: check.method for check in report.checks}
    assert checks["tail ↔ its program"].startswith("proof")
    assert report.passes[-1].name == "kernels as built, mapped to 4 inputs; the tail is a program"
    ladder = verify(tmp_path / "serial", levels=("netlist", "rtl"), images=3, model=model)
    assert {rung.verdict for rung in ladder.rungs} == {"equal"}
    assert not any("popcount ↔ Verilog" in rung.name for rung in ladder.rungs)


def test_every_rung_of_a_folded_build(built: Build, model: Path) -> None:
    ladder = verify(built.path, levels=("netlist", "rtl"), images=3, model=model)
    assert [rung.verdict for rung in ladder.rungs] == ["equal"] * 5


def test_a_wrong_kernel_is_found(built: Build, model: Path, tmp_path: Path) -> None:
    """One table entry in the Verilog, then another kernel on disk."""
    shutil.copytree(built.path, tmp_path / "build")
    subject = Subject(Build.open(tmp_path / "build"), model, "", 3, "auto", 0, 300)
    assert folded.kernels_to_verilog(subject)[0].startswith("proof")
    source = tmp_path / "build" / "04-rtl" / "kernels.v"
    tables = re.findall(r"16'h([0-9a-f]{4})", source.read_text())
    wrong = f"{int(tables[0], 16) ^ 0xFFFF:04x}"
    source.write_text(source.read_text().replace(f"16'h{tables[0]}", f"16'h{wrong}", 1))
    with pytest.raises(MismatchError, match=r"computes something else than its netlist"):
        folded.kernels_to_verilog(subject)
    stored = folding.load(tmp_path / "build" / "03-expand")
    n = max(range(len(stored.kernels)), key=lambda n: stored.kernels[n].netlist.luts)
    kernels = list(stored.kernels)
    kernels[n] = replace(kernels[n], netlist=replace(kernels[n].netlist, table=~kernels[n].netlist.table))
    folding.save(replace(stored, kernels=tuple(kernels)), tmp_path / "build" / "03-expand")
    with pytest.raises(MismatchError, match=rf"^Kernel {n} computes something else than before its mapping"):
        folded.optimised_to_luts(subject)


def test_a_network_is_read_as_it_was_written(built: Build, model: Path, tmp_path: Path) -> None:
    written = folding.load(built.path / "03-expand")
    assert compare(fold(checkpoint.load(model)).unrolled(), written.unrolled()).equal
    folding.save(written, tmp_path)
    again = folding.load(tmp_path)
    assert [kernel.window for kernel in again.kernels] == [kernel.window for kernel in written.kernels]
    assert np.array_equal(again.unrolled().fanin, written.unrolled().fanin)


def test_the_command_shows_the_model_and_keeps_steps(built: Build, model: Path) -> None:
    result = CliRunner().invoke(
        main, ["compile", str(model), "--fold", "--until", "simulation", "--images", "5", "--json"]
    )
    assert result.exit_code == 0, result.output
    shown = (built.path / "04-rtl" / "model.txt").read_text()
    for line in shown.splitlines():
        assert line in result.stderr
    values = json.loads((built.path / "manifest.json").read_text())["steps"]["04-rtl"]["values"]
    assert f"one sample per {values['cycles_per_sample']:,} clocks" in shown
    assert all(step["cached"] for step in json.loads(result.stdout)["steps"])


def test_a_build_can_be_simulated_again(built: Build) -> None:
    found = built.simulate(images=3, seed=7)
    assert (found["samples"], found["classes_equal"], found["scores_equal"]) == (3, 3, 3)


def test_a_rate_is_met_or_missed(model: Path, tmp_path: Path) -> None:
    """The fewest cells that reach it; else exit code 5 with the nearest."""
    command = [
        "compile",
        str(model),
        "--fold",
        "--until",
        "verilog",
        "-o",
        str(tmp_path / "out"),
        "-q",
        "--fps",
    ]
    result = CliRunner().invoke(main, [*command, "2000000"])
    assert result.exit_code in {0, 3}, result.output
    if result.exit_code == 3:
        pytest.skip(result.output)
    step = json.loads((tmp_path / "out" / "manifest.json").read_text())["steps"]["02-rate"]["values"]
    rows = [rates.Row(**row | {"short_of": tuple(row["short_of"])}) for row in step["considered"]]
    assert {row.positions for row in rows} == {0, 2, 4, 8}
    good = [row for row in rows if row.fps >= 2_000_000]
    assert good
    assert (step["tail"], step["positions"]) == min((r.cells, (r.tail, r.positions)) for r in good)[1]
    values = json.loads((tmp_path / "out" / "manifest.json").read_text())["steps"]["04-rtl"]["values"]
    assert values["lanes"] == max(step["positions"], 1)
    assert "ESTIMATE: about" in (tmp_path / "out" / "04-rtl" / "model.txt").read_text()
    result = CliRunner().invoke(main, [*command, "1e12"])
    assert result.exit_code == 5
    nearest = max(rows, key=lambda row: row.fps)
    assert nearest.text in result.stderr


def test_the_smallest_that_is_fast_enough() -> None:
    row = rates.Row("parallel", 2, 392, 100.0, 255_102.0, 4000, 3, 26, ())
    small = replace(row, tail="serial", positions=0, fps=30_000.0, cells=900, brams=20)
    large = replace(row, positions=4, fps=510_204.0, cells=9000, short_of=("logic",))
    assert rates.choose([row, small, large], 1000, "chip") is small
    assert rates.choose([row, small, large], 100_000, "chip") is row
    with pytest.raises(
        DoesNotFitError, match=r"to reach 300,000 frames/s; the fastest: parallel tail, 2 places"
    ):
        rates.choose([row, small, large], 300_000, "chip")
    with pytest.raises(DoesNotFitError, match=r"^No folded design fits chip; .* too little logic\. Try"):
        rates.choose([large], 1, "chip")


def test_what_wants_folding(model: Path, tmp_path: Path) -> None:
    for options in ({"fps": 1}, {"positions": 2}, {"continuous": 4}):
        with pytest.raises(UsageError, match=r"^Rates, positions per clock"):
            lgc.compile(model, out=tmp_path / "out", **options)


def test_a_signal_is_classified_continuously(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "signal.safetensors", signal(3, length=17))
    try:
        build = lgc.compile(
            tmp_path / "signal.safetensors", fold=True, continuous=2, until="simulation", images=3
        )
    except ToolMissingError as error:
        pytest.skip(str(error))
    found = build.report.simulation
    assert found is not None
    assert found.samples == found.classes_equal == found.scores_equal == 18  # windows of three samples
    assert found.correct is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"continuous": 2}, r"^Only signals in time"),
        ({"continuous": 2, "tail": "serial"}, r"^Signals are classified continuously a feature per clock"),
        ({"interface": "uart", "positions": 2}, r"^Behind an interface a folded design takes samples"),
        ({"interface": "parallel"}, r"^A folded design takes features one after the other"),
        ({"target": "xc7a35t"}, r"^A folded design cannot be built for"),
        ({"tail": "curly"}, r"^There is no tail 'curly'"),
        ({"throughput": "full"}, r"^The inputs of a folded design's tail stand still"),
        ({"passes": "drop-outputs"}, r"^Passes that go by data do not work on kernels"),
    ],
)
def test_what_folding_does_not_go_with(
    model: Path, tmp_path: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        lgc.compile(model, out=tmp_path / "out", fold=True, until="verilog", **options)


def test_a_network_without_convolutions_becomes_a_program(tmp_path: Path) -> None:
    path = tmp_path / "dense.safetensors"
    checkpoint.save(path, random_checkpoint(0))
    with pytest.raises(UsageError, match=r"^Without convolutions there is nothing to fold but a program"):
        lgc.compile(path, fold=True, tail="parallel", until="verilog")
    try:
        report = lgc.compile(path, out=tmp_path / "out", fold=True, until="simulation", images=5).report
    except ToolMissingError as error:
        pytest.skip(str(error))
    assert report.simulation is not None
    assert (report.simulation.classes_equal, report.simulation.scores_equal) == (5, 5)
    ladder = verify(tmp_path / "out", levels=("netlist", "rtl"), images=3, model=path)
    assert {rung.verdict for rung in ladder.rungs} == {"equal"}
