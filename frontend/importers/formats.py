"""The formats by name, and which of them a file has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lgc.errors import LgcError, UsageError, nearest

from . import circuit, container, ddlgn, difflogic, dwn, files, lilogicnet, torchlogix, whole
from .network import Foreign, Options
from .shells import Shell

FORMATS: dict[str, Callable[[Path, Options], Foreign]] = {
    "difflogic": difflogic.read,
    "lilogicnet": lilogicnet.read,
    "ddlgn": ddlgn.read,
    "torchlogix": torchlogix.read,
    "torchlogix-circuit": circuit.read,
    "dwn": dwn.read,
    "module": whole.read,
    "lgc-json": container.read,
}
"""Readers by name."""


def read(path: Path, kind: str, options: Options) -> Foreign:
    """Read a file of one of `FORMATS`.

    Raises:
        UsageError: there is no such format, or an option is missing.
        LgcError: the file is damaged, inconsistent, or of another format.
    """
    if kind not in FORMATS:
        raise UsageError(f"There is no format {kind!r}.", hint=nearest(kind, [*FORMATS, "netlist", "auto"]))
    return FORMATS[kind](path, options)


def detect(path: Path) -> str:
    """Tell a file's format by its suffix and the names of its arrays.

    Raises:
        LgcError: none of them.
    """
    if path.suffix == ".csv":
        return "ddlgn"
    if path.suffix == ".json":
        return "torchlogix-circuit" if circuit.accepts(files.json_object(path)) else "lgc-json"
    if path.suffix == ".npz":
        return "lilogicnet" if lilogicnet.accepts(files.arrays(path)) else "lgc-json"
    state = files.safetensors(path) if path.suffix == ".safetensors" else files.torch_file(path)
    if isinstance(state, Shell):
        return "module"
    for name, accepts in (
        ("torchlogix", torchlogix.accepts),
        ("dwn", dwn.accepts),
        ("lilogicnet", lilogicnet.accepts),
        ("difflogic", difflogic.accepts),
    ):
        if accepts(state):
            return name
    keys = ", ".join(list(state)[:4]) or "none"
    raise LgcError(
        f"{path} is of no known format; its tensors are {keys[:120]}.",
        hint=f"Name one with --format: {', '.join(FORMATS)}.",
    )
