"""Unrolled against folded convolutions: LUTs, block RAM, and, once routed, clock, frames per second, latency.

python benchmarks/folding.py MODEL.safetensors --target ice40-hx8k ecp5-25f [--route] [--out DIR]

Builds the model unrolled, folded with its tail in LUTs, and folded with its tail as a program, on each
target; 10 samples are simulated each time. Without --route it ends after synthesis, and the clock is an
estimate, marked with a tilde. What does not fit, or does not route within the time limit, says so in its row.
"""

import argparse
import tempfile
from pathlib import Path

import lgc
from lgc.errors import LgcError

WAYS = {
    "unrolled": {},
    "folded": {"fold": True},
    "folded, 4 places": {"fold": True, "positions": 4},
    "folded, serial tail": {"fold": True, "tail": "serial"},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--target", nargs="+", default=["ice40-hx8k"])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--route", action="store_true")
    parser.add_argument("--data", default="", help="data set, if not where the model was trained")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp())
    print("| target | design | LUT4 | block RAM | clocks per frame | MHz | frames/s | latency, µs |")
    print("|---|---|---|---|---|---|---|---|")
    for target in options.target:
        for way in options.ways:
            folder = out / f"{target}-{way.replace(', ', '-').replace(' ', '-')}"
            found = row(options, target, way, folder)
            print(f"| {target} | {way} | {found} |", flush=True)


def row(options: argparse.Namespace, target: str, way: str, out: Path) -> str:
    """Build a design and return its figures."""
    until = "bitstream" if options.route else "synthesis"
    given = {"data": options.data, "images": 10} | WAYS[way]
    try:
        report = lgc.compile(options.model, out=out, target=target, until=until, **given).report
    except LgcError as error:
        return f"{str(error).split('.')[0]} | | | | |"
    assert report.post_synthesis is not None
    assert report.simulation is not None
    luts, brams = report.post_synthesis.luts.total, report.post_synthesis.brams
    found = f"{luts:,} | {brams} | {report.simulation.cycles_per_sample:,.0f}"
    if report.post_route is None:
        guess = report.estimate
        if guess is None:
            return f"{found} | | | "
        return (
            f"{found} | ~{guess.fmax_mhz:.0f} | ~{guess.samples_per_second:,.0f} | "
            f"~{guess.latency_ns / 1000:.2f}"
        )
    routed = report.post_route
    speed = f"{routed.fmax_mhz:.1f} | {routed.samples_per_second:,.0f} | {routed.latency_ns / 1000:.2f}"
    return f"{found} | {speed}"


if __name__ == "__main__":
    main()
