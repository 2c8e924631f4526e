"""Checkpoints: a trained network as safetensors with JSON metadata, read with numpy alone."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lgc.errors import LgcError
from lgc.ir.encoder import FixedPoint, Thermometer

from ._typing import Array, F32x2, I32x2
from .relaxations import relaxation

FORMAT = 1
"""Version of the file format; a reader refuses newer ones."""
_KEY = "lgc"
_MAX_NODES = 1 << 28


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of n nodes with k inputs, wiring decided, functions still relaxed.

    Attributes:
        fanin: int32 `[n, k]`, outputs of the layer before (input bits for the first layer).
        parameters: float32 `[n, p]`, as the relaxation defines them.
        relaxation: its name, see `lgc.frontend.relaxations`.
    """

    fanin: I32x2
    parameters: F32x2
    relaxation: str

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.fanin)

    @property
    def k(self) -> int:
        """Inputs per node."""
        return int(self.fanin.shape[1])


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained classifier before lowering.

    Attributes:
        encoder: what turns features into input bits.
        layers: first to last; the last one's outputs are counted in equal groups, one per class.
        class_names: one per class.
        tau: logits are the counts divided by it.
        metadata: configuration, seeds, versions, data source and accuracies; JSON values.
    """

    encoder: Thermometer
    layers: tuple[Layer, ...]
    class_names: tuple[str, ...]
    tau: float
    metadata: Mapping[str, Any] = field(default_factory=dict)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file is complete or not there at all."""
    form = checkpoint.encoder.format
    header = {
        "format": FORMAT,
        "encoder": {"width": form.width, "fraction": form.fraction, "signed": form.signed},
        "layers": [layer.relaxation for layer in checkpoint.layers],
        "class_names": checkpoint.class_names,
        "tau": checkpoint.tau,
        "metadata": checkpoint.metadata,
    }
    tensors: dict[str, Array] = {"encoder.threshold": checkpoint.encoder.threshold}
    for i, layer in enumerate(checkpoint.layers):
        tensors[f"layers.{i}.fanin"] = layer.fanin
        tensors[f"layers.{i}.parameters"] = layer.parameters
    write_tensors(path, tensors, header)


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
    if magic.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
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
    if header["format"] != FORMAT:
        raise LgcError(
            f"The checkpoint has format {header['format']}, this lgc reads {FORMAT}.", hint="Update lgc."
        )
    encoder = _encoder(tensors, header["encoder"])
    layers: list[Layer] = []
    sources = encoder.bits
    for i, name in enumerate(header["layers"]):
        layers.append(_layer(tensors, i, name, sources))
        sources = layers[-1].nodes
    names = tuple(str(name) for name in header["class_names"])
    if not layers or not names or sources % len(names):
        raise LgcError(f"{len(names)} classes cannot share the last layer's {sources} outputs.")
    tau = float(header["tau"])
    if not 0 < tau < float("inf"):
        raise LgcError(f"The scale tau is {tau}; it must be positive.")
    return Checkpoint(encoder, tuple(layers), names, tau, dict(header["metadata"]))


def _tensor(tensors: Mapping[str, Array], key: str, dtype: type[np.generic]) -> Array:
    """Fetch a two-dimensional tensor of the given type."""
    if key not in tensors:
        raise LgcError(f"The tensor {key} is missing.")
    array = tensors[key]
    if array.dtype != dtype or array.ndim != 2 or not array.size:
        raise LgcError(
            f"The tensor {key} is {array.dtype} {list(array.shape)}; expected {np.dtype(dtype)} [n, m]."
        )
    return array


def _encoder(tensors: Mapping[str, Array], form: Mapping[str, Any]) -> Thermometer:
    width, fraction, signed = int(form["width"]), int(form["fraction"]), bool(form["signed"])
    if not 1 <= width <= 31 or not -64 <= fraction <= 64:
        raise LgcError(f"A feature format of {width} bits with {fraction} after the point is out of range.")
    threshold: I32x2 = _tensor(tensors, "encoder.threshold", np.int32).astype(np.int32)
    if (np.diff(threshold, axis=1) < 0).any():
        raise LgcError("The thresholds of a feature are not ascending.")
    return Thermometer(threshold, FixedPoint(width, fraction, signed))


def _layer(tensors: Mapping[str, Array], i: int, name: str, sources: int) -> Layer:
    fanin: I32x2 = _tensor(tensors, f"layers.{i}.fanin", np.int32).astype(np.int32)
    parameters: F32x2 = _tensor(tensors, f"layers.{i}.parameters", np.float32).astype(np.float32)
    nodes, k = fanin.shape
    if not 1 <= k <= 6 or nodes > _MAX_NODES:
        raise LgcError(f"Layer {i} has {nodes} nodes of {k} inputs; lgc knows 1 to 6 inputs.")
    expected = (nodes, relaxation(name).parameters(k))
    if parameters.shape != expected or not expected[1]:
        raise LgcError(
            f"Layer {i} has parameters {list(parameters.shape)}; "
            f"{name} needs {list(expected)} for {k} inputs."
        )
    if fanin.min() < 0 or fanin.max() >= sources:
        raise LgcError(
            f"Layer {i} reads source {fanin.min() if fanin.min() < 0 else fanin.max()}; there are {sources}."
        )
    if not np.isfinite(parameters).all():
        raise LgcError(f"Layer {i} has NaN or infinite parameters.", hint="The training run diverged.")
    return Layer(fanin, parameters, name)
