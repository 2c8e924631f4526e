"""The critical path in the network's terms, on the network of random digits-like layers."""

from dataclasses import replace

import numpy as np

from lgc.critical import Terms, named
from lgc.hw_tests.samples import random_sample
from lgc.ir.passes.expand_argmax import add_argmax

SAMPLE = random_sample(seed=7, layers=(30, 24), classes=3)
NETWORK = replace(SAMPLE.fabric.netlist, table=SAMPLE.fabric.netlist.table[:54], fanin=SAMPLE.fabric.netlist.fanin[:54], outputs=np.arange(34, 40, dtype=np.int32))  # fmt: skip


def test_neurons_and_classes_of_cells() -> None:
    fabric, _ = add_argmax(SAMPLE.fabric)
    terms = Terms.of(fabric, NETWORK)
    assert all(node >= 0 for node in terms.node)
    # nodes that compute the same are one; the first of them is named
    assert terms.node[0] == 0
    for row in range(fabric.network_luts):
        assert np.array_equal(terms.node[terms.node[row]], terms.node[row])
    last = fabric.netlist.luts - fabric.network_luts - 1
    path = [
        ("clk-to-q", "inner.core.fabric.network.lut_n3_LC", 0.5),
        ("routing", "fabric.network.n3", 1.0),
        ("logic", "fabric.popcount.lut_p0_LC", 0.4),
        ("logic", f"fabric.argmax.lut_p{last}_LC", 0.4),
        ("setup", "encoder.code_LC", 0.1),
    ]
    names = [name for _, name, _ in named(path, fabric, NETWORK)]
    assert names[0] == f"inner.core.fabric.network.lut_n3_LC (neuron {terms.node[3]})"
    assert names[1] == path[1][1]
    assert names[2].startswith("fabric.popcount.lut_p0_LC (count of class ")
    assert names[3].endswith("(argmax)")
    assert names[4] == "encoder.code_LC"


def test_a_counter_belongs_to_the_class_whose_score_reads_it() -> None:
    terms = Terms.of(SAMPLE.fabric, NETWORK)
    scores = SAMPLE.fabric.score_signals.reshape(SAMPLE.fabric.classes, -1)
    for c, row in enumerate(scores.tolist()):
        for signal in row:
            if signal >= SAMPLE.fabric.netlist.first_lut:
                assert c in terms.classes[signal]


def test_paths_outside_of_the_fabric_stay_as_they_are() -> None:
    path = [("logic", "encoder.code_LC", 0.4), ("routing", "fabric.x", 1.0)]
    assert named(path, SAMPLE.fabric, NETWORK) == path
