"""What the backend builds: a netlist of LUTs whose outputs are class scores and the class."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ._typing import Bool2, I32x1, I64x1, I64x2
from .carry import Chains
from .carry_cells import CarryCells
from .ledger import Ledger
from .netlist import Netlist
from .simulate import outputs


@dataclass(frozen=True, eq=False)
class Fabric:
    """A classifier's network, popcount and, where it has been added, argmax as one netlist of LUTs.

    Attributes:
        netlist: no readout; `outputs` holds `classes * score_width` unsigned score bits,
            class-major, least significant bit first, then `index_bits` bits of the class.
        classes: number of classes.
        score_width: bits per score.
        offset: `score[c] = offset +` the number that the bits of class c spell.
        network_luts: the first so many LUTs are the network, the others count its outputs.
        ledger: how the scores came about, for a proof; None for a fabric read from a file.
        chains: which LUTs are carry chains; None if none are.
        index_bits: bits of the class with the highest score, the lowest of equals; 0 without argmax.
        inverted: which of the score bits are driven as their complements, ascending.
        carries: which LUTs are carry cells of iCE40; None if none are.
    """

    netlist: Netlist
    classes: int
    score_width: int
    offset: int
    network_luts: int
    ledger: Ledger | None = None
    chains: Chains | None = None
    index_bits: int = 0
    inverted: tuple[int, ...] = ()
    carries: CarryCells | None = None

    @classmethod
    def stored(cls, netlist: Netlist, facts: dict[str, Any]) -> Fabric:
        """Return the fabric that `facts` describe beside its netlist; it has no ledger."""
        values = facts | {"inverted": tuple(facts["inverted"]), "carries": CarryCells.of(facts["carries"])}
        if facts["chains"] is not None:
            values["chains"] = Chains(**{name: np.array(x, np.int64) for name, x in facts["chains"].items()})
        return cls(netlist=netlist, **values)

    def facts(self) -> dict[str, Any]:
        """Return what `stored` needs, of types that JSON knows."""
        names = ("classes", "score_width", "offset", "network_luts", "index_bits")
        rows = [] if self.carries is None else self.carries.rows()
        chains = self.chains
        return {name: getattr(self, name) for name in names} | {
            "inverted": list(self.inverted),
            "carries": rows,
            "chains": None
            if chains is None
            else {f.name: getattr(chains, f.name).tolist() for f in fields(chains)},
        }

    @property
    def latency(self) -> int:
        """Clocks from the inputs to the last output: the last stage number."""
        stage = self.netlist.stage
        return 0 if stage is None or stage.size == 0 else int(stage.max())

    @property
    def score_latency(self) -> int:
        """Clocks from the inputs to the scores."""
        net = self.netlist
        if not self.index_bits or net.stage is None:
            return self.latency
        lut = self.score_signals - net.first_lut
        return int(net.stage[lut[lut >= 0]].max(initial=0))

    @property
    def score_signals(self) -> I32x1:
        """Signals of the score bits, class-major, int32 `[classes * score_width]`."""
        return self.netlist.outputs[: len(self.netlist.outputs) - self.index_bits]

    @property
    def index_signals(self) -> I32x1:
        """Signals of the class, int32 `[index_bits]`."""
        return self.netlist.outputs[len(self.netlist.outputs) - self.index_bits :]

    def scores(self, bits: Bool2) -> I64x2:
        """Scores int64 `[samples, classes]` of input `bits` bool `[samples, inputs]`."""
        found = outputs(self.netlist, bits)[:, : len(self.score_signals)]
        found[:, list(self.inverted)] ^= True
        value = found.reshape(len(bits), self.classes, self.score_width)
        return value.astype(np.int64) @ (1 << np.arange(self.score_width, dtype=np.int64)) + self.offset

    def index(self, bits: Bool2) -> I64x1:
        """Class of each sample, int64 `[samples]`, as the argmax of the fabric says."""
        found = outputs(self.netlist, bits)[:, len(self.score_signals) :]
        return found.astype(np.int64) @ (1 << np.arange(self.index_bits, dtype=np.int64))
