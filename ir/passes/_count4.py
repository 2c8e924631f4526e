"""Counters of 4-input LUTs."""

from __future__ import annotations

from ..ledger import SINGLE, Term
from ._tally import Tally


def count(tally: Tally) -> None:
    """Reduce every column to one bit, its carries going to the columns above."""
    for w in range(tally.width):
        tally.settle(w)
        _pair_up(tally, w)
        _ripple(tally, w)


def _pair_up(tally: Tally, w: int) -> None:
    """Run full adders two by two over single bits; sums and carries leave as encoded pairs."""
    singles = tally.columns[w].singles
    while len(singles) >= 6:
        bits = [singles.pop() for _ in range(6)][::-1]
        s, carry = tally.lut(xor3, *bits[:3]), tally.lut(majority, *bits[:3])
        p, q = tally.lut(xor4, s, *bits[3:]), tally.lut(xor_majority, carry, *bits[3:])
        tally.replace([(w, bit, SINGLE) for bit in bits], [(w, s, p), (w + 1, carry, q)])
    if len(singles) >= 4:
        full_adder(tally, w, *[singles.pop() for _ in range(3)])


def full_adder(tally: Tally, w: int, a: int, b: int, c: int) -> None:
    """Add three single bits that were taken out of column w."""
    s, carry = tally.lut(xor3, a, b, c), tally.lut(majority, a, b, c)
    tally.replace([(w, bit, SINGLE) for bit in (a, b, c)], [(w, s, SINGLE), (w + 1, carry, SINGLE)])


def _ripple(tally: Tally, w: int) -> None:
    """Add three pairs at a time to a running bit."""
    column = tally.columns[w]
    while column.pairs or len(column.singles) > 1:
        z = column.singles.pop() if column.singles else 0
        while len(column.pairs) < 3 and column.singles:
            x = column.singles.pop()
            column.pairs.append((x, x))
        items, column.pairs = column.pairs[:3], column.pairs[3:]
        add_pairs(tally, w, z, items)


def add_pairs(tally: Tally, w: int, z: int, items: list[tuple[int, int]]) -> None:
    """Add one to three pairs, of which p = x means one bit only, to bit z; 4 LUTs for 3 pairs."""
    inputs: list[Term] = [(w, x, SINGLE if x == p else p) for x, p in items]
    inputs += [(w, z, SINGLE)] if z else []
    (x1, p1), *rest = items
    outputs: list[Term] = []
    s = tally.lut(xor4, z, *[p for _, p in items], *[0] * (3 - len(items)))
    if len(rest) == 2:
        (x2, p2), (x3, p3) = rest
        b = tally.lut(second_carry, p2, z, p1, x2)
        outputs.append((w + 1, b, tally.lut(xor_last_carry, b, p3, s, x3)))
        if (waiting := tally.release(w + 1)) is not None:
            inputs.append((w + 1, waiting, SINGLE))
            outputs.append((w + 1, waiting, tally.lut(xor_first_carry, waiting, p1, z, x1)))
        else:
            a = tally.lut(first_carry, p1, z, x1)
            outputs.append((w + 1, a, SINGLE))
            tally.replace(inputs, [(w, s, SINGLE), *outputs])
            tally.hold(w + 1, a)
            return
    else:
        a = tally.lut(first_carry, p1, z, x1)
        q = tally.lut(xor_last_carry, a, rest[0][1], s, rest[0][0]) if rest else SINGLE
        outputs.append((w + 1, a, q))
    tally.replace(inputs, [(w, s, SINGLE), *outputs])


def xor2(a: int, b: int) -> int:
    """Sum of two bits."""
    return a ^ b


def xor3(a: int, b: int, c: int) -> int:
    """Sum of three bits."""
    return a ^ b ^ c


def xor4(a: int, b: int, c: int, d: int) -> int:
    """Sum of four bits."""
    return a ^ b ^ c ^ d


def majority(a: int, b: int, c: int) -> int:
    """Carry of three bits."""
    return (a & b) | (a & c) | (b & c)


def xor_majority(a: int, b: int, c: int, d: int) -> int:
    """Second bit of the pair (a, carry of b, c, d)."""
    return a ^ majority(b, c, d)


def first_carry(p1: int, z: int, x1: int) -> int:
    """Carry of z and the pair (x1, p1)."""
    return z if p1 else x1


def xor_first_carry(a: int, p1: int, z: int, x1: int) -> int:
    """Second bit of the pair (a, first carry)."""
    return a ^ first_carry(p1, z, x1)


def second_carry(p2: int, z: int, p1: int, x2: int) -> int:
    """Carry of z ^ p1 and the pair (x2, p2)."""
    return z ^ p1 if p2 else x2


def xor_last_carry(other: int, p: int, s: int, x: int) -> int:
    """Second bit of the pair (other, carry of s ^ p and the pair (x, p)), from the sum s."""
    return other ^ (s ^ 1 if p else x)
