"""The study: which networks to try next, what is kept of each, and the front they form.

Optuna proposes and remembers, in a journal of one line per event that survives any interruption. Trials run
here, in processes of this machine, or as tasks of a Ray cluster; only this process writes the journal.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lgc.errors import LgcError, ToolMissingError
from lgc.manifest import write_text

from .space import OBJECTIVES, Parameter, Space
from .stopping import read_curve, rivals
from .trial import LOG, Outcome, Task, run

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
OUTCOME = "outcome.json"

_FREE = {"trials", "pruner"}
"""What may change from one call to the next."""


@dataclass(frozen=True)
class Finished:
    """A trial that ended.

    Attributes:
        number: from 0.
        chosen: TOML text of each varied setting by name.
        values: the objectives' figures; empty if it failed or was stopped.
        facts: all figures the build has.
        error: why it failed, or "".
        stopped: whether it was hopeless and ended early; `facts` then say after how many epochs.
    """

    number: int
    chosen: Mapping[str, str]
    values: tuple[float, ...]
    facts: Mapping[str, float]
    error: str
    stopped: bool = False


Watch = Callable[[Finished, int], None]
"""Told about each trial that ended, and how many have."""


def explore(
    space: Space, out: Path, *, jobs: int = 1, ray: str = "", watch: Watch | None = None
) -> list[Finished]:
    """Run the trials that are still missing in `out`; returns all that ended, by number.

    Interrupted trials of an earlier call go on first, their training from its last epoch.

    Args:
        space: what to explore; the same as in earlier calls with this folder.
        out: folder of the study, made if it does not exist.
        jobs: trials at a time on this machine, sharing its cores.
        ray: address of a Ray cluster, "auto" or "local"; "" for this machine without Ray.
        watch: told about each trial that ended.

    Raises:
        LgcError: `out` holds another space, or is not writable.
        ToolMissingError: Optuna or Ray is not installed.
    """
    study = _open(space, out)
    workers: _Workers = _Ray(ray) if ray else _Local(jobs)
    running: dict[Any, int] = {}
    missing = iter(_missing(space, study))
    try:
        while True:
            while len(running) < workers.slots and (number := next(missing, None)) is not None:
                task = _task(space, study, number, out)
                if isinstance(task, Task):
                    running[workers.start(task, _folder(out, number))] = number
                else:
                    _end(study, out, number, task)
            if not running:
                break
            for done, outcome in workers.wait(list(running)):
                number = running.pop(done)
                _end(study, out, number, outcome)
                if watch:
                    watch(_finished(study.trials[number], out), len(_ended(study)))
    finally:
        workers.stop()
    found = [_finished(trial, out) for trial in _ended(study)]
    rows = [dataclasses.asdict(trial) | {"pareto": trial in pareto(space, found)} for trial in found]
    write_text(
        out / "trials.json", json.dumps({"space": dataclasses.asdict(space), "trials": rows}, indent=2)
    )
    return found


def pareto(space: Space, trials: Iterable[Finished]) -> list[Finished]:
    """Trials that no other one beats in one objective without losing in another, best first."""
    good = [trial for trial in trials if trial.values]
    signs = [1 if OBJECTIVES[name].rises else -1 for name in space.objectives]
    key = {trial.number: tuple(s * v for s, v in zip(signs, trial.values, strict=True)) for trial in good}

    def beaten(trial: Finished) -> bool:
        own = key[trial.number]
        return any(
            other != own and all(a >= b for a, b in zip(other, own, strict=True)) for other in key.values()
        )

    return sorted((t for t in good if not beaten(t)), key=lambda t: key[t.number], reverse=True)


def _open(space: Space, out: Path) -> optuna.Study:
    """Open the study in `out`, or begin it."""
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise ToolMissingError("Optuna is not installed.", hint='Try: pip install "lgc[explore]"') from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        out.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(out / JOURNAL)))
    except OSError as error:
        raise LgcError(f"Cannot write to {out}: {error.strerror}.") from error
    study = optuna.create_study(
        study_name="lgc",
        storage=storage,
        load_if_exists=True,
        directions=["maximize" if OBJECTIVES[name].rises else "minimize" for name in space.objectives],
    )
    told = json.loads(json.dumps(dataclasses.asdict(space)))
    fixed = {key: value for key, value in told.items() if key not in _FREE}
    before = study.user_attrs.get("space")
    if before is None:
        study.set_user_attr("space", fixed)
    elif before != fixed:
        changed = ", ".join(key for key in fixed if fixed[key] != before.get(key))
        raise LgcError(
            f"{out} holds a study of another space: {changed} differ.",
            hint="Only `trials` and `pruner` may change; choose another folder for another space.",
        )
    # A resumed sampler must not repeat the draws it began with.
    seed = space.seed + len(study.trials)
    samplers: dict[str, Callable[..., optuna.samplers.BaseSampler]] = {
        "tpe": partial(optuna.samplers.TPESampler, constant_liar=True),
        "nsga2": optuna.samplers.NSGAIISampler,
        "random": optuna.samplers.RandomSampler,
    }
    study.sampler = samplers[space.sampler](seed=seed)
    return study


def _missing(space: Space, study: optuna.Study) -> Iterable[int]:
    """Numbers of interrupted trials, then of new ones, proposed when they are asked for."""
    import optuna

    yield from [t.number for t in study.trials if t.state == optuna.trial.TrialState.RUNNING]
    while len(study.trials) < space.trials:
        trial = study.ask()
        for parameter in space.vary:
            _suggest(trial, parameter)
        yield trial.number


def _suggest(trial: optuna.Trial, parameter: Parameter) -> None:
    name, low, high = parameter.name, parameter.low, parameter.high
    if parameter.choices:
        trial.suggest_categorical(name, parameter.choices)
    elif parameter.whole:
        step = 1 if parameter.step is None or parameter.log else int(parameter.step)
        trial.suggest_int(name, int(low), int(high), step=step, log=parameter.log)
    else:
        trial.suggest_float(
            name, low, high, step=None if parameter.log else parameter.step, log=parameter.log
        )


def _task(space: Space, study: optuna.Study, number: int, out: Path) -> Task | Outcome:
    chosen = _chosen(study.trials[number])
    try:
        config, options = space.resolve(chosen)
    except LgcError as error:
        return Outcome(error=str(error))
    against: tuple[dict[int, float], ...] = ()
    if "accuracy" in space.objectives and space.pruner != "none":
        others = (trial for trial in study.trials if trial.values is not None)
        logs = (_folder(out, trial.number) / LOG for trial in others if rivals(chosen, _chosen(trial)))
        against = tuple(curve for log in logs if (curve := read_curve(log)))
    return Task(number, config.to_dict(), options, space.objectives, space.pruner, against)


def _chosen(trial: optuna.trial.FrozenTrial) -> dict[str, str]:
    return {key: str(value) for key, value in trial.params.items()}


def _folder(out: Path, number: int) -> Path:
    return out / "trials" / f"{number:04}"


def _end(study: optuna.Study, out: Path, number: int, outcome: Outcome) -> None:
    """Keep what a trial gave, then count it as ended."""
    import optuna

    folder = _folder(out, number)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (outcome.files or {}).items():  # from a worker elsewhere
        (folder / name).write_bytes(content)
    said = {"error": outcome.error, "stopped": outcome.stopped, "facts": outcome.facts or {}}
    write_text(folder / OUTCOME, json.dumps(said) + "\n")
    states = optuna.trial.TrialState
    state = states.FAIL if outcome.error else states.PRUNED if outcome.stopped else None
    study.tell(number, None if state else list(outcome.values), state=state)


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.trials if trial.state.is_finished()]


def _finished(trial: optuna.trial.FrozenTrial, out: Path) -> Finished:
    values = () if trial.values is None else tuple(trial.values)
    said = json.loads((_folder(out, trial.number) / OUTCOME).read_text())
    stopped = said.get("stopped", False)
    return Finished(trial.number, _chosen(trial), values, said["facts"], said["error"], stopped)


class _Workers(Protocol):
    """Where trials run."""

    slots: int

    def start(self, task: Task, folder: Path) -> Any:
        """Begin a trial; returns what `wait` answers with."""

    def wait(self, running: list[Any]) -> list[tuple[Any, Outcome]]:
        """Wait until at least one trial has ended."""

    def stop(self) -> None:
        """End what still runs."""


class _Local:
    """Processes of this machine, each on its share of the cores."""

    def __init__(self, jobs: int) -> None:
        self.slots = jobs
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        shares = [cores[i::jobs] or cores for i in range(jobs)]
        context = get_context("spawn")
        queue = context.SimpleQueue()
        for share in shares:
            queue.put(share)
        self.pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_take_cores, initargs=(queue,))

    def start(self, task: Task, folder: Path) -> Future[Outcome]:
        return self.pool.submit(run, task, folder)

    def wait(self, running: list[Future[Outcome]]) -> list[tuple[Future[Outcome], Outcome]]:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        return [(future, future.result()) for future in done]

    def stop(self) -> None:
        processes = list((self.pool._processes or {}).values())
        self.pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


def _take_cores(queue: Any) -> None:
    """Give a worker its share of the cores; Ctrl-C is for the process that started it."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if share := queue.get():
        os.sched_setaffinity(0, share)


class _Ray:
    """Tasks of a Ray cluster; results come back as bytes, so no folder has to be shared."""

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError:
            raise ToolMissingError("Ray is not installed.", hint='Try: pip install "lgc[ray]"') from None
        self.ray = ray
        ray.init(
            address=None if address == "local" else address, log_to_driver=False, ignore_reinit_error=True
        )
        self.slots = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self.remote = ray.remote(num_cpus=1)(run)

    def start(self, task: Task, folder: Path) -> Any:  # noqa: ARG002 - the cluster sees no folder of ours
        return self.remote.remote(task, None)

    def wait(self, running: list[Any]) -> list[tuple[Any, Outcome]]:
        done, _ = self.ray.wait(running, num_returns=1)
        return [(item, self.ray.get(item)) for item in done]

    def stop(self) -> None:
        self.ray.shutdown()
