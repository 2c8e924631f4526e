"""Counting where a register stands behind every few LUTs and new inputs come every clock.

A bit that waits costs a logic cell per stage then, as much as half an adder. So nothing waits that can be
added: each level takes all bits that are there, three by three, and the sums leave lowest bit first, as a
comparison wants them.
"""

from __future__ import annotations

from ..builder import Literal
from ..ledger import SINGLE
from ._cells import full_adder, half_adder, xor
from ._tally import Tally


def count_in_stages(tally: Tally, k: int) -> None:
    """Reduce every column to one bit, by levels of full adders from all bits that have arrived."""
    now = 0
    while any(len(column.singles) > 1 for column in tally.columns):
        _step(tally, now, k)
        now += 1


def _step(tally: Tally, now: int, k: int) -> None:
    """Add what is there at level `now`."""
    level, final = tally.builder.level, True
    arrived = [[x for x in column.singles if level(x) <= now] for column in tally.columns]
    for w, bits in enumerate(arrived):
        singles = tally.columns[w].singles
        # no carry comes any more: lower columns are done, and nothing of this one is under way
        whole = final and len(bits) == len(singles)
        final = final and len(singles) <= 1
        if w == tally.width - 1:
            if len(bits) > 1 and (whole or len(bits) >= k):
                taken = bits[: min(k, len(bits))]
                _take(singles, taken)
                tally.replace([(w, x, SINGLE) for x in taken], [(w, tally.lut(xor, *taken), SINGLE)])
            continue
        threes = len(bits) // 3
        for taken in (bits[3 * n : 3 * n + 3] for n in range(threes)):
            _take(singles, taken)
            full_adder(tally, w, *taken)
        if whole and len(bits) == 2 and not threes:
            _take(singles, bits)
            half_adder(tally, w, *bits)


def _take(singles: list[Literal], taken: list[Literal]) -> None:
    for x in taken:
        singles.remove(x)
