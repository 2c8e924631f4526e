"""Beyond the last file: the chip on a board, asked over its UART."""

from __future__ import annotations

from lgc import host
from lgc.errors import MismatchError

from .subject import Subject


def network_to_chip(subject: Subject) -> tuple[str, int]:
    """Send test samples to the chip and compare its classes, and scores where it gives them.

    Raises:
        MismatchError: an answer differs.
        ToolMissingError: no pyserial, or no simulator where the chip is to be simulated.
        LgcError: no UART, no such port, or no answer.
    """
    with host.connected(subject.path, subject.port) as chip:
        found = host.run(chip, subject.path, data=subject.data, images=subject.images)
    if not found.right:
        raise MismatchError(f"{found.equal:,} of {found.samples:,} classes match. {found.difference}")
    where = "simulated Verilog behind a terminal" if subject.port == "simulate" else subject.port
    return f"{found.samples:,} samples over the UART ({where})", found.samples
