"""GroupSum: counts per class over tau; outputs may carry whole weights, tau be fixed, by rule or learned."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from lgc.errors import UsageError

from . import devices
from ._typing import I32x1
from .config import ModelConfig, ReadoutConfig
from .kernels import cpu, weighted
from .kernels.threads import share

_TARGET = 4 * 1.5
"""LILogicNet's four times SCALE_TARGET: the spread of the logits it aims at."""
_AVERAGE = 0.03
"""Weight of a new step in LILogicNet's moving average."""
_MOST = (1 << 15) - 1
"""Largest weight of an output."""


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

    With `config.readout` output i counts `w_i` times: fixed whole numbers, or a parameter from there on
    that lies between 0 and `largest`. A hard forward counts the rounded weight and passes the gradient on
    to the parameter (straight through), so it sees what hardware will count. In the rules above, n is then
    `sum w_i^2`, which is what spreads a sum of independent bits, and the bound `n / 6` is `sum w_i / 6`,
    both with the weights of the start.

    Attributes:
        weights: float32 `[classes, n]`, learned; None if they are fixed or all 1.
    """

    log_tau: Tensor
    average: Tensor
    fixed: Tensor

    def __init__(self, config: ModelConfig, classes: int, outputs: int | None = None) -> None:
        super().__init__()
        self.classes = classes
        self.rule = config.tau_rule
        self.readout = config.readout
        start = first_weights(config.readout, classes, outputs or config.layers[-1].width)
        self.plain = config.readout.learn == "none" and not config.readout.weights
        self.weights: nn.Parameter | None = None
        if config.readout.learn != "none":
            self.weights = nn.Parameter(torch.from_numpy(start.astype(np.float32)))
        elif not self.plain:
            self.register_buffer("fixed", torch.from_numpy(start.astype(np.float32)), persistent=False)
        spread, most = np.square(start).sum() / classes, start.sum() / classes
        rules = {"sqrt": config.tau * math.sqrt(spread), "auto": math.sqrt(spread / _TARGET)}
        self._start = rules.get(self.rule, config.tau)
        self._most = most / _TARGET
        if self.rule == "learned":
            self.log_tau = nn.Parameter(torch.tensor([math.log(config.tau)]))
        if self.rule == "adavar":
            first = min(math.sqrt(spread), self._most)
            self.register_buffer("average", torch.tensor([first], dtype=torch.float64))

    @property
    def tau(self) -> float:
        """Its value now."""
        if self.rule == "learned":
            return math.exp(self.log_tau.item())
        return float(self.average.item()) if self.rule == "adavar" else self._start

    def forward(self, x: Tensor, hard: bool = False) -> Tensor:
        """Logits `[blocks * LANES, classes]` of outputs float32 `[blocks, nodes, LANES]`.

        If no output has a weight, groups of them may be summed already: any multiple of `classes` nodes.
        """
        if self.plain:
            counts = x.view(x.shape[0], self.classes, -1, cpu.LANES).sum(2)
        else:
            counts = _weigh(x, self._weights(hard))
        tau = self.log_tau.exp() if self.rule == "learned" else self.tau
        return counts.transpose(1, 2).reshape(-1, self.classes) / tau

    def _weights(self, hard: bool) -> Tensor:
        """Weights `[classes, n]` of a forward pass."""
        if self.weights is None:
            return self.fixed
        if self.training:
            with torch.no_grad():
                self.weights.clamp_(0, self.readout.largest)
        if not hard:
            return self.weights
        exact = rounded(self.weights.detach(), self.readout)
        return self.weights + (exact - self.weights).detach()

    def hardened(self) -> I32x1 | None:
        """Copy what hardware counts, int32 `[nodes]`; None if every output counts once."""
        if self.plain:
            return None
        found = self.fixed if self.weights is None else rounded(self.weights.detach(), self.readout)
        exact: I32x1 = found.cpu().numpy().astype(np.int32).ravel()
        return exact

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


def first_weights(config: ReadoutConfig, classes: int, outputs: int) -> np.ndarray:
    """Weights of the outputs at the start, int64 `[classes, outputs per class]`.

    Raises:
        UsageError: a weight out of range, more weights than outputs, or a class without any.
    """
    given, share_ = config.weights, outputs // classes
    most = _MOST if config.learn == "none" else config.largest
    for i, weight in enumerate(given):
        if not 0 <= weight <= most:
            hint = "Set model.readout.largest higher." if 0 <= weight <= _MOST else ""
            raise UsageError(f"model.readout.weights.{i} is {weight}; it must be 0 to {most}.", hint=hint)
    if len(given) > share_ and len(given) != outputs:
        raise UsageError(
            f"model.readout.weights has {len(given)} weights; a class has {share_} outputs.",
            hint=f"Give at most {share_}, which repeat in every class, or one for each of the {outputs}.",
        )
    if len(given) == outputs:
        found = np.array(given, np.int64).reshape(classes, share_)
    else:
        found = np.tile(np.resize(np.array(given or (1,), np.int64), share_), (classes, 1))
    if not found.any(axis=1).all():
        raise UsageError("All outputs of a class have the weight 0.", hint="Give one of them at least 1.")
    return found


def rounded(weights: Tensor, config: ReadoutConfig) -> Tensor:
    """Nearest weights that may be built, same shape and dtype; a half rounds up."""
    if config.learn == "power":
        known = [0, *(1 << i for i in range(config.largest.bit_length()))]
        levels = torch.tensor(known, dtype=weights.dtype, device=weights.device)
        return levels[torch.bucketize(weights, (levels[1:] + levels[:-1]) / 2, right=True)]
    return (weights + 0.5).floor().clamp(0, config.largest)


def _weigh(x: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums `[blocks, classes, LANES]`."""
    if devices.on_gpu(x):
        return (x.view(len(x), *weights.shape, cpu.LANES) * weights[None, :, :, None]).sum(2)
    return cast(Tensor, _Weigh.apply(x, weights))  # type: ignore[no-untyped-call]


class _Weigh(torch.autograd.Function):
    """`lgc.frontend.kernels.weighted` as a differentiable operation."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weights: Tensor) -> Tensor:
        x, weights = x.contiguous(), weights.contiguous()
        ctx.save_for_backward(x, weights)
        y = x.new_empty((len(x), len(weights), cpu.LANES))
        share(weighted.forward, len(x), x.numpy(), weights.detach().numpy(), y.numpy())
        return y

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, weights = ctx.saved_tensors  # type: ignore[attr-defined]
        x_grad, found = torch.empty_like(x), x.new_empty((len(x), *weights.shape))
        given = (x.numpy(), weights.numpy(), grads[0].contiguous().numpy())
        share(weighted.backward, len(x), *given, x_grad.numpy(), found.numpy())
        return x_grad, found.sum(0)
