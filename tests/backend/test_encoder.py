"""What the encoder plans; what it computes is tested in `hw_tests`."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lgc.backend.encoder import Grid, store_text
from lgc.backend.plan import Plan
from lgc.ir.encoder import FixedPoint, Thermometer


@given(st.integers(1, 4000))
def test_the_grid_holds_every_feature_and_is_small(features: int) -> None:
    grid = Grid.of(features)
    assert grid.rows * grid.cols >= features > (grid.rows - 1) * grid.cols
    assert grid.rows + grid.cols <= 2 * int(np.ceil(np.sqrt(features))) + 2


def test_image_sizes_need_no_wrap_around() -> None:
    assert Grid.of(784) == Grid(28, 28)
    assert Grid.of(64) == Grid(8, 8)
    assert Grid.of(3072) == Grid(48, 64)


def plan(used: list[int]) -> Plan:
    threshold = np.array([[10, 20, -5], [10, 99, 400], [10, 30, 7]], np.int32)
    return Plan(Thermometer(threshold, FixedPoint(8)), np.array(used, np.int64))


def test_only_used_bits_make_comparators() -> None:
    found = plan([0, 4, 7])  # level 0 of feature 0, level 1 of features 1 and 2
    assert found.levels.tolist() == [0, 1]
    assert found.feature.tolist() == [0, 1, 2]
    assert found.column.tolist() == [0, 1, 1]
    assert found.chunks == [3]


def test_a_comparator_is_constant_if_its_used_bits_share_the_threshold() -> None:
    found = plan([0, 1, 4, 6])
    assert [found.constant(column) for column in range(2)] == [10, None]
    assert plan([1]).constant(0) == 20


def test_thresholds_no_code_can_tell_apart_are_clipped() -> None:
    assert plan([2, 5, 8]).thresholds.tolist() == [[0], [256], [7]]


def test_thresholds_of_their_own_make_a_table() -> None:
    own, table = plan([0, 1, 4, 6]).table
    assert (own, table.tolist()) == ([1], [[20], [99], [20]])
    assert plan([0, 1, 4, 6]).memory == (3, 7)
    assert plan([0, 3, 6]).memory == (3, 0)


def test_text_of_a_small_store() -> None:
    assert store_text(plan([0, 4, 7])) == (
        "module lgc_store (\n"
        "  input clk,\n"
        "  input [0:0] row,\n"
        "  input [2:0] col,\n"
        "  input [1:0] level,\n"
        "  output reg [2:0] x0 = 0\n"
        ");\n"
        "always @(posedge clk) begin\n"
        "  if (row[0]) begin\n"
        "    if (col[0]) x0[0] <= level[0];\n"
        "    if (col[1]) x0[1] <= level[1];\n"
        "    if (col[2]) x0[2] <= level[1];\n"
        "  end\n"
        "end\n"
        "endmodule\n"
    )


def test_bits_side_by_side_are_written_at_once() -> None:
    text = store_text(plan([0, 1, 2, 3, 5, 6]))
    lines = [line.strip() for line in text.splitlines() if "<=" in line]
    assert lines == [
        "if (col[0]) x0[2:0] <= {level[2], level[1], level[0]};",
        "if (col[1]) x0[4:3] <= {level[2], level[0]};",
        "if (col[2]) x0[5] <= level[0];",
    ]
