"""The verifier looks at a netlist in pieces and names the first thing that is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError
from lgc.ir import verify
from lgc.ir.passes import Pipeline

from .netlists import netlists, random_netlist


@given(net=netlists(), rows=st.integers(1, 70))
def test_pieces_of_any_size_accept_what_is_well_formed(net, rows) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "_ROWS", rows)
        verify.check(net)
        verify.check(Pipeline(levels=1)(net))


@pytest.mark.parametrize("lut", [0, 3, 4, 24])
def test_a_loop_is_named_in_whatever_piece_it_is(lut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_ROWS", 4)
    net = random_netlist(1)
    fanin = net.fanin.copy()
    fanin[lut, 1] = own = net.first_lut + lut
    with pytest.raises(LgcError, match=rf"^LUT %{own} reads signal %{own} on pin 1; a LUT reads only"):
        verify.check(replace(net, fanin=fanin))


@pytest.mark.parametrize("lut", [0, 3, 4, 24])
def test_a_wide_table_is_named(lut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_ROWS", 4)
    net = random_netlist(1, k=2)
    table = net.table.copy()
    table[lut] = 0x10
    with pytest.raises(
        LgcError, match=rf"^LUT %{net.first_lut + lut} has table 0x10, wider than 2\*\*2 bits"
    ):
        verify.check(replace(net, table=table))


def test_a_lut_that_reads_the_future_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_ROWS", 4)
    net = random_netlist(1)
    fanin = net.fanin.copy()
    fanin[20] = net.first_lut + 5
    stage = np.zeros(net.luts, np.uint16)
    stage[21:] = 7
    fanin[21:] = 2
    stage[5] = 1
    fanin[6:20] = 2
    with pytest.raises(
        LgcError, match=rf"^LUT %{net.first_lut + 20} of stage 0 reads %{net.first_lut + 5} of a later stage"
    ):
        verify.check(replace(net, fanin=fanin, stage=stage))
