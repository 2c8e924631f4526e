"""A sensor that never stops: classes of a vibration, every 16 samples, from a small network in a stream.

The data are made up: an accelerometer on a shaft that turns at 6 to 9 samples per radian, with noise. Four
classes: running well, unbalanced (the shaft's own frequency is strong), a bad bearing (it rings at every
blow), and loose (the signal is cut off on one side).

python examples/vibration.py [--epochs 12] [--windows 40]
"""

import argparse
from pathlib import Path

import numpy as np

import lgc
from lgc.frontend import config, data
from lgc.frontend.train import train

CLASSES = ("well", "unbalanced", "bearing", "loose")
LENGTH, HOP = 64, 16

CONFIG = """
[data]
validation = 400

[encoder]
kind = "thresholds"
thresholds = [64, 96, 112, 128, 144, 160, 192]

[model]
tau = 4.0
layers = [
  { kind = "conv", width = 48, depth = 3, field = 8, reads = 2, relaxation = "light", shape = [64] },
  { kind = "or-pool", field = 2 },
  { kind = "conv", width = 96, depth = 3, field = 5, reads = 2, relaxation = "light" },
  { kind = "or-pool", field = 4 },
  { width = 800, k = 4, relaxation = "light", connections = "learned" },
  { width = 400, k = 4, relaxation = "light", connections = "learned" },
]

[train]
epochs = 12
batch = 64
lr = 0.05
lr_connections = 0.05
schedule = "cosine"
"""


def vibration(rng: np.random.Generator, kind: int, steps: int) -> np.ndarray:
    """Make up a signal of a class, uint8 `[steps]`."""
    time = np.arange(steps) + rng.integers(1000)
    turn = time / rng.uniform(6, 9)
    signal = rng.uniform(4, 10) * np.sin(turn) + rng.normal(0, 6, steps)
    if kind == 1:
        signal += rng.uniform(25, 50) * np.sin(turn)
    if kind == 2:
        since = time % rng.integers(11, 16)
        signal += rng.uniform(40, 70) * np.exp(-since / 2.5) * np.cos(2.2 * since)
    if kind == 3:
        signal = np.maximum(rng.uniform(35, 60) * np.sin(turn) + rng.normal(0, 6, steps), -10)
    return np.clip(128 + signal, 0, 255).astype(np.uint8)


def samples(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows uint8 `[count, LENGTH]` and their classes."""
    labels = rng.integers(len(CLASSES), size=count)
    return np.stack([vibration(rng, kind, LENGTH) for kind in labels]), labels


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--windows", type=int, default=40, help="windows to simulate at least")
options = parser.parse_args()

folder = Path("runs/vibration")
folder.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(0)
train_x, train_y = samples(rng, 3000)
test_x, test_y = samples(rng, 1000)
np.savez(folder / "vibration.npz", x_train=train_x, y_train=train_y, x_test=test_x, y_test=test_y)
(folder / "vibration.toml").write_text(CONFIG)
model = folder / "vibration.safetensors"
settings = config.load(folder / "vibration.toml", [f"train.epochs={options.epochs}"])
network = train(settings, data.load(folder / "vibration.npz"), out=model)
accuracy = network.metadata["test_accuracy"]
print(f"made-up vibrations, test accuracy {accuracy:.1%}")

build = lgc.compile(model, out=folder / "build", fold=True, continuous=HOP, until="verilog")
print((build.path / "04-rtl" / "model.txt").read_text())
# one long signal that changes its class on the way
signal = np.concatenate([vibration(rng, kind, 5 * LENGTH) for kind in (0, 2, 1, 3)])
whole = signal[: max(options.windows * HOP // LENGTH + 1, 2) * LENGTH].reshape(-1, LENGTH)
checked = build.verify(whole)
print(f"{checked.classes_equal} of {checked.samples} windows: the hardware's class is the network's")
