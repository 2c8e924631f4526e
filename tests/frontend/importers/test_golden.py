"""Networks other people trained: every class score of every test sample, as an independent program gave it."""

import json
from pathlib import Path

import numpy as np
import pytest

from lgc import importing
from lgc.frontend import data
from lgc.frontend.importers import Options, files
from lgc.frontend.lower import lower

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
FOLDER = SHARED / "checkpoints"
EXPECTED = json.loads((FOLDER / "expected.json").read_text()) if FOLDER.is_dir() else {}
NAMES = sorted(EXPECTED) or ["none"]


def options_of(name):
    if name.startswith("difflogic"):
        stem = Path(name).stem
        connections = FOLDER / "difflogic-argens1203" / "golden" / f"{stem}.connections.npz"
        return Options(connections=connections, classes=2, inputs=(115,) if "adult" in stem else (17,))
    return Options(classes=10, inputs=(16, 16)) if name.startswith("lgn") else Options()


def scores_of(name, imported):
    facts = EXPECTED[name]
    if "input" in facts:
        stored = np.load((FOLDER / name).parent / facts["input"])
        bits = np.unpackbits(stored["bits"], axis=1)[:, : int(stored["n_bits"])]
        return imported.scores(bits.astype(bool))
    mnist = facts["dataset"].startswith("MNIST")
    found = data.load(SHARED / "mnist" if mnist else SHARED / "uci" / facts["dataset"].removesuffix(".test"))
    return lower(imported.checkpoint).scores(found.test_x)


@pytest.mark.skipif(not EXPECTED, reason="no checkpoints of other people at ../shared/data/checkpoints")
@pytest.mark.parametrize("name", NAMES)
def test_every_score_is_the_golden_one(name):
    golden = np.load((FOLDER / name).parent / EXPECTED[name]["golden"])
    paths = [FOLDER / name]
    if name.startswith("lgn"):
        paths.append(paths[0].with_suffix(".npz"))
    for path in paths:
        imported = importing.read(path, options=options_of(name))
        scores = scores_of(name, imported)
        assert scores.shape == golden["scores"].shape == (EXPECTED[name]["n"], scores.shape[1])
        assert np.array_equal(scores, golden["scores"])
        assert np.array_equal(scores.argmax(axis=1), golden["pred"])


@pytest.mark.skipif(not EXPECTED, reason="no checkpoints of other people at ../shared/data/checkpoints")
@pytest.mark.parametrize("stem", ["monk1_model", "monk2_model", "monk3_model", "adult_model"])
def test_wiring_from_the_seed_is_the_stored_one(stem):
    """difflogic's networks rebuilt from `manual_seed(0)` and `connections="unique"`."""
    folder = FOLDER / "difflogic-argens1203"
    stored = options_of(f"difflogic-argens1203/{stem}.pth")
    drawn = Options(wiring="unique", seed=0, classes=2, inputs=stored.inputs)
    first, second = (importing.read(folder / f"{stem}.pth", options=o) for o in (stored, drawn))
    for a, b in zip(first.checkpoint.layers, second.checkpoint.layers, strict=True):
        assert np.array_equal(a.fanin, b.fanin)
    assert second.checkpoint.metadata["imported"]["wiring"] == "replayed: unique, seed 0, built for cuda"


@pytest.mark.skipif(not EXPECTED, reason="no checkpoints of other people at ../shared/data/checkpoints")
@pytest.mark.parametrize(
    ("stem", "bits", "classes"), [("iris", 12, 3), ("breast_cancer", 30, 2), ("mnist", 784, 10)]
)
def test_networks_without_golden_scores_load(stem, bits, classes):
    """Their binning was not reproduced; what can be said is that all gates arrive."""
    path = FOLDER / "difflogic-argens1203" / f"{stem}_model.pth"
    options = Options(wiring="unique", inputs=(bits,), classes=classes)
    imported = importing.read(path, options=options)
    state = files.torch_state(path)
    assert [layer.nodes for layer in imported.checkpoint.layers] == [len(w) for w in state.values()]
    hardened = lower(imported.checkpoint).netlist.table
    ids = np.concatenate([w.argmax(axis=1) for w in state.values()])
    reversed_bits = [int(f"{gate:04b}"[::-1], 2) for gate in ids]
    assert np.array_equal(hardened, reversed_bits)
