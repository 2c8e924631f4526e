"""The compile flow for folded convolutions: the same steps, with kernels and a tail in place of a netlist."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lgc import netlists, rates
from lgc.build import Watch
from lgc.critical import Hops
from lgc.errors import MismatchError, UsageError
from lgc.flow import Flow
from lgc.ir import passes
from lgc.ir._typing import Bool2, F64x2
from lgc.ir.equivalence import compare
from lgc.ir.kernels import Folded, Kernel, Sliding
from lgc.ir.netlist import Netlist
from lgc.ir.passes.expand_readout import expand
from lgc.ir.simulate import outputs
from lgc.ir.slices import depth
from lgc.manifest import Outcome, Step
from lgc.options import Options
from lgc.report import describe, model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lgc.backend.estimate import Estimate
    from lgc.backend.streaming.rtl import Design
    from lgc.ir.fabric import Fabric

FACTS = "folded.json"
"""File that says which window each kernel has."""

TAILS = ("auto", "parallel", "serial")
"""How what follows the kernels is built: in LUTs all at once, or as a program, one LUT per clock; `auto` is
parallel behind convolutions, and without any a program."""

PROOF_LUTS = 100_000
"""Largest unrolled network that is proved equal; larger ones are simulated."""


def save(folded: Folded, out: Path) -> None:
    """Write a network into a directory, see `load`."""
    facts = [
        {"window": dataclasses.asdict(kernel.window), "pool": kernel.pool, "text": kernel.text}
        for kernel in folded.kernels
    ]
    whole = {"inputs": folded.inputs, "source": folded.source.tolist(), "kernels": facts}
    (out / FACTS).write_text(json.dumps(whole) + "\n")
    for n, kernel in enumerate(folded.kernels):
        netlists.write(out / f"kernel{n}.npz", kernel.netlist)
    netlists.write(out / "tail.npz", folded.tail)


def load(out: Path) -> Folded:
    """Read a network that `save` wrote into a directory."""
    whole = json.loads((out / FACTS).read_text())
    kernels = []
    for n, facts in enumerate(whole["kernels"]):
        channels = facts["window"].pop("channels")
        window = Sliding(channels, **{name: tuple(pair) for name, pair in facts["window"].items()})
        net = netlists.read(out / f"kernel{n}.npz")
        kernels.append(Kernel(window, net, facts["pool"], facts["text"]))
    source = np.array(whole["source"], np.int32)
    return Folded(tuple(kernels), source, whole["inputs"], netlists.read(out / "tail.npz"))


def files(out: Path) -> list[Path]:
    """Return the files of a network that `save` wrote into a directory."""
    return [out / FACTS, *sorted(out.glob("kernel*.npz")), out / "tail.npz"]


class FoldedFlow(Flow):
    """One compilation that keeps kernels.

    Passes see each kernel and the tail for themselves; only the first kernel's inputs are thermometer codes.
    """

    def __init__(self, path: Path, options: Options, watch: Watch) -> None:
        pipeline = passes.REGISTRY.parse(options.passes)
        if any(isinstance(step, passes.NeedsData) for step in pipeline):
            raise UsageError(
                "Passes that go by data do not work on kernels.", hint="Leave them or --fold out."
            )
        if options.throughput != "held":
            raise UsageError(
                "The inputs of a folded design's tail stand still.", hint="Leave --throughput out."
            )
        if options.tail not in TAILS:
            raise UsageError(f"There is no tail {options.tail!r}.", hint=f"Tails: {', '.join(TAILS)}.")
        if options.interface == "parallel":
            raise UsageError(
                "A folded design takes features one after the other.",
                hint="Take --interface stream or words.",
            )
        if options.interface != "stream" and (options.positions or options.continuous):
            raise UsageError(
                "Behind an interface a folded design takes samples, a feature per clock.",
                hint="Leave --positions-per-clock and --continuous out, or --interface.",
            )
        if options.continuous and (options.tail == "serial" or options.positions or options.fps):
            raise UsageError(
                "Signals are classified continuously a feature per clock, with the tail in LUTs.",
                hint="Leave --tail, --positions-per-clock and --fps out.",
            )
        super().__init__(path, options, watch)
        if self.target.cells.own_cells:
            raise UsageError(f"A folded design cannot be built for {self.target.family} yet.")
        self.first_pipeline = self.pipeline
        self.pipeline = passes.know(pipeline, 1)
        # what cannot be folded should not wait for other steps
        self.options = options = replace(options, tail=self._tail(options.tail))
        if options.continuous:
            from lgc.backend.streaming.slide import windows_of

            windows_of(self.checkpoint.encoder, self.folded, options.continuous)

    def _tail(self, asked: str) -> str:
        """Decide how the tail is built.

        Raises:
            UsageError: dense layers only, in LUTs: that needs no folding.
        """
        if not self.folded.bare:
            return "parallel" if asked == "auto" else asked
        if asked == "parallel":
            raise UsageError(
                "Without convolutions there is nothing to fold but a program of the dense layers.",
                hint="Say --tail serial, or leave --fold out to build them in LUTs.",
            )
        return "serial"

    @cached_property
    def folded(self) -> Folded:
        """The network, kernels kept, nothing simplified."""
        from lgc.backend.streaming.pixels import per_place
        from lgc.frontend.fold import fold

        found = fold(self.checkpoint)
        per_place(self.checkpoint.encoder, found)
        return found

    def stored(self, step: str) -> Folded:
        """Read the network as a step wrote it."""
        return load(self.build.path / step)

    @cached_property
    def input_bits(self) -> Bool2:
        """The samples as the network sees them."""
        return self.lowered.encoder.compare(self.samples.codes)

    @cached_property
    def sample_bits(self) -> Bool2:
        """The samples as the tail sees them."""
        return outputs(self.folded.front(), self.input_bits)

    # 02
    def optimise(self) -> Step:
        """Run the pass pipeline on each kernel and the tail, and compare the whole."""

        def run(out: Path) -> Outcome:
            savings = describe.Savings()
            checks = []

            def better(net: Netlist, name: str, pipeline: tuple[passes.Pass, ...]) -> Netlist:
                savings.of = name
                after, verdicts = passes.run_checked(pipeline, net, watch=savings)
                for v in verdicts:
                    checks.append(
                        model.Check(f"{name} ↔ optimised", v.comparison.method, v.comparison.patterns, True)
                    )
                return after

            kernels = [
                kernel
                if kernel.pool or not kernel.netlist.luts
                else replace(
                    kernel,
                    netlist=better(
                        kernel.netlist, f"kernel {n}", self.pipeline if n else self.first_pipeline
                    ),
                )
                for n, kernel in enumerate(self.folded.kernels)
            ]
            tail = better(self.folded.tail, "tail", self.pipeline)
            folded = replace(self.folded, kernels=tuple(kernels), tail=tail).trimmed()
            save(folded, out)
            unrolled = folded.unrolled()
            netlists.write(out / "optimised.npz", unrolled)
            checks.append(self.check_whole(unrolled))
            head = tail.readout
            facts: dict[str, Any] = {
                "luts": folded.luts,
                "counted_bits": 0 if head is None else len(head.signal),
                "input_bits": int(folded.kernels[0].used.any(axis=(0, 1)).sum())
                * int(np.prod(folded.kernels[0].window.extent)),
            }
            for what in ("keeps_scores", "keeps_classes"):
                facts[what] = all(getattr(step, what, True) for step in self.pipeline)
            facts |= {"passes": [dataclasses.asdict(row) for row in savings.rows]}
            facts |= describe.network(self.checkpoint, self.lowered, unrolled, self.samples)
            return Outcome(facts | {"checks": [dataclasses.asdict(check) for check in checks]})

        source = self.build.path / "01-lower" / "network.npz"
        pipeline = ",".join(map(passes.spell, self.first_pipeline))
        key = {"passes": pipeline, "fold": True} | self.sample_key
        return self.step("02-optimise", run, key, source, self.path)

    def check_whole(self, unrolled: Netlist) -> model.Check:
        """Prove that kernels and tail together are the network, or at least simulate it."""
        before = self.lowered.netlist
        found = compare(
            before,
            unrolled,
            data=self.input_bits,
            levels=passes.codes_of(self.first_pipeline),
            prove=max(before.luts, unrolled.luts) <= PROOF_LUTS,
        )
        if not found.equal:
            raise MismatchError("Kernels and tail differ from the network.", hint="Please report this.")
        return model.Check("network ↔ kernels at all positions", found.method, found.patterns, True)

    # 03
    def expand(self) -> Step:
        """Map kernels and tail, add popcount and argmax, number the tail's stages, and compare."""
        source = self.build.path / "02-optimise"
        if self.options.fps:
            self.decide()

        def run(out: Path) -> Outcome:
            before = self.stored("02-optimise")
            mapped = [self.map(f"kernel {n}", kernel.netlist) for n, kernel in enumerate(before.kernels)]
            kernels = tuple(
                replace(kernel, netlist=net) for kernel, (net, _) in zip(before.kernels, mapped, strict=True)
            )
            checks = [check for kernel, (_, check) in zip(kernels, mapped, strict=True) if not kernel.pool]
            folded = replace(before, kernels=kernels)
            if self.options.tail == "serial":
                values, folded = self.programmed(folded, checks)
            else:
                values = self.expanded(folded, checks, out)
            values["mapped_from"] = self.kernel_luts(before)
            values["mapped_from"] += before.tail.luts if self.options.tail == "parallel" else 0
            save(folded, out)
            return Outcome(values | {"checks": [dataclasses.asdict(check) for check in checks]})

        key: dict[str, Any] = {"k": self.target.k, "fold": True, "tail": self.options.tail}
        key["positions"] = self.options.positions
        key |= {"pace": dataclasses.asdict(self.pace)} | self.target_key
        inputs = [*files(source), self.path]
        return self.step("03-expand", run, key | self.sample_key, *inputs)

    def check_fit(self) -> None:
        """Compare the tail's LUTs, or its program, with the target."""
        if self.options.tail == "parallel":
            super().check_fit()
        elif self.options.until in {"synthesis", "bitstream"}:
            self.design.check_program(self.target)

    def expanded(self, folded: Folded, checks: list[model.Check], out: Path) -> dict[str, Any]:
        """Build and write the tail's fabric; return figures."""
        tail = folded.tail
        fabric = expand(tail, k=self.target.k, position=self.places)
        checks.append(self.check_fabric(tail, fabric))
        counted, fabric, argmax = self.pace(fabric, self.target)
        checks.append(self.check_argmax(counted, fabric, argmax))
        netlists.write(out / "fabric.npz", fabric.netlist)
        (out / "fabric.json").write_text(json.dumps(fabric.facts()) + "\n")
        kernels = self.kernel_luts(folded)
        return {
            "classes": fabric.classes,
            "score_width": fabric.score_width,
            "offset": fabric.offset,
            "network_luts": kernels + fabric.network_luts,
            "luts": kernels + counted.netlist.luts,
            "depth": depth(counted),
            "stages": fabric.latency,
            "argmax_luts": argmax.carries.luts(fabric.netlist) - counted.netlist.luts,
        } | self.wires(fabric.netlist)

    def programmed(self, folded: Folded, checks: list[model.Check]) -> tuple[dict[str, Any], Folded]:
        """Map the tail and prove its program equal; return figures and the network."""
        from lgc.backend.streaming.serial import Tail

        net, check = self.map("tail", folded.tail)
        checks.append(check)
        made = Tail.of(net, folded.kernels[-1])
        found = compare(net, made.program.netlist(), data=self.sample_bits)
        if not found.equal:
            raise MismatchError("The program differs from the tail.", hint="Please report this.")
        checks.append(model.Check("tail ↔ its program", found.method, found.patterns, True))
        values = {
            "classes": len(made.program.bias),
            "score_width": made.score_width,
            "offset": made.low,
            "network_luts": self.kernel_luts(folded),
            "luts": self.kernel_luts(folded),
            "depth": 1,
            "stages": 0,
            "argmax_luts": 0,
        }
        return values, replace(folded, tail=net)

    def kernel_luts(self, folded: Folded) -> int:
        """LUTs of the kernels, each as often as it is built."""
        from lgc.backend.streaming.plan import layers_of

        layers = layers_of(folded.kernels, shapes=(), blocks=0, lanes=max(self.options.positions, 1))
        return sum(layer.kernel.netlist.luts * layer.results for layer in layers if not layer.kernel.pool)

    def decide(self) -> None:
        """Choose tail and places per clock so that the rate asked for is met."""
        given = self.options
        source = files(self.build.path / "02-optimise")

        def run(_: Path) -> Outcome:
            rows = [
                rates.row(tail, made, self.target) for tail in TAILS[1:] for made in self.considered(tail)
            ]
            for row in rows:
                self.watch(f"considered: {row.text}", None, True)
            chosen = rates.choose(rows, given.fps, self.target.name)
            return Outcome(
                {"tail": chosen.tail, "positions": chosen.positions, "considered": rates.facts(rows)}
            )

        key = {"fps": given.fps, "positions": given.positions, "pace": dataclasses.asdict(self.pace)}
        step = self.step("02-rate", run, key | self.target_key, *source, self.path)
        self.options = replace(given, tail=step.values["tail"], positions=step.values["positions"])
        places = f"{self.options.positions:,} places" if self.options.positions else "one feature"
        self.watch(f"chosen: {self.options.tail} tail, {places} per clock", None, True)

    def considered(self, tail: str) -> Iterator[Design]:
        """Designs with such a tail, laid out for each number of places per clock."""
        before = self.stored("02-optimise")
        mapper = passes.LutMap(k=self.target.k)
        kernels = tuple(replace(kernel, netlist=mapper(kernel.netlist)) for kernel in before.kernels)
        folded, fabric = replace(before, kernels=kernels), None
        if tail == "serial":
            folded = replace(folded, tail=mapper(before.tail))
        elif before.tail.luts <= self.target.luts * self.target.k:  # else no mapping makes it fit
            _, fabric, _ = self.pace(expand(before.tail, k=self.target.k, position=self.places), self.target)
        else:
            self.watch(f"not considered: a parallel tail of {before.tail.luts:,} nodes", None, True)
            return
        columns = before.kernels[0].window.extent[1] if self.options.interface == "stream" else 0
        for count in rates.positions(columns, self.options.positions):
            yield self.laid_out(folded, fabric, count)

    def laid_out(self, folded: Folded, fabric: Fabric | None, positions: int) -> Design:
        """Lay out a design; without a fabric, the tail is a program."""
        from lgc.backend.streaming.rtl import design, serial_design

        room: dict[str, Any] = {"shapes": self.target.cells.shapes, "blocks": self.target.resources.bram}
        room |= {"positions": positions, "interface": self.interface}
        if fabric is None:
            room["sprams"] = self.target.resources.spram
            room["luts"] = self.target.resources.lut if self.target.cells.flash else None
            return serial_design(self.lowered.encoder, folded, **room)
        return design(self.lowered.encoder, folded, fabric, hop=self.options.continuous, **room)

    def map(self, name: str, net: Netlist) -> tuple[Netlist, model.Check]:
        """Map a netlist to the target's LUTs and compare."""
        after = passes.LutMap(k=self.target.k)(net)
        found = compare(net, after)
        if not found.equal:
            raise MismatchError(f"The {name} was mapped to something else.", hint="Please report this.")
        return after, model.Check(f"{name} ↔ its LUTs", found.method, found.patterns, True)

    def in_words(self, path: Hops) -> Hops:
        """Leave cells their names: those of kernels and of the tail are not the lowered network's."""
        return path

    @property
    def places(self) -> F64x2:
        """Where each input of the tail belongs in the image, as `models.positions` has it."""
        last = self.folded.kernels[-1]
        rows, columns = last.window.positions
        place = np.indices((rows, columns)).reshape(2, -1).T / np.array([rows, columns])
        return np.tile(place, (last.channels, 1))

    # 04
    @cached_property
    def design(self) -> Design:
        """The design, laid out."""
        fabric = None if self.options.tail == "serial" else self.fabric
        return self.laid_out(self.stored("03-expand"), fabric, self.options.positions)

    def expected(self) -> Estimate:
        """Say what clock to expect."""
        from lgc.backend.streaming.expect import expect

        return expect(self.design, self.target)

    def rtl(self) -> Step:
        """Write the Verilog and tell what it will take."""
        from lgc.backend import tools
        from lgc.backend.streaming.rtl import write_folded

        yosys = tools.find("yosys")

        def run(out: Path) -> Outcome:
            files = write_folded(self.design, out=out, yosys=yosys)
            values = dataclasses.asdict(files)
            values["sources"] = [path.name for path in files.sources]
            values["cells"] = files.cells.name
            values["program"] = files.program.name if files.program else None
            expected = None if self.target.delay is None else self.expected()
            (out / "model.txt").write_text(self.design.model(expected))
            return Outcome(values, files.commands)

        expanded = self.build.path / "03-expand"
        inputs = [*files(expanded), self.path]
        if self.options.tail == "parallel":
            inputs += [expanded / "fabric.npz", expanded / "fabric.json"]
        key = {
            "yosys": yosys.identity,
            "shapes": self.target.cells.shapes,
            "blocks": self.target.resources.bram,
            "positions": self.options.positions,
            "continuous": self.options.continuous,
            "sprams": self.target.resources.spram,
            "interface": dataclasses.asdict(self.interface),
        }
        step = self.step("04-rtl", run, key | self.target_key, *inputs)
        for line in (step.path / "model.txt").read_text().splitlines():
            self.watch(line, None, True)
        return step
