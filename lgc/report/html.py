"""A report as one HTML page: pictures in SVG, no scripts, nothing from outside."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from . import svg_bars, svg_grid
from .markup import table, tag, text
from .model import Check, Estimate, Parts, PostRoute, Report, Simulation
from .sections import FANOUT, Hop
from .style import STYLE
from .words import (
    IN_NETWORK,
    PART_LABELS,
    STAGE_HEAD,
    capped,
    clock_of,
    equal,
    inputs_of,
    limit,
    luts_of,
    provenance,
    spread,
    stages,
    together,
    usable_mhz,
)

_HEAD = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
_SHORT = 100
"""Nanoseconds below which a tenth is shown."""
_HOPS = 60
"""Steps of the critical path that are listed."""


def page(report: Report) -> str:
    """Return the report as one page."""
    model = report.model
    title = f"{model.file} on {report.target}"
    heading = tag("h1", text(model.file), " ", tag("span", f"on {text(report.target)}"))
    when = report.created.replace("T", " ").split("+")[0]
    source = f"{model.data_source} · " if model.data_source else ""
    about = tag(
        "p", text(f"{source}{model.classes} classes · lgc {report.lgc_version} · {when} UTC"), class_="sub"
    )
    body = [tag("header", heading, about), _warnings(report), _tiles(report), _way(report)]
    return document(title, [*body, tag("div", *_cards(report), class_="grid"), _foot(report)])


def document(title: str, body: list[str]) -> str:
    """Return a whole page in lgc's style."""
    head = tag("head", _HEAD, tag("title", text(title)), tag("style", STYLE))
    whole = tag("html", head, tag("body", tag("main", *body)), lang="en")
    return f"<!doctype html>\n{whole}\n"


def frame(report: Report) -> str:
    """Return the page within a frame, for notebooks."""
    return (
        f'<iframe srcdoc="{escape(page(report))}" title="{escape(report.model.file)}" '
        'style="width:100%;height:860px;border:0;border-radius:12px"></iframe>'
    )


def card(title: str, note: str, *inner: str, width: int = 12) -> str:
    """Return a card of the page, "" if there is nothing in it."""
    if not any(inner):
        return ""
    head = [tag("h2", text(title)), *([tag("p", text(note), class_="note")] if note else [])]
    return tag("section", *head, *inner, class_=f"card w{width}")


def tile(value: str, unit: str, what: str) -> str:
    """Return a figure with its unit and what it is."""
    return tag(
        "div",
        tag("b", text(value), tag("small", f" {text(unit)}") if unit else ""),
        tag("span", text(what)),
        class_="tile",
    )


def key(part: str, words: str) -> str:
    """Return words with a square of the part's colour before them."""
    return tag("span", tag("i", class_=f"key c-{part}"), text(words))


def _cards(report: Report) -> Iterator[str]:
    yield _resources(report)
    yield _timing(report)
    yield _network(report)
    yield _floorplan(report)
    yield _confusion(report)
    yield _passes(report)
    yield _accuracy(report)
    yield _checks(report)
    yield _steps(report)
    yield card(
        "Provenance",
        "What it takes to make the same again.",
        table(("", ""), _pairs(provenance(report))),
        width=7,
    )


def _pairs(rows: list[tuple[str, str]]) -> list[tuple[str, ...]]:
    return [(tag("span", text(name), class_="sub"), text(value)) for name, value in rows]


def _warnings(report: Report) -> str:
    lines = [tag("p", tag("b", "Warning. "), text(warning)) for warning in report.warnings]
    return tag("div", *lines, class_="warn", role="note") if lines else ""


def _tiles(report: Report) -> str:
    model, sim, route, synthesis = report.model, report.simulation, report.post_route, report.post_synthesis
    found = []
    if model.test_accuracy is not None:
        found.append(tile(f"{model.test_accuracy:.2%}".rstrip("%"), "%", "test accuracy"))
    if sim is not None:
        same = f"{sim.classes_equal:,} of {sim.samples:,}"
        found.append(tile(same, "", "samples: hardware = network"))
    if synthesis is not None:
        found.append(
            tile(f"{synthesis.luts.total:,}", f"LUT{report.netlist.k}", "after synthesis, all parts")
        )
    else:
        found.append(tile(f"{report.netlist.network_luts:,}", f"LUT{report.netlist.k}", "network alone"))
    if route is not None:
        found.append(tile(f"{route.fmax_mhz:.1f}", "MHz", "maximum clock, routed"))
    if route is not None and sim is not None:
        found.append(tile(f"{route.latency_ns:,.0f}", "ns", f"latency, {sim.latency_cycles} clocks"))
        at = clock_of(route, "the maximum clock")
        found.append(tile(*_large(route.samples_per_second, "/s"), f"samples at {at}"))
    elif sim is not None:
        found.append(tile(str(sim.latency_cycles), "clocks", "latency"))
    guess = report.estimate
    if guess is not None:
        found.append(tile(f"≈ {guess.fmax_mhz:.0f}", "MHz", "maximum clock, ESTIMATE"))
        found.append(tile(f"≈ {guess.latency_ns:,.0f}", "ns", "latency, ESTIMATE"))
    if route is not None and route.area_delay is not None:
        found.append(tile(*_large(route.area_delay, " LUT·ns"), "area-delay product"))
    return tag("div", *found, class_="tiles")


def _large(value: float, unit: str) -> tuple[str, str]:
    """Return a number with its prefix and unit."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}", letter + unit
    return f"{value:.0f}", unit.strip()


def _way(report: Report) -> str:
    """Return the way of the data through the parts, each with what it costs."""
    net, model, synthesis = report.netlist, report.model, report.post_synthesis

    def step(part: str, title: str, words: str) -> str:
        cost = ""
        if synthesis is not None:
            cost = luts_of(report, part)
            cost += "" if cost == IN_NETWORK else " LUTs"
        lines = [tag("span", text(line)) for line in (words, cost) if line]
        return tag("li", tag("b", text(title)), *lines, class_=f"c-{part}")

    link = report.link
    through = "" if link is None else f" by {link.name.upper() if link.name != 'words' else link.name}"
    steps = [
        step("io", f"Features in{through}", f"{model.features:,} of {model.feature_bits} bits"),
        step("encoder", "Encoder", f"{net.input_bits:,} threshold bits used"),
        step("network", "Network", f"{net.nodes:,} nodes, {net.simplified:,} left"),
        step("readout", "Class counts", f"{net.counted_bits:,} bits counted"),
        step("argmax", "Argmax", f"1 of {model.classes} classes"),
    ]
    return tag("ol", *steps, class_="way")


def _resources(report: Report) -> str:
    synthesis, route = report.post_synthesis, report.post_route
    if synthesis is None:
        return ""
    parts = list(PART_LABELS.items())
    pieces = [
        (f"var(--{part})", getattr(synthesis.luts, part), f"{name}: {getattr(synthesis.luts, part):,} LUTs")
        for part, name in parts
    ]
    total = synthesis.luts.total or 1
    rows: list[tuple[str, ...]] = [
        (
            key(part, name),
            luts_of(report, part),
            f"{getattr(synthesis.luts, part) / total:.0%}",
            f"{getattr(synthesis.ffs, part):,}",
        )
        for part, name in parts
    ]
    rows.append(
        (
            tag("b", "all"),
            *(tag("b", n) for n in (f"{synthesis.luts.total:,}", "100%", f"{synthesis.ffs.total:,}")),
        )
    )
    bar = svg_bars.stacked(pieces, f"{synthesis.luts.total:,} LUTs by part")
    counts = table(("", f"LUT{report.netlist.k}", "share", "flip-flops"), rows, numbers=3)
    meters = ""
    cells = (route.cells, route.cells_available) if route else (synthesis.cells, synthesis.cells_available)
    if cells[0] is not None and cells[1] is not None:
        what = f"logic cells of {route.device}" if route else f"cells of {report.target}, at least"
        meters = tag("div", svg_bars.meter(what, cells[0], cells[1], "var(--soft)"), class_="meters")
    note = "After synthesis; the encoder, its input storage, the argmax and stream control are all counted."
    if together(report):
        note += " One logic runs the program of the network, counts and compares."
    if synthesis.brams or synthesis.carries:
        note += f" Besides, {synthesis.carries:,} carry cells and {synthesis.brams:,} block RAMs."
    beside = route is not None or report.estimate is not None
    return card("Where the LUTs go", note, bar, counts, meters, width=7 if beside else 12)


def _timing(report: Report) -> str:
    route = report.post_route
    if route is None:
        return _estimate(report)
    inner = []
    if route.critical:
        inner += [svg_bars.path(route.critical), *_path_words(route.critical)]
    reached = [seed.fmax_mhz for seed in route.sweep if seed.fmax_mhz is not None]
    if len(reached) > 1:
        strip = svg_bars.strip(reached, f"Maximum clocks of {len(reached)} seeds")
        words = f"{spread(route.sweep).strip(' ()')}; the fastest is kept"
        inner.append(
            tag("figure", tag("h3", "Seeds"), strip, tag("figcaption", text(words)), style="margin-top:16px")
        )
    if report.simulation is not None:
        inner.append(_speed(report.simulation, route))
    note = f"Post-route: {route.fmax_mhz:.1f} MHz{spread(route.sweep)}, seed {route.seed}, {route.router}."
    note += _capped(route)
    empty = tag("p", "The router reported no path between registers.", class_="sub")
    return card("Timing", note, *(inner or [empty]), _choices(report), width=5)


def _choices(report: Report) -> str:
    """Return what other numbers of stages would give, folded away."""
    if not report.choices:
        return ""
    rows = [tuple(map(text, stages(choice))) for choice in report.choices]
    listed = table(STAGE_HEAD, rows, numbers=4)
    return tag("details", tag("summary", "More or fewer stages (ESTIMATE)"), listed)


def _speed(sim: Simulation, found: PostRoute | Estimate) -> str:
    """Return what clocks become at the maximum clock."""

    def time(ns: float) -> str:
        return f"{ns:,.0f} ns" if ns >= _SHORT else f"{ns:.1f} ns"

    rows = [
        ("clock", f"{1e3 / usable_mhz(found):.2f} ns", "1"),
        ("latency after the last feature", time(found.latency_ns), f"{sim.latency_cycles}"),
        ("between results", time(1e9 / found.samples_per_second), f"{sim.cycles_per_sample:g}"),
    ]
    head = (f"at {clock_of(found, 'the maximum clock')}", "time", "clocks")
    return tag("div", table(head, rows, numbers=2), style="margin-top:16px")


def _capped(found: PostRoute | Estimate) -> str:
    """Say what the clock network takes, where the logic is faster."""
    if not capped(found):
        return ""
    return f" The data sheet allows the clock network {found.clock_limit_mhz:g} MHz: times are at that clock."


def _estimate(report: Report) -> str:
    guess = report.estimate
    if guess is None:
        return ""
    note = f"ESTIMATE, nothing was placed and routed: about {guess.fmax_mhz:.0f} MHz"
    note += f", limited by {limit(guess)}.{_capped(guess)}"
    inner = [svg_bars.path(guess.critical), *_path_words(guess.critical)] if guess.critical else []
    if report.simulation is not None:
        inner.append(_speed(report.simulation, guess))
    source = tag("p", text(f"Delays: {guess.source}."), class_="sub", style="margin-top:8px")
    return card("Timing, estimated", note, *inner, source, _choices(report), width=5)


def _path_words(hops: tuple[Hop, ...]) -> list[str]:
    total = sum(hop.ns for hop in hops) or 1.0
    wires = sum(hop.ns for hop in hops if hop.kind == "routing")
    cells = [hop for hop in hops if hop.kind != "routing"]
    share = f"{wires / total:.0%} wires (thin), {1 - wires / total:.0%} cells (thick)"
    words = f"Critical path of {total:.1f} ns" + (f": {share}." if wires else ", wires included.")
    parts = dict.fromkeys(hop.part for hop in cells)
    legend = tag("div", *(key(part, part) for part in parts), class_="legend")
    taken = [hop for hop in hops if hop.ns]
    rows = [
        (tag("span", text(hop.kind), class_="nw"), key(hop.part, hop.name), f"{hop.ns:.2f}")
        for hop in taken[:_HOPS]
    ]
    listed = table(("", "cell or net", "ns"), rows, numbers=1)
    more = f"{len(taken)} steps" + (f", the first {_HOPS}" if len(taken) > _HOPS else "")
    details = tag("details", tag("summary", more), listed)
    return [legend, tag("p", text(words), class_="sub", style="margin-top:8px"), details]


def _network(report: Report) -> str:
    if not report.layers or report.inputs is None:
        return ""
    used = report.inputs
    idle = sum(not n for n in used.reads)
    count = "pixels" if len(used.shape) > 1 else "features"
    caption = f"{sum(used.bits):,} threshold bits read; {idle:,} of {len(used.reads):,} {count} unused."
    panels = [
        tag(
            "figure",
            tag("h3", f"Inputs: {_shape(used.shape)}"),
            svg_grid.inputs(used),
            tag("figcaption", text(caption)),
        )
    ]
    for at, layer in enumerate(report.layers, 1):
        live = layer.nodes - layer.pruned
        words = [
            f"{live:,} live ({live / max(layer.nodes, 1):.0%}): {layer.gates:,} gates, {layer.wires:,} wires"
        ]
        words += [f"{layer.constants:,} constants"] if layer.constants else []
        shown = ", ".join(words) + f"; {layer.pruned:,} pruned."
        if layer.per_square > 1:
            shown += f" A square is {layer.per_square} nodes."
        fan = svg_bars.histogram(
            layer.fanout, [name.replace(" or more", "+") for name in FANOUT], "Live nodes by fan-out"
        )
        panels.append(
            tag(
                "figure",
                tag("h3", text(f"Layer {at}: {layer.text}")),
                svg_grid.gates(layer),
                tag("figcaption", text(shown)),
                fan,
                tag("figcaption", "live nodes by fan-out", style="margin-top:0"),
            )
        )
    legend = [
        key("network", "gate (the stronger, the more read it)"),
        key("io", "wire or inverter"),
        key("argmax", "constant"),
        key("line", "pruned: no count depends on it"),
        key("encoder", "pixel (the stronger, the more LUTs read it)" if count == "pixels" else "feature"),
    ]
    note = "As trained, after hardening; the inputs as the optimised network reads them."
    return card(
        "The network", note, tag("div", *panels, class_="panels"), tag("div", *legend, class_="legend")
    )


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) + (" pixels" if len(shape) > 1 else " features")


def _floorplan(report: Report) -> str:
    plan = report.floorplan
    if plan is None:
        return ""
    totals = [sum(tile[2 + at] for tile in plan.tiles) for at in range(len(plan.parts))]
    legend = [key(part, f"{part} {n:,}") for part, n in zip(plan.parts, totals, strict=True) if n]
    note = f"Cells as placed on {plan.width} × {plan.height} tiles; a tile is split among the parts in it."
    picture = tag("figure", svg_grid.floorplan(plan))
    return card("Floorplan", note, picture, tag("div", *legend, class_="legend"), width=6)


def _confusion(report: Report) -> str:
    found = report.confusion
    if found is None:
        return ""
    total = sum(map(sum, found.counts))
    right = sum(row[at] for at, row in enumerate(found.counts))
    note = f"Rows: label. Columns: class. {right:,} of {total:,} right; {found.source}."
    return card("Confusion matrix", note, tag("figure", svg_grid.confusions(found)), width=6)


def _passes(report: Report) -> str:
    if not report.passes:
        return ""
    note = "LUTs left after each optimisation pass; the last row maps them to the device's LUTs."
    return card("What each pass saved", note, svg_bars.waterfall(report.passes), width=6)


def _accuracy(report: Report) -> str:
    rows: list[tuple[str, ...]] = []
    for found in report.accuracy:
        samples = "" if found.samples is None else f"{found.samples:,}"
        rows.append((text(found.rung), tag("b", f"{found.share:.2%}"), samples))
    if not rows:
        return ""
    note = "The same classes at every rung: what differs is how many samples were run."
    shown = table(("", "accuracy", "samples"), rows, numbers=2)
    # the last of up to four cards of half the width: none stays alone in its row
    halves = sum(bool(part) for part in (report.floorplan, report.confusion, report.passes))
    return card("Accuracy by rung", note, shown, width=6 if halves % 2 else 12)


def _checks(report: Report) -> str:
    rows = [
        (_mark(check), text(check.rung), text(check.method), text(inputs_of(check)))
        for check in report.checks
    ]
    if not rows:
        return ""
    note = "Each stage against the one before, by proof where that is possible."
    return card(
        "Proofs and comparisons", note, table(("", "compared", "method", "inputs"), rows, numbers=1), width=12
    )


def _mark(check: Check) -> str:
    words = equal(check)
    if words == "yes":
        return tag("span", "✓ equal", class_="yes")
    return tag("span", text("✗ differs" if words == "NO" else words), class_="no" if words == "NO" else "sub")


def _steps(report: Report) -> str:
    longest = max((step.seconds for step in report.steps), default=0.0) or 1.0
    rows = []
    for step in report.steps:
        colour = "var(--line)" if step.cached else "var(--soft)"
        bar = svg_bars.stacked(
            [(colour, step.seconds, step.name)], step.name, whole=longest, class_="bar thin"
        )
        rows.append((text(step.name) + bar, f"{step.seconds:.1f} s" + (" (kept)" if step.cached else "")))
    note = "Seconds of wall time when the step ran."
    return card("Steps", note, table(("step", "time"), rows, numbers=1), width=5)


def _foot(report: Report) -> str:
    version = f"Written by lgc {report.lgc_version}, report schema {report.schema_version}."
    return tag("footer", text(version))


assert list(PART_LABELS) == list(Parts.__annotations__)
