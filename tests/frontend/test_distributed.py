import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lgc.frontend import checkpoint

CONFIG = """
[data]
source = "digits"
validation = 300
[encoder]
kind = "learned"
levels = 3
[model]
tau_rule = "{rule}"
tau = 3.0
[[model.layers]]
width = 120
connections = "learned"
candidates = 4
[[model.layers]]
width = 60
k = 4
relaxation = "light"
[train]
epochs = 3
batch = 150
lr = 0.05
entropy = 0.01
"""


def torchrun(processes: int, *command: str) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run([*start, *command], capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(CONFIG.format(rule="adavar"))
    return path


@pytest.mark.parametrize("rule", ["learned", "adavar"])
def test_two_processes_sum_the_gradient_of_the_whole_batch(rule: str, tmp_path: Path) -> None:
    settings = tmp_path / "small.toml"
    settings.write_text(CONFIG.format(rule=rule))
    worker = str(Path(__file__).with_name("gradient_worker.py"))
    found = []
    for processes in (1, 2):
        out = tmp_path / f"{processes}.npz"
        ran = torchrun(processes, worker, str(settings), str(out))
        assert ran.returncode == 0, ran.stderr
        with np.load(out) as arrays:
            found.append(dict(arrays))
    alone, together = found
    assert (alone["size"], together["size"]) == (1, 2)
    assert set(alone) == set(together)
    assert any(key.endswith("thresholds") for key in alone)
    for key in set(alone) - {"size"}:
        scale = np.abs(alone[key]).max()
        assert scale > 0, key
        if not key.startswith("after."):  # Adam turns rounding into steps where a gradient is nil
            np.testing.assert_allclose(together[key], alone[key], rtol=1e-4, atol=1e-5 * scale, err_msg=key)


def test_torchrun_trains_and_only_the_first_process_writes(settings: Path, tmp_path: Path) -> None:
    models = []
    for name in ("a", "b"):
        out = tmp_path / f"{name}.safetensors"
        ran = torchrun(2, "-m", "lgc", "train", str(settings), "-o", str(out), "--json")
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["test accuracy"] > 0.2  # three epochs
        assert ran.stderr.count("epoch 3/3") == 1
        models.append(checkpoint.load(out))
    for one, other in zip(models[0].layers, models[1].layers, strict=True):
        assert np.array_equal(one.fanin, other.fanin)
        assert np.array_equal(one.parameters, other.parameters)
    assert models[0].tau == models[1].tau
    assert len((tmp_path / "a.metrics.jsonl").read_text().splitlines()) == 3
    kept = {path.name.split(".", 1)[1] for path in tmp_path.glob("[ab].*")}
    assert kept >= {"safetensors", "state", "metrics.jsonl", "curves.svg"}
    assert not any(name.endswith("part") for name in kept)


def test_a_team_resumes_exactly_and_shares_its_errors(settings: Path, tmp_path: Path) -> None:
    straight, out = tmp_path / "straight.safetensors", tmp_path / "resumed.safetensors"
    assert torchrun(2, "-m", "lgc", "train", str(settings), "-q", "-o", str(straight)).returncode == 0
    half = ("--set", "train.epochs=2", "-q", "-o", str(out))
    assert torchrun(2, "-m", "lgc", "train", str(settings), *half).returncode == 0
    out.unlink()
    again = torchrun(2, "-m", "lgc", "train", str(settings), "-q", "-o", str(out), "--resume")
    assert again.returncode == 0, again.stderr
    a, b = checkpoint.load(straight), checkpoint.load(out)
    assert np.array_equal(a.encoder.threshold, b.encoder.threshold)
    assert all(np.array_equal(p.parameters, q.parameters) for p, q in zip(a.layers, b.layers, strict=True))
    other = ("--set", "train.lr=0.5", "-q", "-o", str(out), "--resume")
    failed = torchrun(2, "-m", "lgc", "train", str(settings), *other)
    assert failed.returncode != 0
    assert failed.stderr.count("lgc: The run to resume had another train.lr.") == 1
