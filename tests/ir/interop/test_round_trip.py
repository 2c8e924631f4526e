import numpy as np
import pytest
from hypothesis import given

from lgc.errors import LgcError
from lgc.ir import verify
from lgc.ir.equivalence import compare
from lgc.ir.interop import blif, with_group_sum
from lgc.ir.netlist import Netlist
from lgc.ir.readout import Readout
from lgc.ir.simulate import scores

from ..netlists import difflogic, netlists, random_netlist
from .formats import FORMATS, bare


@pytest.mark.parametrize("name", FORMATS)
@given(net=netlists())
def test_what_is_written_reads_as_the_same_function_and_readout(name: str, net: Netlist) -> None:
    form = FORMATS[name]
    for written in (net, bare(net)):
        back = form.parse(form.dump(written))
        verify.check(back)
        assert compare(written, back).equal
        assert_same_counts(back.readout, written.readout)


def assert_same_counts(a: Readout | None, b: Readout | None) -> None:
    assert (a is None) == (b is None)
    if a is not None and b is not None:
        for name in ("bias", "start", "weight"):
            assert np.array_equal(getattr(a, name), getattr(b, name))
            assert getattr(a, name).dtype == getattr(b, name).dtype


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "gates"])
def test_a_second_round_changes_nothing(name: str) -> None:
    form = FORMATS[name]
    for seed in range(20):
        once = form.dump(form.parse(form.dump(random_netlist(seed, k=seed % 6 + 1))))
        assert form.dump(form.parse(once)) == once


@pytest.mark.parametrize("name", FORMATS)
def test_netlists_without_inputs_luts_or_outputs(name: str) -> None:
    form = FORMATS[name]
    for inputs, luts, outputs in ((0, 0, 0), (0, 3, 2), (3, 0, 0), (1, 2, 0)):
        net = random_netlist(1, inputs=inputs, luts=luts, outputs=outputs, classes=0)
        assert compare(form.parse(form.dump(net)), net).equal


@pytest.mark.parametrize("name", ["blif", "lut", "gates"])
def test_luts_stay_luts(name: str) -> None:
    rng = np.random.default_rng(0)
    first = np.arange(32, 152)
    fanin = np.stack([rng.integers(2, first), rng.integers(2, first)], axis=1).astype(np.int32)
    fanin[fanin[:, 0] == fanin[:, 1], 1] = 0  # a LUT that needs fewer pins
    tables = np.where(fanin[:, 1] == 0, 1, rng.choice([1, 2, 4, 6, 7, 8, 9, 11, 13, 14], 120)).astype(
        np.uint8
    )
    net = Netlist(inputs=30, fanin=fanin, table=tables, outputs=np.arange(140, 152, dtype=np.int32))
    back = FORMATS[name].parse(FORMATS[name].dump(net))
    assert np.array_equal(back.fanin, net.fanin)
    assert np.array_equal(back.table, net.table)


def test_with_group_sum_counts_the_outputs_of_other_programs() -> None:
    net = difflogic(12, [40], classes=4, seed=0)
    back = with_group_sum(blif.parse(blif.dump(bare(net))), 4)
    bits = np.random.default_rng(0).random((100, 12)) < 0.5
    assert np.array_equal(scores(back, bits), scores(net, bits))


def test_with_group_sum_refuses_what_does_not_split() -> None:
    net = random_netlist(0, outputs=5, classes=0)
    with pytest.raises(LgcError, match=r"^5 outputs do not split into 2 equal groups\. Give a number"):
        with_group_sum(net, 2)
    with pytest.raises(LgcError, match=r"^The netlist has a readout already\."):
        with_group_sum(random_netlist(0), 2)


HEAD = ".model m\n.inputs a b\n.outputs p q\n.names a p\n1 1\n.names b q\n1 1\n.end\n"


@pytest.mark.parametrize(
    ("comments", "message"),
    [
        (
            "# lgc readout outputs=1 entries=2 classes=1",
            "Line 1: the readout is of 1 outputs and 2 entries, the file has 2",
        ),
        (
            "# lgc readout",
            "Line 1: expected 'lgc readout outputs=N entries=N classes=N', found 'lgc readout'.",
        ),
        (
            "# lgc readout outputs=0 entries=2 classes=1\n# lgc bias 0*9",
            "Line 2: more than 1 values for bias.",
        ),
        (
            "# lgc readout outputs=0 entries=2 classes=1\n# lgc bias x",
            "Line 2: expected a number or V*N, found 'x'.",
        ),
        (
            "# lgc readout outputs=0 entries=2 classes=1\n# lgc gain 1",
            "Line 2: expected 'lgc bias', 'lgc count' or",
        ),
        (
            "# lgc readout outputs=0 entries=2 classes=1\n# lgc bias 0",
            "Line 2: the readout has 0 values for count, expected 1.",
        ),
        (
            "# lgc readout outputs=0 entries=2 classes=1\n# lgc bias 0\n# lgc count 1\n# lgc weight 1*2",
            "Line 4: the readout's counts do not add up to 2 entries.",
        ),
        (
            "# lgc readout outputs=0 entries=2 classes=1\n# lgc bias 0\n# lgc count 2\n# lgc weight 1 9999999999",
            "Line 4: a weight of the readout does not fit 32 bits.",
        ),
        (
            "# lgc readout outputs=2 entries=0 classes=999999999",
            "Line 1: the readout has 999999999 classes, expected",
        ),
    ],
)
def test_readout_lines_that_do_not_fit_are_refused(comments: str, message: str) -> None:
    with pytest.raises(LgcError) as caught:
        blif.parse((comments + "\n" + HEAD).encode())
    assert str(caught.value).startswith(message)
