"""When what happens in a folded design: its handshakes clock by clock, without its data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .plan import Layer

_FRAMES = 6
"""Frames after which the time between results has settled."""


@dataclass(frozen=True)
class Timing:
    """Clocks of a folded design at full rate.

    Attributes:
        latency: from accepting the last feature to the result, of the first frame.
        cycles_per_sample: between results.
    """

    latency: int
    cycles_per_sample: int


class _Stage:
    """A layer's counters and its register of results.

    Attributes:
        steps: per step of a frame, whether it takes a place, and whether it completes a result.
        full: whether a result waits.
        at: the next step.
        quiet: steps after reset whose results do not count.
    """

    def __init__(self, takes: list[bool], gives: list[bool], start: int, wait: int) -> None:
        self.takes, self.gives, self.at, self.wait = takes, gives, start, wait
        self.quiet = (len(takes) - start) % len(takes)
        self.full = False

    def ready(self, after: bool) -> bool:
        """Whether a place would be taken, if the next layer is `after` ready."""
        return not self.wait and not (self.full and not after) and self.takes[self.at]

    def clock(self, valid: bool, after: bool) -> None:
        """Go on by a clock."""
        if self.wait:
            self.wait -= 1
        elif not (self.full and not after):
            self.full = False
            if valid or not self.takes[self.at]:
                self.full = self.gives[self.at] and not self.quiet
                self.quiet -= self.quiet > 0
                self.at = (self.at + 1) % len(self.takes)


def _stage(layer: Layer) -> _Stage:
    """Describe a layer; a pool that accumulates loses its first clock."""
    window = layer.kernel.window
    axes = []
    for extent, size, stride, pad, n in zip(
        window.extent, window.size, window.stride, window.padding, window.positions, strict=True
    ):
        ends = np.zeros(extent + pad, np.bool_)
        ends[size - 1 - pad + stride * np.arange(n)] = True
        axes.append((np.arange(extent + pad) < extent, ends))
    (row, row_ends), (place, place_ends) = axes
    takes = (row[:, None] & place).ravel().tolist()
    gives = (row_ends[:, None] & place_ends).ravel().tolist()
    below, behind = window.padding
    last = len(row) * len(place)
    start = window.extent[0] * len(place) if below else (last - behind) % last
    return _Stage(takes, gives, start, int(layer.accumulates))


def timing(
    layers: tuple[Layer, ...], *, per_place: int, tail: int, bits: int = 0, drained: bool = False
) -> Timing:
    """Count clocks.

    Args:
        layers: the layers.
        per_place: features per place of the first image.
        tail: clocks from storing the last bit to the result, see `AFTER` of `top` and of `serial`.
        bits: clocks in which a place of the last image is stored; 0 for all its bits at once.
        drained: whether a frame waits until the one before has left the layers, see `Chain`.
    """
    stages = [_stage(layer) for layer in layers]
    features = per_place * math.prod(layers[0].kernel.window.extent)
    last = math.prod(layers[-1].kernel.window.positions)
    accepted: list[int] = []
    results: list[int] = []
    code, complete, sent, stored, left, busy, clock = False, False, 0, 0, 0, 0, 0
    draining = False
    while len(results) < _FRAMES:
        after = room = not busy and not complete and left <= 1
        rooms = []
        for stage in reversed(stages):
            rooms.append(after)
            after = stage.ready(after)
        whole = sent % per_place == 0  # the last feature of a place stands in the register
        move = code and (not whole or after)
        valid = code and whole
        take = room and stages[-1].full
        for stage, free in zip(stages, reversed(rooms), strict=True):
            before, valid = valid, stage.full
            stage.clock(before, free)
        busy -= busy > 0
        if complete and not left and len(accepted) > len(results):
            complete, busy = False, tail - 1
            results.append(clock + busy)
            draining, waits = False, draining
        else:
            waits = draining
        if take:
            stored = (stored + 1) % last
            complete = not stored
        left = bits if take else max(left - 1, 0)
        if not code or move:
            code = not waits
            sent += code
            if code and sent % features == 0:
                accepted.append(clock)
                draining = drained
        clock += 1
    return Timing(results[0] - accepted[0], results[-1] - results[-2])
