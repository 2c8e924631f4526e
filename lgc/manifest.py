"""The build directory: numbered steps, each run once for the same inputs, and their record.

A step writes into a temporary directory that takes its final name only when the step is done; its
key (inputs, options, tools) and the hashes of what it wrote go to `manifest.json`, replaced in one
piece. A step is skipped when its key is unchanged and its files are still the ones it wrote.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lgc.errors import LgcError

FORMAT = 1
"""Version of `manifest.json`."""
_NAME = "manifest.json"


@dataclass(frozen=True)
class Outcome:
    """What a step hands back: JSON values for later steps, and the command lines it ran."""

    values: dict[str, Any] = field(default_factory=dict)
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """A finished step.

    Attributes:
        name: its name and the name of its directory, `06-synth` for instance.
        path: its directory.
        values: JSON values it reported.
        seconds: wall time when it ran.
        cached: whether an earlier run's result was kept.
    """

    name: str
    path: Path
    values: dict[str, Any]
    seconds: float
    cached: bool


class BuildDir:
    """A directory of steps. Use as `with BuildDir.open(path) as build: build.step(...)`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest: dict[str, Any] = {"format": FORMAT, "steps": {}}
        self.steps: list[Step] = []

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, force: bool = False) -> Iterator[BuildDir]:
        """Create or reopen a build directory and keep other processes out of it.

        Args:
            path: the directory; made with its parents.
            force: forget earlier results.

        Raises:
            LgcError: not writable, in use, or holds something else than a build.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / ".lock").open("w")
        except OSError as error:
            raise LgcError(f"Cannot write to {path}: {error.strerror}.", hint="Choose another -o.") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise LgcError(
                    f"Another lgc is working in {path}.", hint="Wait for it or choose another -o."
                ) from None
            build = cls(path)
            if not force:
                build._load()
            yield build

    def _load(self) -> None:
        file = self.path / _NAME
        others = [p.name for p in self.path.iterdir() if p.name not in {_NAME, ".lock"}]
        if not file.exists():
            if others:
                raise LgcError(
                    f"{self.path} holds {others[0]} but no {_NAME}: it is not a build directory.",
                    hint="Choose an empty or new directory with -o.",
                )
            return
        found = read_manifest(self.path)
        if found["format"] == FORMAT:
            self.manifest = found

    def step(
        self,
        name: str,
        run: Callable[[Path], Outcome],
        *,
        key: Mapping[str, Any],
        inputs: Sequence[Path] = (),
    ) -> Step:
        """Run a step, or keep the result of an earlier run with the same key and input files.

        Args:
            name: directory of the step.
            run: does the work in the directory it is given.
            key: JSON values that determine the result besides the input files: options, tools.
            inputs: files the step reads.
        """
        target = self.path / name
        files = {p.name: sha256(p) for p in inputs}
        digest = _digest({"step": name, "key": key, "inputs": files})
        record = self.manifest["steps"].get(name)
        if record and record["digest"] == digest and _intact(target, record["outputs"]):
            step = Step(name, target, record["values"], record["seconds"], cached=True)
        else:
            step = self._run(name, target, run, digest, key, files)
        self.steps.append(step)
        return step

    def _run(
        self,
        name: str,
        target: Path,
        run: Callable[[Path], Outcome],
        digest: str,
        key: Mapping[str, Any],
        files: Mapping[str, str],
    ) -> Step:
        for stale in self.path.glob(f".{name}.*"):
            shutil.rmtree(stale, ignore_errors=True)
        work = Path(tempfile.mkdtemp(dir=self.path, prefix=f".{name}."))
        start = time.monotonic()
        try:
            outcome = run(work)
            seconds = time.monotonic() - start
            self.manifest["steps"].pop(name, None)
            self.save()  # from here until the new record, an interruption leaves the step undone
            if target.exists():
                shutil.rmtree(target)
            work.chmod(0o755)
            work.replace(target)
        except BaseException:
            self._keep_logs(name, work)
            raise
        self.manifest["steps"][name] = {
            "digest": digest,
            "key": dict(key),
            "inputs": dict(files),
            "outputs": {
                str(p.relative_to(target)): sha256(p) for p in sorted(target.rglob("*")) if p.is_file()
            },
            "values": outcome.values,
            "commands": list(outcome.commands),
            "seconds": round(seconds, 3),
        }
        self.save()
        return Step(name, target, outcome.values, seconds, cached=False)

    def _keep_logs(self, name: str, work: Path) -> None:
        """Move a failed step's files to `failed/`, for its logs, in place of an earlier failure's."""
        kept = self.path / "failed" / name
        shutil.rmtree(kept, ignore_errors=True)
        kept.parent.mkdir(exist_ok=True)
        work.replace(kept)

    def save(self) -> None:
        """Write `manifest.json` in one piece."""
        write_text(self.path / _NAME, json.dumps(self.manifest, indent=2, sort_keys=True) + "\n")

    def write_script(self) -> None:
        """Write `run.sh`: the tool command lines of all steps, to repeat by hand."""
        lines = [
            "#!/bin/sh",
            "# Repeats the external tool runs of this build by hand.",
            "set -e",
            'cd "$(dirname "$0")"',
        ]
        for name, record in sorted(self.manifest["steps"].items()):
            lines += [f"(cd {name} && {command})" for command in record["commands"]]
        write_text(self.path / "run.sh", "\n".join(lines) + "\n")
        (self.path / "run.sh").chmod(0o755)


@functools.cache
def code_digest() -> str:
    """Digest of lgc's own source files, so that a changed lgc keeps no results of the old one."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    folders = (
        root,
        *(root / name for name in ("backend", "frontend", "hw_tests", "ir")),
    )  # the last are links
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.suffix in {".py", ".toml", ".v"}):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest of the build in `path`.

    Raises:
        LgcError: there is none, or it is damaged.
    """
    file = path / _NAME
    if not file.is_file():
        raise LgcError(
            f"{path} is not a build directory: it has no {_NAME}.", hint="Make one with `lgc compile`."
        )
    try:
        found: dict[str, Any] = json.loads(file.read_text())
        if not isinstance(found["steps"], dict) or not isinstance(found["format"], int):
            raise TypeError
    except (ValueError, TypeError, KeyError):
        raise LgcError(f"{file} is damaged.", hint="Run `lgc compile --force` to build anew.") from None
    return found


def read_step(path: Path, name: str) -> dict[str, Any]:
    """Return the record of a finished step of the build in `path`.

    Raises:
        LgcError: no build, the step has not run, or its files are not those it wrote.
    """
    record: dict[str, Any] | None = read_manifest(path)["steps"].get(name)
    if record is None:
        raise LgcError(f"The build in {path} has not reached step {name}.", hint="Run `lgc compile` again.")
    for file, digest in record["outputs"].items():
        place = path / name / file
        if not place.is_file() or sha256(place) != digest:
            raise LgcError(
                f"{place} was changed or lost since it was built.", hint="Run `lgc compile` again."
            )
    return record


def check_files(path: Path) -> None:
    """Check that every file of a build is the one its step wrote, and made from the present ones.

    Raises:
        LgcError: no build, or names the file that was edited or the step that is stale.
    """
    steps = read_manifest(path)["steps"]
    made: dict[str, tuple[str, str]] = {}
    for name in sorted(steps):
        record = read_step(path, name)
        for file, digest in record.get("inputs", {}).items():
            source, now = made.get(file, ("", digest))
            if now != digest:
                raise LgcError(
                    f"Step {name} in {path} is stale: {source}/{file} has changed since it ran.",
                    hint="Run `lgc compile` again.",
                )
        made |= {file: (name, digest) for file, digest in record["outputs"].items()}


def _intact(path: Path, outputs: Mapping[str, str]) -> bool:
    return all((path / name).is_file() and sha256(path / name) == digest for name, digest in outputs.items())


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a text file that is complete or not there at all.

    Raises:
        LgcError: the place is not writable.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise LgcError(f"Cannot write {path}: {error.strerror}.", hint="Choose another place.") from None
