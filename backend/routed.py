"""The router's own netlist and its delays, kept small beside the routed design.

nextpnr writes both for humans too: where each wire runs, source lines. Kept is what a simulation needs,
compressed, and the same bytes for the same design.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

_CELL = ("type", "parameters", "port_directions", "connections")


def keep_netlist(cells: Path, out: Path) -> None:
    """Write the ports, cells and net names of the netlist that nextpnr's `--write` gave to `out`.

    Raises:
        ValueError, KeyError: it is no such netlist.
        OSError: it cannot be read or written.
    """
    found = json.loads(cells.read_text())
    modules = {}
    for name, module in found["modules"].items():
        modules[name] = {
            "ports": module["ports"],
            "cells": {n: {key: cell[key] for key in _CELL} for n, cell in module["cells"].items()},
            "netnames": {n: {"bits": net["bits"]} for n, net in module["netnames"].items()},
        }
    kept = {"creator": found.get("creator", ""), "modules": modules}
    _write(out, json.dumps(kept, separators=(",", ":")))


def keep_delays(sdf: Path, out: Path) -> None:
    """Write the delays that nextpnr's `--sdf` gave to `out`.

    Raises:
        OSError: they cannot be read or written.
    """
    _write(out, sdf.read_text())


def _write(out: Path, text: str) -> None:
    out.write_bytes(gzip.compress(text.encode(), 6, mtime=0))


def read_netlist(path: Path) -> dict[str, Any]:
    """Return the top module as Yosys' JSON has it: ports, cells, netnames.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be read.
    """
    try:
        (module,) = json.loads(gzip.decompress(path.read_bytes()))["modules"].values()
    except (EOFError, KeyError, AttributeError) as error:
        raise ValueError(f"{path.name} is damaged: {error!r}") from error
    found: dict[str, Any] = module
    return found


def read_delays(path: Path) -> str:
    """Return the text of the delays, SDF 3.0.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be read.
    """
    try:
        return gzip.decompress(path.read_bytes()).decode()
    except EOFError as error:
        raise ValueError(f"{path.name} is damaged: {error!r}") from error
