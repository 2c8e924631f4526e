"""Clock by clock evaluation of a decoded design, 64 samples side by side in the bits of a word.

For many samples an event-driven simulator is too slow. Registers start at 0, as the device's do, and
memories with what the bitstream holds; the clock is the only one: what else a design does is refused.
`drive` knows what to do with the pins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError
from lgc.frontend.kernels.threads import share

from . import _lane_kernels
from ._lane_kernels import ADDRESS, CONTENT, DATA, LANES
from .decode import Block, Design, Memory

FRAMES = 2
"""Samples each lane sends one after the other, so that what one leaves behind meets the next."""
_MAJORITY = 0xE8E8
_READ = [f"RADDR_{i}" for i in range(ADDRESS)] + ["RCLKE", "RE"] + [f"RDATA_{i}" for i in range(DATA)]
_WRITE = [f"WADDR_{i}" for i in range(ADDRESS)] + ["WCLKE", "WE"]
_WRITE += [f"{name}_{i}" for name in ("WDATA", "MASK") for i in range(DATA)]

_I32x1 = npt.NDArray[np.int32]
_I32x2 = npt.NDArray[np.int32]
_Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Program:
    """A design as arrays; signals 0 and 1 are the constants.

    Attributes:
        signals: how many there are.
        table: uint16 `[luts]`, in topological order; a carry is a table too.
        fanin, out: int32 `[luts, 4]` and `[luts]`.
        register: int32 `[registers, 4]`: data, output, enable, reset.
        set_: uint64 `[registers]`, what reset brings: all ones or zero.
        mode: int32 `[memories, 2]`, of reading and of writing; those that are written come first.
        content: uint8 `[memories, CONTENT]`, the bits they hold at first.
        read: int32 `[memories, 52]`: 14 address bits, clock enable and read enable, 36 data bits.
        write: int32 `[memories that are written, 88]`: likewise, and 36 bits of the mask.
        pin: signal by port bit, `tx` or `words__payload[3]`.
    """

    signals: int
    table: npt.NDArray[np.uint16]
    fanin: _I32x2
    out: _I32x1
    register: _I32x2
    set_: npt.NDArray[np.uint64]
    mode: _I32x2
    content: npt.NDArray[np.uint8]
    read: _I32x2
    write: _I32x2
    pin: Mapping[str, int]

    @property
    def arrays(self) -> tuple[_Array, ...]:
        """Return what the kernels evaluate."""
        logic = (self.table, self.fanin, self.out, self.register, self.set_)
        return (*logic, self.mode, self.content, self.read, self.write)

    def pins(self, names: Iterable[str]) -> _I32x1:
        """Signals of pins, int32 `[names]`; one that nothing reads stands for pins that are not there."""
        return np.array([self.pin.get(name, self.signals - 1) for name in names], np.int32)


def program(design: Design, port: Mapping[str, int], clock: str = "clk") -> Program:
    """Order a design's tables and number its signals.

    Args:
        design: the decoded bitstream.
        port: nets by port bit.
        clock: name of the clock's port.

    Raises:
        LgcError: a combinational loop, another clock, or an asynchronous reset.
    """
    index: dict[int, int] = {0: 0, 1: 1}

    def number(net: int) -> int:
        return index.setdefault(net, len(index))

    luts: list[tuple[int, tuple[int, ...], int]] = []
    registers, sets = [], []
    for place, cell in enumerate(design.cells):
        pins = tuple(number(cell.pins[f"I{i}"]) for i in range(4))
        own = number(cell.direct) if cell.direct else number(-2 - place)
        luts.append((cell.table, _read(cell.table, pins), own))
        if cell.carry:
            luts.append((_MAJORITY, (pins[1], pins[2], number(cell.pins["CIN"]), 0), number(cell.carry)))
        if cell.register:
            if cell.pins["CLK"] != port[clock] or cell.falling or cell.asynchronous:
                raise LgcError("The bitstream has a register with another clock or an asynchronous reset.")
            registers.append((own, number(cell.out), number(cell.pins["CEN"]), number(cell.pins["SR"])))
            sets.append(cell.set_)
        else:
            luts.append((0xAAAA, (own, 0, 0, 0), number(cell.out)))
    constant = {0: 0, 1: 1}
    constant |= {c.out: c.table & 1 for c in design.cells if c.table in {0, 0xFFFF} and not c.register}
    written: list[Memory] = []
    still: list[Memory] = []
    for memory in design.memories:
        never = memory.pins["WCLK"] in constant
        never |= any(constant.get(memory.pins[pin]) == 0 for pin in ("WE", "WCLKE"))
        clocks = {memory.pins["RCLK"], port[clock] if never else memory.pins["WCLK"]}
        if clocks != {port[clock]} or memory.falling_read or (memory.falling_write and not never):
            raise LgcError("The bitstream has a block RAM with another clock.")
        (still if never else written).append(memory)
    memories = written + still
    pins_of = [{pin: number(net) for pin, net in memory.pins.items()} for memory in memories]
    pin = {name: number(net) for name, net in port.items()}
    order = _sorted(luts, len(index))
    return Program(
        signals=len(index) + 1,
        table=np.array([luts[i][0] for i in order], np.uint16),
        fanin=np.array([luts[i][1] for i in order], np.int32).reshape(-1, 4),
        out=np.array([luts[i][2] for i in order], np.int32),
        register=np.array(registers, np.int32).reshape(-1, 4),
        set_=np.where(np.array(sets, np.bool_), ~np.uint64(0), np.uint64(0)),
        mode=np.array([(m.read_mode, m.write_mode) for m in memories], np.int32).reshape(-1, 2),
        content=np.array([_content(m) for m in memories], np.uint8).reshape(-1, CONTENT),
        read=_columns(pins_of, _READ),
        write=_columns(pins_of[: len(written)], _WRITE),
        pin=pin,
    )


def _read(table: int, pins: tuple[int, ...]) -> tuple[int, ...]:
    """Return the pins with those tied to 0 that the table ignores: a carry may read the output."""
    rows = np.array([table >> row & 1 for row in range(16)]).reshape(2, 2, 2, 2)
    read = [bool((np.take(rows, 0, axis) != np.take(rows, 1, axis)).any()) for axis in (3, 2, 1, 0)]
    return tuple(pin if used else 0 for pin, used in zip(pins, read, strict=True))


def bits(name: str, width: int) -> list[str]:
    """Names of the bits of a port."""
    return [name] if width == 1 else [f"{name}[{i}]" for i in range(width)]


def _columns(memories: list[dict[str, int]], pins: list[str]) -> _I32x2:
    """Signals of pins in a row for each memory; those of iCE40 lack some."""
    rows = [[each.get(pin, 0) for pin in pins] for each in memories]
    return np.array(rows, np.int32).reshape(-1, len(pins))


def _content(memory: Memory) -> npt.NDArray[np.uint8]:
    """Return the bits of a memory, uint8 `[CONTENT]`; of iCE40's the first 4,096 are used."""
    if isinstance(memory, Block):
        return memory.bits.ravel()
    found = np.zeros(CONTENT, np.uint8)
    words = [
        int(row[len(row) - 4 * (i + 1) : len(row) - 4 * i], 16) for row in memory.content for i in range(16)
    ]
    found[: 16 * len(words)] = (np.array(words)[:, None] >> np.arange(16) & 1).ravel()
    return found


def _sorted(luts: list[tuple[int, tuple[int, ...], int]], signals: int) -> list[int]:
    """Order tables so that each comes after those it reads."""
    maker = np.full(signals, -1, np.int64)
    for i, (_, _, out) in enumerate(luts):
        maker[out] = i
    waiting = [0] * len(luts)
    readers: list[list[int]] = [[] for _ in luts]
    for i, (_, pins, _) in enumerate(luts):
        for made in {int(maker[pin]) for pin in pins} - {-1}:
            waiting[i] += 1
            readers[made].append(i)
    order = [i for i, count in enumerate(waiting) if not count]
    for i in order:
        for reader in readers[i]:
            waiting[reader] -= 1
            if not waiting[reader]:
                order.append(reader)
    if len(order) < len(luts):
        raise LgcError("The bitstream has a combinational loop.")
    return order


@dataclass(eq=False)
class Recorder:
    """Levels of some pins in word 0, clock by clock before each edge.

    Attributes:
        pins: their names.
        clocks: how many to keep at most.
    """

    pins: Sequence[str]
    clocks: int
    _kept: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 1), np.uint64))

    def room(self, made: Program, clocks: int) -> tuple[_I32x1, npt.NDArray[np.uint64]]:
        """Return the signals, constant 1 before them, and room for their levels during so many clocks."""
        self._kept = np.zeros((min(clocks, self.clocks), 1 + len(self.pins)), np.uint64)
        return np.append(np.int32(1), made.pins(self.pins)), self._kept

    @property
    def levels(self) -> npt.NDArray[np.uint64]:
        """Levels uint64 `[clocks, pins]`, a bit per lane, of the clocks that ran."""
        return self._kept[self._kept[:, 0] > 0, 1:]


_NOTHING = Recorder((), 0)


@dataclass(frozen=True)
class Streams:
    """Pins of a design between two streams.

    Attributes:
        reset: name of the reset.
        low: whether it is active when low.
        valid, take, ready, result_valid: handshakes of what goes in and of what comes out.
        payload, result: bits of both payloads.
    """

    reset: str
    low: bool
    valid: str
    ready: str
    payload: tuple[str, ...]
    result_valid: str
    take: str
    result: tuple[str, ...]


def stream(
    made: Program,
    streams: Streams,
    beats: npt.NDArray[np.int64],
    *,
    replies: int,
    cycles: int,
    seed: int,
    gaps: bool,
    recorder: Recorder | None = None,
) -> npt.NDArray[np.int64]:
    """Stream samples into the pins and read the answers from them.

    Args:
        made: the design.
        streams: its pins.
        beats: int64 `[samples, beats]`, payloads.
        replies: beats of an answer.
        cycles: clocks per sample at full rate, for the limit after which an answer is missing.
        seed: of gaps and back-pressure.
        gaps: whether both streams pause at random.
        recorder: keeps the levels of some pins.

    Returns:
        int64 `[samples, replies]`, -1 where nothing came.
    """
    per_word = LANES * FRAMES
    words = -(-len(beats) // per_word)
    padded = np.zeros((words * per_word, beats.shape[1]), np.int64)
    padded[: len(beats)] = beats
    frames = padded.reshape(words, LANES, FRAMES * beats.shape[1])
    found = np.full((words, LANES, FRAMES * replies), -1, np.int64)
    limit = (FRAMES + 1) * (cycles + replies) * (4 if gaps else 1) + 1000
    single = (streams.reset, streams.valid, streams.take, streams.ready, streams.result_valid)
    port = made.pins((*single, *streams.payload, *streams.result))
    width = len(streams.payload)
    share(
        _lane_kernels.run,
        words,
        made.signals,
        *made.arrays,
        port,
        width,
        streams.low,
        frames,
        found,
        limit,
        seed,
        gaps,
        *(recorder or _NOTHING).room(made, limit),
    )
    return found.reshape(-1, replies)[: len(beats)]


def wave(
    made: Program,
    inputs: Sequence[str],
    outputs: Sequence[str],
    length: npt.NDArray[np.int32],
    level: npt.NDArray[np.uint64],
    *,
    clocks: int,
    recorder: Recorder | None = None,
) -> npt.NDArray[np.uint64]:
    """Drive pins with given waveforms and record others.

    Args:
        made: the design.
        inputs: pins to drive.
        outputs: pins to record.
        length: clocks of each segment, int32 `[words, segments]`; the last one's levels stay.
        level: uint64 `[words, segments, inputs]`, a bit per lane.
        clocks: how many to run.
        recorder: keeps the levels of some pins.

    Returns:
        uint64 `[words, clocks, outputs]`, before each edge.
    """
    seen = np.zeros((len(length), clocks, len(outputs)), np.uint64)
    pins = made.pins(inputs), made.pins(outputs)
    room = (recorder or _NOTHING).room(made, clocks)
    share(_lane_kernels.wave, len(length), made.signals, *made.arrays, *pins, length, level, seen, *room)
    return seen
