"""`lgc eval`: what it counts, what it writes, what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import lgc
from lgc.cli import main
from lgc.errors import LgcError, MismatchError
from lgc.evaluate import evaluate
from lgc.frontend import checkpoint, data
from lgc.frontend.checkpoint import Checkpoint, Layer
from lgc.ir.encoder import FixedPoint, Thermometer

CONFIG = {"data": {"source": "", "validation": 8, "seed": 3}}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Class c wins where bit c is set: four features, one pass gate per class."""
    parameters = np.full((4, 16), -1, np.float32)
    parameters[:, 3] = 1
    layer = Layer(np.arange(4, dtype=np.int32)[:, None].repeat(2, axis=1), parameters, "dlgn")
    encoder = Thermometer(np.full((4, 1), 2, np.int32), FixedPoint(8))
    found = Checkpoint(encoder, (layer,), ("a", "b", "c", "d"), 1.0, {"seed": 5, "config": CONFIG})
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, found)
    return path


def write_data(path: Path, *, dtype: type = np.uint8, features: int = 4, classes: int = 4, **changes) -> Path:
    """Samples whose class is the feature that is 2; every sixth test label is off by one."""
    y = np.arange(60) % classes
    x = np.zeros((60, features), dtype)
    x[np.arange(60), y % features] = 2
    test_y = np.where(np.arange(60) % 6 == 0, (y + 1) % classes, y)
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": test_y} | changes
    np.savez(path, **arrays)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["eval", *map(str, arguments)])


def test_counts(model: Path, tmp_path: Path) -> None:
    source = write_data(tmp_path / "data.npz")
    done = run(model, "--data", source, "--json", "-o", tmp_path / "scores.npz")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert (found["samples"], found["correct"], found["accuracy"]) == (60, 50, 50 / 60)
    assert np.array(found["confusion"]).sum() == 60
    assert np.trace(found["confusion"]) == 50
    # samples 0, 12, 24, 36, 48 are of class 0 and labelled 1
    assert found["confusion"][1][0] == 5
    assert found["data"] == f"{source}, test split"
    assert found["images per second"] > 0
    assert found["seeds"] == {"training": 5}
    assert found["scores checked"] == 60
    assert found["versions"]["lgc"] == lgc.__version__
    with np.load(tmp_path / "scores.npz") as file:
        assert file["scores"].dtype == np.int64
        assert np.array_equal(file["scores"].argmax(axis=1), file["predicted"])
        assert (file["predicted"] == file["labels"]).sum() == 50
        assert file["class_names"].tolist() == ["a", "b", "c", "d"]
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".npz", ".npz", ".safetensors"]


def test_table_names_classes_and_confusions(model: Path, tmp_path: Path) -> None:
    done = run(model, "--data", write_data(tmp_path / "data.npz"))
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "accuracy 83.33% (50 of 60)" in text
    assert "b taken for a 5" in text
    assert "60 samples equal to the netlist as it stands" in text
    assert "seed of training 5" in text


def test_the_validation_split_is_the_trainers(model: Path, tmp_path: Path) -> None:
    source = write_data(tmp_path / "data.npz")
    found = evaluate(model, str(source), split="validation")
    _, _, x, y = data.split_validation(data.load(source), 8, 3)
    assert np.array_equal(found.labels, y)
    assert np.array_equal(found.scores, lgc.load(model).scores(x))
    assert found.seeds == {"training": 5, "validation split": 3}
    assert found.to_dict()["accuracy"] == 1


def test_the_training_data_is_the_default(model: Path, tmp_path: Path) -> None:
    source = write_data(tmp_path / "data.npz")
    known = replace(checkpoint.load(model), metadata={"config": {"data": {"source": str(source)}}})
    checkpoint.save(model, known)
    assert evaluate(model).to_dict()["samples"] == 60
    with pytest.raises(
        LgcError, match=r"^The checkpoint does not say which samples were its validation split\. Use"
    ):
        evaluate(model, split="validation")


def test_threads_are_those_used(model: Path, tmp_path: Path) -> None:
    x = np.zeros((5000, 4), np.uint8)
    y = np.arange(5000) % 4
    source = write_data(tmp_path / "data.npz", x_test=x, y_test=y)
    assert evaluate(model, str(source), threads=2).threads == 2
    assert evaluate(model, str(source), threads=1).threads == 1
    assert evaluate(model, str(write_data(tmp_path / "few.npz")), threads=2).threads == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": 5}, "lgc: The data has 5 features per sample, the model expects 4. Give the data set"),
        (
            {"classes": 6},
            "lgc: The data has 6 classes, the model 4. Give the data set the model was trained on.",
        ),
        ({"x_test": np.full((60, 4), np.nan)}, "lgc: The test features hold NaN or infinite values."),
        ({"y_test": np.zeros(3, int)}, "lgc: The test set has 60 samples but labels of shape (3,)."),
    ],
)
def test_data_that_does_not_fit(model: Path, tmp_path: Path, changes: dict, message: str) -> None:
    done = run(model, "--data", write_data(tmp_path / "data.npz", **changes))
    assert done.exit_code == 1
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("lgc: ")]
    assert sentence.startswith(message)


def test_what_is_missing(model: Path, tmp_path: Path) -> None:
    assert "There is no data set 'nowhere'." in run(model, "--data", "nowhere").stderr
    assert "missing.safetensors" in run("missing.safetensors", "--data", "digits").stderr
    done = run(model)
    assert done.exit_code == 1
    assert done.stderr.startswith("lgc: The checkpoint does not say what it was trained on. Name a data set")
    source = write_data(tmp_path / "data.npz")
    done = run(model, "--data", source, "-o", tmp_path / "no" / "scores.npz")
    assert done.exit_code == 1
    assert done.stderr.startswith("lgc: Cannot write")


def test_a_program_that_computes_something_else_is_found_out(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgc.ir.classifier.optimised", lambda net: replace(net, table=net.table ^ 15))
    source = write_data(tmp_path / "data.npz")
    with pytest.raises(MismatchError, match=r"^The optimised program gives other scores for sample 0 than"):
        evaluate(model, str(source))
    assert run(model, "--data", source).exit_code == 4


def test_a_loaded_model_predicts_and_scores(model: Path) -> None:
    x = np.array([[0, 2, 0, 0], [3, 0, 0, 9], [0, 0, 0, 0]])
    assert lgc.load(model).predict(x).tolist() == [1, 0, 0]
    assert lgc.load(model).scores(x).tolist() == [[0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]]
