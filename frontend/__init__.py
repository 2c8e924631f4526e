"""From data to a hardened classifier: encode, relax, train, lower.

Importing this loads neither torch nor scikit-learn. `lgc.frontend.train.train` needs torch.
"""

from __future__ import annotations

from .checkpoint import Checkpoint, Layer
from .checkpoint import load as load_checkpoint
from .checkpoint import save as save_checkpoint
from .config import TrainConfig, presets
from .config import load as load_config
from .data import Dataset
from .data import load as load_data
from .lower import lower

__all__ = [
    "Checkpoint",
    "Dataset",
    "Layer",
    "TrainConfig",
    "load_checkpoint",
    "load_config",
    "load_data",
    "lower",
    "presets",
    "save_checkpoint",
]
