"""Errors with an exit code: what the command line prints as one sentence.

Every error a user can cause derives from `LgcError`. The message says what is wrong; the optional
hint says what to do about it. Exit codes are part of the interface (`lgc --help`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class LgcError(Exception):
    """Bad input or a failed step; the command line prints it without a traceback and exits 1."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} {self.hint}" if self.hint else message


class UsageError(LgcError):
    """An option or a name that does not exist (exit code 2)."""

    exit_code = 2


class ToolMissingError(LgcError):
    """An external tool is not installed (exit code 3)."""

    exit_code = 3


class MismatchError(LgcError):
    """Two stages disagree: the hardware does not compute what the network does (exit code 4)."""

    exit_code = 4


class DoesNotFitError(LgcError):
    """The design needs more than the target has, or misses its clock (exit code 5)."""

    exit_code = 5


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint naming the known names closest to `name`."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"Did you mean {' or '.join(close)}?" if close else f"Known: {', '.join(known)}."
