"""SAT-based remapping by ABC, where it is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np

from lgc.errors import LgcError, ToolMissingError

from ..netlist import Netlist, table_dtype
from ._sweep import sweep
from .dce import Dce

_NAMES = ("yosys-abc", "abc", "berkeley-abc")
_FAILED = re.compile(r"^\*\* cmd error|^Error:|Assertion|has failed|Cannot ", re.MULTILINE)


@dataclass(frozen=True)
class SatLut:
    """Let ABC's `&satlut` look for fewer LUTs, window by window, by SAT; needs ABC.

    Takes a mapped netlist and gives back a smaller one, or the same. ABC is found through the
    environment variable LGC_ABC, on the PATH or in the `pyosys` package. Slow: minutes for a
    hundred thousand LUTs, for a few per mille of them.

    Attributes:
        seconds: longest time ABC may take; the netlist stays as it is if it is not done by then.
    """

    name: ClassVar[str] = "satlut"
    seconds: int = 600

    def __post_init__(self) -> None:
        """Reject options out of range."""
        if self.seconds < 1:
            raise ValueError(f"seconds must be at least 1, not {self.seconds}")

    def __call__(self, net: Netlist) -> Netlist:
        """Return the netlist with no more LUTs than before.

        Raises:
            ToolMissingError: there is no ABC.
            LgcError: ABC failed.
        """
        abc = find_abc()
        with tempfile.TemporaryDirectory(prefix="lgc-abc-") as folder:
            here = Path(folder)
            write_blif(net, here / "in.blif")
            script = "read_blif in.blif; &get -m; &satlut; &put; write_blif out.blif"
            if not run_abc(abc, script, folder=here, seconds=self.seconds):
                return net
            found = Dce()(sweep(read_blif(here / "out.blif", net), share=True))
        return replace(found, origin=None) if found.luts < net.luts and found.k <= net.k else net


def find_abc() -> Path:
    """Return ABC: $LGC_ABC, or a program on the PATH, or the one in the `pyosys` package.

    Raises:
        ToolMissingError: none is there.
    """
    named = os.environ.get("LGC_ABC")
    if named:
        found = shutil.which(named)
        if found is None:
            raise ToolMissingError(
                f"LGC_ABC names {named!r}, which cannot be run.", hint="Correct or unset it."
            )
        return Path(found)
    for name in _NAMES:
        if found := shutil.which(name):
            return Path(found)
    spec = find_spec("pyosys")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if found := shutil.which(_NAMES[0], path=folder):
            return Path(found)
    raise ToolMissingError(
        "This needs ABC, and none was found.",
        hint="Install it with `pip install pyosys`, or set LGC_ABC to its path.",
    )


def run_abc(abc: Path, script: str, *, folder: Path, seconds: int) -> bool:
    """Run ABC's `script` in `folder`; False if it took longer than `seconds`.

    Raises:
        LgcError: ABC reported an error; it exits 0 all the same.
    """
    try:
        done = subprocess.run(
            [abc, "-s", "-q", script],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    said = done.stdout + done.stderr
    if done.returncode or _FAILED.search(said):
        last = said.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise LgcError(f"ABC could not run {script!r}: {last[0]}")
    return True


def write_blif(net: Netlist, path: Path) -> None:
    """Write `net` for ABC, its roots being the outputs."""
    from ..interop import blif

    with path.open("wb") as file:
        file.writelines(blif.pieces(net))


def read_blif(path: Path, like: Netlist) -> Netlist:
    """Read what ABC made of `like`: the inputs and roots are those of `like`, the LUTs ABC's.

    Raises:
        LgcError: the file is missing, cut short or not the same network's.
    """
    from ..interop import blif

    if not path.is_file():
        raise LgcError("ABC wrote no netlist.")
    found = blif.parse(path.read_bytes())
    if (found.inputs, len(found.outputs)) != (like.inputs, len(like.roots())):
        raise LgcError("The netlist that ABC wrote has other inputs or outputs than the one it read.")
    k = max(found.k, like.k)
    fanin = np.zeros((found.luts, k), np.int32)
    fanin[:, : found.k] = found.fanin
    net = replace(like, fanin=fanin, table=found.table.astype(table_dtype(k)), stage=None, origin=None)
    return net.with_roots(found.outputs)
