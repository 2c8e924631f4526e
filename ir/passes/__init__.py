"""Passes: netlist in, netlist out. `REGISTRY` names them all; add a new one there."""

from __future__ import annotations

from .absorb import Absorb
from .base import NeedsData, Pass, Registry, Watcher, run, spell
from .checked import Verdict, codes_of, know, run_checked
from .data_merge import DataMerge
from .dce import Dce
from .drop_common import DropCommon
from .drop_outputs import DropOutputs
from .expand_argmax import ExpandArgmax
from .expand_readout import ExpandReadout
from .fold import Fold
from .lut_map import LutMap
from .merge import Merge
from .pipeline import Pipeline
from .reduce import Reduce
from .satlut import SatLut
from .strash import Strash

REGISTRY = Registry(
    passes={
        kind.name: kind
        for kind in (
            Fold,
            Strash,
            Dce,
            Absorb,
            LutMap,
            Reduce,
            SatLut,
            Merge,
            DropCommon,
            DataMerge,
            DropOutputs,
            ExpandReadout,
            ExpandArgmax,
            Pipeline,
        )
    },
    aliases={"simplify": "strash,absorb,dce"},
)

__all__ = [
    "REGISTRY",
    "Absorb",
    "DataMerge",
    "Dce",
    "DropCommon",
    "DropOutputs",
    "ExpandArgmax",
    "ExpandReadout",
    "Fold",
    "LutMap",
    "Merge",
    "NeedsData",
    "Pass",
    "Pipeline",
    "Reduce",
    "Registry",
    "SatLut",
    "Strash",
    "Verdict",
    "Watcher",
    "codes_of",
    "know",
    "run",
    "run_checked",
    "spell",
]
