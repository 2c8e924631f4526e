"""What a report says of a network: its layers, the inputs it uses, what passes saved, what it confuses."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lgc.ir import _kernels
from lgc.ir.netlist import FIRST_INPUT, Netlist
from lgc.ir.passes import Pass, spell
from lgc.ir.simulate import argmax, scores

from . import sections

if TYPE_CHECKING:
    from lgc.frontend.checkpoint import Checkpoint
    from lgc.ir._typing import Bool2, I32x2, I64x1
    from lgc.ir.classifier import Classifier
    from lgc.models import Samples

SQUARES = 2500
"""Squares that a layer's picture has at most."""
_CHUNK = 1 << 18
"""Nodes whose tables are spelt out at once."""
_BINS = (1, 2, 3, 4, 5, 9, 17)
"""First fan-out of each bin of `sections.FANOUT` but the first."""


class Savings:
    """A watcher of passes that notes what each one did.

    Attributes:
        rows: results so far.
        of: what the passes run on, where that is not the whole network.
    """

    def __init__(self) -> None:
        self.rows: list[sections.PassResult] = []
        self.of = ""
        self._clock = time.perf_counter()

    def __call__(self, step: Pass, before: Netlist, after: Netlist) -> None:
        """Note a pass that has just run."""
        seconds = round(time.perf_counter() - self._clock, 3)
        name = f"{self.of}: {spell(step)}" if self.of else spell(step)
        self.rows.append(sections.PassResult(name, before.luts, after.luts, seconds))
        self._clock = time.perf_counter()


def layers(checkpoint: Checkpoint, net: Netlist) -> tuple[sections.Layer, ...]:
    """Describe the layers of a checkpoint, of which `net` is the lowered network."""
    from lgc.frontend.lower import place

    matters = _matters(net)
    fanin = np.where(matters, net.fanin, 0)
    alive = np.zeros(net.signals, np.bool_)
    alive[net.roots()] = True
    _kernels.live(fanin, net.first_lut, alive)
    live = alive[net.first_lut :]
    reads = np.bincount(fanin[live].ravel(), minlength=net.signals)
    reads += np.bincount(net.roots(), minlength=net.signals)
    # more pins than two that matter are as good as two: a gate
    kind = np.where(live, 1 + np.minimum(matters.sum(axis=1), 2), 0)
    return tuple(
        _layer(each.layer.text, kind[rows], reads[net.first_lut :][rows])
        for each in place(checkpoint)
        for rows in (slice(each.luts.start, each.luts.stop),)
    )


def _layer(text: str, kind: I64x1, reads: I64x1) -> sections.Layer:
    """Describe nodes of `kind` 0 to 3, as in `sections.KINDS`."""
    pruned, constants, wires, gates = np.bincount(kind, minlength=4).tolist()
    per = max(1, math.ceil(len(kind) / SQUARES))
    starts = np.arange(0, len(kind), per)
    votes = np.stack([np.add.reduceat(kind == one, starts, dtype=np.int64) for one in range(4)])
    alive = np.maximum(votes[1:].sum(axis=0), 1)
    mean = np.add.reduceat(np.where(kind > 0, reads, 0), starts) / alive
    fanout = np.bincount(np.searchsorted(_BINS, reads[kind > 0], side="right"), minlength=len(_BINS) + 1)
    return sections.Layer(
        text=text,
        nodes=len(kind),
        gates=gates,
        wires=wires,
        constants=constants,
        pruned=pruned,
        fanout=tuple(fanout.tolist()),
        per_square=per,
        kinds="".join(sections.KINDS[one] for one in votes.argmax(axis=0).tolist()),
        reads="".join(str(min(round(one), 9)) for one in mean.tolist()),
    )


def _matters(net: Netlist) -> Bool2:
    """Whether each LUT depends on each pin, a signal on two pins counting on the first; bool `[luts, k]`."""
    k = net.k
    found = np.empty((net.luts, k), np.bool_)
    rows = np.arange(1 << k)
    for start in range(0, net.luts, _CHUNK):
        part = slice(start, start + _CHUNK)
        table = (net.table[part, None].astype(np.uint64) >> rows.astype(np.uint64) & np.uint64(1)).astype(
            bool
        )
        table = _one_pin_each(net.fanin[part], table)
        for pin in range(k):
            found[part, pin] = (table != table[:, rows ^ (1 << pin)]).any(axis=1)
    return found


def _one_pin_each(fanin: I32x2, table: Bool2) -> Bool2:
    """Rewrite tables bool `[luts, 2**k]` so that of pins with the same signal only the first matters."""
    k = fanin.shape[1]
    first = (fanin[:, :, None] == fanin[:, None, :]).argmax(axis=2)
    rows = np.arange(1 << k)
    seen = np.zeros(table.shape, np.int64)
    for pin in range(k):
        seen |= ((rows >> first[:, pin, None]) & 1) << pin
    # constants are signals 0 and 1, which never change
    for pin in range(k):
        seen = np.where(fanin[:, pin, None] == 0, seen & ~(1 << pin), seen)
        seen = np.where(fanin[:, pin, None] == 1, seen | (1 << pin), seen)
    found: Bool2 = np.take_along_axis(table, seen, axis=1)
    return found


def inputs(net: Netlist, *, features: int, shape: Sequence[int] | None) -> sections.Inputs:
    """Count what of each feature the network `net` reads.

    Args:
        net: the network, whose inputs are so many bits of each feature, in order.
        features: number of features.
        shape: of the image that they are, if any.
    """
    pins = np.concatenate([net.fanin.ravel(), net.roots()])
    pins = pins[(pins >= FIRST_INPUT) & (pins < net.first_lut)] - FIRST_INPUT
    each = np.bincount(pins, minlength=net.inputs).reshape(features, -1)
    whole = shape is not None and math.prod(shape) == features
    return sections.Inputs(
        shape=tuple(shape) if shape is not None and whole else (features,),
        reads=tuple(each.sum(axis=1).tolist()),
        bits=tuple((each > 0).sum(axis=1).tolist()),
    )


def network(
    checkpoint: Checkpoint, lowered: Classifier, optimised: Netlist, samples: Samples
) -> dict[str, Any]:
    """Describe a network by values fit for JSON: the fields of a report of the same names.

    Args:
        checkpoint: the trained network.
        lowered: the same as a netlist.
        optimised: after the passes.
        samples: what confusions and accuracy are counted on, if they have labels.
    """
    encoder = checkpoint.encoder
    used = inputs(optimised, features=encoder.features, shape=image_shape(checkpoint))
    found: dict[str, Any] = {
        "layers": [dataclasses.asdict(layer) for layer in layers(checkpoint, lowered.netlist)],
        "inputs": dataclasses.asdict(used),
        "confusion": None,
    }
    if samples.labels is None:
        return found
    bits = encoder.compare(samples.codes)
    classes = [argmax(scores(net, bits)) for net in (lowered.netlist, optimised)]
    right = [int((one == samples.labels).sum()) for one in classes]
    found["accuracy"] = {"network": right[0], "optimised network": right[1]}
    found["accuracy"] |= {"samples": len(samples), "source": samples.source}
    counts = confusion(checkpoint.class_names, samples.labels, classes[0], samples.source)
    return found | {"confusion": dataclasses.asdict(counts)}


def confusion(names: Sequence[str], labels: I64x1, classes: I64x1, source: str) -> sections.Confusion:
    """Count samples by label and class."""
    counts = np.zeros((len(names),) * 2, np.int64)
    np.add.at(counts, (labels, classes), 1)
    return sections.Confusion(source, tuple(names), tuple(map(tuple, counts.tolist())))


def image_shape(checkpoint: Checkpoint) -> tuple[int, ...] | None:
    """Return height, width and perhaps channels of the samples, None where they are no images."""
    shape = checkpoint.metadata.get("image_shape")
    if not isinstance(shape, list | tuple) or not all(isinstance(n, int) and n > 0 for n in shape):
        return None
    return tuple(shape) if len(shape) > 1 else None
