"""Everything a run can do beyond the plain one: it must resume exactly, and end as promised."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lgc.errors import LgcError, UsageError
from lgc.frontend import budget, checkpoint, config, data
from lgc.frontend.config import TrainConfig
from lgc.frontend.lower import lower
from lgc.frontend.train import Progress, metrics_path, state_path, train

SMALL = """
[data]
source = "digits"
[encoder]
levels = 3
[model]
tau_rule = "auto"
[[model.layers]]
width = 80
k = 4
relaxation = "light"
connections = "learned"
candidates = 4
residual = 0.0
[[model.layers]]
width = 60
k = 2
connections = "ring"
residual = 0.5
[train]
epochs = 4
batch = 64
lr = 0.05
"""


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


OPTIONS = {
    "thresholds": ["encoder.kind=learned", "train.clip=1.0"],
    "global thresholds": ["encoder.kind=learned", "encoder.scope=global", "model.harden=0.5"],
    "learned tau": ["model.tau_rule=learned", "model.tau=3"],
    "adavar": ["model.tau_rule=adavar", "data.augment=crop", "data.flip=true"],
    "penalties": ["train.lut_cost=0.05", "train.entropy=0.05"],
    "freezing": ["train.freeze=[0.4]", "model.estimator=gumbel-hard"],
    "frozen from the start": ["train.freeze=[0.0]"],
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
def test_interrupted_runs_end_alike(
    small: Path, digits: data.Dataset, tmp_path: Path, options: list[str]
) -> None:
    settings = config.load(small, options)
    straight = train(settings, digits, out=tmp_path / "straight.safetensors")

    def stop(now: Progress) -> None:
        if (now.epoch, now.step) == (3, 5):
            raise KeyboardInterrupt

    out = tmp_path / "resumed.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(settings, digits, out=out, progress=stop)
    resumed = train(settings, digits, out=out, resume=True)
    assert straight.metadata == resumed.metadata
    assert straight.tau == resumed.tau
    assert np.array_equal(straight.encoder.threshold, resumed.encoder.threshold)
    for a, b in zip(straight.layers, resumed.layers, strict=True):
        assert np.array_equal(a.parameters, b.parameters)
        assert np.array_equal(a.fanin, b.fanin)
    # what was written is what was measured
    loaded = checkpoint.load(out)
    accuracy = (lower(loaded).predict(digits.test_x) == digits.test_y).mean()
    assert accuracy == loaded.metadata["test_accuracy"]
    assert accuracy > 0.2  # four epochs


def epochs(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in metrics_path(out).read_text("utf-8").splitlines()]


def test_learned_thresholds_and_tau_move(small: Path, digits: data.Dataset, tmp_path: Path) -> None:
    rates = ["train.lr_thresholds=0.01", "train.lr_tau=0.05", "model.tau_rule=learned", "model.tau=3"]
    plain = train(config.load(small, ["train.epochs=1"]), digits, out=tmp_path / "plain.safetensors")
    out = tmp_path / "m.safetensors"
    model = train(config.load(small, ["encoder.kind=learned", *rates]), digits, out=out)
    assert not np.array_equal(model.encoder.threshold, plain.encoder.threshold)
    assert (np.diff(model.encoder.threshold, axis=1) >= 0).all()
    taus = [line["tau"] for line in epochs(out)]
    assert len(set(taus)) == 4
    assert model.tau == taus[model.metadata["epoch"] - 1]


def test_the_lut_penalty_saves_logic(small: Path, digits: data.Dataset, tmp_path: Path) -> None:
    layers = "model.layers=[{width=400, residual=0.0}, {width=200, residual=0.0}]"
    found = []
    for weight in (0.0, 3.0):
        out = tmp_path / f"{weight}.safetensors"
        train(config.load(small, [layers, f"train.lut_cost={weight}", "train.epochs=8"]), digits, out=out)
        found.append(epochs(out)[-1]["usage"]["logic"])  # type: ignore[index]
    assert found[1] < 0.7 * found[0]


def test_frozen_layers_stay_as_they_are(small: Path, digits: data.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    settings = config.load(small, ["train.freeze=[0.5]"])
    states = {}

    def look(now: Progress) -> None:
        if now.hard_val_acc is not None:
            states[now.epoch] = checkpoint.read_tensors(state_path(out))[0]

    train(settings, digits, out=out, progress=look)
    for name in ("now.layers.0.functions", "now.layers.0.choice"):
        assert not np.array_equal(states[1][name], states[2][name])
        assert np.array_equal(states[2][name], states[4][name])
    assert not np.array_equal(states[3]["now.layers.1.functions"], states[4]["now.layers.1.functions"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.freeze=[0.5, 0.4]", r"^train\.freeze = \[0\.5, 0\.4\] are not ascending fractions"),
        ("train.freeze=[1.5]", r"^train\.freeze = \[1\.5\] are not ascending fractions"),
        ("train.freeze=[0.1, 0.2]", r"^train\.freeze names 2 layers of 2; the last one goes on"),
        ("train.freez=[0.1]", r"^There is no setting train\.freez\. Did you mean freeze"),
        ("model.tau_rule=root", r"^model\.tau_rule cannot be 'root'\. "),
    ],
)
def test_settings_that_contradict(
    small: Path, digits: data.Dataset, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(config.load(small, [override]), digits, out=tmp_path / "m.safetensors")


# data that cannot be learned from


def table(tmp_path: Path, x: np.ndarray, y: np.ndarray) -> Path:
    cut = len(x) * 2 // 3
    path = tmp_path / "table.npz"
    np.savez(path, x_train=x[:cut], y_train=y[:cut], x_test=x[cut:], y_test=y[cut:])
    return path


def test_constant_features(small: Path, tmp_path: Path) -> None:
    y = np.arange(300) % 2
    loaded = data.load(table(tmp_path, np.ones((300, 4)), y))
    with pytest.raises(LgcError, match="^No input bit changes in training: all features are constant"):
        train(config.load(small, ["data.validation=50"]), loaded, out=tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y: (np.where(x > 3, np.nan, x), y), "hold NaN or infinite values"),
        (lambda x, y: (x, 0 * y), "There is only one class"),
        (lambda x, y: (x, np.where(y == 1, 2, y)), "Class 1 has no training sample"),
    ],
)
def test_unusable_data(tmp_path: Path, spoil: object, message: str) -> None:
    rng = np.random.default_rng(0)
    x, y = spoil(2 * rng.normal(size=(300, 4)), np.arange(300) % 3)  # type: ignore[operator]
    with pytest.raises(LgcError, match=message):
        data.load(table(tmp_path, x, y))


# memory


def test_a_run_that_cannot_fit_is_refused(
    small: Path, digits: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "available", lambda: 12 << 20)
    big = config.load(small, ["model.layers.0.width=20000", "train.batch=16384"])
    with pytest.raises(LgcError, match=r"^Training needs about .*, 12 MiB are free\. Layers of \d+ % "):
        train(big, digits, out=tmp_path / "m.safetensors")
    wide = config.load(small, ["train.batch=16384"])
    with pytest.raises(LgcError, match=r"^Training needs about .* free\. A batch of \d+ would fit"):
        train(wide, digits, out=tmp_path / "m.safetensors")
    assert not state_path(tmp_path / "m.safetensors").exists()


MEASURE = """
import sys
from lgc.frontend import budget, config, data, encoder
from lgc.frontend.train import train
from pathlib import Path
loaded = data.load("digits")
def status(key): return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) << 10
small = config.load(sys.argv[1], ["train.epochs=1", *sys.argv[4:]])
big = config.load(sys.argv[1], ["train.epochs=1", sys.argv[3], *sys.argv[4:]])
train(small, loaded, out=Path(sys.argv[2]))  # everything imported and compiled
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = status("VmRSS")
train(big, loaded, out=Path(sys.argv[2]))
fitted = encoder.fit(big.encoder, loaded.train_x, loaded.format)
print(status("VmHWM") - before, budget.need(big, loaded.train_x.nbytes, fitted.bits, 200, 150).peak)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    "big",
    [
        'model.layers=[{width=60000, connections="random"}, {width=60000, k=2}]',
        pytest.param(
            'model.layers=[{width=20000, k=4, relaxation="light", connections="learned", candidates=16}]',
            marks=pytest.mark.slow,
        ),
    ],
    ids=["plain", "learned wiring"],
)
def test_the_estimate_is_near_the_truth(small: Path, tmp_path: Path, big: str) -> None:
    command = [sys.executable, "-c", MEASURE, str(small), str(tmp_path / "m.safetensors"), big]
    for _ in range(2):  # the second finds all kernels compiled
        ran = subprocess.run(
            [*command, "train.batch=256"], capture_output=True, text=True, timeout=300, check=True
        )
    grown, estimate = map(int, ran.stdout.split())
    assert 0.4 * grown < estimate < 2.5 * grown, f"{grown >> 20} MiB, estimated {estimate >> 20} MiB"


# runs that are stopped from outside


@pytest.fixture
def running(small: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of 12 epochs that has finished its first epoch."""
    out = tmp_path / "killed.safetensors"
    command = [sys.executable, "-m", "lgc", "train", str(small), "--set", "train.epochs=12", "-o", str(out)]
    # a shell's background jobs ignore Ctrl-C, and so would theirs
    heard = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=heard)  # noqa: PLW1509
    try:
        until = time.monotonic() + 120
        while not state_path(out).exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        yield process
    finally:
        process.kill()
        process.communicate()


def finish(small: Path, digits: data.Dataset, tmp_path: Path) -> None:
    """The stopped run goes on and ends like one that was never stopped."""
    settings = config.load(small, ["train.epochs=12"])
    killed = tmp_path / "killed.safetensors"
    assert not killed.exists()
    resumed = train(settings, digits, out=killed, resume=True)
    straight = train(settings, digits, out=tmp_path / "straight.safetensors")
    assert resumed.metadata == straight.metadata
    for a, b in zip(resumed.layers, straight.layers, strict=True):
        assert np.array_equal(a.parameters, b.parameters)
    assert len(epochs(killed)) == 12


def test_killed_runs_go_on(
    small: Path, digits: data.Dataset, tmp_path: Path, running: subprocess.Popen[str]
) -> None:
    time.sleep(0.05)  # into the next epoch
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait(60) == -signal.SIGKILL
    finish(small, digits, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_says_how_to_go_on(
    small: Path, digits: data.Dataset, tmp_path: Path, running: subprocess.Popen[str], number: signal.Signals
) -> None:
    os.kill(running.pid, number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "killed.state holds the run; the same command with --resume goes on." in said
    finish(small, digits, tmp_path)


def test_a_new_run_forgets_the_earlier_one(small: Path, digits: data.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    train(config.load(small, ["train.epochs=1"]), digits, out=out)

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config.load(small), digits, out=out, progress=stop)
    with pytest.raises(LgcError, match="^There is no run to resume"):
        train(config.load(small), digits, out=out, resume=True)


def test_progress_tells_time_gap_and_usage(small: Path, digits: data.Dataset, tmp_path: Path) -> None:
    seen: list[Progress] = []
    train(config.load(small), digits, out=tmp_path / "m.safetensors", progress=seen.append)
    assert seen[0].gap is None
    ends = [now for now in seen if now.hard_val_acc is not None]
    assert len(ends) == 4
    for now in ends:
        assert now.val_acc is not None
        assert now.hard_val_acc is not None
        assert now.gap == now.val_acc - now.hard_val_acc
        assert now.usage is not None
        assert sum(now.usage.values()) == pytest.approx(1, abs=1e-5)
    assert ends[-1].seconds_left == 0
    assert seen[0].seconds_left > 0
    assert TrainConfig.from_dict(config.load(small).to_dict()) == config.load(small)
