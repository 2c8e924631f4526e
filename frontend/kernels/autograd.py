"""The kernels as differentiable operations of torch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .. import devices
from . import stack
from .layer import Nodes
from .maps import MOEBIUS
from .parameters import transform


def fused(
    x: Tensor,
    source: Tensor,
    weight: Tensor | None,
    coef: Tensor,
    exact: Tensor | None = None,
    *,
    slope: Tensor | None = None,
    noise: Tensor | None = None,
    logistic: bool = False,
    hard: bool = False,
    groups: int = 0,
) -> Tensor:
    """Evaluate a layer on `x` float32 `[blocks, features, LANES]`; see `lgc.frontend.kernels.cpu`.

    `weight` None is fixed wiring: one candidate per pin, read as it is. With `exact` the output is that
    of these coefficients, the gradient that of `coef`. With `slope` the gradients of `x` and `weight`
    are those of these coefficients. With `logistic` the polynomials, plus `noise` float32
    `[blocks, nodes, LANES]`, are logits, and the output is their probability, or with `hard` whether
    they are positive. With `groups`, which needs fixed wiring, the sums over as many equal, contiguous
    groups of nodes are returned, `[blocks, groups, LANES]`: the nodes' gradients are never spelt out.
    """
    nodes = Nodes(source, coef, weight, exact, slope, noise, logistic, hard)
    return stacked(x, [nodes], groups)


def stacked(x: Tensor, layers: Sequence[Nodes], groups: int = 0) -> Tensor:
    """Send `x` through several layers, see `stack.evaluate`; on a GPU one at a time."""
    if not devices.on_gpu(x):
        return stack.evaluate(x, layers, groups)
    from . import gpu

    for i, each in enumerate(layers, 1):
        x = gpu.fused(
            x,
            each.source,
            each.weight,
            each.coef,
            each.exact,
            slope=each.slope,
            noise=each.noise,
            logistic=each.logistic,
            hard=each.hard,
            groups=groups if i == len(layers) else 0,
        )
    return x


def monomials(table: Tensor) -> Tensor:
    """Coefficients `[nodes, 2**k]` of the polynomials through truth tables `[nodes, 2**k]` (Moebius)."""
    if devices.on_gpu(table):
        from . import gpu

        return gpu.monomials(table)
    return transform(table, MOEBIUS)
