"""Simulation models of vendor cells, out of the library that Yosys ships."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from lgc.errors import LgcError, ToolMissingError

from .tools import Tool, run

_NOISE = re.compile(r"/\*.*?\*/|^`file_(?:push|pop)[^\n]*\n", re.DOTALL | re.MULTILINE)
"""Comments, and what Yosys notes where it includes a file."""

_MODULE = re.compile(
    r"^(?P<attributes>(?:\(\*[^\n]*\*\)\s*)*)(?P<text>module +(?P<name>\\?[\w$]+).*?\bendmodule\b)",
    re.DOTALL | re.MULTILINE,
)
_TIMING = re.compile(r"^\s*specify\b.*?^\s*endspecify\n", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"\"[^\"]*\"|[A-Za-z_]\w*")


def cell_models(yosys: Tool, library: str, names: Iterable[str], out: Path, *, timeout_s: float = 120) -> str:
    """Verilog models of the cells `names`, and of the cells that those consist of, without timing.

    Args:
        yosys: whose library it is.
        library: its name of the file, `+/ecp5/cells_sim.v`.
        names: types of cells.
        out: folder for what Yosys writes, removed again.
        timeout_s: time limit.

    Raises:
        ToolMissingError: the library has no model of one, or an empty one.
        LgcError: Yosys failed.
    """
    log = out / "models.log"
    # the dump is in the log file even where a YoWASP build loses what it prints
    args = ["-q", "-l", log.name, "-p", f"read_verilog -lib -ppdump {library}"]
    run(yosys, args, cwd=out, log=out / "models.out", timeout_s=timeout_s)
    text = log.read_text(errors="replace") if log.is_file() else ""
    for made in (log, out / "models.out"):
        made.unlink(missing_ok=True)
    if "endmodule" not in text:
        raise LgcError(f"{yosys.name} {yosys.version} printed no models from {library}.")
    models: dict[str, str] = {}
    for found in _MODULE.finditer(_NOISE.sub("", text)):
        if "blackbox" not in found["attributes"].replace("lib_whitebox", ""):
            models.setdefault(found["name"], found["text"])
    wanted, taken = list(names), list[str]()
    while wanted:
        name = wanted.pop(0)
        if name in taken:
            continue
        if name not in models:
            raise ToolMissingError(
                f"{yosys.name} {yosys.version} has no simulation model of {name} in {library}."
            )
        taken.append(name)
        models[name] = _TIMING.sub("", models[name])
        wanted += [used for used in _NAME.findall(models[name]) if used in models and used not in taken]
    head = f"// Simulation models of vendor cells, from {library} of Yosys {yosys.version} (ISC licence).\n"
    return head + "".join(models[name] + "\n\n" for name in taken)
