"""The LUT fabric as Verilog text, written straight from the netlist's arrays.

Every LUT is an instance, of `lgc_lut4` (see `lut4`) or of the vendor's cells (see `xilinx`): what is
simulated is what is placed, and nothing re-synthesises it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import FIRST_INPUT, Netlist
from lgc.ir.passes.pipeline import last_reads

from .lut4 import LUT, Lut4Cells
from .xilinx import CARRIES, SliceCells

CHUNK = 32
"""Bits per vector. Event-driven simulators look at a whole vector when one of its bits changes."""

_PER_LINE = 12
"""Names per line of a long list."""

_I64x1 = npt.NDArray[np.int64]
_Texts = npt.NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class FabricText:
    """Verilog modules `lgc_fabric`, `lgc_network`, `lgc_popcount` and, if there is one, `lgc_argmax`.

    Attributes:
        verilog: the text.
        inputs: int64 `[bits]`, the inputs of the netlist that the fabric reads, ascending. Bit b is
            bit `b % CHUNK` of port `x<b // CHUNK>`.
        scores: for each class the bits of its score, lowest first: a constant 0 or 1 as bool, or
            the bit number within the class's port `s<class>`.
        latency: clocks from inputs to the last of scores and class.
        registers: flip-flops in the pipeline, (network, popcount and argmax).
        index_bits: width of port `index`, the class; 0 if the fabric has no argmax.
        score_latency: clocks from inputs to scores.
    """

    verilog: str
    inputs: _I64x1
    scores: tuple[tuple[bool | int, ...], ...]
    latency: int
    registers: tuple[int, int]
    index_bits: int = 0
    score_latency: int = 0


def fabric_text(fabric: Fabric, *, held: bool = False, cells: str = "lgc_lut4") -> FabricText:
    """Write the modules of `fabric`; equal fabrics give equal text.

    Args:
        fabric: LUTs with stage numbers, of as many inputs as the cells have.
        held: the inputs stand still for `latency` clocks. Every signal then stays once it is right,
            so no delays need balancing: registers only cut paths, each in the logic cell of the
            LUT it follows. Otherwise new inputs may come every clock.
        cells: `lgc_lut4`, or the carry cell of Xilinx' LUTs, `CARRY4` or `CARRY8`.

    Raises:
        LgcError: LUTs of more inputs than the cells have, outputs that are not the scores' bits, or carry
            chains that do not fit slices.
    """
    net, pins = fabric.netlist, 6 if cells in CARRIES else 4
    if net.k != pins:
        raise LgcError(
            f"The fabric has LUTs of {net.k} inputs, the backend builds {pins}.",
            hint=f"Map it with k={pins}.",
        )
    if len(fabric.score_signals) != fabric.classes * fabric.score_width:
        raise LgcError(
            f"The fabric has {len(fabric.score_signals)} outputs, expected "
            f"{fabric.classes} classes of {fabric.score_width} bits."
        )
    wires = Wires.of(fabric, writer_of(fabric, cells), held=held)
    parts = [part for part in (_network(wires), _popcount(wires), _argmax(wires)) if part.outputs]
    inputs = wires.inputs(np.append(net.fanin.ravel(), net.outputs))
    text = "".join([*(part.verilog() for part in parts), _wrapper(wires, inputs, parts)])
    in_network = int((wires.registered < wires.split).sum())
    return FabricText(
        verilog=text,
        inputs=inputs - FIRST_INPUT,
        scores=tuple(_score(bits) for bits in wires.outputs),
        latency=fabric.latency,
        registers=(in_network, wires.registered.size - in_network),
        index_bits=fabric.index_bits,
        score_latency=fabric.score_latency,
    )


def writer_of(fabric: Fabric, cells: str) -> Lut4Cells | SliceCells:
    """Return what writes a fabric in `cells`, see `fabric_text`."""
    return SliceCells.of(fabric, cells) if cells in CARRIES else Lut4Cells.of(fabric)


def _balanced(fabric: Fabric, stage: _I64x1) -> _I64x1:
    """Last stage at which each signal is read: a copy for every stage until then."""
    latest = last_reads(fabric.netlist, stage)
    np.maximum.at(latest, fabric.score_signals, fabric.score_latency)
    np.maximum.at(latest, fabric.index_signals, fabric.latency)
    latest[:FIRST_INPUT] = 0
    return latest


def _held(fabric: Fabric, stage: _I64x1) -> _I64x1:
    """One stage later for each LUT that only later stages read, which then share one copy."""
    net = fabric.netlist
    earliest = np.full(net.signals, np.iinfo(np.int64).max)
    np.minimum.at(earliest, net.fanin, stage[net.first_lut :, None])
    # beside an argmax the scores are for simulation only, which looks at them as they are
    read = fabric.index_signals if fabric.index_bits else fabric.score_signals
    np.minimum.at(earliest, read, fabric.latency)
    later = earliest > stage
    if fabric.carries is not None:
        # what a chain compares comes from a register, even if that needs a logic cell
        chains = fabric.carries
        for operand in (chains.i0, chains.i1):
            later[operand[stage[operand] < stage[chains.carry]]] = True
    later[: net.first_lut] = False
    return stage + later


@dataclass(frozen=True, eq=False)
class Wires:
    """Names, stages and registers of a netlist's signals.

    Attributes:
        net: the netlist.
        name: `[signals]`, x for inputs, n for the network's LUTs, p for those behind it.
        stage: `[signals]`.
        latest: `[signals]`, the last stage at which a signal has a copy of its own.
        split: first signal of the popcount.
        tail: first signal of the argmax.
        outputs: `[classes, score_width]`, signals.
        inverted: `[classes, score_width]`, whether they are complements.
        index: `[index_bits]`, signals.
        score_stage: stage at which scores are delivered.
        last: stage at which the index is, or scores where there is none.
        cells: what writes LUTs and carries.
        registered: `[registers]`, the signal each register delays.
        register_stage: `[registers]`, the stage at which it is read.
    """

    net: Netlist
    name: _Texts
    stage: _I64x1
    latest: _I64x1
    split: int
    tail: int
    outputs: npt.NDArray[np.int64]
    inverted: npt.NDArray[np.bool_]
    index: _I64x1
    score_stage: int
    last: int
    cells: Lut4Cells | SliceCells
    registered: _I64x1
    register_stage: _I64x1

    @classmethod
    def of(cls, fabric: Fabric, cells: Lut4Cells | SliceCells, *, held: bool) -> Wires:
        """Name the signals and find which are needed later than they are computed."""
        net, head, last = fabric.netlist, fabric.network_luts, fabric.latency
        names = ["1'b0", "1'b1", *(f"x_{i}" for i in range(net.inputs))]
        names += [f"n{i}" for i in range(head)] + [f"p{i}" for i in range(net.luts - head)]
        inverted = np.zeros(len(fabric.score_signals), np.bool_)
        inverted[list(fabric.inverted)] = True
        shape = fabric.classes, fabric.score_width
        stage = np.zeros(net.signals, np.int64)
        if net.stage is not None:
            stage[net.first_lut :] = net.stage
        latest = _held(fabric, stage) if held else _balanced(fabric, stage)
        delay = latest - stage
        registered = np.repeat(np.arange(net.signals), delay)
        ordinal = np.arange(registered.size) - np.repeat(np.cumsum(delay) - delay, delay)
        return cls(
            net=net,
            name=_texts(names),
            stage=stage,
            latest=latest,
            split=net.first_lut + head,
            tail=_tail(fabric),
            outputs=fabric.score_signals.astype(np.int64).reshape(shape),
            inverted=inverted.reshape(shape),
            index=fabric.index_signals.astype(np.int64),
            score_stage=fabric.score_latency,
            last=last,
            cells=cells,
            registered=registered,
            register_stage=stage[registered] + 1 + ordinal,
        )

    def at(self, signal: npt.NDArray[Any], stage: npt.NDArray[Any]) -> list[str]:
        """Names of signals as they are seen in `stage`, which is not before their own."""
        stage = np.minimum(stage, self.latest[signal])
        delayed = (stage > self.stage[signal]) & (signal >= FIRST_INPUT)
        names = self.name[signal]
        names[delayed] = names[delayed] + _texts([f"_{s}" for s in stage[delayed].tolist()])
        return list(names)

    def inputs(self, signal: npt.NDArray[Any]) -> _I64x1:
        """Those of the signals that are inputs, ascending, once each."""
        found = np.unique(signal).astype(np.int64)
        return found[(found >= FIRST_INPUT) & (found < self.net.first_lut)]

    def reads(self, start: int, stop: int) -> tuple[_I64x1, _I64x1]:
        """Return what signals `start` to `stop` read from before, as sorted pairs of signal and stage."""
        first = self.net.first_lut
        fanin = self.net.fanin[start - first : stop - first].astype(np.int64)
        stage = np.minimum(self.stage[start:stop, None], self.latest[fanin])
        outside = (fanin >= FIRST_INPUT) & (fanin < start)
        return _unique(fanin[outside], stage[outside])

    def leaving(self, start: int, stop: int) -> tuple[_I64x1, _I64x1]:
        """Return which signals below `stop` are needed behind it, not before `start`, as sorted pairs."""
        parts = ((self.split, self.tail), (self.tail, self.net.signals))
        needed = [self.roots(), *(self.reads(*part) for part in parts if part[0] >= stop)]
        signal, when = (np.concatenate(side) for side in zip(*needed, strict=True))
        mine = (signal >= start) & (signal < stop)
        return _unique(signal[mine], when[mine])

    def roots(self) -> tuple[_I64x1, _I64x1]:
        """Signals that leave the fabric and the stages at which they do, as sorted pairs."""
        signal = np.append(self.outputs.ravel(), self.index)
        stage = np.append(np.full(self.outputs.size, self.score_stage), np.full(self.index.size, self.last))
        return _unique(signal, np.minimum(stage, self.latest[signal]))

    def declared(self, start: int, stop: int) -> list[str]:
        """Names of the LUT outputs among signals `start` to `stop` that are wires."""
        first = self.net.first_lut
        return list(self.name[start:stop][self.cells.visible[start - first : stop - first]])

    def register_lines(self, mine: npt.NDArray[np.bool_], exported: set[str]) -> list[str]:
        """Write registers in vectors of CHUNK bits, stage by stage; each has a wire of its own."""
        lines = []
        for now in np.unique(self.register_stage[mine]).tolist():
            signals = self.registered[mine & (self.register_stage == now)]
            after = self.at(signals, np.full(signals.size, now))
            before = self.at(signals, np.full(signals.size, now - 1))
            for start in range(0, len(after), CHUNK):
                group = before[start : start + CHUNK]
                width, name = f"[{len(group) - 1}:0]", f"{now}_{start // CHUNK}"
                lines.append(f"  wire {width} d{name} = {_concat(group)};")
                lines.append(f"  reg {width} r{name} = 0;")
                lines.append(f"  always @(posedge clk) r{name} <= d{name};")
                for bit, wire in enumerate(after[start : start + CHUNK]):
                    lines.append(f"  {'assign' if wire in exported else 'wire'} {wire} = r{name}[{bit}];")
        return lines


@dataclass(frozen=True)
class _Part:
    """A module of LUTs and registers.

    Attributes:
        module: its name.
        inputs: names of its inputs besides the clock.
        outputs: names of its outputs.
        wires: names of the LUT outputs.
        lines: LUTs and registers.
    """

    module: str
    inputs: list[str]
    outputs: list[str]
    wires: list[str]
    lines: list[str]

    def verilog(self) -> str:
        """Text of the module."""
        exported = set(self.outputs)
        ports = ["input clk", *_declare("input", self.inputs), *_declare("output", self.outputs)]
        wires = [f"{line};" for line in _declare("  wire", [n for n in self.wires if n not in exported])]
        return _module(self.module, ports, [*wires, *self.lines])

    def instance(self) -> str:
        """Text of its instance, every port tied to the wire of the same name."""
        names = ["clk", *self.inputs, *self.outputs]
        ports = _wrapped([f".{name}({name})" for name in names])
        return f"  {self.module} {self.module.removeprefix('lgc_')} ({ports});"


def _network(wires: Wires) -> _Part:
    """Collect the first LUTs, the registers of their outputs and of inputs that are needed later."""
    net, split = wires.net, wires.split
    luts = slice(0, split - net.first_lut)
    signal, stage = wires.leaving(FIRST_INPUT, split)
    made_here = (signal >= net.first_lut) | (stage > 0)
    outputs = wires.at(signal[made_here], stage[made_here])
    inputs = wires.inputs(np.append(net.fanin[luts].ravel(), wires.registered))
    registers = wires.register_lines(wires.registered < split, set(outputs))
    return _Part(
        module="lgc_network",
        inputs=list(wires.name[inputs]),
        outputs=outputs,
        wires=wires.declared(net.first_lut, split),
        lines=[*wires.cells.lines(wires, luts), *registers],
    )


def _popcount(wires: Wires) -> _Part:
    """Collect the LUTs that count, and the registers of their outputs."""
    return _behind(wires, "lgc_popcount", wires.split, wires.tail)


def _argmax(wires: Wires) -> _Part:
    """Collect the LUTs and carries that find the class, and the registers of their outputs."""
    return _behind(wires, "lgc_argmax", wires.tail, wires.net.signals)


def _behind(wires: Wires, module: str, start: int, stop: int) -> _Part:
    """Collect LUTs and carries behind the network, signals `start` to `stop`."""
    first, registered = wires.net.first_lut, wires.registered
    outputs = wires.at(*wires.leaving(start, stop))
    registers = wires.register_lines((registered >= start) & (registered < stop), set(outputs))
    return _Part(
        module=module,
        inputs=wires.at(*wires.reads(start, stop)),
        outputs=outputs,
        wires=wires.declared(start, stop),
        lines=[*wires.cells.lines(wires, slice(start - first, stop - first)), *registers],
    )


def _tail(fabric: Fabric) -> int:
    """Return the first signal of the argmax, which is added behind the scores."""
    net = fabric.netlist
    if not fabric.index_bits:
        return net.signals
    return max(net.first_lut + fabric.network_luts, int(fabric.score_signals.max(initial=0)) + 1)


def _wrapper(wires: Wires, inputs: _I64x1, parts: list[_Part]) -> str:
    """Text of `lgc_fabric`: cut the input vectors, join the parts, gather the scores."""
    lines, ports = [], ["input clk"]
    for start in range(0, inputs.size, CHUNK):
        names = wires.name[inputs[start : start + CHUNK]]
        port = f"x{start // CHUNK}"
        ports.append(f"input [{len(names) - 1}:0] {port}")
        lines += [f"  wire {name} = {port}[{bit}];" for bit, name in enumerate(names)]
    lines += [f"{line};" for part in parts for line in _declare("  wire", part.outputs)]
    lines += [part.instance() for part in parts]
    for c, row in enumerate(wires.outputs):
        bits, inverted = row[row >= FIRST_INPUT], wires.inverted[c][row >= FIRST_INPUT]
        if bits.size:
            score = wires.at(bits, np.full(bits.size, wires.score_stage))
            ports.append(f"output [{bits.size - 1}:0] s{c}")
            for bit in np.flatnonzero(inverted).tolist():
                name = f"s{c}_{bit}"
                lines.append(f"  wire {name};")
                lines.append(LUT % (0x5555, name, name, score[bit], *["1'b0"] * 3))
                score[bit] = name
            lines.append(f"  assign s{c} = {_concat(score)};")
    if wires.index.size:
        ports.append(f"output [{wires.index.size - 1}:0] index")
        index = wires.at(wires.index, np.full(wires.index.size, wires.last))
        lines.append(f"  assign index = {_concat(index)};")
    return _module("lgc_fabric", ports, lines)


def _score(bits: _I64x1) -> tuple[bool | int, ...]:
    """Return where each bit of one class's score comes from, see `FabricText.scores`."""
    variable = 0
    result: list[bool | int] = []
    for signal in bits.tolist():
        result.append(bool(signal) if signal < FIRST_INPUT else variable)
        variable += signal >= FIRST_INPUT
    return tuple(result)


def _unique(signal: _I64x1, stage: _I64x1) -> tuple[_I64x1, _I64x1]:
    """Sort pairs of signal and stage, once each."""
    pairs = np.unique(np.stack([signal, stage]), axis=1)
    return pairs[0], pairs[1]


def _texts(items: list[str]) -> _Texts:
    """Object array of strings."""
    array = np.empty(len(items), np.object_)
    array[:] = items
    return array


def _wrapped(items: list[str]) -> str:
    """List with a few items per line."""
    rows = [", ".join(items[n : n + _PER_LINE]) for n in range(0, len(items), _PER_LINE)]
    return ",\n    ".join(rows)


def _concat(names: list[str]) -> str:
    """Concatenation whose bit 0 is the first name."""
    return f"{{{_wrapped(names[::-1])}}}"


def _declare(kind: str, names: list[str]) -> list[str]:
    """Declare a few names per line."""
    rows = [names[n : n + _PER_LINE] for n in range(0, len(names), _PER_LINE)]
    return [f"{kind} {', '.join(row)}" for row in rows]


def _module(name: str, ports: list[str], lines: list[str]) -> str:
    """Text of a module."""
    return "\n".join([f"module {name} (", "  " + ",\n  ".join(ports), ");", *lines, "endmodule", "", ""])
