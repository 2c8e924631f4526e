"""Place and route with nextpnr."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lgc.errors import DoesNotFitError, LgcError, UsageError, nearest

from . import routed
from .fit import check_fit
from .improve import FAMILIES as IMPROVED
from .improve import improve, restore_ports
from .parse import read_route_report
from .pins import write_pins
from .placement import read_placement
from .rtl import make_directory
from .synth import Synthesis
from .target import Target
from .tools import TimeLimitError, Tool, ToolError, find, relative, run

_LOG = logging.getLogger(__name__)

ROUTERS = ("auto", "router1", "router2")
"""Routers that `place_and_route` accepts."""

DENSE = 0.6
"""From this utilisation on router1 may not end, and `auto` leaves it out."""

SPREAD = 0.7
"""Highest local density the placer aims at; its own 0.9 leaves no room for wires."""

ROUTER1_S = 60.0, 0.06
"""Seconds that `auto` grants router1, at all and per logic cell: it finds clocks up to twice as fast."""

EAGER = ("--placer-heap-beta", "0.9", "--placer-heap-critexp", "4", "--placer-heap-timingweight", "40")
"""Options for a design with registers nearly everywhere, where congestion is no concern and each wire counts:
dense, and with timing before wire length; then clocks of iCE40 are nearly doubled, see docs/hardware.md."""

_OPTIMISE = {"ice40": ("--opt-timing",)}
"""Options of single families, likewise."""

_PACKED = ("--no-pack",)
"""Options for a design that is packed, and placed by constraints."""

_STAY = {"ecp5": ("--disable-router-lutperm",)}
"""Those of single families: the wires of carry cells must not be permuted, which nextpnr forgets by then."""

AIM_MHZ = 300.0
"""Clock that the router is told then, if no other is asked for."""

TUNED = (0, 7)
"""Version of nextpnr from which on its finer options are used."""

PLACEMENT = "placement.json"
"""Where the cells of each part of the design are, beside the routed design; see `read_placement`."""

NETLIST, DELAYS = "netlist.json.gz", "delays.sdf.gz"
"""The routed netlist and its delays, beside the routed design; see `backend.routed`."""

_CELLS, _SDF = "cells.json", "delays.sdf"
"""What nextpnr writes of them."""

BETTER = "improved.json"
"""nextpnr's netlist of the placed design with what `improve` found."""

_FULL = ("no BELs remaining", "no Bels remaining", "Unable to find legal placement", "Unable to place cell")
_FAR = "using dedicated routing"
"""What nextpnr-machxo2 says where a placement leaves the clock no dedicated wire to some slice."""


class ClockUnroutableError(LgcError):
    """A placement from which nextpnr finds no way for the clock; another seed's may have one."""


@dataclass(frozen=True)
class Routing:
    """Result of place and route, from the router's own report.

    Attributes:
        asc: the routed design, for the packer; on iCE40 an .asc file.
        cells: logic cells used.
        cells_available: logic cells of the device.
        brams: block RAMs used.
        io: pins used.
        fmax_mhz: maximum clock.
        critical: cells and nets of the slowest path, each as (type, name, delay in ns).
        seed: the placer's.
        router: name of the router that finished.
        tool: name, version and origin of nextpnr.
        commands: command lines, run in the result's directory.
        seconds: wall time of all attempts.
    """

    asc: Path
    cells: int
    cells_available: int
    brams: int
    io: int
    fmax_mhz: float
    critical: tuple[tuple[str, str, float], ...]
    seed: int
    router: str
    tool: str
    commands: tuple[str, ...]
    seconds: float


def place_and_route(
    synthesis: Synthesis,
    target: Target,
    *,
    out: Path,
    seed: int = 1,
    router: str = "auto",
    freq_mhz: float | None = None,
    eager: bool = False,
    again: bool = True,
    pins: Path | Mapping[str, str] | None = None,
    nextpnr: Tool | None = None,
    timeout_s: float = 1800,
) -> Routing:
    """Place and route in the directory `out`.

    Args:
        synthesis: the synthesised design.
        target: the device.
        out: directory, made if need be.
        seed: of the placer.
        router: one of `ROUTERS`.
        freq_mhz: clock that the design must reach, if any.
        eager: place for the highest clock, see `EAGER`, and try router1 first whatever the utilisation.
        again: with `eager`, place once more and route by delay, see `improve`, where the family allows it.
        pins: pins by port, see `write_pins`, or a pin file in the family's format. Ports left out
            are placed by nextpnr.
        nextpnr: the tool, looked for if None.
        timeout_s: time limit for all attempts; as much once more where what `again` placed does not route.

    Raises:
        DoesNotFitError: the device is too small, or the clock is missed.
        ClockUnroutableError: another seed may help.
        ToolMissingError: no nextpnr.
        LgcError: it failed, or routing did not converge within the time limit.
    """
    if router not in ROUTERS:
        raise UsageError(f"Unknown router '{router}'.", hint=nearest(router, ROUTERS))
    check_fit(target, cell=synthesis.cells, bram=synthesis.brams, io=synthesis.io)
    family = target.cells
    nextpnr = nextpnr or find(family.nextpnr)
    make_directory(out)
    option, name = family.routed
    asc, report = out / name, out / "report.json"
    for path in (asc, report):
        path.unlink(missing_ok=True)
    args = [*target.pnr, "--json", relative(synthesis.netlist, out), option, asc.name]
    args += [] if option == "--write" else ["--write", _CELLS, "--sdf", _SDF]
    args += ["--report", report.name, "--seed", str(seed), "--timing-allow-fail"]
    if _tuned(nextpnr):
        args += [*EAGER, *_OPTIMISE.get(family.name, ())] if eager else ["--placer-heap-beta", str(SPREAD)]
    aim = freq_mhz or (AIM_MHZ if eager else None)
    args += ["--freq", f"{aim:g}"] if aim else []
    where = _pins(synthesis, target, pins, out)
    attempts = _attempts(router, synthesis.cells, target, timeout_s, eager=eager)
    commands: tuple[str, ...] = ()
    spent, plain = 0.0, [*args, *where]
    if eager and again and family.name in IMPROVED:
        commands, spent = _improved(nextpnr, plain, target, out, seed, timeout_s)
    args = _onwards(args, family.name) if commands else plain
    try:
        router, seconds = _run(nextpnr, args, attempts, out, target)
    except LgcError as error:
        if not commands:
            raise
        _LOG.info("%s Once more by nextpnr alone.", error)
        args, commands = plain, ()
        router, seconds = _run(nextpnr, args, attempts, out, target)
    found = read_route_report(report)
    if found.fmax_mhz is None or not asc.is_file():
        raise LgcError(f"{nextpnr.name} ended without its results.", hint=f"See nextpnr-{router}.log.")
    if freq_mhz and found.fmax_mhz < freq_mhz:
        raise DoesNotFitError(
            f"The design reaches {found.fmax_mhz:g} MHz, not {freq_mhz:g} MHz.",
            hint="Try fewer LUTs between registers, or other seeds.",
        )
    if commands:
        _restore_ports(out)
    _keep_placement(out, asc, target)
    _keep_netlist(out)
    return Routing(
        asc=asc,
        cells=sum(found.used[bel] for bel in family.cell_bels),
        cells_available=found.available[family.cell_bels[0]],
        brams=sum(found.used[bel] for bel in family.bram_bels),
        io=sum(found.used[bel] for bel in family.io_bels),
        fmax_mhz=found.fmax_mhz,
        critical=found.critical,
        seed=seed,
        router=router,
        tool=nextpnr.identity,
        commands=(*commands, nextpnr.shell([*args, *_router(nextpnr, router)])),
        seconds=round(spent + seconds, 3),
    )


def _improved(
    nextpnr: Tool, args: list[str], target: Target, out: Path, seed: int, timeout_s: float
) -> tuple[tuple[str, ...], float]:
    """Place, and place once more and route, see `improve`: what was run if that succeeded, and seconds."""
    start = time.perf_counter()
    without = [*args, "--no-route"]
    _LOG.debug("%s places.", nextpnr.name)
    run(nextpnr, without, cwd=out, log=out / "nextpnr-place.log", timeout_s=timeout_s)
    try:
        found = improve(out / _CELLS, nextpnr, target, out / BETTER, seed=seed)
    except (OSError, ValueError, KeyError, IndexError, struct.error) as error:
        _LOG.info("Placement and routing stay as they are: %s.", error)  # nextpnr does it all alone
        found = False
    return (nextpnr.shell(without),) if found else (), time.perf_counter() - start


def _onwards(args: list[str], family: str) -> list[str]:
    """Arguments for a design that is packed and placed, with its pins."""
    at = args.index("--json") + 1
    return [*args[:at], BETTER, *args[at + 1 :], *_PACKED, *_STAY.get(family, ())]


def _restore_ports(out: Path) -> None:
    try:
        restore_ports(out / _CELLS, out / BETTER)
    except (OSError, ValueError, KeyError) as error:
        _LOG.info("The routed netlist lacks its ports: %s.", error)  # only pictures and checks miss them


def _keep_placement(out: Path, asc: Path, target: Target) -> None:
    """Write `PLACEMENT` from nextpnr's netlist."""
    cells = out / _CELLS
    try:
        found = read_placement(cells if cells.is_file() else asc, target.cells, asc)
        (out / PLACEMENT).write_text(json.dumps(dataclasses.asdict(found)) + "\n")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        _LOG.info("No floorplan: %s.", error)  # the bitstream does not depend on it


def _keep_netlist(out: Path) -> None:
    """Write `NETLIST` and `DELAYS` in place of nextpnr's files, which are many times larger."""
    cells, delays = out / _CELLS, out / _SDF
    try:
        routed.keep_netlist(cells, out / NETLIST)
        routed.keep_delays(delays, out / DELAYS)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        _LOG.info("No routed netlist is kept: %s.", error)  # likewise
    cells.unlink(missing_ok=True)
    delays.unlink(missing_ok=True)


def _pins(
    synthesis: Synthesis, target: Target, pins: Path | Mapping[str, str] | None, out: Path
) -> list[str]:
    """Options that say where pins go; writes the pin file where there is none yet."""
    family = target.cells
    before, after, suffix = family.pins
    if not isinstance(pins, Path):
        if not pins and not family.all_pins:
            # without a pin file ECP5's packer of I/O places everything anyway
            return []
        pins = write_pins(pins or {}, synthesis.netlist, target, out / f"pins{suffix}")
    name = relative(pins, out)
    return [*before, f"cst={name}" if suffix == ".cst" else name, *after]


def _attempts(
    router: str, cells: int, target: Target, timeout_s: float, *, eager: bool = False
) -> list[tuple[str, float]]:
    """Routers to try for a design of so many logic cells, each with its time limit."""
    if router != "auto":
        return [(router, timeout_s)]
    if target.cells.only_router1:
        return [("router1", timeout_s)]
    if cells > DENSE * target.resources.lut and not eager:
        return [("router2", timeout_s)]
    first = min(ROUTER1_S[0] + ROUTER1_S[1] * cells, timeout_s / 2)
    return [("router1", first), ("router2", timeout_s - first)]


def _tuned(nextpnr: Tool) -> bool:
    """Whether this version has the finer options."""
    return tuple(map(int, re.findall(r"\d+", nextpnr.version)[:2])) >= TUNED


def _router(nextpnr: Tool, router: str) -> list[str]:
    """Options of a router; the other weights of router2 give up to twice the clock."""
    alternative = ["--router2-alt-weights"] if router == "router2" and _tuned(nextpnr) else []
    return ["--router", router, *alternative]


def _run(
    nextpnr: Tool, args: list[str], attempts: list[tuple[str, float]], out: Path, target: Target
) -> tuple[str, float]:
    """Run nextpnr until a router finishes; return its name and the seconds all took."""
    spent = 0.0
    for router, limit in attempts:
        log = out / f"nextpnr-{router}.log"
        command = [*args, *_router(nextpnr, router)]
        _LOG.debug("%s runs with %s, for at most %.0f s.", nextpnr.name, router, limit)
        try:
            return router, spent + run(nextpnr, command, cwd=out, log=log, timeout_s=limit)
        except TimeLimitError:
            spent += limit
        except ToolError as error:
            said = log.read_text(errors="replace")
            if _FAR in said:
                raise ClockUnroutableError(
                    f"From where this seed placed it, {nextpnr.name} found no way for the clock.",
                    hint="Try another --seed, or --seeds 4, which keeps the best.",
                ) from error
            if any(words in said for words in _FULL):
                raise DoesNotFitError(
                    f"The design does not fit {target.name}: nextpnr found no place for all of its cells.",
                    hint="Try a larger target, a narrower last layer, or fewer nodes or thresholds.",
                ) from error
            raise
    raise LgcError(
        f"No routing was found within {spent:g} s{_overused(log)}: "
        f"the wiring is too dense for {target.name}.",
        hint="Wire the network locally (connections = local), or use fewer nodes or inputs per node.",
    )


def _overused(log: Path) -> str:
    """Tell how far the router was from a solution; only for the message."""
    found = re.findall(r"overused=(\d+)", log.read_text(errors="replace"))
    return f" ({found[-1]} wires still shared)" if found else ""
