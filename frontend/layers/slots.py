"""Nodes that learn gate and wiring at once: each chooses among gates on pairs of their own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from lgc.errors import UsageError

from .._typing import F32x2, I32x1, I32x2, I32x3, I64x1
from ..checkpoint import Layer
from ..config import LayerConfig
from ..connections import SLOTS, Wiring
from ..kernels import cpu
from ..kernels import slots as kernel
from ..kernels.threads import share
from ..relaxations import relaxation
from ..relaxations.dlgn import GATE_TABLES

_CERTAIN, _UNSURE = 0.95, 0.4
"""A settled node whose best slot is beyond the first keeps it alone; one below the second starts anew."""
_WINNER = math.log(9 * (SLOTS - 1))
"""Logit that gives one slot 90 % against the others' 0."""


def _polynomials() -> F32x2:
    """Coefficients float32 `[16, 4]` of 1, a, b and ab of difflogic's gates."""
    t = GATE_TABLES.astype(np.float32).T
    return np.stack([t[0], t[1] - t[0], t[2] - t[0], t[3] - t[1] - t[2] + t[0]], axis=1)


GATES = _polynomials()


class SlotNodes(nn.Module, ABC):
    """2-input nodes `y = sum_g softmax(w)_g op_g(a_g, b_g)` (CompactLogic, arXiv 2602.05830).

    A node owns 16 slots, a gate on a pair of sources each; the hardened node is its best slot. After
    every step nodes whose entropy has come to rest are seen to: a certain one keeps its winner and draws
    its other slots anew, one that cannot decide draws all anew. So wiring is searched with sixteen
    parameters per node and none per connection.

    Attributes:
        functions: logits of the slots, float32 `[width, 16]`.
        source: pairs of what the layer may read, int32 `[width, 2, 16]`.
        op: difflogic's gates, int32 `[width, 16]`; slot g starts with gate g.
        mean, rest: moving average of each node's entropy, and for how many steps it has rested.
    """

    source: Tensor
    op: Tensor
    mean: Tensor
    rest: Tensor

    def __init__(
        self,
        config: LayerConfig,
        source: I32x3,
        rng: np.random.Generator,
        *,
        estimator: str = "soft",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if config.k != 2 or config.relaxation != "dlgn":
            raise UsageError(
                f"Slots hold 2-input gates, not {config.relaxation} nodes of {config.k} inputs.",
                hint='Use k = 2 and relaxation = "dlgn".',
            )
        kind = relaxation("dlgn")
        kind.check(estimator, config.init)
        self.config = config
        self.relaxation = kind
        initial = kind.initial(
            config.width, 2, config.residual, rng, init=config.init, temperature=temperature
        )
        self.functions = nn.Parameter(torch.from_numpy(initial))
        self.register_buffer("source", torch.from_numpy(source.copy()))
        self.register_buffer("op", torch.arange(SLOTS, dtype=torch.int32).repeat(config.width, 1))
        self.register_buffer("mean", torch.full((config.width,), -1.0))
        self.register_buffer("rest", torch.zeros(config.width, dtype=torch.int32))

    def mixture(
        self, hard: bool, temperature: float, rng: np.random.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Weigh the slots, float32 `[width, 16]`: as the gradient sees them, and in the forward pass."""
        logits: Tensor = self.functions
        if rng is not None:
            noise = self.relaxation.noise(tuple(logits.shape), rng)
            assert noise is not None
            logits = logits + torch.from_numpy(noise)
        soft = (logits if temperature == 1 else logits / temperature).softmax(1)
        exact = soft.detach()
        if hard:
            exact = torch.zeros_like(soft).scatter_(1, logits.detach().argmax(1, keepdim=True), 1.0)
        return soft, exact

    def after_step(self, adam: torch.optim.Optimizer, seed: tuple[int, ...]) -> None:
        """Draw slots of settled nodes anew and forget the optimiser's moments of these nodes.

        `seed` decides what is drawn; nothing happens in a layer that is frozen, or without patience.
        """
        if not self.config.patience or not self.functions.requires_grad:
            return
        logits = self.functions.detach()
        action = np.empty(len(logits), np.int32)
        state = (logits.numpy(), self.mean.numpy(), self.rest.numpy())
        share(kernel.settle, len(logits), *state, self.config.patience, _CERTAIN, _UNSURE, action)
        rows = np.flatnonzero(action)
        if not len(rows):
            return
        rng = np.random.default_rng(seed)
        best = logits.numpy().argmax(axis=1)
        new_op = rng.integers(0, len(GATES), (len(rows), SLOTS), np.int32)
        new_source = self.pairs(rows, rng)
        start = rng.standard_normal((len(rows), SLOTS), np.float32)
        refill = np.flatnonzero(action[rows] == kernel.REFILL)
        winner = best[rows[refill]]
        new_op[refill, winner] = self.op.numpy()[rows[refill], winner]
        new_source[refill, :, winner] = self.source.numpy()[rows[refill], :, winner]
        start[refill] = 0
        start[refill, winner] = _WINNER
        logits.numpy()[rows] = start
        self.op.numpy()[rows] = new_op
        self.source.numpy()[rows] = new_source
        for name in ("exp_avg", "exp_avg_sq"):
            moment = adam.state.get(self.functions, {}).get(name)
            if moment is not None:
                moment[torch.from_numpy(rows)] = 0

    @abstractmethod
    def pairs(self, rows: I64x1, rng: np.random.Generator) -> I32x3:
        """Draw pairs of different sources for nodes `rows`, int32 `[rows, 2, SLOTS]`."""

    def best(self) -> tuple[I32x2, F32x2]:
        """Each node's best slot: its pair int32 `[width, 2]`, its gate as logits float32 `[width, 16]`."""
        winner = self.functions.detach().numpy().argmax(axis=1)
        node = np.arange(len(winner))
        gates = np.zeros((len(winner), len(GATES)), np.float32)
        gates[node, self.op.numpy()[node, winner]] = 1
        return self.source.numpy()[node, :, winner].copy(), gates


class SlotLayer(SlotNodes):
    """Slots on any outputs of the layer before, see `SlotNodes`."""

    def __init__(
        self,
        config: LayerConfig,
        wiring: Wiring,
        rng: np.random.Generator,
        *,
        sources: I32x1,
        estimator: str = "soft",
        temperature: float = 1.0,
    ) -> None:
        super().__init__(config, wiring.candidates, rng, estimator=estimator, temperature=temperature)
        self._sources = sources

    def forward(
        self, x: Tensor, hard: bool, temperature: float = 1.0, rng: np.random.Generator | None = None
    ) -> Tensor:
        """Evaluate the layer, see `LutLayer.forward`; a hard one has the mixture's gradient."""
        soft, exact = self.mixture(hard, temperature, rng)
        return cast(Tensor, _Slots.apply(x, soft, exact, self.source, self.op))  # type: ignore[no-untyped-call]

    def pairs(self, rows: I64x1, rng: np.random.Generator) -> I32x3:
        """Draw pairs of different sources for nodes `rows`, int32 `[rows, 2, SLOTS]`."""
        return self._sources[distinct_pairs(len(self._sources), len(rows), rng)]

    def hardened(self) -> Layer:
        """Copy the layer with each node's best slot, for a checkpoint."""
        fanin, gates = self.best()
        return Layer(fanin, gates, "dlgn")


def distinct_pairs(count: int, nodes: int, rng: np.random.Generator) -> I32x3:
    """Draw pairs of different numbers below `count`, int32 `[nodes, 2, SLOTS]`."""
    first = rng.integers(0, count, (nodes, SLOTS))
    second = (first + rng.integers(1, count, (nodes, SLOTS))) % count
    return np.stack([first, second], axis=1).astype(np.int32)


class _Slots(torch.autograd.Function):
    """`lgc.frontend.kernels.slots` as a differentiable operation."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, soft: Tensor, exact: Tensor, source: Tensor, op: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, soft, source, op)
        y = x.new_empty((len(x), len(op), cpu.LANES))
        given = (x.numpy(), source.numpy(), op.numpy(), GATES, exact.numpy(), y.numpy())
        share(kernel.forward, len(x), *given)
        return y

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, soft, source, op = ctx.saved_tensors  # type: ignore[attr-defined]
        need_x, need_weight = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        x_grad = torch.zeros_like(x) if need_x else x.new_empty((len(x), 0, cpu.LANES))
        weight_grad = soft.new_empty((len(x), *soft.shape))
        given = (x.numpy(), source.numpy(), op.numpy(), GATES, soft.numpy())
        found = (grads[0].contiguous().numpy(), x_grad.numpy(), weight_grad.numpy())
        share(kernel.backward, len(x), *given, *found)
        return (x_grad if need_x else None, weight_grad.sum(0) if need_weight else None, None, None, None)
