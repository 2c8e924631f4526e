"""One parameter per truth table row (Light DLGN, Ruettgers 2025, arXiv 2510.03250)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._typing import Bool2, F32x2
from .base import INITS, Relaxation, catalogue, log_odds, passes_first

if TYPE_CHECKING:
    import torch

    from ..kernels.functions import Recipe

_SPREAD = 0.1
"""Standard deviation around the residual start, so that equal nodes can part."""


class Light(Relaxation):
    """theta in R^(2^k) per node, `soft = sigmoid(theta / T)`; the hard table is `theta > 0`.

    It scales to k inputs with 2^k parameters where a softmax over functions needs 2^(2^k). Noise
    is logistic, one draw per row and step, the binary case of Gumbel's trick.
    """

    name = "light"
    inits = INITS

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
        """Rows agree with "pass the first input" at probability `residual`, or theta ~ N(0, 1).

        The catalogue starts at theta = -1 and 1, what WARP's has for logits.

        Returns:
            float32 `[nodes, 2**k]`.
        """
        if init == "catalogue":
            return catalogue(nodes, k, residual, rng)
        theta = rng.standard_normal((nodes, 1 << k), np.float32)
        if init == "gaussian" or not residual:
            return theta
        start = temperature * log_odds(residual) * passes_first(k).astype(np.float64)
        return (start + _SPREAD * theta).astype(np.float32)

    def soft(
        self, parameters: torch.Tensor, temperature: float = 1.0, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Probability of a 1 in each table row, `[nodes, 2**k]`."""
        logits = parameters if noise is None else parameters + noise
        return (logits if temperature == 1 else logits / temperature).sigmoid()

    def recipe(self, temperature: float = 1.0, noise: torch.Tensor | None = None) -> Recipe:
        """Take the sigmoids."""
        from ..kernels.functions import Recipe
        from ..kernels.maps import IDENTITY

        return Recipe(IDENTITY, 1 / temperature, squash=True, noise=noise)

    def hard(self, parameters: F32x2) -> Bool2:
        """Tables bool `[nodes, 2**k]`."""
        return parameters > 0
