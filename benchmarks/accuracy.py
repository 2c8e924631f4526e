"""Presets trained to the end with several seeds: time, validation accuracy, test accuracy.

    python benchmarks/accuracy.py mnist-8000 mnist-lut6 --data PATH/mnist [--seeds 3] [--set KEY=VALUE ...]

Each run keeps the epoch with the best hardened validation accuracy and looks at the test set once, at
the end. Seconds are wall time and CPU time of training, the latter by epoch, without loading the data; on
a busy machine only that one says something. --keep DIR keeps checkpoints, logs and curves; a run that is
there already is resumed where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

from lgc.frontend import config, data
from lgc.frontend.kernels.threads import cores
from lgc.frontend.progress import Progress
from lgc.frontend.train import cpu_seconds, state_path, train


def show(progress: Progress) -> None:
    """Report an epoch on stderr."""
    if progress.hard_val_acc is not None:
        line = f"  epoch {progress.epoch}/{progress.epochs}  loss {progress.loss:.4f}"
        print(f"{line}  validation {progress.hard_val_acc:.2%}  {progress.seconds:.0f} s", file=sys.stderr)


def run(preset: str, seed: int, samples: data.Dataset, options: argparse.Namespace) -> dict[str, object]:
    """Train one preset with one seed."""
    settings = config.load(preset, [*options.set, f"train.seed={seed}"])
    with tempfile.TemporaryDirectory() as folder:
        out = (options.keep or Path(folder)) / f"{preset}-{seed}.safetensors"
        out.parent.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        resumed = state_path(out).exists()
        result = train(settings, samples, out=out, resume=resumed, progress=show)
        seconds, used = time.perf_counter() - start, cpu_seconds(out) or math.nan
    found = {key: result.metadata[key] for key in ("epoch", "validation_accuracy", "test_accuracy")}
    return {"preset": preset, "seed": seed, "seconds": seconds, "cpu": used, "resumed": resumed, **found}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("presets", nargs="+", metavar="PRESET")
    parser.add_argument("--data", required=True, help="data set of the presets, a name or a path")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--keep", type=Path, metavar="DIR")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    samples = data.load(options.data)
    print(f"{cores()} cores, {len(samples.test_y)} test samples {' '.join(options.set)}")
    print(f"{'preset':<26}{'seed':>5}{'seconds':>9}{'CPU s':>8}{'epoch':>7}{'validation':>12}{'test':>9}")
    results = []
    for preset in options.presets:
        runs = []
        for seed in range(options.seeds):
            runs.append(run(preset, seed, samples, options))
            each = runs[-1]
            note = "  (resumed: wall time of the rest)" if each["resumed"] else ""
            print(
                f"{preset:<26}{seed:>5}{each['seconds']:>9.0f}{each['cpu']:>8.0f}{each['epoch']:>7}"
                f"{each['validation_accuracy']:>12.2%}{each['test_accuracy']:>9.2%}{note}",
                flush=True,
            )
        means = [statistics.mean(float(each[key]) for each in runs) for key in  # type: ignore[arg-type]
                 ("seconds", "cpu", "validation_accuracy", "test_accuracy")]  # fmt: skip
        print(
            f"{preset:<26}{'mean':>5}{means[0]:>9.0f}{means[1]:>8.0f}{'':>7}{means[2]:>12.2%}{means[3]:>9.2%}"
        )
        results += runs
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
