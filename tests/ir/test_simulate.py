import numpy as np
import pytest
from hypothesis import given

from lgc.ir.netlist import Netlist
from lgc.ir.simulate import outputs, pack, scores, unpack
from lgc.ir.text import parse

from .netlists import netlists, random_netlist


def naive(net: Netlist, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The definition of a netlist, one LUT and sample at a time."""
    value = np.zeros((len(bits), net.signals), np.int64)
    value[:, 1] = 1
    value[:, 2 : net.first_lut] = bits
    for i in range(net.luts):
        row = (value[:, net.fanin[i]] << np.arange(net.k)).sum(axis=1)
        value[:, net.first_lut + i] = (int(net.table[i]) >> row.astype(object)) & 1
    head = net.readout
    assert head is not None
    score = np.stack(
        [
            head.bias[c] + value[:, head.signal[a:b]] @ head.weight[a:b]
            for c, (a, b) in enumerate(zip(head.start, head.start[1:], strict=False))
        ],
        axis=1,
    )
    return value[:, net.outputs].astype(bool), score


@given(netlists())
def test_simulation_is_the_definition(net: Netlist) -> None:
    bits = np.random.default_rng(1).random((130, net.inputs)) < 0.5
    out, score = naive(net, bits)
    assert np.array_equal(outputs(net, bits), out)
    assert np.array_equal(scores(net, bits), score)


@pytest.mark.parametrize("samples", [0, 1, 63, 64, 65, 1024, 2049])
def test_pack_and_unpack_undo_each_other(samples: int) -> None:
    bits = np.random.default_rng(samples).random((samples, 5)) < 0.5
    assert pack(bits).shape == (5, -(-samples // 64))
    assert np.array_equal(unpack(pack(bits), samples), bits)


def test_samples_do_not_depend_on_their_block() -> None:
    net = random_netlist(3)
    bits = np.random.default_rng(0).random((5000, net.inputs)) < 0.5
    assert np.array_equal(scores(net, bits)[4321:4322], scores(net, bits[4321:4322]))


def test_wrong_width_is_refused() -> None:
    with pytest.raises(ValueError, match="^the netlist has 7 inputs, the data 3 bits$"):
        scores(random_netlist(0), np.zeros((4, 3), bool))


def test_scores_need_a_readout() -> None:
    with pytest.raises(ValueError, match="^the netlist has no readout$"):
        scores(parse("netlist k=1 inputs=1\noutput %2"), np.zeros((1, 1), bool))
