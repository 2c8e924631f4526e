"""The softmax over the sixteen 2-input gates (DiffLogic, Petersen 2022, arXiv 2210.08277)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .._typing import Bool2, F32x2
from .base import Relaxation

if TYPE_CHECKING:
    import torch

    from ..kernels.functions import Recipe

_GATES = 16
_PASS_FIRST = 3


def _gate_tables() -> Bool2:
    """Truth tables bool `[16, 4]` of difflogic's gates in lgc's row order.

    Gate g outputs bit `3 - (2 a + b)` of g, a being the first input; lgc's row is `a + 2 b`.
    """
    gate = np.arange(_GATES)[:, None]
    row = np.arange(4)
    a, b = row & 1, row >> 1
    return np.asarray((gate >> (3 - (2 * a + b))) & 1, np.bool_)


GATE_TABLES = _gate_tables()
"""Truth tables bool `[16, 4]` of difflogic's gates, in lgc's row order."""


class Dlgn(Relaxation):
    """z in R^16 per node, `soft = softmax(z / T) @ GATE_TABLES`; the hard gate is the argmax.

    Four numbers instead of sixteen gates reach the kernel: the mixture of gates is the multilinear
    polynomial of the mixture of their tables (the basis projection of LILogicNet, arXiv 2511.12340).
    The residual start is Petersen 2024's (arXiv 2411.04732), stated as the probability of gate A.
    Noise is Gumbel's, one draw per gate and step: softmax((z + g) / T), argmax(z + g) ("Mind the Gap",
    arXiv 2506.07500).
    """

    name = "dlgn"
    ks = range(2, 3)

    def parameters(self, k: int) -> int:
        """Sixteen logits for two inputs; nothing else exists."""
        return _GATES if k == 2 else 0

    def initial(
        self,
        nodes: int,
        k: int,
        residual: float,
        rng: np.random.Generator,
        *,
        init: str = "residual",
        temperature: float = 1.0,
    ) -> F32x2:
        """Gate A at probability `residual`, or z ~ N(0, 1); float32 `[nodes, 16]`."""
        assert k == 2
        if init == "gaussian" or not residual:
            return rng.standard_normal((nodes, _GATES), np.float32)
        z = np.zeros((nodes, _GATES), np.float32)
        z[:, _PASS_FIRST] = temperature * math.log(residual * (_GATES - 1) / (1 - residual))
        return z

    def soft(
        self, parameters: torch.Tensor, temperature: float = 1.0, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Probability of a 1 in each table row, `[nodes, 4]`."""
        logits = parameters if noise is None else parameters + noise
        if temperature != 1:
            logits = logits / temperature
        return logits.softmax(dim=1) @ parameters.new_tensor(GATE_TABLES)

    def recipe(self, temperature: float = 1.0, noise: torch.Tensor | None = None) -> Recipe:
        """Mix the gates' tables."""
        from ..kernels.functions import Recipe

        return Recipe(scale=1 / temperature, basis=GATE_TABLES.astype(np.float32), noise=noise)

    def hard(self, parameters: F32x2) -> Bool2:
        """Tables bool `[nodes, 4]` of the most probable gates; ties go to the lowest gate."""
        tables: Bool2 = GATE_TABLES[parameters.argmax(axis=1)]
        return tables

    def noise(self, shape: tuple[int, ...], rng: np.random.Generator) -> F32x2:
        """Gumbel noise float32 of `shape`."""
        return rng.gumbel(size=shape).astype(np.float32)
