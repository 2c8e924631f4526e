"""The commands `lgc targets`, `lgc boards` and `lgc flash`."""

from __future__ import annotations

from pathlib import Path

import click

from lgc import console
from lgc.console import as_json


def complete_board(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of boards that go on from what was typed."""
    from lgc.backend import board

    return [name for name in board.names() if name.startswith(incomplete)]


@click.command()
@as_json
def targets(as_json: bool) -> None:
    """List the FPGA targets, the tools they need and whether those are installed.

    `-t` also takes a TOML file of your own.

    \b
    lgc compile model.safetensors -t ice40-up5k
    lgc compile model.safetensors -t boards/mine.toml
    """
    from lgc import commands

    found = commands.list_targets()
    console.show(found, as_json, lambda: commands.dict_table("Targets", found))


@click.command()
@as_json
def boards(as_json: bool) -> None:
    """List the boards: their FPGA, clock, UART and LEDs. `--board` also takes a TOML file of your own.

    \b
    lgc compile model.safetensors --board icebreaker
    """
    from lgc import commands

    found = commands.list_boards()
    console.show(found, as_json, lambda: commands.dict_table("Boards", found))


@click.command()
@click.argument("build", type=click.Path(path_type=Path))
@click.option(
    "-b",
    "--board",
    default="",
    shell_complete=complete_board,
    help="The one it was compiled for if not given.",
)
@click.option("--memory", is_flag=True, help="Load into the FPGA only, not into the board's flash.")
@as_json
def flash(build: Path, board: str, memory: bool, as_json: bool) -> None:
    """Load the bitstream of a BUILD into a board, with openFPGALoader or iceprog.

    \b
    lgc compile model.safetensors --board icebreaker -o build
    lgc flash build
    """
    from lgc import commands
    from lgc.flash import flash as load

    found = load(build, board=board, memory=memory)
    console.show(found, as_json, lambda: commands.summary_table("Loaded", found))
