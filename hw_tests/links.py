"""Simulate a design at the pins of its interface: some samples with gaps, errors and resets."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lgc.backend.rtl import TOP, RtlFiles, make_directory
from lgc.backend.tools import relative, run_command, tail
from lgc.errors import LgcError, MismatchError

from . import flash
from .runner import choose, environment

_ALL = ("every_sample", "wrong_frames", "reset_within_a_frame")

TESTS = {"words": ("every_sample", "reset_within_a_frame"), "axi": _ALL, "uart": _ALL, "spi": _ALL}
"""cocotb tests of each interface, in `lgc.hw_tests.<name>`."""


@dataclasses.dataclass(frozen=True)
class LinkResult:
    """What went over an interface in simulation.

    Attributes:
        interface: its name.
        samples: samples of every test, all answered as expected.
        tests: tests that passed.
        clocks: clocks from one sample's start to its answer, best of the samples; 0 if not measured.
    """

    interface: str
    samples: int
    tests: tuple[str, ...]
    clocks: int


def simulate_link(
    rtl: RtlFiles,
    *,
    codes: npt.NDArray[np.int32],
    expected_class: npt.NDArray[np.int64],
    expected_scores: npt.NDArray[np.int64],
    out: Path,
    simulator: str = "auto",
    timeout_s: float = 600,
    seed: int = 0,
    tests: tuple[str, ...] | None = None,
    vendor_cells: bool = False,
) -> LinkResult:
    """Send samples through the interface of a design and compare what comes back.

    Args:
        rtl: a design with an interface.
        codes: what the host sends `[samples, features]`: levels or codes, as the interface packs.
        expected_class: `[samples]`.
        expected_scores: `[samples, classes]`, with the offset.
        out: directory for everything the simulation writes.
        simulator: `icarus`, `verilator`, or `auto`.
        timeout_s: time limit of build and run together.
        seed: of gaps, back-pressure and errors.
        tests: some of `TESTS`, all of the interface's if None. A UART's time-outs are long.
        vendor_cells: `rtl` is a netlist of cells, which are told to be so.

    Raises:
        MismatchError: the design answers otherwise, or not.
        ToolMissingError: no simulator, or no cocotb.
    """
    name = rtl.interface.name
    chosen, tools = choose(simulator, clocks=1 + rtl.boot_clocks)
    make_directory(out)
    for file in ("measured.json", "results.xml"):
        (out / file).unlink(missing_ok=True)
    core = rtl.core
    np.savez(
        out / "expect.npz",
        words=core.packing.pack(codes),
        classes=expected_class,
        scores=expected_scores - rtl.offset,
    )
    job = {
        "simulator": chosen,
        "sources": [relative(path, out) for path in (*rtl.sources, rtl.cells)],
        "top": TOP,
        "module": f"lgc.hw_tests.{name}",
        "parameters": {},
        "defines": {"NO_ICE40_DEFAULT_ASSIGNMENTS": 1} if vendor_cells else {},
        "tests": list(tests or TESTS[name]),
        "interface": dataclasses.asdict(rtl.interface) | {"clocks": rtl.interface.clocks},
        "core": dataclasses.asdict(core),
        "period": rtl.cycles_per_sample,
        "seed": seed,
        "waves": False,
        "flash": flash.facts(rtl, out, 0),
    }
    (out / "bench.json").write_text(json.dumps(job, indent=1))
    code = run_command(
        [sys.executable, "-m", "lgc.hw_tests.cocotb_child"],
        cwd=out,
        log=out / "sim.log",
        timeout_s=timeout_s,
        env=environment(tools),
    )
    if code is None:
        raise LgcError(f"The simulation of the interface did not finish within {timeout_s:g} s.")
    return LinkResult(name, len(codes), tests or TESTS[name], _clocks(out, code, job))


def _clocks(out: Path, code: int, job: dict[str, Any]) -> int:
    """Read what was measured; anything but complete success raises."""
    from cocotb_tools.check_results import get_results

    try:
        ran, failed = get_results(out / "results.xml")
    except (RuntimeError, SyntaxError) as error:
        raise LgcError(f"The simulation ended early (exit code {code}):\n{tail(out / 'sim.log')}") from error
    if code or failed or ran != len(job["tests"]):
        raise MismatchError(
            f"{failed} of {ran} tests of the interface failed, {len(job['tests'])} were to run, exit code "
            f"{code}, seed {job['seed']}:\n{tail(out / 'sim.log')}"
        )
    measured = out / "measured.json"
    return int(json.loads(measured.read_text())["clocks"]) if measured.is_file() else 0
