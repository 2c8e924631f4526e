"""Unrolled against folded convolutions: LUTs, block RAM, and, once routed, clock, frames per second, latency.

python benchmarks/folding.py MODEL.safetensors --target ice40-hx8k ecp5-25f [--route] [--out DIR]

Builds the model unrolled, folded with its tail in LUTs, and folded with its tail as a program, on each
target; 10 samples are simulated each time. Without --route it ends after synthesis. What does not fit, or
does not route within the time limit, says so in its row.
"""

import argparse
import tempfile
from pathlib import Path

import lgc
from lgc.errors import LgcError

WAYS = {
    "unrolled": {},
    "folded": {"fold": True},
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
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp())
    print("| target | design | LUT4 | block RAM | clocks per frame | MHz | frames/s | latency, µs |")
    print("|---|---|---|---|---|---|---|---|")
    for target in options.target:
        for way in options.ways:
            folder = out / f"{target}-{way.replace(', ', '-').replace(' ', '-')}"
            print(
                f"| {target} | {way} | {row(options.model, target, way, folder, options.route)} |", flush=True
            )


def row(model: Path, target: str, way: str, out: Path, route: bool) -> str:
    until = "bitstream" if route else "synthesis"
    try:
        report = lgc.compile(model, out=out, target=target, until=until, images=10, **WAYS[way]).report
    except LgcError as error:
        return f"{str(error).split('.')[0]} | | | | |"
    assert report.post_synthesis is not None
    assert report.simulation is not None
    luts, brams = report.post_synthesis.luts.total, report.post_synthesis.brams
    found = f"{luts:,} | {brams} | {report.simulation.cycles_per_sample:,.0f}"
    if report.post_route is None:
        return f"{found} | | | "
    routed = report.post_route
    speed = f"{routed.fmax_mhz:.1f} | {routed.samples_per_second:,.0f} | {routed.latency_ns / 1000:.2f}"
    return f"{found} | {speed}"


if __name__ == "__main__":
    main()
