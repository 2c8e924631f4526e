"""A finished build: its report, its bitstream, and its RTL to simulate again."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lgc import models, netlists
from lgc.ir.classifier import Classifier
from lgc.ir.encoder import FixedPoint, Thermometer
from lgc.manifest import read_step
from lgc.report import Report, model

if TYPE_CHECKING:
    from lgc.backend.component import Classifier as Component
    from lgc.backend.rtl import RtlFiles

_LOG = logging.getLogger(__name__)

LINK_SAMPLES = 1
"""Samples that are also simulated at the pins of an interface; all others behind it."""

Watch = Callable[[str, float | None, bool], None]
"""Called with a step's name at its start (None, False) and its end, or with a line to show (None, True)."""


def simulate_rtl(
    files: RtlFiles,
    network: Classifier,
    samples: models.Samples,
    out: Path,
    *,
    scored: Classifier,
    simulator: str = "auto",
    waves: bool = False,
    seed: int = 0,
    timeout_s: float = 600,
) -> tuple[model.Simulation, tuple[str, ...]]:
    """Stream samples through the RTL; returns the report's section and the command lines run.

    Args:
        files: the RTL.
        network: what its classes must agree with.
        samples: what to stream.
        out: folder of the simulation.
        simulator: "auto", "icarus" or "verilator".
        waves: keep a wave file.
        seed: of the random gaps and back-pressure.
        scored: what its scores must agree with.
        timeout_s: time limit of each simulation.

    Raises:
        MismatchError: a class or score differs from the network's.
        LgcError: a simulation failed or took too long.
    """
    from lgc.hw_tests import links, runner

    codes = files.windows(samples.codes)
    expected = scored.scores_of_codes(codes)
    classes = (expected if scored is network else network.scores_of_codes(codes)).argmax(axis=1)
    codes = files.interface.taken(network.encoder, codes)
    result = runner.simulate(
        files,
        codes=codes,
        expected_class=classes,
        expected_scores=expected,
        out=out,
        simulator=simulator,
        waves=waves,
        seed=seed,
        timeout_s=timeout_s,
    )
    if files.interface.wraps:
        few = slice(LINK_SAMPLES)
        link = links.simulate_link(
            files,
            codes=codes[few],
            expected_class=classes[few],
            expected_scores=expected[few],
            out=out / "interface",
            simulator=simulator,
            seed=seed,
            timeout_s=timeout_s,
            tests=("every_sample",) if files.interface.name == "uart" else None,
        )
        _LOG.info("Over %s: %d samples right, %d clocks each.", link.interface, link.samples, link.clocks)
    # Every class was found equal to the network's, so the hardware is right where the network is.
    # Windows over several samples have no label.
    known = samples.labels is not None and not files.hop
    correct = int((classes == samples.labels).sum()) if known else None
    section = model.Simulation(
        simulator=result.simulator,
        samples=result.samples,
        source=samples.source,
        classes_equal=result.matching_classes,
        scores_equal=result.matching_scores,
        correct=correct,
        latency_cycles=result.latency,
        cycles_per_sample=result.cycles_per_sample or files.cycles_per_sample,
        seconds=round(result.seconds, 3),
    )
    return section, result.commands


def read_rtl(path: Path) -> RtlFiles:
    """Return the Verilog of the build in `path`.

    Raises:
        LgcError: not a build, not that far, or files were edited or lost since.
    """
    from lgc.backend.interfaces.settings import Interface
    from lgc.backend.rtl import RtlFiles

    record = read_step(path, "04-rtl")
    values = dict(record["values"])
    values["sources"] = tuple(path / "04-rtl" / name for name in values["sources"])
    values["cells"] = path / "04-rtl" / values["cells"]
    if values.get("program"):
        values["program"] = path / "04-rtl" / values["program"]
    values["commands"] = tuple(values["commands"])
    values["interface"] = Interface(**values["interface"])
    return RtlFiles(**values)


@dataclass(frozen=True)
class Build:
    """A finished build.

    Attributes:
        path: its directory.
        report: what it has to say.
    """

    path: Path
    report: Report

    @classmethod
    def open(cls, path: str | Path) -> Build:
        """Open the build in a directory.

        Raises:
            LgcError: there is none, or it is not finished.
        """
        return cls(Path(path), Report.load(Path(path) / "report.json"))

    @property
    def bitstream(self) -> Path | None:
        """The file to load into the FPGA, or None where the build ended earlier."""
        found = self.report.bitstream
        return None if found is None else self.path / found.file

    def component(self) -> Component:
        """Return the design as an Amaranth component with the streams `features` and `result`.

        Raises:
            UsageError: it was built with another interface than plain streams.
        """
        from lgc.backend.component import Classifier

        return Classifier(read_rtl(self.path))

    @cached_property
    def network(self) -> Classifier:
        """The network the hardware must agree with, as lowered from the checkpoint."""
        return self._classifier("01-lower", "network.npz")

    @cached_property
    def references(self) -> tuple[Classifier, Classifier]:
        """What the hardware's classes and its scores must agree with.

        The network itself, unless a pass left out of the scores what all classes share, or gave up
        exactness: then the optimised network, for the scores or for both.
        """
        values = read_step(self.path, "02-optimise")["values"]
        if values["keeps_scores"] and values["keeps_classes"]:
            return self.network, self.network
        optimised = self._classifier("02-optimise", "optimised.npz")
        return (self.network if values["keeps_classes"] else optimised), optimised

    def _classifier(self, step: str, file: str) -> Classifier:
        record = read_step(self.path, "01-lower")
        encoder = json.loads((self.path / "01-lower" / "encoder.json").read_text())
        net = netlists.read(self.path / step / file)
        form = FixedPoint(**encoder["format"])
        threshold = np.array(encoder["threshold"], np.int32)
        return Classifier(Thermometer(threshold, form), net, tuple(record["values"]["class_names"]))

    def verify(self, x: npt.ArrayLike, *, simulator: str = "auto", seed: int = 0) -> model.Simulation:
        """Stream samples `[samples, ...]` through the RTL and compare with the network.

        Returns:
            The simulation's section of a report; every class and score agreed.

        Raises:
            MismatchError: some class or score differs.
            ToolMissingError: no simulator.
        """
        codes = self.network.encoder.codes(x)
        return self._simulate(
            models.Samples(codes, None, "given by the caller"), simulator=simulator, seed=seed
        )

    def simulate(
        self,
        *,
        data: str = "",
        images: int | None = None,
        simulator: str = "auto",
        seed: int = 0,
        waves: bool = False,
        watch: Watch | None = None,
    ) -> dict[str, Any]:
        """Simulate test samples, as `lgc sim` does; returns the section as JSON values.

        Args:
            data: data set, the one the build used if "".
            images: samples, all if None.
            simulator: "auto", "icarus" or "verilator".
            seed: of the random gaps and back-pressure.
            waves: keep a wave file in `sim/`.
            watch: told when it starts and ends.

        Raises:
            MismatchError: some class or score differs.
        """
        watch = watch or (lambda *_: None)
        found = models.samples(self.network, data or self.report.model.data_source, required=bool(data))
        watch("simulate", None, False)
        result = self._simulate(found.first(images), simulator=simulator, seed=seed, waves=waves)
        watch("simulate", result.seconds, False)
        files = [str(path) for path in (self.path / "sim").rglob("*.fst")]
        return dataclasses.asdict(result) | ({"waves": files[0]} if files else {})

    def _simulate(
        self, samples: models.Samples, *, simulator: str, seed: int, waves: bool = False
    ) -> model.Simulation:
        out = self.path / "sim"
        shutil.rmtree(out, ignore_errors=True)
        files = read_rtl(self.path)
        network, scored = self.references
        found, _ = simulate_rtl(
            files, network, samples, out, simulator=simulator, waves=waves, seed=seed, scored=scored
        )
        return found
