# what hangs below `dut` is known to the simulator only
"""An SPI flash at the pins of a design that loads its program; it sleeps at first, as after configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, Event, FallingEdge, RisingEdge

from lgc.backend.rtl import RtlFiles
from lgc.backend.streaming.flash import FLASH_AT, READ, WAKE
from lgc.backend.tools import relative

AFTER = 8
"""Clocks from the last bit to the program's start, at least."""


def facts(rtl: RtlFiles, out: Path, faults: int) -> dict[str, Any] | None:
    """Return what `bench.json` says of the flash, None if there is none.

    Args:
        rtl: the design.
        out: directory of the simulation.
        faults: readings in which the first bit is wrong.
    """
    return None if rtl.program is None else {"file": relative(rtl.program, out), "faults": faults}


class Flash:
    """A flash with a program at `FLASH_AT` and ones everywhere else."""

    def __init__(self, dut: Any, facts: dict[str, Any], *, awake: bool) -> None:
        self.dut = dut
        self.program = Path(facts["file"]).read_bytes()
        self.faults: int = facts["faults"]
        self.awake = awake
        self.read = Event()
        self.task = cocotb.start_soon(self._run())

    async def _run(self) -> None:
        """Answer whenever selected."""
        dut = self.dut
        dut.flash_miso.value = 0
        while True:
            await FallingEdge(dut.flash_cs_n)
            serving = cocotb.start_soon(self._serve())
            await RisingEdge(dut.flash_cs_n)
            whole = self.sent >= 8 * len(self.program)
            serving.cancel()
            if whole and not self.faults:
                self.read.set()
            self.faults -= whole and self.faults > 0

    async def _number(self, bits: int) -> int:
        """Receive a number."""
        found = 0
        for _ in range(bits):
            await RisingEdge(self.dut.flash_sck)
            found = found << 1 | int(self.dut.flash_mosi.value)
        return found

    async def _serve(self) -> None:
        """Take a command; send data until cancelled."""
        dut, self.sent = self.dut, 0
        command = await self._number(8)
        if command == WAKE:
            self.awake = True
        if command != READ or not self.awake:
            return
        start = await self._number(24) - FLASH_AT
        data = self.program[start:] if start >= 0 else bytes(-start) + self.program
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        bits[:1] ^= self.faults > 0
        for bit in bits.tolist():
            await FallingEdge(dut.flash_sck)
            dut.flash_miso.value = bit
            self.sent += 1
        await FallingEdge(dut.flash_sck)
        dut.flash_miso.value = 1


_booted: list[bool] = []
"""Not empty once a test has waited for the program: a reset does not forget it."""


async def boot(dut: Any, facts: dict[str, Any] | None, clk: str = "clk") -> None:
    """Attach the flash of `facts`, if there is one; the first time wait until the program has been loaded."""
    if facts is None:
        return
    attached = Flash(dut, facts, awake=bool(_booted))
    if not _booted:
        await attached.read.wait()
        await ClockCycles(getattr(dut, clk), AFTER)
        _booted.append(True)
