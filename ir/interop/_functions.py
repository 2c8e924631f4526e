"""Truth tables as the formats need them: stripped of dead pins, as covers, as small circuits.

Everywhere here a function of up to 6 variables is a uint64 of all 64 rows: variables beyond the
function's own do not matter, so a table of fewer pins is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from .. import _cached  # noqa: F401 - before any kernel is loaded
from .._typing import I32x1, I32x2, U64x1

AND, XOR, MUX = 0, 1, 2
"""Kinds of `Circuit` nodes; a MUX's operands are the selector, the value if 1, the value if 0."""
_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
VARIABLE = np.array(
    [
        0xAAAAAAAAAAAAAAAA,
        0xCCCCCCCCCCCCCCCC,
        0xF0F0F0F0F0F0F0F0,
        0xFF00FF00FF00FF00,
        0xFFFF0000FFFF0000,
        0xFFFFFFFF00000000,
    ],
    np.uint64,
)
MAX_NODES = 64
"""A tree of five levels has 31 multiplexers; two ANDs may stand in for one."""


@njit(cache=True, nogil=True)
def low_cofactor(f: np.uint64, v: int) -> np.uint64:
    """Return `f` with variable `v` set to 0."""
    shift = np.uint64(1 << v)
    low: np.uint64 = f & ~VARIABLE[v]
    return low | (low << shift)


@njit(cache=True, nogil=True)
def high_cofactor(f: np.uint64, v: int) -> np.uint64:
    """Return `f` with variable `v` set to 1."""
    shift = np.uint64(1 << v)
    high: np.uint64 = f & VARIABLE[v]
    return high | (high >> shift)


@njit(cache=True, nogil=True)
def _drop(f: np.uint64, v: int, used: int) -> np.uint64:
    """Remove variable `v`, on which `f` does not depend; those above move down by one."""
    out = f
    for w in range(v, used - 1):  # swap v with its neighbour until it is on top
        a, b = VARIABLE[w], VARIABLE[w + 1]
        shift = np.uint64(1 << w)
        out = (out & ~(a ^ b)) | ((out & (a & ~b)) << shift) | ((out & (b & ~a)) >> shift)
    return out


@njit(cache=True, nogil=True)
def strip(table: np.uint64, pins: I32x1, k: int) -> tuple[np.uint64, int]:
    """Absorb constant, repeated and unread pins into the table, in place; keeps the pins' order.

    Pins not kept become 0. Returns the repeated table and the number of pins it depends on.
    """
    f = table
    for v in range(k, 6):
        f &= ~VARIABLE[v]
        f |= f << np.uint64(1 << v)
    used = k
    for v in range(k - 1, -1, -1):
        if pins[v] < 2:
            f = high_cofactor(f, v) if pins[v] == 1 else low_cofactor(f, v)
        else:
            for j in range(v):
                if pins[j] == pins[v]:
                    f = (high_cofactor(f, v) & VARIABLE[j]) | (low_cofactor(f, v) & ~VARIABLE[j])
                    break
        if low_cofactor(f, v) == high_cofactor(f, v):
            f = _drop(f, v, used)
            used -= 1
            for j in range(v, used):
                pins[j] = pins[j + 1]
            pins[used] = 0
    # setting a lower pin may have freed the function of a higher one
    for v in range(used - 1, -1, -1):
        if low_cofactor(f, v) == high_cofactor(f, v):
            f = _drop(f, v, used)
            used -= 1
            for j in range(v, used):
                pins[j] = pins[j + 1]
            pins[used] = 0
    return f, used


@njit(cache=True, nogil=True)
def strip_all(fanin: I32x2, table: U64x1, pins: I32x2, function: U64x1) -> None:
    """Fill `pins` `[luts, k]` and `function` `[luts]` with the stripped LUTs."""
    luts, k = fanin.shape
    for i in range(luts):
        for pin in range(k):
            pins[i, pin] = fanin[i, pin]
        function[i], _ = strip(table[i], pins[i], k)


@njit("UniTuple(uint64, 2)(uint64, uint64, int64, int32[:, :], int64)", cache=True, nogil=True)
def _isop(
    lower: np.uint64, upper: np.uint64, variables: int, cubes: I32x2, count: np.int64
) -> tuple[np.uint64, np.uint64]:
    """Append an irredundant cover between `lower` and `upper`; returns its table and the new count.

    `cubes[i]` holds the masks of the variables that are 0 and that are 1. (Minato, "Fast generation
    of prime-irredundant covers from binary decision diagrams", 1993.)
    """
    if lower == 0:
        return np.uint64(0), np.uint64(count)
    if upper == _FULL:
        cubes[count, 0] = 0
        cubes[count, 1] = 0
        return _FULL, np.uint64(count + 1)
    v = variables - 1
    while low_cofactor(lower, v) == high_cofactor(lower, v) and low_cofactor(upper, v) == high_cofactor(
        upper, v
    ):
        v -= 1
    lower0, lower1 = low_cofactor(lower, v), high_cofactor(lower, v)
    upper0, upper1 = low_cofactor(upper, v), high_cofactor(upper, v)
    cover0, end0 = _isop(lower0 & ~upper1, upper0, v, cubes, count)
    for i in range(count, np.int64(end0)):
        cubes[i, 0] |= 1 << v
    cover1, end1 = _isop(lower1 & ~upper0, upper1, v, cubes, np.int64(end0))
    for i in range(np.int64(end0), np.int64(end1)):
        cubes[i, 1] |= 1 << v
    rest = (lower0 & ~cover0) | (lower1 & ~cover1)
    both, end = _isop(rest, upper0 & upper1, v, cubes, np.int64(end1))
    return both | (cover0 & ~VARIABLE[v]) | (cover1 & VARIABLE[v]), end


@njit(cache=True, nogil=True)
def _cover(function: np.uint64, cubes: I32x2) -> int:
    """Fill `cubes` `[64, 2]` with an irredundant sum of products; returns the number of cubes."""
    _, end = _isop(function, function, 6, cubes, np.int64(0))
    return int(end)


def cover(function: int, pins: int) -> tuple[list[str], str]:
    """Return the smaller of the on-set and off-set covers: cubes such as `1-0`, and `1` or `0`.

    One of them is often much larger (OR is one off-set cube, or as many on-set cubes as pins), and
    tools that build ANDs from the cover as it stands keep the difference.
    """
    best: tuple[list[str], str] = ([], "")
    for value, table in (("1", function), ("0", function ^ int(_FULL))):
        cubes = np.zeros((64, 2), np.int32)
        rows = cubes[: _cover(np.uint64(table), cubes)].tolist()
        spelt = [
            "".join("0" if zero >> v & 1 else "1" if one >> v & 1 else "-" for v in range(pins))
            for zero, one in rows
        ]
        if not best[1] or _literals(spelt) < _literals(best[0]):
            best = (spelt, value)
    return best


def _literals(cubes: list[str]) -> tuple[int, int]:
    return len(cubes), sum(len(cube) - cube.count("-") for cube in cubes)


@njit(cache=True, nogil=True)
def circuit(function: np.uint64, pins: int, xor_cost: int, node: I32x2) -> tuple[int, int]:
    """Decompose by Shannon's expansion, the best variable of each cofactor found by trying all.

    Cofactors are numbered in base 3, digit v being the value of variable v or 2 where it is free.
    Fills `node` `[MAX_NODES, 4]`: kind and three literals `2 * n + inverted`, where n is 0 for
    constant 0, 1..pins for a pin, then the nodes in order. Returns the number of nodes and the
    literal of the function.
    """
    codes = 3**pins
    table = np.zeros(codes, np.uint64)
    cost = np.zeros(codes, np.int32)
    choice = np.full(codes, -1, np.int8)
    table[codes - 1] = function
    for code in range(codes - 1, -1, -1):
        rest, step = code, 1
        for v in range(pins):
            if rest % 3 == 2:
                table[code - 2 * step] = low_cofactor(table[code], v)
                table[code - step] = high_cofactor(table[code], v)
            rest //= 3
            step *= 3
    for code in range(codes):
        f = table[code]
        trivial = f == 0 or ~f == 0
        for v in range(pins):
            trivial = trivial or f == VARIABLE[v] or f == ~VARIABLE[v]
        if trivial:
            continue
        best = 1 << 30
        rest, step = code, 1
        for v in range(pins):
            if rest % 3 == 2:
                a, b = code - 2 * step, code - step
                f0, f1 = table[a], table[b]
                if f0 == f1:
                    here = cost[a]
                elif f0 == 0 or ~f0 == 0:
                    here = 1 + cost[b]
                elif f1 == 0 or ~f1 == 0:
                    here = 1 + cost[a]
                elif f0 == ~f1:
                    here = xor_cost + cost[a]
                elif f0 & ~f1 == 0 or f1 & ~f0 == 0:
                    here = 2 + cost[a] + cost[b]
                else:
                    here = 3 + cost[a] + cost[b]
                if here < best:
                    best = here
                    choice[code] = v
            rest //= 3
            step *= 3
        cost[code] = best
    needed = np.zeros(codes, np.bool_)
    needed[codes - 1] = True
    for code in range(codes - 1, -1, -1):
        if needed[code] and choice[code] >= 0:
            step = 3 ** choice[code]
            needed[code - 2 * step] = True
            needed[code - step] = True
    literal = np.zeros(codes, np.int32)
    made = np.zeros(MAX_NODES, np.uint64)
    count = 0
    for code in range(codes):
        if not needed[code]:
            continue
        f = table[code]
        found = 0
        if f == _FULL:
            literal[code] = 1
            continue
        if f == 0:
            continue
        for v in range(pins):
            if f == VARIABLE[v] or f == ~VARIABLE[v]:
                found = 2 * (v + 1) + (0 if f == VARIABLE[v] else 1)
        for i in range(count):
            if made[i] == f or made[i] == ~f:
                found = 2 * (pins + 1 + i) + (0 if made[i] == f else 1)
        if found:
            literal[code] = found
            continue
        v = choice[code]
        step = 3**v
        f0, f1 = table[code - 2 * step], table[code - step]
        x, a, b = 2 * (v + 1), literal[code - 2 * step], literal[code - step]
        kind, out, p, q, r = AND, 0, x, b, 0
        if f0 == f1:
            literal[code] = a
            continue
        if f0 == 0:
            pass
        elif f1 == 0:
            p, q = x ^ 1, a
        elif f0 == _FULL:  # ~x | f1
            q, out = b ^ 1, 1
        elif f1 == _FULL:  # x | f0
            p, q, out = x ^ 1, a ^ 1, 1
        elif f0 == ~f1:
            kind, q = XOR, a
        elif f0 & ~f1 == 0 or f1 & ~f0 == 0:  # one cofactor implies the other: f0 | x & f1
            if f1 & ~f0 == 0:
                x, a, b = x ^ 1, b, a
            node[count, 0], node[count, 1], node[count, 2] = AND, x, b
            inner = VARIABLE[v] if x & 1 == 0 else ~VARIABLE[v]
            made[count] = inner & (f1 if x & 1 == 0 else f0)
            p, q, out = a ^ 1, (2 * (pins + 1 + count)) ^ 1, 1
            count += 1
        else:
            kind, q, r = MUX, b, a
        node[count, 0], node[count, 1], node[count, 2], node[count, 3] = kind, p, q, r
        made[count] = ~f if out else f
        literal[code] = 2 * (pins + 1 + count) + out
        count += 1
    return count, literal[codes - 1]


@dataclass(frozen=True)
class Circuit:
    """A function as ANDs, XORs and multiplexers over literals `2 * n + inverted`.

    n is 0 for constant 0, `1 .. pins` for a pin, then the nodes in order.

    Attributes:
        pins: number of pins.
        nodes: `(kind, literal, literal, literal)` of each node; an AND or XOR uses the first two.
        out: literal of the function.
    """

    pins: int
    nodes: tuple[tuple[int, int, int, int], ...]
    out: int


def decompose(function: int, *, xor_cost: int) -> Circuit:
    """Return a small circuit of `function` (a table of 64 rows); an AND costs 1, a MUX 3."""
    pins = int(used_pins(np.uint64(function)))
    node = np.zeros((MAX_NODES, 4), np.int32)
    count, out = circuit(np.uint64(function), pins, xor_cost, node)
    return Circuit(pins, tuple((int(k), int(a), int(b), int(c)) for k, a, b, c in node[:count]), int(out))


@njit("int64(uint64)", cache=True, nogil=True)
def used_pins(function: np.uint64) -> int:
    """Return the number of pins of a stripped function, which depends on its first ones and no other."""
    pins = 0
    while pins < 6 and low_cofactor(function, pins) != high_cofactor(function, pins):
        pins += 1
    return pins
