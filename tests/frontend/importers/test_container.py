"""lgc-json: the container that any framework can write."""

import json

import numpy as np
import pytest

from lgc import importing
from lgc.errors import LgcError
from lgc.frontend.lower import lower

from . import foreign

BASE = {
    "format": "lgc-network-1",
    "inputs": [2],
    "thresholds": [[2, 5], [1, 9]],
    "feature_format": [4, 0, False],
    "classes": 2,
    "layers": [{"fanin": [[0, 3], [1, 2], [0, 0], [3, 2]], "table": [8, 6, 1, 14]}],
}


def write(tmp_path, **changes):
    found = {key: value for key, value in (BASE | changes).items() if value is not None}
    file = tmp_path / "n.json"
    file.write_text(json.dumps(found))
    return file


def test_thresholds_and_tables(tmp_path):
    model = lower(importing.read(write(tmp_path)).checkpoint)
    x = np.stack(np.meshgrid(np.arange(16), np.arange(16)), -1).reshape(-1, 2)
    b = [x[:, 0] > 2, x[:, 0] > 5, x[:, 1] > 1, x[:, 1] > 9]
    expected = np.stack([(b[0] & b[3]) * 1 + (b[1] ^ b[2]), ~b[0] * 1 + (b[3] | b[2])], axis=1)
    assert np.array_equal(model.scores(x), expected)


def test_unequal_groups(tmp_path):
    """Classes may count any nodes, as many as they like."""
    file = write(tmp_path, groups=[[0, 1, 2, 1], [3]], classes=None)
    x = foreign.every_pattern(4)
    nodes = np.stack([x[:, 0] & x[:, 3], x[:, 1] ^ x[:, 2], ~x[:, 0], x[:, 3] | x[:, 2]], axis=1)
    expected = np.stack([nodes[:, [0, 1, 2, 1]].sum(axis=1), nodes[:, 3]], axis=1)
    assert np.array_equal(importing.read(file).scores(x), expected)


def test_weights(tmp_path):
    """Counted nodes count what their weights say, in equal runs and in groups."""
    x = foreign.every_pattern(4)
    nodes = np.stack([x[:, 0] & x[:, 3], x[:, 1] ^ x[:, 2], ~x[:, 0], x[:, 3] | x[:, 2]], axis=1)
    plain = importing.read(write(tmp_path, weights=[3, 0, 1, 2])).scores(x)
    assert np.array_equal(plain, (nodes * [3, 0, 1, 2]).reshape(-1, 2, 2).sum(axis=2))
    grouped = write(tmp_path, groups=[[0, 1, 2], [3]], weights=[[4, 1, 2], [7]], classes=None)
    assert np.array_equal(
        importing.read(grouped).scores(x), np.stack([nodes[:, :3] @ [4, 1, 2], nodes[:, 3] * 7], axis=1)
    )


def test_arrays_hold_the_same(tmp_path):
    rng = np.random.default_rng(0)
    fanin = [rng.integers(0, 8, (12, 6)), rng.integers(0, 12, (6, 3))]
    table = [rng.integers(0, 1 << 64, 12, dtype=np.uint64), rng.integers(0, 256, 6)]
    layers = [{"fanin": f.tolist(), "table": t.tolist()} for f, t in zip(fanin, table, strict=True)]
    header = {"format": "lgc-network-1", "bits": 8, "classes": 3, "class_names": ["a", "b", "c"], "tau": 2}
    (tmp_path / "n.json").write_text(json.dumps(header | {"layers": layers}))
    named = {f"{name}{i}": v[i] for name, v in (("fanin", fanin), ("table", table)) for i in (0, 1)}
    np.savez(tmp_path / "n.npz", header=json.dumps(header), **named)
    x = foreign.every_pattern(8)
    values = x
    for f, t in zip(fanin, table, strict=True):
        address = (values[:, f].astype(np.uint64) << np.arange(f.shape[1], dtype=np.uint64)).sum(axis=2)
        values = (t[None].astype(np.uint64) >> address & np.uint64(1)).astype(bool)
    expected = values.reshape(len(x), 3, -1).sum(axis=2)
    for suffix in ("json", "npz"):
        found = importing.read(tmp_path / f"n.{suffix}")
        assert np.array_equal(found.scores(x), expected)
        assert found.checkpoint.class_names == ("a", "b", "c")
        assert found.checkpoint.tau == 2


LAYER = BASE["layers"][0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "lgc-network-9"}, "has the format 'lgc-network-9', not lgc-network-1"),
        ({"wires": 3}, "has an unknown key 'wires'. Known: bits, class_names"),
        ({"layers": None}, "is not a complete network: KeyError('layers')"),
        ({"layers": []}, "The network has no layers"),
        ({"layers": [LAYER | {"table": [8, 6, 1, 16]}]}, "Layer 1: there must be one table per node, below 2**4"),
        ({"layers": [LAYER | {"table": [8, 6, 1]}]}, "Layer 1: there must be one table per node"),
        ({"layers": [LAYER | {"fanin": [[0, 4]] * 4}]}, "Layer 1 reads source 4; there are 4"),
        ({"layers": [LAYER | {"fanin": [[0, -1]] * 4}]}, "Layer 1 reads source -1"),
        ({"layers": [LAYER | {"fanin": [[0] * 7] * 4}]}, "Layer 1: fanin must be integers [nodes, 1 to 6 inputs]"),
        ({"layers": [LAYER | {"fanin": [[0.5, 1]] * 4}]}, "Layer 1: fanin must be integers"),
        ({"layers": [LAYER | {"fanin": [[0], [1, 2]]}]}, "is not a complete network: ValueError"),
        ({"groups": [[0, 4], [1]], "classes": None}, "A group counts a node that is not there"),
        ({"weights": [1, 2]}, "There are 2 weights for 4 outputs"),
        ({"weights": [1, 2, -1, 0]}, "weights are negative"),
        ({"weights": [1, 2, 3, 1 << 40]}, "a class's reach more than"),
        ({"weights": [1, 2, 3, 0.5]}, "is not a complete network: TypeError"),
        ({"groups": [[0], [1]], "weights": [[1], [1, 2]], "classes": None}, "weights and groups differ in length"),
        ({"thresholds": [[5, 2], [1, 9]]}, "The thresholds [5.0, 2.0] are not ascending"),
        ({"thresholds": [[2, 5], [1]]}, "There are thresholds for 2 features"),
        ({"thresholds": [[2], [1], [3]]}, "There are thresholds for 3 features, not for 1 or 2. Give"),
        ({"bits": 5}, "2 features of 2 bits do not make the network's 5 input bits"),
        ({"classes": 3}, "3 classes cannot share"),
        ({"order": "column"}, "is not a complete network: ValueError('order column')"),
        ({"feature_format": [0, 0, False]}, "Features of 0 bits"),
        ({"feature_format": [-3, 0, False]}, "Features of -3 bits"),
        ({"layers": [LAYER | {"table": [8, 6, 1.5, 3]}]}, "is not a complete network: TypeError"),
        ({"groups": [[0] * 10000] + [[1]] * 10000, "classes": None}, "10001 groups of up to 10000 nodes"),
        ({"feature_format": [99, 0, False]}, "Features of 99 bits, divided by 1.0, are out of range"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path, changes, message):
    with pytest.raises(LgcError) as caught:
        importing.read(write(tmp_path, **changes))
    assert message in str(caught.value)
