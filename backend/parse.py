"""Tool output to numbers; only machine formats are read, never a log."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgc.errors import LgcError

from .family import FAMILIES, Family

PARTS = ("encoder", "network", "readout", "argmax", "io")
"""What a design consists of, in reports; `io` is handshake, control and output register."""

_KERNELS = re.compile(r"layer\d+")
"""Instances of folded layers, which stand between the pixels and the tail of the network."""

_PART_OF = {
    "encoder": "encoder",
    "argmax": "argmax",
    "fabric.network": "network",
    "fabric.popcount": "readout",
    "fabric.argmax": "argmax",
}

_AROUND = ("inner", "core")
"""Instances between the top module of an interface and the design."""


@dataclass(frozen=True)
class Netlist:
    """Figures of a synthesised design.

    Attributes:
        luts: LUTs of each of `PARTS`.
        ffs: flip-flops of each of `PARTS`.
        carries: carry cells.
        brams: block RAMs.
        cells: logic cells needed at least: LUTs, carries with a cell of their own, and flip-flops
            that cannot share a LUT's cell.
        io: pins.
        pins: of these each port's.
    """

    luts: dict[str, int]
    ffs: dict[str, int]
    carries: int
    brams: int
    cells: int
    io: int
    pins: dict[str, int]


def read_netlist(path: Path, top: str, family: Family = FAMILIES["ice40"]) -> Netlist:
    """Read the flat module `top` of a Yosys JSON netlist of the family's cells.

    Raises:
        LgcError: the file is not such a netlist.
    """
    try:
        design = json.loads(path.read_text())["modules"][top]
        counts: Counter[tuple[str, str]] = Counter()
        for name, cell in design["cells"].items():
            kind = _kind(cell["type"], family)
            counts[part_of(name), kind] += family.brams[cell["type"]] if kind == "bram" else 1
        return Netlist(
            luts={part: counts[part, "lut"] for part in PARTS},
            ffs={part: counts[part, "ff"] for part in PARTS},
            carries=sum(counts[part, "carry"] for part in PARTS),
            brams=sum(counts[part, "bram"] for part in PARTS),
            cells=_logic_cells(design, family),
            io=sum(len(port["bits"]) for port in design["ports"].values()),
            pins={name: len(port["bits"]) for name, port in design["ports"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LgcError(f"{path.name} is not a netlist of Yosys with a module {top}: {error!r}.") from error


def part_of(cell: str) -> str:
    """Part of the design that a cell belongs to, by the instances in its name."""
    path = cell.replace("$flatten", "").replace("\\", "").split(".")
    while path[0] in _AROUND and len(path) > 1:
        path = path[1:]
    while path[0] in _AROUND:
        path = path[1:] or [""]
    if path[0] == "encoder" and any(_KERNELS.fullmatch(name) for name in path):
        return "network"
    return _PART_OF.get(path[0], _PART_OF.get(".".join(path[:2]), "io")) if len(path) > 1 else "io"


def _kind(cell: str, family: Family) -> str:
    """Return what a cell type is: lut, ff, carry, bram or "" for anything else."""
    if cell in family.luts:
        return "lut"
    if cell.startswith(family.ffs_start):
        return "ff"
    return "carry" if cell in family.chains else "bram" if cell in family.brams else ""


def _logic_cells(design: Mapping[str, Any], family: Family) -> int:
    """Count LUTs, carries, and flip-flops whose input is not a LUT with no other load."""
    types = [cell["type"] for cell in design["cells"].values()]
    chains = sum(family.chains.get(kind, 0) for kind in types)
    if family.own_cells:
        chains += _bare_positions(design, family)
    if not family.data:
        return chains + sum(kind in family.luts for kind in types)
    loads: Counter[int | str] = Counter()
    lut_outputs: set[int | str] = set()
    registered: list[int | str] = []
    for cell in design["cells"].values():
        pins = cell["connections"]
        if cell["type"] in family.luts:
            lut_outputs.add(pins[family.luts[cell["type"]]][0])
        if cell["type"].startswith(family.ffs_start):
            registered.append(pins[family.data][0])
        for port, bits in pins.items():
            if cell["port_directions"].get(port) == "input":
                loads.update(bits)
    for port in design["ports"].values():
        loads.update(port["bits"])
    return chains + len(lut_outputs) + sum(bit not in lut_outputs or loads[bit] > 1 for bit in registered)


def _bare_positions(design: Mapping[str, Any], family: Family) -> int:
    """Count positions of carry chains that are used though their LUT only makes a constant."""
    read = {bit for port in design["ports"].values() for bit in port["bits"]}
    for cell in design["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"].get(port) == "input":
                read.update(bits)
    return sum(
        isinstance(s, str) and o in read
        for cell in design["cells"].values()
        if cell["type"] in family.chains
        for s, o in zip(cell["connections"]["S"], cell["connections"]["O"], strict=True)
    )


@dataclass(frozen=True)
class RouteReport:
    """Figures of nextpnr's own report.

    Attributes:
        fmax_mhz: maximum clock, or None where no path between registers exists.
        used: bels used, by type.
        available: bels of the device, by type.
        critical: cells and nets of the slowest path between registers, each with its delay in ns.
    """

    fmax_mhz: float | None
    used: dict[str, int]
    available: dict[str, int]
    critical: tuple[tuple[str, str, float], ...]


def read_route_report(path: Path) -> RouteReport:
    """Read what `nextpnr --report` wrote.

    Raises:
        LgcError: the file is missing or not such a report.
    """
    try:
        data = json.loads(path.read_text())
        fmax = [clock["achieved"] for clock in data["fmax"].values()]
        # Paths that start or end at a pin are asynchronous.
        paths = [p["path"] for p in data["critical_paths"] if p["from"] == p["to"] != "<async>"]
        return RouteReport(
            fmax_mhz=round(min(fmax), 3) if fmax else None,
            used={name: entry["used"] for name, entry in data["utilization"].items()},
            available={name: entry["available"] for name, entry in data["utilization"].items()},
            critical=tuple(
                (s["type"], s["net"] if s["type"] == "routing" else s["to"]["cell"], round(s["delay"], 3))
                for s in (paths[0] if paths else [])
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LgcError(f"{path.name} is not a report of nextpnr: {error!r}.") from error
