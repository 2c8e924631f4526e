"""Lookup tables with the extended finite difference (DWN, Bacellar 2024, arXiv 2410.11112)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._typing import Bool2, F32x2
from .base import Relaxation, passes_first

if TYPE_CHECKING:
    import torch

    from ..kernels.functions import Recipe

_NEAR = 0.75
"""A pin's own value has this weight in the difference, the other value the rest."""


class Dwn(Relaxation):
    """Entries in [-1, 1], one per table row; inputs and output are bits, forward and in training.

    The entry that is read gets the output's gradient. Pin l gets the extended finite difference
    `sum_a (2 a_l - 1) T[a] 1/2 (3/4)^(k-1) (1/3)^d`, d being how many other pins of address a differ
    from the inputs. That is `(T[l = 1] - T[l = 0]) / 2` averaged over noisy inputs, each of which
    keeps its value at 3/4: exactly the slope of the polynomial through the table averaged that way
    over *all* pins, since averaging pin l itself halves its difference. So it costs 2^k additions
    per node and step, and no sum over addresses per sample.
    """

    name = "dwn"
    ks = range(2, 7)
    estimators = ("hard",)
    bound = 1.0

    def initial(
        self,
        nodes: int,
        k: int,
        residual: float,
        rng: np.random.Generator,
        *,
        init: str = "residual",
        temperature: float = 1.0,  # noqa: ARG002
    ) -> F32x2:
        """Entries uniform in [-1, 1], which is DWN's start in place of a Gaussian.

        A residual start, which DWN does not define, mixes that with "pass the first input" so that
        an entry's mean is `2 residual - 1`, or its negative.

        Returns:
            float32 `[nodes, 2**k]`.
        """
        entries = rng.uniform(-1, 1, (nodes, 1 << k)).astype(np.float32)
        if init == "gaussian" or not residual:
            return entries
        mean = np.float32(2 * residual - 1)
        return (mean * passes_first(k) + (1 - abs(mean)) * entries).astype(np.float32)

    def soft(
        self,
        parameters: torch.Tensor,
        temperature: float = 1.0,  # noqa: ARG002
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Entries as they are; the hard forward's gradient passes straight through the threshold."""
        assert noise is None
        return parameters

    def recipe(
        self,
        temperature: float = 1.0,  # noqa: ARG002
        noise: torch.Tensor | None = None,
    ) -> Recipe:
        """Take the entries, and their averages."""
        from ..kernels.functions import Recipe
        from ..kernels.maps import IDENTITY

        assert noise is None
        return Recipe(IDENTITY, slope=(_NEAR, 1 - _NEAR, 1 - _NEAR, _NEAR))

    def slope(self, parameters: torch.Tensor) -> torch.Tensor:
        """Table averaged over noisy inputs."""
        table = parameters
        nodes, rows = table.shape
        for p in range(rows.bit_length() - 1):
            pairs = table.view(nodes, rows >> (p + 1), 2, 1 << p)
            table = (_NEAR * pairs + (1 - _NEAR) * pairs.flip(2)).view(nodes, rows)
        return table

    def hard(self, parameters: F32x2) -> Bool2:
        """Tables bool `[nodes, 2**k]`."""
        return parameters > 0
