"""Designs by accuracy and LUTs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .markup import svg, tag, text
from .published import Design

_WIDTH, _HEIGHT, _LEFT, _BELOW = 760, 300, 46, 34


def scatter(designs: Sequence[Design]) -> str:
    """Return designs as dots: LUTs to the right, on a logarithmic scale, accuracy upwards.

    Filled if the encoder is counted or there is none, hollow if it is left out, pale if nobody says.
    """
    shown = [design for design in designs if design.luts and design.accuracy]
    if not shown:
        return tag("p", "No design with both an accuracy and a number of LUTs.")
    low, high = (f(math.log10(d.luts or 1) for d in shown) for f in (min, max))
    low, high = math.floor(2 * low) / 2, math.ceil(2 * high + 0.01) / 2
    bottom, top = (f(d.percent for d in shown) for f in (min, max))
    space = max(top - bottom, 0.5) * 0.12
    bottom, top = bottom - space, top + space

    def x(luts: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 20) * (math.log10(luts) - low) / (high - low)

    def y(percent: float) -> float:
        return 10 + (_HEIGHT - 10 - _BELOW) * (top - percent) / (top - bottom)

    inner = []
    for luts in (n * 10**e for e in range(0, 8) for n in (1, 3)):
        if low <= math.log10(luts) <= high:
            inner.append(_line(f"M{x(luts):.1f} 10V{_HEIGHT - _BELOW}"))
            place = min(x(luts), _WIDTH - 30)
            inner.append(_words(f"{luts:,}", place, _HEIGHT - _BELOW + 14, "middle"))
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if (top - bottom) / s <= 7)
    for at in range(math.ceil(bottom / step), math.floor(top / step) + 1):
        inner.append(_line(f"M{_LEFT} {y(at * step):.1f}H{_WIDTH - 20}"))
        inner.append(_words(f"{at * step:g}%", _LEFT - 6, y(at * step) + 3.5, "end"))
    inner.append(_words("LUTs", _WIDTH - 20, _HEIGHT - 4, "end"))
    # own dots last, above the others
    for design in sorted(shown, key=lambda d: d.ours):
        inner.append(_dot(design, x(design.luts or 1), y(design.percent)))
    label = f"{len(shown)} designs by LUTs and accuracy"
    picture = tag("div", svg(_WIDTH, _HEIGHT, label, *inner, class_="plot"), class_="scroll")
    return picture + tag("div", *_LEGEND, class_="legend")


def _line(d: str) -> str:
    return tag("path", d=d, style="stroke:var(--line);fill:none")


def _words(words: str, x: float, y: float, anchor: str) -> str:
    style = "font-size:11px;fill:var(--soft)"
    return tag("text", text(words), x=x, y=y, text_anchor=anchor, style=style)


def _dot(design: Design, x: float, y: float) -> str:
    colour = "var(--argmax)" if design.ours else "var(--encoder)"
    hollow = design.encoder == "out"
    luts = f"{design.luts:,} LUT{design.lut_inputs}"
    what = f"{design.method}: {design.accuracy} %, {luts}, encoder {design.encoder}"
    return tag(
        "circle",
        tag("title", text(what)),
        cx=x,
        cy=y,
        r=6 if design.ours else 4.5,
        style=f"fill:{'var(--card)' if hollow else colour};stroke:{colour};stroke-width:1.6",
        fill_opacity=0.25 if design.encoder == "unknown" else None,
    )


def _key(colour: str, fill: str, opacity: float | None, words: str) -> str:
    dot = tag(
        "circle", cx=7, cy=7, r=5, style=f"fill:{fill};stroke:{colour};stroke-width:1.6", fill_opacity=opacity
    )
    picture = svg(14, 14, words, dot, style="display:inline-block;width:12px;height:12px;vertical-align:-1px")
    return tag("span", picture, " ", text(words))


_LEGEND = (
    _key("var(--argmax)", "var(--argmax)", None, "build (LUT4s unless the target has others)"),
    _key("var(--encoder)", "var(--encoder)", None, "encoder counted, or none needed"),
    _key("var(--encoder)", "var(--card)", None, "encoder not counted"),
    _key("var(--encoder)", "var(--encoder)", 0.25, "encoder not mentioned"),
)
