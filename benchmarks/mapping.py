"""LUTs, levels and CPU time of `lut-map` and of ABC on the same networks, side by side.

    python benchmarks/mapping.py                       random networks of 4×8000 gates
    python benchmarks/mapping.py --large               6×64000 as well
    python benchmarks/mapping.py --checkpoints DIR     third-party networks (../shared/data/checkpoints)
    python benchmarks/mapping.py model.safetensors     networks trained with lgc

Each line is one network and one k. LUTs are those of two and more inputs in ABC's BLIF and in our
netlist. CPU seconds are user and system time of structural hashing and mapping; reading the file
and starting the process are excluded on both sides, and our kernels are compiled before. Of networks of less
than 10,000 LUTs it is the least of five runs. The
column "merge, area" merges equivalent signals first, as ABC's `&dch` does.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import networks
import numpy as np

from lgc.ir import _kernels
from lgc.ir.equivalence import compare
from lgc.ir.netlist import Netlist
from lgc.ir.passes import LutMap, Merge, Pass, Strash, run
from lgc.ir.passes.satlut import find_abc, read_blif, run_abc, write_blif

ABC = {
    "if -a": "strash; if -K {k} -a",
    "if": "strash; if -K {k}",
    "satlut": "strash; &get -n; &dch -f; &if -K {k} -a; &mfs; &satlut; &put",
}
"""Scripts of the peer, by the name of their column."""

RUNS, SHORT = 5, 10_000
"""Runs, and LUTs of a network below which there are so many."""


@dataclass(frozen=True)
class Mapped:
    """One mapped network: LUTs, levels and CPU seconds."""

    luts: int
    levels: int
    seconds: float


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


def least(seconds: Callable[[], float], net: Netlist) -> float:
    """The least of several runs where each is short."""
    return min(seconds() for _ in range(RUNS if net.luts < SHORT else 1))


def with_abc(abc: Path, net: Netlist, script: str, k: int) -> Mapped:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        write_blif(net, here / "in.blif")

        def seconds(command: str) -> float:
            start = children_seconds()
            run_abc(abc, command, folder=here, seconds=3600)
            return children_seconds() - start

        reading = least(lambda: seconds("read_blif in.blif"), net)
        whole = f"read_blif in.blif; {script.format(k=k)}; write_blif out.blif"
        taken = least(lambda: seconds(whole), net)
        mapped = read_blif(here / "out.blif", net)
    return of(mapped, taken - reading)


def with_lgc(net: Netlist, *pipeline: Pass) -> Mapped:
    found = list[Netlist]()

    def seconds() -> float:
        start = process_time()
        found.append(run(pipeline, net))
        return process_time() - start

    taken = least(seconds, net)
    assert compare(net, found[-1], samples=256).equal
    return of(found[-1], taken)


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
    small = networks.netlist(20, networks.random_layers(20, [40, 40], seed=0), 2)
    for pipeline in ours.values():
        run(pipeline(4), small)
    print(f"{'LUTs@levels, CPU':<24} k" + "".join(f"{name:>20}" for name in [*scripts, *ours]), end="")
    print("   area/satlut  merged/sat.  area/if -a   CPU/if -a  depth/if -a")
    nets = [*networks.random_networks(large=options.large), *networks.trained(options.models)]
    nets += networks.third_party(options.checkpoints) if options.checkpoints else []
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
