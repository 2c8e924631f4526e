"""Build and run one cocotb simulation in this process; `lgc.hw_tests.runner` starts and watches it.

`python -m lgc.hw_tests.cocotb_child` in a directory with `bench.json` repeats a simulation by hand.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cocotb_tools.runner import Runner, Verilator, get_runner

_VERILATOR_ARGS = ["--no-timing", "-Wno-fatal", "-Wno-lint", "-Wno-TIMESCALEMOD", "-O3"]
_VERILATOR_ARGS += ["--x-assign", "fast", "--x-initial", "fast"]

_PUBLIC = """\
`verilator_config
public_flat_rw -module "{top}" -var "*"
"""


class _Verilator(Verilator):
    """cocotb's runner, which makes every signal public; that keeps Verilator from optimising the LUTs."""

    def _build_command(self) -> list[list[str]]:
        return [
            [word for word in command if word != "--public-flat-rw"] for command in super()._build_command()
        ]


def main() -> None:
    """Read `bench.json`, build, run the tests it names."""
    os.environ.pop("PYTEST_CURRENT_TEST", None)  # it makes the runner rename the results file
    job: dict[str, Any] = json.loads(Path("bench.json").read_text())
    verilator = job["simulator"] == "verilator"
    runner: Runner = _Verilator() if verilator else get_runner("icarus")
    sources = [Path(source) for source in job["sources"]]
    if verilator:
        Path("public.vlt").write_text(_PUBLIC.format(top=job["top"]))
        sources.insert(0, Path("public.vlt"))
    runner.build(
        sources=sources,
        hdl_toplevel=job["top"],
        parameters=job["parameters"],
        defines=job["defines"],
        build_args=_VERILATOR_ARGS if verilator else [],
        build_dir="build",
        always=True,
        waves=job["waves"],
        timescale=None if verilator else ("1ns", "1ns"),
    )
    runner.test(
        test_module=job["module"],
        hdl_toplevel=job["top"],
        testcase=job["tests"],
        build_dir="build",
        test_dir=".",
        results_xml="results.xml",
        seed=job["seed"],
        waves=job["waves"],
    )


if __name__ == "__main__":
    main()
