"""Where registers go: what the options say, and designs of every pace in simulation."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import lgc
from lgc.backend import board, target
from lgc.backend.estimate import slowest
from lgc.backend.rtl import write_rtl
from lgc.cli import main
from lgc.errors import DoesNotFitError, UsageError
from lgc.frontend import checkpoint
from lgc.hw_tests.runner import simulate
from lgc.hw_tests.samples import random_sample
from lgc.ir.passes.expand_readout import expand
from lgc.onboard import check_clock
from lgc.pace import Pace

from .ir.netlists import difflogic
from .needs import needs_tools
from .test_flow import tiny


def pace(**given: object) -> Pace:
    defaults: dict[str, object] = {"levels": 4, "pipeline": "auto", "clock": "", "throughput": "held"}
    return Pace.of(**(defaults | given))  # type: ignore[arg-type]


HX8K = target.load("ice40-hx8k")


def test_what_the_options_say() -> None:
    assert pace() == Pace()
    assert pace(pipeline="none") == Pace(levels=0)
    assert pace(pipeline="6", throughput="full") == Pace(stages=6, full=True)
    assert pace(levels=1, throughput="full", wire_registers=2) == Pace(levels=1, full=True, wires=2)
    assert pace(clock="50MHz").clock_mhz == 50
    assert pace(clock="12.5 kHz").clock_mhz == pytest.approx(0.0125)
    assert pace(clock="48000000Hz").clock_mhz == pytest.approx(48)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pipeline": "many"}, r"^--pipeline takes auto, none or a number of stages, not 'many'\.$"),
        ({"clock": "fast"}, r"^--clock takes a frequency such as 50MHz, not 'fast'\.$"),
        ({"clock": "0MHz"}, r"^--clock takes a frequency"),
        ({"clock": "50MHz", "pipeline": "3"}, r"^--clock chooses the number of stages\."),
        ({"wire_registers": 1}, r"^--wire-registers cut the wires between stages that take new inputs every"),
        ({"wire_registers": 1, "throughput": "full", "pipeline": "none"}, r"^--wire-registers cut the wires"),
        ({"wire_registers": 1, "throughput": "full", "pipeline": "9"}, r"^--pipeline N counts all stages, "),
        ({"throughput": "most"}, r"^There is no throughput 'most'\."),
    ],
)
def test_options_that_mean_nothing(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pace(**given)


def test_the_clock_of_an_estimate_is_the_one_asked_for() -> None:
    """As no router follows, stages are chosen by the delays that the estimate takes."""
    chip = target.load("xc7a35t")
    assert chip.delay is not None
    net = difflogic(60, [240, 240], classes=6, seed=3)
    fabric = expand(net, k=chip.k, fractured=True, registered=1)
    found = {}
    for mhz in (100, 250):
        _, staged, _ = pace(clock=f"{mhz}MHz", throughput="full")(fabric, chip)
        period, _, _ = slowest(staged, chip.cells.cells, chip.delay, held=False)
        assert period <= 1e6 / mhz
        found[mhz] = staged.latency
    assert 0 < found[100] < found[250]


def test_what_other_stages_would_give() -> None:
    """Fewer levels between registers, more stages and a faster clock; the one that is built is marked."""
    fabric = random_sample(seed=5, layers=(60, 60), classes=4).fabric
    found = pace(levels=3).choices(fabric, HX8K)
    assert [row["chosen"] for row in found].count(True) == 1
    chosen = next(row for row in found if row["chosen"])
    assert chosen["stages"] == pace(levels=3)(fabric, HX8K)[1].latency
    stages, clocks = ([row[name] for row in found] for name in ("stages", "fmax_mhz"))
    assert stages == sorted(set(stages), reverse=True)
    assert clocks == sorted(clocks, reverse=True)
    assert (stages[-1], len(found) > 3) == (0, True)
    assert pace(throughput="full").choices(fabric, HX8K) == []


def test_stages_beyond_the_clock_network_gain_nothing() -> None:
    fabric = random_sample(seed=5, layers=(60, 60), classes=4).fabric
    for row in pace(levels=3).choices(fabric, replace(HX8K, clock_limit_mhz=20.0)):
        assert row["fmax_mhz"] > 20
        assert row["latency_ns"] == (row["stages"] + 1) * 50


@pytest.mark.parametrize("name", ["ice40-up5k", "xc7a35t", "ecp5-25f"])
def test_a_clock_beyond_the_clock_network(name: str) -> None:
    """On a board an error; without one a warning; nothing where the limit is kept or not known."""
    device, limit = target.load(name), target.load(name).clock_limit_mhz
    known = board.load("icebreaker")
    for given in (None, limit, 12.0):
        assert check_clock(known, device, given) == check_clock(None, device, given) == ""
    if limit is None:
        assert check_clock(known, device, 1000.0) == ""
        return
    assert check_clock(None, device, limit + 5).startswith(f"The clock of {limit + 5:g} MHz is beyond")
    with pytest.raises(UsageError, match=rf"limit of the clock network of {name}, {limit:g} MHz\."):
        check_clock(known, device, limit + 5)


def test_a_faster_clock_takes_more_stages() -> None:
    fabric = random_sample(seed=5, layers=(60, 60), classes=4).fabric
    for throughput in ("held", "full"):
        slow, fast = (
            pace(clock=f"{mhz}MHz", throughput=throughput)(fabric, HX8K)[1].latency for mhz in (10, 160)
        )
        assert slow < fast
        with pytest.raises(DoesNotFitError, match=r"^ice40-hx8k does not reach 3000 MHz by its delay model"):
            pace(clock="3000MHz", throughput=throughput)(fabric, HX8K)


@pytest.mark.parametrize("stages", [1, 2, 5])
def test_as_many_stages_as_asked_for(stages: int) -> None:
    fabric = random_sample(seed=5, layers=(60, 60), classes=4).fabric
    for throughput in ("held", "full"):
        assert 1 <= pace(pipeline=str(stages), throughput=throughput)(fabric, HX8K)[1].latency <= stages


@needs_tools
@pytest.mark.parametrize(
    ("throughput", "levels", "wires", "shared"),
    [
        *(("held", levels, 0, shared) for levels in range(3) for shared in (True, False)),
        *(("full", levels, 0, False) for levels in range(3)),
        ("full", 1, 1, True),
    ],
)
def test_designs_of_every_pace(
    throughput: str, levels: int, wires: int, shared: bool, tmp_path: Path
) -> None:
    """Classes, scores, latency and throughput as promised, with gaps, back-pressure and a reset."""
    sample = random_sample(seed=3, features=30, layers=(40, 40), classes=5, shared=shared)
    _, fabric, _ = pace(levels=levels, throughput=throughput, wire_registers=wires)(sample.fabric, HX8K)
    rtl = write_rtl(
        sample.encoder,
        dataclasses.replace(fabric, ledger=None),
        out=tmp_path / "rtl",
        argmax_registers=levels > 0,
        held=throughput == "held",
    )
    codes = sample.codes(12, seed=2)
    scores = sample.fabric.scores(sample.bits(codes))
    found = simulate(
        rtl,
        codes=codes,
        expected_class=scores.argmax(axis=1),
        expected_scores=scores,
        out=tmp_path / "sim",
        simulator="icarus",
    )
    assert found.matching_scores == found.matching_classes == 12
    if throughput == "full":
        assert found.cycles_per_sample == 30
    assert np.any(scores)


@needs_tools
def test_a_clock_beyond_the_clock_network_in_the_flow(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "tiny.safetensors", tiny())
    given = ["compile", str(tmp_path / "tiny.safetensors"), "--until", "verilog"]
    done = CliRunner().invoke(main, [*given, "--board", "icebreaker", "--clock", "200MHz"])
    assert done.exit_code == 2
    assert "beyond the data sheet's limit of the clock network of ice40-up5k, 185 MHz." in done.stderr
    ours = (Path(lgc.__file__).parent / "backend" / "targets" / "ice40-hx8k.toml").read_text()
    (tmp_path / "slow.toml").write_text(ours.replace("limit_mhz = 275", "limit_mhz = 60"))
    done = CliRunner().invoke(main, [*given, "-t", str(tmp_path / "slow.toml"), "--clock", "80MHz"])
    assert done.exit_code == 0, done.stderr
    report = lgc.Build.open(tmp_path / "tiny").report
    assert [text for text in report.warnings if "limit of the clock network, 60 MHz" in text]
