"""Rungs of folded designs: kernels and tail in place of one netlist."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lgc import folding
from lgc.backend import tools
from lgc.errors import LgcError, MismatchError
from lgc.ir.equivalence import compare, patterns
from lgc.ir.interop import verilog
from lgc.ir.kernels import Kernel
from lgc.ir.netlist import FIRST_INPUT, Netlist
from lgc.ir.simulate import outputs, scores

from .hardware import fresh
from .subject import Subject

_RANDOM = 4096
"""Random patterns tried."""

_READ_BACK = """\
read_verilog -lib blackbox.v
read_verilog {source}
hierarchy -top {top}
chtype -set SB_LUT4 t:lgc_lut4
opt_clean -purge
write_verilog -noattr -noexpr -nohex {top}.v
"""

_BLACKBOX = """\
module lgc_lut4 #(parameter [15:0] LUT_INIT = 16'h0) (output O, input I0, input I1, input I2, input I3);
endmodule
"""


def optimised_to_luts(subject: Subject) -> tuple[str, int]:
    """Prove that each kernel is what it was mapped from, and compare the whole on patterns and samples.

    Raises:
        MismatchError: a kernel or a score differs.
    """
    before, after = (folding.load(subject.path / step) for step in ("02-optimise", "03-expand"))
    methods = []
    for n, (one, other) in enumerate(zip(before.kernels, after.kernels, strict=True)):
        if one.window != other.window or one.netlist.inputs != other.netlist.inputs:
            raise MismatchError(f"Kernel {n} has another window than before its mapping.")
        found = compare(one.netlist, other.netlist, seed=subject.seed)
        if not found.equal:
            raise MismatchError(f"Kernel {n} computes something else than before its mapping.")
        methods.append("proved" if found.proof else "simulated")
    encoder = subject.network.encoder
    drawn = patterns(encoder.bits, samples=_RANDOM, seed=subject.seed, levels=subject.levels)
    bits = np.concatenate([drawn, encoder.compare(subject.samples.codes)])
    expected = scores(subject.optimised, bits)
    stored = outputs(after.front(), bits)
    found_scores = scores(after.tail, stored) if subject.serial else subject.fabric.scores(stored)
    differ = (expected != found_scores).any(axis=1)
    if differ.any():
        n = int(differ.argmax())
        raise MismatchError(
            f"{int(differ.sum()):,} of {len(bits):,} score vectors differ, first at sample {n}: the "
            f"optimised network gives {expected[n].tolist()}, its LUTs {found_scores[n].tolist()}."
        )
    if not subject.serial and not np.array_equal(expected.argmax(axis=1), subject.fabric.index(stored)):
        raise MismatchError("The fabric's class is not that of the highest score.")
    return f"kernels {' and '.join(sorted(set(methods)))}; simulation of {len(bits):,} vectors", len(bits)


def kernels_to_verilog(subject: Subject) -> tuple[str, int]:
    """Read the Verilog of each kernel back with Yosys and prove it equal to the netlist.

    Raises:
        MismatchError: a kernel differs.
        LgcError: Yosys failed.
    """
    source = next(path for path in subject.rtl.sources if path.name == "kernels.v")
    out = fresh(subject.work / "kernels")
    (out / "blackbox.v").write_text(_BLACKBOX)
    yosys = tools.find("yosys")
    text, proved, tried = source.read_text(), 0, 0
    for n, kernel in enumerate(folding.load(subject.path / "03-expand").kernels):
        top = f"lgc_layer{n}_kernel"
        if f"module {top} (" not in text:
            continue  # a pool that accumulates
        script = _READ_BACK.format(source=tools.relative(source, out), top=top)
        (out / f"{top}.ys").write_text(script)
        log = out / f"{top}.log"
        tools.run(yosys, ["-q", "-s", f"{top}.ys"], cwd=out, log=log, timeout_s=subject.timeout_s)
        if not (out / f"{top}.v").is_file():
            raise LgcError(f"Yosys ended without the kernel {top}.", hint=f"See {log}.")
        want = _read_inputs(kernel)
        core = verilog.parse((out / f"{top}.v").read_bytes())
        shape = (core.inputs, len(core.outputs))
        if shape != (want.inputs, len(want.outputs)):
            raise MismatchError(f"The Verilog of {top} has other inputs or outputs than its netlist.")
        found = compare(want, core, seed=subject.seed)
        if not found.equal:
            raise MismatchError(f"The Verilog of {top} computes something else than its netlist.")
        proved += bool(found.proof)
        tried += found.patterns
    return f"proof of {proved} kernels" if proved else f"simulation of {tried:,} vectors", tried


def _read_inputs(kernel: Kernel) -> Netlist:
    """Return the netlist of a kernel with only the inputs that are read."""
    net, used = kernel.netlist, np.flatnonzero(kernel.used.ravel())
    signal = np.zeros(net.signals, np.int32)
    signal[1] = 1
    signal[FIRST_INPUT + used] = FIRST_INPUT + np.arange(len(used))
    signal[net.first_lut :] = FIRST_INPUT + len(used) + np.arange(net.luts)
    return replace(net, inputs=len(used), fanin=signal[net.fanin], outputs=signal[net.outputs])
