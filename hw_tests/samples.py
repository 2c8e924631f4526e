"""Random designs to build and simulate: encoder, layered network, counted outputs, pipeline stages."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lgc.ir.encoder import FixedPoint, Thermometer
from lgc.ir.fabric import Fabric
from lgc.ir.netlist import FIRST_INPUT, Netlist, table_dtype

_SUM, _CARRY = 0b10010110, 0b11101000


@dataclass(frozen=True)
class Sample:
    """A design and the sizes it was drawn with."""

    encoder: Thermometer
    fabric: Fabric

    def codes(self, samples: int, *, seed: int) -> npt.NDArray[np.int32]:
        """Random feature codes int32 `[samples, features]`, extremes included."""
        form = self.encoder.format
        rng = np.random.default_rng(seed)
        return rng.integers(form.low, form.high + 1, (samples, self.encoder.features), np.int32)

    def bits(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Return encoded input bits, bool `[samples, bits]`."""
        return (codes[:, :, None] >= self.encoder.threshold[None]).reshape(len(codes), self.encoder.bits)


def random_sample(
    *,
    seed: int,
    features: int = 16,
    levels: int = 2,
    width: int = 8,
    signed: bool = False,
    shared: bool = True,
    layers: tuple[int, ...] = (40, 40),
    classes: int = 4,
    luts_per_stage: int = 0,
    offset: int = 0,
) -> Sample:
    """Draw a design; `luts_per_stage` 0 leaves it combinational, 1 registers every LUT."""
    rng = np.random.default_rng(seed)
    form = FixedPoint(width, signed=signed)
    shape = (1 if shared else features, levels)
    threshold = np.sort(rng.integers(form.low, form.high + 2, shape), axis=1).astype(np.int32)
    encoder = Thermometer(np.broadcast_to(threshold, (features, levels)).copy(), form)
    fabric = random_fabric(rng, inputs=features * levels, layers=layers, classes=classes)
    if luts_per_stage:
        fabric = replace(fabric, netlist=staged(fabric.netlist, luts_per_stage))
    return Sample(encoder, replace(fabric, offset=offset))


def random_fabric(rng: np.random.Generator, *, inputs: int, layers: tuple[int, ...], classes: int) -> Fabric:
    """Draw `layers` of random 4-input LUTs and count the last one's outputs in equal groups."""
    fanin: list[tuple[int, ...]] = []
    table: list[int] = []
    first = FIRST_INPUT + inputs
    below = np.arange(FIRST_INPUT, first)
    for width in layers:
        fanin += [tuple(map(int, rng.choice(below, 4))) for _ in range(width)]
        table += rng.integers(1, 0xFFFF, width).tolist()
        below = np.arange(first + len(fanin) - width, first + len(fanin))
    network = len(fanin)
    groups = np.array_split(below, classes)
    score = [_count(list(map(int, group)), fanin, table, first) for group in groups]
    bits = max(map(len, score))
    outputs = [signal for value in score for signal in value + [0] * (bits - len(value))]
    net = Netlist(
        inputs,
        np.array(fanin, np.int32).reshape(-1, 4),
        np.array(table, table_dtype(4)),
        np.array(outputs, np.int32),
    )
    return Fabric(net, classes, bits, 0, network)


def _count(column: list[int], fanin: list[tuple[int, ...]], table: list[int], first: int) -> list[int]:
    """Append full adders that count the ones of `column`; return the bits, lowest first."""
    result = []
    while column:
        carries = []
        while len(column) > 1:
            pins = (*column[:3], 0, 0)[:4] if len(column) > 2 else (*column[:2], 0, 0)
            column = column[3:] if len(column) > 2 else column[2:]
            fanin += [pins, pins]
            table += [_SUM * 0x101, _CARRY * 0x101]
            column.append(first + len(fanin) - 2)
            carries.append(first + len(fanin) - 1)
        result.append(column[0])
        column = carries
    return result


def staged(net: Netlist, luts_per_stage: int) -> Netlist:
    """Return `net` with stages numbered, at most `luts_per_stage` LUTs between registers."""
    depth = np.zeros(net.signals, np.int64)
    for lut in range(net.luts):
        depth[net.first_lut + lut] = depth[net.fanin[lut]].max() + 1
    return replace(net, stage=((depth[net.first_lut :] - 1) // luts_per_stage).astype(np.uint16))
