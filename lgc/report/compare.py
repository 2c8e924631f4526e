"""Builds side by side, and among published results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lgc.errors import LgcError

from . import published, svg_bars, svg_scatter
from .markup import table, tag, text
from .model import Report
from .published import Design
from .render import as_markdown
from .words import PART_LABELS, together

if TYPE_CHECKING:
    from rich.console import Group

Section = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, heads of the columns, rows."""


@dataclass(frozen=True)
class Comparison:
    """Builds, and published rows of the data sets they were trained on.

    Attributes:
        names: of the builds, all different.
        reports: of the builds.
        published: rows by data set.
    """

    names: tuple[str, ...]
    reports: tuple[Report, ...]
    published: dict[str, tuple[Design, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Return everything that is compared, fit for JSON."""
        return {
            "builds": {name: figures(report) for name, report in zip(self.names, self.reports, strict=True)},
            "published": {
                data: [published.to_dict(row) for row in rows] for data, rows in self.designs().items()
            },
        }

    def designs(self) -> dict[str, tuple[Design, ...]]:
        """Return published rows with the builds among them, by data set, most accurate first."""
        found = {}
        for data, rows in self.published.items():
            own = [published.design_of(report, name) for name, report in self.on(data)]
            found[data] = tuple(sorted([*own, *rows], key=lambda row: -row.percent))
        return found

    def on(self, data: str) -> list[tuple[str, Report]]:
        """Return names and reports of the builds that were trained on a data set."""
        builds = zip(self.names, self.reports, strict=True)
        return [(name, report) for name, report in builds if published.data_set_of(report) == data]

    def note(self, data: str) -> str:
        """Return what to mind when reading the rows of a data set."""
        others = len(self.names) - len(self.on(data))
        left = f" Not listed: {others} of the builds, which had other data." if others else ""
        return TRAPS + left

    def sections(self) -> Iterator[Section]:
        """Yield the tables: first that of the builds, if there are any."""
        if self.reports:
            yield "Builds", ("", *self.names), _side_by_side(self.reports)
        for data, rows in self.designs().items():
            yield f"{data}: published results", _HEAD, [_row(row) for row in rows]


def compare(builds: list[Path], *, against: str = "auto") -> Comparison:
    """Read builds to compare.

    Args:
        builds: their directories, or report files.
        against: data set whose published rows are shown, "auto" for those of the builds, "none", or "all".

    Raises:
        LgcError: one of them has no report.
        UsageError: nothing was published for `against`.
    """
    if not builds and against in {"auto", "none"}:
        raise LgcError("There is nothing to compare.", hint="Name build directories.")
    reports = [Report.load(path if path.suffix == ".json" else path / "report.json") for path in builds]
    if against == "auto":
        wanted = sorted({name for report in reports if (name := published.data_set_of(report))})
    else:
        wanted = [] if against == "none" else list(published.data_sets()) if against == "all" else [against]
    rows = {name: published.rows(name) for name in wanted}
    return Comparison(tuple(_names(builds)), tuple(reports), rows)


def _names(builds: list[Path]) -> list[str]:
    """Return the shortest ends of the paths that tell them apart."""
    parts = [(path.parent if path.suffix == ".json" else path).resolve().parts for path in builds]
    names: list[str] = []
    for depth in range(1, max(map(len, parts), default=1)):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(set(parts)):
            break
    if len(set(names)) == len(names):
        return names
    return [f"{name} ({at})" for at, name in enumerate(names, 1)]


def figures(report: Report) -> dict[str, Any]:
    """Return what of a build is compared, by name, None if it did not get there; estimates have own names."""
    model, net = report.model, report.netlist
    sim, synthesis, route = report.simulation, report.post_synthesis, report.post_route
    found: dict[str, Any] = {
        "model": model.file,
        "target": report.target,
        "data": model.data_source,
        "layers": list(model.layers),
        "test accuracy": model.test_accuracy,
        "hardware equals network": None if sim is None else [sim.classes_equal, sim.samples],
        "nodes": net.nodes,
        f"LUT{net.k}": None if synthesis is None else synthesis.luts.total,
    }
    for part, label in PART_LABELS.items():
        shared = part in {"readout", "argmax"} and together(report)
        found[f"  {label}"] = None if synthesis is None or shared else getattr(synthesis.luts, part)
    found |= {
        "flip-flops": None if synthesis is None else synthesis.ffs.total,
        "carry cells": None if synthesis is None else synthesis.carries,
        "block RAMs": None if synthesis is None else synthesis.brams,
        "logic cells": None if route is None else route.cells,
        "utilisation": None if route is None else round(route.cells / route.cells_available, 4),
        "Fmax, MHz": None if route is None else route.fmax_mhz,
        "clock network at most, MHz": None if route is None else route.clock_limit_mhz,
        "placer seeds": None if route is None else max(1, len(route.sweep)),
        "latency, clocks": None if sim is None else sim.latency_cycles,
        "latency, ns": None if route is None else route.latency_ns,
        "samples per second": None if route is None else route.samples_per_second,
        "area-delay, LUT·ns": None if route is None else route.area_delay,
        "bitstream, bytes": None if report.bitstream is None else report.bitstream.bytes,
        "warnings": len(report.warnings),
    }
    if (guess := report.estimate) is not None:
        found |= {
            "Fmax, MHz, ESTIMATE": guess.fmax_mhz,
            "latency, ns, ESTIMATE": guess.latency_ns,
            "samples per second, ESTIMATE": guess.samples_per_second,
        }
    return found


def _side_by_side(reports: tuple[Report, ...]) -> list[tuple[str, ...]]:
    """Return a row for each figure, a column for each build; later ones with the change from the first."""
    columns = [figures(report) for report in reports]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = []
    for name in names:
        values = [column.get(name) for column in columns]
        if any(value not in (None, "", []) for value in values):
            rows.append((name, *(_value(name, value, values[0]) for value in values)))
    return rows


def _value(name: str, value: Any, first: Any) -> str:
    """Return a figure as text, with the change from the first build's where that makes sense."""
    if value is None:
        return "–"
    if isinstance(value, list):
        return " of ".join(f"{n:,}" for n in value) if name.startswith("hardware") else " → ".join(value)
    if isinstance(value, str):
        return value
    if name in {"test accuracy", "utilisation"}:
        shown = f"{value:.2%}" if name == "test accuracy" else f"{value:.0%}"
        change = 100 * (value - first) if isinstance(first, float) else 0.0
        return shown + (f" ({change:+.2f} pp)" if change and name == "test accuracy" else "")
    shown = f"{value:,.1f}" if isinstance(value, float) and value < 1000 else f"{value:,.0f}"
    if not first or value == first or name in {"placer seeds", "warnings", "bitstream, bytes"}:
        return shown
    ratio = value / first
    if ratio and not 0.1 < ratio < 10:
        return f"{shown} (×{ratio:.3g})"
    return f"{shown} ({ratio - 1:+.0%})"


_COLUMNS: tuple[tuple[str, Callable[[Design], str]], ...] = (
    ("design", lambda d: d.method + (f" ({d.year})" if d.year else "")),
    ("accuracy", lambda d: f"{d.accuracy} %" if d.accuracy else "–"),
    (
        "LUT6s",
        lambda d: (
            "–" if d.luts is None else f"{d.luts:,}" + ("" if d.lut_inputs == 6 else f" LUT{d.lut_inputs}")
        ),
    ),
    ("FFs", lambda d: "–" if d.ffs is None else f"{d.ffs:,}"),
    ("MHz", lambda d: "–" if d.fmax_mhz is None else f"{d.fmax_mhz:,.0f}"),
    ("ns", lambda d: "–" if d.latency_ns is None else f"{d.latency_ns:,g}"),
    ("LUT·ns", lambda d: "–" if d.area_delay is None else f"{d.area_delay:,.0f}"),
    ("encoder", lambda d: d.encoder),
    ("argmax", lambda d: d.argmax),
    ("stage", lambda d: d.stage),
    ("latency is", lambda d: d.latency),
    ("chosen on", lambda d: d.selected_on),
    ("device", lambda d: d.device or "–"),
    ("source", lambda d: d.source + (f"; {d.note}" if d.note else "")),
)
_HEAD = tuple(name for name, _ in _COLUMNS)


def _row(design: Design) -> tuple[str, ...]:
    return tuple(show(design) for _, show in _COLUMNS)


_SHORT = {"unknown": "?", "out-of-context": "ooc", "synthesised": "synth"}
"""Words of published rows on the terminal."""
_NARROW = (*range(3), 5, 6)
"""Columns of published rows that the terminal has room for, besides how they came about."""


def terminal(found: Comparison) -> Group:
    """Return the comparison as rich tables; published rows without what does not fit."""
    from rich.console import Group
    from rich.text import Text

    from .render import table as rich_table

    parts: list[Any] = []
    for title, head, rows in found.sections():
        if head != _HEAD:
            parts.append(rich_table(title, head, rows))
            continue
        heads = (*(head[at] for at in _NARROW), "enc/arg", "stage")
        whole = rich_table(title, heads, [_short(row) for row in rows])
        whole.columns[0].min_width = 15
        for column in whole.columns[1:]:
            column.no_wrap = True
        parts.append(whole)
    if found.published:
        legend = "enc/arg: encoder, argmax in or out of the LUTs; ooc: out of context, no pins; ?: not said."
        notes = " ".join(dict.fromkeys(map(found.note, found.published)))
        parts.append(Text(f"{legend} {notes} All columns and sources: --html, --markdown or --json."))
    return Group(*parts)


def _short(row: tuple[str, ...]) -> tuple[str, ...]:
    """Return a published row for the terminal."""
    encoder, argmax, stage = (_SHORT.get(word, word) for word in row[7:10])
    return (*(row[at] for at in _NARROW), f"{encoder}/{argmax}", stage)


TRAPS = (
    "Compare rows of the same encoder, argmax and stage only: an encoder takes 1.4 to 3.2 times the LUTs, "
    "and out-of-context clocks know no pins. LUT4s are smaller than LUT6s. Accuracies without decimals "
    "were rounded."
)
"""What to mind when comparing; see the columns."""


def markdown(found: Comparison) -> str:
    """Return the comparison as Markdown."""
    lines = ["# " + (" · ".join(found.names) or "Published results"), ""]
    for section in found.sections():
        lines += as_markdown(*section)
    notes = list(dict.fromkeys(map(found.note, found.published)))
    return "\n".join([*lines, *notes, ""] if notes else lines)


def page(found: Comparison) -> str:
    """Return the comparison as one HTML page."""
    from .html import card, document

    cards = []
    if found.reports:
        title, head, rows = next(found.sections())
        cells = [tuple(map(text, row)) for row in rows]
        shown = table(tuple(map(text, head)), cells, numbers=len(found.names), class_="side")
        cards.append(card("LUTs by part", "After synthesis.", *_bars(found)))
        cards.append(
            card(title, "Changes are from the first build." if len(found.reports) > 1 else "", shown)
        )
    for data, designs in found.designs().items():
        picture = tag("figure", svg_scatter.scatter(designs))
        rows = [_row(design) for design in designs]
        cells = [tuple(text("?" if cell == "unknown" else cell) for cell in row) for row in rows]
        shown = table(
            _HEAD[:-1],
            [(tag("b", row[0]) + tag("div", row[-1], class_="sub"), *row[1:-1]) for row in cells],
            marked={at for at, design in enumerate(designs) if design.ours},
            class_="tight",
        )
        cards.append(card(f"{data}: published results", found.note(data), picture, shown))
    names = " · ".join(found.names) or "Published results"
    heading = tag("header", tag("h1", text(names)))
    return document(names, [heading, tag("div", *cards, class_="grid")])


def _bars(found: Comparison) -> list[str]:
    """Return a bar of LUTs by part for each build, all on one scale."""
    counted = [
        (name, report.post_synthesis.luts)
        for name, report in zip(found.names, found.reports, strict=True)
        if report.post_synthesis is not None
    ]
    most = max((luts.total for _, luts in counted), default=0)
    bars = []
    for name, luts in counted:
        pieces = [
            (f"var(--{part})", getattr(luts, part), f"{label}: {getattr(luts, part):,} LUTs")
            for part, label in PART_LABELS.items()
        ]
        words = tag("div", tag("span", text(name)), tag("span", f"{luts.total:,} LUTs"))
        bar = svg_bars.stacked(pieces, f"{name}: {luts.total:,} LUTs by part", whole=most or 1)
        bars.append(tag("div", words, bar, class_="meter"))
    keys = [tag("span", tag("i", class_=f"key c-{part}"), text(label)) for part, label in PART_LABELS.items()]
    return [tag("div", *bars, class_="meters"), tag("div", *keys, class_="legend")] if bars else []
