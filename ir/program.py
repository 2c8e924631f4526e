"""Programs: a netlist prepared for the engine, once, to be run on any number of samples."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import _schedule
from ._lanes import opcodes
from ._typing import I32x1, I32x2, I64x1
from .netlist import Netlist
from .readout import Readout

_STEP = 8
"""Planes that one step of a counter adds."""


@dataclass(frozen=True, eq=False)
class Counters:
    """How the readout is added up, see `_engine.count`; `base` is added to each class.

    Attributes:
        items: int32 `[steps, 8]`, slots added.
        eights: int32 `[steps]`, slots written.
        first, plain: int64 `[columns + 1]` and `[columns]`, steps of each column.
        sums: int32 `[columns, 3]`, slots written.
        planes: int32, slots of the bits of each class's count, low bit first.
        plane_starts: int64 `[classes + 1]`.
        base: int64 `[classes]`.
    """

    items: I32x2
    eights: I32x1
    first: I64x1
    plain: I64x1
    sums: I32x2
    planes: I32x1
    plane_starts: I64x1
    base: I64x1


NOTHING = Counters(
    items=np.empty((0, _STEP), np.int32),
    eights=np.empty(0, np.int32),
    first=np.zeros(1, np.int64),
    plain=np.empty(0, np.int64),
    sums=np.empty((0, 3), np.int32),
    planes=np.empty(0, np.int32),
    plane_starts=np.zeros(1, np.int64),
    base=np.empty(0, np.int64),
)
"""Counters of no class."""


@dataclass(frozen=True, eq=False)
class Program:
    """LUTs of up to three pins in an order that the engine runs without a branch per LUT.

    LUTs are sorted by level, then by function; their planes share slots as registers do.

    Attributes:
        inputs: input bits.
        slots: planes the buffer needs.
        ops: int32 `[luts, 4]`, slot written and slots read.
        tables: int32 `[runs]`, the function of each run of LUTs.
        starts: int64 `[runs + 1]`.
        outputs: int64 `[outputs]`, slots of the netlist's outputs.
        counters: the readout; of no class if there is none.
    """

    inputs: int
    slots: int
    ops: I32x2
    tables: I32x1
    starts: I64x1
    outputs: I64x1
    counters: Counters


def prepare(net: Netlist, *, levels: int = 1) -> Program:
    """Order the LUTs of `net` for the engine.

    No pass takes part: every LUT is evaluated as it stands, so that programs can check passes.

    Args:
        net: the netlist.
        levels: input bit `f * levels + l` is expected as plane `l * features + f`.
    """
    small = three_pins(net)
    level = small.levels()[small.first_lut :]
    most = min(small.luts, 256 * int(level.max(initial=0)))
    tables, starts = np.empty(most, np.int32), np.empty(most + 1, np.int64)
    order, pins = np.empty(small.luts, np.int32), np.empty((small.luts, 3), np.int32)
    runs = _schedule.order(small.fanin, small.table, level, *opcodes(), tables, starts, order, pins)
    slot = np.zeros(small.signals, np.int32)
    slot[1] = 1
    slot[2 : small.first_lut] = 2 + np.arange(small.inputs).reshape(levels, -1).T.ravel()
    ops = np.empty((small.luts, 4), np.int32)
    free = 2 + small.inputs + _STEP  # packing may write so many planes too many
    free = _schedule.allocate(pins, order, small.first_lut, small.roots(), free, slot, ops)
    counters = NOTHING
    if small.readout is not None:
        counters, free = _counters(small.readout, slot, free)
    return Program(
        inputs=net.inputs,
        slots=free,
        ops=ops,
        tables=tables[:runs].copy(),
        starts=starts[: runs + 1].copy(),
        outputs=slot[small.outputs].astype(np.int64),
        counters=counters,
    )


def three_pins(net: Netlist) -> Netlist:
    """Return an equal netlist whose LUTs have three pins, the wider ones split."""
    if net.k <= 3:
        fanin = np.zeros((net.luts, 3), np.int32)
        fanin[:, : net.k] = net.fanin
        return replace(net, fanin=fanin, table=net.table.astype(np.uint8), stage=None)
    rows = _schedule.count_split(net.fanin)
    fanin, table = np.zeros((rows, 3), np.int32), np.zeros(rows, np.uint8)
    signal = np.arange(net.signals, dtype=np.int32)
    _schedule.split(net.fanin, net.table.astype(np.uint64), net.first_lut, signal, fanin, table)
    small = replace(net, fanin=fanin, table=table, stage=None, origin=None)
    return small.with_roots(signal[net.roots()])


def _merged(head: Readout) -> tuple[Readout, I64x1]:
    """Entries with distinct signals in each class and no constants; the weights as int64."""
    of_class = head.class_of_entry.astype(np.int64)
    bias = head.bias.copy()
    one = head.signal == 1
    np.add.at(bias, of_class[one], head.weight[one])
    width = int(head.signal.max(initial=0)) + 1
    key, position = np.unique(of_class * width + head.signal, return_inverse=True)
    weight = np.zeros(len(key), np.int64)
    np.add.at(weight, position, head.weight)
    keep = (key % width > 1) & (weight != 0)
    key, weight = key[keep], weight[keep]
    start = np.searchsorted(key, np.arange(head.classes + 1) * width)
    return Readout(bias, start, (key % width).astype(np.int32), weight.astype(np.int32)), weight


def _counters(head: Readout, slot: I32x1, free: int) -> tuple[Counters, int]:
    """Plan the counters of all classes in slots from `free` on."""
    merged, weight = _merged(head)
    items: list[I32x2] = []
    eights: list[I32x1] = []
    steps, plain = [0], []
    sums: list[tuple[int, int, int]] = []
    planes: list[int] = []
    starts, base = [0], merged.bias.copy()
    for c in range(merged.classes):
        own = slice(merged.start[c], merged.start[c + 1])
        signals, weights = slot[merged.signal[own]], weight[own]
        base[c] += weights[weights < 0].sum()
        magnitude = np.abs(weights)
        width = int(magnitude.sum()).bit_length()
        carries: list[list[int]] = [[] for _ in range(width + 4)]
        for bit in range(width):
            chosen = (magnitude >> bit & 1).astype(np.bool_)
            up = np.concatenate([signals[chosen & (weights > 0)], np.array(carries[bit], np.int32)])
            down = signals[chosen & (weights < 0)]
            rows = np.concatenate([_steps(up, 0), _steps(down, 1)])
            items.append(rows)
            eights.append(np.arange(free, free + len(rows), dtype=np.int32))
            plain.append(steps[-1] + -(-len(up) // _STEP))
            steps.append(steps[-1] + len(rows))
            carries[bit + 3] += eights[-1].tolist()
            free += len(rows)
            sums.append((free, free + 1, free + 2))
            planes.append(free)
            carries[bit + 1].append(free + 1)
            carries[bit + 2].append(free + 2)
            free += 3
        starts.append(len(planes))
    return Counters(
        items=np.concatenate([np.empty((0, _STEP), np.int32), *items]).astype(np.int32),
        eights=np.concatenate([np.empty(0, np.int32), *eights]).astype(np.int32),
        first=np.array(steps, np.int64),
        plain=np.array(plain, np.int64),
        sums=np.array(sums, np.int32).reshape(-1, 3),
        planes=np.array(planes, np.int32),
        plane_starts=np.array(starts, np.int64),
        base=base,
    ), free


def _steps(slots: I32x1, neutral: int) -> I32x2:
    """Slots in rows of eight, filled up with the slot `neutral`; int32 `[steps, 8]`."""
    rows = np.full((-(-len(slots) // _STEP), _STEP), neutral, np.int32)
    rows.flat[: len(slots)] = slots
    return rows
