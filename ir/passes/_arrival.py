"""Counting a class out of counters and short carry chains, planned by when its bits arrive.

In LUTs, not sites, a position of a carry chain is worth most when its second input comes in beside the LUT:
it adds one bit d and a function g of five others, `s = g ^ d`, in one LUT. A *group* of positions adds up to
five bits, g being the bits of their sum, and one bit d each; the carry-in is another. So nine bits become
four in three LUTs, .6 per bit removed, where counters of six need one. But LUT and CARRY4 are two levels. A
plan therefore says until which level chains begin; counters of one level do the rest, and one last chain adds
what is left as soon as it can.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import NamedTuple

from ..builder import Literal
from ..carry import SLICE, ChainBuilder, plain_or_constant
from ..ledger import SINGLE, Term
from ._cells import SUM_BITS, xor
from ._compare import by_levels
from ._count import best_counter
from ._ending import PINS, Heights, finish
from ._tally import Tally

_FULL = 6
"""Bits of a column from which on a chain or a counter is built before all have arrived."""

_ROUNDS = (1, 2, 3)
"""Rounds tried in which a full column is taken."""

_PATIENCE, _EARLY = 0.6, 0.7
"""Where choices are drawn: the greatest chance to wait, and the chance to end as soon as that is possible."""

_STEPS = 12_000
"""Bits of all plans that are drawn for a class, which are at most two for a bit."""

_NEVER = 1 << 30
"""A level that everything has come by."""


class Bit(NamedTuple):
    """A bit to be counted: its level, whether it needs no inverter, and its place among all bits."""

    level: int
    plain: bool
    place: int


@dataclass(frozen=True)
class Group:
    """Positions of a chain that add the bits of a few columns.

    Attributes:
        added: places of the bits that the LUTs add, for each position those of its weight.
        beside: place of the bit that comes in beside each LUT, -1 for none.
    """

    added: tuple[tuple[int, ...], ...]
    beside: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """A counter, or a chain: the places of its bits; what it makes follows all places before.

    Attributes:
        w: column.
        low: bits of a counter.
        high: bits of the next column, of a counter.
        carry_in: place of a chain's carry-in, -1 for none.
        groups: of a chain; none of a counter.
        leaves: whether the last carry of a chain may be 1.
    """

    w: int
    low: tuple[int, ...] = ()
    high: tuple[int, ...] = ()
    carry_in: int = -1
    groups: tuple[Group, ...] = ()
    leaves: bool = False


_Bits = tuple[Sequence[list[Bit]], Sequence[Bit | None]]
"""Of a group, the bits that its LUTs add, for each position, and those beside them."""


@dataclass
class Plan:
    """Columns of bits while they are added up, and the steps so far.

    Attributes:
        columns: the bits of each column, ascending.
        bits: places used up to now.
        luts: LUTs.
        begun: the level at which the last chain began, but for one that ends the plan.
        steps: what to build.
    """

    columns: list[list[Bit]]
    bits: int
    luts: int = 0
    begun: int = -1
    steps: list[Step] = field(default_factory=list)

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.columns)

    @property
    def level(self) -> int:
        """Level of the latest bit."""
        return max((bit.level for column in self.columns for bit in column), default=0)

    @property
    def compared(self) -> int:
        """Level by which the fewest LUTs compare the number with one that comes at the same time."""
        return by_levels(tuple(column[0].level if column else 0 for column in self.columns))

    def heights(self) -> Heights:
        """Bits per column."""
        return tuple(map(len, self.columns))

    def ready(self, w: int, level: int) -> int:
        """Bits of column w that have come by a level."""
        return bisect_left(self.columns[w], (level + 1,))

    def take(self, w: int, n: int, by: int = _NEVER) -> list[Bit]:
        """Take the n earliest bits of column w, inverted ones first, or as many as have come by a level."""
        n = min(n, self.ready(w, by))
        taken, self.columns[w][:n] = self.columns[w][:n], []
        return taken

    def take_plain(self, w: int, by: int = _NEVER) -> Bit | None:
        """Take the latest bit of column w that needs no inverter, if there is one by a level."""
        for at in range(self.ready(w, by) - 1, -1, -1):
            if self.columns[w][at].plain:
                return self.columns[w].pop(at)
        return None

    def put(self, w: int, bit: Bit) -> None:
        """Put a bit into column w."""
        insort(self.columns[w], bit)

    def make(self, w: int, level: int) -> None:
        """Make a new bit of column w, if there is such a column."""
        if w < self.width:
            self.put(w, Bit(level, True, self.bits))
            self.bits += 1

    def counter(self, w: int, low: list[Bit], high: Sequence[Bit] = ()) -> None:
        """Add up to six bits, those of `high` one column up: one LUT per bit of the sum."""
        made = min((len(low) + 2 * len(high)).bit_length(), self.width - w)
        level = 1 + max(bit.level for bit in (*low, *high))
        for bit in range(made):
            self.make(w + bit, level)
        self.luts += made
        self.steps.append(Step(w, tuple(b.place for b in low), tuple(b.place for b in high)))

    def chain(self, w: int, carry_in: Bit | None, groups: Sequence[_Bits]) -> None:
        """Add groups of bits in a chain: bits for the LUTs by position, and bits beside them."""
        now, most, at = carry_in.level if carry_in else -1, int(carry_in is not None), 0
        for added, beside in groups:
            pins: list[Bit] = []
            for here, d in zip(added, beside, strict=True):
                pins += here
                own = [*pins, *([d] if d else [])]
                self.luts += len(own) > 1
                now += at % SLICE == 0
                now = max([now, *(bit.level + 2 for bit in own)])
                most += (len(here) + (d is not None)) << at
                self.make(w + at, now)
                at += 1
        leaves = most >= 1 << at and w + at < self.width
        if leaves:
            self.make(w + at, now)
        self.steps.append(
            Step(
                w,
                carry_in=carry_in.place if carry_in else -1,
                groups=tuple(
                    Group(
                        tuple(tuple(bit.place for bit in here) for here in added),
                        tuple(d.place if d else -1 for d in beside),
                    )
                    for added, beside in groups
                ),
                leaves=leaves,
            )
        )


# planning


def ways_to_count(tally: Tally, level: Callable[[Literal], int], *, draws: bool = True) -> list[Plan]:
    """Return plans for the single bits of `tally`, from the earliest compared to the fewest LUTs.

    `level` tells the level of a literal, each CARRY4 on the way counted. With `draws` there are plans with
    drawn choices besides, which save LUTs where levels are few.
    """
    columns = columns_of(tally, level)
    first = min((column[0].level for column in columns if column), default=0)
    found = list[Plan]()
    for ripple, rounds in ((False, 1), *((True, rounds) for rounds in _ROUNDS)):
        deepest = plan(columns, _NEVER, ripple=ripple, rounds=rounds)
        found.append(deepest)
        found += [
            plan(columns, begin, ripple=ripple, rounds=rounds)
            for begin in range(first - (rounds == 1), deepest.begun)
        ]
    draw, bits = Random(0).random, sum(map(len, columns))  # noqa: S311 - always the same plans
    tries = min(2 * bits, _STEPS // max(1, bits)) if draws else 0
    found += [drawn(columns, draw) for _ in range(tries)]
    return pareto(found)


def pareto(found: list[Plan]) -> list[Plan]:
    """Keep plans that no other beats, from the earliest compared to the fewest LUTs."""
    kept = list[Plan]()
    for candidate in sorted(found, key=lambda each: (each.compared, each.luts)):
        if not kept or candidate.luts < kept[-1].luts:
            kept.append(candidate)
    return kept


def columns_of(tally: Tally, level: Callable[[Literal], int]) -> list[list[Bit]]:
    """Return the single bits of each column, ascending; places are in the order of the columns."""
    place, columns = 0, list[list[Bit]]()
    for column in tally.columns:
        bits = [Bit(level(x), plain_or_constant(x), place + n) for n, x in enumerate(column.singles)]
        columns.append(sorted(bits))
        place += len(bits)
    return columns


def within(found: list[Plan], level: int | None) -> Plan:
    """Return the plan of the fewest LUTs to be compared by a level, or the earliest if there is none."""
    return next((plan for plan in reversed(found) if level is None or plan.compared <= level), found[0])


def plan(columns: list[list[Bit]], begin: int, *, ripple: bool, rounds: int = 1) -> Plan:
    """Return a plan: chains begin with bits of level `begin` at the latest, and at the end if `ripple`.

    A full column is taken in so many rounds: bits that one makes come in beside the LUTs of the next.
    """
    found = Plan([list(column) for column in columns], sum(map(len, columns)))
    now = min((bit.level for column in columns for bit in column), default=0)
    while max(found.heights(), default=0) > 1:
        now += _round(found, now, begin, ripple=ripple, rounds=rounds)
    return found


def _round(found: Plan, now: int, begin: int, *, ripple: bool, rounds: int) -> int:
    """Build from what is there at level `now`; returns the levels to go on by."""
    built = False
    if now <= begin:
        for w in range(found.width - 1):
            alone = -(-found.ready(w, now) // (_FULL * rounds))
            while alone and found.ready(w, now) >= _FULL:
                alone -= not _chain(found, w, now)
                built, found.begun = True, now
    arrived = found.level <= now
    if built:
        return 2 if rounds > 1 else 0
    if arrived and ripple and _finish(found):
        return 0
    if arrived and not ripple and max(found.heights()) <= 9:
        for w in range(found.width):
            while len(found.columns[w]) > 1:
                _count_some(found, w)
        return 0
    if now > begin or arrived:
        for w in range(found.width):
            while found.ready(w, now) >= _FULL:
                found.counter(w, found.take(w, 6))
                built = True
        if arrived and not built:
            _count_some(found, next(w for w, n in enumerate(found.heights()) if n > 1))
            built = True
    return 0 if built else 1


def drawn(columns: list[list[Bit]], draw: Callable[[], float]) -> Plan:
    """Return a plan whose choices are drawn, as numbers from 0 to 1: what waits, what goes into chains."""
    found = Plan([list(column) for column in columns], sum(map(len, columns)))
    now = min((bit.level for column in columns for bit in column), default=0)
    chained, waits = draw(), _PATIENCE * draw()
    while max(found.heights(), default=0) > 1:
        arrived, built = found.level <= now, False
        if arrived and draw() < _EARLY and _finish(found):
            break
        for w in range(found.width - 1):
            while found.ready(w, now) >= _FULL and (arrived or draw() >= waits):
                if draw() < chained:
                    _chain(found, w, now)
                else:
                    found.counter(w, found.take(w, 6))
                built = True
                if draw() < waits:
                    break
        if arrived and not built and not _finish(found):
            _layer(found, now)
        now += not arrived and not built
    return found


def _layer(found: Plan, now: int) -> None:
    """Reduce full columns by counters, or where none is full all columns, the lowest first."""
    full = [w for w in range(found.width) if found.ready(w, now) >= _FULL]
    for w in full:
        found.counter(w, found.take(w, 6))
    if not full:
        for w in range(found.width):
            while len(found.columns[w]) > 1:
                _count_some(found, w)


def _count_some(found: Plan, w: int) -> None:
    heights = tuple(min(n, 12) for n in found.heights()[w : w + 4])
    low, high = best_counter(heights, found.width - w)[1] if w + 1 < found.width else (6, 0)
    found.counter(w, found.take(w, low), found.take(w + 1, high) if high else ())


def _chain(found: Plan, w: int, now: int) -> bool:
    """Build a chain of one group; whether bits of higher columns come in beside its LUTs."""
    carry_in = found.take_plain(w, now + 1)
    first = found.take_plain(w, now)
    low = found.take(w, PINS, now)
    high = found.take(w + 1, min(PINS - len(low), (7 - len(low)) // 2), now)
    positions = min((len(low) + 2 * len(high)).bit_length(), found.width - w)
    beside = [first]
    above = [found.take_plain(w + i, now) for i in range(1, positions)]
    if None in above:  # one alone only moves the carry
        for i, bit in enumerate(above):
            if bit:
                found.put(w + 1 + i, bit)
        above = [None] * len(above)
    added = [low, high, *([] for _ in range(positions - 2))][:positions]
    found.chain(w, carry_in, [(added, beside + above)])
    return above[:1] != [None]


def _finish(found: Plan) -> bool:
    """Build one layer of counters and one chain that end it, if there are such."""
    ways = finish(found.heights())
    if ways is None:
        return False
    _, sizes, lengths, start = ways
    taken = [[found.take(w, n) for n in column] for w, column in enumerate(sizes)]
    for w, counters in enumerate(taken):
        for low in counters:
            found.counter(w, low)
    groups, w, carry_in = [], start, None
    # of two bits one is added in the LUT: the carry-in takes the wire on which the other would come beside it
    if lengths and len(found.columns[w]) > 2:
        carry_in = _made_plain(found, w)
    for length in lengths:
        added, beside = [], list[Bit | None]()
        for _ in range(length):
            beside.append(_made_plain(found, w))
            added.append(found.take(w, len(found.columns[w])))
            w += 1
        groups.append((added, beside))
    if groups:
        found.chain(start, carry_in, groups)
    return True


def _made_plain(found: Plan, w: int) -> Bit | None:
    """Take a bit that needs no inverter, through an inverter if there is no other."""
    if found.columns[w] and not any(bit.plain for bit in found.columns[w]):
        found.counter(w, found.take(w, 1))
    return found.take_plain(w)


# building


def count_by_plan(tally: Tally, chosen: Plan) -> None:
    """Build a plan for the single bits of `tally`, whose builder must be a `ChainBuilder`."""
    literals = [x for column in tally.columns for x in column.singles]
    for column in tally.columns:
        column.singles = []
    for step in chosen.steps:
        if step.groups:
            literals += _build_chain(tally, step, literals)
        else:
            literals += _build_counter(tally, step, literals)
    for column, bits in zip(tally.columns, chosen.columns, strict=True):
        column.singles = [literals[bit.place] for bit in bits if literals[bit.place]]


def _build_counter(tally: Tally, step: Step, literals: list[Literal]) -> list[Literal]:
    low, high = ([literals[at] for at in places] for places in (step.low, step.high))
    most = len(low) + 2 * len(high)
    if most == 1:
        made = [2 * tally.builder.plain(low[0])]
    else:
        made = [tally.lut(xor, *low)] if low else [0]
        made += [
            tally.lut(SUM_BITS[len(low), bit], *low, *high)
            for bit in range(1, min(most.bit_length(), tally.width - step.w))
        ]
    _enter(tally, step.w, low, high, made)
    return made


def _build_chain(tally: Tally, step: Step, literals: list[Literal]) -> list[Literal]:
    builder = tally.builder
    assert isinstance(builder, ChainBuilder)
    carry = literals[step.carry_in] if step.carry_in >= 0 else 0
    builder.begin(carry)
    w, made = step.w, list[Literal]()
    for number, group in enumerate(step.groups):
        added = [[literals[at] for at in places] for places in group.added]
        beside = [literals[at] if at >= 0 else 0 for at in group.beside]
        inputs: list[Term] = [(w, carry, SINGLE)] if carry else []
        outputs: list[Term] = []
        for bit, d in enumerate(beside):
            pins = [x for here in added[: bit + 1] for x in here]
            weights = tuple(i for i, here in enumerate(added[: bit + 1]) for _ in here)
            s = builder.lut(sum_bit(weights, bit), d, *pins)
            last = number + 1 == len(step.groups) and bit + 1 == len(beside)
            o, carry = builder.position(s, d, carry=not last or step.leaves)
            inputs += [(w + bit, x, SINGLE) for x in (d, *added[bit]) if x]
            outputs.append((w + bit, o, SINGLE))
            made.append(o)
        w += len(beside)
        tally.replace(inputs, [*outputs, (w, carry, SINGLE)])
    builder.end()
    return made + [carry] * step.leaves


def _enter(tally: Tally, w: int, low: list[Literal], high: list[Literal], made: list[Literal]) -> None:
    inputs = [(w, x, SINGLE) for x in low if x] + [(w + 1, x, SINGLE) for x in high if x]
    tally.replace(inputs, [(w + bit, x, SINGLE) for bit, x in enumerate(made)])


@lru_cache(maxsize=1 << 12)
def sum_bit(weights: tuple[int, ...], bit: int) -> Callable[..., int]:
    """Return the function: a bit, XOR bit `bit` of the sum of others with these weights."""

    def function(d: int, *bits: int) -> int:
        return d ^ (sum(x << weight for x, weight in zip(bits, weights, strict=True)) >> bit & 1)

    return function
