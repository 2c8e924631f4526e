"""Pin files: which pin of the package each port of the top module goes to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from lgc.errors import LgcError, UsageError, nearest

from .rtl import TOP
from .target import Target

CLOCK = "clk"
"""Port that wants a clock's pin."""

_LINES = {
    ".pcf": ("set_io {port} {pin}", ""),
    ".lpf": ('LOCATE COMP "{port}" SITE "{pin}";', 'IOBUF PORT "{port}" IO_TYPE={level};'),
    ".pdc": (
        "ldc_set_location -site {{{pin}}} [get_ports {{{port}}}]",
        "ldc_set_port -iobuf {{IO_TYPE={level}}} [get_ports {{{port}}}]",
    ),
    ".cst": ('IO_LOC "{port}" {pin};', 'IO_PORT "{port}" IO_TYPE={level};'),
}
"""A line for the place and one for the electrical standard, by suffix; iCE40 has only one standard."""


def write_pins(pins: Mapping[str, str], netlist: Path, target: Target, path: Path) -> Path:
    """Write the pin file of a synthesised design; return its path.

    Args:
        pins: pin by port, `"clk": "35"` for instance, bits of a wide port as `"led[0]"`. An electrical
            standard may follow the pin: `"10 LVCMOS18"`.
        netlist: JSON netlist of the design.
        target: the device. Where its router wants all ports placed, the others get the target's pins.
        path: file to write.

    Raises:
        UsageError: two ports on one pin, or a port that the design does not have.
        LgcError: the target has fewer pins than the design has ports.
    """
    known = ports(netlist)
    for port in pins:
        if port not in known:
            raise UsageError(f"The design has no port '{port}' to place.", hint=nearest(port, known))
    check_clashes(pins)
    chosen = dict(pins)
    if target.cells.all_pins:
        chosen |= _others(known, pins, target)
    place, standard = _LINES[target.cells.pins[2]]
    lines = []
    for port, text in chosen.items():
        pin, _, level = text.partition(" ")
        lines.append(place.format(port=port, pin=pin))
        if level and standard:
            lines.append(standard.format(port=port, level=level))
    path.write_text("\n".join(lines) + "\n")
    return path


def check_clashes(pins: Mapping[str, str]) -> None:
    """Check that no two ports share a pin.

    Raises:
        UsageError: names both ports and the pin.
    """
    owner: dict[str, str] = {}
    for port, text in pins.items():
        pin = text.partition(" ")[0]
        if pin in owner:
            raise UsageError(f"Ports '{owner[pin]}' and '{port}' are both on pin {pin}.")
        owner[pin] = port


def ports(netlist: Path) -> list[str]:
    """Names of the ports of a JSON netlist's top module, one per bit.

    Raises:
        LgcError: the file is not such a netlist.
    """
    try:
        found = json.loads(netlist.read_text())["modules"][TOP]["ports"]
        return [
            name if len(port["bits"]) == 1 else f"{name}[{bit}]"
            for name, port in found.items()
            for bit in range(len(port["bits"]))
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LgcError(f"{netlist.name} is not a netlist of Yosys: {error!r}.") from error


def _others(known: Iterable[str], pins: Mapping[str, str], target: Target) -> dict[str, str]:
    """Give the ports that `pins` leaves out pins of the target, the clock the first."""
    left = sorted((port for port in known if port not in pins), key=lambda port: port != CLOCK)
    used = {text.partition(" ")[0] for text in pins.values()}
    free = [pin for pin in target.pins if pin not in used]
    if len(left) > len(free):
        raise LgcError(f"{target.name} has {len(free)} pins for the {len(left)} ports left to place.")
    return dict(zip(left, free, strict=False))
