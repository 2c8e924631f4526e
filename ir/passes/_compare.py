"""Comparators out of LUTs, shaped by when their bits arrive.

A comparison works on symbols of two pins: two bits of equal weight, or what a comparator of a few bits
says, whether a is greater and whether it is not less. Symbols of neighbouring stretches make the symbol of
both (two LUTs), or carry the result of all lower bits on (one LUT). With b's bits inverted all of this is
a row of majorities.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from ..builder import Builder, Literal

Number = list[Literal]
"""Bits of an unsigned number, least significant first."""


@dataclass(frozen=True)
class Shape:
    """A way to compare a stretch of bits.

    Attributes:
        level: level of the result.
        luts: LUTs.
        start: first bit of the stretch.
        below: how all lower bits are compared, whose result goes in; None if nothing does.
        parts: symbols, from the low bits up; none for a single bit as it comes.
    """

    level: int
    luts: int
    start: int
    below: Shape | None = None
    parts: tuple[Shape, ...] = ()


def shapes(builder: Builder, a: Number, b: Number) -> list[Shape]:
    """Return ways to tell whether a > b, from the fewest levels to the fewest LUTs; none if a is b."""
    level = [max(builder.level(x), builder.level(y)) for x, y in zip(*_differing(a, b), strict=True)]
    return _results(tuple(level), builder.k)


@lru_cache(maxsize=1 << 14)
def by_levels(level: tuple[int, ...]) -> int:
    """Level by which the fewest LUTs of six pins compare two numbers whose bits come at these levels."""
    return _results(level, 6)[-1].level


def greater(builder: Builder, a: Number, b: Number, latest: int | None = None) -> Literal:
    """Return whether a > b, by level `latest` with the fewest LUTs; two levels are worth a LUT if None."""
    found = shapes(builder, a, b)
    if not found:
        return 0
    if latest is None:
        shape = min(found, key=lambda shape: 2 * shape.luts + shape.level)
    else:
        shape = min(found, key=lambda shape: (max(shape.level, latest), shape.luts))
    return _build(builder, *_differing(a, b), shape)


def _differing(a: Number, b: Number) -> tuple[Number, Number]:
    """Leave out the bits that are the same signal."""
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _build(builder: Builder, a: Number, b: Number, shape: Shape) -> Literal:
    below = 0 if shape.below is None else _build(builder, a, b, shape.below)
    return builder.lut(_carried, below, *(x for part in shape.parts for x in _symbol(builder, a, b, part)))


def _symbol(builder: Builder, a: Number, b: Number, shape: Shape) -> tuple[Literal, Literal]:
    """Whether a stretch of a is greater, and whether it is not less; two bits say so, b's inverted."""
    if not shape.parts:
        return a[shape.start], b[shape.start] ^ 1
    pins = [x for part in shape.parts for x in _symbol(builder, a, b, part)]
    return builder.lut(_carried, 0, *pins), builder.lut(_carried, 1, *pins)


def _carried(below: int, *symbols: int) -> int:
    """Whether a > b, given whether the bits below say so, and symbols from the low one."""
    for x, y in zip(symbols[::2], symbols[1::2], strict=True):
        below = int(below + x + y > 1)
    return below


@lru_cache(maxsize=1 << 14)
def _results(level: tuple[int, ...], k: int) -> list[Shape]:
    """Ways to compare numbers whose bits arrive at `level`, each with fewer LUTs and more levels."""
    width = len(level)
    symbols: dict[tuple[int, int], list[Shape]] = {
        (at, at + 1): [Shape(level[at], 0, at)] for at in range(width)
    }
    for size in range(2, width):
        for at in range(width - size + 1):
            symbols[at, at + size] = _pareto(
                Shape(1 + max(p.level for p in parts), 2 + sum(p.luts for p in parts), at, None, parts)
                for parts in _partitions(symbols, at, at + size, 2, k // 2)
            )
    results: list[list[Shape]] = [[]]
    for stop in range(1, width + 1):
        found = [
            Shape(1 + max(p.level for p in parts), 1 + sum(p.luts for p in parts), 0, None, parts)
            for parts in _partitions(symbols, 0, stop, 1, k // 2)
        ]
        for at in range(1, stop):
            for parts in _partitions(symbols, at, stop, 1, (k - 1) // 2):
                found += [
                    Shape(
                        1 + max(below.level, *(p.level for p in parts)),
                        1 + below.luts + sum(p.luts for p in parts), 0, below, parts,
                    )
                    for below in results[at]
                ]  # fmt: skip
        results.append(_pareto(found))
    return results[width]


def _partitions(
    symbols: dict[tuple[int, int], list[Shape]], start: int, stop: int, least: int, most: int
) -> Iterator[tuple[Shape, ...]]:
    """Yield rows of `least` to `most` symbols of the bits from `start` to `stop`."""
    if most == 0:
        return
    if least <= 1:
        yield from ((part,) for part in symbols.get((start, stop), ()))
    for at in range(start + 1, stop):
        if stop - at >= least - 1:
            for first, rest in product(
                symbols[start, at], _partitions(symbols, at, stop, least - 1, most - 1)
            ):
                yield (first, *rest)


def _pareto(found: Iterator[Shape] | list[Shape]) -> list[Shape]:
    """Keep what no other beats in levels and LUTs, by levels; of equals what has pins to spare at last."""
    kept: list[Shape] = []
    for shape in sorted(found, key=lambda shape: (shape.level, shape.luts, len(shape.parts))):
        if not kept or shape.luts < kept[-1].luts:
            kept.append(shape)
    return kept
