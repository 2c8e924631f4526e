"""Programs beyond block RAM: where they go, how they are loaded from flash, and what does not fit."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import lgc
from lgc.backend import tools
from lgc.backend.interfaces.settings import STREAM, Interface
from lgc.backend.pack import for_flash
from lgc.backend.streaming.flash import FLASH_AT, crc32
from lgc.backend.streaming.memory import Store, fewest
from lgc.backend.streaming.rtl import Design, serial_design, write_folded
from lgc.backend.target import load
from lgc.cli import main
from lgc.errors import DoesNotFitError, LgcError, MismatchError, ToolMissingError
from lgc.frontend import checkpoint
from lgc.frontend.lower import lower
from lgc.hw_tests.links import simulate_link
from lgc.hw_tests.runner import simulate
from lgc.ir.passes import LutMap
from lgc.verification import verify

from .networks import dense_network
from .test_designs import FAST, check, mapped

ICE40 = ((256, 16), (512, 8), (1024, 4), (2048, 2))
MODEL = dense_network(3, features=9, levels=2, widths=(30, 15))


def test_where_a_program_goes() -> None:
    choose = partial(Store.choose, shapes=ICE40, blocks=10)
    assert choose(300, 40, sprams=4) == Store(300, 40, 300)
    assert choose(3000, 40, sprams=4) == Store(3000, 40, 0, 3)
    assert choose(3000, 40, sprams=2) == Store(3000, 40, 1024)
    assert choose(3000, 40, sprams=2, luts=1000) == Store(3000, 40, 0, streamed=True)
    assert choose(20_000, 16, sprams=4).outside == 20_000 - 2560
    assert Store.choose(7, 40, shapes=(), blocks=0) == Store(7, 40, 0)
    assert fewest(1024, 40, ICE40) == 10


def test_checksum_is_the_published_one() -> None:
    """Check value of CRC-32/MPEG-2 in the catalogue of CRC algorithms."""
    assert crc32(b"123456789") == 0x0376E6E7


def from_flash(interface: Interface = STREAM) -> Design:
    """A design whose program does not find room in block RAM."""
    folded = mapped(MODEL)
    folded = replace(folded, tail=LutMap(k=4)(folded.tail))
    return serial_design(MODEL.encoder, folded, shapes=ICE40, blocks=4, sprams=4, interface=interface)


def test_a_program_that_stays_in_flash(tmp_path: Path) -> None:
    """Neither SPRAM nor LUTs have room: each sample reads it anew, also after a reset amid a frame."""
    needs_icarus()
    model = dense_network(4, features=3, widths=(9, 6))
    folded = mapped(model)
    folded = replace(folded, tail=LutMap(k=4)(folded.tail))
    laid_out = serial_design(model.encoder, folded, shapes=ICE40, blocks=4, luts=3)
    assert "read from flash for each sample" in laid_out.model()
    assert serial_design(model.encoder, folded, shapes=ICE40, blocks=4, luts=50).serial[1].outside  # type: ignore[index]
    check(model, laid_out, tmp_path)


def codes_and_scores(samples: int) -> tuple[np.ndarray, np.ndarray]:
    codes = np.random.default_rng(1).integers(0, 16, (samples, MODEL.encoder.features), dtype=np.int32)
    return codes, lower(MODEL).scores_of_codes(codes)


def needs_icarus() -> None:
    try:
        tools.find("iverilog")
    except ToolMissingError as error:
        pytest.skip(str(error))


def test_a_program_from_flash_is_read_until_it_is_right(tmp_path: Path) -> None:
    """The first reading has a wrong bit; a reset amid the second frame does not forget the program."""
    needs_icarus()
    laid_out = from_flash()
    assert "SPRAM" in laid_out.model()
    files = write_folded(laid_out, out=tmp_path / "rtl")
    codes, scores = codes_and_scores(6)
    want = partial(
        simulate,
        files,
        codes=codes,
        expected_class=scores.argmax(axis=1),
        expected_scores=scores,
        simulator="icarus",
    )
    found = want(out=tmp_path / "sim", faults=1)
    assert (found.matching_classes, found.matching_scores, found.stress_frames) == (6, 6, 6)
    assert files.program is not None
    data = bytearray(files.program.read_bytes())
    data[0] ^= 1
    files.program.write_bytes(data)
    with pytest.raises(MismatchError, match="gave 0 of 6 results"):
        want(out=tmp_path / "wrong", stress_frames=0)


def test_a_program_from_flash_behind_a_uart(tmp_path: Path) -> None:
    needs_icarus()
    files = write_folded(
        from_flash(Interface("uart", pack="codes", scores=True, **FAST)), out=tmp_path / "rtl"
    )
    codes, scores = codes_and_scores(2)
    found = simulate_link(
        files,
        codes=codes,
        expected_class=scores.argmax(axis=1),
        expected_scores=scores,
        out=tmp_path / "link",
        simulator="icarus",
    )
    assert found.tests == ("every_sample", "wrong_frames", "reset_within_a_frame")


def test_what_the_flash_takes(tmp_path: Path) -> None:
    bitstream, program = tmp_path / "lgc.bin", tmp_path / "program.bin"
    bitstream.write_bytes(b"bits")
    program.write_bytes(b"program")
    data = for_flash(bitstream, program).read_bytes()
    assert (data[:5], data[FLASH_AT:]) == (b"bits\xff", b"program")
    bitstream.write_bytes(bytes(FLASH_AT + 1))
    with pytest.raises(LgcError, match=r"covers the program's place in the flash"):
        for_flash(bitstream, program)


def test_a_program_that_fits_nowhere(tmp_path: Path) -> None:
    """Said before synthesis, with what is over; exit code 5."""
    model = dense_network(1, features=200, widths=(6000, 6000))
    folded = mapped(model)
    laid_out = serial_design(
        model.encoder, replace(folded, tail=LutMap(k=4)(folded.tail)), shapes=ICE40, blocks=16
    )
    target = load("ice40-hx1k")
    with pytest.raises(
        DoesNotFitError, match=r"its program has [\d,]+ instructions of \d+ bits .* of 1,280 LUTs"
    ):
        laid_out.check_program(target)
    few = replace(target, resources=replace(target.resources, bram=3))
    with pytest.raises(
        DoesNotFitError, match=r"four copies of its [\d,]+ values take [\d,]+ block RAMs of 3 \("
    ):
        laid_out.check_program(few)
    path = tmp_path / "large.safetensors"
    checkpoint.save(path, model)
    done = CliRunner().invoke(
        main, ["compile", str(path), "--fold", "-t", "machxo2-1200", "-o", str(tmp_path / "b")]
    )
    assert done.exit_code == 5, done.output
    assert "does not fit machxo2-1200: its program has" in done.stderr


@pytest.mark.slow
def test_to_the_bitstream_with_its_program(tmp_path: Path) -> None:
    """An UltraPlus with so little block RAM that the program goes to SPRAM: netlist and flash."""
    text = (Path(tools.__file__).parent / "targets" / "ice40-up5k.toml").read_text()
    target = tmp_path / "few.toml"
    target.write_text(text.replace("bram = 30", "bram = 4"))
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, MODEL)
    try:
        build = lgc.compile(path, out=tmp_path / "build", fold=True, target=str(target), images=5)
        ladder = verify(build.path, levels=("netlist", "rtl", "gates"), images=3, model=path)
    except ToolMissingError as error:
        pytest.skip(str(error))
    assert {rung.verdict for rung in ladder.rungs} == {"equal"}
    program = (build.path / "04-rtl" / "program.bin").read_bytes()
    assert (build.path / "08-pack" / "flash.bin").read_bytes()[FLASH_AT:] == program
    memory = CliRunner().invoke(main, ["flash", str(build.path), "-b", "icebreaker", "--memory"])
    assert memory.exit_code == 2
    assert "The design's program is read from flash. Leave --memory out." in memory.stderr
