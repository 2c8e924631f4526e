"""The original packages, where they are installed, computing what they make of a state dict."""

from __future__ import annotations

import contextlib
import io
import sys
import types
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

from .._typing import Array, Bool2
from . import difflogic, files, torchlogix
from .network import Options


def scores(path: Path, kind: str, options: Options, bits: Bool2, classes: int) -> tuple[Array, str] | None:
    """Return the counts int64 `[samples, classes]` that the original package computes, and its name.

    Args:
        path: a state dict of dense layers, which was imported.
        kind: "torchlogix" or "difflogic"; others have no package to ask.
        options: as for the import.
        bits: samples bool `[samples, bits]`.
        classes: number of classes.

    Returns:
        None if the package is not installed, or there is none.
    """
    builders = {"torchlogix": _torchlogix, "difflogic": _difflogic}
    if kind not in builders:
        return None
    try:
        modules = builders[kind](path, options, bits.shape[1])
    except ImportError:
        return None
    import torch

    x = torch.from_numpy(bits).float()
    # difflogic prints the type of its indices
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        for module in modules:
            x = module.eval()(x)
    counts = x.double().numpy().reshape(len(bits), classes, -1).sum(axis=2)
    return np.rint(counts).astype(np.int64), f"{kind} {_version(kind)}".strip()


def torchlogix_layers() -> Any:
    """Import torchlogix' layers.

    Raises:
        ImportError: not installed.
    """
    try:
        return import_module("torchlogix.layers")
    except SyntaxError:  # up to 0.2.2 its circuit.py needs Python 3.12; layers do without
        circuit = types.ModuleType("torchlogix.circuit")
        circuit.Circuit = None  # type: ignore[attr-defined]
        sys.modules["torchlogix.circuit"] = circuit
        return import_module("torchlogix.layers")


def difflogic_layers() -> Any:
    """Import difflogic; a build without its CUDA extension has layers for the CPU still.

    Raises:
        ImportError: not installed.
    """
    try:
        return import_module("difflogic")
    except ImportError as error:
        if error.name != "difflogic_cuda":
            raise
        sys.modules["difflogic_cuda"] = types.ModuleType("difflogic_cuda")
        return import_module("difflogic")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _torchlogix(path: Path, options: Options, sources: int) -> list[Any]:
    import torch

    layers = torchlogix_layers()
    state = files.safetensors(path) if path.suffix == ".safetensors" else files.torch_state(path)
    built = []
    for prefix in torchlogix.prefixes(state):
        weight = state[f"{prefix}weight"]
        indices = torch.from_numpy(state[f"{prefix}connections.indices"].astype(np.int64))
        choice = state.get(f"{prefix}connections.weights")
        k = int(indices.shape[-2])
        # the constructor refuses layers that do not use every input, so it is told of fewer first
        layer = layers.LogicDense(
            k, len(weight), lut_rank=k, parametrization=options.parametrization or "raw",
            connections="fixed" if choice is None else "learnable",
        )  # fmt: skip
        layer.in_dim = layer.connections.in_dim = sources
        layer.weight = torch.nn.Parameter(torch.from_numpy(weight))
        layer.connections.indices = indices
        if choice is not None:
            layer.connections.weights = torch.nn.Parameter(torch.from_numpy(choice))
        built.append(layer)
        sources = len(weight)
    return built


def _difflogic(path: Path, options: Options, sources: int) -> list[Any]:
    import torch

    package = difflogic_layers()
    weights, pairs = difflogic.parts(files.torch_state(path), options)
    built = []
    for weight, (a, b) in zip(weights, pairs, strict=True):
        layer = package.LogicLayer(2, len(weight), device="cpu", implementation="python")
        layer.in_dim = sources
        layer.indices = tuple(torch.from_numpy(side.astype(np.int64)) for side in (a, b))
        layer.weights = torch.nn.Parameter(torch.from_numpy(weight).float())
        built.append(layer)
        sources = len(weight)
    return built
