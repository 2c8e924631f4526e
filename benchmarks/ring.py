"""Ring wiring of the last layer against random wiring: accuracy, and LUTs with the counts of the classes.

    python benchmarks/ring.py --data PATH/mnist [--epochs 6] [--seeds 2] [--rate 0.05]
    python benchmarks/ring.py --data digits --threshold 8 --epochs 30 --seeds 3

Networks of 2-input gates (softmax over 16, residual start) that differ in their last layer's
`connections` alone. `logic` are the LUTs of the optimised and mapped network without counting, `whole`
those of network and class scores together, gates folded into the first counters, for 6- and 4-input
LUTs; no encoder and no argmax, which are the same for both. The epoch is chosen on validation.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from lgc.frontend import data
from lgc.frontend.config import TrainConfig
from lgc.frontend.lower import lower
from lgc.frontend.train import train
from lgc.ir.passes import REGISTRY, run
from lgc.ir.passes.expand_readout import expand

LUTS = (6, 4)


def configuration(wiring: str, seed: int, options: argparse.Namespace, validation: int) -> TrainConfig:
    layer = {"width": options.width, "relaxation": "dlgn", "connections": "random-unique", "residual": 0.9}
    return TrainConfig.from_dict(
        {
            "data": {"validation": validation},
            "encoder": {"kind": "thresholds", "thresholds": [options.threshold]},
            "model": {
                "layers": [*[layer] * (options.layers - 1), layer | {"connections": wiring}],
                "tau_rule": "auto",
            },
            "train": {
                "epochs": options.epochs,
                "batch": 128,
                "lr": options.rate,
                "schedule": "cosine",
                "seed": seed,
            },
        }
    )


def sizes(model: object) -> dict[str, int]:
    """LUTs of the mapped network alone, and with the class scores."""
    net = run(REGISTRY.parse("simplify,merge,reduce"), lower(model).netlist)
    found = {}
    for k in LUTS:
        read = replace(net, outputs=net.readout.signal, readout=None)
        found[f"logic K{k}"] = run(REGISTRY.parse(f"lut-map{{k={k}}}"), read).luts
        found[f"whole K{k}"] = expand(net, k=k).netlist.luts
    return found


def main() -> None:
    """Print one row per run, then the means and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--threshold", type=float, default=128)
    options = parser.parse_args()
    loaded = data.load(options.data)
    validation = 5000 if len(loaded.train_y) > 20000 else 300
    columns = [f"{part} K{k}" for k in LUTS for part in ("logic", "whole")]
    print(f"| wiring | seed | validation % | test % | {' | '.join(columns)} |")
    print("|---" * (4 + len(columns)) + "|")
    means = {}
    for wiring in ("random-unique", "ring"):
        rows = []
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder, "model.safetensors")
                model = train(configuration(wiring, seed, options, validation), loaded, out=out)
            accuracy = [100 * model.metadata[f"{part}_accuracy"] for part in ("validation", "test")]
            found = sizes(model)
            rows.append([*accuracy, *(found[column] for column in columns)])
            cells = [f"{value:.2f}" for value in accuracy] + [str(found[column]) for column in columns]
            print(f"| {wiring} | {seed} | {' | '.join(cells)} |", flush=True)
        means[wiring] = np.mean(rows, axis=0)
    ratio = means["ring"] / np.maximum(means["random-unique"], 1)
    points = means["ring"] - means["random-unique"]
    cells = [f"{value:+.2f}" for value in points[:2]] + [f"{100 * value - 100:+.1f} %" for value in ratio[2:]]
    print(f"| ring against random | mean | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
