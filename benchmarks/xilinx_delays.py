"""The delay models of Artix-7 and UltraScale+ against placements timed with delays from elsewhere; and models fitted to them.

    git clone https://github.com/f4pga/prjxray-db
    python benchmarks/xilinx_delays.py prjxray-db digits.safetensors        Artix-7, random networks and a trained one
    python benchmarks/xilinx_delays.py prjxray-db digits.safetensors --fit  also the figures that fit best to the random ones

    git clone https://github.com/gussmith23/lakeroad-evaluation
    python benchmarks/xilinx_delays.py lakeroad-evaluation/runs digits.safetensors --target xczu3eg   UltraScale+

No open tool that installs with pip places and routes these, so this is not what a router found: the LUTs of
the fabric are annealed on a rectangle of CLBs that they fill to 85 %, chains of carries whole, for the paths
that are slowest. On Artix-7 each wire then takes the least delay from its source to its pin that the switches of the
chip allow (`xc7_wires.py`, Project X-Ray), as if it were alone; of a LUT's pins the fastest are for what comes last. On
UltraScale+ it takes what a wire of that length takes in the mean in designs that Vivado routed on that part
(`vivado_delays.py`), and a LUT what it takes there in the mean. Paths are counted from register to register with
the cells of the slow corner. Real designs have clock rows, block RAM and DSP between CLBs, and clock skew, and
on Artix-7 share tracks: they are slower.

Estimates are the fabric's alone, `shell` of the target is left out: encoder and control are not placed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import delays as routed_delays
import networks
import numpy as np
import numpy.typing as npt
import vivado_delays
from numba import njit
from xc7_wires import Cells, Patch

from lgc.backend.estimate import pin_delays, slowest
from lgc.backend.fabric import Wires, writer_of
from lgc.backend.target import Delays, Target, load
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import FIRST_INPUT, Netlist
from lgc.ir.passes import REGISTRY
from lgc.ir.passes.base import run
from lgc.ir.passes.expand_argmax import add_argmax
from lgc.ir.passes.expand_readout import expand
from lgc.ir.sites import sites
from lgc.ir.slices import OWN, Slices, staged

LARGE, PIXELS = {"3000x3": [3000] * 3}, 784
"""Layers of larger random networks, and their inputs."""

TILE, FILL = 8, 0.85
"""Sites of a CLB, and the share of them that is filled."""

STEP = 4
"""Tiles over which columns and rows are compared."""

CARRIES = {"xc7a35t": ("CARRY4", 4), "xczu3eg": ("CARRY8", 8)}
"""What the targets' slices have for carries, and sites of a slice: two to a CLB, or one."""

STEPS, MOVES, HOT, COLD = 120, 4, 200.0, 1.0
"""Temperatures, moves per cell at each for each cube root of the cells, and the first and last in picoseconds."""

SHARP, REST = 8.0, 0.1
"""A wire counts for its share of the slowest path to this power, and for so much besides."""

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


def compiled(net: Netlist, levels: int) -> Fabric:
    """The network in slices with stages, as `lgc compile` makes it."""
    simple = run(REGISTRY.parse("simplify,merge,reduce"), net)
    return add_argmax(staged(expand(simple, k=6, fractured=True, carry=True), levels), carry=False)[0]


@dataclass
class Design:
    """A fabric as cells that are placed, each a site of a slice.

    Attributes:
        fabric: the LUTs.
        slice: sites of a slice.
        cells: sites, chains first.
        chains: first cell and cells of each chain, whole slices, `[chains, 2]`.
        source: cell that drives each signal, -1 for constants.
        second: whether a signal leaves through the output multiplexer, 1 from the LUT, 2 from a sum.
        sink: cell that each LUT is in, `[luts]`.
        wide: whether both outputs of a cell are used, `[cells]`.
        routed: pins that a wire leads to, bool `[luts, k]`.
        held: pins behind a register, bool `[luts, k]`.
        kept: whether a register stands behind each LUT's output, bool `[luts]`.
        last: LUTs that lead to registers elsewhere, bool `[luts]`.
    """

    fabric: Fabric
    slice: int
    cells: int
    chains: I64
    source: I64
    second: I64
    sink: I64
    wide: npt.NDArray[np.bool_]
    routed: npt.NDArray[np.bool_]
    held: npt.NDArray[np.bool_]
    kept: npt.NDArray[np.bool_]
    last: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, fabric: Fabric, carry: str, slice_: int) -> Design:
        """Find the sites of a fabric in slices of so many, with a carry cell in each."""
        net, found = fabric.netlist, Slices.of(fabric)
        first, home = net.first_lut, found.home
        sink, second = np.full(net.luts, -1, np.int64), np.zeros(net.signals, np.int64)
        extent, wide = [], []
        at = 0
        for c, (_, chain) in enumerate(found.chains):
            count = -(-len(chain) // slice_) * slice_
            extent.append((at, count))
            wide += [p.five is not None for p in chain] + [False] * (count - len(chain))
            chains = fabric.chains
            assert chains is not None
            begin = int(chains.start[c])
            for n, p in enumerate(chain):
                for literals in (chains.carry, chains.sum, chains.propagate, chains.generate):
                    row = (int(literals[begin + n]) >> 1) - first
                    if 0 <= row < net.luts and home[row] == c and sink[row] < 0:
                        sink[row] = at + n
                if p.sum >= first:
                    second[p.sum] = 2
            at += count
        partner = sites(net, fabric.chains).partner
        for row in np.flatnonzero(home == OWN).tolist():
            other = int(partner[row])
            if 0 <= other < row and home[other] == OWN:
                sink[row], wide[sink[other]], second[first + row] = sink[other], True, 1
            else:
                sink[row] = at
                wide.append(False)
                at += 1
        assert (sink >= 0).all()
        fanin = net.fanin.astype(np.int64)
        source = np.full(net.signals, -1, np.int64)
        source[first:] = sink
        used = np.unique(fanin[(fanin >= FIRST_INPUT) & (fanin < first)])
        source[used] = at + np.arange(len(used))
        inside = np.append(np.full(first, OWN), home)
        routed = (fanin >= FIRST_INPUT) & ~((home[:, None] != OWN) & (inside[fanin] == home[:, None]))
        wires = Wires.of(fabric, writer_of(fabric, carry), held=True)
        stage = wires.stage[first:, None]
        held = (np.minimum(stage, wires.latest[fanin]) > wires.stage[fanin]) | (fanin < first)
        kept = wires.latest > wires.stage
        last = np.zeros(net.signals, np.bool_)
        last[np.unique(net.roots())] = True
        return cls(
            fabric, slice_, at + len(used), np.array(extent, np.int64).reshape(-1, 2), source, second, sink,
            np.array(wide + [False] * len(used)), routed, held, kept[first:], (last & ~kept)[first:],
        )  # fmt: skip

    def ends(self) -> tuple[I64, I64]:
        """Return cells from and to of each routed pin."""
        row, pin = np.nonzero(self.routed)
        return self.source[self.fabric.netlist.fanin[row, pin]], self.sink[row]


class Placed:
    """A design on a square of CLBs.

    Args:
        design: what is placed.
        table: of `Patch.table`.
        inside: what is inside of a slice.
        doubled: picoseconds that a wire takes longer each time its loads double.
        seed: of the moves.
    """

    def __init__(self, design: Design, table: F64, inside: Cells, doubled: float, seed: int) -> None:
        self.design, self.table, self.inside = design, table, inside
        target = next(name for name, (_, per) in CARRIES.items() if per == design.slice)
        self.carry, delays = CARRIES[target][0], load(target).delay
        assert delays is not None
        self.delays = replace(of_cells(inside, delays), route=0)
        self.beside = TILE // design.slice
        self.fanin = design.fabric.netlist.fanin.astype(np.int64)
        loads = np.bincount(self.fanin[design.routed], minlength=design.fabric.netlist.signals)
        self.slower = doubled * np.log2(np.maximum(loads, 1))
        self.rng = np.random.default_rng(seed)
        self.wide, self.high = self._extent()
        self.order = np.argsort(table[:, 0, :6].mean(axis=(0, 2, 3)))
        half_x, half_y = table.shape[3] // 2, table.shape[4] // 2
        if self.wide > half_x or self.high > half_y:
            raise SystemExit(f"{self.wide} columns and {self.high} rows of tiles are more than --tiles.")
        self._start()
        self._wires()
        self.late = np.zeros(design.fabric.netlist.signals, np.int64)

    def _extent(self) -> tuple[int, int]:
        """Columns and rows of CLBs: more of that in which wires are quicker."""
        tiles = self.design.cells / (TILE * FILL)
        alone = self.table[:, 0, :6].mean(axis=(0, 1))
        x, y = alone.shape[0] // 2, alone.shape[1] // 2
        column, row = alone[x + STEP, y] - alone[x, y], alone[x, y + STEP] - alone[x, y]
        high = math.ceil(math.sqrt(tiles * column / row))
        return math.ceil(tiles / high), high

    def _start(self) -> None:
        """Put chains into columns of slices, all other cells where there is room."""
        slices, height = self.beside * self.wide, self.design.slice * self.high
        self.cell = np.full(slices * height, -1, np.int64)
        self.slot = np.full(self.design.cells, -1, np.int64)
        taken = np.zeros(slices, np.int64)
        tall = np.argsort(-self.design.chains[:, 1], kind="stable")
        for first, count in self.design.chains[tall].tolist():
            column = int(np.argmin(taken))
            if taken[column] + count > height:
                raise SystemExit("The chains do not fit the square.")
            self._put(np.arange(first, first + count), column * height + taken[column])
            taken[column] += count
        alone = np.flatnonzero(self.slot < 0)
        free = self.rng.permutation(np.flatnonzero(self.cell < 0))[: len(alone)]
        self.slot[alone], self.cell[free] = free, alone
        self.chain = np.full(self.design.cells, -1, np.int64)
        for c, (first, count) in enumerate(self.design.chains.tolist()):
            self.chain[first : first + count] = c

    def _put(self, cells: I64, slot: int) -> None:
        self.slot[cells] = slot + np.arange(len(cells))
        self.cell[self.slot[cells]] = cells

    def _wires(self) -> None:
        """Join cells by wires, once for each pair, with the pins that each stands for."""
        source, sink = self.design.ends()
        pairs, self.wire = np.unique(source * self.design.cells + sink, return_inverse=True)
        a, b = pairs // self.design.cells, pairs % self.design.cells
        count = len(pairs)
        ends = np.concatenate([np.stack([a, b, np.arange(count), np.ones(count, np.int64)], 1),
                               np.stack([b, a, np.arange(count), np.zeros(count, np.int64)], 1)])  # fmt: skip
        ends = ends[ends[:, 0] != ends[:, 1]]
        ends = ends[np.argsort(ends[:, 0], kind="stable")]
        self.begin = np.searchsorted(ends[:, 0], np.arange(self.design.cells + 1))
        self.other, self.number, self.leaves = (np.ascontiguousarray(ends[:, n]) for n in (1, 2, 3))
        self.weight = np.ones(count)
        self.cost = self.table[:, 0][:, self.order[:3]].mean(axis=1)

    def anneal(self) -> None:
        """Move cells until it is cold."""
        moves = round(MOVES * self.design.cells ** (4 / 3))
        for step in range(STEPS):
            heat = HOT * (COLD / HOT) ** (step / (STEPS - 1))
            _moves(
                self.slot, self.cell, self.chain, self.design.chains, self.begin, self.other, self.number,
                self.leaves, self.weight, self.cost, self.wide, self.high, self.design.slice, self.beside,
                moves, heat, self.rng,
            )  # fmt: skip
            self._weigh()

    def _weigh(self) -> None:
        """Let wires of slow paths count more."""
        d, delays = self.design, self.delays
        pin = pin_delays(d.fabric, self.fanin, self.route(), delays)
        first, start = d.fabric.netlist.first_lut, delays.clock_to_out
        late, tail = np.zeros(len(self.late), np.int64), np.full(len(self.late), -(10**9), np.int64)
        _paths(self.fanin, pin, d.held, d.kept, d.last, first, start, delays.setup, late, tail)
        self.late = late
        begins = np.where(d.held, start, late[self.fanin])
        through = (begins + pin + tail[first:, None])[d.routed]
        share = np.maximum(through, 0) / max(int(through.max()), 1)
        self.weight = np.zeros(len(self.weight))
        np.maximum.at(self.weight, self.wire, share)
        self.weight = self.weight**SHARP + REST

    def route(self) -> I64:
        """Return picoseconds of the wire to each pin, `[luts, k]`; pins by what came last."""
        d, fanin = self.design, self.fanin
        row, pin = np.nonzero(d.routed)
        signal, held = fanin[row, pin], d.held[row, pin]
        begins = np.where(held, self.delays.clock_to_out, self.late[signal])
        sink = d.sink[row]
        # a pin of a site for each wire, whichever of its LUTs read it; the fastest for the last to come
        key = (sink * len(self.late) + signal) * 2 + held
        _, one, back = np.unique(key, return_index=True, return_inverse=True)
        order = np.lexsort((-begins[one], sink[one]))
        of = sink[one][order]
        rank = np.arange(len(of)) - np.searchsorted(of, of)
        place = np.empty(len(of), np.int64)
        place[order] = self.order[np.minimum(rank + d.wide[of], 5)]
        second = d.second[signal]
        kind = np.where((second == 1) | ((second == 2) & ~held), 2, held.astype(np.int64))
        # a second register's way to the multiplexer is as long as a sum's
        more = np.where((second == 1) & ~held, self.inside.second, np.where(kind == 2, self.inside.sum, 0))
        per = self.design.slice
        x, y = self.slot // (per * self.high) // self.beside, self.slot // per % self.high
        source = d.source[signal]
        half_x, half_y = self.table.shape[3] // 2, self.table.shape[4] // 2
        found = self.table[
            x[source] % 2, kind, place[back], half_x + x[sink] - x[source], half_y + y[sink] - y[source]
        ]
        route = np.zeros(fanin.shape, np.int64)
        route[row, pin] = np.rint(found + more + self.slower[signal])
        return route

    def period(self) -> int:
        """Return picoseconds between two registers."""
        self._weigh()  # pins by where the cells are now
        delays = replace(self.delays, route=self.leaving())
        return slowest(self.design.fabric, self.carry, delays, route=self.route())[0]

    def leaving(self) -> int:
        """Return picoseconds of a wire to a register elsewhere: by the bypass of the next tile."""
        half_x, half_y = self.table.shape[3] // 2, self.table.shape[4] // 2
        return round(float(self.table[0, 0, 6, half_x, half_y + 1]))


@njit(cache=True)
def _moves(
    slot: I64, cell: I64, chain: I64, chains: I64, begin: I64, other: I64, number: I64, leaves: I64,
    weight: F64, cost: F64, wide: int, high: int, per: int, beside: int, moves: int, heat: float, rng: Any,
) -> None:  # fmt: skip
    """Swap cells, or chains with as many slices elsewhere, so that the weighed delays fall."""
    cells, height = len(slot), per * high
    for _ in range(moves):
        a = int(rng.random() * cells)
        c = chain[a]
        count, one = (1, slot[a]) if c < 0 else (chains[c, 1], slot[chains[c, 0]])
        if begin[a] < begin[a + 1] and rng.random() < 0.6:
            near = other[begin[a] + int(rng.random() * (begin[a + 1] - begin[a]))]
            column = slot[near] // height + int(rng.random() * 9) - 4
            row = slot[near] // per % high + int(rng.random() * 9) - 4
        else:
            column, row = int(rng.random() * beside * wide), int(rng.random() * high)
        if column < 0 or column >= beside * wide or row < 0:
            continue
        two = column * height + per * row + (int(rng.random() * per) if c < 0 else 0)
        if two + count > (column + 1) * height or abs(two - one) < count:
            continue
        whole = True
        for s in range(two, two + count):
            b = cell[s]
            if b >= 0 and chain[b] >= 0:
                start = slot[chains[chain[b], 0]]
                whole &= c >= 0 and start >= two and start + chains[chain[b], 1] <= two + count
        if not whole:
            continue
        before = _around(
            one, two, count, slot, cell, begin, other, number, leaves, weight, cost, high, per, beside
        )
        _swap(one, two, count, slot, cell)
        after = _around(
            one, two, count, slot, cell, begin, other, number, leaves, weight, cost, high, per, beside
        )
        if after > before and rng.random() >= np.exp((before - after) / heat):
            _swap(one, two, count, slot, cell)


@njit(cache=True)
def _swap(one: int, two: int, count: int, slot: I64, cell: I64) -> None:
    for n in range(count):
        a, b = cell[one + n], cell[two + n]
        cell[one + n], cell[two + n] = b, a
        if a >= 0:
            slot[a] = two + n
        if b >= 0:
            slot[b] = one + n


@njit(cache=True)
def _around(
    one: int, two: int, count: int, slot: I64, cell: I64, begin: I64, other: I64, number: I64, leaves: I64,
    weight: F64, cost: F64, high: int, per: int, beside: int,
) -> float:  # fmt: skip
    """Weighed delays of the wires of what is in two places."""
    height, half_x, half_y = per * high, cost.shape[1] // 2, cost.shape[2] // 2
    found = 0.0
    for n in range(2 * count):
        a = cell[one + n if n < count else two + n - count]
        if a < 0:
            continue
        xa, ya = slot[a] // height // beside, slot[a] // per % high
        for w in range(begin[a], begin[a + 1]):
            b = other[w]
            xb, yb = slot[b] // height // beside, slot[b] // per % high
            if leaves[w]:
                found += weight[number[w]] * cost[xa % 2, half_x + xb - xa, half_y + yb - ya]
            else:
                found += weight[number[w]] * cost[xb % 2, half_x + xa - xb, half_y + ya - yb]
    return found


@njit(cache=True)
def _paths(
    fanin: I64,
    pin: I64,
    held: Any,
    kept: Any,
    last: Any,
    first: int,
    start: int,
    setup: int,
    late: I64,
    tail: I64,
) -> None:
    """Fill when each signal is right, and the longest way from it to a register."""
    luts, k = fanin.shape
    for i in range(luts):
        for at in range(k):
            if fanin[i, at] >= 2:
                late[first + i] = max(
                    late[first + i], pin[i, at] + (start if held[i, at] else late[fanin[i, at]])
                )
    for i in range(luts - 1, -1, -1):
        if kept[i] or last[i]:
            tail[first + i] = max(tail[first + i], setup)
        for at in range(k):
            s = fanin[i, at]
            if s >= 2 and not held[i, at]:
                tail[s] = max(tail[s], pin[i, at] + tail[first + i])


def of_cells(inside: Cells, delays: Delays) -> Delays:
    """Cells of the model as measured, with the wires of `delays`."""
    names = ("clock_to_out", "setup", "lut", "carry_in", "carry", "carry_out")
    return replace(delays, **{name: getattr(inside, name) for name in names})


def fit(
    cases: list[tuple[Fabric, float]], target: Target, carry: str, delays: Delays, fanouts: Iterable[int]
) -> Delays:
    """Figures of wires whose estimates are least off: in the mean right, the sizes of the errors least."""
    best, least = delays, math.inf
    for fanout in fanouts:
        for size in range(0, 100, 20):
            trial = replace(delays, fanout=fanout, size=size)
            trial = replace(trial, route=routed_delays.fitted(replace(target, delay=trial), cases))
            off = sum(abs(math.log(slowest(f, carry, trial)[0] / period)) for f, period in cases)
            if off < least:
                best, least = trial, off
    return best


def told(name: str, cases: Iterable[tuple[str, Fabric, float]], carry: str, delays: Delays) -> None:
    """Print how far a model is off."""
    ratios = []
    for what, fabric, period in cases:
        guess = slowest(fabric, carry, delays)[0]
        ratios.append(period / guess)
        print(
            f"{what}  {name} {1e6 / guess:6.1f} MHz  placed {1e6 / period:6.1f} MHz  {ratios[-1] - 1:+6.1%}"
        )
    spread = abs(np.array(ratios) - 1)
    mean = np.exp(np.log(ratios).mean()) - 1
    print(
        f"{name}: mean {mean:+.1%}, mean of sizes {spread.mean():.1%}, worst {spread.max():.1%}", flush=True
    )


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("source", type=Path, help="a checkout of prjxray-db, or Vivado's timing reports")
    arguments.add_argument("models", nargs="*", type=Path, help="checkpoints of lgc train, of 2-input gates")
    arguments.add_argument("--target", choices=CARRIES, default="xc7a35t")
    arguments.add_argument(
        "--nets", default=",".join(routed_delays.SHAPES | LARGE), help="shapes of random networks"
    )
    arguments.add_argument("--levels", default="1,2,4,8", help="LUTs between registers")
    arguments.add_argument("--tiles", type=int, default=28, help="columns and rows that wires may span")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--fit", action="store_true")
    options = arguments.parse_args()
    target, (carry, per) = load(options.target), CARRIES[options.target]
    assert target.delay is not None
    if per == 8:
        paths = vivado_delays.wanted([options.source], target)
        if not paths:
            arguments.error(f"no report of Vivado in {options.source} is of {target.part}")
        inside, table = (
            vivado_delays.cells(paths),
            vivado_delays.table(paths, options.tiles, 3 * options.tiles),
        )
        doubled = float(vivado_delays.wires(paths)[0][3])
    elif (options.source / "artix7" / "timings" / "slicel.sdf").is_file():
        inside, doubled = Cells.of(options.source), 0.0
        table = Patch(options.source, options.tiles // 2 + 1, options.tiles).table()
    else:
        arguments.error(f"{options.source} is no checkout of prjxray-db")
    half_x, half_y = table.shape[3] // 2, table.shape[4] // 2
    print(inside)
    for distance in (0, 1, 2, 4, 8, 16):
        if distance <= options.tiles:
            there = [table[0, 0, pin, half_x + distance, half_y + distance] for pin in (0, 5)]
            print(f"{distance} columns and rows on: {there[1]:.0f} ps to A6, {there[0]:.0f} ps to A1")
    wanted = [name for name in options.nets.split(",") if name]
    known = routed_delays.nets() | routed_delays.nets(LARGE, PIXELS)
    found = {name: net for name, net in known.items() if name in wanted}
    found |= dict(networks.trained(options.models))
    levels = [int(text) for text in options.levels.split(",")]
    cases = []
    for name, net in found.items():
        for per_stage in levels:
            fabric = compiled(net, per_stage)
            placed = Placed(Design.of(fabric, carry, per), table, inside, doubled, options.seed)
            placed.anneal()
            cases.append(
                (f"{name:8} {per_stage} LUTs {placed.design.cells:5} sites", fabric, float(placed.period()))
            )
            print(f"{cases[-1][0]}  placed {1e6 / cases[-1][2]:6.1f} MHz", flush=True)
    told("as it is", cases, carry, target.delay)
    if options.fit:
        random = cases[: len(wanted) * len(levels)] or cases
        fanouts = [round(doubled)] if doubled else range(0, 320, 20)  # as measured, if it was
        best = fit(
            [(fabric, period) for _, fabric, period in random],
            target,
            carry,
            of_cells(inside, target.delay),
            fanouts,
        )
        told("fitted", cases, carry, best)
        print(best)


if __name__ == "__main__":
    main()
