"""LUTs, levels and CPU time of `lut-map` and of ABC on the same networks, side by side.

    python benchmarks/mapping.py                       random networks of 4×8000 gates
    python benchmarks/mapping.py --large               6×64000 as well
    python benchmarks/mapping.py --checkpoints DIR     third-party networks (../shared/data/checkpoints)
    python benchmarks/mapping.py model.safetensors     networks trained with lgc

Each line is one network and one k. LUTs are those of two and more inputs in ABC's BLIF and in our
netlist. CPU seconds are user and system time of structural hashing and mapping; reading the file
and starting the process are excluded on both sides, and our kernels are compiled before. The
column "merge, area" merges equivalent signals first, as ABC's `&dch` does.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np

from lgc.ir import _kernels
from lgc.ir.equivalence import compare
from lgc.ir.netlist import Netlist
from lgc.ir.passes import LutMap, Merge, Pass, Strash, run
from lgc.ir.passes.satlut import find_abc, read_blif, run_abc, write_blif
from lgc.ir.readout import Readout

ABC = {
    "if -a": "strash; if -K {k} -a",
    "if": "strash; if -K {k}",
    "satlut": "strash; &get -n; &dch -f; &if -K {k} -a; &mfs; &satlut; &put",
}
"""Scripts of the peer, by the name of their column."""

_GATE_BITS = (3, 1, 2, 0)
"""Bit of difflogic's gate number that is row 0, 1, 2, 3 of our table."""


@dataclass(frozen=True)
class Mapped:
    """One mapped network: LUTs, levels and CPU seconds."""

    luts: int
    levels: int
    seconds: float


def difflogic_tables(gates: np.ndarray) -> np.ndarray:
    """Truth tables uint8 of difflogic's gate numbers."""
    return sum((gates.astype(np.int64) >> bit & 1) << row for row, bit in enumerate(_GATE_BITS)).astype(
        np.uint8
    )


def layered(inputs: int, layers: list[tuple[np.ndarray, np.ndarray, np.ndarray]], classes: int) -> Netlist:
    """A netlist of layers (first pins, second pins, tables), each reading the layer before."""
    fanin, base, width = [], 2, inputs
    for a, b, _ in layers:
        fanin.append(np.stack([a, b], axis=1).astype(np.int32) + np.int32(base))
        base += width
        width = len(a)
    return Netlist(
        inputs=inputs,
        fanin=np.concatenate(fanin),
        table=np.concatenate([table for *_, table in layers]).astype(np.uint8),
        outputs=np.empty(0, np.int32),
        readout=Readout.group_sum(np.arange(base, base + width), classes),
    )


def random_network(inputs: int, widths: list[int], *, seed: int, passing: float) -> Netlist:
    """difflogic's wiring (two permutations a layer); a share `passing` of the gates are wires."""
    rng = np.random.default_rng(seed)
    layers, sources = [], inputs
    for width in widths:
        wire = rng.permutation(sources)[rng.permutation(2 * width) % sources]
        table = rng.integers(0, 16, width).astype(np.uint8)
        table[rng.random(width) < passing] = 0b1010
        layers.append((wire[:width], wire[width:], table))
        sources = width
    return layered(inputs, layers, 10)


def random_networks(*, large: bool) -> Iterator[tuple[str, Netlist]]:
    shapes = {"4x8000": [8000] * 4} | ({"6x64000": [64000] * 6} if large else {})
    for shape, widths in shapes.items():
        for kind, passing in (("uniform", 0.0), ("trained-like", 0.42)):
            yield f"{shape} {kind}", random_network(784, widths, seed=1, passing=passing)


def third_party(folder: Path) -> Iterator[tuple[str, Netlist]]:
    """The networks others trained; see the README next to them."""
    for path in sorted((folder / "difflogic-argens1203" / "golden").glob("*.connections.npz")):
        import torch

        name = path.name.removesuffix(".connections.npz")
        state = torch.load(path.parents[1] / f"{name}.pth", weights_only=True, map_location="cpu")
        wires = np.load(path)
        gates = [weights.argmax(1).numpy() for weights in state.values()]
        layers = [(wires[f"a{n}"], wires[f"b{n}"], difflogic_tables(gate)) for n, gate in enumerate(gates)]
        inputs = 1 + max(int(wires["a0"].max()), int(wires["b0"].max()))
        yield f"argens {name}", layered(inputs, layers, 2)
    for path in sorted((folder / "lgn-rejunity-tt10-mnist").glob("*.npz")):
        found = np.load(path)
        layers = list(
            zip(
                found["connections.A"],
                found["connections.B"],
                difflogic_tables(found["gate_types"]),
                strict=True,
            )
        )
        yield f"rejunity {path.stem[6:14]}", layered(256, layers, 10 if layers[-1][0].size % 10 == 0 else 2)
    for path in sorted((folder / "ddlgn-carleton-mnist").glob("*_gates.csv")):
        rows = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(5), dtype=np.int64)
        layers = [
            (part[:, 2], part[:, 3], difflogic_tables(part[:, 4]))
            for part in (rows[rows[:, 0] == n] for n in np.unique(rows[:, 0]))
        ]
        inputs = 1 + int(rows[rows[:, 0] == 1, 2:4].max())
        yield f"carleton {path.stem[:8]}", layered(inputs, layers, 10)


def trained(paths: list[Path]) -> Iterator[tuple[str, Netlist]]:
    from lgc.frontend import checkpoint
    from lgc.frontend.lower import lower

    for path in paths:
        yield path.stem, lower(checkpoint.load(path)).netlist


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def levels(net: Netlist) -> int:
    """LUTs of two and more inputs on the longest path to a root."""
    level = np.zeros(net.signals, np.int32)
    _kernels.levels(net.fanin, net.first_lut, level)
    wide = np.concatenate([np.ones(net.first_lut, bool), (net.fanin != 0).sum(axis=1) > 1])
    return int(level[net.roots()[wide[net.roots()]]].max(initial=0))


def of(net: Netlist, seconds: float) -> Mapped:
    return Mapped(int(((net.fanin != 0).sum(axis=1) > 1).sum()), levels(net), seconds)


def with_abc(abc: Path, net: Netlist, script: str, k: int) -> Mapped:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        write_blif(net, here / "in.blif")
        taken = []
        for command in ("read_blif in.blif", f"read_blif in.blif; {script.format(k=k)}; write_blif out.blif"):
            start = children_seconds()
            run_abc(abc, command, folder=here, seconds=3600)
            taken.append(children_seconds() - start)
        mapped = read_blif(here / "out.blif", net)
    return of(mapped, taken[1] - taken[0])


def with_lgc(net: Netlist, *pipeline: Pass) -> Mapped:
    start = process_time()
    mapped = run(pipeline, net)
    seconds = process_time() - start
    assert compare(net, mapped, samples=256).equal
    return of(mapped, seconds)


def cell(found: Mapped) -> str:
    return f"{found.luts:>7}@{found.levels:<2}{found.seconds:>7.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", type=Path, help="checkpoints that lgc trained")
    parser.add_argument("--large", action="store_true", help="6×64000 gates as well")
    parser.add_argument("--checkpoints", type=Path, metavar="DIR", help="folder of third-party checkpoints")
    parser.add_argument("--k", type=int, nargs="*", default=[4, 6])
    parser.add_argument("--skip", nargs="*", default=[], choices=ABC, help="scripts of ABC to leave out")
    options = parser.parse_args()
    abc = find_abc()
    scripts = {name: script for name, script in ABC.items() if name not in options.skip}
    ours: dict[str, Callable[[int], tuple[Pass, ...]]] = {
        "area": lambda k: (Strash(), LutMap(k=k)),
        "merge, area": lambda k: (Merge(), LutMap(k=k)),
        "depth": lambda k: (Strash(), LutMap(k=k, depth=True)),
    }
    small = random_network(20, [40, 40], seed=0, passing=0.2)
    for pipeline in ours.values():
        run(pipeline(4), small)
    print(f"{'LUTs@levels, CPU':<24} k" + "".join(f"{name:>20}" for name in [*scripts, *ours]), end="")
    print("   area/satlut  merged/sat.  area/if -a   CPU/if -a  depth/if -a")
    nets = [*random_networks(large=options.large), *trained(options.models)]
    nets += third_party(options.checkpoints) if options.checkpoints else []
    for name, net in nets:
        for k in options.k:
            found = {column: with_abc(abc, net, script, k) for column, script in scripts.items()}
            found |= {column: with_lgc(net, *pipeline(k)) for column, pipeline in ours.items()}
            ratios = [("area", "satlut", "luts"), ("merge, area", "satlut", "luts")]
            ratios += [("area", "if -a", "luts"), ("area", "if -a", "seconds"), ("depth", "if -a", "luts")]
            texts = []
            for a, b, what in ratios:
                peer = getattr(found[b], what) if b in found else 0
                texts.append(f"{getattr(found[a], what) / peer:>12.4f}" if peer > 0 else f"{'-':>12}")
            print(f"{name:<24} {k}" + "".join(f"{cell(m):>20}" for m in found.values()), *texts, flush=True)


if __name__ == "__main__":
    main()
