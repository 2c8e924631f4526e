"""Passes: netlist in, netlist out. `REGISTRY` names them all; add a new one there."""

from __future__ import annotations

from .absorb import Absorb
from .base import Pass, Registry, Watcher, run, spell
from .checked import Verdict, codes_of, know_inputs, run_checked
from .dce import Dce
from .expand_readout import ExpandReadout
from .fold import Fold
from .lut_map import LutMap
from .merge import Merge
from .pipeline import Pipeline
from .strash import Strash

REGISTRY = Registry(
    passes={kind.name: kind for kind in (Fold, Strash, Dce, Absorb, LutMap, Merge, ExpandReadout, Pipeline)},
    aliases={"simplify": "strash,absorb,dce"},
)

__all__ = [
    "REGISTRY",
    "Absorb",
    "Dce",
    "ExpandReadout",
    "Fold",
    "LutMap",
    "Merge",
    "Pass",
    "Pipeline",
    "Registry",
    "Strash",
    "Verdict",
    "Watcher",
    "codes_of",
    "know_inputs",
    "run",
    "run_checked",
    "spell",
]
