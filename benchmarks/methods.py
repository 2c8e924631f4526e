"""Accuracy of every node and estimator on scikit-learn's digits: one network, three seeds.

    python benchmarks/methods.py [--nodes 600 300] [--epochs 30] [--seeds 3]
    python benchmarks/methods.py --deep --data PATH/mnist [--seeds 2] [--epochs 12] [--rates 0.01 0.1]

Fixed random wiring, quantile thermometer of 4 levels, a start per node (START), Adam at a cosine
schedule. For each method the learning rate with the best mean validation accuracy is kept; each
run's epoch is the best on validation too. Nothing is chosen by test accuracy.

gap: relaxed less hardened validation accuracy at the kept epoch, percentage points. wires: share of
nodes that harden to a constant, an input or its inverse.

--deep: softmax over 16 gates on six layers of 2,000 nodes, from --init, estimators against each other at
each of the rates (difflogic's is 0.01), as "Mind the Gap" (arXiv 2506.07500) does. Of the kept epoch: relaxed and hardened
validation accuracy and their difference, also after the last epoch; nodes whose most probable gate has less than half of the
probability (undecided), nodes that harden to wires, nodes that are constant on every validation sample
(idle), and nodes that `simplify` removes as constant, equal or unread.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np

from lgc.frontend import data, usage
from lgc.frontend.checkpoint import Checkpoint
from lgc.frontend.config import TrainConfig
from lgc.frontend.lower import lower
from lgc.frontend.relaxations import RELAXATIONS, relaxation
from lgc.frontend.train import metrics_path, train
from lgc.ir.passes import REGISTRY
from lgc.ir.passes import run as run_passes

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


DEEP = {
    "soft": "DLGN",
    "gumbel": "with noise",
    "hard": "straight through",
    "gumbel-hard": "Gumbel straight through",
}


def idle(model: Checkpoint, x: np.ndarray) -> float:
    """Share of nodes whose output never changes on the samples."""
    values = model.encoder.encode(x)
    found = []
    for layer in model.layers:
        table = relaxation(layer.relaxation).hard(layer.parameters)
        rows = sum(values[:, layer.fanin[:, p]].astype(np.int8) << p for p in range(layer.k))
        values = table[np.arange(layer.nodes), rows]
        found.append(values.all(axis=0) | ~values.any(axis=0))
    return float(np.concatenate(found).mean())


def undecided(model: Checkpoint) -> float:
    """Share of nodes without a gate of at least half of the probability."""
    z = np.concatenate([layer.parameters for layer in model.layers]).astype(np.float64)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return float((p.max(axis=1) < 0.5 * p.sum(axis=1)).mean())


def deep(options: argparse.Namespace) -> None:
    """Print the table of estimators on a deep network."""
    loaded = data.load(options.data)
    validation = 5000 if len(loaded.train_y) > 20000 else 300
    print(
        "| estimator | rate | seed | relaxed % | hard % | gap | gap at the end | test % | undecided % | wires % | idle % | removed % |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    rows = []
    for estimator, name in DEEP.items():
        for rate, seed in itertools.product(options.rates, range(options.seeds)):
            if options.estimators and estimator not in options.estimators:
                continue
            layer = {
                "width": options.width,
                "relaxation": "dlgn",
                "connections": "random-unique",
                "init": options.init,
            }
            config = TrainConfig.from_dict(
                {
                    "data": {"validation": validation},
                    "encoder": {"kind": "thresholds", "thresholds": [options.threshold]},
                    "model": {
                        "layers": [layer] * options.layers,
                        "tau_rule": "auto",
                        "estimator": estimator,
                    },
                    "train": {"epochs": options.epochs, "batch": 128, "lr": rate, "seed": seed},
                }
            )  # fmt: skip
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder, "model.safetensors")
                model = train(config, loaded, out=out)
                lines = [json.loads(line) for line in metrics_path(out).read_text("utf-8").splitlines()]
            kept = lines[model.metadata["epoch"] - 1]
            held_out = data.split_validation(loaded, validation, 0)[2]
            net = lower(model).netlist
            left = run_passes(REGISTRY.parse("simplify"), net)
            rows.append(
                {
                    "estimator": estimator,
                    "rate": rate,
                    "seed": seed,
                    "relaxed": kept["val_acc"],
                    "hard": kept["hard_val_acc"],
                    "gap": kept["gap"],
                    "last gap": lines[-1]["gap"],
                    "test": model.metadata["test_accuracy"],
                    "undecided": undecided(model),
                    "wires": wires(model),
                    "idle": idle(model, held_out),
                    "removed": 1 - left.luts / net.luts,
                }
            )
            shown = " | ".join(
                f"{100 * value:.2f}"
                for key, value in rows[-1].items()
                if key not in {"estimator", "rate", "seed"}
            )
            print(f"| {name} | {rate} | {seed} | {shown} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, nargs="+", default=[600, 300], help="per layer")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.02, 0.1])
    parser.add_argument("--json", type=Path, help="write the figures of all kept runs there")
    parser.add_argument("--deep", action="store_true", help="compare estimators on a deep network")
    parser.add_argument("--data", default="mnist", help="of --deep")
    parser.add_argument("--layers", type=int, default=6, help="of --deep")
    parser.add_argument("--width", type=int, default=2000, help="of --deep")
    parser.add_argument("--init", default="gaussian", help="of --deep")
    parser.add_argument("--estimators", nargs="+", choices=sorted(DEEP), help="of --deep, all if not given")
    parser.add_argument("--threshold", type=float, default=128, help="of --deep")
    options = parser.parse_args()
    if options.deep:
        deep(options)
        return
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
