"""One trial: train a network, build it as far as asked, and say what came out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lgc.errors import LgcError
from lgc.manifest import read_step
from lgc.report import Report

from .stopping import Curve, HopelessError, Judge, read_curve


@dataclass(frozen=True)
class Task:
    """What a worker needs to know; nothing in it refers to files of the machine that asks.

    Attributes:
        number: of the trial.
        config: the training configuration, `TrainConfig.to_dict`.
        options: options of `lgc.compile`.
        objectives: figures wanted.
        pruner: see `Judge`.
        rivals: curves of trials that it must keep up with.
    """

    number: int
    config: dict[str, Any]
    options: dict[str, Any]
    objectives: tuple[str, ...]
    pruner: str = "none"
    rivals: tuple[Curve, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a trial gave.

    Attributes:
        values: the objectives' figures, in their order; empty if the trial failed or was stopped.
        error: why it failed, or "".
        stopped: whether it was hopeless and ended early.
        facts: what the table shows besides: the network's LUTs, seconds.
        files: contents of the files to keep by name, if the folder was not given.
    """

    values: tuple[float, ...] = ()
    error: str = ""
    stopped: bool = False
    facts: Mapping[str, Any] | None = None
    files: Mapping[str, bytes] | None = None


def run(task: Task, folder: Path | None) -> Outcome:
    """Train and compile; in `folder`, going on with what an interrupted run left there, or elsewhere.

    A design that does not fit, or a setting that contradicts another, fails the trial, not the study.
    """
    if folder is not None:
        return _run(task, folder)
    with tempfile.TemporaryDirectory() as scratch:
        found = _run(task, Path(scratch))
        files = {
            name: (Path(scratch) / name).read_bytes() for name in KEPT if (Path(scratch) / name).exists()
        }
        return replace(found, files=files)


LOG = "model.metrics.jsonl"
"""What training says of each epoch."""

KEPT = ("model.safetensors", LOG, "report.json", "report.html")
"""Files of a trial worth keeping."""


def _run(task: Task, folder: Path) -> Outcome:
    import lgc
    from lgc.frontend import config, data
    from lgc.frontend.train import metrics_path, state_path, train

    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.safetensors"
    try:
        settings = config.TrainConfig.from_dict(task.config)
        resume = state_path(model).exists()
        before = read_curve(metrics_path(model)) if resume else {}
        judge = Judge(task.pruner, task.rivals, settings.train.epochs, before)
        loaded = data.load(settings.data.source)
        trained = train(settings, loaded, out=model, resume=resume, progress=judge)
        build = lgc.compile(model, out=folder / "build", **task.options)
    except HopelessError:
        seen = read_curve(metrics_path(model))
        return Outcome(stopped=True, facts={"epochs": len(seen), "accuracy": 100 * max(seen.values())})
    except LgcError as error:
        return Outcome(error=str(error))
    for name in ("report.json", "report.html"):
        if (build.path / name).is_file():
            shutil.copy(build.path / name, folder / name)
    expanded = read_step(build.path, "03-expand")["values"]
    luts = int(expanded["luts"]) + int(expanded["argmax_luts"])
    found = figures(build.report, luts, float(trained.metadata["validation_accuracy"]))
    return Outcome(tuple(found[name] for name in task.objectives), facts=found)


def figures(report: Report, luts: int, accuracy: float) -> dict[str, float]:
    """Every objective that a build has figures for; `luts` are those of the netlist with its argmax."""
    net, synthesised, routed = report.netlist, report.post_synthesis, report.post_route
    found: dict[str, float] = {
        "accuracy": 100 * accuracy,
        "luts": synthesised.luts.total if synthesised else luts,
        "depth": net.depth,
        "latency_cycles": net.stages,
    }
    if routed:
        found |= {"cells": routed.cells, "fmax_mhz": routed.fmax_mhz, "latency_ns": routed.latency_ns}
    return found
