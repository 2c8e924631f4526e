"""The compile flow: from a checkpoint to a bitstream and its report, step by step.

    01-lower       the network as a netlist, one LUT per trained node
    02-optimise    the pass pipeline
    03-expand      mapped to the target's LUTs, popcount and argmax added, stages numbered
    04-rtl         Verilog
    05-simulate    cocotb: every sample through the RTL, compared with the network
    06-synthesise  Yosys
    07-route       nextpnr
    08-pack        the bitstream

Where there is no open place and route, and after `--until synthesis`, 07-estimate says what clock to expect.

Each step proves or compares its result with the step before; a difference ends the flow with exit
code 4.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import logging
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lgc import __version__, handover, implement, models, netlists, onboard
from lgc.build import Build, Watch, read_rtl, simulate_rtl
from lgc.critical import Hops, named
from lgc.errors import LgcError, MismatchError, UsageError
from lgc.head import Aim, levels_of
from lgc.ir import passes
from lgc.ir._typing import Bool2
from lgc.ir.classifier import Classifier
from lgc.ir.equivalence import patterns
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import Netlist
from lgc.ir.passes.expand_argmax import Argmax, prove_expanded
from lgc.ir.passes.expand_readout import expand
from lgc.ir.proof import prove
from lgc.ir.simulate import scores
from lgc.ir.slices import depth, luts
from lgc.manifest import BuildDir, Outcome, Step, code_digest, read_step
from lgc.options import STAGES, Options
from lgc.pace import Pace
from lgc.report import SCHEMA_VERSION, Report, assemble, describe, model

if TYPE_CHECKING:
    from lgc.backend.board import Board
    from lgc.backend.estimate import Estimate
    from lgc.backend.interfaces.settings import Interface
    from lgc.backend.pll import Pll
    from lgc.backend.rtl import RtlFiles
    from lgc.backend.target import Target
    from lgc.frontend.checkpoint import Checkpoint

_LOG = logging.getLogger(__name__)


def compile(
    checkpoint: str | Path,
    *,
    out: str | Path | None = None,
    force: bool = False,
    watch: Watch | None = None,
    **options: Any,
) -> Build:
    """Compile a checkpoint; returns the build with its report.

    Args:
        checkpoint: file that `lgc train` wrote.
        out: build directory; the checkpoint's name without suffix if None.
        force: run every step again.
        watch: told about each step.
        **options: see `Options`.

    Raises:
        LgcError: of the kind that fits; see the exit codes of `lgc --help`.
    """
    path = Path(checkpoint)
    settings = Options(**options)
    if settings.until not in STAGES:
        raise LgcError(f"There is no stage {settings.until!r}.", hint=f"Stages: {', '.join(STAGES)}.")
    kind = Flow
    if (settings.fps or settings.positions or settings.continuous) and not settings.fold:
        raise UsageError(
            "Rates, positions per clock and continuous classification are those of folded designs.",
            hint="Say --fold.",
        )
    if settings.fold:
        from lgc import folding

        kind = folding.FoldedFlow
    flow = kind(path, settings, watch or (lambda *_: None))
    with BuildDir.open(Path(out) if out is not None else path.with_suffix(""), force=force) as build:
        return flow.run(build)


class Flow:
    """One compilation: holds what the steps hand to each other."""

    def __init__(self, path: Path, options: Options, watch: Watch) -> None:
        from lgc.backend import board, target
        from lgc.frontend import checkpoint

        self.path, self.options, self.watch = path, options, watch
        self.board: Board | None = board.load(options.board) if options.board else None
        self.target: Target = target.load(self.board.target if self.board else options.target)
        self.aim = Aim.of(options.head)
        self.checkpoint: Checkpoint = checkpoint.load(path)
        pipeline = passes.REGISTRY.parse(options.passes)
        evidence = None
        if any(isinstance(step, passes.NeedsData) for step in pipeline):
            evidence = models.evidence(path, options.data)
        self.pipeline = passes.know(pipeline, self.checkpoint.encoder.code_levels, evidence)
        self.warnings: list[str] = []
        self.steps: list[Step] = []

    def run(self, build: BuildDir) -> Build:
        """Run the steps in order, up to the stage asked for, and write the report."""
        self.build = build
        _ = self.interface, self.pll  # what cannot be built should not wait for the steps before
        self.aim.check(self.target, self.pace)
        if warning := onboard.check_clock(self.board, self.target, self.clock_mhz):
            self.warnings.append(warning)
        handover.check(self)
        ran = [self.lower(), self.optimise(), self.expand()]
        self.check_fit()
        ran.append(self.rtl())
        if self.options.until != "verilog":
            ran.append(self.simulate())
        if self.options.until in {"synthesis", "bitstream"}:
            ran.append(implement.synthesise(self))
        if self.options.until == "bitstream" and not self.target.cells.estimated:
            ran += [implement.route(self), implement.pack(self)]
        elif self.options.until in {"synthesis", "bitstream"} and self.target.delay is not None:
            ran.append(handover.estimate(self))
        if self.options.scripts:
            ran.append(handover.scripts(self))
        return self.report({step.name: step for step in ran})

    def step(self, name: str, run: Callable[[Path], Outcome], key: dict[str, Any], *inputs: Path) -> Step:
        """Run a build step and tell the watcher."""
        self.watch(name, None, False)
        step = self.build.step(
            name, run, key=key | {"lgc": __version__, "code": code_digest()}, inputs=inputs
        )
        self.watch(name, step.seconds, step.cached)
        self.steps.append(step)
        return step

    # 01
    @cached_property
    def lowered(self) -> Classifier:
        """The checkpoint as a classifier: what everything is compared with."""
        from lgc.frontend.lower import lower

        return lower(self.checkpoint)

    def lower(self) -> Step:
        """Write the network as a netlist."""

        def run(out: Path) -> Outcome:
            net, encoder = self.lowered.netlist, self.lowered.encoder
            netlists.write(out / "network.npz", net)
            facts = {"format": dataclasses.asdict(encoder.format), "threshold": encoder.threshold.tolist()}
            (out / "encoder.json").write_text(json.dumps(facts) + "\n")
            return Outcome({"nodes": net.luts, "class_names": list(self.lowered.class_names)})

        return self.step("01-lower", run, {}, self.path)

    # 02
    def optimise(self) -> Step:
        """Run the pass pipeline and compare."""

        def run(out: Path) -> Outcome:
            before = self.lowered.netlist
            savings = describe.Savings()
            after, verdicts = passes.run_checked(self.pipeline, before, data=self.sample_bits, watch=savings)
            netlists.write(out / "optimised.npz", after)
            checks = [
                model.Check("network ↔ optimised", v.comparison.method, v.comparison.patterns, True)
                for v in verdicts
            ]
            used = np.unique(np.append(after.fanin, after.roots()))
            used = used[(used >= 2) & (used < after.first_lut)]
            counted = 0 if after.readout is None else len(after.readout.signal)
            facts: dict[str, Any] = {"luts": after.luts, "counted_bits": counted, "input_bits": len(used)}
            for what in ("keeps_scores", "keeps_classes"):
                facts[what] = all(getattr(step, what, True) for step in self.pipeline)
            facts |= {"passes": [dataclasses.asdict(row) for row in savings.rows]}
            facts |= describe.network(self.checkpoint, self.lowered, after, self.samples)
            return Outcome(facts | {"checks": [dataclasses.asdict(check) for check in checks]})

        source = self.build.path / "01-lower" / "network.npz"
        pipeline = ",".join(map(passes.spell, self.pipeline))
        return self.step("02-optimise", run, {"passes": pipeline} | self.sample_key, source, self.path)

    # 03
    @cached_property
    def pace(self) -> Pace:
        """Where registers go."""
        given = self.options
        return Pace.of(
            levels=given.levels,
            pipeline=given.pipeline,
            clock=given.clock,
            throughput=given.throughput,
            wire_registers=given.wire_registers,
        )

    @cached_property
    def fabric(self) -> Fabric:
        """The fabric as written by the step, whether just now or in an earlier run."""
        out = self.build.path / "03-expand"
        facts = json.loads((out / "fabric.json").read_text())
        return Fabric.stored(netlists.read(out / "fabric.npz"), facts)

    def expand(self) -> Step:
        """Map to the target's LUTs, add popcount and argmax, number the stages, and compare."""
        source = self.build.path / "02-optimise" / "optimised.npz"
        carry, slices = self.target.cells.carries, self.target.cells.own_cells

        def run(out: Path) -> Outcome:
            before, given = netlists.read(source), None
            if self.aim.chosen:
                fabric, given = self.aim(before, self.target.k)
            else:
                fabric = expand(
                    before,
                    k=self.target.k,
                    fractured=slices,
                    carry=slices and self.pace.chained,
                    position=models.positions(self.checkpoint),
                    registered=self.pace.waiting,
                )
            checks = [self.check_fabric(before, fabric)]
            choices = self.pace.choices(fabric, self.target, given)
            counted, fabric, argmax = self.pace(fabric, self.target, given)
            checks.append(self.check_argmax(counted, fabric, argmax))
            netlists.write(out / "fabric.npz", fabric.netlist)
            (out / "fabric.json").write_text(json.dumps(fabric.facts()) + "\n")
            names = ("classes", "score_width", "offset", "network_luts")
            values = {name: getattr(fabric, name) for name in names}
            values |= {"luts": luts(counted), "depth": depth(counted), "stages": fabric.latency}
            values |= {"argmax_luts": argmax.carries.luts(fabric.netlist) - counted.netlist.luts}
            values |= {"head": self.aim.words(levels_of(counted, argmax), self.pace) if slices else None}
            values |= self.wires(fabric.netlist)
            values |= {"choices": choices, "checks": [dataclasses.asdict(check) for check in checks]}
            return Outcome(values)

        key: dict[str, Any] = {"k": self.target.k, "pace": dataclasses.asdict(self.pace)}
        key |= {"carry": carry, "slices": slices, "head": self.options.head}
        key |= self.target_key
        key |= self.sample_key
        return self.step("03-expand", run, key, source, self.path)

    def wires(self, net: Netlist) -> dict[str, float | None]:
        """Estimate the wire that a fabric needs, before the router is asked for it."""
        from lgc.backend.wiring import ROUTED, wiring

        found = wiring(net)
        return {"demand": found.demand if found else None, "routed": ROUTED.get(self.target.family)}

    def check_fit(self) -> None:
        """Refuse early what cannot fit, if it is to be built for the device."""
        if self.options.until in {"synthesis", "bitstream"}:
            from lgc.backend.fit import check_fit, least_cells

            parts = least_cells(self.fabric, self.target.cells.cells)
            check_fit(self.target, parts={"cell": parts}, at_least=True, cell=sum(parts.values()))

    def check_fabric(self, before: Netlist, fabric: Fabric) -> model.Check:
        """Prove that the fabric gives the scores of the network, or at least simulate it."""
        levels = passes.codes_of(self.pipeline)
        bits = np.concatenate(
            [patterns(before.inputs, samples=1024, seed=0, levels=levels), self.sample_bits]
        )
        if not np.array_equal(fabric.scores(bits), scores(before, bits)):
            raise MismatchError("The expanded readout differs from the network.", hint="Please report this.")
        proof = prove(before, fabric, levels=levels)
        if not proof.proved:
            self.warnings.append(f"The popcount was simulated, not proved: {proof.reason}.")
        method = f"proof ({proof.method})" if proof.proved else f"simulation of {len(bits):,} vectors"
        return model.Check("optimised ↔ LUTs with popcount", method, len(bits), True)

    def check_argmax(self, counted: Fabric, fabric: Fabric, argmax: Argmax) -> model.Check:
        """Prove that the index is that of the highest score, or at least simulate it."""
        levels = passes.codes_of(self.pipeline)
        bits = np.concatenate(
            [patterns(counted.netlist.inputs, samples=1024, seed=0, levels=levels), self.sample_bits]
        )
        if not np.array_equal(fabric.index(bits), counted.scores(bits).argmax(axis=1)):
            raise MismatchError("The argmax differs from the scores.", hint="Please report this.")
        argmax.carries.check(fabric.netlist)
        proof = prove_expanded(counted.netlist, argmax, levels=levels)
        if not proof:
            self.warnings.append("The argmax was simulated, not proved.")
        method = f"proof ({proof})" if proof else f"simulation of {len(bits):,} vectors"
        return model.Check("popcount ↔ argmax", method, len(bits), True)

    # 04
    @cached_property
    def pll(self) -> Pll | None:
        """What makes the clock that was asked for of the board's, if anything must."""
        return onboard.pll_of(self.board, self.target, self.pace.clock_mhz)

    @property
    def clock_mhz(self) -> float | None:
        """Clock that the design must reach, None for any."""
        return onboard.clock_of(self.board, self.pll, self.pace.clock_mhz)

    @cached_property
    def interface(self) -> Interface:
        """What is built around the design."""
        classes = len(self.lowered.class_names)
        return onboard.interface_of(self.options, self.board, self.clock_mhz, classes=classes)

    @property
    def rtl_files(self) -> RtlFiles:
        """The Verilog as written by the step."""
        return read_rtl(self.build.path)

    def rtl(self) -> Step:
        """Write the Verilog."""
        from lgc.backend import tools
        from lgc.backend.rtl import write_rtl

        yosys = tools.find("yosys")

        def run(out: Path) -> Outcome:
            files = write_rtl(
                self.lowered.encoder,
                self.fabric,
                out=out,
                argmax_registers=self.pace.registers,
                held=not self.pace.full,
                interface=self.interface,
                family=self.target.cells,
                yosys=yosys,
            )
            values = dataclasses.asdict(files)
            values["sources"] = [path.name for path in files.sources]
            values["cells"] = files.cells.name
            return Outcome(values, files.commands)

        expanded = self.build.path / "03-expand"
        key = {
            "yosys": yosys.identity,
            "registers": self.pace.registers,
            "held": not self.pace.full,
            "cells": self.target.cells.cells,
        }
        key["interface"] = dataclasses.asdict(self.interface)
        return self.step("04-rtl", run, key, expanded / "fabric.npz", expanded / "fabric.json", self.path)

    # 05
    @cached_property
    def samples(self) -> models.Samples:
        """What the hardware is compared on."""
        recorded = self.checkpoint.metadata.get("source", "")
        source = self.options.data or (recorded if isinstance(recorded, str) else "")
        found = models.samples(self.lowered, source, required=bool(self.options.data))
        if found.labels is None:
            missing = (
                f"The data set {source!r} was not found" if source else "The checkpoint names no data set"
            )
            self.warnings.append(
                f"{missing}, so random inputs were simulated and no accuracy is known; name one with --data."
            )
        return found

    @cached_property
    def sample_bits(self) -> Bool2:
        """The samples as the network sees them."""
        return self.lowered.encoder.compare(self.samples.codes)

    @property
    def references(self) -> tuple[Classifier, Classifier]:
        """What the hardware's classes and its scores must agree with, see `Build.references`."""
        values = read_step(self.build.path, "02-optimise")["values"]
        if values["keeps_scores"] and values["keeps_classes"]:
            return self.lowered, self.lowered
        net = netlists.read(self.build.path / "02-optimise" / "optimised.npz")
        optimised = dataclasses.replace(self.lowered, netlist=net)
        if values["keeps_classes"]:
            return self.lowered, optimised
        self.warnings.append("Passes gave up exactness on request; the RTL was compared with their result.")
        return optimised, optimised

    @property
    def sample_key(self) -> dict[str, str]:
        """What a step that uses the samples depends on."""
        digest = hashlib.sha256(np.ascontiguousarray(self.samples.codes).tobytes())
        if self.samples.labels is not None:
            digest.update(np.ascontiguousarray(self.samples.labels).tobytes())
        return {"samples": digest.hexdigest()}

    def simulate(self) -> Step:
        """Stream the samples through the RTL and compare class and scores with the network."""
        from lgc.hw_tests.runner import choose

        chosen = self.samples.first(self.options.images)
        files = self.rtl_files
        network, scored = self.references
        name, found = choose(self.options.simulator, clocks=len(chosen) * files.cycles_per_sample)
        key = {
            "simulator": [name, *(tool.identity for tool in found)],
            "images": len(chosen),
        } | self.sample_key

        def run(out: Path) -> Outcome:
            section, commands = simulate_rtl(files, network, chosen, out, simulator=name, scored=scored)
            return Outcome(dataclasses.asdict(section), commands)

        return self.step("05-simulate", run, key, *files.sources, files.cells)

    # 07
    def expected(self) -> Estimate:
        """Say what clock to expect."""
        from lgc.backend.estimate import estimate

        return estimate(self.fabric, self.rtl_files, self.target, held=not self.pace.full)

    def in_words(self, path: Hops) -> Hops:
        """Say what the cells of a path are in the network."""
        levels = self.checkpoint.encoder.code_levels
        return tuple(named(path, self.fabric, self.lowered.netlist, levels=levels))

    @property
    def target_key(self) -> dict[str, Any]:
        """What a step that uses the target depends on."""
        return {"target": dataclasses.asdict(self.target)}

    # the report
    def report(self, steps: dict[str, Step]) -> Build:
        """Put together what the steps reported, and write it."""
        values = {name: step.values for name, step in steps.items()}
        found = Report(
            schema_version=SCHEMA_VERSION,
            lgc_version=__version__,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            target=self.target.name,
            pipeline=",".join(map(passes.spell, self.pipeline)),
            model=assemble.model_facts(self.path, self.checkpoint),
            netlist=assemble.netlist_facts(values, self.target.k),
            checks=tuple(model.Check(**check) for v in values.values() for check in v.get("checks", ())),
            simulation=assemble.section(model.Simulation, values.get("05-simulate")),
            post_synthesis=assemble.post_synthesis(values, self.target),
            post_route=assemble.post_route(values, self.target),
            estimate=assemble.estimate(values),
            bitstream=assemble.section(model.Bitstream, values.get("08-pack")),
            link=assemble.link(self.rtl_files),
            steps=tuple(model.StepTime(s.name, round(s.seconds, 3), s.cached) for s in self.steps),
            tools=assemble.tools(values),
            warnings=tuple(self.warnings),
        )
        found = assemble.with_pictures(found, values, self.build.path)
        path = self.build.path
        found.write(path)
        self.build.write_script()
        return Build(path, found)
