"""Fit thermometer thresholds to training data, as integers in the fixed-point format."""

from __future__ import annotations

import numpy as np

from lgc.errors import LgcError, UsageError
from lgc.ir.encoder import FixedPoint, Thermometer

from ._typing import Array, Bool1, F64x1, I32x1, I32x2, I64x1
from .config import EncoderConfig
from .connections import Sources
from .data import FLOAT_WIDTH, RESOLUTION

_MOST_FRACTION = 64


def fit(config: EncoderConfig, x: Array, form: FixedPoint) -> Thermometer:
    """Fit a thermometer to training samples `[samples, ...]`.

    Every feature gets the same number of levels. Thresholds of a feature are distinct as far as
    its values allow; levels to spare become bits that are always 1 (threshold = lowest code), and
    `informative` tells which bits ever change.

    Raises:
        LgcError: settings that contradict each other or the features' format.
    """
    if config.kind == "learned" and config.snap:
        raise UsageError(
            "Learned thresholds end where training leaves them; they cannot snap.",
            hint="Use encoder.snap = false, or another encoder.kind.",
        )
    flat = x.reshape(len(x), -1)
    if config.kind == "thresholds" or config.scope == "global":
        return Thermometer(np.tile(_row(config, flat.ravel(), form), (flat.shape[1], 1)), form)
    form = separate(flat, form)
    # feature by feature: codes take eight times the room of pixels
    rows = [_row(config, column, form.of(i)) for i, column in enumerate(flat.T)]
    return Thermometer(np.stack(rows), form)


def separate(x: Array, form: FixedPoint) -> FixedPoint:
    """Give each real feature `[samples, features]` its own point, where sharing one makes codes wide.

    Every feature fills its codes, which get 16 bits, or as many as the one with the narrowest range for its
    magnitude needs for `RESOLUTION` steps. Values beyond those of the samples saturate, on the same side
    of all thresholds.
    """
    if x.dtype.kind != "f" or form.width <= FLOAT_WIDTH:
        return form
    whole = np.frexp(np.abs(x).max(axis=0).astype(np.float64))[1] + int(form.signed)
    span = np.ptp(x.astype(np.float64), axis=0)
    fine = np.frexp(RESOLUTION / np.where(span > 0, span, np.inf))[1]
    width = min(max(FLOAT_WIDTH, int((whole + fine)[span > 0].max(initial=0))), form.width)
    fraction = np.clip(width - whole, -_MOST_FRACTION, _MOST_FRACTION)
    lowest = int(fraction.min())
    return FixedPoint(width, lowest, form.signed, tuple((fraction - lowest).tolist()))


def _row(config: EncoderConfig, x: Array, form: FixedPoint) -> I32x1:
    """Thresholds of one feature, or of all, from its values `[samples]`."""
    explicit = config.kind == "thresholds"
    row = _explicit(config.thresholds, form) if explicit else np.empty(0, np.int32)
    if explicit and not config.snap:
        return row
    codes = form.quantise(x)
    if not explicit:
        kinds = {"uniform": _uniform, "quantile": _quantile, "distributive": _distributive}
        choose = kinds.get(config.kind, _quantile)  # where learned thresholds start
        row = choose(codes, config.levels, form.low)
    return _snapped(row, codes, form, config.tolerance) if config.snap else row


def compared_bits(encoder: Thermometer) -> I32x2:
    """Count the bits of its feature that each input bit depends on; int32 `[features, levels]`.

    `code >= c` looks at the bits of the code down to the lowest 1 of c: a power of two in the middle
    of the range costs one bit and no LUT. Thresholds at the lowest code cost none.
    """
    form = encoder.format
    above = encoder.threshold.astype(np.int64) - form.low
    trailing = np.log2(np.maximum(above & -above, 1)).astype(np.int32)
    return np.where(above > 0, np.maximum(form.width - trailing, 0), 0).astype(np.int32)


def informative(encoder: Thermometer, x: Array) -> Bool1:
    """Tell which input bits take both values in `x`, repeated thresholds left out; bool `[bits]`."""
    low, high = encoder.codes(np.stack([x.min(axis=0), x.max(axis=0)]))[:, :, None]  # codes keep order
    threshold = encoder.threshold
    fresh = np.diff(threshold, axis=1, prepend=encoder.format.low) > 0
    return np.ravel((threshold > low) & (threshold <= high) & fresh)


def sources(encoder: Thermometer, x: Array, image_shape: tuple[int, ...] | None) -> Sources:
    """List the informative input bits, with the pixel each belongs to if the features are an image.

    Raises:
        LgcError: there is none.
    """
    index = np.flatnonzero(informative(encoder, x)).astype(np.int32)
    if not len(index):
        raise LgcError(
            "No input bit changes in training: all features are constant, or no threshold splits them.",
            hint="Check the data, or choose other encoder.thresholds.",
        )
    if image_shape is None:
        return Sources(index, outputs=encoder.bits)
    pixels = np.unravel_index(index // encoder.levels, image_shape)
    position = np.stack(pixels[:2], axis=1).astype(np.float32)
    shape, order = arranged(image_shape, 2, encoder.levels)
    return Sources(index, position, shape, order, encoder.bits)


def arranged(features: tuple[int, ...], axes: int, levels: int) -> tuple[tuple[int, ...], I32x1]:
    """Shape of the input bits as channels of an image or signal, and which bit is at each place.

    The first `axes` numbers of the features' shape are places; all else, and a feature's bits, are channels.

    Returns:
        `(channels, ...)` and int32 `[bits]`, the bit at each place, channel-major.
    """
    bits = np.arange(np.prod(features) * levels, dtype=np.int32).reshape(*features[:axes], -1)
    bits = np.moveaxis(bits, -1, 0)
    return bits.shape, bits.ravel()


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


def _distributive(codes: Array, levels: int, low: int) -> I32x1:
    """Plain quantiles: bit i is `code > sorted[floor(n i / (levels + 1))]` (DWN, arXiv 2410.11112).

    Values more frequent than a bin repeat a threshold; what exceeds all samples becomes constant.
    """
    ordered = np.sort(codes).astype(np.int64)
    index = len(ordered) * (np.arange(levels) + 1) // (levels + 1)
    above = ordered[index] + 1
    return _padded(above[above <= ordered[-1]], levels, low)


def _snapped(row: I32x1, codes: Array, form: FixedPoint, tolerance: float) -> I32x1:
    """Move each threshold to the constant with the most trailing zeros that changes few samples' bits.

    "Few" is a share `tolerance` of the samples. Order and distinctness stay, and no threshold passes
    the next one's old place. One that splits no samples is left alone.
    """
    ordered = np.sort(codes).astype(np.int64) - form.low
    old = row.astype(np.int64) - form.low
    new = old.copy()
    below = np.searchsorted(ordered, old)
    slack = int(tolerance * len(ordered))
    for i in np.flatnonzero((below > 0) & (below < len(ordered))):
        last = ordered[max(below[i] - slack, 1) - 1]  # a threshold above it keeps enough samples below
        top = ordered[min(below[i] + slack, len(ordered) - 1)]
        if i > 0:
            last = max(last, new[i - 1])
        if i + 1 < len(old):
            top = min(top, max(old[i + 1] - 1, old[i]))
        if last < old[i]:  # not the repetition of a threshold
            zeros = int(last ^ top).bit_length() - 1
            new[i] = top >> zeros << zeros
    return (new + form.low).astype(np.int32)


def _bins(counts: I64x1, bins: int) -> F64x1:
    """Share `bins` among more values than bins in proportion to their counts, at most one bin each."""
    heavy = np.zeros(len(counts), np.bool_)
    while True:
        share = counts[~heavy].sum() / (bins - heavy.sum())
        more = ~heavy & (counts >= share)
        if not more.any():
            return np.where(heavy, 1.0, counts / share)
        heavy |= more
