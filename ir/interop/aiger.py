"""AIGER, ASCII (`aag`) and binary (`aig`): and-inverter graphs, as ABC and model checkers read them.

Combinational networks only. (Biere, "The AIGER And-Inverter Graph (AIG) Format Version 20071012", and
Biere, Heljanko and Wieringa, "AIGER 1.9 And Beyond", 2011.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numba import njit

from lgc.errors import LgcError

from .._typing import I32x1, I32x2, I64x1, U64x1
from ..netlist import FIRST_INPUT, Netlist
from . import _functions, _readout, _render
from ._assemble import MAX_INPUTS, Nets, assemble

U8x1 = npt.NDArray[np.uint8]
_HEADER = re.compile(
    rb"(aag|aig) (\d{1,10}) (\d{1,10}) (\d{1,10}) (\d{1,10}) (\d{1,10})((?: \d{1,10}){0,4})\r?$"
)
_MAX_STEPS = 3 * _functions.MAX_NODES
_SYMBOL = re.compile(rb"[ilobcjf]\d+ ")


@dataclass(frozen=True)
class _Graph:
    """ANDs over literals `2 * variable + inverted`; variable 0 is constant 0, then come the inputs.

    Attributes:
        inputs: number of inputs.
        ands: int64 `[ands, 2]`, the larger operand first; AND i is variable `1 + inputs + i`.
        outputs: int64 `[outputs]`, literals.
    """

    inputs: int
    ands: I64x1
    outputs: I64x1


def pieces(net: Netlist, *, binary: bool = True) -> Iterator[bytes]:
    """Yield `net` as AIGER, piece by piece; see `dump`."""
    graph = _graph(net)
    first = 1 + graph.inputs
    ands = len(graph.ands)
    head = (
        f"{'aig' if binary else 'aag'} {graph.inputs + ands} {graph.inputs} 0 {len(graph.outputs)} {ands}\n"
    )
    outputs = "".join(f"{literal}\n" for literal in graph.outputs.tolist())
    if binary:
        yield (head + outputs).encode()
        out = np.empty(ands * 10, np.uint8)
        yield out[: _encode(graph.ands, first, out)].tobytes()
    else:
        inputs = "".join(f"{2 * i + 2}\n" for i in range(graph.inputs))
        yield (head + inputs + outputs).encode()
        rows = zip(range(2 * first, 2 * (first + ands), 2), *graph.ands.T.tolist(), strict=True)
        yield "".join([f"{out} {a} {b}\n" for out, a, b in rows]).encode()
    yield "".join(f"i{i} x[{i}]\n" for i in range(graph.inputs)).encode()
    yield "".join(f"o{i} y[{i}]\n" for i in range(len(graph.outputs))).encode()
    yield "".join(f"{line}\n" for line in ["c", *_readout.lines(net)]).encode()


def dump(net: Netlist, *, binary: bool = True) -> bytes:
    """Write `net` as AIGER.

    Each LUT becomes a small tree of ANDs, equal ANDs being shared. Inputs are named `x[0]` ...,
    outputs, which are `net.roots()`, `y[0]` .... A readout goes into the comments that `parse`
    restores it from; stages and origins are left out.

    Args:
        net: the netlist.
        binary: write the compact binary form (`.aig`) instead of ASCII (`.aag`).
    """
    return b"".join(pieces(net, binary=binary))


def as_gates(net: Netlist) -> Netlist:
    """Return `net` of 2-input gates: what `parse` makes of its `dump`."""
    gates = _literals(_graph(net)).netlist(2)
    return replace(gates, outputs=net.outputs, readout=net.readout).with_roots(gates.outputs)


def _graph(net: Netlist) -> _Graph:
    rows = _render.strip(net)
    functions = len(rows.functions)
    start, out = np.zeros(functions + 1, np.int64), np.zeros(functions, np.int32)
    steps = np.empty((functions * _MAX_STEPS, 2), np.int32)
    _programs(rows.functions, start, steps, out)
    capacity = int(np.diff(start)[rows.which].sum())
    ands = np.empty((capacity, 2), np.int64)
    literal = np.zeros(net.signals, np.int64)
    count = _expand(rows.pins, rows.which, start, steps, out, net.first_lut, literal, ands)
    return _Graph(net.inputs, ands[:count], literal[net.roots()])


@njit(cache=True, nogil=True)
def _programs(functions: U64x1, start: I64x1, steps: I32x2, out: I32x1) -> None:
    """ANDs of functions over literals `2 * n + inverted`, n being 0, the six pins, then the ANDs.

    Those of function f are `steps[start[f] : start[f + 1]]`, its literal is `out[f]`.
    """
    node = np.empty((_functions.MAX_NODES, 4), np.int32)
    at = np.empty(7 + _functions.MAX_NODES, np.int32)
    for f in range(len(functions)):
        pins = _functions.used_pins(functions[f])
        nodes, literal = _functions.circuit(functions[f], pins, 3, node)
        for n in range(pins + 1):
            at[n] = 2 * n
        first = end = start[f]
        for i in range(nodes):
            a = at[node[i, 1] >> 1] ^ (node[i, 1] & 1)
            b = at[node[i, 2] >> 1] ^ (node[i, 2] & 1)
            if node[i, 0] == _functions.AND:
                steps[end, 0], steps[end, 1] = a, b
                end += 1
                at[pins + 1 + i] = 2 * (6 + end - first)
                continue
            c = at[node[i, 3] >> 1] ^ (node[i, 3] & 1)
            one, other = (b ^ 1, b) if node[i, 0] == _functions.XOR else (b, c)
            steps[end, 0], steps[end, 1] = a, one
            steps[end + 1, 0], steps[end + 1, 1] = a ^ 1, other
            steps[end + 2, 0], steps[end + 2, 1] = 2 * (7 + end - first) ^ 1, 2 * (8 + end - first) ^ 1
            end += 3
            at[pins + 1 + i] = 2 * (6 + end - first) ^ 1
        start[f + 1] = end
        out[f] = at[literal >> 1] ^ (literal & 1)


@njit(cache=True, nogil=True)
def _expand(
    pins: I32x2,
    which: I64x1,
    start: I64x1,
    steps: I32x2,
    out: I32x1,
    first: int,
    literal: I64x1,
    ands: I64x1,
) -> int:
    """Replace LUTs by their programs; fills `literal` `[signals]` and `ands`, returns their number."""
    luts, k = pins.shape
    size = 1
    while size < 2 * len(ands):
        size *= 2
    slots = np.full(size, -1, np.int64)
    literal[1] = 1
    for s in range(2, first):
        literal[s] = 2 * (s - 1)
    base = first - 1
    count = 0
    local = np.zeros(7 + 256, np.int64)
    for i in range(luts):
        for pin in range(k):
            local[1 + pin] = literal[pins[i, pin]]
        w = which[i]
        for j in range(start[w], start[w + 1]):
            a = local[steps[j, 0] >> 1] ^ (steps[j, 0] & 1)
            b = local[steps[j, 1] >> 1] ^ (steps[j, 1] & 1)
            if a < b:
                a, b = b, a
            at = 7 + j - start[w]
            if b == 0 or a == b ^ 1:
                local[at] = 0
            elif a == b or b < 2:
                local[at] = a
            else:
                h = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(b) * np.uint64(
                    0xC2B2AE3D27D4EB4F
                )
                slot = np.int64((h ^ (h >> np.uint64(29))) & np.uint64(size - 1))
                while slots[slot] >= 0 and (ands[slots[slot], 0] != a or ands[slots[slot], 1] != b):
                    slot = (slot + 1) & (size - 1)
                if slots[slot] < 0:
                    slots[slot] = count
                    ands[count, 0], ands[count, 1] = a, b
                    count += 1
                local[at] = 2 * (base + slots[slot])
        literal[first + i] = local[out[w] >> 1] ^ (out[w] & 1)
    return count


@njit(cache=True, nogil=True)
def _encode(ands: I64x1, first: int, out: U8x1) -> int:
    """Write the differences of each AND's literals, 7 bits a byte; returns the number of bytes."""
    at = 0
    for i in range(len(ands)):
        for operand in range(2):
            number = ands[i, 0] - ands[i, 1] if operand else 2 * (first + i) - ands[i, 0]
            while number >= 0x80:
                out[at] = (number & 0x7F) | 0x80
                number >>= 7
                at += 1
            out[at] = number
            at += 1
    return at


@njit(cache=True, nogil=True)
def _decode(data: U8x1, at: int, first: int, ands: I64x1) -> tuple[int, int]:
    """Undo `_encode` from byte `at`; returns the AND where the data ends or is wrong, and the byte."""
    for i in range(len(ands)):
        last = np.int64(2 * (first + i))
        for operand in range(2):
            number, shift = np.int64(0), 0
            while True:
                if at >= len(data) or shift > 28:
                    return i, at
                byte = np.int64(data[at])
                at += 1
                number |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            last -= number
            if last < 0 or (operand == 0 and number == 0):
                return i, at
            ands[i, operand] = last
    return -1, at


def parse(data: bytes) -> Netlist:
    """Read AIGER in either form: 2-input LUTs, inverters folded into the tables.

    Raises:
        LgcError: naming the line, or the AND in the binary part, that is wrong: latches, literals out
            of range, variables driven twice or not at all, cycles, a file cut short.
    """
    line = data[: data.find(b"\n") + 1].rstrip(b"\n")
    match = _HEADER.match(line)
    if match is None:
        raise LgcError("Line 1: an AIGER file starts with 'aag M I L O A' or 'aig M I L O A'.")
    most, inputs, latches, outputs, ands = (int(match[i]) for i in range(2, 7))
    if latches or any(int(n) for n in match[7].split()):
        raise LgcError(
            "Line 1: the AIGER file has latches, properties or constraints.",
            hint="A netlist is combinational: cut the registers out first.",
        )
    if inputs > MAX_INPUTS:
        raise LgcError(f"Line 1: {inputs} inputs are more than the {MAX_INPUTS} that lgc reads.")
    if most < inputs + ands or most > 1 << 30:
        raise LgcError(f"Line 1: the largest variable is {most}, expected at least {inputs + ands}.")
    binary = match[1] == b"aig"
    needed = (2 * outputs + 2 * ands) if binary else 2 * (inputs + outputs) + 6 * ands
    if needed > len(data) - len(line):
        raise LgcError(
            f"Line 1: {inputs} inputs, {outputs} outputs and {ands} ANDs do not fit the "
            f"{len(data)} bytes of the file; it was cut short."
        )
    if binary:
        if most != inputs + ands:
            raise LgcError(f"Line 1: binary AIGER numbers variables without gaps, up to {inputs + ands}.")
        return _binary(data, len(line) + 1, inputs, outputs, ands)
    return _ascii(data, most, inputs, outputs, ands)


def _binary(data: bytes, at: int, inputs: int, outputs: int, ands: int) -> Netlist:
    *lines, rest = data[at:].split(b"\n", outputs)
    if len(lines) < outputs:
        raise LgcError(f"Line {2 + len(lines)}: the file ends before its outputs; it was cut short.")
    roots = [_numbers(line, 2 + i, 1, inputs + ands)[0] for i, line in enumerate(lines)]
    operands = np.empty((ands, 2), np.int64)
    bad, end = _decode(np.frombuffer(rest, np.uint8), 0, 1 + inputs, operands)
    if bad >= 0:
        raise LgcError(
            f"AND {bad} of {ands} (variable {1 + inputs + bad}) is cut short or "
            "reads a variable not before it."
        )
    netlist = _literals(_Graph(inputs, operands, np.array(roots, np.int64))).netlist(2)
    comments = _tail(rest[end:].split(b"\n"), "Line {} after the ANDs", 1)
    return _readout.restore(netlist, comments)


def _literals(graph: _Graph) -> _Literals:
    inputs, ands = graph.inputs, len(graph.ands)
    return _Literals(
        inputs=inputs,
        nets=FIRST_INPUT + inputs + ands,
        target=FIRST_INPUT + inputs + np.arange(ands),
        operands=_shifted(graph.ands),
        roots=_shifted(graph.outputs),
        line=np.zeros(ands, np.int64),
        name=lambda net: f"variable {net - 1}",
    )


def _shifted(literals: I64x1) -> I64x1:
    """Literals of variables as literals of nets: constant 1 is a net of its own."""
    return np.where(literals > 1, literals + 2, literals)


def _ascii(data: bytes, most: int, inputs: int, outputs: int, ands: int) -> Netlist:
    lines = data.split(b"\n")
    count = inputs + outputs + ands
    if len(lines) < 2 + count:
        raise LgcError(f"Line {len(lines)}: the file ends before its {ands} ANDs; it was cut short.")
    numbers: list[int] = []
    for i, line in enumerate(lines[1 : 1 + count]):
        numbers += _numbers(line, 2 + i, 1 if i < inputs + outputs else 3, most)
    found = np.array(numbers, np.int64)
    rows = found[inputs + outputs :].reshape(-1, 3)
    for driven, start, what in ((found[:inputs], 2, "input"), (rows[:, 0], 2 + inputs + outputs, "AND")):
        for i in np.flatnonzero((driven & 1 == 1) | (driven < 2))[:1]:
            raise LgcError(f"Line {start + i}: {driven[i]} is no {what}; expected an even literal from 2 on.")
    # variables may be numbered with gaps, nets are not: the constant, the inputs, all others
    variable, place = np.unique(np.concatenate([[0], found >> 1]), return_inverse=True)
    net = np.full(len(variable), -1, np.int64)
    net[place[1 : 1 + inputs]] = FIRST_INPUT + np.arange(inputs)
    for i in np.flatnonzero(net[place[1 : 1 + inputs]] != FIRST_INPUT + np.arange(inputs))[:1]:
        raise LgcError(f"Line {2 + i}: {found[i]} is an input already.")
    net[0] = 0
    others = np.flatnonzero(net < 0)
    net[others] = FIRST_INPUT + inputs + np.arange(len(others))
    literal = 2 * net[place[1:]] + (found & 1)
    rows = literal[inputs + outputs :].reshape(-1, 3)
    spelt = np.argsort(net)
    literals = _Literals(
        inputs=inputs,
        nets=FIRST_INPUT + inputs + len(others),
        target=rows[:, 0] >> 1,
        operands=rows[:, 1:],
        roots=literal[inputs : inputs + outputs],
        line=np.arange(ands) + 2 + inputs + outputs,
        name=lambda net: f"variable {variable[spelt[net - 1]]}",
    )
    comments = _tail(lines[1 + count :], "Line {}", 2 + count)
    return _readout.restore(literals.netlist(2 + inputs), comments)


def _numbers(line: bytes, number: int, count: int, most: int) -> list[int]:
    """Return the `count` literals of a line."""
    try:
        found = [int(word) for word in line.split()]
    except ValueError:
        found = []
    if len(found) != count or not line[:1].isdigit() or max(found) > 2 * most + 1 or min(found) < 0:
        raise LgcError(
            f"Line {number}: expected {count} literal{'s' * (count > 1)} from 0 to {2 * most + 1}, "
            f"found {line.decode('latin-1')[:60]!r}."
        )
    return found


def _tail(lines: list[bytes], place: str, number: int) -> list[tuple[str, str]]:
    """Check the symbol table; return the comments behind it, each with its place."""
    for i, line in enumerate(lines):
        if _SYMBOL.match(line) or not line.strip():
            continue
        if line[:1] != b"c":
            raise LgcError(
                f"{place.format(number + i)}: expected a symbol such as 'i0 name', or 'c', "
                f"found {line.decode('latin-1')[:60]!r}."
            )
        # ABC's own extensions follow the c without a line break
        rest = [line[1:], *lines[i + 1 :]]
        return [(place.format(number + j), text.decode("latin-1")) for j, text in enumerate(rest, i)]
    return []


@dataclass(frozen=True)
class _Literals:
    """A read graph: literals are `2 * net + inverted`, with constant 1 also as net 0 inverted."""

    inputs: int
    nets: int
    target: I64x1
    operands: I64x1
    roots: I64x1
    line: I64x1
    name: Callable[[int], str]

    def netlist(self, output_line: int) -> Netlist:
        """Choose which nets to store inverted, so that outputs need few inverters, and assemble."""
        roots, inverted = self.roots >> 1, (self.roots & 1).astype(np.bool_)
        roots, inverted = np.where(self.roots == 1, 1, roots), inverted & (self.roots != 1)
        flip = np.zeros(self.nets, np.bool_)
        flip[self.target] = True
        wanted = np.zeros((2, self.nets), np.bool_)
        wanted[0, roots[~inverted]] = True
        wanted[1, roots[inverted]] = True
        flip &= wanted[1] & ~wanted[0]
        a, b = self.operands[:, 0], self.operands[:, 1]
        row = 3 ^ (_is(a) ^ flip[a >> 1]) ^ 2 * (_is(b) ^ flip[b >> 1])
        table = (1 << row) ^ np.where(flip[self.target], 15, 0)
        need, position = np.unique(roots[inverted & ~flip[roots]], return_inverse=True)
        roots[inverted & ~flip[roots]] = self.nets + position
        pins = np.zeros((len(table) + len(need), 2), np.int32)
        pins[: len(table)] = self.operands >> 1
        pins[len(table) :, 0] = need
        return assemble(
            Nets(
                inputs=self.inputs,
                nets=self.nets + len(need),
                target=np.concatenate([self.target, self.nets + np.arange(len(need))]).astype(np.int32),
                pins=pins,
                table=np.concatenate([table, np.ones(len(need))]).astype(np.uint64),
                line=np.concatenate([self.line, np.full(len(need), output_line)]),
                outputs=roots.astype(np.int32),
                output_line=output_line,
                name=lambda net: self.name(net if net < self.nets else int(need[net - self.nets])),
            )
        )


def _is(literal: I64x1) -> I64x1:
    """1 for inverted literals, else 0."""
    return literal & 1
