"""Finding, identifying and running external tools, with small programs made for the purpose."""

import sys
import time
from pathlib import Path

import pytest

from lgc.backend import tools
from lgc.errors import LgcError, ToolMissingError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder as the whole PATH, and no packages and variables."""
    for name in tools.TOOLS:
        monkeypatch.delenv(tools.variable_of(name), raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "_packaged", lambda *_: None)
    return tmp_path


def program(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def script(tmp_path: Path, body: str) -> tools.Tool:
    return tools.Tool("yosys", (str(program(tmp_path / "tool", body)),), "1", "PATH")


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", tools.TOOLS)
def test_a_missing_tool_says_how_to_get_it(name: str) -> None:
    with pytest.raises(ToolMissingError, match=r"was not found: .* Try: (pip|apt) install ") as error:
        tools.find(name)
    assert error.value.exit_code == 3
    assert tools.variable_of(name) in str(error.value)


def test_doctor_lists_what_is_missing(bare: Path) -> None:
    program(bare / "yosys", "echo 'Yosys 0.99 (git)'")
    findings = {finding.name: finding for finding in tools.all_tools()}
    assert list(findings) == list(tools.TOOLS)
    assert findings["yosys"].tool is not None
    assert all(f.tool is None and f.fix for name, f in findings.items() if name != "yosys")


def test_a_tool_on_the_path(bare: Path) -> None:
    program(bare / "yosys", "echo 'Yosys 0.99 (git)'")
    found = tools.find("yosys")
    assert (found.version, found.origin, found.identity) == ("0.99", "PATH", "yosys 0.99 (PATH)")
    assert found.shell(["-s", "a b.ys"]) == "yosys -s 'a b.ys'"


def test_the_variable_comes_first(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bare / "yosys", "echo 'Yosys 0.1'")
    mine = program(bare / "mine", "echo 'Yosys 0.2'")
    monkeypatch.setenv("LGC_YOSYS", str(mine))
    assert (tools.find("yosys").version, tools.find("yosys").origin) == ("0.2", "LGC_YOSYS")


@pytest.mark.parametrize("value", ["/nonexistent/yosys", "other", "  "])
def test_a_variable_that_names_no_such_tool_is_an_error(
    bare: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    program(bare / "yosys", "echo 'Yosys 0.1'")
    program(bare / "other", "echo 'something else'")
    monkeypatch.setenv("LGC_YOSYS", value)
    with pytest.raises(ToolMissingError, match=r"^LGC_YOSYS=.* is not a working yosys\."):
        tools.find("yosys")


def test_another_program_of_the_same_name_is_not_taken(bare: Path) -> None:
    """PyPI has an `icepack` that encrypts files."""
    program(bare / "icepack", "echo 'Usage: icepack [OPTIONS] COMMAND [ARGS]...'")
    with pytest.raises(ToolMissingError, match="the one on the PATH is another program"):
        tools.find("icepack")


def test_an_unknown_tool() -> None:
    with pytest.raises(ToolMissingError, match=r"^lgc knows no tool named 'yosis'\. Did you mean yosys"):
        tools.find("yosis")


def test_run_keeps_the_output_and_works_in_its_directory(tmp_path: Path) -> None:
    tool = script(tmp_path, 'pwd; echo "got $1 $MORE" >&2')
    log = tmp_path / "a.log"
    seconds = tools.run(tool, ["x"], cwd=tmp_path, log=log, timeout_s=20, env={"MORE": "more"})
    assert log.read_text().splitlines() == [str(tmp_path.resolve()), "got x more"]
    assert 0 <= seconds < 20


def test_a_failing_tool_shows_the_end_of_its_log(tmp_path: Path) -> None:
    tool = script(tmp_path, "i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done; exit 7")
    with pytest.raises(LgcError, match="yosys failed with exit code 7:") as error:
        tools.run(tool, [], cwd=tmp_path, log=tmp_path / "a.log", timeout_s=20)
    shown = str(error.value).splitlines()[1:]
    assert shown == [f"line {n}" for n in range(50 - tools.LOG_LINES, 50)]


def test_a_tool_that_hangs_ends_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    tool = script(tmp_path, f"sleep 60 & echo $! > {pid_file}; wait")
    start = time.monotonic()
    with pytest.raises(tools.TimeLimitError, match=r"^yosys did not finish within 0\.5 s\."):
        tools.run(tool, [], cwd=tmp_path, log=tmp_path / "a.log", timeout_s=0.5)
    assert time.monotonic() - start < 20
    status = Path(f"/proc/{pid_file.read_text().strip()}/status")
    deadline = time.monotonic() + 10
    while status.exists() and "zombie" not in status.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not status.exists() or "zombie" in status.read_text()


def test_relative_paths_go_through_common_folders(tmp_path: Path) -> None:
    assert tools.relative(tmp_path / "a" / "x.v", tmp_path / "b") == "../a/x.v"
