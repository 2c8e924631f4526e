"""What readers say of files that are wrong: the whole message, with the line and the signal."""

import pytest

from lgc.errors import LgcError
from lgc.ir.interop import aiger, blif, verilog

BLIF = ".model m\n.inputs a b\n.outputs y\n"

VERILOG = "module m (a, b, y);\n input a, b;\n output y;\n wire [1:0] w;\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('', 'Line 1: the file ends without .end; it was cut short.'),
        (BLIF + '.names a c y\n11 1\n.names b y c\n11 1\n.end\n', 'Line 4: y is part of a cycle: y -> c -> y.'),
        (BLIF + '.names a z y\n11 1\n.end', 'Line 4: y reads z, which nothing drives.'),
        (BLIF + '.names a y\n1 1\n.names b y\n1 1\n.end', 'Line 6: y is driven twice, first in line 4.'),
        (BLIF + '.names a b y\n1 1\n.end', "Line 5: the cover of y has the row '1 1', expected 2 of 0, 1, - and then 0 or 1."),
        (BLIF + '.names a b y\n11 1\n00 0\n.end', 'Line 6: the cover of y mixes rows for 0 and for 1.'),
        (BLIF + '.names a b y\n11 1\n', 'Line 6: the file ends without .end; it was cut short.'),
        (BLIF + '.latch a y re c 0\n.end', 'Line 4: .latch is not read. A netlist is combinational: cut the registers out first.'),
        (BLIF + '.names a b c d e f g y\n.end', "Line 4: y has 7 inputs, a LUT has at most 6. Map the network first, with ABC's 'if -K 6' for instance."),
        (BLIF + '.end', 'Line 3: nothing drives the output y.'),
        (BLIF + '.names b a\n1 1\n.end', 'Line 4: a is an input and cannot be driven.'),
        (BLIF + '.inputs a\n.end', 'Line 4: a is an input already, by line 2.'),
        (BLIF + '.names a y\n1 1\n.end\n.model k\n.end', 'Line 7: .model after .end; only files of one model are read.'),
        (BLIF + '11 1\n', "Line 4: expected a command such as .names, found '11 1'."),
        (BLIF + '.names\n', 'Line 4: .names needs the name of a signal.'),
        (BLIF + '.subckt foo\n', "Line 4: .subckt is not read. Flatten the design to .names first, with ABC's 'strash; if -K 6' for instance."),
        (BLIF + '.foo\n', 'Line 4: .foo is not read. lgc knows .model, .inputs, .outputs, .names and .end.'),
        ('.model m\n.outputs y\n.names n1 n0\n1 1\n.names n2 n1\n1 1\n.names n3 n2\n1 1\n.names n4 n3\n1 1\n.names n5 n4\n1 1\n.names n6 n5\n1 1\n.names n7 n6\n1 1\n.names n8 n7\n1 1\n.names n9 n8\n1 1\n.names n10 n9\n1 1\n.names n11 n10\n1 1\n.names n12 n11\n1 1\n.names n13 n12\n1 1\n.names n14 n13\n1 1\n.names n15 n14\n1 1\n.names n16 n15\n1 1\n.names n17 n16\n1 1\n.names n18 n17\n1 1\n.names n19 n18\n1 1\n.names n20 n19\n1 1\n.names n0 n20\n1 1\n.names n0 y\n1 1\n.end\n', 'Line 3: n0 is part of a cycle: n0 -> n20 -> n19 -> n18 -> n17 -> n16 -> n15 -> (14 more) -> n0.'),
    ],
)  # fmt: skip
def test_blif(text: str, message: str) -> None:
    with pytest.raises(LgcError) as caught:
        blif.parse(text.encode("latin-1"))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('aig', "Line 1: an AIGER file starts with 'aag M I L O A' or 'aig M I L O A'."),
        ('aag 3 2 0 1 1\n2\n4\n6\n6 6 2\n', 'Line 5: variable 3 is part of a cycle: variable 3 -> variable 3.'),
        ('aag 3 2 0 1 1\n2\n4\n6\n6 4 9\n', "Line 5: expected 3 literals from 0 to 7, found '6 4 9'."),
        ('aag 3 2 0 1 1\n2\n4\n6\n4 2 2\n', 'Line 5: variable 2 is an input and cannot be driven.'),
        ('aag 3 2 0 1 1\n2\n2\n6\n6 4 2\n', 'Line 2: 2 is an input already.'),
        ('aag 3 2 0 1 1\n2\n5\n6\n6 4 2\n', 'Line 3: 5 is no input; expected an even literal from 2 on.'),
        ('aag 4 2 0 1 1\n2\n4\n8\n6 4 2\n', 'Line 4: nothing drives the output variable 4.'),
        ('aag 4 2 0 1 1\n2\n4\n6\n6 8 2\n', 'Line 5: variable 3 reads variable 4, which nothing drives.'),
        ('aag 3 2 1 1 1\n2\n4\n6\n6 4 2\n', 'Line 1: the AIGER file has latches, properties or constraints. A netlist is combinational: cut the registers out first.'),
        ('aig 3 2 0 1 1\n6\n\x02', 'AND 0 of 1 (variable 3) is cut short or reads a variable not before it.'),
        ('aig 3 2 0 1 1\n6\n\x00\x02', 'AND 0 of 1 (variable 3) is cut short or reads a variable not before it.'),
        ('aig 4 2 0 1 1\n6\n\x02\x02', 'Line 1: binary AIGER numbers variables without gaps, up to 3.'),
        ('aag 4 2 0 1 2\n2\n4\n6\n6 8 2\n8 6 4\n', 'Line 5: variable 3 is part of a cycle: variable 3 -> variable 4 -> variable 3.'),
        ('aag 3 2 0 1 1\n2\n4\n6\n6 4 2\nfoo\n', "Line 6: expected a symbol such as 'i0 name', or 'c', found 'foo'."),
        ('aig 3 2 0 1 1\n9\n\x02\x02', "Line 2: expected 1 literal from 0 to 7, found '9'."),
    ],
)  # fmt: skip
def test_aiger(text: str, message: str) -> None:
    with pytest.raises(LgcError) as caught:
        aiger.parse(text.encode("latin-1"))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('', 'Line 1: the file ends before endmodule; it was cut short.'),
        (VERILOG + ' assign y = a &;\nendmodule', "Line 5: expected an operand, found 'the end'."),
        (VERILOG + ' assign y = c;\nendmodule', 'Line 5: c is not declared.'),
        (VERILOG + ' assign y = w[2];\nendmodule', 'Line 5: w has no bit 2.'),
        (VERILOG + ' assign y = w[0];\nendmodule', 'Line 5: y reads w[0], which nothing drives.'),
        (VERILOG + ' assign y = a;\n assign y = b;\nendmodule', 'Line 6: y is driven twice, first in line 5.'),
        (VERILOG + ' assign w = {w[0], a & w[1]};\n assign y=w[0];\nendmodule', 'Line 5: w[0] is part of a cycle: w[0] -> w[1] -> w[0].'),
        (VERILOG + ' assign a = b;\nendmodule', 'Line 5: a is an input and cannot be driven.'),
        (VERILOG + ' always @(posedge a) y = b;\nendmodule', "Line 5: 'always @(posedge a) y = b' is not read; expected a structural netlist."),
        (VERILOG + ' reg q;\nendmodule', "Line 5: 'reg q' is not read; expected a structural netlist."),
        (VERILOG + ' assign y = a', 'Line 5: the file ends before endmodule; it was cut short.'),
        (VERILOG + ' assign y = a;\n', 'Line 6: the file ends before endmodule; it was cut short.'),
        (VERILOG + ' assign y = w;\nendmodule', 'Line 5: 2 bits are assigned to 1; the widths must be equal.'),
        (VERILOG + ' DFF f (.D(a), .Q(y));\nendmodule', 'Line 5: the cell DFF is not read; map to gates or LUTs and flatten first.'),
        (VERILOG + " LUT2 #(.INIT(8'hff)) f (.I0(a), .I1(b), .O(y));\nendmodule", "Line 5: LUT2 of 2 inputs has the table 8'hff, which is too wide."),
        (VERILOG + " LUT2 #(.INIT(4'h8)) f (.I0(a), .O(y));\nendmodule", 'Line 5: port I1 of LUT2 is not connected.'),
        (VERILOG + ' LUT2 f (.I0(a), .I1(b), .O(y));\nendmodule', 'Line 5: LUT2 has no parameter INIT.'),
        (VERILOG + " assign y = 1'bx;\nendmodule", 'Line 5: "1\'bx" is no constant of 0 and 1.'),
        (VERILOG + ' assign y = a + b;\nendmodule', "Line 5: '+' is not read here."),
        (VERILOG + '/* foo', 'Line 5: /* is not closed; the file was cut short.'),
        (VERILOG + ' assign y = a;\nendmodule\nmodule k(); endmodule', 'Line 6: k is a second module; flatten the design first.'),
        (VERILOG + '`include "x"\nendmodule', 'Line 5: a string is not read.'),
        (VERILOG + ' and g (y, a, w);\nendmodule', 'Line 5: the gate and needs an output and inputs of one bit each.'),
        ('module m (a, y); input a; output y; output z; assign y=a; endmodule', 'Line 1: the ports of the module and their declarations differ.'),
        ('module m (a, y); input a; assign y=a; endmodule', 'Line 1: y is not declared.'),
        (VERILOG + ' assign \\x+y  = a;\nendmodule', 'Line 5: x+y is not declared.'),
        (VERILOG + ' wire a = b;\nendmodule', 'Line 5: a is an input and cannot be driven.'),
        (VERILOG + ' bufif0 (y,a,b);\nendmodule', "Line 5: the connections of bufif0 are not read at 'y,a,b'."),
    ],
)  # fmt: skip
def test_verilog(text: str, message: str) -> None:
    with pytest.raises(LgcError) as caught:
        verilog.parse(text.encode("latin-1"))
    assert str(caught.value) == message
