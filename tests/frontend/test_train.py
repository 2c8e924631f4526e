import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lgc.errors import LgcError, UsageError
from lgc.frontend import checkpoint, config, data, encoder, optimiser
from lgc.frontend.config import TrainConfig
from lgc.frontend.lower import lower
from lgc.frontend.network import Network, blocks
from lgc.frontend.train import Progress, metrics_path, state_path, train

Small = Callable[..., TrainConfig]

SMALL = """
[data]
source = "digits"
augment = "affine"
shift = 0.25
[encoder]
levels = 3
[model]
tau = 2.5
harden = 0.5
[[model.layers]]
width = 60
k = 4
relaxation = "light"
connections = "local"
window = 5.0
candidates = 4
residual = 0.0
[[model.layers]]
width = 30
k = 4
relaxation = "light"
connections = "learned"
residual = 0.0
[train]
epochs = 4
batch = 64
lr = 0.1
schedule = "cosine"
"""


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A network that trains in a second, and settings that differ from it."""
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(SMALL)
    return lambda *more: config.load(path, more)


def same(a: checkpoint.Checkpoint, b: checkpoint.Checkpoint) -> bool:
    return all(
        np.array_equal(p.fanin, q.fanin) and np.array_equal(p.parameters, q.parameters)
        for p, q in zip(a.layers, b.layers, strict=True)
    )


def test_digits_preset_reaches_its_accuracy(digits: data.Dataset, tmp_path: Path) -> None:
    seen: list[Progress] = []
    result = train(config.load("digits"), digits, out=tmp_path / "digits.safetensors", progress=seen.append)
    assert result.metadata["test_accuracy"] >= 0.955
    assert result.metadata["validation_accuracy"] >= 0.95
    # the reported figures are those of the written file, compiled
    loaded = checkpoint.load(tmp_path / "digits.safetensors")
    assert same(loaded, result)
    accuracy = (lower(loaded).predict(digits.test_x) == digits.test_y).mean()
    assert accuracy == loaded.metadata["test_accuracy"]
    # and the chosen epoch is the one with the best hardened validation accuracy
    ends = [p for p in seen if p.hard_val_acc is not None]
    assert max(p.hard_val_acc for p in ends if p.hard_val_acc) == result.metadata["validation_accuracy"]
    assert ends[result.metadata["epoch"] - 1].hard_val_acc == result.metadata["validation_accuracy"]
    lines = [
        json.loads(line) for line in metrics_path(tmp_path / "digits.safetensors").read_text().splitlines()
    ]
    assert [line["hard_val_acc"] for line in lines] == [p.hard_val_acc for p in ends]
    assert result.metadata["seed"] == 0
    assert TrainConfig.from_dict(result.metadata["config"]) == config.load("digits")


@pytest.mark.parametrize(
    "layers",
    [
        'model.layers=[{width=80}, {width=40, connections="random-unique", residual=0.0}]',
        'model.layers=[{width=60, k=3, relaxation="light", connections="learned"}, {width=20}]',
    ],
    ids=["dlgn", "mixed"],
)
def test_hardened_network_is_the_classifier(small: Small, digits: data.Dataset, layers: str) -> None:
    settings = small(layers)
    fitted = encoder.fit(settings.encoder, digits.train_x, digits.format)
    sources = encoder.sources(fitted, digits.train_x, digits.image_shape)
    network = Network(settings.model, sources, 10, np.random.default_rng(0))
    model = checkpoint.Checkpoint(fitted, network.hardened(), digits.class_names, settings.model.tau)
    x = blocks(fitted.encode(digits.test_x), np.arange(360))
    with torch.no_grad():
        counts = (network(x, hard=True)[:360] * settings.model.tau).numpy()
    assert np.array_equal(np.rint(counts), lower(model).scores(digits.test_x))
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-4)


def test_plain_dlgn_learns(small: Small, digits: data.Dataset, tmp_path: Path) -> None:
    settings = small(
        'model.layers=[{width=600, connections="random-unique", residual=0.0}, {width=400, residual=0.0}]',
        "model.harden=1", "data.augment=none", "train.epochs=12",
    )  # fmt: skip
    result = train(settings, digits, out=tmp_path / "m.safetensors")
    assert result.metadata["validation_accuracy"] > 0.85


def test_seeds_decide(small: Small, digits: data.Dataset, tmp_path: Path) -> None:
    first = train(small("train.epochs=1"), digits, out=tmp_path / "a.safetensors")
    again = train(small("train.epochs=1"), digits, out=tmp_path / "b.safetensors")
    other = train(small("train.epochs=1", "train.seed=1"), digits, out=tmp_path / "c.safetensors")
    assert same(first, again)
    assert not same(first, other)


class Interrupt:
    """Presses Ctrl-C at a given step."""

    def __init__(self, epoch: int, step: int) -> None:
        self.at = (epoch, step)

    def __call__(self, progress: Progress) -> None:
        if (progress.epoch, progress.step) == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", [1, 11, 20], ids=["early", "mid-epoch", "right after the epoch"])
def test_resuming_ends_with_the_same_tensors(
    small: Small, digits: data.Dataset, tmp_path: Path, step: int
) -> None:
    straight = train(small(), digits, out=tmp_path / "straight.safetensors")
    out = tmp_path / "resumed.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(small(), digits, out=out, progress=Interrupt(3, step))
    assert not out.exists()
    resumed = train(small(), digits, out=out, resume=True)
    assert same(straight, resumed)
    assert straight.metadata == resumed.metadata
    for key in ("loss", "val_acc", "hard_val_acc", "epoch"):
        logs = [
            [json.loads(line)[key] for line in metrics_path(p).read_text().splitlines()]
            for p in (tmp_path / "straight.safetensors", out)
        ]
        assert logs[0] == logs[1]
        assert len(logs[0]) == 4


def test_resuming_a_finished_run_or_adding_epochs(small: Small, digits: data.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    settings = small("train.schedule=constant", "model.harden=1", "train.epochs=2")
    first = train(settings, digits, out=out)
    assert same(first, train(settings, digits, out=out, resume=True))
    longer = small("train.schedule=constant", "model.harden=1", "train.epochs=3")
    extended = train(longer, digits, out=out, resume=True)
    assert same(extended, train(longer, digits, out=tmp_path / "straight.safetensors"))


def test_resume_refuses_what_it_cannot_continue(small: Small, digits: data.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    with pytest.raises(LgcError, match="^There is no run to resume"):
        train(small(), digits, out=out, resume=True)
    train(small("train.epochs=1"), digits, out=out)
    with pytest.raises(
        LgcError, match=r"^The run to resume had another model\.tau, train\.epochs, train\.lr\."
    ):
        train(small("model.tau=3", "train.lr=0.01"), digits, out=out, resume=True)
    whole = state_path(out).read_bytes()
    for content in (whole[:-1], whole[:50], b"", b"PK\x03\x04" + whole):
        state_path(out).write_bytes(content)
        with pytest.raises(LgcError):
            train(small("train.epochs=1"), digits, out=out, resume=True)
    checkpoint.write_tensors(state_path(out), {}, {"epoch": 1})
    with pytest.raises(LgcError, match="is not a usable training state"):
        train(small("train.epochs=1"), digits, out=out, resume=True)


def test_divergence_is_reported(small: Small, digits: data.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    train(small("train.epochs=1"), digits, out=out)
    tensors, header = checkpoint.read_tensors(state_path(out))
    tensors["now.layers.0.choice"] = np.full_like(tensors["now.layers.0.choice"], np.inf)
    checkpoint.write_tensors(state_path(out), tensors, header | {"epoch": 0})
    threads = torch.get_num_threads()
    with pytest.raises(LgcError, match=r"^The loss became nan in epoch 1\. Lower train\.lr"):
        train(small("train.epochs=1"), digits, out=out, resume=True)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.layers.1.width=31", "^The last layer has 31 nodes, which 10 classes cannot share"),
        ("model.layers.0.relaxation=dlgn", "^The relaxation dlgn has no nodes of 4 inputs"),
        ("data.validation=5000", "^Cannot hold out 5000 of 1437 samples"),
    ],
)
def test_settings_that_contradict(
    small: Small, digits: data.Dataset, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises((LgcError, UsageError), match=message):
        train(small(override), digits, out=tmp_path / "m.safetensors")


def test_unwritable_places(small: Small, digits: data.Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LgcError, match="^Cannot write .*m.metrics.jsonl: "):
        train(small(), digits, out=tmp_path / "file" / "m.safetensors")
    with pytest.raises(LgcError, match="^Cannot write .*m.safetensors: "):
        checkpoint.write_tensors(tmp_path / "file" / "m.safetensors", {}, {})


def test_data_that_is_no_image(small: Small, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 6)), rng.integers(0, 2, 300)
    x[:, 0] += 4 * y
    np.savez(tmp_path / "table.npz", x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    table = data.load(tmp_path / "table.npz")
    layers = 'model.layers=[{width=40, k=4, relaxation="light", connections="learned", residual=0.0}]'
    settings = small(layers, "data.augment=none", "data.validation=50", "train.epochs=10")
    result = train(settings, table, out=tmp_path / "m.safetensors")
    assert result.metadata["test_accuracy"] > 0.85
    with pytest.raises(UsageError, match=r"^data\.augment = affine needs images"):
        train(small(layers, "data.validation=50"), table, out=tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((), [1.0, 0.855, 0.505, 0.155]),
        (("train.schedule=constant",), [1.0] * 4),
        (("train.schedule=step", "train.step=2"), [1.0, 1.0, 0.1, 0.1]),
    ],
)
def test_schedules_of_the_rate(small: Small, settings: tuple[str, ...], expected: list[float]) -> None:
    """At the beginning of each of four epochs, relative to the first."""
    found = small(*settings)
    linear = torch.nn.Linear(2, 2)
    adam = optimiser.adam(found, linear)
    rates = []
    for epoch in range(4):
        optimiser.schedule(found, adam, epoch / 4)
        rates.append(adam.param_groups[0]["lr"] / found.train.lr)
    assert rates == pytest.approx(expected, abs=1e-3)
