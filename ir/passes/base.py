"""What a pass is, and how pipelines of passes are written, run and watched."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from lgc.errors import UsageError, nearest

from ..netlist import Netlist

if TYPE_CHECKING:
    from ..equivalence import Comparison
    from ..evidence import Evidence


class Pass(Protocol):
    """A function from netlist to netlist.

    A pass is a frozen dataclass whose fields are its options. It takes a well-formed netlist and
    returns one that computes the same outputs and scores; equal inputs give equal results.
    The first line of the class docstring is its help.
    """

    name: ClassVar[str]

    def __call__(self, net: Netlist) -> Netlist:
        """Return the transformed netlist; `net` is left alone."""
        ...


class NeedsData:
    """Base of passes that go by data, and so are inexact; `know` gives them the data.

    Such a pass has methods `apply(net, evidence)`, which returns the transformed netlist, and
    `verify(before, after, evidence)`, which says what that did to the accuracy.
    """

    name: ClassVar[str]

    def __call__(self, net: Netlist) -> Netlist:
        """Refuse to run without data."""
        del net
        raise UsageError(
            f"Pass {self.name} goes by data.", hint="Give a checkpoint, and a data set with --data."
        )


@dataclass(frozen=True, eq=False)
class Bound:
    """A pass with the data it goes by."""

    unbound: Any
    evidence: Evidence

    @property
    def name(self) -> str:
        """Name of the pass."""
        return str(self.unbound.name)

    @property
    def keeps_classes(self) -> bool:
        """Whether the argmax stays what it was."""
        return bool(self.unbound.keeps_classes)

    def __call__(self, net: Netlist) -> Netlist:
        """Return the transformed netlist."""
        found: Netlist = self.unbound.apply(net, self.evidence)
        return found

    def verify(self, before: Netlist, after: Netlist, levels: int) -> Comparison:
        """Say what the pass did to the accuracy."""
        del levels
        found: Comparison = self.unbound.verify(before, after, self.evidence)
        return found


Watcher = Callable[[Pass, Netlist, Netlist], None]
"""Called after each pass with the pass, the netlist before and the netlist after it."""


def run(passes: Iterable[Pass], net: Netlist, *, watch: Watcher | None = None) -> Netlist:
    """Apply `passes` in order; verification, timing and printing all live in `watch`."""
    for step in passes:
        after = step(net)
        if watch is not None:
            watch(step, net, after)
        net = after
    return net


@dataclass(frozen=True)
class Registry:
    """Passes by name, and aliases that stand for pipelines."""

    passes: dict[str, type[Pass]]
    aliases: dict[str, str]

    def parse(self, pipeline: str) -> tuple[Pass, ...]:
        """Parse a pipeline such as `simplify,lut-map{k=6 depth=true}`.

        Raises:
            UsageError: unknown pass or option (the nearest names are given), or malformed text.
        """
        if not pipeline.strip():
            return ()
        found: list[Pass] = []
        for item in re.split(r",(?![^{]*\})", pipeline):
            match = re.fullmatch(r"\s*([\w-]+)\s*(?:\{([^{}]*)\})?\s*", item)
            if match is None:
                raise UsageError(
                    f"Cannot read {item!r} in the pipeline.", hint="Write name or name{option=value}."
                )
            found += self._expand(match[1], match[2] or "")
        return tuple(found)

    def _expand(self, name: str, options: str) -> tuple[Pass, ...]:
        if name in self.aliases and not options:
            return self.parse(self.aliases[name])
        if name not in self.passes:
            hint = nearest(name, [*self.passes, *self.aliases])
            raise UsageError(f"There is no pass named {name!r}.", hint=hint)
        return (_construct(self.passes[name], options),)


def _construct(kind: type[Pass], options: str) -> Pass:
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, object] = {}
    for option in options.split():
        key, _, text = option.partition("=")
        if key not in fields:
            raise UsageError(f"Pass {kind.name} has no option {key!r}.", hint=nearest(key, fields))
        values[key] = _convert(kind.name, key, text, type(fields[key].default))
    try:
        return kind(**values)
    except ValueError as error:
        raise UsageError(f"Pass {kind.name}: {error}.") from None


def _convert(name: str, key: str, text: str, kind: type) -> object:
    if kind is bool and text in {"true", "false"}:
        return text == "true"
    if kind is int and re.fullmatch(r"-?\d{1,9}", text):
        return int(text)
    if kind is str and text:
        return text
    wanted = {bool: "true or false", int: "a whole number"}.get(kind, "a word")
    raise UsageError(f"Option {key} of pass {name} must be {wanted}, not {text!r}.")


def spell(step: Pass) -> str:
    """Return the pass as pipeline text, options that differ from their default included."""
    step = getattr(step, "unbound", step)
    changed = [
        f"{field.name}={str(value).lower() if isinstance(value, bool) else value}"
        for field in dataclasses.fields(step)  # type: ignore[arg-type]
        if (value := getattr(step, field.name)) != field.default
    ]
    return f"{step.name}{{{' '.join(changed)}}}" if changed else step.name
