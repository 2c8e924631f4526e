"""Words that several renderings of a report share."""

from __future__ import annotations

from .model import Check, Estimate, Parts, PostRoute, Report, Seed
from .sections import Hop, StageChoice

PART_LABELS = {
    "encoder": "encoder (with input storage)",
    "network": "network",
    "readout": "readout (counts of each class)",
    "argmax": "argmax",
    "io": "stream control, interface",
}
"""Names of the parts of a design."""
IN_NETWORK = "in network"
"""Stands for the LUTs of parts that share the network's."""
assert list(PART_LABELS) == list(Parts.__annotations__)


def limit(found: Estimate) -> str:
    """Say where the slowest path of an estimate is."""
    if found.limited_by == "fabric":
        return f"{found.levels} LUTs between registers"
    return "encoder and control" if found.limited_by == "shell" else found.limited_by


def usable_mhz(found: PostRoute | Estimate) -> float:
    """Return the clock of latency and throughput: the fastest, or the most that the clock network takes."""
    limit = found.clock_limit_mhz
    return found.fmax_mhz if limit is None else min(found.fmax_mhz, limit)


def capped(found: PostRoute | Estimate) -> bool:
    """Whether the logic is faster than the clock network may be."""
    return usable_mhz(found) < found.fmax_mhz


def clock_of(found: PostRoute | Estimate, otherwise: str) -> str:
    """Say at which clock latency and throughput are."""
    return f"{usable_mhz(found):g} MHz" if capped(found) else otherwise


def equal(check: Check) -> str:
    """Return whether two stages agree: yes, NO, or that they are not meant to."""
    if check.method.startswith("inexact"):
        return "not meant to be"
    return "yes" if check.equal else "NO"


def inputs_of(check: Check) -> str:
    """Return how many inputs a check covers, a dash where it is not about inputs."""
    return "all" if check.method.startswith("proof") else f"{check.compared:,}" if check.compared else "–"


def together(report: Report) -> bool:
    """Whether the logic of the network counts and compares besides, as a program does."""
    parts = report.post_synthesis.luts if report.post_synthesis is not None else None
    counts = report.netlist.counted_bits and not report.netlist.popcount_luts
    return bool(counts and parts is not None and not parts.readout and not parts.argmax)


def luts_of(report: Report, part: str) -> str:
    """Return how many LUTs a part takes after synthesis, or that the network's are its too."""
    assert report.post_synthesis is not None
    if part in {"readout", "argmax"} and together(report):
        return IN_NETWORK
    return f"{getattr(report.post_synthesis.luts, part):,}"


def spread(sweep: tuple[Seed, ...]) -> str:
    """Return what all seeds reached, as part of a line."""
    reached = [seed.fmax_mhz for seed in sweep if seed.fmax_mhz is not None]
    if not reached:
        return ""
    failed = f", {len(sweep) - len(reached)} failed" if len(reached) < len(sweep) else ""
    return f" ({min(reached):.1f} to {max(reached):.1f} over {len(sweep)} seeds{failed})"


def path(hops: tuple[Hop, ...]) -> str:
    """Return the critical path in words: its time, what wires take of it, the parts it crosses."""
    total = sum(hop.ns for hop in hops)
    wires = sum(hop.ns for hop in hops if hop.kind == "routing")
    parts = list(dict.fromkeys(hop.part for hop in hops if hop.kind != "routing"))
    if not total:
        return "none"
    terms = list(dict.fromkeys(hop.name.partition(" (")[2].rstrip(")") for hop in hops if " (" in hop.name))
    ends = f" ({', '.join(terms[:1] + terms[1:][-1:])})" if terms else ""
    return f"{total:.1f} ns, {wires / total:.0%} of it wires, through {', '.join(parts)}{ends}"


def provenance(report: Report) -> list[tuple[str, str]]:
    """Return what it takes to make the same again: names and values."""
    model = report.model
    rows = [
        ("lgc", report.lgc_version),
        ("target", report.target),
        ("pipeline", report.pipeline),
        ("model", f"{model.file} (sha256 {model.sha256[:16]}…)"),
        ("data", model.data_source or "not recorded"),
        ("training seed", "not recorded" if model.seed is None else str(model.seed)),
    ]
    if report.post_route is not None:
        rows.append(("placer seed, router", f"{report.post_route.seed}, {report.post_route.router}"))
        if report.post_route.clock_mhz is not None:
            loop = f", made by {report.post_route.pll}" if report.post_route.pll else ""
            rows.append(("clock", f"{report.post_route.clock_mhz:.6g} MHz{loop}"))
    if report.bitstream is not None:
        rows.append(("bitstream", f"{report.bitstream.file} (sha256 {report.bitstream.sha256[:16]}…)"))
    return [*rows, *report.tools.items()]


def demand(needed: float | None, routed: float | None) -> str:
    """Say how much wire a fabric needs, and how much was found elsewhere."""
    if needed is None:
        return "not estimated"
    known = (
        f"up to {routed:g} has been routed on this family" if routed else "not compared with routed designs"
    )
    return f"{needed:g} tiles per tile, {known}"


STAGE_HEAD = ("--levels", "registers", "clock", "latency", "", "stage")
"""Heads of the columns of `stages`."""


def stages(choice: StageChoice) -> tuple[str, ...]:
    """Return the row of another number of register stages."""
    levels = "0 (none)" if not choice.levels else str(choice.levels)
    times = (f"{choice.fmax_mhz:.0f} MHz", f"{choice.latency_ns:.0f} ns")
    return (levels, str(choice.stages), *times, "as built" if choice.chosen else "", "ESTIMATE")
