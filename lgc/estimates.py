"""What a model will take of each target, before any tool has run: estimates, never measurements.

The fabric is built for real, so network, readout and argmax are the LUTs that synthesis will leave as
they are. Encoder and control are a formula; the clock is the delay model of `lgc.backend.estimate`.
`benchmarks/estimates.py` measures how far all this is off.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lgc.beside import beside
from lgc.errors import LgcError

if TYPE_CHECKING:
    from lgc.backend.plan import Plan
    from lgc.backend.target import Delays, Target
    from lgc.frontend.checkpoint import Checkpoint
    from lgc.ir.fabric import Fabric
    from lgc.ir.netlist import Netlist
    from lgc.report.model import Parts

PASSES = "simplify,merge,reduce"
"""Pipeline of `lgc compile` if nothing else is said."""
_CONTROL, _TOKEN = 8, 3
"""LUTs of the encoder's rings and handshake, and of the output register's."""
_SHELL_CLOCKS = 4
"""Clocks of the encoder and the output register, around a fabric whose inputs are held."""
_COMPARED = 1.4
"""LUTs per bit of a comparator of two numbers, without carries; with carries that share its cell 1."""
_LEAST_BITS = 256
"""Bits of thresholds from which a block RAM is worth it, as in synthesis."""


@dataclass(frozen=True)
class Row:
    """An estimate for one target.

    Attributes:
        target: its name.
        family: of the target.
        k: inputs per LUT.
        luts: LUTs by part.
        cells: logic cells or LUT sites, at least.
        cells_available: what the target has.
        brams: block RAMs for thresholds.
        pins: of the stream interface, clock and reset included.
        short_of: what the target has too little of; empty if the design fits.
        clocks: from the last feature to the result.
        fmax_mhz: clock to expect, None where the target has no delays.
        latency_ns: `clocks` at that clock, or at the limit if that is lower.
        samples_per_second: likewise.
        demand: tiles of wire per tile, see `lgc.backend.wiring`; None for a network too large for it and
            for families with nothing to compare it with.
        routed: the highest demand known to have routed on the family, None if none is.
        clock_limit_mhz: what the data sheet allows the clock network, None if unknown.
    """

    target: str
    family: str
    k: int
    luts: Parts
    cells: int
    cells_available: int
    brams: int
    pins: int
    short_of: tuple[str, ...]
    clocks: int
    fmax_mhz: float | None
    latency_ns: float | None
    samples_per_second: float | None
    demand: float | None = None
    routed: float | None = None
    clock_limit_mhz: float | None = None

    @property
    def fits(self) -> bool:
        """Whether the target is large enough."""
        return not self.short_of

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        return dataclasses.asdict(self) | {"stage": "ESTIMATE", "fits": self.fits, "LUTs": self.luts.total}


@dataclass(frozen=True)
class Estimates:
    """Estimates for several targets.

    Attributes:
        model: the checkpoint's name.
        rows: one per target.
        seconds: wall time of all.
        skipped: targets that cannot be estimated, with the reason.
    """

    model: str
    rows: tuple[Row, ...]
    seconds: float
    skipped: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        rows = [row.to_dict() for row in self.rows]
        return {"model": self.model, "targets": rows, "skipped": self.skipped, "seconds": self.seconds}


def estimate(model: Path, targets: Sequence[str], *, levels: int = 4, passes: str = PASSES) -> Estimates:
    """Estimate a checkpoint on targets.

    Args:
        model: the checkpoint.
        targets: names or TOML files; "all" stands for those that come with lgc.
        levels: LUTs between registers, as in `lgc compile`.
        passes: the pipeline.

    Raises:
        LgcError: the checkpoint cannot be read or compiled, or a target named by itself not estimated.
    """
    from lgc.backend import target as known
    from lgc.frontend import checkpoint

    start = time.perf_counter()
    design = _Design(checkpoint.load(model), levels, passes)
    names = [name for given in targets for name in (known.names() if given == "all" else [given])]
    wanted = {name: known.load(name) for name in dict.fromkeys(names)}
    found: dict[str, Row | LgcError] = {}
    # targets of one k share a fabric: each kind of fabric on a core of its own
    kinds = [
        {name: one for name, one in wanted.items() if one.k == k}
        for k in dict.fromkeys(one.k for one in wanted.values())
    ]
    if len(kinds) > 1:
        _ = design.optimised
    for part in beside([partial(design.rows, kind) for kind in kinds]):
        found |= part
    for name in targets:
        if isinstance(error := found.get(name), LgcError):
            raise error
    rows = tuple(row for name in wanted if isinstance(row := found[name], Row))
    skipped = {name: str(error) for name in wanted if isinstance(error := found[name], LgcError)}
    return Estimates(model.name, rows, round(time.perf_counter() - start, 3), skipped)


class _Design:
    """A checkpoint on its way to several targets, which share fabrics where they can."""

    def __init__(self, checkpoint: Checkpoint, levels: int, passes: str) -> None:
        self.checkpoint, self.levels, self.passes = checkpoint, levels, passes
        self._counted: dict[tuple[int, bool], Fabric] = {}
        self._fabrics: dict[tuple[int, bool, bool], Fabric] = {}
        self._cells: dict[tuple[int, str], dict[str, int]] = {}
        self._bare: dict[tuple[int, str], int] = {}
        self._demands: dict[tuple[int, bool], float | None] = {}
        self._periods: dict[tuple[int, str, Delays], float] = {}
        self._plans: dict[int, Plan] = {}

    @cached_property
    def optimised(self) -> Netlist:
        """The network after the passes."""
        from lgc.frontend.lower import lower
        from lgc.ir import passes

        pipeline = passes.know(passes.REGISTRY.parse(self.passes), self.checkpoint.encoder.code_levels)
        return passes.run(pipeline, lower(self.checkpoint).netlist)

    def fabric(self, k: int, *, carry: bool, slices: bool) -> Fabric:
        """LUTs with popcount, argmax and stages, as `lgc compile` makes them."""
        from lgc.ir.passes.expand_argmax import add_argmax

        key = (k, carry, slices)
        if key not in self._fabrics:
            self._fabrics[key] = add_argmax(self.counted(k, slices=slices), carry=carry)[0]
        return self._fabrics[key]

    def counted(self, k: int, *, slices: bool) -> Fabric:
        """LUTs with popcount and stages, counted in the way that is best most often."""
        from lgc import models
        from lgc.ir.passes.expand_readout import expand
        from lgc.ir.slices import staged

        key = (k, slices)
        if key not in self._counted:
            place = models.positions(self.checkpoint)
            found = expand(self.optimised, k=k, fractured=slices, carry=slices, position=place, quick=True)
            self._counted[key] = staged(found, self.levels)
        return self._counted[key]

    def cells(self, fabric: Fabric, kind: str) -> dict[str, int]:
        """Logic cells by part, counted once for all targets with the same cells."""
        from lgc.backend.fit import least_cells

        key = (id(fabric), kind)
        if key not in self._cells:
            own = fabric.chains is not None or not fabric.index_bits
            self._cells[key] = least_cells(fabric, kind) if own else _needed_cells(fabric, kind)
            self._bare[key] = _bare(fabric)
        return self._cells[key]

    def plan(self, fabric: Fabric) -> Plan:
        """Plan the encoder of a fabric."""
        from lgc.backend.plan import Plan

        if id(fabric) not in self._plans:
            self._plans[id(fabric)] = Plan(self.checkpoint.encoder, _used(fabric))
        return self._plans[id(fabric)]

    def demand(self, k: int, *, slices: bool) -> float | None:
        """Tiles of wire per tile; one argmax or another changes it less than the seed of the placement."""
        from lgc.backend.wiring import wiring

        if (k, slices) not in self._demands:
            found = wiring(self.fabric(k, carry=False, slices=slices).netlist)
            self._demands[k, slices] = found.demand if found else None
        return self._demands[k, slices]

    def period(self, fabric: Fabric, kind: str, delays: Delays) -> float:
        """Picoseconds of the fabric's slowest path, found once for all targets with the same delays."""
        from lgc.backend.estimate import slowest

        key = (id(fabric), kind, delays)
        if key not in self._periods:
            self._periods[key] = slowest(fabric, kind, delays)[0]
        return self._periods[key]

    def rows(self, targets: dict[str, Target]) -> dict[str, Row | LgcError]:
        """Estimate the design on targets by name, or say why that is not possible."""
        found: dict[str, Row | LgcError] = {}
        for name, target in targets.items():
            try:
                found[name] = self.on(target)
            except LgcError as error:
                found[name] = error
        return found

    def on(self, target: Target) -> Row:
        """Estimate the design on a target."""
        from lgc.backend.wiring import ROUTED
        from lgc.report.model import Parts

        family, encoder = target.cells, self.checkpoint.encoder
        fabric = self.fabric(target.k, carry=family.carries, slices=family.own_cells)
        plan = self.plan(fabric)
        cells = self.cells(fabric, family.cells)
        around, chains, brams = _around(plan, target)
        luts = {part: cells[part] for part in ("network", "readout", "argmax")}
        if fabric.carries is not None:
            luts["argmax"] = cells["argmax"] - int((fabric.carries.beside < 0).sum())
        luts["readout"] -= self._bare[id(fabric), family.cells]
        parts = Parts(encoder=cells["encoder"] + around, io=_TOKEN, **luts)
        lone = chains + sum(cells[part] - luts[part] for part in luts)
        clocks = _SHELL_CLOCKS + fabric.latency
        between = encoder.features + clocks - 1
        index = max(1, (len(self.checkpoint.class_names) - 1).bit_length())
        pins = encoder.format.width + index + 6
        fmax = clock = None
        if target.delay is not None:
            period = self.period(fabric, family.cells, target.delay)
            fmax = 1e6 / max(period, _shell(plan, target.delay, brams, chained=bool(family.chains)))
            clock = target.at_most(fmax)
        has = target.resources
        needs = {
            "logic": (parts.total + lone, has.lut),
            "block RAM": (brams, has.bram),
            "pins": (pins, has.io),
        }
        return Row(
            target=target.name,
            family=target.family,
            k=target.k,
            luts=parts,
            cells=parts.total + lone,
            cells_available=has.lut,
            brams=brams,
            pins=pins,
            short_of=tuple(name for name, (need, there) in needs.items() if need > there),
            clocks=clocks,
            fmax_mhz=None if fmax is None else round(fmax, 1),
            latency_ns=None if clock is None else round(clocks * 1e3 / clock, 1),
            samples_per_second=None if clock is None else round(clock * 1e6 / between),
            demand=self.demand(target.k, slices=family.own_cells) if target.family in ROUTED else None,
            routed=ROUTED.get(target.family),
            clock_limit_mhz=target.clock_limit_mhz,
        )


def _needed_cells(fabric: Fabric, kind: str) -> dict[str, int]:
    """Count logic cells by part without scores that only simulation looks at: synthesis drops those."""
    import numpy as np

    from lgc.backend.fabric import Wires, writer_of
    from lgc.ir import _kernels
    from lgc.ir.carry_cells import ALONE

    net = fabric.netlist
    wires = Wires.of(fabric, writer_of(fabric, kind), held=True)
    live = np.zeros(net.signals, np.bool_)
    live[fabric.index_signals] = True
    _kernels.live(net.fanin, net.first_lut, live)
    bounds = {"encoder": (2, net.first_lut), "network": (net.first_lut, wires.split)}
    bounds |= {"readout": (wires.split, wires.tail), "argmax": (wires.tail, net.signals)}
    found = {part: int(live[start:stop].sum()) for part, (start, stop) in bounds.items()}
    if fabric.carries is not None:
        shared = (fabric.carries.beside != ALONE) & live[fabric.carries.carry]
        found["argmax"] -= int(shared.sum())
    return found


def _bare(fabric: Fabric) -> int:
    """Count positions of carry chains whose LUT is not used, though its site is taken."""
    from lgc.ir.slices import Slices

    if fabric.chains is None:
        return 0
    positions = (p for _, chain in Slices.of(fabric).chains for p in chain)
    return sum(not p.pins and p.five is None for p in positions)


def _used(fabric: Fabric) -> Any:
    """Return the encoder bits that the fabric reads, ascending."""
    import numpy as np

    net = fabric.netlist
    read = np.unique(np.append(net.fanin.ravel(), net.roots())).astype(np.int64)
    return read[(read >= 2) & (read < net.first_lut)] - 2


def _shell(plan: Plan, delays: Delays, brams: int, *, chained: bool) -> float:
    """Picoseconds of the slowest path of encoder and control.

    Thresholds from memory add a comparator between two wires, whose carries are as many as bits, or a tree
    of LUTs where synthesis uses no carries. The clock to the output of that memory may be slower than the
    rest of the shell.
    """
    width = plan.encoder.format.width
    if not plan.memory[1]:
        return delays.shell
    chain = delays.carry_in + width * delays.carry + 2 * delays.route
    if not chained:
        chain = math.ceil(math.log2(width) / 2) * (delays.lut + delays.route)
    behind = delays.carry_out + delays.lut + delays.route + delays.setup
    return chain + max(delays.shell, delays.memory + behind if brams else 0)


def _around(plan: Plan, target: Target) -> tuple[int, int, int]:
    """LUTs of the encoder besides those that store bits, cells of its carry chains, its block RAMs.

    A comparator with a constant takes about a LUT for each k - 1 bits, one with a threshold from memory
    `_COMPARED` per bit, one beside a carry, or one of a carry chain where chains have cells of their own.
    Memory is a block RAM where the target has some to spare, else LUTs.
    """
    width, k = plan.encoder.format.width, target.k
    constant = sum(plan.constant(column) is not None for column in range(plan.levels.size))
    words, bits = plan.memory
    luts = _CONTROL + constant * math.ceil((width - 1) / (k - 1))
    if not bits:
        return luts, 0, 0
    compared = (plan.levels.size - constant) * width
    chains = compared if any(target.cells.chains.values()) else 0
    per_bit = 1 if target.cells.chains else _COMPARED
    luts += round(per_bit * (compared - chains)) + max(1, (words - 1).bit_length())
    brams = min((-(-words // d) * -(-bits // w) for d, w in target.cells.shapes), default=0)
    if brams and words * bits > _LEAST_BITS and brams <= target.resources.bram:
        return luts, chains, brams
    return luts + _memory_luts(plan, k), chains, 0


def _memory_luts(plan: Plan, k: int) -> int:
    """LUTs of thresholds outside of block RAM: tables of k address bits, each once, multiplexers above."""
    import numpy as np

    from lgc.backend.plan import span

    _, table = plan.table
    words, bits = len(table), span(table)[0]
    size = 1 << max(k, (words - 1).bit_length())
    ones = np.zeros((size, table.shape[1] * bits), np.bool_)
    ones[:words] = (table[:, :, None] >> np.arange(bits) & 1).reshape(words, -1)
    found, part = 0, 1 << k
    while part <= size:
        rows = ones.reshape(size // part, part, -1).swapaxes(1, 2).reshape(-1, part)
        rows = np.unique(rows ^ rows[:, :1], axis=0)  # an inverter costs nothing
        if part == 1 << k:
            address = (np.arange(part) >> np.arange(k)[:, None] & 1).astype(np.bool_)
            known = (rows[:, None] == address).all(axis=2).any(axis=1) | ~rows.any(axis=1)
            found += int((~known).sum())
        else:
            found += int((rows[:, : part // 2] != rows[:, part // 2 :]).any(axis=1).sum())
        part *= 2
    return found
