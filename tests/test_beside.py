import os

import pytest

from lgc.beside import beside


def test_results_come_in_order_and_from_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 2, raising=False)
    changed: list[int] = []

    def work(n: int) -> tuple[int, int]:
        changed.append(n)
        return n, os.getpid()

    results = beside([lambda: work(1), lambda: work(2), lambda: work(3)])
    assert [n for n, _ in results] == [1, 2, 3]
    assert len({process for _, process in results}) == 3
    assert changed == [1]


def test_what_fails_in_a_copy_is_raised_here() -> None:
    def fail() -> int:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        beside([lambda: 1, fail])


def test_with_one_core_all_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 1, raising=False)
    assert set(beside([os.getpid, os.getpid])) == {os.getpid()}
