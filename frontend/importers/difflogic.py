"""State dicts of difflogic (Petersen 2022, arXiv 2210.08277): 16 logits per gate, the wiring elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError, UsageError, nearest

from .._typing import Array
from . import files
from .network import Foreign, Options, gates

_WEIGHTS = re.compile(r"(?:.*\.)?(\d+)\.weights?")


def weights(state: Mapping[str, Any]) -> dict[int, str]:
    """Keys of the layers' weights by module number."""
    found = ((_WEIGHTS.fullmatch(key), key) for key in state)
    return dict(sorted((int(match[1]), key) for match, key in found if match))


def read(path: Path, options: Options) -> Foreign:
    """Read a difflogic state dict and its wiring.

    Raises:
        UsageError: the wiring is neither in the file nor given.
        LgcError: inconsistent or damaged.
    """
    state = files.torch_state(path)
    keys = weights(state)
    if not keys:
        raise LgcError(
            f"{path} has no layer weights.", hint="Expected tensors named 0.weights, 1.weights, ..."
        )
    logits, pairs = parts(state, options)
    layers = tuple(
        gates(a, b, w.argmax(axis=1), f"Layer {i}")
        for i, ((a, b), w) in enumerate(zip(pairs, logits, strict=True), 1)
    )
    return Foreign(layers, notes={"wiring": _origin(state, keys, options)})


def parts(state: Mapping[str, Any], options: Options) -> tuple[list[Array], list[tuple[Array, Array]]]:
    """Return logits float `[gates, 16]` and wiring of each layer."""
    keys = weights(state)
    logits = [files.matrix(state, key, columns=16) for key in keys.values()]
    return logits, _stored(state, keys) or _given(options, [len(w) for w in logits])


def _stored(state: Mapping[str, Any], keys: Mapping[int, str]) -> list[tuple[Array, Array]]:
    """Wiring that forks of difflogic keep as a buffer `indices` int `[2, out]`."""
    names = [f"{key.rpartition('.')[0]}.indices" for key in keys.values()]
    if not all(name in state for name in names):
        return []
    both = [files.integers(state[name], f"The tensor {name}") for name in names]
    for name, pair in zip(names, both, strict=True):
        if pair.ndim != 2 or len(pair) != 2:
            raise LgcError(f"The tensor {name} is {list(pair.shape)}; expected [2, gates].")
    return [(pair[0], pair[1]) for pair in both]


def _given(options: Options, widths: list[int]) -> list[tuple[Array, Array]]:
    if options.connections is not None:
        return _index_file(options.connections, len(widths))
    if options.wiring:
        return replay(options, widths)
    raise UsageError(
        "difflogic's state dict does not hold the wiring.",
        hint="Give --connections FILE.npz with arrays a0, b0, a1, b1, ... (layer.indices of each layer), "
        "or --wiring unique|random with --seed as in training.",
    )


def _index_file(path: Path, layers: int) -> list[tuple[Array, Array]]:
    found = files.arrays(path)
    names = [(f"a{i}", f"b{i}") for i in range(layers)]
    missing = [name for pair in names for name in pair if name not in found]
    if missing or len(found) != 2 * layers:
        raise LgcError(
            f"{path} has {len(found)} arrays; the network needs {2 * layers}: a0, b0 to b{layers - 1}.",
            hint="Give the connections of this network.",
        )
    return [(files.integers(found[a], a), files.integers(found[b], b)) for a, b in names]


def replay(options: Options, widths: list[int]) -> list[tuple[Array, Array]]:
    """Draw the wiring as difflogic does when its layers are built in order after `manual_seed`.

    On the CPU the weights' normal numbers come from the same generator before each layer's wiring;
    built for CUDA they do not.

    Raises:
        UsageError: the shape of the inputs is missing, or a name is unknown.
        LgcError: a layer is too narrow or too wide for unique pairs.
    """
    import torch

    if options.wiring not in ("unique", "random"):
        raise UsageError(
            f"There is no wiring {options.wiring!r}.", hint=nearest(options.wiring, ("unique", "random"))
        )
    if not options.inputs:
        raise UsageError("The wiring depends on the number of inputs.", hint="Give --inputs.")
    sources = int(np.prod(options.inputs)) * (len(options.thresholds[0]) if options.thresholds else 1)
    generator = torch.Generator().manual_seed(options.seed)
    pairs = []
    for width in widths:
        if options.device == "cpu":
            torch.randn(width, 16, generator=generator)
        if options.wiring == "unique":
            order = torch.randperm(width, generator=generator).numpy()
            a, b = (side[order] for side in unique_pairs(sources, width))
        else:
            drawn = torch.randperm(2 * width, generator=generator) % sources
            both = torch.randperm(sources, generator=generator)[drawn].reshape(2, width).numpy()
            a, b = both[0], both[1]
        pairs.append((a, b))
        sources = width
    return pairs


def unique_pairs(sources: int, width: int) -> tuple[Array, Array]:
    """First `width` pairs of difflogic's list, no two alike.

    Even neighbours (0, 1), (2, 3), then odd ones (1, 2), (3, 4), then distance 2, 3 and so on.

    Raises:
        LgcError: fewer gates than half the sources, or more than there are pairs.
    """
    if 2 * width < sources or width > sources * (sources - 1) // 2:
        raise LgcError(
            f"{width} gates cannot read {sources} sources in unique pairs.", hint="Check --inputs."
        )
    every = np.arange(sources)
    left, right = [every[: sources // 2 * 2 : 2]], [every[1::2]]
    count, distance = len(left[0]), 1
    while count < width:
        start = every[1:-1:2] if distance == 1 else every[:-distance]
        left.append(start)
        right.append(start + distance)
        count, distance = count + len(start), distance + 1
    return np.concatenate(left)[:width], np.concatenate(right)[:width]


def _origin(state: Mapping[str, Any], keys: Mapping[int, str], options: Options) -> str:
    if _stored(state, keys):
        return "in the checkpoint"
    if options.connections is not None:
        return f"read from {options.connections.name}"
    return f"replayed: {options.wiring}, seed {options.seed}, built for {options.device}"


def accepts(state: Mapping[str, Any]) -> bool:
    """Tell whether a state dict is difflogic's."""
    keys = weights(state).values()
    return bool(keys) and all(
        isinstance(state[key], np.ndarray) and state[key].ndim == 2 and state[key].shape[1] == 16
        for key in keys
    )
