"""Learning curves: the epochs of `metrics.jsonl` as one SVG, without any plotting library."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from lgc.errors import LgcError

from .usage import KINDS

_WIDTH, _HEIGHT = 440, 250
"""Size of a panel."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 84, 34, 34
"""Margins of the plot in its panel; curves are labelled in the right one."""
_LINE_HEIGHT = 13
_INK, _MUTED, _GRID = "#1f2328", "#59636e", "#e4e7eb"
_COLOURS = ("#2a78d6", "#d9622b", "#1b9e77", "#8a6bbf")
_STYLE = "font-family: system-ui, sans-serif; font-size: 11px"

_Series = tuple[str, Sequence[float | None]]


@dataclass(frozen=True)
class _Frame:
    """Axes of a panel: epochs 1 to `epochs` across, `low` to `high` upwards, in steps."""

    epochs: int
    low: float
    high: float
    step: float

    def x(self, epoch: float) -> float:
        """Position of an epoch."""
        share = (epoch - 1) / max(self.epochs - 1, 1)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Position of a value."""
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def write_curves(metrics: Path, out: Path) -> None:
    """Draw loss, soft and hard accuracy, discretisation gap and gate usage over the epochs.

    Args:
        metrics: a run's log, one JSON object per epoch (`lgc.frontend.train.metrics_path`).
        out: the SVG file to write.

    Raises:
        LgcError: no such log, no epoch in it, a damaged line (it is numbered), or `out` is unwritable.
    """
    epochs = _read(metrics)
    try:
        out.write_text(_draw(epochs), "utf-8")
    except OSError as error:
        raise LgcError(f"Cannot write {out}: {error.strerror}.") from error


def _read(path: Path) -> list[Mapping[str, Any]]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LgcError(f"Cannot read the metrics {path}: {error}.") from error
    epochs: list[Mapping[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            checked = {key: float(entry[key]) for key in ("loss", "val_acc", "hard_val_acc")}
        except (ValueError, KeyError, TypeError) as error:
            raise LgcError(f"{path}, line {number} is not an epoch of a training run: {error!r}.") from error
        usage, best = entry.get("usage"), entry.get("best_epoch")
        usage = usage if isinstance(usage, dict) else {}
        epochs.append(checked | {"usage": usage, "best_epoch": best if isinstance(best, int) else 0})
    if not epochs:
        raise LgcError(f"{path} has no epoch to draw.", hint="Train one first.")
    return epochs


def _draw(epochs: Sequence[Mapping[str, Any]]) -> str:
    loss = [epoch["loss"] for epoch in epochs]
    soft = [100 * epoch["val_acc"] for epoch in epochs]
    hard = [100 * epoch["hard_val_acc"] for epoch in epochs]
    gap = [a - b for a, b in zip(soft, hard, strict=True)]
    best = epochs[-1]["best_epoch"] - 1
    if not 0 <= best < len(hard):
        best = max(range(len(hard)), key=hard.__getitem__)
    panels = [
        _lines("Training loss", [("loss", loss)]),
        _lines("Validation accuracy, %", [("hard", hard), ("soft", soft)], mark=best),
        _lines("Discretisation gap (soft - hard), points", [("gap", gap)], include=0.0),
        _shares("Nodes after hardening, %", epochs),
    ]
    parts = [
        f'<g transform="translate({_WIDTH * (i % 2)} {_HEIGHT * (i // 2)})">{panel}</g>'
        for i, panel in enumerate(panels)
    ]
    size = f'width="{2 * _WIDTH}" height="{2 * _HEIGHT}" viewBox="0 0 {2 * _WIDTH} {2 * _HEIGHT}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="{_STYLE}" role="img">',
            f"<title>Training, {len(epochs)} epochs; best hard validation accuracy "
            f"{hard[best]:.2f} % in epoch {best + 1}</title>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _frame(epochs: int, values: Sequence[float], include: float | None) -> _Frame:
    """Axes with round steps around finite values."""
    known = [value for value in values if math.isfinite(value)] + ([] if include is None else [include])
    low, high = min(known, default=0.0), max(known, default=1.0)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return _Frame(epochs, math.floor(low / step) * step, math.ceil(high / step) * step, step)


def _lines(title: str, series: Sequence[_Series], *, include: float | None = None, mark: int = -1) -> str:
    values = [value for _, curve in series for value in curve if value is not None]
    frame = _frame(len(series[0][1]), values, include)
    parts = [_axes(frame, title)]
    ends = []
    for colour, (name, curve) in zip(_COLOURS, series, strict=False):
        points = [
            (frame.x(i + 1), frame.y(v)) for i, v in enumerate(curve) if v is not None and math.isfinite(v)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        if points:
            ends.append((points[-1][1], name, colour))
    if mark >= 0:
        best = series[0][1][mark]
        if best is not None and math.isfinite(best):
            x, y = frame.x(mark + 1), frame.y(best)
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_COLOURS[0]}" stroke="#ffffff"/>')
            foot = _HEIGHT - _BOTTOM - 8
            parts.append(
                f'<path d="M{x:.1f} {y + 5:.1f}V{foot - 12}" stroke="{_MUTED}" stroke-dasharray="2 3"/>'
            )
            parts.append(_text(x, foot, f"{best:.2f} in epoch {mark + 1}", anchor=_side(frame, x)))
    return "".join(parts) + _labels(ends)


def _side(frame: _Frame, x: float) -> str:
    """Anchor a text at x so that it stays inside the plot."""
    middle = frame.x((1 + frame.epochs) / 2)
    return "end" if x > middle else "start"


def _shares(title: str, epochs: Sequence[Mapping[str, Any]]) -> str:
    """Stacked areas of the kinds of nodes, logic at the bottom."""
    frame = _Frame(len(epochs), 0.0, 100.0, 25.0)
    parts, ends = [_axes(frame, title)], []
    below = [0.0] * len(epochs)
    for colour, kind in zip(_COLOURS, reversed(KINDS), strict=True):
        shares = [100 * float(epoch["usage"].get(kind, 0.0)) for epoch in epochs]
        above = [a + b for a, b in zip(below, shares, strict=True)]
        edge = [(frame.x(i + 1), frame.y(v)) for i, v in enumerate(above)]
        floor = [(frame.x(i + 1), frame.y(v)) for i, v in enumerate(below)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in edge + floor[::-1])
        parts.append(f'<polygon points="{path}" fill="{colour}" fill-opacity="0.75"/>')
        ends.append(((edge[-1][1] + floor[-1][1]) / 2, f"{kind} {shares[-1]:.0f}", colour))
        below = above
    return "".join(parts) + _labels(ends)


def _axes(frame: _Frame, title: str) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [_text(_LEFT, 18, title, colour=_INK, weight="600")]
    digits = max(0, -math.floor(math.log10(frame.step)))
    for i in range(round((frame.high - frame.low) / frame.step) + 1):
        value = frame.low + i * frame.step
        y = frame.y(value)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="{_GRID}"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{value:.{digits}f}", anchor="end"))
    for epoch in _epoch_ticks(frame.epochs):
        parts.append(_text(frame.x(epoch), bottom + 15, str(epoch), anchor="middle"))
    parts.append(_text((_LEFT + right) / 2, bottom + 29, "epoch", anchor="middle"))
    return "".join(parts)


def _epoch_ticks(epochs: int) -> list[int]:
    """First and last epoch and round numbers between, far enough apart."""
    if epochs <= 6:
        return list(range(1, epochs + 1))
    rough = epochs / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    inner = [tick for tick in range(step, epochs, step) if step > 1 and epochs - tick > step / 2]
    return [1, *inner, epochs]


def _labels(ends: Sequence[tuple[float, str, str]]) -> str:
    """Names to the right of their curves, moved apart where they would overlap."""
    out, last = [], -math.inf
    for y, name, colour in sorted(ends):
        last = max(y, last + _LINE_HEIGHT)
        out.append(_text(_WIDTH - _RIGHT + 6, last + 4, name, colour=colour, weight="600"))
    return "".join(out)


def _text(
    x: float, y: float, text: str, *, colour: str = _MUTED, anchor: str = "start", weight: str = "400"
) -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {where} font-weight="{weight}" fill="{colour}">{escape(text)}</text>'
