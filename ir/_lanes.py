"""512-bit vectors and the LUT interpreter, written as LLVM vectors for use inside compiled loops.

numba's loop vectoriser must prove that reads and writes of one buffer do not overlap, which it
cannot for signals that are renumbered at run time. Here the vector is a type of its own: one slot
of 8 words, one cache line, 512 samples. LLVM splits it for machines with narrower registers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

from ._typing import I32x1, I32x2

LANES = 8
"""Words per vector."""
_VECTOR = ir.VectorType(ir.IntType(64), LANES)
_WORD = ir.IntType(64)


class LanesType(types.Type):
    """numba's name for a vector of `LANES` uint64."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


lanes: Any = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)  # type: ignore[no-untyped-call]


def _intrinsic(function: Callable[..., Any]) -> Any:
    """Declare an intrinsic; its callers are compiled, so its Python signature means nothing."""
    return intrinsic(function)


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Pointer to element `index` of a contiguous one-dimensional array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [index])


def _slot(context: Any, builder: Any, kind: Any, array: Any, slot: Any) -> Any:
    """Pointer to vector number `slot` of a uint64 array."""
    index = builder.mul(slot, ir.Constant(slot.type, LANES), flags=["nsw"])
    return _vector(context, builder, kind, array, index)


def _vector(context: Any, builder: Any, kind: Any, array: Any, word: Any) -> Any:
    """Pointer to the vector from `word` on of a uint64 array."""
    return builder.bitcast(_address(context, builder, kind, array, word), _VECTOR.as_pointer())


def _load(place: Callable[..., Any]) -> Any:
    def load(_typing: Any, values: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            index64 = context.cast(builder, args[1], signature.args[1], types.int64)
            return builder.load(place(context, builder, signature.args[0], args[0], index64), align=8)

        return lanes(values, index), code

    return _intrinsic(load)


def _store(place: Callable[..., Any]) -> Any:
    def store(_typing: Any, values: Any, index: Any, vector: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            index64 = context.cast(builder, args[1], signature.args[1], types.int64)
            builder.store(args[2], place(context, builder, signature.args[0], args[0], index64), align=8)
            return context.get_dummy_value()

        return types.void(values, index, vector), code

    return _intrinsic(store)


load, store = _load(_slot), _store(_slot)
"""`load(values, slot)` and `store(values, slot, vector)`: vectors of a uint64 array, by slot."""
load_at, store_at = _load(_vector), _store(_vector)
"""The same from any word on."""


@_intrinsic
def gather(_typing: Any, words: Any, start: Any, stride: Any) -> Any:
    """Vector of `words[start + lane * stride]`, from a one-dimensional uint64 array."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], signature.args[1], types.int64)
        step = context.cast(builder, args[2], signature.args[2], types.int64)
        vector = ir.Constant(_VECTOR, ir.Undefined)
        for lane in range(LANES):
            word = builder.load(_address(context, builder, signature.args[0], args[0], at))
            vector = builder.insert_element(vector, word, ir.Constant(ir.IntType(32), lane))
            at = builder.add(at, step)
        return vector

    return lanes(words, start, stride), code


def _spread(builder: Any, word: Any) -> Any:
    vector = ir.Constant(_VECTOR, ir.Undefined)
    for lane in range(LANES):
        vector = builder.insert_element(vector, word, ir.Constant(ir.IntType(32), lane))
    return vector


@_intrinsic
def broadcast(_typing: Any, word: Any) -> Any:
    """Vector with every lane `word`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _spread(builder, context.cast(builder, args[0], signature.args[0], types.uint64))

    return lanes(word), code


@_intrinsic
def widen(_typing: Any, word: Any) -> Any:
    """Vector of the eight bytes of `word`, the lowest first."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word64 = context.cast(builder, args[0], signature.args[0], types.uint64)
        octets = builder.bitcast(word64, ir.VectorType(ir.IntType(8), LANES))
        return builder.zext(octets, _VECTOR)

    return lanes(word), code


def _elementwise(build: Callable[..., Any], arity: int) -> Any:
    """Intrinsic of `arity` vectors that `build(builder, *vectors)` computes."""

    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return build(builder, *args)

    if arity == 1:
        return _intrinsic(lambda _typing, a: (lanes(a), code))
    if arity == 2:
        return _intrinsic(lambda _typing, a, b: (lanes(a, b), code))
    return _intrinsic(lambda _typing, a, b, c: (lanes(a, b, c), code))


flip = _elementwise(lambda builder, a: builder.not_(a), 1)
both = _elementwise(lambda builder, a, b: builder.and_(a, b), 2)
either = _elementwise(lambda builder, a, b: builder.or_(a, b), 2)
plus = _elementwise(lambda builder, a, b: builder.add(a, b), 2)
choose = _elementwise(
    lambda builder, x, high, low: builder.xor(low, builder.and_(x, builder.xor(low, high))), 3
)
parity = _elementwise(lambda builder, a, b, c: builder.xor(builder.xor(a, b), c), 3)
majority = _elementwise(
    lambda builder, a, b, c: builder.or_(builder.and_(a, b), builder.and_(c, builder.or_(a, b))), 3
)


def _shift(name: str) -> Any:
    def shift(_typing: Any, vector: Any, amount: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            by = _spread(builder, context.cast(builder, args[1], signature.args[1], types.uint64))
            return getattr(builder, name)(args[0], by)

        return lanes(vector, amount), code

    return _intrinsic(shift)


left, right = _shift("shl"), _shift("lshr")


def _depends(table: int, pin: int) -> bool:
    step = 1 << pin
    return any((table >> row ^ table >> (row | step)) & 1 for row in range(8) if not row & step)


def _permuted(table: int, order: tuple[int, ...]) -> int:
    """Table over pins listed anew: new pin j is old pin `order[j]`."""
    out = 0
    for row in range(8):
        old = sum((row >> j & 1) << order[j] for j in range(3))
        out |= (table >> old & 1) << row
    return out


@cache
def opcodes() -> tuple[I32x1, I32x2]:
    """Canonical form of the 256 functions of three pins under permutation of pins.

    Returns:
        The canonical table, int32 `[256]`, and which old pin each new pin is, int32 `[256, 3]`.
        Pins that a function does not read come last.
    """
    canonical, order = np.zeros(256, np.int32), np.zeros((256, 3), np.int32)
    for table in range(256):
        best = min(permutations(range(3)), key=lambda p: (_unread_last(table, p), _permuted(table, p), p))
        canonical[table], order[table] = _permuted(table, best), best
    return canonical, order


def _unread_last(table: int, order: tuple[int, ...]) -> tuple[bool, ...]:
    return tuple(not _depends(_permuted(table, order), pin) for pin in range(3))


def _logic(builder: Any, table: int, pins: list[Any]) -> Any:
    """Value of a truth table by Shannon expansion; True and False for constants."""
    if not pins:
        return bool(table)
    half = 1 << (len(pins) - 1)
    pin, low_table, high_table = pins[-1], table & ((1 << half) - 1), table >> half
    low = _logic(builder, low_table, pins[:-1])
    if low_table == high_table:
        return low
    if low_table ^ high_table == (1 << half) - 1:
        if isinstance(low, bool):
            return builder.not_(pin) if low else pin
        return builder.xor(low, pin)
    high = _logic(builder, high_table, pins[:-1])
    if high is True:
        return builder.or_(pin, low)
    if low is False:
        return builder.and_(pin, high)
    if low is True:
        return builder.or_(builder.not_(pin), high)
    if high is False:
        return builder.and_(builder.not_(pin), low)
    return builder.or_(builder.and_(pin, high), builder.and_(builder.not_(pin), low))


@_intrinsic
def interpret(_typing: Any, values: Any, ops: Any, table: Any, first: Any, stop: Any) -> Any:
    """Run the LUTs `first .. stop - 1`, all of the canonical `table`, on one vector each.

    `ops` is a flat int32 array, four numbers per LUT: the slot written, then the three slots read.
    One tight loop per function; what a function does not read is not loaded.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        table64, first64, stop64 = (
            context.cast(builder, arg, kind, types.int64)
            for arg, kind in zip(args[2:], kinds[2:], strict=True)
        )
        done = builder.append_basic_block("done")
        switch = builder.switch(table64, done)
        for function in sorted(set(opcodes()[0].tolist())):
            block = builder.append_basic_block(f"table{function}")
            switch.add_case(ir.Constant(_WORD, function), block)
            builder.position_at_end(block)
            _loop(context, builder, kinds, args, function, first64, stop64)
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(values, ops, table, first, stop), code


def _loop(context: Any, builder: Any, kinds: Any, args: Any, function: int, first: Any, stop: Any) -> None:
    with cgutils.for_range(builder, stop, start=first) as loop:
        at = builder.mul(loop.index, ir.Constant(_WORD, 4))

        def slot(field: int) -> Any:
            index = builder.add(at, ir.Constant(_WORD, field))
            number = builder.load(_address(context, builder, kinds[1], args[1], index))
            return _slot(context, builder, kinds[0], args[0], builder.zext(number, _WORD))

        used = max((pin + 1 for pin in range(3) if _depends(function, pin)), default=0)
        pins = [builder.load(slot(1 + pin), align=8) for pin in range(used)]
        result = _logic(builder, function & ((1 << (1 << used)) - 1), pins)
        if isinstance(result, bool):
            result = ir.Constant(_VECTOR, [-1 if result else 0] * LANES)
        builder.store(result, slot(0), align=8)
