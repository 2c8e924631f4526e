"""Xilinx: the fabric in LUT6_2 and CARRY4 or CARRY8, simulated with the vendor's models and synthesised."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lgc.backend import tools
from lgc.backend.fabric import fabric_text
from lgc.backend.family import FAMILIES
from lgc.backend.models import cell_models
from lgc.backend.rtl import write_rtl
from lgc.backend.synth import synthesise
from lgc.backend.target import load
from lgc.backend.xilinx import LIBRARY, MODELS
from lgc.errors import LgcError
from lgc.hw_tests.runner import simulate
from lgc.ir.encoder import FixedPoint, Thermometer
from lgc.ir.fabric import Fabric
from lgc.ir.passes.expand_argmax import add_argmax
from lgc.ir.passes.expand_readout import expand
from lgc.ir.slices import Slices, staged

from ..ir.netlists import difflogic
from ..needs import needs_tools, needs_yosys

FEATURES, LEVELS, CLASSES = 30, 2, 5


def design(levels: int, *, seed: int = 1) -> Fabric:
    net = difflogic(FEATURES * LEVELS, [300, 300], classes=CLASSES, seed=seed, passing=0.5)
    counted = staged(expand(net, k=6, fractured=True, carry=True), levels)
    return add_argmax(counted)[0]


def encoder() -> Thermometer:
    threshold = np.sort(np.random.default_rng(0).integers(1, 250, (FEATURES, LEVELS)), axis=1)
    return Thermometer(threshold.astype(np.int32), FixedPoint(8))


def instances(text: str) -> Counter[str]:
    return Counter(re.findall(r"^  (LUT\w+|CARRY\d) ", text, re.MULTILINE))


@pytest.mark.parametrize("carry", ["CARRY4", "CARRY8"])
def test_the_text_has_a_cell_per_site(carry: str) -> None:
    fabric = design(4)
    text = fabric_text(fabric, held=True, cells=carry)
    slices = Slices.of(fabric)
    found = instances(text.verilog)
    size = int(carry[-1])
    assert found[carry] == sum(-(-len(chain) // size) for _, chain in slices.chains)
    bare = sum(not p.pins and p.five is None for _, chain in slices.chains for p in chain)
    luts = sum(n for kind, n in found.items() if kind.startswith("LUT"))
    assert luts + bare < 0.75 * fabric.netlist.luts  # what a LUT each would need
    assert found["LUT6_2"] > slices.positions / 4
    assert text.verilog == fabric_text(fabric, held=True, cells=carry).verilog


@needs_yosys
def test_models_are_the_library_s(tmp_path: Path) -> None:
    text = cell_models(tools.find("yosys"), LIBRARY, MODELS, tmp_path)
    assert re.findall(r"^module (\w+)", text, re.MULTILINE) == list(MODELS)
    assert "specify" not in text
    assert str(tmp_path) not in text
    assert not list(tmp_path.iterdir())


@needs_tools
@pytest.mark.parametrize(("family", "levels"), [("xc7", 3), ("xc7", 0), ("xcup", 2)])
def test_classes_and_scores_with_the_vendor_s_models(family: str, levels: int, tmp_path: Path) -> None:
    fabric = design(levels, seed=levels)
    rtl = write_rtl(
        encoder(),
        fabric,
        out=tmp_path / "rtl",
        argmax_registers=levels > 0,
        held=True,
        family=FAMILIES[family],
    )
    codes = np.random.default_rng(1).integers(0, 256, (12, FEATURES), np.int32)
    bits = (codes[:, :, None] >= encoder().threshold[None]).reshape(len(codes), -1)
    scores = fabric.scores(bits)
    done = simulate(
        rtl,
        codes=codes,
        expected_class=scores.argmax(axis=1),
        expected_scores=scores,
        out=tmp_path / "sim",
        simulator="icarus",
    )
    assert (done.matching_classes, done.matching_scores) == (12, 12)


@needs_yosys
def test_synthesis_leaves_the_cells_as_they_are(tmp_path: Path) -> None:
    fabric = design(3)
    rtl = write_rtl(
        encoder(), fabric, out=tmp_path / "rtl", argmax_registers=True, held=True, family=FAMILIES["xc7"]
    )
    found = synthesise(rtl, load("xc7a35t"), out=tmp_path / "synth")
    written = instances((tmp_path / "rtl" / "fabric.v").read_text())
    counted = json.loads((tmp_path / "synth" / "stat.json").read_text())["design"]["num_cells_by_type"]
    assert counted["LUT6_2"] == written["LUT6_2"]
    assert counted["CARRY4"] >= written["CARRY4"]
    inside = found.luts["network"] + found.luts["readout"] + found.luts["argmax"]
    assert inside == sum(n for kind, n in written.items() if kind.startswith("LUT"))
    slices = Slices.of(fabric)
    bare = sum(not p.pins and p.five is None for _, chain in slices.chains for p in chain)
    # comparators of the encoder may have a constant position or two
    assert 0 <= found.cells - sum(found.luts.values()) - bare <= 4


def test_a_fabric_of_other_luts_is_refused() -> None:
    net = difflogic(20, [60], classes=3, seed=0)
    with pytest.raises(LgcError, match=r"^The fabric has LUTs of 4 inputs, the backend builds 6\. Map it"):
        fabric_text(expand(net, k=4), cells="CARRY4")
