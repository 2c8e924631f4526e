"""Edge and curvature detectors on the thermometer levels of an image, as fixed logic behind the encoder.

A pixel's level is the number of its input bits that are 1. With 31 even thresholds it is the pixel in
five bits, so a detector is exact integer arithmetic on that; it is built from the bits that the
encoder makes anyway, and the hardware in front of the network stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from lgc.errors import UsageError, nearest
from lgc.ir.encoder import Thermometer

from ._typing import Array, Bool2, I32x1, I32x2, I32x3
from .config import EncoderConfig
from .connections import Sources
from .encoder import arranged
from .graph import Detectors
from .kernels.threads import share

_EDGE = np.array([[0, 0, 0], [-1, 0, 1], [0, 0, 0]], np.int32)
_DIAGONAL = np.array([[-1, 0, 0], [0, 0, 0], [0, 0, 1]], np.int32)
_RIDGE = np.array([[0, 0, 0], [-1, 2, -1], [0, 0, 0]], np.int32)
_SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.int32)
KERNELS: dict[str, I32x3] = {
    "edges": np.stack([_EDGE, -_EDGE, _EDGE.T, -_EDGE.T]),
    "diagonals": np.stack([_DIAGONAL, -_DIAGONAL, _DIAGONAL[:, ::-1], -_DIAGONAL[:, ::-1]]),
    "curvature": np.stack([_RIDGE, -_RIDGE, _RIDGE.T, -_RIDGE.T]),
    "sobel": np.stack([_SOBEL, -_SOBEL, _SOBEL.T, -_SOBEL.T]),
}
"""Kernels int32 `[kinds, 3, 3]` by name: central first differences along rows and columns or diagonals,
second differences, and Sobel's, each with its negative."""
_PIECE = 4096
"""Samples looked at at once to tell which outputs ever change."""
_AND, _AND_NOT, _OR, _FIRST = 0b1000, 0b0010, 0b1110, 0b1010
"""Tables of two-input gates (a, b), row a + 2 b."""


def build(
    config: EncoderConfig, encoder: Thermometer, image_shape: tuple[int, ...] | None
) -> Detectors | None:
    """Make the detectors a configuration asks for; None if it asks for none.

    LogicTreeNet of sizes B and larger reads edges and curvature (Petersen 2024, arXiv 2411.04732); its
    kernels are not published, so these are the usual ones.

    Raises:
        UsageError: unknown detectors, no image, thresholds that differ by pixel, or a response that no
            image reaches.
    """
    if not config.detectors:
        return None
    for name in config.detectors:
        if name not in KERNELS:
            raise UsageError(f"encoder.detectors cannot be {name!r}.", hint=nearest(name, KERNELS))
    if image_shape is None:
        raise UsageError("Detectors need images.", hint="Use encoder.detectors = [], or image data.")
    same = config.kind == "thresholds" or config.scope == "global"
    if config.kind == "learned" or not same:
        raise UsageError(
            "Detectors compare pixels, whose thresholds must be the same and stay.",
            hint='Set encoder.scope = "global" or encoder.kind = "thresholds".',
        )
    shape = (*image_shape, 1)[:3]
    kernel = np.concatenate([KERNELS[name] for name in dict.fromkeys(config.detectors)])
    found = Detectors(shape, encoder.levels, kernel, np.array(config.responses, np.int32))
    found.check()
    return found


def sources(layer: Detectors, before: Sources, bits: Iterator[Bool2]) -> Sources:
    """Describe the outputs: the informative input bits, and the detectors that ever change.

    Args:
        layer: the detectors.
        before: the input bits, with the pixels' positions.
        bits: the training samples' input bits `[samples, bits]`, in pieces.
    """
    ones, count = np.zeros(layer.nodes, np.int64), 0
    for piece in bits:
        ones += detect(layer, piece).sum(axis=0)
        count += len(piece)
    added = np.flatnonzero((ones > 0) & (ones < count))
    added = added[added >= layer.bits].astype(np.int32)
    place = np.unravel_index(added - layer.bits, layer.response_shape)
    position = np.stack(place[2:4], axis=1).astype(np.float32)
    assert before.position is not None
    channels, order = arranged(layer.shape, 2, layer.levels)
    more = np.moveaxis(np.arange(layer.bits, layer.nodes).reshape(layer.response_shape), 4, 2)
    return replace(
        before,
        index=np.concatenate([before.index, added]),
        position=np.concatenate([before.position, position]),
        shape=(channels[0] + int(np.prod(more.shape[:3])), *channels[1:]),
        order=np.concatenate([order, more.ravel()]).astype(np.int32),
        outputs=layer.nodes,
    )


def pieces(encoder: Thermometer, x: Array) -> Iterator[Bool2]:
    """Encode samples `[samples, ...]` piece by piece."""
    return (encoder.encode(x[start : start + _PIECE]) for start in range(0, len(x), _PIECE))


def detect(layer: Detectors, bits: Bool2) -> Bool2:
    """Evaluate on input bits `[samples, bits]`; bool `[samples, nodes]`."""
    out = np.empty((len(bits), layer.nodes), np.bool_)
    height, width, channels = layer.shape
    share(_detect, len(bits), bits, height, width, channels, layer.kernel, layer.threshold, out)
    return out


@njit(cache=True, nogil=True)
def _detect(
    bits: Bool2,
    height: int,
    width: int,
    channels: int,
    kernel: I32x3,
    threshold: I32x1,
    out: Bool2,
    first: int,
    stop: int,
) -> None:
    """Fill the rows `first .. stop - 1` of `out`; pixels beyond the border count as the nearest."""
    features = height * width * channels
    levels = bits.shape[1] // features
    level = np.empty(features, np.int32)
    for n in range(first, stop):
        for f in range(features):
            total = 0
            for i in range(levels):
                out[n, f * levels + i] = bits[n, f * levels + i]
                total += bits[n, f * levels + i]
            level[f] = total
        for d in range(len(kernel)):
            for y in range(height):
                for x in range(width):
                    for c in range(channels):
                        response = 0
                        for i in range(3):
                            row = min(max(y + i - 1, 0), height - 1)
                            for j in range(3):
                                if kernel[d, i, j] != 0:
                                    column = min(max(x + j - 1, 0), width - 1)
                                    response += kernel[d, i, j] * level[(row * width + column) * channels + c]
                        place = (y * width + x) * channels + c
                        for t in range(len(threshold)):
                            o = features * levels + (d * len(threshold) + t) * features + place
                            out[n, o] = response >= threshold[t]


@dataclass(frozen=True, eq=False)
class Gates:
    """Two-input gates of one detector at one place.

    Operands below `9 * levels` are bits of the pixels under the kernel, pixel by pixel; gate g is
    operand `9 * levels + g`. The last gates are the outputs, one per threshold.

    Attributes:
        operand: int32 `[gates, 2]`.
        table: uint8 `[gates]`, row a + 2 b.
    """

    operand: I32x2
    table: Array


def gates(kernel: I32x2, levels: int, threshold: I32x1) -> Gates:
    """Build `sum_p kernel_p level_p >= t` for each t from the pixels' thermometer codes.

    The levels with positive coefficients are added in unary, `[A + B >= m]` being the OR of
    `[A >= i] [B >= j]` over i + j = m, likewise the negative ones; then `[P - N >= t]` is the OR of
    `[P >= l + t] [N <= l]` over l.
    """
    builder = _Builder(9 * levels)
    flat = kernel.ravel()
    codes = [_scaled(p * levels, levels, abs(int(c))) for p, c in enumerate(flat)]
    plus = builder.total([code for code, c in zip(codes, flat, strict=True) if c > 0])
    minus = builder.total([code for code, c in zip(codes, flat, strict=True) if c < 0])
    terms = []
    for t in threshold.tolist():
        below = [
            builder.gate(_AND_NOT, plus[m + t - 1], minus[m])
            for m in range(min(len(minus), len(plus) - t + 1))
        ]
        terms.append(below + plus[len(minus) + t - 1 : len(minus) + t])
    halves = [(builder.any(each[: len(each) // 2]), builder.any(each[len(each) // 2 :])) for each in terms]
    for low, high in halves:  # the outputs come last
        builder.gate(_OR if low is not None else _FIRST, *((low, high) if low is not None else (high, high)))
    return builder.finished()


def _scaled(first: int, levels: int, factor: int) -> list[int]:
    """Unary code of `factor` times a level whose bits start at operand `first`."""
    return [first + m // factor for m in range(factor * levels)] if factor else []


class _Builder:
    """Collects gates."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.operand: list[tuple[int, int]] = []
        self.table: list[int] = []

    def gate(self, table: int, a: int | None, b: int | None) -> int:
        assert a is not None
        assert b is not None
        self.operand.append((a, b))
        self.table.append(table)
        return self.inputs + len(self.table) - 1

    def any(self, terms: list[int]) -> int | None:
        """OR as a balanced tree; None of nothing."""
        while len(terms) > 1:
            pairs = [self.gate(_OR, a, b) for a, b in zip(terms[::2], terms[1::2], strict=False)]
            terms = pairs + terms[len(pairs) * 2 :]
        return terms[0] if terms else None

    def total(self, codes: list[list[int]]) -> list[int]:
        """Add unary codes."""
        while len(codes) > 1:
            codes = [*codes[2:], self.add(codes[0], codes[1])]
        return codes[0] if codes else []

    def add(self, a: list[int], b: list[int]) -> list[int]:
        found = []
        for m in range(1, len(a) + len(b) + 1):
            both = range(max(1, m - len(b)), min(len(a), m - 1) + 1)
            terms = [self.gate(_AND, a[i - 1], b[m - i - 1]) for i in both]
            terms += [code[m - 1] for code in (a, b) if m <= len(code)]
            one = self.any(terms)
            assert one is not None
            found.append(one)
        return found

    def finished(self) -> Gates:
        return Gates(np.array(self.operand, np.int32), np.array(self.table, np.uint8))
