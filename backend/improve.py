"""Placing once more and routing by delay, between nextpnr's placer and its router."""

from __future__ import annotations

import importlib.util
import json
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._settle import SLOTS
from .exchange import exchange
from .refine import Cells, refine
from .relieve import LIMIT, relieve
from .replicate import FAN_OUT, replicate
from .router import MARGIN, Nets, Router, logic_tiles, tables
from .target import Target
from .tools import Tool
from .wires import Ecp5Chip, Ice40Chip, Wires

_LOG = logging.getLogger(__name__)

FAMILIES = frozenset(MARGIN)
"""Families whose designs can be improved."""

_DATABASES = {
    "ice40": {
        "hx1k": "1k",
        "lp1k": "1k",
        "hx4k": "8k",
        "lp4k": "8k",
        "hx8k": "8k",
        "lp8k": "8k",
        "up5k": "5k",
    },
    "ecp5": {"12k": "25k", "25k": "25k", "45k": "45k", "85k": "85k"},
}
"""nextpnr's databases by device."""

EARLY = 250.0
"""Moves before registers are copied, see `refine`."""

FULL = 0.92
"""Share of the places that copies of registers may fill; what is fuller has no room to move."""

_KEPT = ("synth", "arch.sysconfig")
"""Settings that say what nextpnr's options do not: that the netlist is its own, and what a pin file told."""

_GRADES = {"6": 0, "7": 1, "8": 2}


def improve(placed: Path, nextpnr: Tool, target: Target, out: Path, *, seed: int) -> bool:
    """Place plain cells anew and route the wires between them.

    Args:
        placed: nextpnr's netlist of a placed design.
        nextpnr: the tool, whose chip database is read.
        target: the device.
        out: file to be written, for `--no-pack`.
        seed: of the placement.

    Returns:
        Whether `out` was written: not where paths are no single wires, there is no database, or no way
        without shared wires was found.

    Raises:
        OSError, ValueError, KeyError, IndexError, struct.error: files that are not what they should be.
    """
    design = json.loads(placed.read_text())
    (module,) = design["modules"].values()
    cells = Cells.of(module)
    if not cells.pipelined or not cells.plain.any():
        return False
    path = database(nextpnr, target)
    if path is None:
        return False
    _LOG.debug("Placing %d cells once more.", cells.plain.sum())
    wires, table, between, short = _device(path, target.family, *_speed(target))
    tiles = logic_tiles(wires, target.family)
    refine(module, cells, tiles, between, family=target.family, seed=seed, rounds=EARLY)
    room = int(FULL * SLOTS * len(tiles - cells.taken)) - int(cells.plain.sum())
    copies = replicate(module, most=max(room, 0), fan_out=FAN_OUT[target.family])
    refine(module, Cells.of(module), tiles, between, family=target.family, seed=seed)
    more = relieve(module, tiles, between, short, family=target.family, seed=seed)
    _LOG.info("%d registers and %d LUTs are copies.", copies, more)
    cells = Cells.of(module)
    slow = {
        name for names, is_slow in zip(cells.members, cells.slow, strict=True) if is_slow for name in names
    }
    router = Router(wires, Nets.of(module, wires, slow), table, margin=MARGIN[target.family])
    if not (router.press() if target.family in LIMIT else router.run()):
        _LOG.info("No way without shared wires was found.")
        return False
    exchange(module, router, Cells.of(module), tiles, between, seed=seed)
    router.write(module)
    for cell in module["cells"].values():
        _constrain(cell)
    # what else is set would be set against the options of nextpnr's next run
    module["settings"] = {key: text for key, text in module["settings"].items() if key.startswith(_KEPT)}
    out.write_text(json.dumps(design))
    return True


def _constrain(cell: dict[str, Any]) -> None:
    """Let nextpnr's placer put a cell where it is, with all of its pins.

    If it did so while it reads the netlist, it would not know yet which cells have carries, and on iCE40
    its router would permute their inputs. Pins that lead nowhere would be forgotten, and those of block RAM
    not be tied.
    """
    attributes = cell["attributes"]
    place = attributes.pop("NEXTPNR_BEL", None)
    attributes.pop("BEL_STRENGTH", None)
    if place is not None:
        attributes["BEL"] = place
    cell["connections"] = {pin: bits or ["x"] for pin, bits in cell["connections"].items()}


def restore_ports(routed: Path, packed: Path) -> None:
    """Write into nextpnr's netlist `routed` the ports of `packed`, which it was routed from and forgets.

    Raises:
        OSError, ValueError, KeyError: files that are not what they should be.
    """
    design = json.loads(routed.read_text())
    (before,) = json.loads(packed.read_text())["modules"].values()
    (module,) = design["modules"].values()
    names = {net["bits"][0]: name for name, net in before["netnames"].items()}
    for name, port in before["ports"].items():
        bits = [module["netnames"][names[bit]]["bits"][0] for bit in port["bits"]]
        module["ports"][name] = {**port, "bits": bits}
    routed.write_text(json.dumps(design))


def database(nextpnr: Tool, target: Target) -> Path | None:
    """Return nextpnr's database of a device; None but for its Python package, where it is a file."""
    name = _DATABASES.get(target.family, {}).get(target.device)
    spec = importlib.util.find_spec(nextpnr.origin.replace("-", "_"))
    if name is None or spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "share" / target.family / f"chipdb-{name}.bin"
    return path if path.is_file() else None


def _speed(target: Target) -> tuple[bool, int]:
    """Whether an iCE40 is of the fast kind; the number of an ECP5's speed grade."""
    options = target.pnr
    grade = options[options.index("--speed") + 1] if "--speed" in options else "6"
    return target.device.startswith("hx"), _GRADES.get(grade, 0)


@lru_cache(maxsize=1)
def _device(
    path: Path, family: str, fast: bool, grade: int
) -> tuple[Wires, npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Read a device; return its graph and tables of delays."""
    wires = Ice40Chip(path).graph(fast=fast) if family == "ice40" else Ecp5Chip(path).graph(grade=grade)
    return wires, *tables(wires, family)
