"""State dicts of torchlogix from version 0.2.1 on: raw, WARP and Light, 1 to 6 inputs per LUT."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError, ToolMissingError, UsageError, nearest

from .._typing import Array, Bool2
from . import files
from .network import Foreign, Options, Tables, msb_first

PARAMETRIZATIONS = ("raw", "warp", "light")
_WEIGHT = re.compile(r"((?:.*\.)?(\d+)\.)weight")


def read(path: Path, options: Options) -> Foreign:
    """Read a state dict; wiring, fixed or learned, is in it, the parametrisation is not.

    Convolutions and all that has no tensors come from a description, see `described`.

    Raises:
        UsageError: the parametrisation or a description must be given.
        LgcError: wiring not saved, inconsistent or damaged.
    """
    state = state_of(path)
    if options.config is not None or any("tree_weights" in key for key in state):
        return _described(path, state, options)
    keys = prefixes(state)
    if not keys:
        raise LgcError(f"{path} has no logic layers.", hint="Expected tensors named N.weight.")
    layers, bits = [], None
    for i, prefix in enumerate(keys, 1):
        fanin, candidates = wiring(state, prefix)
        layers.append(_tables(files.matrix(state, f"{prefix}weight"), fanin, options, f"Layer {i}"))
        bits = candidates if i == 1 else bits
    thresholds = () if options.thresholds else _thresholds(state, options.learned)
    notes = {"wiring": "in the checkpoint", "parametrization": options.parametrization or "raw"}
    return Foreign(tuple(layers), bits=bits, thresholds=thresholds, any_order=True, notes=notes)


def state_of(path: Path) -> dict[str, Any]:
    """Read a state dict, `.pth` or `.safetensors`."""
    return files.safetensors(path) if path.suffix == ".safetensors" else files.torch_state(path)


def _described(path: Path, state: Mapping[str, Any], options: Options) -> Foreign:
    from . import described, description, whole

    if options.config is None:
        raise UsageError(
            f"{path} has convolutions, of which a state dict holds neither input size nor padding nor pools.",
            hint="Describe its layers, --config model.toml (docs/import.md), beginning with this; or import "
            f"the file of torch.save(model, file), which has it all.\n{description.template(state)}",
        )
    found = described.parts(state, description.read(options.config), options)
    foreign = whole.taken(path, described.module(found), options)
    used = {part.arguments["parametrization"] for part in found if part.kind.startswith("Logic")}
    notes = {"wiring": "in the checkpoint", "parametrization": " and ".join(sorted(used))}
    return replace(foreign, notes=dict(foreign.notes) | notes)


def prefixes(state: Mapping[str, Any]) -> list[str]:
    """Return what the names of each dense layer's tensors start with, first layer first."""
    found = (_WEIGHT.fullmatch(key) for key in state)
    return [match[1] for match in sorted(filter(None, found), key=lambda match: int(match[2]))]


def accepts(state: Mapping[str, Any]) -> bool:
    """Tell whether a state dict is torchlogix's."""
    return any(key.endswith("connections.indices") or "tree_weights" in key for key in state)


def wiring(state: Mapping[str, Any], prefix: str) -> tuple[Array, int | None]:
    """Return sources int64 `[n, k]`, and the number of sources if every one of them is a candidate.

    Raises:
        LgcError: not saved (torchlogix before 0.2.1), or inconsistent.
    """
    key = f"{prefix}connections.indices"
    if key not in state:
        raise LgcError(
            f"The tensor {key} is missing: torchlogix before 0.2.1 does not save its wiring.",
            hint="Load the network where it was trained and save it with 0.2.1 or later.",
        )
    indices = files.integers(state[key], f"The tensor {key}")
    chosen = state.get(f"{prefix}connections.weights")
    if chosen is None:
        if indices.ndim != 2:
            raise LgcError(f"The tensor {key} is {list(indices.shape)}; expected [inputs, LUTs].")
        return indices.T, None
    if not isinstance(chosen, np.ndarray) or chosen.shape != indices.shape or chosen.ndim != 3:
        raise LgcError(f"{prefix}connections has weights and indices of different shapes.")
    if not np.isfinite(chosen).all():
        raise LgcError(f"The tensor {prefix}connections.weights has NaN or infinite values.")
    best = chosen.argmax(axis=0)[None]
    every = len(indices) if (indices == np.arange(len(indices))[:, None, None]).all() else None
    return np.take_along_axis(indices, best, axis=0)[0].T, every


def _tables(weight: Array, fanin: Array, options: Options, where: str) -> Tables:
    """Harden one layer; row j of a LUT has input 0 as the most significant bit."""
    k = fanin.shape[1]
    kind = options.parametrization
    if kind and kind not in PARAMETRIZATIONS:
        raise UsageError(f"There is no parametrization {kind!r}.", hint=nearest(kind, PARAMETRIZATIONS))
    if not 1 <= k <= 6 or len(weight) != len(fanin):
        raise LgcError(f"{where} has {len(weight)} LUTs, but wiring {list(fanin.shape)}.")
    if not kind and not (k == 2 and weight.shape[1] == 16):
        raise UsageError(
            f"{where} has {weight.shape[1]} parameters for {k} inputs: WARP and Light look alike.",
            hint="Give --parametrization warp or light, as the network was built.",
        )
    expected = 1 << (1 << k) if (kind or "raw") == "raw" and k <= 2 else 1 << k
    if weight.shape[1] != expected or ((kind or "raw") == "raw" and k > 2):
        raise UsageError(
            f"{where} has {weight.shape[1]} parameters for {k} inputs, which is not {kind or 'raw'}.",
            hint="Check --parametrization.",
        )
    return msb_first(fanin, {"raw": raw, "warp": warp, "light": light}[kind or "raw"](weight, k))


def raw(weight: Array, k: int) -> Bool2:
    """One logit per function, numbered by its table read from the most significant bit."""
    best = weight.argmax(axis=1)
    rows: Bool2 = (best[:, None] >> np.arange((1 << k) - 1, -1, -1) & 1).astype(np.bool_)
    return rows


def warp(weight: Array, k: int) -> Bool2:
    """Walsh coefficients (arXiv 2602.03527): the output is 1 where their transform is negative."""
    sums = weight.astype(np.float64)
    for bit in range(k):
        pairs = sums.reshape(len(sums), -1, 2, 1 << bit)
        low, high = pairs[:, :, 0], pairs[:, :, 1]
        sums = np.stack([low + high, low - high], axis=2).reshape(len(sums), -1)
    return sums < 0


def light(weight: Array, _: int) -> Bool2:
    """One logit per row (arXiv 2510.03250)."""
    rows: Bool2 = weight > 0  # type: ignore[operator]
    return rows


def _thresholds(state: Mapping[str, Any], rule: str) -> tuple[tuple[float, ...], ...]:
    """Return the thresholds, if saved; learned ones depend on the version."""
    diffs = [value for key, value in state.items() if key.endswith("raw_diffs")]
    found = [value for key, value in state.items() if key.rpartition(".")[2] == "thresholds"]
    if diffs:
        found = [learned(value, rule) for value in diffs]
    if not found:
        return ()
    value = found[0]
    if len(found) > 1 or not isinstance(value, np.ndarray) or value.ndim not in (1, 2) or not value.size:
        raise LgcError("The thresholds are not one array [levels] or [features, levels].")
    rows = np.atleast_2d(value).astype(np.float64)
    return tuple(tuple(map(float, row)) for row in rows)


def learned(raw_diffs: Any, rule: str) -> Array:
    """Thresholds of a `LearnableBinarization` in eval mode, computed by torch as there.

    Args:
        raw_diffs: float `[levels]` or `[features, levels]`.
        rule: "softplus", "softplus=TEMPERATURE" or "cumsum"; versions of torchlogix differ.

    Raises:
        UsageError: no rule, or none of these.
        LgcError: no numbers.
    """
    if not rule:
        raise UsageError(
            "The thresholds were learned, and versions of torchlogix compute them differently.",
            hint="Give --learned-thresholds softplus (0.2.2) or cumsum (0.2.1).",
        )
    name, _, text = rule.partition("=")
    try:
        temperature = float(text) if text else 0.1
    except ValueError:
        temperature = math.nan
    if name not in ("softplus", "cumsum") or not 0 < temperature < math.inf or (text and name == "cumsum"):
        raise UsageError(
            f"Cannot read the rule {rule!r}.", hint="Write softplus, softplus=TEMPERATURE or cumsum."
        )
    if not isinstance(raw_diffs, np.ndarray) or raw_diffs.dtype.kind != "f" or not raw_diffs.ndim:
        raise LgcError("The learned thresholds are not numbers.", hint="The file is damaged.")
    try:
        import torch
    except ImportError:
        raise ToolMissingError(
            "Learned thresholds are computed with PyTorch, which is not installed.",
            hint='pip install "lgc[train]"',
        ) from None
    diffs = torch.from_numpy(raw_diffs)
    if name == "softplus" and diffs.shape[-1] > 1:
        scale = temperature + 1e-6
        rest = scale * torch.nn.functional.softplus(diffs[..., 1:] / scale)
        diffs = torch.cat([diffs[..., :1], rest], dim=-1)
    found: Array = torch.cumsum(diffs, dim=-1).numpy()
    return found
