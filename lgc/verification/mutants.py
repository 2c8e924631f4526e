"""Single faults put into the files of a build, to see whether verification notices."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lgc import netlists
from lgc.manifest import read_manifest, sha256, write_text

_LUT = re.compile(r"\.LUT_INIT\(16'h([0-9a-f]{4})\)")
_PIN = re.compile(r"\.I0\((x_\d+)\)")
_REGISTER = re.compile(r"  always @\(posedge clk\) (\w+) <= (\w+);")
_WIRE = re.compile(r"\bx_\d+\b")

Draw = np.random.Generator


def table(build: Path, rng: Draw) -> str:
    """Flip one bit of one LUT's table in the Verilog."""
    file, text = _read(build, "04-rtl/fabric.v")
    found = list(_LUT.finditer(text))
    lut, bit = found[rng.integers(len(found))], int(rng.integers(16))
    new = f"{int(lut[1], 16) ^ 1 << bit:04x}"
    file.write_text(text[: lut.start(1)] + new + text[lut.end(1) :])
    return f"bit {bit} of table {lut[1]}"


def wiring(build: Path, rng: Draw) -> str:
    """Wire one pin of one LUT in the Verilog to another input bit."""
    file, text = _read(build, "04-rtl/fabric.v")
    names = sorted(set(_WIRE.findall(text[: text.index(");")])))
    found = list(_PIN.finditer(text))
    pin = found[rng.integers(len(found))]
    others = [name for name in names if name != pin[1]]
    new = others[rng.integers(len(others))]
    file.write_text(text[: pin.start(1)] + new + text[pin.end(1) :])
    return f"{new} instead of {pin[1]}"


def stage(build: Path, rng: Draw) -> str:
    """Delay the fabric's last registers by one more clock."""
    del rng
    file, text = _read(build, "04-rtl/fabric.v")
    found = list(_REGISTER.finditer(text))[-1]
    width = re.search(rf"reg (\[\d+:0\]) {found[1]} ", text)
    assert width is not None
    lines = f"  reg {width[1]} late = 0;\n  always @(posedge clk) late <= {found[2]};\n"
    lines += f"  always @(posedge clk) {found[1]} <= late;"
    file.write_text(text[: found.start()] + lines + text[found.end() :])
    return f"{found[1]} one clock later"


def bias(build: Path, rng: Draw) -> str:
    """Add 1 to the bias of one class in the optimised netlist."""
    file = build / "02-optimise" / "optimised.npz"
    net = netlists.read(file)
    assert net.readout is not None
    new, c = net.readout.bias.copy(), int(rng.integers(net.readout.classes))
    new[c] += 1
    netlists.write(file, dataclasses.replace(net, readout=dataclasses.replace(net.readout, bias=new)))
    return f"bias of class {c}"


def threshold(build: Path, rng: Draw) -> str:
    """Add 1 to one threshold of the encoder."""
    file = build / "01-lower" / "encoder.json"
    facts = json.loads(file.read_text())
    feature = int(rng.integers(len(facts["threshold"])))
    facts["threshold"][feature][0] += 1
    file.write_text(json.dumps(facts) + "\n")
    return f"threshold of feature {feature}"


def fabric(build: Path, rng: Draw) -> str:
    """Flip one bit of one LUT's table in the mapped netlist."""
    file = build / "03-expand" / "fabric.npz"
    net = netlists.read(file)
    new, lut, bit = net.table.copy(), int(rng.integers(net.luts)), int(rng.integers(16))
    new[lut] ^= np.array(1 << bit, new.dtype)
    netlists.write(file, dataclasses.replace(net, table=new))
    return f"bit {bit} of the table of LUT {lut}"


def configuration(build: Path, rng: Draw) -> str:
    """Flip one bit in the packed bitstream: of a logic tile, on ECP5 and Gowin of a table."""
    from lgc.backend.pack import pack

    from .unpack import target_of

    target = target_of(build)
    values = read_manifest(build)["steps"]
    routed = build / "07-route" / values["07-route"]["values"]["asc"]
    text = routed.read_text()
    place = {"ecp5": _bit_of_ecp5, "gowin": _bit_of_gowin}.get(target.family, _bit_of_ice40)(text, rng)
    flipped = build / f"flipped{routed.suffix}"
    flipped.write_text(text[:place] + str(1 - int(text[place])) + text[place + 1 :])
    packed = pack(flipped, out=build / "again", target=target).path
    shutil.copy(packed, build / values["08-pack"]["values"]["file"])
    return f"configuration bit at character {place} of the routed design"


def _bit_of_ice40(text: str, rng: Draw) -> int:
    """Place of a bit of a logic tile in use."""
    tiles = [m.end() for m in re.finditer(r"\.logic_tile \d+ \d+\n", text)]
    used = [at for at in tiles if "1" in text[at : at + 16 * 55].split("\n\n", 1)[0]]
    start = used[rng.integers(len(used))]
    return int(start + 55 * int(rng.integers(16)) + int(rng.integers(54)))


def _bit_of_ecp5(text: str, rng: Draw) -> int:
    """Place of a bit of a table."""
    return _bit_in(list(re.finditer(r"^word: SLICE[A-D]\.K[01]\.INIT ([01]{16})$", text, re.MULTILINE)), rng)


def _bit_of_gowin(text: str, rng: Draw) -> int:
    """Place of a bit of a table of four inputs."""
    return _bit_in(list(re.finditer(r'"INIT": "([01]{16})"', text)), rng)


def _bit_in(found: list[re.Match[str]], rng: Draw) -> int:
    return found[rng.integers(len(found))].start(1) + int(rng.integers(16))


KINDS: dict[str, tuple[Callable[[Path, Draw], str], tuple[str, ...]]] = {
    "bias": (bias, ("netlist",)),
    "threshold": (threshold, ("model",)),
    "fabric": (fabric, ("netlist",)),
    "table": (table, ("rtl",)),
    "wiring": (wiring, ("rtl",)),
    "stage": (stage, ("rtl",)),
    "configuration": (configuration, ("bitstream",)),
}
"""Kinds of faults, and the levels of the ladder that must notice them."""


def accept(build: Path) -> None:
    """Record the files of a build as they are now, as if its steps had written them so.

    Without this an edited file is refused by its hash, and no rung is climbed.
    """
    manifest = read_manifest(build)
    now: dict[str, str] = {}
    for name, record in sorted(manifest["steps"].items()):
        record["inputs"] = {file: now.get(file, digest) for file, digest in record["inputs"].items()}
        record["outputs"] = {file: sha256(build / name / file) for file in record["outputs"]}
        now |= record["outputs"]
    write_text(build / "manifest.json", json.dumps(manifest))


def _read(build: Path, name: str) -> tuple[Path, str]:
    return build / name, (build / name).read_text()
