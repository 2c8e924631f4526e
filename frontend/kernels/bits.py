"""One node whose pins are bits: 64 samples of a pin are a 64-bit word, sample s being bit s.

A bit selects: the truth table's entry that a node outputs, the slope of its polynomial in a pin, and to
which sums the gradient of its output is added. Where the processor can permute a whole vector by a
vector of indices (AVX-512), tables of four pins and more are looked up by the samples' addresses, else
entries are chosen pin by pin. Both give the same numbers.
"""
# mypy: disallow-untyped-decorators=False, disable-error-code="import-untyped,no-untyped-call"
# ruff: noqa: ARG001, D401 - arguments of compiled functions; what expressions are, not what they do

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core import config as _config

from . import simd
from .polynomial import Code
from .simd import LANES, WIDTH, intrinsic

ADDRESSED = 5
"""From so many pins on, gradients are summed address by address, else under a mask for each entry."""

_WIDE, _SHORT, _BYTE, _BIT = ir.IntType(64), ir.IntType(16), ir.IntType(8), ir.IntType(1)
_F, _I = ir.FloatType(), ir.IntType(32)
_V, _IV = ir.VectorType(_F, WIDTH), ir.VectorType(_I, WIDTH)
_MASK = ir.VectorType(_BIT, WIDTH)
_BYTES, _BITS = ir.VectorType(_BYTE, LANES), ir.VectorType(_BIT, LANES)


@cache
def permutes() -> bool:
    """Whether what numba compiles for can permute vectors and bits by indices."""
    config: Any = _config
    if config.CPU_FEATURES is not None:
        known = set(str(config.CPU_FEATURES).split(","))
        return {"+avx512f", "+avx512bitalg"} <= known
    if config.CPU_NAME:
        return False
    features = llvm.get_host_cpu_features()
    return bool(features.get("avx512f") and features.get("avx512bitalg"))


def _call(builder: Any, name: str, result: Any, given: Sequence[Any]) -> Any:
    kind = ir.FunctionType(result, [each.type for each in given])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), given)


def _all(value: int, kind: Any) -> Any:
    """The vector whose elements are all this number."""
    return ir.Constant(kind, [value] * kind.count)


def _mask(builder: Any, word: Any, lane: int) -> Any:
    """Bits `lane` to `lane + 15` of a word."""
    part = builder.lshr(word, _WIDE(lane)) if lane else word
    return builder.bitcast(builder.trunc(part, _SHORT), _MASK)


def _address(builder: Any, masks: Sequence[Any], kind: Any) -> Any:
    """The sum of 2^p where the p-th mask is set, a vector of whole numbers."""
    out = _all(0, kind)
    for p, mask in enumerate(masks):
        out = builder.or_(out, builder.select(mask, _all(1 << p, kind), _all(0, kind)))
    return out


def _chosen(builder: Any, entries: Sequence[Any], masks: Sequence[Any]) -> Any:
    """Of 2^k vectors the one that k masks address, lane by lane."""
    level = list(entries)
    for mask in masks:
        level = [builder.select(mask, b, a) for a, b in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def _permuted(builder: Any, table: Sequence[Any], address: Any, masks: Sequence[Any]) -> Any:
    """The entries of a table of 16, 32 or 64, as vectors of 16, at `address`; `masks` are its bits."""
    if len(table) == 1:
        return _call(builder, "llvm.x86.avx512.permvar.sf.512", _V, [table[0], address])
    pairs = [
        _call(builder, "llvm.x86.avx512.vpermi2var.ps.512", _V, [a, address, b])
        for a, b in zip(table[::2], table[1::2], strict=True)
    ]
    return _chosen(builder, pairs, masks[5:])


def _without(builder: Any, address: Any, p: int) -> Any:
    """Take bit p out of addresses: those above move down."""
    low = _all((1 << p) - 1, _IV)
    above = builder.and_(builder.lshr(address, _all(1, _IV)), _all(-(1 << p), _IV))
    return builder.or_(builder.and_(address, low), above)


def _steps(builder: Any, table: Sequence[Any], p: int) -> list[Any]:
    """By how much each entry grows if pin p becomes 1, in a table of 2^k entries as vectors of 16.

    Of up to 32 entries the table has as many, of 64 half: those whose addresses lack bit p.
    """
    if p >= 4:
        bit = 1 << (p - 4)
        halves = [(i, i | bit) for i in range(len(table)) if not i & bit]
        found = {i: builder.fsub(table[j], table[i]) for i, j in halves}
        return [found[i & ~bit] for i in range(len(table))] if len(table) < 4 else list(found.values())
    bit = 1 << p
    if len(table) < 4:
        return [
            builder.fsub(
                simd.shuffle(builder, each, each, [lane | bit for lane in range(WIDTH)]),
                simd.shuffle(builder, each, each, [lane & ~bit for lane in range(WIDTH)]),
            )
            for each in table
        ]
    clear = [lane for lane in range(2 * WIDTH) if not lane & bit]
    return [
        builder.fsub(
            simd.shuffle(builder, a, b, [lane | bit for lane in clear]), simd.shuffle(builder, a, b, clear)
        )
        for a, b in zip(table[::2], table[1::2], strict=True)
    ]


def _mux(builder: Any, pins: Sequence[Any], table: Any) -> Any:
    """Word of the entries that words of pins address in a truth table, entry r being bit r."""

    def entry(r: int) -> Any:  # all ones, or zero
        return builder.ashr(builder.shl(table, _WIDE(63 - r)), _WIDE(63))

    level = [entry(r) for r in range(1 << len(pins))]
    for pin in pins:
        level = [
            builder.xor(a, builder.and_(pin, builder.xor(a, b)))
            for a, b in zip(level[::2], level[1::2], strict=True)
        ]
    return level[0]


def _literal(kind: Any) -> int:
    return int(kind.literal_value)


def _words(code: Code, first: Any, count: int) -> list[Any]:
    """Words, array 0, of the pins whose numbers array 1 has from `first` on."""
    return [code.builder.load(code.at(0, number)) for number in code.numbers(1, first, count)]


@intrinsic(prefer_literal=True)
def output(_: Any, k: Any, permute: Any, x: Any, source: Any, first: Any, table: Any) -> Any:
    """Word of a node's outputs: pin p reads `x[source[first + p]]`, `table` is its truth table."""
    pins, fast = _literal(k), bool(_literal(permute))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature.args[2:4], args[2:4])
        words = _words(code, args[4], pins)
        if not fast or pins < 4:
            return _mux(builder, words, args[5])
        address = _address(builder, [builder.bitcast(word, _BITS) for word in words], _BYTES)
        eight = ir.VectorType(_WIDE, 8)
        whole = builder.insert_element(ir.Constant(eight, ir.Undefined), args[5], _I(0))
        whole = simd.shuffle(builder, whole, whole, [0] * 8)
        given = [builder.bitcast(whole, _BYTES), address]
        return builder.bitcast(_call(builder, "llvm.x86.avx512.vpshufbitqmb.512", _BITS, given), _WIDE)

    return types.uint64(k, permute, x, source, types.uint64, types.uint64), generate


@intrinsic(prefer_literal=True)
def look_up(
    _: Any, k: Any, permute: Any, x: Any, source: Any, first: Any, table: Any, j: Any, out: Any, o: Any
) -> Any:
    """Set `out[o : o + 64]` to the entries of `table[j : j + 2**k]`, float32, that the pins address."""
    pins, fast = _literal(k), bool(_literal(permute))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = (2, 3, 5, 7)
        code = Code(context, builder, [signature.args[i] for i in arrays], [args[i] for i in arrays])
        words = _words(code, args[4], pins)
        fast_here = fast and pins >= 4
        entries = _entries(code, 2, args[6], pins, fast_here)
        for lane in range(0, LANES, WIDTH):
            masks = [_mask(builder, word, lane) for word in words]
            if fast_here:
                value = _permuted(builder, entries, _address(builder, masks, _IV), masks)
            else:
                value = _chosen(builder, entries, masks)
            simd.write(builder, code.at(3, args[8], lane), value)
        return context.get_dummy_value()

    offset = types.uint64
    return types.void(k, permute, x, source, offset, table, offset, out, offset), generate


def _entries(code: Code, array: int, first: Any, pins: int, fast: bool) -> list[Any]:
    """A table's entries: vectors of 16 of them, or a vector full of each."""
    if fast:
        return [simd.read(code.builder, code.at(array, first, r)) for r in range(0, 1 << pins, WIDTH)]
    return [code.number(array, first, r) for r in range(1 << pins)]


@intrinsic(prefer_literal=True)
def gradients(
    _: Any,
    k: Any,
    permute: Any,
    want: Any,
    x: Any,
    source: Any,
    first: Any,
    table: Any,
    j: Any,
    y_grad: Any,
    g: Any,
    x_grad: Any,
    place: Any,
    at: Any,
    table_grad: Any,
    h: Any,
    address: Any,
) -> Any:
    """Undo `look_up`, the output's gradient being `y_grad[g : g + 64]`.

    If `want`, adds to the rows `place[at + p]` of `x_grad`. Below `ADDRESSED` pins, sets
    `table_grad[h : h + 2**k]` to the gradients of the table's entries; else sets `address`, int32 `[64]`,
    from which they are to be found.
    """
    pins, fast, wanted = _literal(k), bool(_literal(permute)), bool(_literal(want))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = (3, 4, 6, 8, 10, 11, 13, 15)
        code = Code(context, builder, [signature.args[i] for i in arrays], [args[i] for i in arrays])
        words = _words(code, args[5], pins)
        fast_here = fast and pins >= 4
        sums: list[Any] = [None] * (1 << pins if pins < ADDRESSED else 0)
        steps: list[list[Any]] = []
        places: list[Any] = []
        if wanted:
            places = code.rows(5, args[12], pins)
            entries = _entries(code, 2, args[7], pins, fast_here)
            for p in range(pins):
                if fast_here:
                    steps.append(_steps(builder, entries, p))
                    continue
                pairs = [(r, r | 1 << p) for r in range(1 << pins) if not r >> p & 1]
                steps.append([builder.fsub(entries[b], entries[a]) for a, b in pairs])
        for lane in range(0, LANES, WIDTH):
            masks = [_mask(builder, word, lane) for word in words]
            u = simd.read(builder, code.at(3, args[9], lane))
            spot = _address(builder, masks, _IV) if pins >= ADDRESSED or (fast_here and wanted) else None
            if pins >= ADDRESSED:
                here = code.at(7, _WIDE(lane))
                simd.write(builder, here, spot)
            for p, row in enumerate(places):
                others = masks[:p] + masks[p + 1 :]
                if not fast_here:
                    slope = _chosen(builder, steps[p], others)
                elif pins == 6:
                    slope = _permuted(builder, steps[p], _without(builder, spot, p), others)
                else:
                    slope = _permuted(builder, steps[p], spot, masks)
                here = code.at(4, row, lane)
                simd.write(builder, here, simd.multiply_add(builder, u, slope, simd.read(builder, here)))
            reached: list[Any] = [None] if sums else []
            for mask in masks if sums else []:
                both = (builder.not_(mask), mask)
                reached = [m if e is None else builder.and_(e, m) for m in both for e in reached]
            for s, mask in enumerate(reached):
                value = builder.select(mask, u, simd.constant([0.0] * WIDTH))
                sums[s] = value if sums[s] is None else builder.fadd(sums[s], value)
        if sums:
            simd.write(builder, code.at(6, args[14]), simd.totals(builder, sums))
        return context.get_dummy_value()

    n = types.uint64
    kinds = (k, permute, want, x, source, n, table, n, y_grad, n, x_grad, place, n, table_grad, n, address)
    return types.void(*kinds), generate


@intrinsic
def row_word(_: Any, row: Any, o: Any) -> Any:
    """Word of which elements of `row[o : o + 64]` are positive."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature.args[:1], args[:1])
        word, zero = _WIDE(0), simd.constant([0.0] * WIDTH)
        for lane in range(0, LANES, WIDTH):
            positive = builder.fcmp_ordered(">", simd.read(builder, code.at(0, args[1], lane)), zero)
            part = builder.zext(builder.bitcast(positive, _SHORT), _WIDE)
            word = builder.or_(word, builder.shl(part, _WIDE(lane)))
        return word

    return types.uint64(row, types.uint64), generate


@intrinsic
def row_differs(_: Any, row: Any, o: Any, word: Any) -> Any:
    """Word of which elements of `row[o : o + 64]` are not the bits of `word` as 0 or 1."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature.args[:1], args[:1])
        out = _WIDE(0)
        for lane in range(0, LANES, WIDTH):
            value = simd.read(builder, code.at(0, args[1], lane))
            other = builder.fcmp_unordered("!=", value, _as_floats(builder, args[2], lane))
            part = builder.zext(builder.bitcast(other, _SHORT), _WIDE)
            out = builder.or_(out, builder.shl(part, _WIDE(lane)))
        return out

    return types.uint64(row, types.uint64, types.uint64), generate


def _as_floats(builder: Any, word: Any, lane: int) -> Any:
    ones, zeros = simd.constant([1.0] * WIDTH), simd.constant([0.0] * WIDTH)
    return builder.select(_mask(builder, word, lane), ones, zeros)


@intrinsic
def write_word(_: Any, row: Any, o: Any, word: Any) -> Any:
    """Set `row[o : o + 64]`, float32, to the bits of `word`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature.args[:1], args[:1])
        for lane in range(0, LANES, WIDTH):
            simd.write(builder, code.at(0, args[1], lane), _as_floats(builder, args[2], lane))
        return context.get_dummy_value()

    return types.void(row, types.uint64, types.uint64), generate


@intrinsic
def add_word(_: Any, row: Any, o: Any, word: Any) -> Any:
    """Add the bits of `word` to `row[o : o + 64]`, float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature.args[:1], args[:1])
        for lane in range(0, LANES, WIDTH):
            here = code.at(0, args[1], lane)
            value = builder.fadd(simd.read(builder, here), _as_floats(builder, args[2], lane))
            simd.write(builder, here, value)
        return context.get_dummy_value()

    return types.void(row, types.uint64, types.uint64), generate


@intrinsic
def dot_word(_: Any, row: Any, o: Any, word: Any) -> Any:
    """The sum of those of `row[o : o + 64]`, float32, whose bits in `word` are 1, as a vector."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature.args[:1], args[:1])
        zeros, out = simd.constant([0.0] * WIDTH), None
        for lane in range(0, LANES, WIDTH):
            value = simd.read(builder, code.at(0, args[1], lane))
            value = builder.select(_mask(builder, args[2], lane), value, zeros)
            out = value if out is None else builder.fadd(out, value)
        return out

    return simd.vector(row, types.uint64, types.uint64), generate
