"""The delay model: by hand on small fabrics, monotonous, and with the figures of Yosys' library."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lgc.backend import tools
from lgc.backend.estimate import estimate, slowest
from lgc.backend.rtl import RtlFiles, write_rtl
from lgc.backend.target import Delays, load, names
from lgc.errors import LgcError
from lgc.hw_tests.samples import random_sample
from lgc.ir.fabric import Fabric
from lgc.ir.passes.expand_argmax import add_argmax
from lgc.ir.passes.expand_readout import expand
from lgc.ir.slices import staged
from lgc.ir.text import parse

from ..ir.netlists import difflogic
from ..needs import needs_yosys

PLAIN = Delays(
    clock_to_out=100,
    setup=7,
    lut=1000,
    route=10_000,
    fanout=0,
    size=0,
    carry_in=300,
    carry=50,
    carry_out=200,
    shell=0,
    source="the test",
)


CHAIN = """netlist k=4 inputs=4
%6 = lut 0x6 %2 %3
%7 = lut 0x6 %6 %4
%8 = lut 0x6 %7 %5
output %8 %6
"""


def chain(*stages: int) -> Fabric:
    net = parse(CHAIN)
    return Fabric(replace(net, stage=np.array(stages, np.uint16)), 2, 1, 0, 3)


@pytest.mark.parametrize(
    ("stages", "hops", "end"),
    [
        ((0, 0, 0), ["n0", "n1", "n2"], 10_000 + 7),  # out of the last LUT to the result's register
        ((0, 0, 1), ["n0", "n1"], 7),  # the LUT's own register
        ((0, 1, 2), ["n2"], 10_000 + 7),
    ],
)
def test_a_path_by_hand(stages: tuple[int, ...], hops: list[str], end: int) -> None:
    period, path, _ = slowest(chain(*stages), "lgc_lut4", PLAIN)
    assert [name for name, _, _ in path] == hops
    assert period == 100 + 11_000 * len(hops) + end
    assert sum(ns for _, _, ns in path) == pytest.approx((period - end) / 1e3)


def test_wires_grow_with_loads_and_with_the_fabric() -> None:
    base, _, _ = slowest(chain(0, 0, 0), "lgc_lut4", PLAIN)
    loads, _, _ = slowest(chain(0, 0, 0), "lgc_lut4", replace(PLAIN, fanout=1000))
    assert loads == base  # each signal of this path is read once by a LUT
    small, _, _ = slowest(chain(0, 0, 0), "lgc_lut4", replace(PLAIN, size=100))
    assert small < base  # three LUTs, not 1,024


@pytest.mark.parametrize("cells", ["lgc_lut4", "CARRY4"])
def test_fewer_luts_between_registers_are_no_slower(cells: str) -> None:
    net = difflogic(60, [300, 300], classes=5, seed=1, passing=0.5)
    six = cells != "lgc_lut4"
    counted = expand(net, k=6 if six else 4, fractured=six, carry=six)
    periods = []
    for levels in (1, 2, 4, 8):
        fabric, _ = add_argmax(staged(counted, levels), carry=not six)
        period, path, _ = slowest(fabric, cells, PLAIN)
        periods.append(period)
        assert {part for _, part, _ in path} <= {"network", "readout", "argmax"}
        # a wire between each two LUTs that do not share a slice or a chain
        assert period <= 100 + 7 + 11_000 * (len(path) + 1)
    assert periods == sorted(periods)
    assert periods[0] < periods[-1]


def test_a_chain_is_faster_than_as_many_luts() -> None:
    net = difflogic(60, [300, 300], classes=5, seed=1, passing=0.5)
    fabric = staged(expand(net, k=6, fractured=True, carry=True), 0)
    with_chains, _, _ = slowest(fabric, "CARRY4", PLAIN)
    assert fabric.chains is not None
    longest = int(np.diff(fabric.chains.start).max())
    slow, _, _ = slowest(fabric, "CARRY4", replace(PLAIN, carry=11_000))
    assert longest > 2
    assert with_chains < slow


def test_wires_whose_delays_are_known() -> None:
    """Given for each pin, they take the place of the model's; the same ones make the same path."""
    net = difflogic(60, [300, 300], classes=5, seed=1, passing=0.5)
    fabric = staged(expand(net, k=6, fractured=True, carry=True), 3)
    route = np.full(fabric.netlist.fanin.shape, PLAIN.route, np.int64)
    period, path, _ = slowest(fabric, "CARRY4", PLAIN)
    assert slowest(fabric, "CARRY4", PLAIN, route=route)[:2] == (period, path)
    row = int(path[-1][0][1:]) + (0 if path[-1][0][0] == "n" else fabric.network_luts)
    route[row] += 5_000
    assert slowest(fabric, "CARRY4", PLAIN, route=route)[0] == period + 5_000


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fabric, RtlFiles]:
    sample = random_sample(seed=5, layers=(30, 24), classes=3, luts_per_stage=2)
    out = tmp_path_factory.mktemp("rtl")
    return sample.fabric, write_rtl(sample.encoder, sample.fabric, out=out, argmax_registers=True, held=True)


@needs_yosys
def test_clocks_become_times(design: tuple[Fabric, RtlFiles]) -> None:
    fabric, rtl = design
    target = load("ice40-hx8k")
    assert target.delay is not None
    found = estimate(fabric, rtl, target)
    assert found.latency_ns == pytest.approx(rtl.latency * 1e3 / found.fmax_mhz, rel=0.01)
    assert found.samples_per_second == pytest.approx(found.fmax_mhz * 1e6 / rtl.cycles_per_sample, rel=0.01)
    capped = estimate(fabric, rtl, replace(target, clock_limit_mhz=10.0))
    assert (capped.fmax_mhz, capped.clock_limit_mhz) == (found.fmax_mhz, 10.0)
    assert capped.latency_ns == rtl.latency * 100
    assert capped.samples_per_second == round(10e6 / rtl.cycles_per_sample)
    slow = replace(target, delay=replace(target.delay, shell=50_000))
    limited = estimate(fabric, rtl, slow)
    assert (limited.fmax_mhz, limited.limited_by, limited.critical) == (20.0, "shell", ())
    with pytest.raises(LgcError, match=r"^The target ice40-hx8k has no \[delay\]"):
        estimate(fabric, rtl, replace(target, delay=None))


def test_targets_without_place_and_route_have_delays() -> None:
    estimated = [target for target in map(load, names()) if target.cells.estimated]
    assert {target.family for target in estimated} == {"xc7", "xcup", "cyclone4", "cyclone5"}
    for target in estimated:
        assert target.delay is not None
        assert target.delay.lut <= target.delay.route  # at least half of a level is routing


@needs_yosys
def test_figures_are_the_library_s(tmp_path: Path) -> None:
    """Delays of xc7a35t against the timing in Yosys' models of the cells."""
    yosys = tools.find("yosys")
    args = ["-q", "-l", "lib.log", "-p", "read_verilog -lib -ppdump +/xilinx/cells_sim.v"]
    tools.run(yosys, args, cwd=tmp_path, log=tmp_path / "out.log", timeout_s=120)
    text = (tmp_path / "lib.log").read_text()

    def module(name: str) -> str:
        found = re.search(rf"^module {name}\b.*?^endmodule", text, re.DOTALL | re.MULTILINE)
        assert found is not None
        return found[0]

    def arc(source: str, sink: str) -> int:
        found = re.search(rf"\({re.escape(source)} *=> {re.escape(sink)}\) = (\d+)", module("CARRY4"))
        assert found is not None
        return int(found[1])

    delay = load("xc7a35t").delay
    assert delay is not None
    pins = [int(ps) for ps in re.findall(r"\(I\d => O\) = (\d+)", module("LUT6"))]
    assert len(pins) == 6
    # theirs have the delay of the pin with them, which is part of the wire here
    assert delay.lut <= min(pins) < max(pins) < delay.lut + delay.route + 2 * delay.fanout
    assert 4 * delay.carry == pytest.approx(arc("CI", "CO[3]"), abs=2)
    into = [arc(f"S[{i}]", "CO[3]") - delay.carry * (3 - i) for i in range(4)]
    assert delay.carry_in == pytest.approx(np.mean(into), abs=2)
    out = [arc("CI", f"O[{i}]") - delay.carry * i for i in range(4)]
    assert delay.carry_out == pytest.approx(np.mean(out), abs=2)
