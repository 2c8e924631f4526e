"""Checkpoints as torch modules again, so that training can go on: lgc's own, torchlogix' or difflogic's."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np

from lgc.errors import ToolMissingError, UsageError, nearest

from .._typing import Array, Bool2, F32x2
from ..checkpoint import Checkpoint
from ..graph import ConvLayer, Detectors, Layer, OrPool
from ..relaxations import relaxation
from .originals import difflogic_layers, torchlogix_layers
from .steps import lsb_first
from .torchlogix import PARAMETRIZATIONS

_Maker = Callable[[Bool2, float], F32x2]
"""Parameters of tables, that sure of each row."""

_Layer = Layer | ConvLayer | OrPool


def network(checkpoint: Checkpoint, confidence: float | None) -> Any:
    """Build a `lgc.frontend.network.Network` with the checkpoint's wiring, fixed, and its parameters.

    With `confidence`, nodes are of the relaxation `light`, each row that sure of its table.

    Raises:
        UsageError: windows whose sides differ.
        ToolMissingError: torch is not installed.
    """
    torch = _torch()
    from ..config import LayerConfig, ModelConfig, ReadoutConfig
    from ..connections import Sources
    from ..network import Network

    layers = [each if confidence is None else _softened(each, confidence) for each in _rebuilt(checkpoint)]
    given = () if checkpoint.weights is None else tuple(checkpoint.weights.tolist())
    settings = tuple(LayerConfig(**_settings(each)) for each in layers)
    config = ModelConfig(settings, tau=checkpoint.tau, readout=ReadoutConfig(given))
    first = layers[0]
    sources = Sources(
        np.arange(checkpoint.encoder.bits, dtype=np.int32),
        shape=first.window.shape if isinstance(first, ConvLayer) else None,
        order=first.source if isinstance(first, ConvLayer) else None,
    )
    built = Network(config, sources, len(checkpoint.class_names), np.random.default_rng(0))
    modules = [cast(Any, module) for module in built.layers if hasattr(module, "functions")]
    learned = [each for each in layers if not isinstance(each, OrPool)]
    with torch.no_grad():
        for own, each in zip(modules, learned, strict=True):
            if isinstance(each, ConvLayer):
                own.leaf.copy_(torch.from_numpy(each.leaf.copy()))
            else:
                own.source.copy_(torch.from_numpy(each.fanin[:, :, None].copy()))
            own.functions.copy_(torch.from_numpy(each.parameters.reshape(own.functions.shape).copy()))
    return built


def _rebuilt(checkpoint: Checkpoint) -> list[_Layer]:
    """Return the layers, none of which may be detectors: what is in front of a network is not rebuilt."""
    found = [each for each in checkpoint.layers if not isinstance(each, Detectors)]
    if len(found) < len(checkpoint.layers):
        raise UsageError("Edge and curvature detectors are not rebuilt as torch modules.")
    return found


def _settings(layer: _Layer) -> dict[str, Any]:
    """Return the settings of a layer with these sizes."""
    if isinstance(layer, Layer):
        return {"width": layer.nodes, "k": layer.k, "relaxation": layer.relaxation}
    window = layer.window
    sides = [set(each) for each in (window.size, window.stride, window.padding)]
    if any(len(side) > 1 for side in sides):
        raise UsageError(
            f"A window of {list(window.size)} with strides {list(window.stride)} is not the same per axis.",
            hint="Take a network with square windows.",
        )
    field, stride, padding = (side.pop() for side in sides)
    found: dict[str, Any] = {"field": field, "stride": stride, "padding": padding}
    if isinstance(layer, OrPool):
        return found | {"kind": "or-pool"}
    nodes = {
        "width": layer.channels,
        "k": layer.k,
        "relaxation": layer.relaxation,
        "depth": len(layer.levels),
    }
    return found | nodes | {"kind": "conv"}


def _softened(layer: _Layer, confidence: float) -> _Layer:
    if isinstance(layer, OrPool):
        return layer
    _, parameters = layer.kernels()
    soft = _light(relaxation(layer.relaxation).hard(parameters), confidence)
    if isinstance(layer, ConvLayer):
        soft = soft.reshape(*layer.parameters.shape[:2], -1)
    return replace(layer, parameters=soft, relaxation="light")


def torchlogix(checkpoint: Checkpoint, parametrization: str, confidence: float) -> Any:
    """Build a `torch.nn.Sequential` of torchlogix' layers.

    LUTs of 1, 3 and 5 inputs become those of 2, 4 and 6, which it has, reading their last input twice. Dense
    networks read the encoder's bits `[samples, bits]`; convolutions images of bits `[samples, C, ...]`,
    element i of which is the encoder's bit `source[i]` of the first layer, i where it has no `source`.

    Raises:
        UsageError: torchlogix has no such layer, or the parametrisation no LUTs of that many inputs.
        ToolMissingError: torchlogix is not installed.
    """
    torch = _torch()
    if parametrization not in PARAMETRIZATIONS:
        raise UsageError(
            f"There is no parametrization {parametrization!r}.",
            hint=nearest(parametrization, PARAMETRIZATIONS),
        )
    with _installed("torchlogix"):
        package = torchlogix_layers()
    _refuse_weights(checkpoint, "torchlogix")
    make = {"raw": _raw, "warp": _warp, "light": _light}[parametrization]
    modules: list[Any] = []
    sources = checkpoint.encoder.bits
    flat = True
    for each in _rebuilt(checkpoint):
        if isinstance(each, Layer):
            modules += [] if flat else [torch.nn.Flatten()]
            modules.append(_dense(package, each, sources, parametrization, make, confidence))
        elif isinstance(each, ConvLayer):
            modules.append(_convolution(package, each, parametrization, make, confidence))
        else:
            modules.append(_pool(package, each))
        flat, sources = isinstance(each, Layer), each.nodes
    beta = float(checkpoint.metadata.get("beta", 0.0))
    modules += [] if flat else [torch.nn.Flatten()]
    head = package.GroupSum(len(checkpoint.class_names), tau=checkpoint.tau, beta=beta)
    return torch.nn.Sequential(*modules, head)


def _dense(
    package: Any, layer: Layer, sources: int, parametrization: str, make: _Maker, confidence: float
) -> Any:
    torch = _torch()
    fanin, rows = _even(layer.fanin, _rows(layer))
    n, k = fanin.shape
    _refuse_rank(parametrization, k)
    # its constructor refuses layers that do not use every input, so it is told of fewer first
    made = package.LogicDense(k, n, lut_rank=k, parametrization=parametrization)
    made.in_dim = made.connections.in_dim = sources
    made.connections.indices = torch.from_numpy(np.ascontiguousarray(fanin[:, ::-1].T, np.int64))
    made.weight = torch.nn.Parameter(torch.from_numpy(make(rows, confidence)))
    return made


def _refuse_rank(parametrization: str, k: int) -> None:
    if parametrization == "raw" and k != 2:
        raise UsageError(
            f"torchlogix' raw parametrization has 2 inputs, not {k}.", hint="Take warp or light."
        )


def _convolution(
    package: Any, layer: ConvLayer, parametrization: str, make: _Maker, confidence: float
) -> Any:
    """Build a convolution; nodes of odd k get a copy of their last child, with all that is below it."""
    torch = _torch()
    window = layer.window
    axes, old = len(window.size), layer.k
    k, depth = old + old % 2, len(layer.levels)
    _refuse_rank(parametrization, k)
    if axes not in (2, 3) or len(set(window.stride)) > 1 or len(set(window.padding)) > 1:
        raise UsageError(
            f"torchlogix has no convolution with windows {list(window.size)}, strides {list(window.stride)} "
            f"and padding {list(window.padding)}.",
            hint="It has 2 or 3 axes, of one stride and one padding.",
        )
    if window.stride[0] > min(window.size):
        raise UsageError(f"torchlogix has no strides of {window.stride[0]} for windows {list(window.size)}.")
    made = getattr(package, f"LogicConv{axes}d")(
        window.shape[1:], channels=window.shape[0], num_kernels=layer.channels, tree_depth=depth,
        receptive_field_size=window.size, stride=window.stride[0], padding=window.padding[0], lut_rank=k,
        parametrization=parametrization,
    )  # fmt: skip
    leaf = layer.leaf[:, _children(old, k, depth)].astype(np.int64)  # [kernels, leaves, 1 + axes]
    place = np.concatenate([leaf[:, :, 1:], leaf[:, :, :1]], axis=2)
    shift = np.pad(window.starts() + window.padding[0], [(0, 0), (0, 1)])
    reads = (place[:, None] + shift[:, None]).reshape(layer.channels, len(shift), -1, k, axes + 1)
    made.connections.register_buffer(
        "_indices_L0", torch.from_numpy(np.ascontiguousarray(reads.transpose(3, 0, 1, 2, 4)))
    )
    hard = relaxation(layer.relaxation).hard(layer.parameters.reshape(-1, layer.parameters.shape[2]))
    rows = hard.reshape(layer.channels, -1, hard.shape[1])
    first = 0
    for level, count in enumerate(layer.levels):
        own = rows[:, first : first + count][:, _children(old, k, depth - 1 - level)].swapaxes(0, 1)
        wide = lsb_first(np.concatenate([own, own], axis=2) if k > old else own)
        weight = make(wide.reshape(-1, 1 << k), confidence).reshape(*wide.shape[:2], -1)
        made.tree_weights[level] = torch.nn.Parameter(torch.from_numpy(weight))
        first += count
    return made


def _children(old: int, new: int, depth: int) -> Array:
    """Return which of `old**depth` nodes each of `new**depth` is: digits from `old` on are the last."""
    found = np.zeros(1, np.int64)
    for _ in range(depth):
        found = (found[:, None] * old + np.minimum(np.arange(new), old - 1)).ravel()
    return found


def _pool(package: Any, layer: OrPool) -> Any:
    window = layer.window
    axes = len(window.size)
    if axes not in (2, 3) or any(
        2 * pad > size for pad, size in zip(window.padding, window.size, strict=True)
    ):
        raise UsageError(
            f"torchlogix has no pool with windows {list(window.size)} and padding {list(window.padding)}.",
            hint="It has 2 or 3 axes, padding up to half a window.",
        )
    return getattr(package, f"OrPooling{axes}d")(window.size, window.stride, window.padding)


def difflogic(checkpoint: Checkpoint, confidence: float) -> Any:
    """Build a `torch.nn.Sequential` of difflogic's layers, for the CPU.

    Raises:
        UsageError: there are convolutions or LUTs of more than 2 inputs.
        ToolMissingError: difflogic is not installed.
    """
    torch = _torch()
    with _installed("difflogic"):
        package = difflogic_layers()
    modules = []
    sources = checkpoint.encoder.bits
    for each in _only_dense(checkpoint, "difflogic"):
        fanin, rows = _even(each.fanin, _rows(each))
        if fanin.shape[1] != 2:
            raise UsageError(f"difflogic has gates of 2 inputs, not LUTs of {each.k}.")
        layer = package.LogicLayer(2, len(fanin), device="cpu", implementation="python")
        layer.in_dim = sources
        layer.indices = tuple(torch.from_numpy(fanin[:, pin].astype(np.int64)) for pin in (1, 0))
        layer.weights = torch.nn.Parameter(torch.from_numpy(_raw(rows, confidence)))
        modules.append(layer)
        sources = len(fanin)
    head = package.GroupSum(len(checkpoint.class_names), tau=checkpoint.tau, device="cpu")
    return torch.nn.Sequential(*modules, head)


def _torch() -> Any:
    with _installed("torch"):
        import torch
    return torch


@contextlib.contextmanager
def _installed(package: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ToolMissingError(
            f"{package} cannot be imported: {error}.", hint=f"Install {package} next to lgc."
        ) from None


def _only_dense(checkpoint: Checkpoint, package: str) -> list[Layer]:
    layers = [each for each in checkpoint.layers if isinstance(each, Layer)]
    if len(layers) < len(checkpoint.layers):
        raise UsageError(
            f"{package} has no convolutions and pools.", hint='Take a dense network, or package="torchlogix".'
        )
    _refuse_weights(checkpoint, package)
    return layers


def _refuse_weights(checkpoint: Checkpoint, package: str) -> None:
    if checkpoint.weights is not None:
        raise UsageError(f"{package} counts every output once; this network's outputs have weights.")


def _rows(layer: Layer) -> Bool2:
    return relaxation(layer.relaxation).hard(layer.parameters)


def _even(fanin: Array, rows: Bool2) -> tuple[Array, Bool2]:
    """Let LUTs of 1, 3 or 5 inputs read the last one twice; the table does not care for the copy."""
    k = fanin.shape[1]
    if k % 2 == 0:
        return fanin, rows
    return np.concatenate([fanin, fanin[:, -1:]], axis=1), np.concatenate([rows, rows], axis=1)


def _light(rows: Bool2, confidence: float) -> F32x2:
    logit = math.log(confidence / (1 - confidence))
    return np.where(rows, logit, -logit).astype(np.float32)


def _warp(rows: Bool2, confidence: float) -> F32x2:
    """Walsh coefficients whose transform is the logit of a 0."""
    sums = -_light(rows, confidence).astype(np.float64) / rows.shape[1]
    for bit in range(rows.shape[1].bit_length() - 1):
        pairs = sums.reshape(len(sums), -1, 2, 1 << bit)
        low, high = pairs[:, :, 0], pairs[:, :, 1]
        sums = np.stack([low + high, low - high], axis=2).reshape(len(sums), -1)
    found: F32x2 = sums.astype(np.float32)
    return found


def _raw(rows: Bool2, confidence: float) -> F32x2:
    """Logits of the 16 gates, whose numbers are their tables read from the highest bit."""
    number = (rows.astype(np.int64) << np.arange(3, -1, -1)).sum(axis=1)
    logits = np.zeros((len(rows), 16), np.float32)
    logits[np.arange(len(rows)), number] = math.log(15 * confidence / (1 - confidence))
    return logits
