"""Scripts that hand a design to other tools: Vivado, Quartus, Radiant, FuseSoC.

Each comes with copies of the Verilog, so that the folder can go to another machine as it is.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lgc.errors import UsageError

from .rtl import TOP, RtlFiles, make_directory
from .target import Target

KINDS = ("vivado", "quartus", "radiant", "fusesoc")
"""Names that `write_scripts` accepts."""

_QUARTUS_FAMILIES = {"cyclone4": "Cyclone IV E", "cyclone5": "Cyclone V"}

_VIVADO = """\
# {title}
# vivado -mode batch -source lgc_vivado.tcl
# Without a file pins.xdc beside this script the design is built out of context, without pins and bitstream.
cd [file dirname [file normalize [info script]]]
set pins [file exists pins.xdc]
read_verilog [list {files}]
read_xdc lgc.sdc
if {{$pins}} {{ read_xdc pins.xdc }}
set mode [expr {{$pins ? "default" : "out_of_context"}}]
synth_design -top {top} -part {part} -mode $mode
opt_design
place_design
phys_opt_design
route_design
report_utilization -hierarchical -file utilization.txt
report_timing_summary -file timing.txt
write_checkpoint -force lgc.dcp
if {{$pins}} {{ write_bitstream -force lgc.bit }}
"""

_QUARTUS = """\
# {title}
# quartus_sh -t lgc_quartus.tcl
# LUTs are described by rtl/cells.v, and Quartus may map them anew; pins are of its choice.
cd [file dirname [file normalize [info script]]]
package require ::quartus::project
package require ::quartus::flow
project_new lgc -overwrite
set_global_assignment -name FAMILY "{family}"
set_global_assignment -name DEVICE {part}
set_global_assignment -name TOP_LEVEL_ENTITY {top}
foreach file [list {files}] {{ set_global_assignment -name VERILOG_FILE $file }}
set_global_assignment -name SDC_FILE lgc.sdc
execute_flow -compile
project_close
"""

_RADIANT = """\
# {title}
# radiantc lgc_radiant.tcl
# LUTs are described by rtl/cells.v, and the synthesis may map them anew; pins are of Radiant's choice.
cd [file dirname [file normalize [info script]]]
prj_create -name lgc -impl impl_1 -dev {part} -synthesis synplify
foreach file [list {files}] {{ prj_add_source $file }}
prj_add_source lgc.sdc
prj_set_impl_opt -impl impl_1 top {top}
prj_run Synthesis -impl impl_1
prj_run Map -impl impl_1
prj_run PAR -impl impl_1
prj_run Export -impl impl_1 -task Bitgen
prj_save
prj_close
"""

_CORE = """\
CAPI=2:
# {title}
name: ::lgc_{name}:0
description: {title}
filesets:
  rtl:
    files: [{sources}]
    file_type: verilogSource
  models:
    files: [{models}]
    file_type: verilogSource
targets:
  default: &default
    filesets: [rtl{extra}]
    toplevel: {top}
  sim:
    <<: *default
    filesets: [rtl, models]
    default_tool: icarus
"""

_CORE_VIVADO = """\
  synth:
    <<: *default
    default_tool: vivado
    tools:
      vivado:
        part: {part}
"""

_CORE_QUARTUS = """\
  synth:
    <<: *default
    default_tool: quartus
    tools:
      quartus:
        family: {family}
        device: {part}
"""


@dataclass(frozen=True)
class _Facts:
    """What the templates are filled with; `files` are those that synthesis needs."""

    title: str
    name: str
    part: str
    family: str
    files: tuple[str, ...]
    sources: tuple[str, ...]
    models: tuple[str, ...]

    def fill(self, template: str) -> str:
        """Fill a template of Tcl."""
        files = " ".join(self.files)
        return template.format(title=self.title, part=self.part, family=self.family, files=files, top=TOP)

    def core(self) -> str:
        """Text of a core file."""
        tail = {"Vivado": _CORE_VIVADO, "Quartus": _CORE_QUARTUS}.get(vendor_of(self.family), "")
        family = _QUARTUS_FAMILIES.get(self.family, "")
        return _CORE.format(
            title=self.title,
            name=self.name,
            sources=", ".join(self.sources),
            models=", ".join(self.models),
            extra="" if self.files == self.sources else ", models",
            top=TOP,
        ) + tail.format(part=self.part, family=family)


def vendor_of(family: str) -> str:
    """Return the vendor's tool for a family, "" where lgc writes no script for it."""
    tools = {"xc7": "Vivado", "xcup": "Vivado", "cyclone4": "Quartus", "cyclone5": "Quartus"}
    return (tools | {"ice40": "Radiant", "nexus": "Radiant"}).get(family, "")


def check_kinds(kinds: tuple[str, ...], target: Target) -> None:
    """Check that scripts can be written.

    Raises:
        UsageError: an unknown kind, or the tool does not know the target.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"There is no script for '{kind}'.", hint=f"Known: {', '.join(KINDS)}.")
        if kind == "fusesoc":
            continue
        if kind != vendor_of(target.family).lower() or not target.part:
            other = vendor_of(target.family) if target.part else ""
            raise UsageError(
                f"{kind.capitalize()} does not know {target.name}.",
                hint=f"Try --script {other.lower()}." if other else "Try --script fusesoc.",
            )


def write_scripts(
    kinds: tuple[str, ...], rtl: RtlFiles, target: Target, *, out: Path, title: str, clock_mhz: float
) -> tuple[Path, ...]:
    """Write scripts and copies of the Verilog into the directory `out`; return the scripts.

    Args:
        kinds: of `KINDS`.
        rtl: the design.
        target: the device.
        out: directory, made if need be.
        title: what the design is.
        clock_mhz: clock to ask for.

    Raises:
        UsageError: an unknown kind, or the tool does not know the target.
    """
    check_kinds(kinds, target)
    make_directory(out / "rtl")
    for path in (*rtl.sources, rtl.cells):
        shutil.copyfile(path, out / "rtl" / path.name)
    sources = tuple(f"rtl/{path.name}" for path in rtl.sources)
    models = (f"rtl/{rtl.cells.name}",)
    facts = _Facts(
        title=title.replace("\n", " "),
        name=re.sub(r"\W+", "_", target.name),
        part=target.part,
        family=target.family,
        files=sources if target.cells.own_cells else (*sources, *models),
        sources=sources,
        models=models,
    )
    period = 1e3 / clock_mhz
    (out / "lgc.sdc").write_text(f"create_clock -name clk -period {period:.3f} [get_ports clk]\n")
    quartus = _QUARTUS.replace("{family}", _QUARTUS_FAMILIES.get(target.family, ""))
    writers: dict[str, tuple[str, Callable[[], str]]] = {
        "vivado": ("lgc_vivado.tcl", lambda: facts.fill(_VIVADO)),
        "quartus": ("lgc_quartus.tcl", lambda: facts.fill(quartus)),
        "radiant": ("lgc_radiant.tcl", lambda: facts.fill(_RADIANT)),
        "fusesoc": ("lgc.core", facts.core),
    }
    written = []
    for kind in kinds:
        name, text = writers[kind]
        (out / name).write_text(text())
        written.append(out / name)
    return tuple(written)
