"""Checkpoints: a trained network as safetensors with JSON metadata, read with numpy alone."""

from __future__ import annotations

import json
import math
import operator
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lgc.errors import LgcError
from lgc.ir.encoder import FixedPoint, Thermometer

from ._typing import Array, F32x2, F32x3, I32x1, I32x2, I32x3
from .graph import AnyLayer, ConvLayer, Detectors, Layer, OrPool, Window, tree_levels
from .relaxations import relaxation

__all__ = [
    "FORMAT",
    "Checkpoint",
    "ConvLayer",
    "Detectors",
    "Layer",
    "OrPool",
    "Window",
    "load",
    "read_tensors",
    "save",
    "write_tensors",
]

FORMAT = 3
"""Version of the file format; a reader refuses newer ones. Files of dense layers alone are of version 1,
with convolutions of 2, with weighted outputs, detectors or formats by feature of 3."""
_KEY = "lgc"
_MAX_NODES = 1 << 28
_MAX_SCORE = (1 << 31) - 1
_MAX_COEFFICIENT = 8


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained classifier before lowering.

    Attributes:
        encoder: what turns features into input bits.
        layers: first to last; the last one's outputs are counted in equal groups, one per class. See
            `lgc.frontend.graph`.
        class_names: one per class.
        tau: logits are the counts divided by it.
        metadata: configuration, seeds, versions, data source and accuracies; JSON values.
        weights: what each output counts, int32 `[outputs]`, not negative; None if each counts once.
    """

    encoder: Thermometer
    layers: tuple[AnyLayer, ...]
    class_names: tuple[str, ...]
    tau: float
    metadata: Mapping[str, Any] = field(default_factory=dict)
    weights: I32x1 | None = None


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file is complete or not there at all."""
    form = checkpoint.encoder.format
    header = {
        "format": _version(checkpoint),
        "encoder": {"width": form.width, "fraction": form.fraction, "signed": form.signed}
        | ({"shift": form.shift} if form.shift else {}),
        "layers": [_entry(layer) for layer in checkpoint.layers],
        "class_names": checkpoint.class_names,
        "tau": checkpoint.tau,
        "metadata": checkpoint.metadata,
    }
    tensors: dict[str, Array] = {"encoder.threshold": checkpoint.encoder.threshold}
    if checkpoint.weights is not None:
        tensors["readout.weight"] = checkpoint.weights
    for i, layer in enumerate(checkpoint.layers):
        tensors |= {f"layers.{i}.{name}": array for name, array in _arrays(layer).items()}
    write_tensors(path, tensors, header)


def _version(checkpoint: Checkpoint) -> int:
    """Oldest version of the format that can hold it."""
    new = checkpoint.weights is not None or isinstance(checkpoint.layers[0], Detectors)
    if new or checkpoint.encoder.format.shift:
        return 3
    return 1 if all(isinstance(layer, Layer) for layer in checkpoint.layers) else 2


def _entry(layer: AnyLayer) -> str | dict[str, Any]:
    """Return the header's entry: a dense layer's relaxation, otherwise an object."""
    if isinstance(layer, Layer):
        return layer.relaxation
    if isinstance(layer, Detectors):
        return {"kind": "detectors", "shape": layer.shape, "levels": layer.levels}
    window = asdict(layer.window)
    if isinstance(layer, OrPool):
        return {"kind": "or-pool"} | window
    return {"kind": "conv", "relaxation": layer.relaxation} | window


def _arrays(layer: AnyLayer) -> dict[str, Array]:
    if isinstance(layer, Layer):
        return {"fanin": layer.fanin, "parameters": layer.parameters}
    if isinstance(layer, OrPool):
        return {}
    if isinstance(layer, Detectors):
        return {"kernel": layer.kernel, "threshold": layer.threshold}
    found: dict[str, Array] = {"leaf": layer.leaf, "parameters": layer.parameters}
    return found if layer.source is None else found | {"source": layer.source}


def write_tensors(path: Path, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> None:
    """Write arrays and a JSON header as safetensors, by renaming a finished temporary file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        os.close(handle)
    except OSError as error:
        raise LgcError(f"Cannot write {path}: {error.strerror}.") from error
    try:
        contiguous = {key: np.ascontiguousarray(array) for key, array in tensors.items()}
        save_file(contiguous, name, metadata={_KEY: json.dumps(header)})
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def read_tensors(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what `write_tensors` wrote: arrays and header.

    Raises:
        LgcError: missing, damaged, or something else than an lgc file.
    """
    _refuse_foreign(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if _KEY not in metadata:
                raise LgcError(
                    f"{path} is a safetensors file, but not from lgc.", hint="Import it with `lgc import`."
                )
            header = json.loads(metadata[_KEY])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise LgcError(f"{path} is damaged or not a checkpoint: {error}.") from error
    if not isinstance(header, dict):
        raise LgcError(f"{path} is damaged: its header is not an object.")
    return tensors, header


def _refuse_foreign(path: Path) -> None:
    """Name the usual mistakes before safetensors stumbles over them."""
    try:
        with path.open("rb") as file:
            magic = file.read(16)
    except OSError as error:
        raise LgcError(f"Cannot read the checkpoint {path}: {error.strerror}.") from error
    # a safetensors header may be as long as those bytes spell; it starts with a brace
    if magic[8:9] != b"{" and magic.startswith(
        (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    ):
        raise LgcError(
            f"{path} is a PyTorch pickle, which can run code; lgc does not open it as a checkpoint.",
            hint="Import it with `lgc import`.",
        )
    if len(magic) < 10:
        raise LgcError(f"{path} is too short to be a checkpoint ({len(magic)} bytes).")


def load(path: Path) -> Checkpoint:
    """Read a checkpoint and check everything that lowering relies on.

    Raises:
        LgcError: missing, damaged, foreign, or inconsistent; one sentence says what.
    """
    tensors, header = read_tensors(path)
    try:
        return _parse(tensors, header)
    except LgcError as error:
        raise LgcError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LgcError(f"{path} is not a complete checkpoint: {error!r}.") from error


def _parse(tensors: Mapping[str, Array], header: Mapping[str, Any]) -> Checkpoint:
    if header["format"] not in range(1, FORMAT + 1):
        raise LgcError(
            f"The checkpoint has format {header['format']}, this lgc reads 1 to {FORMAT}.", hint="Update lgc."
        )
    encoder = _encoder(tensors, header["encoder"])
    layers: list[AnyLayer] = []
    sources = encoder.bits
    for i, entry in enumerate(header["layers"]):
        layers.append(_any_layer(tensors, i, entry, sources))
        sources = layers[-1].nodes
    names = tuple(str(name) for name in header["class_names"])
    if not layers or not names or sources % len(names):
        raise LgcError(f"{len(names)} classes cannot share the last layer's {sources} outputs.")
    tau = float(header["tau"])
    if not 0 < tau < float("inf"):
        raise LgcError(f"The scale tau is {tau}; it must be positive.")
    weights = None
    if "readout.weight" in tensors:
        found = _tensor(tensors, "readout.weight", np.int32, 1).astype(np.int32)
        weights = check_weights(found, sources, len(names))
    return Checkpoint(encoder, tuple(layers), names, tau, dict(header["metadata"]), weights)


def check_weights(weights: I32x1, outputs: int, classes: int) -> I32x1:
    """Return the weights of outputs, int32 `[outputs]`, if they can be counted.

    Raises:
        LgcError: not one per output, negative, or a class's score would grow too large.
    """
    if len(weights) != outputs:
        raise LgcError(f"There are {len(weights)} weights for {outputs} outputs.")
    if weights.min() < 0 or weights.reshape(classes, -1).sum(axis=1, dtype=np.int64).max() > _MAX_SCORE:
        raise LgcError(f"The outputs' weights are negative, or a class's reach more than {_MAX_SCORE}.")
    return weights


def _tensor(tensors: Mapping[str, Array], key: str, dtype: type[np.generic], axes: int = 2) -> Array:
    """Fetch a tensor of the given type and number of dimensions."""
    if key not in tensors:
        raise LgcError(f"The tensor {key} is missing.")
    array = tensors[key]
    if array.dtype != dtype or array.ndim != axes or not array.size:
        expected = f"{np.dtype(dtype)} [{', '.join('nmk'[:axes])}]"
        raise LgcError(f"The tensor {key} is {array.dtype} {list(array.shape)}; expected {expected}.")
    return array


def _encoder(tensors: Mapping[str, Array], form: Mapping[str, Any]) -> Thermometer:
    width, fraction, signed = int(form["width"]), int(form["fraction"]), bool(form["signed"])
    if not 1 <= width <= 31 or not -64 <= fraction <= 64:
        raise LgcError(f"A feature format of {width} bits with {fraction} after the point is out of range.")
    threshold: I32x2 = _tensor(tensors, "encoder.threshold", np.int32).astype(np.int32)
    if (np.diff(threshold, axis=1) < 0).any():
        raise LgcError("The thresholds of a feature are not ascending.")
    shift = tuple(map(operator.index, form.get("shift", ())))
    if shift and (len(shift) != len(threshold) or min(shift) < 0 or fraction + max(shift) > 64):
        raise LgcError(
            f"{len(shift)} formats of features are not those of {len(threshold)}, or out of range."
        )
    return Thermometer(threshold, FixedPoint(width, fraction, signed, shift))


def _layer(tensors: Mapping[str, Array], i: int, name: str, sources: int) -> Layer:
    fanin: I32x2 = _tensor(tensors, f"layers.{i}.fanin", np.int32).astype(np.int32)
    parameters: F32x2 = _tensor(tensors, f"layers.{i}.parameters", np.float32).astype(np.float32)
    nodes, k = fanin.shape
    _check_nodes(i, nodes, k)
    _check_parameters(i, name, k, parameters, (nodes,))
    _check_range(i, fanin, sources)
    return Layer(fanin, parameters, name)


def _any_layer(
    tensors: Mapping[str, Array], i: int, entry: str | Mapping[str, Any], sources: int
) -> AnyLayer:
    if isinstance(entry, str):
        return _layer(tensors, i, entry, sources)
    if entry["kind"] == "detectors":
        return _detectors(tensors, i, entry, sources)
    if entry["kind"] not in {"conv", "or-pool"}:
        raise LgcError(f"Layer {i} is of the unknown kind {entry['kind']!r}.", hint="Update lgc.")
    window = _window(i, entry)
    conv = _conv(tensors, i, entry["relaxation"], window, sources) if entry["kind"] == "conv" else None
    mapped = conv is not None and conv.source is not None
    if math.prod(window.shape) != sources and not mapped:
        raise LgcError(f"Layer {i} reads {list(window.shape)} values; there are {sources}.")
    if conv is not None:
        return conv
    if any(pad >= size for pad, size in zip(window.padding, window.size, strict=True)):
        raise LgcError(f"Layer {i} pads as much as its window {list(window.size)} or more.")
    return OrPool(window)


def _detectors(tensors: Mapping[str, Array], i: int, entry: Mapping[str, Any], sources: int) -> Detectors:
    shape, levels = tuple(map(operator.index, entry["shape"])), operator.index(entry["levels"])
    kernel: I32x3 = _tensor(tensors, f"layers.{i}.kernel", np.int32, 3).astype(np.int32)
    threshold: I32x1 = _tensor(tensors, f"layers.{i}.threshold", np.int32, 1).astype(np.int32)
    if i or len(shape) != 3 or min(*shape, levels) < 1 or math.prod(shape) * levels != sources:
        raise LgcError(f"Layer {i} detects in {list(shape)} of {levels} levels; there are {sources} bits.")
    if kernel.shape[1:] != (3, 3) or (np.abs(kernel) > _MAX_COEFFICIENT).any():
        raise LgcError(f"Layer {i} has no 3 x 3 kernels of coefficients up to {_MAX_COEFFICIENT}.")
    if len(kernel) * len(threshold) * math.prod(shape) > _MAX_NODES:
        raise LgcError(f"Layer {i} on an image of shape {list(shape)} is too large.")
    found = Detectors(shape, levels, kernel, threshold)
    found.check()
    return found


def _window(i: int, entry: Mapping[str, Any]) -> Window:
    """Check a sliding window, so that its positions are at least one and not too many."""
    shape, size, stride, padding = (
        tuple(map(operator.index, entry[key])) for key in ("shape", "size", "stride", "padding")
    )
    axes = len(shape) - 1
    if not 1 <= axes <= 3 or any(len(each) != axes for each in (size, stride, padding)):
        raise LgcError(f"Layer {i} has windows {list(size)} on an input of shape {list(shape)}.")
    fits = all(1 <= s <= n + 2 * p for n, s, p in zip(shape[1:], size, padding, strict=True))
    if min(shape) < 1 or min(stride) < 1 or min(padding) < 0 or not fits:
        raise LgcError(f"Layer {i} has windows {list(size)} that do not fit {list(shape)}.")
    window = Window(shape, size, stride, padding)
    if max(math.prod(shape), shape[0] * math.prod(window.positions)) > _MAX_NODES:
        raise LgcError(f"Layer {i} on an input of shape {list(shape)} is too large.")
    return window


def _conv(tensors: Mapping[str, Array], i: int, name: str, window: Window, sources: int) -> ConvLayer:
    leaf: I32x3 = _tensor(tensors, f"layers.{i}.leaf", np.int32, 3).astype(np.int32)
    parameters: F32x3 = _tensor(tensors, f"layers.{i}.parameters", np.float32, 3).astype(np.float32)
    source: I32x1 | None = None
    if f"layers.{i}.source" in tensors:
        source = _tensor(tensors, f"layers.{i}.source", np.int32, 1).astype(np.int32)
        _check_range(i, source, sources)
        if len(source) != math.prod(window.shape):
            raise LgcError(f"Layer {i} maps {len(source)} sources to the shape {list(window.shape)}.")
    channels, leaves, coordinates = leaf.shape
    nodes = parameters.shape[1]
    k = (leaves - 1) // nodes + 1
    try:
        tree_levels(k, leaves, nodes)
    except ValueError as error:
        raise LgcError(f"Layer {i} has {leaves} leaves and {nodes} nodes, no complete tree.") from error
    _check_nodes(i, channels * nodes * math.prod(window.positions), k)
    _check_parameters(i, name, k, parameters, (channels, nodes))
    limits = np.array([window.shape[0], *window.size])
    if coordinates != len(limits) or leaf.min() < 0 or (leaf >= limits).any():
        raise LgcError(f"Layer {i} has leaves outside of its windows {limits.tolist()}.")
    return ConvLayer(window, leaf, parameters, name, source)


def _check_nodes(i: int, nodes: int, k: int) -> None:
    if not 1 <= k <= 6 or nodes > _MAX_NODES:
        raise LgcError(f"Layer {i} has {nodes} nodes of {k} inputs; lgc knows 1 to 6 inputs.")


def _check_parameters(i: int, name: str, k: int, parameters: Array, nodes: tuple[int, ...]) -> None:
    expected = (*nodes, relaxation(name).parameters(k))
    if parameters.shape != expected or not expected[-1]:
        raise LgcError(
            f"Layer {i} has parameters {list(parameters.shape)}; "
            f"{name} needs {list(expected)} for {k} inputs."
        )
    if not np.isfinite(parameters).all():
        raise LgcError(f"Layer {i} has NaN or infinite parameters.", hint="The training run diverged.")


def _check_range(i: int, index: Array, sources: int) -> None:
    low, high = int(index.min()), int(index.max())
    if low < 0 or high >= sources:
        raise LgcError(f"Layer {i} reads source {low if low < 0 else high}; there are {sources}.")
