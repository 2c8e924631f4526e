"""The kernels on a GPU: what `autograd` has for CPUs, and what carries batches there.

Same operations, same seeds, same layout as on a CPU; float32 results agree within rounding. Nothing
here waits for the GPU, and gradients are sums in a fixed order: training twice gives the same tensors.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.utils.weak import WeakTensorKeyDictionary

from lgc.errors import ToolMissingError

from .._typing import Bool2, I64x1
from .cpu import LANES, LOGISTIC, PLAIN, STEP

try:
    from . import triton_kernels as kernels
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "triton":
        raise
    raise ToolMissingError(
        "Training on a GPU needs Triton, which is not installed.",
        hint='Install a PyTorch with CUDA, or pip install "lgc[gpu]"; or set train.device=cpu.',
    ) from error

_FORWARD_TILE = {1: 8, 2: 8, 3: 8, 4: 8, 5: 4, 6: 4}
"""Nodes of a program by k; powers of two."""
_BACKWARD_TILE = {1: 8, 2: 8, 3: 4, 4: 4, 5: 2, 6: 2}
_WARPS = 4
_PROGRAMS = 4096
"""How many programs a sum over blocks is at least cut into, if there are so many blocks."""
_ENTRIES = 16
_ELEMENTS = 1024


@dataclass(frozen=True, eq=False)
class Consumers:
    """Who reads each source: places in a flat `source`, sorted by feature.

    Attributes:
        entry: int32 `[nodes * k * candidates]`, ascending for each feature.
        start: int32 `[features + 1]`; feature f has entries `start[f] .. start[f + 1] - 1`.
    """

    entry: Tensor
    start: Tensor

    @classmethod
    def of(cls, source: Tensor, features: int) -> Consumers:
        """Sort the entries of `source` int32, any shape."""
        flat = source.reshape(-1)
        ordered, entry = torch.sort(flat, stable=True)
        bounds = torch.arange(features + 1, dtype=flat.dtype, device=flat.device)
        start = torch.searchsorted(ordered, bounds, out_int32=True)
        return cls(entry.to(torch.int32), start)


_KNOWN: Any = WeakTensorKeyDictionary()  # version, features and `Consumers` of a wiring


def consumers(source: Tensor, features: int) -> Consumers:
    """Find the consumers of a layer's wiring, which is sorted once unless it changes."""
    version, width, found = _KNOWN.get(source, (-1, -1, None))
    if found is None or version != source._version or width != features:
        found = Consumers.of(source, features)
        _KNOWN[source] = (source._version, features, found)
    return cast(Consumers, found)


def _on(x: Tensor) -> AbstractContextManager[Any]:
    """Triton launches on the current GPU, which need not be that of the tensors."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def _tiles(items: int, tile: int) -> int:
    return -(-items // tile)


def _chunk(programs: int, blocks: int) -> int:
    """Blocks that a program sums over when there are that many programs per chunk."""
    chunks = min(blocks, _tiles(_PROGRAMS, programs))
    return _tiles(blocks, chunks)


@dataclass(frozen=True)
class _Mode:
    """How a layer is evaluated; see `fused`."""

    logistic: bool
    hard: bool
    weighed: bool
    noisy: bool
    exact: bool

    @property
    def squash(self) -> int:
        """What becomes of the polynomials in the forward pass."""
        if self.exact or not self.logistic:
            return PLAIN
        return STEP if self.hard else LOGISTIC


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        source: Tensor,
        weight: Tensor,
        coef: Tensor,  # noqa: ARG004 - given for its gradient
        exact: Tensor,
        slope: Tensor,
        noise: Tensor,
        mode: _Mode,
    ) -> Tensor:
        nodes, k, candidates = source.shape
        x, weight, exact, slope, noise = (t.contiguous() for t in (x, weight, exact, slope, noise))
        ctx.save_for_backward(x, source, weight, slope, noise)
        ctx.mode = mode  # type: ignore[attr-defined]
        y = x.new_empty((len(x), nodes, LANES))
        tile = _FORWARD_TILE[k]
        with _on(x):
            kernels.forward[_tiles(nodes, tile), len(x)](
                x,
                source,
                weight,
                exact,
                noise,
                y,
                x.shape[1],
                nodes,
                K=k,
                C=candidates,
                WEIGHED=mode.weighed,
                NOISY=mode.noisy and mode.squash != PLAIN,
                SQUASH=mode.squash,
                NODES=tile,
                num_warps=_WARPS,
            )
        return y

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, source, weight, slope, noise = ctx.saved_tensors  # type: ignore[attr-defined]
        mode: _Mode = ctx.mode  # type: ignore[attr-defined]
        need_x, _, need_weight = ctx.needs_input_grad[:3]  # type: ignore[attr-defined]
        need_weight = need_weight and mode.weighed
        nodes, k, candidates = source.shape
        blocks, features = x.shape[:2]
        tile = _BACKWARD_TILE[k]
        tiles = _tiles(nodes, tile)
        chunk = _chunk(tiles, blocks)
        chunks = _tiles(blocks, chunk)
        y_grad = grads[0].contiguous()
        pin_grad = x.new_empty((blocks, nodes * k if need_x or need_weight else 0, LANES))
        coef_grad = slope.new_empty((chunks, *slope.shape))
        with _on(x):
            kernels.backward[tiles, chunks](
                x,
                source,
                weight,
                slope,
                noise,
                y_grad,
                pin_grad if pin_grad.numel() else x,
                coef_grad,
                features,
                nodes,
                blocks,
                chunk,
                K=k,
                C=candidates,
                WEIGHED=mode.weighed,
                NOISY=mode.noisy,
                SQUASH=LOGISTIC if mode.logistic else PLAIN,
                PINS=pin_grad.numel() > 0,
                NODES=tile,
                num_warps=_WARPS,
            )
            x_grad = _gathered(pin_grad, weight, source, features, mode.weighed) if need_x else None
            weight_grad = _weighed(x, source, pin_grad) if need_weight else None
        return x_grad, None, weight_grad, _total(coef_grad), None, None, None, None


def _total(parts: Tensor) -> Tensor:
    return parts[0] if len(parts) == 1 else parts.sum(0)


def _gathered(pin_grad: Tensor, weight: Tensor, source: Tensor, features: int, weighed: bool) -> Tensor:
    """Gradient of the sources float32 `[blocks, features, LANES]`."""
    blocks, pins, _ = pin_grad.shape
    who = consumers(source, features)
    x_grad = pin_grad.new_empty((blocks, features, LANES))
    # a power of two near the mean number of consumers
    mean = _tiles(source.numel(), features)
    entries = min(1 << max(mean - 1, 1).bit_length(), _ENTRIES)
    kernels.gather[features, blocks](
        pin_grad,
        weight,
        who.entry,
        who.start,
        x_grad,
        features,
        pins,
        C=source.shape[2],
        WEIGHED=weighed,
        ENTRIES=entries,
        num_warps=max(1, entries // 2),
    )
    return x_grad


def _weighed(x: Tensor, source: Tensor, pin_grad: Tensor) -> Tensor:
    """Gradient of the candidates' weights, like `source`."""
    blocks, pins, _ = pin_grad.shape
    tiles = _tiles(source.numel(), _ENTRIES)
    chunk = _chunk(tiles, blocks)
    chunks = _tiles(blocks, chunk)
    weight_grad = x.new_empty((chunks, *source.shape))
    kernels.weights[tiles, chunks](
        x,
        source,
        pin_grad,
        weight_grad,
        x.shape[1],
        pins,
        blocks,
        chunk,
        C=source.shape[2],
        ENTRIES=_ENTRIES,
        num_warps=_WARPS,
    )
    return _total(weight_grad)


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
    """Evaluate a layer on `x` float32 `[blocks, features, LANES]`; see `autograd.fused`."""
    noisy = noise is not None and noise.shape[1] > 0
    mode = _Mode(logistic, hard, weight is not None, noisy, exact is not None)
    # a kernel does not look at what its mode leaves out
    given = (coef if other is None else other for other in (weight, exact, slope, noise))
    weight, exact, slope, noise = given
    exact, slope, noise = exact.detach(), slope.detach(), noise.detach()
    if not mode.weighed:
        weight = weight.detach()
    y = cast(
        Tensor,
        _Fused.apply(x, source, weight, coef, exact, slope, noise, mode),  # type: ignore[no-untyped-call]
    )
    return y.view(len(y), groups, -1, LANES).sum(2) if groups else y


class _Monomials(torch.autograd.Function):
    @staticmethod
    def forward(_: FunctionCtx, table: Tensor) -> Tensor:
        return _moebius(table.detach(), False)

    @staticmethod
    def backward(_: FunctionCtx, *grads: Tensor) -> Tensor:
        return _moebius(grads[0], True)


def _moebius(table: Tensor, transposed: bool) -> Tensor:
    table = table.contiguous()
    out = torch.empty_like(table)
    k = table.shape[1].bit_length() - 1
    tile = 256 >> k
    with _on(table):
        kernels.moebius[(_tiles(len(table), tile),)](
            table, out, len(table), K=k, TRANSPOSED=transposed, NODES=tile, num_warps=2
        )
    return out


def monomials(table: Tensor) -> Tensor:
    """Coefficients `[nodes, 2**k]` of the polynomials through truth tables; see `autograd.monomials`."""
    return cast(Tensor, _Monomials.apply(table))  # type: ignore[no-untyped-call]


def logistic_noise(shape: tuple[int, ...], key: int, scale: float, device: torch.device | str) -> Tensor:
    """Logistic noise float32 of this shape, with the key's values of `cpu.logistic_noise`."""
    out = torch.empty(shape, device=device)
    with _on(out):
        kernels.logistic_noise[(_tiles(out.numel(), _ELEMENTS),)](
            int(key), float(scale), out, out.numel(), ELEMENTS=_ELEMENTS, num_warps=_WARPS
        )
    return out


def blocks(bits: Bool2, order: I64x1, device: torch.device | str) -> Tensor:
    """Lay samples `order` of `bits` bool `[samples, bits]` out for a `Network`; as `network.blocks`.

    A byte per bit goes to the GPU, from pinned memory, while earlier work goes on there.
    """
    rows = torch.from_numpy(bits[order])
    count = _tiles(len(rows), LANES)
    if torch.device(device).type == "cuda":
        rows = rows.pin_memory()
    rows = rows.to(device, non_blocking=True)
    if count * LANES > len(rows):  # lanes beyond the last sample repeat it
        rows = torch.cat([rows, rows[-1:].expand(count * LANES - len(rows), -1)])
    return (
        rows.view(count, LANES, -1).transpose(1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    )
