"""A hardened classifier: encoder, netlist with readout, class names. What gets compiled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._typing import I64x2
from .encoder import Thermometer
from .netlist import Netlist
from .simulate import scores


@dataclass(frozen=True, eq=False)
class Classifier:
    """Numbers in, class out: the function that the hardware must reproduce bit for bit.

    `netlist.inputs == encoder.bits`, and the netlist has a readout with one class per name.
    """

    encoder: Thermometer
    netlist: Netlist
    class_names: tuple[str, ...]

    def scores(self, x: npt.ArrayLike) -> I64x2:
        """Integer class scores int64 `[samples, classes]` of samples `[samples, ...]`."""
        return self.scores_of_codes(self.encoder.codes(x))

    def scores_of_codes(self, codes: npt.NDArray[np.int32]) -> I64x2:
        """Scores of samples already in the encoder's fixed-point format, int32 `[samples, features]`."""
        return scores(self.netlist, self.encoder.compare(codes))

    def predict(self, x: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Class index int64 `[samples]`; ties go to the lowest class."""
        index: npt.NDArray[np.int64] = self.scores(x).argmax(axis=1)
        return index
