"""What a host does at the pins of each interface, for `lanes`: samples in, answers out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lgc.backend.interfaces.protocol import Command, SpiCommand, SpiStatus, crc8
from lgc.backend.rtl import TOP, RtlFiles
from lgc.errors import LgcError, ToolMissingError
from lgc.frontend.kernels.threads import share

from . import _lane_kernels, lanes
from ._lane_kernels import LANES, RESET_CLOCKS
from .lanes import Program, Recorder, Streams, bits

Ports = dict[str, tuple[bool, int]]
"""Whether a port is an input, and its width, by name."""

WIDEST = 63
"""Pins of a beat at most."""

CHUNK = 4
"""Words of lanes whose waveforms are kept at a time."""

_U64 = npt.NDArray[np.uint64]
_U8x2 = npt.NDArray[np.uint8]
_I64x2 = npt.NDArray[np.int64]


def ports_of(netlist: Path) -> Ports:
    """Ports of the top module of a JSON netlist of Yosys: whether inputs, and their widths.

    Raises:
        LgcError: the file is not such a netlist.
    """
    return {
        name: (port["direction"] == "input", len(port["bits"])) for name, port in _top_ports(netlist).items()
    }


def constants_of(netlist: Path) -> dict[str, int]:
    """Return the outputs of the top module that are constant, by port bit; their pins lead nowhere.

    Raises:
        LgcError: the file is not such a netlist.
    """
    return {
        name: int(bit)
        for port, facts in _top_ports(netlist).items()
        for name, bit in zip(bits(port, len(facts["bits"])), facts["bits"], strict=True)
        if bit in {"0", "1"} and facts["direction"] == "output"
    }


def _top_ports(netlist: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(netlist.read_text())["modules"][TOP]["ports"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LgcError(f"{netlist.name} is not a netlist of Yosys: {error!r}.") from error
    return found


def clock_of(rtl: RtlFiles) -> str:
    """Name of the clock's port."""
    return "aclk" if rtl.interface.name == "axi" else "clk"


def reset_of(rtl: RtlFiles) -> str:
    """Name of the reset's port, which designs for boards lack."""
    return "aresetn" if rtl.interface.name == "axi" else "rst"


@dataclass(frozen=True, eq=False)
class Host:
    """The other end of a design's interface.

    Attributes:
        made: the design.
        rtl: what is known of it.
        seed: of gaps, back-pressure and the host's clock.
        recorder: keeps the levels of some pins of the first samples.
    """

    made: Program
    rtl: RtlFiles
    seed: int
    recorder: Recorder | None = None

    def answers(self, codes: npt.NDArray[np.int32], *, gaps: bool) -> _I64x2:
        """Send samples, `[samples, features]` of what the interface takes, and collect the answers.

        Returns:
            int64 `[samples, words]` as `expected` has them, -1 where nothing right came.
        """
        name = self.rtl.interface.name
        if name == "uart":
            return self._uart(codes, gaps=gaps)
        if name == "spi":
            return self._spi(codes, gaps=gaps)
        return self._streams(codes, gaps=gaps)

    def _streams(self, codes: npt.NDArray[np.int32], *, gaps: bool) -> _I64x2:
        """Plain streams, words and AXI4-Stream."""
        rtl, name = self.rtl, self.rtl.interface.name
        cycles, replies = rtl.cycles_per_sample, 1
        if not rtl.interface.wraps:
            pins = Streams(
                "rst", False,
                "features__valid", "features__ready", (*bits("features__payload", rtl.beat_width),),
                "result__valid", "result__ready", (*bits("result__payload", rtl.result_width),),
            )  # fmt: skip
            beats = _beats(rtl, codes)
        else:
            packing = rtl.core.packing
            word, replies = packing.word, words(rtl)
            beats = packing.pack(codes).astype(np.int64)
            cycles += beats.shape[1]
            if name == "words":
                pins = Streams(
                    "rst", False,
                    "words__valid", "words__ready", (*bits("words__payload", word),),
                    "reply__valid", "reply__ready", (*bits("reply__payload", word),),
                )  # fmt: skip
            else:
                beats[:, -1] |= 1 << word
                pins = Streams(
                    "aresetn", True,
                    "s_axis_tvalid", "s_axis_tready", (*bits("s_axis_tdata", word), "s_axis_tlast"),
                    "m_axis_tvalid", "m_axis_tready", (*bits("m_axis_tdata", word),),
                )  # fmt: skip
        return lanes.stream(
            self.made, pins, beats,
            replies=replies, cycles=cycles, seed=self.seed, gaps=gaps, recorder=self.recorder,
        )  # fmt: skip

    def _uart(self, codes: npt.NDArray[np.int32], *, gaps: bool) -> _I64x2:
        """Send requests with random gaps and a clock that is off, or one at once after the other."""
        core, interface = self.rtl.core, self.rtl.interface
        command = Command.SCORES if core.scores else Command.CLASS
        payload = core.packing.bytes(codes)
        kind = np.full((len(codes), 1), command, np.uint8)
        frames = _checked(np.concatenate([kind, payload], axis=1))
        rng = np.random.default_rng(self.seed)
        size = lanes.FRAMES * frames.shape[1]
        found = np.full((len(codes), words(self.rtl)), -1, np.int64)
        answer = words(self.rtl) + 2
        # once asked for scores, or with gaps, the host waits for the answer
        wait = 12 * answer + -(-self.rtl.cycles_per_sample // interface.clocks) if gaps or core.scores else 0
        for at, block in _blocks(frames):
            bit = interface.clocks * (1 + gaps * rng.uniform(-0.015, 0.015, len(block)))
            idle = np.where(rng.random((len(block), size)) < 0.3, rng.integers(1, 60, (len(block), size)), 0)
            idle = idle * gaps / 10
            idle[:, frames.shape[1] - 1 :: frames.shape[1]] += wait
            length, level = _uart_line(block, bit, idle)
            clocks = int(length.sum(axis=1).max()) + (12 * answer + 30) * interface.clocks
            clocks += self.rtl.cycles_per_sample
            pins = [reset_of(self.rtl), "rx"]
            length, level = _with_reset(length, level)
            kept = None if at else self.recorder
            seen = lanes.wave(self.made, pins, ["tx"], length, level, clocks=clocks, recorder=kept)
            got = np.full((len(block), LANES, lanes.FRAMES * answer), -1, np.int64)
            share(_lane_kernels.uart_bytes, len(block), seen, interface.clocks, got)
            got = got.reshape(-1, answer)[: len(found) - at]
            right = (got[:, 0] == command) & (got.min(axis=1) >= 0)
            right &= np.array([crc8(bytes(row)) == 0 for row in np.maximum(got, 0).astype(np.uint8)])
            found[at : at + len(got)][right] = got[right, 1:-1]
        return found

    def _spi(self, codes: npt.NDArray[np.int32], *, gaps: bool) -> _I64x2:
        """Load, wait, ask for the status, read."""
        core = self.rtl.core
        count = words(self.rtl)
        payload = core.packing.bytes(codes)
        load = np.concatenate([np.full((len(codes), 1), SpiCommand.LOAD, np.uint8), payload], axis=1)
        read = bytes([SpiCommand.SCORES if core.scores else SpiCommand.CLASS, *bytes(count)])
        rng = np.random.default_rng(self.seed)
        found = np.full((len(codes), count), -1, np.int64)
        for at, block in _blocks(load):
            line = _SpiLine(rng, gaps=gaps)
            for frame in range(lanes.FRAMES):
                line.transfer(block[:, :, frame])
                line.wait(self.rtl.cycles_per_sample + 40)
                for constant in (bytes([SpiCommand.STATUS]), read):
                    every = np.frombuffer(constant, np.uint8)
                    line.transfer(np.broadcast_to(every, (*block.shape[:2], len(every))))
            length, level, samples = line.waveform(len(block))
            pins = [reset_of(self.rtl), "sck", "cs_n", "mosi"]
            length, level = _with_reset(length, level)
            clocks = int(length[0].sum()) + 1
            seen = lanes.wave(
                self.made,
                pins,
                ["miso"],
                length,
                level,
                clocks=clocks,
                recorder=None if at else self.recorder,
            )
            miso = np.take(seen, samples + RESET_CLOCKS, axis=1).view(np.uint8)  # [words, bits, lanes / 8]
            of_byte = np.packbits(np.unpackbits(miso, axis=2, bitorder="little"), axis=1).astype(np.int64)
            per = of_byte.shape[1] // lanes.FRAMES
            frames = of_byte.reshape(len(block), lanes.FRAMES, per, LANES)
            status, reply = frames[:, :, -count - 2], frames[:, :, -count:]
            reply = np.where((status == SpiStatus.RESULT)[:, :, None], reply, -1)
            rows = reply.transpose(0, 3, 1, 2).reshape(-1, count)[: len(found) - at]
            found[at : at + len(rows)] = rows
        return found


def words(rtl: RtlFiles) -> int:
    """Words of the answers that `Host` asks for: class and, where the design has them, scores."""
    if not rtl.interface.wraps:
        return 1
    core = rtl.core
    return core.reply_words if core.scores else core.class_words


def expected(rtl: RtlFiles, classes: npt.NDArray[np.int64], scores: _I64x2) -> _I64x2:
    """Right answers int64 `[samples, words]`, of classes `[samples]` and scores `[samples, classes]`."""
    core = rtl.core
    if rtl.result_width > rtl.class_width:
        above = (scores - rtl.offset) << (rtl.class_width + rtl.score_width * np.arange(rtl.classes))
        joined: _I64x2 = (classes + above.sum(axis=1))[:, None]
        return joined
    if not rtl.interface.wraps:
        return classes[:, None]
    values = [(classes, core.class_width)]
    if core.scores:
        values += [(column, core.score_width) for column in (scores - rtl.offset).T]
    word = core.packing.word
    columns = [(v >> shift) & ((1 << word) - 1) for v, width in values for shift in range(0, width, word)]
    return np.stack(columns, axis=1)


def _beats(rtl: RtlFiles, codes: npt.NDArray[np.int32]) -> _I64x2:
    """Return what enters clock by clock of codes `[samples, features]`, int64 `[samples, clocks]`.

    Raises:
        ToolMissingError: a beat or a result is wider than this host's numbers, or the signal has no end.
    """
    if rtl.hop:
        raise ToolMissingError("The bit-parallel run sends samples, no endless signals.")
    if rtl.lanes == 1:
        return codes.astype(np.int64)
    if max(rtl.beat_width, rtl.result_width) > WIDEST:
        raise ToolMissingError(f"Streams of more than {WIDEST} pins are not driven here.")
    return rtl.beats(codes).astype(np.int64)


def _blocks(frames: _U8x2) -> list[tuple[int, npt.NDArray[np.uint8]]]:
    """Split requests `[samples, bytes]` into blocks: first sample, `[words, lanes, FRAMES, bytes]`."""
    per_word = LANES * lanes.FRAMES
    total = -(-len(frames) // per_word)
    padded = np.concatenate([frames, np.repeat(frames[:1], total * per_word - len(frames), axis=0)])
    shaped = padded.reshape(total, LANES, lanes.FRAMES, -1)
    return [(at * per_word, shaped[at : at + CHUNK]) for at in range(0, total, CHUNK)]


def _checked(frames: _U8x2) -> _U8x2:
    """Append its checksum to each frame `[samples, bytes]`."""
    sums = np.array([crc8(row.tobytes()) for row in frames], np.uint8)
    return np.concatenate([frames, sums[:, None]], axis=1)


def _lanes_of(level: npt.NDArray[np.uint8]) -> _U64:
    """Pack 0 and 1 `[..., lanes]` into words uint64 `[...]`."""
    packed = np.ascontiguousarray(np.packbits(level, axis=-1, bitorder="little"))
    return packed.view(np.uint64)[..., 0]


def _uart_line(
    block: npt.NDArray[np.uint8], bit: npt.NDArray[np.float64], idle: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int32], _U64]:
    """Waveform of requests `[words, lanes, FRAMES, bytes]`: a segment per bit, see `lanes.wave`.

    Args:
        block: the requests.
        bit: clocks per bit, `[words]`.
        idle: bits of silence after each byte, `[words, FRAMES * bytes]`.
    """
    sent = block.reshape(len(block), LANES, -1)
    levels = np.zeros((len(block), sent.shape[2], 10, LANES), np.uint8)
    levels[:, :, 1:9] = np.unpackbits(sent[:, :, :, None], axis=3, bitorder="little").transpose(0, 2, 3, 1)
    levels[:, :, 9] = 1
    spans = np.ones((len(block), sent.shape[2], 10))
    spans[:, :, 9] += idle
    ends = np.rint(np.cumsum(spans.reshape(len(block), -1), axis=1) * bit[:, None])
    length = np.diff(ends, axis=1, prepend=0).astype(np.int32)
    quiet = np.full((len(block), 1), 20, np.int32)
    ones = np.full((len(block), 1), ~np.uint64(0))
    level = _lanes_of(levels).reshape(len(block), -1)
    return np.append(quiet, length, axis=1), np.append(ones, level, axis=1)[:, :, None]


class _SpiLine:
    """Waveform of an SPI master, mode 0, as fast as it may be; see `lanes.wave`."""

    HALF = 4
    """Clocks of half a period of SCK."""

    def __init__(self, rng: np.random.Generator, *, gaps: bool) -> None:
        self.rng, self.gaps = rng, gaps
        self.length: list[int] = []
        self.level: list[tuple[int, int, _U64 | None]] = []
        self.sampled: list[int] = []
        self.wait(20)

    def transfer(self, data: npt.NDArray[np.uint8]) -> None:
        """Send bytes `[words, lanes, bytes]` within one chip select; MISO is sampled for each bit."""
        mosi = _lanes_of(np.unpackbits(np.ascontiguousarray(data), axis=2).transpose(2, 0, 1))
        self._hold(2 * self.HALF, 0, 0)
        for n, level in enumerate(mosi):
            self.sampled.append(len(self.length))
            self._hold(self.HALF, 0, 0, level)
            self._hold(self.HALF, 1, 0, level)
            if self.gaps and n % 8 == 7 and self.rng.random() < 0.3:
                self._hold(int(self.rng.integers(1, 20)), 0, 0, level)
        self._hold(self.HALF, 0, 0)
        self.wait(20)

    def wait(self, clocks: int) -> None:
        """Leave the chip alone."""
        self._hold(clocks, 0, 1)

    def _hold(self, clocks: int, sck: int, cs_n: int, mosi: _U64 | None = None) -> None:
        self.length.append(clocks)
        self.level.append((sck, cs_n, mosi))

    def waveform(self, words: int) -> tuple[npt.NDArray[np.int32], _U64, npt.NDArray[np.int64]]:
        """Lengths and levels of SCK, chip select and MOSI, and the clocks at which MISO is sampled."""
        length = np.broadcast_to(np.array(self.length, np.int32), (words, len(self.length)))
        level = np.zeros((words, len(self.length), 3), np.uint64)
        ones = ~np.uint64(0)
        for n, (sck, cs_n, mosi) in enumerate(self.level):
            level[:, n, 0], level[:, n, 1] = sck * ones, cs_n * ones
            if mosi is not None:
                level[:, n, 2] = mosi
        return length, level, np.cumsum(self.length)[self.sampled] - 1


def _with_reset(length: npt.NDArray[np.int32], level: _U64) -> tuple[npt.NDArray[np.int32], _U64]:
    """Hold a reset before everything else; its level comes first."""
    words = len(length)
    first = np.full((words, 1), RESET_CLOCKS, np.int32)
    level = np.concatenate([level[:, :1], level], axis=1)
    reset = np.zeros((*level.shape[:2], 1), np.uint64)
    reset[:, 0] = ~np.uint64(0)
    return np.append(first, length, axis=1), np.concatenate([reset, level], axis=2)
