"""The command line: what it prints, what it refuses, and with which exit code."""

import dataclasses
import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lgc import console
from lgc.cli import main
from lgc.ir.passes import REGISTRY

from .ir.test_checked import Wrong

NET = """\
netlist k=2 inputs=2
%4 = lut 0x8 %2 %3
%5 = lut 0x8 %3 %2
class 0 = 0 + %4 + %5
class 1 = 0 + %2
"""


def lgc(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.lgc"
    path.write_text(NET)
    return path


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_has_help_that_teaches(command: str) -> None:
    done = lgc(command, "--help")
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 8


def test_help_states_the_exit_codes_and_completion() -> None:
    out = lgc("--help").output
    assert "Exit codes: 0 fine, 1 error, 2 usage, 3 tool missing" in out
    assert "_LGC_COMPLETE=bash_source" in out


def test_unknown_command_names_the_nearest() -> None:
    done = lgc("compil")
    assert done.exit_code == 2
    assert "There is no command 'compil'. Did you mean compile" in done.output


def test_opt_prints_the_netlist(net: Path) -> None:
    done = lgc("opt", net, "-p", "simplify")
    assert done.exit_code == 0
    assert "class 0 = 0 + 2 * %4" in done.output


def test_opt_reports_each_pass(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.lgc"
    done = lgc("opt", net, "-p", "strash,dce", "--json", "--check", "each", "-o", out)
    found = json.loads(done.output)
    ran = found["passes"]
    assert [(row["pass"], row["luts"], row["change"]) for row in ran] == [("strash", 1, -1), ("dce", 1, 0)]
    checks = [{"passes": name, "verified by": "proof (exhaustive)"} for name in ("strash", "dce")]
    assert found["checks"] == checks
    assert out.read_text().startswith("netlist k=2 inputs=2")


@pytest.mark.parametrize("suffix", [".npz", ".blif", ".aig", ".aag", ".v"])
def test_convert_there_and_back(net: Path, suffix: str) -> None:
    there = net.with_suffix(suffix)
    assert lgc("convert", net, there).exit_code == 0
    assert lgc("opt", there, "-p", "simplify").output.endswith("class 0 = 0 + 2 * %4\nclass 1 = 0 + %2\n")
    assert json.loads(lgc("inspect", there, "--json").output)["classes"] == 2


def test_convert_adds_a_group_sum(tmp_path: Path) -> None:
    foreign = tmp_path / "gates.blif"
    foreign.write_text(".model m\n.inputs a b\n.outputs x y\n.names a b x\n11 1\n.names a y\n0 1\n.end\n")
    assert lgc("convert", foreign, tmp_path / "net.lgc", "--group-sum", 2).exit_code == 0
    assert "class 1 = 0 + %" in (tmp_path / "net.lgc").read_text()
    done = lgc("convert", foreign, tmp_path / "net.lgc", "--group-sum", 3)
    assert done.exit_code == 1
    assert "2 outputs do not split into 3 equal groups" in done.stderr


def test_opt_refuses_an_unknown_format_before_it_works(net: Path) -> None:
    done = lgc("opt", net, "-p", "dce", "-o", net.with_suffix(".edif"), "--print-after", "all")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert ".blif" in done.stderr


def test_convert_names_the_formats_it_knows(net: Path) -> None:
    done = lgc("convert", net, net.with_suffix(".edif"))
    assert done.exit_code == 2
    assert ".blif" in done.stderr


def test_opt_runs_the_first_passes_only(net: Path) -> None:
    done = lgc("opt", net, "-p", "strash,dce", "--json", "--first", 1)
    found = json.loads(done.output)
    assert [row["pass"] for row in found["passes"]] == ["strash"]
    assert [check["passes"] for check in found["checks"]] == ["strash"]


def test_opt_exits_4_and_names_the_pass_that_is_wrong(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGISTRY.passes, "wrong", Wrong)
    out = net.with_suffix(".npz")
    done = lgc("opt", net, "-p", "strash,wrong,dce", "-o", out)
    assert done.exit_code == 4
    assert done.stderr.startswith("lgc: Pass wrong changes the function for the inputs ")
    assert not out.exists()
    assert lgc("opt", net, "-p", "strash,wrong,dce", "-o", out, "--check", "none").exit_code == 0


def test_opt_prints_after_a_pass(net: Path) -> None:
    assert "# after strash" in lgc("opt", net, "-p", "strash,dce", "--print-after", "strash").stderr


def test_inspect_a_netlist(net: Path) -> None:
    facts = json.loads(lgc("inspect", net, "--json").output)
    assert facts == {"k": 2, "inputs": 2, "LUTs": 2, "outputs": 0, "classes": 2, "readout entries": 3}


def test_passes_lists_options_and_aliases() -> None:
    found = {row["name"]: row for row in json.loads(lgc("passes", "--json").output)}
    assert found["lut-map"]["options"] == "k=4 depth=false levels=0 cuts=12"
    assert found["simplify"]["what"] == "= strash,absorb,dce"
    assert "lut-map" in lgc("passes").output


def test_passes_explains_every_pass() -> None:
    for name, kind in REGISTRY.passes.items():
        text = lgc("passes", name).output
        assert text.startswith((kind.__doc__ or "?").splitlines()[0].replace("`", ""))
        options = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        assert all(f" {option}=" in text for option in options)
    assert lgc("passes", "simplify").output == "simplify = strash,absorb,dce\n"
    assert "Did you mean merge" in lgc("passes", "mrege").stderr


def test_targets_lists_devices() -> None:
    found = {row["name"]: row for row in json.loads(lgc("targets", "--json").output)}
    assert found["ice40-hx8k"]["LUTs"] == "7,680"
    assert found["ice40-hx8k"]["to"] == "bitstream"
    assert (found["ice40-hx8k"]["clock at most"], found["ecp5-25f"]["clock at most"]) == ("275 MHz", "")
    assert (found["xc7a35t"]["k"], found["xc7a35t"]["to"]) == ("6", "estimate only")
    assert found["xc7a35t"]["needs"] == "yosys"


def test_doctor_lists_tools() -> None:
    found = json.loads(lgc("doctor", "--json").output)
    assert {"yosys", "nextpnr-ice40", "icepack", "iverilog"} <= {row["tool"] for row in found}
    assert all(row["version"] for row in found)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["opt", "missing.lgc", "-p", "dce"], 1, "lgc: Cannot read missing.lgc: No such file or directory."),
        (["inspect", "missing.safetensors"], 1, "missing.safetensors"),
        (["report", "nowhere"], 1, "lgc: There is no report at nowhere/report.json. Make one with `lgc compile`."),
        (["sim", "nowhere"], 1, "lgc: There is no report at nowhere/report.json"),
        (["compile", "missing.safetensors"], 1, "missing.safetensors"),
        (["train", "digts"], 2, "Did you mean digits"),
        (["train", "digits", "--set", "train.epoch=3"], 2, "Did you mean epochs"),
        (["train", "digits", "--set", "train.epochs=three"], 2, "train.epochs"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = lgc(*arguments)
    assert done.exit_code == code, done.output
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_unknown_pass_names_the_nearest(net: Path) -> None:
    done = lgc("opt", net, "-p", "stash")
    assert done.exit_code == 2
    assert done.stderr == "lgc: There is no pass named 'stash'. Did you mean strash?\n"


def test_completion_offers_targets_and_passes() -> None:
    for words, wanted in (
        ("lgc compile -t ice40-h", "ice40-hx8k"),
        ("lgc opt -p simplify,lut", "simplify,lut-map"),
        ("lgc report x --estimate -t ecp5-8", "ecp5-85f"),
        ("lgc report x --estimate -t al", "all"),
        ("lgc compare x --against mn", "mnist"),
        ("lgc compile x --board icebr", "icebreaker"),
        ("lgc import x --format torchl", "torchlogix"),
    ):
        env = {
            "_LGC_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        done = CliRunner().invoke(main, [], env=env, prog_name="lgc")
        assert wanted in done.output


def test_a_wrong_choice_is_told_the_nearest() -> None:
    done = CliRunner().invoke(main, ["compile", "x.safetensors", "--interface", "uar"])
    assert done.exit_code == 2
    assert "'uar' is not one of" in done.stderr
    assert "Did you mean uart" in done.stderr


def test_import_names_the_formats_it_knows(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    file.write_bytes(b"PK")
    done = CliRunner().invoke(main, ["import", str(file), "--format", "torchlogic"])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "torchlogix" in done.stderr


def test_what_a_step_logs_is_shown_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A step that takes minutes says where it stands, whatever -v says."""
    logger = logging.getLogger("lgc.backend.router")
    console.set_up_logging(0)
    shown: list[str] = []
    with console.records(shown.append):
        logger.debug("Routing, round %d.", 10)
    logger.debug("Not this.")
    assert shown == ["Routing, round 10."]
    assert "Routing" not in capsys.readouterr().err
    console.set_up_logging(2)
    logger.debug("Routing, round %d.", 20)
    assert "round 20" in capsys.readouterr().err
    console.set_up_logging(0)
