"""The search space: what varies, what is fixed, what is wanted."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgc.errors import LgcError, UsageError, nearest
from lgc.frontend import config
from lgc.options import STAGES, Options

from .stopping import PRUNERS

SAMPLERS = ("tpe", "nsga2", "random")
_RANGE = {"low", "high", "step", "log"}


@dataclass(frozen=True)
class Objective:
    """A figure to be large or small.

    Attributes:
        title: what it is called in tables and plots.
        rises: whether more is better.
        since: the first stage of `lgc.options.STAGES` whose builds have it.
    """

    title: str
    rises: bool
    since: str


OBJECTIVES = {
    "accuracy": Objective("validation accuracy, %", True, "verilog"),
    "luts": Objective("LUTs", False, "verilog"),
    "depth": Objective("LUTs on the longest path", False, "verilog"),
    "latency_cycles": Objective("register stages", False, "verilog"),
    "cells": Objective("logic cells", False, "bitstream"),
    "fmax_mhz": Objective("Fmax, MHz", True, "bitstream"),
    "latency_ns": Objective("latency, ns", False, "bitstream"),
}
"""What can be asked for. LUTs are counted after synthesis where a build has it, in the netlist of
network, popcount and argmax before."""


@dataclass(frozen=True)
class Parameter:
    """A setting that varies: over a range of numbers, or over choices."""

    name: str
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    choices: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the range is of integers."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1))


@dataclass(frozen=True)
class Space:
    """What to explore; the file format is described in docs/explore.md.

    Attributes:
        base: configuration that everything starts from, overridden by `fix`.
        fix: settings that hold for all trials, `("train.epochs=15", ...)`.
        vary: settings to search over; names beginning with `compile.` are options of `lgc compile`.
        compile: options of `lgc compile` for all trials.
        objectives: names in `OBJECTIVES`.
        trials: how many networks to train.
        seed: of the sampler.
        sampler: one of `SAMPLERS`.
        pruner: how hopeless trials are found while they train, a name in `PRUNERS`.
    """

    base: str
    vary: tuple[Parameter, ...]
    fix: tuple[str, ...] = ()
    compile: tuple[tuple[str, Any], ...] = ()
    objectives: tuple[str, ...] = ("accuracy", "luts")
    trials: int = 20
    seed: int = 0
    sampler: str = "tpe"
    pruner: str = "median"

    @classmethod
    def load(cls, path: Path) -> Space:
        """Read a TOML file and check every setting it names.

        Raises:
            LgcError: unreadable.
            UsageError: a key or value that lgc does not know; names the nearest.
        """
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise LgcError(f"Cannot read the space {path}: {error}.") from error
        base = str(values.get("base", "digits"))
        if base.endswith(".toml"):
            values["base"] = str(path.parent / base)
        return cls.of(values)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Space:
        """Build a space from what TOML says.

        Raises:
            UsageError: as for `load`.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        for key in values:
            if key not in known:
                raise UsageError(f"There is no setting {key} in a space.", hint=nearest(key, known))
        if not values.get("vary"):
            raise UsageError("The space varies nothing.", hint="Add a [vary] section; see docs/explore.md.")
        found = cls(
            base=str(values.get("base", "digits")),
            vary=tuple(_parameter(name, given) for name, given in values["vary"].items()),
            fix=tuple(f"{key}={toml(value)}" for key, value in values.get("fix", {}).items()),
            compile=tuple(dict(values.get("compile", {})).items()),
            objectives=tuple(values.get("objectives", cls.objectives)),
            trials=int(values.get("trials", cls.trials)),
            seed=int(values.get("seed", cls.seed)),
            sampler=str(values.get("sampler", cls.sampler)),
            pruner=str(values.get("pruner", cls.pruner)),
        )
        found.check()
        return found

    @property
    def until(self) -> str:
        """Last stage of every build: the one asked for, else the first that has all objectives."""
        needed = max((OBJECTIVES[name].since for name in self.objectives), key=STAGES.index)
        return str(dict(self.compile).get("until", needed))

    def check(self) -> None:
        """Resolve the corners of the space, so that a misspelt key shows before the first trial.

        Raises:
            UsageError: unknown objective, sampler, pruner, option or setting, a value out of range.
        """
        for name in self.objectives:
            if name not in OBJECTIVES:
                raise UsageError(f"There is no objective {name!r}.", hint=nearest(name, OBJECTIVES))
            if STAGES.index(OBJECTIVES[name].since) > STAGES.index(self.until):
                raise UsageError(f"{name} is known after the stage {OBJECTIVES[name].since} only.")
        if not self.objectives or self.trials < 1:
            raise UsageError("A space needs at least one objective and one trial.")
        if self.sampler not in SAMPLERS:
            raise UsageError(f"There is no sampler {self.sampler!r}.", hint=nearest(self.sampler, SAMPLERS))
        if self.pruner not in PRUNERS:
            raise UsageError(f"There is no pruner {self.pruner!r}.", hint=nearest(self.pruner, PRUNERS))
        for parameter in self.vary:
            ends = parameter.choices or tuple(toml(value) for value in (parameter.low, parameter.high))
            for value in ends:
                self.resolve({parameter.name: value})

    def resolve(self, chosen: Mapping[str, str]) -> tuple[config.TrainConfig, dict[str, Any]]:
        """Turn a choice, TOML text by name, into a configuration and options of `lgc compile`.

        Raises:
            UsageError: no such setting or option, or a value it cannot take.
        """
        options = dict(self.compile) | {"until": self.until}
        overrides = list(self.fix)
        for name, value in chosen.items():
            if name.startswith("compile."):
                options[name.removeprefix("compile.")] = tomllib.loads(f"v = {value}")["v"]
            else:
                overrides.append(f"{name}={value}")
        known = {field.name: field for field in dataclasses.fields(Options)}
        for name in options:
            if name not in known:
                raise UsageError(f"`lgc compile` has no option {name}.", hint=nearest(name, known))
        if options["until"] not in STAGES:
            raise UsageError(f"There is no stage {options['until']!r}.", hint=f"Stages: {', '.join(STAGES)}.")
        return config.load(self.base, overrides), options


def toml(value: object) -> str:
    """Write a value as TOML, on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return json.dumps(value)
    return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))


def _parameter(name: str, given: object) -> Parameter:
    if isinstance(given, list) and given:
        return Parameter(name, choices=tuple(map(toml, given)))
    if isinstance(given, Mapping) and {"low", "high"} <= set(given) <= _RANGE:
        found = Parameter(name, **given)
        numbers = all(isinstance(v, int | float) for v in (found.low, found.high, found.step or 1))
        if numbers and found.low <= found.high and not (found.log and found.low <= 0):
            return found
    raise UsageError(
        f"vary.{name} is {given!r}, neither a list of choices nor a range.",
        hint="Write [2, 4, 6], or {low = 100, high = 1000} with step or log besides.",
    )
