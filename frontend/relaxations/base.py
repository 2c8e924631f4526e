"""What a layer needs to know of a relaxation, and what most relaxations share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lgc.errors import UsageError, nearest

from .._typing import Bool2, F32x2

if TYPE_CHECKING:
    import torch

    from ..kernels.functions import Recipe

ESTIMATORS = ("soft", "gumbel", "hard", "gumbel-hard")
"""Forward passes of training: relaxed or hardened, each with or without noise on the functions."""
INITS = ("gaussian", "residual", "catalogue")
"""How parameters start."""


class Relaxation(ABC):
    """Parameters of a node's function; importing one does not import torch.

    Attributes:
        name: as in the configuration.
        ks: numbers of inputs a node can have.
        estimators: those of `ESTIMATORS` its source defines.
        inits: those of `INITS` it has.
        logistic: the polynomial is that of logits, a sigmoid follows it.
        bound: parameters are kept within `[-bound, bound]` in training.
    """

    name: ClassVar[str]
    ks: ClassVar[range] = range(1, 7)
    estimators: ClassVar[tuple[str, ...]] = ESTIMATORS
    inits: ClassVar[tuple[str, ...]] = ("gaussian", "residual")
    logistic: ClassVar[bool] = False
    bound: ClassVar[float] = math.inf

    def parameters(self, k: int) -> int:
        """Parameters per node of k inputs; 0 if it cannot have k inputs."""
        return 1 << k if k in self.ks else 0

    @abstractmethod
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
        """Draw initial parameters float32 `[nodes, parameters]`.

        `residual` is the probability of passing the first input on, at the given temperature; 0 draws
        random functions, as `init = "gaussian"` does.
        """

    @abstractmethod
    def soft(
        self, parameters: torch.Tensor, temperature: float = 1.0, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Soft truth tables `[nodes, 2**k]` of parameters `[nodes, parameters]`, differentiable."""

    def coefficients(
        self, parameters: torch.Tensor, temperature: float = 1.0, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Coefficients `[nodes, 2**k]` of the polynomials through the `soft` tables, differentiable."""
        from ..kernels.autograd import monomials

        return monomials(self.soft(parameters, temperature, noise))

    def recipe(self, temperature: float = 1.0, noise: torch.Tensor | None = None) -> Recipe | None:  # noqa: ARG002
        """How the CPU's kernels make `soft` tables, their `slope` and `hard` ones; None if they cannot."""
        return None

    def slope(self, parameters: torch.Tensor) -> torch.Tensor | None:  # noqa: ARG002
        """Table `[nodes, 2**k]` whose polynomial's slopes are the inputs' gradients; None for `soft`'s."""
        return None

    @abstractmethod
    def hard(self, parameters: F32x2) -> Bool2:
        """Truth tables bool `[nodes, 2**k]` of parameters `[nodes, parameters]`."""

    def noise(self, shape: tuple[int, ...], rng: np.random.Generator) -> F32x2 | None:
        """Draw the estimators' noise on parameters of `shape`; None if it belongs to the outputs."""
        return rng.logistic(size=shape).astype(np.float32)

    def check(self, estimator: str, init: str) -> None:
        """Refuse choices that the relaxation's source does not define.

        Raises:
            UsageError: names the choices there are.
        """
        for key, value, known in (
            ("estimator", estimator, self.estimators),
            ("init", init, self.inits),
        ):
            if value not in known:
                raise UsageError(
                    f"The relaxation {self.name} has no {key} {value}.", hint=nearest(value, known)
                )


def log_odds(p: float) -> float:
    """Return the logit of a probability."""
    return math.log(p / (1 - p))


def passes_first(k: int) -> F32x2:
    """Return the table of "pass the first input" with -1 for 0, float32 `[2**k]`."""
    return (2 * (np.arange(1 << k) & 1) - 1).astype(np.float32)


def catalogue(nodes: int, k: int, residual: float, rng: np.random.Generator) -> F32x2:
    """Tables of -1 and 1, float32 `[nodes, 2**k]`: pass-first, or random ones at `1 - residual`.

    The start "residual-catalog" of WARP (arXiv 2602.03527): exactly that share, rounded, at random places.
    """
    tables = np.tile(passes_first(k), (nodes, 1))
    others = rng.permutation(nodes)[: round(nodes * (1 - residual))]
    tables[others] = 2.0 * rng.integers(0, 2, (len(others), 1 << k)) - 1
    return tables
