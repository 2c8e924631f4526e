"""The delay model of a Cyclone IV target against what Quartus wrote of a design that it fitted: netlist and delays.

    git clone https://github.com/blu006/de0-nano-clock && git -C de0-nano-clock checkout bca2767
    cd de0-nano-clock/FPGA/simulation/modelsim
    python benchmarks/quartus_delays.py FPGA_clock_6_1200mv_85c_slow.vo FPGA_clock_6_1200mv_85c_v_slow.sdo

That design is a clock on the board of the target, EP4CE22F17C6, at the slow corner: 225 logic elements. Every
register's longest path from a register through logic elements is found with Quartus' delays, and estimated from its
cells and the loads of its wires. Printed are how far the estimates are off, the mean delays of cells, and
what a wire to a logic element takes: at all, and each time its loads double.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lgc.backend.target import Delays, load

COMB, FF = "cycloneive_lcell_comb", "dffeas"
DATA = ("dataa", "datab", "datac", "datad")

_INSTANCE = re.compile(rf"^({COMB}|{FF}) \\?(\S+) \((.*?)\);\n// synopsys", re.DOTALL | re.MULTILINE)
_CELL = re.compile(r'\(CELL\s+\(CELLTYPE "\w+"\)\s+\(INSTANCE (\S+)\)(.*?)(?=\(CELL\s|\Z)', re.DOTALL)
_DELAY = re.compile(r"\((PORT|IOPATH) ((?:\(posedge )?\w+\)?(?: \w+)?) \(([\d.]+):[^)]*\)(?: \(([\d.]+):)?")
_SCALE = re.compile(r"\(TIMESCALE (\d+) ps\)")


@dataclass(frozen=True)
class Design:
    """A fitted design.

    Attributes:
        kind: cell type of each instance.
        pins: nets by pin of each instance.
        delays: picoseconds by what SDF calls them, the slower edge: `PORT d`, `IOPATH datad combout`.
    """

    kind: dict[str, str]
    pins: dict[str, dict[str, str]]
    delays: dict[str, dict[str, float]]

    @classmethod
    def of(cls, netlist: Path, delays: Path) -> Design:
        """Read Quartus' netlist and delays."""
        kind, pins = {}, {}
        for cell, name, body in _INSTANCE.findall(netlist.read_text()):
            kind[name] = cell
            nets = re.findall(r"\.(\w+)\(([^)]*)\)", body)
            pins[name] = {pin: net.strip().lstrip("\\").strip() for pin, net in nets}
        text = delays.read_text()
        scale = _SCALE.search(text)
        if scale is None or not pins:
            raise SystemExit(
                f"{netlist} and {delays} are no netlist and delays that Quartus wrote of a Cyclone IV."
            )
        found = {}
        for name, body in _CELL.findall(text):
            found[name.replace("\\", "")] = {
                f"{what} {which}": int(scale[1]) * max(float(rise), float(fall or 0))
                for what, which, rise, fall in _DELAY.findall(body)
            }
        return cls(kind, pins, {name: found[name] for name in kind if name in found})

    def loads(self) -> Counter[str]:
        """Count what reads each net, carries and clocks left out."""
        read = (*DATA, "d", "asdata", "ena")
        return Counter(net for pins in self.pins.values() for pin, net in pins.items() if pin in read)


@dataclass(frozen=True)
class Timed:
    """A path to a net or register: picoseconds by Quartus and by the model, and logic elements on it."""

    delay: float
    estimate: float
    luts: int


def paths(design: Design, model: Delays) -> list[Timed]:
    """Longest path to every register behind at least one logic element."""
    loads, driver = design.loads(), {}
    for name, pins in design.pins.items():
        for pin in ("combout", "cout", "q"):
            if pins.get(pin):
                driver[pins[pin]] = (name, pin)

    @cache
    def arrival(net: str) -> Timed | None:
        if net not in driver:
            return None
        name, out = driver[net]
        facts, pins = design.delays[name], design.pins[name]
        if out == "q":
            return Timed(facts["IOPATH (posedge clk) q"], model.clock_to_out, 0)
        best = None
        for pin in (*DATA, "cin"):
            before = arrival(pins[pin]) if f"IOPATH {pin} {out}" in facts and pin in pins else None
            if before is None:
                continue
            delay = before.delay + facts.get(f"PORT {pin}", 0) + facts[f"IOPATH {pin} {out}"]
            if best is None or delay > best.delay:
                if pin == "cin":
                    cell = model.carry if out == "cout" else model.carry_out
                else:
                    wire = model.route + model.fanout * np.log2(max(loads[pins[pin]], 1))
                    cell = wire + (model.lut if out == "combout" else model.carry_in)
                best = Timed(delay, before.estimate + cell, before.luts + (out == "combout"))
        return best

    found = []
    for name, pins in design.pins.items():
        end = arrival(pins["d"]) if design.kind[name] == FF else None
        if end is not None and end.luts:
            found.append(
                Timed(end.delay + design.delays[name]["PORT d"], end.estimate + model.setup, end.luts)
            )
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("netlist", type=Path, help="Quartus' .vo")
    arguments.add_argument("delays", type=Path, help="Quartus' .sdo of the same corner")
    arguments.add_argument("--target", default="cyclone4-ep4ce22")
    options = arguments.parse_args()
    model = load(options.target).delay
    assert model is not None
    design = Design.of(options.netlist, options.delays)
    found = paths(design, model)
    off = np.array([path.estimate / path.delay - 1 for path in found])
    slow = np.argsort([-path.delay for path in found])[:10]
    print(
        f"{len(found)} registers, longest path {found[slow[0]].delay:.0f} ps, estimate {found[slow[0]].estimate:.0f}: mean "
        f"{off.mean():+.1%}, mean of sizes {abs(off).mean():.1%}; of the ten longest {off[slow].mean():+.1%}, "
        f"{abs(off[slow]).mean():.1%}"
    )
    arcs: dict[str, list[float]] = {}
    for facts in design.delays.values():
        for what, delay in facts.items():
            arcs.setdefault(what, []).append(delay)
    for what in sorted(arcs):
        if what.startswith("IOPATH") or what == "PORT d":
            print(f"{what:28} {np.mean(arcs[what]):5.0f} ps, {len(arcs[what])} times")
    luts = [delay for pin in DATA for delay in arcs[f"IOPATH {pin} combout"]]
    print(f"{'LUT':28} {np.mean(luts):5.0f} ps, {len(luts)} times")
    loads, wires = design.loads(), []
    for name, pins in design.pins.items():
        if design.kind[name] == COMB and name in design.delays:
            wires += [
                (loads[pins[pin]], design.delays[name][f"PORT {pin}"])
                for pin in DATA
                if f"PORT {pin}" in design.delays[name] and loads[pins[pin]]
            ]
    count, delay = np.array(wires).T
    route, fanout = np.linalg.lstsq(np.stack([np.ones(len(count)), np.log2(count)], 1), delay, rcond=None)[0]
    print(f"{len(wires)} wires: {route:.0f} ps and {fanout:.0f} each time the loads double")


if __name__ == "__main__":
    main()
