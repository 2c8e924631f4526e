"""Builds side by side and among published rows."""

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import lgc
from lgc.cli import main
from lgc.errors import LgcError, UsageError
from lgc.report import compare, published

WORDS = {
    "encoder": {"in", "out", "none", "unknown"},
    "argmax": {"in", "out", "unknown"},
    "stage": {"routed", "out-of-context", "none", "unknown"},
    "latency": {"clocks", "heuristic", "unknown"},
    "selected_on": {"validation", "test", "unknown"},
}


@pytest.mark.parametrize("data", published.data_sets())
def test_published_rows_use_the_words_that_the_file_explains(data: str) -> None:
    rows = published.rows(data)
    assert len({(row.method, row.accuracy) for row in rows}) == len(rows)
    for row in rows:
        for name, words in WORDS.items():
            assert getattr(row, name) in words, (row.method, name)
        assert 60 < row.percent < 100
        assert row.source
        assert row.lut_inputs == 6
        assert not row.ours
        assert row.luts is not None or row.note, f"{row.method} has no LUTs and does not say why"
        # what was printed for a factor must be about what was printed for the product's parts
        if row.fmax_mhz and row.latency_ns and row.latency == "clocks":
            assert row.latency_ns >= 0.95e3 / row.fmax_mhz, f"{row.method} is faster than its clock"


def test_nothing_was_published_for_other_data() -> None:
    with pytest.raises(UsageError, match=r"no published rows for 'mnits'\. Did you mean mnist or nid\?$"):
        published.rows("mnits")


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("mnist", "mnist"),
        ("some/where/mnist", "mnist"),
        ("openml:mnist_784", "mnist"),
        ("some/fashion-mnist", ""),
        ("openml:42468", "jsc-openml"),
        ("digits", ""),
        ("", ""),
    ],
)
def test_data_sets_are_told_apart(built: lgc.Build, source: str, data: str) -> None:
    report = dataclasses.replace(
        built.report, model=dataclasses.replace(built.report.model, data_source=source)
    )
    assert published.data_set_of(report) == data


def test_a_build_becomes_a_row(built: lgc.Build, drafted: lgc.Build) -> None:
    row, draft = (published.design_of(build.report, "mine") for build in (built, drafted))
    synthesis, route = built.report.post_synthesis, built.report.post_route
    assert synthesis is not None
    assert route is not None
    assert (row.encoder, row.argmax, row.stage, row.latency) == ("in", "in", "routed", "clocks")
    assert (row.luts, row.lut_inputs, row.fmax_mhz) == (synthesis.luts.total, 4, route.fmax_mhz)
    assert row.area_delay == synthesis.luts.total * route.latency_ns
    assert (draft.encoder, draft.argmax, draft.stage) == ("out", "out", "netlist")
    assert draft.area_delay is None
    assert row.accuracy == "10.00"


def test_only_builds_on_the_same_data_are_among_the_rows(built: lgc.Build, tmp_path: Path) -> None:
    mnist = dataclasses.replace(
        built.report, model=dataclasses.replace(built.report.model, data_source="mnist")
    )
    other = tmp_path / "other"
    other.mkdir()
    mnist.write(other)
    found = compare.compare([built.path, other])
    assert list(found.published) == ["mnist"]
    rows = found.designs()["mnist"]
    assert [row.method for row in rows if row.ours] == ["other"]
    assert [row.percent for row in rows] == sorted((row.percent for row in rows), reverse=True)
    assert "Not listed: 1 of the builds" in compare.markdown(found)


def test_changes_are_from_the_first_build(built: lgc.Build, tmp_path: Path) -> None:
    route = built.report.post_route
    assert route is not None
    fast = dataclasses.replace(
        built.report,
        post_route=dataclasses.replace(route, fmax_mhz=2 * route.fmax_mhz),
        model=dataclasses.replace(built.report.model, test_accuracy=0.125),
    )
    (tmp_path / "fast").mkdir()
    fast.write(tmp_path / "fast")
    found = compare.compare([built.path, tmp_path / "fast"])
    title, head, rows = next(found.sections())
    assert (title, head) == ("Builds", ("", "small", "fast"))
    cells = {name.strip(): values for name, *values in rows}
    assert cells["Fmax, MHz"] == [f"{route.fmax_mhz:,.1f}", f"{2 * route.fmax_mhz:,.1f} (+100%)"]
    assert cells["test accuracy"] == ["10.00%", "12.50% (+2.50 pp)"]
    assert cells["argmax"][0] == cells["argmax"][1]
    assert compare._value("LUT4", 30, 2) == "30 (×15)"
    assert compare._value("LUT4", 0, 2) == "0 (-100%)"


def test_builds_of_one_name_are_told_apart(built: lgc.Build, tmp_path: Path) -> None:
    paths = [tmp_path / name / "build" for name in ("a", "b")]
    for path in paths:
        path.mkdir(parents=True)
        built.report.write(path)
    assert compare.compare(paths).names == ("a/build", "b/build")
    assert compare.compare([paths[0], paths[0] / "report.json"]).names == ("build (1)", "build (2)")


def test_the_command(built: lgc.Build, drafted: lgc.Build, tmp_path: Path) -> None:
    builds = [str(built.path), str(drafted.path)]
    done = CliRunner().invoke(main, ["compare", *builds, "--json", "--against", "nid"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert list(found["builds"]) == ["small", "draft"]
    assert found["builds"]["draft"]["LUT4"] is None
    assert found["published"]["nid"][0]["encoder"] == "unknown"
    done = CliRunner().invoke(
        main, ["compare", *builds, "--html", str(tmp_path / "c.html"), "--against", "all"]
    )
    assert (done.exit_code, done.stdout) == (0, "")
    assert "NeuraLUT-Assemble" in (tmp_path / "c.html").read_text()
    done = CliRunner().invoke(main, ["compare", *builds])
    assert "published" not in done.stdout
    assert "area-delay" in done.stdout
    done = CliRunner().invoke(main, ["compare", "--against", "mnist"])
    assert "DWN sm" in done.stdout


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(LgcError, match="nothing to compare"):
        compare.compare([])
    with pytest.raises(LgcError, match="There is no report at"):
        compare.compare([tmp_path])
