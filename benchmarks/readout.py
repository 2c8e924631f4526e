"""Network, readout and argmax as LUTs: lgc against Yosys on the same network written plainly.

    python benchmarks/readout.py [--nets ddlgn-4000x2,...] [--targets ice40,...] [--timeout 900]
                                 [--checkpoints DIR] [--lgc CHECKPOINT]...

Yosys gets each gate as an `assign`, each score as a sum, and the argmax as a loop of comparisons, and
runs `synth_TARGET` with its defaults, as a user would call it. Both sides are LUTs for the network,
the counts and the index of the first largest score; ours is simulated against the network. Wide multiplexers
(PFUMX, MUXF7 and such), carries and inverters (INV) of Yosys' result are extra cells, shown beside its
LUTs and not counted. `sites` are those of two LUTs with five pins between them (LUT6_2). Needs pyosys
(`pip install pyosys`).
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lgc.ir import _kernels
from lgc.ir.equivalence import patterns
from lgc.ir.netlist import Netlist
from lgc.ir.passes.expand_argmax import ExpandArgmax
from lgc.ir.passes.expand_readout import expand
from lgc.ir.readout import Readout
from lgc.ir.simulate import outputs, scores
from lgc.ir.sites import sites
from tests.ir.netlists import difflogic

CHECKPOINTS = Path("../shared/data/checkpoints")
DDLGN = {"4000x2": "20260309_220106", "6000x4": "20260309_224007", "8000x6": "20260207_121201"}
TT10 = {
    "4000x6": "final_20250109-065641_acc956_seed1043994_epochs300_with_connections",
    "1024x8": "final_20250113-141316_acc4865_seed775741_epochs50_dispersion16_8x1024",
}
BARS = {"ice40": 0.82, "xilinx": 0.60, "ecp5": 0.65, "gowin": 0.65}
PINS = {"ice40": 4, "xilinx": 6, "ecp5": 4, "gowin": 4}
WIDE = ("PFUMX", "L6MUX21", "MUX2_LUT5", "MUX2_LUT6", "MUX2_LUT7", "MUX2_LUT8", "MUXF7", "MUXF8")
CARRY = ("SB_CARRY", "CARRY4", "CCU2C", "ALU")


def layered(inputs: int, layers: list[tuple[np.ndarray, np.ndarray, np.ndarray]], classes: int) -> Netlist:
    """A network of difflogic gates: per layer, gate numbers and the places of a and b in the layer before."""
    first, before = 2 + inputs, np.arange(2, 2 + inputs)
    fanin, table = [], []
    for gate, a, b in layers:
        fanin.append(np.stack([before[a], before[b]], axis=1))
        # gate numbers spell f(0,0) f(0,1) f(1,0) f(1,1), most significant bit first
        table.append((gate >> 3 & 1) | (gate >> 1 & 1) << 1 | (gate >> 2 & 1) << 2 | (gate & 1) << 3)
        before = np.arange(first, first + len(gate))
        first += len(gate)
    return Netlist(
        inputs,
        np.concatenate(fanin).astype(np.int32),
        np.concatenate(table).astype(np.uint8),
        np.empty(0, np.int32),
        Readout.group_sum(before, classes),
    )


def ddlgn(path: Path, inputs: int) -> Netlist:
    with path.open() as file:
        rows = np.array([[int(v) for v in row[:5]] for row in list(csv.reader(file))[1:]])
    numbers = np.unique(rows[:, 0])
    layers = [rows[rows[:, 0] == n] for n in numbers]
    return layered(inputs, [(rows[:, 4], rows[:, 2], rows[:, 3]) for rows in layers], 10)


def tt10(path: Path) -> Netlist:
    data = np.load(path, allow_pickle=False)
    gate, a, b = (data[name] for name in ("gate_types", "connections.A", "connections.B"))
    layers = list(zip(gate, a, b, strict=True))
    last = len(gate[-1]) // 10 * 10
    return layered(256, [*layers[:-1], tuple(part[:last] for part in layers[-1])], 10)


def networks(folder: Path) -> dict[str, Callable[[], Netlist]]:
    """Networks by name, read when called."""
    csvs = folder / "ddlgn-carleton-mnist"
    found: dict[str, Callable[[], Netlist]] = {
        f"ddlgn-{name}": lambda stem=stem, inputs=inputs: ddlgn(csvs / f"{stem}__best_lgn_gates.csv", inputs)
        for (name, stem), inputs in zip(DDLGN.items(), (784, 784, 3 * 784), strict=True)
    }
    found |= {
        f"tt10-{name}": lambda stem=stem: tt10(folder / "lgn-rejunity-tt10-mnist" / f"{stem}.npz")
        for name, stem in TT10.items()
    }
    found |= {
        "random-500x3": lambda: difflogic(196, [500] * 3, classes=10, seed=0, passing=0.45),
        "random-2000x4": lambda: difflogic(784, [2000] * 4, classes=10, seed=0, passing=0.45),
        "random-8000x4": lambda: difflogic(784, [8000] * 4, classes=10, seed=0, passing=0.45),
        "uniform-8000x4": lambda: difflogic(784, [8000] * 4, classes=10, seed=0),
    }
    return found


def plain_verilog(net: Netlist) -> str:
    """The network as a user writes it: gates, sums, and a loop over the scores."""
    head = net.readout
    assert head is not None
    width = int(np.diff(head.start).max()).bit_length()
    index = max(1, (head.classes - 1).bit_length())
    lines = [f"module top(input [{net.inputs - 1}:0] x, output reg [{index - 1}:0] y);"]
    name = ["1'b0", "1'b1", *(f"x[{i}]" for i in range(net.inputs)), *(f"g{i}" for i in range(net.luts))]
    spell = "1'b0 ~(A|B) A&~B ~B ~A&B ~A A^B ~(A&B) A&B ~(A^B) A A|~B B ~A|B A|B 1'b1"
    for i, ((a, b), table) in enumerate(zip(net.fanin.tolist(), net.table.tolist(), strict=True)):
        text = spell.split()[int(table)].replace("A", name[a]).replace("B", name[b])
        lines.append(f"  wire g{i} = {text};")
    for c in range(head.classes):
        bits = head.signal[head.start[c] : head.start[c + 1]].tolist()
        lines.append(f"  wire [{width - 1}:0] s{c} = {' + '.join(name[s] for s in bits)};")
    lines += [f"  reg [{width - 1}:0] best;", "  always @* begin", "    best = s0; y = 0;"]
    for c in range(1, head.classes):
        lines.append(f"    if (s{c} > best) begin best = s{c}; y = {c}; end")
    return "\n".join([*lines, "  end", "endmodule", ""])


@dataclass(frozen=True)
class Size:
    """Cells, levels of logic, and CPU seconds."""

    luts: int
    levels: int
    seconds: float
    wide: int = 0
    carries: int = 0
    inverters: int = 0


def yosys(text: str, target: str, timeout: float) -> Size | None:
    """Synthesise in a process of its own; None if it takes longer than `timeout` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "top.v").write_text(text)
        steps = [
            "read_verilog top.v", f"synth_{target} -top top", "tee -q -o stat.json stat -json", "tee -q -o ltp.txt ltp -noff",
        ]  # fmt: skip
        code = "import pyosys.libyosys as y; d = y.Design()\n" + "".join(
            f"y.run_pass({step!r}, d)\n" for step in steps
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            subprocess.run(
                [sys.executable, "-c", code], cwd=folder, check=True, timeout=timeout, capture_output=True
            )
        except subprocess.TimeoutExpired:
            return None
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        stat = Path(folder, "stat.json").read_text()
        cells = json.loads(stat[stat.index("{") :])["modules"]["\\top"]["num_cells_by_type"]
        path = Path(folder, "ltp.txt").read_text().split("length=")[1]
    # input and output buffers are no levels of logic
    pads = 2 if any(name in cells for name in ("IBUF", "TRELLIS_IO")) else 0
    return Size(
        luts=sum(n for name, n in cells.items() if "LUT" in name and name not in WIDE),
        levels=int(path.split(")")[0]) - pads,
        seconds=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        wide=sum(cells.get(name, 0) for name in WIDE),
        carries=sum(cells.get(name, 0) for name in CARRY),
        inverters=cells.get("INV", 0),
    )


def compile(net: Netlist, k: int, *, fractured: bool = False) -> tuple[Netlist, Size]:
    """lgc's result, from the network as it comes to the class in binary."""
    before = time.process_time()
    fabric = expand(net, k=k, fractured=fractured)
    result = ExpandArgmax(classes=fabric.classes, k=k)(fabric.netlist)
    seconds = time.process_time() - before
    bits = patterns(net.inputs, samples=1000, seed=0)
    index = outputs(result, bits) @ (1 << np.arange(len(result.outputs)))
    assert np.array_equal(index, scores(net, bits).argmax(axis=1))
    level = np.zeros(result.signals, np.int32)
    _kernels.levels(result.fanin, result.first_lut, level)
    return result, Size(result.luts, int(level[result.outputs].max()), seconds)


def compare(name: str, net: Netlist, targets: list[str], timeout: float) -> None:
    """Print a line per target."""
    text = plain_verilog(net)
    for target in targets:
        _, ours = compile(net, PINS[target])
        theirs = yosys(text, target, timeout)
        line = f"{name:15} {target:7} ours {ours.luts:6} LUTs {ours.levels:3} levels {ours.seconds:6.1f} s"
        if theirs is None:
            print(f"{line}   Yosys: none within {timeout:.0f} s", flush=True)
            continue
        extra = f"+{theirs.wide} wide +{theirs.carries} carry +{theirs.inverters} inv"
        line += f"   Yosys {theirs.luts:6} {extra:32} {theirs.levels:3} levels {theirs.seconds:6.1f} s"
        print(line + verdict(ours.luts / theirs.luts, BARS[target], ours.levels / theirs.levels), flush=True)
        if target == "xilinx":
            found, ours = compile(net, PINS[target], fractured=True)
            count = sites(found).count
            line = f"{name:15} LUT6_2  ours {count:6} sites {ours.levels:2} levels {ours.seconds:6.1f} s"
            print(line + verdict(count / theirs.luts, BARS[target], ours.levels / theirs.levels), flush=True)


def verdict(luts: float, bar: float, levels: float) -> str:
    """Ratios, and whether they are within the bars."""
    marks = ["ok" if ratio <= most else "MISSED" for ratio, most in ((luts, bar), (levels, 0.5))]
    return f"   LUTs {luts:.3f} (bar {bar}: {marks[0]})   levels {levels:.2f} (bar 0.5: {marks[1]})"


def trained(path: Path) -> Netlist:
    """A network of two-input gates trained by lgc."""
    from lgc import models

    return models.load(path).netlist


def main() -> None:
    known = networks(CHECKPOINTS)
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--nets", default="random-500x3,random-2000x4,ddlgn-4000x2", help=", ".join(known))
    arguments.add_argument("--targets", default=",".join(BARS))
    arguments.add_argument("--timeout", type=float, default=900, help="seconds per Yosys run")
    arguments.add_argument("--checkpoints", type=Path, default=CHECKPOINTS)
    arguments.add_argument("--lgc", type=Path, action="append", default=[], help="a checkpoint of lgc train")
    options = arguments.parse_args()
    readers = networks(options.checkpoints)
    for name in filter(None, options.nets.split(",")):
        compare(name, readers[name](), options.targets.split(","), options.timeout)
    for path in options.lgc:
        compare(path.stem, trained(path), options.targets.split(","), options.timeout)


if __name__ == "__main__":
    main()
