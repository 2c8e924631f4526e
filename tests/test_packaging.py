"""The wheel ships every package and data file; the checkout links every mapped folder."""

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_is_listed() -> None:
    found = {
        ".".join([name, *init.parent.relative_to(ROOT / folder).parts])
        for name, folder in SETUPTOOLS["package-dir"].items()
        for init in (ROOT / folder).rglob("__init__.py")
        if not any((ROOT / folder / part).is_symlink() for part in init.relative_to(ROOT / folder).parts)
    }
    assert found == set(SETUPTOOLS["packages"])


def test_links_resolve_to_the_mapped_folder() -> None:
    for name, folder in SETUPTOOLS["package-dir"].items():
        link = ROOT.joinpath(*name.split("."))
        if link.is_dir():  # absent where git has no symlinks
            assert link.resolve() == (ROOT / folder).resolve()


def test_data_files_are_listed() -> None:
    for package, patterns in SETUPTOOLS["package-data"].items():
        for pattern in patterns:
            folder = SETUPTOOLS["package-dir"].get(package, package.replace(".", "/"))
            assert list((ROOT / folder).glob(pattern)), f"{package}: {pattern}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel built from it, made without network."""
    # setuptools assembles the sdist inside the source tree, where another worker may be doing the same.
    out, source = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("source") / "lgc"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "runs", "build", "dist")
    shutil.copytree(ROOT, source, symlinks=True, ignore=unwanted)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_wheel_holds_the_modules_and_data(built: Path) -> None:
    names = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    wanted = {
        "lgc/cli.py",
        "lgc/py.typed",
        "lgc/ir/passes/lut_map.py",
        "lgc/frontend/presets/digits.toml",
        "lgc/report/published.toml",
        "lgc/report/estimate_errors.toml",
        "lgc/backend/targets/ice40-hx8k.toml",
        "lgc/hw_tests/stream_bench.v",
    }
    assert wanted <= names
    assert not [name for name in names if not name.startswith(("lgc/", "lgc-"))]


def test_sdist_builds_the_same_package(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = sdist.getnames()
    assert any(name.endswith("/ir/netlist.py") for name in names)
    assert any(name.endswith("/LICENSE") for name in names)


def test_wheel_runs_where_nothing_of_the_checkout_is_seen(built: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from lgc.cli import main; main(['passes', '--json'])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "lut-map" in done.stdout
