"""A hardened classifier: encoder, netlist with readout, class names. What gets compiled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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

    def scores(self, x: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Integer class scores int64 `[samples, classes]` of samples `[samples, ...]`."""
        return scores(self.netlist, self.encoder.encode(x))

    def predict(self, x: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Class index int64 `[samples]`; ties go to the lowest class."""
        return self.scores(x).argmax(axis=1)
