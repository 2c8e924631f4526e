"""Phase-locked loops: dividers within the devices' limits, and designs behind one to a bitstream."""

import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lgc.backend import board, target
from lgc.backend.interfaces.settings import Interface
from lgc.backend.pack import pack
from lgc.backend.pins import ports
from lgc.backend.pll import TOLERANCE, Pll, plan, wrap
from lgc.backend.pnr import place_and_route
from lgc.backend.rtl import write_rtl
from lgc.backend.synth import synthesise
from lgc.errors import UsageError
from lgc.hw_tests.samples import random_sample

from ..needs import lacking, needs, needs_yosys

SAMPLE = random_sample(seed=5, layers=(30, 24), classes=3, luts_per_stage=2)


def number(pll: Pll, name: str) -> int:
    return int(pll.parameters[name].split("d")[-1])


@given(given_mhz=st.sampled_from([12.0, 16.0, 25.0, 50.0, 100.0]), wanted=st.floats(16, 275))
def test_dividers_of_ice40_make_the_clock_they_promise(given_mhz: float, wanted: float) -> None:
    """Limits of the data sheet: phase detector 10 to 133 MHz, oscillator 533 to 1066 MHz."""
    try:
        pll = plan(target.load("ice40-hx8k"), given_mhz=given_mhz, wanted_mhz=wanted)
    except UsageError:
        assume(False)
    phase = given_mhz / (number(pll, "DIVR") + 1)
    oscillator = phase * (number(pll, "DIVF") + 1)
    assert 10 <= phase <= 133
    assert 533 <= oscillator <= 1066
    assert oscillator / 2 ** number(pll, "DIVQ") == pytest.approx(pll.made_mhz)
    assert abs(pll.made_mhz / wanted - 1) <= TOLERANCE


@given(wanted=st.floats(10, 400))
def test_dividers_of_ecp5(wanted: float) -> None:
    try:
        pll = plan(target.load("ecp5-25f"), given_mhz=25, wanted_mhz=wanted)
    except UsageError:
        assume(False)
    i, feedback, out = (int(pll.parameters[name]) for name in ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV"))
    assert 400 <= 25 / i * feedback * out <= 800
    assert 25 / i * feedback == pytest.approx(pll.made_mhz)


@given(wanted=st.floats(4, 400))
def test_dividers_of_gowin(wanted: float) -> None:
    try:
        pll = plan(target.load("gowin-gw1n-9"), given_mhz=27, wanted_mhz=wanted)
    except UsageError:
        assume(False)
    i, f, out = (int(pll.parameters[name]) for name in ("IDIV_SEL", "FBDIV_SEL", "ODIV_SEL"))
    assert 400 <= 27 * (f + 1) / (i + 1) * out <= 1000
    assert 27 * (f + 1) / (i + 1) == pytest.approx(pll.made_mhz)


@pytest.mark.parametrize(
    ("name", "wanted", "message"),
    [
        (
            "ice40-hx8k",
            300.0,
            r"^No phase-locked loop of ice40-hx8k makes 300 MHz of 12 MHz; the nearest are 270 MHz\.",
        ),
        (
            "ice40-up5k",
            8.0,
            r"^No phase-locked loop of ice40-up5k makes 8 MHz of 12 MHz; the nearest are 16\.125 MHz\.",
        ),
        ("nexus-lifcl-40", 50.0, r"^No phase-locked loop of nexus-lifcl-40 is known here\."),
    ],
)
def test_clocks_that_no_loop_makes(name: str, wanted: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(target.load(name), given_mhz=12, wanted_mhz=wanted)


@needs_yosys
def test_a_bus_that_brings_its_clock_is_refused(tmp_path: Path) -> None:
    pll = plan(target.load("ice40-hx8k"), given_mhz=12, wanted_mhz=48)
    rtl = write_rtl(
        SAMPLE.encoder, SAMPLE.fabric, out=tmp_path, argmax_registers=True, interface=Interface("axi")
    )
    with pytest.raises(UsageError, match=r"^AXI4-Stream brings its own clock"):
        wrap(rtl, pll)


@needs("yosys", "nextpnr-ice40", "icepack")
@pytest.mark.parametrize(
    ("name", "wanted"), [pytest.param("ice40-hx8k-b-evn", 48.0, marks=pytest.mark.slow), ("icebreaker", 24.0)]
)
def test_a_design_behind_a_loop(name: str, wanted: float, tmp_path: Path) -> None:
    """Pins of board, LEDs and clock are placed; nextpnr knows the loop and meets its clock."""
    build(name, wanted, tmp_path)


@pytest.mark.skipif(bool(lacking("nextpnr-ecp5")), reason="needs lgc[ecp5]")
def test_a_loop_of_ecp5(tmp_path: Path) -> None:
    build("ulx3s-25f", 60.0, tmp_path)


@pytest.mark.skipif(bool(lacking("nextpnr-himbaechel-gowin")), reason="needs lgc[gowin]")
def test_a_loop_of_gowin(tmp_path: Path) -> None:
    build("tang-nano-9k", 54.0, tmp_path)


def build(name: str, wanted: float, out: Path) -> None:
    there = board.load(name)
    device = target.load(there.target)
    pll = plan(device, given_mhz=there.clock_hz / 1e6, wanted_mhz=wanted, pad=there.pll_pad)
    assert pll.made_mhz == wanted
    link = Interface("uart", clock_hz=wanted * 1e6, leds=2, leds_inverted=there.leds_inverted)
    rtl = write_rtl(
        SAMPLE.encoder, SAMPLE.fabric, out=out / "rtl", argmax_registers=True, held=True, interface=link,
        family=device.cells,
    )  # fmt: skip
    netlist = synthesise(rtl, device, out=out / "synth", pll=pll)
    assert netlist.luts["network"] == SAMPLE.fabric.network_luts
    known = ports(netlist.netlist)
    assert sorted(known) == ["clk", "led[0]", "led[1]", "rx", "tx"]
    pins = there.places(known)
    assert len(pins) == len(known)
    routing = place_and_route(netlist, device, out=out / "route", pins=pins, freq_mhz=wanted)
    assert routing.fmax_mhz >= wanted
    assert pack(routing.asc, out=out / "pack", target=device).path.stat().st_size > 0
    assert re.search(rf"\b{pll.cell}\b", (out / "synth" / "pll.v").read_text())
