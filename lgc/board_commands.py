"""The commands `lgc targets`, `lgc boards`, `lgc flash` and `lgc host`."""

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

    Designs for some end in a bitstream, for others in an estimate: no open tool places and routes
    them, and --script hands them on to the vendor's. `-t` also takes a TOML file of your own.

    \b
    lgc compile model.safetensors -t ice40-up5k
    lgc compile model.safetensors -t boards/mine.toml
    """
    from lgc import commands

    found = commands.list_targets()
    brief = [
        {key: row[key] for key in ("name", "LUTs", "k", "clock at most", "to", "needs", "installed")}
        for row in found
    ]
    console.show(found, as_json, lambda: commands.dict_table("Targets", brief))


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


@click.command()
@click.argument("build", type=click.Path(path_type=Path))
@click.option("--port", default="", metavar="PORT", help="Serial port of the board, or its SPI device.")
@click.option("--simulate", is_flag=True, help="Talk to a simulation of the build's Verilog instead.")
@click.option("--data", default="", metavar="SOURCE", help="Data set; what the build used if not given.")
@click.option("--images", type=click.IntRange(1), metavar="N", help="Test samples to send; all if not given.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Write the classes to this file, one per line."
)
@as_json
def host(
    build: Path, port: str, simulate: bool, data: str, images: int | None, out: Path | None, as_json: bool
) -> None:
    """Send test samples to the chip of a BUILD with a UART or SPI, and compare its answers with the network.

    Exits 4 if an answer is not the network's. Scores are compared, too, if the build has them.

    \b
    lgc host build --port /dev/ttyUSB1
    lgc host build --port /dev/spidev0.0
    lgc host build --simulate --images 5
    """
    from lgc import commands
    from lgc import host as client
    from lgc.errors import MismatchError, UsageError

    if bool(port) == simulate:
        raise UsageError(
            "Give either --port or --simulate.", hint="Serial ports are named like /dev/ttyUSB1."
        )
    with client.connected(build, "simulate" if simulate else port) as chip:
        found = client.run(chip, build, data=data, images=images)
    if out is not None:
        out.write_text("".join(f"{index}\n" for index in found.classes))
    facts = found.facts()
    console.show(facts, as_json, lambda: commands.summary_table("Chip", facts))
    if not found.right:
        raise MismatchError(found.difference)
