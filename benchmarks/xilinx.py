"""Network, readout and argmax in cells of a slice: lgc's Verilog against the same network written plainly.

    python benchmarks/xilinx.py                                   random networks of 2-input gates
    python benchmarks/xilinx.py --nets "" digits.safetensors      a trained one

Both texts go through `synth_xilinx -flatten` as a user would call it, and LUTs are counted in Yosys' own
statistics: LUT1 to LUT6, INV, and LUT6_2, which is one LUT with two outputs. `sites` are LUTs with two outputs
that the design occupies: ours by its cells, and positions of carry chains whose LUT only makes a constant;
Yosys' LUTs packed two to a site by lgc's own rule, its carries free. Ours is simulated against the network
in software and its argmax proved first; the Verilog itself is tested by tests/backend/test_xilinx.py.
Needs pyosys (`pip install pyosys`).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import networks
import numpy as np
import readout

from lgc.backend.fabric import fabric_text
from lgc.ir.equivalence import patterns
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import Netlist
from lgc.ir.passes import REGISTRY
from lgc.ir.passes.base import run
from lgc.ir.passes.expand_argmax import add_argmax, prove_expanded
from lgc.ir.passes.expand_readout import expand
from lgc.ir.simulate import scores
from lgc.ir.slices import Slices

BAR = 0.60
"""LUTs, ours over Yosys', that issue 3 asks for."""


def compile(net: Netlist) -> Fabric:
    """The network in slices, optimised as `lgc compile` does, checked against the network."""
    simple = run(REGISTRY.parse("simplify,merge,reduce"), net)
    counted = expand(simple, k=6, fractured=True, carry=True)
    fabric, argmax = add_argmax(counted)
    bits = patterns(net.inputs, samples=1000, seed=0)
    assert np.array_equal(fabric.index(bits), scores(net, bits).argmax(axis=1))
    assert prove_expanded(counted.netlist, argmax)
    return fabric


def cells_of(text: str, top: str) -> Counter[str]:
    """Cells by type after `synth_xilinx`, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "top.v").write_text(text)
        steps = ["read_verilog top.v", f"synth_xilinx -flatten -top {top}", "tee -q -o stat.json stat -json"]
        code = "import pyosys.libyosys as y; d = y.Design()\n" + "".join(
            f"y.run_pass({step!r}, d)\n" for step in steps
        )
        subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
        stat = Path(folder, "stat.json").read_text()
    return Counter(json.loads(stat[stat.index("{") :])["modules"][f"\\{top}"]["num_cells_by_type"])


def luts(cells: Counter[str]) -> int:
    """LUTs among cells, inverters included."""
    return sum(n for kind, n in cells.items() if re.fullmatch(r"LUT[1-6](_2)?|INV", kind))


def compare(name: str, net: Netlist, timeout: float) -> None:
    """Print a line."""
    fabric = compile(net)
    ours = cells_of(fabric_text(fabric, cells="CARRY4").verilog, "lgc_fabric")
    bare = sum(not p.pins and p.five is None for _, chain in Slices.of(fabric).chains for p in chain)
    found, sites = luts(ours), luts(ours) + bare
    line = f"{name:16} ours {found:6} LUTs {sites:6} sites {ours['CARRY4']:5} CARRY4"
    theirs = readout.yosys(readout.plain_verilog(net), "xilinx", timeout)
    if theirs is None:
        print(f"{line}   Yosys: none within {timeout:.0f} s", flush=True)
        return
    count = theirs.luts + theirs.inverters
    line += f"   Yosys {count:6} LUTs {theirs.sites:6} sites {theirs.carries:5} CARRY4"
    verdict = "ok" if found <= BAR * count else "MISSED"
    line += f"   LUTs {found / count:.3f} (bar {BAR}: {verdict})   sites over LUTs {sites / count:.3f}"
    print(f"{line}   sites {sites / theirs.sites:.3f}", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("models", nargs="*", type=Path, help="checkpoints of lgc train, of 2-input gates")
    arguments.add_argument(
        "--nets", default="random 500x3,random 2000x4", help="names, as readout.py has them"
    )
    arguments.add_argument("--checkpoints", type=Path, metavar="DIR", help="third-party networks")
    arguments.add_argument("--timeout", type=float, default=900, help="seconds per Yosys run")
    options = arguments.parse_args()
    known = readout.nets_of(options.checkpoints)
    wanted = [name for name in options.nets.split(",") if name]
    if unknown := [name for name in wanted if name not in known]:
        arguments.error(f"no network {unknown[0]!r}; there are: {', '.join(known)}")
    nets = {name: known[name] for name in wanted} | dict(networks.trained(options.models))
    for name, net in nets.items():
        compare(name, net, options.timeout)


if __name__ == "__main__":
    main()
