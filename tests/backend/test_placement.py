"""Where cells are, from nextpnr's netlist."""

import json
from pathlib import Path

import pytest

from lgc.backend.family import FAMILIES
from lgc.backend.parse import PARTS
from lgc.backend.placement import read_placement


def netlist(path: Path, cells: dict[str, tuple[str, str]]) -> Path:
    entries = {
        name: {"type": kind, "attributes": {"NEXTPNR_BEL": bel} if bel else {}}
        for name, (kind, bel) in cells.items()
    }
    path.write_text(json.dumps({"modules": {"lgc_top": {"cells": entries}}}))
    return path


CELLS = {
    "fabric.network.lut_n0_LC": ("ICESTORM_LC", "X3/Y4/lc0"),
    "fabric.popcount.lut_p0_LC": ("ICESTORM_LC", "X3/Y4/lc1"),
    "fabric.argmax.carry_p7$CARRY": ("ICESTORM_LC", "X3/Y4/lc2"),
    "fabric.network.lut_n1_LC": ("ICESTORM_LC", "X12/Y1/lc7"),
    "encoder.rom.0.0_RAM": ("ICESTORM_RAM", "X8/Y3/ram"),
    "result__valid$sb_io": ("SB_IO", "X14/Y20/io1"),
    "unplaced": ("ICESTORM_LC", ""),
}


def test_cells_are_counted_by_tile_and_part(tmp_path: Path) -> None:
    found = read_placement(netlist(tmp_path / "cells.json", CELLS), FAMILIES["ice40"])
    assert found.parts == PARTS == ("encoder", "network", "readout", "argmax", "io")
    assert found.tiles == ((3, 4, 0, 1, 1, 1, 0), (8, 3, 1, 0, 0, 0, 0), (12, 1, 0, 1, 0, 0, 0))
    assert (found.width, found.height) == (15, 21)  # the pin counts for the extent


def test_the_routed_design_knows_the_size_of_the_device(tmp_path: Path) -> None:
    asc = tmp_path / "design.asc"
    asc.write_text(".device 8k\n.io_tile 1 0\n000\n.logic_tile 32 33\n010\n.ramb_tile 8 3\n")
    found = read_placement(netlist(tmp_path / "cells.json", CELLS), FAMILIES["ice40"], asc)
    assert (found.width, found.height) == (33, 34)


def test_other_families_spell_bels_otherwise(tmp_path: Path) -> None:
    gowin = netlist(tmp_path / "cells.json", {"fabric.network.lut_n0": ("LUT4", "X5Y17/LUT3")})
    assert read_placement(gowin, FAMILIES["gowin"]).tiles == ((5, 17, 0, 1, 0, 0, 0),)


def test_pads_are_where_the_nets_of_ports_lead(tmp_path: Path) -> None:
    cells = {
        "clk$pad": ("IBUF", "X0Y2/IOBA", {"I": [7], "O": [8]}),
        "q_1$pad": ("OBUF", "X3Y0/IOBB", {"I": [9], "O": [11]}),
        "lut": ("LUT4", "X5Y17/LUT3", {"I0": [8], "F": [9]}),
    }
    entries = {
        name: {"type": kind, "attributes": {"NEXTPNR_BEL": bel}, "connections": nets}
        for name, (kind, bel, nets) in cells.items()
    }
    ports = {"clk": {"bits": [7]}, "q": {"bits": [10, 11]}}  # nothing drives the lower bit
    (tmp_path / "cells.json").write_text(json.dumps({"modules": {"top": {"cells": entries, "ports": ports}}}))
    found = read_placement(tmp_path / "cells.json", FAMILIES["gowin"])
    assert found.pads == {"clk": "X0Y2/IOBA", "q[1]": "X3Y0/IOBB"}


@pytest.mark.parametrize("text", ["{}", "not json", '{"modules": {"top": {"cells": {}}}}'])
def test_what_says_nothing_of_places_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cells.json").write_text(text)
    with pytest.raises((ValueError, KeyError)):
        read_placement(tmp_path / "cells.json", FAMILIES["ice40"])
