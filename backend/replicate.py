"""Copies of registers that many LUTs read: each serves those that stand together.

Where every path is one wire, a signal with loads all over the device is slow on some of them however its
register is placed. To copy a register that takes over one signal costs a cell and one more load of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .refine import PLACE

FAN_OUT = {"ice40": 6, "ecp5": 4}
"""Loads that a copy serves at most; wires of an ECP5 are the scarcer thing, and it has more registers."""


def replicate(module: dict[str, Any], *, most: int, fan_out: int) -> int:
    """Copy registers of placed cells, in `module`; copies stand where the register does, to be placed anew.

    Args:
        module: nextpnr's netlist of the placed design.
        most: copies at most; those of signals with the most loads come first.
        fan_out: loads that each serves at most, but what does not count as logic.

    Returns:
        How many copies were made.
    """
    cells = module["cells"]
    at = {name: PLACE.fullmatch(cell["attributes"].get("NEXTPNR_BEL", "")) for name, cell in cells.items()}
    loads = _loads(cells, at)
    found = [(len(loads.get(out, ())), name, out) for name, out in _registers(cells)]
    groups: list[tuple[str, list[tuple[str, str]]]] = []
    for many, name, out in sorted(found, key=lambda each: -each[0]):
        if many <= fan_out or len(groups) == most:
            break
        parts = _groups(loads[out], at, min(-(-many // fan_out), most - len(groups) + 1))
        groups += [(name, group) for group in parts[1:]]
    _copy(module, groups)
    return len(groups)


def split(module: dict[str, Any], late: list[tuple[str, str]]) -> int:
    """Copy LUTs with their registers, or registers, for some of their loads, in `module`.

    Args:
        module: nextpnr's netlist of a placed design of iCE40, whose cells are LUT and register in one.
        late: cells, and others that they drive and that are to be driven by a copy.

    Returns:
        How many copies were made: one for each cell of which not all loads are in `late`.
    """
    cells = module["cells"]
    at = {name: PLACE.fullmatch(cell["attributes"].get("NEXTPNR_BEL", "")) for name, cell in cells.items()}
    loads = _loads(cells, at)
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, load in late:
        (out,) = cells[name]["connections"]["O"]
        groups.setdefault(name, []).extend(each for each in loads[out] if each[0] == load)
    some = [
        (name, list(dict.fromkeys(group)))
        for name, group in groups.items()
        if len(set(group)) < len(loads[cells[name]["connections"]["O"][0]])
    ]
    _copy(module, some)
    return len(some)


def _loads(cells: dict[str, Any], at: dict[str, Any]) -> dict[int, list[tuple[str, str]]]:
    """Find inputs of placed logic that each net leads to: cells and ports."""
    found: dict[int, list[tuple[str, str]]] = {}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if bits and at[name] and cell["port_directions"][port] == "input":
                found.setdefault(bits[0], []).append((name, port))
    return found


def _copy(module: dict[str, Any], groups: list[tuple[str, list[tuple[str, str]]]]) -> None:
    """Copy cells, each for a group of loads, which are cells and ports."""
    cells, names = module["cells"], dict[int, str]()
    for name, net in module["netnames"].items():
        names.setdefault(net["bits"][0], name)
    first = 1 + max(max(net["bits"]) for net in module["netnames"].values())
    for bit, (name, group) in enumerate(groups, first):
        old = cells[name]
        out = cells[group[0][0]]["connections"][group[0][1]][0]
        copy, net = f"{name}${_COPY}{bit}", f"{names[out]}${_COPY}{bit}"
        pins = {port: [bit] if bits == [out] else list(bits) for port, bits in old["connections"].items()}
        parts = {key: dict(old[key]) for key in ("parameters", "attributes", "port_directions")}
        cells[copy] = old | parts | {"connections": pins}
        module["netnames"][net] = {"hide_name": 1, "bits": [bit], "attributes": {"ROUTING": " "}}
        for load, port in group:
            cells[load]["connections"][port] = [bit]


_COPY = "copy"


def _registers(cells: dict[str, Any]) -> list[tuple[str, int]]:
    """Plain registers that take over one signal, and what they drive."""
    found = []
    for name, cell in cells.items():
        pins = {port: bits[0] for port, bits in cell["connections"].items() if bits}
        if cell["type"] == "ICESTORM_LC" and cell["parameters"]["DFF_ENABLE"].endswith("1"):
            plain = len(pins) == 3 and {"O", "CLK"} < pins.keys()
            out = pins.get("O")
        else:
            plain = cell["type"] == "TRELLIS_FF" and pins.keys() == {"M", "Q", "CLK"}
            out = pins.get("Q")
        if plain and out is not None and PLACE.fullmatch(cell["attributes"].get("NEXTPNR_BEL", "")):
            found.append((name, out))
    return found


def _groups(loads: list[tuple[str, str]], at: dict[str, Any], number: int) -> list[list[tuple[str, str]]]:
    """Divide loads into groups of nearly the same size that stand together."""
    if number == 1:
        return [loads]
    place = np.array([(int(at[name][1]), int(at[name][2])) for name, _ in loads])
    axis = int(np.ptp(place, axis=0).argmax())
    order = np.argsort(place[:, axis], kind="stable").tolist()
    first = number // 2
    cut = len(loads) * first // number
    parts = [loads[i] for i in order[:cut]], [loads[i] for i in order[cut:]]
    return _groups(parts[0], at, first) + _groups(parts[1], at, number - first)
