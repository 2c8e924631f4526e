"""`lgc flash`: the loader's command line, seen by a small program in its place, and bad input."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import lgc
from lgc.backend import tools
from lgc.build import read_rtl
from lgc.cli import main
from lgc.errors import ToolMissingError
from lgc.frontend import checkpoint

from .test_flow import tiny

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build for a board, two seeds tried."""
    try:
        for name in ("yosys", "nextpnr-ice40", "icepack"):
            tools.find(name)
    except ToolMissingError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("board")
    checkpoint.save(folder / "tiny.safetensors", tiny())
    given = {"board": "icebreaker", "interface": "uart", "clock": "24MHz", "seeds": 2, "images": 3}
    return lgc.compile(folder / "tiny.safetensors", **given).path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is the whole PATH besides the system's shell."""
    for name in ("openFPGALoader", "iceprog"):
        monkeypatch.delenv(tools.variable_of(name), raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(path: Path, greeting: str) -> None:
    """Write a program that greets like a loader and otherwise notes its arguments."""
    path.write_text(f'#!/bin/sh\ncase "$1" in --*) echo "{greeting}";; *) echo "$@" > args; esac\n')
    path.chmod(0o755)


def flash(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["flash", *map(str, arguments)])


def test_a_board_gives_target_pins_and_clock(built: Path) -> None:
    report = lgc.Build.open(built).report
    assert report.target == "ice40-up5k"
    assert report.post_route is not None
    assert [seed.seed for seed in report.post_route.sweep] == [1, 2]
    reached = [seed.fmax_mhz for seed in report.post_route.sweep if seed.fmax_mhz is not None]
    assert report.post_route.fmax_mhz == max(reached) >= 24
    assert (report.post_route.clock_mhz, report.post_route.pll) == (24, "SB_PLL40_PAD")
    pins = built / "07-route" / f"seed-{report.post_route.seed}" / "pins.pcf"
    assert sorted(pins.read_text().splitlines()) == [
        "set_io clk 35", "set_io led[0] 11", "set_io led[1] 37", "set_io rx 6", "set_io tx 9",
    ]  # fmt: skip
    assert not any("ports have no place" in warning for warning in report.warnings)
    assert read_rtl(built).interface.clock_hz == 24e6
    assert f"(cd 07-route && cd seed-{report.post_route.seed} && " in (built / "run.sh").read_text()


def test_openfpgaloader_comes_first(built: Path, bare: Path) -> None:
    program(bare / "openFPGALoader", "openFPGALoader v1.0.0")
    program(bare / "iceprog", "Simple programming tool for FTDI-based Lattice iCE programmers.")
    done = flash(built, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["loader"] == "openFPGALoader 1.0.0 (PATH)"
    assert (built / "args").read_text() == "-b ice40_generic -f 08-pack/lgc.bin\n"
    assert flash(built, "--memory").exit_code == 0
    assert (built / "args").read_text() == "-b ice40_generic -m 08-pack/lgc.bin\n"


def test_iceprog_where_it_is_the_only_one(built: Path, bare: Path) -> None:
    program(bare / "iceprog", "Simple programming tool for FTDI-based Lattice iCE programmers.")
    assert flash(built).exit_code == 0
    assert (built / "args").read_text() == "08-pack/lgc.bin\n"
    assert flash(built, "--memory").exit_code == 0
    assert (built / "args").read_text() == "-S 08-pack/lgc.bin\n"


@pytest.mark.usefixtures("bare")
def test_no_loader(built: Path) -> None:
    done = flash(built)
    assert done.exit_code == 3
    assert "openFPGALoader was not found" in done.stderr
    assert "Try: apt install openfpgaloader" in done.stderr


def test_another_boards_bitstream(built: Path) -> None:
    done = flash(built, "--board", "ulx3s-25f")
    assert done.exit_code == 2
    assert "The build is for ice40-up5k, the board has ecp5-25f." in done.stderr


def test_a_build_without_bitstream_or_board(tmp_path: Path, built: Path) -> None:
    checkpoint.save(tmp_path / "tiny.safetensors", tiny())
    early = lgc.compile(tmp_path / "tiny.safetensors", until="verilog")
    done = flash(early.path)
    assert done.exit_code == 1
    assert "has no bitstream. Run `lgc compile` to the end." in done.stderr
    bitstream = built / "08-pack" / "lgc.bin"
    whole = bitstream.read_bytes()
    try:
        bitstream.write_bytes(whole[:-1])
        assert "lgc.bin was changed or lost since it was built" in flash(built).stderr
    finally:
        bitstream.write_bytes(whole)
