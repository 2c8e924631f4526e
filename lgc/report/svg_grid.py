"""Grids of a report: gates of a layer, inputs in use, confusions, the floorplan."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from .markup import number, svg, tag, text
from .sections import Confusion, Floorplan, Inputs, Layer

_TITLED = 1200
"""Cells up to which each one says what it is when pointed at."""
_NUMBERED = 16
"""Classes up to which confusions are written as numbers."""
_NAMED = 30
"""Classes up to which rows and columns are named."""


def gates(layer: Layer) -> str:
    """Return the nodes of a layer as squares: gates the darker the more read them."""
    columns = max(1, math.ceil(math.sqrt(1.5 * len(layer.kinds))))
    rows = max(1, math.ceil(len(layer.kinds) / columns))
    runs: dict[str, list[str]] = defaultdict(list)
    for at, (kind, reads) in enumerate(zip(layer.kinds, layer.reads, strict=True)):
        y, x = divmod(at, columns)
        look = f"g{min(int(reads), 4)}" if kind == "g" else kind
        runs[look].append(f"M{x} {y}.5h.84")
    inner = [
        tag("path", d="".join(runs[look]), style=f"stroke:{colour};stroke-width:.84", stroke_opacity=opacity)
        for look, colour, opacity in _LOOKS
        if look in runs
    ]
    label = f"{layer.nodes:,} nodes: {layer.gates:,} gates, {layer.wires:,} wires, {layer.pruned:,} pruned"
    return svg(columns, rows, label, *inner)


_LOOKS: tuple[tuple[str, str, float | None], ...] = (
    ("p", "var(--line)", 0.7),
    ("c", "var(--argmax)", None),
    ("w", "var(--io)", 0.75),
    ("g0", "var(--network)", 0.3),
    ("g1", "var(--network)", 0.45),
    ("g2", "var(--network)", 0.65),
    ("g3", "var(--network)", 0.82),
    ("g4", "var(--network)", None),
)
"""Squares: letter of their kind with the reads of gates, colour, opacity."""


def inputs(used: Inputs) -> str:
    """Return how often each feature is read: a picture for images, columns for others."""
    reads = np.array(used.reads, np.int64)
    bits = np.array(used.bits, np.int64)
    if len(used.shape) < 2:
        return _columns(reads, bits)
    height, width = used.shape[:2]
    reads, bits = (each.reshape(height, width, -1).sum(axis=2) for each in (reads, bits))
    top = int(reads.max(initial=0)) or 1
    inner = [tag("rect", x=0, y=0, width=width, height=height, style="fill:var(--faint)")]
    for y, x in zip(*np.nonzero(reads), strict=True):
        count = int(reads[y, x])
        title = (
            tag("title", f"row {y}, column {x}: {count:,} reads of {int(bits[y, x])} thresholds")
            if reads.size <= _TITLED
            else ""
        )
        box = {"x": int(x), "y": int(y), "width": 0.96, "height": 0.96}
        opacity = round(0.12 + 0.88 * math.sqrt(count / top), 2)
        inner.append(
            tag("rect", *([title] if title else []), **box, style="fill:var(--encoder)", fill_opacity=opacity)
        )
    label = f"Reads of each of {height} × {width} pixels, at most {top}"
    return svg(width, height, label, *inner, class_="heat")


def _columns(reads: np.ndarray, bits: np.ndarray) -> str:
    """Return features as columns, as high as they are read often."""
    top = int(reads.max(initial=0)) or 1
    inner = [tag("rect", x=0, y=0, width=10 * len(reads), height=100, style="fill:var(--faint)")]
    for at, (count, own) in enumerate(zip(reads.tolist(), bits.tolist(), strict=True)):
        height = 96 * count / top
        title = tag("title", f"feature {at}: {count:,} reads of {own} thresholds")
        box = {"x": at * 10 + 1, "y": 100 - height, "width": 8, "height": height}
        inner.append(tag("rect", title, **box, style="fill:var(--encoder)"))
    return svg(
        10 * len(reads),
        100,
        f"Reads of each of {len(reads)} features",
        *inner,
        stretch=True,
        class_="heat cols",
    )


def confusions(found: Confusion) -> str:
    """Return the confusion matrix: right answers on the diagonal, mistakes in red."""
    classes, cell = len(found.names), 28
    named = classes <= _NAMED
    margin = 8 * min(max(map(len, found.names), default=1), 8) + 14 if named else 4
    inner = []
    worst = (
        max((n for r, row in enumerate(found.counts) for c, n in enumerate(row) if r != c), default=0) or 1
    )
    for r, row in enumerate(found.counts):
        total = sum(row) or 1
        for c, count in enumerate(row):
            x, y = margin + c * cell, margin + r * cell
            right = r == c
            strength = count / total if right else math.sqrt(count / worst)
            opacity = round((0.1 + 0.75 * strength) if count else 0, 2)
            colour = "var(--network)" if right else "var(--argmax)"
            box = {"x": x, "y": y, "width": cell - 2, "height": cell - 2, "rx": 4}
            title = tag("title", text(f"{found.names[r]} taken for {found.names[c]}: {count:,}"))
            inner.append(tag("rect", **box, style="fill:var(--faint)"))
            if count:
                hint = [title] if classes**2 <= _TITLED else []
                inner.append(tag("rect", *hint, **box, style=f"fill:{colour}", fill_opacity=opacity))
            if count and classes <= _NUMBERED:
                size = 11 if count < 1000 else 8.5
                inner.append(_word(str(count), x + cell / 2 - 1, y + cell / 2 + 3, size, "middle"))
    if named:
        for at, name in enumerate(found.names):
            middle = margin + at * cell + cell / 2
            inner.append(_word(name[:8], margin - 8, middle + 3, 11, "end", soft=True))
            inner.append(
                _word(name[: 8 if classes < 6 else 3], middle - 1, margin - 8, 11, "middle", soft=True)
            )
    side = margin + classes * cell
    return svg(side, side, f"Confusion matrix of {classes} classes", *inner, class_="mid")


def _word(words: str, x: float, y: float, size: float, anchor: str, *, soft: bool = False) -> str:
    style = f"font-size:{number(size)}px" + (";fill:var(--soft)" if soft else "")
    return tag("text", text(words), x=x, y=y, text_anchor=anchor, style=style)


def floorplan(found: Floorplan) -> str:
    """Return the device's tiles, each split among the parts with cells in it."""
    full = max((sum(tile[2:]) for tile in found.tiles), default=1) or 1
    inner = [tag("rect", x=0, y=0, width=found.width, height=found.height, style="fill:var(--faint)")]
    runs: dict[tuple[str, int], list[str]] = defaultdict(list)
    for x, y, *counts in found.tiles:
        total, left = sum(counts), float(x) + 0.04
        for part, count in zip(found.parts, counts, strict=True):
            if count:
                width = 0.92 * count / total
                top = found.height - 1 - y
                level = min(4, math.ceil(4 * total / full))
                runs[part, level].append(f"M{number(left)} {top}.5h{number(width)}")
                left += width
    for (part, level), moves in sorted(runs.items()):
        opacity = None if level == 4 else 0.25 + 0.2 * level
        style = f"stroke:var(--{part});stroke-width:.92"
        inner.append(tag("path", d="".join(moves), style=style, stroke_opacity=opacity))
    label = f"Floorplan of {found.width} × {found.height} tiles, {len(found.tiles):,} in use"
    return svg(found.width, found.height, label, *inner, class_="mid")
