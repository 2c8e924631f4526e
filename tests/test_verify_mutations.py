"""Faults in a build's files: every one that changes the function is noticed, by the rung named."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import lgc
from lgc.frontend import checkpoint
from lgc.verification import mutants, verify
from lgc.verification.rungs import DIFFERS, EQUAL, FAILED, Rung

from .test_verify import tiny

SEED = 5


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutants")
    checkpoint.save(folder / "tiny.safetensors", tiny())
    return lgc.compile(folder / "tiny.safetensors", images=5).path


def climb(built: Path, folder: Path, kind: str, seed: int) -> tuple[str, tuple[Rung, ...]]:
    """Put one fault into a copy of the build and climb the rungs that must notice it."""
    folder.mkdir(exist_ok=True)
    build = folder / "tiny"
    shutil.copytree(built, build)
    shutil.copy(built.with_suffix(".safetensors"), folder)
    apply, levels = mutants.KINDS[kind]
    what = apply(build, np.random.default_rng(seed))
    mutants.accept(build)
    return what, verify(build, levels=levels, images=20, seed=seed).rungs


def killers(rungs: tuple[Rung, ...]) -> list[str]:
    return [rung.name for rung in rungs if rung.verdict in {DIFFERS, FAILED}]


PROVED_BY = {
    "fabric": "optimised ↔ LUTs with popcount",
    "table": "LUTs with popcount ↔ Verilog",
    "wiring": "LUTs with popcount ↔ Verilog",
}
"""The rung that proves such a fault to change nothing, if it does."""


def harmless(kind: str, rungs: tuple[Rung, ...]) -> bool:
    """Whether a proof says that the fault changes nothing."""
    proofs = [rung for rung in rungs if rung.name == PROVED_BY.get(kind)]
    return any(rung.verdict == EQUAL and rung.method.startswith("proof (") for rung in proofs)


@pytest.mark.parametrize("kind", sorted(mutants.KINDS))
def test_a_fault_is_noticed(kind: str, built: Path, tmp_path: Path) -> None:
    what, rungs = climb(built, tmp_path, kind, SEED)
    print(f"{kind}: {what}: {', '.join(killers(rungs)) or 'harmless'}")
    assert killers(rungs) or harmless(kind, rungs), f"{kind}: {what} (seed {SEED}) was missed: {rungs}"


@pytest.mark.slow
def test_kill_rate(built: Path, tmp_path: Path) -> None:
    """Ten faults of each kind; those that a proof finds harmless do not count."""
    killed, functional = Counter[str](), Counter[str]()
    seen: dict[str, Counter[str]] = {kind: Counter() for kind in mutants.KINDS}
    for kind in mutants.KINDS:
        for seed in range(10):
            what, rungs = climb(built, tmp_path / f"{kind}{seed}", kind, seed)
            names = killers(rungs)
            functional[kind] += bool(names) or not harmless(kind, rungs)
            killed[kind] += bool(names)
            seen[kind].update(names)
            assert names or harmless(kind, rungs), f"{kind}: {what} (seed {seed}) was missed"
            shutil.rmtree(tmp_path / f"{kind}{seed}")
    for kind in mutants.KINDS:
        print(f"{kind}: {killed[kind]} of {functional[kind]} functional faults noticed, {dict(seen[kind])}")
    assert killed.total() == functional.total()
