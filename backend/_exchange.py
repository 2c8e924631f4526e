"""Compiled loops of `exchange`: nets lifted and laid again, what they meet, where a cell could stand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


@njit(cache=True, nogil=True)
def lift(order: I32, tree_at: I64, tree_size: I32, tree_wire: I32, occupied: I32) -> None:
    """Take up nets: their wires are free, their trees empty; see `route` for the arrays."""
    for net in order:
        for i in range(tree_at[net], tree_at[net] + tree_size[net]):
            occupied[tree_wire[i]] -= 1
        tree_size[net] = 0


@njit(cache=True, nogil=True)
def lay(
    order: I32, at: I64, size: I32, tree_at: I64, tree_size: I32, tree_wire: I32, occupied: I32
) -> None:  # fmt: skip
    """Give lifted nets trees that stand at `at` and are `size` long, `[order]`."""
    for k in range(len(order)):
        net = order[k]
        tree_at[net], tree_size[net] = at[k], size[k]
        for i in range(at[k], at[k] + size[k]):
            occupied[tree_wire[i]] += 1


@njit(cache=True, nogil=True)
def own(order: I32, tree_at: I64, tree_size: I32, tree_wire: I32, owner: I32) -> None:
    """Write the nets of `order` as owners of their wires."""
    for net in order:
        for i in range(tree_at[net], tree_at[net] + tree_size[net]):
            owner[tree_wire[i]] = net


@njit(cache=True, nogil=True)
def meet(
    order: I32, tree_at: I64, tree_size: I32, tree_wire: I32, occupied: I32, owner: I32, history: F32,
    rise: float, inside: Bool, met: I32, shares: Bool, raised: I32,
) -> tuple[int, int]:  # fmt: skip
    """Find what the nets of `order` share.

    Args:
        order: nets that are routed together.
        tree_at: see `route`.
        tree_size: likewise.
        tree_wire: likewise.
        occupied: likewise.
        owner: net that has each wire outside `order`, -1 for none.
        history: see `route`.
        rise: what is added to it for each net on a wire that is shared.
        inside: `[nets]`, those of `order`, and then of `met`, too.
        met: owners outside `order` of what is shared, written.
        shares: `[nets]`, written for those of `order`.
        raised: wires whose history was made higher, written.

    Returns:
        How many were met, how many wires were raised.
    """
    found, many = 0, 0
    for net in order:
        shares[net] = False
        for i in range(tree_at[net], tree_at[net] + tree_size[net]):
            wire = tree_wire[i]
            if occupied[wire] > 1:
                shares[net] = True
                if many < len(raised):
                    history[wire] += rise
                    raised[many] = wire
                    many += 1
                other = owner[wire]
                if other >= 0 and not inside[other]:
                    inside[other] = True
                    met[found] = other
                    found += 1
    return found, many


@njit(cache=True, nogil=True)
def weigh(
    a: int, x: I32, y: I32, z: I32, slots: I32, cell: I32, start: I32, other: I32, leaves: Bool,
    delay: F32, limit: float, power: float, found: F64,
) -> None:  # fmt: skip
    """Estimate what it costs to let a cell change places with what is in each slot.

    Args:
        a: the cell.
        x: see `settle`.
        y: likewise.
        z: likewise.
        slots: column, row and number of each, `[slots, 3]`.
        cell: in each, -1 for none.
        start: see `settle`.
        other: likewise.
        leaves: likewise.
        delay: picoseconds `[numbers, numbers, columns, rows]`, see `settle`.
        limit: picoseconds that no wire of either may take.
        power: of a wire's delay in its cost.
        found: `[slots]`, written; infinite where a wire would take longer.
    """
    from_x, from_y, from_z = x[a], y[a], z[a]
    for s in range(len(slots)):
        b = cell[s]
        found[s] = np.inf
        if b == a:
            continue
        x[a], y[a], z[a] = slots[s, 0], slots[s, 1], slots[s, 2]
        if b >= 0:
            x[b], y[b], z[b] = from_x, from_y, from_z
        sum_ = _stands(a, x, y, z, start, other, leaves, delay, limit, power)
        if b >= 0 and sum_ < np.inf:
            sum_ += _stands(b, x, y, z, start, other, leaves, delay, limit, power)
        found[s] = sum_
        if b >= 0:
            x[b], y[b], z[b] = slots[s, 0], slots[s, 1], slots[s, 2]
    x[a], y[a], z[a] = from_x, from_y, from_z


@njit(cache=True, nogil=True)
def cycles(
    a: int, x: I32, y: I32, z: I32, slots: I32, cell: I32, start: I32, other: I32, leaves: Bool,
    delay: F32, limit: float, power: float, cost: F64, to: I32, on: I32,
) -> int:  # fmt: skip
    """Find the best ways to let a cell go to a slot, what is there to another, and what is there back.

    Args:
        a: the cell.
        x: see `settle`.
        y: likewise.
        z: likewise.
        slots: see `weigh`.
        cell: likewise.
        start: see `settle`.
        other: likewise.
        leaves: likewise.
        delay: see `weigh`.
        limit: likewise.
        power: likewise.
        cost: of the ways that were found, written.
        to: the cell's slot in each, written.
        on: the slot of what was there, which may be free, written.

    Returns:
        How many there are.
    """
    found, worst = 0, 0
    back_x, back_y, back_z = x[a], y[a], z[a]
    for s in range(len(slots)):
        b = cell[s]
        if b < 0 or b == a:
            continue
        x[a], y[a], z[a] = slots[s, 0], slots[s, 1], slots[s, 2]
        if _stands(a, x, y, z, start, other, leaves, delay, limit, power) < np.inf:
            for t in range(len(slots)):
                c = cell[t]
                if t == s or c == a:
                    continue
                x[b], y[b], z[b] = slots[t, 0], slots[t, 1], slots[t, 2]
                sum_ = _stands(b, x, y, z, start, other, leaves, delay, limit, power)
                if sum_ < np.inf:
                    if c >= 0:
                        x[c], y[c], z[c] = back_x, back_y, back_z
                        sum_ += _stands(c, x, y, z, start, other, leaves, delay, limit, power)
                        # b may be joined to c, which has moved
                        sum_ += _stands(b, x, y, z, start, other, leaves, delay, limit, power)
                    sum_ += _stands(a, x, y, z, start, other, leaves, delay, limit, power)
                    if c >= 0:
                        x[c], y[c], z[c] = slots[t, 0], slots[t, 1], slots[t, 2]
                if sum_ < np.inf and (found < len(cost) or sum_ < cost[worst]):
                    k = found if found < len(cost) else worst
                    cost[k], to[k], on[k] = sum_, s, t
                    found = min(found + 1, len(cost))
                    if found == len(cost):
                        worst = int(np.argmax(cost))
            x[b], y[b], z[b] = slots[s, 0], slots[s, 1], slots[s, 2]
    x[a], y[a], z[a] = back_x, back_y, back_z
    return found


@njit(cache=True, nogil=True)
def _stands(
    m: int, x: I32, y: I32, z: I32, start: I32, other: I32, leaves: Bool, delay: F32, limit: float,
    power: float,
) -> float:  # fmt: skip
    """Cost of the wires of a cell; infinite where one takes longer than the limit."""
    half_x, half_y = delay.shape[2] // 2, delay.shape[3] // 2
    sum_ = 0.0
    for wire in range(start[m], start[m + 1]):
        o = np.int64(other[wire])
        u, v = (np.int64(m), o) if leaves[wire] else (o, np.int64(m))
        dx, dy = x[u] - x[v], y[u] - y[v]
        if abs(dx) > half_x or abs(dy) > half_y:
            return np.inf
        d = delay[z[u], z[v], half_x + dx, half_y + dy]
        if d > limit:
            return np.inf
        sum_ += float((d / limit) ** power)
    return sum_
