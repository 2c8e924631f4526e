"""C99 out: a self-contained file that evaluates 64 samples at a time, and the readout if there is one.

Compiles in time linear in the LUTs: functions of some dozen LUTs, whose results live in local
variables unless other functions read them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numba import njit

from lgc.errors import LgcError

from .._typing import I32x1, I32x2, I64x1
from ..netlist import Netlist
from ..readout import Readout
from . import _functions, _render
from ._render import OWN, PIN

_PART = 64
"""LUTs in a function. gcc takes time quadratic in it, and twice as long with 250 as with 64."""
_MUX = "{b} ^ (({a} ^ {b}) & {s})"


def pieces(net: Netlist) -> Iterator[bytes]:
    """Yield `net` as C, piece by piece; see `dump`."""
    slot, slots = _slots(net)
    yield _HEAD.format(
        inputs=net.inputs,
        roots=len(net.roots()),
        words=net.inputs + slots + 2,
        scores=_DECLARE_SCORES if net.readout is not None else "",
    ).encode()
    yield from _parts(net, slot)
    yield from _eval(net, slot)
    if net.readout is not None:
        yield ("\n" + _scores(net, slot, net.readout)).encode()


def dump(net: Netlist) -> bytes:
    """Write `net` as C99.

    The file defines

        void lgc_eval(const uint64_t *inputs, uint64_t *outputs);

    with bit s of `inputs[i]` being input i of sample s, and of `outputs[r]` root r, and, when the
    netlist has a readout,

        void lgc_scores(const uint8_t *bits, int32_t *scores, size_t samples);

    with `bits` `[samples, inputs]`, one byte of 0 or 1 each, and `scores` `[samples, classes]`.

    Raises:
        LgcError: a score could leave the range of int32.
    """
    return b"".join(pieces(net))


@njit(cache=True, nogil=True)
def _allot(pins: I32x2, first: int, part: int, roots: I32x1, slot: I32x1) -> int:
    """Fill `slot` `[luts]`: -2 for values nobody needs, -1 for those that only their own part reads.

    All others get a slot, reused once the last part that reads them is over. Returns how many slots
    there are.
    """
    luts, k = pins.shape
    last = np.full(luts, -1, np.int64)
    parts = (luts + part - 1) // part
    for r in roots:
        if r >= first:
            last[r - first] = parts
    for i in range(luts - 1, -1, -1):
        if last[i] >= 0:
            for pin in range(k):
                if pins[i, pin] >= first:
                    last[pins[i, pin] - first] = max(last[pins[i, pin] - first], i // part)
    # values by the part that reads them last, to free their slots behind it
    start = np.zeros(parts + 3, np.int64)
    for i in range(luts):
        if last[i] > i // part:
            start[last[i] + 1] += 1
    for p in range(parts + 2):
        start[p + 1] += start[p]
    by_part = np.empty(start[parts + 1], np.int64)
    fill = start.copy()
    for i in range(luts):
        if last[i] > i // part:
            by_part[fill[last[i]]] = i
            fill[last[i]] += 1
    free = np.empty(luts, np.int32)
    frees, slots = 0, 0
    for p in range(parts):
        for i in range(p * part, min(luts, (p + 1) * part)):
            slot[i] = -1 if last[i] >= 0 else -2
            if last[i] > p:
                if frees:
                    frees -= 1
                    slot[i] = free[frees]
                else:
                    slot[i] = slots
                    slots += 1
        for j in range(start[p], start[p + 1]):
            free[frees] = slot[by_part[j]]
            frees += 1
    return slots


def _slots(net: Netlist) -> tuple[I32x1, int]:
    rows = _render.strip(net)
    slot = np.empty(net.luts, np.int32)
    return slot, int(_allot(rows.pins, net.first_lut, _PART, net.roots().astype(np.int32), slot))


def _parts(net: Netlist, slot: I32x1) -> Iterator[bytes]:
    """Yield the functions. Values in memory are `s[...]`, the others locals of their part.

    Rows are the LUTs with a header before each part, and a row's number is its name, so a LUT's local
    variable and a part are numbered alike.
    """
    rows = _render.strip(net)
    parts = -(-net.luts // _PART)
    stored = 2 + net.inputs + int(slot.max(initial=-1)) + 1  # signals below are words of s
    lut = np.arange(net.luts)
    row = lut + lut // _PART + 1
    places = np.concatenate([np.arange(net.first_lut), stored + row])
    kept = np.concatenate([np.arange(net.first_lut), np.where(slot < 0, 0, net.first_lut + slot)])
    pins = np.zeros((net.luts + parts, net.k + 1), np.int32)
    near = rows.pins >= net.first_lut + (lut // _PART * _PART)[:, None]
    pins[row, : net.k] = np.where(near, places[rows.pins], kept[rows.pins])
    pins[row, net.k] = kept[net.first_lut :]
    which = np.zeros(net.luts + parts, np.int64)
    which[row] = np.where(slot == -2, 1, 2 + 2 * rows.which + (slot >= 0))
    templates = [f"}}\n\nstatic void lgc_part_{OWN}(uint64_t *s)\n{{\n  (void)s;\n", ""]
    for function in rows.functions.tolist():
        text = _render.expression(_functions.decompose(function, xor_cost=1), mux=_MUX)
        text = {"0": "0", "1": "~(uint64_t)0"}.get(text, text)
        templates.append(f"  const uint64_t n{OWN} = {text};\n")
        templates.append(f"  const uint64_t n{OWN} = {text}; {PIN[net.k]} = n{OWN};\n")
    yield from _render.render(
        templates,
        which,
        pins,
        first=stored,
        names=_render.Names(inputs=("s[", "]"), luts=("n", "")),
        own=("", ""),
        own_first=stored,
    )
    yield b"}\n\n"


def _eval(net: Netlist, slot: I32x1) -> Iterator[bytes]:
    """Yield `lgc_eval` and what it calls."""
    stored = 2 + net.inputs + int(slot.max(initial=-1)) + 1
    parts = range(stored, stored + net.luts + -(-net.luts // _PART), _PART + 1)
    if parts:  # called through a table, or compilers would inline all parts into one
        table = _render.wrapped((f"lgc_part_{number}," for number in parts), joint="", indent="  ", every=8)
        yield f"static void (*const lgc_parts[])(uint64_t *) = {{\n  {table}\n}};\n\n".encode()
    yield b"/* All values from those of the inputs, in s. */\nstatic void lgc_run(uint64_t *s)\n{\n"
    yield b"  s[LGC_WORDS - 2] = 0;\n  s[LGC_WORDS - 1] = ~(uint64_t)0;\n"
    if parts:
        yield f"  for (size_t i = 0; i != {len(parts)}; i++)\n    lgc_parts[i](s);\n".encode()
    yield ("}\n\n" + _array("uint32_t", "lgc_root", _words(net, slot)[net.roots()].tolist()) + _EVAL).encode()


def _words(net: Netlist, slot: I32x1) -> I64x1:
    """Place in `s` of each signal that has one, int64 `[signals]`."""
    end = net.inputs + int(slot.max(initial=-1)) + 1
    return np.concatenate([[end, end + 1], np.arange(net.inputs), net.inputs + slot.astype(np.int64)])


def _array(kind: str, name: str, values: list[int]) -> str:
    listed = _render.wrapped((f"{value}," for value in values or [0]), joint="", indent="  ", every=16)
    return f"static const {kind} {name}[] = {{\n  {listed}\n}};\n\n"


def _scores(net: Netlist, slot: I32x1, head: Readout) -> str:
    """Return `lgc_scores`: a negative weight counts its signal inverted, -w s = w (1 - s) - w."""
    low, high = head.bounds()
    if low.min(initial=0) < -(1 << 31) or high.max(initial=0) >= 1 << 31:
        raise LgcError("A score of the readout could leave the range of int32, which the C file returns.")
    size = np.abs(head.weight.astype(np.int64))
    total = high - low
    levels = int(total.max(initial=0)).bit_length()
    weights = int(size.max(initial=1)).bit_length()
    term = 2 * _words(net, slot)[head.signal] + (head.weight < 0)
    terms: list[int] = []
    first = [0]
    for c in range(head.classes):
        entries = slice(int(head.start[c]), int(head.start[c + 1]))
        for level in range(weights):
            terms += term[entries][(size[entries] >> level) & 1 == 1].tolist()
            first.append(len(terms))
    most = max((first[(c + 1) * weights] - first[c * weights] for c in range(head.classes)), default=0)
    return (
        f"#define LGC_CLASSES {head.classes}\n#define LGC_LEVELS {levels}\n#define LGC_WEIGHTS {weights}\n"
        f"#define LGC_TERMS {max(most, 1)}\n\n"
        + _array("uint32_t", "lgc_term", terms)
        + _array("uint32_t", "lgc_first", first)
        + _array("int32_t", "lgc_offset", low.tolist())
        + _SCORES
    )


_HEAD = """\
/* A logic-gate network, 64 samples at a time. C99, no dependencies. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LGC_INPUTS {inputs}
#define LGC_ROOTS {roots}
/* Words of working memory: inputs, LUTs that several functions read, the constants. */
#define LGC_WORDS {words}

/* Bit s of inputs[i] is input i of sample s, bit s of outputs[r] is output r of it. */
void lgc_eval(const uint64_t *inputs, uint64_t *outputs);
{scores}
static uint64_t *lgc_memory(size_t words)
{{
  uint64_t *memory = malloc(words * sizeof *memory);
  if (!memory)
    abort();
  return memory;
"""

_DECLARE_SCORES = """\
/* bits is [samples][LGC_INPUTS], one byte of 0 or 1 each; scores is [samples][classes]. */
void lgc_scores(const uint8_t *bits, int32_t *scores, size_t samples);
"""

_EVAL = """\
void lgc_eval(const uint64_t *inputs, uint64_t *outputs)
{
  uint64_t *s = lgc_memory(LGC_WORDS);
  memcpy(s, inputs, LGC_INPUTS * sizeof *s);
  lgc_run(s);
  for (size_t i = 0; i != LGC_ROOTS; i++)
    outputs[i] = s[lgc_root[i]];
  free(s);
}
"""

_SCORES = """\
/* Transpose up to 64 samples of bytes into one word per input. */
static void lgc_pack(const uint8_t *bits, size_t samples, uint64_t *s)
{
  memset(s, 0, LGC_INPUTS * sizeof *s);
  for (size_t sample = 0; sample < samples; sample++) {
    const uint8_t *row = bits + sample * LGC_INPUTS;
    for (size_t i = 0; i != LGC_INPUTS; i++)
      s[i] |= (uint64_t)(row[i] & 1) << sample;
  }
}

/* Count the terms of a class in carry-save form: t holds bits of one weight, full adders leave one
   bit of it per sample and half as many carries of twice the weight. */
static void lgc_count(const uint64_t *s, size_t c, uint64_t *t, uint32_t *score)
{
  size_t many = 0;
  for (size_t sample = 0; sample < 64; sample++)
    score[sample] = (uint32_t)lgc_offset[c];
  for (size_t level = 0; level != LGC_LEVELS; level++) {
    if (level < LGC_WEIGHTS) {
      const uint32_t *first = lgc_first + c * LGC_WEIGHTS + level;
      for (uint32_t e = first[0]; e < first[1]; e++)
        t[many++] = s[lgc_term[e] >> 1] ^ (0 - (uint64_t)(lgc_term[e] & 1));
    }
    uint64_t sum = 0;
    size_t carries = 0, i = 0;
    for (; i + 1 < many; i += 2) {
      const uint64_t a = t[i], b = t[i + 1], half = a ^ b;
      t[carries++] = (a & b) | (half & sum);
      sum ^= half;
    }
    if (i < many) {
      const uint64_t a = t[i];
      t[carries++] = a & sum;
      sum ^= a;
    }
    many = carries;
    for (size_t sample = 0; sample < 64; sample++)
      score[sample] += (uint32_t)(sum >> sample & 1) << level;
  }
}

void lgc_scores(const uint8_t *bits, int32_t *scores, size_t samples)
{
  uint64_t *s = lgc_memory(LGC_WORDS), *t = lgc_memory(2 * LGC_TERMS);
  uint32_t score[64];
  for (size_t base = 0; base < samples; base += 64) {
    const size_t here = samples - base < 64 ? samples - base : 64;
    lgc_pack(bits + base * LGC_INPUTS, here, s);
    lgc_run(s);
    for (size_t c = 0; c != LGC_CLASSES; c++) {
      lgc_count(s, c, t, score);
      for (size_t sample = 0; sample < here; sample++)
        scores[(base + sample) * LGC_CLASSES + c] = (int32_t)score[sample];
    }
  }
  free(s);
  free(t);
}
"""
