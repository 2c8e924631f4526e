import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgc.frontend import checkpoint
from lgc.frontend.checkpoint import Checkpoint, Layer
from lgc.frontend.lower import lower
from lgc.frontend.relaxations import relaxation
from lgc.ir.encoder import FixedPoint, Thermometer

from .networks import random_checkpoint
from .test_relaxations import DIFFLOGIC


def by_hand(model: Checkpoint, x: np.ndarray) -> np.ndarray:
    """Scores of one sample at a time, straight from the definitions."""
    scores = np.zeros((len(x), len(model.class_names)), np.int64)
    for n, bits in enumerate(model.encoder.encode(x)):
        values = [int(bit) for bit in bits]
        for layer in model.layers:
            tables = relaxation(layer.relaxation).hard(layer.parameters)
            values = [
                int(table[sum(values[s] << p for p, s in enumerate(pins))])
                for table, pins in zip(tables, layer.fanin, strict=True)
            ]
        scores[n] = np.reshape(values, (len(model.class_names), -1)).sum(axis=1)
    return scores


@given(
    st.integers(0, 2**32),
    st.sampled_from(["dlgn2", "light4", "dlgn2 light4", "light6 dlgn2 light3", "light1 light2 dlgn2"]),
)
def test_the_netlist_computes_what_the_checkpoint_says(seed: int, layers: str) -> None:
    model = random_checkpoint(seed, layers=layers)
    x = np.random.default_rng(seed).integers(0, 16, (12, 5))
    classifier = lower(model)
    assert np.array_equal(classifier.scores(x), by_hand(model, x))
    assert classifier.netlist.luts == sum(layer.nodes for layer in model.layers)
    assert classifier.class_names == model.class_names


@pytest.mark.parametrize("gate", range(16))
def test_a_gate_of_difflogic_survives(gate: int) -> None:
    """Two features a and b, one gate per class: the class with the gate wins when it is 1."""
    encoder = Thermometer(np.array([[1], [1]], np.int32), FixedPoint(1))
    parameters = np.full((2, 16), -1, np.float32)
    parameters[0, 0] = parameters[1, gate] = 1
    layer = Layer(np.array([[0, 1], [0, 1]], np.int32), parameters, "dlgn")
    predicted = lower(Checkpoint(encoder, (layer,), ("no", "yes"), 1.0)).predict(
        [[0, 0], [1, 0], [0, 1], [1, 1]]
    )
    assert predicted.tolist() == [DIFFLOGIC[gate](a, b) for a, b in ((0, 0), (1, 0), (0, 1), (1, 1))]


def test_loading_and_lowering_need_no_torch(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "model.safetensors", random_checkpoint(0))
    script = (
        "import sys; sys.modules['torch'] = None; sys.modules['sklearn'] = None\n"
        "from pathlib import Path\n"
        "import lgc.errors\nimport lgc.frontend\n"
        "from lgc.frontend import checkpoint, config, data, lower\n"
        f"model = checkpoint.load(Path({str(tmp_path / 'model.safetensors')!r}))\n"
        "print(lower.lower(model).netlist.luts, 'digits' in config.presets())\n"
        "try:\n    import lgc.frontend.train\n"
        "except lgc.errors.ToolMissingError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    luts = sum(layer.nodes for layer in random_checkpoint(0).layers)
    assert done.stdout.splitlines() == [
        f"{luts} True",
        'Training needs PyTorch, which is not installed. pip install "lgc[train]"',
    ]


def test_facade_is_light_and_says_what_it_lacks() -> None:
    script = (
        "import sys, lgc.frontend as f\n"
        "print(sorted({'numpy', 'numba', 'torch', 'safetensors'} & set(sys.modules)))\n"
        "print([getattr(f, name).__name__ for name in f.__all__])\n"
        "f.nothing\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "['Checkpoint', 'Dataset', 'Layer', 'TrainConfig']"]
    assert "AttributeError: module 'lgc.frontend' has no attribute 'nothing'" in done.stderr
