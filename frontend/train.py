"""Training: from a configuration and a data set to a checkpoint, resumable after any epoch."""

from __future__ import annotations

import json
import logging
import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lgc.errors import LgcError, ToolMissingError
from lgc.ir.encoder import Thermometer

try:
    import torch
    from torch.nn.functional import cross_entropy
except ModuleNotFoundError as error:
    raise ToolMissingError(
        "Training needs PyTorch, which is not installed.", hint='pip install "lgc[train]"'
    ) from error

from . import augment, checkpoint, curves, encoder, state, usage
from ._typing import I64x1
from .checkpoint import Checkpoint
from .config import TrainConfig
from .data import Dataset, split_validation
from .lower import lower, tables
from .network import Network, blocks

_LOG = logging.getLogger(__name__)
_FLOOR = 0.01
"""Where the cosine schedule ends, relative to its start."""
_VALIDATION_BATCH = 4096


@dataclass(frozen=True)
class Progress:
    """What a progress bar wants to know; accuracies are None before the epoch's last step.

    Attributes:
        epoch, epochs: from 1.
        step, steps: within the epoch, from 1.
        loss: mean over the epoch so far.
        val_acc: relaxed network, validation split, fraction.
        hard_val_acc: hardened network, validation split, fraction; this is what counts.
        seconds: since training (re)started.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    val_acc: float | None
    hard_val_acc: float | None
    seconds: float


def state_path(out: Path) -> Path:
    """Where the run that writes the checkpoint `out` keeps its state."""
    return out.with_suffix(".state")


def metrics_path(out: Path) -> Path:
    """Where the run that writes the checkpoint `out` logs its epochs, one JSON object per line."""
    return out.with_suffix(".metrics.jsonl")


def curves_path(out: Path) -> Path:
    """Where the run that writes the checkpoint `out` draws its learning curves."""
    return out.with_suffix(".curves.svg")


def train(
    config: TrainConfig,
    data: Dataset,
    *,
    out: Path,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Checkpoint:
    """Train, keep the epoch with the best hardened validation accuracy, and write `out`.

    After each epoch the state is written next to `out`; `resume` goes on from there and ends with
    the same tensors as a run that was never interrupted. The test set is looked at once, at the end.
    The log of the epochs (`metrics_path`) and their curves (`curves_path`) lie next to `out`.

    Raises:
        LgcError: the loss became NaN, or there is nothing (matching) to resume.
        UsageError: settings that contradict each other or the data.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the kernels have the cores; torch sees parameters only
    try:
        run = _Run(config, data, out)
        if resume:
            run.restore()
        else:
            _start_log(metrics_path(out))
        start = time.monotonic()
        while run.epoch < config.train.epochs and not run.stalled:
            run.advance(progress, start)
        result = run.result(data)
    finally:
        torch.set_num_threads(threads)
    checkpoint.save(out, result)
    try:
        curves.write_curves(metrics_path(out), curves_path(out))
    except LgcError as error:  # a log that was deleted must not cost the checkpoint
        _LOG.warning("No learning curves: %s", error)
    return result


def _start_log(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", "utf-8")
    except OSError as error:
        raise LgcError(f"Cannot write {path}: {error.strerror}.") from error


class _Run:
    """A training run: network, optimiser and what they are fed with."""

    def __init__(self, config: TrainConfig, data: Dataset, out: Path) -> None:
        self.config = config
        self.out = out
        self.source = data.source
        self.class_names = data.class_names
        self.x, self.y, val_x, self.val_y = split_validation(data, config.data.validation, config.data.seed)
        self.encoder: Thermometer = encoder.fit(config.encoder, self.x, data.format)
        self.val_x = val_x
        self.val_bits = self.encoder.encode(val_x)
        sources = encoder.sources(self.encoder, self.x, data.image_shape)
        _LOG.info("%d of %d input bits change in training", len(sources.index), self.encoder.bits)
        rng = np.random.default_rng([config.train.seed, 0])
        self.network = Network(config.model, sources, len(data.class_names), rng)
        self.adam = torch.optim.Adam(self._parameter_groups())
        self.distortion: augment.Distortion | None = None
        self.hard = False
        self.noisy = False
        self.temperature = config.model.temperature
        self.epoch = 0
        self.best = state.Best()

    def _parameter_groups(self) -> list[dict[str, Any]]:
        settings = self.config.train
        rates = {"functions": settings.lr, "choice": settings.lr_connections}
        named = [(rates[name.rpartition(".")[2]], item) for name, item in self.network.named_parameters()]
        return [{"params": [item], "lr": rate, "base": rate} for rate, item in named]

    def restore(self) -> None:
        """Go on where the last complete epoch ended."""
        self.epoch, self.best = state.restore(state_path(self.out), self.config, self.network, self.adam)
        path = metrics_path(self.out)
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        path.write_text("".join(line + "\n" for line in lines[: self.epoch]), "utf-8")

    @property
    def stalled(self) -> bool:
        """Whether `train.patience` has run out; the relaxed part of a run that hardens later is spared."""
        settings = self.config.train
        harden = self.config.model.harden
        first = math.ceil(harden * settings.epochs) if harden < 1 else 0
        return 0 < settings.patience <= self.epoch - max(self.best.epoch, first)

    def advance(self, progress: Callable[[Progress], None] | None, start: float) -> None:
        """Train one epoch, validate, write the state."""
        settings = self.config.train
        began = time.monotonic()
        rng = np.random.default_rng([settings.seed, self.epoch + 1])
        order = rng.permutation(len(self.y))
        self.distortion = None
        if self.config.data.augment != "none":
            self.distortion = augment.draw(self.config.data, self.x.shape, rng)
        steps = -(-len(order) // settings.batch)
        total = 0.0
        for step in range(steps):
            self._schedule((self.epoch + step / steps) / settings.epochs)
            total += self._step(order[step * settings.batch : (step + 1) * settings.batch], step)
            mean = total / (step + 1)
            if progress and step + 1 < steps:
                seconds = time.monotonic() - start
                progress(
                    Progress(self.epoch + 1, settings.epochs, step + 1, steps, mean, None, None, seconds)
                )
        self.epoch += 1
        soft, hard, used = self._validate()
        seconds = time.monotonic() - start
        done = Progress(self.epoch, settings.epochs, steps, steps, mean, soft, hard, seconds)
        more = {"gap": soft - hard, "best_epoch": self.best.epoch, "epoch_seconds": start + seconds - began}
        # in this order: a resumed run drops lines beyond its state
        with metrics_path(self.out).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(done) | more | used) + "\n")
        state.save(state_path(self.out), self.config, self.network, self.adam, self.epoch, self.best)
        if progress:
            progress(done)

    def _schedule(self, done: float) -> None:
        """Set what changes over the run, `done` being the fraction behind us."""
        model = self.config.model
        hardened = done >= model.harden
        self.hard = hardened or model.estimator.endswith("hard")
        self.noisy = not hardened and model.estimator.startswith("gumbel")
        self.temperature = model.temperature_at(done)
        if self.config.train.schedule == "cosine":
            factor = _FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * done)) / 2
            for group in self.adam.param_groups:
                group["lr"] = group["base"] * factor

    def _inputs(self, order: I64x1) -> torch.Tensor:
        x = self.distortion.apply(self.x, order) if self.distortion else self.x[order]
        return blocks(self.encoder.encode(x), np.arange(len(order)))

    def _step(self, order: I64x1, step: int) -> float:
        """One step of Adam; returns the loss."""
        # a seed per step: a resumed run draws the same noise
        noise = (self.config.train.seed, self.epoch + 1, step + 1) if self.noisy else ()
        logits = self.network(self._inputs(order), hard=self.hard, temperature=self.temperature, noise=noise)
        loss = cross_entropy(logits[: len(order)], torch.from_numpy(self.y[order]))
        if not math.isfinite(loss.item()):
            raise LgcError(
                f"The loss became {loss.item()} in epoch {self.epoch + 1}.",
                hint="Lower train.lr, or start with another train.seed.",
            )
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        return loss.item()

    def _relaxed_accuracy(self) -> float:
        right = 0
        with torch.no_grad():
            for order in np.array_split(np.arange(len(self.val_y)), -(-len(self.val_y) // _VALIDATION_BATCH)):
                x = blocks(self.val_bits, order)
                logits = self.network(x, hard=False, temperature=self.temperature)[: len(order)]
                right += int((logits.argmax(1).numpy() == self.val_y[order]).sum())
        return right / len(self.val_y)

    def _validate(self) -> tuple[float, float, dict[str, Any]]:
        """Relaxed and hardened validation accuracy, gate usage; remembers the epoch if it is the best."""
        model = self._checkpoint({})
        scores = lower(model).scores(self.val_x)
        accuracy = float((scores.argmax(1) == self.val_y).mean())
        logits = torch.from_numpy(scores / self.config.model.tau)
        score = (accuracy, -cross_entropy(logits, torch.from_numpy(self.val_y)).item())
        if score > self.best.score:
            tensors = {key: value.clone() for key, value in self.network.state_dict().items()}
            self.best = state.Best(self.epoch, score, tensors)
        return self._relaxed_accuracy(), accuracy, usage.summary(tables(model.layers))

    def _checkpoint(self, metadata: dict[str, Any]) -> Checkpoint:
        tau = self.config.model.tau
        return Checkpoint(self.encoder, self.network.hardened(), self.class_names, tau, metadata)

    def result(self, data: Dataset) -> Checkpoint:
        """Assemble the best epoch's checkpoint, with its accuracies."""
        self.network.load_state_dict(self.best.tensors)
        predicted = lower(self._checkpoint({})).predict(data.test_x)
        metadata = {
            "config": self.config.to_dict(),
            "seed": self.config.train.seed,
            "source": self.source,
            "image_shape": data.image_shape,
            "epoch": self.best.epoch,
            "validation_accuracy": self.best.score[0],
            "validation_samples": len(self.val_y),
            "test_accuracy": float((predicted == data.test_y).mean()),
            "test_samples": len(data.test_y),
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in ("lgc", "torch", "numpy", "numba")},
        }
        return self._checkpoint(metadata)
