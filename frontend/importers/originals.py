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
from . import described, description, difflogic, files, torchlogix
from .network import Options

_EVALUATIONS = 1 << 19
"""Gates times samples that torchlogix' evaluator does in seconds."""
_MODULES = ("torchlogix", "difflogic", "torch_dwn", "torch")


def scores(path: Path, kind: str, options: Options, bits: Bool2, classes: int) -> tuple[Array, str] | None:
    """Return the counts int64 `[samples, classes]` that the original package computes, and its name.

    Args:
        path: a state dict or a circuit, which was imported.
        kind: "torchlogix", "torchlogix-circuit" or "difflogic"; others have no package to ask.
        options: as for the import.
        bits: samples bool `[samples, bits]`.
        classes: number of classes.

    Returns:
        None if the package is not installed, or there is none.
    """
    if kind == "torchlogix-circuit":
        return _circuit(path, bits, classes)
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


def _circuit(path: Path, bits: Bool2, classes: int) -> tuple[Array, str] | None:
    """Run a circuit in torchlogix' own evaluator, gate by gate in Python: on fewer samples if it is large."""
    try:
        circuit = import_module("torchlogix.circuit").Circuit
    except (ImportError, SyntaxError):
        circuit = None
    if circuit is None:  # up to 0.2.2 its circuit.py needs Python 3.12
        return None
    import torch

    made = circuit.from_json_file(str(path))
    some = max(1, min(len(bits), _EVALUATIONS // (len(made.gates) + 1)))
    out = made(torch.from_numpy(bits[:some])).double().numpy()
    taus = {each.tau for each in made.sum_nodes} or {1.0}
    counts = out.reshape(some, classes, -1).sum(axis=2) * max(taus)
    return np.rint(counts).astype(np.int64), f"torchlogix {_version('torchlogix')}".strip()


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
    layers = torchlogix_layers()
    state = torchlogix.state_of(path)
    if options.config is not None:
        return _described(described.parts(state, description.read(options.config), options))
    built = []
    for prefix in torchlogix.prefixes(state):
        tensors = {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
        built.append(_dense(layers, tensors, options.parametrization or "raw", sources))
        sources = len(tensors["weight"])
    return built


def _dense(layers: Any, tensors: Any, parametrization: str, sources: int) -> Any:
    import torch

    indices = torch.from_numpy(tensors["connections.indices"].astype(np.int64))
    choice = tensors.get("connections.weights")
    k = int(indices.shape[-2])
    # the constructor refuses layers that do not use every input, so it is told of fewer first
    layer = layers.LogicDense(
        k, len(tensors["weight"]), lut_rank=k, parametrization=parametrization,
        connections="fixed" if choice is None else "learnable",
    )  # fmt: skip
    layer.in_dim = layer.connections.in_dim = sources
    layer.weight = torch.nn.Parameter(torch.from_numpy(tensors["weight"]))
    layer.connections.indices = indices
    if choice is not None:
        layer.connections.weights = torch.nn.Parameter(torch.from_numpy(choice))
    return layer


def _described(parts: list[described.Part]) -> list[Any]:
    """Layers built by their constructors from the description, then given the tensors; bits come flat."""
    import torch

    layers = torchlogix_layers()
    built: list[Any] = []
    for part in parts:
        given = part.arguments
        if part.kind == "LogicDense":
            built.append(_dense(layers, part.tensors, given["parametrization"], given["in_dim"]))
        elif part.kind.startswith("LogicConv"):
            built.append(_convolution(layers, part))
        elif part.kind == "ResidualLogicBlock":
            built.append(_block(part))
        elif part.kind.startswith("OrPooling"):
            pool = {name: given[name] for name in ("kernel_size", "stride", "padding")}
            built.append(getattr(layers, part.kind)(**pool))
        elif part.kind == "Flatten":
            built.append(torch.nn.Flatten())
    first = next(part for part in parts if "Binarization" not in part.kind)
    return [torch.nn.Unflatten(1, first.reads), *built] if len(first.reads) > 1 else built


def _convolution(layers: Any, part: described.Part) -> Any:
    own = {"parametrization", "lut_rank", "num_kernels", "tree_depth"}
    names = own | set(description.ARGUMENTS[part.kind])
    axes = 3 if part.kind.endswith("3d") else 2
    given = {name: part.arguments[name] for name in names}
    for name in {"in_dim", "receptive_field_size", "output_padding"} & names:
        given[name] = described.sides(given[name], axes, name)
    return _with_trees(getattr(layers, part.kind)(**given), part.tensors)


def _with_trees(layer: Any, tensors: Any) -> Any:
    import torch

    for name, value in tensors.items():
        kind, _, rest = name.rpartition(".")
        if kind == "connections":
            layer.connections.register_buffer(rest, torch.from_numpy(value.astype(np.int64)))
        elif kind == "tree_weights":
            layer.tree_weights[int(rest)] = torch.nn.Parameter(torch.from_numpy(value))
    return layer


def _block(part: described.Part) -> Any:
    given = part.arguments
    block = import_module("torchlogix.modules.resblock").ResidualLogicBlock
    names = {*description.ARGUMENTS["ResidualLogicBlock"], "parametrization", "lut_rank"}
    built = block(**{name: given[name] for name in names})
    for number in (0, 2):
        inside = {key[2:]: value for key, value in part.tensors.items() if key.startswith(f"{number}.")}
        _with_trees(built.main[number], inside)
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


def module(path: Path) -> tuple[Any, str] | None:
    """Open a whole module with the classes of the packages themselves, and their name.

    Still with `weights_only=True`: only modules of torch and of the packages are built.

    Returns:
        None if a package is not installed, or a class is of another one. DWN's run on CUDA only.
    """
    import torch

    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    try:
        classes = [_module_class(name) for name in names]
    except (ImportError, AttributeError):
        return None
    packages = {name.partition(".")[0] for name in names} - {"torch"}
    if None in classes or len(packages) != 1 or ("torch_dwn" in packages and not torch.cuda.is_available()):
        return None
    with torch.serialization.safe_globals(classes):
        found = files.inner(torch.load(path, map_location="cpu", weights_only=True), torch.nn.Module)
    for each in found.modules():
        if getattr(each, "implementation", "") == "cuda":  # difflogic's other one computes the same
            each.implementation = each.device = "python"
    package = packages.pop()
    return found.cuda() if package == "torch_dwn" else found, f"{package} {_version(package)}".strip()


def _module_class(name: str) -> Any:
    """Return the class of a module of the known packages, else None."""
    import torch

    place, _, own = name.rpartition(".")
    package = place.partition(".")[0]
    if package not in _MODULES or (package == "torch" and not place.startswith("torch.nn.modules.")):
        return None
    {"torchlogix": torchlogix_layers, "difflogic": difflogic_layers}.get(package, lambda: None)()
    found = getattr(import_module(place), own)
    return found if isinstance(found, type) and issubclass(found, torch.nn.Module) else None
