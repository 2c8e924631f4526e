"""Boards: which target they carry, their clock and where their clock, UART and LEDs are."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from lgc.errors import LgcError, UsageError, nearest

from .interfaces.protocol import DRIVEN, SAMPLED
from .pins import check_clashes

_MORE = ("pins", "pll_pad")
_KEYS = {"name": str, "title": str, "target": str, "clock_hz": int, "loader": str, "leds_inverted": bool}


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
        name: name in lgc.
        title: name on the box.
        target: name of its FPGA in lgc.
        clock_hz: frequency at the pin `clk`.
        loader: openFPGALoader's name of the board.
        leds_inverted: whether a 0 lights the LEDs.
        pins: pin by port of the top module: `clk`, and `rx` and `tx` (as seen from the FPGA) where the
            board has a UART, `flash_cs_n`, `flash_sck`, `flash_mosi` and `flash_miso` where the flash that
            configures the FPGA can be reached afterwards. An electrical standard may follow the pin.
        leds: pins of the LEDs, likewise.
        pll_pad: whether the clock's pin is that of an iCE40's phase-locked loop, which takes no other then.
    """

    name: str
    title: str
    target: str
    clock_hz: int
    loader: str
    leds_inverted: bool
    pins: Mapping[str, str]
    leds: tuple[str, ...]
    pll_pad: bool = False

    def places(self, ports: Collection[str]) -> dict[str, str]:
        """Pin of each of these ports, bits of `led` included, that the board has a place for."""
        leds = {f"led[{n}]": pin for n, pin in enumerate(self.leds)}
        leds |= {"led": self.leds[0]} if self.leds else {}
        return {port: pin for port, pin in {**leds, **self.pins}.items() if port in ports}


def names() -> list[str]:
    """Names of the boards that come with lgc."""
    folder = files("lgc.backend") / "boards"
    return sorted(e.name.removesuffix(".toml") for e in folder.iterdir() if e.name.endswith(".toml"))


def load(name: str | Path) -> Board:
    """Load a board by name, or a user's own from the path of its TOML file.

    Raises:
        UsageError: no such name, or two ports on one pin.
        LgcError: the file cannot be read or says something else than a board.
    """
    path = Path(name)
    if path.suffix == ".toml":
        try:
            return _board(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise LgcError(f"Cannot read the board {path}: {reason}.") from error
    known = names()
    if str(name) not in known:
        raise UsageError(f"Unknown board '{name}'.", hint=nearest(str(name), known))
    file = files("lgc.backend") / "boards" / f"{name}.toml"
    return _board(file.read_text(encoding="utf-8"), f"{name}.toml")


def _board(text: str, source: str) -> Board:
    """Parse a board."""
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LgcError(f"{source} is not valid TOML: {error}.") from error
    for key in data.keys() - {*_KEYS, *_MORE}:
        raise LgcError(f"{source} has an unknown entry '{key}'.", hint=nearest(key, [*_KEYS, *_MORE]))
    data.setdefault("pll_pad", False)
    for key, kind in (*_KEYS.items(), ("pins", dict), ("pll_pad", bool)):
        if not isinstance(data.get(key), kind) or (kind is int and data[key] <= 0):
            raise LgcError(f"{source}: '{key}' is {data.get(key)!r}, expected a {kind.__name__}.")
    pins = dict(data.pop("pins"))
    leds = pins.pop("leds", [])
    if not isinstance(leds, list) or not all(isinstance(pin, str) for pin in [*leds, *pins.values()]):
        raise LgcError(f"{source}: pins are strings, leds a list of strings.")
    together = [{"rx", "tx"}, {*DRIVEN, SAMPLED}]
    known = {"clk"}.union(*together)
    if "clk" not in pins or pins.keys() - known or any(0 < len(pins.keys() & g) < len(g) for g in together):
        raise LgcError(
            f"{source}: a board has the pins clk, leds, both of rx and tx or neither, and all of "
            f"{', '.join(sorted(together[1]))} or none."
        )
    check_clashes(pins | {f"led {n}": pin for n, pin in enumerate(leds)})
    return Board(**data, pins=pins, leds=tuple(leds))
