"""Rungs between synthesis and the bitstream: the router's own netlist, as it stands after routing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lgc.backend import routed
from lgc.backend.pnr import DELAYS, NETLIST
from lgc.backend.rtl import TOP
from lgc.errors import LgcError, ToolMissingError
from lgc.manifest import read_step

from . import hardware
from .subject import Subject

SAMPLES = 24
"""Samples simulated: `ICESTORM_LC` takes Icarus Verilog two to three times as long as cells of synthesis."""

_PINS = {0b000001: ("PACKAGE_PIN", "D_IN_0"), 0b011001: ("D_OUT_0", "PACKAGE_PIN")}
"""Ways from side to side of simple pins, by PIN_TYPE."""

_BUFFERED = "USER_SIGNAL_TO_GLOBAL_BUFFER"


def network_to_routed(subject: Subject) -> tuple[str, int]:
    """Simulate nextpnr's netlist with the cell models that Yosys ships: every answer at its pins.

    Raises:
        MismatchError: an answer differs.
        ToolMissingError: no simulator or cell models, the build has no routed netlist.
        LgcError: the simulation failed or took too long.
    """
    hardware.only_ice40(subject)
    module = netlist_of(subject)
    for name, cell in module["cells"].items():
        if cell["type"] == "SB_IO":
            _as_wire(name, cell)
        elif cell["type"] == "ICESTORM_SPRAM":
            _as_shipped(cell)
    out = hardware.fresh(subject.work / "routed")
    (out / "netlist.json").write_text(json.dumps({"creator": "nextpnr", "modules": {TOP: module}}))
    source = hardware.to_verilog(subject, out / "netlist.json", out)
    return hardware.simulate_pins(subject, source, out, most=SAMPLES)


def _as_wire(name: str, cell: dict[str, Any]) -> None:
    """Turn a simple pin into a wire: the model of SB_IO shows x until what drives a pin has changed once.

    Raises:
        ToolMissingError: the pin does more.
    """
    pins = [cell["connections"][pin] for pin in way(name, cell)]
    cell |= {
        "type": "$_BUF_",
        "parameters": {},
        "port_directions": {"A": "input", "Y": "output"},
        "connections": dict(zip("AY", pins, strict=True)),
    }


def _as_shipped(cell: dict[str, Any]) -> None:
    """Turn the router's single pins of an SPRAM into those of SB_SPRAM256KA, of which Yosys has a model."""
    bits: dict[str, dict[int, Any]] = {}
    ways: dict[str, str] = {}
    for pin, nets in cell["connections"].items():
        name, _, place = pin.rpartition("_") if pin[-1].isdigit() else (pin, "", "0")
        bits.setdefault(name, {})[int(place)] = nets[0] if nets else "x"
        ways[name] = cell["port_directions"][pin]
    cell |= {
        "type": "SB_SPRAM256KA",
        "parameters": {},
        "port_directions": ways,
        "connections": {name: [found[n] for n in range(len(found))] for name, found in bits.items()},
    }


def way(name: str, cell: dict[str, Any]) -> tuple[str, str]:
    """Ports of a simple pin from side to side.

    Raises:
        ToolMissingError: the pin does more.
    """
    kind = int(cell["parameters"]["PIN_TYPE"], 2)
    if kind not in _PINS:
        raise ToolMissingError(f"Pin {name} is of the type {kind:06b}, which is not simulated here.")
    return _PINS[kind]


def netlist_of(subject: Subject) -> dict[str, Any]:
    """Return the top module of nextpnr's netlist, as Yosys' JSON has it.

    Raises:
        ToolMissingError: the build was made before it was kept, or its family's router writes none.
        LgcError: it is damaged.
    """
    try:
        module = routed.read_netlist(_beside(subject, NETLIST))
        _loop_as_wire(module)
    except (ValueError, OSError, KeyError) as error:
        raise LgcError(f"Cannot read the routed netlist: {error}.") from None
    return module


def _loop_as_wire(module: dict[str, Any]) -> None:
    """Connect what a phase-locked loop drives, a global buffer of its own, to the clock that it is given.

    Raises:
        KeyError: there is no such buffer, or no such clock.
    """
    cells = module["cells"]
    for name in [name for name, cell in cells.items() if cell["type"] == "ICESTORM_PLL"]:
        pins, clock = cells.pop(name)["connections"], module["ports"]["clk"]["bits"]
        for other, cell in list(cells.items()):
            if cell["type"] == "SB_GB" and not cell["connections"][_BUFFERED]:
                cell["connections"][_BUFFERED] = pins["REFERENCECLK"] or clock
            elif cell["connections"].get("PACKAGE_PIN") == clock and not pins["REFERENCECLK"]:
                del cells[other]  # the pad beside the loop is read by nothing else
        cells[name] = {  # locked from the start
            "type": "ICESTORM_LC",
            "parameters": {"LUT_INIT": "1" * 16},
            "port_directions": {"O": "output"},
            "connections": {"O": pins["LOCK"]},
        }


def delays_of(subject: Subject) -> str:
    """Return the text of nextpnr's delays, SDF 3.0.

    Raises:
        ToolMissingError: as `netlist_of`.
        LgcError: it is damaged.
    """
    try:
        return routed.read_delays(_beside(subject, DELAYS))
    except (ValueError, OSError) as error:
        raise LgcError(f"Cannot read the routed delays: {error}.") from None


def _beside(subject: Subject, name: str) -> Path:
    read_step(subject.path, "07-route")
    path = (subject.path / "07-route" / str(subject.values("07-route")["asc"])).with_name(name)
    if not path.is_file():
        raise ToolMissingError(f"The build has no {name} beside its routed design.", hint="Build it again.")
    return path
