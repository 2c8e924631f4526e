"""Stopping hopeless trials early: Optuna's pruners, told about each epoch.

A pruner knows one figure, here the hardened validation accuracy after each epoch. A small network less
accurate than large ones is not hopeless, so that a trial has for rivals only those that its settings make
no larger and that were built alike. The worker decides by itself, from what its task says of them.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

PRUNERS = {"median": 50.0, "quartile": 75.0, "none": 0.0}
"""By name, per cent of the rivals that a trial has to be among with its best epoch so far."""

LEAST_RIVALS = 4
"""Rivals that a decision needs."""

WARM_UP = 3
"""No trial is stopped in the first of so many parts of its epochs."""

_SIZES = {"width", "k", "levels", "channels", "candidates"}
"""Settings that make networks larger, the last part of their names."""

Curve = Mapping[int, float]
"""Hardened validation accuracy by epoch."""


def rivals(own: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether a trial can be called hopeless because another does better, by what they have chosen."""
    return all(name in other and _comparable(name, text, other[name]) for name, text in own.items())


def _comparable(name: str, own: str, other: str) -> bool:
    if own == other:
        return True
    if name.startswith("compile.") or name == "train.epochs" or own.startswith(("[", "{")):
        return False
    return name.rsplit(".", 1)[-1] not in _SIZES or _at_most(other, own)


def _at_most(text: str, limit: str) -> bool:
    low, high = (tomllib.loads(f"v = {value}")["v"] for value in (text, limit))
    return isinstance(low, int | float) and isinstance(high, int | float) and low <= high


def read_curve(log: Path) -> dict[int, float]:
    """Read a trial's log, see `lgc.frontend.train.metrics_path`; no epochs if there is none."""
    if not log.is_file():
        return {}
    rows = (json.loads(line) for line in log.read_text("utf-8").splitlines())
    return {int(row["epoch"]): float(row["hard_val_acc"]) for row in rows}


class HopelessError(Exception):
    """Raised within training to end it."""


class Judge:
    """Watches the epochs of one trial.

    Args:
        pruner: a name in `PRUNERS`.
        against: curves of its rivals.
        epochs: of the whole training.
        before: epochs that an earlier run of the trial had done.
    """

    def __init__(self, pruner: str, against: tuple[Curve, ...], epochs: int, before: Curve) -> None:
        self.trial: optuna.Trial | None = None
        if pruner == "none" or len(against) < LEAST_RIVALS:
            return
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        rule = optuna.pruners.PercentilePruner(
            PRUNERS[pruner],
            n_startup_trials=LEAST_RIVALS,
            n_warmup_steps=-(-epochs // WARM_UP),
            n_min_trials=LEAST_RIVALS,
        )
        study = optuna.create_study(direction="maximize", pruner=rule)
        for curve in against:
            study.add_trial(
                optuna.trial.create_trial(value=max(curve.values()), intermediate_values=dict(curve))
            )
        self.trial = study.ask()
        for epoch, accuracy in before.items():
            self.trial.report(accuracy, epoch)

    def __call__(self, progress: Any) -> None:
        """Take note of an epoch; raises `HopelessError` where it shall be the last."""
        if self.trial is None or progress.hard_val_acc is None or progress.epoch == progress.epochs:
            return
        self.trial.report(progress.hard_val_acc, progress.epoch)
        if self.trial.should_prune():
            raise HopelessError
