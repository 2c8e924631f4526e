"""What the backend builds: a netlist of LUTs whose outputs are the class scores in binary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._typing import Bool2, I64x2
from .carry import Chains
from .ledger import Ledger
from .netlist import Netlist
from .simulate import outputs


@dataclass(frozen=True, eq=False)
class Fabric:
    """A classifier's network and popcount as one netlist of LUTs.

    Attributes:
        netlist: no readout; `outputs` holds `classes * score_width` unsigned score bits,
            class-major, least significant bit first.
        classes: number of classes.
        score_width: bits per score.
        offset: `score[c] = offset +` the number that the bits of class c spell.
        network_luts: the first so many LUTs are the network, the others count its outputs.
        ledger: how the scores came about, for a proof; None for a fabric read from a file.
        chains: which LUTs are carry chains; None if none are.
    """

    netlist: Netlist
    classes: int
    score_width: int
    offset: int
    network_luts: int
    ledger: Ledger | None = None
    chains: Chains | None = None

    @property
    def latency(self) -> int:
        """Clocks from the inputs to the scores: the last stage number."""
        stage = self.netlist.stage
        return 0 if stage is None or stage.size == 0 else int(stage.max())

    def scores(self, bits: Bool2) -> I64x2:
        """Scores int64 `[samples, classes]` of input `bits` bool `[samples, inputs]`."""
        value = outputs(self.netlist, bits).reshape(len(bits), self.classes, self.score_width)
        return value.astype(np.int64) @ (1 << np.arange(self.score_width, dtype=np.int64)) + self.offset
