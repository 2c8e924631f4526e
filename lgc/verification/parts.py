"""Cells of any family in the terms of `decode`: four-input tables and registers that start at 0."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lgc.errors import LgcError

from .decode import Cell, Design, Memory

COPY, INVERT, OR, SELECT = 0xAAAA, 0x5555, 0xEEEE, 0xCACA
"""Tables of input 0, its inverse, of inputs 0 or 1, and of input 1 where input 2 is set, else input 0."""
_XOR = 0x6666


@dataclass
class Parts:
    """A design as it is put together. Net 0 is constant 0, net 1 constant 1.

    Attributes:
        fresh: first number that is no net of the device.
    """

    fresh: int
    cells: list[Cell] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    _inverse: dict[int, int] = field(default_factory=dict)
    _either: dict[tuple[int, int], int] = field(default_factory=dict)

    def net(self) -> int:
        """Return a net of its own."""
        self.fresh += 1
        return self.fresh - 1

    def table(self, table: int, inputs: Sequence[int], out: int) -> int:
        """Add a table whose row is spelt by nets, the first as the lowest bit; -1 stands for no net.

        Returns:
            The table without the inputs that are constant.

        Raises:
            LgcError: it reads what nothing drives.
        """
        table, inputs = fold(table, [*inputs, *[0] * (4 - len(inputs))])
        if min(inputs) < 0:
            raise LgcError("The bitstream has a table with an input that nothing drives.")
        self._add(table, inputs, out, register=False)
        return table

    def halves(self, table: int, inputs: Sequence[int]) -> tuple[int, int]:
        """Add the two tables behind a carry: of all inputs, and of the lower two with its first rows.

        ECP5 and Gowin have these alike: the sum is the first, inverted by the carry; the carry goes on
        where the first is 1, and is the second elsewhere.

        Returns:
            Their nets.
        """
        four, two = self.net(), self.net()
        constant = self.table(table, inputs, four) == 0
        self.table((table & 15) * 0x1111, inputs, two)
        return 0 if constant else four, two

    def sum(self, four: int, into: int, out: int) -> None:
        """Add the sum of a carry's first table and the carry into it."""
        self.table(_XOR, [four, into], out)

    def carry(self, four: int, two: int, into: int, out: int) -> None:
        """Add the carry that goes on."""
        self.table(SELECT, [two, into, four], out)

    def inverse(self, net: int) -> int:
        """Net of the opposite value."""
        if net < 2:
            return 1 - net
        if net not in self._inverse:
            self._inverse[net] = self.net()
            self.table(INVERT, [net], self._inverse[net])
        return self._inverse[net]

    def either(self, a: int, b: int) -> int:
        """Net that is 1 where one of two is."""
        if 1 in {a, b} or 0 in {a, b}:
            return 1 if 1 in {a, b} else a + b
        key = min(a, b), max(a, b)
        if key not in self._either:
            self._either[key] = self.net()
            self.table(OR, key, self._either[key])
        return self._either[key]

    def register(
        self,
        data: int,
        out: int,
        *,
        clock: int,
        enable: int = 1,
        reset: int = 0,
        to_one: bool = False,
        starts: bool = False,
        falling: bool = False,
        asynchronous: bool = False,
        always: bool = True,
    ) -> None:
        """Add a register.

        Args:
            data: net that it takes.
            out: net that it drives.
            clock: net of its clock.
            enable: net of its clock enable.
            reset: net of what sets or resets it.
            to_one: whether reset brings 1.
            starts: whether it starts at 1.
            falling: whether it takes at the falling edge.
            asynchronous: whether reset does not wait for the clock.
            always: whether reset acts where `enable` is 0, too.
        """
        if always:
            enable = self.either(enable, reset)
        held = out
        if starts:  # kept as its inverse, which starts at 0
            held = self.net()
            self.table(INVERT, [held], out)
        self._add(
            INVERT if starts else COPY,
            [data],
            held,
            register=True,
            set_=to_one ^ starts,
            asynchronous=asynchronous,
            falling=falling,
            controls={"CEN": enable, "CLK": clock, "SR": reset},
        )

    def _add(
        self,
        table: int,
        inputs: Sequence[int],
        out: int,
        *,
        register: bool,
        set_: bool = False,
        asynchronous: bool = False,
        falling: bool = False,
        controls: dict[str, int] | None = None,
    ) -> None:
        pins = {f"I{i}": inputs[i] if i < len(inputs) else 0 for i in range(4)}
        pins |= controls or {"CEN": 1, "CLK": 0, "SR": 0}
        self.cells.append(Cell(table, pins, out, 0, 0, register, set_, asynchronous, falling))

    def design(self, inputs: dict[int, int], outputs: dict[int, int]) -> Design:
        """Return the design, each register in one cell with the table before it where they can be."""
        readers = Counter(net for cell in self.cells for net in cell.pins.values())
        readers.update(net for memory in self.memories for net in memory.pins.values())
        readers.update(outputs.values())
        tables = {cell.out: cell for cell in self.cells if not cell.register}
        merged: dict[int, Cell] = {}
        for cell in self.cells:
            data = cell.pins["I0"]
            if cell.register and cell.table == COPY and data in tables and data not in merged:
                before = tables[data]
                pins = cell.pins | {f"I{i}": before.pins[f"I{i}"] for i in range(4)}
                direct = data if readers[data] > 1 else 0
                merged[data] = dataclasses.replace(cell, table=before.table, pins=pins, direct=direct)
        gone = {(cell.out, cell.register) for cell in merged.values()} | {(net, False) for net in merged}
        cells = [cell for cell in self.cells if (cell.out, cell.register) not in gone]
        return Design((*cells, *merged.values()), tuple(self.memories), inputs, outputs)


def fold(table: int, inputs: Sequence[int]) -> tuple[int, list[int]]:
    """Table of four inputs without those that are constant, and the inputs, 0 where it ignores them."""
    rows = np.array([table >> row & 1 for row in range(16)]).reshape(2, 2, 2, 2)
    read = list(inputs)
    for pin, net in enumerate(inputs):
        axis = 3 - pin
        low, high = np.take(rows, [0], axis), np.take(rows, [1], axis)
        if net in {0, 1}:
            rows = np.repeat(high if net else low, 2, axis)
        elif np.array_equal(low, high):
            read[pin] = 0
    # what one constant decides may make others matter no more
    for pin in range(4):
        if np.array_equal(np.take(rows, [0], 3 - pin), np.take(rows, [1], 3 - pin)):
            read[pin] = 0
    return sum(int(bit) << row for row, bit in enumerate(rows.ravel().tolist())), read
