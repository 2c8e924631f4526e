"""The netlist verifier: every pass must leave what this accepts."""

from __future__ import annotations

import numpy as np

from lgc.errors import LgcError

from .netlist import Netlist, table_dtype

_ROWS = 1 << 18
"""LUTs looked at together: temporaries of a few MiB, however large the netlist."""


def check(net: Netlist) -> None:
    """Raise `LgcError`, naming the first offending LUT or signal, unless `net` is well formed."""
    _check_arrays(net)
    _check_luts(net)
    _check_roots(net)


def _check_arrays(net: Netlist) -> None:
    if net.fanin.ndim != 2 or net.fanin.dtype != np.int32:
        raise LgcError(f"fanin must be an int32 matrix [luts, k], not {net.fanin.dtype}{net.fanin.shape}.")
    expected = table_dtype(net.k)
    if net.table.dtype != expected or net.table.shape != (net.luts,):
        raise LgcError(
            f"table must be {expected}[{net.luts}] for {net.luts} LUTs of {net.k} inputs, "
            f"not {net.table.dtype}{list(net.table.shape)}."
        )
    for name in ("stage", "origin"):
        column = getattr(net, name)
        if column is not None and column.shape != (net.luts,):
            raise LgcError(f"{name} must have one entry per LUT, {net.luts}, not {list(column.shape)}.")


def _check_luts(net: Netlist) -> None:
    for start in range(0, net.luts, _ROWS):
        _check_rows(net, slice(start, min(start + _ROWS, net.luts)))


def _check_rows(net: Netlist, rows: slice) -> None:
    fanin, table = net.fanin[rows], net.table[rows]
    own = np.arange(net.first_lut + rows.start, net.first_lut + rows.stop, dtype=np.int32)
    bad = (fanin < 0) | (fanin >= own[:, None])
    if bad.any():
        row, pin = np.argwhere(bad)[0]
        raise LgcError(
            f"LUT %{own[row]} reads signal %{fanin[row, pin]} on pin {pin}; "
            "a LUT reads only signals smaller than its own."
        )
    if net.k < 3 and (bad_table := table >> (1 << net.k)).any():
        row = int(np.flatnonzero(bad_table)[0])
        raise LgcError(f"LUT %{own[row]} has table {int(table[row]):#x}, wider than 2**{net.k} bits.")
    if net.stage is not None:
        stage = net.stage[rows]
        of_pin = net.stage[np.maximum(fanin - net.first_lut, 0)]
        late = (fanin >= net.first_lut) & (of_pin > stage[:, None])
        if late.any():
            row, pin = np.argwhere(late)[0]
            raise LgcError(
                f"LUT %{own[row]} of stage {stage[row]} reads %{fanin[row, pin]} of a later stage."
            )


def _check_roots(net: Netlist) -> None:
    roots = net.roots()
    if roots.size and (roots.min() < 0 or roots.max() >= net.signals):
        bad = roots[(roots < 0) | (roots >= net.signals)][0]
        raise LgcError(f"An output or readout entry names signal %{bad}; there are {net.signals} signals.")
    head = net.readout
    if head is None:
        return
    ascending = head.start[0] == 0 and head.start[-1] == len(head.signal) and (np.diff(head.start) >= 0).all()
    if len(head.start) != head.classes + 1 or not ascending or len(head.weight) != len(head.signal):
        raise LgcError("The readout's start, signal and weight arrays do not fit together.")
