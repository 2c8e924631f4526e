import os
import subprocess
import sys

import pytest

from lgc.beside import beside

ORDER = """
import os
from lgc.beside import beside
os.cpu_count = os.process_cpu_count = lambda: 2
changed = []
def work(n):
    changed.append(n)
    return n, os.getpid()
results = beside([lambda: work(1), lambda: work(2), lambda: work(3)])
print([n for n, _ in results], len({process for _, process in results}), changed)
"""


def test_results_come_in_order_and_from_copies() -> None:
    """In a process of its own: where threads run, nothing is copied."""
    done = subprocess.run([sys.executable, "-c", ORDER], capture_output=True, text=True, check=True)
    assert done.stdout == "[1, 2, 3] 3 [1]\n"


def test_what_fails_in_a_copy_is_raised_here() -> None:
    def fail() -> int:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        beside([lambda: 1, fail])


def test_with_one_core_all_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 1, raising=False)
    assert set(beside([os.getpid, os.getpid])) == {os.getpid()}
