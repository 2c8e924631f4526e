"""Modules as files hold them: names and attributes, without a line of their code.

`torch.save(model, file)` writes attributes and the names of classes. Opened with `weights_only=True`, every
class that is not torch's own becomes an empty one of that name, so that nothing of the file or of a package
is run. Modules put together from a state dict and a description are the same.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError

from . import files

_MAX_CLASSES = 1024
_DEPTH = 4


class Shell:
    """A module's attributes; the name of its class tells what they mean.

    Attributes:
        state: what the file says, tensors as arrays.
    """

    state: Mapping[str, Any] = {}

    def __init__(self) -> None:
        """Take no arguments: files that call a class are refused by that."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
            raise pickle.UnpicklingError(f"{type(self).__name__} has no attributes")
        self.state = {key: _value(value, key) for key, value in state.items()}

    def __getattr__(self, name: str) -> Any:
        for part in (self.state, *(self.state.get(each) for each in ("_parameters", "_buffers", "_modules"))):
            if isinstance(part, Mapping) and name in part:
                return part[name]
        raise AttributeError(f"the {type(self).__name__} of the file has no {name}")

    def children(self) -> dict[str, Shell]:
        """Modules inside, by name, in order."""
        found = self.state.get("_modules")
        inside = found.items() if isinstance(found, Mapping) else ()
        return {str(name): each for name, each in inside if isinstance(each, Shell)}


def make(path: str, state: Mapping[str, Any]) -> Shell:
    """Put a module together: the full name of its class, and its attributes."""
    module: Shell = _class(path)()
    module.__setstate__(state)
    return module


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return type(name, (Shell,), {"__module__": module})


def _value(value: Any, key: str, depth: int = 0) -> Any:
    """Keep modules, plain values and tensors as arrays, and what holds them; drop all else."""
    import torch

    if files.is_derived(key):
        return None
    if isinstance(value, torch.Tensor):
        return files.plain(value, key)
    if isinstance(value, Mapping) and depth < _DEPTH:
        return {name: _value(item, str(name), depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple) and depth < _DEPTH:
        return tuple(_value(item, key, depth + 1) for item in value)
    return value if isinstance(value, Shell | np.ndarray | bool | int | float | str) else None


def load(path: Path) -> Any:
    """Open a torch file; what is not tensors becomes shells.

    Raises:
        LgcError: opening it would run code, or a tensor is not plain.
        Exception: what parsers raise on damaged files.
    """
    import torch

    find = getattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)
    names = find(path) if find is not None else []  # torch 2.5 cannot tell
    if len(names) > _MAX_CLASSES:
        raise LgcError(f"{path} names {len(names):,} classes.", hint="The file is damaged.")
    classes = [_class(name) for name in names]
    try:
        with torch.serialization.safe_globals(classes):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, TypeError):
        raise LgcError(
            f"{path} holds more than tensors and modules, and opening that would run its code; lgc does not.",
            hint="Where you trust it: torch.save(torch.load(file, weights_only=False).state_dict(), new).",
        ) from None
