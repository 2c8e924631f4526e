"""The last rung: the file for the FPGA, unpacked, decoded to logic, and simulated from its pins."""

from __future__ import annotations

import shutil
import sysconfig

from lgc.backend import tools
from lgc.errors import LgcError, MismatchError, ToolMissingError
from lgc.manifest import read_step

from . import chipdb, lanes
from .decode import Asc, Design, decode, read_asc
from .emit import ports, verilog
from .hardware import fresh, only_ice40, only_streams, simulate_pins, stimulus
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
    """Decode the packed file to logic and run samples through its pins: every class.

    All clocks of all samples, first at full rate, then with random gaps and back-pressure.

    Raises:
        MismatchError: a class differs, or a result is missing.
        ToolMissingError: no iceunpack, or no chip database.
        LgcError: the bitstream uses what is not decoded.
    """
    design, port = _decoded(subject)
    made = lanes.program(design, port, subject.rtl)
    network, _ = subject.build.references
    codes = stimulus(subject).codes
    expected = network.scores_of_codes(codes).argmax(axis=1)
    for gaps in (False, True):
        found = lanes.classes(made, codes, cycles=subject.rtl.cycles_per_sample, seed=subject.seed, gaps=gaps)
        differ = found != expected
        if differ.any():
            n = int(differ.argmax())
            got = f"class {found[n]}" if found[n] >= 0 else "no result"
            raise MismatchError(
                f"{int((~differ).sum()):,} of {len(codes):,} classes match "
                f"{'with gaps and back-pressure' if gaps else 'at full rate'} (seed {subject.seed}). "
                f"Sample {n}: {got}, expected {expected[n]}."
            )
    cells = len(design.cells) + len(design.memories)
    return f"simulation of {len(codes):,} vectors (pins of {cells:,} decoded cells, back-pressure)", len(
        codes
    )


def network_to_vendor_cells(subject: Subject) -> tuple[str, int]:
    """Simulate a few samples through the decoded file with the vendor's cell models in Icarus Verilog.

    Raises:
        MismatchError: a class differs.
        ToolMissingError: no iceunpack, chip database, cell models or simulator.
        LgcError: the bitstream uses what is not decoded, or the simulation failed.
    """
    design, port = _decoded(subject)
    out = fresh(subject.work / "bitstream")
    (out / "decoded.v").write_text(verilog(design, port, subject.rtl))
    return simulate_pins(subject, out / "decoded.v", out, most=VENDOR_SAMPLES)


def _decoded(subject: Subject) -> tuple[Design, dict[str, int]]:
    """Decode the packed file; the router's symbols say which pin is which port, and no more."""
    asc = packed(subject)
    only_streams(subject)
    design = decode(asc, chipdb.ChipDb.load(chipdb.find(asc.device)))
    return design, ports(design, routed(subject).symbols, subject.rtl)


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
