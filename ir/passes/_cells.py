"""Counters as LUTs: functions, and the blocks made of them.

A block takes terms that its caller took out of the columns and puts what it makes into them.
"""

from __future__ import annotations

from collections.abc import Callable

from ..builder import Literal
from ..ledger import SINGLE, Term
from ._tally import Pair, Tally


def full_adder(tally: Tally, w: int, a: Literal, b: Literal, c: Literal) -> None:
    """Add three bits: 2 LUTs of three inputs."""
    s, carry = tally.lut(xor, a, b, c), tally.lut(majority, a, b, c)
    tally.replace(_singles(w, a, b, c), [(w, s, SINGLE), (w + 1, carry, SINGLE)])


def half_adder(tally: Tally, w: int, a: Literal, b: Literal) -> None:
    """Add two bits: 2 LUTs of two inputs."""
    tally.replace(
        _singles(w, a, b), [(w, tally.lut(xor, a, b), SINGLE), (w + 1, tally.lut(both, a, b), SINGLE)]
    )


def twin_adders(tally: Tally, w: int, bits: list[Literal]) -> None:
    """Add twice three bits; sums and carries leave as encoded pairs: 4 LUTs of four inputs."""
    s, carry = tally.lut(xor, *bits[:3]), tally.lut(majority, *bits[:3])
    p, q = tally.lut(xor, s, *bits[3:]), tally.lut(xor_majority, carry, *bits[3:])
    tally.replace(_singles(w, *bits), [(w, s, p), (w + 1, carry, q)])


def encode(tally: Tally, w: int, x: Literal, y: Literal) -> None:
    """Make two bits an encoded pair: one XOR, to be mapped together with the gate behind y."""
    tally.replace(_singles(w, x, y), [(w, x, tally.lut(xor, x, y))])


def chain(tally: Tally, w: int, z: Literal, bits: list[Literal]) -> Literal:
    """Add an even number of bits to z, two by two; returns the sum, taken out of the column.

    The carry of a pair (x, y) whose p = x ^ y is known needs x alone, so that gates in front, also
    single-use ones behind both p and the carry, can be mapped into these LUTs: with n pairs the
    i-th carry has `2 + min(i, n - i)` pins besides those of x.
    """
    pairs = [(x, tally.lut(xor, x, y)) for x, y in zip(bits[::2], bits[1::2], strict=True)]
    encoded = [p for _, p in pairs]
    s = tally.lut(xor, z, *encoded)
    carries = []
    for i, (x, p) in enumerate(pairs):
        before, after = [z, *encoded[:i]], [s ^ 1, *encoded[i + 1 :]]
        carries.append(tally.lut(carry_of_pair, p, x, *(before if len(before) < len(after) else after)))
    outputs: list[Term] = [(w + 1, carry, SINGLE) for carry in carries]
    tally.replace(_singles(w, z, *bits), [*outputs, (w, s, SINGLE)])
    return tally.take(w, s)


def add_pairs(tally: Tally, w: int, z: Literal, items: list[Pair]) -> None:
    """Add one to three pairs to bit z, 0 for none; 4 LUTs of four inputs for three pairs.

    Carries leave as encoded pairs, the odd one held back for the next block. A pair whose p is x
    stands for x alone.
    """
    inputs: list[Term] = [(w, x, SINGLE if x == p else p) for x, p in items]
    inputs += [(w, z, SINGLE)] if z else []
    (x1, p1), *rest = items
    s = tally.lut(xor, z, *[p for _, p in items])
    outputs: list[Term] = [(w, s, SINGLE)]
    if len(rest) == 2:
        (x2, p2), (x3, p3) = rest
        b = tally.lut(carry_of_pair, p2, x2, z, p1)
        outputs.append((w + 1, b, tally.lut(xor_carry, b, p3, x3, s ^ 1)))
    elif rest:
        ((x2, p2),) = rest
        a = tally.lut(carry_of_pair, p1, x1, z)
        outputs.append((w + 1, a, tally.lut(xor_carry, a, p2, x2, s ^ 1)))
        tally.replace(inputs, outputs)
        return
    waiting = tally.release(w + 1)
    if waiting is None and tally.wants_single(w + 1):
        outputs.append((w + 1, tally.lut(carry_of_pair, p1, x1, z), SINGLE))
        tally.replace(inputs, outputs)
    elif waiting is not None:
        inputs.append((w + 1, waiting, SINGLE))
        outputs.append((w + 1, waiting, tally.lut(xor_carry, waiting, p1, x1, z)))
        tally.replace(inputs, outputs)
    else:
        a = tally.lut(carry_of_pair, p1, x1, z)
        tally.replace(inputs, [*outputs, (w + 1, a, SINGLE)])
        tally.hold(w + 1, a)


def counter(tally: Tally, w: int, low: list[Literal], high: list[Literal]) -> None:
    """Add up to six bits, those of `high` one column up: one LUT per bit of the sum."""
    most = len(low) + 2 * len(high)
    inputs = [*_singles(w, *low), *_singles(w + 1, *high)]
    outputs: list[Term] = [(w, tally.lut(xor, *low), SINGLE)]
    for bit in range(1, most.bit_length()):
        function = SUM_BITS[len(low), bit]
        outputs.append((w + bit, tally.lut(function, *low, *high), SINGLE))
    tally.replace(inputs, outputs)


def _singles(w: int, *bits: Literal) -> list[Term]:
    return [(w, bit, SINGLE) for bit in bits if bit]


def xor(*bits: int) -> int:
    """Sum of bits, without carries."""
    return sum(bits) & 1


def both(a: int, b: int) -> int:
    """Carry of two bits."""
    return a & b


def majority(a: int, b: int, c: int) -> int:
    """Carry of three bits."""
    return (a & b) | (a & c) | (b & c)


def xor_majority(other: int, a: int, b: int, c: int) -> int:
    """Second bit of the pair (other, carry of three bits)."""
    return other ^ majority(a, b, c)


def carry_of_pair(p: int, x: int, *running: int) -> int:
    """Carry of the pair (x, p) and a bit that is the XOR of `running`; `running` counts where p is 1."""
    return sum(running) & 1 if p else x


def xor_carry(other: int, p: int, x: int, *running: int) -> int:
    """Second bit of the pair (other, carry of a pair)."""
    return other ^ carry_of_pair(p, x, *running)


def _sum_bit(low: int, bit: int) -> Callable[..., int]:
    def function(*bits: int) -> int:
        return (sum(bits[:low]) + 2 * sum(bits[low:])) >> bit & 1

    return function


SUM_BITS = {(low, bit): _sum_bit(low, bit) for low in range(1, 7) for bit in range(1, 4)}
"""Bit `bit` of the sum of `low` bits and, counted twice, the others."""
