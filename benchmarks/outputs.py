"""Narrow and weighted last layers against a plain wide one: accuracy, and LUTs with the class scores.

    python benchmarks/outputs.py --data PATH/mnist [--epochs 6] [--seeds 2] [--rate 0.05]
    python benchmarks/outputs.py --data digits --threshold 8 --epochs 30 --seeds 3 --width 600 --outputs 600

Networks of 2-input gates (softmax over 16, residual start) that differ in the last layer alone: how
many outputs it has, and what each counts (`model.readout`). `logic` are the LUTs of the optimised and
mapped network without counting, `whole` those of network and class scores together, gates folded into
the first counters, for 6- and 4-input LUTs; no encoder and no argmax. The epoch is chosen on validation.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from ring import LUTS, sizes

from lgc.frontend import data
from lgc.frontend.config import TrainConfig
from lgc.frontend.train import train

VARIANTS = {
    "each 1": {},
    "1, 2": {"weights": [1, 2]},
    "1, 2, 4": {"weights": [1, 2, 4]},
    "learned integer": {"learn": "integer"},
    "learned power": {"learn": "power"},
}
ROWS = [(1, "each 1"), *((part, name) for part in (2, 4) for name in VARIANTS)]
"""Share of the widest last layer, and weights."""


def configuration(part: int, name: str, seed: int, options: argparse.Namespace) -> TrainConfig:
    layer = {"width": options.width, "connections": "random-unique", "residual": 0.9}
    last = layer | {"width": options.outputs // part // 10 * 10}
    return TrainConfig.from_dict(
        {
            "data": {"validation": options.validation},
            "encoder": {"kind": "thresholds", "thresholds": [options.threshold]},
            "model": {
                "layers": [*[layer] * (options.layers - 1), last],
                "tau_rule": "auto",
                "harden": 0.5,
                "readout": VARIANTS[name],
            },
            "train": {
                "epochs": options.epochs,
                "batch": 128,
                "lr": options.rate,
                "lr_weights": options.rate_weights,
                "schedule": "cosine",
                "seed": seed,
            },
        }
    )


def main() -> None:
    """Print one row per kind of last layer, means over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=2000)
    parser.add_argument("--outputs", type=int, default=2000, help="of the widest last layer")
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--rate-weights", type=float, default=0.02)
    parser.add_argument("--threshold", type=float, default=128)
    options = parser.parse_args()
    loaded = data.load(options.data)
    options.validation = 5000 if len(loaded.train_y) > 20000 else 300
    columns = [f"{part} K{k}" for k in LUTS for part in ("logic", "whole")]
    print(f"| outputs | weights | validation % | test % | {' | '.join(columns)} | whole K6, change |")
    print("|---" * (5 + len(columns)) + "|")
    widest = 0.0
    for part, name in ROWS:
        rows = []
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                settings = configuration(part, name, seed, options)
                model = train(settings, loaded, out=Path(folder, "model.safetensors"))
            accuracy = [100 * model.metadata[f"{kind}_accuracy"] for kind in ("validation", "test")]
            found = sizes(model)
            rows.append([*accuracy, *(found[column] for column in columns)])
        mean = np.mean(rows, axis=0)
        spread = np.ptp([row[1] for row in rows])
        whole = mean[2 + columns.index("whole K6")]
        widest = widest or whole
        cells = [
            str(settings.model.layers[-1].width),
            name,
            f"{mean[0]:.2f}",
            f"{mean[1]:.2f} ± {spread / 2:.2f}",
        ]
        cells += [f"{value:.0f}" for value in mean[2:]] + [f"{100 * whole / widest - 100:+.0f} %"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
