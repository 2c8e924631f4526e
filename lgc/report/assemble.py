"""The report's sections, from what the steps of a build reported."""

from __future__ import annotations

import dataclasses
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lgc import models
from lgc.backend.parse import part_of
from lgc.manifest import sha256

from . import model, sections

if TYPE_CHECKING:
    from lgc.backend.rtl import RtlFiles
    from lgc.backend.target import Target
    from lgc.frontend.checkpoint import Checkpoint


def model_facts(path: Path, found: Checkpoint) -> model.Model:
    """Build the report's section on the network that `path` holds."""
    facts, encoder = found.metadata, found.encoder
    return model.Model(
        file=path.name,
        sha256=sha256(path),
        classes=len(found.class_names),
        features=encoder.features,
        feature_bits=encoder.format.width,
        levels=encoder.levels,
        layers=tuple(layer.text for layer in found.layers),
        seed=models.seed_of(found),
        data_source=str(facts.get("source", "")),
        validation_accuracy=facts.get("validation_accuracy"),
        test_accuracy=facts.get("test_accuracy"),
    )


def section(kind: type[Any], values: dict[str, Any] | None) -> Any:
    """Build a section of the report from a step's values, None where the step did not run."""
    if values is None:
        return None
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in names})


def post_synthesis(
    values: dict[str, dict[str, Any]], target: Target | None = None
) -> model.PostSynthesis | None:
    """Build the report's section on synthesis, for a target."""
    facts = values.get("06-synthesise")
    if facts is None:
        return None
    parts = {name: model.Parts(**facts[name]) for name in ("luts", "ffs")}
    return model.PostSynthesis(
        tool=facts["tool"],
        carries=facts["carries"],
        brams=facts["brams"],
        cells=facts["cells"],
        cells_available=None if target is None else target.luts,
        **parts,
    )


def estimate(values: dict[str, dict[str, Any]]) -> model.Estimate | None:
    """Build the report's section on the clock to expect."""
    facts = values.get("07-estimate")
    if facts is None:
        return None
    hops = tuple(sections.Hop("logic", name, part, ns) for name, part, ns in facts["critical"])
    found: model.Estimate = section(model.Estimate, facts | {"critical": hops})
    return found


def link(rtl: RtlFiles) -> model.Link | None:
    """Build the report's section on the interface, None for streams of features or samples."""
    given, core = rtl.interface, rtl.core
    if not given.wraps:
        return None
    uart = given.name == "uart"
    request, answer = core.frame(given.name)
    return model.Link(
        name=given.name,
        word=core.packing.word,
        pack=given.pack,
        scores=given.scores,
        request=request,
        answer=answer,
        baud=given.baud if uart else None,
        samples_per_second=round(given.baud / (10 * request), 1) if uart else None,
    )


def post_route(values: dict[str, dict[str, Any]], target: Target) -> model.PostRoute | None:
    """Build the report's section on place and route; clocks become times at the clock the chip may have."""
    facts = values.get("07-route")
    if facts is None:
        return None
    rtl, clock = values["04-rtl"], target.at_most(facts["fmax_mhz"])
    derived: dict[str, Any] = {
        "device": f"{target.device}-{target.package}",
        "latency_ns": round(rtl["latency"] * 1e3 / clock, 1),
        "samples_per_second": round(clock * 1e6 / rtl["cycles_per_sample"]),
        "clock_limit_mhz": target.clock_limit_mhz,
    }
    derived["sweep"] = tuple(model.Seed(**seed) for seed in facts["sweep"])
    synthesis = post_synthesis(values)
    assert synthesis is not None
    derived["area_delay"] = round(synthesis.luts.total * rtl["latency"] * 1e3 / clock)
    derived["critical"] = _hops(facts["critical"])
    found: model.PostRoute = section(model.PostRoute, facts | derived)
    return found


def _hops(path: list[tuple[str, str, float]]) -> tuple[sections.Hop, ...]:
    """Return the steps of a path; what the router put in belongs to the part before it."""
    found: list[sections.Hop] = []
    for kind, name, ns in path:
        part = found[-1].part if found and name.startswith("$nextpnr") else part_of(name)
        found.append(sections.Hop(kind, name, part, ns))
    return tuple(found)


def floorplan(route: Path, values: dict[str, dict[str, Any]]) -> sections.Floorplan | None:
    """Read where the placer put the parts, None where nothing was routed.

    Args:
        route: directory of the step that routed.
        values: what the steps reported.
    """
    if "07-route" not in values:
        return None
    path = route / Path(values["07-route"]["asc"]).parent / "placement.json"
    if not path.is_file():
        return None
    facts = json.loads(path.read_text())
    tiles = tuple(map(tuple, facts["tiles"]))
    return sections.Floorplan(facts["width"], facts["height"], tuple(facts["parts"]), tiles)


def with_pictures(report: model.Report, values: dict[str, dict[str, Any]], build: Path) -> model.Report:
    """Add what the pictures show: layers, inputs, passes, confusions, floorplan, accuracy by rung."""
    facts = values["02-optimise"]
    passes = [sections.PassResult(**row) for row in facts["passes"]]
    expanded = values["03-expand"]
    passes.append(mapping(report.netlist, facts, expanded))
    confusion = facts["confusion"]
    return dataclasses.replace(
        report,
        accuracy=accuracy(report.model, values, report.simulation),
        confusion=None if confusion is None else model.read(sections.Confusion, confusion),
        layers=tuple(model.read(sections.Layer, layer) for layer in facts["layers"]),
        inputs=model.read(sections.Inputs, facts["inputs"]),
        passes=tuple(passes),
        floorplan=floorplan(build / "07-route", values),
        choices=tuple(sections.StageChoice(**row) for row in expanded.get("choices", ())),
    )


def mapping(net: model.Netlist, facts: dict[str, Any], expanded: dict[str, Any]) -> sections.PassResult:
    """Say what mapping to the target's LUTs did."""
    name = f"mapped to {net.k} inputs, gates fused with counters"
    if "mapped_from" in expanded:  # a folded network
        name = f"kernels as built, mapped to {net.k} inputs"
        name += "; the tail is a program" if not net.popcount_luts else ", and the tail"
    before = expanded.get("mapped_from", facts["luts"])
    return sections.PassResult(name, before, expanded["network_luts"], 0.0)


def accuracy(
    trained: model.Model, values: dict[str, dict[str, Any]], simulation: model.Simulation | None
) -> tuple[sections.Accuracy, ...]:
    """Return the accuracy at each rung, from the trained model to the simulated hardware."""
    found = [
        sections.Accuracy(f"trained model, {split} split", share, None, trained.data_source)
        for split, share in (("validation", trained.validation_accuracy), ("test", trained.test_accuracy))
        if share is not None
    ]
    facts = values["02-optimise"].get("accuracy")
    if facts:
        for rung in ("network", "optimised network"):
            share = facts[rung] / facts["samples"]
            found.append(sections.Accuracy(rung, share, facts["samples"], facts["source"]))
    if simulation is not None and simulation.correct is not None:
        share = simulation.correct / simulation.samples
        rung = f"RTL, simulated with {simulation.simulator}"
        found.append(sections.Accuracy(rung, share, simulation.samples, simulation.source))
    return tuple(found)


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
        demand=expanded.get("demand"),
        routed=expanded.get("routed"),
        head=expanded.get("head"),
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
