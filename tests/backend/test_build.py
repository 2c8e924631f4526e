"""From Verilog to a bitstream with the real tools, on designs small enough for seconds."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lgc.backend import parse, pnr, tools
from lgc.backend.fit import check_fit
from lgc.backend.pack import pack
from lgc.backend.pnr import Routing, place_and_route
from lgc.backend.rtl import RtlFiles, write_rtl
from lgc.backend.synth import Synthesis, synthesise
from lgc.backend.target import Target, load, names
from lgc.errors import DoesNotFitError, LgcError, UsageError
from lgc.hw_tests.samples import Sample, random_sample
from lgc.ir.carry_cells import ALONE
from lgc.ir.passes.expand_argmax import Play, add_argmax

from ..needs import lacking, needs, needs_yosys

needs_all = needs("yosys", "nextpnr-ice40", "icepack")


def draw(**options: object) -> Sample:
    return random_sample(**({"seed": 5, "layers": (30, 24), "classes": 3, "luts_per_stage": 2} | options))


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> RtlFiles:
    sample = draw()
    out = tmp_path_factory.mktemp("rtl")
    return write_rtl(sample.encoder, sample.fabric, out=out, argmax_registers=True, held=True)


@pytest.fixture(scope="module")
def netlist(design: RtlFiles, tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    return synthesise(design, load("ice40-hx1k"), out=tmp_path_factory.mktemp("synth"))


@pytest.fixture(scope="module")
def routed(netlist: Synthesis, tmp_path_factory: pytest.TempPathFactory) -> Routing:
    return place_and_route(netlist, load("ice40-hx1k"), out=tmp_path_factory.mktemp("route"), timeout_s=300)


@needs_yosys
def test_equal_designs_give_equal_files_without_machine_paths(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        sample = draw()
        files = write_rtl(sample.encoder, sample.fabric, out=tmp_path / name, argmax_registers=True)
        texts.append([path.read_text() for path in (*files.sources, files.cells)])
    assert texts[0] == texts[1]
    assert not any(str(tmp_path) in text or sys.prefix in text for text in texts[0])
    assert all(text.startswith("// ") for text in texts[0])


@needs_yosys
def test_an_encoder_of_another_network_is_refused(tmp_path: Path) -> None:
    sample, other = draw(), draw(features=7)
    with pytest.raises(LgcError, match=r"^The encoder makes 14 bits, the network reads 32\.$"):
        write_rtl(other.encoder, sample.fabric, out=tmp_path, argmax_registers=False)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sample = draw()
    yosys = tools.Tool("yosys", ("yosys",), "1", "PATH")
    with pytest.raises(LgcError, match=r"^Cannot make the directory .*file/rtl: Not a directory\.$"):
        write_rtl(
            sample.encoder, sample.fabric, out=tmp_path / "file" / "rtl", argmax_registers=False, yosys=yosys
        )


@needs_yosys
def test_a_stored_bit_is_one_logic_cell_and_the_fabric_passes_unchanged(
    design: RtlFiles, netlist: Synthesis
) -> None:
    assert netlist.luts["network"] == design.network_luts
    assert sum(netlist.luts.values()) == sum(netlist.luts[part] for part in parse.PARTS)
    assert design.input_bits <= netlist.luts["encoder"] <= design.input_bits + 25
    assert netlist.ffs["encoder"] < design.input_bits + 30
    assert netlist.luts["readout"] + netlist.luts["argmax"] > design.popcount_luts
    assert netlist.io == design.feature_width + design.class_width + 6
    counted = json.loads((netlist.netlist.parent / "stat.json").read_text())["design"]["num_cells_by_type"]
    assert counted["SB_LUT4"] == sum(netlist.luts.values())
    ffs = sum(n for kind, n in counted.items() if kind.startswith("SB_DFF"))
    assert ffs == sum(netlist.ffs.values())
    assert not any("lgc_" in kind for kind in counted)


@needs_yosys
def test_held_inputs_need_no_cells_for_registers_alone(netlist: Synthesis) -> None:
    """Only registers of the shell (rings, feature, tokens) have a logic cell to themselves."""
    assert netlist.cells < sum(netlist.luts.values()) + 60


@needs_yosys
def test_thresholds_of_their_own_go_to_block_ram(tmp_path: Path) -> None:
    sample = draw(features=40, levels=3, shared=False)
    files = write_rtl(sample.encoder, sample.fabric, out=tmp_path / "rtl", argmax_registers=True)
    assert synthesise(files, load("ice40-hx1k"), out=tmp_path / "synth").brams == 2


@needs_all
@pytest.mark.parametrize("play", [Play(None, carry=True), Play((3, 1), slack=(0, 1), carry=True)])
def test_nextpnr_puts_carries_beside_their_multiplexers(play: Play, tmp_path: Path) -> None:
    """Its count of carries with a logic cell to themselves is that of `CarryCells`, behind LUTs as well."""
    sample = draw(features=40, levels=2, layers=(60, 120), classes=6)
    fabric, argmax = add_argmax(sample.fabric, play=play)
    files = write_rtl(sample.encoder, fabric, out=tmp_path / "rtl", argmax_registers=False, held=True)
    found = synthesise(files, load("ice40-hx1k"), out=tmp_path / "synth")
    cells = json.loads(found.netlist.read_text())["modules"]["lgc_top"]["cells"]
    carries = [name for name, cell in cells.items() if cell["type"] == "SB_CARRY"]
    shell = sum("carry_p" not in name for name in carries)
    assert len(carries) - shell == len(argmax.carries.carry)
    options = ["--hx1k", "--package", "tq144", "--json", "../synth/netlist.json", "--pack-only"]
    (tmp_path / "pack").mkdir()
    tools.run(
        tools.find("nextpnr-ice40"), options, cwd=tmp_path / "pack", log=tmp_path / "pack.log", timeout_s=300
    )
    (alone,) = re.findall(r"(\d+) LCs used as CARRY only", (tmp_path / "pack.log").read_text())
    expected = int((argmax.carries.beside == ALONE).sum())
    assert expected <= int(alone) <= expected + shell
    assert 0 < expected < len(argmax.carries.carry)


@needs_all
def test_bitstream_of_a_small_design(netlist: Synthesis, routed: Routing, tmp_path: Path) -> None:
    assert netlist.cells <= routed.cells <= netlist.cells + 40
    assert (routed.cells_available, routed.brams, routed.io) == (1280, 0, netlist.io)
    assert 40 < routed.fmax_mhz < 500
    period = sum(delay for _, _, delay in routed.critical)
    assert period == pytest.approx(1e3 / routed.fmax_mhz, rel=0.02)
    packed = pack(routed.asc, out=tmp_path)
    assert packed.path.stat().st_size == 32220  # every HX1K bitstream
    assert packed.path.read_bytes()[4:8] == bytes.fromhex("7eaa997e")  # synchronisation word


FAST = {"ice40-hx1k", "ice40-hx8k", "ice40-up5k"}
"""The others take minutes together."""


@pytest.mark.parametrize(
    "name",
    [
        name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
        for name in names()
        if not load(name).cells.own_cells  # those are in test_xilinx.py
    ],
)
def test_every_target_is_known_to_the_tools(design: RtlFiles, name: str, tmp_path: Path) -> None:
    target = load(name)
    if reason := lacking(*target.cells.tools):
        pytest.skip(reason)
    result = synthesise(design, target, out=tmp_path / "synth")
    assert result.luts["network"] == design.network_luts
    if target.cells.estimated:
        return
    routed = place_and_route(result, target, out=tmp_path / "route", timeout_s=300)
    assert target.luts == routed.cells_available
    assert pack(routed.asc, out=tmp_path / "pack", target=target).path.stat().st_size > 5_000


@needs_all
def test_the_same_seed_gives_the_same_routing(netlist: Synthesis, routed: Routing, tmp_path: Path) -> None:
    again = place_and_route(
        netlist, load("ice40-hx1k"), out=tmp_path, router=routed.router, seed=routed.seed, timeout_s=300
    )
    assert again.fmax_mhz == routed.fmax_mhz
    assert again.asc.read_text().splitlines()[1:] == routed.asc.read_text().splitlines()[1:]


@needs_all
def test_command_lines_hold_no_path_of_this_machine(netlist: Synthesis, routed: Routing) -> None:
    for command in (*netlist.commands, *routed.commands):
        assert " /" not in command
        assert not command.startswith("/")


@needs_all
def test_a_missed_clock_is_told_as_such(netlist: Synthesis, tmp_path: Path) -> None:
    with pytest.raises(DoesNotFitError, match=r"^The design reaches [\d.]+ MHz, not 900 MHz\.") as error:
        place_and_route(netlist, load("ice40-hx1k"), out=tmp_path, freq_mhz=900, timeout_s=300)
    assert error.value.exit_code == 5


@needs_all
def test_no_time_for_routing(netlist: Synthesis, tmp_path: Path) -> None:
    with pytest.raises(LgcError, match=r"^No routing was found within 0\.2 s"):
        place_and_route(netlist, load("ice40-hx1k"), out=tmp_path, timeout_s=0.2)


@needs_yosys
def test_pins_that_do_not_exist(netlist: Synthesis, tmp_path: Path) -> None:
    if reason := lacking("nextpnr-ice40"):
        pytest.skip(reason)
    (tmp_path / "pins.pcf").write_text("set_io clk Z99\n")
    with pytest.raises(LgcError, match="Z99"):
        place_and_route(
            netlist, load("ice40-hx1k"), out=tmp_path / "out", pins=tmp_path / "pins.pcf", timeout_s=300
        )


def small_target(**resources: int) -> Target:
    target = load("ice40-hx1k")
    return replace(target, name="small", resources=replace(target.resources, **resources))


@pytest.mark.parametrize(
    ("used", "message"),
    [
        ({"cell": 150}, "it needs 150 logic cells of 100 (50% over)."),
        ({"io": 30, "ff": 99}, "it needs 30 pins of 20 (50% over)."),
        (
            {"cell": 200, "bram": 6},
            "it needs 200 logic cells of 100 (100% over) and 6 block RAMs of 4 (50% over).",
        ),
    ],
)
def test_what_does_not_fit_is_named(used: dict[str, int], message: str) -> None:
    with pytest.raises(DoesNotFitError) as error:
        check_fit(small_target(lut=100, ff=100, bram=4, io=20), **used)
    assert message in str(error.value)
    assert "Try a larger target" in str(error.value)


def test_what_fits_passes() -> None:
    check_fit(small_target(lut=100, ff=100, bram=4, io=20), cell=100, ff=100, bram=4, io=20)


@needs_yosys
def test_an_unknown_router(netlist: Synthesis, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^Unknown router 'router3'\. Did you mean "):
        place_and_route(netlist, load("ice40-hx1k"), out=tmp_path, router="router3")


def test_routers_by_size() -> None:
    target = load("ice40-hx8k")
    assert [name for name, _ in pnr._attempts("auto", 1000, target, 1800)] == ["router1", "router2"]
    assert pnr._attempts("auto", 7000, target, 1800) == [("router2", 1800)]
    assert [name for name, _ in pnr._attempts("auto", 7000, target, 1800, eager=True)] == [
        "router1",
        "router2",
    ]
    assert pnr._attempts("router1", 7000, target, 50) == [("router1", 50)]
    assert pnr._attempts("auto", 7000, load("nexus-lifcl-40"), 50) == [("router1", 50)]
    assert sum(limit for _, limit in pnr._attempts("auto", 1000, target, 1800)) == 1800


@pytest.mark.parametrize("read", [lambda p: parse.read_netlist(p, "lgc_top"), parse.read_route_report])
@pytest.mark.parametrize("text", ["", "{}", "[]", '{"modules": {"lgc_top": 3}, "fmax": 1}'])
def test_damaged_tool_output(tmp_path: Path, read: object, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(LgcError, match=r"^x\.json is not a "):
        read(tmp_path / "x.json")


def test_cells_belong_to_parts_by_their_instance() -> None:
    assert parse.part_of("fabric.network.lut_n3") == "network"
    assert parse.part_of("fabric.popcount.lut_p3") == "readout"
    assert parse.part_of("$flatten\\argmax.$auto$1") == "argmax"
    assert parse.part_of("fabric.argmax.carry_p7") == "argmax"
    assert parse.part_of("encoder.layer0.kernel.lut_n3") == "network"
    assert parse.part_of("encoder.chain.layer12.line.words_SB_DFF") == "network"
    assert parse.part_of("inner.core.fabric.network.lut_n3") == "network"
    assert parse.part_of("inner.core.result__valid_SB_LUT4_O") == "io"
    assert parse.part_of("inner.feeder.left_SB_LUT4_O") == "io"
    assert parse.part_of("encoder.store.x0_SB_DFF_Q") == "encoder"
    assert parse.part_of("result__valid_SB_LUT4_O") == "io"


@pytest.mark.slow
@needs_all
def test_a_design_of_thousands_of_cells(tmp_path: Path) -> None:
    """A layered network of two-input nodes on the HX8K; pipelined, it has to be fast."""
    sample = random_sample(
        seed=1, features=256, levels=1, layers=(500, 400, 400), classes=10, luts_per_stage=2
    )
    net = sample.fabric.netlist
    fanin = net.fanin.copy()
    fanin[: sample.fabric.network_luts, 2:] = 0
    fabric = replace(sample.fabric, netlist=replace(net, fanin=fanin))
    files = write_rtl(sample.encoder, fabric, out=tmp_path / "rtl", argmax_registers=True, held=True)
    target = load("ice40-hx8k")
    result = synthesise(files, target, out=tmp_path / "synth")
    routed = place_and_route(result, target, out=tmp_path / "route")
    assert np.isclose(routed.cells, result.cells, rtol=0.05)
    assert routed.fmax_mhz > 60
    assert pack(routed.asc, out=tmp_path / "pack").path.stat().st_size == 135100


@needs_all
def test_placing_for_the_highest_clock(netlist: Synthesis, tmp_path: Path) -> None:
    """The options are known to the router, and no clock is demanded."""
    found = place_and_route(netlist, load("ice40-hx1k"), out=tmp_path, eager=True, timeout_s=300)
    assert "--placer-heap-timingweight 40" in found.commands[0]
    assert "--opt-timing" in found.commands[0]
    assert found.fmax_mhz > 0
