"""Designs of every kind in Icarus Verilog: all samples, then gaps, back-pressure and a reset."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lgc.backend.rtl import write_rtl
from lgc.errors import MismatchError
from lgc.hw_tests.runner import simulate
from lgc.ir.encoder import FixedPoint, Thermometer
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import Netlist
from lgc.ir.passes import Pipeline
from lgc.ir.passes.expand_readout import expand
from lgc.ir.readout import Readout

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")


def design(
    features: int, classes: int, *, seed: int, shared: bool, signed: bool = False
) -> tuple[Thermometer, Fabric]:
    """Draw a random network with two thresholds a feature."""
    rng = np.random.default_rng(seed)
    form = FixedPoint(5, signed=signed)
    rows = 1 if shared else features
    threshold = np.sort(rng.integers(form.low, form.high + 2, (rows, 2)), axis=1)
    encoder = Thermometer(np.broadcast_to(threshold, (features, 2)).astype(np.int32), form)
    first, nodes = 2 + encoder.bits, 6 * classes
    fanin = rng.integers(2, first + np.arange(2 * nodes)[:, None], (2 * nodes, 3)).astype(np.int32)
    table = rng.integers(0, 256, 2 * nodes).astype(np.uint8)
    head = Readout.group_sum(first + nodes + np.arange(nodes), classes)
    head = replace(
        head, weight=rng.integers(-2, 3, nodes).astype(np.int32), bias=rng.integers(-3, 4, classes)
    )
    return encoder, expand(Netlist(encoder.bits, fanin, table, np.empty(0, np.int32), head))


def check(
    encoder: Thermometer, fabric: Fabric, out: Path, *, levels: int, held: bool, samples: int = 25
) -> None:
    """Simulate random codes and compare class, scores, latency and period."""
    staged = replace(fabric, netlist=Pipeline(levels=levels)(fabric.netlist))
    files = write_rtl(encoder, staged, out=out / "rtl", argmax_registers=levels > 0, held=held)
    rng = np.random.default_rng(1)
    codes = rng.integers(
        encoder.format.low, encoder.format.high + 1, (samples, encoder.features), dtype=np.int32
    )
    scores = staged.scores(encoder.compare(codes))
    found = simulate(
        files,
        codes=codes,
        expected_class=scores.argmax(axis=1),
        expected_scores=scores,
        out=out / "sim",
        simulator="icarus",
        stress_frames=4,
    )
    assert (found.matching_classes, found.matching_scores) == (samples, samples)
    assert (found.latency, found.cycles_per_sample) == (files.latency, files.cycles_per_sample)


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("levels", [0, 1, 3])
def test_pipelines(held: bool, levels: int, tmp_path: Path) -> None:
    check(*design(20, 5, seed=levels, shared=False), tmp_path, levels=levels, held=held)


@pytest.mark.parametrize(("features", "classes"), [(1, 2), (2, 3), (3, 10), (37, 2)])
def test_sizes(features: int, classes: int, tmp_path: Path) -> None:
    check(*design(features, classes, seed=features, shared=False), tmp_path, levels=2, held=True)


@pytest.mark.parametrize("shared", [False, True])
def test_signed_features_and_shared_thresholds(shared: bool, tmp_path: Path) -> None:
    check(*design(16, 4, seed=7, shared=shared, signed=True), tmp_path, levels=2, held=True)


def test_a_wrong_expectation_fails(tmp_path: Path) -> None:
    """The bench can tell: one score off by one, and the simulation is a mismatch."""
    encoder, fabric = design(8, 3, seed=0, shared=True)
    files = write_rtl(encoder, fabric, out=tmp_path / "rtl", argmax_registers=False)
    codes = np.zeros((4, 8), np.int32)
    scores = fabric.scores(encoder.compare(codes))
    wrong = scores.copy()
    wrong[2, 0] += 1
    with pytest.raises(MismatchError, match="Sample 2"):
        simulate(
            files,
            codes=codes,
            expected_class=scores.argmax(axis=1),
            expected_scores=wrong,
            out=tmp_path / "sim",
            simulator="icarus",
        )
