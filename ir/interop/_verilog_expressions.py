"""Expressions of structural Verilog, and the names they are made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from . import _functions

_TOKEN = re.compile(r"\s*(\d*\s*'[sS]?[bBoOdDhH]\s*\w+|\d+|[A-Za-z_$\xff][\w$]*|>>|~\^|\^~|&&|\|\||\S)")
_WORD = re.compile(r"[A-Za-z_$\xff][\w$]*")
_DEPTH = 60
"""Parentheses nested deeper are refused."""
WIDEST = 1 << 20
"""Bits of the widest expression."""
KEYWORDS = frozenset(
    {"module", "endmodule", "input", "output", "inout", "wire", "assign", "and", "or", "not", "buf"}
    | {"nand", "nor", "xor", "xnor", "reg", "always", "initial", "parameter", "signed", "tri", "logic"}
)


Value = tuple[tuple[int, ...], int]
"""A bit as a function of up to 6 nets: the nets and the table of 64 rows."""
ZERO: Value = ((), 0)
ONE: Value = ((), (1 << 64) - 1)
FULL = (1 << 64) - 1
VARIABLE0 = int(_functions.VARIABLE[0])


class RefusedError(Exception):
    """A statement that is wrong or not read; the caller adds the line."""


@dataclass(frozen=True)
class Vector:
    """A declared name: its bits are the nets `base ..`, of index `low ..`; `down` as in [3:0]."""

    base: int
    low: int
    size: int
    down: bool
    scalar: bool

    def bits(self) -> list[int]:
        """Nets, the least significant first."""
        nets = list(range(self.base, self.base + self.size))
        return nets if self.down else nets[::-1]

    def bit(self, index: int) -> int:
        """Net of an index."""
        if self.scalar or not self.low <= index < self.low + self.size:
            raise RefusedError(f"bit {index} does not exist")
        return self.base + index - self.low


class Scope(Protocol):
    """What an expression needs of the module around it."""

    names: dict[str, Vector]

    def spell(self, name: str) -> str:
        """Return a name as the file has it."""

    def index(self, name: str, vector: Vector, index: int) -> int:
        """Return the net of an index."""

    def combine(self, function: Callable[..., int], *values: Value) -> Value:
        """Return a function of bits."""

    def lookup(self, table: int, inputs: list[Value]) -> Value:
        """Return the bit that a table gives for its inputs."""


def choose(s: int, a: int, b: int) -> int:
    return (s & a) | (~s & b)


def constant(text: str) -> tuple[int, int]:
    """Return value and width of a constant such as `4'h8`; an unsized one has 32 bits."""
    match = re.fullmatch(r"(\d{0,9})\s*'[sS]?([bBoOdDhH])\s*([0-9a-fA-F_]{1,300})|(\d{1,9})", text)
    if match is None:
        raise RefusedError(f"{text[:40]!r} is no constant of 0 and 1")
    if match[4]:
        return int(match[4]), 32
    width = int(match[1] or 32)
    if not 1 <= width <= WIDEST:
        raise RefusedError(f"the constant {text[:40]} has {width} bits")
    try:
        value = int(match[3].replace("_", "") or "x", {"b": 2, "o": 8, "d": 10, "h": 16}[match[2].lower()])
    except ValueError:
        raise RefusedError(f"{text[:40]!r} is no constant of 0 and 1") from None
    return value & ((1 << width) - 1), width


_LEVELS = (("||",), ("&&",), ("|",), ("^", "~^", "^~"), ("&",))
_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "||": lambda a, b: a | b,
    "&&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "~^": lambda a, b: ~(a ^ b),
    "^~": lambda a, b: ~(a ^ b),
    "&": lambda a, b: a & b,
}


class Expression:
    """Parses one expression to a list of bits, the least significant first."""

    def __init__(self, reader: Scope, text: str) -> None:
        self.reader = reader
        self.tokens = _TOKEN.findall(text.strip())
        self.tokens.reverse()
        self.depth = 0

    def _peek(self) -> str:
        return self.tokens[-1] if self.tokens else ""

    def _accept(self, token: str) -> bool:
        if self._peek() == token:
            self.tokens.pop()
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            raise RefusedError(f"expected {token!r}, found {self._peek()[:40] or 'the end'!r}")

    def right_side(self) -> list[Value]:
        """Parse all of the text; `CONSTANT >> {...}` is a table and its pins."""
        bits = self._ternary()
        if self._accept(">>"):
            table = sum(1 << i for i, bit in enumerate(bits) if bit == ONE)
            if any(bit not in (ZERO, ONE) for bit in bits):
                raise RefusedError("only a constant is shifted")
            pins = self._unary()
            if len(pins) > 6:
                raise RefusedError(f"a table of {len(pins)} inputs, a LUT has at most 6")
            bits = [self.reader.lookup(table & ((1 << (1 << len(pins))) - 1), pins)]
        self._end()
        return bits

    def arguments(self) -> list[list[Value]]:
        """Parse expressions between commas."""
        found = [self._ternary()]
        while self._accept(","):
            found.append(self._ternary())
        self._end()
        return found

    def _end(self) -> None:
        if self.tokens:
            raise RefusedError(f"{self._peek()[:40]!r} is not read here")

    def _ternary(self) -> list[Value]:
        self.depth += 1
        if self.depth > _DEPTH:
            raise RefusedError(f"the expression is nested more than {_DEPTH} deep")
        condition = self._binary(0)
        if self._accept("?"):
            one = self._ternary()
            self._expect(":")
            other = self._ternary()
            if len(condition) != 1 or len(one) != len(other):
                raise RefusedError("the operands of ?: differ in width")
            condition = [
                self.reader.combine(choose, condition[0], a, b) for a, b in zip(one, other, strict=True)
            ]
        self.depth -= 1
        return condition

    def _binary(self, level: int) -> list[Value]:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self._peek() in _LEVELS[level]:
            operator = self.tokens.pop()
            right = self._binary(level + 1)
            if len(left) != len(right) or (operator in {"||", "&&"} and len(left) != 1):
                raise RefusedError(f"the operands of {operator} differ in width")
            function = _OPERATORS[operator]
            left = [self.reader.combine(function, a, b) for a, b in zip(left, right, strict=True)]
        return left

    def _unary(self) -> list[Value]:
        inverted = narrow = False
        while self._peek() in {"~", "!"}:
            narrow |= self.tokens.pop() == "!"
            inverted = not inverted
        bits = self._primary(self.tokens.pop() if self.tokens else "")
        if narrow and len(bits) != 1:
            raise RefusedError("! is read for one bit only")
        return [(pins, table ^ FULL) for pins, table in bits] if inverted else bits

    def _primary(self, found: str) -> list[Value]:
        if found == "(":
            bits = self._ternary()
            self._expect(")")
            return bits
        if found == "{":
            return self._braces()
        if found[:1].isdigit() or found[:1] == "'":
            value, width = constant(found)
            return [ONE if value >> i & 1 else ZERO for i in range(width)]
        vector = self.reader.names.get(found)
        if vector is None:
            known = bool(_WORD.fullmatch(found)) and found not in KEYWORDS
            name = self.reader.spell(found)[:60] or "the end"
            raise RefusedError(f"{name} is not declared" if known else f"expected an operand, found {name!r}")
        nets = vector.bits()
        if self._accept("["):
            nets = self._select(found, vector)
        return [((net,), VARIABLE0) for net in nets]

    def _select(self, name: str, vector: Vector) -> list[int]:
        first = last = self._number()
        if self._accept(":"):
            last = self._number()
        self._expect("]")
        if (first < last) == vector.down and first != last:
            raise RefusedError(f"{self.reader.spell(name)}[{first}:{last}] runs against the declaration")
        ends = [self.reader.index(name, vector, index) for index in (min(first, last), max(first, last))]
        nets = list(range(ends[0], ends[1] + 1))
        return nets if vector.down else nets[::-1]

    def _number(self) -> int:
        token = self.tokens.pop() if self.tokens else ""
        if not re.fullmatch(r"\d{1,9}", token):
            raise RefusedError(f"expected a number, found {token[:40]!r}")
        return int(token)

    def _braces(self) -> list[Value]:
        times = 1
        repeated = self.tokens[-2:-1] == ["{"] and self._peek().isdigit()
        if repeated:
            times = self._number()
            self._expect("{")
        parts = [self._ternary()]
        while self._accept(","):
            parts.append(self._ternary())
        self._expect("}")
        width = times * sum(map(len, parts))
        if width > WIDEST:
            raise RefusedError(f"a concatenation of {width} bits is too wide")
        if repeated:
            self._expect("}")
        return [bit for part in reversed(parts) for bit in part] * times


def expand(table: int, places: tuple[int, ...]) -> int:
    """Return a table whose pin i is variable `places[i]`."""
    out = 0
    for row in range(64):
        old = 0
        for pin, place in enumerate(places):
            old |= (row >> place & 1) << pin
        out |= (table >> old & 1) << row
    return out


expand = lru_cache(maxsize=1 << 16)(expand)


def repeat(table: int, pins: int) -> int:
    """Return a table of `pins` pins as one of 64 rows."""
    for v in range(pins, 6):
        table |= table << (1 << v)
    return table
