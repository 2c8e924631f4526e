import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import LgcError, UsageError
from lgc.ir.equivalence import patterns
from lgc.ir.netlist import Netlist, table_dtype
from lgc.ir.passes import REGISTRY
from lgc.ir.passes.expand_argmax import ExpandArgmax
from lgc.ir.passes.expand_readout import expand
from lgc.ir.simulate import outputs, scores
from lgc.ir.verify import check

from .netlists import difflogic, netlists


def wires(classes: int, width: int, *, constants: int = 0, k: int = 4) -> Netlist:
    """Inputs as score bits; a few outputs constant 0 or 1."""
    rng = np.random.default_rng(classes * width + constants)
    roots = np.arange(2, 2 + classes * width, dtype=np.int32)
    roots[rng.permutation(len(roots))[:constants]] = rng.integers(0, 2, min(constants, len(roots)))
    return Netlist(classes * width, np.empty((0, k), np.int32), np.empty(0, table_dtype(k)), roots)


def numbers(bits: np.ndarray, classes: int) -> np.ndarray:
    """Unsigned numbers `[samples, classes]` of class-major bits."""
    split = bits.reshape(len(bits), classes, -1).astype(np.int64)
    return split @ (1 << np.arange(split.shape[2]))


def check_argmax(net: Netlist, classes: int, k: int, bits: np.ndarray) -> Netlist:
    result = ExpandArgmax(classes=classes, k=k)(net)
    check(result)
    assert result.k == k
    wanted = numbers(outputs(net, bits), classes).argmax(axis=1)
    assert np.array_equal(numbers(outputs(result, bits), 1)[:, 0], wanted)
    return result


@given(
    classes=st.integers(1, 12),
    width=st.integers(1, 11),
    constants=st.integers(0, 4),
    k=st.sampled_from([4, 5, 6]),
    seed=st.integers(0, 2**32),
)
def test_argmax_of_numbers(classes: int, width: int, constants: int, k: int, seed: int) -> None:
    net = wires(classes, width, constants=constants, k=k)
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (256, net.inputs)).astype(np.bool_)
    near = bits[:128].reshape(128, classes, width)
    near[:, :, 1:] = near[:, :1, 1:]  # scores that differ in the lowest bit only
    check_argmax(net, classes, k, bits)


@given(net=netlists(max_k=4, outputs=6))
def test_argmax_of_random_logic_exhaustively(net: Netlist) -> None:
    bare = Netlist(net.inputs, net.fanin, net.table, net.outputs)
    for classes in (2, 3, 6):
        check_argmax(bare, classes, 4, patterns(net.inputs, samples=0, seed=0))


@pytest.mark.parametrize("k", [4, 6])
def test_ties_go_to_the_lowest_class(k: int) -> None:
    net = wires(5, 3, k=k)
    result = check_argmax(net, 5, k, np.zeros((1, 15), np.bool_))
    equal = np.tile([True, False, True], (1, 5))
    assert not outputs(result, equal).any()


@pytest.mark.parametrize("k", [4, 6])
def test_a_whole_network_ends_in_its_class(k: int) -> None:
    net = difflogic(60, [300, 300], classes=10, seed=5)
    bits = patterns(60, samples=500, seed=1)
    fabric = expand(net, k=k)
    result = ExpandArgmax(k=k)(fabric.netlist)
    assert np.array_equal(numbers(outputs(result, bits), 1)[:, 0], scores(net, bits).argmax(axis=1))


@pytest.mark.parametrize(("k", "most"), [(4, 240), (6, 190)])
def test_ten_scores_of_ten_bits_cost_little(k: int, most: int) -> None:
    """Fewer than 264 LUT4s, Yosys' tournament without carry chains; with 6 pins, shallow comes first."""
    assert ExpandArgmax(k=k)(wires(10, 10, k=k)).luts <= most


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (wires(3, 3), "The 9 outputs are not the score bits of 10 classes."),
        (wires(10, 1, k=6), "The netlist has LUTs of 6 pins, expand-argmax was given k=4."),
        (difflogic(4, [20], classes=10, seed=0), "The 0 outputs are not the score bits of 10 classes."),
    ],
)
def test_bad_netlists_are_refused(net: Netlist, message: str) -> None:
    with pytest.raises(LgcError, match=f"^{re.escape(message)}"):
        ExpandArgmax()(net)


@pytest.mark.parametrize("options", ["k=3", "classes=0"])
def test_bad_options_are_refused(options: str) -> None:
    with pytest.raises(UsageError, match=r"^Pass expand-argmax: (k|classes) must be"):
        REGISTRY.parse(f"expand-argmax{{{options}}}")
