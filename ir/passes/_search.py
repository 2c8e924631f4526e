"""Plans that are searched: which counters and chains, level by level, make a number by a deadline per bit.

A state is how many bits there are of each column and when they come. Level by level, column by column,
counters and chains of one group are tried any number of times. Of the states at each level a beam is kept:
those that look cheapest when what is left is reckoned by the number of bits alone. A way ends where chains
can add up what is left in time. See `_arrival` for counters, chains and groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
from numba import njit

from .._typing import F64x2, I8x1, I16x2, I16x3, I32x1, I64x1, I64x2
from ..builder import Literal
from ._arrival import Bit, Plan, columns_of, pareto, ways_to_count, within
from ._tally import Tally

WIDEST = 12
"""Columns of a number at most."""

_AHEAD = 4
"""Levels for which bits that are to come are told apart."""

_INVERTED = _AHEAD
"""Row of a state that counts the bits at hand that need an inverter."""

_GOALS = ((5, 2, 9), (7, 2, 9), (9, 1, 9), (9, 2, 9), (9, 2, 10))
"""Tried: so many bits are reckoned to cost nothing if there are no more at the first deadline but two, or so
many levels later; and the moves."""

_STATES, _BEAM = 400_000, 1_000
"""States kept of each level, times bits and levels, and how many at most."""

_NEAR = 1.06
"""Times the least LUTs at which a plan is good enough."""

_MOST_BITS = 150
"""Bits up to which plans are searched."""

_HISTORY = 1 << 20
"""Moves remembered in a search."""

_NEVER = 1 << 30

# counter or chain, bits that LUTs add of each column, positions of a chain
_MOVES = np.array(
    [
        *((1, 5, 0, 0, 3), (1, 4, 1, 0, 3), (1, 3, 2, 0, 3), (1, 3, 0, 0, 2)),
        *((0, 6, 0, 0, 0), (0, 5, 1, 0, 0), (0, 3, 2, 0, 0), (0, 3, 0, 0, 0), (0, 1, 1, 0, 0)),
        (1, 1, 0, 0, 1),
    ],
    np.int64,
)
_KINDS = len(_MOVES)


def searched_ways(tally: Tally, level: Callable[[Literal], int], levels: Iterable[int] | None) -> list[Plan]:
    """Return the plans of `ways_to_count`, and those that are found for being compared by `levels`.

    None where levels do not count: nothing is searched or drawn.
    """
    found = ways_to_count(tally, level, draws=levels is not None)
    columns = columns_of(tally, level)
    for by in sorted(levels or (), reverse=True):
        best = within(found, by)
        plan = searched(columns, by, below=best.luts if best.compared <= by else _NEVER)
        if plan is not None:
            found = pareto([*found, plan])
        elif best.compared > by:
            break
    return found


def searched(columns: list[list[Bit]], level: int, *, below: int = _NEVER) -> Plan | None:
    """Return the plan of the fewest LUTs that was found to be compared by a level, None if none was.

    Args:
        columns: bits of each column, ascending.
        level: see `Plan.compared`.
        below: only plans of fewer LUTs are worth it.
    """
    width, bits = len(columns), sum(map(len, columns))
    if not 0 < bits <= _MOST_BITS or width > WIDEST:
        return None
    first = min(bit.level for column in columns for bit in column)
    last = max(bit.level for column in columns for bit in column)
    arriving = np.zeros((2, max(last - first + 1, _AHEAD), width), np.int16)
    for w, column in enumerate(columns):
        for bit in column:
            arriving[0, bit.level - first, w] += 1
            arriving[1, bit.level - first, w] += not bit.plain
    deadline = _deadlines(width, level)
    beam = min(_BEAM, _STATES // (bits * max(1, level - first)))
    before, move = np.empty(_HISTORY, np.int32), np.empty(_HISTORY, np.int32)
    best: Plan | None = None
    for left, later, moves in _GOALS:
        goal = int(deadline.min()) - 2 + later - first
        found = _search(
            arriving, deadline - first, _MOVES[:moves], _reckoned(left), goal, beam,
            below if best is None else best.luts, before, move,
        )  # fmt: skip
        if found[0] < 0:
            continue
        way, at = list[int](), int(found[0])
        while at:
            way.append(int(move[at]))
            at = int(before[at])
        plan = _played(columns, arriving, deadline - first, way[::-1], int(found[1]), first)
        if plan is not None and plan.compared <= level and (best is None or plan.luts < best.luts):
            best = plan
            if plan.luts <= _NEAR * _least(bits, width):
                break
    return best


def least(tally: Tally) -> float:
    """LUTs that counting takes in any case."""
    return _least(sum(len(column.singles) for column in tally.columns), tally.width)


def _least(bits: int, width: int) -> float:
    """LUTs that make a number of so many bits: a group of positions takes three to make four bits of nine."""
    return 0.6 * max(0, bits - width)


def _deadlines(width: int, level: int) -> I64x1:
    """Levels of a number's bits so that the fewest LUTs compare it by `level`, int64 `[width]`."""
    steps = max(1, -(-(width - 1) // 2))
    return np.array([level - 1 - min((width - 1 - w) // 2, steps - 1) for w in range(width)], np.int64)


@lru_cache
def _reckoned(left: int) -> F64x2:
    """LUTs that so many bits, all at hand, take by so many levels, float64 `[bits, levels]`."""
    found = np.zeros((4 * _MOST_BITS, 32))
    _reckon(found, left)
    return found


@njit(cache=True, nogil=True)
def _reckon(found: F64x2, left: int) -> None:
    """Fill `found`: a chain makes four bits of nine in two levels, a counter three of six in one."""
    for n in range(left + 1, found.shape[0]):
        for levels in range(found.shape[1]):
            best = 5.0 * (n - left) + 20
            if levels >= 1:
                best = min(best, found[n, levels - 1])
                for m in range(1, n // 6 + 1):
                    best = min(best, 3 * m + found[n - 3 * m, levels - 1])
            if levels >= 2:
                for m in range(1, n // 9 + 1):
                    best = min(best, 3 * m + found[n - 5 * m, levels - 2])
            found[n, levels] = best


@njit(cache=True, nogil=True)
def _take(state: I16x2, w: int, n: int) -> None:
    """Take n of the bits at hand, those with inverters first."""
    state[0, w] -= n
    state[_INVERTED, w] = max(0, state[_INVERTED, w] - n)


@njit(cache=True, nogil=True)
def _move(state: I16x2, w: int, move: I64x1, unplain: I64x1, after: I16x2, taken: I8x1) -> int:
    """Fill `after` with the state after a move in column w; returns its LUTs, -1 where bits are missing.

    `unplain` counts the bits of each column that come with inverters one level later. `taken` is filled with
    the bits of a counter by column, or with whether a chain has a carry-in and bits beside its LUTs.
    """
    width = state.shape[1]
    after[:] = state
    taken[:] = 0
    if move[0] == 0:
        low, high = min(move[1], state[0, w]), move[2]
        if low < move[1] and low < 4:
            return -1
        if high and (w + 1 >= width or state[0, w + 1] < high or low < move[1]):
            return -1
        taken[0], taken[1] = low, high
        _take(after, w, low)
        if high:
            _take(after, w + 1, high)
        made = 0
        while w + made < width and (low + 2 * high) >> made:
            after[1, w + made] += 1
            made += 1
        return made
    positions = move[4]
    if w + positions > width:
        return -1
    if state[1, w] > unplain[w]:
        after[1, w] -= 1
        taken[0] = 1
    elif state[0, w] > move[1] + 1 and state[0, w] - state[_INVERTED, w] > 1:
        after[0, w] -= 1
        taken[0] = 1
    worth, luts, pins = np.int64(taken[0]), 0, 0
    for i in range(positions):
        here = move[1 + i]
        if after[0, w + i] < here:
            return -1
        if after[0, w + i] > here and after[0, w + i] > after[_INVERTED, w + i]:
            taken[1 + i] = 1
            after[0, w + i] -= 1
        elif i == 0:
            return -1
        _take(after, w + i, here)
        pins += here
        luts += pins + taken[1 + i] > 1
        worth += (here + taken[1 + i]) << i
    for i in range(positions):
        after[2, w + i] += 1
    if worth >> positions and w + positions < width:
        after[2, w + positions] += 1
    return luts


@njit(cache=True, nogil=True)
def _end(state: I16x2, now: int, deadline: I64x1, unplain: I64x1, kind: I8x1) -> int:
    """LUTs of the chains that leave a bit per column at most by its deadline, -1 where there are none.

    Fills `kind` by column: 1 where a chain begins, 2 where one with a carry-in begins, 3 where another
    group does, 4 inside of a group, 0 elsewhere.
    """
    width = state.shape[1]
    kind[:] = 0
    w, luts = 0, 0
    while w < width:
        waits = state[1, w] + state[2, w] + state[3, w]
        if state[0, w] + waits <= 1:
            comes = now
            for ahead in range(1, _AHEAD):
                comes += ahead * state[ahead, w]
            if comes > deadline[w]:
                return -1
            w += 1
            continue
        if waits and (waits > 1 or state[1, w] == 0 or unplain[w]):
            return -1
        begin, carry_in = w, waits or state[0, w] > 2
        while w < width:
            left = state[0, w]
            if w == begin:
                left -= carry_in and not waits
            elif left == 0 or state[1, w] + state[2, w] + state[3, w]:
                if left or state[1, w] + state[2, w] + state[3, w]:
                    return -1
                if now + 2 + (w - 1 - begin) // 4 > deadline[w]:
                    return -1
                break
            pins, worth, length = 0, 0, 0
            while w < width and (length == 0 or worth >> length):
                if length:
                    left = state[0, w]
                    if state[1, w] + state[2, w] + state[3, w]:
                        return -1
                beside = int(left > 0)
                pins += left - beside
                if pins > 5 or length == 5 or now + 2 + (w - begin) // 4 > deadline[w]:
                    return -1
                if beside and state[_INVERTED, w] > left - beside:
                    return -1
                luts += pins + beside > 1
                worth += (left - beside) << length
                kind[w] = 4 if length else 3 if w > begin else 2 if carry_in else 1
                length += 1
                w += 1
        w += 1
    return luts


@njit(cache=True, nogil=True)
def _keep(
    states: I16x3, luts: I64x1, node: I64x1, n: int, most: int, more: int, reckoned: F64x2, levels: int
) -> int:
    """Move to the front the `most` cheapest of n states, each but once; returns how many there are.

    `more` bits come later than the states know.
    """
    cost, key = np.empty(n, np.float64), np.empty(n, np.uint64)
    for i in range(n):
        bits, hashed = more, np.uint64(1469598103934665603)
        for row in range(_AHEAD + 1):
            for w in range(states.shape[2]):
                if row < _AHEAD:
                    bits += states[i, row, w]
                hashed = (hashed ^ np.uint64(states[i, row, w])) * np.uint64(1099511628211)
        key[i] = hashed
        cost[i] = luts[i] + reckoned[min(bits, len(reckoned) - 1), max(levels, 0)]
    order = np.argsort(cost, kind="mergesort")
    seen = {np.uint64(0)}
    chosen = np.empty(most, np.int64)
    kept = 0
    for i in order:
        if kept < most and key[i] not in seen:
            seen.add(key[i])
            chosen[kept] = i
            kept += 1
    chosen = chosen[:kept]
    states[:kept], luts[:kept], node[:kept] = states[chosen], luts[chosen], node[chosen]
    return kept


@njit(cache=True, nogil=True)
def _advance(state: I16x2, now: int, arriving: I16x3) -> None:
    """Go on from level `now` to the next."""
    for ahead in range(_AHEAD):
        if ahead == 0:
            state[0] += state[1]
        elif ahead < _AHEAD - 1:
            state[ahead] = state[ahead + 1]
        else:
            state[ahead] = 0
    if now + _AHEAD < arriving.shape[1]:
        state[_AHEAD - 1] += arriving[0, now + _AHEAD]
    if now + 1 < arriving.shape[1]:
        state[_INVERTED] += arriving[1, now + 1]


@njit(cache=True, nogil=True)
def _search(
    arriving: I16x3,
    deadline: I64x1,
    moves: I64x2,
    reckoned: F64x2,
    goal: int,
    beam: int,
    below: int,
    before: I32x1,
    move: I32x1,
) -> tuple[int, int]:
    """Return where the cheapest way of fewer than `below` LUTs ends in `before` and `move`, -1 if none does.

    Args:
        arriving: int16 `[2, levels, width]`, bits by level from the first on, and those with inverters.
        deadline: int64 `[width]`.
        moves: see `_MOVES`.
        reckoned: see `_reckoned`.
        goal: level by which bits are reckoned to be few.
        beam: states kept.
        below: see above.
        before: int32, filled with the move before each, the first being none.
        move: int32, filled with moves, `(level * WIDEST + column) * _KINDS + move`.

    Returns:
        The place, and the level at which the last chains begin.
    """
    width, wide = arriving.shape[2], 4 * beam
    room = 10 * wide
    states = np.zeros((room, _AHEAD + 1, width), np.int16)
    fresh = np.zeros_like(states)
    luts, cost = np.zeros(room, np.int64), np.zeros(room, np.int64)
    node, origin = np.zeros(room, np.int64), np.zeros(room, np.int64)
    after, taken, kind = np.zeros_like(states[0]), np.zeros(4, np.int8), np.zeros(width, np.int8)
    states[0, :_AHEAD] = arriving[0, :_AHEAD]
    states[0, _INVERTED] = arriving[1, 0]
    n, nodes, best, at, ends = 1, 1, below, -1, -1
    for now in range(deadline.max()):
        unplain = np.zeros(width, np.int64)
        if now + 1 < arriving.shape[1]:
            unplain[:] = arriving[1, now + 1]
        more = int(arriving[0, now + _AHEAD :].sum())
        for i in range(n):
            if not more and luts[i] < best:
                end = _end(states[i], now, deadline, unplain, kind)
                if end >= 0 and luts[i] + end < best:
                    best, at, ends = luts[i] + end, node[i], now
        for w in range(width):
            for m in range(len(moves)):
                if now + 1 + moves[m, 0] > deadline[w]:
                    continue
                count = 0
                for i in range(n):
                    if count == room:
                        break
                    fresh[count], cost[count], origin[count] = states[i], luts[i], node[i]
                    count += 1
                    while count < room and nodes < len(before):
                        step = _move(fresh[count - 1], w, moves[m], unplain, after, taken)
                        if step < 0 or cost[count - 1] + step >= best:
                            break
                        before[nodes] = origin[count - 1]
                        move[nodes] = (now * WIDEST + w) * _KINDS + m
                        fresh[count], cost[count], origin[count] = after, cost[count - 1] + step, nodes
                        nodes += 1
                        count += 1
                states, fresh, luts, cost, node, origin = fresh, states, cost, luts, origin, node
                n = count
                if n > wide:
                    n = _keep(states, luts, node, n, wide, more, reckoned, goal - now - 1)
        kept = 0
        for i in range(n):
            late = False
            for w in range(width):
                waits = states[i, 1, w] + states[i, 2, w] + states[i, 3, w]
                late |= deadline[w] == now and (states[i, 0, w] > 1 or waits > 0)
            if not late:
                states[kept], luts[kept], node[kept] = states[i], luts[i], node[i]
                _advance(states[kept], now, arriving)
                kept += 1
        more = int(arriving[0, now + 1 + _AHEAD :].sum())
        n = _keep(states, luts, node, kept, beam, more, reckoned, goal - now - 1) if kept else 0
    return at, ends


def _played(
    columns: list[list[Bit]], arriving: I16x3, deadline: I64x1, moves: list[int], ends: int, first: int
) -> Plan | None:
    """Return the plan that moves and the last chains make, None where bits need inverters after all."""
    found = Plan([list(column) for column in columns], sum(map(len, columns)))
    width = found.width
    state = np.zeros((_AHEAD + 1, width), np.int16)
    state[:_AHEAD], state[_INVERTED] = arriving[0, :_AHEAD], arriving[1, 0]
    after, taken, kind = state.copy(), np.zeros(4, np.int8), np.zeros(width, np.int8)
    at = 0
    for now in range(ends + 1):
        unplain = np.zeros(width, np.int64)
        if now + 1 < arriving.shape[1]:
            unplain[:] = arriving[1, now + 1]
        while at < len(moves) and moves[at] // _KINDS // WIDEST == now:
            w, move = moves[at] // _KINDS % WIDEST, _MOVES[moves[at] % _KINDS]
            _move(state, w, move, unplain, after, taken)
            state[:] = after
            at += 1
            if move[0] == 0:
                low, high = (_picked(found, w + i, int(taken[i]), first + now) for i in range(2))
                found.counter(w, low, high)
                continue
            carry_in = found.take_plain(w, first + now + 1) if taken[0] else None
            beside = [found.take_plain(w + i, first + now) if taken[1 + i] else None for i in range(move[4])]
            added = [_picked(found, w + i, int(move[1 + i]), first + now) for i in range(move[4])]
            if sum(bit is not None for bit in (carry_in, *beside)) < taken.sum():
                return None
            found.chain(w, carry_in, [(added, beside)])
        if now < ends:
            _advance(state, now, arriving)
    _end(state, ends, deadline, unplain, kind)
    w = 0
    while w < width:
        if kind[w] not in (1, 2):
            w += 1
            continue
        begin, groups = w, list[tuple[list[list[Bit]], list[Bit | None]]]()
        carry_in = found.take_plain(w, first + ends + 1) if kind[w] == 2 else None
        while w < width and (w == begin or kind[w] in (3, 4)):
            if kind[w] != 4:
                groups.append(([], []))
            groups[-1][1].append(found.take_plain(w))
            groups[-1][0].append(found.take(w, len(found.columns[w])))
            w += 1
        found.chain(begin, carry_in, groups)
    return found if max(found.heights(), default=0) <= 1 else None


def _picked(found: Plan, w: int, n: int, now: int) -> list[Bit]:
    """Take n bits of column w that have come by level `now`, those with inverters first."""
    if not n:
        return []
    ready = found.columns[w][: found.ready(w, now)]
    taken = sorted(ready, key=lambda bit: (bit.plain, bit))[:n]
    for bit in taken:
        found.columns[w].remove(bit)
    return taken
