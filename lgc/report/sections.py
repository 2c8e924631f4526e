"""Sections of a report that describe the network and where it went: what its pictures show."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = "pcwg"
"""Letters of `Layer.kinds`: pruned, constant, wire or inverter, gate."""

FANOUT = ("0", "1", "2", "3", "4", "5–8", "9–16", "17 or more")
"""Bins of `Layer.fanout`: how many nodes and counts read a node."""


@dataclass(frozen=True)
class Accuracy:
    """Samples classified right at one rung between the trained model and the bitstream.

    Attributes:
        rung: what computed the classes.
        share: of the samples that were right, 0 to 1.
        samples: how many there were; None where only the share was recorded.
        source: the data set and split.
    """

    rung: str
    share: float
    samples: int | None
    source: str


@dataclass(frozen=True)
class StageChoice:
    """What another number of register stages would give, by the target's delay model: an estimate.

    Attributes:
        levels: LUTs between registers, 0 for no registers.
        stages: registers from the fabric's inputs to the class.
        fmax_mhz: maximum clock.
        latency_ns: through the fabric at that clock, or the most that the clock network takes.
        chosen: whether the build has so many stages.
    """

    levels: int
    stages: int
    fmax_mhz: float
    latency_ns: float
    chosen: bool


@dataclass(frozen=True)
class Layer:
    """A layer of the trained network after hardening, every position of a convolution counted.

    A node is pruned if no class count depends on it, through pins that matter. The others compute a
    constant, pass or invert one signal (a wire), or are gates.

    Attributes:
        text: the layer in words.
        nodes: number of nodes.
        gates: live nodes that depend on two signals or more.
        wires: live nodes that pass or invert one.
        constants: live nodes that depend on none.
        pruned: the other nodes.
        fanout: live nodes by how many live nodes and counts read them, in the bins of `FANOUT`.
        per_square: consecutive nodes that one square of the picture stands for.
        kinds: a letter of `KINDS` for each square, the commonest of its nodes'.
        reads: a digit for each square: mean reads of its live nodes, at most 9.
    """

    text: str
    nodes: int
    gates: int
    wires: int
    constants: int
    pruned: int
    fanout: tuple[int, ...]
    per_square: int
    kinds: str
    reads: str


@dataclass(frozen=True)
class Inputs:
    """How the optimised network uses the features.

    Attributes:
        shape: of the image, or the number of features alone.
        reads: LUT pins and counts that read a threshold of each feature, row by row.
        bits: thresholds of each feature that are read.
    """

    shape: tuple[int, ...]
    reads: tuple[int, ...]
    bits: tuple[int, ...]


@dataclass(frozen=True)
class PassResult:
    """What a pass did: LUTs before and after it, and its seconds."""

    name: str
    before: int
    after: int
    seconds: float


@dataclass(frozen=True)
class Confusion:
    """Samples by label (row) and the network's class (column)."""

    source: str
    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Hop:
    """A cell or a wire of the critical path.

    Attributes:
        kind: `clk-to-q`, `logic`, `routing` or `setup`, as the router says.
        name: the cell, or the net of a wire.
        part: part of the design it belongs to, see `Parts`.
        ns: its delay.
    """

    kind: str
    name: str
    part: str
    ns: float


@dataclass(frozen=True)
class Floorplan:
    """Where the placer put what.

    Attributes:
        width: tiles from left to right.
        height: tiles from bottom to top.
        parts: names of the counts in `tiles`.
        tiles: for each tile in use x, y and the cells of each part.
    """

    width: int
    height: int
    parts: tuple[str, ...]
    tiles: tuple[tuple[int, ...], ...]
