"""Mapping once more around carry chains: what they read and make stays, all other LUTs may change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lgc.errors import LgcError

from .._typing import Bool1, I64x1, I64x2
from ..carry import GONE, Chains
from ..netlist import Netlist
from ._squeeze import squeeze


def squeeze_around(
    net: Netlist, chains: Chains, k: int, *, parts: tuple[int, ...] = ()
) -> tuple[Netlist, Chains]:
    """Return `net` and its chains with fewer LUTs, or as they are; see `squeeze`.

    Sums and carries become inputs while the rest is mapped, what the chains read becomes outputs.

    Args:
        net: LUTs of at most k pins, no readout.
        chains: its carry chains.
        k: pins per LUT.
        parts: LUTs up to the end of each part but the last, ascending; a part reads none that follow, and
            what stems from it comes before them again.
    """
    rows = chains.free(net)
    kept = _beside(net, chains, rows)
    inner, made = _cut(net, chains, rows, kept)
    mapped = squeeze(inner, k)
    if mapped.luts >= inner.luts:
        return net, chains
    try:
        found = _joined(net, chains, rows, kept, mapped, made, parts)
        found[1].check(found[0])
    except LgcError:
        return net, chains
    return found


def _beside(net: Netlist, chains: Chains, rows: Bool1) -> I64x1:
    """LUTs beside the first of a chain with a carry-in: they must stay among its pins."""
    begin = chains.start[:-1][np.diff(chains.start) > 0]
    carried = begin[chains.below()[begin] > 1]
    return _outside(net, chains.generate[carried], rows)


def _outside(net: Netlist, literals: I64x1, rows: Bool1) -> I64x1:
    """Signals of literals that are LUTs outside of the chains, ascending."""
    signals = np.unique(literals[literals != GONE] >> 1)
    signals = signals[signals >= net.first_lut]
    found: I64x1 = signals[~rows[signals - net.first_lut]]
    return found


def _cut(net: Netlist, chains: Chains, rows: Bool1, kept: I64x1) -> tuple[Netlist, I64x1]:
    """Return the LUTs outside of the chains, and the signals of `net` that its outputs are."""
    cut = np.concatenate([net.first_lut + np.flatnonzero(rows), kept])
    inputs = net.inputs + len(cut)
    signal = np.arange(net.signals, dtype=np.int32)
    signal[net.first_lut :] = inputs + 1 + np.cumsum(~rows, dtype=np.int32)
    driver = signal.copy()
    signal[cut] = net.first_lut + np.arange(len(cut))
    literals = [chains.propagate, chains.generate, chains.carry_in, chains.sum, chains.carry]
    made = _outside(net, np.concatenate([2 * net.outputs.astype(np.int64), *literals]), rows)
    inner = Netlist(inputs, signal[net.fanin[~rows]], net.table[~rows], driver[made])
    return inner, made


def _joined(
    net: Netlist,
    chains: Chains,
    rows: Bool1,
    kept: I64x1,
    mapped: Netlist,
    made: I64x1,
    parts: tuple[int, ...],
) -> tuple[Netlist, Chains]:
    """Put the chains back between the mapped LUTs."""
    own = np.flatnonzero(rows)
    # numbered as in `net`, first the LUTs that were mapped, then sums and carries
    signal = np.full(net.signals, GONE, np.int64)
    signal[: net.first_lut] = np.arange(net.first_lut)
    signal[net.first_lut + own] = net.first_lut + mapped.luts + np.arange(len(own))
    of = np.arange(mapped.signals, dtype=np.int64)
    of[mapped.first_lut :] -= len(own) + len(kept)
    of[net.first_lut : net.first_lut + len(own)] = signal[net.first_lut + own]
    at = np.searchsorted(made, kept)
    of[net.first_lut + len(own) : mapped.first_lut] = of[mapped.outputs[at]]
    signal[made] = of[mapped.outputs]
    fanin = np.zeros((mapped.luts + len(own), net.k), np.int64)
    fanin[: mapped.luts, : mapped.k] = of[mapped.fanin]
    fanin[mapped.luts :] = signal[net.fanin[own]]
    table = np.concatenate([mapped.table.astype(net.table.dtype), net.table[own]])
    assert mapped.origin is not None
    lut = np.append(np.flatnonzero(~rows), net.luts)  # inverters come last
    origin = np.concatenate([lut[mapped.origin], own]).astype(np.int32)
    order = _order(fanin, net.first_lut, np.searchsorted(parts, origin, side="right"))
    place = np.arange(net.first_lut + len(fanin), dtype=np.int64)
    place[net.first_lut + order] = net.first_lut + np.arange(len(order))
    signal = np.where(signal == GONE, GONE, place[signal])
    after = replace(
        net,
        fanin=place[fanin[order]].astype(np.int32),
        table=table[order],
        outputs=signal[net.outputs].astype(np.int32),
        origin=origin[order],
        stage=None,
    )
    return after, _renumbered(chains, signal)


def _order(fanin: I64x2, first: int, part: I64x1) -> I64x1:
    """Rows in topological order, part by part.

    Raises:
        LgcError: there is a cycle.
    """
    level = np.zeros(first + len(fanin), np.int64)
    for _ in range(len(fanin) + 1):
        deeper = level[fanin].max(axis=1, initial=0) + 1
        if np.array_equal(deeper, level[first:]):
            return np.lexsort((level[first:], part))
        level[first:] = deeper
    raise LgcError("The LUTs around carry chains need each other's results.")


def _renumbered(chains: Chains, signal: I64x1) -> Chains:
    """Return the chains over new signals; a constant's literal is itself."""

    def moved(literal: I64x1) -> I64x1:
        new = signal[np.maximum(literal, 0) >> 1]
        if (new[literal >= 0] == GONE).any():
            raise LgcError("A signal of a carry chain is gone.")
        changed = np.where(literal < 2, literal, np.where(new < 2, new, 2 * new) ^ (literal & 1))
        found: I64x1 = changed.astype(np.int64)
        return found

    found = (chains.carry_in, chains.propagate, chains.generate, chains.sum, chains.carry)
    return Chains(chains.start, *map(moved, found))
