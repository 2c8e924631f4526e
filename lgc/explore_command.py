"""`lgc explore`: parse, call, print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lgc import console
from lgc.console import as_json

if TYPE_CHECKING:
    from lgc.exploration import Finished, Space


@click.command()
@click.argument("space", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Folder of the study; the space's name if not given."
)
@click.option("--trials", type=click.IntRange(1), help="Networks to train, instead of the space's number.")
@click.option("-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Trials at a time.")
@click.option(
    "--ray",
    default="",
    metavar="ADDRESS",
    envvar="RAY_ADDRESS",
    help="Run trials on a Ray cluster: its address, auto, or local to start one here. Also from RAY_ADDRESS.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the table.")
@as_json
def explore(
    space: Path, out: Path | None, trials: int | None, jobs: int, ray: str, quiet: bool, as_json: bool
) -> None:
    """Search for good networks: accuracy against LUTs, latency, Fmax.

    SPACE is a TOML file: settings to vary, objectives, number of trials. Each trial is trained and
    compiled; the front of those that no other beats is printed and drawn. Stopped, the same command
    goes on where it was. See docs/explore.md.

    \b
    lgc explore space.toml
    lgc explore space.toml --trials 100 --jobs 2
    lgc explore space.toml --ray auto
    """
    import dataclasses

    from lgc import exploration
    from lgc.exploration.plot import draw
    from lgc.manifest import write_text

    wanted = exploration.Space.load(space)
    if trials is not None:
        wanted = dataclasses.replace(wanted, trials=trials)
    folder = out or space.with_suffix("")

    def watch(trial: Finished, ended: int) -> None:
        if not quiet and not as_json:
            _say(f"{ended}/{wanted.trials}  {_line(wanted, trial)}")

    found = exploration.explore(wanted, folder, jobs=jobs, ray=ray, watch=watch)
    front = exploration.pareto(wanted, found)
    if len(wanted.objectives) > 1:
        write_text(folder / "pareto.svg", draw(wanted, found))
    rows = [dataclasses.asdict(trial) for trial in front]
    console.show(rows, as_json, lambda: _table(wanted, front, len(found)))
    if not as_json and not quiet:
        failed, stopped = (sum(bool(getattr(t, how)) for t in found) for how in ("error", "stopped"))
        more = (f", {failed} failed" if failed else "") + (f", {stopped} stopped early" if stopped else "")
        _say(f"{len(found)} trials{more}; all of them in {folder / 'trials.json'}, drawn in pareto.svg")


def _say(text: str) -> None:
    click.echo(text, err=True)


def _line(space: Space, trial: Finished) -> str:
    if trial.error:
        return f"trial {trial.number}: {trial.error}"
    if trial.stopped:
        epochs, accuracy = (trial.facts[name] for name in ("epochs", "accuracy"))
        return f"trial {trial.number}: stopped after epoch {epochs:g}, hopeless at {accuracy:.2f} %"
    return f"trial {trial.number}: " + ", ".join(
        f"{name} {value:,.4g}" for name, value in zip(space.objectives, trial.values, strict=True)
    )


def _table(space: Space, front: list[Finished], trials: int) -> object:
    varied = [parameter.name for parameter in space.vary]
    short = (re.sub(r"^(model\.layers|model|train|encoder|compile)\.", "", name) for name in varied)
    head = ("trial", *space.objectives, *short)
    cells = [
        (
            str(trial.number),
            *(f"{value:,.2f}".removesuffix(".00") for value in trial.values),
            *(_short(trial.chosen[name]) for name in varied),
        )
        for trial in front
    ]
    return console.rows(f"Not beaten, of {trials} trials", head, cells)


def _short(value: str) -> str:
    """TOML text, numbers to four digits."""
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value.strip('"')[:24]
