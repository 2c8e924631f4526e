"""Who may import whom, and what stays unloaded until it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("lgc", "frontend", "ir", "backend", "hw_tests")
MAY_IMPORT = {
    "ir": {"lgc.ir", "lgc.errors"},
    "frontend": {"lgc.frontend", "lgc.ir", "lgc.errors"},
    "backend": {"lgc.backend", "lgc.hw_tests", "lgc.ir", "lgc.errors"},
    "hw_tests": {"lgc.hw_tests", "lgc.backend", "lgc.ir", "lgc.errors"},
}
FOREIGN = {"ir": {"torch", "amaranth", "cocotb"}, "frontend": {"amaranth", "cocotb"}, "backend": {"torch"}}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources(folder: str) -> list[Path]:
    return sorted(p for p in (ROOT / folder).rglob("*.py") if not p.name.startswith("test_"))


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_one_direction_no_way_back(folder: str) -> None:
    for path in sources(folder):
        for name in imports(path):
            if name.startswith("lgc.") or name == "lgc":
                assert any(name.startswith(allowed) for allowed in MAY_IMPORT[folder]), (
                    f"{path} imports {name}"
                )
            assert name.split(".")[0] not in FOREIGN.get(folder, ()), f"{path} imports {name}"


@pytest.mark.parametrize(
    "code", ["import lgc", "from lgc.cli import main; main(['--help'], standalone_mode=False)"]
)
def test_import_and_help_are_light(code: str) -> None:
    script = (
        f"{code}\nimport sys\nprint(sorted({{'torch', 'amaranth', 'numba', 'cocotb'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_public_names() -> None:
    import lgc

    assert sorted(lgc.__all__) == ["Build", "__version__", "compile", "from_torch", "load", "to_torch"]
    for name in lgc.__all__:
        assert getattr(lgc, name)
    with pytest.raises(AttributeError, match="^module 'lgc' has no attribute 'compil'$"):
        _ = lgc.compil  # type: ignore[attr-defined]


def test_kernels_are_loaded_without_the_compiler() -> None:
    program = (
        "import sys, numpy as np; from lgc.ir import _kernels\n"
        "_kernels.live(np.zeros((1, 2), np.int32), 2, np.zeros(3, np.bool_))\n"
        "print('numba.np.linalg' in sys.modules)"
    )
    said = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for _ in range(2)  # the first one compiles where nothing has
    ]
    assert said[1] == "False\n"
