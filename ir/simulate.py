"""Bit-parallel simulation, which is also software inference: 512 samples at a time.

`outputs` and `scores` evaluate a netlist as it stands and are what passes are checked with;
`Classifier.predict` runs an optimised program. Both use all cores for many samples.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from . import _engine
from ._lanes import LANES
from ._typing import Bool2, I64x1, I64x2, U64x1, U64x2
from .netlist import FIRST_INPUT, Netlist
from .program import Program, prepare

_BLOCKS_PER_PART = 4
"""Blocks of samples that are worth a thread."""

_MEMORY = 1 << 31
"""Bytes that the buffers of all threads may take; one thread takes what the network needs."""

_PLANES = 1 << 20
"""Bytes of packed inputs that are made before they are used, one block at the least."""

_plain: WeakKeyDictionary[Netlist, Program] = WeakKeyDictionary()
"""Programs of netlists that are still in use; netlists are immutable."""


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="lgc-inference")


def threads_for(blocks: int, threads: int | None = None, slots: int = 1) -> int:
    """Threads that `blocks` of samples are shared among, at most `threads` (None: one per core).

    Fewer where buffers of `slots` planes would not fit the memory allowed.
    """
    fitting = _MEMORY // (8 * LANES * slots)
    return max(1, min(threads or cores(), blocks // _BLOCKS_PER_PART, fitting))


def share(job: Callable[[int, int], None], blocks: int, parts: int) -> None:
    """Call `job(first, stop)` on `parts` ranges that cover `blocks`, each in a thread."""
    bounds = [blocks * i // parts for i in range(parts + 1)]
    others = [_pool().submit(job, first, stop) for first, stop in pairwise(bounds[1:])]
    try:
        job(0, bounds[1])
    finally:
        for future in others:
            future.result()


def blocks_of(samples: int) -> int:
    """Blocks of `_engine.BLOCK` samples that hold `samples`."""
    return -(-samples // _engine.BLOCK)


def planes(slots: int) -> U64x1:
    """Buffer of `slots` planes on cache lines, slot 1 all ones; uint64 `[8 * slots]`."""
    raw = np.empty((slots + 1) * LANES, np.uint64)
    start = -raw.ctypes.data // raw.itemsize % LANES
    values = raw[start : start + slots * LANES]
    values[:LANES] = 0
    values[LANES : 2 * LANES] = ~np.uint64(0)
    return values


def pieces(inputs: int, first: int, stop: int) -> Iterator[tuple[int, U64x2]]:
    """Yield blocks `first .. stop - 1` a few at a time: the first, and room for all their planes."""
    room = (inputs + LANES) * LANES
    step = max(1, _PLANES // (8 * room))
    buffer = np.empty((min(step, stop - first), room), np.uint64)
    for at in range(first, stop, step):
        yield at, buffer[: stop - at]


def pack(bits: Bool2) -> U64x2:
    """Pack bool `[samples, signals]` to uint64 `[signals, words]`, sample 0 in bit 0, 0 beyond the end."""
    x = _bytes(bits)
    out = np.empty((x.shape[1], -(-len(x) // 64)), np.uint64)

    def job(first: int, stop: int) -> None:
        for at, part in pieces(x.shape[1], first, stop):
            _engine.pack_bits(x, at, part)
            _engine.place(part, at, len(x), out)

    blocks = blocks_of(len(x))
    share(job, blocks, threads_for(blocks))
    return out


def unpack(words: U64x2, samples: int) -> Bool2:
    """Undo `pack`: uint64 `[signals, words]` to bool `[samples, signals]`."""
    dense = np.ascontiguousarray(words)
    out = np.empty((samples, len(dense)), np.bool_)

    def job(first: int, stop: int) -> None:
        _engine.unpack(dense, samples, first, stop, out)

    share(job, blocks_of(samples), threads_for(blocks_of(samples)))
    return out


def simulate_words(net: Netlist, inputs: U64x2) -> U64x2:
    """Values of every signal, uint64 `[signals, words]`, for packed `inputs` `[inputs, words]`."""
    if inputs.shape[0] != net.inputs:
        raise ValueError(f"the netlist has {net.inputs} inputs, the data {inputs.shape[0]} bits")
    values = np.empty((net.signals, inputs.shape[1]), np.uint64)
    values[0] = 0
    values[1] = ~np.uint64(0)
    values[FIRST_INPUT : net.first_lut] = inputs
    _engine.evaluate(net.fanin, net.table.astype(np.uint64), net.first_lut, values)
    return values


def outputs(net: Netlist, bits: Bool2) -> Bool2:
    """Values of `net.outputs`, bool `[samples, outputs]`, for input `bits` bool `[samples, inputs]`."""
    return _run(net, bits)[1]


def simulate_roots(net: Netlist, bits: Bool2) -> Bool2:
    """Values of `net.roots()`, bool `[samples, roots]`, for input `bits` bool `[samples, inputs]`."""
    return _run(replace(net, outputs=net.roots(), readout=None), bits)[1]


def scores(net: Netlist, bits: Bool2) -> I64x2:
    """Readout scores int64 `[samples, classes]` for input `bits` bool `[samples, inputs]`.

    Raises:
        ValueError: the netlist has no readout, or `bits` has the wrong width.
    """
    if net.readout is None:
        raise ValueError("the netlist has no readout")
    return _run(net, bits)[0]


def _run(net: Netlist, bits: Bool2) -> tuple[I64x2, Bool2]:
    if net not in _plain:
        _plain[net] = prepare(net)
    return run_bits(_plain[net], bits)


def run_bits(program: Program, bits: Bool2, threads: int | None = None) -> tuple[I64x2, Bool2]:
    """Scores int64 `[samples, classes]` and outputs bool `[samples, outputs]` of input `bits`.

    Raises:
        ValueError: `bits` has the wrong width.
    """
    x = _bytes(bits)
    if x.shape[1] != program.inputs:
        raise ValueError(f"the netlist has {program.inputs} inputs, the data {x.shape[1]} bits")
    scores = np.empty((len(x), len(program.counters.base)), np.int64)
    roots = np.empty((len(x), len(program.outputs)), np.bool_)
    run(program, lambda first, part: _engine.pack_bits(x, first, part), scores, roots, threads)
    return scores, roots


def run(
    program: Program,
    fill: Callable[[int, U64x2], None],
    scores: I64x2,
    roots: Bool2,
    threads: int | None,
) -> None:
    """Run a program on as many samples as `scores` and `roots` have rows.

    `fill(first, planes)` packs the blocks of inputs from `first` on. `scores` int64
    `[samples, classes]` and `roots` bool `[samples, outputs]` are written.
    """
    c = program.counters
    luts = (program.ops.ravel(), program.tables, program.starts)
    counters = (c.items, c.eights, c.first, c.plain, c.sums, c.planes, c.plane_starts, c.base)

    def job(first: int, stop: int) -> None:
        values = planes(program.slots)
        for at, part in pieces(program.inputs, first, stop):
            fill(at, part)
            rows = slice(at * _engine.BLOCK, (at + len(part)) * _engine.BLOCK)
            _engine.run(
                part, program.inputs, luts, counters, program.outputs, values, scores[rows], roots[rows]
            )

    blocks = blocks_of(len(scores))
    share(job, blocks, threads_for(blocks, threads, program.slots))


def _bytes(bits: Bool2) -> Any:
    """Return the bools as contiguous uint8 `[samples, inputs]`."""
    return np.ascontiguousarray(bits, np.bool_).view(np.uint8)


def argmax(scores: I64x2) -> I64x1:
    """Class of the highest score, int64 `[samples]`; ties go to the lowest class."""
    out = np.empty(len(scores), np.int64)
    _engine.argmax(scores, out)
    return out
