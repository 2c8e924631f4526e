"""First counters, laid out where the network's last gates can be mapped into them.

What is cheap to fold depends on the LUT that a counted bit would be: a single-use LUT of two or three
pins fits into the XOR of an encoded pair, of two pins into an adder. `STRATEGIES` are ways to group
the bits; which is best depends on the network, so that `expand` maps several and compares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..builder import Literal
from ..netlist import Netlist
from ._cells import chain, encode, full_adder, twin_adders
from ._tally import Pair, Tally

RUN = 6
"""Blocks one after the other on one running bit."""


@dataclass
class _Bits:
    """The bits of one column by the pins of the LUT behind them, those that cannot be folded last.

    Each list is in the order of places and is used up from its end; `run` blocks follow each other at most.
    """

    two: list[Literal]
    three: list[Literal]
    four: list[Literal]
    other: list[Literal]
    run: int

    def any(self, count: int) -> list[Literal]:
        """Take `count` bits, the least foldable first."""
        taken: list[Literal] = []
        for bits in (self.other, self.four, self.three, self.two):
            while bits and len(taken) < count:
                taken.append(bits.pop())
        return taken

    def __len__(self) -> int:
        return len(self.two) + len(self.three) + len(self.four) + len(self.other)


Grouping = Callable[[Tally, int, _Bits], None]
"""Lays out first counters of one column; bits it leaves are counted one by one."""


def fold(
    tallies: Iterable[Tally], grouping: Grouping, pins: list[int], place: list[Any], *, run: int = RUN
) -> None:
    """Apply `grouping` to every column; `pins` `[signals]` as `foldable` returns them.

    Bits are grouped with those that are near in `place` `[signals]`, at most `run` blocks in a row.
    """
    for tally in tallies:
        for w, column in enumerate(tally.columns[:-1]):
            old = [x for x in column.singles if 1 < x < 2 * len(place)]  # neither constants nor carries
            bits = sorted(old, key=lambda x: place[x >> 1], reverse=True)
            by_pins: dict[int, list[Literal]] = {}
            for x in bits:
                by_pins.setdefault(pins[x >> 1], []).append(x)
            two, three, four, other = (by_pins.get(n, []) for n in (2, 3, 4, 0))
            sorted_bits = _Bits(two, three, four, other, run)
            column.singles = [x for x in column.singles if x == 1 or x >= 2 * len(place)]
            grouping(tally, w, sorted_bits)
            column.singles += sorted_bits.any(len(bits))


def foldable(net: Netlist, mapped: Netlist, tallies: Iterable[Tally]) -> list[int]:
    """Pins, 2 to 4, of the LUT behind each signal counted once and read nowhere else, 0 elsewhere.

    Args:
        net: netlist that the terms in `tallies` refer to.
        mapped: the same netlist, mapped; its readout has the same entries.
        tallies: the classes.
    """
    assert net.readout is not None
    assert mapped.readout is not None
    counted = Counter(x >> 1 for tally in tallies for column in tally.columns for x in column.singles)
    lut = mapped.readout.signal - mapped.first_lut
    inside = np.bincount(mapped.fanin.ravel(), minlength=mapped.signals)[mapped.readout.signal]
    width = np.zeros(len(lut), np.int64)
    width[lut >= 0] = (mapped.fanin[lut[lut >= 0]] != 0).sum(axis=1)
    width[(inside > 0) | (width > 4)] = 0
    pins = [0] * net.signals
    for signal, n in zip(net.readout.signal.tolist(), width.tolist(), strict=True):
        pins[signal] = n if counted[signal] == 1 else 0
    return pins


def plain(tally: Tally, w: int, bits: _Bits) -> None:
    """Fold nothing."""


def pairs(tally: Tally, w: int, bits: _Bits) -> None:
    """Encode pairs: XOR gates of two or three pins with any other bit; for 4-input LUTs."""
    _twins(tally, w, bits)
    _encode(tally, w, bits, keep=_starts(bits))


def chains(tally: Tally, w: int, bits: _Bits) -> None:
    """As `pairs`, but two-pin gates that no other bit needs are added two and two; 4-input LUTs."""
    _twins(tally, w, bits)
    spare = len(bits.two) + len(bits.three) - len(bits.other) - len(bits.four)
    _chains(tally, w, bits, gates=min(len(bits.two), spare) if spare > 8 else 0, size=4)
    _encode(tally, w, bits, keep=_starts(bits))


def adders(tally: Tally, w: int, bits: _Bits) -> None:
    """Full adders of three two-pin gates each, or of two and any other bit; for 6-input LUTs."""
    while len(bits.two) >= 3:
        full_adder(tally, w, *(bits.two.pop() for _ in range(3)))
    if len(bits.two) == 2 and len(bits) > 2:
        full_adder(tally, w, bits.two.pop(), bits.two.pop(), *bits.any(1))


def packed(tally: Tally, w: int, bits: _Bits) -> None:
    """Full adders of five pins, which share a site: of gates of two and two pins, or of three, or of two."""
    while len(bits.two) > 1 and len(bits) > 2:
        full_adder(tally, w, bits.two.pop(), bits.two.pop(), *bits.any(1))
    while bits.two and len(bits) > 2:
        full_adder(tally, w, bits.two.pop(), *bits.any(2))
    while bits.three and len(bits) > 2:
        full_adder(tally, w, bits.three.pop(), *bits.any(2))


def mixed(tally: Tally, w: int, bits: _Bits) -> None:
    """Chains of pairs with six pins between them, full adders of what is left; for 6-input LUTs.

    In a chain of five pairs the middle carry has two pins to spare for the gate behind it, in one of
    four every carry has three.
    """
    outer, middle = _pairs_of_six(bits)
    z, blocks = 0, 0
    while len(outer) + len(middle) > 1 and (z or len(bits)):
        size = 5 if middle and len(outer) + len(middle) > 4 else 4
        centre = [middle.pop()] if size == 5 else []
        sides = [(outer or middle).pop() for _ in range(min(size - len(centre), len(outer) + len(middle)))]
        chosen = [*sides[: len(sides) // 2], *centre, *sides[len(sides) // 2 :]]
        if not z:
            (z,) = bits.any(1)
        z, blocks = chain(tally, w, z, [x for pair in chosen for x in pair]), blocks + 1
        if blocks % 2 == 0:
            tally.columns[w].singles.append(z)
            z = 0
    tally.columns[w].singles += [x for x in (z, *(x for pair in outer + middle for x in pair)) if x]
    adders(tally, w, bits)


def _pairs_of_six(bits: _Bits) -> tuple[list[Pair], list[Pair]]:
    """Take pairs of gates with six pins between them: of three and three, of two and four pins."""
    outer = [(bits.three.pop(), bits.three.pop()) for _ in range(len(bits.three) // 2)]
    middle = [(bits.two.pop(), bits.four.pop()) for _ in range(min(len(bits.two), len(bits.four)))]
    return outer, middle


def _twins(tally: Tally, w: int, bits: _Bits) -> None:
    """Fold a two-pin gate into every twin adder of bits that cannot be encoded for lack of partners."""
    while bits.two and len(bits.other) + len(bits.four) - len(bits.two) - len(bits.three) >= 4:
        if len(bits.other) + len(bits.four) < 5:
            break
        a = bits.two.pop()
        twin_adders(tally, w, [a, *[(bits.other or bits.four).pop() for _ in range(5)]])


def _chains(tally: Tally, w: int, bits: _Bits, *, gates: int, size: int) -> None:
    """Add `gates` two-pin gates in blocks of `size`, a few blocks to a running bit."""
    while gates >= size + 1:
        z = (bits.any(1) if bits.other or bits.four else [bits.two.pop()])[0]
        for _ in range(bits.run):
            if gates >= size + 1 and len(bits.two) >= size:
                z = chain(tally, w, z, [bits.two.pop() for _ in range(size)])
                gates -= size
        gates -= 1
        tally.columns[w].singles.append(z)


def _encode(tally: Tally, w: int, bits: _Bits, *, keep: int) -> None:
    """Encode as many pairs as there are gates to fold, but leave `keep` bits single."""
    while len(bits.three) + len(bits.two) > 0 and len(bits) >= keep + 2:
        y = (bits.three or bits.two).pop()
        encode(tally, w, bits.any(1)[0], y)


def _starts(bits: _Bits) -> int:
    """Single bits to keep in a column as starts of parallel chains."""
    return max(1, len(bits) // (6 * bits.run))


_NARROW: dict[str, Grouping] = {
    "plain": plain, "pairs": pairs, "chains": chains, "pairs-all": pairs, "chains-all": chains,
}  # fmt: skip
_WIDE: dict[str, Grouping] = {
    "plain": plain, "adders": adders, "mixed": mixed, "adders-all": adders, "packed": packed,
    "packed-all": packed,
}  # fmt: skip
STRATEGIES = {4: _NARROW, 5: _NARROW, 6: _WIDE}
"""Groupings by pins per LUT, then by name. With `-all` a bit counts as the gate it was before mapping."""

PACKED = {"packed": 4, "packed-all": 5}
"""Strategies for fractured LUTs, and the pins to which the network is mapped."""
