"""The end of a count by arrival: a layer of counters, and one chain that adds all columns at once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

PINS = 5
"""Bits that a group of positions adds besides those beside its LUTs."""

_LONGEST = 5
"""Positions of a group."""

_HIGHEST = 14
"""Bits of a column up to which one layer of counters may do before the last chain."""

Heights = tuple[int, ...]
"""Bits per column."""

Ending = tuple[int, tuple[tuple[int, ...], ...], tuple[int, ...], int]
"""LUTs, the sizes of each column's counters, the positions of each group, and the chain's first column."""

_BEFORE, _INSIDE, _BEHIND = range(3)
"""Where a column lies, seen from the last chain."""


class _At(NamedTuple):
    """Where `finish` is: a column, the bits that counters below bring to it and to the next, and a group."""

    w: int
    now: int = 0
    later: int = 0
    phase: int = _BEFORE
    length: int = 0
    pins: int = 0
    worth: int = 0


@lru_cache(maxsize=1 << 12)
def finish(heights: Heights) -> Ending | None:
    """Return the cheapest way to end with a layer of counters and a chain behind, None if there is none."""
    if max(heights) > _HIGHEST:
        return None
    known: dict[_At, tuple[int, tuple[Any, ...]] | None] = {}

    def rest(at: _At) -> tuple[int, tuple[Any, ...]] | None:
        if at.w == len(heights):
            return 0, ()
        if at not in known:
            known[at] = None
            for sizes, made, high, luts in _counters(heights[at.w]):
                left = heights[at.w] - sum(sizes) + made + at.now
                moved = _At(at.w + 1, at.later + made, high)
                for begins, cost, after in _moves(at, moved, left):
                    end = rest(after)
                    best = known[at]
                    if end is not None and (best is None or luts + cost + end[0] < best[0]):
                        known[at] = (luts + cost + end[0], ((sizes, begins, after.phase), end[1]))
        return known[at]

    found = rest(_At(0))
    if found is None:
        return None
    cost, way = found
    layer, lengths, start = [], list[int](), len(heights)
    while way:
        (sizes, begins, phase), way = way
        layer.append(sizes)
        if phase == _INSIDE:
            start = min(start, len(layer) - 1)
            lengths = [*lengths, 1] if begins else [*lengths[:-1], lengths[-1] + 1]
    return cost, tuple(layer), tuple(lengths), start


def _moves(at: _At, moved: _At, left: int) -> Iterator[tuple[bool, int, _At]]:
    """Ways to go on from a column with `left` bits: whether a group begins, LUTs, and what follows."""
    whole = at.worth < 1 << at.length
    if at.phase != _INSIDE and left <= 1:
        yield False, 0, moved._replace(phase=at.phase)
    if at.phase == _INSIDE and left == 0 and whole:
        yield False, 0, moved._replace(phase=_BEHIND)
    if at.phase == _BEHIND:
        return
    more = max(0, left - (2 if at.phase == _BEFORE and left > 2 else 1))
    beside = left > 0
    begins = whole if at.phase == _INSIDE else left > 1
    if begins and more <= PINS:
        yield True, int(more + beside > 1), moved._replace(phase=_INSIDE, length=1, pins=more, worth=more)
    if at.phase == _INSIDE and at.length < _LONGEST and at.pins + more <= PINS:
        pins = at.pins + more
        after = moved._replace(
            phase=_INSIDE, length=at.length + 1, pins=pins, worth=at.worth + (more << at.length)
        )
        yield False, int(pins + beside > 1), after


@lru_cache
def _counters(height: int) -> tuple[tuple[tuple[int, ...], int, int, int], ...]:
    """Counters for some of so many bits: sizes, bits of double and of fourfold weight made, and LUTs."""
    found = []
    for n in range(3):
        for sizes in combinations_with_replacement((6, 5, 4, 3, 2), n):
            if sum(sizes) <= height:
                large = sum(size > 3 for size in sizes)
                found.append((sizes, n, large, 2 * n + large))
    return tuple(found)
