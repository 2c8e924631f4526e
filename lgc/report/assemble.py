"""The report's sections, from what the steps of a build reported."""

from __future__ import annotations

import dataclasses
import platform
from typing import TYPE_CHECKING, Any

import numpy as np

from . import model

if TYPE_CHECKING:
    from lgc.backend.target import Target


def section(kind: type[Any], values: dict[str, Any] | None) -> Any:
    """Build a section of the report from a step's values, None where the step did not run."""
    if values is None:
        return None
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in names})


def post_synthesis(values: dict[str, dict[str, Any]]) -> model.PostSynthesis | None:
    """Build the report's section on synthesis."""
    facts = values.get("06-synthesise")
    if facts is None:
        return None
    parts = {name: model.Parts(**facts[name]) for name in ("luts", "ffs")}
    return model.PostSynthesis(tool=facts["tool"], carries=facts["carries"], brams=facts["brams"], **parts)


def post_route(values: dict[str, dict[str, Any]], target: Target) -> model.PostRoute | None:
    """Build the report's section on place and route; clocks become times at the routed Fmax."""
    facts = values.get("07-route")
    if facts is None:
        return None
    rtl, fmax = values["04-rtl"], facts["fmax_mhz"]
    derived: dict[str, Any] = {
        "device": f"{target.device}-{target.package}",
        "latency_ns": round(rtl["latency"] * 1e3 / fmax, 1),
        "samples_per_second": round(fmax * 1e6 / rtl["cycles_per_sample"]),
    }
    derived["sweep"] = tuple(model.Seed(**seed) for seed in facts["sweep"])
    found: model.PostRoute = section(model.PostRoute, facts | derived)
    return found


def netlist_facts(values: dict[str, dict[str, Any]], k: int) -> model.Netlist:
    """Build the report's section on the netlist."""
    optimised, expanded = values["02-optimise"], values["03-expand"]
    return model.Netlist(
        nodes=values["01-lower"]["nodes"],
        simplified=optimised["luts"],
        network_luts=expanded["network_luts"],
        popcount_luts=expanded["luts"] - expanded["network_luts"],
        counted_bits=optimised["counted_bits"],
        input_bits=optimised["input_bits"],
        k=k,
        depth=expanded["depth"],
        stages=expanded["stages"],
    )


def tools(values: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return what ran, and its version."""
    found = {"python": platform.python_version(), "numpy": np.__version__}
    if "05-simulate" in values:
        found["simulator"] = values["05-simulate"]["simulator"]
    for name, step in (
        ("synthesis", "06-synthesise"),
        ("place and route", "07-route"),
        ("packer", "08-pack"),
    ):
        if step in values:
            found[name] = values[step]["tool"]
    return found
