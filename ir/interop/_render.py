"""Netlists as lines of text: one template per distinct function, filled in by a compiled loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from .._typing import I32x2, I64x1, U64x1
from ..netlist import Netlist
from . import _functions

U8x1 = npt.NDArray[np.uint8]
PIN = "".join(map(chr, range(0x80, 0x88)))
"""In a template, `PIN[i]` stands for the name of pin i; 2 more columns than pins are possible."""
OWN = "\x8f"
"""In a template: the name of what the row drives."""
_ROWS = 1 << 16
"""Rows rendered at once: some megabytes of text."""


@dataclass(frozen=True)
class Names:
    """How signals are spelt: input i and LUT signal s, each between a prefix and a suffix."""

    inputs: tuple[str, str] = ("x[", "]")
    luts: tuple[str, str] = ("n", "")


@dataclass(frozen=True)
class Stripped:
    """A netlist's LUTs without constant, repeated and unread pins.

    Attributes:
        pins: int32 `[luts, k]`, 0 where a function needs fewer.
        functions: uint64 `[distinct]`, tables of 64 rows, ascending.
        which: int64 `[luts]`, each LUT's row of `functions`.
    """

    pins: I32x2
    functions: U64x1
    which: I64x1


def strip(net: Netlist) -> Stripped:
    """Strip the LUTs of `net`."""
    pins, function = np.empty_like(net.fanin), np.empty(net.luts, np.uint64)
    _functions.strip_all(net.fanin, net.table.astype(np.uint64), pins, function)
    functions, which = np.unique(function, return_inverse=True)
    return Stripped(pins, functions, which.astype(np.int64))


@njit(cache=True, nogil=True)
def _digits(number: int) -> int:
    digits = 1
    while number >= 10:
        number //= 10
        digits += 1
    return digits


@njit(cache=True, nogil=True)
def _put_name(
    out: U8x1, at: int, number: int, around: U8x1, split: int, write: bool
) -> int:  # `around` is prefix and suffix
    negative = number < 0
    number = abs(number)
    digits = _digits(number) + negative
    if write:
        for j in range(split):
            out[at + j] = around[j]
        for j in range(digits - 1, -1, -1):
            out[at + split + j] = 48 + number % 10
            number //= 10
        if negative:
            out[at + split] = 45
        for j in range(split, len(around)):
            out[at + digits + j] = around[j]
    return at + digits + len(around)


@njit(cache=True, nogil=True)
def _fill(
    text: U8x1,
    start: I64x1,
    which: I64x1,
    pins: I32x2,
    rows: tuple[int, int],
    first: int,
    own: int,
    x: tuple[U8x1, int],
    n: tuple[U8x1, int],
    y: tuple[U8x1, int],
    out: U8x1,
    write: bool,
) -> int:
    """Render rows `rows[0] .. rows[1] - 1` into `out`, or only measure them."""
    at = 0
    for i in range(rows[0], rows[1]):
        for c in range(start[which[i]], start[which[i] + 1]):
            code = text[c]
            if code < 0x80:
                if write:
                    out[at] = code
                at += 1
            elif code == 0x8F:
                at = _put_name(out, at, own + i, y[0], y[1], write)
            else:
                signal = pins[i, code - 0x80]
                if signal < first:
                    at = _put_name(out, at, signal - 2, x[0], x[1], write)
                else:
                    at = _put_name(out, at, signal, n[0], n[1], write)
    return at


def _around(name: tuple[str, str]) -> tuple[U8x1, int]:
    return np.frombuffer("".join(name).encode("latin-1"), np.uint8), len(name[0])


def render(
    templates: list[str],
    which: I64x1,
    pins: I32x2,
    *,
    first: int,
    names: Names,
    own: tuple[str, str],
    own_first: int,
) -> Iterator[bytes]:
    """Yield the text of all rows, row i being `templates[which[i]]` with the names filled in.

    Args:
        templates: ASCII with the placeholders `PIN` and `OWN`.
        which: int64 `[rows]`.
        pins: int32 `[rows, k]`, no constants where a template has a placeholder.
        first: the first signal that is not an input.
        names: spelling of the pins.
        own: prefix and suffix of the name for `OWN`.
        own_first: number in that name for row 0.
    """
    encoded = [template.encode("latin-1") for template in templates]
    text = np.frombuffer(b"".join(encoded), np.uint8)
    start = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    spelling = _around(names.inputs), _around(names.luts), _around(own)
    for low in range(0, len(which), _ROWS):
        rows = (low, min(low + _ROWS, len(which)))
        common = (text, start, which, pins, rows, first, own_first, *spelling)
        out = np.empty(_fill(*common, np.empty(0, np.uint8), False), np.uint8)
        _fill(*common, out, True)
        yield out.tobytes()


def luts(net: Netlist, template: Callable[[int, int], str], *, names: Names) -> Iterator[bytes]:
    """Yield a line for each LUT; `template(function, pins)` is its text."""
    rows = strip(net)
    templates = [template(f, _functions.used_pins(f)) for f in rows.functions.tolist()]
    return render(
        templates,
        rows.which,
        rows.pins,
        first=net.first_lut,
        names=names,
        own=names.luts,
        own_first=net.first_lut,
    )


def roots(
    net: Netlist, templates: tuple[str, str, str], *, names: Names, own: tuple[str, str]
) -> Iterator[bytes]:
    """Yield a line for each of `net.roots()`, from the templates for constant 0, 1 and a signal."""
    signal = net.roots()
    which = np.minimum(signal, 2).astype(np.int64)
    return render(
        list(templates), which, signal[:, None], first=net.first_lut, names=names, own=own, own_first=0
    )


def wrapped(words: Iterator[str], *, joint: str, indent: str = "", every: int = 10) -> str:
    """Join words, `every` to a line, with `joint` at the end of each line but the last."""
    listed = list(words)
    lines = [" ".join(listed[i : i + every]) for i in range(0, len(listed), every)]
    return (joint + "\n" + indent).join(lines)


def expression(circuit: _functions.Circuit, *, mux: str) -> str:
    """Return a circuit as an expression of ~ & | ^ over `PIN`s, the same in C and in Verilog.

    `mux` is the format of a multiplexer of `{s}`, `{a}` (if 1) and `{b}`.
    """
    terms = [("0", "1")]  # plain and inverted text of each node, ready to be an operand
    terms += [(PIN[i], "~" + PIN[i]) for i in range(circuit.pins)]
    for kind, a, b, c in circuit.nodes:
        one, other, third = (terms[literal >> 1][literal & 1] for literal in (a, b, c))
        if kind == _functions.AND and a & b & 1:
            either = f"({terms[a >> 1][0]} | {terms[b >> 1][0]})"
            terms.append((f"~{either}", either))
        elif kind == _functions.MUX:
            text = mux.format(s=one, a=other, b=third)
            terms.append((f"({text})", f"~({text})"))
        else:
            text = f"({one} {'&^'[kind]} {other})"
            terms.append((text, "~" + text))
    text = terms[circuit.out >> 1][circuit.out & 1]
    return text[1:-1] if text.startswith("(") and _matches(text) else text


def _matches(text: str) -> bool:
    """Whether the first parenthesis closes at the very end."""
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return i == len(text) - 1
    return False
