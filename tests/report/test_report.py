"""The report of a build: its sections, its JSON, its HTML and Markdown."""

import dataclasses
import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

import lgc
from lgc.backend.target import load as load_target
from lgc.cli import main
from lgc.errors import LgcError
from lgc.manifest import read_step
from lgc.report import Report, assemble, compare, render
from lgc.report.words import IN_NETWORK, PART_LABELS, capped, usable_mhz


def test_every_section_is_there_and_adds_up(built: lgc.Build) -> None:
    report = built.report
    route, synthesis = report.post_route, report.post_synthesis
    assert route is not None
    assert synthesis is not None
    assert report.floorplan is not None
    assert report.confusion is not None
    assert report.inputs is not None
    placed = [sum(tile[2 + at] for tile in report.floorplan.tiles) for at in range(len(PART_LABELS))]
    assert list(report.floorplan.parts) == list(PART_LABELS)
    assert sum(placed) == route.cells + route.brams
    assert all(n > 0 for n in placed)
    assert all(
        x < report.floorplan.width and y < report.floorplan.height for x, y, *_ in report.floorplan.tiles
    )
    # scores that only simulation looks at go in synthesis
    assert 0 < synthesis.luts.readout <= report.netlist.popcount_luts
    assert route.area_delay == pytest.approx(synthesis.luts.total * route.latency_ns, rel=1e-2)
    assert sum(hop.ns for hop in route.critical) == pytest.approx(1e3 / route.fmax_mhz, rel=0.02)
    assert {hop.part for hop in route.critical} <= set(PART_LABELS)
    assert [seed.seed for seed in route.sweep] == [1, 2]
    assert sum(map(sum, report.confusion.counts)) == 360
    right = sum(row[at] for at, row in enumerate(report.confusion.counts))
    shares = {found.rung: found.share for found in report.accuracy}
    assert shares["network"] == shares["optimised network"] == right / 360
    assert shares["trained model, validation split"] == 0.125
    assert len(report.accuracy) == 5
    assert sum(report.inputs.bits) == report.netlist.input_bits
    assert sum(layer.nodes for layer in report.layers) == report.netlist.nodes


def test_passes_go_on_where_the_one_before_left_off(built: lgc.Build) -> None:
    rows = built.report.passes
    assert rows[0].before == built.report.netlist.nodes
    assert all(before.after == after.before for before, after in pairwise(rows))
    assert rows[-2].after == built.report.netlist.simplified
    assert rows[-1].after == built.report.netlist.network_luts


def test_files_hold_the_same_report(built: lgc.Build) -> None:
    assert Report.load(built.path / "report.json") == built.report
    assert (built.path / "report.html").read_text() == built.report.to_html()
    assert (built.path / "report.md").read_text() == render.markdown(built.report)


def test_json_keeps_rows_of_numbers_together(built: lgc.Build) -> None:
    text = built.report.to_json()
    assert json.loads(text) == json.loads(json.dumps(built.report.to_dict()))
    assert len(text.splitlines()) < 700
    assert re.search(r"^ +\[\d+(, \d+){9}\],?$", text, re.MULTILINE)  # a row of confusions


def test_reports_without_later_sections_are_read(built: lgc.Build, tmp_path: Path) -> None:
    values = built.report.to_dict()
    later = {"floorplan", "layers", "passes", "confusion", "inputs", "accuracy"}
    path = tmp_path / "report.json"
    path.write_text(json.dumps({name: value for name, value in values.items() if name not in later}))
    found = Report.load(path)
    assert found.floorplan is None
    assert found.post_route == built.report.post_route
    assert "Floorplan" not in found.to_html()
    del values["post_route"]["clock_limit_mhz"]
    path.write_text(json.dumps(values))
    assert usable_mhz(Report.load(path).post_route) == built.report.post_route.fmax_mhz
    del values["netlist"]
    path.write_text(json.dumps(values))
    with pytest.raises(LgcError, match=r"lacks 'netlist'\. Run `lgc compile` again\.$"):
        Report.load(path)
    path.write_text(json.dumps(values | {"schema_version": 1}))
    with pytest.raises(LgcError, match="is not a report of schema version 2"):
        Report.load(path)


def test_logic_faster_than_the_clock_network(built: lgc.Build) -> None:
    """Times are at the clock that the data sheet allows, Fmax is what the router found."""
    target, sim = load_target("ice40-hx8k"), built.report.simulation
    values = {
        step.name: read_step(built.path, step.name)["values"]
        for step in built.report.steps
        if step.name[:2] in {"04", "06", "07"}
    }
    slow, fast = (
        assemble.post_route(values, replace(target, clock_limit_mhz=limit)) for limit in (10.0, 1e4)
    )
    assert fast == replace(built.report.post_route, clock_limit_mhz=1e4)
    assert (slow.fmax_mhz, slow.clock_limit_mhz, capped(slow)) == (fast.fmax_mhz, 10.0, True)
    assert slow.latency_ns == values["04-rtl"]["latency"] * 100
    assert slow.samples_per_second == round(10e6 / sim.cycles_per_sample)
    report = replace(built.report, post_route=slow)
    text = render.markdown(report)
    assert "| clock network | 10 MHz at most | data sheet |" in text
    assert "latency at 10 MHz" in text
    assert "at Fmax" not in text
    page = report.to_html()
    assert "allows the clock network 10 MHz" in page
    assert "at the maximum clock" not in page
    assert "clock network" not in render.markdown(replace(report, post_route=fast))
    columns = [compare.figures(one) for one in (built.report, report)]
    assert [column["clock network at most, MHz"] for column in columns] == [275, 10]


class _Checker(HTMLParser):
    """Fails where elements are not nested; collects ids, text and references."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [str(value) for name, value in attrs if name in {"src", "href", "xlink:href"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(page: str) -> _Checker:
    """Parse a page."""
    checker = _Checker()
    checker.feed(page)
    checker.close()
    assert not checker.open
    return checker


def test_the_page_is_well_formed_and_needs_nothing_else(built: lgc.Build, drafted: lgc.Build) -> None:
    for build in (built, drafted):
        page = build.report.to_html()
        found = parsed(page)
        assert not found.references
        assert not {"script", "link", "img", "iframe", "object"} & set(found.tags)
        assert not re.search(r"url\(|@import|https?:|javascript:", page)
    words = " ".join(parsed(built.report.to_html()).words)
    assert built.report.post_route is not None
    for shown in (f"{built.report.post_route.fmax_mhz:.1f}", "20 of 20", "Floorplan", "argmax", "seeds"):
        assert shown in words


def test_names_are_escaped(drafted: lgc.Build) -> None:
    page = drafted.report.to_html()
    assert "gone &lt;&amp;&gt; away" in page
    assert "gone <&> away" not in page
    evil = dataclasses.replace(drafted.report, warnings=("<script>alert(1)</script>",))
    assert "<script>" not in evil.to_html()


def test_notebooks_show_the_page_in_a_frame(built: lgc.Build) -> None:
    frame = built.report._repr_html_()
    assert frame.startswith("<iframe srcdoc=")
    inner = re.search(r'srcdoc="([^"]*)"', frame)
    assert inner is not None
    assert unescape(inner[1]) == built.report.to_html()


def test_the_command_writes_files(built: lgc.Build, tmp_path: Path) -> None:
    page, text = tmp_path / "out.html", tmp_path / "out.md"
    arguments = ["report", str(built.path), "--html", str(page), "--markdown", str(text)]
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.stdout) == (0, "")
    assert page.read_text() == built.report.to_html()
    assert text.read_text() == render.markdown(built.report)
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.stdout == built.report.to_json()
    done = CliRunner().invoke(main, ["report", str(built.path), "--markdown"])
    assert done.stdout.startswith("# small.safetensors on ice40-hx8k\n")
    done = CliRunner().invoke(main, ["report", str(built.path), "--html", str(tmp_path / "no" / "x.html")])
    assert done.exit_code == 1
    assert "Cannot write" in done.stderr


def test_a_program_shares_the_logic_of_the_network(built: lgc.Build) -> None:
    """As a report of a folded build has it: no LUTs of their own for counts and argmax."""
    synthesis = built.report.post_synthesis
    assert synthesis is not None
    assert IN_NETWORK not in render.markdown(built.report)
    found = dataclasses.replace(
        built.report,
        netlist=dataclasses.replace(built.report.netlist, popcount_luts=0),
        post_synthesis=dataclasses.replace(
            synthesis, luts=dataclasses.replace(synthesis.luts, readout=0, argmax=0)
        ),
    )
    assert render.markdown(found).count(f"| {IN_NETWORK} |") == 2
    assert "One logic runs the program of the network" in found.to_html()


def test_the_terminal_names_what_there_is(built: lgc.Build, drafted: lgc.Build) -> None:
    done = CliRunner().invoke(main, ["report", str(built.path)])
    for words in (
        "critical path",
        "area-delay product",
        "argmax",
        "Layers, hardened",
        "Passes",
        "Accuracy by rung",
    ):
        assert words in done.stdout
    done = CliRunner().invoke(main, ["report", str(drafted.path)])
    assert "Fmax" not in done.stdout
    assert "warning: The data set 'gone <&> away' was not found" in done.stdout.replace("\n", " ")
