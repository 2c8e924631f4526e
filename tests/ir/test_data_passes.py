"""Passes that go by data: nothing the data shows changes, budgets are kept, data is asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.errors import UsageError
from lgc.ir.evidence import Evidence
from lgc.ir.netlist import Netlist
from lgc.ir.passes import DataMerge, DropOutputs, know, run_checked
from lgc.ir.simulate import outputs, scores
from lgc.ir.verify import check

from .netlists import difflogic, netlists


def evidence(net: Netlist, samples: int, seed: int) -> Evidence:
    """Random data whose labels are what the network says of it, mostly."""
    rng = np.random.default_rng(seed)
    seen, held_out = rng.random((2, samples, net.inputs)) < 0.5
    labels = scores(net, held_out).argmax(axis=1)
    labels[: samples // 10] = 0
    return Evidence(seen, held_out, labels, "random")


@given(net=netlists(), samples=st.sampled_from([1, 7, 64, 65, 200]), seed=st.integers(0, 99))
def test_merging_changes_nothing_the_data_shows(net: Netlist, samples: int, seed: int) -> None:
    data = evidence(net, samples, seed)
    after, verdicts = run_checked(know([DataMerge()], 1, data), net)
    check(after)
    assert np.array_equal(scores(after, data.seen), scores(net, data.seen))
    assert np.array_equal(outputs(after, data.seen), outputs(net, data.seen))
    assert verdicts[0].comparison.method.startswith("inexact on request: validation accuracy")


@pytest.mark.parametrize("budget", [0, 100, 1000])
def test_dropping_keeps_the_budget(budget: int) -> None:
    net = difflogic(30, [200, 200], classes=4, seed=1)
    data = evidence(net, 1000, 0)
    after, _ = run_checked(know([DropOutputs(budget=budget)], 1, data), net)
    check(after)
    assert after.readout is not None
    assert net.readout is not None
    assert len(after.readout.signal) < len(net.readout.signal)
    assert data.accuracy(after) >= data.accuracy(net) - budget / 10_000 - 1e-9


@given(net=netlists(max_k=3), seed=st.integers(0, 99))
def test_dropping_never_exceeds_the_budget(net: Netlist, seed: int) -> None:
    data = evidence(net, 50, seed)
    after, _ = run_checked(know([DropOutputs(budget=400)], 1, data), net)
    check(after)
    assert data.accuracy(after) >= data.accuracy(net) - 0.04 - 1e-9


@pytest.mark.parametrize("step", [DataMerge(), DropOutputs()])
def test_without_data_they_say_what_is_missing(step: DataMerge | DropOutputs) -> None:
    with pytest.raises(UsageError, match=r"goes by data. Give a checkpoint, and a data set with --data."):
        run_checked([step], difflogic(4, [8], classes=2, seed=0))
