"""Comparators out of LUTs, and the multiplexers behind them."""

from __future__ import annotations

from ..builder import Builder, Literal

Number = list[Literal]
"""Bits of an unsigned number, least significant first."""


def best_of_three(builder: Builder, index: list[Number], duels: list[Literal]) -> Number:
    """Return the index of the winner by multiplexers of two, while the third player's duels are judged."""
    second, third, third_over_second = duels
    third = builder.lut(_third, second, third, third_over_second)
    early = [builder.lut(select, second, a, b) if a != b else a for a, b in zip(*index[:2], strict=True)]
    return [builder.lut(select, third, a, b) if a != b else a for a, b in zip(early, index[2], strict=True)]


def _third(second: int, over_first: int, over_second: int) -> int:
    """Whether the third player is greater than the better of the first two."""
    return over_second if second else over_first


def select(*pins: int) -> int:
    """Multiplexer: one select pin and two data pins, or two and three or four."""
    if len(pins) == 3:
        return pins[1 + pins[0]]
    return pins[min(2 + pins[0] + 2 * pins[1], len(pins) - 1)]


def greater(builder: Builder, a: Number, b: Number) -> Literal:
    """Return whether a > b: by a ripple from the low bits up, or by a tree where that is much earlier."""
    level = [max(builder.level(x), builder.level(y)) for x, y in zip(a, b, strict=True)]
    ripple = _ripple_chunks(len(a), builder.k)
    late = 0
    for chunk in ripple:
        late = 1 + max(late, *level[chunk])
    tree = _tree_level(level, builder.k)
    return _tree(builder, a, b) if tree + 2 <= late else _ripple(builder, a, b, ripple)


def _ripple_chunks(width: int, k: int) -> list[slice]:
    """Bits per LUT of a ripple: all pins for the first, one less, for the result so far, for the others."""
    chunks, at = [], 0
    while at < width:
        step = (k if at == 0 else k - 1) // 2
        chunks.append(slice(at, min(at + step, width)))
        at += step
    return chunks


def _ripple(builder: Builder, a: Number, b: Number, chunks: list[slice]) -> Literal:
    result: Literal = 0
    for chunk in chunks:
        result = builder.lut(_greater_after, result, *a[chunk], *b[chunk])
    return result


def _tree_level(level: list[int], k: int) -> int:
    """Level of the result of `_tree`."""
    leaf = k // 2
    levels = [1 + max(level[at : at + leaf]) for at in range(0, len(level), leaf)]
    while len(levels) > 1:
        levels = [1 + max(levels[at : at + leaf]) for at in range(0, len(levels), leaf)]
    return levels[0]


def _tree(builder: Builder, a: Number, b: Number) -> Literal:
    """Compare k / 2 bits at a time for greater and for not less, then k / 2 results at a time."""
    leaf = builder.k // 2
    parts = [
        tuple(builder.lut(_greater_after, equal, *a[at : at + leaf], *b[at : at + leaf]) for equal in (0, 1))
        for at in range(0, len(a), leaf)
    ]
    while len(parts) > 1:
        parts = [
            tuple(
                builder.lut(
                    _greater_parts,
                    *parts[at][equal : equal + 1],
                    *[x for part in parts[at + 1 : at + leaf] for x in part],
                )
                for equal in (0, 1)
            )
            for at in range(0, len(parts), leaf)
        ]
    return parts[0][0]


def _greater_after(before: int, *bits: int) -> int:
    """Whether a > b, where the numbers are equal `before`; bits of a, then of b."""
    half = len(bits) // 2
    a, b = (sum(bit << i for i, bit in enumerate(side)) for side in (bits[:half], bits[half:]))
    return before if a == b else int(a > b)


def _greater_parts(lowest: int, *parts: int) -> int:
    """Combine results of parts, from the low one: `lowest`, then (greater, not less) of each above."""
    result = lowest
    for greater, not_less in zip(parts[::2], parts[1::2], strict=True):
        result = greater | (not_less & result)
    return result
