"""Synthesis with Yosys: everything but the LUT fabric, which passes through as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lgc.errors import LgcError

from .fit import check_fit
from .parse import read_netlist
from .pll import DESIGN, Pll, wrap
from .rtl import TOP, RtlFiles, make_directory
from .target import Target
from .tools import Tool, find, relative, run

# A clock enable per stored bit would claim a whole tile of eight cells for it, so the input store's
# enables become part of its LUTs. Modules are mapped one by one, so that parts can be told apart.
_SCRIPT = """\
{read}
{tied}{memory}{command} -top {top} {options} -run begin:map_ffs
dfflegalize {ffs} -mince 1000000 lgc_store
{command} -top {top} {options} -run map_ffs:{stop}
{fabric}
flatten
{finish}
opt_clean
tee -q -o stat.json stat -json
write_json netlist.json
"""

_TIE = "proc\ndelete -input {top}/w:{port}\ncd {top}\nconnect -nounset -set {port} 1'0\ncd ..\n"

# Left to itself Yosys makes LUTs of memories that fill less than a quarter of a block.
_BLOCK = 'setattr -set rom_style "block" */m:*\n'
_LEAST_BITS = 256

_AROUND = "rename {top} {design}\nread_verilog pll.v\n"

_BLACKBOX = """\
(* blackbox *)
module lgc_lut4 #(parameter [15:0] LUT_INIT = 16'h0) (output O, input I0, input I1, input I2, input I3);
endmodule
(* blackbox *)
module lgc_carry (output CO, input I0, input I1, input CI);
endmodule
(* blackbox *)
module lgc_spram (input clk, input write, input [13:0] address, input [15:0] d, output [15:0] q);
endmodule
"""


@dataclass(frozen=True)
class Synthesis:
    """Result of synthesis.

    Attributes:
        family: whose cells they are.
        netlist: JSON netlist for nextpnr.
        luts: LUTs of each of `PARTS`.
        ffs: flip-flops of each of `PARTS`.
        carries: carry cells.
        brams: block RAMs.
        cells: logic cells needed at least: LUTs, and flip-flops that cannot share a LUT's cell.
        io: pins.
        tool: name, version and origin of Yosys.
        commands: command lines, run in the result's directory.
        seconds: wall time.
    """

    family: str
    netlist: Path
    luts: Mapping[str, int]
    ffs: Mapping[str, int]
    carries: int
    brams: int
    cells: int
    io: int
    tool: str
    commands: tuple[str, ...]
    seconds: float


def synthesise(
    rtl: RtlFiles,
    target: Target,
    *,
    out: Path,
    low: tuple[str, ...] = (),
    pll: Pll | None = None,
    yosys: Tool | None = None,
    timeout_s: float = 1800,
) -> Synthesis:
    """Synthesise a design for a target in the directory `out`.

    Args:
        rtl: the design.
        target: the device.
        out: directory, made if need be.
        low: inputs that become 0 instead of pins.
        pll: what makes the clock of the one at the pin, if anything; it resets the design, too.
        yosys: the tool, looked for if None.
        timeout_s: its time limit.

    Raises:
        DoesNotFitError: more logic cells, flip-flops, block RAMs or pins than the target has.
        ToolMissingError: no Yosys.
        LgcError: Yosys failed.
    """
    yosys = yosys or find("yosys")
    make_directory(out)
    netlist, stat = out / "netlist.json", out / "stat.json"
    for path in (netlist, stat):
        path.unlink(missing_ok=True)
    (out / "blackbox.v").write_text(_BLACKBOX)
    sources = " ".join(f'"{relative(path, out)}"' for path in rtl.sources)
    family = target.cells
    around = ""
    if pll is not None:
        (out / "pll.v").write_text(wrap(rtl, pll))
        around = _AROUND.format(top=TOP, design=DESIGN)
    # the family's own cells are known from its command on, which checks then
    own = family.own_cells or pll is not None
    blackbox = "" if family.own_cells else "blackbox.v "
    read = f"read_verilog {blackbox}{sources}\n{around}hierarchy {'' if own else '-check '}-top {TOP}"
    (out / "cells_map.v").write_text(family.maps)
    script = _SCRIPT.format(
        read=read,
        top=TOP,
        options=" ".join(target.synth),
        tied="".join(_TIE.format(top=TOP, port=port) for port in low),
        memory=_BLOCK if _in_blocks(rtl, target) else "",
        command=family.synth[0],
        stop=family.synth[1],
        ffs=family.ffs,
        fabric=family.fabric,
        finish=family.finish,
    )
    (out / "synth.ys").write_text(script)
    # After ABC a YoWASP build loses what it prints and may crash with exit code 0, so results come
    # from files.
    args = ["-q", "-l", "yosys.log", "-s", "synth.ys"]
    seconds = run(yosys, args, cwd=out, log=out / "stdout.log", timeout_s=timeout_s)
    if not (netlist.is_file() and stat.is_file()):
        raise LgcError(f"{yosys.name} ended without its results.", hint=f"See {out / 'yosys.log'}.")
    found = read_netlist(netlist, TOP, family)
    result = Synthesis(
        family=family.name,
        netlist=netlist,
        luts=found.luts,
        ffs=found.ffs,
        carries=found.carries,
        brams=found.brams,
        cells=found.cells,
        io=found.io,
        tool=yosys.identity,
        commands=(yosys.shell(args),),
        seconds=round(seconds, 3),
    )
    check_fit(
        target,
        parts={"cell": found.luts, "ff": found.ffs, "bram": {"encoder": found.brams}, "io": found.pins},
        cell=found.cells,
        ff=sum(found.ffs.values()),
        bram=found.brams,
        io=0 if rtl.interface.name == "parallel" else found.io,  # it may be meant for a design around it
    )
    return result


def _in_blocks(rtl: RtlFiles, target: Target) -> bool:
    """Whether the threshold memory is worth block RAMs, and there are enough."""
    words, bits = rtl.memory
    shapes = target.cells.shapes
    if not shapes or words * bits <= _LEAST_BITS:
        return False
    return min(-(-words // depth) * -(-bits // width) for depth, width in shapes) <= target.resources.bram
