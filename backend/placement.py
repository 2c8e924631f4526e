"""Where nextpnr put the cells of each part of a design."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .family import Family
from .parse import PARTS, part_of

_TILE = re.compile(r"X(\d+)/?Y(\d+)")


@dataclass(frozen=True)
class Placement:
    """Cells by tile.

    Attributes:
        width: tiles from left to right, of the device where the routed design says, else up to the
            last one in use.
        height: tiles from bottom to top.
        parts: names of the counts in `tiles`.
        tiles: for each tile in use x, y and the logic cells and block RAMs of each part.
        pads: nextpnr's name of the place of each port bit, `result__payload[3]` for instance.
    """

    width: int
    height: int
    parts: tuple[str, ...]
    tiles: tuple[tuple[int, ...], ...]
    pads: Mapping[str, str]


def read_placement(path: Path, family: Family, routed: Path | None = None) -> Placement:
    """Read the JSON netlist that nextpnr writes after routing.

    Args:
        path: the netlist, with an attribute NEXTPNR_BEL for each cell.
        family: whose cells they are.
        routed: the routed design, which may list all tiles of the device.

    Raises:
        ValueError: it is no such netlist.
    """
    modules = json.loads(path.read_text())["modules"]
    count: Counter[tuple[int, int, str]] = Counter()
    wide, high = 0, 0
    for module in modules.values():
        for name, cell in module.get("cells", {}).items():
            found = _TILE.match(str(cell.get("attributes", {}).get("NEXTPNR_BEL", "")))
            if found is None:
                continue
            x, y = int(found[1]), int(found[2])
            wide, high = max(wide, x + 1), max(high, y + 1)
            if cell["type"] in family.cell_bels or cell["type"] in family.bram_bels:
                count[x, y, part_of(name)] += 1
    if not count:
        raise ValueError(f"{path.name} says of no cell where it is")
    if routed is not None and routed.suffix == ".asc":
        tiles = re.findall(r"^\.\w+_tile (\d+) (\d+)$", routed.read_text(), re.MULTILINE)
        wide = max(wide, 1 + max(int(x) for x, _ in tiles))
        high = max(high, 1 + max(int(y) for _, y in tiles))
    places = sorted({(x, y) for x, y, _ in count})
    rows = tuple((x, y, *(count[x, y, part] for part in PARTS)) for x, y in places)
    return Placement(wide, high, PARTS, rows, _pads(modules))


def _pads(modules: Mapping[str, Any]) -> dict[str, str]:
    """Places of the cells that the nets of ports lead to."""
    found = {}
    for module in modules.values():
        place = {
            net: cell["attributes"]["NEXTPNR_BEL"]
            for cell in module.get("cells", {}).values()
            if "NEXTPNR_BEL" in cell.get("attributes", {})
            for nets in cell.get("connections", {}).values()
            for net in nets
        }
        for name, port in module.get("ports", {}).items():
            wide = len(port["bits"]) > 1
            for bit, net in enumerate(port["bits"]):
                if net in place:
                    found[f"{name}[{bit}]" if wide else name] = place[net]
    return found
