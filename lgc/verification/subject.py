"""The build under verification, with its files checked and its samples at hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lgc import models, netlists
from lgc.build import Build, read_rtl
from lgc.errors import LgcError, ToolMissingError
from lgc.ir._typing import Bool2
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import Netlist
from lgc.manifest import read_manifest, read_step, sha256

if TYPE_CHECKING:
    from lgc.backend.rtl import RtlFiles
    from lgc.frontend.checkpoint import Checkpoint
    from lgc.ir.classifier import Classifier

PROOF_LUTS = 100_000
"""Largest netlist whose equality is proved; larger ones are simulated."""


@dataclass(frozen=True)
class Subject:
    """A build and how to compare it.

    Attributes:
        build: the build.
        model: its checkpoint, or None to look for it.
        data: data set, or "" for what the build used.
        images: samples simulated in hardware, all if None.
        simulator: "auto", "icarus" or "verilator".
        seed: of random stimulus.
        timeout_s: time limit of each simulation.
        port: serial port of the board, "simulate" for a simulated one, or "" for none.
    """

    build: Build
    model: Path | None
    data: str
    images: int | None
    simulator: str
    seed: int
    timeout_s: float
    port: str = ""

    @property
    def path(self) -> Path:
        """The build's directory."""
        return self.build.path

    @property
    def work(self) -> Path:
        """Directory for what verification writes."""
        return self.path / "verify"

    def has(self, step: str) -> bool:
        """Whether the build has reached a step."""
        return step in read_manifest(self.path)["steps"]

    def values(self, step: str) -> dict[str, Any]:
        """Return what a step reported."""
        found: dict[str, Any] = read_step(self.path, step)["values"]
        return found

    def key(self, step: str) -> dict[str, Any]:
        """Return the options a step ran with."""
        found: dict[str, Any] = read_step(self.path, step)["key"]
        return found

    @cached_property
    def network(self) -> Classifier:
        """The network as lowered."""
        return self.build.network

    @cached_property
    def optimised(self) -> Netlist:
        """The network after the pass pipeline."""
        read_step(self.path, "02-optimise")
        return netlists.read(self.path / "02-optimise" / "optimised.npz")

    @cached_property
    def fabric(self) -> Fabric:
        """The fabric, without its ledger."""
        read_step(self.path, "03-expand")
        out = self.path / "03-expand"
        facts = json.loads((out / "fabric.json").read_text())
        return Fabric.stored(netlists.read(out / "fabric.npz"), facts)

    @cached_property
    def rtl(self) -> RtlFiles:
        """The Verilog."""
        return read_rtl(self.path)

    @cached_property
    def levels(self) -> int:
        """Bits per thermometer code that the network's inputs are; 1 if they are not codes."""
        return self.network.encoder.code_levels

    @property
    def folded(self) -> bool:
        """Whether kernels were kept, so that the fabric is the network's tail."""
        return bool(self.key("02-optimise").get("fold"))

    @property
    def serial(self) -> bool:
        """Whether the network's tail is a program, and there is no fabric."""
        return self.key("03-expand").get("tail") == "serial"

    @property
    def fabric_levels(self) -> int:
        """Bits per thermometer code that the fabric's inputs are; 1 if they are not codes."""
        return 1 if self.folded else self.levels

    @cached_property
    def samples(self) -> models.Samples:
        """The test split, or random codes where there is no data."""
        source = self.data or self.build.report.model.data_source
        return models.samples(self.network, source, required=bool(self.data))

    @cached_property
    def checkpoint_path(self) -> Path:
        """The checkpoint the build was made from.

        Raises:
            ToolMissingError: not found where it is usually kept.
            LgcError: the one given is another.
        """
        report = self.build.report.model
        usual = (self.path.with_suffix(".safetensors"), self.path.parent / report.file)
        places = (self.model,) if self.model is not None else usual
        for place in places:
            if place.is_file() and sha256(place) == report.sha256:
                return place
        if self.model is not None:
            raise LgcError(f"{self.model} is not the checkpoint this build was made from ({report.file}).")
        raise ToolMissingError(
            f"The checkpoint {report.file} was not found next to the build.", hint="Name it with --model."
        )

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint."""
        from lgc.frontend import checkpoint

        return checkpoint.load(self.checkpoint_path)

    @cached_property
    def held_out(self) -> Bool2:
        """Encoded samples of the validation split, bool `[samples, bits]`; none if it is not known."""
        try:
            return models.evidence(self.checkpoint_path, self.data).held_out
        except ToolMissingError:
            raise
        except LgcError:
            return np.zeros((0, self.network.encoder.bits), np.bool_)
