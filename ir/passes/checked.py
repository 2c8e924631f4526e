"""Running a pipeline and proving that it kept the function; naming the pass that did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, cast

from lgc.errors import MismatchError

from .._typing import Bool1, Bool2
from ..equivalence import Comparison, compare
from ..evidence import Evidence
from ..netlist import Netlist
from .base import Bound, NeedsData, Pass, Watcher, run, spell


@dataclass(frozen=True)
class Verdict:
    """Passes that were checked together, and how.

    Attributes:
        passes: the pipeline text of the passes.
        comparison: of the netlist before the first with the one after the last.
    """

    passes: str
    comparison: Comparison


def codes_of(pipeline: Sequence[Pass]) -> int:
    """Length of the thermometer codes that passes of the pipeline take the inputs for, 1 if none."""
    return max((getattr(step, "thermometer", 1) for step in pipeline), default=1) or 1


def know(pipeline: Sequence[Pass], levels: int, evidence: Evidence | None = None) -> tuple[Pass, ...]:
    """Tell passes what is known of the inputs.

    Args:
        pipeline: the passes.
        levels: bits of the inputs' thermometer codes, for passes whose option `thermometer` is 0.
        evidence: data, for passes that go by it.
    """
    return tuple(_know(step, levels, evidence) for step in pipeline)


def _know(step: Pass, levels: int, evidence: Evidence | None) -> Pass:
    if evidence is not None and isinstance(step, NeedsData):
        return cast(Pass, Bound(step, evidence))
    if getattr(step, "thermometer", None) == 0:
        return replace(step, thermometer=levels)  # type: ignore[type-var]
    return step


def run_checked(
    pipeline: Sequence[Pass],
    net: Netlist,
    *,
    watch: Watcher | None = None,
    data: Bool2 | None = None,
    each: bool = False,
) -> tuple[Netlist, list[Verdict]]:
    """Apply passes in order and prove the result equal to `net`.

    Passes that change what the outputs mean (`expand-readout`) say themselves how they are checked,
    by a method `verify(before, after, levels)`; the others are checked together, from first to last.

    Args:
        pipeline: the passes.
        net: their input.
        watch: called after each pass, before any check.
        data: further input patterns bool `[samples, inputs]` to compare on.
        each: check after every pass instead.

    Raises:
        MismatchError: a pass changed the function; names it, by bisection, and the input pattern.
    """
    levels = codes_of(pipeline)
    verdicts: list[Verdict] = []
    start, since = net, 0

    def settle(until: int) -> None:
        nonlocal start, since
        if since < until:
            found = compare(start, net, data=data, levels=levels)
            if not found.equal:
                _blame(pipeline[since:until], start, found, data, levels)
            verdicts.append(Verdict(",".join(map(spell, pipeline[since:until])), found))
        start, since = net, until

    for number, step in enumerate(pipeline):
        own = getattr(step, "verify", None)
        if own is not None:
            settle(number)
        before, net = net, step(net)
        if watch is not None:
            watch(step, before, net)
        if own is not None:
            found = own(before, net, levels)
            if not found.equal:
                raise _mismatch(step, found.counterexample)
            verdicts.append(Verdict(spell(step), found))
            start, since = net, number + 1
        elif each:
            settle(number + 1)
    settle(len(pipeline))
    return net, verdicts


def _blame(
    pipeline: Sequence[Pass], net: Netlist, found: Comparison, data: Bool2 | None, levels: int
) -> NoReturn:
    """Find the first pass after which the function differs, and raise."""
    good, bad = 0, len(pipeline)
    while bad - good > 1:
        middle = (good + bad) // 2
        tried = compare(net, run(pipeline[:middle], net), data=data, levels=levels)
        if tried.equal:
            good = middle
        else:
            bad, found = middle, tried
    raise _mismatch(pipeline[bad - 1], found.counterexample)


def _mismatch(step: Pass, pattern: Bool1 | None) -> MismatchError:
    shown = "" if pattern is None else f" for the inputs {''.join(map(str, pattern.astype(int).tolist()))}"
    return MismatchError(
        f"Pass {spell(step)} changes the function{shown}.",
        hint="Leave it out, and please report this with the netlist.",
    )
