"""Bars of a report: shares, meters, a waterfall, the critical path, seeds, histograms."""

from __future__ import annotations

from collections.abc import Sequence

from .markup import number, svg, tag, text
from .sections import Hop, PassResult

Share = tuple[str, float, str]
"""Colour (a CSS value), size, and what it is, of a piece of a bar."""


def stacked(pieces: Sequence[Share], label: str, *, whole: float | None = None, class_: str = "bar") -> str:
    """Return a horizontal bar of pieces side by side.

    Args:
        pieces: from left to right.
        label: what it shows.
        whole: size of the full width; the pieces' sum if None.
        class_: its style.
    """
    total = whole or sum(size for _, size, _ in pieces) or 1.0
    inner, start = [], 0.0
    for colour, size, what in pieces:
        width = 1000 * size / total
        gap = min(2.0, width / 4)
        box = {"x": start, "y": 0, "width": max(width - gap, 0.5), "height": 10}
        inner.append(tag("rect", tag("title", text(what)), **box, style=f"fill:{colour}"))
        start += width
    return svg(1000, 10, label, *inner, stretch=True, class_=class_)


def meter(name: str, used: int, available: int, colour: str) -> str:
    """Return how much of something is used, as words and a bar."""
    share = used / available if available else 0.0
    words = f"{used:,} of {available:,} · {share:.0%}" if available else f"{used:,}"
    bar = stacked(
        [(colour, min(used, available), words)], f"{name}: {words}", whole=available or 1, class_="bar thin"
    )
    return tag("div", tag("div", tag("span", text(name)), tag("span", words)), bar, class_="meter")


def waterfall(passes: Sequence[PassResult]) -> str:
    """Return rows of a table: what each pass left, and a bar of it with what it took away."""
    whole = max((row.before for row in passes), default=1) or 1
    cells = []
    for row in passes:
        left = min(row.before, row.after)
        pieces = [("var(--network)", left, f"{left:,} LUTs left")]
        if row.after < row.before:
            pieces.append(
                (
                    "var(--network);fill-opacity:.28",
                    row.before - row.after,
                    f"{row.before - row.after:,} LUTs saved",
                )
            )
        elif row.after > row.before:
            pieces.append(("var(--argmax)", row.after - row.before, f"{row.after - row.before:,} LUTs more"))
        bar = stacked(
            pieces, f"{row.name}: {row.before:,} to {row.after:,} LUTs", whole=whole, class_="bar thin"
        )
        change = row.after - row.before
        share = f" ({change / row.before:+.0%})" if row.before and change else ""
        shown = f"{change:+,}".replace("-", "−") + share.replace("-", "−") if change else "0"
        cells.append((text(row.name) + tag("div", bar), f"{row.after:,}", shown))
    head = tag("tr", tag("th", "pass"), tag("th", "LUTs after", class_="n"), tag("th", "change", class_="n"))
    rows = [
        tag("tr", tag("td", name), tag("td", left, class_="n"), tag("td", change, class_="n"))
        for name, left, change in cells
    ]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="scroll")


def path(hops: Sequence[Hop]) -> str:
    """Return the critical path as a bar: cells in the colour of their part, wires pale."""
    pieces: list[tuple[float, float, str]] = []
    start = 0.0
    inner = []
    total = sum(hop.ns for hop in hops) or 1.0
    for hop in hops:
        width = 1000 * hop.ns / total
        wire = hop.kind == "routing"
        what = f"{hop.kind} {hop.ns:g} ns, {hop.part}: {hop.name}"
        inner.append(
            tag(
                "rect",
                tag("title", text(what)),
                x=start,
                y=3 if wire else 0,
                width=max(width - 1, 0.6),
                height=4 if wire else 10,
                style=f"fill:var(--{hop.part})",
                fill_opacity=0.4 if wire else None,
            )
        )
        pieces.append((start, width, what))
        start += width
    return svg(1000, 10, f"Critical path of {number(total)} ns", *inner, stretch=True, class_="bar")


def strip(values: Sequence[float], label: str) -> str:
    """Return values as dots along a line, the largest one filled."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    dots = [
        tag(
            "circle",
            tag("title", f"{value:.1f}"),
            cx=12 + 276 * (value - low) / span,
            cy=10,
            r=5,
            style="fill:var(--network)"
            if value == high
            else "fill:var(--card);stroke:var(--network);stroke-width:1.5",
        )
        for value in sorted(values)
    ]
    line = tag("path", d="M12 10H288", style="stroke:var(--line);stroke-width:2")
    return svg(300, 20, label, line, *dots)


def histogram(
    counts: Sequence[int], names: Sequence[str], label: str, *, colour: str = "var(--network)"
) -> str:
    """Return counts as columns, their names below."""
    top = max(counts, default=0) or 1
    columns = []
    for at, (count, name) in enumerate(zip(counts, names, strict=True)):
        height = max(40 * count / top, 1.0 if count else 0.0)
        columns.append(
            tag(
                "rect",
                tag("title", f"{text(name)}: {count:,}"),
                x=at * 10 + 0.7,
                y=40 - height,
                width=8.6,
                height=height,
                style=f"fill:{colour}",
            )
        )
    picture = svg(10 * len(counts), 40, label, *columns, stretch=True, class_="hist")
    return picture + tag("div", *(tag("span", text(name)) for name in names), class_="fan")
