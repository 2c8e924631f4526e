"""What does not fit is named: the resource, by how much, which part takes it, and what would help."""

import re
from dataclasses import replace

import pytest

from lgc.backend.fit import check_fit, least_cells
from lgc.backend.target import Target, load
from lgc.errors import DoesNotFitError
from lgc.ir.passes.expand_argmax import add_argmax
from lgc.ir.passes.expand_readout import expand
from lgc.ir.slices import staged

from ..ir.netlists import difflogic

PARTS = {"encoder": 300, "network": 1500, "readout": 900, "argmax": 100, "io": 0}


def message(target: Target, **options: object) -> str:
    with pytest.raises(DoesNotFitError) as caught:
        check_fit(target, **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 5
    return str(caught.value)


def test_the_parts_are_named_the_largest_first() -> None:
    text = message(load("ice40-hx1k"), parts={"cell": PARTS}, cell=2850)
    assert text.startswith(
        "The design does not fit ice40-hx1k: it needs 2,850 logic cells of 1,280 (123% over). "
        "By part: network 1,500 (220 over by itself), counters 900, encoder 300, argmax 100, "
        "flip-flops and carries without a LUT 50."
    )
    assert text.endswith("Try a larger target (ice40-up5k has enough), or fewer nodes.")


def test_the_hint_names_what_helps_the_largest_part() -> None:
    counters = message(load("ice40-hx1k"), parts={"cell": PARTS | {"readout": 5000}}, cell=6800)
    assert re.search(r"Try a larger target \(ice40-\w+ has enough\), or a narrower last layer\.$", counters)
    huge = message(load("ice40-hx1k"), parts={"cell": {"encoder": 10**6}}, cell=10**6, at_least=True)
    assert "it needs at least 1,000,000 logic cells" in huge
    assert "Try a larger target, or fewer features or thresholds." in huge


def test_every_resource_that_is_over_is_named_with_its_parts() -> None:
    target = load("xc7a35t")
    small = replace(target, name="small", resources=replace(target.resources, lut=100, ff=10, bram=0, io=8))
    parts = {"cell": {"network": 120}, "ff": {"readout": 12}, "io": {"features__payload": 9}}
    text = message(small, parts=parts, cell=120, ff=12, bram=1, io=9)
    for words in (
        "120 LUT sites of 100 (20% over)",
        "12 flip-flops of 10 (20% over)",
        "1 block RAMs, of which it has none",
        "9 pins of 8 (12% over)",
        "By part: network 120 (20 over by itself).",
        "By part: counters 12 (2 over by itself).",
        "By part: features__payload 9 (1 over by itself).",
    ):
        assert words in text
    assert "xc7a35t has enough" in text


def test_what_fits_passes() -> None:
    check_fit(load("ice40-hx1k"), parts={"cell": PARTS}, cell=1280, ff=1280, bram=16, io=95)


def test_least_cells_of_a_fabric_by_part() -> None:
    net = difflogic(60, [300, 300], classes=5, seed=1, passing=0.5)
    four, _ = add_argmax(staged(expand(net, k=4), 4), carry=True)
    assert four.carries is not None
    found = least_cells(four, "lgc_lut4")
    assert found["network"] == four.network_luts
    assert found["encoder"] <= 60
    assert sum(found.values()) - found["encoder"] == four.carries.cells(four.netlist)
    six, _ = add_argmax(staged(expand(net, k=6, fractured=True, carry=True), 4))
    slices = least_cells(six, "CARRY4")
    assert set(slices) == set(found)
    assert sum(slices.values()) < sum(found.values())
