"""A hardened classifier: encoder, netlist with readout, class names. What gets compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lgc.errors import LgcError

from . import _engine
from ._typing import I64x1, I64x2, U64x2
from .encoder import Thermometer
from .netlist import Netlist
from .passes import Dce, LutMap, Strash
from .program import Program, prepare, three_pins
from .simulate import argmax, run, scores

_PIECE = 1 << 17
"""Samples whose scores are held at once where only the classes are wanted."""
_MAPPED = 1 << 21
"""LUTs up to which merging them into 3-input ones is worth its time and memory."""
_FUSED = tuple(np.dtype(name) for name in ("u1", "i1", "u2", "i2", "i4", "f4", "f8"))
"""Types of features that are compared as they are; the others are quantised first."""
_EXPONENT = {
    4: (np.uint64(0x7F8000007F800000), np.uint64(0x0080000000800000), np.uint64(0x8000000080000000)),
    8: (np.uint64(0x7FF0000000000000), np.uint64(0x0010000000000000), np.uint64(0x8000000000000000)),
}
"""Exponents in a word of floats of so many bytes, their lowest bits, and the bits above them."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """Numbers in, class out: the function that the hardware must reproduce bit for bit.

    `netlist.inputs == encoder.bits`, and the netlist has a readout with one class per name.
    `scores` and `predict` run an optimised program, on all cores unless `threads` says how many.
    """

    encoder: Thermometer
    netlist: Netlist
    class_names: tuple[str, ...]

    @cached_property
    def program(self) -> Program:
        """The netlist with its LUTs shared and merged, ready to run; made at the first use."""
        return prepare(
            optimised(replace(self.netlist, outputs=self.netlist.outputs[:0])), levels=self.encoder.levels
        )

    def scores(self, x: npt.ArrayLike, *, threads: int | None = None) -> I64x2:
        """Integer class scores int64 `[samples, classes]` of samples `[samples, ...]`.

        Raises:
            LgcError: wrong number of features, or NaN.
        """
        data = self._features(x)
        out = np.empty((len(data), len(self.class_names)), np.int64)
        for rows in _pieces(len(data)):
            self._run(data[rows], out[rows], threads)
        return out

    def predict(self, x: npt.ArrayLike, *, threads: int | None = None) -> I64x1:
        """Class index int64 `[samples]` of samples `[samples, ...]`; ties go to the lowest class.

        Raises:
            LgcError: wrong number of features, or NaN.
        """
        data = self._features(x)
        index = np.empty(len(data), np.int64)
        score = np.empty((min(len(data), _PIECE), len(self.class_names)), np.int64)
        for rows in _pieces(len(data)):
            part = score[: rows.stop - rows.start]
            self._run(data[rows], part, threads)
            index[rows] = argmax(part)
        return index

    def scores_of_codes(self, codes: npt.NDArray[np.int32]) -> I64x2:
        """Scores of samples in the encoder's fixed-point format, int32 `[samples, features]`.

        Evaluates the netlist as it stands, without any pass: the reference for checks.
        """
        return scores(self.netlist, self.encoder.compare(codes))

    def _features(self, x: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the samples as `[samples, features]`, bools as bytes."""
        data = np.asarray(x)
        if data.dtype.kind not in "buif":
            raise LgcError(f"The features are of type {data.dtype}, not numbers.")
        if data.ndim < 2:
            shape = list(data.shape)
            raise LgcError(f"The features have shape {shape}; expected [samples, features...].")
        if data[0:1].size != self.encoder.features and data.size != 0:
            self.encoder.codes(data[:1])  # raises, naming both numbers
        data = data.reshape(len(data), self.encoder.features)
        return data.view(np.uint8) if data.dtype == np.bool_ else data

    def _run(self, data: npt.NDArray[Any], out: I64x2, threads: int | None) -> None:
        """Scores of one piece."""
        program, encoder = self.program, self.encoder
        data = np.ascontiguousarray(data, data.dtype.newbyteorder("="))
        if data.dtype not in _FUSED or (encoder.format.fractions < 0).any():
            data = encoder.codes(data)
            threshold, within = encoder.threshold.T.copy(), np.full_like(encoder.threshold.T, 255, np.uint8)
        else:
            threshold, within = comparisons(encoder, data.dtype)

        def fill(first: int, part: U64x2) -> None:
            rows = slice(first * _engine.BLOCK, (first + len(part)) * _engine.BLOCK)
            _refuse_nan(encoder, data[rows])
            _engine.pack_features(data, threshold, within, first, part)

        run(program, fill, out, np.empty((len(data), 0), np.bool_), threads)


def _pieces(samples: int) -> Iterator[slice]:
    for start in range(0, samples, _PIECE):
        yield slice(start, min(start + _PIECE, samples))


def optimised(net: Netlist) -> Netlist:
    """Return an equal netlist of LUTs of up to three pins that is quick to evaluate."""
    if net.luts > _MAPPED:
        return Dce()(Strash()(net))
    return LutMap(k=3)(three_pins(net))


def comparisons(encoder: Thermometer, kind: np.dtype[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Thresholds on features of type `kind` as they are, instead of on their codes.

    Exact: quantisation rounds down and saturates, so `code >= t` is `x >= t / 2**fractions`, for
    integers rounded up. What no value of the type reaches has `within` 0.

    Returns:
        Thresholds of that type and uint8 `within`, 255 or 0, both `[levels, features]`.
    """
    form = encoder.format
    codes = encoder.threshold.T.astype(np.int64)
    within = codes <= form.high
    if kind.kind == "f":
        exact = np.ldexp(codes.astype(np.float64), -form.fractions)
        threshold = exact.astype(kind)
        below = threshold < exact
        threshold[below] = np.nextafter(threshold[below], kind.type(np.inf))
        threshold[codes <= form.low] = -np.inf
    else:
        info = np.iinfo(kind)
        raw = np.where(codes <= form.low, info.min, -(-codes >> form.fractions))
        within &= raw <= info.max
        threshold = np.clip(raw, info.min, info.max).astype(kind)
    return np.ascontiguousarray(threshold), np.where(within, np.uint8(255), np.uint8(0))


def _refuse_nan(encoder: Thermometer, data: npt.NDArray[Any]) -> None:
    """Raise what the encoder raises if a feature is NaN or infinite."""
    if data.dtype.kind != "f":
        return
    flat = data.ravel()
    pairs = flat[: flat.size & ~1].view(np.uint64)
    if _engine.any_overflow(pairs, *_EXPONENT[data.itemsize]) or not np.isfinite(flat[-1:]).all():
        encoder.format.quantise(data)
