"""Cyclone V placed and routed by a nextpnr-mistral on the PATH, which no package on PyPI brings.

Build nextpnr with `-DARCH=mistral -DMISTRAL_ROOT=...` (github.com/YosysHQ/nextpnr, github.com/Ravenslofty/mistral).
It times wires by simulating their drivers with the vendor's own data at the slow corner.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from lgc.backend.parse import RouteReport, read_route_report
from lgc.backend.rtl import TOP
from lgc.backend.synth import Synthesis
from lgc.backend.tools import find, run

NEXTPNR = "nextpnr-mistral"

DEVICE = "5CGXFC3B6F23C7"
"""A Cyclone V whose fabric and speed grade are those of the targets."""

# fmt: off
PINS = [
    "A5", "B5", "R5", "AB5", "B6", "C6", "D6", "G6", "H6", "M6", "N6", "P6",
    "R6", "U6", "V6", "AB6", "A7", "B7", "D7", "E7", "F7", "J7", "K7", "L7",
    "M7", "P7", "R7", "T7", "U7", "AA7", "AB7", "A8", "C8", "G8", "H8",
]
# fmt: on
"""Pins of that device for inputs and outputs, as it places none itself."""

_PADS = """\
read_json {netlist}
read_verilog -lib +/intel_alm/common/alm_sim.v +/intel_alm/common/misc_sim.v
iopadmap -bits -outpad MISTRAL_OB I:PAD -inpad MISTRAL_IB O:PAD
clkbufmap -buf MISTRAL_CLKBUF Q:A
write_json pads.json
"""


def place_and_route(synthesis: Synthesis, out: Path, *, seed: int) -> RouteReport:
    """Place and route in the directory `out`; raises SystemExit where there is no nextpnr-mistral."""
    tool = shutil.which(NEXTPNR)
    if tool is None:
        raise SystemExit(f"{NEXTPNR} is not on the PATH: {__doc__.splitlines()[2]}")
    out.mkdir()
    shutil.copy(synthesis.netlist, out / "netlist.json")
    (out / "pads.ys").write_text(_PADS.format(netlist="netlist.json"))
    yosys = find("yosys")
    run(yosys, ["-q", "-s", "pads.ys"], cwd=out, log=out / "yosys.log", timeout_s=600)
    ports = json.loads((out / "pads.json").read_text())["modules"][TOP]["ports"]
    bits = [
        f"{port}[{n}]" if len(wires["bits"]) > 1 else port
        for port, wires in ports.items()
        for n in range(len(wires["bits"]))
    ]
    if len(bits) > len(PINS):
        raise SystemExit(f"{len(bits)} pins are more than benchmarks/mistral.py has.")
    (out / "pins.qsf").write_text(
        "".join(
            f"set_location_assignment PIN_{pin} -to {bit}\n" for pin, bit in zip(PINS, bits, strict=False)
        )
    )
    command = [tool, *f"--device {DEVICE} --qsf pins.qsf --json pads.json --report report.json".split()]
    command += ["--seed", str(seed), "--freq", "100", "--timing-allow-fail"]
    done = subprocess.run(command, check=False, cwd=out, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{NEXTPNR} failed: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
    return read_route_report(out / "report.json")
