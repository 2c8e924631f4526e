"""How many registers a fabric gets: what `--levels`, `--pipeline`, `--clock` and `--throughput` say."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lgc.errors import DoesNotFitError, UsageError
from lgc.ir.fabric import Fabric
from lgc.ir.passes.expand_argmax import Argmax, add_argmax
from lgc.ir.passes.pipeline import Pipeline
from lgc.ir.slices import depth, staged

if TYPE_CHECKING:
    from lgc.backend.target import Target

THROUGHPUTS = ("held", "full")
"""Whether inputs stand still until the result is out, or may be new ones every clock."""

_CHOICES = (1, 2, 3, 4, 6, 8, 12, 0)
"""LUTs between registers that `Pace.choices` tries."""
_CLOCK = re.compile(r"(\d+(?:\.\d+)?)\s*([kM]?)Hz", re.IGNORECASE)
_FANOUT = 2
"""Doublings of a wire's loads that are reckoned with before a LUT is placed."""


@dataclass(frozen=True)
class Pace:
    """What was asked for.

    Attributes:
        levels: LUTs between registers, 0 for no registers.
        stages: register stages at most, argmax included; None for any number.
        clock_mhz: clock to be reached with as few stages as the target's delays allow; None for any.
        full: new inputs may come every clock.
        wires: with `full`, registers on the wires from each stage to the next besides.
    """

    levels: int = 4
    stages: int | None = None
    clock_mhz: float | None = None
    full: bool = False
    wires: int = 0

    @classmethod
    def of(cls, *, levels: int, pipeline: str, clock: str, throughput: str, wire_registers: int = 0) -> Pace:
        """Read the options of `lgc compile`.

        Raises:
            UsageError: text that means nothing, or options that contradict each other.
        """
        if throughput not in THROUGHPUTS:
            raise UsageError(
                f"There is no throughput {throughput!r}.", hint=f"Say {' or '.join(THROUGHPUTS)}."
            )
        if pipeline not in {"auto", "none"} and not pipeline.isdecimal():
            raise UsageError(f"--pipeline takes auto, none or a number of stages, not {pipeline!r}.")
        found = _CLOCK.fullmatch(clock.strip())
        if clock and (found is None or not float(found[1])):
            raise UsageError(f"--clock takes a frequency such as 50MHz, not {clock!r}.")
        if clock and pipeline != "auto":
            raise UsageError("--clock chooses the number of stages.", hint="Leave --pipeline out.")
        mhz = float(found[1]) * {"": 1e-6, "k": 1e-3, "m": 1}[found[2].lower()] if found else None
        full = throughput == "full"
        if pipeline == "none" or (pipeline == "0" and not full):
            levels = 0
        stages = int(pipeline) if pipeline.isdecimal() and int(pipeline) else None
        made = cls(levels, stages, mhz, full, wire_registers)
        if wire_registers and not (full and made.registers):
            raise UsageError(
                "--wire-registers cut the wires between stages that take new inputs every clock.",
                hint="Say --throughput full, or leave --wire-registers out.",
            )
        if wire_registers and stages is not None:
            raise UsageError(
                "--pipeline N counts all stages, --wire-registers adds to them.",
                hint="Say --levels in place of --pipeline.",
            )
        return made

    @property
    def registers(self) -> bool:
        """Whether there are any."""
        return self.levels > 0 or self.stages is not None

    @property
    def chained(self) -> bool:
        """Whether there may be carry chains: their stages leave them whole, others are wherever LUTs end."""
        return not self.full and self.stages is None

    @property
    def waiting(self) -> int:
        """LUTs between registers where signals that wait need a register for each stage; 0 for none."""
        return max(self.levels, 1) if self.full else 0

    def __call__(
        self, fabric: Fabric, target: Target, argmax: Argmax | None = None
    ) -> tuple[Fabric, Fabric, Argmax]:
        """Give a fabric its stages and its argmax, the one that was chosen with it if there is such.

        Returns:
            The fabric before its argmax, with it, and what a proof of the argmax needs.

        Raises:
            DoesNotFitError: no number of stages reaches the clock, by the delays of the target.
        """
        if self.clock_mhz is None:
            return self._paced(fabric, target, self.levels, argmax)
        for levels in range(max(depth(fabric), 1), 0, -1):
            found = self._paced(fabric, target, levels, argmax)
            if self._period(found[1], target, levels) * self.clock_mhz <= 1e6:
                return found
        raise DoesNotFitError(
            f"{target.name} does not reach {self.clock_mhz:g} MHz by its delay model, "
            "even with a register behind every LUT.",
            hint="Ask for a slower clock.",
        )

    def choices(
        self, fabric: Fabric, target: Target, argmax: Argmax | None = None
    ) -> list[dict[str, float | int | bool]]:
        """Tell what more or fewer stages would give by the target's delay model: estimates, not measurements.

        Args:
            fabric: as for `__call__`.
            target: the device.
            argmax: as for `__call__`.

        Returns:
            For each number of LUTs between registers: `levels`, the fabric's `stages`, the estimated
            `fmax_mhz`, the fabric's `latency_ns` at that clock or the clock network's limit, and whether it
            was `chosen`. Nothing where the target has no delays, or stages follow from something else than
            levels.
        """
        if target.delay is None or self.full or self.stages is not None:
            return []
        taken = self(fabric, target, argmax)[1].latency
        found: dict[int, dict[str, float | int | bool]] = {}
        for levels in _CHOICES:
            staged_ = self._paced(fabric, target, levels, argmax)[1]
            period = max(self._period(staged_, target, levels), target.delay.shell)
            stages, clock = staged_.latency, target.at_most(1e6 / period)
            found.setdefault(
                stages,
                {
                    "levels": levels,
                    "stages": stages,
                    "fmax_mhz": round(1e6 / period, 1),
                    "latency_ns": round((stages + 1) * 1e3 / clock, 1),
                    "chosen": stages == taken,
                },
            )
        return list(found.values())

    def _paced(
        self, fabric: Fabric, target: Target, levels: int, argmax: Argmax | None
    ) -> tuple[Fabric, Fabric, Argmax]:
        if self.chained:
            counted = staged(fabric, levels)
            return counted, *add_argmax(counted, carry=target.cells.carries, argmax=argmax)
        registered = levels if self.full else 0
        with_argmax, argmax = add_argmax(fabric, registered=registered, fractured=target.cells.own_cells)
        stages = -1 if self.stages is None else self.stages
        cut = Pipeline(levels=levels, stages=stages, balanced=self.full, wires=self.wires)(
            with_argmax.netlist
        )
        return fabric, replace(with_argmax, netlist=cut), argmax

    def _period(self, fabric: Fabric, target: Target, levels: int) -> float:
        """Picoseconds between two registers, estimated."""
        from lgc.backend.estimate import slowest

        delays = target.delay
        if delays is None:
            return float(Pipeline.delay * levels)
        if not self.full or target.cells.estimated:  # what is estimated is compared with the clock asked for
            return float(slowest(fabric, target.cells.cells, delays, held=not self.full)[0])
        hop = delays.route + _FANOUT * delays.fanout + delays.lut
        return float(delays.clock_to_out + levels * hop + delays.setup)
