"""What each family's packed file says: compared with the routed design, and decoded to logic."""

from __future__ import annotations

import json
import shutil
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgc.backend import tools
from lgc.backend.pack import pack
from lgc.backend.target import Resources, Target
from lgc.errors import LgcError, MismatchError, ToolMissingError
from lgc.manifest import read_step

from . import chipdb, drive, ecp5, emit, gowin, trellis
from .decode import Asc, Design, decode, read_asc
from .hardware import fresh, synthesised, without_loop
from .subject import Subject

Logic = tuple[Design, dict[str, int]]
"""A decoded design, and the nets of its port bits."""


@dataclass(frozen=True)
class Unpacker:
    """What is done with a family's packed files.

    Attributes:
        compare: compares one with the routed design; returns the method.
        logic: decodes one; of the routed design it takes no more than which pin is which port.
    """

    compare: Callable[[Subject], str]
    logic: Callable[[Subject], Logic]


def logic(subject: Subject) -> Logic:
    """Decode the packed file of a build.

    Raises:
        MismatchError: a phase-locked loop is not set as it should be.
        ToolMissingError: no decoder for its family, or for its phase-locked loops.
        LgcError: the bitstream uses what is not decoded.
    """
    found = unpacker(subject)
    if found.logic is not _logic_ice40:
        without_loop(subject)
    return found.logic(subject)


def unpacker(subject: Subject) -> Unpacker:
    """Return that of the build's family.

    Raises:
        ToolMissingError: there is none.
    """
    family = subject.values("06-synthesise")["family"]
    if family not in _UNPACKERS:
        raise ToolMissingError(
            f"Bitstreams of {family} are not decoded here, only those of {', '.join(_UNPACKERS)}."
        )
    return _UNPACKERS[family]


def _compare_ice40(subject: Subject) -> str:
    before, after = _routed_ice40(subject), _packed_ice40(subject)
    if not before.same_bits(after):
        wrong = int((before.bits != after.bits).sum())
        raise MismatchError(f"{wrong:,} configuration bits of the packed file are not those of the router.")
    return f"every bit ({int(after.bits.sum()):,} are 1)"


def _logic_ice40(subject: Subject) -> Logic:
    """Decode; the router's symbols say which pin is which port."""
    asc = _packed_ice40(subject)
    design = decode(asc, chipdb.ChipDb.load(chipdb.find(asc.device)))
    _same_loop(subject, design.loop)
    netlist = synthesised(subject)
    symbols = _routed_ice40(subject).symbols
    return design, emit.ports(design, symbols, drive.ports_of(netlist), drive.constants_of(netlist))


def _same_loop(subject: Subject, found: dict[str, int] | None) -> None:
    """Compare what a phase-locked loop is set to, `1` for `SIMPLE`, with the design's.

    Raises:
        MismatchError: they differ.
    """
    loop = subject.key("06-synthesise").get("pll")  # older builds say nothing
    wanted = loop["parameters"] if loop else {}
    if bool(wanted) != bool(found):
        raise MismatchError(f"The bitstream has {'a' if found else 'no'} phase-locked loop.")
    for name, value in wanted.items():
        number = 1 if value == '"SIMPLE"' else int(value.partition("'d")[2])
        if found is not None and found.get(name) != number:
            raise MismatchError(f"The phase-locked loop has {name} {found.get(name)}, not {number}.")


def _routed_ice40(subject: Subject) -> Asc:
    """Read the router's result, which also says which pin is which port."""
    return read_asc(_routed(subject))


def _packed_ice40(subject: Subject) -> Asc:
    """Unpack the packed file and read it."""
    return read_asc(_unpack(subject, "iceunpack", "tools", "unpacked.asc"))


def _compare_ecp5(subject: Subject) -> str:
    """Pack anew what was unpacked, which shows that the text holds every bit, and the routed design."""
    file = _file(subject)
    text = _unpack(subject, "ecpunpack", "ecp5", "unpacked.config")
    for source, what in ((text, "the text that it unpacks to"), (_routed(subject), "the routed design")):
        _same_file(file, pack(source, out=text.parent / "again", target=target_of(subject.path)).path, what)
    return f"every byte ({file.stat().st_size:,}), packed anew from its own text and from the routed design"


def _logic_ecp5(subject: Subject) -> Logic:
    pads = _pads(subject)
    config = ecp5.read_config(_unpack(subject, "ecpunpack", "ecp5", "unpacked.config"))
    design, port = ecp5.decode(config, trellis.Trellis.load(config.device), pads)
    return design, _complete(subject, port)


def _compare_gowin(subject: Subject) -> str:
    """Pack the routed design anew; there is no text to unpack to that could be packed again."""
    file = _file(subject)
    out = fresh(subject.work / "unpack") / "again"
    _same_file(
        file, pack(_routed(subject), out=out, target=target_of(subject.path)).path, "the routed design"
    )
    return f"every byte ({file.stat().st_size:,}), packed anew from the routed design"


def _logic_gowin(subject: Subject) -> Logic:
    target = target_of(subject.path)
    device = target.pack[target.pack.index("-d") + 1]
    design, port = gowin.decode(_file(subject), device, _pads(subject))
    return design, _complete(subject, port)


def _same_file(file: Path, again: Path, what: str) -> None:
    """Compare a packed file with another one.

    Raises:
        MismatchError: they differ.
    """
    before, after = file.read_bytes(), again.read_bytes()
    if before != after:
        wrong = sum(a != b for a, b in zip(before, after, strict=False)) + abs(len(before) - len(after))
        raise MismatchError(f"{wrong:,} bytes of the packed file are not those of {what}, packed anew.")


def _complete(subject: Subject, port: dict[str, int]) -> dict[str, int]:
    """Add outputs that are constant, and check that no port lacks its pin."""
    netlist = synthesised(subject)
    return emit.complete(drive.constants_of(netlist) | port, drive.ports_of(netlist))


def _pads(subject: Subject) -> Mapping[str, str]:
    """Places of the pads of port bits, as the placer recorded them.

    Raises:
        ToolMissingError: the build is older than such records.
    """
    read_step(subject.path, "07-route")
    try:
        pads: dict[str, str] = json.loads((_routed(subject).parent / "placement.json").read_text())["pads"]
    except (OSError, ValueError, KeyError):
        raise ToolMissingError(
            "The build does not say which pin is which port.", hint="Build it again with `lgc compile`."
        ) from None
    return pads


def target_of(build: Path) -> Target:
    """Target that a build was packed for."""
    facts: dict[str, Any] = read_step(build, "08-pack")["key"]["target"]
    return Target(**facts | {"resources": Resources(**facts["resources"]), "delay": None})


def _routed(subject: Subject) -> Path:
    """Return what nextpnr wrote."""
    read_step(subject.path, "07-route")
    return subject.path / "07-route" / str(subject.values("07-route")["asc"])


def _file(subject: Subject) -> Path:
    """Return the packed file."""
    read_step(subject.path, "08-pack")
    return subject.path / str(subject.values("08-pack")["file"])


def _unpack(subject: Subject, name: str, extra: str, text: str) -> Path:
    """Unpack the packed file with a tool into a text file.

    Raises:
        ToolMissingError: no such tool.
        LgcError: it failed.
    """
    command = shutil.which(name) or shutil.which(f"yowasp-{name}", path=sysconfig.get_path("scripts"))
    if command is None:
        raise ToolMissingError(f"{name} was not found.", hint=f'Try: pip install "lgc[{extra}]"')
    out = fresh(subject.work / "unpack")
    words = [tools.relative(_file(subject), out), text]
    log = out / f"{name}.log"
    code = tools.run_command([command, *words], cwd=out, log=log, timeout_s=subject.timeout_s, env={})
    if code or not (out / text).is_file():
        raise LgcError(f"{name} failed (exit code {code}):\n{tools.tail(log)}")
    return out / text


_UNPACKERS: Mapping[str, Unpacker] = {
    "ice40": Unpacker(_compare_ice40, _logic_ice40),
    "ecp5": Unpacker(_compare_ecp5, _logic_ecp5),
    "gowin": Unpacker(_compare_gowin, _logic_gowin),
}
"""By family."""
