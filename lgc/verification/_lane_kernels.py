"""Kernels of `lanes`: a design's tables, registers and memories, clock by clock."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

LANES = 64
RESET_CLOCKS = 4
"""Clocks for which reset is held first."""
ADDRESS, DATA = 14, 36
"""Bits of an address and of a word at most."""
BYTE = 9
"""Bits of a byte of block RAM with parity, of which words of less than a byte have eight only."""
CONTENT = 2048 * BYTE
"""Bits of the largest memory."""

_COPY = 0xAAAA
"""Table of a wire from input 0."""

_Array = npt.NDArray[Any]


@numba.njit(cache=True, nogil=True)
def _pair(table: Any, low: int, a: Any) -> Any:  # pragma: no cover
    """Choose between two rows of a table by input 0."""
    one = np.uint64(1)
    first, second = -(table >> np.uint64(low) & one), -(table >> np.uint64(low + 1) & one)
    return first ^ ((first ^ second) & a)


@numba.njit(cache=True, nogil=True)
def _half(table: Any, low: int, a: Any, b: Any, c: Any) -> Any:  # pragma: no cover
    """Choose among eight rows of a table by inputs 0 to 2."""
    p, q = _pair(table, low, a), _pair(table, low + 2, a)
    r, s = _pair(table, low + 4, a), _pair(table, low + 6, a)
    p ^= (p ^ q) & b
    r ^= (r ^ s) & b
    return p ^ ((p ^ r) & c)


@numba.njit(cache=True, nogil=True)
def _lookup(table: Any, a: Any, b: Any, c: Any, d: Any) -> Any:  # pragma: no cover
    """Evaluate a table of 16 rows on 64 lanes at once."""
    low, high = _half(table, 0, a, b, c), _half(table, 8, a, b, c)
    return low ^ ((low ^ high) & d)


@numba.njit(cache=True, nogil=True)
def _random(state: Any) -> Any:  # pragma: no cover
    """Advance a xorshift generator (Marsaglia 2003)."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


@numba.njit(cache=True, nogil=True)
def _settle(value: _Array, table: _Array, fanin: _Array, out: _Array) -> None:  # pragma: no cover
    """Evaluate all tables."""
    for i in range(len(out)):
        if table[i] == _COPY:
            value[out[i]] = value[fanin[i, 0]]
        else:
            value[out[i]] = _lookup(
                np.uint64(table[i]),
                value[fanin[i, 0]],
                value[fanin[i, 1]],
                value[fanin[i, 2]],
                value[fanin[i, 3]],
            )


@numba.njit(cache=True, nogil=True)
def _edge(  # pragma: no cover
    value: _Array,
    register: _Array,
    set_: _Array,
    mode: _Array,
    content: _Array,
    read: _Array,
    write: _Array,
    held: _Array,
    next_: _Array,
    data: _Array,
) -> None:
    """Clock registers and memories; `next_` and `data` are room for what they will show."""
    none = np.uint64(0)
    for i in range(len(register)):
        enabled, reset = value[register[i, 2]], value[register[i, 3]]
        after = (value[register[i, 0]] & ~reset) | (set_[i] & reset)
        before = value[register[i, 1]]
        next_[i] = before ^ ((before ^ after) & enabled)
    for i in range(len(read)):
        for bit in range(_width(mode[i, 0])):
            data[i, bit] = value[read[i, ADDRESS + 2 + bit]]
        written = i < len(held)
        if written and mode[i, 1] < 0:  # what is read while it is written is not promised: here it is wrong
            _write(value, write[i], mode[i, 1], held[i], ~none)
        _read(value, read[i], mode[i, 0], content[i], held[i] if written else held[:0, 0], data[i])
        if written:
            _write(value, write[i], mode[i, 1], held[i], none)
    for i in range(len(register)):
        value[register[i, 1]] = next_[i]
    for i in range(len(read)):
        for bit in range(_width(mode[i, 0])):
            value[read[i, ADDRESS + 2 + bit]] = data[i, bit]


@numba.njit(cache=True, nogil=True)
def _width(mode: int) -> int:  # pragma: no cover
    """Bits of a port."""
    return 16 if mode >= 0 else -mode


@numba.njit(cache=True, nogil=True)
def _place(mode: int, address: int, bit: int) -> int:  # pragma: no cover
    """Where the memory holds a bit of a port.

    Mode m >= 0 is that of iCE40: 16 >> m bits of a word of 16, see the model of SB_RAM40_4K. Mode -w is of
    words of w bits in a row of bytes, of which words of less than a byte leave out the last bit.
    """
    if mode >= 0:
        span = 1 << mode
        low = bit - (span >> 1) + 1 if mode else bit
        return (address & 0xFF) * 16 + low + (address >> 8 & (span - 1))
    at = address * -mode + bit
    return at if mode <= -BYTE else (at >> 3) * BYTE + (at & 7)


@numba.njit(cache=True, nogil=True)
def _used(mode: int, bit: int) -> bool:  # pragma: no cover
    """Whether a bit of a port has a place: mode m >= 0 has one in every 1 << m."""
    return mode <= 0 or bit % (1 << mode) == (1 << mode >> 1) - 1


@numba.njit(cache=True, nogil=True)
def _address(value: _Array, pin: _Array, lane: int) -> int:  # pragma: no cover
    """Address that a lane gives."""
    place = 0
    for bit in range(ADDRESS):
        place |= int(value[pin[bit]] >> np.uint64(lane) & np.uint64(1)) << bit
    return place


@numba.njit(cache=True, nogil=True)
def _agree(value: _Array, pin: _Array, enabled: Any) -> bool:  # pragma: no cover
    """Whether all lanes that are enabled give the same address."""
    for bit in range(ADDRESS):
        level = value[pin[bit]] & enabled
        if level and level != enabled:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _first(enabled: Any) -> int:  # pragma: no cover
    """Lowest lane of a mask that is not empty."""
    lane = 0
    while not enabled >> np.uint64(lane) & np.uint64(1):
        lane += 1
    return lane


@numba.njit(cache=True, nogil=True)
def _read(  # pragma: no cover
    value: _Array, pin: _Array, mode: int, content: _Array, held: _Array, data: _Array
) -> None:
    """Read a memory.

    `held[bit]` has a lane per bit of its word; without it all lanes read `content`. What has no place is 0.
    """
    one = np.uint64(1)
    enabled = value[pin[ADDRESS]] & value[pin[ADDRESS + 1]]
    alike = _agree(value, pin, enabled)
    while enabled:
        lane = _first(enabled)
        lanes = enabled if alike else one << np.uint64(lane)
        enabled &= ~lanes
        address = _address(value, pin, lane)
        for bit in range(_width(mode)):
            level = np.uint64(0)
            if _used(mode, bit):
                place = _place(mode, address, bit)
                level = held[place] if len(held) else -np.uint64(content[place])
            data[bit] ^= (data[bit] ^ level) & lanes


@numba.njit(cache=True, nogil=True)
def _write(value: _Array, pin: _Array, mode: int, held: _Array, flip: Any) -> None:  # pragma: no cover
    """Write a memory what its pins say or, with `flip` all ones, the opposite; but not what is masked."""
    one = np.uint64(1)
    enabled = value[pin[ADDRESS]] & value[pin[ADDRESS + 1]]
    alike = _agree(value, pin, enabled)
    while enabled:
        lane = _first(enabled)
        lanes = enabled if alike else one << np.uint64(lane)
        enabled &= ~lanes
        address = _address(value, pin, lane)
        for bit in range(_width(mode)):
            if _used(mode, bit):
                change = lanes & ~value[pin[ADDRESS + 2 + DATA + bit]] if mode <= 0 else lanes
                level = value[pin[ADDRESS + 2 + bit]] ^ flip
                place = _place(mode, address, bit)
                held[place] ^= (held[place] ^ level) & change


@numba.njit(cache=True, nogil=True)
def _start(content: _Array, held: _Array) -> None:  # pragma: no cover
    """Give all lanes what the bitstream says that written memories hold."""
    for i in range(len(held)):
        for bit in range(held.shape[1]):
            held[i, bit] = -np.uint64(content[i, bit])


@numba.njit(cache=True, nogil=True)
def wave(  # pragma: no cover
    signals: int,
    table: _Array,
    fanin: _Array,
    out: _Array,
    register: _Array,
    set_: _Array,
    mode: _Array,
    content: _Array,
    read: _Array,
    write: _Array,
    inputs: _Array,
    outputs: _Array,
    length: _Array,
    level: _Array,
    seen: _Array,
    watched: _Array,
    trace: _Array,
    first: int,
    stop: int,
) -> None:
    """Run words `first` to `stop` of `LANES` lanes each along their waveforms; see `run` for `watched`."""
    next_ = np.empty(len(register), np.uint64)
    data = np.empty((len(read), DATA), np.uint64)
    held = np.empty((len(write), CONTENT), np.uint64)
    for word in range(first, stop):
        value = np.zeros(signals, np.uint64)
        value[1] = ~np.uint64(0)
        _start(content, held)
        segment, left = 0, length[word, 0]
        for clock in range(seen.shape[1]):
            while not left and segment + 1 < length.shape[1]:
                segment += 1
                left = length[word, segment]
            left -= left > 0
            for i in range(len(inputs)):
                value[inputs[i]] = level[word, segment, i]
            _settle(value, table, fanin, out)
            for i in range(len(outputs)):
                seen[word, clock, i] = value[outputs[i]]
            if word == 0 and clock < len(trace):
                for i in range(len(watched)):
                    trace[clock, i] = value[watched[i]]
            _edge(value, register, set_, mode, content, read, write, held, next_, data)


@numba.njit(cache=True, nogil=True)
def run(  # pragma: no cover
    signals: int,
    table: _Array,
    fanin: _Array,
    out: _Array,
    register: _Array,
    set_: _Array,
    mode: _Array,
    content: _Array,
    read: _Array,
    write: _Array,
    port: _Array,
    width: int,
    low: bool,
    beats: _Array,
    found: _Array,
    limit: int,
    seed: int,
    gaps: bool,
    watched: _Array,
    trace: _Array,
    first: int,
    stop: int,
) -> None:
    """Stream words `first` to `stop` of `LANES` lanes each.

    Word 0 leaves the levels of the signals `watched` before each edge in `trace`, as long as that is.
    """
    one = np.uint64(1)
    ones = ~np.uint64(0)
    lanes, count, wanted = beats.shape[1], beats.shape[2], found.shape[2]
    next_ = np.empty(len(register), np.uint64)
    data = np.empty((len(read), DATA), np.uint64)
    held = np.empty((len(write), CONTENT), np.uint64)
    for word in range(first, stop):
        value = np.zeros(signals, np.uint64)
        value[1] = ones
        _start(content, held)
        sent = np.zeros(lanes, np.int64)
        results = np.zeros(lanes, np.int64)
        state = _random(np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(word))
        offered, more, missing = np.uint64(0), ones, ones
        for clock in range(limit):
            value[port[0]] = ones if (clock < RESET_CLOCKS) != low else np.uint64(0)
            if clock >= RESET_CLOCKS:
                state = _random(state)
                start = state
                state = _random(state)
                offered |= (start & state if gaps else ones) & more
            state = _random(state)
            take = state if gaps else ones
            value[port[1]], value[port[2]] = offered, take
            for bit in range(width):
                value[port[5 + bit]] = 0
            for lane in range(lanes):
                if offered >> np.uint64(lane) & one:
                    beat = beats[word, lane, sent[lane]]
                    for bit in range(width):
                        value[port[5 + bit]] |= np.uint64(beat >> bit & 1) << np.uint64(lane)
            _settle(value, table, fanin, out)
            if word == 0 and clock < len(trace):
                for i in range(len(watched)):
                    trace[clock, i] = value[watched[i]]
            if clock >= RESET_CLOCKS:
                accepted = offered & value[port[3]]
                given = value[port[4]] & take & missing
                offered &= ~accepted
                for lane in range(lanes):
                    if accepted >> np.uint64(lane) & one:
                        sent[lane] += 1
                        if sent[lane] == count:
                            more &= ~(one << np.uint64(lane))
                    if given >> np.uint64(lane) & one:
                        reply = 0
                        for bit in range(5 + width, len(port)):
                            reply |= int(value[port[bit]] >> np.uint64(lane) & one) << (bit - 5 - width)
                        found[word, lane, results[lane]] = reply
                        results[lane] += 1
                        if results[lane] == wanted:
                            missing &= ~(one << np.uint64(lane))
                if not missing:
                    break
            _edge(value, register, set_, mode, content, read, write, held, next_, data)


@numba.njit(cache=True, nogil=True)
def uart_bytes(seen: _Array, clocks: int, found: _Array, first: int, stop: int) -> None:  # pragma: no cover
    """Read the bytes of a UART, 8N1, from levels `[words, clocks, 1]` into `found[words, lanes, bytes]`.

    A byte without stop bit ends the lane.
    """
    one = np.uint64(1)
    for word in range(first, stop):
        for lane in range(found.shape[1]):
            at, count = 0, 0
            shift = np.uint64(lane)
            while count < found.shape[2]:
                while at < seen.shape[1] and seen[word, at, 0] >> shift & one:
                    at += 1
                middle = at + clocks // 2
                if middle + 9 * clocks >= seen.shape[1]:
                    break
                byte = 0
                for bit in range(8):
                    byte |= int(seen[word, middle + (bit + 1) * clocks, 0] >> shift & one) << bit
                if not seen[word, middle + 9 * clocks, 0] >> shift & one:
                    break
                found[word, lane, count] = byte
                count += 1
                at = middle + 9 * clocks
