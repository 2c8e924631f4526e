"""Fit thermometer thresholds to training data, as integers in the fixed-point format."""

from __future__ import annotations

import numpy as np

from lgc.errors import LgcError
from lgc.ir.encoder import FixedPoint, Thermometer

from ._typing import Array, Bool1, F64x1, I32x1, I64x1
from .config import EncoderConfig
from .connections import Sources


def fit(config: EncoderConfig, x: Array, form: FixedPoint) -> Thermometer:
    """Fit a thermometer to training samples `[samples, ...]`.

    Every feature gets the same number of levels. Thresholds of a feature are distinct as far as
    its values allow; levels to spare become bits that are always 1 (threshold = lowest code), and
    `informative` tells which bits ever change.
    """
    codes = form.quantise(x.reshape(len(x), -1))
    features = codes.shape[1]
    if config.kind == "thresholds":
        return Thermometer(np.tile(_explicit(config.thresholds, form), (features, 1)), form)
    choose = {"uniform": _uniform, "quantile": _quantile}[config.kind]
    if config.scope == "global":
        return Thermometer(np.tile(choose(codes.ravel(), config.levels, form.low), (features, 1)), form)
    rows = [choose(codes[:, f], config.levels, form.low) for f in range(features)]
    return Thermometer(np.stack(rows), form)


def informative(encoder: Thermometer, x: Array) -> Bool1:
    """Tell which input bits take both values in `x`, repeated thresholds left out; bool `[bits]`."""
    codes = encoder.codes(x)
    low, high = codes.min(axis=0)[:, None], codes.max(axis=0)[:, None]
    threshold = encoder.threshold
    fresh = np.diff(threshold, axis=1, prepend=encoder.format.low) > 0
    return np.ravel((threshold > low) & (threshold <= high) & fresh)


def sources(encoder: Thermometer, x: Array, image_shape: tuple[int, ...] | None) -> Sources:
    """List the informative input bits, with the pixel each belongs to if the features are an image."""
    index = np.flatnonzero(informative(encoder, x)).astype(np.int32)
    if image_shape is None:
        return Sources(index)
    pixels = np.unravel_index(index // encoder.levels, image_shape)
    return Sources(index, np.stack(pixels[:2], axis=1).astype(np.float32))


def _explicit(thresholds: tuple[float, ...], form: FixedPoint) -> I32x1:
    """Thresholds in the features' own unit, rounded up to codes: x >= t exactly when code >= ceil(t)."""
    codes = np.ceil(np.ldexp(np.asarray(thresholds, np.float64), form.fraction))
    if not len(codes) or (np.diff(codes) <= 0).any() or codes[0] <= form.low or codes[-1] > form.high:
        raise LgcError(
            f"The thresholds {list(thresholds)} are not ascending values inside the features' format.",
            hint=f"Codes range from {form.low + 1} to {form.high}.",
        )
    return codes.astype(np.int32)


def _padded(thresholds: Array, levels: int, low: int) -> I32x1:
    out = np.full(levels, low, np.int32)
    out[levels - len(thresholds) :] = thresholds
    return out


def _uniform(codes: Array, levels: int, low: int) -> I32x1:
    """Thresholds evenly spaced over the range of the data."""
    smallest, largest = int(codes.min()), int(codes.max())
    ideal = smallest + (np.arange(levels) + 1) * (largest - smallest) / (levels + 1)
    thresholds = np.unique(np.ceil(ideal).astype(np.int64))
    return _padded(thresholds[thresholds > smallest], levels, low)


def _quantile(codes: Array, levels: int, low: int) -> I32x1:
    """Thresholds that split the samples evenly ("distributive", Bacellar 2024, arXiv 2410.11112).

    A value more frequent than one bin fills one bin: the background of an image, at code 0 in most
    samples, must not attract all thresholds.
    """
    values, counts = np.unique(codes, return_counts=True)
    candidates = values[1:]  # a threshold at the smallest value would never split
    if len(candidates) <= levels:
        return _padded(candidates, levels, low)
    below = np.cumsum(_bins(counts, levels + 1))[:-1]
    pick = np.searchsorted(below, np.arange(levels) + 1 - 1e-9)
    # distinct: push duplicates up, then what left the range back down
    pick = np.maximum.accumulate(pick - np.arange(levels)) + np.arange(levels)
    top = len(candidates) - levels + np.arange(levels)
    return candidates[np.minimum(pick, top)].astype(np.int32)


def _bins(counts: I64x1, bins: int) -> F64x1:
    """Share `bins` among more values than bins in proportion to their counts, at most one bin each."""
    heavy = np.zeros(len(counts), np.bool_)
    while True:
        share = counts[~heavy].sum() / (bins - heavy.sum())
        more = ~heavy & (counts >= share)
        if not more.any():
            return np.where(heavy, 1.0, counts / share)
        heavy |= more
