"""Other people's checkpoints: scores against their golden files, accuracy, LUTs, and simulated hardware.

    python benchmarks/imports.py ../shared/data [--images 10] [--only NAME]

The folder holds `checkpoints/` with `expected.json`, and `mnist/` and `uci/`. One line per checkpoint, as
in docs/import.md. LUT4: "mapped" is `lut-map` alone; "ABC" is `if -K 4 -a` on the same gates after its own
structural hashing (`-` where pyosys is not installed); "optimised" is `simplify,merge,reduce,lut-map`, and
"with popcount" the same with `expand-readout` before the mapping. Each optimised netlist is compared with
the imported one on all samples. "RTL simulated" is `lgc compile --until simulation`: score vectors that
the Verilog gives in the simulator like the network, of test samples where they can be read as features,
of random ones otherwise; `--images 0` leaves it out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

import lgc
from lgc import importing
from lgc.errors import ToolMissingError
from lgc.frontend import data
from lgc.frontend.importers import Options
from lgc.frontend.lower import lower
from lgc.ir import passes as library
from lgc.ir.netlist import Netlist
from lgc.ir.passes.satlut import find_abc, read_blif, run_abc, write_blif
from lgc.ir.simulate import scores

STATED = {
    "final_20250109-065641_acc956_seed1043994_epochs300_with_connections": "95.6",
    "final_20250113-141316_acc4865_seed775741_epochs50_dispersion16_8x1024": "48.65",
    "20260207_121201__best_lgn_gates": "97.23",
    "20260309_220106__best_lgn_gates": "92.14",
    "20260309_224007__best_lgn_gates": "96.11",
}
"""Test accuracy in percent as their authors state it, in file names or tables."""


def options(name: str) -> Options:
    """What each file leaves out; difflogic's wiring is drawn again from its seed."""
    if name.startswith("difflogic"):
        return Options(wiring="unique", seed=0, classes=2, inputs=(115,) if "adult" in name else (17,))
    return Options(classes=10, inputs=(16, 16)) if name.startswith("lgn") else Options()


def samples(root: Path, name: str, facts: dict[str, str], found: importing.Imported) -> tuple:
    """Input bits of the netlist bool `[samples, bits]` and labels."""
    folder = (root / "checkpoints" / name).parent
    mnist = facts["dataset"].startswith("MNIST")
    if "adult" in name:
        labels = np.load(folder / "golden" / "labels_adult_test.npy")
    else:
        loaded = data.load(root / "mnist" if mnist else root / "uci" / facts["dataset"].removesuffix(".test"))
        labels = loaded.test_y
    if "input" not in facts:
        return found.checkpoint.encoder.encode(loaded.test_x), labels
    stored = np.load(folder / facts["input"])
    bits = np.unpackbits(stored["bits"], axis=1)[:, : int(stored["n_bits"])].astype(bool)
    own = np.empty_like(bits)
    own[:, found.place] = bits
    return own, labels


def passed(net: Netlist, pipeline: str, levels: int) -> Netlist:
    return library.run(library.know(library.REGISTRY.parse(pipeline), levels, None), net)


def by_abc(net: Netlist, folder: Path) -> str:
    """LUTs of two and more inputs that ABC needs for the gates, `-` without ABC."""
    try:
        abc = find_abc()
    except ToolMissingError:
        return "-"
    write_blif(net, folder / "in.blif")
    run_abc(abc, "read_blif in.blif; strash; if -K 4 -a; write_blif out.blif", folder=folder, seconds=600)
    return f"{wide(read_blif(folder / 'out.blif', net)):,}"


def wide(net: Netlist) -> int:
    return int(((net.fanin != 0).sum(axis=1) > 1).sum())


def simulated(root: Path, facts: dict[str, str], found: importing.Imported, images: int, folder: Path) -> str:
    """Score vectors of the design that equal the network's, and of what samples."""
    if not images:
        return "-"
    found.save(folder / "model.safetensors")
    mnist = facts["dataset"].startswith("MNIST")
    readable = "input" not in facts
    source = root / "mnist" if mnist else root / "uci" / facts["dataset"].removesuffix(".test")
    build = lgc.compile(
        folder / "model.safetensors", out=folder / "build", until="simulation", images=images,
        data=str(source) if readable else "",
    )  # fmt: skip
    result = build.report.simulation
    if result is None or result.scores_equal != result.samples or result.classes_equal != result.samples:
        raise SystemExit(f"The hardware differs: {result}")
    return f"{result.scores_equal} of {result.samples}, {'test set' if readable else 'random'}"


def row(root: Path, name: str, facts: dict[str, str], images: int) -> str:
    path = root / "checkpoints" / name
    found = importing.read(path, options=options(name))
    net, levels = lower(found.checkpoint).netlist, found.checkpoint.encoder.code_levels
    bits, labels = samples(root, name, facts, found)
    golden = np.load(path.parent / facts["golden"])
    computed = scores(net, bits)
    equal = int((computed == golden["scores"]).all(axis=1).sum())
    right = int((computed.argmax(axis=1) == labels).sum())
    optimised = passed(net, "simplify,merge,reduce,lut-map", levels)
    if not np.array_equal(scores(optimised, bits), computed):
        raise SystemExit(f"{name}: the optimised netlist differs")
    popcount = passed(net, "simplify,merge,reduce,expand-readout", levels)
    with tempfile.TemporaryDirectory() as folder:
        peer = by_abc(net, Path(folder))
        hardware = simulated(root, facts, found, images, Path(folder))
    cells = [
        f"{path.parent.name}/{path.stem[:24]}", f"{equal:,} of {len(bits):,}", f"{100 * right / len(bits):.2f}",
        STATED.get(path.stem, "–"), f"{net.luts:,}", f"{wide(passed(net, 'lut-map', 1)):,}", peer,
        f"{wide(optimised):,}", f"{wide(popcount):,}", hardware,
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


HEAD = ["checkpoint", "scores equal", "accuracy %", "stated %", "gates", "LUT4 mapped", "LUT4 ABC",
        "LUT4 optimised", "with popcount", "RTL simulated"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("--images", type=int, default=10, help="samples for the simulator")
    parser.add_argument("--only", default="", help="checkpoints whose names contain this")
    given = parser.parse_args()
    root = given.root
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    for name, facts in sorted(json.loads((root / "checkpoints" / "expected.json").read_text()).items()):
        if given.only in name:
            print(row(root, name, facts, given.images), flush=True)


if __name__ == "__main__":
    main()
