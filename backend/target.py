"""Targets: what a device offers and how the tools are told about it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from lgc.errors import LgcError, UsageError, nearest

from .family import FAMILIES, Family


@dataclass(frozen=True)
class Resources:
    """What a device has: LUTs, flip-flops, block RAMs, user pins; SPRAMs of 256 kbit that start empty."""

    lut: int
    ff: int
    bram: int
    io: int
    spram: int = 0


@dataclass(frozen=True)
class Delays:
    """What things take, in picoseconds; for `estimate`.

    Attributes:
        clock_to_out: of a flip-flop.
        setup: of a flip-flop, with the wire from the LUT in the same cell.
        lut: a LUT.
        route: a wire to a single load, in a fabric of 1,024 LUTs.
        fanout: what a wire takes longer each time its loads double.
        size: what a wire takes longer each time the LUTs of the fabric double; shorter below 1,024.
        carry_in: into a carry chain.
        carry: along it, a position.
        carry_out: out of it.
        shell: the slowest path outside of the fabric.
        source: where the figures come from.
        memory: from the clock to the output of a block RAM, 0 if not known.
    """

    clock_to_out: int
    setup: int
    lut: int
    route: int
    fanout: int
    size: int
    carry_in: int
    carry: int
    carry_out: int
    shell: int
    source: str
    memory: int = 0


@dataclass(frozen=True)
class Target:
    """A device.

    Attributes:
        name: name in lgc, `ice40-hx8k` for instance.
        family: one of `FAMILIES`.
        device: name of the device in the tools.
        package: name of the package in the tools.
        k: inputs per LUT.
        resources: what the device has.
        synth: extra arguments of the synthesis command.
        pnr: arguments that select the device in nextpnr.
        pack: arguments that select the device in the packer.
        pins: pins that a design may use where no board says which, the clock's first; needed only
            where nextpnr wants to be told.
        delay: for estimates of the clock, None if unknown.
        part: name of device, package and speed in the vendor's own tool, for scripts.
        clock_limit_mhz: what the data sheet allows the network that spreads the clock, at the speed grade
            of the target; None if unknown.
    """

    name: str
    family: str
    device: str
    package: str
    k: int
    resources: Resources
    synth: tuple[str, ...]
    pnr: tuple[str, ...]
    pack: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    delay: Delays | None = None
    part: str = ""
    clock_limit_mhz: float | None = None

    def at_most(self, mhz: float) -> float:
        """Return the clock at which logic that reaches so many MHz may run on the device."""
        return mhz if self.clock_limit_mhz is None else min(mhz, self.clock_limit_mhz)

    @property
    def cells(self) -> Family:
        """What the family's cells and tools are called."""
        return FAMILIES[self.family]

    @property
    def luts(self) -> int:
        """Number of LUTs."""
        return self.resources.lut


def names() -> list[str]:
    """Names of the targets that come with lgc."""
    return sorted(
        entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml")
    )


def load(name: str | Path) -> Target:
    """Load a target by name, or a user's own from the path of its TOML file.

    Raises:
        UsageError: no such name.
        LgcError: the file cannot be read or says something else than a target.
    """
    path = Path(name)
    if path.suffix == ".toml":
        try:
            return _target(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise LgcError(f"Cannot read the target {path}: {reason}.") from error
    known = names()
    if str(name) not in known:
        raise UsageError(f"Unknown target '{name}'.", hint=nearest(str(name), known))
    return _target((_folder() / f"{name}.toml").read_text(encoding="utf-8"), f"{name}.toml")


def _folder() -> Traversable:
    """Where the targets lie."""
    return files("lgc.backend") / "targets"


def _target(text: str, source: str) -> Target:
    """Parse a target."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LgcError(f"{source} is not valid TOML: {error}.") from error
    resources = _table(data, "resources", source)
    tools = _table(data, "tools", source)
    _known(
        data,
        {
            *("name", "family", "device", "package", "k", "resources", "tools", "pins", "delay", "part"),
            "clock_limit_mhz",
        },
        source,
    )
    _known(resources, {"lut", "ff", "bram", "io", "spram"}, f"[resources] of {source}")
    _known(tools, {"synth", "pnr", "pack"}, f"[tools] of {source}")
    target = Target(
        name=_entry(data, "name", str, source),
        family=_entry(data, "family", str, source),
        device=_entry(data, "device", str, source),
        package=_entry(data, "package", str, source),
        k=_entry(data, "k", int, source),
        resources=Resources(
            **{
                key: _entry(resources, key, int, source)
                for key in ("lut", "ff", "bram", "io", "spram")
                if key in resources or key != "spram"
            }
        ),
        synth=_words(tools, "synth", source),
        pnr=_words(tools, "pnr", source),
        pack=_words(tools, "pack", source),
        pins=_words(data, "pins", source),
        part=_entry(data, "part", str, source) if "part" in data else "",
        delay=_delays(_table(data, "delay", source), source) if "delay" in data else None,
        clock_limit_mhz=_mhz(data, "clock_limit_mhz", source),
    )
    if target.family not in FAMILIES:
        raise LgcError(
            f"{source}: lgc cannot build for family '{target.family}'.", hint=nearest(target.family, FAMILIES)
        )
    if target.k != target.cells.k:
        raise LgcError(
            f"{source}: family '{target.family}' has LUTs of {target.cells.k} inputs, not {target.k}."
        )
    if target.cells.estimated and target.delay is None:
        raise LgcError(f"{source} lacks the table 'delay': its clock can only be estimated.")
    if target.cells.all_pins and not target.pins:
        raise LgcError(f"{source} lacks the entry 'pins': the router wants a place for each pin.")
    return target


def _delays(table: Mapping[str, Any], source: str) -> Delays:
    """Read what things take."""
    hints = {f.name: str if f.name == "source" else int for f in fields(Delays)}
    _known(table, set(hints), f"[delay] of {source}")
    needed = {name: kind for name, kind in hints.items() if name != "memory" or name in table}
    return Delays(**{name: _entry(table, name, kind, source) for name, kind in needed.items()})


def _table(data: Mapping[str, Any], key: str, source: str) -> Mapping[str, Any]:
    """Return a table of the file."""
    value: Mapping[str, Any] = _entry(data, key, dict, source)
    return value


def _known(data: Mapping[str, Any], keys: set[str], where: str) -> None:
    """Reject a misspelt key."""
    for key in data.keys() - keys:
        raise LgcError(f"{where} has an unknown entry '{key}'.", hint=nearest(key, keys))


def _entry(data: Mapping[str, Any], key: str, kind: type, source: str) -> Any:
    """Return an entry of the file, of the right type."""
    if key not in data:
        raise LgcError(f"{source} lacks the entry '{key}'.")
    value = data[key]
    negative = isinstance(value, int) and value < 0
    if not isinstance(value, kind) or isinstance(value, bool) or negative:
        names = {str: "a string", int: "a number not below 0", dict: "a table"}
        raise LgcError(f"{source}: '{key}' is {value!r}, expected {names[kind]}.")
    return value


def _mhz(data: Mapping[str, Any], key: str, source: str) -> float | None:
    """Return a frequency of the file, None if absent."""
    value = data.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise LgcError(f"{source}: '{key}' is {value!r}, expected a frequency in MHz above 0.")
    return float(value)


def _words(data: Mapping[str, Any], key: str, source: str) -> tuple[str, ...]:
    """Return a list of strings, empty if absent."""
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise LgcError(f"{source}: '{key}' is {value!r}, expected a list of strings.")
    return tuple(value)
