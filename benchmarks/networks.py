"""Networks that the benchmarks have in common: random, third-party, and trained with lgc."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lgc.ir.netlist import Netlist
from lgc.ir.readout import Readout

Layers = list[tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Per layer: first pins, second pins (positions in the layer before), difflogic's gate numbers."""

CLASSES = {"adult_model": 2, "breast_cancer_model": 2, "iris_model": 3, "mnist_model": 10}
"""Classes of the difflogic checkpoints; the MONK problems have two."""

_GATE_BITS = (3, 1, 2, 0)
"""Bit of difflogic's gate number that is row 0, 1, 2, 3 of our table: it counts a as the high pin."""


def tables(gates: np.ndarray) -> np.ndarray:
    """Truth tables uint8 of difflogic's gate numbers."""
    bits = [(gates.astype(np.int64) >> bit & 1) << row for row, bit in enumerate(_GATE_BITS)]
    return np.sum(bits, axis=0).astype(np.uint8)


def netlist(inputs: int, layers: Layers, classes: int) -> Netlist:
    """The layers' netlist; outputs that do not divide into groups are left out at the end."""
    fanin, base, width = [], 2, inputs
    for a, b, _ in layers:
        fanin.append(np.stack([a, b], axis=1).astype(np.int32) + np.int32(base))
        base += width
        width = len(a)
    return Netlist(
        inputs=inputs,
        fanin=np.concatenate(fanin),
        table=np.concatenate([tables(gates) for *_, gates in layers]),
        outputs=np.empty(0, np.int32),
        readout=Readout.group_sum(np.arange(base, base + width // classes * classes), classes),
    )


def random_layers(
    inputs: int, widths: list[int], *, seed: int, passing: float = 0.0, mix: np.ndarray | None = None
) -> Layers:
    """difflogic's wiring: every neuron is read about twice; a share `passing` of the gates are wires.

    `mix` gives the shares of the 16 gates instead of equal ones.
    """
    rng = np.random.default_rng(seed)
    layers = []
    for width in widths:
        wires = rng.permutation(inputs)[rng.permutation(2 * width) % inputs].reshape(2, width)
        gates = rng.choice(16, width, p=mix)
        gates[rng.random(width) < passing] = 3  # the first pin
        layers.append((wires[0], wires[1], gates))
        inputs = width
    return layers


def random_networks(*, large: bool = False) -> Iterator[tuple[str, Netlist]]:
    """784 inputs and 10 classes, uniformly random gates or 42 % wires, as training leaves them."""
    shapes = {"4x8000": [8000] * 4} | ({"6x64000": [64000] * 6} if large else {})
    for shape, widths in shapes.items():
        for kind, passing in (("uniform", 0.0), ("trained-like", 0.42)):
            yield f"{shape} {kind}", netlist(784, random_layers(784, widths, seed=1, passing=passing), 10)


def third_party(folder: Path) -> Iterator[tuple[str, Netlist]]:
    """The networks others trained, in the layout of `../shared/data/checkpoints`."""
    for path in sorted((folder / "difflogic-argens1203" / "golden").glob("*.connections.npz")):
        import torch

        name = path.name.removesuffix(".connections.npz")
        state = torch.load(path.parents[1] / f"{name}.pth", weights_only=True, map_location="cpu")
        wires = np.load(path)
        layers = [
            (wires[f"a{n}"], wires[f"b{n}"], weights.argmax(1).numpy())
            for n, weights in enumerate(state.values())
        ]
        inputs = 1 + max(int(wires["a0"].max()), int(wires["b0"].max()))
        yield f"difflogic {name.removesuffix('_model')}", netlist(inputs, layers, CLASSES.get(name, 2))
    for path in sorted((folder / "lgn-rejunity-tt10-mnist").glob("*.npz")):
        found = np.load(path)
        layers = list(zip(found["connections.A"], found["connections.B"], found["gate_types"], strict=True))
        yield f"lilogicnet {len(layers[0][0])}x{len(layers)}", netlist(256, layers, 10)
    for path in sorted((folder / "ddlgn-carleton-mnist").glob("*_gates.csv")):
        layers = gate_list(path)
        inputs = 1 + int(max(layers[0][0].max(), layers[0][1].max()))
        yield f"ddlgn {len(layers[0][0])}x{len(layers)}", netlist(inputs, layers, 10)


def gate_list(path: Path) -> Layers:
    """Layers of a gate list: layer, neuron, input_a, input_b, gate_id, name."""
    rows = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(5), dtype=np.int64)
    return [tuple(rows[rows[:, 0] == n, 2:5].T) for n in np.unique(rows[:, 0])]  # type: ignore[misc]


def trained(paths: list[Path]) -> Iterator[tuple[str, Netlist]]:
    """Checkpoints of `lgc train`."""
    from lgc.frontend import checkpoint
    from lgc.frontend.lower import lower

    for path in paths:
        yield path.stem, lower(checkpoint.load(path)).netlist
