"""Random checkpoints for the tests of `frontend`."""

import numpy as np

from lgc.frontend.checkpoint import Checkpoint, Layer
from lgc.frontend.relaxations import relaxation
from lgc.ir.encoder import FixedPoint, Thermometer


def random_checkpoint(seed: int, *, layers: str = "dlgn2 light4", classes: int = 3) -> Checkpoint:
    """A checkpoint with random wiring and functions; `layers` gives relaxation and k of each layer."""
    rng = np.random.default_rng(seed)
    threshold = np.sort(rng.integers(1, 16, (5, 3)), axis=1).astype(np.int32)
    sources, built = 15, []
    for text in layers.split():
        name, k = text[:-1], int(text[-1])
        nodes = classes * int(rng.integers(1, 5))
        fanin = rng.integers(0, sources, (nodes, k)).astype(np.int32)
        built.append(Layer(fanin, relaxation(name).initial(nodes, k, 0.0, rng), name))
        sources = nodes
    names = tuple("abcdefgh"[:classes])
    return Checkpoint(Thermometer(threshold, FixedPoint(4)), tuple(built), names, 2.5, {"seed": seed})
