"""The delay model against place and route: estimated and routed clocks of small networks, and the error.

    python benchmarks/delays.py                                      iCE40, random networks
    python benchmarks/delays.py --targets ecp5-25f --fit             also the wire delay that fits best
    python benchmarks/delays.py --nets "" model.safetensors          trained networks
    python benchmarks/delays.py --targets cyclone5-5ceba4            Cyclone V, with a nextpnr-mistral on the PATH

Each network is compiled at several numbers of LUTs between registers, placed and routed with one seed, and
its estimate made from netlist and stages alone. `shell` marks designs whose slowest path, as routed, is
outside of the fabric (encoder, input store, control): they say nothing about the fabric and are left out of
mean and fit. With `--fit` the wire delay is chosen so that the mean of the logarithms of the ratios is zero.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import mistral
import networks
import numpy as np

from lgc.backend import parse
from lgc.backend.estimate import slowest
from lgc.backend.pnr import place_and_route
from lgc.backend.rtl import write_rtl
from lgc.backend.synth import synthesise
from lgc.backend.target import Target, load
from lgc.ir.encoder import FixedPoint, Thermometer
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import Netlist
from lgc.ir.passes import REGISTRY
from lgc.ir.passes.base import run
from lgc.ir.passes.expand_argmax import add_argmax
from lgc.ir.passes.expand_readout import expand
from lgc.ir.slices import staged

SHAPES = {"100x2": [100, 100], "300x3": [300] * 3, "600x3": [600] * 3}
INPUTS = 128


def nets(shapes: Mapping[str, list[int]] = SHAPES, inputs: int = INPUTS) -> dict[str, Netlist]:
    """Random networks by name, 40 % of their gates wires as in trained ones."""
    return {
        name: networks.netlist(inputs, networks.random_layers(inputs, widths, seed=1, passing=0.4), 10)
        for name, widths in shapes.items()
    }


def compiled(net: Netlist, target: Target, levels: int) -> Fabric:
    """The network in LUTs with stages, as `lgc compile` makes it."""
    simple = run(REGISTRY.parse("simplify,merge,reduce"), net)
    counted = staged(expand(simple, k=target.k), levels)
    return add_argmax(counted, carry=target.cells.carries)[0]


@dataclass(frozen=True)
class Found:
    """What place and route says of a design.

    Attributes:
        cells: logic cells.
        fmax_mhz: clock.
        critical: cells and nets of the slowest path, see `Routing`.
    """

    cells: int
    fmax_mhz: float
    critical: tuple[tuple[str, str, float], ...]

    @property
    def inside(self) -> bool:
        """Whether the slowest path is in the fabric."""
        cells = [name for kind, name, _ in self.critical if kind not in ("routing", "clk-to-q")]
        parts = [parse.part_of(name) for name in cells]
        return sum(part in ("network", "readout", "argmax") for part in parts) > len(parts) / 2


def routed(net: Netlist, fabric: Fabric, target: Target, seed: int) -> Found:
    """Place and route."""
    threshold = np.full((net.inputs, 1), 128, np.int32)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        rtl = write_rtl(
            Thermometer(threshold, FixedPoint(8)),
            fabric,
            out=out / "rtl",
            argmax_registers=True,
            held=True,
            family=target.cells,
        )
        made = synthesise(rtl, target, out=out / "synth")
        if target.family == "cyclone5":
            report = mistral.place_and_route(made, out / "route", seed=seed)
            assert report.fmax_mhz is not None
            return Found(made.cells, report.fmax_mhz, report.critical)
        found = place_and_route(made, target, out=out / "route", seed=seed)
    return Found(found.cells, found.fmax_mhz, found.critical)


def described(found: Found) -> str:
    """What the routed path is made of."""
    total: dict[str, list[float]] = {}
    for kind, _, ns in found.critical:
        total.setdefault(kind, []).append(ns)
    return ", ".join(f"{kind} {len(ns)} x {np.mean(ns):.2f}" for kind, ns in total.items())


def compare(target: Target, found: dict[str, Netlist], levels: list[int], seed: int, *, fit: bool) -> None:
    """Print a line per design, and the mean."""
    assert target.delay is not None
    cases, ratios = [], []
    for name, net in found.items():
        for per_stage in levels:
            fabric = compiled(net, target, per_stage)
            result = routed(net, fabric, target, seed)
            period = max(slowest(fabric, target.cells.cells, target.delay)[0], target.delay.shell)
            ratio = (1e6 / period) / result.fmax_mhz
            where = "" if result.inside else " shell"
            print(
                f"{target.name:12} {name:12} {per_stage} LUTs  {result.cells:5} cells  estimate {1e6 / period:6.1f} "
                f"MHz  routed {result.fmax_mhz:6.1f} MHz  {ratio - 1:+6.1%}{where}   [{described(result)} ns]",
                flush=True,
            )
            if result.inside:
                ratios.append(ratio)
                cases.append((fabric, 1e6 / result.fmax_mhz))
    if ratios:
        spread = np.abs(np.array(ratios) - 1)
        mean = np.exp(np.log(ratios).mean()) - 1
        print(
            f"{target.name:12} mean {mean:+.1%}, mean of sizes {spread.mean():.1%}, worst {spread.max():.1%}"
        )
    if fit and cases:
        print(f"{target.name:12} route = {fitted(target, cases)} would have mean 0", flush=True)


def fitted(target: Target, cases: list[tuple[Fabric, float]]) -> int:
    """Wire delay in ps for which the estimates are right on average."""
    assert target.delay is not None
    low, high = 0, 20_000
    while high - low > 1:
        middle = (low + high) // 2
        delay = replace(target.delay, route=middle)
        off = [np.log(slowest(f, target.cells.cells, delay)[0] / period) for f, period in cases]
        low, high = (middle, high) if np.mean(off) < 0 else (low, middle)
    return low


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("models", nargs="*", type=Path, help="checkpoints of lgc train, of 2-input gates")
    arguments.add_argument("--targets", default="ice40-hx8k")
    arguments.add_argument("--nets", default=",".join(SHAPES), help="shapes of random networks")
    arguments.add_argument("--levels", default="1,2,4,8", help="LUTs between registers")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--fit", action="store_true")
    options = arguments.parse_args()
    wanted = [name for name in options.nets.split(",") if name]
    found = {name: net for name, net in nets().items() if name in wanted}
    found |= dict(networks.trained(options.models))
    levels = [int(text) for text in options.levels.split(",")]
    for name in options.targets.split(","):
        compare(load(name), found, levels, options.seed, fit=options.fit)


if __name__ == "__main__":
    main()
