from pathlib import Path

import numpy as np
import pytest
import torch

from lgc.errors import LgcError
from lgc.frontend import checkpoint, data
from lgc.frontend.config import DistilConfig, TrainConfig
from lgc.frontend.distil import Teacher
from lgc.frontend.lower import lower
from lgc.frontend.train import train

SAMPLES, CLASSES, FEATURES = 1437, 10, 64


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits")


def settings(teacher: Path | str, **more: object) -> TrainConfig:
    layer = {"width": 200, "k": 4, "relaxation": "light", "connections": "learned", "residual": 0.0}
    return TrainConfig.from_dict(
        {
            "model": {"layers": [layer], "tau_rule": "auto"},
            "train": {"epochs": 4, "lr": 0.05},
            "distil": {"teacher": str(teacher), "temperature": 2.0} | more,
        }
    )


def test_loss_is_the_formula(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(7, CLASSES))
    np.save(tmp_path / "scores.npy", table)
    told = DistilConfig(str(tmp_path / "scores.npy"), weight=0.3, temperature=2.0)
    teacher = Teacher(told, np.arange(7), 7, CLASSES, FEATURES)
    logits = torch.randn(7, CLASSES, dtype=torch.float64)
    labels = torch.arange(7)
    scores = torch.from_numpy(table[:7])
    p, q = (logits / 2).softmax(1), (scores / 2).softmax(1)
    expected = -0.7 * logits.log_softmax(1)[range(7), labels].sum()
    expected += 0.3 * 4 * (q * (q.log() - p.log())).sum()
    assert teacher.loss(logits, labels, scores).item() == pytest.approx(expected.item())


def test_a_table_is_read_by_training_row(digits: data.Dataset, tmp_path: Path) -> None:
    table = np.arange(SAMPLES * CLASSES).reshape(SAMPLES, CLASSES).astype(np.float32)
    np.save(tmp_path / "scores.npy", table)
    rows = np.flatnonzero(~data.validation_rows(digits, 200, 0))
    teacher = Teacher(DistilConfig(str(tmp_path / "scores.npy")), rows, SAMPLES, CLASSES, FEATURES)
    train_x, *_ = data.split_validation(digits, 200, 0)
    order = np.array([5, 0, 900])
    assert np.array_equal(teacher.scores(order, train_x[order]).numpy(), table[rows[order]])
    assert np.array_equal(digits.train_x[rows[order]], train_x[order])


def test_a_teacher_leads_where_labels_do_not_count(digits: data.Dataset, tmp_path: Path) -> None:
    """A teacher that shifts every class by one makes a student that does, at weight 1."""
    table = np.full((SAMPLES, CLASSES), -3.0)
    table[np.arange(SAMPLES), (digits.train_y + 1) % CLASSES] = 3
    np.save(tmp_path / "scores.npy", table)
    result = train(settings(tmp_path / "scores.npy", weight=1.0), digits, out=tmp_path / "m.safetensors")
    predicted = lower(result).predict(digits.test_x)
    assert ((digits.test_y + 1) % CLASSES == predicted).mean() > 0.6


def test_a_checkpoint_teaches(digits: data.Dataset, tmp_path: Path) -> None:
    first = train(settings(""), digits, out=tmp_path / "teacher.safetensors")
    student = train(
        settings(tmp_path / "teacher.safetensors", weight=1.0), digits, out=tmp_path / "student.safetensors"
    )
    agree = lower(first).predict(digits.test_x) == lower(student).predict(digits.test_x)
    assert agree.mean() > 0.8
    again = train(
        settings(tmp_path / "teacher.safetensors", weight=1.0), digits, out=tmp_path / "again.safetensors"
    )
    assert np.array_equal(again.layers[0].parameters, student.layers[0].parameters)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((5, 10)), r"^The teacher's scores .* are \[5, 10\]; expected numbers \[1437, 10\]"),
        (np.zeros((SAMPLES, 10), np.bool_), "^The teacher's scores .* are .*expected numbers"),
        (np.full((SAMPLES, 10), np.nan), "^The teacher's scores .* hold NaN"),
    ],
)
def test_bad_tables(digits: data.Dataset, tmp_path: Path, table: np.ndarray, message: str) -> None:
    np.save(tmp_path / "scores.npy", table)
    with pytest.raises(LgcError, match=message):
        train(settings(tmp_path / "scores.npy"), digits, out=tmp_path / "m.safetensors")


def test_no_teacher_there(digits: data.Dataset, tmp_path: Path) -> None:
    with pytest.raises(LgcError, match="^Cannot read the teacher's scores"):
        train(settings(tmp_path / "none.npy"), digits, out=tmp_path / "m.safetensors")
    with pytest.raises(LgcError, match="^Cannot read the checkpoint"):
        train(settings(tmp_path / "none.safetensors"), digits, out=tmp_path / "m.safetensors")


def test_a_teacher_of_other_data(digits: data.Dataset, tmp_path: Path) -> None:
    from .networks import random_checkpoint

    checkpoint.save(tmp_path / "other.safetensors", random_checkpoint(0))
    with pytest.raises(
        LgcError, match="^The teacher .* knows 5 features and 3 classes; the data has 64 and 10"
    ):
        train(settings(tmp_path / "other.safetensors"), digits, out=tmp_path / "m.safetensors")
