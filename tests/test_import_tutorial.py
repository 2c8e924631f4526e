"""The tutorial `docs/tutorials/difflogic.md`, run from its Markdown as it is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lgc
from lgc import importing
from lgc.frontend import data
from lgc.frontend.importers import Options

from .frontend.importers import packages

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "tutorials" / "difflogic.md").read_text()
COMMANDS = re.findall(r"```\n\$ (lgc .*?)\n(.*?)```", TEXT, re.DOTALL)
SHARED = ROOT.parent / "shared" / "data"
NETWORK = SHARED / "checkpoints" / "difflogic-argens1203"


@pytest.fixture
def folder(tmp_path):
    """A folder with the tutorial's network and the data next to it."""
    if not NETWORK.is_dir() or not (SHARED / "uci").is_dir():
        pytest.skip("no checkpoints and UCI data at ../shared/data")
    (tmp_path / "uci").symlink_to(SHARED / "uci")
    (tmp_path / "monk1.pth").write_bytes((NETWORK / "monk1_model.pth").read_bytes())
    golden = NETWORK / "golden"
    (tmp_path / "wiring.npz").write_bytes((golden / "monk1_model.connections.npz").read_bytes())
    np.savez(
        tmp_path / "scores.npz",
        bits=bits_of_the_test_set(tmp_path),
        scores=np.load(golden / "monk1_model.npz")["scores"],
    )
    return tmp_path


def bits_of_the_test_set(folder):
    return data.load(str(folder / "uci" / "monks-1")).test_x.reshape(432, 17).astype(bool)


def run(command, folder):
    """Type a command; what it prints, without its layout."""
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": paths, "COLUMNS": "200"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == 3:
        pytest.skip(f"a tool is missing: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def lines(block):
    return [" ".join(line.split()) for line in block.splitlines() if line.strip()]


def test_three_commands(folder):
    """The import prints every line of the tutorial; of the design, area and speed may change."""
    assert [command.split()[1] for command, _ in COMMANDS] == ["import", "compile", "report"]
    (first, imported), (second, compiled), (third, _) = COMMANDS
    printed = run(first, folder)
    assert [line for line in lines(imported) if line not in printed] == []
    printed = run(second, folder)
    figures = ("accuracy", "agreement", "432")
    for line in lines(compiled):
        if line.startswith(figures):
            assert line.partition(" RTL in ")[0] in {each.partition(" RTL in ")[0] for each in printed}
        else:
            label = re.match(r"[A-Za-z4 ]+?(?= \d| one| 08)", line)[0]
            assert any(each.startswith(f"{label} ") for each in printed), label
    bitstream = folder / re.search(r"`(build/.*?\.bin)`", TEXT)[1]
    assert bitstream.stat().st_size > 10_000
    again = run(third, folder)
    assert any(line.startswith("accuracy, simulated hardware 100.00% of 432") for line in again)


def test_what_to_save(folder, monkeypatch):
    """The Python block, on the network as a live module of difflogic; then the first command."""
    packages.difflogic()
    options = Options(connections=folder / "wiring.npz", classes=2, inputs=(17,))
    model = lgc.to_torch(importing.read(folder / "monk1.pth", options=options), package="difflogic")
    before = np.load(folder / "scores.npz")["scores"]
    x_test = torch.from_numpy(bits_of_the_test_set(folder)).float()
    for name in ("monk1.pth", "wiring.npz", "scores.npz"):
        (folder / name).unlink()
    monkeypatch.chdir(folder)
    block = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
    exec(block, {"torch": torch, "numpy": np, "model": model, "x_test": x_test, "tau": 1.0})
    assert np.array_equal(np.load("scores.npz")["scores"], before)
    printed = run(COMMANDS[0][0], folder)
    assert [line for line in lines(COMMANDS[0][1]) if line not in printed] == []
    torch.save(model, folder / "monk1.pth")
    assert "format module" in run("lgc import monk1.pth", folder)
