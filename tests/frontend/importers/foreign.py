"""Small foreign files, and what the original packages compute on them, straight from their formulas."""

# ruff: noqa: ARG005

import csv
import json
from pathlib import Path

import numpy as np
import torch

GATES = [  # difflogic's list, as functions (Petersen 2022, table 1)
    lambda a, b: a & ~a, lambda a, b: a & b, lambda a, b: a & ~b, lambda a, b: a,
    lambda a, b: ~a & b, lambda a, b: b, lambda a, b: a ^ b, lambda a, b: a | b,
    lambda a, b: ~(a | b), lambda a, b: ~(a ^ b), lambda a, b: ~b, lambda a, b: a | ~b,
    lambda a, b: ~a, lambda a, b: ~a | b, lambda a, b: ~(a & b), lambda a, b: a | ~a,
]  # fmt: skip


def network(rng, bits=12, widths=(9, 8, 6)):
    """Per layer: first inputs, second inputs, gate numbers."""
    layers = []
    for width in widths:
        layers.append(
            (rng.integers(0, bits, width), rng.integers(0, bits, width), rng.integers(0, 16, width))
        )
        bits = width
    return layers


def logits(rng, gate):
    """16 numbers per gate whose maximum is at `gate`, float32 `[n, 16]`."""
    w = rng.standard_normal((len(gate), 16)).astype(np.float32)
    w[np.arange(len(gate)), gate] = 9
    return w


def run(layers, bits, classes):
    """Scores of bool `[samples, bits]`, gate by gate."""
    x = bits.astype(bool)
    for a, b, gate in layers:
        x = np.stack([GATES[g](x[:, i], x[:, j]) for i, j, g in zip(a, b, gate, strict=True)], axis=1)
    return x.reshape(len(x), classes, -1).sum(axis=2)


def save_difflogic(folder: Path, rng, layers, *, stored=False):
    state = {}
    for i, (a, b, gate) in enumerate(layers):
        state[f"{i}.weights"] = torch.from_numpy(logits(rng, gate))
        if stored:
            state[f"{i}.indices"] = torch.from_numpy(np.stack([a, b]))
    torch.save(state, folder / "d.pth")
    pairs = {f"{n}{i}": layer[j] for i, layer in enumerate(layers) for j, n in enumerate("ab")}
    np.savez(folder / "wiring.npz", **pairs)
    return folder / "d.pth"


def save_ddlgn(folder: Path, layers, *, bits=12, classes=3, thresholds=(), side=0):
    file = folder / "n_gates.csv"
    with file.open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(["layer", "neuron", "input_a", "input_b", "gate_id", "gate_name"])
        for i, layer in enumerate(layers, 1):
            out.writerows([i, n, *map(int, gate), "x"] for n, gate in enumerate(zip(*layer, strict=True)))
    if thresholds:
        binary = {"type": "t", "thresholds": list(thresholds), "comparison": ">"}
        facts = {
            "class_count": classes, "img_size": side, "in_dim": bits, "tau": 5.0,
            "logic_layer_sizes": [len(layer[0]) for layer in layers],
            "preprocess": {"to_tensor": True, "binarization": binary},
        }  # fmt: skip
        (folder / "n_metadata.json").write_text(json.dumps(facts))
    return file


def save_lilogicnet(file: Path, rng, layers, kind, bits=12):
    """`kind` is npz, old, or how the new layout holds connections: indices, c, top."""
    if file.suffix == ".npz":
        wide = max(len(layer[0]) for layer in layers)
        padded = [
            np.stack([np.pad(layer[j], (0, wide - len(layer[j]))) for layer in layers]) for j in range(3)
        ]
        np.savez(file, gate_types=padded[2], **{"connections.A": padded[0], "connections.B": padded[1]})
        return file
    state = {}
    for i, (a, b, gate) in enumerate(layers):
        number = i if kind == "old" else 2 * i + 1
        state[f"layers.{number}.w"] = torch.from_numpy(logits(rng, gate).T.copy())
        wires, key = np.stack([a, b], axis=1).ravel(), f"layers.{number - 1}."
        if kind == "indices":
            state[key + "indices"] = torch.from_numpy(wires)
        elif kind == "c":
            c = rng.standard_normal((bits, len(wires))).astype(np.float32)
            c[wires, np.arange(len(wires))] = 9
            state[key + "c"] = torch.from_numpy(c)
        elif kind == "top":
            candidates = rng.integers(0, bits, (4, len(wires)))
            best = rng.integers(0, 4, len(wires))
            candidates[best, np.arange(len(wires))] = wires
            c = np.zeros(candidates.shape, np.float32)
            c[best, np.arange(len(wires))] = 1
            state |= {key + "top_c": torch.from_numpy(c), key + "top_indices": torch.from_numpy(candidates)}
        bits = len(a)
    if kind == "old":
        state["connections"] = [[torch.from_numpy(layer[j]) for layer in layers] for j in (0, 1)]
    torch.save(state, file)
    return file


def every_pattern(bits):
    return (np.arange(1 << bits)[:, None] >> np.arange(bits) & 1).astype(bool)
