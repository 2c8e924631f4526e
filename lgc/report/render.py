"""Renderings of a report: Markdown for files and pull requests, tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .model import Estimate, Link, PostRoute, Report
from .sections import Accuracy, Layer
from .words import (
    PART_LABELS,
    STAGE_HEAD,
    capped,
    clock_of,
    demand,
    equal,
    inputs_of,
    limit,
    luts_of,
    path,
    provenance,
    spread,
    stages,
)

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_Rows = Sequence[tuple[str, ...]]
_NAME = 32
"""Letters of the longest name in a first column that is kept on one line."""


def sections(report: Report) -> Iterator[tuple[str, tuple[str, ...], _Rows]]:
    """Yield title, column heads and rows of each part of the report that exists."""
    if summary := list(_summary(report)):
        yield "Result", ("", "", "stage"), summary
    if report.post_synthesis is not None:
        yield "Resources by part", ("part", f"LUT{report.netlist.k}", "flip-flops"), _resources(report)
    if report.choices:
        yield "More or fewer stages, ESTIMATE", STAGE_HEAD, [*map(stages, report.choices)]
    yield "Compiler", ("", ""), _netlist(report)
    if report.passes:
        columns = ("pass", "LUTs after", "change")
        yield "Passes", columns, [(p.name, f"{p.after:,}", f"{p.after - p.before:+,}") for p in report.passes]
    if report.layers:
        kinds = ("layer", "nodes", "gates", "wires", "constants", "pruned")
        yield "Layers, hardened", kinds, [_layer(layer) for layer in report.layers]
    if report.accuracy:
        yield "Accuracy by rung", ("", "accuracy", "samples"), [_accuracy(one) for one in report.accuracy]
    if report.checks:
        head = ("compared", "method", "inputs", "equal")
        yield "Checks", head, [(c.rung, c.method, inputs_of(c), equal(c)) for c in report.checks]
    times = [(s.name, f"{s.seconds:.1f} s", "kept" if s.cached else "") for s in report.steps]
    yield "Steps", ("step", "time", ""), times
    yield "Provenance", ("", ""), provenance(report)


def _layer(layer: Layer) -> tuple[str, ...]:
    counts = (layer.nodes, layer.gates, layer.wires, layer.constants, layer.pruned)
    return (layer.text, *(f"{count:,}" for count in counts))


def _accuracy(found: Accuracy) -> tuple[str, ...]:
    return found.rung, f"{found.share:.2%}", "" if found.samples is None else f"{found.samples:,}"


def _summary(report: Report) -> Iterator[tuple[str, ...]]:
    model, sim, route = report.model, report.simulation, report.post_route
    if model.test_accuracy is not None:
        yield "test accuracy, network", f"{model.test_accuracy:.2%}", "trained model, hardened"
    if sim is not None:
        where = f"RTL in {sim.simulator}"
        if sim.correct is not None:
            yield "accuracy, simulated hardware", f"{sim.correct / sim.samples:.2%} of {sim.samples:,}", where
        yield "agreement with the network", f"{sim.classes_equal:,} of {sim.samples:,} classes", where
        yield "", f"{sim.scores_equal:,} of {sim.samples:,} score vectors", where
        yield "latency", f"{sim.latency_cycles} clocks after the last feature", where
        clocks = "clock" if sim.cycles_per_sample == 1 else f"{sim.cycles_per_sample:g} clocks"
        yield "throughput", f"one sample per {clocks}", where
    if report.link is not None:
        yield from _link(report.link)
    if report.post_synthesis is not None:
        yield f"LUT{report.netlist.k}", f"{report.post_synthesis.luts.total:,}", "post-synthesis"
    if report.estimate is not None:
        yield from _estimate(report, report.estimate)
    if route is not None:
        share = route.cells / route.cells_available
        yield "logic cells", f"{route.cells:,} of {route.cells_available:,} ({share:.0%})", "post-route"
        yield "Fmax", f"{route.fmax_mhz:.1f} MHz{spread(route.sweep)}", "post-route"
        if route.critical:
            yield "critical path", path(route.critical), "post-route"
        yield from _limit(route)
        at = clock_of(route, "Fmax")
        yield f"latency at {at}", f"{route.latency_ns:,.0f} ns after the last feature", "post-route"
        yield f"throughput at {at}", f"{route.samples_per_second:,.0f} samples/s", "post-route"
        if route.area_delay is not None:
            yield "area-delay product", f"{route.area_delay:,.0f} LUT·ns", "post-route"
    if report.bitstream is not None:
        yield "bitstream", f"{report.bitstream.file} ({report.bitstream.bytes:,} bytes)", "packed"


def _limit(found: PostRoute | Estimate) -> Iterator[tuple[str, ...]]:
    """Yield what the clock network takes, where the logic is faster."""
    if capped(found):
        yield "clock network", f"{found.clock_limit_mhz:g} MHz at most", "data sheet"


def _link(found: Link) -> Iterator[tuple[str, ...]]:
    rate = "" if found.baud is None else f"{found.baud:,} baud, "
    unit = "bytes" if found.word == 8 else f"words of {found.word} bits"
    frames = f"{found.request} {unit} in, {found.answer} out"
    yield "interface", f"{found.name}, {rate}{frames} ({found.pack})", "as built"
    if found.samples_per_second is not None:
        yield "", f"{found.samples_per_second:,.1f} samples/s on the line", "baud rate"


def _estimate(report: Report, found: Estimate) -> Iterator[tuple[str, ...]]:
    synthesis = report.post_synthesis
    if synthesis is not None and synthesis.cells and synthesis.cells_available:
        share = synthesis.cells / synthesis.cells_available
        what = "logic cells" if report.netlist.k == 4 else "LUT sites"
        words = f"{synthesis.cells:,} of {synthesis.cells_available:,} ({share:.0%})"
        yield f"{what}, at least", words, "post-synthesis"
    yield "Fmax", f"about {found.fmax_mhz:.0f} MHz ({limit(found)})", "ESTIMATE"
    yield from _limit(found)
    at = clock_of(found, "Fmax")
    yield f"latency at {at}", f"about {found.latency_ns:,.0f} ns after the last feature", "ESTIMATE"
    yield f"throughput at {at}", f"about {found.samples_per_second:,.0f} samples/s", "ESTIMATE"


def _resources(report: Report) -> _Rows:
    synthesis = report.post_synthesis
    assert synthesis is not None
    rows = [
        (label, luts_of(report, part), f"{getattr(synthesis.ffs, part):,}")
        for part, label in PART_LABELS.items()
    ]
    return [*rows, ("total", f"{synthesis.luts.total:,}", f"{synthesis.ffs.total:,}")]


def _netlist(report: Report) -> _Rows:
    net = report.netlist
    return [
        ("layers", " → ".join(report.model.layers)),
        ("nodes trained", f"{net.nodes:,}"),
        ("left after simplification", f"{net.simplified:,}"),
        (f"network, {net.k}-input LUTs", f"{net.network_luts:,}"),
        ("bits counted", f"{net.counted_bits:,}"),
        (f"popcount, {net.k}-input LUTs", f"{net.popcount_luts:,}"),
        ("encoder bits used", f"{net.input_bits:,}"),
        ("depth", f"{net.depth} LUTs in {net.stages + 1} stages"),
        *([("chosen for", net.head)] if net.head else []),
        ("wire, ESTIMATE", demand(net.demand, net.routed)),
    ]


def markdown(report: Report) -> str:
    """Return the report as Markdown."""
    lines = [f"# {report.model.file} on {report.target}", ""]
    lines += [f"> **Warning:** {warning}\n" for warning in report.warnings]
    for section in sections(report):
        lines += as_markdown(*section)
    return "\n".join(lines)


def as_markdown(title: str, head: tuple[str, ...], rows: _Rows) -> list[str]:
    """Return the lines of a table under its title."""
    return [f"## {title}", "", _row(head), _row(["---"] * len(head)), *map(_row, rows), ""]


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def terminal(report: Report) -> Group:
    """Return the report as rich tables."""
    from rich.console import Group
    from rich.text import Text

    warnings = [Text(f"warning: {warning}", style="yellow") for warning in report.warnings]
    return Group(*(table(*section) for section in sections(report)), *warnings)


def table(title: str, head: tuple[str, ...], rows: _Rows) -> Table:
    """Return one rich table."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    out = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in head:
        out.add_column(column, overflow="fold")
    out.show_header = any(head)
    rows = list(rows)
    # names stay in one piece, to be copied
    out.columns[0].no_wrap = all(" " not in cells[0] and len(cells[0]) <= _NAME for cells in rows)
    for cells in rows:
        out.add_row(*map(escape, cells))
    return out
