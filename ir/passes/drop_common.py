"""Leaving out of the scores what all classes share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .._typing import I64x1, I64x2
from ..equivalence import Comparison, compare
from ..netlist import Netlist
from ..readout import Readout
from .absorb import Absorb

_CHUNK = 1 << 16


@dataclass(frozen=True)
class DropCommon:
    """Subtract from all scores what they have in common: the class stays, scores only differ as before.

    A signal counted in all classes, or in most, is counted in none, or in the others with a negative
    weight, whichever needs the fewest bits. Not part of `simplify`, for the scores themselves change,
    by the same amount in every class.
    """

    name: ClassVar[str] = "drop-common"
    keeps_scores: ClassVar[bool] = False

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with scores less by a common sum, counted in as few bits as possible."""
        net = Absorb()(net)
        head = net.readout
        if head is None or not len(head.signal):
            return net
        signal, row = np.unique(head.signal, return_inverse=True)
        of_class = head.class_of_entry
        order = np.argsort(row, kind="stable")
        parts = []
        for start in range(0, len(signal), _CHUNK):  # [signals, classes], a chunk at a time
            stop = min(start + _CHUNK, len(signal))
            mine = order[np.searchsorted(row[order], start) : np.searchsorted(row[order], stop)]
            weight = np.zeros((stop - start, head.classes), np.int64)
            weight[row[mine] - start, of_class[mine]] = head.weight[mine]
            parts.append(_cheapest(weight))
        return replace(net, readout=_readout(signal, np.concatenate(parts), head.bias - head.bias.min()))

    def verify(self, before: Netlist, after: Netlist, levels: int) -> Comparison:
        """Compare the differences between scores."""
        return compare(_differences(before), _differences(after), levels=levels)


def _cheapest(weight: I64x2) -> I64x2:
    """Subtract from each row one of its entries, or 0, so that the fewest bits are set."""
    best, least = weight, _bits(weight)
    for c in range(weight.shape[1]):
        shifted = weight - weight[:, c : c + 1]
        bits = _bits(shifted)
        better = bits < least
        best, least = np.where(better[:, None], shifted, best), np.minimum(bits, least)
    return best


def _bits(weight: I64x2) -> I64x1:
    bits: I64x1 = np.bitwise_count(np.abs(weight)).sum(axis=1, dtype=np.int64)
    return bits


def _readout(signal: np.ndarray, weight: I64x2, bias: np.ndarray) -> Readout:
    """Build the readout with `weight` `[signals, classes]`, zeros left out."""
    of_class, row = np.nonzero(weight.T)
    return Readout(
        bias=bias,
        start=np.searchsorted(of_class, np.arange(weight.shape[1] + 1)).astype(np.int64),
        signal=signal[row].astype(np.int32),
        weight=weight[row, of_class].astype(np.int32),
    )


def _differences(net: Netlist) -> Netlist:
    """Return the netlist with the scores of the other classes less that of class 0."""
    head = net.readout
    if head is None:
        return net
    first, rest = slice(0, int(head.start[1])), int(head.start[1])
    sizes = np.diff(head.start)[1:]
    signal = np.split(head.signal[rest:], np.cumsum(sizes)[:-1])
    weight = np.split(head.weight[rest:], np.cumsum(sizes)[:-1])
    if head.classes > 1:
        signal = [np.concatenate([s, head.signal[first]]) for s in signal]
        weight = [np.concatenate([w, -head.weight[first]]) for w in weight]
    readout = Readout(
        bias=head.bias[1:] - head.bias[0],
        start=np.concatenate([[0], np.cumsum(sizes + rest)]).astype(np.int64),
        signal=np.concatenate([np.empty(0, np.int32), *signal]),
        weight=np.concatenate([np.empty(0, np.int32), *weight]),
    )
    return replace(net, readout=readout)
