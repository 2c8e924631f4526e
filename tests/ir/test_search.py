"""Plans that are searched: exact sums, costs and deadlines as planned, fewer LUTs than the plain plans."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lgc.ir.passes._arrival import Bit, columns_of, count_by_plan, plan, ways_to_count, within
from lgc.ir.passes._search import searched, searched_ways

from .test_sites_carry import expected, started, worth


def arriving(*columns: dict[int, int]) -> list[list[Bit]]:
    """Columns of so many bits at each level, none of which needs an inverter."""
    found, place = list[list[Bit]](), 0
    for column in columns:
        levels = [level for level, bits in sorted(column.items()) for _ in range(bits)]
        found.append([Bit(level, True, place + i) for i, level in enumerate(levels)])
        place += len(levels)
    return found


def test_golden_a_class_of_a_trained_network() -> None:
    """A class of LILogicNet 1024x8: 48 bits that arrive by level 4, to be compared by level 11."""
    columns = arriving(
        {1: 1, 2: 9, 3: 8, 4: 1}, {1: 1, 2: 6, 3: 11, 4: 1}, {1: 2, 2: 4, 3: 4}, {}, {}, {}, {}
    )
    found = {level: searched(columns, level) for level in (9, 11, 13)}
    assert found[9] is None
    assert found[11] is not None
    assert (found[11].luts, found[11].compared) == (27, 11)
    plain = [plan(columns, begin, ripple=True, rounds=rounds) for begin in range(6) for rounds in (1, 2, 3)]
    assert min(one.luts for one in plain if one.compared <= 11) > 27
    assert searched(columns, 11, below=27) is None
    assert found[13] is not None
    assert found[13].luts <= 27


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(1, 6),
    st.integers(0),
    st.lists(st.integers(0, 4), min_size=14, max_size=14),
    st.integers(4, 11),
)
def test_searched_plans_count(
    heights: list[int], width: int, inverted: int, arrives: list[int], by: int
) -> None:
    heights = heights[:width]
    while sum(heights) > 14:
        heights = heights[:-1]
    builder, tally = started(heights, width, inverted=inverted)
    columns = columns_of(tally, lambda x: arrives[(x >> 1) - 2])
    found = searched(columns, by)
    if found is None:
        return
    assert found.compared <= by
    assert [bit for column in columns for bit in column] == [
        bit for column in columns_of(tally, lambda x: arrives[(x >> 1) - 2]) for bit in column
    ]
    count_by_plan(tally, found)
    assert all(len(column.singles) <= 1 for column in tally.columns)
    net, total, chains = worth(builder, tally)
    assert np.array_equal(total, expected(heights, width, inverted))
    inverters = sum(x & 1 for column in tally.columns for x in column.singles if x > 1)
    assert chains.luts(net) <= found.luts + inverters


def test_searched_ways_are_added_to_the_plain_ones() -> None:
    builder, tally = started([30, 12, 4], 7)
    plain = ways_to_count(tally, builder.level)
    ways = searched_ways(tally, builder.level, range(5, 9))
    assert [one.luts for one in ways] == sorted({one.luts for one in ways}, reverse=True)
    for level in range(5, 12):
        assert within(ways, level).compared <= max(level, within(plain, level).compared)
        if within(plain, level).compared <= level:
            assert within(ways, level).luts <= within(plain, level).luts
    assert any(within(ways, level).luts < within(plain, level).luts for level in range(5, 9))
