"""Penalties on functions and choices: what a node would cost in LUTs, and how undecided it still is."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .relaxations import Relaxation
from .relaxations.dlgn import GATE_TABLES

_T = GATE_TABLES
_WIRES = torch.from_numpy(
    ((_T[:, 0] == _T[:, 1]) & (_T[:, 2] == _T[:, 3])) | ((_T[:, 0] == _T[:, 2]) & (_T[:, 1] == _T[:, 3]))
)
"""Which of difflogic's gates ignore an input: constants, wires and inverters; bool `[16]`."""


def penalty(network: nn.Module, *, lut_cost: float, entropy: float, temperature: float = 1.0) -> Tensor:
    """Weighted sum of `expected_cost` and `undecided`, each averaged over the network's nodes.

    Layers without functions of a relaxation have no penalty. A scalar with a gradient, or 0.
    """
    total, nodes = torch.zeros(()), 0
    for layer in network.modules():
        functions = getattr(layer, "functions", None)
        kind = getattr(layer, "relaxation", None)
        if not isinstance(functions, Tensor) or not isinstance(kind, Relaxation) or functions.ndim != 2:
            continue
        nodes += len(functions)
        if not functions.requires_grad:  # frozen
            continue
        if lut_cost:
            op = getattr(layer, "op", None)  # of slots, the gates
            total = total + lut_cost * expected_cost(kind, functions, temperature, op).sum()
        if entropy:
            total = total + entropy * undecided(kind, functions, temperature).sum()
            choice = getattr(layer, "choice", None)
            if isinstance(choice, Tensor):
                total = total + entropy * _entropy(choice.softmax(-1)).mean(-1).sum()
    return total / max(nodes, 1)


def probabilities(kind: Relaxation, functions: Tensor, temperature: float) -> Tensor:
    """Probability of a 1 in each table row, `[nodes, 2**k]`, of parameters `[nodes, p]`."""
    table = kind.soft(functions, temperature)
    if kind.logistic:
        return table.sigmoid()
    return (table + 1) / 2 if math.isfinite(kind.bound) else table  # DWN's entries lie in [-1, 1]


def expected_cost(
    kind: Relaxation, functions: Tensor, temperature: float = 1.0, op: Tensor | None = None
) -> Tensor:
    """Expect what the nodes cost, from 0 (a constant, wire or inverter) to 1; `[nodes]`.

    The softmax over gates gives the expected number of LUTs: the probability of a gate that reads both
    inputs. Elsewhere it is a bound on the share of inputs beyond the first that matter, an input
    mattering with the largest probability of two rows that it tells apart being different. For decided
    2-input nodes both are the LUTs that they cost, 0 or 1. Slots have their gates in `op`, int32
    `[nodes, slots]`; without, parameter g is of gate g.
    """
    if kind.name == "dlgn":
        costs = (~_WIRES).to(functions.dtype)
        probability = (functions / temperature).softmax(1)
        return probability @ costs if op is None else (probability * costs[op.long()]).sum(1)
    table = probabilities(kind, functions, temperature)
    k = table.shape[1].bit_length() - 1
    if k == 1:
        return table.new_zeros(len(table))
    matters = []
    for p in range(k):
        pairs = table.view(len(table), -1, 2, 1 << p)
        low, high = pairs[:, :, 0].flatten(1), pairs[:, :, 1].flatten(1)
        matters.append((low * (1 - high) + high * (1 - low)).amax(1))
    each = torch.stack(matters, dim=1)
    return (each.sum(1) - each.amax(1)) / (k - 1)


def undecided(kind: Relaxation, functions: Tensor, temperature: float = 1.0) -> Tensor:
    """Entropy of the nodes' functions, from 0 (decided) to 1; `[nodes]`.

    Of the softmax over gates, or the mean entropy of the table's entries.
    """
    if kind.name == "dlgn":
        return _entropy((functions / temperature).softmax(1))
    p = probabilities(kind, functions, temperature)
    return _entropy(torch.stack([p, 1 - p], dim=-1)).mean(1)


def _entropy(p: Tensor) -> Tensor:
    """Entropy along the last dimension over its maximum."""
    found: Tensor = torch.special.entr(p.clamp(1e-12, 1)).sum(-1)
    return found / math.log(p.shape[-1])
