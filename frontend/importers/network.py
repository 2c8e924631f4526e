"""A foreign network in lgc's conventions, and the checkpoint made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError, UsageError
from lgc.ir.encoder import FixedPoint, Thermometer

from .._typing import Array, Bool2, I32x1, I64x1
from ..checkpoint import Checkpoint, check_weights
from ..graph import AnyLayer, ConvLayer, Layer, OrPool

MAX_NODES = 1 << 26
"""Nodes of a network beyond which a file is taken for damaged."""
MAX_BITS = 1 << 24
_MAX_WIDTH = 16
ORDERS = ("feature", "plane", "channel")
"""Orders of input bits: the levels of a feature together, whole levels, or levels of a channel."""


@dataclass(frozen=True, eq=False)
class Tables:
    """One layer: wiring int64 `[n, k]`, tables bool `[n, 2**k]`; `fanin[0]` is bit 0 of a row's number."""

    fanin: Array
    rows: Bool2


ForeignLayer = Tables | ConvLayer | OrPool


@dataclass(frozen=True)
class Options:
    """What files leave out; each importer uses what it needs and says what it lacks.

    Attributes:
        connections: index file of networks whose wiring is not in the checkpoint.
        wiring: "unique" or "random": replay difflogic's draw instead.
        seed: of that draw.
        device: where the original was built, "cpu" or "cuda"; it changes the draw.
        classes: number of classes.
        class_names: their names.
        inputs: shape of a sample: features, or rows, columns and channels.
        thresholds: a bit is 1 where the feature is greater; one row for all, each channel or each feature.
        scale: features are divided by it before they are compared.
        form: fixed-point format of the features; 8 bits if there are thresholds.
        order: one of `ORDERS`.
        channels_first: the network counts pixels by channel first, the data by channel last.
        parametrization: "raw", "warp" or "light", for torchlogix.
        config: description of torchlogix' modules, where a state dict does not tell.
        learned: rule of torchlogix' learned thresholds: "cumsum", "softplus" or "softplus=TEMPERATURE".
        skip: LILogicNet's skip connections: "input", "residual" or "both".
        tau: logits are the counts divided by it.
    """

    connections: Path | None = None
    wiring: str = ""
    seed: int = 0
    device: str = "cuda"
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    inputs: tuple[int, ...] = ()
    thresholds: tuple[tuple[float, ...], ...] = ()
    scale: float | None = None
    form: FixedPoint | None = None
    order: str | None = None
    channels_first: bool = False
    parametrization: str = ""
    config: Path | None = None
    learned: str = ""
    skip: str = ""
    tau: float | None = None


@dataclass(frozen=True, eq=False)
class Foreign:
    """What a file says.

    Attributes:
        layers: first to last.
        bits: input bits, if the file says so.
        classes: if the file says so.
        class_names: if the file says so.
        tau: logits are the counts divided by it; None if the file does not say.
        shape: of a sample, if the file says so.
        thresholds: as in `Options`, empty if the file has none.
        any_order: whether they need not be ascending, the bits following them.
        scale: as in `Options`.
        form: as in `Options`.
        order: as in `Options`.
        notes: facts for the checkpoint's metadata; JSON values.
        weights: what each output of the last layer counts, int64 `[outputs]`; None if each counts once.
    """

    layers: tuple[ForeignLayer, ...]
    bits: int | None = None
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    tau: float | None = None
    shape: tuple[int, ...] = ()
    thresholds: tuple[tuple[float, ...], ...] = ()
    any_order: bool = False
    scale: float = 1.0
    form: FixedPoint | None = None
    order: str = "feature"
    notes: Mapping[str, Any] = field(default_factory=dict)
    weights: I64x1 | None = None


def gates(a: Array, b: Array, gate: Array, where: str) -> Tables:
    """Two-input gates in difflogic's numbering: bit `3 - (2a + b)` of the number is the output.

    Args:
        a: int `[n]`, sources of the first input.
        b: int `[n]`, sources of the second.
        gate: int `[n]`, 0 to 15 (Petersen 2022, arXiv 2210.08277, table 1).
        where: the layer, for messages.

    Raises:
        LgcError: different lengths, or a number that names no gate.
    """
    if not a.shape == b.shape == gate.shape or a.ndim != 1:
        raise LgcError(
            f"{where} has {gate.size} gates, but {a.size} and {b.size} connections.",
            hint="Take connections and weights from one training run.",
        )
    if gate.size and (int(gate.min()) < 0 or int(gate.max()) > 15):
        raise LgcError(f"{where} has a gate number outside 0 to 15.", hint="The file is damaged.")
    rows: Bool2 = (gate.astype(np.int64)[:, None] >> np.arange(3, -1, -1) & 1).astype(np.bool_)
    return msb_first(np.stack([a, b], axis=1), rows)


def msb_first(fanin: Array, rows: Bool2) -> Tables:
    """Turn tables whose first input is the most significant bit of the row into lgc's order."""
    return Tables(fanin[:, ::-1], rows)


def assemble(foreign: Foreign, options: Options) -> tuple[Checkpoint, I64x1]:
    """Check a network and put the encoder in front.

    Returns:
        The checkpoint, its nodes as layers of relaxation `light` with parameters 1 and -1, and the
        encoder's bit for each input bit of the original, int64 `[bits]`.

    Raises:
        UsageError: something must be given by an option; names it.
        LgcError: the network is inconsistent.
    """
    encoder, place = _encoder(foreign, options)
    layers: list[AnyLayer] = []
    sources = encoder.bits
    if not foreign.layers:
        raise LgcError("The network has no layers.", hint="Give a complete checkpoint.")
    for i, tables in enumerate(foreign.layers, 1):
        layers.append(_layer(tables, f"Layer {i}", sources, place if i == 1 else None))
        sources = layers[-1].nodes
    names = _class_names(foreign, options)
    if sources % len(names):
        raise LgcError(
            f"{len(names)} classes cannot share the last layer's {sources} outputs equally.",
            hint="Check --classes.",
        )
    shape = options.inputs or foreign.shape
    metadata = dict(foreign.notes) | ({"image_shape": list(shape)} if len(shape) in (2, 3) else {})
    tau = options.tau if options.tau is not None else foreign.tau
    if tau is not None and not 0 < tau < math.inf:
        raise LgcError(f"The scale tau is {tau}; it must be positive.", hint="Give --tau.")
    weights = None
    if foreign.weights is not None:
        weights = check_weights(foreign.weights.clip(-1, (1 << 31) - 1).astype(np.int32), sources, len(names))
    return Checkpoint(encoder, tuple(layers), names, tau or 1.0, metadata, weights), place


def _layer(tables: ForeignLayer, where: str, sources: int, place: I64x1 | None) -> AnyLayer:
    if isinstance(tables, OrPool | ConvLayer):
        return _window(tables, where, sources, place)
    fanin, rows = tables.fanin, tables.rows
    if fanin.dtype.kind not in "ui" or fanin.ndim != 2 or not fanin.size:
        raise LgcError(f"{where} has no wiring of integers [nodes, inputs].", hint="The file is damaged.")
    nodes, k = fanin.shape
    if not 1 <= k <= 6 or nodes > MAX_NODES:
        raise LgcError(f"{where} has {nodes} nodes of {k} inputs; lgc knows 1 to 6 inputs.")
    if rows.shape != (nodes, 1 << k):
        raise LgcError(f"{where} has tables {list(rows.shape)} for {nodes} nodes of {k} inputs.")
    low, high = int(fanin.min()), int(fanin.max())
    if low < 0 or high >= sources:
        raise LgcError(
            f"{where} reads source {low if low < 0 else high}; there are {sources}.",
            hint="Check --inputs and --thresholds." if place is not None else "The file is damaged.",
        )
    wired = fanin.astype(np.int64) if place is None else place[fanin.astype(np.int64)]
    return Layer(wired.astype(np.int32), np.where(rows, 1, -1).astype(np.float32), "light")


def _window(layer: ConvLayer | OrPool, where: str, sources: int, place: I64x1 | None) -> AnyLayer:
    """Put the encoder's order of bits before a convolution; pools never come first."""
    count = math.prod(layer.window.shape)
    if count != sources:
        raise LgcError(f"{where} reads {list(layer.window.shape)}; there are {sources} sources.")
    if place is None or isinstance(layer, OrPool) or np.array_equal(place, np.arange(count)):
        return layer
    return replace(layer, source=place.astype(np.int32))


def _class_names(foreign: Foreign, options: Options) -> tuple[str, ...]:
    names = options.class_names or foreign.class_names
    count = options.classes if options.classes is not None else foreign.classes or len(names)
    if not count:
        raise UsageError("The file does not say how many classes there are.", hint="Give --classes N.")
    if names and len(names) != count:
        raise UsageError(f"There are {count} classes, but {len(names)} names.", hint="Check --classes.")
    if not 0 < count <= 1 << 16:
        raise UsageError(f"There cannot be {count} classes.", hint="Check --classes.")
    return names or tuple(map(str, range(count)))


def _encoder(foreign: Foreign, options: Options) -> tuple[Thermometer, I64x1]:
    """Return the thermometer, and its bit for each input bit of the original."""
    levels = options.thresholds or foreign.thresholds
    per_feature = len(levels[0]) if levels else 1
    shape = options.inputs or foreign.shape
    if not shape:
        if foreign.bits is None:
            raise UsageError(
                "The file does not say how many inputs the network has.",
                hint="Give their number or shape, such as --inputs 784 or --inputs 28x28.",
            )
        shape = (foreign.bits // per_feature,)
    if any(n < 1 for n in shape) or math.prod(shape) * per_feature > MAX_BITS:
        raise UsageError(f"Inputs of shape {list(shape)} are out of range.", hint="Check --inputs.")
    features = math.prod(shape)
    if foreign.bits is not None and features * per_feature != foreign.bits:
        raise UsageError(
            f"{features} features of {per_feature} bits do not make the network's {foreign.bits} input bits.",
            hint="Check --inputs and --thresholds.",
        )
    if not levels:
        ready = Thermometer(np.ones((features, 1), np.int32), FixedPoint(1))
        return ready, _places(shape, np.zeros((1, 1), np.int64), options, foreign.order)
    form = options.form or foreign.form or FixedPoint(8)
    scale = options.scale if options.scale is not None else foreign.scale
    channels = shape[-1] if len(shape) > 2 else 1
    if len(levels) not in (1, channels, features) or len({len(row) for row in levels}) != 1 or not levels[0]:
        raise UsageError(
            f"There are thresholds for {len(levels)} features, not for 1 or {features}.",
            hint="Give one row for all features, one for each, or one for each channel.",
        )
    rank = np.zeros((len(levels), per_feature), np.int64)
    if foreign.any_order and not options.thresholds:
        order = np.argsort(np.array(levels), axis=1, kind="stable")
        np.put_along_axis(rank, order, np.arange(per_feature), axis=1)
        levels = tuple(tuple(row[i] for i in own) for row, own in zip(levels, order, strict=True))
    else:
        rank += np.arange(per_feature)
    rows = np.stack([codes(row, form, scale) for row in levels])
    repeat = features // len(levels)  # channels are last
    place = _places(shape, np.tile(rank, (repeat, 1)), options, foreign.order)
    return Thermometer(np.tile(rows, (repeat, 1)), form), place


def codes(thresholds: tuple[float, ...], form: FixedPoint, scale: float) -> I32x1:
    """First code of each level whose feature, divided by `scale`, is greater than the threshold.

    Computed in float32 as torch compares, for every code: exact, ties too.

    Raises:
        UsageError: not ascending, or no code reaches one of them.
    """
    with np.errstate(over="ignore", under="ignore"):
        limits = np.array(thresholds, np.float64).astype(np.float32)
        divisor = np.float64(scale).astype(np.float32)
    if not 1 <= form.width <= _MAX_WIDTH or abs(form.fraction) > 64 or not 1e-30 < divisor < 1e30:
        raise UsageError(
            f"Features of {form.width} bits, divided by {scale}, are out of range.",
            hint="Use up to 16 bits.",
        )
    if not np.isfinite(limits).all() or (np.diff(limits) < 0).any():
        raise UsageError(
            f"The thresholds {list(thresholds)[:5]} are not ascending numbers.", hint="Sort --thresholds."
        )
    units = np.arange(form.low, form.high + 1, dtype=np.float32)
    with np.errstate(over="ignore", under="ignore"):
        every = np.ldexp(units, -form.fraction) / divisor
    found: I32x1 = (np.searchsorted(every, limits, side="right") + form.low).astype(np.int32)
    if (found > form.high).any():
        raise UsageError(
            f"No feature of {form.width} bits, divided by {scale:g}, is greater than {limits.max():g}.",
            hint="Check --thresholds, --scale and --bits.",
        )
    return found


def _places(shape: tuple[int, ...], rank: Array, options: Options, order: str) -> I64x1:
    """Return where the original's input bits are among the encoder's.

    `rank` int `[1 or features, levels]` says which of the encoder's levels is the original's i-th.
    """
    order = options.order or order or "feature"
    if len(shape) > 4:
        raise UsageError(f"Inputs of shape {list(shape)} have too many dimensions.", hint="Give up to 4.")
    channels = shape[-1] if len(shape) > 2 else 1
    features, levels = math.prod(shape), rank.shape[1]
    bits = np.arange(features, dtype=np.int64)[:, None] * levels + rank
    cube = bits.reshape(-1, channels, levels)
    if order == "channel":
        found: I64x1 = cube.transpose(1, 2, 0).ravel()
        return found
    pixels = cube.transpose(1, 0, 2) if options.channels_first else cube
    flat = pixels.reshape(-1, levels)
    places: I64x1 = (flat.T if order == "plane" else flat).ravel()
    return places
