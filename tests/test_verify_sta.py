"""Delays read from SDF and added up along paths, on a netlist small enough to do it by hand."""

from pathlib import Path

import pytest

from lgc.backend import tools
from lgc.errors import LgcError
from lgc.verification import sta, timing

from .needs import needs

SDF = """\
(DELAYFILE
  (TIMESCALE 1ps)
  (CELL
    (CELLTYPE "top")
    (INSTANCE )
        (INTERCONNECT a\\$x/O g\\/1/I0 (1:2:30) (3:4:5))
        (INTERCONNECT g\\/1/O b/I1 (200:200:200) (200:200:200))
        (INTERCONNECT pad/I a\\$x/I0 (7:7:7) (7:7:7))
  (CELL
    (INSTANCE a\\$x)
        (IOPATH CLK O (540:540:540) (500:500:500))
      (SETUPHOLD (posedge I0) (posedge CLK) (90:90:90) (0:0:0))
  (CELL
    (INSTANCE g\\/1)
        (IOPATH I0 O (400:400:400) (300:300:300))
  (CELL
    (INSTANCE b)
        (IOPATH CLK O (540:540:540) (540:540:540))
      (SETUPHOLD (negedge I1) (posedge CLK) (50:50:50) (0:0:0))
      (SETUPHOLD (posedge I1) (posedge CLK) (60:60:60) (0:0:0))
"""


def cell(kind: str, inputs: dict[str, list[int]], out: int) -> dict[str, object]:
    ways = dict.fromkeys(inputs, "input") | {"O": "output"}
    return {"type": kind, "port_directions": ways, "connections": inputs | {"O": [out]}, "parameters": {}}


def module() -> dict[str, object]:
    cells = {
        "pad": cell("PAD", {"I": [1]}, 2),
        "a$x": cell("FF", {"CLK": [9], "I0": [2]}, 3),
        "g/1": cell("LUT", {"I0": [3], "I1": []}, 4),
        "b": cell("FF", {"CLK": [9], "I1": [4]}, 5),
    }
    return {"cells": cells, "ports": {}}


def test_paths_between_registers_and_from_pins() -> None:
    found = sta.Paths(module(), sta.read_sdf(SDF), {"pad": ("I", "O")})
    assert found.delays.wire["a$x", "I0"] == 7
    assert found.longest() == 540 + 30 + 400 + 200 + 60
    from_pin = found.forward({1: 0.0}, max)
    assert from_pin[2] == 0
    assert "a$x" not in {node[0] for node in found.forward({3: 0.0}, max) if isinstance(node, tuple)}
    to_end = found.backward({("b", "I1"): 60.0}, min)
    assert to_end[3] == 30 + 400 + 200 + 60
    assert 1 not in to_end


def test_damaged_delays_and_loops_are_named() -> None:
    with pytest.raises(LgcError, match="are not in picoseconds"):
        sta.read_sdf(SDF.replace("1ps", "1ns"))
    with pytest.raises(LgcError, match="has no delays"):
        sta.read_sdf("(TIMESCALE 1ps)")
    looped = module()
    looped["cells"]["g/1"]["connections"]["O"] = [3]  # type: ignore[index]
    with pytest.raises(LgcError, match="combinational loop"):
        sta.Paths(looped, sta.read_sdf(SDF), {}).longest()


@needs("iverilog", "vvp")
def test_what_is_shorter_than_a_wire_gets_through_it(tmp_path: Path) -> None:
    """A level that lasts a clock, on a wire that takes longer than one."""
    bench = """`timescale 1ps / 1ps
module bench;
  reg i = 1;
  wire o;
  lgc_wire #(10) w (.I(i), .O(o));
  always @(o) $display("%0d %b", $time, o);
  initial begin
    #50 i = 0;
    #3 i = 1;
    #50 $finish;
  end
endmodule
"""
    (tmp_path / "bench.v").write_text(bench + timing._WIRE)
    log = tmp_path / "log"
    compiler, simulator = (tools.find(name) for name in ("iverilog", "vvp"))
    tools.run(compiler, ["-g2012", "-o", "bench", "bench.v"], cwd=tmp_path, log=log, timeout_s=60)
    tools.run(simulator, ["-n", "bench"], cwd=tmp_path, log=log, timeout_s=60)
    assert log.read_text().split("\n")[:3] == ["10 1", "60 0", "63 1"]
