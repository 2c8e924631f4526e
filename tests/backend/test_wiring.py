"""How much wire a fabric needs, before tools run."""

from dataclasses import replace

import numpy as np
import pytest

from lgc.backend import wiring
from lgc.ir.netlist import Netlist


def layers(near: int, *, width: int = 400, seed: int = 0) -> Netlist:
    """Three layers of LUTs that read what lies at most `near` places away in the layer before."""
    rng = np.random.default_rng(seed)
    here = np.arange(width)[:, None]
    reads = [(here + rng.integers(-near, near + 1, (width, 3))) % width + 2 + width * n for n in range(3)]
    fanin = np.concatenate(reads).astype(np.int32)
    return Netlist(
        width,
        fanin,
        np.full(3 * width, 0x96, np.uint8),
        np.arange(2 + 3 * width, 2 + 4 * width, dtype=np.int32),
    )


def test_local_wires_need_less_than_random_ones() -> None:
    local, random = wiring.wiring(layers(3)), wiring.wiring(layers(200))
    assert local is not None
    assert random is not None
    assert local.demand < 0.6 * random.demand
    assert local.span < random.span
    assert wiring.wiring(layers(3)) == local, "equal networks, equal estimates"


def test_random_wires_need_more_the_larger_the_network() -> None:
    small, large = (wiring.wiring(layers(width, width=width)) for width in (100, 800))
    assert small is not None
    assert large is not None
    assert large.demand > 1.5 * small.demand


def test_no_estimate_without_wires_or_for_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    net = layers(3)
    assert wiring.wiring(replace(net, fanin=np.zeros_like(net.fanin))) is None
    monkeypatch.setattr(wiring, "MOST", 100)
    assert wiring.wiring(net) is None
