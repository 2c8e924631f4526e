"""Lay out a folded design and write its Verilog."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

from lgc.errors import DoesNotFitError, LgcError
from lgc.ir.encoder import Thermometer
from lgc.ir.fabric import Fabric
from lgc.ir.kernels import Folded

from ..fabric import FabricText, fabric_text
from ..interfaces.settings import STREAM, Interface
from ..interfaces.words import CORE
from ..lut4 import CELLS
from ..rtl import HEADER, TOP, RtlFiles, make_directory, with_interface, write_shell
from ..target import Target
from ..tools import Tool, find
from . import serial
from .front import Chain, Front, Stored
from .memory import Shapes, Store
from .pixels import per_place
from .plan import Layer, blocks_of, layers_of
from .serial import Tail
from .timing import Timing, timing
from .top import AFTER, FoldedTop, SerialTop

PROGRAM_FILE = "program.bin"
"""What the flash has to hold."""


@dataclass(frozen=True, eq=False)
class Design:
    """A folded design, laid out.

    Attributes:
        encoder: thresholds.
        folded: the network.
        layers: its kernels.
        timing: clocks.
        shapes: of block RAMs.
        fabric: LUTs, popcount and argmax of the tail, and their Verilog; or
        serial: the tail as a program, and where that lies.
        interface: what is built around it; `encoder` is that of what it takes.
    """

    encoder: Thermometer
    folded: Folded
    layers: tuple[Layer, ...]
    timing: Timing
    shapes: Shapes
    fabric: tuple[Fabric, FabricText] | None = None
    serial: tuple[Tail, Store] | None = None
    interface: Interface = STREAM

    @property
    def kernel_luts(self) -> int:
        """LUTs of all kernels but the pools that accumulate."""
        return sum(layer.kernel.netlist.luts for layer in self.layers if not layer.accumulates)

    def check_program(self, target: Target) -> None:
        """Compare the program with the target, before anything is built.

        Raises:
            DoesNotFitError: values or instructions find no room.
        """
        if self.serial is None:
            return
        (tail, store), has = self.serial, target.resources
        values = tail.value_blocks(self.shapes)
        if self.shapes and values > has.bram:
            raise DoesNotFitError(
                f"The design does not fit {target.name}: four copies of its {tail.program.depth:,} values "
                f"take {values:,} block RAMs of {has.bram:,} ({values / has.bram - 1:.0%} over).",
                hint="Try a larger target, or narrower layers.",
            )
        luts = store.luts + self.kernel_luts
        if luts > has.lut:
            rooms = f" and {has.spram} SPRAMs" if has.spram else ""
            raise DoesNotFitError(
                f"The design does not fit {target.name}: its program has {store.words:,} instructions of "
                f"{store.bits} bits ({store.words * store.bits / 1024:,.0f} kbit). The {has.bram} block "
                f"RAMs{rooms} have no room for {store.outside:,} of them, which take {luts:,} of "
                f"{has.lut:,} LUTs or more.",
                hint="Try a larger target, or fewer nodes.",
            )

    def model(self) -> str:
        """Return what it will take, before synthesis, as a table with a last line on clocks."""
        rows: list[tuple[str, ...]] = [
            ("part", "positions", "LUT4", "flip-flops", "line buffer, bits", "block RAM")
        ]
        for layer in self.layers:
            kernel, (width, depth) = layer.kernel, layer.line
            blocks = blocks_of(layer.line, self.shapes) if layer.in_block else 0
            counts = (kernel.outputs // kernel.channels, layer.luts, layer.registers, width * depth, blocks)
            rows.append((kernel.text, *(f"{count:,}" for count in counts)))
        if self.fabric is not None:
            tail, text = self.fabric
            rows.append(("stored bits", "", "", f"{text.inputs.size:,}", "", ""))
            registers = f"{sum(text.registers):,}"
            rows.append(("other layers and readout", "1", f"{tail.netlist.luts:,}", registers, "", ""))
        if self.serial is not None:
            program, store = self.serial
            values, tables = program.value_blocks(self.shapes), program.table_blocks(self.shapes)
            room = f"{store.sprams} SPRAM" if store.sprams else f"{store.blocks(self.shapes):,}"
            rows.append((f"{program.program.depth:,} values, four copies", "", "", "", "", f"{values:,}"))
            rows.append((f"{len(program.tables[0]):,} tables", "", "", "", "", f"{tables:,}"))
            rows.append((f"program of {store.words:,} × {store.bits} bits", "", "", "", "", room))
            if store.outside:
                rows.append((f"  {store.outside:,} of them in LUTs", "", "", "", "", ""))
            if store.streamed:
                rows.append(("  read from flash for each sample", "", "", "", "", ""))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]))
        clocks = self.timing
        lines.append(
            f"one sample per {clocks.cycles_per_sample:,} clocks, class {clocks.latency:,} clocks after the "
            f"last of {self.encoder.features:,} features"
        )
        return "\n".join(line.rstrip() for line in lines) + "\n"


def design(
    encoder: Thermometer,
    folded: Folded,
    tail: Fabric,
    *,
    shapes: Shapes = (),
    blocks: int = 0,
    interface: Interface = STREAM,
) -> Design:
    """Lay out a folded design with its tail in LUTs.

    Args:
        encoder: thresholds.
        folded: the network, its kernels mapped to LUTs of four inputs.
        tail: the fabric of `folded.tail`, with stage numbers and argmax.
        shapes: of block RAMs, none if line buffers are to be flip-flops.
        blocks: block RAMs that there are.
        interface: what to put around the design.

    Raises:
        UsageError: padding as wide as a window, or features that do not come row by row.
        LgcError: the tail has no argmax.
    """
    if not tail.index_bits:
        raise LgcError("The tail of a folded design lacks its argmax.", hint="Use add_argmax.")
    text, encoder = fabric_text(tail, held=True), interface.encoder(encoder)
    layers = layers_of(folded.kernels, shapes=shapes, blocks=blocks)
    clocks = timing(
        layers,
        per_place=per_place(encoder, folded),
        tail=text.latency + AFTER,
        drained=interface.wraps,
    )
    return Design(encoder, folded, layers, clocks, shapes, fabric=(tail, text), interface=interface)


def serial_design(
    encoder: Thermometer,
    folded: Folded,
    *,
    shapes: Shapes = (),
    blocks: int = 0,
    sprams: int = 0,
    luts: int | None = None,
    interface: Interface = STREAM,
) -> Design:
    """Lay out a folded design with its tail as a program, one LUT per clock.

    Args:
        encoder: thresholds.
        folded: the network, kernels and tail mapped to LUTs of four inputs.
        shapes: of block RAMs, none if there are none.
        blocks: block RAMs that there are; the program goes first.
        sprams: single-port RAMs for a program that is too large for those.
        luts: LUTs of the device, where a program that is larger still can be read from flash as it runs;
            else None.
        interface: what to put around the design.

    Raises:
        UsageError: padding as wide as a window, or features that do not come row by row.
    """
    tail, encoder = Tail.of(folded.tail, folded.kernels[-1]), interface.encoder(encoder)
    kernels = sum(kernel.netlist.luts for kernel in folded.kernels if not kernel.pool)
    store = tail.store(shapes, blocks, sprams, None if luts is None else max(luts - kernels, 0))
    left = blocks - store.blocks(shapes) - tail.value_blocks(shapes) - tail.table_blocks(shapes)
    layers = layers_of(folded.kernels, shapes=shapes, blocks=max(left, 0))
    # the kernels have come to rest long before a long program ends
    run, steps = serial.clocks(store), sum(math.prod(layer.steps) for layer in layers)
    short = min(run, 4 * (encoder.features + steps) * (len(tail.wanted) + 1))
    clocks = timing(
        layers,
        per_place=per_place(encoder, folded),
        tail=short,
        bits=len(tail.wanted),
        drained=interface.wraps,
    )
    clocks = Timing(clocks.latency + run - short, clocks.cycles_per_sample + run - short)
    return Design(encoder, folded, layers, clocks, shapes, serial=(tail, store), interface=interface)


def write_folded(made: Design, *, out: Path, yosys: Tool | None = None, timeout_s: float = 300) -> RtlFiles:
    """Write a design into the directory `out`; equal inputs give equal files.

    Raises:
        ToolMissingError: no Yosys.
    """
    yosys = yosys or find("yosys")
    make_directory(out)
    encoder, folded, clocks = made.encoder, made.folded, made.timing
    chain = Chain(encoder, folded, made.layers, core=made.interface.wraps)
    files = {"kernels.v": "\n".join(layer.text for layer in made.layers)}
    top: FoldedTop | SerialTop
    flash: Path | None = None
    if made.fabric is not None:
        tail, text = made.fabric
        places = math.prod(folded.kernels[-1].window.positions)
        stored = Stored(encoder, text.inputs, places)
        top = FoldedTop(Front(chain, stored), text, clocks)
        files["fabric.v"] = text.verilog
        facts = _Facts(
            classes=tail.classes,
            score_width=tail.score_width,
            offset=tail.offset,
            input_bits=int(text.inputs.size),
            network_luts=made.kernel_luts + tail.network_luts,
            popcount_luts=tail.netlist.luts - tail.network_luts,
            pipeline_registers=sum(text.registers),
        )
    else:
        assert made.serial is not None
        program, store = made.serial
        top = SerialTop(chain, program, store)
        files["program.v"] = program.text(store, made.shapes)
        if store.flash:
            flash = out / PROGRAM_FILE
            flash.write_bytes(store.image(program.words()))
        facts = _Facts(
            classes=len(program.program.bias),
            score_width=program.score_width,
            offset=program.low,
            input_bits=program.program.inputs,
            network_luts=made.kernel_luts,
            popcount_luts=0,
            pipeline_registers=0,
        )
    head = {
        "features": encoder.features,
        "width": encoder.format.width,
        "luts": facts.network_luts + facts.popcount_luts,
        "network": facts.network_luts,
        "classes": facts.classes,
        "latency": clocks.latency,
    }
    for name, verilog in files.items():
        (out / name).write_text(HEADER.format(what=name.removesuffix(".v").capitalize(), **head) + verilog)
    (out / "cells.v").write_text(CELLS)
    name = CORE if made.interface.wraps else TOP
    command = write_shell(top, name, out / "shell.v", HEADER.format(what="Shell", **head), yosys, timeout_s)
    found = RtlFiles(
        sources=tuple(out / name for name in ("shell.v", *files)),
        cells=out / "cells.v",
        features=encoder.features,
        feature_width=encoder.format.width,
        signed=encoder.format.signed,
        class_width=len(top.result.payload),
        memory=chain.pixels.plan.memory if made.fabric is not None else (0, 0),
        latency=clocks.latency,
        cycles_per_sample=clocks.cycles_per_sample,
        yosys=yosys.identity,
        commands=(command,),
        interface=made.interface,
        program=flash,
        **dataclasses.asdict(facts),
    )
    return with_interface(found, head, out, yosys, timeout_s) if made.interface.wraps else found


@dataclass(frozen=True)
class _Facts:
    """What `RtlFiles` says of a tail."""

    classes: int
    score_width: int
    offset: int
    input_bits: int
    network_luts: int
    popcount_luts: int
    pipeline_registers: int
