"""From data to a hardened classifier: encode, relax, train, lower.

Importing this loads nothing else; `lgc.frontend.train.train` is the one part that needs torch.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from .checkpoint import Checkpoint, Layer
    from .config import TrainConfig
    from .data import Dataset

__all__ = ["Checkpoint", "Dataset", "Layer", "TrainConfig"]

_HOMES = {
    "Checkpoint": "checkpoint",
    "Dataset": "data",
    "Layer": "checkpoint",
    "TrainConfig": "config",
}


def __getattr__(name: str) -> object:
    """Load what is asked for, the first time it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lgc.frontend' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
