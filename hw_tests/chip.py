"""A simulated chip: the Verilog of a design with a UART or SPI, at the other end of a terminal."""

from __future__ import annotations

import os
import pty
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lgc.backend.rtl import RtlFiles
from lgc.errors import LgcError

from .links import simulate_link
from .runner import choose

LIMIT_S = 3600.0
"""Longest life of a simulated chip."""


@contextmanager
def simulated_chip(rtl: RtlFiles, out: Path, *, simulator: str = "icarus") -> Iterator[str]:
    """Run a design until the context ends; POSIX. Over SPI the terminal carries transfers, see `lgc.spi`.

    Simulated time has nothing to do with the clock on the wall: the chip runs while bytes come, and some
    bits further whenever none do.

    Args:
        rtl: a design with a UART or SPI.
        out: directory for everything the simulation writes.
        simulator: `icarus` or `verilator`.

    Yields:
        Name of the terminal, to be opened like a serial port.

    Raises:
        LgcError: another interface, or the simulation ended early.
        ToolMissingError: no simulator.
    """
    if rtl.interface.name not in {"uart", "spi"}:
        raise LgcError(
            f"The design has the interface {rtl.interface.name}, no terminal can be at it.",
            hint="Compile with --interface uart or spi.",
        )
    choose(simulator, clocks=1)
    out.mkdir(parents=True, exist_ok=True)
    (out / "stop").unlink(missing_ok=True)
    # One terminal for the host, one for the simulator, which is another process; bytes go between.
    host, host_end = pty.openpty()
    chip, chip_end = pty.openpty()
    for end in (host, host_end, chip, chip_end):
        tty.setraw(end)
    (out / "port.txt").write_text(os.ttyname(chip_end))
    failures: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            simulate_link(
                rtl,
                codes=np.zeros((1, rtl.features), np.int32),
                expected_class=np.zeros(1, np.int64),
                expected_scores=np.zeros((1, rtl.classes), np.int64),
                out=out,
                simulator=simulator,
                timeout_s=LIMIT_S,
                tests=("chip",),
            )
        except BaseException as error:  # the other thread tells, whatever it is
            failures.append(error)

    def forward() -> None:
        while not done.is_set():
            ready, _, _ = select.select([host, chip], [], [], 0.05)
            for end in ready:
                os.write(chip if end == host else host, os.read(end, 4096))

    threads = [threading.Thread(target=work), threading.Thread(target=forward)]
    for thread in threads:
        thread.start()
    try:
        yield os.ttyname(host_end)
    except LgcError as error:
        if failures:
            raise LgcError(f"The simulated chip ended early: {failures[0]}") from error
        raise
    finally:
        (out / "stop").touch()
        threads[0].join()
        done.set()
        threads[1].join()
        for end in (host, host_end, chip, chip_end):
            os.close(end)
    if failures:
        raise LgcError(f"The simulated chip ended early: {failures[0]}") from failures[0]
