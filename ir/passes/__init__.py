"""Passes: netlist in, netlist out. `REGISTRY` names them all; add a new one there."""

from __future__ import annotations

from .absorb import Absorb
from .base import Pass, Registry, Watcher, run, spell
from .dce import Dce
from .fold import Fold
from .lut_map import LutMap
from .strash import Strash

REGISTRY = Registry(
    passes={kind.name: kind for kind in (Fold, Strash, Dce, Absorb, LutMap)},
    aliases={"simplify": "strash,absorb,dce"},
)

__all__ = ["REGISTRY", "Absorb", "Dce", "Fold", "LutMap", "Pass", "Registry", "Strash", "Watcher", "run", "spell"]
