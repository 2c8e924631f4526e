"""A table of numbers to a classifier in LUTs: breast cancer, jets at a collider, network intrusions.

    python examples/tabular.py                       scikit-learn's breast_cancer
    python examples/tabular.py openml:42468          jet tagging, 830,000 jets (downloaded once)
    python examples/tabular.py jsc.csv#jet_type      the same from a file of yours, or .npz
    python examples/tabular.py unsw.npz --levels 1   UNSW-NB15 as 593 ready bits, from a file of yours
    python examples/tabular.py table.csv#kind        your own

Trains two layers of LUTs whose wiring is learned, compiles them to Verilog that is simulated against the
network, and prints what it would take on each target.
"""

import argparse
from pathlib import Path

import lgc
from lgc.frontend import config, data
from lgc.frontend.train import train


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="?", default="breast_cancer")
    parser.add_argument("--levels", type=int, default=6, help="thresholds per column")
    parser.add_argument("--luts", type=int, default=200, help="nodes of the first layer")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--images", type=int, default=50, help="test samples to simulate")
    options = parser.parse_args()

    table = data.load(options.source)
    classes = len(table.class_names)
    counted = max(1, options.luts // (2 * classes)) * classes
    layer = {"k": 4, "relaxation": "light", "connections": "learned"}
    settings = config.TrainConfig.from_dict(
        {
            "data": {"source": options.source, "validation": min(60_000, len(table.train_y) // 5)},
            "encoder": {"levels": options.levels, "snap": True},
            "model": {"tau": 3.0, "layers": [layer | {"width": options.luts}, layer | {"width": counted}]},
            "train": {"epochs": options.epochs, "batch": 64, "lr": 0.05, "patience": 8},
        }
    )
    folder = Path("runs/tabular")
    model = folder / "model.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    trained = train(settings, table, out=model)
    build = lgc.compile(model, out=folder / "build", until="simulation", images=options.images)
    ran = build.report.simulation
    print(f"test accuracy {trained.metadata['test_accuracy']:.2%}")
    print(f"{ran.classes_equal} of {ran.samples} samples: hardware and network agree")
    print(
        f"{build.report.netlist.network_luts} LUTs of 4 inputs in the network; next: lgc report {build.path}"
    )


if __name__ == "__main__":
    main()
