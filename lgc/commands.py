"""What the commands do, apart from parsing and printing; values are ready for JSON."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from lgc import console, manifest, models
from lgc.errors import LgcError

if TYPE_CHECKING:
    from lgc.build import Build
    from lgc.frontend.config import TrainConfig
    from lgc.ir.netlist import Netlist
    from lgc.verification import Ladder

write_text = manifest.write_text


def train_config(config: str, data: str, overrides: Iterable[str], seed: int | None) -> TrainConfig:
    """Resolve a preset or file and the overrides of the command line."""
    from lgc.frontend import config as configs

    more = [
        *overrides,
        *([f"data.source={data}"] if data else []),
        *([f"train.seed={seed}"] if seed is not None else []),
    ]
    return configs.load(config, more)


@contextmanager
def first_process() -> Iterator[bool]:
    """Yield whether this is the only or the first process of a `torchrun`; the others keep silent.

    Their errors are the first one's, or are seen by it; they only exit.
    """
    first = int(os.environ.get("RANK", "0")) == 0
    try:
        yield first
    except LgcError as error:
        if first:
            raise
        sys.exit(error.exit_code)


def train(config: TrainConfig, out: Path, *, resume: bool, progress: Callable[[Any], None]) -> dict[str, Any]:
    """Train and return what a user wants to know about the result."""
    from lgc.frontend import data
    from lgc.frontend.lower import lower
    from lgc.frontend.train import cpu_seconds, curves_path, metrics_path, state_path
    from lgc.frontend.train import train as fit

    start = time.monotonic()
    loaded = data.load(config.data.source)
    try:
        result = fit(config, loaded, out=out, resume=resume, progress=progress)
    except KeyboardInterrupt:
        if state_path(out).exists():
            click.echo(
                f"\nlgc: {state_path(out)} holds the run; the same command with --resume goes on.", err=True
            )
        raise
    facts = result.metadata
    return {
        "checkpoint": str(out),
        "metrics": str(metrics_path(out)),
        "curves": str(curves_path(out)),
        "nodes": lower(result).netlist.luts,
        "best epoch": facts["epoch"],
        "validation accuracy": facts["validation_accuracy"],
        "test accuracy": facts["test_accuracy"],
        "seed": config.train.seed,
        "seconds": round(time.monotonic() - start, 1),
        "CPU seconds, all epochs": cpu_seconds(out),
    }


def demo_build(
    model: Path, out: Path, *, force: bool, watch: Callable[[str, float | None, bool], None]
) -> Build:
    """Compile the demonstration's checkpoint."""
    import lgc

    return lgc.compile(model, out=out, force=force, watch=watch)


def read_netlist(file: Path) -> tuple[Netlist, int]:
    """Read a netlist in any format, or lower a checkpoint.

    Returns the netlist and how many bits its inputs' thermometer codes have, 1 if that is not known.
    """
    if file.suffix == ".safetensors":
        model = models.load(file)
        return model.netlist, model.encoder.code_levels
    from lgc.netlists import read

    return read(file), 1


def optimise(
    netlist: Path, *, passes: str, check: str, print_after: str | None, first: int | None, data: str = ""
) -> tuple[Netlist, list[dict[str, Any]], list[dict[str, str]]]:
    """Run a pipeline; returns the result, a row for each pass and one for each check.

    Raises:
        MismatchError: a pass changed the function; names it and the input pattern.
    """
    from lgc.ir import passes as library
    from lgc.ir import text

    net, levels = read_netlist(netlist)
    pipeline = library.REGISTRY.parse(passes)[:first]
    evidence = None
    if netlist.suffix == ".safetensors" and any(isinstance(s, library.NeedsData) for s in pipeline):
        evidence = models.evidence(netlist, data)
    pipeline = library.know(pipeline, levels, evidence)
    ran: list[dict[str, Any]] = []
    clock = time.perf_counter()

    def watch(step: library.Pass, before: Netlist, after: Netlist) -> None:
        nonlocal clock
        row = {"pass": library.spell(step), "luts": after.luts, "change": after.luts - before.luts}
        ran.append(row | {"seconds": round(time.perf_counter() - clock, 3)})
        if print_after in {step.name, "all"}:
            click.echo(f"# after {library.spell(step)}\n{text.dump(after)}", err=True)
        clock = time.perf_counter()

    if check == "none":
        return library.run(pipeline, net, watch=watch), ran, []
    net, verdicts = library.run_checked(pipeline, net, watch=watch, each=check == "each")
    return net, ran, [{"passes": v.passes, "verified by": v.comparison.method} for v in verdicts]


def verify(build: Path, *, images: str, **options: Any) -> Ladder:
    """Verify a build; `images` is a number or "all".

    Raises:
        UsageError: `images` is neither.
    """
    from lgc.errors import UsageError
    from lgc.verification import verify as climb

    if images != "all" and not (images.isdecimal() and int(images)):
        raise UsageError(f"--images takes a number above 0 or all, not {images!r}.")
    return climb(build, images=None if images == "all" else int(images), **options)


def describe(file: Path) -> dict[str, Any]:
    """Facts about a checkpoint, a netlist or a build directory."""
    if file.is_dir():
        found = manifest.read_manifest(file)
        return {name: f"{record['seconds']} s" for name, record in sorted(found["steps"].items())}
    if file.suffix == ".safetensors":
        return _describe_checkpoint(file)
    net, _ = read_netlist(file)
    facts = {"k": net.k, "inputs": net.inputs, "LUTs": net.luts, "outputs": len(net.outputs)}
    if net.readout is not None:
        facts |= {"classes": net.readout.classes, "readout entries": len(net.readout.signal)}
    return facts


def _describe_checkpoint(file: Path) -> dict[str, Any]:
    from lgc.frontend import checkpoint

    found = checkpoint.load(file)
    form = found.encoder.format
    facts: dict[str, Any] = {
        "features": f"{found.encoder.features} of {form.width} bits{', signed' * form.signed}",
        "bits after the point": ", ".join(map(str, form.fractions.ravel().tolist())),
        "thermometer levels": found.encoder.levels,
        "classes": ", ".join(found.class_names),
    }
    for i, layer in enumerate(found.layers, 1):
        facts[f"layer {i}"] = layer.text
    if found.weights is not None:
        counts = np.bincount(found.weights)
        facts["weights of outputs"] = ", ".join(f"{counts[w]:,} × {w}" for w in np.flatnonzero(counts))
    known = ("source", "epoch", "validation_accuracy", "test_accuracy")
    facts |= {name.replace("_", " "): found.metadata[name] for name in known if name in found.metadata}
    seed = models.seed_of(found)
    return facts if seed is None else facts | {"seed": seed}


def list_passes() -> list[dict[str, str]]:
    """Rows of `lgc passes`."""
    from lgc.ir.passes import REGISTRY

    rows = []
    for name, kind in sorted(REGISTRY.passes.items()):
        fields = dataclasses.fields(kind)  # type: ignore[arg-type]
        options = " ".join(f"{f.name}={str(f.default).lower()}" for f in fields)
        rows.append({"name": name, "options": options, "what": (kind.__doc__ or "").splitlines()[0]})
    aliases = [
        {"name": name, "options": "", "what": f"= {pipeline}"}
        for name, pipeline in sorted(REGISTRY.aliases.items())
    ]
    return rows + aliases


def explain_pass(name: str) -> str:
    """Return what a pass is, what its options are, and their defaults.

    Raises:
        UsageError: there is no such pass.
    """
    from lgc.errors import UsageError, nearest
    from lgc.ir.passes import REGISTRY

    if name in REGISTRY.aliases:
        return f"{name} = {REGISTRY.aliases[name]}"
    if name not in REGISTRY.passes:
        hint = nearest(name, [*REGISTRY.passes, *REGISTRY.aliases])
        raise UsageError(f"There is no pass named {name!r}.", hint=hint)
    kind = REGISTRY.passes[name]
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    text = inspect.cleandoc(kind.__doc__ or "").replace("Attributes:", "Options:").replace("`", "")
    defaults = " ".join(f"{f.name}={str(f.default).lower()}" for f in fields)
    return f"{text}\n\nDefaults: {defaults}" if defaults else text


def list_targets() -> list[dict[str, str]]:
    """Rows of `lgc targets`."""
    from lgc.backend import target, tools

    rows = []
    have = {finding.name: finding for finding in tools.all_tools()}
    for name in target.names():
        t = target.load(name)
        missing = [have[tool] for tool in t.cells.tools if have[tool].tool is None]
        rows.append(
            {
                "name": name,
                "family": t.family,
                "device": t.device,
                "package": t.package,
                "LUTs": f"{t.luts:,}",
                "k": str(t.k),
                "clock at most": "" if t.clock_limit_mhz is None else f"{t.clock_limit_mhz:g} MHz",
                "to": "estimate only" if t.cells.estimated else "bitstream",
                "needs": ", ".join(t.cells.tools),
                "installed": "yes" if not missing else missing[0].fix,
            }
        )
    return rows


def list_boards() -> list[dict[str, str]]:
    """Rows of `lgc boards`."""
    from lgc.backend import board

    rows = []
    for name in board.names():
        b = board.load(name)
        uart = f"rx {b.pins['rx'].split()[0]}, tx {b.pins['tx'].split()[0]}" if "rx" in b.pins else "none"
        row = {"name": name, "board": b.title, "target": b.target, "clock": f"{b.clock_hz / 1e6:g} MHz"}
        rows.append(row | {"UART": uart, "LEDs": str(len(b.leds))})
    return rows


def list_tools() -> list[dict[str, str]]:
    """Rows of `lgc doctor`."""
    from lgc.backend import tools

    return [
        {
            "tool": finding.name,
            "version": finding.tool.version if finding.tool else "missing",
            "where": finding.tool.origin if finding.tool else finding.fix,
        }
        for finding in tools.all_tools()
    ]


def lacking(found: list[dict[str, str]]) -> str:
    """Return what a compilation would lack, as a sentence; "" if nothing."""
    have = {row["tool"] for row in found if row["version"] != "missing"}
    missing = [tool for tool in ("yosys", "nextpnr-ice40", "icepack") if tool not in have]
    if not ({"iverilog", "vvp"} <= have or {"verilator", "c++", "make"} <= have):
        missing.append("a Verilog simulator")
    return f"A compilation to a bitstream would lack {', '.join(missing)}." if missing else ""


def summary_table(title: str, facts: dict[str, Any]) -> object:
    """Return a two-column table of facts."""
    cells = [(key, f"{value:.2%}" if "accuracy" in key else str(value)) for key, value in facts.items()]
    return console.rows(title, ("", ""), cells)


def dict_table(title: str, found: list[dict[str, Any]]) -> object:
    """Return a table whose columns are the keys of the rows."""
    head = tuple(found[0]) if found else ()
    return console.rows(title, head, [tuple(str(row.get(column, "")) for column in head) for row in found])


def passes_tables(ran: list[dict[str, Any]], checks: list[dict[str, str]]) -> object:
    """Return the tables of `lgc opt --stats`."""
    from rich.console import Group

    return Group(dict_table("Passes run", ran), dict_table("Checks", checks))  # type: ignore[arg-type]
