"""Comparators out of LUTs, shaped by when their bits arrive.

A comparison works on symbols of two pins: two bits of equal weight, or what a comparator of a few bits
says, whether a is greater and whether it is not less. Symbols of neighbouring stretches make the symbol of
both (two LUTs), or carry the result of all lower bits on (one LUT). With b's bits inverted all of this is
a row of majorities, which the carries of iCE40 compute without a LUT: they read one symbol each, bits as they
come or what LUTs make of several, and end in a LUT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
        carries: carries, each a level but no LUT.
        carry: whether the result is a carry.
        flip: whether carries read and make complements.
    """

    level: int
    luts: int
    start: int
    below: Shape | None = None
    parts: tuple[Shape, ...] = ()
    carries: int = 0
    carry: bool = False
    flip: bool = False


Carry = tuple[int, int, int, int]
"""Signals: a carry, the two that it reads, and the carry from below, or a constant."""


def shapes(builder: Builder, a: Number, b: Number, *, chained: bool = False) -> list[Shape]:
    """Return ways to tell whether a > b, from the fewest levels to the fewest LUTs; none if a is b.

    With `chained` there are carries among them.
    """
    a, b = _differing(a, b)
    level = tuple(max(builder.level(x), builder.level(y)) for x, y in zip(a, b, strict=True))
    if not chained or not _may_carry(a, b):
        return _results(level, builder.k)
    return _pareto(
        [
            shape
            for flip in (False, True)
            for shape in _results(
                level,
                builder.k,
                tuple((x & 1 != flip) + (y & 1 == flip) for x, y in zip(a, b, strict=True)),
                flip,
            )
        ]
    )


@lru_cache(maxsize=1 << 14)
def by_levels(level: tuple[int, ...]) -> int:
    """Level by which the fewest LUTs of six pins compare two numbers whose bits come at these levels."""
    return _results(level, 6)[-1].level


def greater(
    builder: Builder, a: Number, b: Number, latest: int | None = None, carries: list[Carry] | None = None
) -> Literal:
    """Return whether a > b, by level `latest` with the fewest LUTs; two levels are worth a LUT if None.

    Where `carries` is given there may be some, which are added to it.
    """
    found = shapes(builder, a, b, chained=carries is not None)
    if not found:
        return 0
    if latest is None:
        shape = min(found, key=lambda shape: 2 * shape.luts + shape.level)
    else:
        shape = min(found, key=lambda shape: (max(shape.level, latest), shape.luts))
    return _Comparator(builder, *_differing(a, b), [] if carries is None else carries).result(shape)


def _differing(a: Number, b: Number) -> tuple[Number, Number]:
    """Leave out the bits that are the same signal."""
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _may_carry(a: Number, b: Number) -> bool:
    """Whether no LUT of these bits is trivial, which a carry must not be."""
    signals = [x >> 1 for x in (*a, *b)]
    return 0 not in signals and len(set(signals)) == len(signals)


@dataclass(frozen=True)
class _Comparator:
    """Builds a shape for two numbers."""

    builder: Builder
    a: Number
    b: Number
    carries: list[Carry]

    def result(self, shape: Shape) -> Literal:
        """Whether the lower bits of a, up to those of the shape, are greater."""
        below = 0 if shape.below is None else self.result(shape.below)
        if not shape.carry:
            return self.builder.lut(_carried, below, *(x for part in shape.parts for x in self.symbol(part)))
        flip = int(shape.flip)
        pins = [self.wired(x, flip) ^ flip for x in self.symbol(shape.parts[0], flip)]
        carry = self.builder.lut(_carried, below ^ flip, *pins, own=True)
        ci = below ^ flip
        self.carries.append((carry >> 1, pins[0] >> 1, pins[1] >> 1, ci >> 1 if ci > 1 else ci))
        return carry ^ flip

    def symbol(self, shape: Shape, flip: int = 0) -> tuple[Literal, Literal]:
        """Whether a stretch of a is greater, and whether it is not less; two bits say so, b's inverted.

        LUTs drive the complements if `flip`.
        """
        if not shape.parts:
            return self.a[shape.start], self.b[shape.start] ^ 1
        pins = [x for part in shape.parts for x in self.symbol(part)]
        function = complement(_carried) if flip else _carried
        return self.builder.lut(function, 0, *pins) ^ flip, self.builder.lut(function, 1, *pins) ^ flip

    def wired(self, x: Literal, flip: int) -> Literal:
        """Return x driven by a signal, or if `flip` its complement."""
        return x if x & 1 == flip else 2 * self.builder.plain(x ^ flip) ^ flip


def _carried(below: int, *symbols: int) -> int:
    """Whether a > b, given whether the bits below say so, and symbols from the low one."""
    for x, y in zip(symbols[::2], symbols[1::2], strict=True):
        below = int(below + x + y > 1)
    return below


@lru_cache
def complement(function: Callable[..., int]) -> Callable[..., int]:
    """Return the complement of a function; always the same one."""

    def inverse(*pins: int) -> int:
        return 1 - function(*pins)

    return inverse


@lru_cache(maxsize=1 << 14)
def _results(
    level: tuple[int, ...], k: int, inverters: tuple[int, ...] | None = None, flip: bool = False
) -> list[Shape]:
    """Ways to compare numbers whose bits arrive at `level`, each with fewer LUTs and more levels.

    There may be carries if it is known how many inverters each two bits need to enter one.
    """
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
    carried = [[]] * width if inverters is None else _chains(symbols, inverters, flip)
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
                        1 + below.luts + sum(p.luts for p in parts), 0, below, parts, below.carries,
                    )
                    for below in results[at] + carried[at]
                ]  # fmt: skip
        results.append(_pareto(found))
    return results[width]


def _chains(
    symbols: dict[tuple[int, int], list[Shape]], inverters: tuple[int, ...], flip: bool
) -> list[list[Shape]]:
    """Ways to compare the bits below each one but the lowest, with a carry for the result."""
    carried: list[list[Shape]] = [[]]
    for stop in range(1, len(inverters)):
        found = []
        for at in range(stop):
            parts = symbols[at, stop]
            if stop == at + 1 and inverters[at]:
                parts = [replace(part, level=part.level + 1, luts=inverters[at]) for part in parts]
            for part, below in product(parts, carried[at] if at else [None]):
                level, luts, carries = (below.level, below.luts, below.carries) if below else (0, 0, 0)
                found.append(
                    Shape(
                        1 + max(level, part.level),
                        luts + part.luts,
                        0,
                        below,
                        (part,),
                        carries + 1,
                        True,
                        flip,
                    )
                )
        carried.append(_pareto(found))
    return carried


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
    for shape in sorted(found, key=lambda shape: (shape.level, shape.luts, shape.carries, len(shape.parts))):
        if not kept or shape.luts < kept[-1].luts:
            kept.append(shape)
    return kept
