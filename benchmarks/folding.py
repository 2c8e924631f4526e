"""Unrolled against folded convolutions: accuracy, LUTs, block RAM, clock, frames per second, latency, ladder.

python benchmarks/folding.py MODEL.safetensors... --target ice40-hx8k ecp5-25f [--route] [--verify N] [--out DIR]

Builds the models unrolled, folded with their tail in LUTs, and folded with their tail as a program, on each
target; 10 samples are simulated each time. Without --route it ends after synthesis, and the clock is an
estimate, marked with a tilde. What does not fit, or does not route within the time limit, says so in its row.
With --verify the rungs of `lgc verify` with N images are climbed: how many are equal, and which are skipped or not.
Builds in DIR that are there already are kept as far as they are up to date.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import lgc
from lgc.errors import LgcError
from lgc.verification import verify
from lgc.verification.rungs import EQUAL

WAYS = {
    "unrolled": {},
    "folded": {"fold": True},
    "folded, 4 places": {"fold": True, "positions": 4},
    "folded, serial tail": {"fold": True, "tail": "serial"},
}
COLUMNS = (
    "network", "test %", "target", "design", "LUT4", "block RAM", "clocks per frame", "MHz", "frames/s",
    "latency, µs",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--target", nargs="+", default=["ice40-hx8k"])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--route", action="store_true")
    parser.add_argument("--verify", type=int, metavar="N", help="climb the ladder with N images")
    parser.add_argument("--data", default="", help="data set, if not where the model was trained")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp())
    columns = [*COLUMNS, *["ladder"] * (options.verify is not None)]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for model in options.models:
        for target in options.target:
            for way in options.ways:
                name = f"{model.stem}-{target}-{way.replace(', ', '-').replace(' ', '-')}"
                found = row(options, model, target, way, out / name)
                found += [""] * (len(columns) - len(found))
                print(f"| {' | '.join(found)} |", flush=True)


def row(options: argparse.Namespace, model: Path, target: str, way: str, out: Path) -> list[str]:
    """Build a design and return its figures."""
    until = "bitstream" if options.route else "synthesis"
    given = {"data": options.data, "images": 10} | WAYS[way]
    try:
        report = lgc.compile(model, out=out, target=target, until=until, **given).report
    except LgcError as error:
        return [model.stem, "", target, way, str(error).split(". ")[0]]
    assert report.post_synthesis is not None
    assert report.simulation is not None
    luts, brams = report.post_synthesis.luts.total, report.post_synthesis.brams
    accuracy = report.model.test_accuracy
    found = [model.stem, "" if accuracy is None else f"{100 * accuracy:.2f}", target, way]
    found += [f"{luts:,}", str(brams), f"{report.simulation.cycles_per_sample:,.0f}"]
    routed, guess = report.post_route, report.estimate
    if routed is not None:
        speed = routed.fmax_mhz, routed.samples_per_second, routed.latency_ns / 1000
        found += [f"{speed[0]:.1f}", f"{speed[1]:,.0f}", f"{speed[2]:.2f}"]
    elif guess is not None:
        found += [f"~{guess.fmax_mhz:.0f}", f"~{guess.samples_per_second:,.0f}"]
        found += [f"~{guess.latency_ns / 1000:.2f}"]
    else:
        found += [""] * 3
    if options.verify is not None:
        rungs = verify(out, images=options.verify, data=options.data, model=model).rungs
        verdicts = Counter(rung.verdict for rung in rungs)
        others = [f"{rung.verdict}: {rung.name}" for rung in rungs if rung.verdict != EQUAL]
        found.append("; ".join([f"{verdicts[EQUAL]} equal", *others]))
    return found


if __name__ == "__main__":
    main()
