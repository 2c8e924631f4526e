"""What a training run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """What a progress bar wants to know; accuracies are None before the epoch's last step.

    Attributes:
        epoch, epochs: from 1.
        step, steps: within the epoch, from 1.
        loss: mean over the epoch so far.
        val_acc: relaxed network, validation split, fraction.
        hard_val_acc: hardened network, validation split, fraction; this is what counts.
        seconds: since training (re)started.
        usage: shares of the hardened nodes by kind, see `lgc.frontend.usage`; none within the epoch.
        first: epochs that an earlier part of the run had done.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    val_acc: float | None
    hard_val_acc: float | None
    seconds: float
    usage: Mapping[str, float] | None = None
    first: int = 0

    @property
    def seconds_left(self) -> float:
        """Estimate of the time to the last epoch, at the speed so far."""
        done = self.epoch - 1 - self.first + self.step / self.steps
        return self.seconds / done * (self.epochs - self.first - done)

    @property
    def gap(self) -> float | None:
        """Discretisation gap: relaxed less hardened validation accuracy."""
        if self.val_acc is None or self.hard_val_acc is None:
            return None
        return self.val_acc - self.hard_val_acc
