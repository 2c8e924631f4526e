"""Netlists as programs: the same scores, nothing read before it is written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError
from lgc.ir.equivalence import compare
from lgc.ir.netlist import FIRST_INPUT, Netlist
from lgc.ir.readout import Readout
from lgc.ir.serial import GAP, Program


def random_net(seed: int, *, inputs: int, luts: int, classes: int) -> Netlist:
    """LUTs that read anything before them, constants included; classes count anything, or nothing."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 5))
    high = FIRST_INPUT + inputs + np.arange(luts)[:, None]
    fanin = rng.integers(0, high, (luts, k)).astype(np.int32)
    table = rng.integers(0, 1 << (1 << k), luts, dtype=np.uint64).astype(np.uint8 if k <= 3 else np.uint16)
    sizes = rng.integers(0, 6, classes)
    weight = rng.choice([-2, -1, 1, 1, 3], sizes.sum()).astype(np.int32)
    head = Readout(
        rng.integers(-4, 5, classes),
        np.append(0, np.cumsum(sizes)),
        rng.integers(0, FIRST_INPUT + inputs + luts, sizes.sum()).astype(np.int32),
        weight,
    )
    return Netlist(inputs, fanin, table, np.empty(0, np.int32), head)


@given(st.integers(0, 2**32), st.integers(1, 10), st.integers(0, 40), st.integers(1, 5))
def test_a_program_computes_the_scores(seed: int, inputs: int, luts: int, classes: int) -> None:
    net = random_net(seed, inputs=inputs, luts=luts, classes=classes)
    program = Program.of(net, np.arange(inputs, dtype=np.int32), inputs)
    assert compare(net, program.netlist()).equal
    assert program.last.sum() == classes
    slots = np.flatnonzero(program.weight == 0)
    made_by = np.full(program.depth, -GAP)
    made_by[inputs:] = slots
    counted = np.arange(program.length)
    reads = made_by[program.address].max(axis=1)
    needed = program.table != 0
    assert (reads[needed] + GAP <= counted[needed]).all()


def test_what_is_no_program() -> None:
    net = random_net(0, inputs=3, luts=4, classes=2)
    where = np.arange(3, dtype=np.int32)
    with pytest.raises(LgcError, match=r"^Only LUTs of four inputs with a readout become a program"):
        Program.of(Netlist(3, net.fanin, net.table, net.outputs), where, 3)
