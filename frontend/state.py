"""The state of a training run between epochs, written atomically so that a run can go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lgc.errors import LgcError

from ._typing import Array
from .checkpoint import read_tensors, write_tensors
from .config import TrainConfig
from .network import Network

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass
class Best:
    """The best epoch so far.

    Attributes:
        epoch: 0 if there is none yet.
        score: hard validation accuracy, then negative hard validation loss.
        tensors: the network's parameters then.
    """

    epoch: int = 0
    score: tuple[float, float] = (-1.0, 0.0)
    tensors: dict[str, Tensor] = field(default_factory=dict)


def save(
    path: Path, config: TrainConfig, network: Network, adam: torch.optim.Adam, epoch: int, best: Best
) -> None:
    """Write everything the next epoch depends on."""
    tensors: dict[str, Array] = {
        f"now.{key}": value.cpu().numpy() for key, value in network.state_dict().items()
    }
    tensors |= {f"best.{key}": value.cpu().numpy() for key, value in best.tensors.items()}
    for i, moments in adam.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{name}": moments[name].cpu().numpy() for name in _MOMENTS}
    header = {"state": 1, "config": config.to_dict(), "epoch": epoch, "best": [best.epoch, *best.score]}
    write_tensors(path, tensors, header)


def restore(path: Path, config: TrainConfig, network: Network, adam: torch.optim.Adam) -> tuple[int, Best]:
    """Load a state into `network` and `adam`; returns the epochs done and the best one.

    Raises:
        LgcError: no state, damaged, or of a run with other settings.
    """
    if not path.exists():
        raise LgcError(f"There is no run to resume: {path} does not exist.", hint="Start without resume.")
    arrays, header = read_tensors(path)
    try:
        # settings that an older lgc did not know had their default
        _same_run(TrainConfig.from_dict(header["config"]), config)
        tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
        epoch = int(header["epoch"])
        at, accuracy, loss = header["best"]
        network.load_state_dict(_part(tensors, "now."))
        count = len(adam.param_groups[0]["params"]) + sum(len(g["params"]) for g in adam.param_groups[1:])
        stepped = [i for i in range(count) if f"adam.{i}.step" in tensors]  # others are frozen from the start
        moments = {i: {name: tensors[f"adam.{i}.{name}"] for name in _MOMENTS} for i in stepped}
        adam.load_state_dict({"state": moments, "param_groups": adam.state_dict()["param_groups"]})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise LgcError(f"{path} is not a usable training state: {error!r}.", hint="Start afresh.") from error
    return epoch, Best(int(at), (float(accuracy), float(loss)), _part(tensors, "best."))


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _same_run(earlier: TrainConfig, config: TrainConfig) -> None:
    """Refuse to go on with other settings; more epochs are fine if the schedule does not mind."""
    before, now = (json.loads(json.dumps(each.to_dict())) for each in (earlier, config))
    now["train"]["patience"] = before["train"]["patience"]  # decides when to stop, not what is learned
    constant = (now["train"]["schedule"], now["model"]["temperature_schedule"]) == ("constant", "constant")
    settled = not now["train"]["freeze"] and now["train"]["resample"] == 1
    if constant and now["model"]["harden"] in {0, 1} and settled:
        now["train"]["epochs"] = before["train"]["epochs"]
    changed = [
        f"{section}.{key}"
        for section, values in now.items()
        for key, value in values.items()
        if before[section].get(key) != value
    ]
    if changed:
        raise LgcError(
            f"The run to resume had another {', '.join(changed)}.",
            hint="Give the same settings, or start afresh.",
        )
