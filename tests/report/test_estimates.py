"""Estimates before any tool has run, against what the tools then made of the same network."""

import json
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner

import lgc
from lgc import estimates, models
from lgc.backend import target
from lgc.cli import main
from lgc.errors import LgcError, UsageError
from lgc.frontend import checkpoint
from lgc.frontend.lower import lower
from lgc.ir import passes
from lgc.ir.passes.expand_readout import expand
from lgc.ir.slices import Slices, staged
from lgc.report import estimating

from .conftest import network


def test_the_fabric_is_counted_exactly_and_the_rest_nearly(built: lgc.Build) -> None:
    found = estimates.estimate(built.path.with_suffix(".safetensors"), ["ice40-hx8k"])
    (row,) = found.rows
    synthesis, sim = built.report.post_synthesis, built.report.simulation
    assert synthesis is not None
    assert sim is not None
    for part in ("network", "readout", "argmax"):
        assert getattr(row.luts, part) == getattr(synthesis.luts, part), part
    assert row.luts.encoder == pytest.approx(synthesis.luts.encoder, abs=12)
    assert row.luts.io == pytest.approx(synthesis.luts.io, abs=2)
    assert row.brams == synthesis.brams
    assert row.clocks == sim.latency_cycles
    assert row.fmax_mhz is not None
    assert row.samples_per_second == pytest.approx(row.fmax_mhz * 1e6 / sim.cycles_per_sample, rel=1e-3)
    assert row.cells_available == 7680
    assert row.fits


def test_every_target_is_estimated_or_left_out_with_a_reason(model: Path) -> None:
    found = estimates.estimate(model, ["all"])
    assert {row.target for row in found.rows} | set(found.skipped) == set(target.names())
    for row in found.rows:
        has = target.load(row.target).resources
        over = (row.cells > has.lut, row.brams > has.bram, row.pins > has.io)
        names = ("logic", "block RAM", "pins")
        assert row.short_of == tuple(name for name, yes in zip(names, over, strict=True) if yes)
        assert (row.fmax_mhz is None) == (target.load(row.target).delay is None)
        if row.fmax_mhz is not None:
            clock = target.load(row.target).at_most(row.fmax_mhz)
            assert row.latency_ns == pytest.approx(row.clocks * 1e3 / clock, rel=0.01)
    wide = {row.luts.total for row in found.rows if row.k == 6}
    narrow = {row.luts.total for row in found.rows if row.k == 4}
    assert max(wide) < min(narrow)


def test_one_by_one_is_as_all_together(model: Path) -> None:
    """LUT4 and LUT6 targets are worked out beside each other, in processes of their own."""
    names = ["xc7a35t", "ice40-hx8k", "xczu3eg", "ecp5-25f"]
    together = estimates.estimate(model, names).rows
    assert together == tuple(estimates.estimate(model, [name]).rows[0] for name in names)


def test_more_registers_are_faster_and_later(model: Path) -> None:
    slow, fast = (estimates.estimate(model, ["ice40-hx8k"], levels=n).rows[0] for n in (8, 1))
    assert slow.fmax_mhz is not None
    assert fast.fmax_mhz is not None
    assert slow.fmax_mhz < fast.fmax_mhz
    assert slow.clocks < fast.clocks


def test_times_are_at_the_clock_that_the_chip_may_have(model: Path, tmp_path: Path) -> None:
    ours = (Path(lgc.__file__).parent / "backend" / "targets" / "ice40-hx8k.toml").read_text()
    (tmp_path / "slow.toml").write_text(ours.replace("limit_mhz = 275", "limit_mhz = 20"))
    found = estimates.estimate(model, [str(tmp_path / "slow.toml"), "ice40-hx8k"])
    slow, fast = found.rows
    assert slow.fmax_mhz == fast.fmax_mhz
    assert slow.latency_ns == slow.clocks * 50
    assert slow.samples_per_second < fast.samples_per_second
    shown = [row[estimating.HEAD.index("MHz")] for row in estimating.rows(found)]
    assert shown == [f"{slow.fmax_mhz:.0f} > 20", f"{fast.fmax_mhz:.0f}"]
    assert [row["clock_limit_mhz"] for row in found.to_dict()["targets"]] == [20, 275]


def test_what_is_too_large_is_said(model: Path, tmp_path: Path) -> None:
    ours = Path(lgc.__file__).parent / "backend" / "targets" / "ice40-hx8k.toml"
    small = ours.read_text().replace("lut = 7680", "lut = 100").replace('"ice40-hx8k"', '"mine"')
    (tmp_path / "mine.toml").write_text(small.replace("io = 206", "io = 5"))
    found = estimates.estimate(model, [str(tmp_path / "mine.toml")])
    assert found.rows[0].short_of == ("logic", "pins")
    assert estimating.rows(found)[0][:2] == ("mine", "LUT4")
    assert "NO: logic and pins" in estimating.rows(found)[0]


def test_a_target_of_ones_own(model: Path, tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    text = (resources.files("lgc.backend") / "targets" / "ice40-up5k.toml").read_text()
    own.write_text(text.replace('name = "ice40-up5k"', 'name = "mine"'))
    done = CliRunner().invoke(main, ["report", str(model), "--estimate", "-t", str(own)])
    assert done.exit_code == 0, done.output
    assert "mine" in done.output
    assert "ice40 LUTs" in done.output


def test_bad_names(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Unknown target 'ice40-hx8'"):
        estimates.estimate(model, ["ice40-hx8"])
    with pytest.raises(LgcError, match="Cannot read the checkpoint"):
        estimates.estimate(tmp_path / "none.safetensors", ["all"])


def test_the_command(model: Path, built: lgc.Build, tmp_path: Path) -> None:
    base = ["report", str(model), "--estimate", "-t", "ice40-hx8k", "-t", "xc7a35t"]
    done = CliRunner().invoke(main, [*base, "--json"])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert [row["target"] for row in found["targets"]] == ["ice40-hx8k", "xc7a35t"]
    assert {row["stage"] for row in found["targets"]} == {"ESTIMATE"}
    page = tmp_path / "e.html"
    done = CliRunner().invoke(main, [*base, "--html", str(page), "--markdown"])
    assert "ESTIMATES: no tool has run." in done.stdout
    assert "xc7a35t" in page.read_text()
    done = CliRunner().invoke(main, base)
    assert "ESTIMATES" in done.stdout
    done = CliRunner().invoke(main, ["report", str(model)])
    assert (done.exit_code, "Add --estimate, or compile it first." in done.stderr) == (2, True)
    done = CliRunner().invoke(main, ["report", str(built.path), "-t", "ice40-hx8k"])
    assert (done.exit_code, "--target is for estimates." in done.stderr) == (2, True)


def test_errors_are_quoted_where_they_were_measured(model: Path) -> None:
    found = estimates.estimate(model, ["ice40-hx8k", "xc7a35t"])
    words = estimating.note(found)
    facts = estimating.errors()["ice40"]
    assert f"ice40 LUTs {facts['luts_worst']:g} %" in words
    assert "Not compared with place and route: xc7." in words
    assert 0 <= facts["luts_mean"] <= facts["luts_worst"]


def test_sites_of_slices_are_more_than_their_luts(tmp_path: Path) -> None:
    """A carry whose LUT is not used takes a site, and is no LUT."""
    path = tmp_path / "wide.safetensors"
    checkpoint.save(path, network(widths=(1500, 1000)))
    (row,) = estimates.estimate(path, ["xc7a35t"]).rows
    simple = passes.run(passes.REGISTRY.parse(estimates.PASSES), lower(network(widths=(1500, 1000))).netlist)
    place = models.positions(network(widths=(1500, 1000)))
    fabric = staged(expand(simple, k=6, fractured=True, carry=True, position=place), 4)
    positions = [p for _, chain in Slices.of(fabric).chains for p in chain]
    bare = sum(not p.pins and p.five is None for p in positions)
    assert len(positions) > bare > 0
    assert row.cells - row.luts.total == bare
