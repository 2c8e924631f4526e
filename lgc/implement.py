"""The flow's last steps: synthesis, place and route, and the bitstream."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from lgc.manifest import Outcome, Step, read_step, sha256

if TYPE_CHECKING:
    from lgc.flow import Flow


def synthesise(flow: Flow) -> Step:
    """Synthesise for the target."""
    from lgc.backend import tools
    from lgc.backend.synth import synthesise

    yosys = tools.find("yosys")
    files = flow.rtl_files
    # boards have no pin for it: registers start as the bitstream says, or the loop resets them
    low = ("rst",) if flow.board and flow.pll is None else ()
    loop = None if flow.pll is None else dataclasses.asdict(flow.pll)

    def run(out: Path) -> Outcome:
        result = synthesise(files, flow.target, out=out, low=low, pll=flow.pll, yosys=yosys)
        values = dataclasses.asdict(result) | {"netlist": result.netlist.name}
        return Outcome(values, result.commands)

    key = flow.target_key | {"yosys": yosys.identity, "low": low, "pll": loop}
    return flow.step("06-synthesise", run, key, *files.sources)


def route(flow: Flow) -> Step:
    """Place and route."""
    from lgc.backend import tools
    from lgc.backend.pins import ports
    from lgc.backend.pnr import Routing, place_and_route
    from lgc.backend.sweep import Seed, first_routed, sweep
    from lgc.backend.synth import Synthesis

    nextpnr = tools.find(flow.target.cells.nextpnr)
    source = flow.build.path / "06-synthesise"
    record = read_step(flow.build.path, "06-synthesise")["values"]
    synthesis = Synthesis(**(record | {"netlist": source / record["netlist"]}))
    known = set(ports(synthesis.netlist)) if flow.board else set()
    pins = flow.board.places(known) if flow.board else {}
    if flow.board and known - set(pins):
        flow.warnings.append(
            f"{len(known - set(pins))} ports have no place on {flow.board.title}: the router chose "
            "pins for them."
        )

    freq_mhz, loop = flow.clock_mhz, flow.pll

    def route(seed: int, out: Path) -> Routing:
        return place_and_route(
            synthesis,
            flow.target,
            out=out,
            seed=seed,
            nextpnr=nextpnr,
            pins=pins or None,
            freq_mhz=freq_mhz,
            eager=flow.pace.full,
        )

    seeds = range(flow.options.seed, flow.options.seed + flow.options.seeds)

    def run(out: Path) -> Outcome:
        spread: tuple[Seed, ...] = ()
        if len(seeds) == 1:
            result = first_routed(route, flow.options.seed, out)
        else:
            result, spread = sweep(route, seeds, out=out)
        values = dataclasses.asdict(result) | {"asc": str(result.asc.relative_to(out))}
        values |= {"sweep": [dataclasses.asdict(seed) for seed in spread]}
        values["critical"] = flow.in_words(result.critical)
        values |= {"clock_mhz": freq_mhz, "pll": loop.cell if loop else ""}
        return Outcome(values | {"board": flow.options.board}, result.commands)

    key = flow.target_key | {"nextpnr": nextpnr.identity, "seeds": [*seeds], "pins": pins}
    key |= {"board": flow.options.board, "clock": freq_mhz, "eager": flow.pace.full}
    step = flow.step("07-route", run, key, synthesis.netlist)
    taken = read_step(flow.build.path, "07-route")["values"]["seed"]
    if taken not in seeds:
        flow.warnings.append(
            f"From where seed {seeds[-1]} placed the design the clock found no way; seed {taken} was taken."
        )
    return step


def pack(flow: Flow) -> Step:
    """Pack the bitstream."""
    from lgc.backend import tools
    from lgc.backend.pack import for_flash, pack

    packer = tools.find(flow.target.cells.packer)
    asc = flow.build.path / "07-route" / read_step(flow.build.path, "07-route")["values"]["asc"]
    program = flow.rtl_files.program

    def run(out: Path) -> Outcome:
        result = pack(asc, out=out, target=flow.target, packer=packer)
        facts = {"bytes": result.path.stat().st_size, "sha256": sha256(result.path), "tool": result.tool}
        facts["file"] = f"08-pack/{result.path.name}"
        if program:
            facts["flash"] = f"08-pack/{for_flash(result.path, program).name}"
        return Outcome(facts, result.commands)

    inputs = [asc, program] if program else [asc]
    return flow.step("08-pack", run, flow.target_key | {"packer": packer.identity}, *inputs)
