"""Measuring in a process of its own: calling a script for one task, and the memory it then took."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path


def call(
    script: str, arguments: list[str], options: argparse.Namespace, keys: tuple[str, ...]
) -> dict[str, float] | None:
    """Run a script for one task, options `keys` and `--peers` passed on; returns what it prints, as JSON.

    None, with a word on stderr, if that fails: a missing peer is reported.
    """
    command = [sys.executable, script, *arguments]
    for key in keys:
        command += [f"--{key}", str(getattr(options, key))]
    if options.peers:
        command += ["--peers", str(options.peers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{' '.join(arguments)}: missing, {reason}", file=sys.stderr)
        return None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def engines(options: argparse.Namespace) -> list[str]:
    """Names of lgc and of torchlogix, or of lgc alone, with a word on stderr, where that is missing."""
    if options.peers and (options.peers / "torchlogix").is_dir():
        return ["lgc", "torchlogix"]
    where = f"there is no {options.peers / 'torchlogix'}" if options.peers else "--peers is not given"
    print(f"torchlogix: missing, {where}; see --help", file=sys.stderr)
    return ["lgc"]


def peak() -> int:
    """Largest resident memory of this process so far, or since `forget_peak`, bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = (line.split() for line in status.read_text().splitlines())
        return next(int(line[1]) for line in lines if line[0] == "VmHWM:") * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> None:
    """Where the system can: compilers and imports needed more memory for a while."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
