import numpy as np
import pytest

from lgc.ir.netlist import Netlist, table_dtype
from lgc.ir.readout import Readout


def test_table_dtype_is_the_smallest_that_holds_the_rows() -> None:
    assert [table_dtype(k).itemsize * 8 for k in range(1, 7)] == [8, 8, 8, 16, 32, 64]


@pytest.mark.parametrize("k", [0, 7])
def test_table_dtype_refuses_other_sizes(k: int) -> None:
    with pytest.raises(ValueError, match=f"^LUTs have 1 to 6 inputs, not {k}$"):
        table_dtype(k)


def test_roots_are_outputs_then_readout_entries() -> None:
    net = Netlist(3, np.empty((0, 2), np.int32), np.empty(0, np.uint8), np.array([4], np.int32))
    assert net.roots().tolist() == [4]
    with_head = Netlist(3, net.fanin, net.table, net.outputs, Readout.group_sum([2, 3], 2))
    assert with_head.roots().tolist() == [4, 2, 3]
    moved = with_head.with_roots(np.array([0, 3, 4]))
    assert moved.outputs.tolist() == [0]
    assert moved.readout is not None
    assert moved.readout.signal.tolist() == [3, 4]


def test_group_sum_needs_equal_groups() -> None:
    with pytest.raises(ValueError, match="^5 signals do not split into 2 equal groups$"):
        Readout.group_sum(range(5), 2)


def test_readout_bounds() -> None:
    head = Readout(
        bias=np.array([1, -2]),
        start=np.array([0, 2, 3]),
        signal=np.array([2, 3, 4], np.int32),
        weight=np.array([3, -1, 2], np.int32),
    )
    low, high = head.bounds()
    assert (low.tolist(), high.tolist()) == ([0, -2], [4, 0])


def test_sixty_million_gates_fit_in_a_gibibyte() -> None:
    per_gate = np.dtype(np.int32).itemsize * 2 + table_dtype(2).itemsize
    assert 60e6 * per_gate < 2**30
