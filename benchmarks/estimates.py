"""Estimates before any tool has run, against what synthesis, place and route then say.

Trains small networks on scikit-learn's digits and breast cancer data, estimates each one as
`lgc report MODEL --estimate` does, compiles it to a bitstream and prints both with the error. With
`--write` the errors of the families measured go to `lgc/report/estimate_errors.toml`, from where
`lgc report --estimate` quotes them. Takes about a minute per build; builds are kept in the working folder and not repeated.

    python benchmarks/estimates.py -o /some/folder
    python benchmarks/estimates.py -o /some/folder --targets ice40-hx8k --networks digits-S digits-M
"""

from __future__ import annotations

import argparse
import statistics
import tomllib
from pathlib import Path

from lgc import estimates
from lgc.backend import target
from lgc.flow import compile as build
from lgc.frontend import config, data
from lgc.frontend.train import train
from lgc.report import Report

NETWORKS = {
    "digits-XS": ("digits", ("model.layers.0.width=300", "model.layers.1.width=200"), 4),
    "digits-S": ("digits", ("model.layers.0.width=600", "model.layers.1.width=400"), 4),
    "digits-S, 2 levels": ("digits", ("model.layers.0.width=600", "model.layers.1.width=400"), 2),
    "digits-M": ("digits", (), 4),
    "digits-M, 2 levels": ("digits", (), 2),
    "digits-L": ("digits", ("model.layers.0.width=2400", "model.layers.1.width=1600"), 4),
    "cancer": ("digits", ("data.source=breast_cancer", "data.validation=50", "data.augment=none",
                          "model.layers.0.connections=learned", "model.layers.1.connections=learned",
                          "model.layers.0.width=600", "model.layers.1.width=400"), 4),
}  # fmt: skip
"""Preset, changes to it, LUTs between registers."""
EPOCHS = 15
ERRORS = Path(__file__).parents[1] / "lgc" / "report" / "estimate_errors.toml"


def trained(name: str, out: Path) -> Path:
    """Train a network, or take the one that is there."""
    preset, changes, _ = NETWORKS[name]
    path = out / f"{name.partition(',')[0]}.safetensors"
    if not path.exists():
        settings = config.load(preset, [*changes, f"train.epochs={EPOCHS}"])
        train(settings, data.load(settings.data.source), out=path, progress=lambda _: None)
    return path


def built(path: Path, folder: Path, where: str, levels: int, seed: int) -> Report:
    """Compile a network, or take the build that is there."""
    if (folder / "report.json").exists():
        return Report.load(folder / "report.json")
    return build(path, out=folder, target=where, levels=levels, images=5, seed=seed).report


def error(found: float, real: float) -> float:
    """Relative error in percent."""
    return 100 * (found / real - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True, help="working folder")
    parser.add_argument("--targets", nargs="+", default=["ice40-hx8k", "ecp5-25f"])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--seed", type=int, default=1, help="of the placer")
    parser.add_argument("--write", action="store_true", help=f"write {ERRORS.name}")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    wide = max(map(len, NETWORKS))
    print(
        f"{'network':{wide}}  {'target':12} {'LUTs':>6} {'real':>6} {'error':>7}  {'MHz':>6} {'real':>6} {'error':>7}  seconds"
    )
    luts: dict[str, list[float]] = {}
    clocks: dict[str, list[float]] = {}
    for name in args.networks:
        path, levels = trained(name, args.out), NETWORKS[name][2]
        for where in args.targets:
            guess = estimates.estimate(path, [where], levels=levels)
            row = guess.rows[0]
            folder = args.out / f"{path.stem}-{levels}-{where}"
            report = built(path, folder, where, levels, args.seed)
            assert report.post_synthesis is not None
            assert report.post_route is not None
            family = target.load(where).family
            real, clock = report.post_synthesis.luts.total, report.post_route.fmax_mhz
            luts.setdefault(family, []).append(error(row.luts.total, real))
            line = f"{name:{wide}}  {where:12} {row.luts.total:6,} {real:6,} {luts[family][-1]:+6.1f}%"
            if row.fmax_mhz is None:
                print(f"{line}  {'–':>6} {clock:6.1f} {'':7}  {guess.seconds:.1f}")
                continue
            clocks.setdefault(family, []).append(error(row.fmax_mhz, clock))
            print(
                f"{line}  {row.fmax_mhz:6.1f} {clock:6.1f} {clocks[family][-1]:+6.1f}%  {guess.seconds:.1f}"
            )
    facts: dict[str, dict[str, float]] = tomllib.loads(ERRORS.read_text()) if ERRORS.exists() else {}
    for family, found in luts.items():
        facts[family] = {"builds": len(found)}
        for what, errors in (("luts", found), ("fmax", clocks.get(family, []))):
            if errors:
                sizes = [abs(one) for one in errors]
                facts[family] |= {f"{what}_worst": max(sizes), f"{what}_mean": statistics.mean(sizes)}
    text = "# Errors of estimates in percent, as benchmarks/estimates.py measured them: largest and mean, unsigned.\n"
    for family, values in facts.items():
        rows = (f"{key} = {value if key == 'builds' else round(value, 1)}" for key, value in values.items())
        text += "\n".join([f"\n[{family}]", *rows, ""])
    print("\n" + text)
    if args.write:
        ERRORS.write_text(text)


if __name__ == "__main__":
    main()
