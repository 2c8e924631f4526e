"""Checkpoints as torch modules again, so that training can go on: lgc's own, torchlogix' or difflogic's."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np

from lgc.errors import ToolMissingError, UsageError, nearest

from .._typing import Array, Bool2, F32x2
from ..checkpoint import Checkpoint
from ..graph import ConvLayer, Detectors, Layer, OrPool
from ..relaxations import relaxation
from .originals import difflogic_layers, torchlogix_layers
from .torchlogix import PARAMETRIZATIONS

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

    LUTs of 1, 3 and 5 inputs become those of 2, 4 and 6, which it has, reading their last input twice.

    Raises:
        UsageError: there are convolutions, or the parametrisation has no LUTs of that many inputs.
        ToolMissingError: torchlogix is not installed.
    """
    torch = _torch()
    if parametrization not in PARAMETRIZATIONS:
        raise UsageError(
            f"There is no parametrization {parametrization!r}.",
            hint=nearest(parametrization, PARAMETRIZATIONS),
        )
    with _installed("torchlogix"):
        layers = torchlogix_layers()
    modules = []
    sources = checkpoint.encoder.bits
    for each in _dense(checkpoint, "torchlogix"):
        fanin, rows = _even(each.fanin, _rows(each))
        n, k = fanin.shape
        if parametrization == "raw" and k != 2:
            raise UsageError(
                f"torchlogix' raw parametrization has 2 inputs, not {k}.", hint="Take warp or light."
            )
        # its constructor refuses layers that do not use every input, so it is told of fewer first
        layer = layers.LogicDense(k, n, lut_rank=k, parametrization=parametrization)
        layer.in_dim = layer.connections.in_dim = sources
        layer.connections.indices = torch.from_numpy(np.ascontiguousarray(fanin[:, ::-1].T, np.int64))
        made = {"raw": _raw, "warp": _warp, "light": _light}[parametrization](rows, confidence)
        layer.weight = torch.nn.Parameter(torch.from_numpy(made))
        modules.append(layer)
        sources = n
    return torch.nn.Sequential(*modules, layers.GroupSum(len(checkpoint.class_names), tau=checkpoint.tau))


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
    for each in _dense(checkpoint, "difflogic"):
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


def _dense(checkpoint: Checkpoint, package: str) -> list[Layer]:
    layers = [each for each in checkpoint.layers if isinstance(each, Layer)]
    if len(layers) < len(checkpoint.layers):
        raise UsageError(
            f"Convolutions and pools are not rebuilt as {package} modules.", hint="Take a dense network."
        )
    if checkpoint.weights is not None:
        raise UsageError(f"{package} counts every output once; this network's outputs have weights.")
    return layers


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
