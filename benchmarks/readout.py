"""Network, readout and argmax as LUTs: lgc against Yosys on the same network written plainly.

    python benchmarks/readout.py                                  random networks of 2-input gates
    python benchmarks/readout.py --checkpoints DIR --nets all     third-party ones as well
    python benchmarks/readout.py --targets ice40 model.safetensors

Yosys gets each gate as an `assign`, each score as a sum, and the argmax as a loop of comparisons, and
runs `synth_TARGET` with its defaults, as a user would call it. Both sides are LUTs for the network,
the counts and the index of the first largest score; ours is simulated against the network, and its argmax
proved. Wide multiplexers (PFUMX, MUXF7 and such), carries and inverters (INV) of Yosys' result are extra
cells, shown beside its LUTs and not counted. For iCE40 our comparators are carry chains as well, so
another line compares logic cells: LUTs, and the carries that share no LUT's cell by nextpnr's rule, which
wants a LUT with the operands on pins 1 and 2 and the carry from below, no constant, on pin 3. Every
carry counts as a level on both sides, as `ltp` has it. `sites` are those of two LUTs with five pins between them (LUT6_2); the ratio
is to Yosys' LUTs, and beside it stands the one to its LUTs packed by the same code, its carries free.
LUT6_2+CARRY4 counts in carry chains, each position of which takes a site; LUT6+CARRY4 does so for the
fewest LUTs, the chains being free as those of Yosys are. Each CARRY4 on the way is a level on both sides, as
`ltp` has it; beside stand the levels of LUTs alone. A carry of ECP5 or Gowin takes the place of LUTs: another
line adds those to Yosys' LUTs; ours has none. With nextpnr-ecp5 a third line has the LUTs that it makes of both
when it packs them, with those that carries and multiplexers take.
Needs pyosys (`pip install pyosys`).
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import networks
import numpy as np

from lgc.backend import tools
from lgc.errors import ToolMissingError
from lgc.ir.equivalence import patterns
from lgc.ir.netlist import Netlist
from lgc.ir.passes.heads import TRIES, Head, best_head
from lgc.ir.simulate import outputs, scores
from lgc.ir.sites import sites

BARS = {"ice40": 0.82, "xilinx": 0.60, "ecp5": 0.65, "gowin": 0.65}
PINS = {"ice40": 4, "xilinx": 6, "ecp5": 4, "gowin": 4}
HELD = {"ecp5": 2, "gowin": 1}
"""LUTs that the device spends on a carry cell: CCU2C is two of them and a carry, ALU one."""
WIDE = ("PFUMX", "L6MUX21", "MUX2_LUT5", "MUX2_LUT6", "MUX2_LUT7", "MUX2_LUT8", "MUXF7", "MUXF8")
CARRY = ("SB_CARRY", "CARRY4", "CCU2C", "ALU")


def nets_of(folder: Path | None) -> dict[str, Netlist]:
    """Networks by name: random ones with 45 % wires, and third-party ones."""
    shapes = {
        "random 500x3": (196, [500] * 3),
        "random 2000x4": (784, [2000] * 4),
        "random 8000x4": (784, [8000] * 4),
    }
    found = {
        name: networks.netlist(inputs, networks.random_layers(inputs, widths, seed=0, passing=0.45), 10)
        for name, (inputs, widths) in shapes.items()
    }
    return found | (dict(networks.third_party(folder)) if folder else {})


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
    sites: int = 0
    cells: int = 0
    lut_levels: int = 0
    packed: int = 0


def remembered(text: str, target: str, timeout: float, cache: Path | None) -> Size | None:
    """What `yosys` returns, from a file in `cache` where the same release has seen the same text."""
    if cache is None:
        return yosys(text, target, timeout)
    code = "".join(
        map(inspect.getsource, (Size, yosys, logic_cells, lut_levels, luts_of, sites, packed_by_nextpnr))
    )
    key = f"{version('pyosys')} {target} {code}"
    found = cache / f"{hashlib.blake2s((key + text).encode()).hexdigest()[:24]}.json"
    if found.exists():
        return Size(**json.loads(found.read_text()))
    size = yosys(text, target, timeout)
    if size is not None:
        cache.mkdir(parents=True, exist_ok=True)
        found.write_text(json.dumps(asdict(size)))
    return size


def yosys(text: str, target: str, timeout: float) -> Size | None:
    """Synthesise in a process of its own; None if it takes longer than `timeout` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "top.v").write_text(text)
        steps = [
            "read_verilog top.v", f"synth_{target} -top top", "tee -q -o stat.json stat -json", "tee -q -o ltp.txt ltp -noff",
            "write_json top.json",
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
        design = json.loads(Path(folder, "top.json").read_text())
        packed = packed_by_nextpnr(Path(folder)) if target == "ecp5" else 0
    # input and output buffers are no levels of logic
    pads = 2 if any(name in cells for name in ("IBUF", "TRELLIS_IO")) else 0
    return Size(
        luts=sum(n for name, n in cells.items() if "LUT" in name and name not in WIDE),
        levels=int(path.split(")")[0]) - pads,
        seconds=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        wide=sum(cells.get(name, 0) for name in WIDE),
        carries=sum(cells.get(name, 0) for name in CARRY),
        inverters=cells.get("INV", 0),
        sites=sites(luts_of(design)).count if target == "xilinx" else 0,
        cells=logic_cells(design) if target == "ice40" else 0,
        lut_levels=lut_levels(design) if target == "xilinx" else 0,
        packed=packed,
    )


def packed_by_nextpnr(folder: Path) -> int:
    """LUTs of an ECP5 that nextpnr packs `top.json` of a folder into; 0 if it is not installed."""
    try:
        tool = tools.find("nextpnr-ecp5")
    except ToolMissingError:
        return 0
    log = folder / "pack.log"
    pack = ["--85k", "--package", "CABGA756", "--json", "top.json", "--pack-only"]
    tools.run(tool, pack, cwd=folder, log=log, timeout_s=600)
    return int(re.search(r"TRELLIS_COMB: *(\d+)/", log.read_text())[1])  # type: ignore[index]


def packed_luts(net: Netlist) -> int:
    """The same for LUTs of ours, each a LUT4 of its own."""
    name = ["1'b0", "1'b1", *(f"x[{i}]" for i in range(net.inputs)), *(f"n[{i}]" for i in range(net.luts))]
    rows = zip(net.fanin.tolist(), net.table.tolist(), strict=True)
    lines = [
        f"module top(input [{net.inputs - 1}:0] x, output [{len(net.outputs) - 1}:0] y);",
        f"  wire [{net.luts - 1}:0] n;",
    ]
    for i, (pins, table) in enumerate(rows):
        wires = ", ".join(f".{port}({name[pin]})" for port, pin in zip("ABCD", pins, strict=True))
        lines.append(f"  LUT4 #(.INIT(16'd{table})) l{i} ({wires}, .Z(n[{i}]));")
    lines += [f"  assign y[{i}] = {name[s]};" for i, s in enumerate(net.outputs.tolist())]
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "top.v").write_text("\n".join([*lines, "endmodule", ""]))
        script = "read_verilog -lib +/ecp5/cells_sim.v +/ecp5/cells_bb.v; read_verilog top.v; hierarchy -purge_lib -top top"
        tools.run(
            tools.find("yosys"), ["-q", "-p", f"{script}; write_json top.json"], cwd=here,
            log=here / "yosys.log", timeout_s=600,
        )  # fmt: skip
        return packed_by_nextpnr(here)


def logic_cells(design: dict[str, Any]) -> int:
    """LUTs and carries of Yosys' result for iCE40, less the carries that nextpnr packs with a LUT."""
    found = design["modules"]["top"]["cells"].values()
    luts = [cell["connections"] for cell in found if cell["type"] == "SB_LUT4"]
    free = Counter((pins["I1"][0], pins["I2"][0], pins["I3"][0]) for pins in luts)
    alone = 0
    for pins in (cell["connections"] for cell in found if cell["type"] == "SB_CARRY"):
        wanted = (pins["I0"][0], pins["I1"][0], pins["CI"][0])
        shares = not isinstance(wanted[2], str) and free[wanted] > 0
        free[wanted] -= shares
        alone += not shares
    return len(luts) + alone


def lut_levels(design: dict[str, Any]) -> int:
    """LUTs on the longest path through Yosys' result for Xilinx, carries and wide multiplexers free."""
    before: dict[object, tuple[int, list[object]]] = {}
    for cell in design["modules"]["top"]["cells"].values():
        pins, step = cell["connections"], int("LUT" in cell["type"])
        if cell["type"] == "CARRY4":
            for i in range(4):
                below = [*pins["CI"], *pins["CYINIT"], *pins["S"][:i], *pins["DI"][:i], pins["S"][i]]
                before[pins["O"][i]] = (0, below)
                before[pins["CO"][i]] = (0, [*below, pins["DI"][i]])
        else:
            made = [bit for port, bits in pins.items() if port in ("O", "F") for bit in bits]
            read = [bit for port, bits in pins.items() if port not in ("O", "F") for bit in bits]
            before.update(dict.fromkeys(made, (step, read)))
    level: dict[object, int] = {}
    todo: list[object] = list(before)
    while todo:
        step, read = before[todo[-1]]
        if missing := [bit for bit in read if bit in before and bit not in level]:
            todo += missing
        else:
            bit = todo.pop()
            level[bit] = step + max((level.get(other, 0) for other in read), default=0)
    return max(level.values())


def luts_of(design: dict[str, Any]) -> Netlist:
    """The LUTs of Yosys' result with their pins, which is all that packing looks at."""
    number: dict[object, int] = {"0": 0, "1": 0, "x": 0}
    rows = []
    for cell in design["modules"]["top"]["cells"].values():
        if re.fullmatch(r"LUT[1-6]", cell["type"]):
            bits = [bits[0] for port, bits in cell["connections"].items() if port.startswith("I")]
            pins = [number.setdefault(bit, len(number) - 1) for bit in bits]
            rows.append(sorted(set(pins) - {0}) + [0] * 6)
    fanin = np.array([row[:6] for row in rows], np.int32)
    return Netlist(len(number), fanin, np.zeros(len(rows), np.uint64), np.empty(0, np.int32))


def compile(
    net: Netlist,
    k: int,
    *,
    fractured: bool = False,
    carry: bool = False,
    cells: bool = False,
    most: int | None = None,
    tries: int = TRIES,
) -> tuple[Size, Head]:
    """lgc's result, from the network as it comes to the class in binary, with at most so many levels if it can.

    `cells` are iCE40's carries, for `tries` see `best_head`.
    """
    before = time.process_time()
    head = best_head(net, k=k, fractured=fractured, carry=carry, cells=cells, levels=most, tries=tries)
    seconds = time.process_time() - before
    assert head.prove(net)
    result = head.netlist
    bits = patterns(net.inputs, samples=1000, seed=0)
    index = outputs(result, bits) @ (1 << np.arange(len(result.outputs)))
    assert np.array_equal(index, scores(net, bits).argmax(axis=1))
    return replace(measured(head, fractured=fractured), seconds=seconds), head


def measured(head: Head, *, fractured: bool) -> Size:
    """LUTs, levels and cells, checked to be what the device can do."""
    carries, chains, net = head.argmax.carries, head.chains, head.netlist
    carries.check(head.argmax.netlist)
    if chains is not None:
        chains.check(net)
    levels, _ = head.cost()
    return Size(
        carries.luts(net) if chains is None else chains.luts(net),
        levels,
        0.0,
        carries=len(carries.carry),
        cells=carries.cells(net),
        sites=sites(net, chains).count if fractured else 0,
        lut_levels=0 if chains is None else int(chains.levels(net)[net.outputs].max()),
    )


def compare(
    name: str,
    net: Netlist,
    targets: list[str],
    timeout: float,
    cache: Path | None,
    levels: int | None,
    tries: int,
) -> None:
    """Print a line per target, ours with at most so many levels, half of Yosys' if None."""
    text = plain_verilog(net)
    for target in targets:
        theirs = remembered(text, target, timeout, cache)
        most = levels or (theirs.levels // 2 if theirs else None)
        ours, head = compile(net, PINS[target], cells=target == "ice40", most=most, tries=tries)
        line = f"{name:15} {target:7} ours {ours.luts:6} LUTs {ours.levels:3} levels {ours.seconds:6.1f} s"
        if theirs is None:
            print(f"{line}   Yosys: none within {timeout:.0f} s", flush=True)
            continue
        extra = f"+{theirs.wide} wide +{theirs.carries} carry +{theirs.inverters} inv"
        line += f"   Yosys {theirs.luts:6} {extra:32} {theirs.levels:3} levels {theirs.seconds:6.1f} s"
        print(line + verdict(ours.luts / theirs.luts, BARS[target], ours.levels / theirs.levels), flush=True)
        if target in HELD and theirs.carries:
            held = theirs.luts + HELD[target] * theirs.carries
            ratio = ours.luts / held
            line = f"{name:15} {target:7} Yosys' LUTs with those that its carries take: {held}"
            print(f"{line}   LUTs {ratio:.3f} (bar {BARS[target]}: {mark(ratio, BARS[target])})", flush=True)
        if theirs.packed:
            packs = packed_luts(head.netlist)
            ratio = packs / theirs.packed
            line = f"{name:15} nextpnr packs {packs} LUTs of ours, {theirs.packed} of Yosys'"
            print(f"{line}   LUTs {ratio:.3f} (bar {BARS[target]}: {mark(ratio, BARS[target])})", flush=True)
        if target == "ice40":
            ratio = ours.cells / theirs.cells
            line = (
                f"{name:15} cells   ours {ours.cells:6}, {ours.cells - ours.luts} for {ours.carries} carries"
            )
            print(f"{line}   Yosys {theirs.cells:6}   cells {ratio:.3f}", flush=True)
        if target == "xilinx":
            print(chained(name, net, theirs, most), flush=True)
            for carry in (False, True):
                print(packed(name, net, theirs, carry=carry), flush=True)


def chained(name: str, net: Netlist, theirs: Size, most: int | None) -> str:
    """A line on LUTs where we count in carry chains as well, which cost nothing on either side."""
    ours, head = compile(net, PINS["xilinx"], carry=True, most=most)
    chains = head.chains
    assert chains is not None
    line = f"{name:15} LUT6+CARRY4   ours {ours.luts:6} LUTs  {ours.levels:2} levels +{chains.slices} carry"
    line += f" {ours.seconds:6.1f} s   of LUTs alone {ours.lut_levels} : {theirs.lut_levels}"
    line += f" = {ours.lut_levels / theirs.lut_levels:.2f}"
    return line + verdict(ours.luts / theirs.luts, BARS["xilinx"], ours.levels / theirs.levels)


def packed(name: str, net: Netlist, theirs: Size, *, carry: bool) -> str:
    """A line on sites: ours, and Yosys' packed alike."""
    ours, head = compile(net, PINS["xilinx"], fractured=True, carry=carry)
    count, chains = ours.sites, head.chains
    line = f"{name:15} LUT6_2{'+CARRY4' if carry else '':7} ours {count:6} sites {ours.levels:2} levels"
    if chains is not None:
        line += f" [{ours.lut_levels} of LUTs; {chains.positions} sites in {chains.slices} CARRY4]"
    line += (
        f" {ours.seconds:6.1f} s   Yosys' LUTs packed alike: {theirs.sites} sites, {count / theirs.sites:.3f}"
    )
    return line + verdict(count / theirs.luts, BARS["xilinx"], ours.levels / theirs.levels)


def verdict(luts: float, bar: float, levels: float) -> str:
    """Ratios, and whether they are within the bars."""
    return f"   LUTs {luts:.3f} (bar {bar}: {mark(luts, bar)})   levels {levels:.2f} (bar 0.5: {mark(levels, 0.5)})"


def mark(ratio: float, bar: float) -> str:
    """Whether a ratio is within its bar."""
    return "ok" if ratio <= bar else "MISSED"


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("models", nargs="*", type=Path, help="checkpoints of lgc train, of 2-input gates")
    arguments.add_argument("--nets", default="random 500x3,random 2000x4", help="names, or all")
    arguments.add_argument("--targets", default=",".join(BARS))
    arguments.add_argument("--timeout", type=float, default=900, help="seconds per Yosys run")
    arguments.add_argument("--cache", type=Path, metavar="DIR", help="keep what Yosys made, for the next run")
    arguments.add_argument("--checkpoints", type=Path, metavar="DIR", help="third-party networks")
    arguments.add_argument("--levels", type=int, help="levels at most, in place of half of Yosys'")
    arguments.add_argument("--tries", type=int, default=TRIES, help="ways drawn for single classes")
    options = arguments.parse_args()
    known = nets_of(options.checkpoints)
    wanted = known if options.nets == "all" else options.nets.split(",")
    if unknown := [name for name in wanted if name and name not in known]:
        arguments.error(f"no network {unknown[0]!r}; there are: {', '.join(known)}")
    nets = {name: known[name] for name in wanted if name} | dict(networks.trained(options.models))
    for name, net in nets.items():
        compare(
            name,
            net,
            options.targets.split(","),
            options.timeout,
            options.cache,
            options.levels,
            options.tries,
        )


if __name__ == "__main__":
    main()
