"""Netlists as clauses for a SAT solver."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from ._typing import Bool1, I32x2, U64x1
from .builder import Literal
from .netlist import FIRST_INPUT


def available() -> bool:
    """Whether a SAT solver is installed (python-sat, the extra `sat`)."""
    return find_spec("pysat") is not None


class Cones:
    """The cones of a netlist's signals in a SAT solver, encoded as they are needed.

    Args:
        fanin: int32 `[luts, k]`, as in `Netlist`.
        table: uint64 `[luts]`.
        first: signal of LUT 0.
        levels: inputs are thermometer codes of so many bits.
        free: signals that may take any value whatever they are computed from.
    """

    def __init__(
        self, fanin: I32x2, table: U64x1, first: int, *, levels: int = 1, free: Iterable[int] = ()
    ) -> None:
        from pysat.solvers import Glucose4

        self.fanin, self.table, self.first, self.levels = fanin, table, first, levels
        self.number = {0: 1, 1: 2}
        """Variable of each signal met: numbered densely, for solvers decide every number below the last."""
        self.encoded = {0, 1, *free}
        self.features: set[int] = set()
        self.last = 2
        self.solver: Any = Glucose4(bootstrap_with=[[-1], [2]])

    def close(self) -> None:
        """Free the solver."""
        self.solver.delete()

    def variable(self) -> int:
        """Return a new variable."""
        self.last += 1
        return self.last

    def literal(self, literal: Literal) -> int:
        """Return the solver's literal for a literal of the netlist, its cone encoded."""
        self._encode(literal >> 1)
        number = self._of(literal >> 1)
        return -number if literal & 1 else number

    def _of(self, s: int) -> int:
        """Return the variable of a signal."""
        if s not in self.number:
            self.number[s] = self.variable()
        return self.number[s]

    def add(self, clause: list[int]) -> None:
        """Add a clause of the solver's literals."""
        self.solver.add_clause(clause)

    def solve(self, assumptions: list[int], conflicts: int) -> bool | None:
        """Return whether the assumptions can hold together, None after so many conflicts."""
        self.solver.conf_budget(conflicts)
        found: bool | None = self.solver.solve_limited(assumptions=assumptions)
        return found

    def pattern(self) -> Bool1:
        """Return input values bool `[inputs]` of the solution found."""
        model = self.solver.get_model()
        values = np.zeros(self.first - FIRST_INPUT, np.bool_)
        for s, number in self.number.items():
            if FIRST_INPUT <= s < self.first and number <= len(model):
                values[s - FIRST_INPUT] = model[number - 1] > 0
        return values

    def _encode(self, root: int) -> None:
        """Add the clauses of the cone of signal `root`."""
        stack = [root]
        while stack:
            s = stack.pop()
            if s in self.encoded:
                continue
            self.encoded.add(s)
            if s < self.first:
                self._encode_feature(s)
                continue
            row = s - self.first
            pins = [int(p) for p in self.fanin[row]]
            while pins and pins[-1] == 0:
                pins.pop()
            for clause in clauses(int(self.table[row]), len(pins)):
                self.add([self._of(pins[pin] if pin >= 0 else s) * sign for pin, sign in clause])
            stack += pins

    def _encode_feature(self, s: int) -> None:
        """Say that a later bit of a thermometer code implies the one before."""
        feature = (s - FIRST_INPUT) // self.levels
        if self.levels == 1 or feature in self.features:
            return
        self.features.add(feature)
        begin = FIRST_INPUT + feature * self.levels
        self.encoded.update(range(begin, begin + self.levels))
        for bit in range(begin, begin + self.levels - 1):
            self.add([self._of(bit), -self._of(bit + 1)])


@lru_cache(maxsize=1 << 14)
def clauses(table: int, pins: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Clauses that tie a LUT's output to its pins, from prime cubes of the table.

    A clause is a tuple of (pin, sign), pin -1 being the output.
    """
    rows = 1 << pins
    result = []
    for value in (0, 1):
        left = {r for r in range(rows) if table >> r & 1 == value}
        whole = set(left)
        while left:
            row, free = min(left), 0
            for pin in range(pins):
                grown = free | 1 << pin
                if all(r in whole for r in _cube(row, grown)):
                    free = grown
            left -= set(_cube(row, free))
            cube = [(pin, -1 if row >> pin & 1 else 1) for pin in range(pins) if not free >> pin & 1]
            result.append((*cube, (-1, 1 if value else -1)))
    return tuple(result)


def _cube(row: int, free: int) -> list[int]:
    rows, sub = [], free
    while True:
        rows.append((row & ~free) | sub)
        if sub == 0:
            return rows
        sub = (sub - 1) & free
