"""Scripts for other tools: complete, for the right part, and refused where a tool does not know the device."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lgc.backend.family import FAMILIES
from lgc.backend.rtl import RtlFiles, write_rtl
from lgc.backend.scripts import KINDS, check_kinds, write_scripts
from lgc.backend.target import load, names
from lgc.errors import UsageError
from lgc.hw_tests.samples import random_sample

from ..needs import needs_yosys


@pytest.fixture(scope="module")
def rtl(tmp_path_factory: pytest.TempPathFactory) -> RtlFiles:
    sample = random_sample(seed=5, layers=(30, 24), classes=3, luts_per_stage=2)
    out = tmp_path_factory.mktemp("rtl")
    return write_rtl(sample.encoder, sample.fabric, out=out, argmax_registers=True, held=True)


def written(rtl: RtlFiles, kind: str, target: str, out: Path) -> str:
    (path,) = write_scripts((kind,), rtl, load(target), out=out, title="a test", clock_mhz=125.0)
    text = path.read_text()
    for name in re.findall(r"rtl/\w+\.v", text):
        assert (out / name).is_file()
    assert str(out) not in text
    return text


@needs_yosys
@pytest.mark.parametrize(
    ("kind", "target", "words"),
    [
        ("vivado", "xc7a35t", ["-part xc7a35tcsg324-1", "synth_design -top lgc_top", "write_bitstream"]),
        ("quartus", "cyclone5-5ceba4", ['FAMILY "Cyclone V"', "DEVICE 5CEBA4F23C7", "rtl/cells.v"]),
        ("radiant", "ice40-up5k", ["-dev iCE40UP5K-SG48I", "top lgc_top", "rtl/cells.v"]),
        ("fusesoc", "ecp5-25f", ["CAPI=2:", "toplevel: lgc_top", "[rtl, models]"]),
    ],
)
def test_a_script_names_part_top_and_files(
    kind: str, target: str, words: list[str], rtl: RtlFiles, tmp_path: Path
) -> None:
    text = written(rtl, kind, target, tmp_path)
    for word in (*words, "rtl/shell.v", "rtl/store.v", "rtl/fabric.v", "a test"):
        assert word in text
    assert "-period 8.000 [get_ports clk]" in (tmp_path / "lgc.sdc").read_text()


@needs_yosys
@pytest.mark.parametrize(("kind", "target"), [("vivado", "xczu3eg"), ("quartus", "cyclone4-ep4ce22")])
def test_tcl_is_complete(kind: str, target: str, rtl: RtlFiles, tmp_path: Path) -> None:
    text = written(rtl, kind, target, tmp_path)
    if shutil.which("tclsh") is None:
        pytest.skip("tclsh is not installed")
    (tmp_path / "check.tcl").write_text("puts [info complete [read [open script.tcl]]]\n")
    (tmp_path / "script.tcl").write_text(text)
    done = subprocess.run(["tclsh", "check.tcl"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@needs_yosys
def test_a_core_file_is_yaml_of_capi2(rtl: RtlFiles, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    text = written(rtl, "fusesoc", "xc7a35t", tmp_path)
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text.removeprefix("CAPI=2:\n"))
    assert core["targets"]["synth"]["tools"]["vivado"]["part"] == "xc7a35tcsg324-1"
    assert core["targets"]["default"]["filesets"] == ["rtl"]
    assert core["targets"]["sim"]["filesets"] == ["rtl", "models"]
    assert all((tmp_path / name).is_file() for name in core["filesets"]["rtl"]["files"])


def test_every_estimated_family_has_a_vendor_s_script() -> None:
    for target in map(load, names()):
        if target.cells.estimated:
            kind = "vivado" if FAMILIES[target.family].own_cells else "quartus"
            check_kinds((kind, "fusesoc"), target)


@pytest.mark.parametrize(
    ("kind", "target", "message"),
    [
        ("vivado", "ice40-up5k", "Vivado does not know ice40-up5k. Try --script radiant."),
        ("quartus", "ecp5-25f", "Quartus does not know ecp5-25f. Try --script fusesoc."),
        ("ise", "xc7a35t", f"There is no script for 'ise'. Known: {', '.join(KINDS)}."),
    ],
)
def test_a_tool_that_does_not_know_the_target(kind: str, target: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_kinds((kind,), load(target))
    assert str(caught.value) == message
