"""Dropping counted bits within an accuracy budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .._typing import F64x1, I64x1
from ..equivalence import Comparison
from ..evidence import Evidence
from ..netlist import Netlist
from ..readout import Readout
from ..simulate import scores, simulate_roots
from .absorb import Absorb
from .base import NeedsData
from .dce import Dce

_BATCHES = 200
_SAMPLES = 256


@dataclass(frozen=True)
class DropOutputs(NeedsData):
    """Drop the counted bits that vary least, their mean going to the bias: inexact, only on request.

    As many go as the accuracy on the validation split bears. Needs data.

    Attributes:
        budget: accuracy that may be lost, in hundredths of a percent.
    """

    name: ClassVar[str] = "drop-outputs"
    keeps_classes: ClassVar[bool] = False
    budget: int = 20

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if not 0 <= self.budget <= 10_000:
            raise ValueError(f"budget must be 0 to 10000 hundredths of a percent, not {self.budget}")

    def apply(self, net: Netlist, evidence: Evidence) -> Netlist:
        """Return the netlist with fewer counted bits."""
        net = Absorb()(net)
        head = net.readout
        if head is None or not len(head.signal):
            return net
        mean = _means(net, evidence)
        order = np.argsort(np.abs(head.weight) * np.sqrt(mean * (1 - mean)), kind="stable")
        count = self._bearable(net, evidence, order, mean)
        return Dce()(replace(net, readout=_without(head, order[:count], mean)))

    def verify(self, before: Netlist, after: Netlist, evidence: Evidence) -> Comparison:
        """Measure the accuracy."""
        return evidence.judge(before, after)

    def _bearable(self, net: Netlist, evidence: Evidence, order: I64x1, mean: F64x1) -> int:
        """Return the most entries, in `order`, that can go within the budget."""
        head = net.readout
        assert head is not None
        score, lost = scores(net, evidence.held_out), np.zeros(head.classes)
        labels = evidence.labels
        least = int((score.argmax(axis=1) == labels).sum()) - self.budget * len(labels) / 10_000
        values, of_class = _values(net, evidence), head.class_of_entry
        best, start = 0, 0
        for stop in np.linspace(0, len(order), _BATCHES + 1).astype(int)[1:].tolist():
            for entry in order[start:stop].tolist():
                c, weight = of_class[entry], int(head.weight[entry])
                score[:, c] -= weight * values[:, entry]
                lost[c] += weight * mean[entry]
            start = stop
            if int(((score + np.round(lost)).argmax(axis=1) == labels).sum()) >= least:
                best = stop
        return best


def _values(net: Netlist, evidence: Evidence) -> np.ndarray:
    """Values of the readout entries on the validation split, bool `[samples, entries]`."""
    return simulate_roots(net, evidence.held_out)[:, len(net.outputs) :]


def _means(net: Netlist, evidence: Evidence) -> F64x1:
    """Mean of each readout entry over what training saw."""
    total = np.zeros(len(net.roots()) - len(net.outputs))
    for start in range(0, len(evidence.seen), 64 * _SAMPLES):
        part = simulate_roots(net, evidence.seen[start : start + 64 * _SAMPLES])
        total += part[:, len(net.outputs) :].sum(axis=0)
    mean: F64x1 = total / max(1, len(evidence.seen))
    return mean


def _without(head: Readout, dropped: I64x1, mean: F64x1) -> Readout:
    """Return the readout without some entries, the nearest whole number to their mean in the bias."""
    kept = np.ones(len(head.signal), np.bool_)
    kept[dropped] = False
    lost = np.zeros(head.classes)
    np.add.at(lost, head.class_of_entry[dropped], head.weight[dropped] * mean[dropped])
    per_class = np.bincount(head.class_of_entry[kept], minlength=head.classes)
    return Readout(
        bias=head.bias + np.round(lost).astype(np.int64),
        start=np.concatenate([[0], np.cumsum(per_class)]).astype(np.int64),
        signal=head.signal[kept],
        weight=head.weight[kept],
    )
