"""Work beside other work: copies of this process, which cost nothing to start and know all that it knows."""

from __future__ import annotations

import os
import pickle
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def beside(works: Sequence[Callable[[], T]]) -> list[T]:
    """Call functions and return their results, with two cores or more all at once.

    Where processes cannot be copied, or threads run that a copy would lack, one after the other. What a
    function changes stays in its copy.

    Args:
        works: functions whose results can be pickled.
    """
    cores = os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()
    if not hasattr(os, "fork") or threading.active_count() > 1 or (cores or 1) < 2:
        return [work() for work in works]
    started = [_copy(work) for work in works[1:]]
    results = [work() for work in works[:1]]
    for work, (process, pipe) in zip(works[1:], started, strict=True):
        with os.fdopen(pipe, "rb") as answer:
            data = answer.read()
        os.waitpid(process, 0)
        # our own copy wrote it; where work failed it wrote nothing, and says here why
        results.append(pickle.loads(data) if data else work())  # noqa: S301
    return results


def _copy(work: Callable[[], T]) -> tuple[int, int]:
    """Start a copy of this process that calls `work`; return its number and where its result can be read."""
    answer, told = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of BLAS, which looks after them
        process = os.fork()
    if process:
        os.close(told)
        return process, answer
    try:
        with os.fdopen(told, "wb") as out:
            out.write(pickle.dumps(work()))
    finally:
        os._exit(0)
