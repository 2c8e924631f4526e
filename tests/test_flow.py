"""The compile flow on a small network: every stage for real, and what it does with bad input."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lgc
from lgc.cli import main
from lgc.errors import DoesNotFitError, LgcError, MismatchError, ToolMissingError, UsageError
from lgc.frontend import checkpoint
from lgc.frontend.checkpoint import Checkpoint, Layer
from lgc.ir.encoder import FixedPoint, Thermometer
from lgc.report import Report

PIXELS, CLASSES = 64, 10


def tiny(nodes: int = 40, *, seed: int = 0, source: str = "digits") -> Checkpoint:
    """An untrained network over the digits' pixels: its function is arbitrary, its shape is not."""
    rng = np.random.default_rng(seed)
    layer = Layer(
        fanin=rng.integers(0, 2 * PIXELS, (nodes, 2)).astype(np.int32),
        parameters=rng.normal(size=(nodes, 16)).astype(np.float32),
        relaxation="dlgn",
    )
    threshold = np.tile(np.array([4, 10], np.int32), (PIXELS, 1))
    metadata = {"source": source, "image_shape": [8, 8], "seed": seed}
    names = tuple(map(str, range(CLASSES)))
    return Checkpoint(Thermometer(threshold, FixedPoint(5)), (layer,), names, 1.0, metadata)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny())
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> lgc.Build:
    """A build to the bitstream, 20 digits simulated."""
    folder = tmp_path_factory.mktemp("built")
    checkpoint.save(folder / "tiny.safetensors", tiny())
    return lgc.compile(folder / "tiny.safetensors", images=20)


def test_the_report_covers_every_stage(built: lgc.Build) -> None:
    report = built.report
    assert report.simulation is not None
    assert (report.simulation.samples, report.simulation.classes_equal, report.simulation.scores_equal) == (
        20,
        20,
        20,
    )
    assert report.simulation.source == "digits, test split"
    assert report.post_synthesis is not None
    # scores of classes that cannot win are there for simulation only, and go in synthesis
    assert 0 < report.post_synthesis.luts.network <= report.netlist.network_luts
    assert 0 < report.post_synthesis.luts.readout <= report.netlist.popcount_luts
    assert report.post_synthesis.luts.argmax > 0
    assert report.post_synthesis.luts.encoder >= report.netlist.input_bits
    assert report.post_route is not None
    assert report.post_route.cells >= report.post_synthesis.luts.total
    assert report.post_route.fmax_mhz > 20
    assert all(check.equal for check in report.checks)
    assert built.bitstream is not None
    assert built.bitstream.read_bytes()[:4] == bytes.fromhex("ff0000ff")


def test_every_step_before_the_rtl_is_proved(built: lgc.Build) -> None:
    methods = {check.rung: check.method for check in built.report.checks}
    assert methods["network ↔ optimised"].startswith("proof (SAT sweeping")
    assert methods["optimised ↔ LUTs with popcount"].startswith("proof (SAT sweeping of the network, ")
    assert methods["popcount ↔ argmax"] == "proof (SAT, for each two classes)"


def test_scores_without_what_classes_share_are_simulated_as_such(model: Path) -> None:
    build = lgc.compile(model, passes="simplify,drop-common", until="simulation", images=20)
    assert build.report.simulation is not None
    assert build.report.simulation.scores_equal == 20
    assert build.simulate(images=5)["classes_equal"] == 5


def test_inexact_passes_run_on_request_and_say_what_they_cost(model: Path) -> None:
    pipeline = "simplify,data-merge,drop-outputs{budget=500}"
    build = lgc.compile(model, passes=pipeline, until="simulation", images=20)
    methods = [check.method for check in build.report.checks]
    assert methods[1].startswith("inexact on request: validation accuracy ")
    assert build.report.pipeline.endswith("data-merge,drop-outputs{budget=500}")
    assert build.report.simulation is not None
    assert build.report.simulation.scores_equal == 20
    assert any("gave up exactness" in warning for warning in build.report.warnings)
    assert build.simulate(images=5)["scores_equal"] == 5


def test_inexact_passes_need_data(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "bare.safetensors", tiny(source=""))
    with pytest.raises(LgcError, match="names no data set"):
        lgc.compile(tmp_path / "bare.safetensors", passes="data-merge", until="verilog")


def test_the_report_round_trips_and_renders(built: lgc.Build) -> None:
    assert Report.load(built.path / "report.json") == built.report
    text = (built.path / "report.md").read_text()
    assert "| agreement with the network | 20 of 20 classes |" in text
    assert json.loads(built.report.to_json())["schema_version"] == 2


def test_a_second_run_keeps_every_step(built: lgc.Build) -> None:
    again = lgc.compile(built.path.with_suffix(".safetensors"), out=built.path, images=20)
    assert all(step.cached for step in again.report.steps)
    assert again.report.post_route == built.report.post_route


def test_another_seed_repeats_only_place_and_route(built: lgc.Build, tmp_path: Path) -> None:
    del tmp_path
    again = lgc.compile(built.path.with_suffix(".safetensors"), out=built.path, images=20, seed=2)
    assert [step.name for step in again.report.steps if not step.cached] == ["07-route", "08-pack"]


def test_verify_streams_the_callers_samples(built: lgc.Build) -> None:
    x = np.random.default_rng(0).integers(0, 17, (7, 8, 8))
    result = built.verify(x)
    assert (result.samples, result.classes_equal, result.scores_equal) == (7, 7, 7)
    with pytest.raises(LgcError, match="^The data has 3 features per sample, the model expects 64"):
        built.verify(np.zeros((2, 3)))
    with pytest.raises(LgcError, match="^The features hold NaN or infinite values"):
        built.verify(np.full((1, 64), np.nan))


def test_edited_verilog_is_not_trusted(built: lgc.Build) -> None:
    fabric = built.path / "04-rtl" / "fabric.v"
    text = fabric.read_text()
    try:
        fabric.write_text(text.replace("LUT_INIT(16'h", "LUT_INIT(~16'h", 1))
        with pytest.raises(LgcError, match=r"fabric\.v was changed or lost since it was built"):
            built.verify(np.zeros((1, 64)))
    finally:
        fabric.write_text(text)


def test_wrong_hardware_is_a_mismatch(model: Path, tmp_path: Path) -> None:
    """The RTL of one network against another one: simulation must tell."""
    from lgc import models
    from lgc.build import read_rtl, simulate_rtl

    lgc.compile(model, out=tmp_path / "b", until="verilog")
    checkpoint.save(tmp_path / "other.safetensors", tiny(seed=1))
    other = models.load(tmp_path / "other.safetensors")
    samples = models.samples(other, "digits", required=True).first(20)
    with pytest.raises(MismatchError, match="differs from the network"):
        simulate_rtl(read_rtl(tmp_path / "b"), other, samples, tmp_path / "sim", scored=other)


def test_compiling_needs_no_torch(model: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from lgc.cli import main\n"
        f"main(['compile', {str(model)!r}, '-o', {str(tmp_path / 'b')!r}, '--until', 'verilog', '-q'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_its_data_random_samples_are_simulated_and_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, tiny(source="gone"))
    build = lgc.compile(path, until="simulation", images=10)
    assert build.report.simulation is not None
    assert build.report.simulation.correct is None
    assert "The data set 'gone' was not found" in build.report.warnings[0]


def test_a_design_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "big.safetensors"
    checkpoint.save(path, tiny(nodes=2000))
    with pytest.raises(DoesNotFitError, match=r"does not fit ice40-hx1k: it needs .* over\)") as caught:
        lgc.compile(path, target="ice40-hx1k", images=3)
    assert caught.value.exit_code == 5
    assert "Try a larger target" in str(caught.value)
    assert not (path.with_suffix("") / "report.json").exists()


def test_a_users_own_target(model: Path, tmp_path: Path) -> None:
    ours = Path(lgc.__file__).parent / "backend" / "targets" / "ice40-hx8k.toml"
    mine = tmp_path / "mine.toml"
    mine.write_text(ours.read_text().replace('name = "ice40-hx8k"', 'name = "mine"'))
    assert lgc.compile(model, target=str(mine), until="verilog").report.target == "mine"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": "ice40-hx8"}, UsageError, "ice40-hx8k"),
        ({"target": "missing.toml"}, LgcError, "missing.toml"),
        ({"passes": "simplfy"}, UsageError, "There is no pass named 'simplfy'. Did you mean simplify?"),
        ({"data": "nowhere"}, LgcError, "nowhere"),
        ({"until": "moon"}, LgcError, "There is no stage 'moon'."),
    ],
)
def test_bad_options(model: Path, options: dict[str, str], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        lgc.compile(model, **options)
    assert message in str(caught.value)
    assert not (model.with_suffix("") / "04-rtl").exists()


def damaged(model: Path) -> dict[str, bytes]:
    whole = model.read_bytes()
    return {
        "truncated": whole[:200],
        "empty": b"",
        "pickle": pickle.dumps({"a": 1}),
        "text": b"not a checkpoint",
    }


@pytest.mark.parametrize("kind", ["truncated", "empty", "pickle", "text"])
def test_bad_checkpoints_leave_an_earlier_build_alone(model: Path, kind: str) -> None:
    build = lgc.compile(model, until="verilog")
    before = (build.path / "report.json").read_bytes()
    model.write_bytes(damaged(model)[kind])
    with pytest.raises(LgcError) as caught:
        lgc.compile(model, until="verilog")
    assert str(model) in str(caught.value)
    assert (build.path / "report.json").read_bytes() == before


def test_no_simulator(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("LGC_VERILATOR", "/nonexistent/verilator")
    with pytest.raises(ToolMissingError) as caught:
        lgc.compile(model, until="simulation")
    assert caught.value.exit_code == 3


def test_a_place_that_cannot_be_written(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LgcError, match="^Cannot write to "):
        lgc.compile(model, out=tmp_path / "file" / "b")


def test_the_command_prints_the_report_as_json(model: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    arguments = [
        "compile",
        str(model),
        "-o",
        str(tmp_path / "b"),
        "--until",
        "simulation",
        "--images",
        "5",
        "--json",
        "-q",
    ]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["simulation"]["classes_equal"] == 5
    shown = CliRunner().invoke(main, ["report", str(tmp_path / "b"), "--markdown"])
    assert shown.output.startswith("# tiny.safetensors on ice40-hx8k")
    assert os.access(tmp_path / "b" / "run.sh", os.X_OK)
