"""Exchanging cells of a routed design where wires are late.

Cells stand where the least delays of their wires are best, but a few wires do not get the tracks that these
take, too many want the same. Here a cell at an end of a late wire changes places with another one, the nets
of both are routed anew and negotiate with all that they meet, and that stays if nothing is as late as it was.
Where no two cells can, three change places, or two make room for one. First all wires are to be as quick as
the router's goal, then the slowest becomes quicker, step by step, in a design that is always complete.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from ._exchange import cycles, lay, lift, meet, own, weigh
from ._settle import SLOTS
from .refine import Cells, joined, put
from .router import HIGHEST, HISTORY, IDLE, Router, pin

_LOG = logging.getLogger(__name__)

TELL = 100
"""Exchanges tried between two records of where they stand."""

TRIED, WINDOWS = 40, 2
"""Places tried for a late wire at a time, and how often others when nothing helped."""

TURNS = 100
"""Exchanges of three tried for a late wire at a time."""

EFFORT, LEAST_EFFORT = 50, 10_000
"""Nets that may be routed in all, for each and times the cube root of their number; at least."""

LOWER = 0.97
"""What is aimed at next where all wires are quick enough, of the slowest."""

SHAKEN, FEW, MOVES = 12, 40, 6
"""How often cells around late wires are moved at random where nothing else helps and so few are late; moves
for each wire."""

PIN, STAY = -1, -1
"""What is no cell here, and no slot."""

POWER = 12.0
"""Places are tried in the order of the sum of their wires' delays to this power."""

ROUNDS, NETS = 60, 200
"""Rounds that a negotiation may last, and nets that it may come to."""

FULL = 0.9
"""Share of the router's memory that one may take."""

FIRST, LATER, SOONER, LEAST, MOST_LATE = 4.0, 1.6, 0.97, 0.05, 50.0
"""How a sink's delay weighs against tracks where its net is moved, what that is multiplied by in each round
where it is late and where not, and its bounds."""

I32 = npt.NDArray[np.int32]
_Move = tuple[int, tuple[int, ...], tuple[int, ...]]
"""A cell, its place and another."""


class Exchange:
    """Cells that may change places, and the routed nets between them."""

    def __init__(
        self, router: Router, cells: Cells, tiles: set[tuple[int, int]], delay: npt.NDArray[np.float32]
    ) -> None:
        self.router, self.cells, self.delay, self.nets = router, cells, delay, router.nets
        nets = router.nets
        self.fan = np.diff(nets.first)
        self.net_of = np.repeat(np.arange(len(self.fan), dtype=np.int32), self.fan)
        number = {name: i for i, names in enumerate(cells.members) for name in names}
        self.driver = np.array([number.get(cell, PIN) for cell, _ in nets.drives])
        self.reader = np.array([number.get(cell, PIN) for cell, _ in nets.reads])
        self.drives: list[list[int]] = [[] for _ in cells.members]
        self.reads: list[list[int]] = [[] for _ in cells.members]
        for net in np.flatnonzero(self.driver != PIN).tolist():
            self.drives[self.driver[net]].append(net)
        for sink in np.flatnonzero(self.reader != PIN).tolist():
            self.reads[self.reader[sink]].append(sink)
        self.x, self.y, self.z = (cells.place[:, axis].copy() for axis in range(3))
        self.slots = np.array(
            [(x, y, z) for x, y in sorted(tiles - cells.taken) for z in range(SLOTS)], np.int32
        )
        self.slot = {tuple(at): s for s, at in enumerate(self.slots.tolist())}
        self.cell = np.full(len(self.slots), -1, np.int32)
        for i in np.flatnonzero(cells.plain).tolist():
            self.cell[self.slot[tuple(cells.place[i].tolist())]] = i
        self.start, self.other, self.leaves = joined(cells.wires, len(cells.place))
        self.owner = np.full(len(router.occupied), -1, np.int32)
        everything = np.arange(len(self.fan), dtype=np.int32)
        self._own(everything)
        router.measure(everything)
        # how long the rest of such a path may take is not known: it becomes no longer
        self.timed = nets.timed
        self.limit = np.where(nets.weight == np.float32(IDLE), np.iinfo(np.int32).max, router.taken)
        self.weight = np.ones(len(nets.sink), np.float32)
        self.inside, self.shares = np.zeros(len(self.fan), np.bool_), np.zeros(len(self.fan), np.bool_)
        self.met, self.raised = np.empty(len(self.fan), np.int32), np.empty(1 << 16, np.int32)
        self.effort = max(LEAST_EFFORT, int(EFFORT * len(self.fan) ** (4 / 3)))
        self.cost = np.empty(len(self.slots))
        self.tried = self.made = self.routed = 0

    def run(self, rng: np.random.Generator) -> None:
        """Exchange until nothing that is tried helps any more."""
        goal = int(self.router.goal)
        while self.routed < self.effort and goal > 0:
            before = self._late(goal).size
            self._hasten(rng, goal)
            if self._late(goal).size:
                self._slowest(rng)
            late = self._late(goal).size
            if late and late >= before:
                break
            if not late:
                goal = int(LOWER * self.router.taken[self.timed].max(initial=0))
        self.router.taken[~self.timed] = 0

    def _late(self, limit: int) -> npt.NDArray[np.int64]:
        return np.flatnonzero((self.router.taken > limit) & self.timed)

    def _hasten(self, rng: np.random.Generator, goal: int) -> None:
        """Make wires as quick as the goal, one by one; no other becomes later than it, or than it was."""
        taken, timed = self.router.taken, self.timed
        turns, shaken = False, 0
        while (late := self._late(goal)).size and self.routed < self.effort:
            before = self.made
            for sink in rng.permutation(late).tolist():
                if taken[sink] > goal and self.routed < self.effort:
                    self.limit[timed] = np.maximum(goal, taken[timed])
                    self.limit[sink] = goal
                    self._help(sink, 0, turns=turns)
            if self.made == before:
                if turns and (shaken == SHAKEN or late.size > FEW):
                    break
                if turns:
                    shaken += 1
                    self._shake(rng, late, goal)
                turns = True

    def _shake(self, rng: np.random.Generator, late: npt.NDArray[np.int64], goal: int) -> None:
        """Let cells near late wires change places at random, as long as that makes nothing late."""
        self.limit[self.timed] = np.maximum(goal, self.router.taken[self.timed])
        for sink in late.tolist():
            ends = self._ends(sink)
            joined = [self.other[self.start[cell] : self.start[cell + 1]].tolist() for cell in ends]
            near = ends + [cell for cells in joined for cell in cells]
            for cell in rng.permutation(near)[:MOVES].tolist():
                if self.cells.plain[cell]:
                    places = self._places(cell, goal, MOVES)
                    if places:
                        self.exchange(cell, places[int(rng.integers(len(places)))][2])

    def _slowest(self, rng: np.random.Generator) -> None:
        """Make the slowest wires quicker; no other becomes as slow as they were."""
        taken, timed = self.router.taken, self.timed
        window, slowest = 0, int(taken[timed].max(initial=0))
        # three cells only where the goal is missed: they take long
        while window < WINDOWS + (slowest > self.router.goal) and self.routed < self.effort:
            self.limit[timed] = slowest - 1
            before = self.made
            for sink in rng.permutation(self._late(slowest - 1)).tolist():
                if taken[sink] > self.limit[sink]:
                    self._help(sink, window, turns=window == WINDOWS)
            window = window + 1 if self.made == before else 0
            slowest = int(taken[timed].max(initial=0))

    def _help(self, sink: int, window: int, *, turns: bool) -> None:
        """Try exchanges for a late sink until one helps."""
        if not turns:
            any(self.routed >= self.effort or self.exchange(*move) for move in self._candidates(sink, window))
        else:
            any(self.routed >= self.effort or self.turn(moved) for moved in self._turns(sink))

    def _ends(self, sink: int) -> list[int]:
        """Cells at the ends of a wire that may move."""
        ends = int(self.driver[self.net_of[sink]]), int(self.reader[sink])
        return [cell for cell in ends if cell != PIN and self.cells.plain[cell]]

    def _candidates(self, sink: int, window: int) -> list[tuple[int, int]]:
        """Return cells at the ends of a wire and slots that they might go to, at first one that stays."""
        found, stay = [], (int(self.reader[sink]), STAY)
        for cell in self._ends(sink):
            found += self._places(cell, float(self.limit[sink]), TRIED * (window + 1))
        tried = [(cell, slot) for _, cell, slot in sorted(found)]
        return ([] if window else [stay]) + tried[TRIED * window : TRIED * (window + 1)]

    def _places(self, cell: int, limit: float, most: int) -> list[tuple[float, int, int]]:
        """Return what it costs, the cell, and slots that it may go to with no wire longer than a limit."""
        weigh(
            cell, self.x, self.y, self.z, self.slots, self.cell, self.start, self.other, self.leaves,
            self.delay, limit, POWER, self.cost,
        )  # fmt: skip
        best = np.argsort(self.cost, kind="stable")[:most].tolist()
        return [(float(self.cost[s]), cell, s) for s in best if np.isfinite(self.cost[s])]

    def _turns(self, sink: int) -> list[list[_Move]]:
        """Return exchanges of three for an end of a wire, or of it, another cell and a free slot."""
        found = []
        for cell in self._ends(sink):
            cost, to, on = np.empty(TURNS), np.empty(TURNS, np.int32), np.empty(TURNS, np.int32)
            many = cycles(
                cell, self.x, self.y, self.z, self.slots, self.cell, self.start, self.other, self.leaves,
                self.delay, float(self.limit[sink]), POWER, cost, to, on,
            )  # fmt: skip
            found += [(cost[i], cell, int(to[i]), int(on[i])) for i in range(many)]
        turns = []
        for _, cell, s, t in sorted(found)[:TURNS]:
            second, third = int(self.cell[s]), int(self.cell[t])
            here, there, beyond = self._place(cell), *(tuple(self.slots[i].tolist()) for i in (s, t))
            turn = [(cell, here, there), (second, there, beyond)]
            turns.append(turn + ([(third, beyond, here)] if third >= 0 else []))
        return turns

    def exchange(self, cell: int, slot: int) -> bool:
        """Let a cell and what is in a slot change places if no sink is later than its limit then.

        Returns:
            Whether they did.
        """
        if slot == STAY:
            return self._routed([cell], [])
        here, there, other = self._place(cell), tuple(self.slots[slot].tolist()), int(self.cell[slot])
        return self.turn([(cell, here, there)] + ([(other, there, here)] if other >= 0 else []))

    def turn(self, moved: list[_Move]) -> bool:
        """Let cells move, each from its place to another, if no sink is later than its limit then.

        Returns:
            Whether they did.
        """
        if not self._routed([cell for cell, _, _ in moved], moved):
            return False
        for _, here, _ in moved:
            self.cell[self.slot[here]] = -1
        for cell, _, there in moved:
            self.cell[self.slot[there]] = cell
        return True

    def _routed(self, around: list[int], moved: list[_Move]) -> bool:
        """Move cells and route the nets of some anew, if no sink is later than its limit then."""
        router = self.router
        self.tried += 1
        if self.tried % TELL == 0:
            late, slowest = self._late(int(router.goal)).size, router.taken[self.timed].max(initial=0) / 1e3
            said = "Exchanging cells: %d of %d, %d wires late, slowest %.2f ns."
            _LOG.debug(said, self.made, self.tried, late, slowest)
        if router.used > len(router.tree_wire) // 2:
            router.compact()
        touched = {net for c in around for net in self.drives[c]}
        touched |= {int(self.net_of[sink]) for c in around for sink in self.reads[c]}
        group = np.array(sorted(touched), np.int32)
        used, kept = router.used, [self._copy(group)]
        sinks = self._sinks(group)
        self.weight[sinks] = np.where(self.timed[sinks], FIRST, self.nets.weight[sinks])
        lift(group, router.tree_at, router.tree_size, router.tree_wire, router.occupied)
        for c, _, to in moved:
            self._stand(c, to)
        done = self._negotiate(kept)
        group = np.concatenate([order for order, *_ in kept])
        if done:
            for _, at, size, _ in kept:
                for a, n in zip(at.tolist(), size.tolist(), strict=True):
                    self.owner[router.tree_wire[a : a + n]] = -1
            self._own(group)
            self.made += 1
            return True
        lift(group, router.tree_at, router.tree_size, router.tree_wire, router.occupied)
        for order, at, size, taken in kept:
            lay(order, at, size, router.tree_at, router.tree_size, router.tree_wire, router.occupied)
            router.taken[self._sinks(order)] = taken
        for c, back, _ in moved:
            self._stand(c, back)
        router.used = used
        return False

    def _negotiate(self, kept: list[Any]) -> bool:
        """Route the nets in `kept` and all that they meet, which are added; return whether none is late."""
        router, group, raised = self.router, kept[0][0], []
        order, done = group, False
        self.inside[group] = True
        for _ in range(ROUNDS):
            crit = self.weight / (1 + self.weight)
            key = np.maximum.reduceat(crit[self._sinks(order)], np.cumsum(self.fan[order]) - self.fan[order])
            order = order[np.argsort(-key, kind="stable")]
            self.routed += len(order)
            if router.route(order, crit, HIGHEST) or router.used > FULL * len(router.tree_wire):
                break
            router.measure(order)
            many, wires = meet(
                group, router.tree_at, router.tree_size, router.tree_wire, router.occupied, self.owner,
                router.history, HISTORY, self.inside, self.met, self.shares, self.raised,
            )  # fmt: skip
            raised.append(self.raised[:wires].copy())
            if many:
                more = np.sort(self.met[:many])
                kept.append(self._copy(more))
                sinks = self._sinks(more)
                ratio = 2.0 * (router.taken[sinks] / np.maximum(self.limit[sinks], 1)) ** 3
                self.weight[sinks] = np.where(self.timed[sinks], ratio, self.nets.weight[sinks])
                self.shares[more] = True
                group = np.concatenate([group, more])
                if len(group) > NETS:
                    break
            sinks = self._sinks(group)
            late, shares = router.taken[sinks] > self.limit[sinks], group[self.shares[group]]
            done = not (len(shares) or late.any())
            if done or (not len(shares) and self.weight[sinks[late]].min() >= MOST_LATE):
                break
            change = np.where(late, LATER, SOONER)
            self.weight[sinks] = np.clip(self.weight[sinks] * change, LEAST, MOST_LATE)
            order = np.unique(np.concatenate([shares, self.net_of[sinks[late]]]))
        self.inside[group] = False
        for wires_ in raised:
            router.history[wires_] = 1
        return done

    def _place(self, cell: int) -> tuple[int, ...]:
        return int(self.x[cell]), int(self.y[cell]), int(self.z[cell])

    def _stand(self, cell: int, place: tuple[int, ...]) -> None:
        """Let a cell be at a place, with its pins."""
        router, nets = self.router, self.nets
        x, y, z = place
        self.x[cell], self.y[cell], self.z[cell] = place
        for net in self.drives[cell]:
            nets.source[net] = pin(router.wires, nets.drives[net][1], x, y, z)
        for sink in self.reads[cell]:
            nets.sink[sink] = pin(router.wires, nets.reads[sink][1], x, y, z)
            router.at_x[sink], router.at_y[sink] = x, y

    def _sinks(self, nets: I32) -> npt.NDArray[np.int64]:
        """Numbers of the sinks of nets."""
        size = self.fan[nets]
        return np.repeat(self.nets.first[nets] - (np.cumsum(size) - size), size) + np.arange(size.sum())

    def _copy(self, nets: I32) -> tuple[Any, ...]:
        """Where the trees of nets are, and what their sinks take."""
        router = self.router
        return nets, router.tree_at[nets], router.tree_size[nets], router.taken[self._sinks(nets)]

    def _own(self, nets: I32) -> None:
        own(nets, self.router.tree_at, self.router.tree_size, self.router.tree_wire, self.owner)


def exchange(
    module: dict[str, Any],
    router: Router,
    cells: Cells,
    tiles: set[tuple[int, int]],
    delay: npt.NDArray[np.float32],
    *,
    seed: int,
) -> int:
    """Exchange plain cells of a routed design until its slowest wire is as quick as can be.

    Args:
        module: nextpnr's netlist, in which they are placed anew.
        router: that has found ways for all nets, changed with them.
        cells: of the netlist.
        tiles: column and row of those that hold logic.
        delay: picoseconds `[numbers, numbers, columns, rows]`, see `settle`.
        seed: of the order of late wires.

    Returns:
        How many exchanges were made.
    """
    found = Exchange(router, cells, tiles, delay)
    before = int(router.taken[router.nets.timed].max(initial=0))
    found.run(np.random.default_rng(seed))
    put(
        module, cells, np.flatnonzero(cells.plain), np.stack([found.x, found.y, found.z], axis=1)[cells.plain]
    )
    _LOG.info(
        "%d of %d exchanges: %d ps, then %d.", found.made, found.tried, before, router.taken.max(initial=0)
    )
    return found.made
