"""Relaxations: how the function of a node becomes something gradients can change.

A relaxation turns a node's parameters into a *soft truth table*, 2**k numbers in the order of
`lgc.ir.netlist.Netlist.table` (row r: `fanin[0]` is bit 0 of r). The layer evaluates it as the
multilinear polynomial that agrees with the table at 0 and 1, and hardening rounds it. To add one:
derive a class from `Relaxation`, enter it below and in `LayerConfig.relaxation`.
"""

from __future__ import annotations

from lgc.errors import LgcError, UsageError, nearest

from .base import ESTIMATORS, INITS, Relaxation
from .dlgn import Dlgn
from .dwn import Dwn
from .light import Light
from .warp import Warp

__all__ = ["ESTIMATORS", "INITS", "RELAXATIONS", "Relaxation", "relaxation", "relaxation_for"]

RELAXATIONS: dict[str, Relaxation] = {"dlgn": Dlgn(), "dwn": Dwn(), "light": Light(), "warp": Warp()}
"""Named choices of `relaxation` in the configuration and in checkpoints."""


def relaxation(name: str) -> Relaxation:
    """Find a relaxation by name.

    Raises:
        LgcError: there is none of that name.
    """
    if name not in RELAXATIONS:
        raise LgcError(f"There is no relaxation {name!r}.", hint=nearest(name, RELAXATIONS))
    return RELAXATIONS[name]


def relaxation_for(name: str, k: int, estimator: str, init: str) -> Relaxation:
    """Find a relaxation for nodes of k inputs, trained by `estimator` from `init`.

    Raises:
        UsageError: it has no such nodes, or its source defines no such training.
    """
    found = relaxation(name)
    if not found.parameters(k):
        known = ", ".join(other for other, kind in RELAXATIONS.items() if k in kind.ks)
        raise UsageError(
            f"The relaxation {name} has no nodes of {k} inputs.",
            hint=f"Choose another k, or a relaxation that has: {known}.",
        )
    found.check(estimator, init)
    return found
