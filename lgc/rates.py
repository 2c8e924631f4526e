"""Which folded design meets a frame rate: the smallest that does by the models of resources and clock."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lgc.errors import DoesNotFitError

if TYPE_CHECKING:
    from lgc.backend.streaming.rtl import Design
    from lgc.backend.target import Target

MOST = 32
"""Places per clock that are tried at most."""


@dataclass(frozen=True)
class Row:
    """A design that was considered; clock and rate are estimates.

    Attributes:
        tail: "parallel" or "serial".
        positions: places per clock, 0 for a feature per clock.
        clocks: between results.
        mhz: clock.
        fps: results per second.
        cells: logic cells.
        brams: block RAMs.
        pins: of the stream.
        short_of: what the target has too little of.
    """

    tail: str
    positions: int
    clocks: int
    mhz: float
    fps: float
    cells: int
    brams: int
    pins: int
    short_of: tuple[str, ...]

    @property
    def text(self) -> str:
        """What a person is told of it."""
        places = f"{self.positions:,} places" if self.positions else "a feature"
        found = (
            f"{self.tail} tail, {places} per clock: {self.clocks:,} clocks, about {self.mhz:.0f} MHz, "
            f"{self.fps:,.0f} frames/s, {self.cells:,} logic cells, {self.brams:,} block RAMs, "
            f"{self.pins:,} pins"
        )
        return found + (f"; too little {' and '.join(self.short_of)}" if self.short_of else "")


def positions(columns: int, asked: int) -> Iterator[int]:
    """Places per clock that are worth a try: one feature, then powers of two up to a row."""
    if asked:
        yield asked
        return
    yield 0
    count = 2
    while count <= min(columns, MOST):
        yield count
        count *= 2


def row(tail: str, made: Design, target: Target) -> Row:
    """Estimate a design.

    Raises:
        UsageError: the target has no delays.
    """
    from lgc.backend.streaming.expect import expect, resources

    expected = expect(made, target)
    needs, has = resources(made, target), target.resources
    there = {"cell": ("logic", has.lut), "bram": ("block RAM", has.bram), "io": ("pins", has.io)}
    return Row(
        tail=tail,
        positions=made.positions,
        clocks=made.timing.cycles_per_sample,
        mhz=expected.fmax_mhz,
        fps=expected.samples_per_second,
        cells=needs["cell"],
        brams=needs["bram"],
        pins=needs["io"],
        short_of=tuple(word for name, (word, count) in there.items() if needs[name] > count),
    )


def choose(rows: list[Row], fps: float, target: str) -> Row:
    """Return the design with the fewest logic cells that fits and meets the rate.

    Raises:
        DoesNotFitError: none does; the nearest is named.
    """
    good = [row for row in rows if not row.short_of and row.fps >= fps]
    if good:
        return min(good, key=lambda row: (row.cells, row.brams))
    fits = [row for row in rows if not row.short_of]
    if fits:
        nearest = max(fits, key=lambda row: row.fps)
        raise DoesNotFitError(
            f"No folded design that fits {target} is estimated to reach {fps:,.0f} frames/s; the fastest: "
            f"{nearest.text}.",
            hint="Ask for a lower rate or a larger target.",
        )
    nearest = min(rows, key=lambda row: (row.fps < fps, row.cells))
    raise DoesNotFitError(
        f"No folded design fits {target}; the nearest: {nearest.text}.", hint="Try a larger target."
    )


def facts(rows: list[Row]) -> list[dict[str, Any]]:
    """Return rows as JSON values."""
    return [dataclasses.asdict(row) for row in rows]
