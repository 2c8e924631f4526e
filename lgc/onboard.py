"""What stands around a design: the clock it gets, what makes that clock, and its interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lgc.errors import UsageError

if TYPE_CHECKING:
    from lgc.backend.board import Board
    from lgc.backend.interfaces.settings import Interface
    from lgc.backend.pll import Pll
    from lgc.backend.target import Target
    from lgc.options import Options


def pll_of(board: Board | None, target: Target, wanted_mhz: float | None) -> Pll | None:
    """Return what makes the clock that was asked for of the board's, None where none need be made.

    Raises:
        UsageError: nothing makes it.
    """
    if board is None or wanted_mhz is None or wanted_mhz == board.clock_hz / 1e6:
        return None
    from lgc.backend.pll import plan

    return plan(target, given_mhz=board.clock_hz / 1e6, wanted_mhz=wanted_mhz, pad=board.pll_pad)


def clock_of(board: Board | None, pll: Pll | None, wanted_mhz: float | None) -> float | None:
    """Return the clock in MHz that the design must reach: the loop's, the board's, or the one asked for."""
    if pll is not None:
        return pll.made_mhz
    return board.clock_hz / 1e6 if board else wanted_mhz


def check_clock(board: Board | None, target: Target, clock_mhz: float | None) -> str:
    """Compare the clock of a design with what the data sheet allows; return a warning, "" if there is none.

    Raises:
        UsageError: a board would run the clock network beyond its limit.
    """
    limit = target.clock_limit_mhz
    if clock_mhz is None or limit is None or clock_mhz <= limit:
        return ""
    found = f"The clock of {clock_mhz:.6g} MHz is beyond the data sheet's limit of the clock network"
    if board is not None:
        raise UsageError(f"{found} of {target.name}, {limit:g} MHz.", hint="Ask for a slower --clock.")
    return f"{found}, {limit:g} MHz: latency and throughput are those at the limit."


def interface_of(
    options: Options, board: Board | None, clock_mhz: float | None, *, classes: int
) -> Interface:
    """Return what is built around a design of so many classes.

    Raises:
        UsageError: it cannot be built.
    """
    from lgc.backend.interfaces.settings import Interface

    known = clock_mhz * 1e6 if board and clock_mhz else Interface.clock_hz
    lit = board if board and options.interface == "uart" else None
    return Interface(
        options.interface,
        word=options.word,
        pack=options.pack,
        scores=options.with_scores,
        clock_hz=options.clock_hz or known,
        baud=options.baud,
        timeout_s=options.timeout_ms / 1000,
        leds=min(len(lit.leds), max(1, (classes - 1).bit_length())) if lit else 0,
        leds_inverted=lit.leds_inverted if lit else False,
    )
