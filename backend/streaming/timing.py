"""When what happens in a folded design: its handshakes clock by clock, without its data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .plan import Layer
from .slide import Windows

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

    def clock(self, valid: bool, after: bool) -> bool:
        """Go on by a clock; whether anything changed."""
        blocked = self.full and not after
        starved = not self.full and not valid and self.takes[self.at]
        stands = not self.wait and (blocked or starved)
        if self.wait:
            self.wait -= 1
        elif not stands:
            self.full = False
            if valid or not self.takes[self.at]:
                self.full = self.gives[self.at] and not self.quiet
                self.quiet -= self.quiet > 0
                self.at = (self.at + 1) % len(self.takes)
        return not stands


def _stage(layer: Layer, steps: int) -> _Stage:
    """Describe a layer; a pool that accumulates loses its first clock.

    A signal without end is one row of so many steps, more than are simulated.
    """
    if layer.endless:
        gives = [step >= layer.first and not (step - layer.first) % layer.every for step in range(steps)]
        return _Stage([True] * steps, gives, 0, int(layer.accumulates))
    window = layer.kernel.window
    rows, words = layer.steps
    below, behind = window.padding
    row_ends, word_ends = np.zeros(rows, np.bool_), np.zeros(words, np.bool_)
    row_ends[window.size[0] - 1 - below + window.stride[0] * np.arange(window.positions[0])] = True
    word_ends[layer.first + layer.every * np.arange(layer.groups)] = True
    row, word = np.arange(rows) < window.extent[0], np.arange(words) < layer.words
    takes = (row[:, None] & word).ravel().tolist()
    gives = (row_ends[:, None] & word_ends).ravel().tolist()
    start = 0
    if below:
        start = window.extent[0] * words
    elif behind:
        start = (window.extent[0] - 1) * words + layer.words
    return _Stage(takes, gives, start, int(layer.accumulates))


def timing(
    layers: tuple[Layer, ...],
    *,
    per_word: int,
    tail: int,
    bits: int = 0,
    double: bool = False,
    drained: bool = False,
    windows: Windows | None = None,
) -> Timing:
    """Count clocks.

    Args:
        layers: the layers.
        per_word: clocks in which a word of the first image enters.
        tail: clocks from storing the last bit to the result, see `AFTER` of `top` and of `serial`.
        bits: clocks in which a place of the last image is stored; 0 for all bits of a word at once.
        double: whether there is room for the next image while the tail is at work.
        drained: whether a frame waits until the one before has left the layers, see `Chain`.
        windows: of a signal without end.
    """
    if windows is not None:
        return _endless(layers, windows, per_word=per_word, tail=tail)
    stages = [_stage(layer, 0) for layer in layers]
    features = per_word * layers[0].kernel.window.extent[0] * layers[0].words
    rows, places = layers[-1].kernel.window.positions
    last = rows * layers[-1].groups
    # clocks in which each word of a row is taken
    takes = [1] * layers[-1].groups
    if bits:
        takes = np.diff([*range(0, places, layers[-1].results), places]).tolist()
    part = 0
    accepted: list[int] = []
    results: list[int] = []
    code, complete, sent, stored, left, busy, clock = False, 0, 0, 0, 0, 0, 0
    draining = False
    while len(results) < _FRAMES:
        if double:
            room = complete + (busy > 0) < 2 if not left else left == 1 and stored + part > 0
        else:
            room = not busy and not complete and left <= 1
        after, free = room, not busy
        rooms = []
        after = after and part == takes[stored % len(takes)] - 1
        for stage in reversed(stages):
            rooms.append(after)
            after = stage.ready(after)
        whole = sent % per_word == 0  # the last feature of a word stands in the register
        move = code and (not whole or after)
        valid = code and whole
        take = room and stages[-1].full
        moved = take or move or not (code or draining)
        for stage, ready in zip(stages, reversed(rooms), strict=True):
            before, valid = valid, stage.full
            moved |= stage.clock(before, ready)
        busy -= busy > 0
        if complete and free and (double or not left) and len(accepted) > len(results):
            complete, busy = complete - 1, tail - 1
            results.append(clock + busy)
            draining, waits, moved = False, draining, True
        else:
            waits = draining
        if take:
            part = (part + 1) % takes[stored % len(takes)]
            stored = (stored + (not part)) % last
            complete += not double and not stored and not part
        left, ran = bits if take else max(left - 1, 0), left
        complete += int(double and ran == 1 and not take and not stored and not part)
        if not code or move:
            code = not waits
            sent += code
            if code and sent % features == 0:
                accepted.append(clock)
                draining = drained
        clock += 1
        idle = min(busy or math.inf, left - 1 if left else math.inf) - 1
        if not moved and 0 < idle < math.inf:  # nothing happens but that the tail goes on
            clock, busy, left = clock + int(idle), max(busy - int(idle), 0), max(left - int(idle), 0)
    return Timing(results[0] - accepted[0], results[-1] - results[-2])


def _endless(layers: tuple[Layer, ...], windows: Windows, *, per_word: int, tail: int) -> Timing:
    """Count clocks of windows over a signal without end."""
    last = [windows.needed + n * windows.hop for n in range(_FRAMES)]  # time steps that windows need
    stages = [_stage(layer, last[-1] + windows.hop + len(layers)) for layer in layers]
    accepted: dict[int, int] = {}
    results: list[int] = []
    code, complete, sent, left, busy, clock = False, False, 0, layers[-1].kernel.window.positions[1], 0, 0
    while len(results) < _FRAMES:
        after = room = not busy and not complete
        rooms = []
        for stage in reversed(stages):
            rooms.append(after)
            after = stage.ready(after)
        whole = sent % per_word == 0
        move = code and (not whole or after)
        valid = code and whole
        take = room and stages[-1].full
        for stage, ready in zip(stages, reversed(rooms), strict=True):
            before, valid = valid, stage.full
            stage.clock(before, ready)
        busy -= busy > 0
        if complete:
            complete, busy = False, tail - 1
            results.append(clock + busy)
        if take:
            left -= 1
            complete = not left
            left = left or windows.places
        if not code or move:
            code = True
            sent += 1
            accepted[sent] = clock
        clock += 1
    return Timing(results[0] - accepted[last[0] * per_word], results[-1] - results[-2])
