"""Where a network is trained: on the CPU's cores or on a GPU."""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor

from lgc.errors import UsageError

from .config import TrainConfig

_WIRINGS = ("full", "slots")
"""Connections whose kernels are for CPUs only."""


def on_gpu(tensor: Tensor) -> bool:
    """Whether the kernels of `lgc.frontend.kernels.gpu` have this tensor, else those for CPUs."""
    return tensor.is_cuda


def obstacle(config: TrainConfig, processes: int = 1) -> str:
    """Say what keeps a configuration from being trained on a GPU; empty if nothing does."""
    if not torch.cuda.is_available():
        return "this PyTorch finds no GPU"
    if importlib.util.find_spec("triton") is None:
        return 'Triton is not installed (pip install "lgc[gpu]")'
    if processes > 1:
        return "processes of torchrun share their gradients on CPUs"
    for layer in config.model.layers:
        if layer.kind != "dense":
            return f"layers of kind {layer.kind} are computed on CPUs"
        if layer.connections in _WIRINGS:
            return f"connections = {layer.connections} are computed on CPUs"
    if config.encoder.kind == "learned":
        return "learned thresholds are computed on CPUs"
    if config.train.lut_cost or config.train.entropy:
        return "train.lut_cost and train.entropy are computed on CPUs"
    return ""


def pick(config: TrainConfig, processes: int = 1) -> torch.device:
    """Choose by `train.device`; "auto" takes a GPU if there is one for all of the network.

    Raises:
        UsageError: a GPU was asked for and cannot be had; says why.
    """
    asked = config.train.device
    reason = "" if asked == "cpu" else obstacle(config, processes)
    if asked == "cuda" and reason:
        raise UsageError(f"Cannot train on a GPU: {reason}.", hint="Leave train.device at auto.")
    return torch.device("cpu" if asked == "cpu" or reason else "cuda")
