"""CPU seconds to prove a mapped network equal to the one given: lgc's SAT sweeping and ABC's `&cec`.

    python benchmarks/proof.py                      random networks of 4×8000 gates
    python benchmarks/proof.py --large              6×64000 as well
    python benchmarks/proof.py --checkpoints DIR    third-party networks (../shared/data/checkpoints)
    python benchmarks/proof.py model.safetensors    networks trained with lgc

Both compare the network with what `lut-map{k=6}` made of it; ABC reads AIGER, and its time is
less that of reading. The last columns are the whole fabric, popcount included, which only lgc proves:
`&cec` gets the scores of two different adder trees and is stopped after --seconds. Our kernels are
compiled before. Needs ABC (`pip install pyosys`).
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from time import process_time

import networks
import numpy as np

from lgc import netlists
from lgc.ir.equivalence import compare
from lgc.ir.netlist import Netlist
from lgc.ir.passes import REGISTRY, run
from lgc.ir.passes.expand_readout import expand
from lgc.ir.passes.satlut import find_abc
from lgc.ir.proof import prove


def flat(net: Netlist) -> Netlist:
    """The counted signals as outputs, which is what ABC can compare."""
    return replace(net, outputs=net.roots(), readout=None)


def with_lgc(a: Netlist, b: Netlist) -> float:
    start = process_time()
    found = compare(a, b)
    assert found.proof, found
    return process_time() - start


def with_abc(abc: Path, a: Netlist, b: Netlist, seconds: float) -> float | None:
    """CPU seconds of `&cec`, None if it had no answer in time."""
    with tempfile.TemporaryDirectory() as folder:
        netlists.write(Path(folder) / "a.aig", a)
        netlists.write(Path(folder) / "b.aig", b)
        taken = []
        for script in ("&r a.aig; &r b.aig", "&r a.aig; &cec b.aig"):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            try:
                done = subprocess.run(
                    [abc, "-q", script],
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    timeout=seconds,
                    check=True,
                )
            except subprocess.TimeoutExpired:
                return None
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    if "Networks are equivalent" not in done.stdout:
        return None
    return max(taken[1] - taken[0], 0.01)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", type=Path, help="checkpoints that lgc trained")
    parser.add_argument("--large", action="store_true", help="6×64000 gates as well")
    parser.add_argument("--checkpoints", type=Path, metavar="DIR", help="folder of third-party checkpoints")
    parser.add_argument("--seconds", type=float, default=60, help="given to ABC for the popcounts")
    options = parser.parse_args()
    abc = find_abc()
    nets = [*networks.random_networks(large=options.large), *networks.trained(options.models)]
    nets += networks.third_party(options.checkpoints) if options.checkpoints else []
    mapper = REGISTRY.parse("strash,dce,lut-map{k=6}")
    warm = networks.netlist(30, networks.random_layers(30, [60, 60], seed=0), 2)
    with_lgc(warm, run(mapper, warm))
    print(
        f"{'network':<24}{'gates':>8}{'LUT6':>8}{'&cec':>9}{'lgc':>9}{'ratio':>7}{'fabric':>9}{'&cec':>9}{'lgc':>9}"
    )
    for name, net in nets:
        logic = flat(net)
        mapped = run(mapper, logic)
        peer, ours = with_abc(abc, logic, mapped, 3600), with_lgc(logic, mapped)
        assert peer is not None
        fabric, other = (expand(net, k=k) for k in (6, 4))
        start = process_time()
        assert prove(net, fabric).proved
        head = process_time() - start
        same_width = fabric.score_width == other.score_width and fabric.offset == other.offset
        stopped = with_abc(abc, fabric.netlist, other.netlist, options.seconds) if same_width else np.nan
        print(
            f"{name:<24}{net.luts:>8}{mapped.luts:>8}{peer:>7.2f} s{ours:>7.2f} s{ours / peer:>7.2f}"
            f"{fabric.netlist.luts:>9}{'none' if stopped is None else f'{stopped:.1f} s':>9}{head:>7.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
