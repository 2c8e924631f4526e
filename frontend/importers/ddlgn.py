"""DDLGN: a list of gates as CSV with metadata in JSON next to it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError

from .._typing import I64x1
from . import files
from .network import Foreign, Options, gates

_COLUMNS = ["layer", "neuron", "input_a", "input_b", "gate_id"]
_LARGEST = 1 << 31


def read(path: Path, _: Options) -> Foreign:
    """Read `NAME_gates.csv`, and `NAME_metadata.json` if it is there.

    Raises:
        LgcError: a line that is no gate, gates missing or twice, or damaged metadata.
    """
    layer, neuron, a, b, gate = _table(path)
    order = np.lexsort((neuron, layer))
    layers = []
    for number, mine in enumerate(np.split(order, np.flatnonzero(np.diff(layer[order])) + 1), 1):
        if layer[mine[0]] != number or not np.array_equal(neuron[mine], np.arange(len(mine))):
            raise LgcError(f"{path}: layer {number} has gates missing or twice.", hint="Fetch it again.")
        layers.append(gates(a[mine], b[mine], gate[mine], f"Layer {number}"))
    sidecar = path.with_name(path.name.removesuffix("_gates.csv") + "_metadata.json")
    facts = files.json_object(sidecar) if sidecar.is_file() else {}
    try:
        return Foreign(tuple(layers), notes={"wiring": "in the file"}, **_facts(facts, len(layers)))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise LgcError(f"{sidecar} is not DDLGN's metadata: {error!r}.", hint="Fetch it again.") from None


def _table(path: Path) -> list[I64x1]:
    try:
        lines = list(csv.reader(files.text(path).splitlines()))
    except csv.Error as error:
        raise LgcError(f"{path} is damaged: {error}.", hint="Fetch it again.") from None
    if not lines or lines[0][:5] != _COLUMNS:
        raise LgcError(f"{path} is no list of gates.", hint=f"Its first line must be {','.join(_COLUMNS)}.")
    if len(lines) < 2:
        raise LgcError(f"{path} lists no gates.", hint="Fetch it again.")
    try:
        cells = np.array([[int(cell) for cell in line[:5]] for line in lines[1:]], np.int64)
        if cells.shape[1] != len(_COLUMNS):
            raise ValueError("too few columns")
    except (ValueError, OverflowError):
        number = next(n for n, line in enumerate(lines[1:], 2) if not _is_gate(line))
        raise LgcError(f"{path}, line {number}: {','.join(lines[number - 1])[:80]!r} is no gate.") from None
    if cells.min() < 0 or cells.max() > _LARGEST or cells[:, 0].min() < 1 or cells[:, 0].max() > len(cells):
        raise LgcError(f"{path} has numbers out of range.", hint="Layers count from 1, neurons from 0.")
    return list(cells.T)


def _is_gate(line: list[str]) -> bool:
    try:
        return len([int(cell) for cell in line[:5]]) == 5 and max(map(int, line[:5])) < 1 << 62
    except ValueError:
        return False


def _facts(found: dict[str, Any], layers: int) -> dict[str, Any]:
    """Return what the metadata says, as fields of `Foreign`."""
    if not found:
        return {}
    if len(found["logic_layer_sizes"]) != layers:
        raise ValueError(f"{len(found['logic_layer_sizes'])} layers, not {layers}")
    binary = found["preprocess"]["binarization"]
    if binary["comparison"] != ">":
        raise ValueError(f"the comparison {binary['comparison']!r}")
    levels = binary.get("thresholds") or [binary["threshold"]]
    side = int(found["img_size"])
    return {
        "bits": int(found["in_dim"]),
        "classes": int(found["class_count"]),
        "tau": float(found["tau"]),
        "shape": (side, side),
        "thresholds": (tuple(float(t) for t in levels),),
        "scale": 255.0,  # "to_tensor": pixels of 8 bits become 0 to 1
        "order": "plane",
    }
