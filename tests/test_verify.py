"""The ladder on a real build: every rung agrees, and every damage is seen by the rung it belongs to."""

import dataclasses
import gzip
import json
import re
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import lgc
from lgc.backend.pnr import BETTER
from lgc.build import read_rtl
from lgc.cli import main
from lgc.errors import LgcError, MismatchError, ToolMissingError, UsageError
from lgc.frontend import checkpoint
from lgc.frontend.checkpoint import Checkpoint, Layer
from lgc.hw_tests.chip import simulated_chip
from lgc.ir.encoder import FixedPoint, Thermometer
from lgc.manifest import sha256
from lgc.report import Report
from lgc.verification import LEVELS, timing, unpack, verify
from lgc.verification.rungs import DIFFERS, EQUAL, FAILED, SKIPPED, Ladder, Rung

from .needs import needs

PIXELS, CLASSES, IMAGES = 64, 10, 20


def tiny(nodes: int = 60, *, seed: int = 0) -> Checkpoint:
    """An untrained network over the digits' pixels."""
    rng = np.random.default_rng(seed)
    layer = Layer(
        fanin=rng.integers(0, 2 * PIXELS, (nodes, 2)).astype(np.int32),
        parameters=rng.normal(size=(nodes, 16)).astype(np.float32),
        relaxation="dlgn",
    )
    threshold = np.tile(np.array([4, 10], np.int32), (PIXELS, 1))
    metadata = {"source": "digits", "image_shape": [8, 8], "seed": seed}
    return Checkpoint(Thermometer(threshold, FixedPoint(5)), (layer,), tuple("0123456789"), 1.0, metadata)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    checkpoint.save(folder / "tiny.safetensors", tiny())
    return lgc.compile(folder / "tiny.safetensors", images=20).path


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A build of its own to damage, with its checkpoint."""
    shutil.copytree(built, tmp_path / "tiny")
    shutil.copy(built.with_suffix(".safetensors"), tmp_path)
    return tmp_path / "tiny"


def only(ladder: Ladder, verdict: str) -> list[Rung]:
    return [rung for rung in ladder.rungs if rung.verdict == verdict]


def accept(build: Path, file: str) -> None:
    """Make an edited file count as the one its step wrote, and as the one later steps read."""
    manifest = json.loads((build / "manifest.json").read_text())
    step, name = file.split("/")
    digest = sha256(build / file)
    manifest["steps"][step]["outputs"][name] = digest
    for record in manifest["steps"].values():
        if name in record["inputs"]:
            record["inputs"][name] = digest
    (build / "manifest.json").write_text(json.dumps(manifest))


def test_the_levels_below_the_bitstream_agree(copy: Path) -> None:
    ladder = verify(copy, levels=LEVELS[: LEVELS.index("bitstream")], images=IMAGES)
    assert [rung.verdict for rung in ladder.rungs] == [EQUAL] * 7, ladder.rungs
    methods = {rung.name: rung.method for rung in ladder.rungs}
    assert methods["model ↔ network"] == "evaluation in torch of 200 validation, 360 test samples"
    assert methods["network ↔ optimised"].startswith("proof (SAT sweeping")
    assert methods["optimised ↔ LUTs with popcount"].startswith("proof (SAT sweeping of the network, ")
    assert methods["LUTs with popcount ↔ Verilog"].startswith("proof (SAT sweeping")
    assert methods["network ↔ post-synthesis netlist"].endswith("vendor cells)")
    assert methods["network ↔ post-route netlist"].endswith("vendor cells)")
    ladder.check(required=True)
    report = Report.load(copy / "report.json")
    kept = {check.rung: check for check in report.checks}
    assert kept["verify: model ↔ network"].equal
    assert json.loads((copy / "verify.json").read_text())["seed"] == 0
    assert "| verify: network ↔ RTL |" in (copy / "report.md").read_text()


def test_the_decoded_bitstream_gives_the_classes_of_real_digits(copy: Path) -> None:
    """50 test images through the pins of what the packed file describes, in our evaluation and in Icarus."""
    ladder = verify(copy, levels=["bitstream"], images=50)
    assert [rung.verdict for rung in ladder.rungs] == [EQUAL] * 3, ladder.rungs
    assert ladder.rungs[0].method.startswith("every bit (")
    assert ladder.rungs[1].compared > 50
    assert "decoded cells, back-pressure)" in ladder.rungs[1].method
    assert ladder.rungs[2].method.endswith("vendor cells)")


def test_a_bit_of_the_bitstream_is_seen(copy: Path) -> None:
    """One configuration bit flipped and packed again: the rung names how many bits differ."""
    from lgc.backend.pack import pack

    asc = copy / "07-route" / "design.asc"
    text = asc.read_text()
    start = text.index(".logic_tile 16 16") + len(".logic_tile 16 16\n")
    flipped = text[:start] + str(1 - int(text[start])) + text[start + 1 :]
    (copy / "flipped.asc").write_text(flipped)
    shutil.copy(pack(copy / "flipped.asc", out=copy / "again").path, copy / "08-pack" / "lgc.bin")
    accept(copy, "08-pack/lgc.bin")
    first = verify(copy, levels=["bitstream"], images=5).rungs[0]
    assert first.verdict == DIFFERS
    assert first.detail == "1 configuration bits of the packed file are not those of the router."


def test_without_the_chip_database_the_rung_is_skipped(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lgc.verification.chipdb.importlib.util.find_spec", lambda _: None)
    rungs = verify(copy, levels=["bitstream"], images=5).rungs
    assert [rung.verdict for rung in rungs] == [EQUAL, SKIPPED, SKIPPED]
    assert "chipdb-8k.bin was not found" in rungs[1].detail


def test_the_command_prints_a_table_and_json(copy: Path) -> None:
    done = CliRunner().invoke(main, ["verify", str(copy), "--level", "netlist", "--json", "-q"])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)["rungs"]
    assert [rung["verdict"] for rung in found] == ["equal", "equal"]
    done = CliRunner().invoke(main, ["verify", str(copy), "--level", "netlist", "--seed", "7"])
    assert "first difference" in done.stdout
    assert "repeat with --seed 7" in done.stderr


def test_a_difference_exits_with_4_and_is_kept(copy: Path) -> None:
    """The optimised netlist of another network: the proof fails with a pattern, the report keeps it."""
    from lgc import netlists

    file = copy / "02-optimise" / "optimised.npz"
    net = netlists.read(file)
    table = net.table.copy()
    table[0] ^= 1
    netlists.write(file, dataclasses.replace(net, table=table))
    accept(copy, "02-optimise/optimised.npz")
    done = CliRunner().invoke(main, ["verify", str(copy), "--level", "netlist", "-q"])
    assert done.exit_code == 4
    assert "They differ at input pattern 0x" in done.stderr
    kept = {check.rung: check.equal for check in Report.load(copy / "report.json").checks}
    assert kept["verify: network ↔ optimised"] is False


def test_edited_files_are_named(copy: Path) -> None:
    file = copy / "03-expand" / "fabric.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(LgcError, match=r"03-expand/fabric\.json was changed or lost since it was built"):
        verify(copy)


def test_stale_steps_are_named(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["steps"]["04-rtl"]["inputs"]["fabric.npz"] = "0" * 64
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(LgcError, match=r"Step 04-rtl in .* is stale: 03-expand/fabric\.npz has changed"):
        verify(copy)


def test_something_that_is_no_build(tmp_path: Path) -> None:
    with pytest.raises(LgcError, match="is not a build directory"):
        verify(tmp_path)
    with pytest.raises(UsageError, match="There is no level 'gate'. Did you mean gates"):
        verify(tmp_path, levels=["gate"])
    done = CliRunner().invoke(main, ["verify", str(tmp_path), "--images", "few"])
    assert done.exit_code == 2


def test_without_the_checkpoint_the_model_is_skipped_and_said_to_be(copy: Path) -> None:
    copy.with_suffix(".safetensors").unlink()
    ladder = verify(copy, levels=["model", "netlist"])
    assert [rung.verdict for rung in ladder.rungs] == [SKIPPED, EQUAL, EQUAL]
    assert "tiny.safetensors was not found next to the build" in ladder.rungs[0].detail
    assert "no proof: The checkpoint" in ladder.rungs[2].method
    ladder.check(required=False)
    with pytest.raises(ToolMissingError, match="was skipped"):
        ladder.check(required=True)


def test_another_checkpoint_is_refused(copy: Path, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "other.safetensors", tiny(seed=1))
    ladder = verify(copy, levels=["model"], model=tmp_path / "other.safetensors")
    assert ladder.rungs[0].verdict == FAILED
    assert "is not the checkpoint this build was made from" in ladder.rungs[0].detail


def test_without_torch_the_model_is_skipped(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lgc.verification.software.find_spec", lambda _: None)
    assert "PyTorch is not installed" in verify(copy, levels=["model"]).rungs[0].detail


def test_a_simulation_that_hangs_fails(copy: Path) -> None:
    ladder = verify(copy, levels=["rtl"], images=IMAGES, timeout_s=0.05)
    found = only(ladder, FAILED)
    assert any("The simulation did not finish within 0.05 s" in rung.detail for rung in found)
    with pytest.raises(LgcError, match="could not be compared") as caught:
        ladder.check(required=False)
    assert caught.value.exit_code == 1


def test_the_worst_verdict_decides() -> None:
    rungs = tuple(Rung("rtl", v, "", 0, v, "why") for v in (SKIPPED, FAILED, DIFFERS, EQUAL))
    with pytest.raises(MismatchError, match="The rung differs: differs. why"):
        Ladder(Path(), rungs, 0, None).check(required=True)


@pytest.mark.parametrize(
    ("images", "sizes"),
    [(50, (784, 100, 60)), pytest.param(1000, (784, 600, 300), marks=pytest.mark.slow)],
)
def test_mnist_images_through_the_pins_of_an_hx8k(
    images: int, sizes: tuple[int, ...], tmp_path: Path
) -> None:
    """`lgc verify BUILD --level bitstream --images 1000`; --images all takes all 10,000."""
    data = Path(__file__).parents[2] / "shared" / "data" / "mnist"
    if not data.is_dir():
        pytest.skip(f"MNIST is not in {data}")
    rng = np.random.default_rng(0)
    layers = []
    for sources, nodes in pairwise(sizes):
        fanin = rng.integers(0, sources, (nodes, 2)).astype(np.int32)
        layers.append(Layer(fanin, rng.normal(size=(nodes, 16)).astype(np.float32), "dlgn"))
    encoder = Thermometer(np.full((784, 1), 128, np.int32), FixedPoint(8))
    metadata = {"source": str(data), "image_shape": [28, 28], "seed": 0}
    model = Checkpoint(encoder, tuple(layers), tuple("0123456789"), 1.0, metadata)
    checkpoint.save(tmp_path / "mnist.safetensors", model)
    build = lgc.compile(tmp_path / "mnist.safetensors", images=5).path
    ladder = verify(build, levels=["bitstream"], images=images)
    assert [rung.verdict for rung in ladder.rungs] == [EQUAL] * 3, ladder.rungs
    assert ladder.rungs[1].compared > images


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"interface": "stream", "board": "ice40-hx8k-b-evn"}, marks=pytest.mark.slow),
        {"interface": "words", "word": 16, "with_scores": True},
        pytest.param({"interface": "axi", "word": 32}, marks=pytest.mark.slow),
        pytest.param(
            {
                "interface": "uart",
                "board": "icebreaker",
                "clock": "24MHz",
                "baud": 1_000_000,
                "with_scores": True,
            },
            marks=pytest.mark.slow,
        ),
        pytest.param({"interface": "spi", "pack": "codes", "with_scores": True}, marks=pytest.mark.slow),
    ],
    ids=lambda options: str(options["interface"]),
)
def test_each_interface_down_to_the_decoded_bitstream(options: dict[str, object], tmp_path: Path) -> None:
    """Also designs for boards, which have no reset, one behind a phase-locked loop: all samples at the pins."""
    checkpoint.save(tmp_path / "tiny.safetensors", tiny(30))
    build = lgc.compile(tmp_path / "tiny.safetensors", images=2, **options)
    ladder = verify(build.path, levels=["gates", "bitstream"], images=8)
    assert [rung.verdict for rung in ladder.rungs] == [EQUAL] * 5, ladder.rungs
    what = "classes and scores" if options.get("with_scores") else "classes"
    assert f"vectors ({what} at the {options['interface']} pins of " in ladder.rungs[3].method
    assert ladder.rungs[3].compared > 8


def test_another_setting_of_the_loop_is_seen() -> None:
    class Subject:
        def key(self, step: str) -> dict[str, object]:
            assert step == "06-synthesise"
            return {"pll": {"parameters": {"DIVF": "7'd63", "FEEDBACK_PATH": '"SIMPLE"'}}}

    unpack._same_loop(Subject(), {"DIVF": 63, "FEEDBACK_PATH": 1})
    with pytest.raises(MismatchError, match="has DIVF 62, not 63"):
        unpack._same_loop(Subject(), {"DIVF": 62, "FEEDBACK_PATH": 1})
    with pytest.raises(MismatchError, match="has no phase-locked loop"):
        unpack._same_loop(Subject(), None)


def test_an_answer_that_takes_too_long_for_delays_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never replayed in part without an answer, in which nothing could go wrong."""
    for clocks, wanted in ((100, (timing.CLOCKS, timing.LANES)), (9000, (20_000, 1))):
        monkeypatch.setattr(timing.hardware, "link_clocks", lambda _, clocks=clocks: clocks)
        assert timing._clocks(SimpleNamespace(rtl=None)) == wanted
    monkeypatch.setattr(timing.hardware, "link_clocks", lambda _: 100_000)
    with pytest.raises(ToolMissingError, match=r"^An answer takes 101,000 clocks, more than are simulated"):
        timing._clocks(SimpleNamespace(rtl=None))


def test_the_chip_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verilog in place of a board: asked by `verify --board`, by `lgc host`, and over a serial port."""
    checkpoint.save(tmp_path / "tiny.safetensors", tiny(30))
    build = lgc.compile(
        tmp_path / "tiny.safetensors",
        images=2, until="simulation", interface="uart", baud=1_000_000, with_scores=True, timeout_ms=1,
    )  # fmt: skip
    link = Report.load(build.path / "report.json").link
    assert link is not None
    assert (link.name, link.baud, link.request, link.answer) == ("uart", 1_000_000, 18, 3)
    rung = verify(build.path, levels=["board"], images=2, port="simulate").rungs[0]
    assert (rung.verdict, rung.compared) == (EQUAL, 2), rung
    assert "2 samples over the UART (simulated Verilog" in rung.method
    out = tmp_path / "classes.txt"
    command = ["host", str(build.path), "--simulate", "--images", "2", "--out", str(out), "--json"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["scores as the network's"] == "2 of 2"
    assert len(out.read_text().split()) == 2
    with pytest.raises(UsageError, match=r"^The level board needs to know the serial port\."):
        verify(build.path, levels=["board"])
    assert CliRunner().invoke(main, ["host", str(build.path)]).exit_code == 2
    if find_spec("serial") is None:
        pytest.skip("pyserial is not installed, so no serial port was opened")
    monkeypatch.setattr("lgc.host.ANSWER_S", 60.0)
    with simulated_chip(read_rtl(build.path), tmp_path / "chip") as terminal:
        rung = verify(build.path, levels=["board"], images=2, port=terminal).rungs[0]
    assert (rung.verdict, rung.compared) == (EQUAL, 2), rung
    assert terminal in rung.method


def edit_routed(build: Path, name: str, edit: Callable[[str], str]) -> None:
    """Edit a compressed file beside the routed design, and let it count as the router's."""
    file = build / "07-route" / name
    text = gzip.decompress(file.read_bytes()).decode()
    changed = edit(text)
    assert changed != text
    file.write_bytes(gzip.compress(changed.encode(), mtime=0))
    accept(build, f"07-route/{name}")


def test_the_clock_of_the_router_holds_and_a_faster_one_does_not(copy: Path) -> None:
    """Also with slower wires: both rungs see them."""
    ladder = verify(copy, levels=["timing"], images=8)
    assert [rung.verdict for rung in ladder.rungs] == [EQUAL] * 2, ladder.rungs
    assert ladder.rungs[0].method.startswith("static, ")
    assert re.search(r"clocks at [\d.]+ MHz; wrong at [\d.]+ times that", ladder.rungs[1].method)
    assert ladder.rungs[1].compared == 8
    slower = re.compile(r"(\(INTERCONNECT \S+ fabric\.\S+/I\d )\((\d+):\d+:\d+\) \(\d+:\d+:\d+\)")
    edit_routed(copy, "delays.sdf.gz", lambda text: slower.sub(r"\1(9\2:9\2:9\2) (9\2:9\2:9\2)", text))
    first, second = verify(copy, levels=["timing"], images=8).rungs
    assert first.verdict == second.verdict == DIFFERS
    assert re.match(r"The longest path takes [\d,]+ ps, the router's clock is [\d,]+ ps\.", first.detail)
    assert "levels of outputs are wrong, the first of " in second.detail


def test_a_table_of_the_routed_netlist_is_seen(copy: Path) -> None:
    def invert(text: str) -> str:
        found = json.loads(text)
        (module,) = found["modules"].values()
        cells = module["cells"].values()
        pin = next(cell for cell in cells if cell["connections"].get("PACKAGE_PIN") == [payload(module)])
        maker = next(cell for cell in cells if cell["connections"].get("O") == pin["connections"]["D_OUT_0"])
        table = maker["parameters"]["LUT_INIT"]
        maker["parameters"]["LUT_INIT"] = table.translate(str.maketrans("01", "10"))
        return json.dumps(found)

    def payload(module: dict[str, Any]) -> int:
        bit: int = module["ports"]["result__payload"]["bits"][0]
        return bit

    edit_routed(copy, "netlist.json.gz", invert)
    _, routed = verify(copy, levels=["gates"], images=4).rungs
    assert routed.verdict == DIFFERS
    assert "The hardware differs from the network" in routed.detail


def test_a_build_without_routed_netlist_is_skipped(copy: Path) -> None:
    for name in ("netlist.json.gz", "delays.sdf.gz"):
        (copy / "07-route" / name).unlink()
        manifest = json.loads((copy / "manifest.json").read_text())
        del manifest["steps"]["07-route"]["outputs"][name]
        (copy / "manifest.json").write_text(json.dumps(manifest))
    rungs = verify(copy, levels=["timing"], images=4).rungs
    assert [rung.verdict for rung in rungs] == [SKIPPED] * 2
    assert "The build has no netlist.json.gz beside its routed design." in rungs[0].detail


@needs("yosys", "nextpnr-ice40", "nextpnr-ecp5", simulator=True)
@pytest.mark.parametrize(
    ("target", "wires"), [("ice40-hx8k", 0), pytest.param("ecp5-25f", 1, marks=pytest.mark.slow)]
)
def test_wires_routed_by_delay_down_to_the_decoded_bitstream(target: str, wires: int, tmp_path: Path) -> None:
    """Chains of carries and block RAM among them: nextpnr reads its own netlist again."""
    checkpoint.save(tmp_path / "tiny.safetensors", tiny(30))
    build = lgc.compile(
        tmp_path / "tiny.safetensors",
        images=2,
        target=target,
        throughput="full",
        levels=1,
        wire_registers=wires,
    )
    assert (build.path / "07-route" / BETTER).is_file()
    ladder = verify(build.path, levels=["bitstream"], images=8)
    assert {rung.verdict for rung in ladder.rungs if rung.verdict != SKIPPED} == {EQUAL}, ladder.rungs
    assert sum(rung.verdict == EQUAL for rung in ladder.rungs) >= 2
