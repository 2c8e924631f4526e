"""How fast a design will be, from its netlist and stages alone: an estimate, never a measurement.

A path begins at a register, runs through LUTs, carries and the wires between them, and ends at a
register. What each takes is data of the target (`[delay]` of its TOML file); docs/targets.md says where
the figures come from and how far they were off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numba import njit

from lgc.errors import LgcError
from lgc.ir.carry import GONE
from lgc.ir.carry_cells import ALONE
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import FIRST_INPUT
from lgc.ir.slices import OWN, Slices

from .fabric import Wires, writer_of
from .target import Delays, Target

if TYPE_CHECKING:
    from .rtl import RtlFiles

_I64x1 = npt.NDArray[np.int64]
_I64x2 = npt.NDArray[np.int64]
_Bool2 = npt.NDArray[np.bool_]


_LOADS = 2
"""Doublings of the loads of a wire of control."""


@dataclass(frozen=True)
class Estimate:
    """What the delay model says of a design.

    Attributes:
        device: device and package.
        fmax_mhz: highest clock.
        latency_ns: from the last feature to the result at that clock, or at the limit if that is lower.
        samples_per_second: throughput, likewise.
        levels: LUTs on the slowest path, carries and sums of a chain not counted.
        stage: stage of the fabric in which that path ends.
        critical: LUTs of the slowest path, each with its part of the design and what it takes with the
            wire before it, in ns; empty if the slowest path is outside of the fabric.
        limited_by: "fabric", or "shell" if encoder and control are slower.
        source: where the delays come from.
        clock_limit_mhz: what the data sheet allows the clock network, None if unknown.
    """

    device: str
    fmax_mhz: float
    latency_ns: float
    samples_per_second: int
    levels: int
    stage: int
    critical: tuple[tuple[str, str, float], ...]
    limited_by: str
    source: str
    clock_limit_mhz: float | None = None


def estimate(fabric: Fabric, rtl: RtlFiles, target: Target, *, held: bool = True) -> Estimate:
    """Estimate the clock of a design.

    Args:
        fabric: the design's LUTs with stage numbers.
        rtl: the design, for its latency.
        target: the device.
        held: whether its inputs are held, see `write_rtl`.

    Raises:
        LgcError: the target has no delays.
    """
    delays = target.delay
    if delays is None:
        raise LgcError(f"The target {target.name} has no [delay], so nothing can be said about its clock.")
    period, path, stage = slowest(fabric, target.cells.cells, delays, held=held)
    shell = _shell(delays, held=held)
    fmax = 1e6 / max(period, shell)
    clock = target.at_most(fmax)
    inside = period >= shell
    return Estimate(
        device=f"{target.device}-{target.package}",
        fmax_mhz=round(fmax, 1),
        latency_ns=round(rtl.latency * 1e3 / clock, 1),
        samples_per_second=round(clock * 1e6 / rtl.cycles_per_sample),
        levels=len(path) - _arithmetic(fabric, path) if inside else 0,
        stage=stage,
        critical=path if inside else (),
        limited_by="fabric" if inside else "shell",
        source=delays.source,
        clock_limit_mhz=target.clock_limit_mhz,
    )


def _shell(delays: Delays, *, held: bool) -> int:
    """Longest path outside of the fabric: where nothing is held nothing stops, and control is two LUTs."""
    hop = delays.route + delays.lut + _LOADS * delays.fanout
    return delays.shell if held else min(delays.shell, delays.clock_to_out + 2 * hop + delays.setup)


def _arithmetic(fabric: Fabric, path: tuple[tuple[str, str, float], ...]) -> int:
    """Count carries and sums on a path."""
    net, free = fabric.netlist, set()
    if fabric.carries is not None:
        free |= set(fabric.carries.carry.tolist())
    if fabric.chains is not None:
        slices = Slices.of(fabric)
        home, kept = np.flatnonzero(slices.home != OWN) + net.first_lut, set()
        for _, chain in slices.chains:
            kept |= {p.wire for p in chain}
        free |= set(home.tolist()) - kept
    split = net.first_lut + fabric.network_luts
    numbers = (int(name[1:]) + (net.first_lut if name[0] == "n" else split) for name, _, _ in path)
    return sum(number in free for number in numbers)


def slowest(
    fabric: Fabric, cells: str, delays: Delays, *, held: bool = True, route: _I64x2 | None = None
) -> tuple[int, tuple[tuple[str, str, float], ...], int]:
    """Return the longest delay between two registers in picoseconds, its LUTs, and the stage it ends in.

    Args:
        fabric: LUTs with stage numbers.
        cells: what they are made of, see `fabric_text`.
        delays: of the target.
        held: see `estimate`.
        route: picoseconds of the wire to each pin where they are known, `[luts, k]`, in place of the model's.
    """
    net = fabric.netlist
    wires = Wires.of(fabric, writer_of(fabric, cells), held=held)
    fanin = net.fanin.astype(np.int64)
    stage = wires.stage[net.first_lut :, None]
    seen = np.minimum(stage, wires.latest[fanin])
    registered = (seen > wires.stage[fanin]) | (fanin < net.first_lut)
    pin = pin_delays(fabric, fanin, _routes(fabric, fanin, seen, delays) if route is None else route, delays)
    arrival, before = np.zeros(net.signals, np.int64), np.full(net.signals, -1, np.int64)
    _arrive(fanin, pin, registered, net.first_lut, delays.clock_to_out, arrival, before)
    kept = wires.latest > wires.stage
    ends = np.where(kept, arrival + delays.setup, 0)
    leaves = np.unique(net.roots())
    leaves = leaves[~kept[leaves]]
    ends[leaves] = arrival[leaves] + delays.route + delays.setup
    ends[: net.first_lut] = 0
    last = int(ends.argmax())
    path: list[tuple[str, str, float]] = []
    at = last
    while at >= net.first_lut:
        via = int(before[at])
        part = "network" if at < wires.split else "readout" if at < wires.tail else "argmax"
        path.append((str(wires.name[at]), part, round(int(arrival[at] - arrival[max(via, 0)]) / 1e3, 3)))
        at = via
    return int(ends[last]), tuple(reversed(path)), int(wires.stage[last])


def _routes(fabric: Fabric, fanin: _I64x2, seen: _I64x2, delays: Delays) -> _I64x2:
    """Picoseconds of the wire to each pin by its loads and the size of the fabric, int64 `[luts, k]`."""
    net = fabric.netlist
    wire = np.where(fanin < FIRST_INPUT, 0, (fanin << 16) + seen)
    _, which, loads = np.unique(wire, return_inverse=True, return_counts=True)
    fanout = np.log2(loads[which.reshape(wire.shape)])
    spread = delays.size * (np.log2(max(net.luts, 1)) - 10)
    route = np.maximum(delays.route + spread, delays.route / 4) + delays.fanout * fanout
    found: _I64x2 = route.astype(np.int64)
    return found


def pin_delays(fabric: Fabric, fanin: _I64x2, route: _I64x2, delays: Delays) -> _I64x2:
    """Picoseconds from what drives each pin to the LUT's output, int64 `[luts, k]`.

    Args:
        fabric: the LUTs.
        fanin: of its netlist, int64.
        route: picoseconds of the wire to each pin, `[luts, k]`.
        delays: of the target.
    """
    pin: _I64x2 = route + delays.lut
    if fabric.carries is not None:
        _carry_cells(fabric, fanin, route, delays, pin)
    if fabric.chains is not None and fabric.chains.positions:
        _slices(fabric, fanin, route, delays, pin)
    pin[fanin < FIRST_INPUT] = 0
    return pin


def _carry_cells(fabric: Fabric, fanin: _I64x2, route: _I64x2, delays: Delays, pin: _I64x2) -> None:
    """Put in delays of iCE40's carries: along the chain no wire is routed."""
    first, cells = fabric.netlist.first_lut, fabric.carries
    assert cells is not None
    carry = np.zeros(fabric.netlist.signals, np.bool_)
    carry[cells.carry] = True
    from_chain = carry[fanin]
    pin[from_chain] = delays.carry_out + delays.lut
    rows = cells.carry - first
    pin[rows] = np.where(from_chain[rows], delays.carry, route[rows] + delays.carry_in)
    beside = cells.beside[cells.beside != ALONE] - first
    pin[beside] = np.where(from_chain[beside], delays.carry_out + delays.lut, route[beside] + delays.lut)


def _slices(fabric: Fabric, fanin: _I64x2, route: _I64x2, delays: Delays, pin: _I64x2) -> None:
    """Put in delays of slices: what is in the same slice is not routed."""
    net, chains = fabric.netlist, fabric.chains
    assert chains is not None
    home = Slices.of(fabric).home
    below = chains.below()
    for made, end in ((chains.carry, delays.carry), (chains.sum, delays.carry_out)):
        own = (made != GONE) & (made >> 1 >= net.first_lut)
        own[own] = home[(made[own] >> 1) - net.first_lut] != OWN
        for i in np.flatnonzero(own).tolist():
            row = int(made[i] >> 1) - net.first_lut
            for at, s in enumerate(fanin[row].tolist()):
                if s < FIRST_INPUT:
                    continue
                inside = s >= net.first_lut and home[s - net.first_lut] == home[row]
                if s == below[i] >> 1:
                    pin[row, at] = end if inside else route[row, at] + delays.carry_in
                else:  # through the LUT beside the carry, unless that is its own
                    through = 0 if inside else int(route[row, at]) + delays.lut
                    pin[row, at] = through + delays.carry_in


@njit(cache=True, nogil=True)
def _arrive(
    fanin: _I64x2, pin: _I64x2, held: _Bool2, first: int, start: int, arrival: _I64x1, before: _I64x1
) -> None:
    """Fill `arrival` `[signals]` and the signal `before` each on its slowest path, -1 behind a register."""
    luts, k = fanin.shape
    for i in range(luts):
        latest, via = 0, -1
        for at in range(k):
            s = fanin[i, at]
            if s < 2:
                continue
            time = pin[i, at] + (start if held[i, at] else arrival[s])
            if time > latest:
                latest = time
                via = -1 if held[i, at] else s
        arrival[first + i] = latest
        before[first + i] = via
