"""Vectors of 16 float32 as values inside compiled loops.

Numba leaves vectorising to LLVM, which must first prove that the arrays of a loop do not overlap, and
cannot keep several rows of a node in registers. These operations say what is meant: `load` and `store`
at an element of a flat array, arithmetic on whole vectors, products and sums contracted to fused
multiply-adds. LLVM splits the vectors on machines whose registers are shorter.

Nothing is checked: an index is an unsigned element offset that the caller vouches for.
"""
# mypy: disallow-untyped-decorators=False, disable-error-code="import-untyped,no-untyped-call"
# ruff: noqa: ARG001, D401, N801 - arguments of compiled functions; what expressions are, not what they do; a class without a name

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic as _intrinsic
from numba.extending import lower_builtin

intrinsic: Any = _intrinsic  # what it makes is called with one argument less than it takes

LANES = 64
"""Samples per block of activations."""
WIDTH = 16
"""Elements of a vector."""

PLAIN, LOGISTIC, STEP = 0, 1, 2
"""What becomes of a node's polynomial: the output, its probability, or whether it is positive."""

_SUM = ("contract", "nsz")
_F, _I = ir.FloatType(), ir.IntType(32)
_V, _IV = ir.VectorType(_F, WIDTH), ir.VectorType(_I, WIDTH)


class _VectorType(types.Type):
    def __init__(self) -> None:
        super().__init__(name="f32x16")


vector = _VectorType()


@register_default(_VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _V)


def _arithmetic(op: Callable[..., Any], method: str) -> None:
    @infer_global(op)
    class _(ConcreteTemplate):
        key = op
        cases = [signature(vector, vector, vector)]  # noqa: RUF012

    @lower_builtin(op, vector, vector)
    def _lower(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return getattr(builder, method)(*args, flags=_SUM)


for _op, _method in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _arithmetic(_op, _method)


def constant(values: Sequence[float]) -> Any:
    """The vector of these 16 numbers, for code that builds instructions."""
    return ir.Constant(_V, [ir.Constant(_F, float(value)) for value in values])


def shuffle(builder: Any, a: Any, b: Any, lanes: Sequence[int]) -> Any:
    """Pick lanes of `a` (0 to 15) and `b` (16 to 31)."""
    kind = ir.VectorType(_I, len(lanes))
    return builder.shuffle_vector(a, b, ir.Constant(kind, list(lanes)))


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`."""
    return builder.fadd(builder.fmul(a, b, flags=_SUM), c, flags=_SUM)


def pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Address of element `index` of a flat array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [index], inbounds=True)


def read(builder: Any, at: Any) -> Any:
    """Load the vector at an address."""
    return builder.load(builder.bitcast(at, _V.as_pointer()), align=4)


def write(builder: Any, at: Any, value: Any) -> None:
    """Store a vector, of any length, at an address."""
    builder.store(value, builder.bitcast(at, value.type.as_pointer()), align=4)


def broadcast(builder: Any, value: Any) -> Any:
    """The vector whose elements are all `value`."""
    nothing = ir.Constant(_V, ir.Undefined)
    return shuffle(builder, builder.insert_element(nothing, value, _I(0)), nothing, [0] * WIDTH)


def _fold(builder: Any, vectors: Sequence[Any], join: Callable[[Any, Any], Any]) -> tuple[Any, int]:
    """Join the elements of each of 1, 2, 4, 8 or 16 vectors; returns a vector and a spacing.

    What becomes of vector i stands in as many lanes as the spacing, from i times that on. Two vectors
    become one of halves joined, and so on, which takes a third of the instructions of one after the
    other; elements are joined in the same order however many vectors there are.
    """
    vectors, step = list(vectors), WIDTH // 2
    while len(vectors) > 1:
        half = len(vectors) // 2
        stay = [lane + WIDTH if lane & step else lane for lane in range(WIDTH)]  # a blend, no shuffle
        cross = [lane - step + WIDTH if lane & step else lane + step for lane in range(WIDTH)]
        vectors = [
            join(shuffle(builder, a, b, stay), shuffle(builder, a, b, cross))
            for a, b in zip(vectors[:half], vectors[half:], strict=True)
        ]
        step //= 2
    (value,), spacing = vectors, 2 * step
    while step:
        value = join(value, shuffle(builder, value, value, [lane ^ step for lane in range(WIDTH)]))
        step //= 2
    return value, spacing


def _sums(builder: Any, vectors: Sequence[Any]) -> tuple[Any, int]:
    return _fold(builder, vectors, lambda a, b: builder.fadd(a, b, flags=_SUM))


def totals(builder: Any, vectors: Sequence[Any]) -> Any:
    """The vector of the sums of 1, 2, 4, 8 or 16 vectors' elements."""
    value, spacing = _sums(builder, vectors)
    return shuffle(builder, value, value, range(0, WIDTH, spacing)) if spacing > 1 else value


@intrinsic
def load(_: Any, array: Any, index: Any) -> Any:
    """Elements `index` to `index + 15` of a flat float32 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return read(builder, pointer(context, builder, signature.args[0], *args))

    return vector(array, types.uint64), generate


@intrinsic
def store(_: Any, array: Any, index: Any, value: Any) -> Any:
    """Set elements `index` to `index + 15` of a flat float32 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        write(builder, pointer(context, builder, signature.args[0], *args[:2]), args[2])
        return context.get_dummy_value()

    return types.void(array, types.uint64, value), generate


@intrinsic(prefer_literal=True)
def ask(_: Any, array: Any, index: Any, change: Any) -> Any:
    """Ask for the cache line of an element, which need not exist, to `change` it or not."""
    how = int(change.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        at = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        kinds = [at.type, _I, _I, _I]
        kind = ir.FunctionType(ir.VoidType(), kinds)
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(call, [at, _I(how), _I(3), _I(1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64, change), generate


@intrinsic
def splat(_: Any, value: Any) -> Any:
    """The vector whose elements are all the float32 `value`."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return broadcast(builder, args[0])

    return vector(types.float32), generate


@intrinsic
def total(_: Any, value: Any) -> Any:
    """Sum of a vector's elements."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.extract_element(totals(builder, args), _I(0))

    return types.float32(value), generate


@intrinsic
def store_totals(_: Any, array: Any, index: Any, vectors: Any) -> Any:
    """Set `array[index + i]` to the sum of the elements of `vectors[i]`, a tuple of 1, 2, 4, 8 or 16."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = cgutils.unpack_tuple(builder, args[2], len(signature.args[2]))
        write(builder, pointer(context, builder, signature.args[0], *args[:2]), totals(builder, values))
        return context.get_dummy_value()

    return types.void(array, types.uint64, vectors), generate


def exponential(builder: Any, value: Any) -> Any:
    """Take exp of each element, to 2e-7 of it, between 2^-126 and 2^127; NaN stays.

    exp(v) = 2^n 2^f with n an integer, |f| <= 1/2: a Taylor series whose exponent n is added to. The
    clamp compares so that NaN passes, and n is read off the last bits of v plus 3/2 2^23.
    """
    log2 = constant([1.4426950408889634] * WIDTH)
    low, high = constant([-126.0] * WIDTH), constant([127.0] * WIDTH)
    magic = constant([12582912.0] * WIDTH)
    t = builder.fmul(value, log2)
    t = builder.select(builder.fcmp_ordered("<", t, low), low, t)
    t = builder.select(builder.fcmp_ordered(">", t, high), high, t)
    shifted = builder.fadd(t, magic)
    f = builder.fsub(t, builder.fsub(shifted, magic))
    e = constant([0.00015403530] * WIDTH)
    for term in (0.0013333558, 0.0096181291, 0.055504109, 0.24022651, 0.69314718, 1.0):
        e = multiply_add(builder, e, f, constant([term] * WIDTH))
    n = builder.shl(builder.bitcast(shifted, _IV), ir.Constant(_IV, [23] * WIDTH))
    return builder.bitcast(builder.add(builder.bitcast(e, _IV), n), _V)


@intrinsic
def exp(_: Any, value: Any) -> Any:
    """The exponential of each element, to 2e-7 of it."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return exponential(builder, args[0])

    return vector(value), generate


@intrinsic
def larger(_: Any, a: Any, b: Any) -> Any:
    """The larger of each two elements."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return vector(a, b), generate


def probabilities(builder: Any, logits: Any) -> Any:
    """`1 / (1 + exp(-logit))` of each element."""
    one = constant([1.0] * WIDTH)
    e = exponential(builder, builder.fmul(logits, constant([-1.0] * WIDTH)))
    return builder.fdiv(one, builder.fadd(one, e))


@intrinsic
def sigmoid(_: Any, value: Any) -> Any:
    """`1 / (1 + exp(-value))` of each element, to 2e-7."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return probabilities(builder, args[0])

    return vector(value), generate


@intrinsic
def positive(_: Any, value: Any) -> Any:
    """1 where an element is positive, else 0."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        zero, one = constant([0.0] * WIDTH), constant([1.0] * WIDTH)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), one, zero)

    return vector(value), generate


@intrinsic(prefer_literal=True)
def swap(_: Any, value: Any, step: Any) -> Any:
    """Exchange lanes whose numbers differ in the bit `step`."""
    bit = int(step.literal_value)

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return shuffle(builder, args[0], args[0], [lane ^ bit for lane in range(WIDTH)])

    return vector(value, step), generate


@intrinsic(prefer_literal=True)
def alternate(_: Any, low: Any, high: Any, step: Any) -> Any:
    """The vector of the float32 `high` in lanes whose number has the bit `step`, `low` in the others."""
    bit = int(step.literal_value)

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        lanes = [lane + WIDTH if lane & bit else lane for lane in range(WIDTH)]
        return shuffle(builder, broadcast(builder, args[0]), broadcast(builder, args[1]), lanes)

    return vector(types.float32, types.float32, step), generate
