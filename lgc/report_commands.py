"""The commands `lgc report` and `lgc compare`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from lgc import console
from lgc.console import as_json
from lgc.errors import UsageError
from lgc.manifest import write_text

_PATH = click.Path(path_type=Path)

_html = click.option("--html", type=_PATH, metavar="FILE", help="Write one HTML page, with pictures.")
_markdown = click.option(
    "--markdown",
    type=_PATH,
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    help="Write Markdown; without FILE to the terminal.",
)


def _complete_target_or_all(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    both = [*console.complete_target(ctx, param, incomplete), "all"]
    return [name for name in both if name.startswith(incomplete)]


def _complete_data(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from lgc.report import published

    return [name for name in ("auto", "all", "none", *published.data_sets()) if name.startswith(incomplete)]


@click.command()
@click.argument("build", type=_PATH)
@click.option(
    "--estimate", is_flag=True, help="BUILD is a checkpoint: say what it would take, without any tool."
)
@click.option(
    "-t", "--target", "targets", multiple=True, metavar="NAME", shell_complete=_complete_target_or_all,
    help="For --estimate: a name that `lgc targets` lists, a TOML file, or all (the default).",
)  # fmt: skip
@click.option(
    "--levels", type=click.IntRange(0), default=4, show_default=True,
    help="For --estimate: LUTs between registers.",
)  # fmt: skip
@_html
@_markdown
@as_json
def report(
    build: Path,
    estimate: bool,
    targets: tuple[str, ...],
    levels: int,
    html: Path | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Show the report of a BUILD: accuracy, agreement, LUTs by part, Fmax, latency, provenance.

    Every build holds the same as report.html, report.md and report.json.

    \b
    lgc report build
    lgc report build --html report.html
    lgc report build --markdown                     on the terminal
    lgc report model.safetensors --estimate         LUTs, latency, whether it fits, for every target
    """
    from lgc.report import Report, render

    if estimate:
        _estimate(build, targets or ("all",), levels, html, markdown, as_json)
        return
    if targets:
        raise UsageError("--target is for estimates.", hint="Add --estimate and give a checkpoint.")
    if build.suffix == ".safetensors":
        raise UsageError(
            f"{build} is a checkpoint, not a build.", hint="Add --estimate, or compile it first."
        )
    found = Report.load(build / "report.json")
    written = _write(html, found.to_html) + _write(markdown, lambda: render.markdown(found))
    if as_json:
        click.echo(found.to_json(), nl=False)
    elif not written:
        console.show(None, False, lambda: render.terminal(found))


def _estimate(
    model: Path,
    targets: tuple[str, ...],
    levels: int,
    html: Path | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Estimate a checkpoint on targets and show or write the result."""
    from lgc import estimates
    from lgc.report import estimating

    found = estimates.estimate(model, targets, levels=levels)
    written = _write(html, lambda: estimating.page(found))
    written += _write(markdown, lambda: estimating.markdown(found))
    if as_json or not written:
        console.show(estimating.to_dict(found), as_json, lambda: estimating.terminal(found))


@click.command()
@click.argument("builds", type=_PATH, nargs=-1)
@click.option(
    "--against", default="auto", show_default=True, metavar="DATA", shell_complete=_complete_data,
    help="Published results to show: mnist, jsc-openml, jsc-cernbox, nid, all, none, or those for the "
    "builds' data.",
)  # fmt: skip
@_html
@_markdown
@as_json
def compare(
    builds: tuple[Path, ...], against: str, html: Path | None, markdown: Path | None, as_json: bool
) -> None:
    """Put BUILDS side by side, and among published results on the same data.

    Changes are from the first build. What makes published figures incomparable (encoder and argmax
    counted or not, placed with pins or not, how the latency came about) is in their columns.

    \b
    lgc compare build-4-levels build-2-levels
    lgc compare build --against mnist --html comparison.html
    """
    from lgc.report import compare as comparing

    found = comparing.compare(list(builds), against=against)
    written = _write(html, lambda: comparing.page(found))
    written += _write(markdown, lambda: comparing.markdown(found))
    if as_json or not written:
        console.show(found.to_dict(), as_json, lambda: comparing.terminal(found))


def _write(path: Path | None, render: Callable[[], str]) -> int:
    """Write a file where one is wanted, to the terminal if its name is -; returns how many."""
    if path is None:
        return 0
    if str(path) == "-":
        click.echo(render(), nl=False)
    else:
        write_text(path, render())
        click.echo(f"Wrote {path}.", err=True)
    return 1
