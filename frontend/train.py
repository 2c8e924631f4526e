"""Training: from a configuration and a data set to a checkpoint, resumable after any epoch."""

from __future__ import annotations

import json
import logging
import math
import platform
import re
import time
from collections.abc import Callable
from dataclasses import asdict
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

from . import (
    augment,
    budget,
    checkpoint,
    curves,
    detectors,
    devices,
    encoder,
    optimiser,
    png,
    regularise,
    state,
    usage,
)
from ._typing import Array, Bool2, I64x1
from .checkpoint import Checkpoint
from .config import TrainConfig
from .data import Dataset, split_validation, validation_rows
from .distil import Teacher
from .distributed import Team, team
from .lower import lower, tables
from .network import Network, blocks
from .progress import Progress
from .thermometer import LearnedThermometer

_LOG = logging.getLogger(__name__)


def state_path(out: Path) -> Path:
    """Where the run that writes the checkpoint `out` keeps its state."""
    return out.with_suffix(".state")


def metrics_path(out: Path) -> Path:
    """Where the run that writes the checkpoint `out` logs its epochs, one JSON object per line."""
    return out.with_suffix(".metrics.jsonl")


def curves_path(out: Path) -> Path:
    """Where the run that writes the checkpoint `out` draws its learning curves."""
    return out.with_suffix(".curves.svg")


def cpu_seconds(out: Path) -> float | None:
    """CPU time of all epochs of the run that writes the checkpoint `out`; None if its log does not say."""
    path = metrics_path(out)
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    spent = [json.loads(line).get("cpu_seconds") for line in lines]
    return None if not spent or None in spent else round(float(sum(spent)), 1)


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
    The log of the epochs (`metrics_path`) and their curves (`curves_path`, and a PNG if Pillow is
    installed) lie next to `out`.

    Started by `torchrun`, the processes share every batch; the first one writes and calls `progress`,
    all return the same checkpoint.

    Raises:
        LgcError: the loss became NaN, or there is nothing (matching) to resume.
        UsageError: settings that contradict each other or the data.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the kernels have the cores; torch sees parameters only
    try:
        with team() as processes:
            return _train(_Run(config, data, out, processes), data, resume, progress)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not re.search("allocate|out of memory", str(error)):
            raise
        hint = "Lower train.batch, or use narrower layers; --resume goes on from the last epoch."
        raise LgcError("The memory does not suffice for this network and batch.", hint=hint) from error
    finally:
        torch.set_num_threads(threads)


def _train(run: _Run, data: Dataset, resume: bool, progress: Callable[[Progress], None] | None) -> Checkpoint:
    processes, out = run.team, run.out
    if resume:
        run.restore()
    else:
        processes.from_leader(lambda: _start_log(metrics_path(out), state_path(out)))
    start = time.monotonic()
    while run.epoch < run.config.train.epochs and not run.stalled:
        run.advance(progress if processes.leads else None, start)
    return processes.from_leader(lambda: _finish(run, data))


def _finish(run: _Run, data: Dataset) -> Checkpoint:
    """Write the checkpoint and the curves."""
    result = run.result(data)
    checkpoint.save(run.out, result)
    try:
        drawing = curves_path(run.out)
        curves.write_curves(metrics_path(run.out), drawing)
        if png.installed():
            png.write_png(drawing, drawing.with_suffix(".png"))
    except LgcError as error:  # a log that was deleted must not cost the checkpoint
        _LOG.warning("No learning curves: %s", error)
    return result


def _start_log(path: Path, earlier: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", "utf-8")
        earlier.unlink(missing_ok=True)  # nothing of an earlier run is to be resumed
    except OSError as error:
        raise LgcError(f"Cannot write {path}: {error.strerror}.") from error


class _Run:
    """A training run: network, optimiser and what they are fed with."""

    def __init__(self, config: TrainConfig, data: Dataset, out: Path, processes: Team) -> None:
        self.config = config
        self.out = out
        self.team = processes
        self.source = data.source
        self.class_names = data.class_names
        self.x, self.y, self.val_x, self.val_y = split_validation(
            data, config.data.validation, config.data.seed
        )
        fitted = encoder.fit(config.encoder, self.x, data.format)
        sources = encoder.sources(fitted, self.x, data.image_shape)
        self.detectors = detectors.build(config.encoder, fitted, data.image_shape)
        if self.detectors is not None:
            sources = detectors.sources(self.detectors, sources, detectors.pieces(fitted, self.x))
        bits = fitted.bits if self.detectors is None else self.detectors.nodes
        _LOG.info("%d of %d input bits change in training", len(sources.index), bits)
        budget.check(config, data.train_x.nbytes, bits, len(self.val_y), len(sources.index))
        rng = np.random.default_rng([config.train.seed, 0])
        self.network = Network(config.model, sources, len(data.class_names), rng)
        optimiser.check_freeze(config, len(self.network.layers))
        self.thermometer: LearnedThermometer | None = None
        if config.encoder.kind == "learned":
            self.thermometer = LearnedThermometer(config.encoder, fitted, self.x)
            self.network.add_module("thermometer", self.thermometer)
        self._fixed = fitted
        self.teacher: Teacher | None = None
        if config.distil.teacher:
            rows = np.flatnonzero(~validation_rows(data, config.data.validation, config.data.seed))
            samples = len(data.train_y)
            self.teacher = Teacher(config.distil, rows, samples, len(data.class_names), data.features)
        self.device = devices.pick(config, processes.size)
        self.network.to(self.device)
        self.adam = optimiser.adam(config, self.network)
        self.distortion: augment.Distortion | None = None
        self.hard = False
        self.noisy = False
        self.frozen = 0
        self.resampling = True
        self.temperature = config.model.temperature
        self.epoch = self.first = 0
        self.best = state.Best()

    @property
    def encoder(self) -> Thermometer:
        """The encoder that hardware would have now."""
        return self._fixed if self.thermometer is None else self.thermometer.encoder()

    def restore(self) -> None:
        """Go on where the last complete epoch ended."""
        found = self.team.from_leader(self._read_state)
        if not self.team.leads:
            self.epoch, self.best, tensors, moments = found
            self.network.load_state_dict(tensors)
            self.adam.load_state_dict(moments)
        self.first = self.epoch

    def _read_state(self) -> tuple[int, state.Best, dict[str, Any], dict[str, Any]]:
        self.epoch, self.best = state.restore(state_path(self.out), self.config, self.network, self.adam)
        path = metrics_path(self.out)
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        path.write_text("".join(line + "\n" for line in lines[: self.epoch]), "utf-8")
        return self.epoch, self.best, self.network.state_dict(), self.adam.state_dict()

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
        began, used_before = time.monotonic(), time.process_time()
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
                    Progress(
                        self.epoch + 1,
                        settings.epochs,
                        step + 1,
                        steps,
                        mean,
                        None,
                        None,
                        seconds,
                        first=self.first,
                    )
                )
        self.epoch += 1
        score, soft, used = self.team.from_leader(self._validate)
        if score > self.best.score:
            tensors = {key: value.clone() for key, value in self.network.state_dict().items()}
            self.best = state.Best(self.epoch, score, tensors)
        seconds = time.monotonic() - start
        done = Progress(
            self.epoch,
            settings.epochs,
            steps,
            steps,
            mean,
            soft,
            score[0],
            seconds,
            used["usage"],
            self.first,
        )
        line = asdict(done)
        del line["first"]
        more = {
            "gap": done.gap,
            "tau": self.network.head.tau,
            "best_epoch": self.best.epoch,
            "epoch_seconds": start + seconds - began,
            "cpu_seconds": time.process_time() - used_before,
        }
        self.team.from_leader(lambda: self._keep(line | more | used))
        if progress:
            progress(done)

    def _keep(self, line: dict[str, Any]) -> None:
        """Write the epoch's log and state; in this order, a resumed run drops lines beyond its state."""
        with metrics_path(self.out).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        state.save(state_path(self.out), self.config, self.network, self.adam, self.epoch, self.best)

    def _schedule(self, done: float) -> None:
        """Set what changes over the run, `done` being the fraction behind us."""
        model = self.config.model
        hardened = done >= model.harden
        self.hard = hardened or model.estimator.endswith("hard")
        self.noisy = not hardened and model.estimator.startswith("gumbel")
        self.temperature = model.temperature_at(done)
        optimiser.schedule(self.config, self.adam, done)
        self.frozen = optimiser.freeze(self.config, self.network, done)
        self.resampling = done < self.config.train.resample

    def _step(self, order: I64x1, step: int) -> float:
        """One step of Adam on the processes' shares of a batch; returns the loss."""
        loss = torch.zeros(1)
        counts = torch.zeros(3, dtype=torch.float64)
        mine = order[self.team.share(len(order))]
        self.adam.zero_grad()
        if len(mine):
            loss += self._backward(mine, len(order), step, counts)
        trained = list(optimiser.trained(self.network))
        if self.team.size > 1:
            gradients = [torch.zeros_like(item) if item.grad is None else item.grad for item in trained]
            self.team.add([loss, counts, *gradients])
            for item, gradient in zip(trained, gradients, strict=True):
                item.grad = gradient
        if not math.isfinite(loss.item()):
            raise LgcError(
                f"The loss became {loss.item()} in epoch {self.epoch + 1}.",
                hint="Lower train.lr, or start with another train.seed.",
            )
        self.network.head.observe(counts)
        optimiser.clip(self.config, self.network)
        self.adam.step()
        if self.resampling:
            self.network.after_step(self.adam, (self.config.train.seed, self.epoch + 1, step + 1))
        return loss.item()

    def _backward(self, mine: I64x1, batch: int, step: int, counts: torch.Tensor) -> float:
        """Gradients of this process' part of the mean loss over `batch` samples; returns that part."""
        # a seed per step: a resumed run draws the same noise
        noise = (self.config.train.seed, self.epoch + 1, step + 1) if self.noisy else ()
        x = self.distortion.apply(self.x, mine) if self.distortion else self.x[mine]
        logits = self.network(
            self._inputs(x), hard=self.hard, temperature=self.temperature, noise=noise, frozen=self.frozen
        )[: len(mine)]
        labels = torch.from_numpy(self.y[mine]).to(self.device)
        if self.teacher is None:
            total = cross_entropy(logits, labels, reduction="sum")
        else:
            total = self.teacher.loss(logits, labels, self.teacher.scores(mine, x).to(self.device))
        loss = total / batch
        settings = self.config.train
        if settings.lut_cost or settings.entropy:
            cost = regularise.penalty(
                self.network,
                lut_cost=settings.lut_cost,
                entropy=settings.entropy,
                temperature=self.temperature,
            )
            loss = loss + cost * (len(mine) / batch)
        loss.backward()  # type: ignore[no-untyped-call]
        seen = logits.detach().double() * self.network.head.tau
        counts += torch.stack([seen.new_tensor(seen.numel()), seen.sum(), seen.square().sum()]).cpu()
        return loss.item()

    def _inputs(self, x: Array) -> torch.Tensor:
        if self.thermometer is None:
            return self._blocks(self._bits(x), np.arange(len(x)))
        bits: torch.Tensor = self.thermometer(self._fixed.codes(x), self.hard)
        return bits

    def _bits(self, x: Array) -> Bool2:
        """Compute what the first layer reads of samples, as hardware would now."""
        bits = self.encoder.encode(x)
        return bits if self.detectors is None else detectors.detect(self.detectors, bits)

    def _blocks(self, bits: Bool2, order: I64x1) -> torch.Tensor:
        if self.device.type == "cpu":
            return blocks(bits, order)
        from .kernels import gpu

        return gpu.blocks(bits, order, self.device)

    def _relaxed_accuracy(self) -> float:
        right = 0
        bits = self._bits(self.val_x)
        widest = max(bits.shape[1], *(layer.width for layer in self.config.model.layers))
        pieces = -(-len(self.val_y) // budget.validation_batch(widest))
        with torch.no_grad():
            for order in np.array_split(np.arange(len(self.val_y)), pieces):
                x = self._blocks(bits, order)
                logits = self.network(x, hard=False, temperature=self.temperature)[: len(order)]
                right += int((logits.argmax(1).cpu().numpy() == self.val_y[order]).sum())
        return right / len(self.val_y)

    def _validate(self) -> tuple[tuple[float, float], float, dict[str, Any]]:
        """Hardened validation accuracy with minus its loss, relaxed accuracy, gate usage."""
        model = self._checkpoint({})
        scores = lower(model).scores(self.val_x)
        accuracy = float((scores.argmax(1) == self.val_y).mean())
        logits = torch.from_numpy(scores / model.tau)
        loss = cross_entropy(logits, torch.from_numpy(self.val_y)).item()
        return (accuracy, -loss), self._relaxed_accuracy(), usage.summary(tables(model.layers))

    def _checkpoint(self, metadata: dict[str, Any]) -> Checkpoint:
        head = self.network.head
        layers = (*(() if self.detectors is None else (self.detectors,)), *self.network.hardened())
        return Checkpoint(self.encoder, layers, self.class_names, head.tau, metadata, head.hardened())

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
