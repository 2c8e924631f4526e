"""Packing a routed design into a bitstream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lgc.errors import LgcError

from .family import FAMILIES
from .rtl import make_directory
from .streaming.flash import FLASH_AT
from .target import Target
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


def pack(
    asc: Path,
    *,
    out: Path,
    target: Target | None = None,
    packer: Tool | None = None,
    timeout_s: float = 300,
) -> Packed:
    """Write the bitstream of the routed design `asc` into the directory `out`.

    Args:
        asc: what nextpnr wrote.
        out: directory, made if need be.
        target: the device; any iCE40 if None, whose .asc files name it.
        packer: the family's tool, looked for if None.
        timeout_s: its time limit.

    Raises:
        ToolMissingError: no packer.
        LgcError: it failed.
    """
    family = FAMILIES["ice40"] if target is None else target.cells
    packer = packer or find(family.packer)
    make_directory(out)
    names = {"routed": relative(asc, out), "bitstream": family.bitstream}
    args = [*(target.pack if target else ()), *(word.format(**names) for word in family.pack)]
    log, path = out / f"{family.packer}.log", out / family.bitstream
    path.unlink(missing_ok=True)
    run(packer, args, cwd=out, log=log, timeout_s=timeout_s)
    if not path.is_file() or not path.stat().st_size:
        raise LgcError(f"{packer.name} ended without a bitstream.", hint=f"See {log.name}.")
    return Packed(path, packer.identity, (packer.shell(args),))


def for_flash(bitstream: Path, program: Path) -> Path:
    """Write what the flash takes of a design with a program: the bitstream, and the program at `FLASH_AT`.

    Raises:
        LgcError: the bitstream reaches further.
    """
    before = bitstream.read_bytes()
    if len(before) > FLASH_AT:
        raise LgcError(f"The bitstream of {len(before):,} bytes covers the program's place in the flash.")
    path = bitstream.with_name(f"flash{bitstream.suffix}")
    path.write_bytes(before.ljust(FLASH_AT, b"\xff") + program.read_bytes())
    return path
