"""What a folded design will take and how fast it will be, before any tool has run: an estimate.

The slowest path is sought where it can be: through a kernel into the next layer, through the handshakes of
all layers, through the encoder, the tail's fabric or its program. Delays are those of the target, see
`lgc.backend.estimate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lgc.errors import UsageError
from lgc.ir.fabric import Fabric

from ..estimate import Estimate, slowest
from ..target import Delays, Target
from .double import DoubleTail
from .plan import Layer, blocks_of

if TYPE_CHECKING:
    from .rtl import Design

_MEMORY = 2.5
"""Delay of a block RAM where the target has no figure, in that of a LUT with its wire."""
_FAR = 4
"""Wires between block RAMs and LUTs are so much longer than others."""
_CONTROL, _PROGRAM = 24, 90
"""LUTs of a layer's counters and handshake, and of a program's control besides its widths."""


@dataclass(frozen=True)
class _Path:
    """A path between registers.

    Attributes:
        period: picoseconds.
        where: what it goes through.
        levels: LUTs on it.
    """

    period: float
    where: str
    levels: int


def expect(made: Design, target: Target) -> Estimate:
    """Estimate the clock of a design.

    Raises:
        UsageError: the target has no delays.
    """
    delays, clocks = target.delay, made.timing
    if delays is None:
        raise UsageError(f"The target {target.name} has no [delay], so nothing can be said about its clock.")
    slow = max(_paths(made, target, delays), key=lambda path: path.period)
    fmax = 1e6 / slow.period
    clock = target.at_most(fmax)
    return Estimate(
        device=f"{target.device}-{target.package}",
        fmax_mhz=round(fmax, 1),
        latency_ns=round(clocks.latency * 1e3 / clock, 1),
        samples_per_second=round(clock * 1e6 / clocks.cycles_per_sample),
        levels=slow.levels,
        stage=0,
        critical=(),
        limited_by=slow.where,
        source=delays.source,
        clock_limit_mhz=target.clock_limit_mhz,
    )


def _paths(made: Design, target: Target, delays: Delays) -> list[_Path]:
    """Paths that may be the slowest."""
    hop = delays.route + delays.fanout + delays.lut
    ends = delays.clock_to_out + delays.route + delays.setup
    memory = delays.memory or ends + _MEMORY * hop
    found = [_handshake(made, delays, hop, ends)]
    layers = made.layers
    for n, layer in enumerate(layers):
        if not layer.accumulates and layer.kernel.netlist.luts:
            found.append(_kernel(n, layer, layers[n + 1 : n + 2], target, hop))
        if layer.in_block:
            found.append(_Path(memory + delays.route + delays.setup, f"line buffer {n}", 0))
    form = made.encoder.format
    chain = delays.carry_in + form.width * delays.carry + delays.carry_out
    found.append(_Path(ends + chain + 2 * hop, "encoder", 2))
    if made.fabric is not None:
        period, path, _ = slowest(made.fabric[0], target.cells.cells, delays)
        found.append(_Path(period, "tail", len(path)))
    if made.serial is not None:
        # a long wire from a block RAM, then a multiplexer of 16, before a register
        levels = 2 + isinstance(made.serial[0], DoubleTail)
        far = _FAR * delays.route + delays.lut
        found.append(_Path(memory + far + levels * hop + delays.setup, "program", levels + 1))
        width = made.serial[0].score_width
        compare = delays.carry_in + width * delays.carry + delays.carry_out
        found.append(_Path(ends + compare + 2 * hop, "argmax", 2))
    return found


def _kernel(n: int, layer: Layer, following: tuple[Layer, ...], target: Target, hop: int) -> _Path:
    """Through a kernel, and what the next layer has before its registers."""
    delays, net = target.delay, layer.kernel.netlist
    assert delays is not None
    stage = np.zeros(net.luts, np.uint16)
    fabric = Fabric(replace(net, stage=stage), len(net.outputs), 1, 0, net.luts)
    period, path, _ = slowest(fabric, target.cells.cells, delays)
    behind = 0
    for after in following:
        if after.accumulates:
            behind = 1 + (min(after.lanes, after.kernel.window.size[1]) > 1)
        elif after.kernel.window.padding != (0, 0):
            behind = 1
    return _Path(period + behind * hop, f"kernel {n}", len(path) + behind)


def _handshake(made: Design, delays: Delays, hop: int, ends: int) -> _Path:
    """From the tail's readiness through all layers to the enables of the largest one's registers."""
    levels = len(made.layers) + 2
    loads = max(layer.registers for layer in made.layers)
    return _Path(ends + levels * hop + delays.fanout * math.log2(max(loads, 2)), "handshakes", levels)


def resources(made: Design, target: Target) -> dict[str, int]:
    """Count logic cells, block RAMs and pins of a design with plain streams, roughly.

    A flip-flop that holds a place takes a cell of its own, others share that of a LUT.
    """
    k, form = target.k, made.encoder.format
    codes = max(made.positions * made.per_place, 1)
    used = np.flatnonzero(np.logical_or.reduce(made.layers[0].kernel.used, axis=(0, 1)))
    compared = used.size * made.positions or np.unique(used % made.encoder.levels).size
    cells = _CONTROL + codes * form.width + compared * math.ceil((form.width - 1) / (k - 1))
    blocks = 0
    for layer in made.layers:
        width, depth = layer.line
        cells += layer.luts + _CONTROL + (0 if layer.accumulates else layer.registers)
        if layer.in_block:
            blocks += blocks_of(layer.line, made.shapes)
        else:
            cells += width * max(depth - 1, 0)
    classes = 1
    if made.fabric is not None:
        fabric, text = made.fabric
        classes = fabric.index_bits
        cells += fabric.netlist.luts + int(text.inputs.size)
    if made.serial is not None:
        program, store = made.serial
        classes = max(1, (len(program.program.bias) - 1).bit_length())
        cells += (
            _PROGRAM + store.bits + 6 * program.score_width + len(program.program.bias) * program.score_width
        )
        cells += len(program.wanted) + math.ceil(store.outside / 2**k) * store.bits
        blocks += program.value_blocks(made.shapes) + program.table_blocks(made.shapes)
        blocks += store.blocks(made.shapes)
    return {"cell": cells, "bram": blocks, "io": codes * form.width + classes + 6}
