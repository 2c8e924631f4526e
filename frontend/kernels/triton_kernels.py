"""Fused layers on a GPU: the operations of `cpu`, in Triton.

The layout is that of `cpu`: float32 `[block, feature, LANES]`, so that a program reads rows of 256 bytes
wherever they lie. A program has a few nodes and the 64 samples of a block. It adds to no memory that
another one adds to: gradients of pins are written out, and each source sums those of the pins that read
it; sums over blocks are partial sums of a fixed number of chunks. Results depend on nothing but sizes.

Node i's pin p reads candidates `(i k + p) C ... (i k + p) C + C - 1` of the flat `source`.
"""
# Triton has no types, its tuples grow, and what is in capitals is known when a kernel is compiled.
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call, assignment"
# ruff: noqa: N803, RUF005

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from .cpu import LANES as _LANES
from .cpu import LOGISTIC as _LOGISTIC
from .cpu import PLAIN as _PLAIN

LANES: tl.constexpr = tl.constexpr(_LANES)
LOGISTIC: tl.constexpr = tl.constexpr(_LOGISTIC)
PLAIN: tl.constexpr = tl.constexpr(_PLAIN)


@triton.jit
def _pins(
    x: tl.tensor,
    source: tl.tensor,
    weight: tl.tensor,
    i: tl.tensor,
    K: tl.constexpr,
    C: tl.constexpr,
    WEIGHED: tl.constexpr,
) -> Any:
    """Read what the pins of nodes `i` int32 `[nodes]` have from the block at `x`: a tuple of K tiles."""
    lanes = tl.arange(0, LANES)[None, :]
    pins = ()
    for p in tl.static_range(K):
        first = (i * K + p) * C
        if WEIGHED:
            pin = tl.zeros((i.shape[0], LANES), tl.float32)
            for c in range(C):
                row = tl.load(source + first + c)
                pin += tl.load(weight + first + c)[:, None] * tl.load(x + row[:, None] * LANES + lanes)
        else:
            row = tl.load(source + first)
            pin = tl.load(x + row[:, None] * LANES + lanes)
        pins = pins + (pin,)
    return pins


@triton.jit
def _coefficients(coef: tl.tensor, i: tl.tensor, K: tl.constexpr) -> Any:
    """Load the polynomials of nodes `i`: a tuple of 2**K tiles `[nodes, 1]`."""
    found = ()
    for s in tl.static_range(1 << K):
        found = found + (tl.load(coef + i * (1 << K) + s)[:, None],)
    return found


@triton.jit
def _folded(coef: tl.tuple, pins: tl.tuple, K: tl.constexpr) -> Any:
    """Polynomials with 0, 1, ..., K pins eliminated: K + 1 tuples, the last one has the output."""
    levels = (coef,)
    rows = coef
    for p in tl.static_range(K):
        halves = ()
        for r in tl.static_range(1 << (K - 1 - p)):
            halves = halves + (rows[2 * r] + pins[p] * rows[2 * r + 1],)
        rows = halves
        levels = levels + (rows,)
    return levels


@triton.jit
def forward(
    x: tl.tensor,
    source: tl.tensor,
    weight: tl.tensor,
    coef: tl.tensor,
    noise: tl.tensor,
    y: tl.tensor,
    features: tl.tensor,
    nodes: tl.tensor,
    K: tl.constexpr,
    C: tl.constexpr,
    WEIGHED: tl.constexpr,
    NOISY: tl.constexpr,
    SQUASH: tl.constexpr,
    NODES: tl.constexpr,
) -> None:
    """Evaluate NODES nodes on a block, as `cpu.forward`; grid `(nodes / NODES, blocks)`."""
    own = tl.program_id(0) * NODES + tl.arange(0, NODES)
    block = tl.program_id(1).to(tl.int64)
    i = tl.minimum(own, nodes - 1)
    pins = _pins(x + block * features * LANES, source, weight, i, K, C, WEIGHED)
    levels = _folded(_coefficients(coef, i, K), pins, K)
    value = levels[K][0]
    place = block * nodes * LANES + i[:, None] * LANES + tl.arange(0, LANES)[None, :]
    inside = (own < nodes)[:, None]
    if NOISY:
        value += tl.load(noise + place)
    if SQUASH == LOGISTIC:
        value = tl.sigmoid(value)
    elif SQUASH != PLAIN:
        value = (value > 0).to(tl.float32)
    tl.store(y + place, value, inside)


@triton.jit
def _unfolded(levels: tl.tuple, pins: tl.tuple, grad: tl.tensor, K: tl.constexpr) -> Any:
    """Undo `_folded` for the output's gradient.

    Returns:
        Gradients of the pins, last pin first, and of the coefficients: tuples of K and 2**K tiles.
    """
    rows = (grad,)
    found = ()
    for q in tl.static_range(K):
        total = rows[0] * levels[K - 1 - q][1]
        wider = (rows[0], rows[0] * pins[K - 1 - q])
        for r in tl.static_range(1, 1 << q):
            total += rows[r] * levels[K - 1 - q][2 * r + 1]
            wider = wider + (rows[r], rows[r] * pins[K - 1 - q])
        rows = wider
        found = found + (total,)
    return found, rows


@triton.jit
def backward(
    x: tl.tensor,
    source: tl.tensor,
    weight: tl.tensor,
    coef: tl.tensor,
    noise: tl.tensor,
    y_grad: tl.tensor,
    pin_grad: tl.tensor,
    coef_grad: tl.tensor,
    features: tl.tensor,
    nodes: tl.tensor,
    blocks: tl.tensor,
    chunk: tl.tensor,
    K: tl.constexpr,
    C: tl.constexpr,
    WEIGHED: tl.constexpr,
    NOISY: tl.constexpr,
    SQUASH: tl.constexpr,
    PINS: tl.constexpr,
    NODES: tl.constexpr,
) -> None:
    """Gradients of NODES nodes on `chunk` blocks; grid `(nodes / NODES, blocks / chunk)`.

    Fills `pin_grad` `[blocks, nodes, K, LANES]` if PINS, and `coef_grad` `[chunks, nodes, 2**K]`. A node
    that is squashed has the gradient of its probability.
    """
    own = tl.program_id(0) * NODES + tl.arange(0, NODES)
    part = tl.program_id(1)
    i = tl.minimum(own, nodes - 1)
    lanes = tl.arange(0, LANES)[None, :]
    inside = (own < nodes)[:, None]
    low = _coefficients(coef, i, K)
    sums = ()
    for _ in tl.static_range(1 << K):
        sums = sums + (tl.zeros((NODES, LANES), tl.float32),)
    first = part.to(tl.int64) * chunk
    for b in range(tl.minimum(chunk, blocks - part * chunk)):
        block = first + b
        pins = _pins(x + block * features * LANES, source, weight, i, K, C, WEIGHED)
        levels = _folded(low, pins, K)
        place = block * nodes * LANES + i[:, None] * LANES + lanes
        grad = tl.load(y_grad + place)
        if SQUASH != PLAIN:
            value = levels[K][0]
            if NOISY:
                value += tl.load(noise + place)
            value = tl.sigmoid(value)
            grad *= value * (1 - value)
        found, rows = _unfolded(levels, pins, grad, K)
        if PINS:
            for q in tl.static_range(K):
                to = block * nodes * K * LANES + (i * K + (K - 1 - q))[:, None] * LANES + lanes
                tl.store(pin_grad + to, found[q], inside)
        more = ()
        for s in tl.static_range(1 << K):
            more = more + (sums[s] + rows[s],)
        sums = more
    to = part.to(tl.int64) * nodes * (1 << K) + i * (1 << K)
    for s in tl.static_range(1 << K):
        tl.store(coef_grad + to + s, tl.sum(sums[s], 1), own < nodes)


@triton.jit
def gather(
    pin_grad: tl.tensor,
    weight: tl.tensor,
    entry: tl.tensor,
    start: tl.tensor,
    x_grad: tl.tensor,
    features: tl.tensor,
    pins: tl.tensor,
    C: tl.constexpr,
    WEIGHED: tl.constexpr,
    ENTRIES: tl.constexpr,
) -> None:
    """Sum what the pins give back to one source on one block; grid `(features, blocks)`.

    `entry` lists places in the flat `source`, ascending for each feature; those of feature f are
    `start[f] .. start[f + 1] - 1`. Fills `x_grad` `[blocks, features, LANES]` from `pin_grad`
    `[blocks, pins, LANES]`.
    """
    feature = tl.program_id(0)
    block = tl.program_id(1).to(tl.int64)
    lanes = tl.arange(0, LANES)
    stop = tl.load(start + feature + 1)
    total = tl.zeros((ENTRIES, LANES), tl.float32)
    for first in range(tl.load(start + feature), stop, ENTRIES):
        own = first + tl.arange(0, ENTRIES)
        here = tl.load(entry + own, own < stop, 0)
        rows = block * pins * LANES + (here // C)[:, None] * LANES + lanes[None, :]
        grad = tl.load(pin_grad + rows, (own < stop)[:, None], 0.0)
        if WEIGHED:
            grad *= tl.load(weight + here, own < stop, 0.0)[:, None]
        total += grad
    tl.store(x_grad + (block * features + feature) * LANES + lanes, tl.sum(total, 0))


@triton.jit
def weights(
    x: tl.tensor,
    source: tl.tensor,
    pin_grad: tl.tensor,
    weight_grad: tl.tensor,
    features: tl.tensor,
    pins: tl.tensor,
    blocks: tl.tensor,
    chunk: tl.tensor,
    C: tl.constexpr,
    ENTRIES: tl.constexpr,
) -> None:
    """Gradients of ENTRIES weights on `chunk` blocks; grid `(pins C / ENTRIES, blocks / chunk)`.

    Fills `weight_grad` `[chunks, pins, C]` from `pin_grad` `[blocks, pins, LANES]`.
    """
    own = tl.program_id(0) * ENTRIES + tl.arange(0, ENTRIES)
    part = tl.program_id(1)
    entry = tl.minimum(own, pins * C - 1)
    lanes = tl.arange(0, LANES)[None, :]
    rows = tl.load(source + entry)[:, None] * LANES + lanes
    grads = (entry // C)[:, None] * LANES + lanes
    total = tl.zeros((ENTRIES, LANES), tl.float32)
    first = part.to(tl.int64) * chunk
    for b in range(tl.minimum(chunk, blocks - part * chunk)):
        block = first + b
        read = tl.load(x + block * features * LANES + rows)
        total += read * tl.load(pin_grad + block * pins * LANES + grads)
    tl.store(weight_grad + part.to(tl.int64) * pins * C + entry, tl.sum(total, 1), own < pins * C)


@triton.jit
def moebius(
    table: tl.tensor,
    out: tl.tensor,
    nodes: tl.tensor,
    K: tl.constexpr,
    TRANSPOSED: tl.constexpr,
    NODES: tl.constexpr,
) -> None:
    """Monomials' coefficients of NODES truth tables `[nodes, 2**K]`, or the map's transposed.

    Coefficient s is the sum of `(-1)**|s - r| table[r]` over the subsets r of s.
    """
    own = tl.program_id(0) * NODES + tl.arange(0, NODES)
    inside = (own < nodes)[:, None]
    s = tl.arange(0, 1 << K)[None, :]
    total = tl.zeros((NODES, 1 << K), tl.float32)
    for r in range(1 << K):
        odd = s ^ r
        odd ^= odd >> 4
        odd ^= odd >> 2
        odd ^= odd >> 1
        value = tl.load(table + own * (1 << K) + r, own < nodes, 0.0)[:, None]
        related = (s & ~r) == 0 if TRANSPOSED else (~s & r) == 0
        total += tl.where(related, tl.where((odd & 1) == 1, -value, value), 0.0)
    tl.store(out + own[:, None] * (1 << K) + s, total, inside)


@triton.jit
def logistic_noise(
    key: tl.uint64, scale: tl.tensor, out: tl.tensor, size: tl.tensor, ELEMENTS: tl.constexpr
) -> None:
    """Fill `out` `[size]` with the noise of `cpu.logistic_noise`, up to rounding of the logarithm."""
    own = tl.program_id(0).to(tl.int64) * ELEMENTS + tl.arange(0, ELEMENTS)
    z = key + (own + 1).to(tl.uint64) * 0x9E3779B97F4A7C15
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    z ^= z >> 31
    u = ((z >> 12).to(tl.float64) + 0.5) / 4503599627370496.0
    tl.store(out + own, (scale * tl.log(u / (1 - u))).to(tl.float32), own < size)
