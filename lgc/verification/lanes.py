"""Clock by clock evaluation of a decoded design, 64 samples side by side in the bits of a word.

For many samples an event-driven simulator is too slow. Registers start at 0, as the device's do;
the clock is the only one, and memories are only read: what else a design does is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from lgc.backend.rtl import RtlFiles
from lgc.errors import LgcError
from lgc.frontend.kernels.threads import share

from .decode import Design, Memory

LANES = 64
FRAMES = 2
"""Samples each lane sends one after the other, so that what one leaves behind meets the next."""
_MAJORITY = 0xE8E8
_ADDRESS, _DATA = 11, 16
_RESET_CLOCKS = 4

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
        address, enable, data: int32 `[memories, ...]`: 11 address bits, clock enable and read
            enable, 16 data bits.
        content: uint16 `[memories, 2048]`, what each address reads.
        port: int32 `[...]`: rst, valid, take, ready, result valid, then features and result bits.
        feature_bits: bits of a feature.
    """

    signals: int
    table: npt.NDArray[np.uint16]
    fanin: _I32x2
    out: _I32x1
    register: _I32x2
    set_: npt.NDArray[np.uint64]
    address: _I32x2
    enable: _I32x2
    data: _I32x2
    content: npt.NDArray[np.uint16]
    port: _I32x1
    feature_bits: int


def program(design: Design, port: dict[str, int], rtl: RtlFiles) -> Program:
    """Order a design's tables and number its signals.

    Raises:
        LgcError: a combinational loop, another clock, an asynchronous reset, or a written memory.
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
            if cell.pins["CLK"] != port["clk"] or cell.falling or cell.asynchronous:
                raise LgcError("The bitstream has a register with another clock or an asynchronous reset.")
            registers.append((own, number(cell.out), number(cell.pins["CEN"]), number(cell.pins["SR"])))
            sets.append(cell.set_)
        else:
            luts.append((0xAAAA, (own, 0, 0, 0), number(cell.out)))
    constant = {0: 0, 1: 1}
    constant |= {c.out: c.table & 1 for c in design.cells if c.table in {0, 0xFFFF} and not c.register}
    for memory in design.memories:
        still = memory.pins["WCLK"] in constant
        still |= any(constant.get(memory.pins[pin]) == 0 for pin in ("WE", "WCLKE"))
        if memory.pins["RCLK"] != port["clk"] or memory.falling_read or not still:
            raise LgcError("The bitstream has a block RAM that is written or has another clock.")
    roms = [{pin: number(net) for pin, net in memory.pins.items()} for memory in design.memories]
    single = ("rst", "features__valid", "result__ready", "features__ready", "result__valid")
    names = [
        *single,
        *_bits("features__payload", rtl.feature_width),
        *_bits("result__payload", rtl.class_width),
    ]
    # a pin that nothing reads still has a signal, which nothing reads
    ports = [number(port.get(name, -1_000_000_000 - i)) for i, name in enumerate(names)]
    order = _sorted(luts, len(index))
    return Program(
        signals=len(index),
        table=np.array([luts[i][0] for i in order], np.uint16),
        fanin=np.array([luts[i][1] for i in order], np.int32).reshape(-1, 4),
        out=np.array([luts[i][2] for i in order], np.int32),
        register=np.array(registers, np.int32).reshape(-1, 4),
        set_=np.where(np.array(sets, np.bool_), ~np.uint64(0), np.uint64(0)),
        address=_columns(roms, [f"RADDR_{i}" for i in range(_ADDRESS)]),
        enable=_columns(roms, ["RCLKE", "RE"]),
        data=_columns(roms, [f"RDATA_{i}" for i in range(_DATA)]),
        content=np.array([_content(m) for m in design.memories], np.uint16).reshape(-1, 1 << _ADDRESS),
        port=np.array(ports, np.int32),
        feature_bits=rtl.feature_width,
    )


def _read(table: int, pins: tuple[int, ...]) -> tuple[int, ...]:
    """Return the pins with those tied to 0 that the table ignores: a carry may read the output."""
    rows = np.array([table >> row & 1 for row in range(16)]).reshape(2, 2, 2, 2)
    read = [bool((np.take(rows, 0, axis) != np.take(rows, 1, axis)).any()) for axis in (3, 2, 1, 0)]
    return tuple(pin if used else 0 for pin, used in zip(pins, read, strict=True))


def _bits(name: str, width: int) -> list[str]:
    return [name] if width == 1 else [f"{name}[{i}]" for i in range(width)]


def _columns(roms: list[dict[str, int]], pins: list[str]) -> _I32x2:
    return np.array([[rom[pin] for pin in pins] for rom in roms], np.int32).reshape(-1, len(pins))


def _content(memory: Memory) -> npt.NDArray[np.uint16]:
    """Return what each address reads, after the model of SB_RAM40_4K: mode m reads 16 >> m bits."""
    words = np.array(
        [int(row[len(row) - 4 * (i + 1) : len(row) - 4 * i], 16) for row in memory.content for i in range(16)]
    )
    mode = memory.read_mode
    address = np.arange(1 << _ADDRESS)
    word = words[address & 0xFF]
    if mode == 0:
        whole: npt.NDArray[np.uint16] = word.astype(np.uint16)
        return whole
    span = 1 << mode
    part = address >> 8 & (span - 1)
    read = np.zeros(len(address), np.int64)
    for low in range(0, 16, span):
        read |= (word >> (low + part) & 1) << (low + (span >> 1) - 1)
    return read.astype(np.uint16)


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


def classes(
    made: Program, codes: npt.NDArray[np.int32], *, cycles: int, seed: int, gaps: bool
) -> npt.NDArray[np.int64]:
    """Stream samples into the pins and read the classes from them.

    Args:
        made: the design.
        codes: int32 `[samples, features]`.
        cycles: clocks per sample at full rate, for the limit after which a result is missing.
        seed: of gaps and back-pressure.
        gaps: whether features and results pause at random.

    Returns:
        int64 `[samples]`, -1 where no result came.
    """
    per_word = LANES * FRAMES
    words = -(-len(codes) // per_word)
    padded = np.zeros((words * per_word, codes.shape[1]), np.int32)
    padded[: len(codes)] = codes
    frames = padded.reshape(words, LANES, FRAMES, codes.shape[1])
    found = np.full((words, LANES, FRAMES), -1, np.int64)
    limit = (FRAMES + 1) * cycles * (4 if gaps else 1) + 1000
    arrays: tuple[Any, ...] = (
        made.table, made.fanin, made.out, made.register, made.set_,
        made.address, made.enable, made.data, made.content, made.port, made.feature_bits,
    )  # fmt: skip
    share(_run, words, made.signals, *arrays, frames, found, limit, seed, gaps)
    return found.reshape(-1)[: len(codes)]


@numba.njit(cache=True, nogil=True)
def _lookup(table: Any, a: Any, b: Any, c: Any, d: Any) -> Any:  # pragma: no cover
    """Evaluate a table of 16 rows on 64 lanes at once."""
    ones = ~np.uint64(0)
    zero = np.uint64(0)
    leaf = np.empty(8, np.uint64)
    for i in range(8):
        low, high = table >> (2 * i) & 1, table >> (2 * i + 1) & 1
        leaf[i] = (a if high else zero) if not low else (ones if high else ~a)
    for i in range(4):
        leaf[i] = leaf[2 * i] ^ ((leaf[2 * i] ^ leaf[2 * i + 1]) & b)
    for i in range(2):
        leaf[i] = leaf[2 * i] ^ ((leaf[2 * i] ^ leaf[2 * i + 1]) & c)
    return leaf[0] ^ ((leaf[0] ^ leaf[1]) & d)


@numba.njit(cache=True, nogil=True)
def _random(state: Any) -> Any:  # pragma: no cover
    """Advance a xorshift generator (Marsaglia 2003)."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


@numba.njit(cache=True, nogil=True)
def _run(  # pragma: no cover
    signals: int,
    table: _Array,
    fanin: _Array,
    out: _Array,
    register: _Array,
    set_: _Array,
    address: _Array,
    enable: _Array,
    data: _Array,
    content: _Array,
    port: _Array,
    feature_bits: int,
    codes: _Array,
    found: _Array,
    limit: int,
    seed: int,
    gaps: bool,
    first: int,
    stop: int,
) -> None:
    """Simulate words `first` to `stop` of `LANES` lanes each."""
    one = np.uint64(1)
    ones = ~np.uint64(0)
    lanes, frames, features = codes.shape[1], codes.shape[2], codes.shape[3]
    for word in range(first, stop):
        value = np.zeros(signals, np.uint64)
        value[1] = ones
        sent = np.zeros(lanes, np.int64)
        results = np.zeros(lanes, np.int64)
        state = _random(np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(word))
        offered, more, missing = np.uint64(0), ones, ones
        next_ = np.empty(len(register), np.uint64)
        read = np.empty(data.shape, np.uint64)
        for clock in range(limit):
            value[port[0]] = ones if clock < 4 else np.uint64(0)
            if clock >= 4:
                state = _random(state)
                start = state
                state = _random(state)
                offered |= (start & state if gaps else ones) & more
            state = _random(state)
            take = state if gaps else ones
            value[port[1]], value[port[2]] = offered, take
            for bit in range(feature_bits):
                value[port[5 + bit]] = 0
            for lane in range(lanes):
                if offered >> np.uint64(lane) & one:
                    code = codes[word, lane, sent[lane] // features, sent[lane] % features]
                    for bit in range(feature_bits):
                        value[port[5 + bit]] |= np.uint64(code >> bit & 1) << np.uint64(lane)
            for i in range(len(out)):
                value[out[i]] = _lookup(
                    table[i], value[fanin[i, 0]], value[fanin[i, 1]], value[fanin[i, 2]], value[fanin[i, 3]]
                )
            if clock >= 4:
                accepted = offered & value[port[3]]
                given = value[port[4]] & take & missing
                offered &= ~accepted
                for lane in range(lanes):
                    if accepted >> np.uint64(lane) & one:
                        sent[lane] += 1
                        if sent[lane] == frames * features:
                            more &= ~(one << np.uint64(lane))
                    if given >> np.uint64(lane) & one:
                        index = 0
                        for bit in range(5 + feature_bits, len(port)):
                            index |= int(value[port[bit]] >> np.uint64(lane) & one) << (
                                bit - 5 - feature_bits
                            )
                        found[word, lane, results[lane]] = index
                        results[lane] += 1
                        if results[lane] == frames:
                            missing &= ~(one << np.uint64(lane))
                if not missing:
                    break
            for i in range(len(register)):
                enabled, reset = value[register[i, 2]], value[register[i, 3]]
                after = (value[register[i, 0]] & ~reset) | (set_[i] & reset)
                before = value[register[i, 1]]
                next_[i] = before ^ ((before ^ after) & enabled)
            for i in range(len(data)):
                for bit in range(data.shape[1]):
                    read[i, bit] = value[data[i, bit]]
                enabled = value[enable[i, 0]] & value[enable[i, 1]]
                for lane in range(lanes):
                    mask = one << np.uint64(lane)
                    if enabled & mask:
                        place = 0
                        for bit in range(address.shape[1]):
                            place |= int(value[address[i, bit]] >> np.uint64(lane) & one) << bit
                        for bit in range(data.shape[1]):
                            high = np.uint64(content[i, place] >> bit & 1)
                            read[i, bit] = (read[i, bit] & ~mask) | (high << np.uint64(lane))
            for i in range(len(register)):
                value[register[i, 1]] = next_[i]
            for i in range(len(data)):
                for bit in range(data.shape[1]):
                    value[data[i, bit]] = read[i, bit]
