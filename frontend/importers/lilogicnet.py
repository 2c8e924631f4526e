"""LILogicNet (arXiv 2511.12340): .pth of both layouts, and the .npz of the taped-out networks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError, UsageError, nearest
from lgc.ir.readout import Readout

from .._typing import Array
from . import files
from .network import Foreign, Options, Tables, gates
from .wires import Wires, layered

_GATES = re.compile(r"layers\.(\d+)\.w")


def read(path: Path, options: Options) -> Foreign:
    """Read a network with its wiring; gates are the highest of 16 logits, `w` being `[16, gates]`.

    Raises:
        LgcError: inconsistent or damaged.
    """
    if path.suffix == ".npz":
        return _taped_out(files.arrays(path), options)
    state = files.torch_state(path)
    return _listed(state) if "connections" in state else _alternating(state, options)


def accepts(state: Mapping[str, Any]) -> bool:
    """Tell whether a state dict or a file of arrays is one of LILogicNet."""
    return "gate_types" in state or any(_GATES.fullmatch(key) for key in state)


def _numbers(state: Mapping[str, Any]) -> list[int]:
    numbers = sorted(int(match[1]) for key in state if (match := _GATES.fullmatch(key)))
    if not numbers:
        raise LgcError("The file has no gates.", hint="Expected tensors named layers.N.w.")
    return numbers


def _gate(state: Mapping[str, Any], number: int) -> Array:
    w = files.matrix(state, f"layers.{number}.w")
    if len(w) != 16:
        raise LgcError(f"The tensor layers.{number}.w is {list(w.shape)}; expected [16, gates].")
    best: Array = w.argmax(axis=0)
    return best


def _listed(state: Mapping[str, Any]) -> Foreign:
    """Read the old layout: `connections` is the list of first inputs and the list of second inputs."""
    numbers, both = _numbers(state), state["connections"]
    if not isinstance(both, list) or len(both) != 2 or any(not isinstance(side, list) for side in both):
        raise LgcError("The connections are not two lists, one per input.", hint="The file is damaged.")
    if any(len(side) != len(numbers) for side in both):
        raise LgcError(f"There are {len(numbers)} layers, but connections of {len(both[0])}.")
    layers = tuple(
        gates(
            files.integers(both[0][i], f"Connections A of layer {i}"),
            files.integers(both[1][i], f"Connections B of layer {i}"),
            _gate(state, number),
            f"Layer {i + 1}",
        )
        for i, number in enumerate(numbers)
    )
    return Foreign(layers, notes={"wiring": "in the checkpoint"})


def _alternating(state: Mapping[str, Any], options: Options) -> Foreign:
    """Read the new layout: connections and gates alternate; gate m reads wires 2m and 2m + 1."""
    layers: list[Tables] = []
    bits = None
    for i, number in enumerate(_numbers(state)):
        wires, sources = _wires(state, f"layers.{number - 1}.")
        gate = _gate(state, number)
        if wires.shape != (2 * len(gate),):
            raise LgcError(f"Layer {i + 1} has {len(gate)} gates, but {wires.size} wires.")
        if sources is not None and layers and sources != len(layers[-1].rows) and not options.skip:
            raise LgcError(
                f"Layer {i + 1} chooses from {sources} sources; there are {len(layers[-1].rows)}.",
                hint="If layers read the input as well, or the layer before, say so with --skip.",
            )
        bits = sources if i == 0 else bits
        layers.append(gates(wires[::2], wires[1::2], gate, f"Layer {i + 1}"))
    if options.skip:
        return _skipping(layers, bits, options)
    return Foreign(tuple(layers), bits=bits, notes={"wiring": "in the checkpoint"})


def _wires(state: Mapping[str, Any], prefix: str) -> tuple[Array, int | None]:
    """Source of each wire int64 `[wires]`, and how many sources there are, if known."""
    if f"{prefix}indices" in state:
        return files.integers(state[f"{prefix}indices"], f"The tensor {prefix}indices").ravel(), None
    if f"{prefix}c_sub_layer_1" in state:
        return _blocks(state, prefix)
    if f"{prefix}c" in state:
        choice = files.matrix(state, f"{prefix}c")
        return choice.argmax(axis=0), len(choice)
    if f"{prefix}top_c" in state:
        choice = files.matrix(state, f"{prefix}top_c")
        candidates = files.integers(state.get(f"{prefix}top_indices"), f"The tensor {prefix}top_indices")
        if candidates.shape != choice.shape:
            raise LgcError(f"The tensors {prefix}top_c and {prefix}top_indices differ in shape.")
        return np.take_along_axis(candidates, choice.argmax(axis=0)[None], axis=0)[0], None
    raise LgcError(
        f"There are no connections {prefix}c, {prefix}indices or {prefix}top_c.",
        hint="Give the whole state dict.",
    )


def _blocks(state: Mapping[str, Any], prefix: str) -> tuple[Array, int]:
    """Block-sparse connections: wire (m, o) takes the best block n for it, and of n the best input for m."""
    both = []
    for key in (f"{prefix}c_sub_layer_1", f"{prefix}c_sub_layer_2"):
        value = state.get(key)
        if not isinstance(value, np.ndarray) or value.ndim != 3 or value.dtype.kind != "f" or not value.size:
            raise LgcError(f"The tensor {key} is not one of numbers [blocks, inputs, outputs].")
        if not np.isfinite(value).all():
            raise LgcError(f"The tensor {key} has NaN or infinite values.", hint="The training run diverged.")
        both.append(value)
    inner, outer = both
    count, width, between = inner.shape
    if outer.shape[:2] != (between, count):
        raise LgcError(f"The tensors {prefix}c_sub_layer_1 and 2 do not fit each other.")
    block = outer.argmax(axis=1)
    place = inner.argmax(axis=1)[block, np.arange(between)[:, None]]
    return (block * width + place).ravel(), count * width


def _skipping(layers: list[Tables], bits: int | None, options: Options) -> Foreign:
    """Layers that read more than the layer before: its outputs, then the input, then those before it.

    The authors' `PASS_INPUT_TO_ALL_LAYERS` and `PASS_RESIDUAL`; with both, the second layer reads the
    input once.
    """
    if options.skip not in ("input", "residual", "both"):
        raise UsageError(
            f"There is no skip {options.skip!r}.", hint=nearest(options.skip, ("input", "residual", "both"))
        )
    levels = len(options.thresholds[0]) if options.thresholds else 1
    bits = bits or math.prod(options.inputs) * levels
    if not options.inputs and bits == levels:
        raise UsageError("The file does not say how many inputs the network has.", hint="Give --inputs.")
    if options.classes is None:
        raise UsageError("The file does not say how many classes there are.", hint="Give --classes N.")
    wires = Wires(bits)
    before, x = wires.inputs, wires.inputs
    for i, tables in enumerate(layers):
        if tables.fanin.min() < 0 or tables.fanin.max() >= len(x):
            raise LgcError(f"Layer {i + 1} reads source {tables.fanin.max()}; there are {len(x)}.")
        own = wires.luts(x[tables.fanin], tables.rows)
        parts = [own]
        if options.skip != "residual":
            parts.append(wires.inputs)
        if options.skip == "residual" or (options.skip == "both" and i > 0):
            parts.append(before)
        before, x = own, np.concatenate(parts)
    if len(own) % options.classes:
        raise LgcError(f"{options.classes} classes cannot share {len(own)} outputs equally.")
    cut, _ = layered(wires.netlist(Readout.group_sum(own, options.classes)))
    return Foreign(cut, bits=bits, classes=options.classes, notes={"wiring": "in the checkpoint"})


def _taped_out(found: Mapping[str, Array], options: Options) -> Foreign:
    """Arrays `[layers, widest]`, shorter layers padded with zeros."""
    names = ("gate_types", "connections.A", "connections.B")
    gate, a, b = (files.integers(found.get(name), f"The array {name}") for name in names)
    if not gate.shape == a.shape == b.shape or gate.ndim != 2:
        raise LgcError("gate_types and connections differ in shape.", hint="The file is damaged.")
    if options.classes is None:
        raise UsageError("The file does not say how many classes there are.", hint="Give --classes N.")
    used = np.flatnonzero(gate[-1] | a[-1] | b[-1])
    last = int(used[-1]) + 1 if len(used) else 0
    last = min(-(-last // max(options.classes, 1)) * options.classes, gate.shape[1])
    widths = [gate.shape[1]] * (len(gate) - 1) + [last]
    layers = tuple(gates(a[i, :n], b[i, :n], gate[i, :n], f"Layer {i + 1}") for i, n in enumerate(widths))
    return Foreign(layers, notes={"wiring": "in the file"})
