"""One node on 64 samples: its polynomial in k pins, and the gradients, as straight-line vector code.

The monomials of pins 0 to h - 1 are P_a, those of the others Q_b, and coefficient `c[a + 2^h b]` goes with
P_a Q_b. The output `sum_ab c_ab P_a Q_b` is nested, one multiply-add per coefficient. Backwards, with
`R_b = sum_a c_ab P_a` and `G_a = sum_b c_ab Q_b`, the slope in an upper pin is a sum of 2^(k-h-1)
products of R and Q, that in a lower one of G and P, and the gradients of the coefficients are the
products of P and of Q times the output's gradient, summed over the samples: three multiply-adds per
coefficient, where going back through the nested form takes four.
"""
# mypy: disallow-untyped-decorators=False, disable-error-code="import-untyped"
# ruff: noqa: ARG001, D401 - arguments of compiled functions; what expressions are, not what they do

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from . import simd
from .simd import LANES, WIDTH, intrinsic, multiply_add

_ROWS = 16
"""Sums kept in registers at a time."""
_MUL = ("contract", "nsz")


class Code:
    """Where instructions go, and the flat arrays they address."""

    def __init__(self, context: Any, builder: Any, kinds: Sequence[Any], arrays: Sequence[Any]) -> None:
        self.builder = builder
        self.base = [
            context.make_array(kind)(context, builder, array).data
            for kind, array in zip(kinds, arrays, strict=True)
        ]

    def at(self, array: int, index: Any, more: int = 0) -> Any:
        """Address of an element, `more` elements on."""
        here = self.builder.gep(self.base[array], [index], inbounds=True)
        return self.builder.gep(here, [ir.Constant(ir.IntType(64), more)], inbounds=True) if more else here

    def numbers(self, array: int, index: Any, count: int) -> list[Any]:
        """Elements `index` to `index + count - 1`, whole numbers, in 64 bits."""
        wide = ir.IntType(64)
        return [self.builder.zext(self.builder.load(self.at(array, index, p)), wide) for p in range(count)]

    def rows(self, array: int, index: Any, count: int) -> list[Any]:
        """Where the rows begin whose numbers are elements `index` to `index + count - 1`."""
        lanes = ir.Constant(ir.IntType(64), LANES)
        return [self.builder.mul(number, lanes) for number in self.numbers(array, index, count)]

    def number(self, array: int, index: Any, more: int) -> Any:
        """An element broadcast to a vector."""
        return simd.broadcast(self.builder, self.builder.load(self.at(array, index, more)))

    def product(self, a: Any, b: Any) -> Any:
        """Product of two vectors, None being 1."""
        if a is None or b is None:
            return b if a is None else a
        return self.builder.fmul(a, b, flags=_MUL)

    def sum(self, a: Any, b: Any, c: Any) -> Any:
        """`a * b + c`, None being 1 as a factor and 0 as a summand."""
        if c is None:
            return self.product(a, b)
        if a is None or b is None:
            return self.builder.fadd(b if a is None else a, c, flags=_MUL)
        return multiply_add(self.builder, a, b, c)

    def nested(self, coefficients: Any, pins: Sequence[Any]) -> Any:
        """The polynomial in these pins with `coefficients(s)` at monomial s."""

        def fold(p: int, s: int) -> Any:
            if p < 0:
                return coefficients(s)
            return multiply_add(self.builder, pins[p], fold(p - 1, 2 * s + 1), fold(p - 1, 2 * s))

        return fold(len(pins) - 1, 0)

    def monomials(self, pins: Sequence[Any], first: Any = None) -> list[Any]:
        """Products of subsets of pins and `first`, None being 1."""
        out = [first]
        for pin in pins:
            out += [self.product(each, pin) for each in out]
        return out

    def slopes(self, factors: Sequence[Any], monomials: Sequence[Any], pins: int) -> list[Any]:
        """Derivatives of `sum_s factors[s] monomials[s]` in each pin."""
        out = []
        for p in range(pins):
            value = None
            for s in range(1 << pins):
                if s >> p & 1:
                    value = self.sum(factors[s], monomials[s ^ 1 << p], value)
            out.append(value)
        return out


def _literal(kind: Any) -> int:
    return int(kind.literal_value)


@intrinsic(prefer_literal=True)
def evaluate(_: Any, k: Any, x: Any, source: Any, first: Any, coef: Any, j: Any, out: Any, o: Any) -> Any:
    """Set `out[o : o + 64]` to the polynomial with coefficients `coef[j : j + 2**k]`.

    Pin p reads row `source[first + p]` of `x`, 64 elements; arrays are flat, offsets unsigned.
    """
    pins = _literal(k)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = (1, 2, 4, 6)
        code = Code(context, builder, [signature.args[i] for i in arrays], [args[i] for i in arrays])
        places = code.rows(1, args[3], pins)
        together = 4 if pins < 4 else 2
        for chunk in range(0, LANES, together * WIDTH):
            lanes = [chunk + i * WIDTH for i in range(together)]
            read = [[simd.read(builder, code.at(0, place, lane)) for place in places] for lane in lanes]
            numbers: dict[int, Any] = {}

            def coefficient(s: int) -> Any:
                if s not in numbers:  # noqa: B023
                    numbers[s] = code.number(2, args[5], s)  # noqa: B023
                return numbers[s]  # noqa: B023

            values = _interleaved(code, coefficient, read)
            for lane, value in zip(lanes, values, strict=True):
                simd.write(builder, code.at(3, args[7], lane), value)
        return context.get_dummy_value()

    offset = types.uint64
    return types.void(k, x, source, offset, coef, offset, out, offset), generate


def _interleaved(code: Code, coefficient: Any, chunks: Sequence[Sequence[Any]]) -> list[Any]:
    """The polynomial of several chunks of samples; a coefficient is used by all before the next."""

    def fold(p: int, s: int) -> list[Any]:
        if p < 0:
            return [coefficient(s)] * len(chunks)
        low, high = fold(p - 1, 2 * s), fold(p - 1, 2 * s + 1)
        return [
            multiply_add(code.builder, pins[p], b, a) for pins, a, b in zip(chunks, low, high, strict=True)
        ]

    return fold(len(chunks[0]) - 1, 0)


def _back(code: Code, k: int, want: bool, names: dict[str, Any], lane: int) -> tuple[list[Any], list[Any]]:
    """Add the pins' gradients on one chunk of samples; returns P and Q times the output's gradient."""
    builder = code.builder
    low = k - k // 2
    pins = [simd.read(builder, code.at(0, place, lane)) for place in names["places"]]
    u = simd.read(builder, code.at(3, names["u"], lane))
    lower, upper = code.monomials(pins[:low]), code.monomials(pins[low:])
    if want:
        columns: list[Any] = [None] * len(lower)
        rows: list[Any] = [None] * len(upper)
        for b, q in enumerate(upper):
            for a, p in enumerate(lower):
                if a or b:
                    number = names["coefficient"](a + (b << low))
                    rows[b] = code.sum(number, p, rows[b]) if b else None
                    columns[a] = code.sum(number, q, columns[a]) if a else None
        slopes = code.slopes(columns, lower, low) + code.slopes(rows, upper, k - low)
        for place, slope in zip(names["places"], slopes, strict=True):
            here = code.at(4, place, lane)
            simd.write(builder, here, multiply_add(builder, u, slope, simd.read(builder, here)))
    return lower, [code.product(u, each) for each in upper]


@intrinsic(prefer_literal=True)
def gradients(
    _: Any,
    k: Any,
    want: Any,
    x: Any,
    source: Any,
    start: Any,
    coef: Any,
    j: Any,
    y_grad: Any,
    g: Any,
    x_grad: Any,
    coef_grad: Any,
    h: Any,
    scratch: Any,
) -> Any:
    """Undo `evaluate`, the output's gradient being `y_grad[g : g + 64]`.

    Sets `coef_grad[h : h + 2**k]` and, if `want`, adds to the rows of `x_grad` that the
    pins read in `x`. `scratch` has 16 * 64 elements.
    """
    pins, wanted = _literal(k), bool(_literal(want))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = (2, 3, 5, 7, 9, 10, 12)
        code = Code(context, builder, [signature.args[i] for i in arrays], [args[i] for i in arrays])
        zero = ir.Constant(ir.IntType(64), 0)
        names = {"places": code.rows(1, args[4], pins), "u": args[8]}
        kept = {s: code.number(2, args[6], s) for s in range(1, 1 << pins)} if pins < 3 else {}

        def coefficient(s: int) -> Any:  # those of more pins would not stay in registers
            return kept[s] if kept else code.number(2, args[6], s)

        names["coefficient"] = coefficient
        low = pins - pins // 2
        count = 1 << pins
        if count <= _ROWS:
            sums: list[Any] = [None] * count
            for lane in range(0, LANES, WIDTH):
                lower, upper = _back(code, pins, wanted, names, lane)
                sums = [code.sum(lower[s & (1 << low) - 1], upper[s >> low], sums[s]) for s in range(count)]
            simd.write(builder, code.at(5, args[11]), simd.totals(builder, sums))
            return context.get_dummy_value()
        rows = 1 << low
        for lane in range(0, LANES, WIDTH):
            lower, upper = _back(code, pins, wanted, names, lane)
            for row, value in enumerate([*lower[1:], *upper], 1):
                simd.write(builder, code.at(6, zero, row * LANES + lane), value)
        for first in range(0, count, _ROWS):
            sums = [None] * _ROWS
            for lane in range(0, LANES, WIDTH):
                lower = [None] + [
                    simd.read(builder, code.at(6, zero, a * LANES + lane)) for a in range(1, rows)
                ]
                for s in range(first, first + _ROWS, rows):
                    value = simd.read(builder, code.at(6, zero, (rows + (s >> low)) * LANES + lane))
                    for a in range(rows):
                        i = s - first + a
                        sums[i] = code.sum(lower[a], value, sums[i])
            simd.write(builder, code.at(5, args[11], first), simd.totals(builder, sums))
        return context.get_dummy_value()

    offset = types.uint64
    return types.void(
        k, want, x, source, offset, coef, offset, y_grad, offset, x_grad, coef_grad, offset, scratch
    ), generate
