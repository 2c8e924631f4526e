"""Relaxations: how the function of a node becomes something gradients can change.

A relaxation turns a node's parameters into a *soft truth table*, 2**k numbers in [0, 1] in the
order of `lgc.ir.netlist.Netlist.table` (row r: `fanin[0]` is bit 0 of r). The layer evaluates it as the
multilinear polynomial that agrees with the table at 0 and 1, and hardening rounds it. To add one:
write a class with these five members, enter it below and in `LayerConfig.relaxation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from lgc.errors import LgcError, nearest

from .._typing import Bool2, F32x2
from .dlgn import Dlgn
from .light import Light

if TYPE_CHECKING:
    import torch


class Relaxation(Protocol):
    """What a layer needs to know of a relaxation; importing one does not import torch."""

    def parameters(self, k: int) -> int:
        """Parameters per node of k inputs; 0 if it cannot have k inputs."""

    def initial(self, nodes: int, k: int, residual: float, rng: np.random.Generator) -> F32x2:
        """Draw initial parameters float32 `[nodes, parameters]`.

        `residual` is the probability of passing the first input on; 0 draws random functions.
        """

    def soft(self, parameters: torch.Tensor) -> torch.Tensor:
        """Soft truth tables `[nodes, 2**k]` of parameters `[nodes, parameters]`, differentiable."""

    def hard(self, parameters: F32x2) -> Bool2:
        """Truth tables bool `[nodes, 2**k]` of parameters `[nodes, parameters]`."""


RELAXATIONS: dict[str, Relaxation] = {"dlgn": Dlgn(), "light": Light()}
"""Named choices of `relaxation` in the configuration and in checkpoints."""


def relaxation(name: str) -> Relaxation:
    """Find a relaxation by name.

    Raises:
        LgcError: there is none of that name.
    """
    if name not in RELAXATIONS:
        raise LgcError(f"There is no relaxation {name!r}.", hint=nearest(name, RELAXATIONS))
    return RELAXATIONS[name]
