"""Lay out a folded design and write its Verilog."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lgc.errors import LgcError
from lgc.ir.encoder import Thermometer
from lgc.ir.fabric import Fabric
from lgc.ir.kernels import Folded

from ..fabric import FabricText, fabric_text
from ..interfaces.settings import Interface
from ..lut4 import CELLS
from ..rtl import HEADER, TOP, RtlFiles, make_directory, write_shell
from ..tools import Tool, find
from .front import Front
from .pixels import per_place
from .plan import Layer, blocks_of, layers_of
from .timing import Timing, timing
from .top import AFTER, FoldedTop

Shapes = tuple[tuple[int, int], ...]
"""Words and bits per word that a block RAM can have."""


@dataclass(frozen=True, eq=False)
class Design:
    """A folded design, laid out.

    Attributes:
        encoder: thresholds.
        folded: the network.
        layers: its kernels.
        tail: LUTs, popcount and argmax of what follows.
        text: their Verilog.
        timing: clocks.
        shapes: of block RAMs.
    """

    encoder: Thermometer
    folded: Folded
    layers: tuple[Layer, ...]
    tail: Fabric
    text: FabricText
    timing: Timing
    shapes: Shapes

    @property
    def kernel_luts(self) -> int:
        """LUTs of all kernels but the pools that accumulate."""
        return sum(layer.kernel.netlist.luts for layer in self.layers if not layer.accumulates)

    def model(self) -> str:
        """Return what it will take, before synthesis, as a table with a last line on clocks."""
        head = ("part", "positions", "LUT4", "flip-flops", "line buffer, bits", "block RAM")
        rows = [head]
        for layer in self.layers:
            kernel, (width, depth) = layer.kernel, layer.line
            blocks = blocks_of(layer.line, self.shapes) if layer.in_block else 0
            counts = (kernel.outputs // kernel.channels, layer.luts, layer.registers, width * depth, blocks)
            rows.append((kernel.text, *(f"{count:,}" for count in counts)))
        stored, luts = self.text.inputs.size, self.tail.netlist.luts
        rows.append(("stored bits", "", "", f"{stored:,}", "", ""))
        rows.append(("other layers and readout", "1", f"{luts:,}", f"{sum(self.text.registers):,}", "", ""))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(w) if n else cell.ljust(w)
                for n, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        clocks = self.timing
        lines.append(
            f"one sample per {clocks.cycles_per_sample:,} clocks, class {clocks.latency:,} clocks after the "
            f"last of {self.encoder.features:,} features"
        )
        return "\n".join(line.rstrip() for line in lines) + "\n"


def design(
    encoder: Thermometer, folded: Folded, tail: Fabric, *, shapes: Shapes = (), blocks: int = 0
) -> Design:
    """Lay out a folded design.

    Args:
        encoder: thresholds.
        folded: the network, its kernels mapped to LUTs of four inputs.
        tail: the fabric of `folded.tail`, with stage numbers and argmax.
        shapes: of block RAMs, none if line buffers are to be flip-flops.
        blocks: block RAMs that there are.

    Raises:
        UsageError: padding as wide as a window, or features that do not come row by row.
        LgcError: the tail has no argmax.
    """
    if not tail.index_bits:
        raise LgcError("The tail of a folded design lacks its argmax.", hint="Use add_argmax.")
    text = fabric_text(tail, held=True)
    layers = layers_of(folded.kernels, shapes=shapes, blocks=blocks)
    clocks = timing(layers, per_place=per_place(encoder, folded), tail=text.latency + AFTER)
    return Design(encoder, folded, layers, tail, text, clocks, shapes)


def write_folded(made: Design, *, out: Path, yosys: Tool | None = None, timeout_s: float = 300) -> RtlFiles:
    """Write a design into the directory `out`; equal inputs give equal files.

    Raises:
        ToolMissingError: no Yosys.
    """
    yosys = yosys or find("yosys")
    make_directory(out)
    text, tail, encoder = made.text, made.tail, made.encoder
    front = Front(encoder, made.folded, made.layers, text.inputs)
    memory = front.pixels.plan.memory
    top = FoldedTop(front, text, made.timing)
    facts = {
        "features": encoder.features,
        "width": encoder.format.width,
        "luts": made.kernel_luts + tail.netlist.luts,
        "network": made.kernel_luts + tail.network_luts,
        "classes": tail.classes,
        "latency": top.latency,
    }
    kernels = "\n".join(layer.text for layer in made.layers)
    (out / "fabric.v").write_text(HEADER.format(what="LUT fabric", **facts) + text.verilog)
    (out / "kernels.v").write_text(HEADER.format(what="Kernels and line memories", **facts) + kernels)
    (out / "cells.v").write_text(CELLS)
    command = write_shell(top, TOP, out / "shell.v", HEADER.format(what="Shell", **facts), yosys, timeout_s)
    return RtlFiles(
        sources=tuple(out / name for name in ("shell.v", "kernels.v", "fabric.v")),
        cells=out / "cells.v",
        features=encoder.features,
        feature_width=encoder.format.width,
        signed=encoder.format.signed,
        classes=tail.classes,
        class_width=len(top.result.payload),
        score_width=tail.score_width,
        offset=tail.offset,
        memory=memory,
        input_bits=int(text.inputs.size),
        network_luts=made.kernel_luts + tail.network_luts,
        popcount_luts=tail.netlist.luts - tail.network_luts,
        pipeline_registers=sum(text.registers),
        latency=top.latency,
        cycles_per_sample=top.cycles_per_sample,
        yosys=yosys.identity,
        commands=(command,),
        interface=Interface(),
    )
