"""Structural Verilog in: what Yosys and ABC write for a mapped combinational network.

Read are one module of scalars and vectors, `assign` of expressions of `~ & | ^ ~^ ?:`, bit and part
selects, concatenations, replications, sized constants and `CONSTANT >> {...}` (Yosys' way to write a
`$lut`); the gate primitives; the cells `$_AND_` ... `$_OAI4_` and `$lut` of Yosys; LUT1 to LUT6, LUT4
of ECP5 and SB_LUT4 with their tables; the multiplexers and inverters next to them. Anything else is
refused with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from lgc.errors import LgcError

from ..netlist import FIRST_INPUT, Netlist
from . import _readout
from ._assemble import MAX_INPUTS, Nets, assemble
from ._verilog_cells import CELLS, ECP5, PRIMITIVES, TABLES
from ._verilog_expressions import (
    FULL,
    KEYWORDS,
    ONE,
    VARIABLE0,
    ZERO,
    Expression,
    RefusedError,
    Value,
    Vector,
    choose,
    constant,
    expand,
    repeat,
)

_SKIP = re.compile(r"//[^\n]*|/\*.*?\*/|\(\*.*?\*\)|\\\S+|/\*|\(\*|\"", re.DOTALL)
_WIRE = re.compile(r"\s+([A-Za-z_$\xff][\w$]*)\s*=")
_WORD = re.compile(r"[A-Za-z_$\xff][\w$]*")
_DIRECTIVE = re.compile(r"`(timescale|default_nettype|ifndef LGC_LUT_CELLS|endif)\b[^\n]*")
_REFERENCE = re.compile(r"(?<![\w'$.])([A-Za-z_$\xff][\w$]*(?:\[\d+\])?)")
_RANGE = re.compile(r"\[\s*(\d{1,9})\s*:\s*(\d{1,9})\s*\]")
_MODULE = re.compile(
    r"\s*+([A-Za-z_$\xff][\w$]*+)\s*+(#\s*+\((?:[^()]|\([^()]*+\))*+\)\s*+)?(?:\((.*)\))?", re.DOTALL
)
# possessive quantifiers keep the time linear in text that does not match
_INSTANCE = re.compile(
    r"([A-Za-z_$\xff][\w$]*+)\s*+(?:#\s*+\(((?:[^()]|\([^()]*+\))*+)\)\s*+)?([A-Za-z_$\xff][\w$]*+)?\s*+\((.*)\)$",
    re.DOTALL,
)
_PORT = re.compile(r"\s*\.\s*([A-Za-z_$\xff][\w$]*)\s*\(([^()]*)\)\s*(?:,|$)")
_DECLARATION = re.compile(
    r"\s*(?:(input|output|inout)\s+)?(?:(wire|tri|reg|logic)\b\s*)?(?:(signed)\s+)?"
    r"(\[\s*\d{1,9}\s*:\s*\d{1,9}\s*\])?\s*([A-Za-z_$\xff][\w$]*)?\s*",
)
Row = tuple[int, tuple[int, ...], int]
"""The net driven, the nets read, the table of 64 rows."""


def parse(data: bytes) -> Netlist:
    """Read structural Verilog; inputs and outputs follow the order of the ports, each from its bit 0.

    Raises:
        LgcError: naming the line and the signal that is wrong, or the construct that is not read.
    """
    text, comments, escaped = _clean(data.decode("latin-1"))
    reader = _Reader(escaped)
    line = 1
    for statement in text.split(";"):
        stripped = statement.lstrip()
        here = line + statement.count("\n", 0, len(statement) - len(stripped))
        line += statement.count("\n")
        try:
            reader.read(stripped.rstrip(), here)
        except RefusedError as refused:
            raise LgcError(f"Line {here}: {refused}.") from None
    return _readout.restore(reader.netlist(line), comments)


def _clean(text: str) -> tuple[str, list[tuple[str, str]], dict[str, str]]:
    """Blank comments and attributes, keeping lines, and give escaped names plain ones.

    Returns the text, `// lgc` comments with their place, and the spelling of each name made up.
    """
    comments: list[tuple[str, str]] = []
    escaped: dict[str, str] = {}
    plain: dict[str, str] = {}
    line = 1
    last = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal line, last
        found = match[0]
        if found[0] == "\\":
            name = found[1:]
            if name not in plain:
                keep = _WORD.fullmatch(name) and name not in KEYWORDS
                plain[name] = name if keep else f"\xff{len(plain)}"
                escaped[plain[name]] = name
            return plain[name] + " "
        line += text.count("\n", last, match.start())
        last = match.start()
        if found in {"/*", "(*", '"'}:
            what = (
                "a string is not read" if found == '"' else f"{found} is not closed; the file was cut short"
            )
            raise LgcError(f"Line {line}: {what}.")
        if found.startswith("//"):
            comments.append((f"Line {line}", found[2:]))
        return " " + "\n" * found.count("\n")

    text = _SKIP.sub(replace, text.replace("\xff", "?"))
    directives = list(re.finditer(r"`[^\n]*", text))
    for match in directives:
        if not _DIRECTIVE.fullmatch(match[0]):
            place = text.count("\n", 0, match.start()) + 1
            raise LgcError(f"Line {place}: the directive {match[0].strip()[:40]} is not read.")
    return (re.sub(r"`[^\n]*", "", text) if directives else text), comments, escaped


class _Reader:
    """Collects statements into rows of nets."""

    def __init__(self, escaped: dict[str, str]) -> None:
        self.escaped = escaped
        self.names: dict[str, Vector] = {}
        self.single: dict[str, int] = {}  # references to one bit, as they are spelt
        self.ports: list[str] = []
        self.way: dict[str, str] = {}
        self.nets = FIRST_INPUT
        self.state = "before"  # then "inside", "skipping" a cell's definition, "after"
        self.found = False
        self.target: list[int] = []
        self.pins: list[tuple[int, ...]] = []
        self.table: list[int] = []
        self.lines: list[int] = []
        self.line = 0
        # forms of statements over single bits: the bit driven, those read, the table
        self.shapes: dict[tuple[str, ...], Row | None] = {}

    def spell(self, name: str) -> str:
        """Return a name as the file has it."""
        return self.escaped.get(name, name)

    def read(self, text: str, line: int) -> None:
        """Read one statement."""
        self.line = line
        while text.startswith("endmodule") and self.state in {"inside", "skipping"}:
            self.found |= self.state == "inside"
            self.state = "after" if self.found else "before"
            text = text[9:].lstrip()
        if self.state == "skipping" or not text:
            return
        word = _WORD.match(text)
        keyword = word[0] if word else text[:20]
        rest = text[len(keyword) :]
        if self.state in {"before", "after"}:
            self._module(keyword, rest)
        elif keyword == "assign":
            self._assign(rest)
        elif keyword == "wire" and (match := _WIRE.match(rest)):
            self._name(match[1], "", "")
            self._assign(rest)
        elif keyword in {"input", "output", "inout", "wire", "tri"}:
            self._declare(text)
        elif word is None or keyword in KEYWORDS - PRIMITIVES.keys() - {"not", "buf"}:
            raise RefusedError(f"{text[:40]!r} is not read; expected a structural netlist")
        else:
            self._instance(text)

    def _module(self, keyword: str, rest: str) -> None:
        match = _MODULE.fullmatch(rest)
        if keyword != "module" or match is None:
            raise RefusedError(f"expected 'module NAME (PORTS);', found {(keyword + rest)[:40]!r}")
        if match[1] in TABLES:
            self.state = "skipping"
            return
        if self.state == "after":
            raise RefusedError(f"{self.spell(match[1])} is a second module; flatten the design first")
        if match[2]:
            raise RefusedError("a module with parameters is not read")
        self.state = "inside"
        ports = (match[3] or "").strip()
        if re.match(r"(input|output|inout)\b", ports):
            self._declare(ports, header=True)
        else:
            self.ports = [name.strip() for name in ports.split(",")] if ports else []
            for name in self.ports:
                if not _WORD.fullmatch(name):
                    raise RefusedError(f"{name[:40]!r} is no port")

    def _declare(self, text: str, *, header: bool = False) -> None:
        way, kind, span = "", "", ""
        at = 0
        while True:
            match = _DECLARATION.match(text, at)
            assert match is not None
            at = match.end()
            if match[1] or match[2]:
                way, kind, span = match[1] or "", match[2] or "wire", match[4] or ""
            if (
                not match[5]
                or match[3]
                or kind in {"reg", "logic"}
                or way == "inout"
                or (match[4] and match[4] != span)
            ):
                raise RefusedError(f"the declaration {text[:60]!r} is not read")
            self._name(match[5], span, way)
            if header:
                self.ports.append(match[5])
            if text[at : at + 1] == "=" and not header and not way:
                self._assign(match[5] + text[match.end(5) :])
                return
            if at == len(text):
                return
            if text[at] != ",":
                raise RefusedError(f"the declaration {text[:60]!r} is not read")
            at += 1

    def _name(self, name: str, span: str, way: str) -> None:
        if name in KEYWORDS:
            raise RefusedError(f"{name} is a keyword, not a name")
        bounds = _RANGE.fullmatch(span)
        first, last = (int(bounds[1]), int(bounds[2])) if bounds else (0, 0)
        found = self.names.get(name)
        size = abs(first - last) + 1
        shape = (min(first, last), size, first >= last, not span)
        if found is None:
            if self.nets + size > MAX_INPUTS * 4:
                raise RefusedError(f"{self.spell(name)} is too wide, with {size} bits")
            self.names[name] = Vector(self.nets, *shape)
            if size == 1:
                self.single[name] = self.nets
            self.nets += size
        elif (found.low, found.size, found.down, found.scalar) != shape or (way and name in self.way):
            raise RefusedError(f"{self.spell(name)} is declared twice")
        if way:
            self.way[name] = way

    def _bit(self, reference: str) -> int:
        """Return the net of a reference to one bit, such as `a` or `a[3]`; -1 if it is not that."""
        net = self.single.get(reference, -1)
        if net < 0 and reference[-1] == "]":
            name, _, index = reference[:-1].partition("[")
            vector = self.names.get(name)
            if vector is not None:
                net = self.single[reference] = self.index(name, vector, int(index[:10]))
        return net

    def index(self, name: str, vector: Vector, index: int) -> int:
        try:
            return vector.bit(index)
        except RefusedError:
            raise RefusedError(f"{self.spell(name)} has no bit {index}") from None

    def _assign(self, text: str) -> None:
        """Read `target = expression`: statements of a known form need no parsing."""
        parts = _REFERENCE.split(text)
        if self._known(tuple(parts[::2]), parts[1::2]):
            return
        left, equals, right = text.partition("=")
        if not equals:
            raise RefusedError(f"expected 'assign NET = EXPRESSION', found {text.strip()[:40]!r}")
        targets = self._targets(left)
        self._drive(targets, self._parser(right).right_side())

    def _known(self, shape: tuple[str, ...], references: list[str]) -> bool:
        """Read a statement of a form seen before, if it drives and reads single bits only.

        `shape` is its text around the references.
        """
        nets = [self._bit(reference) for reference in references]
        if not nets or min(nets) < 0:
            return False
        if shape not in self.shapes:
            self.shapes[shape] = self._row_of(shape)
        row = self.shapes[shape]
        if row is None:
            return False
        self._row(nets[row[0]], tuple([nets[slot] for slot in row[1]]), row[2])
        return True

    def _row_of(self, shape: tuple[str, ...]) -> Row | None:
        """Read a form with names in place of its references; None unless it is a single row."""
        scratch = _Reader({})
        text = shape[0]
        for i, part in enumerate(shape[1:]):
            scratch.names[f"\xffr{i}"] = Vector(i + FIRST_INPUT, 0, 1, True, True)
            text += f" \xffr{i} {part}"
        scratch.nets = len(shape) + 1
        try:
            if "=" in text:
                left, _, right = text.partition("=")
                scratch._drive(scratch._targets(left), scratch._parser(right).right_side())
            else:
                scratch._slow_instance(text)
        except RefusedError:
            return None
        if len(scratch.target) != 1:
            return None
        slots = tuple(net - FIRST_INPUT for net in scratch.pins[0])
        return scratch.target[0] - FIRST_INPUT, slots, scratch.table[0]

    def _parser(self, text: str) -> Expression:
        return Expression(self, text)

    def _targets(self, text: str) -> list[int]:
        bits = self._parser(text).right_side()
        if any(table != VARIABLE0 for _, table in bits):
            raise RefusedError(f"{text.strip()[:40]!r} cannot be driven")
        return [pins[0] for pins, _ in bits]

    def _drive(self, targets: list[int], bits: list[Value]) -> None:
        if len(bits) != len(targets):
            raise RefusedError(f"{len(bits)} bits are assigned to {len(targets)}; the widths must be equal")
        for target, (pins, table) in zip(targets, bits, strict=True):
            self._row(target, pins, table)

    def _row(self, target: int, pins: tuple[int, ...], table: int) -> None:
        self.target.append(target)
        self.pins.append(pins)
        self.table.append(table)
        self.lines.append(self.line)

    def combine(self, function: Callable[..., int], *values: Value) -> Value:
        """Return `function` of bits; where it has over 6 nets, an operand becomes a net of its own."""
        operands = list(values)
        nets = list(dict.fromkeys(net for pins, _ in operands for net in pins))
        while len(nets) > 6:
            widest = max(range(len(operands)), key=lambda i: len(operands[i][0]))
            self._row(self.nets, *operands[widest])
            operands[widest] = ((self.nets,), VARIABLE0)
            self.nets += 1
            nets = list(dict.fromkeys(net for pins, _ in operands for net in pins))
        places = {net: i for i, net in enumerate(nets)}
        tables = [expand(table, tuple([places[net] for net in pins])) for pins, table in operands]
        return tuple(nets), function(*tables) & FULL

    def lookup(self, table: int, inputs: list[Value]) -> Value:
        """Return the bit of `table` that up to 6 inputs select, the least significant first."""
        if all(plain == VARIABLE0 for _, plain in inputs):
            return tuple([pins[0] for pins, _ in inputs]), repeat(table, len(inputs))
        out = [ONE if table >> row & 1 else ZERO for row in range(1 << len(inputs))]
        for bit in inputs:
            out = [
                low if low == high else self.combine(choose, bit, high, low)
                for low, high in zip(out[::2], out[1::2], strict=True)
            ]
        return out[0]

    def _instance(self, text: str) -> None:
        """Read an instance; its cell and parameters are part of its form, its name is not."""
        parts = _REFERENCE.split(text)
        if len(parts) > 5 and not parts[0] and parts[4].lstrip()[:1] == "(":
            shape = (parts[1] + parts[2] + " u " + parts[4], *parts[6::2])
            if self._known(shape, parts[5::2]):
                return
        self._slow_instance(text)

    def _slow_instance(self, text: str) -> None:
        match = _INSTANCE.match(text)
        if match is None:
            raise RefusedError(
                f"{text[:40]!r} is not read; expected a cell such as 'LUT4 NAME (.PORT(NET), ...)'"
            )
        kind, parameters, _, arguments = match.groups()
        if kind in PRIMITIVES or kind in {"not", "buf"}:
            self._primitive(kind, self._parser(arguments).arguments())
        else:
            self._cell(kind, self._connections(kind, parameters or ""), self._connections(kind, arguments))

    def _connections(self, kind: str, text: str) -> dict[str, str]:
        """Return what is connected to each port, or the value of each parameter."""
        found: dict[str, str] = {}
        at, text = 0, text.strip()
        while at < len(text):
            match = _PORT.match(text, at)
            if match is None or match[1] in found:
                raise RefusedError(
                    f"the connections of {kind} are not read at {text[at : at + 40].strip()!r}"
                )
            found[match[1]] = match[2]
            at = match.end()
        return found

    def _primitive(self, kind: str, arguments: list[list[Value]]) -> None:
        if len(arguments) < 2 or any(len(bits) != 1 for bits in arguments):
            raise RefusedError(f"the gate {kind} needs an output and inputs of one bit each")
        outputs, inputs = arguments[:1], arguments[1:]
        if kind in {"not", "buf"}:
            outputs, inputs = arguments[:-1], arguments[-1:]
        value = inputs[0][0]
        if kind in PRIMITIVES:
            operator, inverted = PRIMITIVES[kind]
            for bits in inputs[1:]:
                value = self.combine(operator, value, bits[0])
        else:
            inverted = kind == "not"
        value = (value[0], value[1] ^ (FULL if inverted else 0))
        for bits in outputs:
            if bits[0][1] != VARIABLE0:
                raise RefusedError(f"the output of the gate {kind} must be a net")
            self._row(bits[0][0][0], *value)

    def _cell(self, kind: str, parameters: dict[str, str], ports: dict[str, str]) -> None:
        if kind == "$lut":
            inputs = self._take(kind, ports, "A")
            table = self._table(kind, parameters, "LUT", len(inputs))
            value = [self.lookup(table, inputs)]
            output = "Y"
        elif kind in TABLES:
            parameter, names, output = TABLES[kind] if "Z" not in ports or kind != "LUT4" else ECP5
            table = self._table(kind, parameters, parameter, len(names))
            value = [self.lookup(table, [self._one(kind, ports, name) for name in names])]
        elif kind in CELLS:
            names, output, function = CELLS[kind][0].split(), CELLS[kind][1], CELLS[kind][2]
            value = [self.combine(function, *(self._one(kind, ports, name) for name in names))]
        else:
            raise RefusedError(
                f"the cell {self.spell(kind)} is not read; map to gates or LUTs and flatten first"
            )
        if output in ports:
            self._drive(self._targets(ports.pop(output)), value)
        if ports:
            raise RefusedError(f"{kind} has no port {next(iter(ports))}")

    def _one(self, kind: str, ports: dict[str, str], port: str) -> Value:
        bits = self._take(kind, ports, port)
        if len(bits) != 1:
            raise RefusedError(f"port {port} of {kind} has one bit, {len(bits)} are connected")
        return bits[0]

    def _take(self, kind: str, ports: dict[str, str], port: str) -> list[Value]:
        text = ports.pop(port, "").strip()
        if not text:
            raise RefusedError(f"port {port} of {kind} is not connected")
        net = self._bit(text) if text in self.single else -1
        return [((net,), VARIABLE0)] if net >= 0 else self._parser(text).right_side()

    def _table(self, kind: str, parameters: dict[str, str], name: str, inputs: int) -> int:
        if inputs > 6:
            raise RefusedError(f"{kind} has {inputs} inputs, a LUT has at most 6")
        if name not in parameters:
            raise RefusedError(f"{kind} has no parameter {name}")
        value, _ = constant(parameters[name].strip())
        if value >> (1 << inputs):
            raise RefusedError(
                f"{kind} of {inputs} inputs has the table {parameters[name].strip()[:40]}, which is too wide"
            )
        return value

    def netlist(self, last: int) -> Netlist:
        """Return the netlist of all that was read; `last` is the number of lines."""
        if self.state != "after":
            raise LgcError(f"Line {last}: the file ends before endmodule; it was cut short.")
        for name in self.ports:
            if name not in self.way:
                raise LgcError(f"Line {last}: port {self.spell(name)} has no direction.")
        if len(set(self.ports)) < len(self.ports) or len(self.way) > len(self.ports):
            raise LgcError(f"Line {last}: the ports of the module and their declarations differ.")
        ports = {
            way: [n for p in self.ports if self.way[p] == way for n in self.names[p].bits()]
            for way in ("input", "output")
        }
        final = np.full(self.nets, -1, np.int32)
        final[:FIRST_INPUT] = (0, 1)
        final[ports["input"]] = FIRST_INPUT + np.arange(len(ports["input"]))
        others = np.flatnonzero(final < 0)
        final[others] = FIRST_INPUT + len(ports["input"]) + np.arange(len(others))
        pins = np.zeros((len(self.pins), 6), np.int32)
        count = np.fromiter(map(len, self.pins), np.int64, len(self.pins))
        flat = np.fromiter((net for row in self.pins for net in row), np.int32, int(count.sum()))
        pins[np.arange(6) < count[:, None]] = flat
        spelt = np.argsort(final)
        return assemble(
            Nets(
                inputs=len(ports["input"]),
                nets=self.nets,
                target=final[np.array(self.target, np.int32)],
                pins=final[pins],
                table=np.array(self.table, np.uint64),
                line=np.array(self.lines, np.int64),
                outputs=final[np.array(ports["output"], np.int32)],
                output_line=last,
                name=lambda net: self._spelt(int(spelt[net])),
            )
        )

    def _spelt(self, net: int) -> str:
        """Spell a net for an error."""
        for name, vector in self.names.items():
            if vector.base <= net < vector.base + vector.size:
                return self.spell(name) + ("" if vector.scalar else f"[{net - vector.base + vector.low}]")
        return "an expression" if net >= FIRST_INPUT else str(net)
