"""Softmax over sixteen functions of a node, times a basis: sixteen nodes at a time, one per lane.

Sixteen nodes' logits are a matrix of 16 x 16; transposed, what is summed over a node's functions are
whole vectors, so that no lanes are added up.
"""
# mypy: disallow-untyped-decorators=False, disable-error-code="import-untyped"
# ruff: noqa: ARG001 - arguments of compiled functions

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types

from .._typing import F32x1, F32x2, F32x3, I32x1, U64x1
from . import simd
from .polynomial import Code
from .simd import WIDTH, ask, intrinsic, load, store

GROUP = WIDTH
"""Nodes at a time."""
_FUNCTIONS, _ROWS = 16, 4
_AHEAD = 2 * GROUP
"""How many nodes ahead their rows are asked for."""
_ZERO = ir.Constant(ir.IntType(64), 0)


def _transposed(builder: Any, rows: Sequence[Any]) -> list[Any]:
    """Vectors of the elements 0, 1, ... of 16 vectors: halves are exchanged, then quarters, and so on."""
    rows, step = list(rows), WIDTH // 2
    while step:
        out = list(rows)
        for i in range(WIDTH):
            if i & step:
                continue
            a, b = rows[i], rows[i | step]
            low = [lane if not lane & step else lane - step + WIDTH for lane in range(WIDTH)]
            high = [lane + step if not lane & step else lane + WIDTH for lane in range(WIDTH)]
            out[i], out[i | step] = simd.shuffle(builder, a, b, low), simd.shuffle(builder, a, b, high)
        rows, step = out, step // 2
    return rows


def _interleaved(builder: Any, rows: Sequence[Any]) -> list[Any]:
    """Of four vectors, the elements 0 of all, then the elements 1, and so on."""
    pairs = []
    for a, b in (rows[:2], rows[2:]):
        for half in (0, WIDTH // 2):
            lanes = [half + lane // 2 + lane % 2 * WIDTH for lane in range(WIDTH)]
            pairs.append(simd.shuffle(builder, a, b, lanes))
    out = []
    for a, b in ((pairs[0], pairs[2]), (pairs[1], pairs[3])):
        for half in (0, WIDTH // 2):
            lanes = [half + lane // 4 * 2 + lane % 2 + lane % 4 // 2 * WIDTH for lane in range(WIDTH)]
            out.append(simd.shuffle(builder, a, b, lanes))
    return out


def _apart(builder: Any, vectors: Sequence[Any]) -> list[Any]:
    """Undo `_interleaved`."""
    out = []
    for row in range(_ROWS):
        lanes = [row + lane * _ROWS for lane in range(WIDTH)]
        half = [lane if lane < 2 * WIDTH else 0 for lane in lanes]
        rest = [lane - 2 * WIDTH if lane >= 2 * WIDTH else 0 for lane in lanes]
        low = simd.shuffle(builder, vectors[0], vectors[1], half)
        high = simd.shuffle(builder, vectors[2], vectors[3], rest)
        out.append(simd.shuffle(builder, low, high, [*range(8), *range(8 + WIDTH, 2 * WIDTH)]))
    return out


def _code(context: Any, builder: Any, signature: Any, args: Any, arrays: Sequence[int]) -> Code:
    return Code(context, builder, [signature.args[i] for i in arrays], [args[i] for i in arrays])


def _vectors(code: Code, array: int, first: Any, count: int) -> list[Any]:
    return [simd.read(code.builder, code.at(array, first, i * WIDTH)) for i in range(count)]


@intrinsic
def _mix(_: Any, z: Any, scale: Any, basis: Any, weight: Any, w: Any, out: Any) -> Any:
    """Set `weight[w : w + 256]` to the softmaxes of `scale` z, transposed, `out` `[80]` to their tables.

    After the tables `out` has the numbers of the largest logits, the first of equal ones.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = _code(context, builder, signature, args, (0, 2, 3, 5))
        factor = simd.broadcast(builder, args[1])
        logits = _transposed(builder, _vectors(code, 0, _ZERO, _FUNCTIONS))
        most = logits
        while len(most) > 1:
            most = [
                builder.select(builder.fcmp_ordered(">", a, b), a, b)
                for a, b in zip(most[::2], most[1::2], strict=True)
            ]
        first = simd.constant([0.0] * WIDTH)
        for g in reversed(range(_FUNCTIONS)):
            equal = builder.fcmp_ordered("==", logits[g], most[0])
            first = builder.select(equal, simd.constant([g] * WIDTH), first)
        total = None
        for g, each in enumerate(logits):
            power = builder.fmul(builder.fsub(each, most[0]), factor)
            logits[g] = simd.exponential(builder, power)
            total = code.sum(None, logits[g], total)
        share = builder.fdiv(simd.constant([1.0] * WIDTH), total)
        tables: list[Any] = [None] * _ROWS
        for g, each in enumerate(logits):
            value = builder.fmul(each, share)
            simd.write(builder, code.at(2, args[4], g * WIDTH), value)
            tables = [code.sum(code.number(1, _ZERO, g * _ROWS + r), value, tables[r]) for r in range(_ROWS)]
        for i, each in enumerate([*_interleaved(builder, tables), first]):
            simd.write(builder, code.at(3, _ZERO, i * WIDTH), each)
        return context.get_dummy_value()

    return types.void(z, types.float32, basis, weight, types.uint64, out), generate


@intrinsic
def _unmix(_: Any, grad: Any, table: Any, scale: Any, basis: Any, weight: Any, w: Any, out: Any) -> Any:
    """Set `out` `[256]` to the gradients of logits; `grad` and `table` `[64]` are of `_mix`'s tables."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = _code(context, builder, signature, args, (0, 1, 3, 4, 6))
        factor = simd.broadcast(builder, args[2])
        grads = [builder.fmul(each, factor) for each in _apart(builder, _vectors(code, 0, _ZERO, _ROWS))]
        tables = _apart(builder, _vectors(code, 1, _ZERO, _ROWS))
        mean = None
        for a, b in zip(grads, tables, strict=True):
            mean = code.sum(a, b, mean)
        found = []
        for g in range(_FUNCTIONS):
            value = None
            for r, each in enumerate(grads):
                value = code.sum(code.number(2, _ZERO, g * _ROWS + r), each, value)
            share = simd.read(builder, code.at(3, args[5], g * WIDTH))
            found.append(builder.fmul(share, builder.fsub(value, mean)))
        for i, each in enumerate(_transposed(builder, found)):
            simd.write(builder, code.at(4, _ZERO, i * WIDTH), each)
        return context.get_dummy_value()

    return types.void(grad, table, types.float32, basis, weight, types.uint64, out), generate


@njit(cache=True, nogil=True)
def forward(
    z: F32x1,
    noise: F32x1,
    order: I32x1,
    scale: float,
    basis: F32x2,
    weight: F32x1,
    out: F32x1,
    known: U64x1,
    words: U64x1,
    first: int,
    stop: int,
) -> None:
    """Set rows `first .. stop - 1` of `out` `[nodes, 4]` to softmax(`scale` (z + noise)) times a basis.

    `basis` is `[16, 4]`; row t is that of row `order[t]` of `z` and `noise` `[nodes, 16]`, the latter perhaps
    empty. `first` begins a group; `weight` `[groups, 16 functions, 16 nodes]` keeps the softmax. Element t of
    `words`, if it has any, becomes the one of `known` `[16]` for the largest logit.
    """
    b, factor = basis.ravel(), np.float32(scale)
    here, there = np.zeros(GROUP * _FUNCTIONS, np.float32), np.empty(GROUP * (_ROWS + 1), np.float32)
    n, four, last = np.uint64(_FUNCTIONS), np.uint64(_ROWS), np.uint64(len(order) - 1)
    for begin in range(np.uint64(first), np.uint64(stop), np.uint64(GROUP)):
        count = min(np.uint64(GROUP), np.uint64(stop) - begin)
        for t in range(count):
            ask(z, np.uint64(order[min(begin + t + np.uint64(_AHEAD), last)]) * n, 0)
            i = np.uint64(order[begin + t]) * n
            v = load(z, i)
            if noise.size:
                v = v + load(noise, i)
            store(here, t * n, v)
        _mix(here, factor, b, weight, begin * n, there)
        for s in range(count * four):
            out[begin * four + s] = there[s]
        if words.size:
            for t in range(count):
                words[begin + t] = known[np.uint64(there[np.uint64(GROUP * _ROWS) + t])]


@njit(cache=True, nogil=True)
def backward(
    out_grad: F32x3,
    order: I32x1,
    scale: float,
    basis: F32x2,
    weight: F32x1,
    out: F32x1,
    z_grad: F32x1,
    first: int,
    stop: int,
) -> None:
    """Set rows `order[first .. stop - 1]` of `z_grad` `[nodes, 16]`, arguments as in `forward`.

    `out_grad` `[blocks, nodes, 4]` is summed over blocks.
    """
    b, factor, flat = basis.ravel(), np.float32(scale), out_grad.ravel()
    grads, tables = np.zeros(GROUP * _ROWS, np.float32), np.zeros(GROUP * _ROWS, np.float32)
    found = np.empty(GROUP * _FUNCTIONS, np.float32)
    n, four, last = np.uint64(_FUNCTIONS), np.uint64(_ROWS), np.uint64(len(order) - 1)
    blocks, size = np.uint64(out_grad.shape[0]), np.uint64(len(order)) * four
    for begin in range(np.uint64(first), np.uint64(stop), np.uint64(GROUP)):
        count, o = min(np.uint64(GROUP), np.uint64(stop) - begin), begin * four
        if count == np.uint64(GROUP):
            for s in range(np.uint64(0), np.uint64(GROUP * _ROWS), np.uint64(WIDTH)):
                value = load(flat, o + s)
                for block in range(np.uint64(1), blocks):
                    value = value + load(flat, block * size + o + s)
                store(grads, s, value)
                store(tables, s, load(out, o + s))
        else:
            for s in range(count * four):
                grads[s] = flat[o + s]
                for block in range(np.uint64(1), blocks):
                    grads[s] += flat[block * size + o + s]
                tables[s] = out[o + s]
        _unmix(grads, tables, factor, b, weight, begin * n, found)
        for t in range(count):
            ask(z_grad, np.uint64(order[min(begin + t + np.uint64(_AHEAD), last)]) * n, 1)
            store(z_grad, np.uint64(order[begin + t]) * n, load(found, t * n))
