"""Load a build's bitstream into a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lgc.errors import LgcError, ToolMissingError, UsageError
from lgc.manifest import read_step

if TYPE_CHECKING:
    from lgc.backend.tools import Tool


def flash(build: Path, *, board: str = "", memory: bool = False, timeout_s: float = 300) -> dict[str, Any]:
    """Load the bitstream with openFPGALoader, or with iceprog where the board has an iCE40.

    What a folded design loads from flash goes there with it.

    Args:
        build: build directory.
        board: name or TOML file; the one that it was compiled for if "".
        memory: write the configuration memory only, which forgets when switched off; else the flash.
        timeout_s: time limit.

    Raises:
        UsageError: the build is for no board and none is named, or for another FPGA, or it needs the flash.
        ToolMissingError: neither loader is there.
        LgcError: no bitstream, or the loader failed.
    """
    from lgc.backend import tools
    from lgc.backend.board import load
    from lgc.build import Build

    found = Build.open(build)
    bitstream = found.bitstream
    if bitstream is None:
        raise LgcError(f"The build in {build} has no bitstream.", hint="Run `lgc compile` to the end.")
    packed = read_step(build, "08-pack")["values"]  # refuses a file that was changed since
    if "flash" in packed:
        if memory:
            raise UsageError("The design's program is read from flash.", hint="Leave --memory out.")
        bitstream = build / str(packed["flash"])
    name = board or str(read_step(build, "07-route")["values"].get("board", ""))
    if not name:
        raise UsageError(
            f"The build in {build} was not made for a board.",
            hint="Compile with --board, so that the pins fit; or name one with --board.",
        )
    chosen = load(name)
    if chosen.target != found.report.target:
        raise UsageError(f"The build is for {found.report.target}, the board has {chosen.target}.")
    tool, arguments = _loader(chosen.loader, chosen.target, memory=memory)
    log = build / "flash.log"
    arguments = [*arguments, tools.relative(bitstream, build)]
    seconds = tools.run(tool, arguments, cwd=build, log=log, timeout_s=timeout_s)
    return {
        "board": chosen.name,
        "bitstream": str(bitstream),
        "loader": tool.identity,
        "log": str(log),
        "seconds": round(seconds, 1),
    }


def _loader(board: str, target: str, *, memory: bool) -> tuple[Tool, list[str]]:
    """Find a loader and its arguments up to the file."""
    from lgc.backend import tools

    try:
        tool = tools.find("openFPGALoader")
    except ToolMissingError as error:
        if not target.startswith("ice40"):
            raise
        try:
            return tools.find("iceprog"), ["-S"] if memory else []
        except ToolMissingError:
            raise error from None
    return tool, ["-b", board, "-m" if memory else "-f"]
