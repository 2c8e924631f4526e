"""Place and route with several seeds at once; the fastest is kept."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from lgc.errors import LgcError

from .pnr import ClockUnroutableError, Routing

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seed:
    """What a seed gave.

    Attributes:
        seed: of the placer.
        fmax_mhz: maximum clock, None where it missed the one asked for or was not routed.
    """

    seed: int
    fmax_mhz: float | None


MORE_SEEDS = 3
"""Seeds that `first_routed` tries besides the one it is given."""


def first_routed(route: Callable[[int, Path], Routing], seed: int, out: Path) -> Routing:
    """Run `route(seed, out)`, with the next seeds where the clock finds no way.

    Raises:
        LgcError: the last one's.
    """
    for more in range(MORE_SEEDS):
        try:
            return route(seed + more, out)
        except ClockUnroutableError as error:
            _LOG.info("%s Seed %d is tried.", error, seed + more + 1)
    return route(seed + MORE_SEEDS, out)


def sweep(
    route: Callable[[int, Path], Routing], seeds: Sequence[int], *, out: Path, jobs: int | None = None
) -> tuple[Routing, tuple[Seed, ...]]:
    """Run `route(seed, directory)` for every seed and keep the directory of the fastest.

    Args:
        route: places and routes with a seed in a directory.
        seeds: at least one, all different; the first of equally fast ones wins.
        out: where the directories `seed-N` go.
        jobs: runs at a time; one per core if None.

    Returns:
        The best routing, its commands to be run in `out`, and what every seed gave.

    Raises:
        LgcError: the first seed's, where none succeeds.
    """

    def one(seed: int) -> Routing | LgcError:
        try:
            return route(seed, out / f"seed-{seed}")
        except LgcError as error:
            return error

    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        found = list(pool.map(one, seeds))
    routed = [item for item in found if isinstance(item, Routing)]
    if not routed:
        error = next(item for item in found if isinstance(item, LgcError))
        if len(seeds) > 1:
            error.add_note(f"None of {len(seeds)} seeds succeeded; this is what the first one said.")
        raise error
    best = max(routed, key=lambda item: item.fmax_mhz)
    for seed in seeds:
        if seed != best.seed:
            shutil.rmtree(out / f"seed-{seed}", ignore_errors=True)
    commands = tuple(f"cd seed-{best.seed} && {command}" for command in best.commands)
    spread = tuple(
        Seed(seed, item.fmax_mhz if isinstance(item, Routing) else None)
        for seed, item in zip(seeds, found, strict=True)
    )
    return replace(best, commands=commands), spread
