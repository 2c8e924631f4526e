"""Rungs of the hardware before the bitstream: the RTL and the netlist after synthesis."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lgc import models
from lgc.backend import tools
from lgc.backend.rtl import TOP, RtlFiles
from lgc.build import simulate_rtl
from lgc.errors import LgcError, MismatchError, ToolMissingError
from lgc.hw_tests import corners, links, runner
from lgc.ir.builder import Builder
from lgc.ir.equivalence import compare
from lgc.ir.fabric import Fabric
from lgc.ir.interop import verilog
from lgc.ir.netlist import FIRST_INPUT, Netlist
from lgc.ir.simulate import outputs
from lgc.manifest import read_step

from . import cells, drive
from .subject import PROOF_LUTS, Subject

LINK_CLOCKS, LINK_MOST = 20_000, 12
"""Clocks and samples, at most, that vendor cells are simulated for over an interface."""

CLOCKS = 12_000
"""Clocks that vendor cells are simulated for otherwise, at most: half a minute of Icarus Verilog."""

_READ_BACK = """\
read_verilog -lib blackbox.v
read_verilog {source}
hierarchy -top lgc_fabric
proc
flatten
techmap -map transparent.v
chtype -set SB_LUT4 t:lgc_lut4
opt_clean -purge
write_verilog -noattr -noexpr -nohex core.v
"""

# The vendor's cells are what their models say.
_READ_BACK_MODELS = """\
read_verilog {source} {cells}
hierarchy -top lgc_fabric
proc
flatten
techmap -map transparent.v
opt
techmap
opt
opt_clean -purge
write_verilog -noattr -noexpr -nohex core.v
"""

# the vendor's model is empty
_LOOP = """
module lgc_pll #(parameter FEEDBACK_PATH = "", DIVR = 0, DIVF = 0, DIVQ = 0, FILTER_RANGE = 0) (
  input REFERENCECLK, input PACKAGEPIN, input RESETB, input BYPASS, output PLLOUTGLOBAL, output LOCK
);
  assign PLLOUTGLOBAL = REFERENCECLK === 1'bz ? PACKAGEPIN : REFERENCECLK;
  assign LOCK = 1;
endmodule
"""

_BLACKBOX = """\
module lgc_lut4 #(parameter [15:0] LUT_INIT = 16'h0) (output O, input I0, input I1, input I2, input I3);
endmodule
module lgc_carry (output CO, input I0, input I1, input CI);
endmodule
"""

_TRANSPARENT = """\
(* techmap_celltype = "lgc_carry" *)
module carry (output CO, input I0, input I1, input CI);
  lgc_lut4 #(.LUT_INIT(16'he8e8)) _TECHMAP_REPLACE_ (.O(CO), .I0(I0), .I1(I1), .I2(CI), .I3(1'b0));
endmodule
(* techmap_celltype = "$dff" *)
module transparent #(parameter WIDTH = 1, parameter CLK_POLARITY = 1) (
  input CLK, input [WIDTH-1:0] D, output [WIDTH-1:0] Q
);
  assign Q = D;
endmodule
"""


def fabric_to_verilog(subject: Subject) -> tuple[str, int]:
    """Read the fabric's Verilog back with Yosys and prove its logic equal to the netlist.

    Registers count as wires: what is proved is the combinational core; their number is checked by
    simulation.

    Raises:
        MismatchError: with the input pattern that tells them apart.
        LgcError: Yosys failed.
    """
    source = next(path for path in subject.rtl.sources if path.name == "fabric.v")
    out = fresh(subject.work / "core")
    (out / "blackbox.v").write_text(_BLACKBOX)
    (out / "transparent.v").write_text(_TRANSPARENT)
    own = subject.rtl.cells.read_text()
    script = _READ_BACK if "module lgc_lut4" in own else _READ_BACK_MODELS
    files = {"source": tools.relative(source, out), "cells": tools.relative(subject.rtl.cells, out)}
    (out / "core.ys").write_text(script.format(**files))
    yosys = tools.find("yosys")
    tools.run(yosys, ["-q", "-s", "core.ys"], cwd=out, log=out / "core.log", timeout_s=subject.timeout_s)
    if not (out / "core.v").is_file():
        raise LgcError("Yosys ended without the core.", hint=f"See {out / 'core.log'}.")
    want = _output_bits(subject.fabric)
    core = _on_inputs(verilog.parse((out / "core.v").read_bytes()), want)
    if len(core.outputs) != len(want.outputs):
        raise MismatchError(
            f"The Verilog of the fabric has {len(core.outputs)} output bits, the netlist {len(want.outputs)}."
        )
    levels = subject.fabric_levels
    found = compare(want, core, seed=subject.seed, levels=levels, prove=want.luts <= PROOF_LUTS)
    if not found.equal:
        assert found.counterexample is not None
        a, b = (outputs(net, found.counterexample[None])[0] for net in (want, core))
        bit = int((a != b).argmax())
        raise MismatchError(f"Variable output bit {bit} of the fabric's Verilog differs from the netlist.")
    return found.method, found.patterns


def _output_bits(fabric: Fabric) -> Netlist:
    """Return the netlist of the score bits that are no constants, and of all bits of the class."""
    net = dataclasses.replace(fabric.netlist, stage=None, origin=None)
    score = fabric.score_signals.astype(np.int64)
    literal = np.where(score < FIRST_INPUT, score, 2 * score)
    literal[list(fabric.inverted)] ^= 1
    index = fabric.index_signals.astype(np.int64)
    literal = np.append(literal[score >= FIRST_INPUT], np.where(index < FIRST_INPUT, index, 2 * index))
    return Builder(net, k=net.k).netlist(literal.tolist())


def _on_inputs(core: Netlist, want: Netlist) -> Netlist:
    """Renumber the inputs of what was read back: the clock, then the inputs that `want` reads, ascending.

    Raises:
        MismatchError: it has another number of inputs.
    """
    read = np.unique(np.append(want.fanin.ravel(), want.outputs))
    read = read[(read >= FIRST_INPUT) & (read < want.first_lut)]
    if core.inputs != len(read) + 1:
        raise MismatchError(
            f"The Verilog of the fabric has {core.inputs - 1} inputs, the netlist reads {len(read)}."
        )
    luts = want.first_lut + np.arange(core.luts)
    signal = np.concatenate([[0, 1, 0], read, luts]).astype(np.int32)
    return Netlist(want.inputs, signal[core.fanin], core.table, signal[core.outputs])


def network_to_rtl(subject: Subject) -> tuple[str, int]:
    """Stream samples and the readout's corner cases through the RTL: every class and every score.

    Raises:
        MismatchError: a class or score differs, or gaps and back-pressure change a result.
        ToolMissingError: no simulator.
        LgcError: the simulation failed or took too long.
    """
    network, scored = subject.build.references
    chosen = stimulus(subject)
    section, _ = simulate_rtl(
        subject.rtl,
        network,
        chosen,
        fresh(subject.work / "rtl"),
        scored=scored,
        simulator=subject.simulator,
        seed=subject.seed,
        timeout_s=subject.timeout_s,
    )
    return f"simulation of {section.samples:,} vectors ({section.simulator}, back-pressure)", section.samples


def stimulus(subject: Subject) -> models.Samples:
    """Return the samples to simulate, the readout's corner cases first."""
    found = subject.samples.first(subject.images)
    cases = corners.find(subject.network, found.codes, seed=subject.seed)
    codes = np.concatenate([cases.codes, found.codes])
    return models.Samples(codes, None, f"{len(cases.codes)} corner cases, {found.source}")


def few(chosen: models.Samples, most: int | None) -> models.Samples:
    """Return at most so many of what `stimulus` gave, half of them corner cases."""
    if most is None or len(chosen) <= most:
        return chosen
    codes = np.concatenate([chosen.codes[: most // 2], chosen.codes[most // 2 - most :]])
    return models.Samples(codes, None, chosen.source)


def network_to_gates(subject: Subject) -> tuple[str, int]:
    """Simulate the netlist after synthesis with the vendor's cell models: every answer at its pins.

    Raises:
        MismatchError: an answer differs.
        ToolMissingError: no simulator, or no cell models.
        LgcError: the simulation failed or took too long.
    """
    out = fresh(subject.work / "gates")
    return simulate_pins(subject, to_verilog(subject, synthesised(subject), out), out)


def to_verilog(subject: Subject, netlist: Path, out: Path) -> Path:
    """Write a JSON netlist of Yosys' kind as Verilog of vendor cells to `gates.v` in `out`, and return it.

    Raises:
        LgcError: Yosys failed.
    """
    reset = drive.reset_of(subject.rtl)
    # designs for boards have no reset, but the bench drives one
    has = reset in drive.ports_of(synthesised(subject))
    add = "" if has else f"cd {TOP}\nadd -input {reset} 1\ncd ..\n"
    script = f"read_json {tools.relative(netlist, out)}\n{add}delete t:$scopeinfo\n"
    script += "chtype -set lgc_pll t:SB_PLL40_*\n" if _looped(subject) else ""
    script += "write_verilog -noattr gates.v\n"
    (out / "gates.ys").write_text(script)
    yosys = tools.find("yosys")
    tools.run(yosys, ["-q", "-s", "gates.ys"], cwd=out, log=out / "gates.log", timeout_s=subject.timeout_s)
    if not (out / "gates.v").is_file():
        raise LgcError("Yosys ended without the netlist.", hint=f"See {out / 'gates.log'}.")
    if _looped(subject):
        (out / "gates.v").write_text((out / "gates.v").read_text() + _LOOP)
    return out / "gates.v"


def _looped(subject: Subject) -> bool:
    """Whether a phase-locked loop makes the clock."""
    return subject.has("07-route") and bool(subject.values("07-route").get("pll"))


def without_loop(subject: Subject) -> None:
    """Refuse a design whose clock a phase-locked loop makes.

    Raises:
        ToolMissingError: it is one.
    """
    if _looped(subject):
        raise ToolMissingError(
            "Behind a phase-locked loop of this family only the netlist after synthesis is simulated.",
            hint="Compile without --clock to verify the rest; the design is the same.",
        )


def synthesised(subject: Subject) -> Path:
    """Return the netlist after synthesis."""
    read_step(subject.path, "06-synthesise")
    return subject.path / "06-synthesise" / str(subject.values("06-synthesise")["netlist"])


def references(
    subject: Subject, codes: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Right classes `[samples]` and scores `[samples, classes]` of codes `[samples, features]`."""
    network, scored = subject.build.references
    scores = scored.scores_of_codes(codes)
    same = scores if scored is network else network.scores_of_codes(codes)
    return same.argmax(axis=1), scores


def taken(subject: Subject, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return what the interface takes for codes `[samples, features]`."""
    return subject.rtl.interface.taken(subject.network.encoder, codes)


def simulate_pins(subject: Subject, source: Path, out: Path, *, most: int | None = None) -> tuple[str, int]:
    """Send samples to a design of vendor cells and compare the answers seen at its pins.

    Where a sample takes many clocks these are few: a program runs for thousands, and a UART of 115,200
    baud takes a hundred thousand for an image of MNIST.
    """
    family = subject.values("06-synthesise")["family"]
    models_ = cells.models(family, synthesised(subject), out, timeout_s=subject.timeout_s)
    rtl = dataclasses.replace(subject.rtl, sources=(source,), cells=models_)
    most = min(most or CLOCKS, max(2, CLOCKS // rtl.cycles_per_sample))
    chosen = few(stimulus(subject), most)
    reset = drive.reset_of(rtl) in drive.ports_of(synthesised(subject))
    if rtl.interface.wraps:
        chosen = chosen.first(min(LINK_MOST, max(1, LINK_CLOCKS // link_clocks(rtl))))
    codes = rtl.windows(chosen.codes)
    classes, scores = references(subject, codes)
    if not rtl.interface.wraps:
        result = runner.simulate(
            rtl,
            codes=taken(subject, codes),
            expected_class=classes,
            expected_scores=scores,
            out=out,
            simulator="icarus",
            seed=subject.seed,
            timeout_s=subject.timeout_s,
            stress_frames=6 if rtl.cycles_per_sample < CLOCKS // 12 else 1,
            pins_only=True,
            reset=reset,
        )
        return f"simulation of {result.samples:,} vectors ({result.simulator}, vendor cells)", result.samples
    link = links.simulate_link(
        rtl,
        codes=taken(subject, codes),
        expected_class=classes,
        expected_scores=scores,
        out=out,
        simulator="icarus",
        seed=subject.seed,
        timeout_s=subject.timeout_s,
        tests=("every_sample",),
        vendor_cells=True,
    )
    method = f"icarus, vendor cells, over {link.interface}"
    return f"simulation of {link.samples:,} vectors ({method})", link.samples


def link_clocks(rtl: RtlFiles) -> int:
    """Clocks that a sample takes over its interface, about."""
    if not rtl.interface.wraps:
        return rtl.cycles_per_sample
    words = rtl.core.packing.words + rtl.core.reply_words
    per_word = {"uart": 10 * rtl.interface.clocks, "spi": 64}.get(rtl.interface.name, 1)
    return rtl.cycles_per_sample + words * per_word


def only_ice40(subject: Subject) -> None:
    """Tell that a rung knows only one family.

    Raises:
        ToolMissingError: the build is for another one.
    """
    family = subject.values("06-synthesise")["family"]
    if family != "ice40":
        raise ToolMissingError(f"This rung knows the cells and bitstreams of ice40, not of {family}.")


def fresh(folder: Path) -> Path:
    """Make an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
