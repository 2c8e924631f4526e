"""Write the Verilog of a design: the fabric as text, the shell around it through Amaranth."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from amaranth.back import rtlil
from amaranth.lib.wiring import Component

from lgc.errors import LgcError
from lgc.ir.encoder import Thermometer
from lgc.ir.fabric import Fabric

from .encoder import store_text
from .fabric import fabric_text
from .family import FAMILIES, Family
from .free_running import FreeTop, closing
from .interfaces import tops
from .interfaces.settings import Core, Interface
from .interfaces.words import CORE
from .lut4 import CELLS
from .models import cell_models
from .parallel import WideTop
from .plan import Plan
from .tools import Tool, find, run
from .top import StreamTop
from .xilinx import LIBRARY, MODELS

TOP = "lgc_top"
"""Name of the top module."""

_SCRIPT = """\
read_rtlil {name}.il
proc -nomux -norom
memory_collect
write_verilog -norename -noattr {name}.v
"""

HEADER = """\
// {what}
// Written by lgc: {features} features of {width} bits, {luts} LUTs ({network} in the network),
// {classes} classes, result after {latency} clocks.
"""


@dataclass(frozen=True)
class RtlFiles:
    """A design in Verilog and what its users have to know.

    Attributes:
        sources: files to simulate or synthesise.
        cells: simulation model of the LUTs, not for synthesis.
        features: features per sample.
        feature_width: bits per feature.
        signed: whether features are two's complement.
        classes: number of classes.
        class_width: bits of the result.
        score_width: bits per score of the internal signal `scores`.
        offset: what to add to a score read there.
        memory: words and bits per word of the threshold memory, 0 bits if there is none.
        input_bits: encoder bits that are stored because the fabric reads them.
        network_luts: LUTs of the network.
        popcount_luts: LUTs and carries that count its outputs and find the class.
        pipeline_registers: flip-flops in network and popcount.
        latency: clocks from accepting the last feature to the result.
        cycles_per_sample: clocks between results at full rate.
        yosys: the tool that wrote the shell.
        commands: command lines, run in the files' directory.
        interface: what is around the design; features above are those that it unpacks. The module
            without it is `lgc_core`.
        lanes: features that enter per clock, the first in the lowest bits.
        row: features after which a new word begins, whether the last one is full or not.
        hop: features from one window to the next over a signal without end; 0 if samples come one by one.
        needed: features of a window that its class depends on, if there are windows.
        program: what the board's flash must hold for the design to run, None if it needs none.
    """

    sources: tuple[Path, ...]
    cells: Path
    features: int
    feature_width: int
    signed: bool
    classes: int
    class_width: int
    score_width: int
    offset: int
    memory: tuple[int, int]
    input_bits: int
    network_luts: int
    popcount_luts: int
    pipeline_registers: int
    latency: int
    cycles_per_sample: int
    yosys: str
    commands: tuple[str, ...]
    interface: Interface = field(default_factory=Interface)
    lanes: int = 1
    row: int = 1
    hop: int = 0
    needed: int = 0
    program: Path | None = None

    def windows(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Return what is classified when samples `[samples, features]` enter one after the other."""
        if not self.hop:
            return codes
        whole = np.lib.stride_tricks.sliding_window_view(codes.ravel(), self.features)
        return np.ascontiguousarray(whole[:: self.hop])

    def entering(self, codes: npt.NDArray[np.int32]) -> list[int]:
        """Return what enters clock by clock for `windows`, up to what the last class depends on."""
        found: list[int]
        if not self.hop:
            found = self.beats(codes).ravel().tolist()
            return found
        behind = codes[1:, -self.hop :]  # what a window adds to the one before
        signal = np.concatenate([codes[0], behind.ravel()])[: self.needed + behind.size]
        found = (signal & ((1 << self.feature_width) - 1)).tolist()
        return found

    def beats(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.object_]:
        """Pack codes `[samples, features]` as they enter: Python integers `[samples, clocks]`.

        Places that the last word of a row has too many are ones, to show that nobody looks at them.
        """
        mask = (1 << self.feature_width) - 1
        rows = codes.reshape(len(codes), -1, self.row) & mask
        short = -self.row % self.lanes
        filled = np.pad(rows, ((0, 0), (0, 0), (0, short)), constant_values=mask)
        split = filled.reshape(len(codes), -1, self.lanes).astype(object)
        places = np.array([1 << self.feature_width * lane for lane in range(self.lanes)], object)
        found: npt.NDArray[np.object_] = (split * places).sum(axis=2)
        return found

    @property
    def clocks_in(self) -> int:
        """Clocks in which a sample enters at least."""
        return self.features // self.row * -(-self.row // self.lanes)

    @property
    def beat_width(self) -> int:
        """Bits that enter per clock."""
        return self.feature_width * self.lanes

    @property
    def result_width(self) -> int:
        """Bits of a result at a stream: the class, and the scores above it where the design gives them."""
        scores = self.interface.name == "parallel" and self.interface.scores
        return self.class_width + scores * self.classes * self.score_width

    @property
    def boot_clocks(self) -> int:
        """Clocks, about, for which a program is read from flash: a bit in two."""
        return 16 * self.program.stat().st_size if self.program else 0

    @property
    def core(self) -> Core:
        """What the interface knows of the design."""
        return tops.core_of(
            self.interface,
            features=(self.features, self.feature_width),
            classes=(self.classes, self.class_width),
            score_width=self.score_width,
            flash=self.program is not None,
        )


def write_rtl(
    encoder: Thermometer,
    fabric: Fabric,
    *,
    out: Path,
    argmax_registers: bool,
    held: bool = False,
    interface: Interface | None = None,
    family: Family = FAMILIES["ice40"],
    yosys: Tool | None = None,
    timeout_s: float = 300,
) -> RtlFiles:
    """Write the design into the directory `out`; equal inputs give equal files.

    Args:
        encoder: thresholds; its bits are the inputs of `fabric`.
        fabric: LUTs of `family.k` inputs with stage numbers; without argmax, one is written for Yosys.
        out: directory, made if need be.
        argmax_registers: register the scores and each round of that argmax.
        held: keep the input bits still until the result is out, which saves registers, see
            `fabric_text`; else the next frame streams in meanwhile.
        interface: what to put around the design; the plain streams if None.
        family: whose cells the fabric is made of.
        yosys: tool that turns RTLIL into Verilog, looked for if None.
        timeout_s: time limit for it.

    Raises:
        LgcError: encoder and fabric do not match.
        ToolMissingError: no Yosys.
    """
    if fabric.netlist.inputs != encoder.bits:
        raise LgcError(f"The encoder makes {encoder.bits} bits, the network reads {fabric.netlist.inputs}.")
    yosys = yosys or find("yosys")
    make_directory(out)
    interface = interface or Interface()
    encoder = interface.encoder(encoder)
    text = fabric_text(fabric, held=held, cells=family.cells)
    plan = Plan(encoder, text.inputs)
    wrapped, wide = interface.wraps, interface.name == "parallel"
    design: StreamTop | FreeTop | WideTop
    if wide:
        design = WideTop(plan, text, argmax_registers=argmax_registers, held=held, scores=interface.scores)
    elif not held and closing(plan.by_value()) >= 0:
        plan = plan.by_value()
        design = FreeTop(plan, text, argmax_registers=argmax_registers, core=wrapped)
    else:
        design = StreamTop(plan, text, argmax_registers=argmax_registers, held=held, core=wrapped)
    facts = {
        "features": encoder.features,
        "width": encoder.format.width,
        "luts": fabric.netlist.luts,
        "network": fabric.network_luts,
        "classes": fabric.classes,
        "latency": design.latency,
    }
    head = {what: HEADER.format(what=what, **facts) for what in ("Shell", "Input bits", "LUT fabric")}
    (out / "fabric.v").write_text(head["LUT fabric"] + text.verilog)
    names = ["shell.v", "fabric.v"]
    if not wide:
        (out / "store.v").write_text(head["Input bits"] + store_text(plan))
        names.insert(1, "store.v")
    (out / "cells.v").write_text(cell_models(yosys, LIBRARY, MODELS, out) if family.own_cells else CELLS)
    name = CORE if wrapped else TOP
    command = write_shell(design, name, out / "shell.v", head["Shell"], yosys, timeout_s)
    found = RtlFiles(
        sources=tuple(out / name for name in names),
        cells=out / "cells.v",
        features=encoder.features,
        feature_width=encoder.format.width,
        signed=encoder.format.signed,
        classes=fabric.classes,
        class_width=design.computing.class_width,
        score_width=fabric.score_width,
        offset=fabric.offset,
        memory=(0, 0) if wide else plan.memory,
        input_bits=int(text.inputs.size),
        network_luts=fabric.network_luts,
        popcount_luts=fabric.netlist.luts - fabric.network_luts,
        pipeline_registers=sum(text.registers),
        latency=design.latency,
        cycles_per_sample=design.cycles_per_sample,
        yosys=yosys.identity,
        commands=(command,),
        interface=interface,
        lanes=encoder.features if wide else 1,
        row=encoder.features if wide else 1,
    )
    return with_interface(found, facts, out, yosys, timeout_s) if wrapped else found


def with_interface(
    core: RtlFiles, facts: Mapping[str, int], out: Path, yosys: Tool, timeout_s: float
) -> RtlFiles:
    """Write the top module of an interface beside its core, whose `facts` the header tells."""
    top = tops.top_of(core.interface, core.core)
    header = HEADER.format(what=f"Interface {core.interface.name}", **facts)
    command = write_shell(top, TOP, out / "interface.v", header, yosys, timeout_s)
    return dataclasses.replace(
        core, sources=(*core.sources, out / "interface.v"), commands=(*core.commands, command)
    )


def write_shell(design: Component, name: str, shell: Path, header: str, yosys: Tool, timeout_s: float) -> str:
    """Write the module `name` to the file `shell` through Yosys; return the command line."""
    out, script = shell.parent, shell.with_suffix(".ys")
    shell.with_suffix(".il").write_text(rtlil.convert(design, name=name, emit_src=False))
    script.write_text(_SCRIPT.format(name=shell.stem))
    args = ["-q", "-s", script.name]
    shell.unlink(missing_ok=True)
    log = shell.with_suffix(".log")
    run(yosys, args, cwd=out, log=log, timeout_s=timeout_s)
    if not shell.is_file():
        raise LgcError(f"{yosys.name} ended without writing {shell.name}.", hint=f"See {log.name}.")
    # Yosys puts its version in a first line; the header replaces it, so that text stays comparable.
    shell.write_text(header + _started(shell.read_text().split("*/", 1)[1].lstrip()))
    return yosys.shell(args)


def _started(verilog: str) -> str:
    """Let every process of Yosys' Verilog run once at the start.

    They read a constant for that. As its declaration sets it, Icarus never sees it change, so what a register
    takes over is undefined until something else does.
    """
    named = _START.sub(r"started\1 ", verilog)
    return re.sub(r"reg (started\d+)\s+= 0;", _STARTED, named)


_STARTED = r"""reg \1;
  // verilator lint_off INITIALDLY
  initial \1 <= 0;
  // verilator lint_on INITIALDLY"""
_START = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$(\d+) ")


def make_directory(out: Path) -> None:
    """Make a directory for results.

    Raises:
        LgcError: it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LgcError(f"Cannot make the directory {out}: {error.strerror}.") from error
