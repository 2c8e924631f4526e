"""One parameter per truth table row (Light DLGN, Ruettgers 2025, arXiv 2510.03250)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .._typing import Bool2, F32x2

if TYPE_CHECKING:
    import torch

_SPREAD = 0.1
"""Standard deviation around the residual start, so that equal nodes can part."""


class Light:
    """theta in R^(2^k) per node, `soft = sigmoid(theta)`; the hard table is `theta > 0`.

    It scales to k inputs with 2^k parameters where a softmax over functions needs 2^(2^k).
    """

    def parameters(self, k: int) -> int:
        """One per truth table row."""
        return 1 << k

    def initial(self, nodes: int, k: int, residual: float, rng: np.random.Generator) -> F32x2:
        """Rows agree with "pass the first input" at probability `residual`, or theta ~ N(0, 1).

        Returns:
            float32 `[nodes, 2**k]`.
        """
        theta = rng.standard_normal((nodes, 1 << k), np.float32)
        if not residual:
            return theta
        start = math.log(residual / (1 - residual)) * (2 * (np.arange(1 << k) & 1) - 1)
        return (start + _SPREAD * theta).astype(np.float32)

    def soft(self, parameters: torch.Tensor) -> torch.Tensor:
        """Probability of a 1 in each table row, `[nodes, 2**k]`."""
        return parameters.sigmoid()

    def hard(self, parameters: F32x2) -> Bool2:
        """Tables bool `[nodes, 2**k]`."""
        return parameters > 0
