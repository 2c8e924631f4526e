"""Sharing blocks among cores with plain threads; the kernels release the interpreter lock.

OpenMP's threads spin while they wait. On cores that other processes use too, a training step took
five times as long with them as with these, and torch's pool spins next to numba's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, cores() - 1), thread_name_prefix="lgc-kernel")


def share(kernel: Callable[..., None], blocks: int, *arrays: object) -> None:
    """Call `kernel(*arrays, first, stop)` so that the ranges cover `blocks`, one range per core."""
    parts = min(cores(), blocks)
    bounds = [blocks * i // parts for i in range(parts + 1)]
    others = [_pool().submit(kernel, *arrays, first, stop) for first, stop in pairwise(bounds[1:])]
    kernel(*arrays, 0, bounds[1])
    for future in others:
        future.result()
