"""State dicts of DWN (Bacellar 2024, arXiv 2410.11112): LUTs of up to 6 inputs, mapping fixed or learned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError

from .._typing import Array, Bool2
from . import files
from .network import Foreign, Options, Tables

_LUTS = re.compile(r"((?:.*\.)?(\d+)\.)luts")


def read(path: Path, options: Options) -> Foreign:
    """Read layers with `ste=True`, DWN's default: a bit is 1 where the LUT's number is positive.

    The group sum is not in the file; it pads its inputs with zeros at the end.

    Raises:
        LgcError: LUTs of more than 6 inputs, inconsistent or damaged.
    """
    state = files.safetensors(path) if path.suffix == ".safetensors" else files.torch_state(path)
    found = ((_LUTS.fullmatch(key), key) for key in state)
    keys = sorted((int(match[2]), match[1]) for match, _ in found if match)
    if not keys:
        raise LgcError(f"{path} has no LUT layers.", hint="Expected tensors named N.luts.")
    layers: list[Tables] = []
    bits = None
    for i, (_, prefix) in enumerate(keys, 1):
        tables, sources = _layer(state, prefix, f"Layer {i}")
        if layers and sources is not None and sources != len(layers[-1].rows):
            raise LgcError(f"Layer {i} chooses from {sources} sources; there are {len(layers[-1].rows)}.")
        bits = sources if i == 1 else bits
        layers.append(tables)
    if options.classes:
        layers[-1] = padded(layers[-1], options.classes)
    return Foreign(tuple(layers), bits=bits, notes={"wiring": "in the checkpoint"})


def accepts(state: Mapping[str, Any]) -> bool:
    """Tell whether a state dict is DWN's."""
    return any(_LUTS.fullmatch(key) for key in state)


def _layer(state: Mapping[str, Any], prefix: str, where: str) -> tuple[Tables, int | None]:
    """Wiring and tables, and the number of sources if the file says so; pin 0 is the lowest bit."""
    luts = files.matrix(state, f"{prefix}luts")
    count, entries = luts.shape
    n = entries.bit_length() - 1
    if entries != 1 << n or not 1 <= n <= 6:
        raise LgcError(f"{where} has LUTs of {entries} entries; lgc knows LUTs of 1 to 6 inputs.")
    learned = f"{prefix}mapping.weights"
    sources = None
    if learned in state:
        weights = files.matrix(state, learned, columns=count * n)
        fanin, sources = weights.argmax(axis=0).reshape(count, n), len(weights)
    else:
        fanin = files.integers(state.get(f"{prefix}mapping"), f"The tensor {prefix}mapping")
    if fanin.shape != (count, n):
        raise LgcError(f"{where} has {count} LUTs of {n} inputs, but a mapping {list(fanin.shape)}.")
    rows: Bool2 = luts > 0  # type: ignore[operator]
    return Tables(fanin, rows), sources


def padded(tables: Tables, classes: int) -> Tables:
    """Append constants 0 until `classes` groups are equal, as DWN's group sum does."""
    more = -len(tables.rows) % classes
    fanin: Array = np.concatenate([tables.fanin, np.zeros((more, tables.fanin.shape[1]), np.int64)])
    rows: Bool2 = np.concatenate([tables.rows, np.zeros((more, tables.rows.shape[1]), np.bool_)])
    return Tables(fanin, rows)
