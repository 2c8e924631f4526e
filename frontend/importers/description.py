"""Descriptions of torchlogix models: what tensors do not tell, as TOML or JSON, and whose tensors are whose.

A description lists the layers by the names of their classes and the arguments of their constructors.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError, UsageError, nearest

from . import files

_CONV = {"in_dim": None, "channels": None, "receptive_field_size": 2, "stride": 1, "padding": 0}
_POOL = {"kernel_size": None, "stride": None, "padding": 0}
_BITS = {"feature_dim": -2}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "LogicDense": {"in_dim": None, "out_dim": None},
    "LogicConv2d": _CONV | {"num_kernels": None, "tree_depth": None},
    "LogicConv3d": _CONV | {"num_kernels": None, "tree_depth": None},
    "LogicConvTranspose2d": _CONV | {"num_kernels": None, "tree_depth": None, "output_padding": 0},
    "LogicConvTranspose3d": _CONV | {"num_kernels": None, "tree_depth": None, "output_padding": 0},
    "ResidualLogicBlock": {
        "in_dim": None, "in_channels": None, "out_channels": None, "tree_depth": None,
        "receptive_field_size": 3, "padding": 1, "downsample": False,
    },
    "OrPooling2d": _POOL,
    "OrPooling3d": _POOL,
    "Flatten": {},
    "Identity": {},
    "DummyBinarization": {},
    "FixedBinarization": _BITS,
    "SoftBinarization": _BITS,
    "LearnableBinarization": _BITS | {"temperature_softplus": 0.1},
    "GroupSum": {"k": None, "tau": 1.0, "beta": 0.0},
}  # fmt: skip
"""Arguments by class, with torchlogix' defaults; None where there is none, or the file knows."""
_OF_TENSORS = {
    "lut_rank",
    "connections",
    "connections_kwargs",
    "parametrization_kwargs",
    "device",
    "grad_factor",
}
_OWN = re.compile(r"(?:(.*)\.)?(?:weight|connections\.\w+|tree_weights\.\d+|thresholds|raw_diffs)")
_MAX_LAYERS = 1024


def read(path: Path) -> dict[str, Any]:
    """Read a description.

    Raises:
        LgcError: no TOML or JSON, or a layer that is not known.
    """
    text = files.text(path)
    try:
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise LgcError(
            f"{path} cannot be read: {error}.", hint="Write it as TOML, or as JSON in .json."
        ) from None
    layers = found.get("layers") if isinstance(found, dict) else None
    if not isinstance(layers, list) or not layers or not all(isinstance(each, dict) for each in layers):
        raise LgcError(f"{path} lists no layers.", hint='Write [[layers]] and type = "LogicConv2d" for each.')
    if unknown := set(found) - {"layers", "parametrization"}:
        raise LgcError(
            f"{path} has an unknown key {sorted(unknown)[0]!r}.", hint="Known: layers, parametrization."
        )
    if len(layers) > _MAX_LAYERS:
        raise LgcError(f"{path} lists {len(layers):,} layers.", hint=f"{_MAX_LAYERS:,} are the limit.")
    for number, each in enumerate(layers, 1):
        _refuse_unknown(each, f"{path}, layer {number}")
    return found


def _refuse_unknown(layer: Mapping[str, Any], where: str) -> None:
    kind = layer.get("type")
    for name in ("type", "name", "parametrization"):
        if not isinstance(layer.get(name, ""), str):
            raise UsageError(
                f"{where}: {name} = {layer[name]!r:.40} is no text.", hint='Write "..." around it.'
            )
    if kind not in ARGUMENTS:
        raise UsageError(f"{where} has the type {str(kind)[:40]!r}.", hint=nearest(str(kind), ARGUMENTS))
    known = {*ARGUMENTS[kind], *_OF_TENSORS, "type", "name", "parametrization"}
    if unknown := sorted(set(layer) - known):
        raise UsageError(f"{where}: {kind} has no argument {unknown[0]!r}.", hint=nearest(unknown[0], known))


def owners(state: Mapping[str, Any]) -> list[str]:
    """Return what modules with tensors are called, in the file's order."""
    return list(dict.fromkeys(match[1] or "" for key in state if (match := _OWN.fullmatch(key))))


def named(state: Mapping[str, Any], layers: list[dict[str, Any]]) -> list[list[str]]:
    """Return the names of the modules of the state dict that each layer is: none, one, or a block's two.

    Raises:
        LgcError: the file has more modules, or fewer.
    """
    free = [name for name in owners(state) if name not in {layer.get("name") for layer in layers}]
    found: list[list[str]] = []
    for layer in layers:
        block = layer["type"] == "ResidualLogicBlock"
        if "name" in layer:
            found.append([f"{layer['name']}.main.{i}" for i in (0, 2)] if block else [layer["name"]])
            if missing := [name for name in found[-1] if name not in owners(state)]:
                raise LgcError(f"The file has no module {missing[0]}: it has {_listing(state)}.")
            free = [name for name in free if name not in found[-1]]
        elif layer["type"].startswith("Logic") or "Binarization" in layer["type"] or block:
            count = 2 if block else int(layer["type"] != "DummyBinarization")
            found.append(free[:count])
            free = free[count:]
            if len(found[-1]) < count:
                raise LgcError(f"The file has no tensors for the {layer['type']}: it has {_listing(state)}.")
        else:
            found.append([])
    if free:
        raise LgcError(f"The description has no layer for {free[0]}: the file has {_listing(state)}.")
    return found


def under(state: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Return the tensors of one module, or those of a block's convolutions behind `0.` and `2.`."""
    if len(names) == 1:
        prefix = f"{names[0]}." if names[0] else ""
        return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return {
        f"{2 * i}.{key.removeprefix(f'{name}.')}": value
        for i, name in enumerate(names)
        for key, value in state.items()
        if key.startswith(f"{name}.")
    }


def _listing(state: Mapping[str, Any]) -> str:
    """Say what the modules of the file are."""
    found = []
    for name in owners(state)[:20]:
        inside = under(state, [name])
        conv = any(key.startswith("tree_weights.") for key in inside)
        kind = "a convolution" if conv else "dense" if "weight" in inside else "thresholds"
        found.append(f"{name or 'the root'} ({kind})")
    return ", ".join(found) or "no layers"


def template(state: Mapping[str, Any]) -> str:
    """Return a description to be completed, as TOML: what the file says, and blanks.

    Between the layers pools and `Flatten` are missing, at the end the group sum.
    """
    lines = []
    for name in owners(state)[:_MAX_LAYERS]:
        inside = under(state, [name])
        indices = inside.get("connections._indices_L0")
        if isinstance(indices, np.ndarray) and indices.ndim == 5:
            found = [f'type = "LogicConv{indices.shape[-1] - 1}d"', "in_dim = ?", "channels = ?",
                     "receptive_field_size = ?", "stride = 1", "padding = 0",
                     f"# {indices.shape[1]} kernels at {indices.shape[2]} positions"]  # fmt: skip
        elif "weight" in inside:
            found = ['type = "LogicDense"']
        else:
            kind = "Learnable" if "raw_diffs" in inside else "Fixed"
            found = [f'type = "{kind}Binarization"', "feature_dim = 1"]
        lines.append("\n".join(["[[layers]]", f'name = "{name}"', *found]))
    return "\n".join(lines)
