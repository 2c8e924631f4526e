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
    names: dict[int, str] = {}
    for name, net in module["netnames"].items():
        names.setdefault(net["bits"][0], name)
    at = {name: PLACE.fullmatch(cell["attributes"].get("NEXTPNR_BEL", "")) for name, cell in cells.items()}
    loads: dict[int, list[tuple[str, str]]] = {}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if bits and at[name] and cell["port_directions"][port] == "input":
                loads.setdefault(bits[0], []).append((name, port))
    bit = 1 + max(max(net["bits"]) for net in module["netnames"].values())
    found = [(len(loads.get(out, ())), name, out) for name, out in _registers(cells)]
    made = 0
    for many, name, out in sorted(found, key=lambda each: -each[0]):
        if many <= fan_out or made == most:
            break
        groups = _groups(loads[out], at, min(-(-many // fan_out), most - made + 1))
        for group in groups[1:]:
            copy, net = f"{name}${_COPY}{bit}", f"{names[out]}${_COPY}{bit}"
            old = cells[name]
            pins = {port: [bit] if bits == [out] else bits for port, bits in old["connections"].items()}
            parts = {key: dict(old[key]) for key in ("parameters", "attributes", "port_directions")}
            cells[copy] = old | parts | {"connections": pins}
            module["netnames"][net] = {"hide_name": 1, "bits": [bit], "attributes": {"ROUTING": " "}}
            for load, port in group:
                cells[load]["connections"][port] = [bit]
            bit += 1
            made += 1
    return made


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
