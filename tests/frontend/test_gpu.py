"""The GPU kernels, run and compiled in processes of their own.

Whether Triton interprets is decided when it is imported, and torch may have imported it already.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lgc.errors import ToolMissingError, UsageError
from lgc.frontend import devices
from lgc.frontend.config import LayerConfig, ModelConfig, OptimiserConfig, TrainConfig

HERE = Path(__file__).parent
MISSING = importlib.util.find_spec("triton") is None
needs_triton = pytest.mark.skipif(MISSING, reason='needs Triton: pip install "lgc[gpu]"')


def python(*arguments: str | Path, interpret: bool = False) -> str:
    """What a process of this Python prints; it must succeed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    environment["TRITON_INTERPRET"] = str(int(interpret))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=HERE.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


@needs_triton
def test_kernels_on_a_gpu_or_interpreted() -> None:
    options = ("-q", "-p", "no:cacheprovider", "-n", "0")
    cases = HERE / "gpu_cases.py"
    out = python("-m", "pytest", *options, cases, interpret=not torch.cuda.is_available())
    assert re.search(r"\d+ passed in", out), out  # nothing is skipped


@needs_triton
@pytest.mark.skipif(sys.platform != "linux", reason="Triton has NVIDIA's assembler on Linux only")
def test_kernels_compile_for_a_gpu_without_spilling() -> None:
    lines = python(HERE / "gpu_compile.py", "90").splitlines()
    assert len(lines) > 20
    assert all(" 0 spilled" in line for line in lines), "\n".join(lines)


@pytest.mark.skipif(not MISSING, reason="Triton is installed")
def test_without_triton_the_error_says_what_to_do() -> None:
    with pytest.raises(ToolMissingError, match="needs Triton") as raised:
        importlib.import_module("lgc.frontend.kernels.gpu")
    assert "train.device=cpu" in str(raised.value.hint)


def test_a_gpu_that_is_asked_for_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="Cannot train on a GPU: this PyTorch finds no GPU"):
        devices.pick(TrainConfig(train=OptimiserConfig(device="cuda")))
    assert devices.pick(TrainConfig()).type == "cpu"


def test_networks_with_parts_for_cpus_stay_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    assert devices.pick(TrainConfig()).type == "cuda"
    assert devices.pick(TrainConfig(train=OptimiserConfig(device="cpu"))).type == "cpu"
    full = ModelConfig((LayerConfig(connections="full"),))
    assert devices.pick(TrainConfig(model=full)).type == "cpu"
    assert devices.pick(TrainConfig(), processes=2).type == "cpu"
    with pytest.raises(UsageError, match="connections = full are computed on CPUs"):
        devices.pick(TrainConfig(model=full, train=OptimiserConfig(device="cuda")))
