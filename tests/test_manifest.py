"""Build directories: what is skipped, what is not trusted, what survives."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lgc.errors import LgcError
from lgc.manifest import BuildDir, Outcome, read_manifest


def writer(text: str, calls: list[str]) -> Callable[[Path], Outcome]:
    def run(out: Path) -> Outcome:
        calls.append(text)
        (out / "result.txt").write_text(text)
        return Outcome({"length": len(text)}, ("tool result.txt",))

    return run


def once(
    path: Path, text: str = "a", *, key: object = 1, calls: list[str], source: Path | None = None
) -> bool:
    with BuildDir.open(path) as build:
        step = build.step("01-x", writer(text, calls), key={"k": key}, inputs=[source] if source else [])
        assert (step.path / "result.txt").read_text() == step.values["length"] * text[0]
        return step.cached


def test_unchanged_steps_are_kept(tmp_path: Path) -> None:
    calls: list[str] = []
    assert [once(tmp_path / "b", calls=calls) for _ in range(3)] == [False, True, True]
    assert calls == ["a"]


def test_options_and_inputs_decide(tmp_path: Path) -> None:
    calls: list[str] = []
    source = tmp_path / "in"
    source.write_text("1")
    assert not once(tmp_path / "b", calls=calls, source=source)
    assert not once(tmp_path / "b", calls=calls, source=source, key=2)
    source.write_text("2")
    assert not once(tmp_path / "b", calls=calls, source=source, key=2)
    assert once(tmp_path / "b", calls=calls, source=source, key=2)


@pytest.mark.parametrize("damage", [lambda p: p.write_text("edited"), lambda p: p.unlink()])
def test_edited_or_missing_results_are_made_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    calls: list[str] = []
    once(tmp_path / "b", calls=calls)
    damage(tmp_path / "b" / "01-x" / "result.txt")
    assert not once(tmp_path / "b", calls=calls)


def test_an_interrupted_step_leaves_nothing_to_trust(tmp_path: Path) -> None:
    calls: list[str] = []
    once(tmp_path / "b", "a", calls=calls)

    def interrupted(out: Path) -> Outcome:
        (out / "result.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), BuildDir.open(tmp_path / "b") as build:
        build.step("01-x", interrupted, key={"k": 2})
    assert (tmp_path / "b" / "01-x" / "result.txt").read_text() == "a"
    assert (tmp_path / "b" / "failed" / "01-x" / "result.txt").read_text() == "half"
    assert once(tmp_path / "b", "a", calls=calls)
    assert not once(tmp_path / "b", "a", key=2, calls=calls)


def test_force_forgets(tmp_path: Path) -> None:
    calls: list[str] = []
    once(tmp_path / "b", calls=calls)
    with BuildDir.open(tmp_path / "b", force=True) as build:
        assert not build.step("01-x", writer("a", calls), key={"k": 1}).cached


def test_run_script_lists_the_commands(tmp_path: Path) -> None:
    once(tmp_path / "b", calls=[])
    with BuildDir.open(tmp_path / "b") as build:
        build.write_script()
    assert "(cd 01-x && tool result.txt)" in (tmp_path / "b" / "run.sh").read_text().splitlines()


def test_two_processes_do_not_share_a_build(tmp_path: Path) -> None:
    with BuildDir.open(tmp_path / "b"), pytest.raises(LgcError, match="^Another lgc is working in"):
        BuildDir.open(tmp_path / "b").__enter__()


def test_other_peoples_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LgcError, match="holds thesis.tex but no manifest.json: it is not a build directory"):
        BuildDir.open(tmp_path).__enter__()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LgcError, match=f"^{re.escape(f'Cannot write to {tmp_path}/file/b: ')}"):
        BuildDir.open(tmp_path / "file" / "b").__enter__()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": "x", "steps": {}}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(LgcError, match=r"manifest\.json is damaged\. Run `lgc compile --force`"):
        read_manifest(tmp_path)


def test_manifest_is_json_with_sorted_keys(tmp_path: Path) -> None:
    once(tmp_path / "b", calls=[])
    text = (tmp_path / "b" / "manifest.json").read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
