"""The front as a picture: one objective against another, dominated trials faint."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from html import escape

from .space import OBJECTIVES, Space
from .study import Finished, pareto

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 420, 70, 24, 40, 52
_STYLE = """
.ink{fill:#1f2328}.muted{fill:#59636e}.grid{stroke:#e4e7eb}.front{fill:#2a78d6}.line{stroke:#2a78d6}
.other{fill:#8c959f}.paper{fill:#fff}
@media(prefers-color-scheme:dark){.ink{fill:#e6edf3}.muted{fill:#9198a1}.grid{stroke:#30363d}
.front{fill:#58a6ff}.line{stroke:#58a6ff}.other{fill:#6e7681}.paper{fill:#0d1117}}
"""


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`, about five."""
    rough = (high - low) / 5 or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def draw(space: Space, trials: Sequence[Finished], across: int = 1, up: int = 0) -> str:
    """Return an SVG of objective `up` against objective `across`, with the front joined by a line.

    Trials are numbered where there is room; the front is that of these two objectives.
    """
    names = (space.objectives[across], space.objectives[up])
    good = [trial for trial in trials if trial.values]
    points = {trial.number: (trial.values[across], trial.values[up]) for trial in good}
    xs, ys = ([p[axis] for p in points.values()] or [0.0] for axis in (0, 1))
    (x0, x1), (y0, y1) = (_span(values) for values in (xs, ys))

    def place(x: float, y: float) -> tuple[float, float]:
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        return _LEFT + (x - x0) / (x1 - x0) * (right - _LEFT), bottom - (y - y0) / (y1 - y0) * (bottom - _TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img" style="font:12px system-ui,sans-serif"><style>{_STYLE}</style>',
        f"<title>{len(good)} networks</title>",
        f'<rect class="paper" width="{_WIDTH}" height="{_HEIGHT}"/>',
    ]
    for value in ticks(y0, y1):
        y = place(x0, value)[1]
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{value:g}", "end"))
    for value in ticks(x0, x1):
        parts.append(_text(place(value, y0)[0], _HEIGHT - _BOTTOM + 18, f"{value:,g}", "middle"))
    parts.append(_text(_LEFT, 22, OBJECTIVES[names[1]].title, "start", "ink"))
    parts.append(_text(_WIDTH - _RIGHT, _HEIGHT - 14, OBJECTIVES[names[0]].title, "end", "ink"))
    front = _front(space, good, across, up)
    corners = sorted(place(*points[trial.number]) for trial in front)
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in corners) if corners else ""
    parts.append(f'<path class="line" d="{path}" fill="none" stroke-width="1.5"/>')
    best = {trial.number for trial in front}
    shared: dict[tuple[float, float], list[str]] = {}
    for trial in front:
        shared.setdefault(points[trial.number], []).append(str(trial.number))
    for number in sorted(points, key=lambda n: n in best):
        (x, y), kind = place(*points[number]), "front" if number in best else "other"
        label = f"trial {number}: {names[1]} {points[number][1]:g}, {names[0]} {points[number][0]:g}"
        dot = f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4.5">'
        parts.append(f"{dot}<title>{escape(label)}</title></circle>")
    for at, numbers in shared.items():
        x, y = place(*at)
        more = ["…"] if len(numbers) > 3 else []
        parts.append(_text(x, y - 9, ", ".join([*numbers[:3], *more]), "middle", "ink"))
    return "\n".join([*parts, "</svg>", ""])


def _front(space: Space, trials: Sequence[Finished], across: int, up: int) -> list[Finished]:
    """Return the front of two objectives alone."""
    pair = dataclasses.replace(space, objectives=(space.objectives[across], space.objectives[up]))
    seen = [dataclasses.replace(t, values=(t.values[across], t.values[up])) for t in trials]
    return pareto(pair, seen)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or max(abs(high) * 0.05, 0.5)
    return low - room, high + room


def _text(x: float, y: float, text: str, anchor: str, kind: str = "muted") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
