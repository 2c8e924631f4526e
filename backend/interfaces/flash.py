"""Pins to the SPI flash of a design whose program is loaded from it, handed through all modules."""

from __future__ import annotations

from typing import Any

from amaranth import Module
from amaranth.lib.wiring import In, Out

from .protocol import DRIVEN, SAMPLED


def flash_ports() -> dict[str, Any]:
    """Ports of a component that reaches a flash."""
    return dict.fromkeys(DRIVEN, Out(1)) | {SAMPLED: In(1)}


def connect_flash(m: Module, outer: Any, inner: Any) -> None:
    """Connect the ports of a component with those of one in it."""
    m.d.comb += [getattr(outer, name).eq(getattr(inner, name)) for name in DRIVEN]
    m.d.comb += getattr(inner, SAMPLED).eq(getattr(outer, SAMPLED))
