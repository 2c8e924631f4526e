"""The delay model of a Xilinx target against designs that Vivado routed: its timing reports of that part.

    git clone https://github.com/gussmith23/lakeroad-evaluation
    python benchmarks/vivado_delays.py lakeroad-evaluation/runs              xczu3eg-sbva484, speed grade 1
    python benchmarks/vivado_delays.py my_design_timing.rpt --target xc7a35t reports of your own

Reports of `report_timing` and `report_timing_summary` are read wherever they lie in a folder; of them those of
the target's part and speed grade, and of these the slowest paths of routed designs from register to register
through LUTs and carries alone, each once. Every such path is estimated from what the report says of its cells and the
loads of its wires, and compared with the delay that Vivado gives. What a design is for does not matter to
a LUT; these are not logic-gate networks, whose wires may be longer, and `shell` and `size` of the model are not
looked at. Then come the mean delays of cells, and what a wire takes by its distance, both as `xilinx_delays.py` uses them.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from xc7_wires import KINDS, PINS, Cells

from lgc.backend.target import Delays, Target, load

_PART = re.compile(r"^\| Device +: (\S+)", re.MULTILINE), re.compile(r"^\| Speed File +: -(\d)", re.MULTILINE)
_SITE = re.compile(r"SLICE_X(\d+)Y(\d+)$")
_PATH = re.compile(r"^Slack.*?^ +slack ", re.MULTILINE | re.DOTALL)
_CELL = re.compile(r"^ +(\S+) +(\w+) \((\w+?)_(\S+)\)\s+(-?\d+\.\d+)", re.MULTILINE)
_NET = re.compile(r"^ +net \(fo=(\d+), (\w+)\) +(\d+\.\d+)", re.MULTILINE)
_POSITIONS = re.compile(r"(CI|S|DI|AX)(?:\[(\d)\])?_(CO|O)\[(\d)\]$")


@dataclass(frozen=True)
class Hop:
    """A cell on a path, with the wire before it.

    Attributes:
        kind: "LUT", "CARRY", or "FF" where the path ends.
        arc: pins from and to, as Vivado names them.
        delay: of the cell in picoseconds; of a register its setup time.
        loads: of the wire.
        wire: its picoseconds.
        across: columns and rows of slices that it spans.
    """

    kind: str
    arc: str
    delay: float
    loads: int
    wire: float
    across: tuple[int, int]

    @property
    def inside(self) -> bool:
        """Whether the wire is a chain's or leads from a LUT to a carry or a register of its own slice."""
        return "_CI_" in f"_{self.arc}" or (self.kind != "LUT" and self.loads == 1 and self.across == (0, 0))


@dataclass(frozen=True)
class Timed:
    """A path that Vivado timed: the clock-to-out of its register and what follows, in picoseconds."""

    start: float
    hops: tuple[Hop, ...]

    @property
    def delay(self) -> float:
        """Picoseconds between two clock edges that the path takes."""
        return self.start + sum(hop.wire + hop.delay for hop in self.hops)

    @property
    def luts(self) -> int:
        """LUTs on the path."""
        return sum(hop.kind == "LUT" for hop in self.hops)


def read(text: str) -> Iterator[Timed]:
    """Yield the paths of a report that the model knows the cells of."""
    for block in _PATH.findall(text):
        if "(Max at Slow Process Corner)" not in block:
            continue
        data, _, arrives = block.partition("clock pessimism")
        cells = [(*m.groups(), m.start()) for m in _CELL.finditer(data)]
        nets = [(int(m[1]), m[2], 1e3 * float(m[3]), m.start()) for m in _NET.finditer(data)]
        setup = _CELL.search(arrives)
        if not cells or setup is None or not setup[3].startswith("Setup") or not cells[0][3].endswith("_C_Q"):
            continue
        nets = [net for net in nets if net[3] > cells[0][5]][: len(cells)]
        if len(nets) < len(cells) or any(how != "routed" for _, how, _, _ in nets):
            continue
        hops = []
        places = [place for place, *_ in cells] + [setup[1]]
        follow = [*cells[1:], (setup[1], setup[2], setup[3], setup[4], setup[5], 0)]
        for n, ((_, name, _, arc, delay, _), (loads, _, wire, _)) in enumerate(
            zip(follow, nets, strict=True)
        ):
            kind = "LUT" if name.startswith("LUT") else "CARRY" if name.startswith("CARRY") else "FF"
            if kind == "FF" and n < len(nets) - 1:
                break
            sign = -1 if n == len(nets) - 1 else 1  # Vivado adds setup to the time there is
            hops.append(
                Hop(kind, arc, sign * 1e3 * float(delay), loads, wire, _across(places[n], places[n + 1]))
            )
        else:
            yield Timed(1e3 * float(cells[0][4]), tuple(hops))


def _across(a: str, b: str) -> tuple[int, int]:
    (x, y), (u, v) = (map(int, match.groups()) if (match := _SITE.match(at)) else (0, 0) for at in (a, b))
    return abs(x - u), abs(y - v)


def wanted(folders: list[Path], target: Target) -> list[Timed]:
    """Paths of the target's part and speed grade, each once."""
    assert target.part is not None
    match = re.match(r"xc(.+?)-(\d)(-\w)?$", target.part)
    assert match is not None
    name, grade = match[1].replace("-", ""), match[2]
    found: dict[Timed, None] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
            if not path.is_file():
                continue
            text = path.read_text(errors="replace")
            part, speed = (pattern.search(text) for pattern in _PART)
            if part is None or speed is None or speed[1] != grade:
                continue
            if part[1].removeprefix("xc").replace("-", "") == name:
                found |= dict.fromkeys(read(text))
    return list(found)


def estimated(path: Timed, delays: Delays) -> float:
    """Picoseconds of a path by the model."""
    total = float(delays.clock_to_out)
    for hop in path.hops:
        wire = 0 if hop.inside else delays.route + delays.fanout * np.log2(hop.loads)
        if hop.kind == "LUT":
            total += wire + delays.lut
        elif hop.kind == "FF":
            total += wire + delays.setup
        else:
            total += wire + along(hop.arc, delays)
    return total


def along(arc: str, delays: Delays) -> float:
    """Picoseconds through carries, from what Vivado calls the arc."""
    match = _POSITIONS.search(arc)
    if match is None:
        return 0.0
    begin, first, end, last = match[1], int(match[2] or 0), match[3], int(match[4])
    steps = last - first if begin != "CI" else last + (end == "CO")
    return (
        steps * delays.carry
        + (delays.carry_in if begin != "CI" else 0)
        + (delays.carry_out if end == "O" else 0)
    )


def cells(paths: list[Timed]) -> Cells:
    """Mean delays of cells on the paths; of carries what fits best, the wires of a chain with them."""
    hops = [hop for path in paths for hop in path.hops]
    zero = Delays(*[0] * 10, source="")
    rows, sizes = [], []
    for hop in hops:
        if hop.kind == "CARRY" and _POSITIONS.search(hop.arc):
            rows.append([along(hop.arc, replace(zero, **{name: 1})) for name in _CARRIES])
            sizes.append(hop.delay + (hop.wire if hop.inside else 0))
    inside = [hop.delay + hop.wire for hop in hops if hop.kind == "FF" and hop.inside]
    if not rows or not inside:
        raise SystemExit(
            "The reports have no path with a carry, or none to a register beside its LUT: give more of them."
        )
    carries = np.linalg.lstsq(np.array(rows), np.array(sizes), rcond=None)[0]
    return Cells(
        clock_to_out=round(np.mean([path.start for path in paths])),
        setup=round(np.mean(inside)),
        lut=round(np.mean([hop.delay for hop in hops if hop.kind == "LUT"])),
        **{name: max(round(value), 0) for name, value in zip(_CARRIES, carries, strict=True)},
        second=0,  # Vivado counts the way out with the LUT
        sum=0,
    )


def wires(paths: list[Timed]) -> tuple[npt.NDArray[np.float64], float, int]:
    """Picoseconds of a wire outside of slices: at all, per column, row and doubling of its loads; rms error; wires."""
    hops = {hop for path in paths for hop in path.hops if not hop.inside}
    spans = np.array([[1, *hop.across, np.log2(hop.loads)] for hop in hops])
    found = np.array([hop.wire for hop in hops])
    best = np.linalg.lstsq(spans, found, rcond=None)[0]
    return best, float(np.sqrt(np.mean((spans @ best - found) ** 2))), len(hops)


def table(paths: list[Timed], columns: int, rows: int) -> npt.NDArray[np.float64]:
    """Picoseconds by distance in the form of `xc7_wires.Patch.table`: whatever the way out and the pin."""
    (least, column, row, _), _, _ = wires(paths)
    x, y = (abs(np.arange(-n, n + 1)) for n in (columns, rows))
    alone = least + column * x[:, None] + row * y
    return np.broadcast_to(alone, (2, len(KINDS), len(PINS), *alone.shape)).copy()


_CARRIES = ("carry_in", "carry", "carry_out")


def told(name: str, paths: list[Timed], delays: Delays) -> None:
    """Print how far a model is off, by LUTs on the path."""
    off = np.array([estimated(path, delays) / path.delay - 1 for path in paths])
    for luts in sorted({path.luts for path in paths}):
        some = off[[path.luts == luts for path in paths]]
        print(
            f"{name}: {luts} LUTs, {len(some):3} paths: mean {some.mean():+.1%}, mean of sizes {abs(some).mean():.1%}"
        )
    print(
        f"{name}: {len(off)} paths: mean {off.mean():+.1%}, mean of sizes {abs(off).mean():.1%}, "
        f"worst {off[abs(off).argmax()]:+.1%}"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("reports", nargs="+", type=Path, help="files or folders")
    arguments.add_argument("--target", default="xczu3eg")
    options = arguments.parse_args()
    target = load(options.target)
    assert target.delay is not None
    paths = wanted(options.reports, target)
    if not paths:
        arguments.error(f"no report there has such a path on {target.part}")
    told("as it is", paths, target.delay)
    print(cells(paths))
    (least, column, row, doubled), off, count = wires(paths)
    print(
        f"{count} wires: {least:.0f} ps, {column:.0f} more per column and {row:.0f} per row of slices, {doubled:.0f} each time "
        f"the loads double; {off:.0f} rms off"
    )


if __name__ == "__main__":
    main()
