"""Comparators cut into single LUTs with a register behind each, where the fabric's clock is to be kept."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Shape, Signal, Value

_GROUP = {True: 4, False: 2}
"""Bits of a code that one LUT4 compares, with a constant or else with as many bits of a signal."""


def clocks(code: Shape, threshold: Shape | None) -> int:
    """Return after how many clocks `at_least` tells; without the shape of a threshold about constants."""
    groups = -(-(code.width if threshold is None else _common(code, threshold)) // _GROUP[threshold is None])
    return 1 + max(groups - 1, 0).bit_length()


def at_least(m: Module, code: Value, threshold: int | Value) -> Value:
    """Compare a code with a threshold, `clocks` later: groups of bits first, then the groups two by two.

    Args:
        m: where registers are added, without reset.
        code: signed or unsigned.
        threshold: a constant of any size, or a signal.
    """
    if isinstance(threshold, int):
        return _at_least_constant(m, code, threshold)
    shapes = code.shape(), threshold.shape()
    width, signed = _common(*shapes), any(shape.signed for shape in shapes)
    a, b = (_ordered(value, width, signed) for value in (code, threshold))
    above, equal = [], []
    for low in range(0, width, _GROUP[False]):
        x, y = a[low : low + _GROUP[False]], b[low : low + _GROUP[False]]
        lower = ~(x[-1] ^ y[-1]) & x[0] & ~y[0] if len(x) > 1 else Const(0, 1)
        above.append(x[-1] & ~y[-1] | lower)
        equal.append(~(x ^ y).any())
    return _joined(m, above, equal)


def _at_least_constant(m: Module, code: Value, threshold: int) -> Value:
    width, least = len(code), threshold
    if code.shape().signed:
        least += 1 << width - 1
    if not 0 < least < 1 << width:
        return Const(least <= 0, 1)
    bits = _ordered(code, width, code.shape().signed)
    above, equal = [], []
    for low in range(0, width, _GROUP[True]):
        group = bits[low : low + _GROUP[True]]
        part = least >> low & (1 << len(group)) - 1
        above.append(group.matches(*range(part + 1, 1 << len(group))))
        equal.append(group.matches(part))
    return _joined(m, above, equal)


def _common(code: Shape, threshold: Shape) -> int:
    """Bits that hold values of both shapes."""
    both = (code, threshold), (threshold, code)
    return max(int(one.width) + (other.signed and not one.signed) for one, other in both)


def _ordered(value: Value, width: int, signed: bool) -> Value:
    """Extend a value; where it may have a sign, so that order is that of unsigned numbers."""
    fill = value[-1] if value.shape().signed else Const(0, 1)
    bits = Cat(value, fill.replicate(width - len(value)))
    return Cat(bits[:-1], ~bits[-1]) if signed else bits


def _joined(m: Module, above: list[Value], equal: list[Value]) -> Value:
    """Join what groups of bits say, the lowest first, and register it on the way."""
    above = [above[0] | equal[0], *above[1:]]
    while True:
        above, equal = _registered(m, above), _registered(m, equal)
        if len(above) == 1:
            return above[0]
        pairs = range(0, len(above) - 1, 2)
        odd = len(above) % 2 * [-1]
        above = [above[n + 1] | equal[n + 1] & above[n] for n in pairs] + [above[n] for n in odd]
        equal = [equal[n + 1] & equal[n] for n in pairs] + [equal[n] for n in odd]


def _registered(m: Module, values: list[Value]) -> list[Value]:
    kept = Signal(len(values), reset_less=True)
    m.d.sync += kept.eq(Cat(values))
    return [kept[n] for n in range(len(values))]


def delayed(m: Module, value: Value, count: int) -> Value:
    """Return a value as it was so many clocks ago."""
    for _ in range(count):
        late = Signal(value.shape(), reset_less=True)
        m.d.sync += late.eq(value)
        value = late
    return value
