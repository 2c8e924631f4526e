"""Whole modules as `torch.save(model, file)` writes them: wiring, strides and scales are all in there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lgc.errors import LgcError

from . import files, live
from .network import Foreign, Options
from .shells import Shell

WIRING = "in the file"


def read(path: Path, options: Options) -> Foreign:
    """Read a module built from layers of torchlogix, difflogic or torch_dwn.

    Raises:
        UsageError: something must be given by an option.
        LgcError: a layer that is not known, inconsistent, damaged, or no module.
    """
    found = files.torch_file(path)
    if not isinstance(found, Shell):
        raise LgcError(f"{path} holds tensors, not a whole module.", hint="Leave --format out.")
    return taken(path, found, options)


def taken(path: Path, module: Shell, options: Options) -> Foreign:
    """Take a module of a file apart; whatever is wrong with it is one error.

    Raises:
        UsageError: something must be given by an option.
        LgcError: as `read`.
    """
    try:
        foreign = live.take(module, options).foreign
    except files.DAMAGE as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise LgcError(f"{path} has a module that is not complete: {reason.rstrip('.')}.") from None
    return replace(foreign, notes=dict(foreign.notes) | {"wiring": WIRING})
