"""The house-keeping tools are part of the suite, so that one command checks everything."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command", [["ruff", "check", "-q"], ["ruff", "format", "--check", "-q"], ["mypy"]], ids=" ".join
)
def test_clean(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_version_is_stated_once() -> None:
    import lgc

    pyproject = (ROOT / "pyproject.toml").read_text()
    assert re.search(r'^version = "(.*)"$', pyproject, re.MULTILINE)[1] == lgc.__version__  # type: ignore[index]
    assert f"## {lgc.__version__}" in (ROOT / "CHANGELOG.md").read_text()
