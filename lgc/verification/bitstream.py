"""The last rung: the file for the FPGA, unpacked, decoded to logic, and simulated from its pins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lgc.errors import MismatchError

from . import drive, lanes
from .emit import verilog
from .hardware import fresh, references, simulate_pins, stimulus, synthesised, taken
from .subject import Subject
from .unpack import logic, unpacker

VENDOR_SAMPLES = 12
"""Samples that are also simulated with the vendor's cell models, which takes an event-driven simulator."""


def routed_to_packed(subject: Subject) -> tuple[str, int]:
    """Unpack the bitstream and compare it with what the router wrote.

    Raises:
        MismatchError: something differs.
        ToolMissingError: no unpacker.
    """
    return unpacker(subject).compare(subject), 0


def network_to_bitstream(subject: Subject) -> tuple[str, int]:
    """Decode the packed file to logic and run samples through its pins: every answer.

    All clocks of all samples, first at full rate, then with random gaps and back-pressure.

    Raises:
        MismatchError: an answer differs or is missing.
        ToolMissingError: no unpacker, or no chip database.
        LgcError: the bitstream uses what is not decoded.
    """
    design, port = logic(subject)
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
    design, port = logic(subject)
    tops = drive.ports_of(synthesised(subject))
    out = fresh(subject.work / "bitstream")
    reset = drive.reset_of(subject.rtl)
    (out / "decoded.v").write_text(verilog(design, port, {reset: (True, 1)} | tops))
    return simulate_pins(subject, out / "decoded.v", out, most=VENDOR_SAMPLES)
