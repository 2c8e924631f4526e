"""What a rung of the ladder found, and how it is shown and kept."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgc.errors import LgcError, MismatchError, ToolMissingError
from lgc.manifest import write_text
from lgc.report import Report, model

LEVELS = ("model", "netlist", "rtl", "gates", "bitstream", "timing", "board")
"""Where rungs belong, from the trained model down to the file for the FPGA and the chip itself."""

EQUAL, DIFFERS, SKIPPED, FAILED = "equal", "differs", "skipped", "failed"
"""Verdicts. `failed` is a simulator or tool that ended without a result."""

_PREFIX = "verify: "


@dataclass(frozen=True)
class Rung:
    """One comparison.

    Attributes:
        level: one of `LEVELS`.
        name: the two sides.
        method: "proof (...)" or "simulation of N vectors (...)".
        compared: input vectors compared, 0 for a proof over all of them.
        verdict: `EQUAL`, `DIFFERS`, `SKIPPED` or `FAILED`.
        detail: the first difference, or why it was skipped or failed.
        seconds: wall time.
    """

    level: str
    name: str
    method: str
    compared: int
    verdict: str
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Ladder:
    """All rungs climbed.

    Attributes:
        build: the build's directory.
        rungs: in order.
        seed: of random stimulus and back-pressure, to repeat the run.
        images: samples simulated in hardware at most.
    """

    build: Path
    rungs: tuple[Rung, ...]
    seed: int
    images: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {
            "build": str(self.build),
            "seed": self.seed,
            "images": self.images,
            "rungs": [dataclasses.asdict(rung) for rung in self.rungs],
        }

    def rows(self) -> list[dict[str, str]]:
        """Rows of the table: rung, method, agreement, first difference."""
        return [
            {
                "rung": rung.name,
                "method": rung.method,
                "agreement": rung.verdict.upper() if rung.verdict != EQUAL else EQUAL,
                "first difference": rung.detail or "none",
                "seconds": f"{rung.seconds:.1f}",
            }
            for rung in self.rungs
        ]

    def check(self, *, required: bool) -> None:
        """Raise the error of the worst verdict.

        Args:
            required: whether a rung that was skipped is an error.

        Raises:
            MismatchError: some rung differs.
            LgcError: some rung's tool ended without a result.
            ToolMissingError: a rung was skipped, and `required`.
        """
        kinds: tuple[tuple[str, type[LgcError], str], ...] = (
            (DIFFERS, MismatchError, "The rung differs: "),
            (FAILED, LgcError, "The rung could not be compared: "),
            (SKIPPED, ToolMissingError, "The rung was skipped: "),
        )
        for verdict, kind, text in kinds:
            found = [rung for rung in self.rungs if rung.verdict == verdict]
            if found and (required or verdict != SKIPPED):
                raise kind(f"{text}{found[0].name}. {found[0].detail}")

    def keep(self) -> None:
        """Write `verify.json` and put the comparisons among the checks of the build's report."""
        write_text(self.build / "verify.json", json.dumps(self.to_dict(), indent=2) + "\n")
        report = Report.load(self.build / "report.json")
        names = {_PREFIX + rung.name for rung in self.rungs}
        kept = [check for check in report.checks if check.rung not in names]
        new = [
            model.Check(_PREFIX + rung.name, rung.method, rung.compared, rung.verdict == EQUAL)
            for rung in self.rungs
            if rung.verdict in {EQUAL, DIFFERS}
        ]
        dataclasses.replace(report, checks=(*kept, *new)).write(self.build)


def climb(level: str, name: str, run: Callable[[], tuple[str, int]]) -> Rung:
    """Run one comparison and turn its errors into verdicts.

    Args:
        level: of the rung.
        name: of the rung.
        run: compares; returns the method and the number of vectors, or raises `MismatchError` on a
            difference, `ToolMissingError` where a tool is missing, `LgcError` if one fails.
    """
    start = time.monotonic()
    method, compared, verdict, detail = "", 0, EQUAL, ""
    try:
        method, compared = run()
    except MismatchError as error:
        verdict, detail = DIFFERS, str(error)
        method = getattr(error, "method", "simulation")
    except ToolMissingError as error:
        verdict, detail = SKIPPED, str(error)
    except LgcError as error:
        verdict, detail = FAILED, str(error)
    return Rung(level, name, method, compared, verdict, detail, round(time.monotonic() - start, 3))
