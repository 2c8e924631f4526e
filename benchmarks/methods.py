"""Accuracy of every node and estimator on scikit-learn's digits: one network, three seeds.

    python benchmarks/methods.py [--nodes 600 300] [--epochs 30] [--seeds 3]

Fixed random wiring, quantile thermometer of 4 levels, a start per node (START), Adam at a cosine
schedule. For each method the learning rate with the best mean validation accuracy is kept; each
run's epoch is the best on validation too. Nothing is chosen by test accuracy.

gap: relaxed less hardened validation accuracy at the kept epoch, percentage points. wires: share of
nodes that harden to a constant, an input or its inverse.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np

from lgc.frontend import data, usage
from lgc.frontend.checkpoint import Checkpoint
from lgc.frontend.config import TrainConfig
from lgc.frontend.relaxations import RELAXATIONS, relaxation
from lgc.frontend.train import metrics_path, train

START = {"dlgn": "gaussian", "light": "residual", "warp": "residual", "dwn": "gaussian"}
METHODS = [
    (name, k, estimator)
    for name, ks in (("dlgn", (2,)), ("light", (2, 4, 6)), ("warp", (2, 4, 6)), ("dwn", (2, 4, 6)))
    for k in ks
    for estimator in RELAXATIONS[name].estimators
]


def configuration(
    name: str, k: int, estimator: str, rate: float, seed: int, options: argparse.Namespace
) -> TrainConfig:
    layer = {
        "k": k,
        "relaxation": name,
        "connections": "random-unique",
        "init": START[name],
        "residual": 0.95,
    }
    return TrainConfig.from_dict(
        {
            "data": {"validation": 300},
            "encoder": {"levels": 4},
            "model": {
                "layers": [layer | {"width": width} for width in options.nodes],
                "tau": float(np.sqrt(options.nodes[-1] / 10)),
                "estimator": estimator,
            },
            "train": {"epochs": options.epochs, "batch": 64, "lr": rate, "schedule": "cosine", "seed": seed},
        }
    )


def wires(model: Checkpoint) -> float:
    """Share of nodes that depend on one input at most."""
    found = np.concatenate(
        [
            usage.kinds(layer.fanin, relaxation(layer.relaxation).hard(layer.parameters))
            for layer in model.layers
        ]
    )
    return float((found != usage.KINDS.index("logic")).mean())


def run(config: TrainConfig, digits: data.Dataset, folder: Path) -> dict[str, float]:
    out = folder / "model.safetensors"
    model = train(config, digits, out=out)
    lines = [json.loads(line) for line in metrics_path(out).read_text("utf-8").splitlines()]
    kept = lines[model.metadata["epoch"] - 1]
    return {
        "validation": model.metadata["validation_accuracy"],
        "test": model.metadata["test_accuracy"],
        "gap": kept["val_acc"] - kept["hard_val_acc"],
        "wires": wires(model),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, nargs="+", default=[600, 300], help="per layer")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.02, 0.1])
    parser.add_argument("--json", type=Path, help="write the figures of all kept runs there")
    options = parser.parse_args()
    digits = data.load("digits")
    kept = {}
    print(
        "| node | k | estimator | rate | validation % | test % | gap | wires % |\n|---|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, k, estimator in METHODS:
            tried = {}
            for rate in options.rates:
                tried[rate] = [
                    run(configuration(name, k, estimator, rate, seed, options), digits, Path(folder))
                    for seed in range(options.seeds)
                ]
            rate = max(tried, key=lambda rate: statistics.mean(each["validation"] for each in tried[rate]))
            rows = tried[rate]
            kept[f"{name} {k} {estimator}"] = {"rate": rate, "runs": rows}
            mean = {key: 100 * statistics.mean(row[key] for row in rows) for key in rows[0]}
            spread = 100 * statistics.pstdev([row["test"] for row in rows])
            print(
                f"| {name} | {k} | {estimator} | {rate} | {mean['validation']:.1f} | {mean['test']:.1f} ± {spread:.1f}"
                f" | {mean['gap']:+.1f} | {mean['wires']:.0f} |",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(kept, indent=2), "utf-8")


if __name__ == "__main__":
    main()
