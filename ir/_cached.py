"""Compiled kernels from numba's cache, without loading what only compiling needs.

numba fills its target context before it loads a function from the cache, which imports scipy.linalg and every
lowering that numba has: half a second, the larger part of a short command. Compiling fills it anyway, and our
kernels call nothing outside of themselves, so ours are loaded without.
"""

from __future__ import annotations

from typing import Any

from numba.core import caching
from numba.core.runtime.nrt import rtsys

_runtime: Any = rtsys
_NEEDED = {"load_overload", "_load_overload", "_guard_against_spurious_io_errors"}


def _load_overload(self: Any, sig: Any, target_context: Any) -> Any:
    """Load a compiled function, None if the cache has none."""
    if not getattr(self._py_func, "__module__", "").startswith("lgc."):
        return _usual(self, sig, target_context)
    _runtime.initialize(target_context)  # arrays that kernels make live there
    with self._guard_against_spurious_io_errors():
        return self._load_overload(sig, target_context)


if set(vars(caching.Cache)) >= _NEEDED:  # else this numba is built otherwise, and loads as it does
    _usual: Any = caching.Cache.load_overload
    setattr(caching.Cache, "load_overload", _load_overload)  # noqa: B010 - of a type that mypy knows as fixed
