"""The fabric's Verilog text: against the simulator of `ir`, and as text."""

import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgc.backend.fabric import CHUNK, FabricText, fabric_text
from lgc.backend.lut4 import CELLS
from lgc.errors import LgcError
from lgc.hw_tests.samples import random_fabric, staged
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import Netlist
from lgc.ir.passes.expand_argmax import add_argmax, every_play

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")

BENCH = """
module bench;
  reg clk = 0;
  reg [{bits}-1:0] vectors [0:{samples}-1];
  reg [{bits}-1:0] x = 0;
  integer n, wait_for;
{wires}
  lgc_fabric dut (.clk(clk){ports});
  always #5 clk = ~clk;
  initial begin
    $readmemb("vectors.txt", vectors);
    for (n = 0; n < {samples} + {extra}; n = n + 1) begin
      @(negedge clk);
      x = n < {samples} ? vectors[n] : 0;
      {hold}
      #1 $display("%b", {{{scores}}});
    end
    $finish;
  end
endmodule
"""


def tiny() -> Fabric:
    """Two LUTs of the network, one of the popcount, two stages; class 1 counts nothing."""
    fanin = np.array([[2, 3, 0, 0], [4, 5, 2, 0], [6, 7, 0, 0]], np.int32)
    table = np.array([0x6666, 0x8080, 0x8888], np.uint16)
    stage = np.array([0, 0, 1], np.uint16)
    return Fabric(Netlist(4, fanin, table, np.array([8, 7, 0, 1], np.int32), stage=stage), 2, 2, 0, 2)


def run_text(text: FabricText, bits: np.ndarray, out: Path, *, held: bool) -> np.ndarray:
    """Clock the fabric in Icarus: variable score bits, bool `[samples, bits]`, classes in order."""
    used = bits[:, text.inputs]
    width = used.shape[1]
    variable = [sum(not isinstance(bit, bool) for bit in score) for score in text.scores]
    wires = [f"  wire [{w - 1}:0] s{c};" for c, w in enumerate(variable) if w]
    ports = [f", .s{c}(s{c})" for c, w in enumerate(variable) if w]
    ports += [f", .x{n}(x[{min(width, (n + 1) * CHUNK) - 1}:{n * CHUNK}])" for n in range(-(-width // CHUNK))]
    shown = [f"s{c}" for c, w in reversed(list(enumerate(variable))) if w]
    if text.index_bits:
        wires.append(f"  wire [{text.index_bits - 1}:0] index;")
        ports.append(", .index(index)")
        shown.insert(0, "index")
    facts = {
        "bits": width,
        "samples": len(bits),
        "wires": "\n".join(wires),
        "ports": "".join(ports),
        "scores": ", ".join(shown),
        "extra": 0 if held else text.latency,
        "hold": f"repeat ({text.latency}) @(negedge clk);" if held else "",
    }
    (out / "bench.v").write_text(BENCH.format(**facts))
    (out / "fabric.v").write_text(text.verilog + CELLS)
    rows = ["".join("01"[int(bit)] for bit in row[::-1]) for row in used]
    (out / "vectors.txt").write_text("\n".join(rows) + "\n")
    build = ["iverilog", "-g2012", "-Wall", "-Wno-timescale", "-o", "bench.vvp", "bench.v", "fabric.v"]
    subprocess.run(build, cwd=out, check=True)
    lines = subprocess.run(["vvp", "bench.vvp"], cwd=out, check=True, capture_output=True, text=True).stdout
    shown_rows = lines.split()[0 if held else text.latency :]
    return np.array([[char == "1" for char in row[::-1]] for row in shown_rows])


def full_scores(text: FabricText, variable: np.ndarray) -> np.ndarray:
    """Numbers of all classes from the variable bits, int64 `[samples, classes]`."""
    columns = []
    start = 0
    for score in text.scores:
        value = np.zeros(len(variable), np.int64)
        for weight, bit in enumerate(score):
            value += (
                int(bit) if isinstance(bit, bool) else variable[:, start + bit].astype(np.int64)
            ) << weight
        start += sum(not isinstance(bit, bool) for bit in score)
        columns.append(value)
    return np.stack(columns, axis=1)


@needs_icarus
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    inputs=st.integers(1, 70),
    layers=st.lists(st.integers(3, 40), min_size=1, max_size=3),
    classes=st.integers(1, 3),
    per_stage=st.integers(0, 3),
    held=st.booleans(),
)
def test_random_fabrics_compute_the_scores(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    inputs: int,
    layers: list[int],
    classes: int,
    per_stage: int,
    held: bool,
) -> None:
    rng = np.random.default_rng(seed)
    fabric = random_fabric(rng, inputs=inputs, layers=tuple(layers), classes=classes)
    if per_stage:
        fabric = replace(fabric, netlist=staged(fabric.netlist, per_stage))
    text = fabric_text(fabric, held=held)
    bits = rng.random((40, inputs)) < 0.5
    got = full_scores(text, run_text(text, bits, tmp_path_factory.mktemp("fabric"), held=held))
    np.testing.assert_array_equal(got, fabric.scores(bits))


@needs_icarus
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    classes=st.integers(1, 7),
    group=st.integers(1, 30),
    per_stage=st.integers(0, 3),
    held=st.booleans(),
    play=st.data(),
)
def test_the_argmax_of_the_fabric(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    classes: int,
    group: int,
    per_stage: int,
    held: bool,
    play: st.DataObject,
) -> None:
    rng = np.random.default_rng(seed)
    fabric = random_fabric(rng, inputs=12, layers=(20, classes * group), classes=classes)
    if per_stage:
        fabric = replace(fabric, netlist=staged(fabric.netlist, per_stage))
    plays = [each for each in every_play(classes, 0, k=4, carry=True) if each.carry]
    full, _ = add_argmax(fabric, play=play.draw(st.sampled_from(plays)))
    text = fabric_text(full, held=held)
    assert text.verilog.count("lgc_carry carry_") == len(full.carries.carry)
    bits = rng.random((40, 12)) < 0.5
    # scores and class leave at different times, so every input stands still
    got = run_text(text, bits, tmp_path_factory.mktemp("argmax"), held=True)
    scores = fabric.scores(bits)
    np.testing.assert_array_equal(full_scores(text, got), scores)
    index = got[:, got.shape[1] - text.index_bits :].astype(np.int64) @ (1 << np.arange(text.index_bits))
    np.testing.assert_array_equal(index, scores.argmax(axis=1))


@needs_icarus
def test_a_sample_per_clock(tmp_path: Path) -> None:
    """Without held inputs, classes come `latency` clocks later, one per clock."""
    rng = np.random.default_rng(9)
    fabric = random_fabric(rng, inputs=12, layers=(20, 120), classes=6)
    fabric = replace(fabric, netlist=staged(fabric.netlist, 2))
    full, _ = add_argmax(fabric, carry=True)
    text = fabric_text(full)
    assert text.score_latency < text.latency
    bits = rng.random((60, 12)) < 0.5
    got = run_text(text, bits, tmp_path, held=False)
    index = got[:, got.shape[1] - 3 :].astype(np.int64) @ (1 << np.arange(3))
    np.testing.assert_array_equal(index, fabric.scores(bits).argmax(axis=1))


def test_pins_of_carries_and_their_neighbours() -> None:
    """What nextpnr needs to put a carry into its multiplexer's logic cell, and to let the last one out."""
    wide = random_fabric(np.random.default_rng(1), inputs=12, layers=(20, 80), classes=4)
    full, _ = add_argmax(wide, carry=True)
    text = fabric_text(full).verilog
    lines = {
        line.split(" (")[0].split()[-1]: line
        for line in text.splitlines()
        if " (.O" in line or " (.CO" in line
    }
    first, shared, last = full.netlist.first_lut + full.network_luts, 0, 0
    for carry, i0, i1, ci, beside in full.carries.rows():
        own = lines[f"carry_p{carry - first}"]
        below = f"p{ci - first}" if ci > 1 else f"1'b{ci}"
        assert own.endswith(f".I0(p{i0 - first}), .I1(p{i1 - first}), .CI({below}));")
        if beside >= 0:
            shared += 1
            lut = lines[f"lut_p{beside - first}"]
            assert f".I1(p{i0 - first}), .I2(p{i1 - first}), .I3(p{ci - first}));" in lut
        if carry not in full.carries.ci:
            last += 1
            assert sum(f".I3(p{carry - first}));" in line for line in lines.values()) == 1
    assert shared
    assert last


@needs_icarus
@pytest.mark.parametrize("held", [False, True])
def test_outputs_may_be_inputs_network_signals_or_constants(tmp_path: Path, held: bool) -> None:
    fabric = tiny()
    net = replace(fabric.netlist, outputs=np.array([8, 7, 0, 1, 2, 6], np.int32))
    fabric = replace(fabric, netlist=net, classes=3)
    text = fabric_text(fabric, held=held)
    bits = np.array([[n >> k & 1 for k in range(4)] for n in range(16)], np.bool_)
    got = full_scores(text, run_text(text, bits, tmp_path, held=held))
    np.testing.assert_array_equal(got, fabric.scores(bits))


def test_text_of_a_tiny_fabric() -> None:
    text = fabric_text(tiny())
    assert text.verilog == GOLDEN
    assert text.scores == ((0, 1), (False, True))
    assert text.inputs.tolist() == [0, 1, 2, 3]
    assert (text.latency, text.registers) == (1, (2, 0))


GOLDEN = """\
module lgc_network (
  input clk,
  input x_0, x_1, x_2, x_3,
  output n0_1, n1_1
);
  wire n0, n1;
  lgc_lut4 #(.LUT_INIT(16'h6666)) lut_n0 (.O(n0), .I0(x_0), .I1(x_1), .I2(1'b0), .I3(1'b0));
  lgc_lut4 #(.LUT_INIT(16'h8080)) lut_n1 (.O(n1), .I0(x_2), .I1(x_3), .I2(x_0), .I3(1'b0));
  wire [1:0] d1_0 = {n1, n0};
  reg [1:0] r1_0 = 0;
  always @(posedge clk) r1_0 <= d1_0;
  assign n0_1 = r1_0[0];
  assign n1_1 = r1_0[1];
endmodule

module lgc_popcount (
  input clk,
  input n0_1, n1_1,
  output p0
);
  lgc_lut4 #(.LUT_INIT(16'h8888)) lut_p0 (.O(p0), .I0(n0_1), .I1(n1_1), .I2(1'b0), .I3(1'b0));
endmodule

module lgc_fabric (
  input clk,
  input [3:0] x0,
  output [1:0] s0
);
  wire x_0 = x0[0];
  wire x_1 = x0[1];
  wire x_2 = x0[2];
  wire x_3 = x0[3];
  wire n0_1, n1_1;
  wire p0;
  lgc_network network (.clk(clk), .x_0(x_0), .x_1(x_1), .x_2(x_2), .x_3(x_3), .n0_1(n0_1), .n1_1(n1_1));
  lgc_popcount popcount (.clk(clk), .n0_1(n0_1), .n1_1(n1_1), .p0(p0));
  assign s0 = {n1_1, p0};
endmodule

"""


def test_equal_fabrics_give_equal_text() -> None:
    first, second = (
        random_fabric(np.random.default_rng(3), inputs=30, layers=(50, 50), classes=3) for _ in range(2)
    )
    assert fabric_text(first).verilog == fabric_text(second).verilog


def test_held_inputs_save_registers() -> None:
    fabric = random_fabric(np.random.default_rng(4), inputs=30, layers=(50, 50, 50), classes=3)
    fabric = replace(fabric, netlist=staged(fabric.netlist, 1))
    balanced, held = (sum(fabric_text(fabric, held=h).registers) for h in (False, True))
    assert held <= fabric.netlist.luts < balanced


def test_a_hundred_thousand_luts_take_seconds() -> None:
    luts = 100_000
    rng = np.random.default_rng(0)
    fanin = rng.integers(2, 1002 + np.arange(luts)[:, None], (luts, 4)).astype(np.int32)
    table = rng.integers(1, 0xFFFF, luts).astype(np.uint16)
    net = Netlist(1000, fanin, table, np.arange(1002 + luts - 8, 1002 + luts, dtype=np.int32))
    start = time.process_time()
    text = fabric_text(Fabric(net, 2, 4, 0, luts))
    assert time.process_time() - start < 10
    assert text.verilog.count("lgc_lut4 #(") == luts


def test_wide_luts_are_refused() -> None:
    net = Netlist(
        6, np.array([[2, 3, 4, 5, 6, 7]], np.int32), np.array([1], np.uint64), np.array([8], np.int32)
    )
    with pytest.raises(LgcError, match=r"^The fabric has LUTs of 6 inputs, the backend builds 4\. Map it"):
        fabric_text(Fabric(net, 1, 1, 0, 1))


def test_missing_score_bits_are_refused() -> None:
    with pytest.raises(LgcError, match=r"^The fabric has 4 outputs, expected 2 classes of 3 bits\.$"):
        fabric_text(replace(tiny(), score_width=3))
