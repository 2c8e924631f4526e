"""Walsh-Hadamard coefficients (WARP-LUTs, arXiv 2510.15655; WARP Logic Networks, arXiv 2602.03527)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._typing import Bool2, F32x2
from .base import INITS, Relaxation, catalogue, log_odds, passes_first

if TYPE_CHECKING:
    import torch

    from ..kernels.functions import Recipe


def hadamard(k: int) -> F32x2:
    """Signs (-1)^|r & S| of row r and coefficient S, float32 `[2**k, 2**k]`; symmetric."""
    sign = np.array([[1, 1], [1, -1]], np.float32)
    out = np.ones((1, 1), np.float32)
    for _ in range(k):
        out = np.kron(sign, out)
    return out


class Warp(Relaxation):
    """w in R^(2^k) per node, `y = sigmoid(-z / T)`, `z = sum_S w_S prod_{p in S} (1 - 2 x_p)`.

    Bit p of the index S tells whether pin p is in the product. z is multilinear in x, so it is the
    polynomial through its values at the corners, the Hadamard transform of w: that takes k 2^k
    additions per node and step instead of 2^k products per sample, and `soft` gives the *logits* of
    the table, whose polynomial the layer squashes. The hard table is `H w < 0`; a tie is a 0.
    """

    name = "warp"
    ks = range(2, 7)
    inits = INITS
    logistic = True

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
        """Pass the first input at probability `residual`, a catalogue of tables, or w ~ N(0, 1).

        Residual: `w = T log(p / (1 - p)) 2^-k H t`, t being 1 where the function is 0, else -1. The
        catalogue has `2^-k H t` of different functions.

        Returns:
            float32 `[nodes, 2**k]`.
        """
        if init == "gaussian" or not residual:
            return rng.standard_normal((nodes, 1 << k), np.float32)
        if init == "catalogue":
            logits = catalogue(nodes, k, residual, rng)
        else:
            logits = np.tile(temperature * log_odds(residual) * passes_first(k), (nodes, 1))
        return (-logits @ hadamard(k) / (1 << k)).astype(np.float32)

    def soft(
        self, parameters: torch.Tensor, temperature: float = 1.0, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits of a 1 in each table row, `[nodes, 2**k]`; noise is added to the outputs' logits."""
        assert noise is None
        k = parameters.shape[1].bit_length() - 1
        return parameters @ parameters.new_tensor(hadamard(k) / -temperature)

    def recipe(self, temperature: float = 1.0, noise: torch.Tensor | None = None) -> Recipe:
        """Hadamard's transform."""
        from ..kernels.functions import Recipe
        from ..kernels.maps import HADAMARD

        assert noise is None
        return Recipe(HADAMARD, -1 / temperature, walsh=True)

    def hard(self, parameters: F32x2) -> Bool2:
        """Tables bool `[nodes, 2**k]`."""
        sums = parameters.astype(np.float64)
        # in the order of the kernels, so that near a tie both find the same
        for p in range(parameters.shape[1].bit_length() - 1):
            pairs = sums.reshape(len(sums), -1, 2, 1 << p)
            low, high = pairs[:, :, 0], pairs[:, :, 1]
            sums = np.stack([low + high, low - high], axis=2).reshape(sums.shape)
        return sums < 0

    def noise(self, shape: tuple[int, ...], rng: np.random.Generator) -> F32x2 | None:  # noqa: ARG002
        """Nothing on the parameters: WARP's logistic noise is drawn per node and sample."""
        return None
