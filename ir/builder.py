"""Growing a netlist LUT by LUT, with constants and inverters folded on the way.

For structure that is generated, such as popcounts; netlists that come as arrays stay arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ._typing import I32x1
from .netlist import Netlist, table_dtype

Literal = int
"""`2 * signal + inverted`. 0 is constant 0, 1 constant 1."""


def inverted(literal: Literal) -> Literal:
    """Return the complement."""
    return literal ^ 1


@lru_cache(maxsize=1 << 16)
def table_of(
    function: Callable[..., int], inverts: tuple[int, ...], slots: tuple[int, ...]
) -> tuple[int, int]:
    """Truth table of `function` over its distinct pins, and the mask of pins it depends on.

    Argument a of `function` is pin `slots[a]` inverted by `inverts[a]`, or the constant
    `inverts[a]` where `slots[a]` is -1.
    """
    pins = max(slots, default=-1) + 1
    table = 0
    for row in range(1 << pins):
        values = [(row >> s & 1 if s >= 0 else 0) ^ inv for s, inv in zip(slots, inverts, strict=True)]
        table |= (function(*values) & 1) << row
    needed = 0
    for pin in range(pins):
        low = sum(1 << r for r in range(1 << pins) if not r >> pin & 1)
        needed |= (((table >> (1 << pin)) & low) != (table & low)) << pin
    return table, needed


class Builder:
    """Adds LUTs behind an existing netlist.

    Args:
        base: the netlist.
        k: pins per LUT.
        level: int32 `[signals]`, level of each of its signals; LUTs on the longest path if None.
    """

    def __init__(self, base: Netlist, *, k: int, level: I32x1 | None = None) -> None:
        self.base, self.k = base, k
        if level is None:
            level = base.levels()
        self._level: list[int] = level.tolist()
        self._fanin: list[tuple[int, ...]] = []
        self._table: list[int] = []
        self._known: dict[tuple[int, tuple[int, ...]], int] = {}

    def lut(self, function: Callable[..., int], *literals: Literal, own: bool = False) -> Literal:
        """Return `function` of up to k distinct signals, as a new LUT unless it is trivial or there is one.

        Args:
            function: of 0 and 1.
            literals: its arguments.
            own: another LUT of the same function does not do.

        Raises:
            ValueError: more than k distinct signals.
        """
        pins = sorted({literal >> 1 for literal in literals} - {0})
        slot = {0: -1} | {pin: at for at, pin in enumerate(pins)}
        inverts = tuple([literal & 1 for literal in literals])  # of lists, which are faster than generators
        table, needed = table_of(function, inverts, tuple([slot[literal >> 1] for literal in literals]))
        if needed != (1 << len(pins)) - 1:
            kept = [pin for pin in range(len(pins)) if needed >> pin & 1]
            table = _shrink(table, kept)
            pins = [pins[pin] for pin in kept]
        if not pins:
            return table & 1
        if len(pins) == 1:
            return 2 * pins[0] + (table & 1)
        if len(pins) > self.k:
            raise ValueError(f"a function of {len(pins)} signals does not fit a {self.k}-input LUT")
        key = (table, tuple(pins))
        if own:
            return 2 * self._append(table, tuple(pins))
        if key not in self._known:
            self._known[key] = self._append(table, tuple(pins))
        return 2 * self._known[key]

    @property
    def new(self) -> int:
        """Number of LUTs added so far."""
        return len(self._table)

    def level(self, literal: Literal) -> int:
        """LUTs on the longest path from an input to `literal`."""
        return self._level[literal >> 1]

    def netlist(self, outputs: list[Literal]) -> Netlist:
        """Return the base and the new LUTs with the given outputs and no readout."""
        signals = [self.plain(literal) for literal in outputs]
        fanin = np.zeros((len(self._table), self.k), np.int32)
        for row, pins in enumerate(self._fanin):
            fanin[row, : len(pins)] = pins
        base = np.zeros((self.base.luts, self.k), np.int32)
        base[:, : self.base.k] = self.base.fanin
        dtype = table_dtype(self.k)
        return Netlist(
            inputs=self.base.inputs,
            fanin=np.concatenate([base, fanin]),
            table=np.concatenate([self.base.table.astype(dtype), np.array(self._table, dtype)]),
            outputs=np.array(signals, np.int32),
        )

    def plain(self, literal: Literal) -> int:
        """Return the signal of a literal, through an inverter LUT where it needs one."""
        if literal < 2 or not literal & 1:
            return literal >> 1 if literal > 1 else literal
        key = (1, (literal >> 1,))
        if key not in self._known:
            self._known[key] = self._append(1, key[1])
        return self._known[key]

    def _append(self, table: int, pins: tuple[int, ...]) -> int:
        self._fanin.append(pins)
        self._table.append(table)
        self._level.append(1 + max([self._level[pin] for pin in pins]))
        return self.base.signals + len(self._table) - 1


def _shrink(table: int, kept: list[int]) -> int:
    """Drop the pins not in `kept`, on which the table does not depend."""
    out = 0
    for row in range(1 << len(kept)):
        old = sum((row >> j & 1) << pin for j, pin in enumerate(kept))
        out |= (table >> old & 1) << row
    return out
