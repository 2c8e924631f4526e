"""Edge and curvature detectors in front of a network: accuracy, and LUTs of detectors, network and scores.

    python benchmarks/detectors.py                                       digits, 3 levels, three seeds
    python benchmarks/detectors.py --data PATH/mnist --thresholds 64 128 192 --responses 1 2 --seeds 1
        --epochs 8 --width 2000 --outputs 1000

Two layers of 2-input gates with learned connections; only `encoder.detectors` differs. `bits` is what the
first layer may read, `whole` the LUTs of the optimised and mapped network with its class scores, the
detectors that it reads included, for 6- and 4-input LUTs. The epoch is chosen on validation.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from ring import LUTS, sizes

from lgc.frontend import data
from lgc.frontend.config import TrainConfig
from lgc.frontend.graph import Detectors
from lgc.frontend.train import train

ROWS: tuple[tuple[str, ...], ...] = ((), ("edges",), ("curvature",), ("edges", "curvature"), ("sobel",))


def configuration(names: tuple[str, ...], seed: int, options: argparse.Namespace) -> TrainConfig:
    layer = {"connections": "learned", "candidates": 12, "residual": 0.9}
    return TrainConfig.from_dict(
        {
            "data": {"validation": options.validation},
            "encoder": {
                "kind": "thresholds",
                "thresholds": options.thresholds,
                "detectors": list(names),
                "responses": options.responses,
            },
            "model": {
                "layers": [layer | {"width": options.width}, layer | {"width": options.outputs}],
                "tau_rule": "auto",
                "harden": 0.5,
            },
            "train": {
                "epochs": options.epochs,
                "batch": options.batch,
                "lr": 0.1,
                "schedule": "cosine",
                "seed": seed,
            },
        }
    )


def main() -> None:
    """Print one row per choice of detectors, means over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=600)
    parser.add_argument("--outputs", type=int, default=300)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[4, 8, 12])
    parser.add_argument("--responses", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    loaded = data.load(options.data)
    options.validation = 5000 if len(loaded.train_y) > 20000 else 300
    columns = [f"whole K{k}" for k in LUTS]
    print(f"| detectors | bits | validation % | test % | {' | '.join(columns)} |")
    print("|---" * (4 + len(columns)) + "|")
    for names in ROWS:
        rows = []
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                settings = configuration(names, seed, options)
                model = train(settings, loaded, out=Path(folder, "model.safetensors"))
            first = model.layers[0]
            bits = first.nodes if isinstance(first, Detectors) else model.encoder.bits
            found = sizes(model)
            accuracy = [100 * model.metadata[f"{kind}_accuracy"] for kind in ("validation", "test")]
            rows.append([bits, *accuracy, *(found[column] for column in columns)])
        mean, spread = np.mean(rows, axis=0), np.ptp([row[2] for row in rows]) / 2
        cells = [
            ", ".join(names) or "none",
            f"{mean[0]:.0f}",
            f"{mean[1]:.2f}",
            f"{mean[2]:.2f} ± {spread:.2f}",
        ]
        print(f"| {' | '.join(cells + [f'{value:.0f}' for value in mean[3:]])} |", flush=True)


if __name__ == "__main__":
    main()
