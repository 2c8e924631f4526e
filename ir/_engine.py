"""Compiled loops of software inference: planes in, LUTs, counters, integers out.

A *plane* is the value of one signal for 512 samples: 8 words, sample 0 in bit 0 of word 0. The
buffer `values` holds one plane per slot; slots 0 and 1 are the constants, slot 2 + i is input i.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from ._lanes import (
    both,
    broadcast,
    choose,
    either,
    flip,
    gather,
    interpret,
    left,
    load,
    load_at,
    majority,
    parity,
    plus,
    right,
    store,
    store_at,
    widen,
)
from ._schedule import pins_used
from ._typing import Bool2, I32x1, I32x2, I64x1, I64x2, U64x1, U64x2

U8x1 = npt.NDArray[np.uint8]
U8x2 = npt.NDArray[np.uint8]

BLOCK = 512
"""Samples per plane."""
TILE = 2048
"""Columns packed at once, so that rows are read in long stretches; 64 bytes of each stay in the cache."""


@njit(cache=True, nogil=True)
def _exchange(low: Any, high: Any, mask: np.uint64, by: int) -> Any:
    """Exchange the parts of `low` above `mask` with the parts of `high` in it, `by` bits apart."""
    keep = broadcast(mask)
    return (
        either(both(low, keep), left(both(high, keep), by)),
        either(both(right(low, by), keep), both(high, flip(keep))),
    )


@njit(cache=True, nogil=True)
def _square(r: Any, unit: int, one: np.uint64, two: np.uint64, four: np.uint64) -> Any:
    """Transpose squares of 8x8 units of bits, row i in vector i, in three rounds of exchanges."""
    a0, a1 = _exchange(r[0], r[1], one, unit)
    a2, a3 = _exchange(r[2], r[3], one, unit)
    a4, a5 = _exchange(r[4], r[5], one, unit)
    a6, a7 = _exchange(r[6], r[7], one, unit)
    b0, b2 = _exchange(a0, a2, two, 2 * unit)
    b1, b3 = _exchange(a1, a3, two, 2 * unit)
    b4, b6 = _exchange(a4, a6, two, 2 * unit)
    b5, b7 = _exchange(a5, a7, two, 2 * unit)
    c0, c4 = _exchange(b0, b4, four, 4 * unit)
    c1, c5 = _exchange(b1, b5, four, 4 * unit)
    c2, c6 = _exchange(b2, b6, four, 4 * unit)
    c3, c7 = _exchange(b3, b7, four, 4 * unit)
    return c0, c1, c2, c3, c4, c5, c6, c7


@njit(cache=True, nogil=True)
def _bytes(r: Any) -> Any:
    """Transpose 8x8 bytes: byte j of each word of vector i goes to byte i of vector j."""
    return _square(
        r, 8, np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF), np.uint64(0x00000000FFFFFFFF)
    )


@njit(cache=True, nogil=True)
def _bits(r: Any) -> Any:
    """Transpose 8x8 bits: bit j of each byte of vector i goes to bit i of that byte of vector j."""
    return _square(
        r, 1, np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
    )


@njit(cache=True, nogil=True)
def _store8(values: U64x1, slot: int, r: Any) -> None:
    store(values, slot, r[0])
    store(values, slot + 1, r[1])
    store(values, slot + 2, r[2])
    store(values, slot + 3, r[3])
    store(values, slot + 4, r[4])
    store(values, slot + 5, r[5])
    store(values, slot + 6, r[6])
    store(values, slot + 7, r[7])


@njit(cache=True, nogil=True)
def _tile(columns: int) -> U8x2:
    """Room for 64 rows; an odd number of cache lines each, so that columns do not share cache sets."""
    lines = (min(columns, TILE) + 63) // 64
    return np.empty((64, 64 * (lines | 1)), np.uint8)


@njit(cache=True, nogil=True)
def _transpose(tile: U8x2, columns: int, values: U64x1, slot: int) -> None:
    """Turn bytes `[64 groups of samples, columns]` into one plane per column, from `slot` on."""
    row = tile.shape[1] // 8
    words = tile.view(np.uint64).ravel()
    for f in range((columns + 7) // 8):
        r = (
            gather(words, f, 8 * row), gather(words, f + row, 8 * row),
            gather(words, f + 2 * row, 8 * row), gather(words, f + 3 * row, 8 * row),
            gather(words, f + 4 * row, 8 * row), gather(words, f + 5 * row, 8 * row),
            gather(words, f + 6 * row, 8 * row), gather(words, f + 7 * row, 8 * row),
        )  # fmt: skip
        _store8(values, slot + 8 * f, _bytes(r))


@njit(cache=True, nogil=True)
def _bits_of_8(x: Any, r: I64x1, at: int, columns: int, out: U8x1) -> None:
    """Bit s of `out[c]` is whether `x[r[s], at + c]` is not zero."""
    x0, x1, x2, x3 = x[r[0], at:], x[r[1], at:], x[r[2], at:], x[r[3], at:]
    x4, x5, x6, x7 = x[r[4], at:], x[r[5], at:], x[r[6], at:], x[r[7], at:]
    for c in range(columns):
        byte = np.uint8(x7[c] != 0)
        byte = np.uint8(byte + byte + np.uint8(x6[c] != 0))
        byte = np.uint8(byte + byte + np.uint8(x5[c] != 0))
        byte = np.uint8(byte + byte + np.uint8(x4[c] != 0))
        byte = np.uint8(byte + byte + np.uint8(x3[c] != 0))
        byte = np.uint8(byte + byte + np.uint8(x2[c] != 0))
        byte = np.uint8(byte + byte + np.uint8(x1[c] != 0))
        out[c] = np.uint8(byte + byte + np.uint8(x0[c] != 0))


@njit(cache=True, nogil=True)
def _compare_8(x: Any, threshold: Any, within: U8x1, r: I64x1, at: int, columns: int, out: U8x1) -> None:
    """Bit s of `out[c]` is whether `x[r[s], at + c] >= threshold[at + c]`, 0 where `within` is 0."""
    x0, x1, x2, x3 = x[r[0], at:], x[r[1], at:], x[r[2], at:], x[r[3], at:]
    x4, x5, x6, x7 = x[r[4], at:], x[r[5], at:], x[r[6], at:], x[r[7], at:]
    t, w = threshold[at:], within[at:]
    for c in range(columns):
        byte = np.uint8(x7[c] >= t[c])
        byte = np.uint8(byte + byte + np.uint8(x6[c] >= t[c]))
        byte = np.uint8(byte + byte + np.uint8(x5[c] >= t[c]))
        byte = np.uint8(byte + byte + np.uint8(x4[c] >= t[c]))
        byte = np.uint8(byte + byte + np.uint8(x3[c] >= t[c]))
        byte = np.uint8(byte + byte + np.uint8(x2[c] >= t[c]))
        byte = np.uint8(byte + byte + np.uint8(x1[c] >= t[c]))
        out[c] = np.uint8(byte + byte + np.uint8(x0[c] >= t[c])) & w[c]


@njit(cache=True, nogil=True)
def _rows(first: int, samples: int, r: I64x1) -> None:
    """Rows of eight samples; the last sample stands in for those beyond the end."""
    for s in range(8):
        r[s] = min(first + s, samples - 1)


@njit(cache=True, nogil=True)
def pack_bits(x: U8x2, first: int, planes: U64x2) -> None:
    """Planes of the bits `x` uint8 `[samples, inputs]`, zero or not, of the blocks from `first` on.

    `planes[b]` has one plane per input and room for seven more.
    """
    samples, inputs = x.shape
    tile, r = _tile(inputs), np.empty(8, np.int64)
    for b in range(len(planes)):
        for at in range(0, inputs, TILE):
            columns = min(TILE, inputs - at)
            for g in range(64):
                _rows(BLOCK * (first + b) + 8 * g, samples, r)
                _bits_of_8(x, r, at, columns, tile[g])
            _transpose(tile, columns, planes[b], at)


@njit(cache=True, nogil=True)
def pack_features(x: Any, threshold: Any, within: U8x2, first: int, planes: U64x2) -> None:
    """Like `pack_bits` for features `x` `[samples, features]` and thresholds of their type.

    Plane `level * features + f` is `x[f] >= threshold[level, f]`, or 0 where `within` is 0.
    """
    samples, features = x.shape
    tile, r = _tile(features), np.empty(8, np.int64)
    for b in range(len(planes)):
        # Ascending planes: the up to seven that a tile writes too many are written over.
        for level in range(len(threshold)):
            for at in range(0, features, TILE):
                columns = min(TILE, features - at)
                for g in range(64):
                    _rows(BLOCK * (first + b) + 8 * g, samples, r)
                    _compare_8(x, threshold[level], within[level], r, at, columns, tile[g])
                _transpose(tile, columns, planes[b], level * features + at)


@njit(cache=True, nogil=True)
def run_luts(values: U64x1, ops: I32x1, tables: I32x1, starts: I64x1) -> None:
    """Evaluate all LUTs on one plane each; run i applies `tables[i]` to `starts[i] ..`."""
    for i in range(len(tables)):
        interpret(values, ops, tables[i], starts[i], starts[i + 1])


@njit(cache=True, nogil=True)
def _add8(sums: Any, x: Any) -> Any:
    """Add eight planes to ones, twos and fours; the eights that come out are the fourth."""
    ones, twos, fours = sums
    a = majority(ones, x[0], x[1])
    ones = parity(ones, x[0], x[1])
    b = majority(ones, x[2], x[3])
    ones = parity(ones, x[2], x[3])
    c = majority(twos, a, b)
    twos = parity(twos, a, b)
    a = majority(ones, x[4], x[5])
    ones = parity(ones, x[4], x[5])
    b = majority(ones, x[6], x[7])
    ones = parity(ones, x[6], x[7])
    d = majority(twos, a, b)
    twos = parity(twos, a, b)
    return ones, twos, parity(fours, c, d), majority(fours, c, d)


@njit(cache=True, nogil=True)
def count(values: U64x1, items: I32x2, eights: I32x1, first: I64x1, plain: I64x1, sums: I32x2) -> None:
    """Add up columns of planes by carry-save adders, eight planes a step (Harley and Seal).

    Column j consists of the steps `first[j] .. first[j + 1] - 1`; step i adds the slots `items[i]`,
    inverted from step `plain[j]` on, and stores its eights in slot `eights[i]`. The ones, twos and
    fours of the column go to the slots `sums[j]`; slots read later carry them on.
    """
    for j in range(len(sums)):
        ones = twos = fours = load(values, 0)
        for i in range(first[j], plain[j]):
            s = items[i]
            x = (
                load(values, s[0]), load(values, s[1]), load(values, s[2]), load(values, s[3]),
                load(values, s[4]), load(values, s[5]), load(values, s[6]), load(values, s[7]),
            )  # fmt: skip
            ones, twos, fours, out = _add8((ones, twos, fours), x)
            store(values, eights[i], out)
        for i in range(plain[j], first[j + 1]):
            s = items[i]
            x = (
                flip(load(values, s[0])), flip(load(values, s[1])),
                flip(load(values, s[2])), flip(load(values, s[3])),
                flip(load(values, s[4])), flip(load(values, s[5])),
                flip(load(values, s[6])), flip(load(values, s[7])),
            )  # fmt: skip
            ones, twos, fours, out = _add8((ones, twos, fours), x)
            store(values, eights[i], out)
        store(values, sums[j, 0], ones)
        store(values, sums[j, 1], twos)
        store(values, sums[j, 2], fours)


@njit(cache=True, nogil=True)
def _integers(values: U64x1, planes: I32x1, base: int, square: U64x1, total: U64x1) -> None:
    """`total[s] = base + sum(2**b * bit s of plane b)`, uint64 `[BLOCK]`, eight planes at a time."""
    for step in range(64):
        store(total, step, broadcast(np.uint64(base)))
    p = np.zeros(8, np.int32)
    for at in range(0, len(planes), 8):
        for b in range(8):
            p[b] = planes[at + b] if at + b < len(planes) else 0
        r = (
            load(values, p[0]), load(values, p[1]), load(values, p[2]), load(values, p[3]),
            load(values, p[4]), load(values, p[5]), load(values, p[6]), load(values, p[7]),
        )  # fmt: skip
        # Byte i of word w of vector k is now the number of sample 64 * w + 8 * k + i.
        _store8(square, 0, _bytes(_bits(r)))
        for w in range(8):
            for k in range(8):
                number = left(widen(square[8 * k + w]), at)
                store(total, 8 * w + k, plus(load(total, 8 * w + k), number))


@njit(cache=True, nogil=True)
def score(values: U64x1, planes: I32x1, starts: I64x1, base: I64x1, total: U64x2, out: I64x2) -> None:
    """Scores int64 `out[samples, classes]` of up to `BLOCK` samples from the counters' planes."""
    classes = len(base)
    square = np.empty(64, np.uint64)
    for c in range(classes):
        _integers(values, planes[starts[c] : starts[c + 1]], base[c], square, total[c])
    for s in range(len(out)):
        for c in range(classes):
            out[s, c] = np.int64(total[c, s])


@njit(cache=True, nogil=True)
def _unpack(planes: U8x2, rows: I64x1, byte: int, out: Bool2) -> None:
    """Bools `out[samples, len(rows)]` from the bits of `planes[rows]`, from byte `byte` on."""
    samples = len(out)
    row = np.empty(len(rows), np.uint8)
    for g in range((samples + 7) // 8):
        for i in range(len(rows)):
            row[i] = planes[rows[i], byte + g]
        for s in range(min(8, samples - 8 * g)):
            to = out[8 * g + s]
            for i in range(len(rows)):
                to[i] = (row[i] >> np.uint8(s)) & np.uint8(1)


@njit(cache=True, nogil=True)
def unpack(words: U64x2, samples: int, first: int, stop: int, out: Bool2) -> None:
    """Blocks `first .. stop - 1` of bools `out[samples, signals]` from `words[signals, words]`."""
    planes = words.view(np.uint8)
    signals = len(words)
    for b in range(first, stop):
        for at in range(0, signals, TILE):
            rows = np.arange(at, min(at + TILE, signals))
            _unpack(planes, rows, 64 * b, out[BLOCK * b : min(BLOCK * (b + 1), samples), at : at + TILE])


@njit(cache=True, nogil=True)
def place(planes: U64x2, first: int, samples: int, out: U64x2) -> None:
    """Copy the blocks `planes` to `out[inputs, words]`, from block `first` on; 0 beyond the end."""
    inputs, total = out.shape
    for b in range(len(planes)):
        at = 8 * (first + b)
        words = min(8, total - at)
        rest = samples - 64 * (at + words - 1)
        last = ~np.uint64(0) if rest >= 64 else (np.uint64(1) << np.uint64(rest)) - np.uint64(1)
        for i in range(inputs):
            for w in range(words):
                out[i, at + w] = planes[b, 8 * i + w]
            out[i, at + words - 1] &= last


@njit(cache=True, nogil=True)
def run(
    planes: U64x2, inputs: int, luts: Any, counters: Any, slots: I64x1, values: U64x1,
    scores: I64x2, roots: Bool2,
) -> None:  # fmt: skip
    """Run the blocks `planes` `[blocks, 8 * inputs or more]`.

    `luts` are the arguments of `run_luts`, `counters` those of `count` and of `score`. Fills
    `scores` `[samples, classes]` and `roots` `[samples, len(slots)]`, the planes of `slots`; what
    nobody wants has no columns.
    """
    ops, tables, starts = luts
    items, eights, first, plain, sums, digits, digit_starts, base = counters
    total = np.empty((len(base), BLOCK + 8), np.uint64)  # rows that do not share cache sets
    for b in range(len(planes)):
        values[16 : 16 + 8 * inputs] = planes[b, : 8 * inputs]
        run_luts(values, ops, tables, starts)
        rows = slice(BLOCK * b, min(BLOCK * (b + 1), len(roots)))
        if len(base):
            count(values, items, eights, first, plain, sums)
            score(values, digits, digit_starts, base, total, scores[rows])
        if len(slots):
            _unpack(values.view(np.uint8).reshape(-1, 64), slots, 0, roots[rows])


@njit(cache=True, nogil=True)
def evaluate(fanin: I32x2, table: U64x1, first: int, values: U64x2) -> None:
    """Evaluate every LUT as it stands, in place, on `values` `[signals, words]`.

    A tree of multiplexers, the last pin selecting first, on eight words at a time; the last eight
    may overlap those before.
    """
    words = values.shape[1]
    flat = values.ravel()
    tree = np.empty(32 * 8, np.uint64)
    for i in range(len(fanin)):
        used = max(pins_used(fanin[i]), 1)
        out = (first + i) * words
        if words < 8:
            for w in range(words):
                flat[out + w] = _word(table[i], used, fanin[i], values, w, tree)
        for step in range((words + 7) // 8 if words >= 8 else 0):
            w = min(8 * step, words - 8)
            x = load_at(flat, fanin[i, 0] * words + w)
            half = 1 << (used - 1)
            for r in range(half):
                low, high = _row(table[i], 2 * r), _row(table[i], 2 * r + 1)
                store(tree, r, choose(x, broadcast(high), broadcast(low)))
            for pin in range(1, used):
                half >>= 1
                x = load_at(flat, fanin[i, pin] * words + w)
                for r in range(half):
                    store(tree, r, choose(x, load(tree, 2 * r + 1), load(tree, 2 * r)))
            store_at(flat, out + w, load(tree, 0))


@njit(cache=True, nogil=True)
def _row(table: np.uint64, row: int) -> np.uint64:
    """All ones where bit `row` of `table` is set."""
    return np.uint64(0) - ((table >> np.uint64(row)) & np.uint64(1))


@njit(cache=True, nogil=True)
def _word(table: np.uint64, used: int, pins: I32x1, values: U64x2, w: int, tree: U64x1) -> np.uint64:
    """Evaluate one LUT on one word."""
    rows = 1 << used
    for r in range(rows):
        tree[r] = _row(table, r)
    for pin in range(used):
        rows >>= 1
        x = values[pins[pin], w]
        for r in range(rows):
            tree[r] = tree[2 * r] ^ (x & (tree[2 * r] ^ tree[2 * r + 1]))
    return np.uint64(tree[0])


@njit(cache=True, nogil=True)
def argmax(scores: I64x2, out: I64x1) -> None:
    """Class of the highest score, the lowest on ties."""
    for s in range(len(scores)):
        best = 0
        for c in range(1, scores.shape[1]):
            if scores[s, c] > scores[s, best]:
                best = c
        out[s] = best


@njit(cache=True, nogil=True)
def any_overflow(words: U64x1, mask: np.uint64, one: np.uint64, carry: np.uint64) -> bool:
    """Whether a field `mask` of some word is all ones, so that adding its lowest bit carries."""
    found = np.uint64(0)
    for i in range(len(words)):
        found |= (words[i] & mask) + one
    return bool((found & carry) != 0)
