"""GroupSum: counts per class over tau, tau being fixed, by rule or learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .kernels import cpu

_TARGET = 4 * 1.5
"""LILogicNet's four times SCALE_TARGET: the spread of the logits it aims at."""
_AVERAGE = 0.03
"""Weight of a new step in LILogicNet's moving average."""


class GroupSum(nn.Module):
    """Logits of a class: how many of its equal, contiguous group of outputs are 1, over tau.

    The rules, n being the outputs per class:

    - "fixed": `tau` (DiffLogic, arXiv 2210.08277);
    - "sqrt": `tau sqrt(n)`, the scaling of LogicTreeNet (arXiv 2411.04732), whose runs lie between 0.2
      and 1.6;
    - "auto": `sqrt(n / 6)`, LILogicNet's AUTOTAU (arXiv 2511.12340);
    - "adavar": a moving average of the counts' standard deviation over 6, from `sqrt(n)` on and at most
      `n / 6`, LILogicNet's ADAVAR;
    - "learned": the exponential of a parameter, from `tau` on.

    Hardware needs no tau; a checkpoint records its last value for logits and calibration.
    """

    log_tau: Tensor
    average: Tensor

    def __init__(self, config: ModelConfig, classes: int, outputs: int | None = None) -> None:
        super().__init__()
        self.classes = classes
        self.rule = config.tau_rule
        share = (outputs or config.layers[-1].width) / classes
        start = {"sqrt": config.tau * math.sqrt(share), "auto": math.sqrt(share / _TARGET)}
        self._start = start.get(self.rule, config.tau)
        self._most = share / _TARGET
        if self.rule == "learned":
            self.log_tau = nn.Parameter(torch.tensor([math.log(config.tau)]))
        if self.rule == "adavar":
            first = min(math.sqrt(share), self._most)
            self.register_buffer("average", torch.tensor([first], dtype=torch.float64))

    @property
    def tau(self) -> float:
        """Its value now."""
        if self.rule == "learned":
            return math.exp(self.log_tau.item())
        return float(self.average.item()) if self.rule == "adavar" else self._start

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[blocks * LANES, classes]` of outputs float32 `[blocks, nodes, LANES]`."""
        counts = x.view(x.shape[0], self.classes, -1, cpu.LANES).sum(2)
        tau = self.log_tau.exp() if self.rule == "learned" else self.tau
        return counts.transpose(1, 2).reshape(-1, self.classes) / tau

    def observe(self, sums: Tensor) -> None:
        """Follow the counts' spread, for the rule "adavar".

        Args:
            sums: number, sum and sum of squares of a training step's counts, float64 `[3]`.
        """
        if self.rule == "adavar":
            number, total, squares = sums.tolist()
            spread = math.sqrt(max(squares / number - (total / number) ** 2, 0.0))
            now = (1 - _AVERAGE) * self.tau + _AVERAGE * spread / _TARGET
            self.average.fill_(min(max(now, 1e-3), self._most))
