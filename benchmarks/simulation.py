"""How fast the RTL of a build is simulated, and what limits it.

    python benchmarks/simulation.py BUILD [--simulator icarus|verilator] [--images N]

Streams N test images, repeated if there are fewer, and again a tenth of them; the difference is what an
image costs, without building the simulation. CPU time, since the machine may be shared.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

import numpy as np

from lgc.build import Build
from lgc.hw_tests import runner
from lgc.verification.hardware import references
from lgc.verification.subject import Subject


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--simulator", default="icarus", choices=runner.SIMULATORS[1:])
    parser.add_argument("--images", type=int, default=500)
    given = parser.parse_args()
    subject = Subject(Build.open(given.build), None, "", None, given.simulator, 0, 3600)
    spent = {}
    for count in (given.images // 10, given.images):
        codes = np.resize(subject.samples.codes, (count, subject.rtl.features))
        classes, scores = references(subject, codes)
        before = children()
        with tempfile.TemporaryDirectory() as folder:
            found = runner.simulate(
                subject.rtl,
                codes=codes,
                expected_class=classes,
                expected_scores=scores,
                out=Path(folder),
                simulator=given.simulator,
                timeout_s=3600,
            )
        spent[count] = children() - before
        print(f"{found.simulator}: {found.matching_classes} of {count} agree, {spent[count]:.2f} CPU s")
    (few, first), (many, all_) = sorted(spent.items())
    print(f"{(many - few) / (all_ - first):,.0f} images per CPU second, without the build of the simulation")


if __name__ == "__main__":
    main()
