"""Choose the top module that the settings ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.lib.wiring import Component

from lgc.errors import LgcError

from .packing import Packing
from .settings import Core, Interface


def core_of(
    interface: Interface,
    *,
    features: tuple[int, int],
    classes: tuple[int, int],
    score_width: int,
    flash: bool = False,
) -> Core:
    """Describe a design to its interface.

    Args:
        interface: the settings.
        features: features per sample and bits per feature.
        classes: classes and bits of a class index.
        score_width: bits of a score.
        flash: whether it reads a flash.
    """
    packing = Packing(*features, word=interface.word)
    return Core(packing, *classes, score_width=score_width, scores=interface.scores, flash=flash)


def top_of(interface: Interface, core: Core) -> Component:
    """Return the top module of an interface other than the plain stream.

    Raises:
        LgcError: the plain stream, which needs no module around it.
    """
    from .axi import AxiTop, WordsTop
    from .spi import SpiTop
    from .uart import UartTop

    tops: Mapping[str, Any] = {"words": WordsTop, "axi": AxiTop, "spi": SpiTop}
    if interface.name == "uart":
        return UartTop(core, interface)
    if interface.name not in tops:
        raise LgcError(f"Interface {interface.name} has no module of its own.")
    return tops[interface.name](core)
