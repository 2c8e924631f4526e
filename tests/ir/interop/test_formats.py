"""Golden texts of each format, and what each does with its corners."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from lgc.errors import LgcError
from lgc.ir.interop import aiger, arrays, blif, c, verilog
from lgc.ir.netlist import Netlist
from lgc.ir.readout import Readout
from lgc.ir.text import dump, parse

from ..netlists import netlists, random_netlist
from ..test_text import assert_same

NET = parse(
    """\
netlist k=3 inputs=3
%5 = lut 0xe %2 %3
%6 = lut 0x96 %4 %5 %2
%7 = lut 0xca %4 %5 %6
%8 = lut 0x1 %7
output %8 %1
class 0 = 1 + %5 - %6
class 1 = 0 + 2 * %4
"""
)
BLIF = """\
# lgc readout outputs=2 entries=3 classes=2
# lgc bias 1 0
# lgc count 2 1
# lgc weight 1 -1 2
.model lgc
.inputs x[0] x[1] x[2]
.outputs y[0] y[1] y[2] y[3] y[4]
.names x[0] x[1] n5
00 0
.names x[2] n5 x[0] n6
100 1
010 1
001 1
111 1
.names x[2] n5 n6 n7
1-0 1
-11 1
.names n7 n8
0 1
.names n8 y[0]
1 1
.names y[1]
1
.names n5 y[2]
1 1
.names n6 y[3]
1 1
.names x[2] y[4]
1 1
.end
"""
GATES = """\
// lgc readout outputs=2 entries=3 classes=2
// lgc bias 1 0
// lgc count 2 1
// lgc weight 1 -1 2
module lgc (input wire [2:0] x, output wire [4:0] y);
  wire n5 = x[0] | x[1];
  wire n6 = x[2] ^ (n5 ^ x[0]);
  wire n7 = n6 ? n5 : x[2];
  wire n8 = ~n7;
  assign y[0] = n8;
  assign y[1] = 1'b1;
  assign y[2] = n5;
  assign y[3] = n6;
  assign y[4] = x[2];
endmodule
"""
LUT = "  wire n7;\n  LUT3 #(.INIT(8'hca)) lut_n7 (.I0(x[2]), .I1(n5), .I2(n6), .O(n7));\n"


def test_golden_blif() -> None:
    assert blif.dump(NET).decode() == BLIF


def test_golden_verilog() -> None:
    assert verilog.dump(NET).decode() == GATES
    assert LUT in verilog.dump(NET, style="lut").decode()
    assert verilog.dump(NET, name="top").decode() == GATES.replace("module lgc", "module top")
    with pytest.raises(LgcError, match="^'1a' is no name for a Verilog module"):
        verilog.dump(NET, name="1a")


def test_golden_aiger() -> None:
    net = parse("netlist k=2 inputs=2\n%4 = lut 0x6 %2 %3\n%5 = lut 0xe %2 %4\noutput %4 %5\n")
    symbols = "i0 x[0]\ni1 x[1]\no0 y[0]\no1 y[1]\nc\n"
    assert (
        aiger.dump(net, binary=False).decode()
        == "aag 6 2 0 2 4\n2\n4\n11\n13\n6 5 2\n8 4 3\n10 9 7\n12 10 3\n" + symbols
    )
    assert aiger.dump(net) == b"aig 6 2 0 2 4\n11\n13\n\x01\x03\x04\x01\x01\x02\x02\x07" + symbols.encode()


def test_inverted_aiger_outputs_are_stored_inverted() -> None:
    net = aiger.parse(b"aag 3 2 0 2 1\n2\n4\n7\n7\n6 5 3\n")
    assert dump(net) == "netlist k=2 inputs=2\n%4 = lut 0xe %3 %2\noutput %4 %4\n"
    both = aiger.parse(b"aag 3 2 0 2 1\n2\n4\n7\n6\n6 5 3\n")
    assert dump(both) == "netlist k=2 inputs=2\n%4 = lut 0x1 %3 %2\n%5 = lut 0x1 %4\noutput %5 %4\n"


@given(net=netlists())
def test_gates_are_those_of_the_aiger_file(net: Netlist) -> None:
    assert_same(aiger.as_gates(net), aiger.parse(aiger.dump(net)))


def test_blif_covers() -> None:
    text = """\
# a comment
.model m
.inputs a b \\
  c
.outputs p q r s
.names p q # the order is free
0 1
.names a b c p
1-1 1
01- 1
.names r
 1
.names s
.end
"""
    net = blif.parse(text.encode())
    assert dump(net) == "netlist k=3 inputs=3\n%5 = lut 0xe4 %2 %3 %4\n%6 = lut 0x1 %5\noutput %5 %6 %1 %0\n"


def test_wide_gates_and_expressions_become_luts() -> None:
    text = """\
module m (a, y, z);
  input [8:0] a;
  output [1:0] y;
  output z;
  wire [0:1] w; // counts upwards
  nand (y[0], a[0], a[1], a[2], a[3], a[4], a[5], a[6]), g2 (q);
endmodule
"""
    with pytest.raises(LgcError, match="^Line 6: "):
        verilog.parse(text.encode())
    text = text.replace(", g2 (q)", "").replace(
        "endmodule",
        """\
  assign w = {a[8], a[7]}, z = 1'b0;
endmodule""",
    )
    with pytest.raises(LgcError, match="^Line 7: ',' is not read here"):
        verilog.parse(text.encode())
    text = text.replace(", z = 1'b0", "").replace(
        "endmodule",
        """\
  not n (y[1], w[0]);
  assign z = &{a[0]} ? w[1] : (a[0] ^ a[1] ^ a[2] ^ a[3] ^ a[4] ^ a[5] ^ a[6] ^ a[7]);
endmodule""",
    )
    with pytest.raises(LgcError, match="^Line 9: expected an operand, found '&'"):
        verilog.parse(text.encode())
    net = verilog.parse(text.replace("&{", "{").encode())
    bits = (np.arange(512)[:, None] >> np.arange(9) & 1).astype(bool)
    from lgc.ir.simulate import outputs

    found = outputs(net, bits)
    assert np.array_equal(found[:, 0], ~bits[:, :7].all(axis=1))
    assert np.array_equal(found[:, 1], ~bits[:, 8])
    assert np.array_equal(found[:, 2], np.where(bits[:, 0], bits[:, 7], bits[:, :8].sum(axis=1) % 2 == 1))


def test_escaped_names_and_comments() -> None:
    text = """\
/* a ; b */
(* top = 1 *)
module \\m;x (\\a//b , y); // module
  input \\a//b ;
  output y;
  wire \\assign ;
  assign \\assign  = ~\\a//b ;
  assign y = \\assign ;
endmodule
"""
    net = verilog.parse(text.encode())
    assert dump(net) == "netlist k=1 inputs=1\n%3 = lut 0x1 %2\noutput %3\n"


def test_arrays_keep_everything(tmp_path: Path) -> None:
    for seed in range(12):
        net = random_netlist(seed, k=seed % 6 + 1, luts=seed * 3)
        net = replace(
            net, stage=np.arange(net.luts, dtype=np.uint16), origin=np.arange(net.luts, dtype=np.int32) - 1
        )
        arrays.save(tmp_path / "net.npz", net)
        assert_same(arrays.load(tmp_path / "net.npz"), net)
    with np.load(tmp_path / "net.npz", allow_pickle=False) as members:
        assert members["fanin"].shape == (33, 6)


def save(**changes: np.ndarray | None) -> io.BytesIO:
    """A container of `NET` with members replaced or left out."""
    members = {
        "version": np.array(1),
        "inputs": np.array(3),
        "fanin": NET.fanin,
        "table": NET.table,
        "outputs": NET.outputs,
    }
    stream = io.BytesIO()
    np.savez(stream, **{k: v for k, v in (members | changes).items() if v is not None})
    return stream


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": np.array(2)}, "The array container is of version 2, this lgc reads version 1. Use a newer lgc."),
        ({"fanin": None}, "The array container has no member 'fanin'."),
        ({"extra": np.zeros(3)}, "The array container has the unknown member 'extra'."),
        ({"fanin": NET.fanin.astype(np.int64)}, "Member 'fanin' of the array container must be of type i4 and have 2"),
        ({"fanin": NET.fanin[0]}, "Member 'fanin' of the array container must be of type i4 and have 2 dimensions."),
        ({"fanin": np.array([["a"]], object)}, "Member 'fanin' of the array container must be of type i4"),
        ({"fanin": np.zeros((4, 7), np.int32)}, "The array container's LUTs have 7 inputs; k is 1 to 6."),
        ({"table": NET.table.astype(np.uint16)}, "Tables of 3-input LUTs are uint8, the array container has uint16."),
        ({"inputs": np.array(-1)}, "The array container claims -1 inputs, expected 0 to"),
        ({"table": NET.table[:2]}, "table must be uint8[4] for 4 LUTs of 3 inputs, not uint8[2]."),
        ({"bias": np.zeros(2, np.int64)}, "The array container has 'bias' but no complete readout."),
        ({"fanin": NET.fanin + 9}, "LUT %5 reads signal %11 on pin 0"),
    ],
)  # fmt: skip
def test_arrays_that_are_wrong(changes: dict[str, np.ndarray | None], message: str) -> None:
    with pytest.raises(LgcError) as caught:
        arrays.load(save(**changes))
    assert str(caught.value).startswith(message)


def test_compressed_arrays_are_refused() -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, version=np.array(1), inputs=np.array(3), fanin=NET.fanin, table=NET.table, outputs=NET.outputs)  # fmt: skip
    with pytest.raises(LgcError, match="^The array container is compressed or encrypted"):
        arrays.load(stream)


def test_scores_beyond_int32_are_refused_in_c() -> None:
    head = Readout(
        bias=np.array([1 << 31]),
        start=np.array([0, 0]),
        signal=np.empty(0, np.int32),
        weight=np.empty(0, np.int32),
    )
    net = Netlist(1, np.empty((0, 1), np.int32), np.empty(0, np.uint8), np.empty(0, np.int32), head)
    with pytest.raises(LgcError, match="^A score of the readout could leave the range of int32"):
        c.dump(net)
