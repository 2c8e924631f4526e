"""The flow for a target without open place and route: labelled estimates, scripts, and the Verilog proved."""

from pathlib import Path

import pytest

import lgc
from lgc.backend import tools
from lgc.errors import DoesNotFitError, ToolMissingError, UsageError
from lgc.frontend import checkpoint
from lgc.hw_tests.runner import choose
from lgc.report import compare, render
from lgc.verification import verify

from .test_flow import tiny


def complete() -> bool:
    try:
        return bool(tools.find("yosys") and choose("auto", clocks=1))
    except ToolMissingError:
        return False


needs_tools = pytest.mark.skipif(not complete(), reason="Yosys, cocotb or a Verilog simulator is missing")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> lgc.Build:
    folder = tmp_path_factory.mktemp("xilinx")
    checkpoint.save(folder / "tiny.safetensors", tiny())
    return lgc.compile(
        folder / "tiny.safetensors", target="xc7a35t", images=10, scripts=("vivado", "fusesoc")
    )


@needs_tools
def test_it_ends_with_an_estimate_that_is_called_one(built: lgc.Build) -> None:
    report = built.report
    assert report.simulation is not None
    assert (report.simulation.classes_equal, report.simulation.scores_equal) == (10, 10)
    assert (report.post_route, report.bitstream) == (None, None)
    assert report.estimate is not None
    assert 20 < report.estimate.fmax_mhz < 1000
    assert report.estimate.latency_ns > 0
    assert "Project X-Ray" in report.estimate.source
    assert report.post_synthesis is not None
    assert report.post_synthesis.cells is not None
    assert report.post_synthesis.luts.total <= report.post_synthesis.cells < 20_800
    assert any(warning.startswith("xc7a35t is estimate only: ") for warning in report.warnings)
    clocks = [row for row in render.markdown(report).splitlines() if "MHz" in row or "ns after" in row]
    assert clocks
    assert all(row.endswith("| ESTIMATE |") for row in clocks)
    assert [step.name for step in report.steps][-2:] == ["07-estimate", "09-scripts"]


@needs_tools
def test_a_comparison_calls_estimates_by_their_name(built: lgc.Build) -> None:
    found = compare.figures(built.report)
    assert found["Fmax, MHz"] is None
    assert built.report.estimate is not None
    assert found["Fmax, MHz, ESTIMATE"] == built.report.estimate.fmax_mhz
    rows = {row[0]: row[1] for row in next(compare.compare([built.path], against="none").sections())[2]}
    assert "Fmax, MHz" not in rows
    assert rows["latency, ns, ESTIMATE"] == f"{built.report.estimate.latency_ns:,.1f}"


@needs_tools
def test_scripts_are_written_with_the_verilog(built: lgc.Build) -> None:
    out = built.path / "09-scripts"
    assert {path.name for path in out.iterdir()} == {"lgc_vivado.tcl", "lgc.core", "lgc.sdc", "rtl"}
    assert (out / "rtl" / "fabric.v").read_text() == (built.path / "04-rtl" / "fabric.v").read_text()


@needs_tools
def test_the_verilog_is_proved_with_the_vendor_s_models(built: lgc.Build) -> None:
    ladder = verify(built.path, levels=("netlist", "rtl"), images=5)
    rungs = {rung.name: rung for rung in ladder.rungs}
    found = rungs["LUTs with popcount ↔ Verilog"]
    assert (found.verdict, found.detail) == ("equal", "")
    assert found.method.startswith("proof (SAT")


@needs_tools
def test_a_head_chosen_for_levels(tmp_path: Path) -> None:
    """Simulated and proved as any other; the report says what it was chosen for."""
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny(nodes=200))
    build = lgc.compile(path, target="xc7a35t", head="luts:12", images=10, until="simulation")
    report = build.report
    assert report.simulation is not None
    assert (report.simulation.classes_equal, report.simulation.scores_equal) == (10, 10)
    chosen = report.netlist.head
    assert chosen is not None
    assert chosen.startswith("the fewest LUTs in at most 12 levels; it has ")
    assert ("chosen for", chosen) in [row[:2] for section in render.sections(report) for row in section[2]]
    ladder = verify(build.path, levels=("netlist", "rtl"), images=5)
    rungs = {rung.name: rung for rung in ladder.rungs}
    for name in ("optimised ↔ LUTs with popcount", "LUTs with popcount ↔ Verilog"):
        assert rungs[name].method.startswith("proof")


@needs_tools
def test_new_inputs_every_clock(tmp_path: Path) -> None:
    """No carry chains then: registers stand behind every LUT, and a sample enters per clock."""
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny(nodes=100))
    build = lgc.compile(
        path,
        target="xczu3eg",
        throughput="full",
        levels=1,
        interface="parallel",
        images=20,
        until="synthesis",
    )
    report = build.report
    assert report.simulation is not None
    assert (report.simulation.classes_equal, report.simulation.scores_equal) == (20, 20)
    assert report.simulation.cycles_per_sample == 1
    assert "| throughput | one sample per clock |" in render.markdown(report)
    assert report.netlist.stages > report.netlist.depth, "a register behind every LUT, the argmax besides"
    assert report.netlist.head is not None
    assert report.netlist.head.startswith("the fewest LUT sites and registers, without carry chains; it has ")
    assert "CARRY" not in (build.path / "04-rtl" / "fabric.v").read_text()
    ladder = verify(build.path, levels=("netlist", "rtl"), images=5)
    rungs = {rung.name: rung for rung in ladder.rungs}
    for name in ("optimised ↔ LUTs with popcount", "LUTs with popcount ↔ Verilog"):
        assert rungs[name].method.startswith("proof")


@pytest.mark.parametrize("given", [{"throughput": "full"}, {"pipeline": "3"}])
def test_a_head_of_chains_that_registers_would_cut(given: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny())
    with pytest.raises(UsageError, match=r"^--head chooses among carry chains, which --throughput full and"):
        lgc.compile(path, target="xc7a35t", head="luts", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("head", "target", "message"),
    [
        ("few", "xc7a35t", r"^--head takes sites or luts, with levels behind a colon if wanted, not 'few'\."),
        ("luts:0", "xc7a35t", r"^--head takes sites or luts, "),
        (
            "sites:9",
            "ecp5-25f",
            r"^--head is for Xilinx; designs for ecp5-25f take the fewest LUTs in any case",
        ),
    ],
)
def test_heads_that_mean_nothing(head: str, target: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny())
    with pytest.raises(UsageError, match=message):
        lgc.compile(path, target=target, head=head)


def test_too_few_levels_for_a_head(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny())
    with pytest.raises(
        DoesNotFitError, match=r"^No network, counters and argmax of at most 2 levels were found"
    ):
        lgc.compile(path, target="xc7a35t", head="luts:2")


def test_a_script_for_another_vendor_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny())
    with pytest.raises(UsageError, match=r"^Quartus does not know xc7a35t\. Try --script vivado\.$"):
        lgc.compile(path, target="xc7a35t", scripts=("quartus",))
    assert not (tmp_path / "tiny" / "03-expand").exists()


@needs_tools
def test_too_large_a_network_is_refused_before_synthesis(tmp_path: Path) -> None:
    path = tmp_path / "big.safetensors"
    checkpoint.save(path, tiny(nodes=2000))
    with pytest.raises(DoesNotFitError) as caught:
        lgc.compile(path, target="ice40-hx1k", images=3)
    assert "it needs at least" in str(caught.value)
    assert "By part: " in str(caught.value)
    assert not (tmp_path / "big" / "04-rtl").exists()
