"""Convolutions whose gates choose their places against convolutions that keep them, on digits or MNIST.

    python benchmarks/slots.py [--data digits] [--seeds 2] [--epochs 20] [--rate 0.05] [--patience 3]

Two convolutions of one 2-input gate per output channel, as CompactLogic has them, and a dense layer, from a
Gaussian start: gates at random places (`random`), 16 slots that stay, and slots that are drawn anew when their
node has come to rest. The
last column counts gates of the convolutions that became constants, wires or inverters. The epoch is chosen on
validation.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from lgc.frontend import data
from lgc.frontend.config import TrainConfig
from lgc.frontend.graph import ConvLayer
from lgc.frontend.train import train

ROWS = ("random", "slots, kept", "slots, drawn anew")


def configuration(row: str, seed: int, options: argparse.Namespace) -> TrainConfig:
    nodes: dict[str, object] = {"init": "gaussian"}
    if row != "random":
        nodes |= {"connections": "slots", "patience": options.patience if "anew" in row else 0}
    conv = nodes | {"kind": "conv", "depth": 1, "padding": 1, "reads": 1}
    return TrainConfig.from_dict(
        {
            "data": {"validation": options.validation},
            "encoder": {"kind": "uniform", "levels": 2, "scope": "global"},
            "model": {
                "layers": [
                    conv | {"width": options.width},
                    conv | {"width": 2 * options.width, "stride": 2},
                    nodes | {"width": 10 * options.width},
                ],
                "tau_rule": "auto",
            },
            "train": {
                "epochs": options.epochs,
                "batch": 64,
                "lr": options.rate,
                "schedule": "cosine",
                "freeze": [0.8, 0.85],
                "resample": 0.67,
                "seed": seed,
            },
        }
    )


def main() -> None:
    """Print one row per kind of node, means over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--patience", type=int, default=3)
    options = parser.parse_args()
    loaded = data.load(options.data)
    options.validation = 5000 if len(loaded.train_y) > 20000 else 300
    print("| nodes | validation % | test % | constant or wire % |")
    print("|---" * 4 + "|")
    for row in ROWS:
        found = []
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                model = train(configuration(row, seed, options), loaded, out=Path(folder, "m.safetensors"))
            gates = np.concatenate(
                [
                    each.parameters.reshape(-1, 16).argmax(1)
                    for each in model.layers
                    if isinstance(each, ConvLayer)
                ]
            )
            wires = np.isin(gates, (0, 3, 5, 10, 12, 15)).mean()
            accuracy = [100 * model.metadata[f"{kind}_accuracy"] for kind in ("validation", "test")]
            found.append([*accuracy, 100 * wires])
        mean, spread = np.mean(found, axis=0), np.ptp([each[1] for each in found]) / 2
        print(f"| {row} | {mean[0]:.2f} | {mean[1]:.2f} ± {spread:.2f} | {mean[2]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
