"""Readers of damaged files: a well-formed netlist or an `LgcError`, in little time and memory."""

import contextlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError
from lgc.ir import verify
from lgc.ir.interop import aiger, arrays, blif, verilog

from ..netlists import random_netlist
from .formats import FORMATS, Format

EXAMPLES = {
    name: [form.dump(random_netlist(seed, k=seed + 1, luts=6, inputs=3)) for seed in range(6)]
    for name, form in FORMATS.items()
}
WORDS = {
    "text": ["netlist k=2 inputs=2\n", "%4 = lut 0x8 %2 %3\n", "output %4\n", "class 0 = 1 + %4\n", " stage=1", "%"],
    "arrays": ["PK", "fanin.npy"],
    "blif": [".model m\n", ".inputs a b\n", ".outputs y\n", ".names a b y\n", "11 1\n", ".end\n", "\\\n", "#", ".latch a b\n"],
    "aig": ["aig 3 2 0 1 1\n", "6\n", "\x02\x02", "c\n", "i0 x\n"],
    "aag": ["aag 3 2 0 1 1\n", "2\n4\n6\n", "6 4 2\n", "c\n", "i0 x\n"],
    "gates": [
        "module m (a, y);\n", "input [1:0] a;\n", "output y;\n", "assign y = ", "a[0]", " & ", " ? ", " : ", "(", ")", "{", "}",
        "~", "4'h8 >> ", ";\n", "endmodule\n", "\\x ", "and (y, a[0], a[1]);\n", "/*", "//", "(*", ",", "[",
    ],
    "lut": ["LUT2 #(.INIT(4'h8)) u (.I0(a), .I1(a), .O(y));\n", "module m (input a, output y);\n", "endmodule\n", "$lut ", "#("],
}  # fmt: skip


def reads_or_refuses(form: Format, data: bytes) -> None:
    try:
        net = form.parse(data)
    except LgcError:
        return
    verify.check(net)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.binary(max_size=200))
def test_any_bytes(name: str, data: bytes) -> None:
    reads_or_refuses(FORMATS[name], data)


@pytest.mark.parametrize("name", FORMATS)
@given(draw=st.data())
def test_any_sequence_of_the_formats_own_words(name: str, draw: st.DataObject) -> None:
    words = draw.draw(st.lists(st.sampled_from(WORDS[name]), max_size=30))
    reads_or_refuses(FORMATS[name], "".join(words).encode("latin-1"))


@pytest.mark.parametrize("name", FORMATS)
@given(which=st.integers(0, 5), seed=st.integers(0, 2**32))
def test_damaged_files(name: str, which: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(EXAMPLES[name][which])
    for _ in range(rng.integers(1, 5)):
        at, kind = int(rng.integers(len(data))), rng.integers(4)
        if kind == 0:
            data[at] = rng.integers(256)
        elif kind == 1:
            data[at] = data[int(rng.integers(len(data)))]
        elif kind == 2:
            del data[at : at + int(rng.integers(1, 20))]
        else:
            start = int(rng.integers(len(data)))
            data[at:at] = data[start : start + int(rng.integers(1, 40))]
        data = data or bytearray(b"x")
    reads_or_refuses(FORMATS[name], bytes(data))


@pytest.mark.parametrize("name", FORMATS)
def test_files_cut_short_are_refused_or_lose_only_their_end(name: str) -> None:
    for data in EXAMPLES[name]:
        for at in range(0, len(data), 7):
            reads_or_refuses(FORMATS[name], data[:at])


BOMBS = {
    "aig ands": (aiger.parse, b"aig 1000000001 1 0 1 1000000000\n2\n"),
    "aig inputs": (aiger.parse, b"aig 1000000000 1000000000 0 0 0\n"),
    "aag variables": (aiger.parse, b"aag 1000000000 1 0 1 0\n2\n2\n"),
    "aag outputs": (aiger.parse, b"aag 5 1 0 999999999 0\n2\n2\n"),
    "readout": (aiger.parse, b"aag 1 1 0 1 0\n2\n2\nc\nlgc readout outputs=0 entries=1 classes=9\nlgc bias 0*999999999\n"),
    "verilog wire": (verilog.parse, b"module m(y); output y; wire [999999999:0] a; endmodule"),
    "verilog concatenation": (verilog.parse, b"module m(a, y); input a; output y; assign y = {999999999{a}}; endmodule"),
    "verilog constant": (verilog.parse, b"module m(y); output y; assign y = 999999999'h0; endmodule"),
    "verilog nesting": (verilog.parse, b"module m(y); output y; assign y = " + b"(" * 100_000 + b"; endmodule"),
    "verilog not": (verilog.parse, b"module m(y); output y; assign y = " + b"!" * 100_000 + b"; endmodule"),
    "blif inputs": (blif.parse, b".model m\n.outputs y\n.names" + b" a" * 50_000 + b" y\n.end\n"),
    "text inputs": (FORMATS["text"].parse, b"netlist k=2 inputs=999999999\n%1000000001 = lut 0x8 %2 stage=1\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_sizes_that_are_only_claimed_take_no_memory(name: str) -> None:
    parse, data = BOMBS[name]
    tracemalloc.start()
    try:
        with contextlib.suppress(LgcError):  # the unused variables of `aag variables` are fine
            parse(data)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_arrays_that_claim_more_than_the_file_holds() -> None:
    data = FORMATS["arrays"].dump(random_netlist(0))
    fanin = b"'shape': (25, 3), }"
    assert fanin in data
    for claim in (b"(999999999, 3), }", b"(25, 9999999), }", b"(-1, 3), }"):
        bomb = data.replace(fanin, b"'shape': " + claim.rjust(len(fanin) - 9)[: len(fanin) - 9])
        tracemalloc.start()
        try:
            with pytest.raises(LgcError):
                FORMATS["arrays"].parse(bomb)
            assert tracemalloc.get_traced_memory()[1] < 50e6
        finally:
            tracemalloc.stop()
    assert arrays.VERSION == 1


N = 100_000
MODULE = b"module m (a, y); input a; output y;"
LONG = {
    "parentheses": (verilog.parse, MODULE + b"x #(" + b")(" * N + b";endmodule"),
    "name": (verilog.parse, MODULE + b"\\" + b"q" * N),
    "module": (verilog.parse, b"module " + b"a" * N + b" " * N + b"("),
    "spaces": (verilog.parse, MODULE + b"LUT1 #(.INIT(2'h1)) u (.I0(a" + b" " * N + b"), .O(y" + b" " * N + b"));"),
    "empty attributes": (verilog.parse, MODULE + b"(*)" * N),
    "wires": (verilog.parse, MODULE + b"wire " + b",".join(b"n%d" % i for i in range(N)) + b";endmodule"),
    "ternary": (verilog.parse, MODULE + b"assign y = " + b"a?a:" * N + b"a;endmodule"),
    "digits": (verilog.parse, MODULE + b"assign y = " + b"1" * N + b";endmodule"),
    "continuations": (blif.parse, b".model m\n.inputs" + b" \\\n" * N),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_long_lines_take_no_quadratic_time(name: str) -> None:
    parse, data = LONG[name]  # quadratic time in these would be minutes to hours
    reads_or_refuses(Format(lambda _: b"", parse), data)
