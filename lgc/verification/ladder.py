"""The ladder: all rungs of a build, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lgc.build import Build, Watch
from lgc.errors import UsageError, nearest
from lgc.manifest import BuildDir, check_files

from . import bitstream, board, folded, hardware, routed, software, timing
from .rungs import LEVELS, Ladder, climb
from .subject import Subject

Run = Callable[[Subject], tuple[str, int]]

IMAGES = 50
"""Samples simulated in hardware if not said otherwise."""


def verify(
    build: str | Path,
    *,
    levels: Sequence[str] = (),
    images: int | None = IMAGES,
    data: str = "",
    model: str | Path | None = None,
    simulator: str = "auto",
    seed: int = 0,
    timeout_s: float = 1800,
    port: str = "",
    watch: Watch | None = None,
) -> Ladder:
    """Compare each stage of a build with the one before; the result is kept in the build's report.

    Args:
        build: its directory.
        levels: those of `LEVELS` to climb, all that the build has reached if empty.
        images: test samples simulated in hardware, all if None; software compares all in any case.
        data: data set, what the build used if "".
        model: the checkpoint, looked for next to the build if None.
        simulator: of the RTL: "auto", "icarus" or "verilator".
        seed: of random patterns, gaps and back-pressure.
        timeout_s: time limit of each simulation.
        port: serial port of a board with the build's bitstream, "simulate" for a simulated one, "" for none.
        watch: told about each rung.

    Returns:
        What was found; `Ladder.check` raises if something differs.

    Raises:
        LgcError: not a build, or its files were edited or are stale.
        UsageError: an unknown level, or the board's without a port.
    """
    for level in levels:
        if level not in LEVELS:
            raise UsageError(f"There is no level {level!r}.", hint=nearest(level, LEVELS))
    if "board" in levels and not port:
        raise UsageError("The level board needs to know the serial port.", hint="Name it with --board PORT.")
    path = Path(build)
    check_files(path)
    with BuildDir.open(path):
        subject = Subject(
            Build.open(path),
            None if model is None else Path(model),
            data,
            images,
            simulator,
            seed,
            timeout_s,
            port,
        )
        found = []
        for level, name, run in rungs(subject):
            if levels and level not in levels:
                continue
            if watch is not None:
                watch(name, None, False)
            found.append(climb(level, name, lambda run=run: run(subject)))  # type: ignore[misc]
            if watch is not None:
                watch(name, found[-1].seconds, False)
        ladder = Ladder(path, tuple(found), seed, images)
        ladder.keep()
    return ladder


def rungs(subject: Subject) -> Iterator[tuple[str, str, Run]]:
    """Yield level, name and comparison of each rung that the build has reached."""
    yield "model", "model ↔ network", software.model_to_netlist
    yield "netlist", "network ↔ optimised", software.netlist_to_optimised
    to_luts = folded.optimised_to_luts if subject.folded else software.optimised_to_fabric
    yield "netlist", "optimised ↔ LUTs with popcount", to_luts
    if subject.folded:
        yield "rtl", "kernels ↔ Verilog", folded.kernels_to_verilog
    if not subject.serial:
        yield "rtl", "LUTs with popcount ↔ Verilog", hardware.fabric_to_verilog
    yield "rtl", "network ↔ RTL", hardware.network_to_rtl
    if subject.has("06-synthesise"):
        yield "gates", "network ↔ post-synthesis netlist", hardware.network_to_gates
    if subject.has("07-route"):
        yield "gates", "network ↔ post-route netlist", routed.network_to_routed
    if subject.has("08-pack"):
        yield "bitstream", "routed design ↔ packed bits", bitstream.routed_to_packed
        yield "bitstream", "network ↔ decoded bitstream", bitstream.network_to_bitstream
        if subject.values("06-synthesise")["family"] == "ice40":
            yield "bitstream", "network ↔ decoded bitstream, vendor cells", bitstream.network_to_vendor_cells
    if subject.has("07-route"):
        yield "timing", "router's clock ↔ paths added up", timing.router_to_paths
    if subject.has("08-pack"):
        yield "timing", "network ↔ routed netlist at its clock", timing.network_at_speed
    if subject.port:
        yield "board", "network ↔ chip", board.network_to_chip
