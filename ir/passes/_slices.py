"""Adding up the columns of one class with carry chains, counted in sites of fractured LUTs.

A chain is a row of *atoms*, one or two positions each: bits in, one sum bit per position out, the carry
going on to the next atom, which takes bits of that weight. See docs/readout.md for the atoms
(Preusser, arXiv 1806.08095; Kumm and Zipf 2014) and why they fit a slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from ..builder import Literal
from ..carry import ChainBuilder, plain_or_constant
from ..ledger import SINGLE, Term
from ._cells import full_adder, half_adder, xor
from ._tally import Tally

_NEAR = 12
"""Bits in a column from which on the plan looks ahead; above, the best ratio is taken."""

_SORTED = 256
"""Bits in a higher column up to which it is sorted; longer ones are in the order of making."""

_LATE = 4
"""A chain leaves a higher column one bit for so many in its own: late bits wait, and levels stay few."""

Heights = tuple[int, ...]
"""Bits per column, from the one to be reduced upwards, all columns of the score."""

Atom = tuple[int, int, int]
"""Positions (1 or 2), bits of the column at its foot and of the next one."""

Plan = tuple[int, tuple[Atom, ...]]
"""Bits for the carry-in, 0 or 1, and atoms; no atoms: an adder outside of chains, of 2 or 3 bits."""


def count_in_chains(tally: Tally) -> None:
    """Reduce every column to one bit; the tally's builder must be a `ChainBuilder`."""
    for w in range(tally.width):
        tally.order(w)
        column = tally.columns[w].singles
        while len(column) > 1:
            heights = tuple(len(c.singles) for c in tally.columns[w:])
            far = heights[0] > _NEAR
            least = 6 + heights[0] // _LATE
            build(tally, w, greedy(heights, least) if far else best(heights)[1])


# building


def build(tally: Tally, w: int, plan: Plan) -> None:
    """Build what `plan` says from the earliest bits of column w and of those above."""
    singles = tally.columns[w].singles
    bits, atoms = plan
    if not atoms:
        (full_adder if bits == 3 else half_adder)(tally, w, *[singles.pop() for _ in range(bits)])
        return
    carry = _grab(tally, w, 1, plain=True)[0] if bits else 0
    if not plain_or_constant(carry):
        atoms, carry = _without_carry(tally, w, carry, atoms), 0
    builder = tally.builder
    assert isinstance(builder, ChainBuilder)
    builder.begin(carry)
    for i, (positions, low, high) in enumerate(atoms):
        wide = _grab(tally, w, low, plain=low == 6 and w < tally.width - 1)
        if low == 6 and w < tally.width - 1 and not plain_or_constant(wide[0]):
            tally.put_back(w, wide.pop())
        above = _grab(tally, w + 1, high) if high else []
        carry = atom(tally, w, carry, wide, above, positions=positions)
        w += positions
        if w < tally.width and i + 1 < len(atoms):
            carry = tally.take(w, carry)
    builder.end()


def _without_carry(tally: Tally, w: int, bit: Literal, atoms: tuple[Atom, ...]) -> tuple[Atom, ...]:
    """Put back a carry-in that would need an inverter; the first atom may take it."""
    tally.put_back(w, bit)
    (positions, low, high), *rest = atoms
    more = low < 2 if positions == 1 else low < 6 and not high
    return ((positions, low + more, high), *rest)


def _grab(tally: Tally, w: int, n: int, *, plain: bool = False) -> list[Literal]:
    """Take the n earliest bits of column w; with `plain` the first is without inverter, if there is one."""
    singles = tally.columns[w].singles
    if not tally.is_ordered(w) and len(singles) <= _SORTED:
        tally.sort(w)
    ordered = tally.is_ordered(w) or len(singles) <= _SORTED
    if ordered:
        singles.reverse()
    taken, singles[:n] = singles[:n], []
    if plain and taken:
        at = next((i for i, x in enumerate(taken) if plain_or_constant(x)), None)
        if at is None:
            at = n - 1
            other = next((i for i, x in enumerate(singles) if plain_or_constant(x)), None)
            if other is not None:
                late = singles.pop(other)
                singles.insert(0, taken[at])
                taken[at] = late
        taken[0], taken[at] = taken[at], taken[0]
    if ordered:
        singles.reverse()
    return taken


def atom(
    tally: Tally, w: int, carry: Literal, low: list[Literal], high: list[Literal], *, positions: int
) -> Literal:
    """Add an atom to the chain begun last, and enter it as a block; returns its carry.

    One position takes up to two bits: `s = a ^ b`, `d = a`. Two take up to six bits, of which
    `d = low[0]` at the first: what is left of them is worth `2 * (s + 2 * d)` at the second, with
    one of the higher bits besides if they are at most four. In the last column, whose carry nobody
    needs, a position takes six bits.
    """
    builder = tally.builder
    assert isinstance(builder, ChainBuilder)
    inputs = [*_terms(w, [carry, *low]), *_terms(w + 1, high)]
    last = w + positions == tally.width
    first = builder.lut(xor, *low) if low else 0
    generate = low[0] if len(low) > 1 else 0
    o, c = builder.position(first, generate, carry=not last or positions == 2)
    outputs: list[Term] = [(w, o, SINGLE)]
    if positions == 2:
        propagate, twice = HALVES[len(low) - 1, len(high)]
        s = builder.lut(propagate, *low[1:], *high)
        d = 0 if last else builder.lut(twice, *low[1:], *high)
        o, c = builder.position(s, d, carry=not last)
        outputs.append((w + 1, o, SINGLE))
    tally.replace(inputs, [*outputs, (w + positions, c, SINGLE)])
    return c


def _terms(w: int, bits: list[Literal]) -> list[Term]:
    return [(w, bit, SINGLE) for bit in bits if bit]


def _half(low: int, least: int, most: int, *bits: int) -> int:
    """Whether half the sum of `low` bits, rounded down, plus the other bits is in a range."""
    return least <= sum(bits[:low]) // 2 + sum(bits[low:]) <= most


HALVES: dict[tuple[int, int], tuple[Callable[..., int], Callable[..., int]]] = {
    (low, high): (partial(_half, low, 1, 1), partial(_half, low, 2, 2))
    for low in range(2, 6)
    for high in range(3 - low // 2)
}
"""Propagate and generate of an atom's second position, for so many bits left over and higher bits."""


# planning, by heights alone


def greedy(heights: Heights, least: int = 6) -> Plan:
    """Return the longest chain that takes at least `least` bits per atom, bar the first."""
    n = heights[0]
    if len(heights) == 1:
        return 0, ((1, min(6, n), 0),)
    if n <= 3 and heights[1] < least:
        return n, ()
    bits = int(n > 2)
    low = min(6, n - bits)
    first = (1, 2, 0) if low <= 2 else (2, low, 0)
    after = _after_atom(heights, first, bits)
    return bits, (first, *_longest(after, first[0], least))


def _longest(heights: list[int], at: int, least: int) -> Iterator[Atom]:
    """Atoms from column `at` on, each with at least `least` bits."""
    while at < len(heights) and heights[at] >= least:
        following = _atom_for(heights[at], heights[at + 1] if at + 1 < len(heights) else -1)
        heights = _after_atom(heights, following, 0, at)
        yield following
        at += following[0]


def _atom_for(n: int, above: int) -> Atom:
    """Return the atom that takes most of n bits; `above` counts those of the next column, -1 if none."""
    if above < 0:
        return (1, min(n, 6), 0)
    if n >= 3:
        low = min(n, 6)
        return (2, low, int(low < 5 and above > 0))
    return (1, n, 0)


def _after_atom(heights: Heights | list[int], kind: Atom, bits: int, at: int = 0) -> list[int]:
    """Heights after an atom at column `at` and its carry-in; its carry is not among them."""
    after = list(heights)
    positions, low, high = kind
    after[at] += 1 - low - bits
    if positions == 2:
        after[at + 1] += 1 - high
    return after


def _apply(heights: Heights, plan: Plan) -> tuple[int, Heights]:
    """Sites of a plan, and the heights after it."""
    bits, atoms = plan
    if not atoms:
        after = [1 + heights[0] - bits, *heights[1:]]
        after[1] += 1
        return 1, tuple(after)
    after, at = list(heights), 0
    for i, kind in enumerate(atoms):
        after = _after_atom(after, kind, bits if i == 0 else 0, at)
        at += kind[0]
    if at < len(after):
        after[at] += 1
    return at + (at < len(after)), tuple(after)


@lru_cache(maxsize=1 << 18)
def _cost(heights: Heights, least: int) -> int:
    """Return what `greedy` needs down to one bit per column."""
    while heights and heights[0] <= 1:
        heights = heights[1:]
    if not heights:
        return 0
    cost, after = _apply(heights, greedy(heights, least))
    return cost + _cost(after, least)


@lru_cache(maxsize=1 << 18)
def best(heights: Heights) -> tuple[int, Plan]:
    """Return the plan from which `greedy` costs least, and that cost."""
    found: tuple[int, int, Plan] | None = None
    for plan in _plans(heights):
        cost, after = _apply(heights, plan)
        total = cost + min(_cost(after, least) for least in (1, 2, 3, 6))
        if found is None or total < found[0]:
            found = (total, cost, plan)
    assert found is not None
    return found[0], found[2]


def _plans(heights: Heights) -> Iterator[Plan]:
    """Adders and chains to begin with."""
    n = heights[0]
    if len(heights) == 1:
        yield greedy(heights)
        return
    for bits in (1, 0):
        for low in range(min(6, n - bits), 0, -1):
            if low + bits < 2:
                continue
            first: Atom = (1, low, 0) if low <= 2 else (2, low, 0)
            kinds = [first]
            if low in (3, 4) and heights[1]:
                kinds.insert(0, (2, low, 1))
            for kind in kinds:
                atoms = [kind, *_longest(_after_atom(heights, kind, bits), kind[0], 1)]
                yield from ((bits, tuple(atoms[:size])) for size in range(len(atoms), 0, -1))
    yield from ((size, ()) for size in (3, 2) if size <= n)
