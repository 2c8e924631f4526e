"""Every family's LUT cells: what `lgc_lut4` becomes has the table it was given, in the vendor's models."""

from pathlib import Path

import pytest

from lgc.backend import tools
from lgc.backend.family import FAMILIES
from lgc.errors import ToolMissingError

LIBRARIES = {
    "ecp5": "+/lattice/cells_sim_ecp5.v",
    "gowin": "+/gowin/cells_sim.v",
    "nexus": "+/lattice/cells_sim_nexus.v",
    "machxo2": "+/lattice/cells_sim_xo2.v",
    "cyclone4": "+/intel/cycloneive/cells_sim.v",
    "cyclone5": "-D cyclonev +/intel_alm/common/alm_sim.v",
}

DESIGN = """\
(* blackbox *)
module lgc_lut4 #(parameter [15:0] LUT_INIT = 16'h0) (output O, input I0, input I1, input I2, input I3);
endmodule
(* blackbox *)
module lgc_carry (output CO, input I0, input I1, input CI);
endmodule
module top (input [3:0] a, output ok);
  wire y;
  wire [15:0] table = 16'h1d5a;
  lgc_lut4 #(.LUT_INIT(16'h1d5a)) lut (.O(y), .I0(a[0]), .I1(a[1]), .I2(a[2]), .I3(a[3]));
  assign ok = y == table[a];
endmodule
"""

SCRIPT = """\
read_verilog design.v
{fabric}
read_verilog -overwrite {library}
hierarchy -top top
proc
flatten
opt -full
sat -verify -prove ok 1 top
tee -o proved.txt stat
"""


def test_every_family_of_our_own_cells_is_tried() -> None:
    """But iCE40, whose SB_LUT4 has the ports of `lgc_lut4` and which `lgc verify` simulates at gate level."""
    ours = {name for name, family in FAMILIES.items() if not family.own_cells}
    assert set(LIBRARIES) == ours - {"ice40"}


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_tables_and_pins_are_those_of_lgc(name: str, tmp_path: Path) -> None:
    """One table, asymmetric in all pins, proved by SAT."""
    try:
        yosys = tools.find("yosys")
    except ToolMissingError:
        pytest.skip("Yosys is not installed")
    family = FAMILIES[name]
    (tmp_path / "design.v").write_text(DESIGN)
    (tmp_path / "cells_map.v").write_text(family.maps)
    (tmp_path / "run.ys").write_text(SCRIPT.format(fabric=family.fabric, library=LIBRARIES[name]))
    args = ["-q", "-l", "run.log", "-s", "run.ys"]
    tools.run(yosys, args, cwd=tmp_path, log=tmp_path / "out.log", timeout_s=120)
    assert (tmp_path / "proved.txt").is_file()  # the script went on after the proof
    assert "no model found: SUCCESS!" in (tmp_path / "run.log").read_text()
