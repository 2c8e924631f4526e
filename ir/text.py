"""The text form of a netlist: what tests compare and people read. `parse(dump(net))` is `net`.

    netlist k=2 inputs=3
    %5 = lut 0x8 %2 %3
    %6 = lut 0x6 %4 %5 stage=1
    output %6
    class 0 = 1 + %5 - %6
    class 1 = 0 + 2 * %4

Signals 0 and 1 are the constants; LUTs are numbered in order after the inputs. Unused pins are
left out. A `#` starts a comment.
"""

from __future__ import annotations

import re

import numpy as np

from lgc.errors import LgcError

from .netlist import FIRST_INPUT, Netlist, table_dtype
from .readout import Readout
from .verify import check

_HEADER = re.compile(r"netlist k=([1-6]) inputs=(\d{1,9})$")
_LUT = re.compile(
    r"%(\d{1,9}) = lut 0x([0-9a-f]{1,16})((?: %\d{1,9})*)(?: stage=(\d{1,5}))?(?: origin=(\d{1,9}))?$"
)
_TERM = re.compile(r" ([+-]) (?:(\d{1,9}) \* )?%(\d{1,9})")


def dump(net: Netlist) -> str:
    """Write `net` as text."""
    lines = [f"netlist k={net.k} inputs={net.inputs}"]
    used = net.k - (np.cumprod(net.fanin[:, ::-1] == 0, axis=1).sum(axis=1) if net.luts else 0)
    rows = zip(net.fanin.tolist(), net.table.tolist(), np.broadcast_to(used, net.luts).tolist(), strict=True)
    for i, (fanin, table, pins) in enumerate(rows):
        line = f"%{net.first_lut + i} = lut {table:#x}" + "".join(f" %{s}" for s in fanin[:pins])
        line += f" stage={net.stage[i]}" if net.stage is not None else ""
        line += f" origin={net.origin[i]}" if net.origin is not None else ""
        lines.append(line)
    if net.outputs.size:
        lines.append("output" + "".join(f" %{s}" for s in net.outputs.tolist()))
    if net.readout is not None:
        lines += [_dump_class(net.readout, c) for c in range(net.readout.classes)]
    return "\n".join(lines) + "\n"


def _dump_class(head: Readout, c: int) -> str:
    entries = slice(int(head.start[c]), int(head.start[c + 1]))
    terms = zip(head.weight[entries].tolist(), head.signal[entries].tolist(), strict=True)
    return f"class {c} = {head.bias[c]}" + "".join(
        f" {'-' if w < 0 else '+'} {f'{abs(w)} * ' if abs(w) != 1 else ''}%{s}" for w, s in terms
    )


def parse(text: str) -> Netlist:
    """Read what `dump` writes.

    Raises:
        LgcError: naming the line that is wrong and what was expected.
    """
    numbered = [(n, line.split("#")[0].rstrip()) for n, line in enumerate(text.splitlines(), 1)]
    lines = [(n, line) for n, line in numbered if line]
    if not lines or (header := _HEADER.match(lines[0][1])) is None:
        raise LgcError("Line 1 of a netlist must read 'netlist k=K inputs=N'.")
    reader = _Reader(k=int(header[1]), inputs=int(header[2]))
    for number, line in lines[1:]:
        try:
            reader.read(line)
        except (ValueError, OverflowError) as error:
            raise LgcError(f"Line {number}: {error}") from None
    net = reader.netlist()
    check(net)
    return net


class _Reader:
    """Collects lines into arrays."""

    def __init__(self, *, k: int, inputs: int) -> None:
        self.k, self.inputs = k, inputs
        self.fanin: list[list[int]] = []
        self.table: list[int] = []
        self.stage: list[int] = []
        self.origin: list[int] = []
        self.outputs: list[int] = []
        self.bias: list[int] = []
        self.start: list[int] = [0]
        self.entries: list[tuple[int, int]] = []

    def read(self, line: str) -> None:
        word = line.split(maxsplit=1)[0]
        if word.startswith("%"):
            self._lut(line)
        elif word == "output":
            self.outputs += [self._signal(token) for token in line.split()[1:]]
        elif word == "class":
            self._class(line)
        else:
            raise ValueError(f"expected '%N = lut ...', 'output ...' or 'class ...', found {line[:60]!r}")

    def _signal(self, token: str) -> int:
        if not re.fullmatch(r"%\d{1,9}", token):
            raise ValueError(f"{token!r} is not a signal such as %7")
        return int(token[1:])

    def _lut(self, line: str) -> None:
        match = _LUT.match(line)
        if match is None:
            raise ValueError(f"a LUT reads '%N = lut 0xTABLE %A %B ...', found {line[:60]!r}")
        signal = FIRST_INPUT + self.inputs + len(self.table)
        pins = [int(token[1:]) for token in match[3].split()]
        if int(match[1]) != signal:
            raise ValueError(f"LUTs are numbered in order: expected %{signal}, found %{match[1]}")
        if len(pins) > self.k:
            raise ValueError(f"LUT %{signal} has {len(pins)} pins, k is {self.k}")
        if int(match[2], 16) >> (1 << self.k):
            raise ValueError(f"LUT %{signal} has table 0x{match[2]}, wider than 2**{self.k} bits")
        self.fanin.append(pins + [0] * (self.k - len(pins)))
        self.table.append(int(match[2], 16))
        for name, column, group in (("stage", self.stage, match[4]), ("origin", self.origin, match[5])):
            if group is not None:
                column.append(int(group))
            if len(column) not in (0, len(self.table)):
                raise ValueError(f"either every LUT has a {name} or none")

    def _class(self, line: str) -> None:
        match = re.match(r"class (\d+) = (-?\d{1,18})", line)
        if match is None or int(match[1]) != len(self.bias):
            raise ValueError(
                f"expected 'class {len(self.bias)} = BIAS + %A - 2 * %B ...', found {line[:60]!r}"
            )
        position = match.end()
        while position < len(line):
            term = _TERM.match(line, position)
            if term is None:
                raise ValueError(f"expected ' + %N' or ' - W * %N', found {line[position:][:40]!r}")
            weight = int(term[2] or 1)
            self.entries.append((int(term[3]), -weight if term[1] == "-" else weight))
            position = term.end()
        self.bias.append(int(match[2]))
        self.start.append(len(self.entries))

    def netlist(self) -> Netlist:
        readout = None
        if self.bias:
            entries = np.array(self.entries, np.int64).reshape(-1, 2).astype(np.int32)
            readout = Readout(
                bias=np.array(self.bias, np.int64),
                start=np.array(self.start, np.int64),
                signal=np.ascontiguousarray(entries[:, 0]),
                weight=np.ascontiguousarray(entries[:, 1]),
            )
        return Netlist(
            inputs=self.inputs,
            fanin=np.array(self.fanin, np.int32).reshape(-1, self.k),
            table=np.array(self.table, table_dtype(self.k)),
            outputs=np.array(self.outputs, np.int32),
            readout=readout,
            stage=np.array(self.stage, np.uint16) if self.stage else None,
            origin=np.array(self.origin, np.int32) if self.origin else None,
        )
