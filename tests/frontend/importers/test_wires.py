"""Netlists cut into layers: same scores, whatever the structure; and what the command makes of files."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from lgc import importing, netlists
from lgc.cli import main
from lgc.errors import LgcError
from lgc.frontend import checkpoint
from lgc.frontend.importers import Foreign, Options, assemble, wires
from lgc.frontend.lower import lower
from lgc.ir.netlist import Netlist, table_dtype
from lgc.ir.readout import Readout
from lgc.ir.simulate import scores

from . import foreign


def random_netlist(rng, *, bits=7, luts=30, k=3, classes=3):
    """LUTs that read anything before them, constants too; weights of both signs, biases, repetitions."""
    first = 2 + bits
    fanin = np.stack([rng.integers(0, first + i, k) for i in range(luts)]).astype(np.int32)
    table = rng.integers(0, 1 << (1 << k), luts, dtype=np.uint64).astype(table_dtype(k))
    count = rng.integers(0, 6, classes)
    count[0] += 1
    readout = Readout(
        bias=rng.integers(-3, 4, classes),
        start=np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
        signal=rng.integers(0, first + luts, count.sum()).astype(np.int32),
        weight=rng.choice([-2, -1, 1, 2, 3], count.sum()).astype(np.int32),
    )
    return Netlist(bits, fanin, table, np.empty(0, np.int32), readout)


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 40))
def test_every_score(seed, k, luts):
    net = random_netlist(np.random.default_rng(seed), k=k, luts=luts)
    layers, offset = wires.layered(net)
    found, place = assemble(Foreign(layers, bits=net.inputs, classes=3), Options())
    x = foreign.every_pattern(net.inputs)
    assert np.array_equal(place, np.arange(net.inputs))
    assert np.array_equal(scores(lower(found).netlist, x) + offset, scores(net, x))


def test_a_sequence_of_layers_comes_back_without_wires():
    rng = np.random.default_rng(0)
    made = wires.Wires(20)
    x = made.inputs
    for width in (30, 25, 12):
        x = made.luts(
            rng.permutation(x)[rng.permutation(2 * width) % len(x)].reshape(-1, 2),
            rng.random((width, 4)) < 0.5,
        )
    layers, offset = wires.layered(made.netlist(Readout.group_sum(x, 3)))
    assert offset == 0
    assert len(layers) == 3
    assert [layer.fanin.shape[1] for layer in layers] == [2, 2, 2]
    assert len(layers[2].rows) == 12


def test_too_many_wires_are_refused():
    """A chain whose every value is counted at the end needs as many wires as its length squared."""
    n = 20_000
    fanin = np.arange(2, 2 + n, dtype=np.int32)[:, None]
    net = Netlist(1, fanin, np.full(n, 1, np.uint8), np.empty(0, np.int32))
    head = Readout.group_sum(np.arange(3, 3 + n), 2)
    with pytest.raises(LgcError, match="Cut into 20,000 layers, the netlist holds 199,[0-9,]+ wires"):
        wires.layered(Netlist(1, net.fanin, net.table, net.outputs, head))


def plain(rng):
    """A netlist of a few gates with outputs and no readout, and its outputs on all patterns."""
    net = random_netlist(rng, k=4)
    outputs = rng.integers(2, net.signals, 6).astype(np.int32)
    net = Netlist(net.inputs, net.fanin, net.table, outputs)
    from lgc.ir.simulate import outputs as simulate

    x = foreign.every_pattern(net.inputs)
    return net, x, simulate(net, x)


@pytest.mark.parametrize("suffix", [".blif", ".aig", ".aag", ".v", ".lgc", ".npz"])
def test_netlist_files_with_a_readout_from_the_command_line(tmp_path, suffix):
    net, x, values = plain(np.random.default_rng(4))
    netlists.write(tmp_path / f"net{suffix}", net)
    out = tmp_path / "m.safetensors"
    given = ["--format", "netlist"] if suffix == ".npz" else []
    arguments = [
        "import",
        str(tmp_path / f"net{suffix}"),
        "--group-sum",
        "2",
        "-o",
        str(out),
        "--json",
        *given,
    ]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    facts = json.loads(done.stdout)
    assert (facts["format"], facts["classes"]) == ("netlist", 2)
    found = lower(checkpoint.load(out)).scores_of_codes(x.astype(np.int32))
    assert np.array_equal(found, values.reshape(len(x), 2, 3).sum(axis=2))


def test_a_readout_in_the_file_is_kept(tmp_path):
    net = random_netlist(np.random.default_rng(9))
    netlists.write(tmp_path / "net.blif", net)
    found = importing.read(tmp_path / "net.blif")
    x = foreign.every_pattern(net.inputs)
    assert np.array_equal(found.scores(x) + found.checkpoint.metadata.get("beta", 0), scores(net, x))


def test_without_a_readout_the_error_says_what_to_give(tmp_path):
    net, _, _ = plain(np.random.default_rng(4))
    netlists.write(tmp_path / "net.blif", net)
    with pytest.raises(LgcError, match=r"The netlist has no readout. Count its outputs: --group-sum CLASSES"):
        importing.read(tmp_path / "net.blif")
    with pytest.raises(LgcError, match="6 outputs do not split into 4 equal groups"):
        importing.read(tmp_path / "net.blif", options=Options(classes=4))
