"""Keeping memory, in large pages, so that a training step does not fault its buffers in anew."""

from __future__ import annotations

import ctypes
import mmap
import sys
import threading
from functools import cache

import torch

from .._typing import F32x3
from .simd import LANES

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_KEEP = 1 << 29
_LARGEST_MMAP_THRESHOLD, _DEFAULT_MMAP_MAX = 1 << 25, 1 << 16
_ROOM = 3 << 27
_SPARE: list[torch.Tensor] = []
"""Rows that nobody uses."""
_MOST_SPARE = 8
_LOCK = threading.Lock()


@cache
def keep() -> bool:
    """Let glibc keep up to 512 MiB of freed memory; True if it does, False elsewhere.

    By default it hands buffers of a few MiB back after every step, and the system clears their pages
    for the next: a third of the time of a step of 32,000 two-input nodes. The heap's next 384 MiB may
    also lie in large pages, if the system has them: nodes read rows all over layers of several MiB,
    which is more than the table of small pages' addresses holds.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    mallopt = getattr(library, "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((_TRIM_THRESHOLD, _KEEP), (_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD))
    if not all(mallopt(key, value) == 1 for key, value in wanted):
        return False
    _enlarge_pages(library)
    return True


def _enlarge_pages(library: ctypes.CDLL) -> None:
    """Advise large pages for the end of the heap: one piece is taken from it and given back, untouched."""
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    library.mallopt(_MMAP_MAX, 0)  # else a piece this large does not come from the heap
    piece = library.malloc(_ROOM)
    library.mallopt(_MMAP_MAX, _DEFAULT_MMAP_MAX)
    if piece:
        first = -(-piece // mmap.PAGESIZE) * mmap.PAGESIZE
        last = (piece + _ROOM) // mmap.PAGESIZE * mmap.PAGESIZE
        library.madvise(first, last - first, mmap.MADV_HUGEPAGE)
        library.free(piece)


class Rows:
    """Rows float32 `[slots, count, LANES]` for several counts, borrowed until they are given back.

    What they held is undefined. They begin with a cache line, so that a row touches as few as it can.
    """

    def __init__(self, slots: int, counts: list[int]) -> None:
        size = slots * sum(counts) * LANES
        with _LOCK:  # else what another thread takes meanwhile moves the one found
            fits = [i for i, each in enumerate(_SPARE) if size <= len(each) <= 2 * size]
            found = _SPARE.pop(fits[0]) if fits else None
        self._all: torch.Tensor | None = torch.empty(size) if found is None else found
        flat, at = self._all.numpy(), 0
        self.parts: list[F32x3] = []
        for count in counts:
            end = at + slots * count * LANES
            self.parts.append(flat[at:end].reshape(slots, count, LANES))
            at = end

    def give_back(self) -> None:
        """Let others use the memory."""
        if self._all is not None and len(_SPARE) < _MOST_SPARE:
            _SPARE.append(self._all)
        self._all, self.parts = None, []
