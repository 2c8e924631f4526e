"""What the nodes of a hardened network have become: constants, wires, inverters or logic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._typing import Bool2, I32x2, I64x1

KINDS = ("constant", "pass", "invert", "logic")
"""Kinds of nodes: no input matters, one does (as it is or inverted), or several."""
_DIFFLOGIC_ROW = (3, 1, 2, 0)
"""Bit of a difflogic gate's number that holds lgc's table row (a + 2 b)."""


def kinds(fanin: I32x2, table: Bool2) -> I64x1:
    """Classify nodes by what their tables depend on, a source read twice counting once.

    Args:
        fanin: sources `[nodes, k]`.
        table: truth tables `[nodes, 2**k]`, row r having pin p at bit p.

    Returns:
        Index into `KINDS`, int64 `[nodes]`.
    """
    table = _reachable(fanin, table)
    rows = np.arange(table.shape[1])
    matters = [(table != table[:, rows ^ (1 << p)]).any(axis=1) for p in range(fanin.shape[1])]
    count = np.sum(matters, axis=0)
    return np.select([count == 0, count > 1, table[:, 0]], [0, 3, 2], 1).astype(np.int64)


def _reachable(fanin: I32x2, table: Bool2) -> Bool2:
    """Rewrite tables so that of pins with the same source only the first one matters."""
    k = fanin.shape[1]
    first = (fanin[:, :, None] == fanin[:, None, :]).argmax(axis=2)
    rows = np.arange(1 << k)
    seen = np.zeros(table.shape, np.int64)
    for p in range(k):
        seen |= ((rows >> first[:, p, None]) & 1) << p
    out: Bool2 = np.take_along_axis(table, seen, axis=1)
    return out


def gates(table: Bool2) -> I64x1:
    """Count nodes of two inputs by gate, numbered as in difflogic (arXiv 2210.08277, table 1); int64 `[16]`.

    Args:
        table: truth tables `[nodes, 4]`.
    """
    number = (table.astype(np.int64) << np.array(_DIFFLOGIC_ROW)).sum(axis=1)
    return np.bincount(number, minlength=16)


def summary(layers: Sequence[tuple[I32x2, Bool2]]) -> dict[str, Any]:
    """Describe hardened layers, each its sources and truth tables as in `kinds`; values fit for JSON.

    Returns:
        `usage`, the share of each kind among all nodes; `layers`, for each its counts by kind and,
        with two inputs, by gate.
    """
    found = [kinds(fanin, table) for fanin, table in layers]
    counts = [np.bincount(kind, minlength=len(KINDS)) for kind in found]
    total = np.sum(counts, axis=0)
    described = []
    for (_, table), count in zip(layers, counts, strict=True):
        entry: dict[str, Any] = dict(zip(KINDS, count.tolist(), strict=True))
        described.append(entry | ({"gates": gates(table).tolist()} if table.shape[1] == 4 else {}))
    shares = (total / max(int(total.sum()), 1)).round(6).tolist()
    return {"usage": dict(zip(KINDS, shares, strict=True)), "layers": described}
