"""What an input encoder costs in LUTs and gives in accuracy: kinds, scopes and snapping, on real data.

    python benchmarks/encoders.py                          digits with the preset's network, three seeds
    python benchmarks/encoders.py --data breast_cancer     a table of reals; a small network of 2-input gates
    python benchmarks/encoders.py --seeds 1 --set train.epochs=20
    python benchmarks/encoders.py --only kind=quantile kind=learned

Each row trains the same network behind another encoder. `bits` are the input bits that the network
reads (of the last seed), `compared` the bits of a feature such a bit depends on, on average. Three
circuits compute these bits: `serial` is lgc's own encoder, one feature per clock, without the store of
the bits (one LUT with its flip-flop each) but with the rings that address it, `blocks` its block RAMs;
`LUT4` and `LUT6` compare all features at once, as a design without a store would, each comparison
written as its shortest chain of ANDs and ORs. Needs pyosys (`pip install pyosys`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from amaranth.back import rtlil

from lgc.backend.encoder import Encoder, store_text
from lgc.backend.plan import Plan
from lgc.frontend import config, data, encoder
from lgc.frontend.lower import lower
from lgc.frontend.train import train
from lgc.ir.encoder import Thermometer
from lgc.ir.netlist import FIRST_INPUT

ROWS = [
    ["kind=quantile"],
    ["kind=quantile", "snap=true", "tolerance=0"],
    ["kind=quantile", "snap=true"],
    ["kind=quantile", "snap=true", "tolerance=0.05"],
    ["kind=quantile", "snap=true", "tolerance=0.1"],
    ["kind=distributive"],
    ["kind=uniform"],
    ["kind=uniform", "snap=true"],
    ["kind=quantile", "scope=global"],
    ["kind=quantile", "scope=global", "snap=true", "tolerance=0.05"],
    ["kind=uniform", "scope=global"],
    ["kind=learned"],
    ["kind=learned", "scope=global"],
]
TABLE = [
    'model.layers=[{width=400, connections="learned"}, {width=200, connections="learned"}]',
    "data.augment=none", "data.validation=90", "encoder.levels=6", "train.epochs=60",
]  # fmt: skip


def used_bits(model: Thermometer, fanin: np.ndarray) -> np.ndarray:
    """Encoder bits that a netlist's LUTs read, int64, those left out that never change."""
    read = np.unique(fanin[(fanin >= FIRST_INPUT) & (fanin < FIRST_INPUT + model.bits)]) - FIRST_INPUT
    return read[model.threshold.ravel()[read] > model.format.low]


def comparison(name: str, threshold: int, width: int) -> str:
    """`code >= threshold` in Verilog, for an offset code: from the threshold's lowest 1 upwards."""
    lowest = (threshold & -threshold).bit_length() - 1
    text = f"{name}[{lowest}]"
    for i in range(lowest + 1, width):
        text = f"({name}[{i}] {'&' if threshold >> i & 1 else '|'} {text})"
    return text


def parallel(model: Thermometer, used: np.ndarray) -> str:
    """Verilog of all used comparisons at once."""
    width, low = model.format.width, model.format.low
    ports, lines = [f"output [{max(len(used), 1) - 1}:0] y"], []
    for feature in np.unique(used // model.levels).tolist():
        ports.append(f"input [{width - 1}:0] x{feature}")
    for i, bit in enumerate(used.tolist()):
        threshold = int(model.threshold.ravel()[bit]) - low
        lines.append(f"assign y[{i}] = {comparison(f'x{bit // model.levels}', threshold, width)};")
    return f"module top({', '.join(ports)});\n" + "\n".join(lines) + "\nendmodule\n"


def cells(files: dict[str, str], steps: list[str]) -> dict[str, int]:
    """Run Yosys in a process of its own; cells of the design by type."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text)
        code = "import pyosys.libyosys as y; d = y.Design()\n" + "".join(
            f"y.run_pass({step!r}, d)\n" for step in [*steps, "tee -q -o stat.json stat -json"]
        )
        subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
        stat = Path(folder, "stat.json").read_text()
    return json.loads(stat[stat.index("{") :])["design"]["num_cells_by_type"]


def costs(model: Thermometer, used: np.ndarray) -> dict[str, int]:
    """LUTs and block RAMs of the three circuits."""
    plan = Plan(model, used)
    shell = rtlil.convert(Encoder(plan), name="top")
    header = store_text(plan).split(");")[0].replace("output reg", "output").replace(" = 0", "")
    store = f"(* blackbox *)\n{header});\nendmodule\n"
    rom = ['setattr -set rom_style "block" */m:*'] if plan.memory[1] and np.prod(plan.memory) >= 256 else []
    serial = cells(
        {"shell.il": shell, "store.v": store},
        [
            "read_verilog store.v",
            "read_rtlil shell.il",
            "proc -nomux -norom",
            "memory_collect",
            *rom,
            "synth_ice40 -top top",
        ],
    )
    found = {"serial": serial.get("SB_LUT4", 0), "blocks": serial.get("SB_RAM40_4K", 0)}
    for k in (4, 6):
        text = {"top.v": parallel(model, used)}
        found[f"LUT{k}"] = cells(text, ["read_verilog top.v", f"synth -top top -lut {k}"]).get("$lut", 0)
    return found


def main() -> None:
    """Print one row per encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="rows, as they are printed")
    parser.add_argument("--set", action="append", default=[], dest="more")
    args = parser.parse_args()
    table = [f"data.source={args.data}", *TABLE] if args.data != "digits" else []
    loaded = data.load(args.data)
    print(f"{args.data}: {loaded.features} features of {loaded.format.width} bits, {args.seeds} seeds")
    print(
        f"{'encoder':44} {'bits':>5} {'compared':>8} {'serial':>6} {'blocks':>6} {'LUT4':>6} {'LUT6':>6}  test accuracy"
    )
    for row in [row for row in ROWS if not args.only or " ".join(row) in args.only]:
        accuracy = []
        for seed in range(args.seeds):
            settings = config.load(
                "digits", [*table, *(f"encoder.{x}" for x in row), f"train.seed={seed}", *args.more]
            )
            with tempfile.TemporaryDirectory() as folder:
                result = train(settings, loaded, out=Path(folder, "m.safetensors"))
            accuracy.append(100 * result.metadata["test_accuracy"])
        model = result.encoder
        used = used_bits(model, lower(result).netlist.fanin)
        compared = encoder.compared_bits(model).ravel()[used].mean()
        found = costs(model, used)
        print(
            f"{' '.join(row):44} {len(used):5} {compared:8.2f} {found['serial']:6} {found['blocks']:6} "
            f"{found['LUT4']:6} {found['LUT6']:6}  {np.mean(accuracy):.2f} ({min(accuracy):.2f} to {max(accuracy):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
