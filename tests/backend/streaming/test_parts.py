"""Which part of the design cells of a folded design belong to."""

import pytest

from lgc.backend.parse import part_of


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        ("encoder.chain.layer0.kernel.lut_3", "network"),
        ("encoder.layer1.kernel.lut_0", "network"),
        ("encoder.chain.pixels.code_SB_DFFE_Q", "encoder"),
        ("encoder.store.place0_SB_DFFE_Q", "encoder"),
        ("fabric.network.values0.words.0.0", "network"),
        ("fabric.popcount.lut_p7", "readout"),
    ],
)
def test_parts(cell: str, part: str) -> None:
    assert part_of(cell) == part
