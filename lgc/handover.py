"""Where the flow ends without a bitstream of its own: the clock to expect, and scripts for other tools."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from lgc.manifest import Outcome, Step, read_step

if TYPE_CHECKING:
    from lgc.flow import Flow


def check(flow: Flow) -> None:
    """Check that the scripts asked for can be written.

    Raises:
        UsageError: an unknown kind, or the tool does not know the target.
    """
    if flow.options.scripts:
        from lgc.backend.scripts import check_kinds

        check_kinds(flow.options.scripts, flow.target)


def estimate(flow: Flow) -> Step:
    """Say what clock to expect, where nothing is placed and routed."""
    held = not flow.pace.full

    def run(_: Path) -> Outcome:
        found = flow.expected()
        return Outcome(dataclasses.asdict(found) | {"held": held})

    if flow.target.cells.estimated:
        flow.warnings.append(
            f"{flow.target.name} is estimate only: no open tool places and routes it, so the clock is an "
            f"estimate and there is no bitstream.{_way_on(flow)}"
        )
    expanded = flow.build.path / "03-expand"
    sources = [path for path in (expanded / "fabric.npz", expanded / "fabric.json") if path.is_file()]
    return flow.step("07-estimate", run, flow.target_key, *sources, *flow.rtl_files.sources)


def _way_on(flow: Flow) -> str:
    """Sentence on the tool that makes a bitstream where no open one does."""
    from lgc.backend.scripts import vendor_of

    tool = vendor_of(flow.target.family)
    if not tool:
        return ""
    if tool.lower() in flow.options.scripts:
        return f" Go on in {tool} with 09-scripts/lgc_{tool.lower()}.tcl."
    return f" Go on in {tool}: lgc compile --script {tool.lower()}."


def scripts(flow: Flow) -> Step:
    """Write the scripts for other tools, with copies of the Verilog; they ask for the clock to expect."""
    from lgc.backend.scripts import write_scripts

    fmax = [
        read_step(flow.build.path, step.name)["values"]["fmax_mhz"]
        for step in flow.steps
        if step.name in {"07-estimate", "07-route"}
    ]
    clock = flow.clock_mhz or flow.target.at_most(fmax[0] if fmax else 100.0)
    title = f"{flow.path.name} on {flow.target.name}, written by lgc"
    kinds, files = flow.options.scripts, flow.rtl_files

    def run(out: Path) -> Outcome:
        found = write_scripts(kinds, files, flow.target, out=out, title=title, clock_mhz=clock)
        return Outcome({"scripts": [path.name for path in found], "clock_mhz": clock})

    key = flow.target_key | {"scripts": list(kinds), "clock": clock, "title": title}
    return flow.step("09-scripts", run, key, *files.sources, files.cells)
