"""Popcounts out of 4-input LUTs: the readout becomes part of the netlist.

A column holds bits of equal weight. Bits travel singly or as *encoded pairs* `(x, p)` that stand
for x and `x ^ p`. Three full adders in a row over one single bit and three pairs are four LUTs
(Demenkov, Kojevnikov and Kulikov's MDFA, fitted to 4-input LUTs):

    s = z ^ p1 ^ p2 ^ p3    a = p1 ? z : x1    b = p2 ? z ^ p1 : x2    b ^ c, c = p3 ? ~s : x3

so 7 bits become 4, the carries leave as the pair `(b, b ^ c)`, and two blocks' a's as the pair
`(a, a ^ a')`: 1.33 LUTs per bit. A pair whose second bit is a LUT of at most three pins costs
nothing to encode, `p` takes that LUT's place. Bits that are not so lucky go through full adders
two by two, whose sums and carries leave as pairs as well: 1.56 LUTs per bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from lgc.errors import LgcError

from .. import _kernels
from .._typing import Bool1, F64x1, F64x2, I64x1
from ..builder import Builder, Literal
from ..fabric import Fabric
from ..netlist import FIRST_INPUT, Netlist, table_dtype
from ..readout import Readout
from .absorb import Absorb
from .base import run
from .dce import Dce, keep_luts
from .lut_map import LutMap
from .strash import Strash

_Pair = tuple[Literal, Literal]


@dataclass(frozen=True)
class ExpandReadout:
    """Turn the readout into popcount LUTs; the outputs become the scores in binary.

    Maps to k-input LUTs on the way, because pairs are encoded where gates and popcount meet.
    Run it last: its structure is what general optimisation destroys.
    """

    name: ClassVar[str] = "expand-readout"
    k: int = 4

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if self.k not in (4, 5, 6):
            raise ValueError(f"k must be 4, 5 or 6, not {self.k}")

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with class-major unsigned score bits as outputs, see `Fabric`."""
        return expand(net, k=self.k).netlist


def expand(net: Netlist, *, k: int = 4, position: F64x2 | None = None) -> Fabric:
    """Build the fabric of `net`: its LUTs, mapped to k pins, and the popcount of its readout.

    Args:
        net: any netlist with a readout and LUTs of at most k pins.
        k: pins per LUT.
        position: where each input belongs in the plane, float64 `[inputs, 2]` within 0 and 1, such
            as the pixel behind it. Bits of neighbouring inputs are counted together, which keeps
            wires short. In the order of the inputs if None.

    Raises:
        LgcError: the netlist has no readout, or has other outputs besides.
    """
    if net.readout is None or net.outputs.size:
        raise LgcError("Only a netlist with a readout and no other outputs can be expanded.")
    net = run((Strash(), Absorb(), Dce()), net)
    columns, constant = _columns(net.readout)  # type: ignore[arg-type]
    offset = int(constant.min())
    mapped, heaps = _encode_pairs(net, columns, k, _places(net, position))
    builder = Builder(mapped, k=k)
    low, high = net.readout.bounds()  # type: ignore[union-attr]
    width = max(1, int((high - offset).max()).bit_length())
    assert (low >= offset).all()
    outputs: list[Literal] = []
    for heap, extra in zip(heaps, (constant - offset).tolist(), strict=True):
        outputs += _count(builder, heap, extra, width)
    full = builder.netlist(outputs)
    network = np.arange(full.luts) < mapped.luts
    live = _live(full)
    return Fabric(
        netlist=keep_luts(full, live),
        classes=len(heaps),
        score_width=width,
        offset=offset,
        network_luts=int((network & live).sum()),
    )


def _live(net: Netlist) -> Bool1:
    needed = np.zeros(net.signals, np.bool_)
    needed[net.roots()] = True
    _kernels.live(net.fanin, net.first_lut, needed)
    return needed[net.first_lut :]


@dataclass
class _Column:
    """Bits of one weight in one class."""

    singles: list[Literal] = field(default_factory=list)
    pairs: list[_Pair] = field(default_factory=list)


def _columns(head: Readout) -> tuple[list[dict[int, list[Literal]]], np.ndarray]:
    """Split weights into powers of two; `-w * s` is `w * ~s - w`. Returns bits and constants."""
    constant = head.bias.copy()
    classes: list[dict[int, list[Literal]]] = []
    for c in range(head.classes):
        bits: dict[int, list[Literal]] = {}
        entries = slice(int(head.start[c]), int(head.start[c + 1]))
        for signal, weight in zip(head.signal[entries].tolist(), head.weight[entries].tolist(), strict=True):
            constant[c] += min(weight, 0)
            for w in range(abs(weight).bit_length()):
                if abs(weight) >> w & 1:
                    bits.setdefault(w, []).append(2 * signal + (weight < 0))
        classes.append(bits)
    return classes, constant


def _encode_pairs(
    net: Netlist, classes: list[dict[int, list[Literal]]], k: int, place: list[Any]
) -> tuple[Netlist, list[dict[int, _Column]]]:
    """Choose pairs, map the network with their XORs, and return the columns over its signals."""
    pins = np.concatenate([np.zeros(net.first_lut, np.int64), (net.fanin != 0).sum(axis=1)]).tolist()
    readers = np.bincount(np.concatenate([net.fanin.ravel(), net.roots()]), minlength=net.signals).tolist()
    roots: list[Literal] = []
    xors: list[tuple[Literal, Literal]] = []
    plans: list[dict[int, tuple[int, int]]] = []
    for bits in classes:
        plan = {}
        for w, literals in bits.items():
            cheap = [lit for lit in literals if 2 <= pins[lit >> 1] < k and readers[lit >> 1] == 1]
            cheap.sort(key=lambda lit: (pins[lit >> 1], lit))
            count = min(len(cheap), len(literals) // 2)
            second = sorted(cheap[:count], key=lambda lit: place[lit >> 1])
            chosen = set(second)
            first = sorted((lit for lit in literals if lit not in chosen), key=lambda lit: place[lit >> 1])
            plan[w] = (len(first), count)
            roots += first
            xors += zip(first, second, strict=False)
        plans.append(plan)
    mapped, literals = _map(net, roots, xors, k)
    plain, encoded = iter(literals[: len(roots)]), iter(literals[len(roots) :])
    return mapped, [{w: _take(plain, encoded, *sizes) for w, sizes in plan.items()} for plan in plans]


def _places(net: Netlist, position: F64x2 | None) -> list[Any]:
    """Place of each signal on a line, from the mean of the inputs it depends on; `[signals]`."""
    if position is None:
        place = np.arange(net.signals, dtype=np.float64)
        _kernels.places(net.fanin, net.first_lut, place)
        return list(place)
    plane = np.zeros((2, net.signals))
    plane[:, FIRST_INPUT : net.first_lut] = position.T
    for axis in plane:
        _kernels.places(net.fanin, net.first_lut, axis)
    return list(_hilbert(*plane))


def _hilbert(x: F64x1, y: F64x1, order: int = 6) -> I64x1:
    """Index along the Hilbert curve of points within 0 and 1: near on the curve, near in the plane."""
    side = 1 << order
    column, row = (np.clip(axis * side, 0, side - 1).astype(np.int64) for axis in (x, y))
    index = np.zeros(len(x), np.int64)
    for bit in range(order - 1, -1, -1):
        right, up = column >> bit & 1, row >> bit & 1
        index += ((3 * right) ^ up) << (2 * bit)
        flip = (up == 0) & (right == 1)
        column, row = np.where(flip, side - 1 - column, column), np.where(flip, side - 1 - row, row)
        column, row = np.where(up == 0, row, column), np.where(up == 0, column, row)
    return index


def _take(plain: Iterator[Literal], encoded: Iterator[Literal], first: int, pairs: int) -> _Column:
    singles = [next(plain) for _ in range(first)]
    return _Column(singles=singles[pairs:], pairs=[(x, next(encoded)) for x in singles[:pairs]])


def _map(net: Netlist, roots: list[Literal], xors: list[_Pair], k: int) -> tuple[Netlist, list[Literal]]:
    """Map `net` with the given roots and XORs of literals; returns their literals in the result.

    The roots pass through as readout entries, where an inverter is a sign and costs nothing.
    """
    first = np.array([x for x, _ in xors], np.int64)
    second = np.array([y for _, y in xors], np.int64)
    fanin = np.zeros((len(xors), max(net.k, 2)), np.int32)
    fanin[:, 0], fanin[:, 1] = first >> 1, second >> 1
    dtype = table_dtype(max(net.k, 2))
    table = np.where((first ^ second) & 1, 0b1001, 0b0110).astype(dtype)
    wide = np.zeros((net.luts, fanin.shape[1]), np.int32)
    wide[:, : net.k] = net.fanin
    literal = np.concatenate([np.array(roots, np.int64), 2 * (net.signals + np.arange(len(xors)))])
    observed = Readout(
        bias=np.zeros(1, np.int64),
        start=np.array([0, len(literal)], np.int64),
        signal=(literal >> 1).astype(np.int32),
        weight=np.where(literal & 1, -1, 1).astype(np.int32),
    )
    mapped = LutMap(k=k)(
        replace(
            net,
            fanin=np.concatenate([wide, fanin]),
            table=np.concatenate([net.table.astype(dtype), table]),
            readout=observed,
            stage=None,
            origin=None,
        )
    )
    head = mapped.readout
    assert head is not None
    return replace(mapped, readout=None, origin=None), (
        2 * head.signal.astype(np.int64) + (head.weight < 0)
    ).tolist()


def _count(builder: Builder, heap: dict[int, _Column], extra: int, width: int) -> list[Literal]:
    """Sum one class's columns and the constant `extra`; returns the `width` score bits."""
    for w in range(extra.bit_length()):
        if extra >> w & 1:
            heap.setdefault(w, _Column()).singles.append(1)
    score = []
    for w in range(width):
        column, above = heap.get(w, _Column()), heap.setdefault(w + 1, _Column())
        score.append(_compress(builder, column, above))
    return score


def _compress(builder: Builder, column: _Column, above: _Column) -> Literal:
    """Reduce a column to one bit, its carries going to the column above."""
    _pair_up(builder, column, above)
    singles = column.singles
    z = singles.pop() if singles else 0
    pairs = column.pairs + [(x, x) for x in singles]  # a single is a pair whose other bit is 0
    waiting: Literal | None = None
    while len(pairs) >= 3:
        (x1, p1), (x2, p2), (x3, p3), *pairs = pairs
        s = builder.lut(_xor4, z, p1, p2, p3)
        b = builder.lut(_second_carry, p2, z, p1, x2)
        above.pairs.append((b, builder.lut(_xor_last_carry, b, p3, s, x3)))
        if waiting is None:
            waiting = builder.lut(_first_carry, p1, z, x1)
        else:
            above.pairs.append((waiting, builder.lut(_xor_first_carry, waiting, p1, z, x1)))
            waiting = None
        z = s
    if len(pairs) == 2:
        (x1, p1), (x2, p2) = pairs
        s = builder.lut(_xor3, z, p1, p2)
        a = builder.lut(_first_carry, p1, z, x1)
        above.pairs.append((a, builder.lut(_xor_last_carry, a, p2, s, x2)))
        z = s
    elif len(pairs) == 1:
        ((x1, p1),) = pairs
        above.singles.append(builder.lut(_first_carry, p1, z, x1))
        z = builder.lut(_xor2, z, p1)
    if waiting is not None:
        above.singles.append(waiting)
    return z


def _pair_up(builder: Builder, column: _Column, above: _Column) -> None:
    """Run full adders two by two over single bits; sums and carries leave as encoded pairs."""
    while len(column.singles) >= 6:
        *column.singles, a, b, c, d, e, f = column.singles
        s, carry = builder.lut(_xor3, a, b, c), builder.lut(_majority, a, b, c)
        column.pairs.append((s, builder.lut(_xor4, s, d, e, f)))
        above.pairs.append((carry, builder.lut(_xor_majority, carry, d, e, f)))
    if len(column.singles) >= 4:
        *column.singles, a, b, c = column.singles
        column.singles.append(builder.lut(_xor3, a, b, c))
        above.singles.append(builder.lut(_majority, a, b, c))


def _xor2(a: int, b: int) -> int:
    return a ^ b


def _xor3(a: int, b: int, c: int) -> int:
    return a ^ b ^ c


def _xor4(a: int, b: int, c: int, d: int) -> int:
    return a ^ b ^ c ^ d


def _majority(a: int, b: int, c: int) -> int:
    return (a & b) | (a & c) | (b & c)


def _xor_majority(a: int, b: int, c: int, d: int) -> int:
    return a ^ _majority(b, c, d)


def _first_carry(p1: int, z: int, x1: int) -> int:
    return z if p1 else x1


def _xor_first_carry(a: int, p1: int, z: int, x1: int) -> int:
    return a ^ _first_carry(p1, z, x1)


def _second_carry(p2: int, z: int, p1: int, x2: int) -> int:
    return z ^ p1 if p2 else x2


def _xor_last_carry(other: int, p: int, s: int, x: int) -> int:
    return other ^ (s ^ 1 if p else x)
