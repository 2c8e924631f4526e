"""CPU seconds to write and read a network in each format, next to Yosys and ABC on the same files.

    python benchmarks/formats.py                 384,000 gates
    python benchmarks/formats.py --widths 8000,8000

Yosys and ABC are the native ones of the package pyosys. They are started anew for each file, so their
time includes their start, which is given too and taken off in the ratio. Figures are user plus system
time of one run; the kernels of lgc are compiled before.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import networks

from lgc import netlists

YOSYS = {".blif": "read_blif", ".aig": "read_aiger", ".aag": "read_aiger", ".v": "read_verilog"}
ABC = {".blif": "read_blif", ".aig": "read_aiger"}
RUN_YOSYS = (
    "import sys\nfrom pyosys import libyosys as y\nd = y.Design()\nif sys.argv[1]: y.run_pass(sys.argv[1], d)"
)


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of `work` in this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def child(command: list[str]) -> float:
    """CPU seconds of a program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peers() -> tuple[Callable[[str], list[str]], Callable[[str], list[str]]] | None:
    """Command lines of Yosys and ABC for a script."""
    found = importlib.util.find_spec("pyosys")
    if found is None or found.origin is None:
        return None
    abc = str(Path(found.origin).parent / "yosys-abc")
    return (lambda script: [sys.executable, "-c", RUN_YOSYS, script]), (lambda script: [abc, "-q", script])


def column(script: str, command: Callable[[str], list[str]], start: float, ours: float) -> str:
    """A peer's time and how many times ours that is."""
    seconds = max(child(command(script)) - start, 0.0)
    return f"{seconds:>12.2f} {seconds / ours:>7.1f}x"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=784)
    parser.add_argument("--widths", default=",".join(["64000"] * 6), help="gates per layer, commas between")
    parser.add_argument("--suffixes", default=",".join(netlists.SUFFIXES))
    options = parser.parse_args()
    widths = [int(width) for width in options.widths.split(",")]
    net = networks.netlist(options.inputs, networks.random_layers(options.inputs, widths, seed=1), 10)
    warm = networks.netlist(8, networks.random_layers(8, [20, 20], seed=1), 2)
    programs = peers()
    with tempfile.TemporaryDirectory() as folder:
        for suffix in netlists.SUFFIXES:
            path = Path(folder) / f"warm{suffix}"
            netlists.write(path, warm)
            if suffix != ".c":
                netlists.read(path)
        start = (
            [child(command("" if i == 0 else "quit")) for i, command in enumerate(programs)]
            if programs
            else []
        )
        print(
            f"{net.luts} gates, CPU seconds"
            + "".join(f", {n} starts in {s:.2f}" for n, s in zip(("Yosys", "ABC"), start, strict=False))
        )
        print(
            f"{'':6}{'MB':>8}{'write':>8}{'read':>8}{'Yosys reads':>12}{'ratio':>9}{'ABC reads':>12}{'ratio':>9}"
        )
        for suffix in options.suffixes.split(","):
            path = Path(folder) / f"net{suffix}"
            write = cpu(lambda path=path: netlists.write(path, net))
            line = f"{suffix:6}{path.stat().st_size / 1e6:>8.1f}{write:>8.2f}"
            if suffix == ".c":
                print(line)
                continue
            read = cpu(lambda path=path: netlists.read(path))
            line += f"{read:>8.2f}"
            if programs and suffix in YOSYS:
                line += column(f"{YOSYS[suffix]} {path}", programs[0], start[0], read)
            if programs and suffix in ABC:
                line += column(f"{ABC[suffix]} {path}", programs[1], start[1], read)
            print(line)


if __name__ == "__main__":
    main()
