"""Keeping freed memory, so that a training step does not fault its buffers in anew."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEEP = 1 << 29
_LARGEST_MMAP_THRESHOLD = 1 << 25


@cache
def keep() -> bool:
    """Let glibc keep up to 512 MiB of freed memory; True if it does, False elsewhere.

    By default it hands buffers of a few MiB back after every step, and the system clears their pages
    for the next: a third of the time of a step of 32,000 two-input nodes.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((_TRIM_THRESHOLD, _KEEP), (_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD))
    return all(mallopt(key, value) == 1 for key, value in wanted)
