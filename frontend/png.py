"""The learning curves as a bitmap, where Pillow is installed: draws the shapes that `curves` writes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lgc.errors import LgcError

_SCALE = 2
_FONT_SIZE = 11
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}
_Point = tuple[float, float]


def installed() -> bool:
    """Whether Pillow is there."""
    return find_spec("PIL") is not None


def write_png(svg: Path, out: Path) -> None:
    """Draw a file that `lgc.frontend.curves.write_curves` wrote, at twice its size.

    Raises:
        LgcError: `svg` is unreadable, or `out` cannot be written.
    """
    image, draw = import_module("PIL.Image"), import_module("PIL.ImageDraw")
    try:
        root = ET.fromstring(svg.read_text("utf-8"))  # noqa: S314  (our own file)
    except (OSError, UnicodeDecodeError, ET.ParseError) as error:
        raise LgcError(f"Cannot read the curves {svg}: {error}.") from error
    size = (int(root.attrib["width"]) * _SCALE, int(root.attrib["height"]) * _SCALE)
    canvas = image.new("RGB", size, "#ffffff")
    pen = draw.Draw(canvas, "RGBA")
    font = import_module("PIL.ImageFont").load_default(_FONT_SIZE * _SCALE)
    _shapes(pen, font, root, (0.0, 0.0))
    try:
        canvas.save(out, "PNG")
    except OSError as error:
        raise LgcError(f"Cannot write {out}: {error.strerror or error}.") from error


def _shapes(pen: Any, font: Any, parent: ET.Element, at: _Point) -> None:
    for shape in parent:
        kind, facts = shape.tag.rpartition("}")[2], shape.attrib
        if kind == "g":
            moved = [float(text) for text in re.findall(r"-?[\d.]+", facts.get("transform", "0 0"))]
            _shapes(pen, font, shape, (at[0] + moved[0], at[1] + moved[1]))
        elif kind == "polyline":
            pen.line(_points(facts["points"], at), facts["stroke"], round(1.8 * _SCALE), joint="curve")
        elif kind == "polygon":
            pen.polygon(_points(facts["points"], at), _see_through(facts))
        elif kind == "circle":
            x, y, r = (float(facts[key]) for key in ("cx", "cy", "r"))
            pen.ellipse(_scaled([(x - r, y - r), (x + r, y + r)], at), facts["fill"], facts.get("stroke"))
        elif kind == "path":
            pen.line(_path(facts["d"], at), facts["stroke"], _SCALE)
        elif kind == "text":
            (place,) = _scaled([(float(facts["x"]), float(facts["y"]))], at)
            anchor = _ANCHORS[facts.get("text-anchor", "start")]
            pen.text(place, shape.text or "", facts["fill"], font, anchor=anchor)


def _see_through(facts: dict[str, str]) -> tuple[int, int, int, int]:
    colour = facts["fill"].lstrip("#")
    red, green, blue = (int(colour[i : i + 2], 16) for i in (0, 2, 4))
    return red, green, blue, round(255 * float(facts.get("fill-opacity", "1")))


def _points(text: str, at: _Point) -> list[_Point]:
    pairs = (pair.split(",") for pair in text.split())
    return _scaled([(float(x), float(y)) for x, y in pairs], at)


def _path(text: str, at: _Point) -> list[_Point]:
    """Return the ends of `Mx yHx` or `Mx yVy`."""
    x, y, way, to = re.fullmatch(r"M(-?[\d.]+) (-?[\d.]+)([HV])(-?[\d.]+)", text).groups()  # type: ignore[union-attr]
    start = (float(x), float(y))
    return _scaled([start, (float(to), start[1]) if way == "H" else (start[0], float(to))], at)


def _scaled(points: Iterable[_Point], at: _Point) -> list[_Point]:
    return [((x + at[0]) * _SCALE, (y + at[1]) * _SCALE) for x, y in points]
