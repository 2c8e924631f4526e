"""Routing by delay: the wires between registers of a placed design, for the highest clock.

nextpnr's router1 routes one wire after the other and leads the late ones around the early ones. Here all are
routed together, by negotiation with delays, on the graph that nextpnr itself has (see `wires`). What is found
goes into its own netlist of the placed design; it routes what is left, clock, pins and carry chains, checks
everything and reports the clock.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._pathfinder import contested, measure, reach, route
from ._settle import SLOTS
from .refine import PLACE, chained, number
from .wires import BEHIND, Wires

_LOG = logging.getLogger(__name__)

TELL = 10
"""Rounds between two records of where routing stands."""

HALF = 20
"""Tiles that the table of least delays looks away."""

SAMPLES = {"ice40": 80, "ecp5": 8}
"""Tiles from which it is taken, and whose least counts; wires of iCE40 are called otherwise at every edge."""

FAR, UNKNOWN = 3000.0, 2000.0
"""Picoseconds up to which it is filled, and what it says instead of nothing where that was no good."""

CERTAIN = 15
"""Rounds in which every net is routed anew; after them those that share wires or are late."""

ROUNDS, RELAX, MANY = 2000, 40, 0.02
"""Rounds at most, until the goal is moved by `STEP`, and the share of nets in trouble that hastens it."""

PATIENCE = 600
"""Rounds without anything better than what there is."""

PRESS, EVERY, SOME = 120, 10, 10
"""Where there is one goal: rounds before sinks are given up, then one in so many that are late, each so many
rounds."""

GIVEN = 0.5
"""What the delay of a sink that is given up counts beside the price of wires."""

LABOUR = 100_000
"""Wires looked at per net after which all is given up."""

STEP, AIM, MOST = 0.005, 1.08, 0.999
"""Share by which a goal is moved; where it starts, of what the slowest wire would take without any other, or,
where there is one goal, what so large a share of all would."""

PRESSURE, GROWTH, HIGHEST = 0.5, 1.3, 5.0
"""How many times dearer a wire is for each other net on it: at first, from round to round, at most."""

HISTORY = 0.5
"""How much dearer it becomes with each round in which it was shared."""

LATER, SOONER, SHARED, HEAVIEST = 1.2, 0.95, 0.8, 1e4
"""What a sink's weight is multiplied by in each round where it is late, where not, and where its net shares
wires, whose price it would not look at otherwise; the most it gets."""

URGENT = 20.0
"""Weight of what is part of a longer path: about that of what has been late for a dozen rounds."""

MARGIN = {"ice40": 13, "ecp5": 5}
"""Tiles around a net in which wires may be; those of iCE40 are called after their first tile."""

IDLE = 0.1
"""Weight of what leads to a pin or from one, which no clock waits for here."""

PAD = re.compile(r"X(\d+)/Y(\d+)/io(\d)")
"""Places of pins of iCE40: column, row and number. On a full device nextpnr would find no way for them."""

_BEHIND = {f"I{n}": delay for n, delay in enumerate(BEHIND)} | dict.fromkeys("ABCD", 366)
"""Picoseconds from a LUT's input into its register on iCE40 HX and on ECP5 of grade 6."""

I32 = npt.NDArray[np.int32]
F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Nets:
    """What is to be routed.

    Attributes:
        names: of the nets.
        source: wire that drives each.
        first: `[nets + 1]`, where its sinks begin.
        sink: wires to be reached.
        extra: picoseconds behind each.
        weight: of each that is not timed, else 0: `URGENT` or `IDLE`, `[sinks]`.
        drives: the cell at each source, and its pin, for `pin`.
        reads: at each sink; inputs of LUTs of iCE40 that may be permuted end in `_LUT`.
    """

    names: list[str]
    source: I32
    first: I32
    sink: I32
    extra: I32
    weight: F32
    drives: list[tuple[str, str]]
    reads: list[tuple[str, str]]

    @property
    def timed(self) -> npt.NDArray[np.bool_]:
        """Whether each sink ends a path of one wire from register to register."""
        return np.equal(self.weight, 0)

    @property
    def free(self) -> dict[int, tuple[str, int]]:
        """Inputs of LUTs of iCE40 which may be permuted, by wire: cell and input."""
        ends = zip(self.sink.tolist(), self.reads, strict=True)
        return {wire: (cell, int(pin[-5])) for wire, (cell, pin) in ends if pin.endswith(_LUT)}

    @classmethod
    def of(cls, module: dict[str, Any], wires: Wires, slow: set[str]) -> Nets:
        """Find nets from LUTs, flip-flops and pins to others in nextpnr's netlist, without carry chains.

        Args:
            module: the netlist.
            wires: of the device.
            slow: cells that paths may lead through.
        """
        driver: dict[int, tuple[int, str, str]] = {}
        through: set[int] = set()
        pads: set[int] = set()
        pins: dict[str, list[tuple[int, str, str]]] = {}
        at: dict[str, tuple[int, int, int]] = {}
        for name, cell in module["cells"].items():
            where = cell["attributes"].get("NEXTPNR_BEL", "")
            place, pad = PLACE.fullmatch(where), PAD.fullmatch(where)
            if place is not None and not chained(cell):
                at[name] = int(place[1]), int(place[2]), number(place)
            elif pad is not None:
                at[name] = int(pad[1]), int(pad[2]), int(pad[3])
            else:
                continue
            for port, bits in cell["connections"].items():
                named = _PINS.get(cell["type"], {}).get(port)
                if bits and named:
                    if cell["port_directions"][port] == "output":
                        driver[bits[0]] = pin(wires, named, *at[name]), name, named
                        if name in slow:
                            through.add(bits[0])
                        if pad:
                            pads.add(bits[0])
                    else:
                        pins.setdefault(name, []).append((bits[0], port, named))
        loads: dict[int, list[tuple[int, int, float]]] = {}
        readers: dict[int, list[tuple[str, str]]] = {}
        for name, inputs in pins.items():
            nets = {bit for bit, _, _ in inputs}
            turns = len(nets) == len(inputs) and nets <= driver.keys()
            for bit, port, its in inputs:
                # what others drive takes the pin that it has
                named = its if turns else its.removesuffix(_LUT)
                extra = 0 if named.endswith(_LUT) else _BEHIND.get(port, 0)
                end = pin(wires, named, *at[name])
                weight = URGENT if name in slow or bit in through else 0
                weight = IDLE if bit in pads or its.startswith("io") else weight
                loads.setdefault(bit, []).append((end, extra, weight))
                readers.setdefault(bit, []).append((name, named))
        names, source, first, sink = [], [], [0], []
        drives, reads = [], []
        for name, net in module["netnames"].items():
            bit = net["bits"][0]
            if bit in driver and bit in loads and "ECP5_IS_GLOBAL" not in net["attributes"]:
                names.append(name)
                source.append(driver[bit][0])
                drives.append(driver[bit][1:])
                sink += loads.pop(bit)
                reads += readers[bit]
                first.append(len(sink))
        ends, behind, weights = np.array(sink).reshape(-1, 3).T
        return cls(
            names, np.array(source, np.int32), np.array(first, np.int32), ends.astype(np.int32),
            behind.astype(np.int32), weights.astype(np.float32), drives, reads,
        )  # fmt: skip


def pin(wires: Wires, named: str, x: int, y: int, number: int) -> int:
    """Return the wire at a pin of the cell with a number in a tile."""
    return int(wires.chip.number[f"X{x}/Y{y}/{named.format(number)}"])


_PINS = {
    "SB_IO": {"D_IN_0": "io_{}:D_IN_0", "D_OUT_0": "io_{}:D_OUT_0"},
    "ICESTORM_LC": {"O": "lutff_{}:out"} | {f"I{n}": f"lutff_{{}}:in_{n}_lut" for n in range(4)},
    "TRELLIS_COMB": {port: port + "{}_SLICE" for port in "ABCDF"},
    "TRELLIS_FF": {port: port + "{}_SLICE" for port in ("DI", "M", "Q")},
}
"""Wires at the pins of cells, by cell and pin; the number in the tile is to be filled in."""

_REGISTERED = {
    "ice40": ("lutff_{}:out", ("lutff_{}:in_0_lut",)),
    "ecp5": ("Q{}_SLICE", ("A{}_SLICE", "M{}_SLICE", "DI{}_SLICE")),
}
"""Wires that registers drive, and that lead to them, likewise."""


def tables(wires: Wires, family: str) -> tuple[F32, F32, F32]:
    """Least delays of a device.

    Returns:
        From wires of each kind to a tile, `[kinds, columns, rows]`; and from register to register, as
        `refine` wants them, with all tracks and without those of `_LONG`.
    """
    table, between = _tables(wires, family)
    return table, between, _tables(wires.without(_LONG), family)[1] if family == "ice40" else between


_LONG = ("sp12", "span12")
"""How tracks of iCE40 begin that span twelve tiles."""


def _tables(wires: Wires, family: str) -> tuple[F32, F32]:
    order = np.argsort(wires.target, kind="stable")
    source, delay = wires.origin[order], wires.delay[order]
    start = np.searchsorted(wires.target[order], np.arange(len(wires.x) + 1)).astype(np.int32)
    leaves, leads = _REGISTERED[family]
    tiles = np.array(sorted(logic_tiles(wires, family)))
    tiles = tiles[np.linspace(0, len(tiles) - 1, SAMPLES[family]).astype(int)]
    side = 2 * HALF + 1
    table = np.full((SLOTS, int(wires.kind.max()) + 1, side, side), np.inf, np.float32)
    number_of = wires.chip.number
    for x, y in tiles.tolist():
        for n in range(SLOTS):
            ends = np.array([number_of[f"X{x}/Y{y}/{name.format(n)}"] for name in leads], np.int32)
            reach(start, source, delay, wires.kind, wires.x, wires.y, ends, x, y, table[n], FAR)
    x, y = tiles[len(tiles) // 2].tolist()
    kinds = [wires.kind[number_of[f"X{x}/Y{y}/{leaves.format(n)}"]] for n in range(SLOTS)]
    between = table[:, kinds].swapaxes(0, 1).copy()
    table = table.min(axis=0)
    return table, np.minimum(between, FAR)


def logic_tiles(wires: Wires, family: str) -> set[tuple[int, int]]:
    """Column and row of the tiles that hold logic."""
    leaves = _REGISTERED[family][0].format(0)
    return wires.chip.tiles(leaves)


_Trees = tuple[npt.NDArray[np.int64], I32, I32, I32, I32]
"""Where the wires of each net begin, how many they are, the wires, the edges to them, and what sinks take."""


class Router:
    """Negotiation of nets for wires."""

    def __init__(self, wires: Wires, nets: Nets, table: F32, *, margin: int) -> None:
        self.wires, self.nets, self.table, self.margin = wires, nets, table, margin
        count, many = len(wires.x), len(nets.source)
        self.occupied, self.history = np.zeros(count, np.int32), np.ones(count, np.float32)
        self.tree_at, self.tree_size = np.zeros(many, np.int64), np.zeros(many, np.int32)
        self.tree_wire = np.empty(100 * len(nets.sink) + 8 * many, np.int32)
        self.tree_edge = np.empty_like(self.tree_wire)
        self.used = self.looked = 0
        self.goal = 0.0
        self.arrival, self.fan = np.zeros(count, np.float32), np.zeros(count, np.int32)
        self.state = (
            np.zeros(count, np.float32), self.arrival, np.zeros(count, np.int32),
            np.zeros(count + 1, np.int32), np.zeros(count, np.int32),
            np.empty(1 << 20, np.float32), np.empty(1 << 20, np.int32),
        )  # fmt: skip
        self.taken, self._stale = np.zeros(len(nets.sink), np.int32), True
        self.at_x, self.at_y = wires.x[nets.sink], wires.y[nets.sink]

    def step(self, order: I32, crit: F32, pressure: float) -> int:
        """Route nets anew and measure them; return how many sinks were not reached."""
        if self.used > len(self.tree_wire) // 2:
            self.compact()
        missed = self.route(order, crit, pressure)
        if missed:
            self._stale = True
            return missed
        self.measure(np.arange(len(self.nets.source), dtype=np.int32) if self._stale else order)
        self._stale = False
        self.taken[~self.nets.timed] = 0  # how long the path may take is not known
        return 0

    def route(self, order: I32, crit: F32, pressure: float) -> int:
        """Route nets anew; return how many sinks were not reached."""
        w, nets = self.wires, self.nets
        self.used, missed, looked = route(
            w.start, w.target, w.origin, w.delay, w.adder, w.kind, w.x, w.y, self.table,
            nets.source, nets.first, nets.sink, self.at_x, self.at_y,
            self.occupied, self.history, self.tree_at, self.tree_size, self.tree_wire, self.tree_edge,
            order, crit, pressure, self.margin, self.used, self.state,
        )  # fmt: skip
        self.looked += looked
        return int(missed)

    def measure(self, order: I32) -> None:
        """Write what the sinks of nets take."""
        w, nets = self.wires, self.nets
        measure(
            order, w.origin, w.delay, w.adder, nets.first, nets.sink, nets.extra, self.tree_at,
            self.tree_size, self.tree_wire, self.tree_edge, self.arrival, self.fan, self.taken,
        )  # fmt: skip

    def compact(self) -> None:
        """Drop what was ripped up."""
        sizes = self.tree_size.astype(np.int64)
        at = np.cumsum(sizes) - sizes
        self.used = int(sizes.sum())
        keep = np.arange(self.used) + np.repeat(self.tree_at - at, sizes)
        for part in (self.tree_wire, self.tree_edge):
            part[: self.used] = part[keep]
        self.tree_at = at

    def alone(self) -> bool:
        """Route every net as if it were alone; return whether each has a way."""
        everything = np.arange(len(self.nets.source), dtype=np.int32)
        surest = np.full(len(self.nets.sink), 0.99, np.float32)
        if self.step(everything, surest, 0.0):
            # not all tiles are like those that the table is from
            self.table = np.where(np.isinf(self.table), np.float32(UNKNOWN), self.table)
            return not self.step(everything, surest, 0.0)
        return True

    def run(self) -> bool:
        """Route everything; return whether no wire is shared.

        The goal, picoseconds from register to register without the time to leave it, is somewhat more than
        without other nets at first. Missed for long, it is moved up, met, down.
        """
        nets = self.nets
        if not self.alone():
            return False
        bound = float(self.taken.max(initial=1))
        self.goal = AIM * bound
        deal, since = _Deal(self), 0
        best: tuple[int, int, _Trees | None] = (1 << 30, 0, None)  # picoseconds, round, ways
        for r in range(ROUNDS):
            if deal.settled():
                slowest = int(self.taken.max())
                if slowest < best[0]:
                    best = slowest, r + 1, self._kept()
                # what is late by much must not make all others late too
                raised = self.goal if slowest <= self.goal else self.goal * (1 + STEP)
                self.goal, since = max(bound, min(raised, (1 - STEP) * slowest)), 0
            if best[2] is not None and (best[0] <= bound or r - best[1] > PATIENCE):
                break
            many = len(deal.order) > MANY * len(nets.source)
            if best[2] is None and self.looked > LABOUR * len(nets.source):
                break
            deal.next(r)
            since += 1
            if r > CERTAIN and since > (RELAX // 2 if many else RELAX):
                self.goal, since = min(self.goal * (1 + STEP), max(bound, (1 - STEP) * best[0])), 0
        taken, rounds, kept = best
        if kept is None:
            return False
        self._restore(kept)
        self.goal = float(taken)
        tried = self.looked / len(nets.source)
        said = "Routed in %d rounds, %d wires tried per net; %d of at least %d ps."
        _LOG.info(said, rounds, tried, taken, bound)
        return True

    def press(self) -> bool:
        """Route everything for one goal; return whether no wire is shared.

        The goal is somewhat more than nearly all would take without the others, and more where too many sinks
        miss it. Those that are late for long are given up by and by: they take what is left.
        """
        nets = self.nets
        if not self.alone():
            return False
        self.goal = AIM * float(np.quantile(self.taken, MOST))
        deal, r = _Deal(self), 0
        while self.looked <= LABOUR * len(nets.source):
            if deal.settled() and not deal.late().any():
                tried, late = self.looked / len(nets.source), int((self.taken > self.goal).sum())
                said = "Routed in %d rounds, %d wires tried per net; %d of %d sinks take more than %d ps."
                _LOG.info(said, r + 1, tried, late, len(self.taken), self.goal)
                self.history[:] = 1
                return True
            deal.next(r)
            r += 1
            if r > PRESS and r % EVERY == 0:
                (slow,) = np.nonzero(deal.late())
                if len(slow) > MANY * len(self.taken):
                    self.goal *= 1 + STEP
                else:
                    heavy = np.argsort(-deal.weight[slow], kind="stable")
                    deal.given[slow[heavy[: -(-len(slow) // SOME)]]] = True
        return False

    def _kept(self) -> _Trees:
        """Copy what is there now."""
        trees = self.tree_wire[: self.used], self.tree_edge[: self.used]
        return (
            self.tree_at.copy(), self.tree_size.copy(), trees[0].copy(), trees[1].copy(), self.taken.copy()
        )  # fmt: skip

    def _restore(self, kept: _Trees) -> None:
        """Return to what was copied."""
        self.tree_at, self.tree_size, tree_wire, tree_edge, self.taken = kept
        self.used = len(tree_wire)
        self.tree_wire[: self.used], self.tree_edge[: self.used] = tree_wire, tree_edge
        self.compact()
        self.occupied = np.bincount(self.tree_wire[: self.used], minlength=len(self.occupied)).astype(
            np.int32
        )
        self.history[:] = 1

    def write(self, module: dict[str, Any]) -> None:
        """Put what was found into nextpnr's netlist, and LUT inputs of iCE40 where their wires arrive."""
        chip, switch = self.wires.chip, self.wires.switch
        free = self.nets.free
        ends = zip(self.nets.sink.tolist(), self.nets.reads, strict=True)
        fixed = {wire for wire, (_, pin) in ends if _LUT_PIN.fullmatch(pin)}
        turned: dict[str, dict[int, int]] = {}
        for name, at, size in zip(
            self.nets.names, self.tree_at.tolist(), self.tree_size.tolist(), strict=True
        ):
            parts = []
            for wire, edge in zip(
                self.tree_wire[at : at + size].tolist(), self.tree_edge[at : at + size].tolist(), strict=True
            ):
                if wire in free:
                    cell, number = free[wire]
                    straight = self._straight(int(self.wires.origin[edge]))
                    end = chip.wire(int(self.wires.target[straight]))
                    turned.setdefault(cell, {})[number] = int(end.removesuffix(_LUT)[-1])
                    parts += [end, chip.pip(int(switch[straight])), _WEAK]
                    continue
                parts += [chip.wire(wire), chip.pip(int(switch[edge])) if edge >= 0 else "", _WEAK]
                if wire in fixed:
                    straight = self._straight(wire)
                    end = chip.wire(int(self.wires.target[straight]))
                    parts += [end, chip.pip(int(switch[straight])), _WEAK]
            module["netnames"][name]["attributes"]["ROUTING"] = ";".join(parts)
        for name, pins in turned.items():
            _turn(module["cells"][name], pins)

    def _straight(self, pin: int) -> int:
        """Return the edge from a pin of a LUT of an iCE40 to the input of the same number."""
        end = self.wires.chip.number[self.wires.chip.wire(pin) + _LUT]
        edges = np.arange(self.wires.start[pin], self.wires.start[pin + 1])
        return int(edges[self.wires.target[edges] == end][0])


class _Deal:
    """A negotiation.

    Attributes:
        weight: of the delay of each sink.
        given: sinks that are given up.
        order: nets that are to be routed.
    """

    def __init__(self, router: Router) -> None:
        nets, self.router = router.nets, router
        self.net_of = np.repeat(np.arange(len(nets.source), dtype=np.int32), np.diff(nets.first))
        self.weight = np.ones(len(nets.sink), np.float32)
        self.given = np.zeros(len(nets.sink), np.bool_)
        self.order = np.arange(len(nets.source), dtype=np.int32)
        self.shared, self.pressure = np.zeros(len(nets.source), np.bool_), PRESSURE

    def late(self) -> npt.NDArray[np.bool_]:
        """Which sinks are late and not given up."""
        return (self.router.taken > self.router.goal) & ~self.given

    def settled(self) -> bool:
        """Route the nets of `order` anew; return whether all sinks are reached and no wire is shared."""
        router, nets = self.router, self.router.nets
        change = np.where(self.shared[self.net_of], SHARED, np.where(self.late(), LATER, SOONER))
        self.weight = np.clip(self.weight * change, 1.0, HEAVIEST)
        ratio = np.where(nets.timed, 2.0 * (router.taken / router.goal) ** 3 * self.weight, nets.weight)
        ratio[self.given] = GIVEN
        key = np.zeros(len(nets.source))
        np.maximum.at(key, self.net_of, ratio)
        self.order = self.order[np.argsort(-key[self.order], kind="stable")]
        missed = router.step(self.order, (ratio / (1 + ratio)).astype(np.float32), self.pressure)
        contested(router.occupied, router.tree_at, router.tree_size, router.tree_wire, self.shared)
        return not (missed or self.shared.any())

    def next(self, r: int) -> None:
        """Raise prices, and choose the nets of the round after that of a number."""
        router = self.router
        over, late = np.flatnonzero(router.occupied > 1), self.late()
        if r % TELL == 0:
            said = "Routing, round %d: %d wires shared, %d late, slowest %.2f ns."
            _LOG.debug(said, r, len(over), late.sum(), router.taken.max() / 1e3)
        router.history[over] += HISTORY * (router.occupied[over] - 1)
        self.pressure = min(self.pressure * GROWTH, HIGHEST)
        if r >= CERTAIN:
            bad = self.shared.copy()
            bad[self.net_of[late]] = True
            self.order = np.flatnonzero(bad).astype(np.int32)


def _turn(cell: dict[str, Any], pins: dict[int, int]) -> None:
    """Permute the inputs of a LUT of an iCE40, from each to another."""
    left = [pin for pin in range(4) if pin not in pins.values()]
    pins = pins | dict(zip([pin for pin in range(4) if pin not in pins], left, strict=True))
    cell["connections"] |= {f"I{to}": cell["connections"].get(f"I{pin}", []) for pin, to in pins.items()}
    table = int(cell["parameters"]["LUT_INIT"], 2)
    rows = [sum((row >> to & 1) << pin for pin, to in pins.items()) for row in range(16)]
    bits = sum((table >> old & 1) << row for row, old in enumerate(rows))
    cell["parameters"]["LUT_INIT"] = f"{bits:0{len(cell['parameters']['LUT_INIT'])}b}"


_LUT_PIN = re.compile(r"lutff_.*:in_\d")
"""Pins of LUTs of iCE40, before the permutation."""

_LUT = "_lut"
"""How wires end that are inputs of LUTs, behind the permutation of its pins."""

_WEAK = "1"
"""How strongly nextpnr holds to it: it may route anew where something else has no other way."""
