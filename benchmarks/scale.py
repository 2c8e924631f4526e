"""Time and memory of every step on huge networks, and the time from a network to its Verilog.

    python benchmarks/scale.py                     4 million gates: 1/16, 1/4 and all of them
    python benchmarks/scale.py --gates 60000000    the same for 60 million
    python benchmarks/scale.py --verilog           384,000 gates down to Verilog, step by step

Random 2-input gates of every kind, wired as difflogic does, in 10 layers. Each size runs in a
process of its own; the peak of each step is the largest resident set while it ran, the process
itself (Python, NumPy, the kernels) and the networks before and after included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from lgc.ir import verify
from lgc.ir.interop import arrays
from lgc.ir.netlist import Netlist
from lgc.ir.passes import Dce, Fold, LutMap, Strash, run
from lgc.ir.readout import Readout

LAYERS = 10
INPUTS = 784


def network(gates: int, *, layers: int = LAYERS, classes: int = 10, seed: int = 1) -> Netlist:
    """difflogic's wiring, filled in place: two permutations a layer."""
    rng = np.random.default_rng(seed)
    width = gates // layers // classes * classes
    fanin = np.empty((layers * width, 2), np.int32)
    base, sources = 2, INPUTS
    for layer in range(layers):
        rows = fanin[layer * width : (layer + 1) * width]
        drawn = rng.permutation(np.arange(2 * width, dtype=np.int32)) % np.int32(sources)
        rows[:] = rng.permutation(np.arange(base, base + sources, dtype=np.int32))[drawn].reshape(2, width).T
        base, sources = base + sources, width
    return Netlist(
        inputs=INPUTS,
        fanin=fanin,
        table=rng.integers(0, 16, len(fanin), np.uint8),
        outputs=np.empty(0, np.int32),
        readout=Readout.group_sum(np.arange(base, base + sources, dtype=np.int32), classes),
    )


class Meter:
    """Measures steps and prints them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def step(self, name: str, run_: Callable[[], Any], facts: Callable[[Any], str]) -> Any:
        """Run a step; returns its result."""
        reset_peak()
        wall, cpu = perf_counter(), process_time()
        result = run_()
        row = {
            "step": name,
            "seconds": perf_counter() - wall,
            "cpu": process_time() - cpu,
            "peak_gib": peak() / 2**30,
            "result": facts(result),
        }
        self.rows.append(row)
        text = "  {step:<12}{seconds:>9.2f} s {cpu:>9.2f} s CPU {peak_gib:>8.2f} GiB  {result}"
        print(text.format(**row), flush=True)
        return result


def reset_peak() -> None:
    """Start measuring the largest resident set anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Largest resident set since `reset_peak`, bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def optimise(source: Path, meter: Meter) -> None:
    """Read, verify, fold, hash, prune and map; each network is dropped as soon as the next is there."""

    def luts(net: Netlist) -> str:
        return f"{net.luts:,} LUTs"

    held = [meter.step("read", lambda: arrays.load(source), luts)]
    meter.step("verify", lambda: verify.check(held[0]), lambda _: "well formed")
    for name, step in (
        ("fold", Fold()),
        ("hash", Strash()),
        ("prune", Dce()),
        ("map", LutMap(k=6)),
    ):
        held.append(meter.step(name, lambda step=step: step(held.pop()), luts))
    meter.step("verify", lambda: verify.check(held[0]), lambda _: "well formed")


def warm() -> None:
    """Load or compile the kernels."""
    net = network(2000)
    verify.check(net)
    run((Fold(), Strash(), Dce(), LutMap(k=6)), net)


def child(gates: int) -> None:
    """Measure one size and print it as JSON in the last line."""
    warm()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "network.npz"
        arrays.save(source, network(gates))
        meter = Meter()
        optimise(source, meter)
    print(json.dumps({"gates": gates, "steps": meter.rows}))


def scale(gates: int) -> None:
    """Measure a sixteenth, a quarter and all of the gates, and how the time grows."""
    found = []
    for part in (16, 4, 1):
        print(f"{gates // part:,} gates")
        command = [sys.executable, __file__, "--child", str(gates // part)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("{"):
                    found.append(json.loads(line))
                else:
                    print(line, end="", flush=True)
        if process.returncode:
            sys.exit(process.returncode)
        steps = found[-1]["steps"]
        total = sum(row["seconds"] for row in steps)
        highest = max(row["peak_gib"] for row in steps)
        found[-1]["total"] = total
        print(
            f"  {'total':<12}{total:>9.2f} s {total / gates * part * 1e9:>9.0f} ns a gate, peak {highest:.2f} GiB"
        )
    print(f"time per gate, full size against a sixteenth: {found[-1]['total'] / 16 / found[0]['total']:.2f}")


def verilog(widths: list[int], *, passing: float = 0.42, seed: int = 1) -> None:
    """Compile a random network with `lgc compile --until verilog`'s steps; prints the seconds of each."""
    import lgc
    from lgc.frontend import checkpoint
    from lgc.ir.encoder import FixedPoint, Thermometer

    rng = np.random.default_rng(seed)
    layers, sources = [], INPUTS
    for width in widths:
        fanin = rng.permutation(sources)[rng.permutation(2 * width) % sources].reshape(2, width).T
        table = rng.integers(0, 2, (width, 4))
        table[rng.random(width) < passing] = (0, 1, 0, 1)
        layers.append(checkpoint.Layer(fanin.astype(np.int32), (2 * table - 1).astype(np.float32), "light"))
        sources = width
    encoder = Thermometer(np.full((INPUTS, 1), 127, np.int32), FixedPoint(8))
    model = checkpoint.Checkpoint(encoder, tuple(layers), tuple("0123456789"), 1.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.safetensors"
        checkpoint.save(path, model)
        wall, cpu = perf_counter(), process_time()
        build = lgc.compile(path, out=Path(folder) / "build", until="verilog")
        wall, cpu = perf_counter() - wall, process_time() - cpu
        size = sum(file.stat().st_size for file in (Path(folder) / "build" / "04-rtl").glob("*.v"))
    print(f"{sum(widths):,} gates to {size / 1e6:.1f} MB of Verilog, target {build.report.target}")
    for step in build.report.steps:
        print(f"  {step.name:<12}{step.seconds:>9.2f} s")
    print(f"  {'total':<12}{wall:>9.2f} s {cpu:>9.2f} s CPU")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gates", type=int, default=4_000_000)
    parser.add_argument("--verilog", action="store_true", help="measure the way to Verilog instead")
    parser.add_argument("--child", type=int, metavar="GATES", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    print(f"{os.cpu_count()} cores")
    if options.verilog:
        verilog([64000] * 6)
    else:
        scale(options.gates)


if __name__ == "__main__":
    main()
