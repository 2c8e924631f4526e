"""The last rung: the file for the FPGA, unpacked, decoded to logic, and simulated from its pins."""

from __future__ import annotations

import shutil
import sysconfig

import numpy as np
import numpy.typing as npt

from lgc.backend import tools
from lgc.errors import LgcError, MismatchError, ToolMissingError
from lgc.manifest import read_step

from . import chipdb, drive, lanes
from .decode import Asc, Design, decode, read_asc
from .emit import ports, verilog
from .hardware import fresh, only_ice40, references, simulate_pins, stimulus, synthesised, taken
from .subject import Subject

VENDOR_SAMPLES = 12
"""Samples that are also simulated with the vendor's cell models, which takes an event-driven simulator."""


def routed_to_packed(subject: Subject) -> tuple[str, int]:
    """Unpack the bitstream and compare every configuration bit with what the router wrote.

    Raises:
        MismatchError: some bit differs.
        ToolMissingError: no iceunpack.
    """
    before, after = routed(subject), packed(subject)
    if not before.same_bits(after):
        wrong = int((before.bits != after.bits).sum())
        raise MismatchError(f"{wrong:,} configuration bits of the packed file are not those of the router.")
    return f"every bit ({int(after.bits.sum()):,} are 1)", 0


def network_to_bitstream(subject: Subject) -> tuple[str, int]:
    """Decode the packed file to logic and run samples through its pins: every answer.

    All clocks of all samples, first at full rate, then with random gaps and back-pressure.

    Raises:
        MismatchError: an answer differs or is missing.
        ToolMissingError: no iceunpack, or no chip database.
        LgcError: the bitstream uses what is not decoded.
    """
    design, port, _ = _decoded(subject)
    rtl = subject.rtl
    host = drive.Host(lanes.program(design, port, drive.clock_of(rtl)), rtl, subject.seed)
    codes = stimulus(subject).codes
    classes, scores = references(subject, codes)
    wanted = drive.expected(rtl, classes, scores)
    sent = taken(subject, codes)
    for gaps in (False, True):
        found = host.answers(sent, gaps=gaps)
        differ = (found != wanted).any(axis=1)
        if differ.any():
            n = int(differ.argmax())
            raise MismatchError(
                f"{int((~differ).sum()):,} of {len(codes):,} {_what(wanted)} match "
                f"{'with gaps and back-pressure' if gaps else 'at full rate'} (seed {subject.seed}). "
                f"Sample {n}: {_shown(found[n], wanted[n])}."
            )
    cells = len(design.cells) + len(design.memories)
    method = f"{_what(wanted)} at the {rtl.interface.name} pins of {cells:,} decoded cells, back-pressure"
    return f"simulation of {len(codes):,} vectors ({method})", len(codes)


def _what(wanted: npt.NDArray[np.int64]) -> str:
    return "classes" if wanted.shape[1] == 1 else "classes and scores"


def _shown(found: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> str:
    """Answers of one word are classes."""
    if (found < 0).any():
        return "no result"
    if len(wanted) == 1:
        return f"class {found[0]}, expected {wanted[0]}"
    return f"answer {found.tolist()}, expected {wanted.tolist()}"


def network_to_vendor_cells(subject: Subject) -> tuple[str, int]:
    """Simulate a few samples through the decoded file with the vendor's cell models in Icarus Verilog.

    Raises:
        MismatchError: a class differs.
        ToolMissingError: no iceunpack, chip database, cell models or simulator.
        LgcError: the bitstream uses what is not decoded, or the simulation failed.
    """
    design, port, tops = _decoded(subject)
    out = fresh(subject.work / "bitstream")
    reset = drive.reset_of(subject.rtl)
    (out / "decoded.v").write_text(verilog(design, port, {reset: (True, 1)} | tops))
    return simulate_pins(subject, out / "decoded.v", out, most=VENDOR_SAMPLES)


def _decoded(subject: Subject) -> tuple[Design, dict[str, int], drive.Ports]:
    """Decode the packed file; the router's symbols say which pin is which port, and no more.

    Returns the design, the nets of its port bits, and the ports of the top module.
    """
    asc = packed(subject)
    design = decode(asc, chipdb.ChipDb.load(chipdb.find(asc.device)))
    netlist = synthesised(subject)
    tops, constant = drive.ports_of(netlist), drive.constants_of(netlist)
    return design, ports(design, routed(subject).symbols, tops, constant), tops


def routed(subject: Subject) -> Asc:
    """Read the router's result, which also says which pin is which port."""
    read_step(subject.path, "07-route")
    only_ice40(subject)
    return read_asc(subject.path / "07-route" / subject.values("07-route")["asc"])


def packed(subject: Subject) -> Asc:
    """Unpack the packed file and read it."""
    read_step(subject.path, "08-pack")
    only_ice40(subject)
    file = subject.path / subject.values("08-pack")["file"]
    out = fresh(subject.work / "unpack")
    command, text = _iceunpack(), out / "unpacked.asc"
    code = tools.run_command(
        [*command, tools.relative(file, out), text.name],
        cwd=out,
        log=out / "iceunpack.log",
        timeout_s=subject.timeout_s,
        env={},
    )
    if code or not text.is_file():
        raise LgcError(f"iceunpack failed (exit code {code}):\n{tools.tail(out / 'iceunpack.log')}")
    return read_asc(text)


def _iceunpack() -> tuple[str, ...]:
    """Command that unpacks bitstreams.

    Raises:
        ToolMissingError: neither among the Python packages nor on the PATH.
    """
    packaged = shutil.which("yowasp-iceunpack", path=sysconfig.get_path("scripts"))
    found = shutil.which("iceunpack") or packaged
    if found is None:
        raise ToolMissingError("iceunpack was not found.", hint='Try: pip install "lgc[tools]"')
    return (found,)
