"""The compile flow for folded convolutions: the same steps, with kernels and a tail in place of a netlist."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lgc import netlists
from lgc.build import Watch
from lgc.errors import MismatchError, UsageError
from lgc.flow import Flow, Options
from lgc.ir import passes
from lgc.ir._typing import Bool2, F64x2
from lgc.ir.equivalence import compare
from lgc.ir.kernels import Folded, Kernel, Sliding
from lgc.ir.netlist import Netlist
from lgc.ir.passes.expand_argmax import add_argmax
from lgc.ir.passes.expand_readout import expand
from lgc.ir.simulate import outputs
from lgc.ir.slices import depth, staged
from lgc.manifest import Outcome, Step
from lgc.report import describe, model

if TYPE_CHECKING:
    from lgc.backend.streaming.rtl import Design

FACTS = "folded.json"
"""File that says which window each kernel has."""

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
        if options.interface != "stream":
            raise UsageError(
                "A folded design has plain streams only.", hint="Leave --interface or --fold out."
            )
        super().__init__(path, options, watch)
        if self.target.cells.own_cells:
            raise UsageError(f"A folded design cannot be built for {self.target.family} yet.")
        self.first_pipeline = self.pipeline
        self.pipeline = passes.know(pipeline, 1)
        _ = self.folded  # what cannot be folded should not wait for other steps

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
                after, verdicts = passes.run_checked(pipeline, net, watch=savings)
                for v in verdicts:
                    checks.append(
                        model.Check(f"{name} ↔ optimised", v.comparison.method, v.comparison.patterns, True)
                    )
                return after

            kernels = [
                kernel
                if kernel.pool
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
        carry = self.target.cells.carries

        def run(out: Path) -> Outcome:
            before = self.stored("02-optimise")
            mapped = [self.map(n, kernel) for n, kernel in enumerate(before.kernels)]
            checks = [check for _, check in mapped if check is not None]
            fabric = expand(before.tail, k=self.target.k, position=self.places)
            checks.append(self.check_fabric(before.tail, fabric))
            counted = staged(fabric, self.options.levels)
            fabric, argmax = add_argmax(counted, carry=carry)
            checks.append(self.check_argmax(counted, fabric, argmax))
            folded = replace(before, kernels=tuple(kernel for kernel, _ in mapped))
            save(folded, out)
            netlists.write(out / "fabric.npz", fabric.netlist)
            (out / "fabric.json").write_text(json.dumps(fabric.facts()) + "\n")
            kernels = folded.luts - folded.tail.luts
            values = {name: getattr(fabric, name) for name in ("classes", "score_width", "offset")}
            values |= {"network_luts": kernels + fabric.network_luts, "luts": kernels + counted.netlist.luts}
            values |= {"depth": depth(counted), "stages": fabric.latency}
            values |= {"argmax_luts": argmax.carries.luts(fabric.netlist) - counted.netlist.luts}
            return Outcome(values | {"checks": [dataclasses.asdict(check) for check in checks]})

        key = {"k": self.target.k, "levels": self.options.levels, "carry": carry, "fold": True}
        inputs = [*files(source), self.path]
        return self.step("03-expand", run, key | self.sample_key, *inputs)

    def map(self, number: int, kernel: Kernel) -> tuple[Kernel, model.Check | None]:
        """Map a kernel to the target's LUTs and compare."""
        after = passes.LutMap(k=self.target.k)(kernel.netlist)
        found = compare(kernel.netlist, after)
        if not found.equal:
            raise MismatchError(f"Kernel {number} was mapped to something else.", hint="Please report this.")
        check = model.Check(f"kernel {number} ↔ its LUTs", found.method, found.patterns, True)
        return replace(kernel, netlist=after), None if kernel.pool else check

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
        from lgc.backend.streaming.rtl import design

        cells = self.target.cells
        return design(
            self.lowered.encoder,
            self.stored("03-expand"),
            self.fabric,
            shapes=cells.shapes,
            blocks=self.target.resources.bram,
        )

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
            (out / "model.txt").write_text(self.design.model())
            return Outcome(values, files.commands)

        expanded = self.build.path / "03-expand"
        inputs = [expanded / "fabric.npz", expanded / "fabric.json", *files(expanded), self.path]
        key = {
            "yosys": yosys.identity,
            "shapes": self.target.cells.shapes,
            "blocks": self.target.resources.bram,
        }
        step = self.step("04-rtl", run, key, *inputs)
        for line in (step.path / "model.txt").read_text().splitlines():
            self.watch(line, None, True)
        return step
