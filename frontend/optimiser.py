"""Adam over a network's parameters: rates by kind, clipping, schedule, layers that are decided."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lgc.errors import UsageError

from .config import TrainConfig
from .network import Network

_FLOOR = 0.01
"""Where the cosine schedule ends, relative to its start."""
_DROP = 0.1
"""What a step of the step schedule leaves."""


def rates(config: TrainConfig) -> dict[str, float]:
    """Learning rates by the last part of a parameter's name; others have `train.lr`."""
    settings = config.train
    return {
        "choice": settings.lr_connections,
        "thresholds": settings.lr_thresholds,
        "log_tau": settings.lr_tau,
        "weights": settings.lr_weights,
    }


def adam(config: TrainConfig, network: nn.Module) -> torch.optim.Adam:
    """Set Adam up, one group per parameter."""
    known = rates(config)
    groups = []
    for name, item in network.named_parameters():
        last = name.rpartition(".")[2]
        rate, decay = known.get(last, config.train.lr), config.train.decay if last == "functions" else 0.0
        groups.append({"params": [item], "lr": rate, "base": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=True)  # one pass over each tensor instead of a dozen


def schedule(config: TrainConfig, optimiser: torch.optim.Adam, done: float) -> None:
    """Set the learning rates for where the training is, `done` being the fraction behind us."""
    settings = config.train
    factor = 1.0
    if settings.schedule == "cosine":
        factor = _FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * done)) / 2
    elif settings.schedule == "step":
        factor = _DROP ** math.floor(done * settings.epochs / settings.step + 1e-9)
    for group in optimiser.param_groups:
        group["lr"] = group["base"] * factor


def clip(config: TrainConfig, network: nn.Module) -> None:
    """Limit the norms of the gradients: the thresholds' own (WARP, arXiv 2602.03527), then all."""
    settings = config.train
    own = [item for name, item in network.named_parameters() if name.endswith("thresholds")]
    if own and settings.clip_thresholds:
        nn.utils.clip_grad_norm_(own, settings.clip_thresholds)
    if settings.clip:
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip)


def trained(network: nn.Module) -> Iterator[Tensor]:
    """Yield the parameters that still change."""
    return (item for item in network.parameters() if item.requires_grad)


def freeze(config: TrainConfig, network: Network, done: float) -> int:
    """Decide the layers whose time has come, first to last; returns how many are.

    Later layers then adapt to what earlier ones will be in hardware (progressive freezing of
    CompactLogic, arXiv 2602.05830, by a schedule instead of its entropy test), and a step no longer
    goes back through them. Learned thresholds and regularisers end with the first layer.
    """
    count = sum(done >= at for at in config.train.freeze)
    for layer in network.layers[:count]:
        layer.requires_grad_(False)
    thermometer = getattr(network, "thermometer", None)
    if count and isinstance(thermometer, nn.Module):
        thermometer.requires_grad_(False)
    return count


def check_freeze(config: TrainConfig, layers: int) -> None:
    """Refuse a schedule of freezing that does not fit a network of so many layers.

    Raises:
        UsageError: not ascending fractions, or too many.
    """
    at = config.train.freeze
    if any(b < a for a, b in itertools.pairwise(at)) or not all(0 <= each <= 1 for each in at):
        raise UsageError(f"train.freeze = {list(at)} are not ascending fractions.", hint="Write [0.4, 0.6].")
    if len(at) >= max(layers, 1):
        raise UsageError(
            f"train.freeze names {len(at)} layers of {layers}; the last one goes on.",
            hint="Give one fraction less.",
        )
