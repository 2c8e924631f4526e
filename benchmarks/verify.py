"""How fast a decoded bitstream runs: our evaluation and Icarus Verilog on the same stimulus.

    python benchmarks/verify.py BUILD [--images N] [--icarus M]

BUILD is a finished build for iCE40, ECP5 or Gowin. Prints the classes that agree with the network and samples per CPU
second of both, and their ratio. CPU time, since the machine may be shared.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from lgc.build import Build
from lgc.hw_tests import runner
from lgc.verification import drive, emit, lanes, unpack
from lgc.verification.cells import shipped
from lgc.verification.hardware import synthesised, taken
from lgc.verification.subject import Subject


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--icarus", type=int, default=10)
    given = parser.parse_args()
    subject = Subject(Build.open(given.build), None, "", None, "auto", 0, 3600)
    start = time.process_time()
    design, port = unpack.unpacker(subject).logic(subject)
    tops = drive.ports_of(synthesised(subject))
    host = drive.Host(lanes.program(design, port, drive.clock_of(subject.rtl)), subject.rtl, 0)
    print(f"decoded {len(design.cells):,} cells in {time.process_time() - start:.1f} s of CPU")
    samples = subject.samples.first(given.images)
    network, _ = subject.build.references
    expected = network.scores_of_codes(samples.codes)
    want = expected.argmax(axis=1)
    sent = taken(subject, samples.codes)
    host.answers(sent[:1], gaps=False)  # compiles
    start = time.process_time()
    found = host.answers(sent, gaps=False)[:, 0]
    ours = len(want) / (time.process_time() - start)
    print(
        f"ours: {int(np.sum(found == want)):,} of {len(want):,} classes agree, {ours:,.0f} samples per CPU s"
    )
    if subject.rtl.interface.name != "stream" or subject.values("06-synthesise")["family"] != "ice40":
        return  # `lgc verify` simulates a sample or two over an interface, and knows the models of iCE40
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        (out / "decoded.v").write_text(emit.verilog(design, port, tops))
        before, few = children(), slice(0, given.icarus)
        result = runner.simulate(
            dataclasses.replace(
                subject.rtl, sources=(out / "decoded.v",), cells=shipped("ice40/cells_sim.v")
            ),
            codes=samples.codes[few],
            expected_class=want[few],
            expected_scores=expected[few],
            out=out / "sim",
            simulator="icarus",
            stress_frames=0,
            pins_only=True,
            timeout_s=3600,
        )
        icarus = result.samples / (children() - before)
    print(
        f"{result.simulator}: {result.matching_classes} of {result.samples} agree, {icarus:,.2f} samples per CPU s"
    )
    print(f"ratio {ours / icarus:,.0f}")


if __name__ == "__main__":
    main()
