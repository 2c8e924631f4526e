"""Fan-in reduction: function, size, and the don't-cares it must and must not find."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lgc.ir.equivalence import compare
from lgc.ir.netlist import Netlist
from lgc.ir.passes import Reduce, Strash, run
from lgc.ir.text import parse
from lgc.ir.verify import check

from .netlists import netlists, random_netlist


def pins(net: Netlist) -> int:
    return int((net.fanin > 1).sum())


@given(net=netlists())
def test_function_and_size(net: Netlist) -> None:
    reduced = Reduce()(net)
    check(reduced)
    assert compare(net, reduced).equal
    simple = run((Strash(),), net)
    assert pins(reduced) <= pins(simple)
    assert reduced.luts <= simple.luts


@given(seed=st.integers(0, 2**32), k=st.integers(2, 6))
def test_function_where_everything_reconverges(seed: int, k: int) -> None:
    net = random_netlist(seed, inputs=4, luts=60, k=k, outputs=20, classes=0)
    assert compare(net, Reduce()(net)).equal


def test_pins_that_never_matter_are_all_found() -> None:
    """A pin g(x, y) next to x and y: dropped whatever g is and whatever the LUT does with it."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        g, f = int(rng.integers(16)), int(rng.integers(256))
        reduced = Reduce()(
            parse(f"netlist k=3 inputs=2\n%4 = lut {g:#x} %2 %3\n%5 = lut {f:#x} %2 %3 %4\noutput %5\n")
        )
        assert ((reduced.fanin > 1).sum(axis=1) > 1).sum() <= 1  # and perhaps an inverter


def test_pins_that_matter_stay() -> None:
    """All four patterns of the two ANDs occur, so nothing can be dropped."""
    text = "netlist k=2 inputs=3\n%5 = lut 0x8 %2 %3\n%6 = lut 0x8 %3 %4\n%7 = lut 0x6 %5 %6\noutput %7\n"
    assert Reduce()(parse(text)).luts == 3


def test_windows_have_at_most_ten_leaves() -> None:
    """Only one of the wide LUTs can be opened; the other stays a leaf, which is enough here."""
    wide = "".join(f" %{s}" for s in range(2, 8))
    text = (
        "netlist k=6 inputs=12\n"
        f"%14 = lut 0x8000000000000000{wide}\n"
        "%15 = lut 0x8000000000000000 %8 %9 %10 %11 %12 %13\n"
        "%16 = lut 0x8 %14 %15\n%17 = lut 0xe %14 %16\n"
        "output %17\n"
    )
    reduced = Reduce()(parse(text))
    assert reduced.luts == 1  # %16 implies %14
    assert compare(parse(text), reduced).equal


@given(seed=st.integers(0, 2000), levels=st.integers(2, 4), k=st.integers(2, 5))
def test_thermometer_dont_cares_keep_the_function_of_codes(seed: int, levels: int, k: int) -> None:
    net = random_netlist(seed, inputs=3 * levels, luts=30, k=k)
    reduced = Reduce(thermometer=levels)(net)
    check(reduced)
    assert compare(net, reduced, levels=levels).equal


def test_a_bit_that_another_one_implies_is_dropped() -> None:
    net = parse("netlist k=3 inputs=4\n%6 = lut 0x80 %2 %3 %4\noutput %6\n")
    assert Reduce()(net).fanin.tolist() == [[2, 3, 4]]
    assert Reduce(thermometer=2)(net).fanin.tolist() == [[3, 4, 0]]  # x1 & x0 is x1
