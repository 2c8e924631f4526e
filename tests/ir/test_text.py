import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from lgc.errors import LgcError
from lgc.ir.netlist import Netlist
from lgc.ir.text import dump, parse

from .netlists import netlists

EXAMPLE = """\
netlist k=2 inputs=3
%5 = lut 0x8 %2 %3
%6 = lut 0x6 %4 %5
%7 = lut 0x1 %6
output %6 %1
class 0 = 1 + %5 - %6
class 1 = 0 + 2 * %4
"""


def test_example_reads_as_written() -> None:
    net = parse(EXAMPLE)
    assert net.fanin.tolist() == [[2, 3], [4, 5], [6, 0]]
    assert net.table.tolist() == [8, 6, 1]
    assert net.outputs.tolist() == [6, 1]
    assert net.readout is not None
    assert net.readout.bias.tolist() == [1, 0]
    assert net.readout.weight.tolist() == [1, -1, 2]
    assert dump(net) == EXAMPLE


@given(netlists())
def test_round_trip(net: Netlist) -> None:
    assert_same(parse(dump(net)), net)
    stage = np.arange(net.luts).astype(np.uint16)
    staged = replace(net, stage=stage, origin=np.arange(net.luts, dtype=np.int32))
    assert_same(parse(dump(staged)), staged)


def assert_same(a: Netlist, b: Netlist) -> None:
    assert (a.inputs, a.k) == (b.inputs, b.k)
    assert a.table.dtype == b.table.dtype
    assert a.readout is not None
    assert b.readout is not None
    for name in ("fanin", "table", "outputs"):
        assert np.array_equal(getattr(a, name), getattr(b, name))
    for name in ("bias", "start", "signal", "weight"):
        assert np.array_equal(getattr(a.readout, name), getattr(b.readout, name))
    for name in ("stage", "origin"):
        one, other = getattr(a, name), getattr(b, name)
        assert (one is None) == (other is None) or a.luts == 0
        assert one is None or np.array_equal(one, other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Line 1 of a netlist must read 'netlist k=K inputs=N'."),
        ("netlist k=7 inputs=1", "Line 1 of a netlist must read 'netlist k=K inputs=N'."),
        ("netlist k=2 inputs=1\nfoo", "Line 2: expected '%N = lut ...', 'output ...' or 'class ...', found 'foo'"),
        ("netlist k=2 inputs=1\n%3 = and %2", "Line 2: a LUT reads '%N = lut 0xTABLE %A %B ...', found '%3 = and %2'"),
        ("netlist k=2 inputs=1\n\n# x\n%4 = lut 0x1 %2", "Line 4: LUTs are numbered in order: expected %3, found %4"),
        ("netlist k=1 inputs=1\n%3 = lut 0x1 %2 %2", "Line 2: LUT %3 has 2 pins, k is 1"),
        ("netlist k=2 inputs=1\n%3 = lut 0x10 %2", "Line 2: LUT %3 has table 0x10, wider than 2**2 bits"),
        ("netlist k=2 inputs=1\n%3 = lut 0x1 %2 stage=65536", "Line 2: stage 65536 is beyond 65535"),
        ("netlist k=2 inputs=900000000", "Line 1: 900000000 inputs are more than the 16777216 that lgc reads."),
        ("netlist k=2 inputs=1\noutput 3", "Line 2: '3' is not a signal such as %7"),
        ("netlist k=2 inputs=1\nclass 1 = 0", "Line 2: expected 'class 0 = BIAS + %A - 2 * %B ...', found 'class 1 = 0'"),
        ("netlist k=2 inputs=1\nclass 0 = 0 %2", "Line 2: expected ' + %N' or ' - W * %N', found ' %2'"),
        ("netlist k=2 inputs=1\n%3 = lut 0x1 %2 stage=0\n%4 = lut 0x1 %2", "Line 3: either every LUT has a stage or none"),
        ("netlist k=2 inputs=1\n%3 = lut 0x1 %3", "Line 2: LUT %3 reads %3; a LUT reads only signals before its own"),
        ("netlist k=2 inputs=1\noutput %9", "Line 2: an output or readout entry names signal %9; there are 3 signals."),
        (
            "netlist k=1 inputs=1\n%3 = lut 0x1 %2 stage=1\n%4 = lut 0x1 %3 stage=0",
            "LUT %4 of stage 0 reads %3 of a later stage.",
        ),
    ],
)  # fmt: skip
def test_errors_name_the_line_or_signal(text: str, message: str) -> None:
    with pytest.raises(LgcError, match="^" + re.escape(message)):
        parse(text)


def test_unusual_lines_between_luts() -> None:
    usual = dump(parse(EXAMPLE))
    for unusual in (
        EXAMPLE.replace("%6 = lut", "# a comment\n\n%6 = lut"),
        EXAMPLE.replace("%6 = lut 0x6", "%6 = lut 0x06"),
        EXAMPLE.replace("\n", "\r\n"),
        "# first\n\n" + EXAMPLE.replace("%5\n", "%5  # xor\n"),
        EXAMPLE[:-1],
    ):
        assert dump(parse(unusual)) == usual


def test_origins_of_inverted_inputs_are_negative() -> None:
    text = "netlist k=1 inputs=2\n%4 = lut 0x1 %2 origin=7\n%5 = lut 0x1 %3 origin=-1\n%6 = lut 0x1 %4 origin=3\n"
    net = parse(text)
    assert net.origin is not None
    assert net.origin.tolist() == [7, -1, 3]
    assert dump(net) == text


@pytest.mark.parametrize("seed", range(50))
def test_damaged_text_is_refused_or_read_but_never_crashes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    letters = list(EXAMPLE)
    for _ in range(rng.integers(1, 6)):
        letters[rng.integers(len(letters))] = chr(rng.integers(32, 127))
    text = "".join(letters)[: rng.integers(1, len(letters))]
    try:
        net = parse(text)
    except LgcError:
        return
    assert dump(parse(dump(net))) == dump(net)
