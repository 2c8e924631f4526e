"""Packing a routed design into a bitstream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lgc.errors import LgcError

from .rtl import make_directory
from .tools import Tool, find, relative, run


@dataclass(frozen=True)
class Packed:
    """A bitstream.

    Attributes:
        path: the file.
        tool: name, version and origin of the packer.
        commands: command lines, run in the file's directory.
    """

    path: Path
    tool: str
    commands: tuple[str, ...]


def pack(asc: Path, *, out: Path, icepack: Tool | None = None, timeout_s: float = 120) -> Packed:
    """Write the bitstream of the routed design `asc` into the directory `out`.

    Raises:
        ToolMissingError: no icepack.
        LgcError: it failed.
    """
    icepack = icepack or find("icepack")
    make_directory(out)
    args = [relative(asc, out), "lgc.bin"]
    run(icepack, args, cwd=out, log=out / "icepack.log", timeout_s=timeout_s)
    path = out / "lgc.bin"
    if not path.is_file() or not path.stat().st_size:
        raise LgcError(f"{icepack.name} ended without a bitstream.", hint="See icepack.log.")
    return Packed(path, icepack.identity, (icepack.shell(args),))
