"""Netlist files: the suffix chooses the format. See `docs/interchange.md`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lgc.errors import LgcError, UsageError

if TYPE_CHECKING:
    from lgc.ir.netlist import Netlist

SUFFIXES = {
    ".lgc": "text, complete",
    ".npz": "arrays, complete",
    ".blif": "BLIF",
    ".aig": "AIGER, binary",
    ".aag": "AIGER, ASCII",
    ".v": "structural Verilog",
    ".c": "C99, written only",
}
"""Known suffixes and what they stand for."""
_READ = tuple(suffix for suffix in SUFFIXES if suffix != ".c")


def read(path: Path) -> Netlist:
    """Read a netlist.

    Args:
        path: a file of one of `SUFFIXES` but `.c`.

    Raises:
        UsageError: an unknown suffix.
        LgcError: the file is not readable or not a well-formed netlist; the error names file, line and
            signal.
    """
    suffix = _known(path, _READ)
    try:
        with path.open("rb") as stream:
            return _parse(suffix, stream)
    except OSError as error:
        raise LgcError(
            f"Cannot read {path}: {error.strerror or error}.", hint="Give a netlist file."
        ) from None
    except LgcError as error:
        raise LgcError(f"{path}: {error.args[0]}", hint=error.hint) from None


def write(path: Path, net: Netlist) -> None:
    """Write a netlist; the file is complete or not there at all.

    Args:
        path: where to, with one of `SUFFIXES`.
        net: the netlist. Only `.lgc` and `.npz` keep stages and origins.

    Raises:
        UsageError: an unknown suffix.
        LgcError: the place is not writable, or the format cannot hold the netlist.
    """
    suffix = _known(path, SUFFIXES)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                _dump(suffix, net, stream)
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise LgcError(f"Cannot write {path}: {error.strerror}.", hint="Choose another place.") from None


def check_suffix(path: Path) -> None:
    """Raise `UsageError` unless `write` knows the suffix, before long work whose result it would take."""
    _known(path, SUFFIXES)


def _known(path: Path, suffixes: Iterable[str]) -> str:
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        what = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise UsageError(
            f"{path} has {what}, which names no netlist format.", hint=f"Known: {', '.join(suffixes)}."
        )
    return suffix


def _parse(suffix: str, stream: BinaryIO) -> Netlist:
    # formats are imported here, since `lgc --help` loads neither numpy nor numba
    from lgc.ir import text
    from lgc.ir.interop import aiger, arrays, blif, verilog

    if suffix == ".npz":
        return arrays.load(stream)
    data = stream.read()
    if suffix == ".lgc":
        try:
            return text.parse(data.decode())
        except UnicodeDecodeError:
            raise LgcError("this is no netlist in text form.") from None
    parsers = {".blif": blif.parse, ".aig": aiger.parse, ".aag": aiger.parse, ".v": verilog.parse}
    return parsers[suffix](data)


def _dump(suffix: str, net: Netlist, stream: BinaryIO) -> None:
    from lgc.ir import text
    from lgc.ir.interop import aiger, arrays, blif, c, verilog

    if suffix == ".npz":
        arrays.save(stream, net)
    elif suffix == ".lgc":
        stream.write(text.dump(net).encode())
    elif suffix in {".aig", ".aag"}:
        stream.writelines(aiger.pieces(net, binary=suffix == ".aig"))
    else:
        pieces = {".blif": blif.pieces, ".v": verilog.pieces, ".c": c.pieces}[suffix]
        stream.writelines(pieces(net))
