"""Whether designs route, beside what `lgc.backend.wiring` says of their fabrics before.

    python benchmarks/routability.py [MODEL ...] [--random 600 1000 1400] [-t ice40-hx8k] [--levels 4] [--estimate]

Builds each checkpoint, and networks of one layer of randomly wired 4-input LUTs over 784 inputs, as
`lgc compile` does, with inputs held. Prints LUTs, the estimated demand for wire, and what place and route
came to: router, CPU seconds of the tools, Fmax, or that nothing was found within `--timeout` seconds of
wall time. `--estimate` stops before the tools.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

from lgc import models
from lgc.backend.pnr import place_and_route
from lgc.backend.rtl import write_rtl
from lgc.backend.synth import synthesise
from lgc.backend.target import Target, load
from lgc.backend.wiring import wiring
from lgc.errors import LgcError
from lgc.frontend import checkpoint
from lgc.frontend.lower import lower
from lgc.hw_tests.samples import Sample, random_sample
from lgc.ir import passes
from lgc.ir.passes.expand_readout import expand
from lgc.pace import Pace


def trained(model: Path, target: Target, levels: int) -> Sample:
    """Compile a checkpoint to its encoder and fabric."""
    found = checkpoint.load(model)
    net = lower(found).netlist
    for step in passes.know(passes.REGISTRY.parse("simplify,merge,reduce"), found.encoder.code_levels, None):
        net = step(net)
    counted = expand(net, k=target.k, position=models.positions(found))
    return Sample(found.encoder, Pace(levels=levels)(counted, target)[1])


def outcome(sample: Sample, target: Target, levels: int, timeout_s: float) -> str:
    """Build a design and say what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        rtl = write_rtl(
            sample.encoder, sample.fabric, out=out / "rtl", argmax_registers=levels > 0, held=True,
            family=target.cells,
        )  # fmt: skip
        synthesis = synthesise(rtl, target, out=out / "synth")
        before = _cpu()
        try:
            found = place_and_route(synthesis, target, out=out / "route", timeout_s=timeout_s)
        except LgcError as error:
            return f"{_cpu() - before:5.0f} s  {error}"
        return f"{_cpu() - before:5.0f} s  {found.router} {found.cells:,} cells {found.fmax_mhz:.0f} MHz"


def _cpu() -> float:
    """CPU seconds of all processes that have ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--random", type=int, nargs="*", default=[])
    parser.add_argument("-t", "--target", default="ice40-hx8k")
    parser.add_argument("--levels", type=int, default=4)
    parser.add_argument("--estimate", action="store_true")
    parser.add_argument("--timeout", type=float, default=1800)
    given = parser.parse_args()
    target = load(given.target)
    samples = {model.stem: trained(model, target, given.levels) for model in given.models}
    for luts in given.random:
        samples[f"random {luts}"] = random_sample(
            seed=1, features=784, levels=1, layers=(luts,), classes=10, luts_per_stage=given.levels
        )
    print(f"{target.name}, at most {given.levels} LUTs between registers (0: none)")
    for name, sample in samples.items():
        wires = wiring(sample.fabric.netlist)
        said = f"demand {wires.demand:5.1f}" if wires else "no estimate"
        print(f"{name:<14} {sample.fabric.netlist.luts:>6,} LUTs  {said} ", end=" ", flush=True)
        if given.estimate:
            print()
            continue
        print(outcome(sample, target, given.levels, given.timeout), flush=True)


if __name__ == "__main__":
    main()
