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
from collections.abc import Iterator

import numpy as np
from numba import njit

from lgc.errors import LgcError

from ._typing import I32x2, U64x1
from .interop import _render
from .interop._assemble import MAX_INPUTS
from .interop._render import OWN, PIN, U8x1
from .netlist import FIRST_INPUT, Netlist, table_dtype
from .readout import Readout
from .verify import check

_HEADER = re.compile(r"netlist k=([1-6]) inputs=(\d{1,9})$")
_LUT = re.compile(
    r"%(\d{1,9}) = lut 0x([0-9a-f]{1,16})((?: %\d{1,9})*)(?: stage=(\d{1,5}))?(?: origin=(-?\d{1,9}))?$"
)
_NONE = -(1 << 31)
"""A first signal so low that rendering takes all numbers for LUTs."""
_TERM = re.compile(r" ([+-]) (?:(\d{1,9}) \* )?%(\d{1,9})")


def dump(net: Netlist) -> str:
    """Write `net` as text."""
    lines = [f"output{''.join(f' %{s}' for s in net.outputs.tolist())}"] if net.outputs.size else []
    if net.readout is not None:
        lines += [_dump_class(net.readout, c) for c in range(net.readout.classes)]
    luts = b"".join(_luts(net)).decode()
    return f"netlist k={net.k} inputs={net.inputs}\n{luts}" + "".join(f"{line}\n" for line in lines)


def _luts(net: Netlist) -> Iterator[bytes]:
    """Yield the lines of the LUTs."""
    used = net.k - np.cumprod(net.fanin[:, ::-1] == 0, axis=1).sum(axis=1).reshape(net.luts)
    distinct, which = np.unique(net.table, return_inverse=True)
    kinds, which = np.unique(which * 8 + used, return_inverse=True)
    columns = [net.fanin]
    tail = ""
    for name, column in (("stage", net.stage), ("origin", net.origin)):
        if column is not None:
            tail += f" {name}={PIN[net.k + len(columns) - 1]}"
            columns.append(column.astype(np.int32)[:, None])
    templates = [
        f"{OWN} = lut {int(distinct[kind // 8]):#x}{''.join(f' %{PIN[i]}' for i in range(kind % 8))}{tail}\n"
        for kind in kinds.tolist()
    ]
    plain = _render.Names(luts=("", ""))
    pins = np.hstack(columns) if len(columns) > 1 else net.fanin
    return _render.render(
        templates,
        which.astype(np.int64),
        pins,
        first=_NONE,
        names=plain,
        own=("%", ""),
        own_first=net.first_lut,
    )


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
    data = text.encode(errors="replace")
    at, number = 0, 0
    header = None
    while header is None and at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        line = _content(data[at:end].decode())
        at, number = end, number + 1
        header = _HEADER.match(line)
        if line and header is None:
            break
    if header is None:
        raise LgcError("Line 1 of a netlist must read 'netlist k=K inputs=N'.")
    if int(header[2]) > MAX_INPUTS:
        raise LgcError(f"Line {number}: {header[2]} inputs are more than the {MAX_INPUTS} that lgc reads.")
    reader = _Reader(k=int(header[1]), inputs=int(header[2]))
    found = reader.scan(np.frombuffer(data, np.uint8), data, at)
    for index, raw in enumerate(data[found:].decode().split("\n"), number + 1 + reader.scanned):
        if line := _content(raw):
            try:
                reader.read(line, index)
            except (ValueError, OverflowError) as error:
                raise LgcError(f"Line {index}: {error}") from None
    reader.check_roots()
    net = reader.netlist()
    check(net)
    return net


def _content(line: str) -> str:
    """Return a line without its comment and the space at its end."""
    return line.partition("#")[0].rstrip()


@njit(cache=True, nogil=True)
def _number(data: U8x1, at: int) -> tuple[int, int]:
    """Read up to 9 digits; returns the number, or -1, and the place behind."""
    start, value = at, 0
    while at < len(data) and 48 <= data[at] <= 57 and at - start < 10:
        value = value * 10 + data[at] - 48
        at += 1
    return (value if 1 <= at - start <= 9 else -1), at


@njit(cache=True, nogil=True)
def _word(data: U8x1, at: int, word: U8x1) -> int:
    """Return the place behind `word`, or a place behind all data."""
    if at + len(word) > len(data):
        return len(data) + 1
    for j in range(len(word)):
        if data[at + j] != word[j]:
            return len(data) + 1
    return at + len(word)


@njit(cache=True, nogil=True)
def _scan(
    data: U8x1,
    at: int,
    first: int,
    words: tuple[U8x1, U8x1, U8x1, U8x1],
    fanin: I32x2,
    table: U64x1,
    extra: I32x2,
) -> tuple[int, int]:
    """Read lines as `dump` writes them, up to the first that differs in anything.

    `words` are percent sign, text before the table, and before each of the two columns of `extra`, which
    are empty where there is none. Returns the number of LUTs and the place of that line.
    """
    k = fanin.shape[1]
    for count in range(len(table)):
        own, here = _number(data, _word(data, at, words[0]))
        here = _word(data, here, words[1])
        if own != first + count or here >= len(data):
            return count, at
        value, start = np.uint64(0), here
        while here < len(data) and here - start < 17:
            digit = data[here]
            if 48 <= digit <= 57:
                digit -= 48
            elif 97 <= digit <= 102:
                digit -= 87
            else:
                break
            value = (value << np.uint64(4)) | np.uint64(digit)
            here += 1
        if here == start or here - start > 16 or (k < 6 and value >> np.uint64(1 << k)):
            return count, at
        pins = 0
        while here + 1 < len(data) and data[here] == 32 and data[here + 1] == 37:
            signal, here = _number(data, here + 2)
            if pins == k or signal < 0 or signal >= own:
                return count, at
            fanin[count, pins] = signal
            pins += 1
        for pin in range(pins, k):
            fanin[count, pin] = 0
        for column in range(2):
            word = words[2] if column == 0 else words[3]
            if len(word):
                extra[count, column], here = _number(data, _word(data, here, word))
                if extra[count, column] < 0 or (column == 0 and extra[count, column] > 0xFFFF):
                    return count, at
        if here >= len(data) or data[here] != 10:
            return count, at
        table[count] = value
        at = here + 1
    return len(table), at


class _Reader:
    """Collects lines into arrays; a compiled scan takes the LUTs before the first unusual line."""

    def __init__(self, *, k: int, inputs: int) -> None:
        self.k, self.inputs = k, inputs
        self.scanned = 0
        self.scanned_fanin = np.empty((0, k), np.int32)
        self.scanned_table = np.empty(0, np.uint64)
        self.scanned_extra = np.empty((0, 2), np.int32)
        self.fanin: list[list[int]] = []
        self.table: list[int] = []
        self.stage: list[int] = []
        self.origin: list[int] = []
        self.outputs: list[int] = []
        self.bias: list[int] = []
        self.start: list[int] = [0]
        self.entries: list[tuple[int, int]] = []
        self.named: tuple[int, int] = (-1, 0)  # highest signal of an output or class, and its line

    @property
    def luts(self) -> int:
        return self.scanned + len(self.table)

    def scan(self, data: U8x1, raw: bytes, at: int) -> int:
        """Read LUTs from byte `at`; returns where the first line that is not read starts."""
        line = raw[at : raw.find(b"\n", at)]
        has = [b" stage=" in line, b" origin=" in line]
        if not line.startswith(b"%"):
            return at
        count = raw.count(b"\n%", at) + 1
        fanin, table = np.empty((count, self.k), np.int32), np.empty(count, np.uint64)
        extra = np.empty((count if any(has) else 1, 2), np.int32)
        percent, lut, stage, origin = (
            np.frombuffer(token, np.uint8)
            for token in (b"%", b" = lut 0x", b" stage=" * has[0], b" origin=" * has[1])
        )
        words = (percent, lut, stage, origin)
        self.scanned, at = _scan(data, at, FIRST_INPUT + self.inputs, words, fanin, table, extra)
        self.scanned_fanin, self.scanned_table = fanin[: self.scanned], table[: self.scanned]
        self.scanned_extra = extra[: self.scanned]
        if any(has):
            self.stage += self.scanned_extra[:, 0].tolist() if has[0] else []
            self.origin += self.scanned_extra[:, 1].tolist() if has[1] else []
        return at

    def read(self, line: str, number: int) -> None:
        word = line.split(maxsplit=1)[0]
        if word.startswith("%"):
            self._lut(line)
        elif word == "output":
            self.outputs += [self._root(self._signal(token), number) for token in line.split()[1:]]
        elif word == "class":
            self._class(line, number)
        else:
            raise ValueError(f"expected '%N = lut ...', 'output ...' or 'class ...', found {line[:60]!r}")

    def _signal(self, token: str) -> int:
        if not re.fullmatch(r"%\d{1,9}", token):
            raise ValueError(f"{token!r} is not a signal such as %7")
        return int(token[1:])

    def _root(self, signal: int, number: int) -> int:
        self.named = max(self.named, (signal, number))
        return signal

    def check_roots(self) -> None:
        """Raise `LgcError` if an output or class names a signal that does not exist."""
        signals = FIRST_INPUT + self.inputs + self.luts
        signal, number = self.named
        if signal >= signals:
            raise LgcError(
                f"Line {number}: an output or readout entry names signal %{signal}; "
                f"there are {signals} signals."
            )

    def _lut(self, line: str) -> None:
        match = _LUT.match(line)
        if match is None:
            raise ValueError(f"a LUT reads '%N = lut 0xTABLE %A %B ...', found {line[:60]!r}")
        signal = FIRST_INPUT + self.inputs + self.luts
        pins = [int(token[1:]) for token in match[3].split()]
        if int(match[1]) != signal:
            raise ValueError(f"LUTs are numbered in order: expected %{signal}, found %{match[1]}")
        if len(pins) > self.k:
            raise ValueError(f"LUT %{signal} has {len(pins)} pins, k is {self.k}")
        if int(match[2], 16) >> (1 << self.k):
            raise ValueError(f"LUT %{signal} has table 0x{match[2]}, wider than 2**{self.k} bits")
        if (late := max(pins, default=0)) >= signal:
            raise ValueError(f"LUT %{signal} reads %{late}; a LUT reads only signals before its own")
        self.fanin.append(pins + [0] * (self.k - len(pins)))
        self.table.append(int(match[2], 16))
        for name, column, group in (("stage", self.stage, match[4]), ("origin", self.origin, match[5])):
            if group is not None:
                if name == "stage" and int(group) > 0xFFFF:
                    raise ValueError(f"stage {group} is beyond {0xFFFF}")
                column.append(int(group))
            if len(column) not in (0, self.luts):
                raise ValueError(f"either every LUT has a {name} or none")

    def _class(self, line: str, number: int) -> None:
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
            self.entries.append((self._root(int(term[3]), number), -weight if term[1] == "-" else weight))
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
            fanin=np.concatenate([self.scanned_fanin, np.array(self.fanin, np.int32).reshape(-1, self.k)]),
            table=np.concatenate([self.scanned_table, np.array(self.table, np.uint64)]).astype(
                table_dtype(self.k)
            ),
            outputs=np.array(self.outputs, np.int32),
            readout=readout,
            stage=np.array(self.stage, np.uint16) if self.stage else None,
            origin=np.array(self.origin, np.int32) if self.origin else None,
        )
