"""lgc-json: the plain container by which any framework hands over its network; see `docs/import.md`."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError
from lgc.ir.encoder import FixedPoint

from .._typing import Array, Bool2
from . import files
from .network import MAX_NODES, Foreign, Options, Tables

VERSION = 1
_KEYS = {
    *("format", "bits", "inputs", "classes", "class_names", "groups", "tau", "thresholds", "scale"),
    *("weights", "feature_format", "order", "layers"),
}


def read(path: Path, _: Options) -> Foreign:
    """Read a container, .json or .npz.

    Raises:
        LgcError: an unknown key, a wrong type, or damaged.
    """
    found = _npz(path) if path.suffix == ".npz" else files.json_object(path)
    if found.get("format") != f"lgc-network-{VERSION}":
        raise LgcError(
            f"{path} has the format {str(found.get('format'))[:40]!r}, not lgc-network-{VERSION}.",
            hint="See docs/import.md.",
        )
    unknown = sorted(set(found) - _KEYS)
    if unknown:
        raise LgcError(
            f"{path} has an unknown key {unknown[0]!r}.", hint=f"Known: {', '.join(sorted(_KEYS))}."
        )
    try:
        return _parse(found)
    except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise LgcError(
            f"{path} is not a complete network: {error!r:.200}.", hint="See docs/import.md."
        ) from None


def _npz(path: Path) -> dict[str, Any]:
    """Arrays fanin0, table0, fanin1, ... and everything else as JSON text in `header`."""
    found = files.arrays(path)
    header = found.get("header")
    if header is None or header.dtype.kind != "U" or header.ndim:
        raise LgcError(f"{path} has no header, a JSON text.", hint="See docs/import.md.")
    try:
        facts = json.loads(str(header))
    except (ValueError, RecursionError) as error:
        raise LgcError(f"{path} has a damaged header: {error}.") from None
    if not isinstance(facts, dict):
        raise LgcError(f"{path} has a header that is no JSON object.", hint="See docs/import.md.")
    count = sum(name.startswith("fanin") for name in found)
    layers = [{"fanin": found.get(f"fanin{i}"), "table": found.get(f"table{i}")} for i in range(count)]
    return facts | {"layers": layers}


def _parse(found: Mapping[str, Any]) -> Foreign:
    layers = [_layer(layer, i) for i, layer in enumerate(found["layers"], 1)]
    classes = found.get("classes")
    weights = found.get("weights")
    if "groups" in found:
        layers[-1], weights = _grouped(layers[-1], found["groups"], weights)
        classes = len(found["groups"])
    levels = found.get("thresholds", [])
    rows = levels if levels and isinstance(levels[0], list) else [levels] if levels else []
    form = found.get("feature_format")
    order = found.get("order", "feature")
    if order not in ("feature", "plane", "channel"):
        raise ValueError(f"order {order}")
    return Foreign(
        tuple(layers),
        bits=None if found.get("bits") is None else int(found["bits"]),
        classes=None if classes is None else int(classes),
        class_names=tuple(str(name) for name in found.get("class_names", ())),
        tau=float(found.get("tau", 1.0)),
        shape=tuple(int(n) for n in found.get("inputs", ())),
        thresholds=tuple(tuple(float(t) for t in row) for row in rows),
        scale=float(found.get("scale", 1.0)),
        form=FixedPoint(int(form[0]), int(form[1]), bool(form[2])) if form else None,
        order=order,
        notes={"wiring": "in the file"},
        weights=None if weights is None else np.array([operator.index(w) for w in weights], np.int64),
    )


def _layer(found: Mapping[str, Any], number: int) -> Tables:
    """Tables are integers, bit i the output where the inputs spell i, the first being the lowest."""
    fanin = np.asarray(found["fanin"])
    if fanin.ndim != 2 or fanin.dtype.kind not in "ui" or not 1 <= fanin.shape[1] <= 6:
        raise LgcError(
            f"Layer {number}: fanin must be integers [nodes, 1 to 6 inputs].", hint="See docs/import.md."
        )
    count = 1 << fanin.shape[1]
    table = np.array([operator.index(t) for t in found["table"]], object)
    if len(table) != len(fanin) or any(not 0 <= t < 1 << count for t in table):
        raise LgcError(
            f"Layer {number}: there must be one table per node, below 2**{count}.", hint="See docs/import.md."
        )
    words = table.astype(np.uint64)
    rows: Bool2 = (words[:, None] >> np.arange(count, dtype=np.uint64) & np.uint64(1)).astype(np.bool_)
    return Tables(fanin.astype(np.int64), rows)


def _grouped(
    last: Tables, groups: list[list[int]], weights: list[list[int]] | None
) -> tuple[Tables, list[int] | None]:
    """Repeat and order the last layer's nodes as the classes count them; short groups get constants.

    Weights come in lists like the groups, and leave in one.
    """
    longest = max(len(group) for group in groups)
    nodes = len(last.rows)
    if longest * len(groups) > MAX_NODES:
        raise LgcError(f"{len(groups)} groups of up to {longest} nodes are too many.", hint="Check groups.")
    index = np.full((len(groups), longest), nodes, np.int64)
    for row, group in zip(index, groups, strict=True):
        row[: len(group)] = np.array(group, np.int64)
    if index.min() < 0 or any(not 0 <= n < nodes for group in groups for n in group):
        raise LgcError(f"A group counts a node that is not there; the last layer has {nodes}.")
    fanin: Array = np.concatenate([last.fanin, last.fanin[:1]])
    rows: Bool2 = np.concatenate([last.rows, np.zeros_like(last.rows[:1])])
    counted = Tables(fanin[index.ravel()], rows[index.ravel()])
    if weights is None:
        return counted, None
    if [len(each) for each in weights] != [len(group) for group in groups]:
        raise LgcError("weights and groups differ in length.", hint="Give a weight for each node of a group.")
    return counted, [w for each in weights for w in [*each, *[0] * (longest - len(each))]]
