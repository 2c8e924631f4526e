"""Wall time of every stage, from training to the bitstream, for the digits and MNIST networks.

    python benchmarks/stages.py                       digits
    python benchmarks/stages.py --mnist PATH/TO/mnist digits and MNIST (idx files)

Trains the presets as they are (`--epochs` shortens that), compiles them for the HX8K with every
step run anew, and prints one table. Compare tables made on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import lgc
from lgc.frontend import config, data
from lgc.frontend.train import train


def measure(preset: str, source: str, epochs: int | None, images: int | None) -> dict[str, float]:
    """Train and compile one preset; returns seconds by stage."""
    overrides = [f"data.source={source}", *([f"train.epochs={epochs}"] if epochs else [])]
    settings = config.load(preset, overrides)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.safetensors"
        start = time.perf_counter()
        samples = data.load(settings.data.source)
        loaded = time.perf_counter()
        train(settings, samples, out=model)
        seconds = {"load data": loaded - start, "train": time.perf_counter() - loaded}
        build = lgc.compile(model, out=Path(folder) / "build", images=images)
    seconds |= {step.name: step.seconds for step in build.report.steps}
    return {name: round(value, 2) for name, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mnist", metavar="DIR", help="folder with MNIST's idx files")
    parser.add_argument("--epochs", type=int, help="train fewer epochs than the presets say")
    parser.add_argument("--images", type=int, default=500, help="MNIST images to simulate (default 500)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {"digits": measure("digits", "digits", options.epochs, None)}
    if options.mnist:
        found["mnist"] = measure("mnist", options.mnist, options.epochs, options.images)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"lgc {lgc.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores; seconds")
    print(f"{'stage':<16}" + "".join(f"{name:>10}" for name in found))
    for stage in found["digits"]:
        print(f"{stage:<16}" + "".join(f"{times[stage]:>10.2f}" for times in found.values()))
    print(f"{'total':<16}" + "".join(f"{sum(times.values()):>10.2f}" for times in found.values()))


if __name__ == "__main__":
    main()
