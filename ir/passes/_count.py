"""Adding up the columns of one class with as few LUTs as the block library allows.

Full columns are reduced by the block that removes most bits per LUT, earliest bits first. What is
left, a handful of bits per column, is a shortest path: every block is an edge from one state of the
columns to the next, its LUTs are the length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ._cells import add_pairs, counter, full_adder, half_adder, twin_adders, xor
from ._tally import Tally

CHAIN = 3
"""Blocks one after the other in a column: longer saves LUTs, shorter levels."""

Heights = tuple[tuple[int, int], ...]
"""Singles and pairs per column, from the least significant."""


def count(tally: Tally, k: int, *, chain: int = CHAIN) -> None:
    """Reduce every column to one bit, its carries going to the columns above.

    Up to `chain` blocks of encoded pairs stand one after the other, all others side by side.
    """
    for w in range(tally.width):
        tally.settle(w)
        tally.order(w)
        if w == tally.width - 1:
            _parity(tally, w, k)
        elif k == 6:
            _finish_counters(tally, w)
        else:
            _finish_pairs(tally, w, chain)


def _parity(tally: Tally, w: int, k: int) -> None:
    """Reduce the last column, whose carries nobody needs."""
    singles = tally.columns[w].singles
    while len(singles) > 1:
        bits = [singles.pop() for _ in range(min(k, len(singles)))]
        tally.replace([(w, bit, -1) for bit in bits], [(w, tally.lut(xor, *bits), -1)])


# 6-input LUTs: counters of single bits


def _finish_counters(tally: Tally, w: int) -> None:
    """Reduce a column of single bits by 6:3 counters, then by the cheapest counters that do."""
    while len(tally.columns[w].singles) > 1:
        count_some(tally, w)


def count_some(tally: Tally, w: int) -> None:
    """Build the counter that takes the earliest bits of column w and of the next one at the least cost."""
    singles = tally.columns[w].singles
    heights = tuple(min(len(column.singles), 12) for column in tally.columns[w : w + 4])
    low, high = (6, 0) if len(singles) > 9 else best_counter(heights, tally.width - w)[1]
    if high:
        tally.sort(w + 1)
    bits = [singles.pop() for _ in range(low)]
    counter(tally, w, bits, [tally.columns[w + 1].singles.pop() for _ in range(high)])


@lru_cache(maxsize=1 << 16)
def best_counter(heights: tuple[int, ...], width: int) -> tuple[int, tuple[int, int]]:
    """Fewest LUTs to get `heights` down to one bit each, and the (low, high) counter to begin with."""
    if not heights:
        return 0, (0, 0)
    n, *rest = heights
    if n <= 1:
        return best_counter(tuple(rest), width - 1)[0], (0, 0)
    if width <= 1:
        return -(-(n - 1) // 5), (0, 0)
    best = (1 << 30, (0, 0))
    for low in range(min(6, n), 1, -1):
        for high in range(3):
            above = rest[0] if rest else 0
            if low + high > 6 or low + 2 * high > 7 or high > above:
                continue
            bits = min((low + 2 * high).bit_length(), width)
            after = [n - low + 1, above - high + (bits > 1), *rest[1:]]
            if bits > 2:
                after = [*after[:2], *[*after[2:], 0][:1], *after[3:]]
                after[2] += 1
            best = min(best, (bits + best_counter(tuple(after), width)[0], (low, -high)))
    return best[0], (best[1][0], -best[1][1])


# 4-input LUTs: encoded pairs


class _State(NamedTuple):
    """Singles and pairs of a column and of the next one, and whether a carry is held back for it."""

    singles: int
    pairs: int
    next_singles: int
    next_pairs: int
    held: bool


def _finish_pairs(tally: Tally, w: int, chain: int) -> None:
    """Reduce a column by blocks of three pairs, `chain` in a row, then by the cheapest blocks that do."""
    column, above = tally.columns[w], tally.columns[w + 1]
    tally.starts[w + 1] = (len(column.singles) + 2 * len(column.pairs)) // (12 * chain)
    while column.pairs or len(column.singles) > 1:
        chains = max(1, len(column.pairs) // (3 * chain))
        if len(column.singles) >= max(10, chains + 6):
            step = "twin"
        elif len(column.pairs) > 6:
            step = "add3" if column.singles else "start3"
        else:
            state = _State(
                len(column.singles),
                len(column.pairs),
                min(len(above.singles), 6),
                min(len(above.pairs), 4),
                tally.holds(w + 1),
            )
            beyond = tuple(
                (min(len(c.singles), 6), min(len(c.pairs), 4)) for c in tally.columns[w + 2 : w + 4]
            )
            step = _best_block(state, beyond, tally.width - w)[1]
        _BLOCKS[step].build(tally, w)


@dataclass(frozen=True)
class _BlockKind:
    """What a block takes from its column, and whether it needs no running bit."""

    pairs: int
    singles: int
    """Besides the running bit."""
    running: bool

    def build(self, tally: Tally, w: int) -> None:
        """Build the block from the earliest bits."""
        column = tally.columns[w]
        if self.singles == 6:
            twin_adders(tally, w, [column.singles.pop() for _ in range(6)])
            return
        z = column.singles.pop() if self.running else 0
        if self.pairs == 0 and self.singles == 1:
            half_adder(tally, w, z, column.singles.pop())
        elif self.pairs == 0:
            full_adder(tally, w, z, column.singles.pop(), column.singles.pop())
        else:
            items = [column.pairs.pop() for _ in range(self.pairs)]
            singles = [column.singles.pop() for _ in range(self.singles)]
            add_pairs(tally, w, z, [*items, *((x, x) for x in singles)])

    def cost(self) -> int:
        """LUTs."""
        if self.singles == 6:
            return 4
        if self.pairs == 0:
            return 2
        if not self.running and self.pairs == 1 and self.singles == 0:
            return 1
        return 1 + self.pairs + self.singles

    def apply(self, state: _State) -> _State | None:
        """Return the state after the block, None if it cannot be built."""
        singles, pairs, next_singles, next_pairs, held = state
        if self.singles == 6:
            return (
                _State(singles - 6, pairs + 1, next_singles, next_pairs + 1, held) if singles >= 6 else None
            )
        if singles < self.singles + self.running or pairs < self.pairs:
            return None
        singles += -self.singles + (not self.running)
        pairs -= self.pairs
        if self.pairs == 0:
            return _State(singles, pairs, next_singles + 1, next_pairs, held)
        items = self.pairs + self.singles
        if items != 2:  # a carry to be held back, or the second half of a pair
            next_pairs, held = next_pairs + held, not held
        return _State(singles, pairs, next_singles, next_pairs + (items > 1), held)


_BLOCKS = {
    "twin": _BlockKind(0, 6, False),
    "add3": _BlockKind(3, 0, True),
    "add2": _BlockKind(2, 0, True),
    "add1": _BlockKind(1, 0, True),
    "add2+1": _BlockKind(2, 1, True),
    "add1+1": _BlockKind(1, 1, True),
    "add1+2": _BlockKind(1, 2, True),
    "full": _BlockKind(0, 2, True),
    "half": _BlockKind(0, 1, True),
    "split": _BlockKind(1, 0, False),
    "start2": _BlockKind(2, 0, False),
    "start3": _BlockKind(3, 0, False),
}
_COSTS = [(name, kind, kind.cost()) for name, kind in _BLOCKS.items()]
_RUNNING = [one for one in _COSTS if one[1].running or not one[1].pairs]


@lru_cache(maxsize=1 << 18)
def _best_block(state: _State, beyond: Heights, width: int) -> tuple[int, str]:
    """Fewest LUTs to get the columns down to one bit each, and the block to begin with."""
    if width <= 1:
        return -(-(max(1, state.singles + state.pairs) - 1) // 3), ""
    if state.pairs == 0 and state.singles <= 1:
        above, *rest = beyond or ((0, 0),)
        singles = state.next_singles + state.held
        if singles == 0 and state.next_pairs == 0 and not any(map(any, beyond)):
            return 0, ""
        moved = _State(singles, state.next_pairs, *above, held=False)
        return _best_block(moved, tuple(rest), width - 1)[0], ""
    best = (1 << 30, "")
    # with a running bit at hand, a block without one is a waste
    for name, kind, cost in _COSTS if state.singles == 0 else _RUNNING:
        after = kind.apply(state)
        if after is not None and (whole := cost + _best_block(after, beyond, width)[0]) < best[0]:
            best = (whole, name)
    return best
