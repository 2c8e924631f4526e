"""How near the fabric's clock is to the best of the device: ours beside a bare chain, in one flow.

    python benchmarks/fmax.py MODEL [-t ice40-hx8k] [--levels 1] [--wire-registers 1] [--seeds 3] [--both] [--whole]

Place and route designs with the same tools:

- chain: a shift register, and LUTs each with a register behind it that read their neighbours, as many as
  the fabric has, as nextpnr places and routes them;
- chain, improved, and fabric, nextpnr alone: each with and without `lgc.backend.improve`;
- fabric: network, popcount and argmax of MODEL, a register behind every `--levels` LUTs and new inputs
  every clock (`--throughput full`), with `--wire-registers` as many on the wires between stages, between a
  shift register of all input bits and the class;
- whole, with `--whole`: what `lgc compile --throughput full` builds, with encoder and streams.

Prints cells and Fmax of each as the router reports it, the best of the seeds, and the ratio to the chain;
where the data sheet limits the clock network of the target, also the ratio with both at that limit at most.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lgc import models
from lgc.backend import tools
from lgc.backend.fabric import fabric_text
from lgc.backend.parse import read_netlist
from lgc.backend.pnr import Routing, place_and_route
from lgc.backend.rtl import TOP, RtlFiles, write_rtl
from lgc.backend.sweep import sweep
from lgc.backend.synth import Synthesis, synthesise
from lgc.backend.target import Target, load
from lgc.frontend import checkpoint
from lgc.frontend.lower import lower
from lgc.ir import passes
from lgc.ir.fabric import Fabric
from lgc.ir.passes.expand_readout import expand
from lgc.pace import Pace

DEEPEST = 2500
"""LUTs of a chain: more of them exhaust the stack of Yosys' WebAssembly."""

CHAIN = """\
module {top} (input clk, input d, output reg q);
  reg [{last}:0] s = 0, c = 0;
  integer i;
  always @(posedge clk) begin
    s <= {{s[{last}-1:0], d}};
    c[0] <= d;
    for (i = 1; i <= {last}; i = i + 1) c[i] <= (c[i-1] & s[i-1]) ^ (s[i] | (s[i-1] & ~c[i-1]));
    q <= c[{last}];
  end
endmodule
"""


def chain(target: Target, luts: int, out: Path) -> Synthesis:
    """Synthesise a bare chain of so many LUTs."""
    out.mkdir(parents=True)
    (out / "chain.v").write_text(CHAIN.format(top=TOP, last=luts))
    family = target.cells
    command = f"{family.synth[0]} {' '.join(target.synth)} -top {TOP}"
    (out / "chain.ys").write_text(f"read_verilog chain.v\n{command}\nwrite_json netlist.json\n")
    tools.run(tools.find("yosys"), ["-q", "-s", "chain.ys"], cwd=out, log=out / "yosys.log", timeout_s=600)
    found = read_netlist(out / "netlist.json", TOP, family)
    return Synthesis(
        family.name, out / "netlist.json", found.luts, found.ffs, found.carries, found.brams, found.cells,
        found.io, "", (), 0.0,
    )  # fmt: skip


def serpentine(position: npt.NDArray[np.float64] | None, inputs: npt.NDArray[np.int64]) -> list[int]:
    """Order inputs row by row of the image, every other row backwards, so that no two are far apart."""
    if position is None:
        return list(range(len(inputs)))
    row = np.unique(position[inputs, 0], return_inverse=True)[1]
    column = np.where(row % 2, -1, 1) * position[inputs, 1]
    return list(np.lexsort((column, row)).tolist())


def harness(fabric: Fabric, rtl: RtlFiles, out: Path, position: npt.NDArray[np.float64] | None) -> RtlFiles:
    """Put the fabric between a shift register, through the image's rows, and registers of the class."""
    out.mkdir(parents=True)
    text = fabric_text(fabric)
    (out / "fabric.v").write_text(text.verilog)
    bits, width = text.inputs.size, text.index_bits
    at = {bit: place for place, bit in enumerate(serpentine(position, text.inputs))}
    ports = [".clk(clk)", ".index(index)"]
    for n in range(-(-bits // 32)):
        wires = ", ".join(f"s[{at[bit]}]" for bit in reversed(range(32 * n, min(32 * n + 32, bits))))
        ports.append(f".x{n}({{{wires}}})")
    lines = [
        f"module {TOP} (input clk, input d, output reg [{width - 1}:0] q);",
        f"  reg [{bits - 1}:0] s = 0;",
        f"  wire [{width - 1}:0] index;",
        f"  always @(posedge clk) begin s <= {{s[{bits - 2}:0], d}}; q <= index; end",
        f"  lgc_fabric fabric ({', '.join(ports)});",
        "endmodule",
    ]
    (out / "harness.v").write_text("\n".join([*lines, ""]))
    return dataclasses.replace(rtl, sources=(out / "harness.v", out / "fabric.v"), memory=(0, 0))


def expanded(model: Path, target: Target, pace: Pace, *, registered: bool = True) -> Fabric:
    """Compile a checkpoint to the fabric that is placed, or with the counters of held inputs."""
    found = checkpoint.load(model)
    net = lower(found).netlist
    for step in passes.know(passes.REGISTRY.parse("simplify,merge,reduce"), found.encoder.code_levels, None):
        net = step(net)
    return pace(
        expand(net, k=target.k, position=models.positions(found), registered=pace.waiting * registered),
        target,
    )[1]


def counts(fabric: Fabric) -> str:
    """Say what a fabric takes."""
    registers = sum(fabric_text(fabric).registers)
    return f"{fabric.netlist.luts:,} LUTs, {registers:,} registers, {fabric.latency} stages"


def best(
    synthesis: Synthesis, target: Target, out: Path, seeds: int, timeout_s: float, *, again: bool, router: str
) -> Routing:
    """Place and route with several seeds."""

    def route(seed: int, folder: Path) -> Routing:
        return place_and_route(
            synthesis, target, out=folder, seed=seed, eager=True, again=again, router=router,
            timeout_s=timeout_s,
        )  # fmt: skip

    return sweep(route, range(1, seeds + 1), out=out, jobs=1)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("-t", "--target", default="ice40-hx8k")
    parser.add_argument("--levels", type=int, default=1)
    parser.add_argument("--wire-registers", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--both", action="store_true", help="chain and fabric also the other way")
    parser.add_argument("--counts", action="store_true", help="LUTs and registers only, no tools")
    parser.add_argument("--router", default="auto")
    parser.add_argument("--timeout", type=float, default=1800)
    given = parser.parse_args()
    target = load(given.target)
    pace = Pace(levels=given.levels, full=True, wires=given.wire_registers)
    fabric = expanded(given.model, target, pace)
    if given.counts:
        print(f"counters of held inputs: {counts(expanded(given.model, target, pace, registered=False))}")
        print(f"counters that let no bit wait: {counts(fabric)}")
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        rtl = write_rtl(
            lower(checkpoint.load(given.model)).encoder, fabric, out=out / "rtl", argmax_registers=True
        )
        bare = chain(target, min(fabric.netlist.luts, target.luts // 3, DEEPEST), out / "chain")
        position = models.positions(checkpoint.load(given.model))
        fast = synthesise(harness(fabric, rtl, out / "harness", position), target, out=out / "synth")
        designs = [("chain", bare, False), ("fabric", fast, True)]
        if given.both:
            designs += [("chain, improved", bare, True), ("fabric, nextpnr alone", fast, False)]
        if given.whole:
            designs.append(("whole", synthesise(rtl, target, out=out / "whole"), True))
        first = 0.0
        print(
            f"{target.name}, {given.levels} LUT per stage, {given.wire_registers} registers on wires, "
            f"{fabric.latency} stages, {given.seeds} seeds"
            + (f", clock network {target.clock_limit_mhz:g} MHz at most" if target.clock_limit_mhz else "")
        )
        for name, synthesis, again in designs:
            where = out / f"route-{name.replace(', ', '-').replace(' ', '-')}"
            found = best(
                synthesis, target, where, given.seeds, given.timeout, again=again, router=given.router
            )
            first = first or found.fmax_mhz
            share = f"{found.fmax_mhz / first:.0%} of the chain"
            if target.clock_limit_mhz:
                share += f" ({target.at_most(found.fmax_mhz) / target.at_most(first):.0%} at the limit)"
            print(f"{name:<22} {found.cells:>6,} cells {found.fmax_mhz:>7.1f} MHz {share}, {found.router}")
            for kind, cell, ns in found.critical:
                print(f"        {ns:6.3f} ns {kind} {cell}")


if __name__ == "__main__":
    main()
