"""How much memory a training run will need, said before it is allocated."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from lgc.errors import LgcError

from .config import LayerConfig, TrainConfig
from .kernels.cpu import LANES
from .relaxations import relaxation

_LOG = logging.getLogger(__name__)
_FLOAT = 4
_COPIES = 5
"""Of a parameter: itself, its gradient, two moments, the best epoch's."""
_VALIDATED = 1 << 26
"""Outputs of the widest layer that are held at once when validating."""
_MOST_VALIDATED = 4096


@dataclass(frozen=True)
class Need:
    """Bytes that a run needs besides the interpreter and the data set as it was loaded.

    Attributes:
        data: the training and validation splits, which are copies.
        parameters: parameters, gradients, moments, and the best epoch's copy.
        step: what one training step holds at its peak.
        validation: what validating holds at its peak, after the step's memory is free again.
    """

    data: int
    parameters: int
    step: int
    validation: int

    @property
    def peak(self) -> int:
        """Bytes held at once."""
        return self.data + self.parameters + max(self.step, self.validation)


def validation_batch(widest: int) -> int:
    """Return the samples to validate at once when the widest layer has so many nodes."""
    return max(LANES, min(_MOST_VALIDATED, _VALIDATED // max(widest, 1) // LANES * LANES))


def need(config: TrainConfig, data_bytes: int, bits: int, validation: int, sources: int) -> Need:
    """Estimate for networks of dense layers; convolutions are left out, as they depend on the image.

    Args:
        config: the run.
        data_bytes: size of all training samples.
        bits: input bits of the encoder.
        validation: samples of the validation split.
        sources: input bits that change.
    """
    dense = [layer for layer in config.model.layers if layer.kind == "dense"]
    inputs = [sources, *(layer.width for layer in dense)]
    weights = [_weights(layer, read) for layer, read in zip(dense, inputs, strict=False)]
    blocks = -(-config.train.batch // LANES)
    outputs = [bits, *(layer.width for layer in dense)]
    held = sum(outputs) + 2 * max(outputs)  # a layer's gradient and its inputs'
    tables = [layer.width << layer.k for layer in dense]
    step = _FLOAT * (blocks * LANES * held + blocks * max(tables, default=0) + 6 * sum(tables))
    choices = [choice for _, choice in weights]
    step += _FLOAT * (4 * sum(choices) + blocks * max(choices, default=0))
    rows = min(validation_batch(max(outputs)), validation)
    adjacent = max((a + b for a, b in pairwise(outputs)), default=bits)
    return Need(
        data=data_bytes,
        parameters=_FLOAT * _COPIES * sum(a + b for a, b in weights),
        step=step,
        validation=validation * bits + _FLOAT * rows * adjacent,
    )


def _weights(layer: LayerConfig, sources: int) -> tuple[int, int]:
    """Parameters of a layer's functions and of its choices."""
    candidates = {"learned": layer.candidates, "local": layer.candidates, "full": sources}
    choice = candidates.get(layer.connections, 0)
    kind = relaxation(layer.relaxation)
    return layer.width * kind.parameters(layer.k), layer.width * layer.k * min(choice, sources)


def available() -> int | None:
    """Return the bytes this process may still use, from the kernel and its control group; None if unknown."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        found += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
        limit, used = (
            Path("/sys/fs/cgroup", f"memory.{name}").read_text("ascii") for name in ("max", "current")
        )
        found.append(int(limit) - int(used))
    except (OSError, ValueError):  # another system, or no limit ("max")
        pass
    return min(found, default=None)


def check(config: TrainConfig, data_bytes: int, bits: int, validation: int, sources: int) -> Need:
    """Estimate, and refuse a run that cannot fit.

    Raises:
        LgcError: says what is needed, what there is, and what would fit.
    """
    free = available()
    told = need(config, data_bytes, bits, validation, sources)
    _LOG.info("training will hold about %s", text(told.peak))
    if free is None or told.peak <= free:
        return told
    raise LgcError(
        f"Training needs about {text(told.peak)} of memory, {text(free)} are free.",
        hint=_fitting(config, free, (data_bytes, bits, validation, sources)),
    )


def _fitting(config: TrainConfig, free: int, facts: Sequence[int]) -> str:
    """Say what would fit: a smaller batch, or narrower layers."""
    batch = config.train.batch
    while batch > LANES:
        batch //= 2
        smaller = replace(config, train=replace(config.train, batch=batch))
        if need(smaller, *facts).peak <= free:
            return f"A batch of {batch} would fit: --set train.batch={batch}."
    for percent in (75, 50, 25, 10, 5, 2, 1):
        layers = tuple(
            replace(layer, width=math.ceil(layer.width * percent / 100)) for layer in config.model.layers
        )
        narrow = replace(
            config,
            model=replace(config.model, layers=layers),
            train=replace(config.train, batch=min(config.train.batch, LANES)),
        )
        if need(narrow, *facts).peak <= free:
            return f"Layers of {percent} % of the width and a batch of {narrow.train.batch} would fit."
    return "Free some memory, or give fewer training samples or thresholds."


def text(size: int) -> str:
    """Spell a number of bytes."""
    return f"{size / 2**30:.1f} GiB" if size >= 1 << 30 else f"{size / 2**20:.0f} MiB"
