"""Data that passes may go by when they are asked to give up exactness."""

from __future__ import annotations

from dataclasses import dataclass

from ._typing import Bool2, I64x1
from .equivalence import Comparison
from .netlist import Netlist
from .simulate import scores


@dataclass(frozen=True, eq=False)
class Evidence:
    """Samples as the network sees them; test samples are not among them.

    Attributes:
        seen: bool `[samples, inputs]`, what training saw.
        held_out: bool `[samples, inputs]`, the validation split.
        labels: int64 `[samples]`, its classes.
        source: where the data came from.
    """

    seen: Bool2
    held_out: Bool2
    labels: I64x1
    source: str

    def accuracy(self, net: Netlist) -> float:
        """Accuracy of `net` on the validation split."""
        return float((scores(net, self.held_out).argmax(axis=1) == self.labels).mean())

    def judge(self, before: Netlist, after: Netlist) -> Comparison:
        """Say what a pass that gave up exactness did to the accuracy."""
        was, now = self.accuracy(before), self.accuracy(after)
        text = f"inexact on request: validation accuracy {was:.2%} → {now:.2%}, {len(self.labels):,} samples"
        return Comparison(equal=True, patterns=len(self.labels), inexact=text)
