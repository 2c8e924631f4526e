"""The documentation builds without a warning, and its tutorials run as written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BIN = Path(sys.executable).parent
DATA = Path(os.environ.get("LGC_DATA", ROOT.parent / "shared" / "data"))
MNIST = DATA / "mnist"
TABLES = {"jets": ("jsc.npz", "jsc.csv"), "intrusions": ("unsw-nb15.npz",)}
"""Jet tagging (16 features, 5 classes; OpenML 42468) and UNSW-NB15 (593 bits, 2 classes), if they are given."""

BLOCK = re.compile(
    r"^(<!-- not run: .+ -->\n)?```(\w+)(?: title=\"([^\"\n]+)\")?\n(.*?)^```", re.MULTILINE | re.DOTALL
)
"""A fenced block with its language and file name, perhaps excused by a comment before it."""


def execute(language: str, text: str, folder: Path, **more: str) -> None:
    """Run a block of a page in `folder`, with `more` variables."""
    programs = {
        "sh": ["bash", "-euc", text],
        "python": [sys.executable, "-c", text],
        "diff": ["git", "apply", "-"],
    }
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"} | more
    done = subprocess.run(
        programs[language],
        cwd=folder,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def follow(page: str, folder: Path, **more: str) -> None:
    """Do what a page says: write its files, apply its changes, run its commands."""
    ran = 0
    for excuse, language, title, text in BLOCK.findall((DOCS / f"{page}.md").read_text()):
        if title:
            (folder / title).write_text(text)
        elif language in {"sh", "python", "diff"} and not excuse:
            execute(language, text, folder, **more)
            ran += 1
    assert ran


@pytest.mark.parametrize(
    "names", [("digits",), ("sensors",), pytest.param(("digits", "soc"), marks=pytest.mark.slow)]
)
def test_tutorials_run_as_written(names: tuple[str, ...], tmp_path: Path) -> None:
    """Those that go on from others in the others' folder."""
    for name in names:
        follow(f"tutorials/{name}", tmp_path)


@pytest.mark.parametrize(
    "page", ["pass", "relaxation", "importer", pytest.param("target", marks=pytest.mark.slow)]
)
def test_what_one_adds_to_lgc_works_as_written(page: str, tmp_path: Path) -> None:
    """In a copy of the sources, compiled kernels included."""
    others = ("frontend", "ir", "backend", "hw_tests", "lgc", "tests", "pyproject.toml")
    skipped = shutil.ignore_patterns(".*")
    for name in others:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=skipped)
        else:
            shutil.copy2(ROOT / name, tmp_path)
    follow(f"how-to/{page}", tmp_path, PYTHONPATH=str(tmp_path))


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [
        str(BIN / "mkdocs"),
        "build",
        "--strict",
        "-q",
        "-f",
        "docs/site/mkdocs.yml",
        "-d",
        str(tmp_path),
    ]
    # The theme's own notice about the future of MkDocs is no warning about these pages.
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    commands = (tmp_path / "reference" / "commands.html").read_text()
    settings = (tmp_path / "reference" / "config.html").read_text()
    assert "lgc compile" in commands
    assert "lr_connections" in settings


def test_the_example_of_the_python_interface_runs(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "examples" / "digits.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "50 of 50 training images: hardware and network agree" in done.stdout


@pytest.mark.slow
def test_the_example_of_a_stream_runs(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "examples" / "folding.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("5 of 5 training images: hardware and network agree") == 2


def test_the_example_of_a_table_runs(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "examples" / "tabular.py", "--epochs", "4", "--images", "10"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 of 10 samples: hardware and network agree" in done.stdout


def test_the_example_of_a_signal_runs(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "examples" / "vibration.py", "--epochs", "1", "--windows", "8"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 of 9 windows: the hardware's class is the network's" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_the_example_of_a_table_runs_on_larger_ones(name: str, tmp_path: Path) -> None:
    given = [path for file in TABLES[name] if (path := DATA / file).is_file()]
    if not given:
        pytest.skip(f"none of {', '.join(TABLES[name])} is in {DATA}; set LGC_DATA")
    command = [sys.executable, ROOT / "examples" / "tabular.py", given[0], "--epochs", "1", "--images", "10"]
    command += ["--levels", "1"] if name == "intrusions" else ["--levels", "16"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 of 10 samples: hardware and network agree" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.is_dir(), reason=f"the real MNIST is not at {MNIST}; set LGC_DATA")
def test_the_example_of_mnist_runs(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "examples" / "mnist.py", MNIST, "--epochs", "1", "--images", "5"]
    command += ["--until", "simulation"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_of_a_design_around_it_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "soc.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted, expected = (line.split()[4:] for line in done.stdout.splitlines()[-2:])
    assert counted == expected
    assert sum(map(int, counted)) == 40
