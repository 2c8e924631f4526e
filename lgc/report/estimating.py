"""Estimates for several targets as tables, with what is known of their errors."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from .words import PART_LABELS

if TYPE_CHECKING:
    from rich.console import Group

    from lgc.estimates import Estimates, Row

HEAD = ("target", "kind", "LUTs", *PART_LABELS, "use", "fits", "wire", "MHz", "clocks", "ns", "samples/s")
"""Columns of the table."""


@cache
def errors() -> dict[str, dict[str, float]]:
    """Return by family how far estimates were off, in percent; see `benchmarks/estimates.py`."""
    return tomllib.loads((files("lgc.report") / "estimate_errors.toml").read_text(encoding="utf-8"))


def rows(found: Estimates) -> list[tuple[str, ...]]:
    """Return a row of text for each target."""
    return [_row(row) for row in found.rows]


def _row(row: Row) -> tuple[str, ...]:
    fits = "yes" if row.fits else f"NO: {' and '.join(row.short_of)}"
    speed = ("–", str(row.clocks), "–", "–")
    if row.fmax_mhz is not None and row.latency_ns is not None and row.samples_per_second is not None:
        times = f"{row.latency_ns:,.0f}", f"{row.samples_per_second:,.0f}"
        over = row.clock_limit_mhz is not None and row.fmax_mhz > row.clock_limit_mhz
        clock = f"{row.fmax_mhz:.0f}" + (f" > {row.clock_limit_mhz:.0f}" if over else "")
        speed = (clock, str(row.clocks), *times)
    parts = (f"{getattr(row.luts, part):,}" for part in PART_LABELS)
    share = f"{row.cells / row.cells_available:.0%}"
    wire = "–" if row.demand is None else f"{row.demand:.0f}"
    if row.demand is not None and row.routed is not None:
        wire += f" {'>' if row.demand > row.routed else '≤'} {row.routed:.0f}"
    return (row.target, f"LUT{row.k}", f"{row.luts.total:,}", *parts, share, fits, wire, *speed)


def note(found: Estimates) -> str:
    """Return how far such estimates were off, and what was left out."""
    families = dict.fromkeys(row.family for row in found.rows)
    known = [_error(family, errors()[family]) for family in families if family in errors()]
    other = [family for family in families if family not in errors()]
    words = ["ESTIMATES: no tool has run."]
    if known:
        words.append(f"Off by at most: {'; '.join(known)} (benchmarks/estimates.py).")
    if other:
        words.append(f"Not compared with place and route: {', '.join(other)}.")
    if any(row.demand is not None and row.routed is not None for row in found.rows):
        words.append(
            "Wire: tiles of it per tile, beside the most that has been routed on the family "
            "(benchmarks/routability.py); above that the router may not converge."
        )
    words += [f"{name} was left out: {reason}" for name, reason in found.skipped.items()]
    return " ".join(words)


def _error(family: str, facts: dict[str, float]) -> str:
    clock = f", clock {facts['fmax_worst']:g} %" if "fmax_worst" in facts else ""
    return f"{family} LUTs {facts['luts_worst']:g} %{clock} over {facts['builds']:g} builds"


def to_dict(found: Estimates) -> dict[str, Any]:
    """Return the estimates and their errors as JSON values."""
    return found.to_dict() | {"errors in percent": errors()}


def terminal(found: Estimates) -> Group:
    """Return the estimates as a rich table."""
    from rich.console import Group
    from rich.text import Text

    from .render import table

    # the terminal has no room for the parts of each target; many share them
    kept = [at for at, name in enumerate(HEAD) if name not in {*PART_LABELS, "samples/s"}]
    heads = tuple(HEAD[at] for at in kept)
    whole = table(f"Estimates for {found.model}", heads, [tuple(r[at] for at in kept) for r in rows(found)])
    shared: dict[tuple[int, ...], Row] = {}
    for row in found.rows:
        shared.setdefault(tuple(getattr(row.luts, part) for part in PART_LABELS), row)
    split = [
        (f"LUT{row.k}, {row.target}", *(f"{count:,}" for count in counts)) for counts, row in shared.items()
    ]
    parts = table("LUTs by part, as on", ("", *PART_LABELS), split)
    return Group(whole, parts, Text(note(found)))


def markdown(found: Estimates) -> str:
    """Return the estimates as Markdown."""
    from .render import as_markdown

    return "\n".join([*as_markdown(f"Estimates for {found.model}", HEAD, rows(found)), note(found), ""])


def page(found: Estimates) -> str:
    """Return the estimates as one HTML page."""
    from . import svg_bars
    from .html import card, document
    from .markup import table, tag, text

    most = max((row.cells for row in found.rows), default=1)
    bars = []
    for row in found.rows:
        pieces = [
            (f"var(--{part})", getattr(row.luts, part), f"{label}: {getattr(row.luts, part):,} LUTs")
            for part, label in PART_LABELS.items()
        ]
        words = f"{row.luts.total:,} LUT{row.k}, {row.cells / row.cells_available:.0%} of the device"
        line = tag("div", tag("span", text(row.target)), tag("span", words))
        bar = svg_bars.stacked(pieces, f"{row.target}: {words}", whole=most, class_="bar thin")
        bars.append(tag("div", line, bar, class_="meter"))
    keys = [tag("span", tag("i", class_=f"key c-{part}"), text(label)) for part, label in PART_LABELS.items()]
    shown = table(HEAD, [tuple(map(text, row)) for row in rows(found)], class_="tight")
    heading = tag("header", tag("h1", text(found.model), " ", tag("span", "on every target, estimated")))
    cards = [
        card(
            "LUTs by part",
            note(found),
            tag("div", *bars, class_="meters"),
            tag("div", *keys, class_="legend"),
        ),
        card("Targets", "Latency is from the last feature to the class.", shown),
    ]
    return document(f"Estimates for {found.model}", [heading, tag("div", *cards, class_="grid")])
