"""BLIF, the Berkeley Logic Interchange Format: what ABC, Yosys, VTR and SIS read and write.

Combinational networks only: `.names`, no latches, gates or subcircuits. (Berkeley Logic Interchange
Format, UC Berkeley, 1992.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from lgc.errors import LgcError

from ..netlist import FIRST_INPUT, Netlist
from . import _functions, _readout, _render
from ._assemble import Nets, assemble
from ._render import OWN, PIN

_NAMES = _render.Names()
_IGNORED = re.compile(
    r"\.(area|attr|cname|default_(input_arrival|input_drive|max_input_load|output_load|output_required)|delay"
    r"|input_arrival|input_drive|max_input_load|no_merge|output_load|output_required|param|search_path"
    r"|wire|wire_load_slope)"
)
"""What says nothing about the function."""


def pieces(net: Netlist, *, name: str = "lgc") -> Iterator[bytes]:
    """Yield `net` as BLIF, piece by piece; see `dump`."""
    yield "".join(f"# {line}\n" for line in _readout.lines(net)).encode()
    ports = [f".model {name}\n"]
    for word, prefix, count in ((".inputs", "x", net.inputs), (".outputs", "y", len(net.roots()))):
        names = _render.wrapped((f"{prefix}[{i}]" for i in range(count)), joint=" \\")
        ports.append(f"{word} {names}".rstrip() + "\n")
    yield "".join(ports).encode()
    yield from _render.luts(net, _template, names=_NAMES)
    constants = (f".names {OWN}\n", f".names {OWN}\n1\n", f".names {PIN[0]} {OWN}\n1 1\n")
    yield from _render.roots(net, constants, names=_NAMES, own=("y[", "]"))
    yield b".end\n"


def dump(net: Netlist, *, name: str = "lgc") -> bytes:
    """Write `net` as BLIF.

    Inputs are named `x[0]`, `x[1]` ..., outputs, which are `net.roots()`, `y[0]` ..., LUTs `n` and
    their signal. A readout goes into comment lines that `parse` restores it from; stages and origins
    are left out.

    Args:
        net: the netlist.
        name: of the model.
    """
    return b"".join(pieces(net, name=name))


def _template(function: int, pins: int) -> str:
    rows, value = _functions.cover(function, pins)
    if not pins:
        rows, value = ([""], "1") if function else ([], "1")
    return (
        ".names " + "".join(f"{PIN[i]} " for i in range(pins)) + OWN + "\n"
        + "".join(f"{row} {value}".lstrip() + "\n" for row in rows)
    )  # fmt: skip


def parse(data: bytes) -> Netlist:
    """Read BLIF: one model of `.names` with at most 6 inputs, in any order.

    Raises:
        LgcError: naming the line and the signal that is wrong: anything sequential or hierarchical,
            a bad cover, a signal driven twice or not at all, a cycle, a missing `.end`.
    """
    reader = _Reader()
    comments: list[tuple[str, str]] = []
    pending: list[str] = []  # lines that go on in the next one
    start = 0
    for number, raw in enumerate(data.decode("latin-1").split("\n"), 1):
        line = raw.rstrip()
        if "#" in line:
            line, _, comment = line.partition("#")
            comments.append((f"Line {number}", comment))
        if line.endswith("\\"):
            pending.append(line[:-1])
            start = start or number
        elif pending:
            reader.read(start, " ".join([*pending, line]))
            pending, start = [], 0
        elif line:
            reader.read(number, line)
    return _readout.restore(reader.netlist(number), comments)


_UNUSED = [[-1] * (6 - width) for width in range(7)]


class _Reader:
    """Collects lines into rows of nets, which get their final numbers at the end."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}
        self.inputs: dict[int, int] = {}  # net to the line that names it
        self.outputs: list[int] = []
        self.output_line = 0
        self.target: list[int] = []
        self.line: list[int] = []
        self.pins: list[int] = []
        self.table: list[int] = []
        self.row: list[str] = []
        self.row_line: list[int] = []
        self.width = -1
        self.seen_model = self.ended = False

    def net(self, name: str) -> int:
        return self.number.setdefault(name, len(self.number))

    def read(self, number: int, line: str) -> None:
        if line[0] != ".":
            self._row(number, line)
            return
        if self.width >= 0:
            self._close()
        words = line.split()
        word = words[0]
        if self.ended:
            raise LgcError(f"Line {number}: {word} after .end; only files of one model are read.")
        if word == ".names":
            self._names(number, words)
        elif word == ".inputs":
            self._inputs(number, words[1:])
        elif word == ".outputs":
            self.output_line = self.output_line or number
            self.outputs += [self.net(name) for name in words[1:]]
        elif word == ".model":
            if self.seen_model:
                raise LgcError(f"Line {number}: a second .model; only files of one model are read.")
            self.seen_model = True
        elif word == ".end":
            self.ended = True
        elif not _IGNORED.fullmatch(word):
            raise LgcError(f"Line {number}: {word} is not read.", hint=_remedy(word))

    def _inputs(self, number: int, names: list[str]) -> None:
        for name in names:
            net = self.net(name)
            if net in self.inputs:
                raise LgcError(f"Line {number}: {name} is an input already, by line {self.inputs[net]}.")
            self.inputs[net] = number

    def _names(self, number: int, words: list[str]) -> None:
        self.width = len(words) - 2
        if self.width < 0:
            raise LgcError(f"Line {number}: .names needs the name of a signal.")
        if self.width > 6:
            raise LgcError(
                f"Line {number}: {words[-1]} has {self.width} inputs, a LUT has at most 6.",
                hint="Map the network first, with ABC's 'if -K 6' for instance.",
            )
        known = self.number
        nets = [known.setdefault(name, len(known)) for name in words[1:]]
        self.line.append(number)
        self.target.append(nets.pop())
        self.pins += nets
        self.pins += _UNUSED[self.width]

    def _row(self, number: int, line: str) -> None:
        if line.isspace():
            return
        if self.width < 0:
            raise LgcError(f"Line {number}: expected a command such as .names, found {line[:60]!r}.")
        self.row.append(line)
        self.row_line.append(number)

    def _close(self) -> None:
        try:
            self.table.append(_table(self.width, tuple(self.row)))
        except _RowError as bad:
            names = list(self.number)
            raise LgcError(
                f"Line {self.row_line[bad.row]}: the cover of {names[self.target[-1]]} {bad}."
            ) from None
        if self.row:
            self.row, self.row_line = [], []
        self.width = -1

    def netlist(self, last: int) -> Netlist:
        if not self.ended:
            raise LgcError(f"Line {last}: the file ends without .end; it was cut short.")
        names = list(self.number)
        final = np.full(len(names) + 1, -1, np.int32)  # the last is for pins that are not there
        final[list(self.inputs)] = np.arange(len(self.inputs))
        others = np.flatnonzero(final[:-1] < 0)
        final[others] = np.arange(len(self.inputs), len(names))
        final += FIRST_INPUT
        final[-1] = 0
        spelt = np.argsort(final[:-1])
        pins = np.array(self.pins, np.int32).reshape(-1, 6)
        return assemble(
            Nets(
                inputs=len(self.inputs),
                nets=FIRST_INPUT + len(names),
                target=final[np.array(self.target, np.int32)],
                pins=final[pins],
                table=np.array(self.table, np.uint64),
                line=np.array(self.line, np.int64),
                outputs=final[np.array(self.outputs, np.int32)],
                output_line=self.output_line,
                name=lambda net: names[spelt[net - FIRST_INPUT]] if net >= FIRST_INPUT else str(net),
            )
        )


def _remedy(word: str) -> str:
    if word in {".latch", ".clock"}:
        return "A netlist is combinational: cut the registers out first."
    if word in {".subckt", ".gate", ".mlatch", ".exdc"}:
        return "Flatten the design to .names first, with ABC's 'strash; if -K 6' for instance."
    return "lgc knows .model, .inputs, .outputs, .names and .end."


class _RowError(Exception):
    """A row of a cover is wrong."""

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


@lru_cache(maxsize=1 << 16)
def _table(width: int, rows: tuple[str, ...]) -> int:
    """Truth table of a cover."""
    full = (1 << (1 << width)) - 1
    table, value = 0, ""
    for i, row in enumerate(rows):
        words = row.split()
        if width == 0:
            words.insert(0, "")
        if (
            len(words) != 2
            or len(words[0]) != width
            or words[1] not in {"0", "1"}
            or set(words[0]) - set("01-")
        ):
            raise _RowError(
                i, f"has the row {row.strip()[:40]!r}, expected {width} of 0, 1, - and then 0 or 1"
            )
        if value and value != words[1]:
            raise _RowError(i, "mixes rows for 0 and for 1")
        value = words[1]
        cube = full
        for v, letter in enumerate(words[0]):
            if letter != "-":
                one = int(_functions.VARIABLE[v]) & full
                cube &= one if letter == "1" else full ^ one
        table |= cube
    return full ^ table if value == "0" else table
