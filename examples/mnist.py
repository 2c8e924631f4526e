"""MNIST to a bitstream for the iCE40-HX8K breakout board, pixels over its UART.

python examples/mnist.py path/to/mnist [--epochs 20]
"""

import argparse
from pathlib import Path

import lgc
from lgc.frontend import config, data
from lgc.frontend.train import train

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data", help="folder with the four idx files")
parser.add_argument("--epochs", type=int, help="the preset's number if not given")
parser.add_argument("--images", type=int, default=100, help="test images to simulate")
parser.add_argument("--until", default="bitstream", help="verilog, simulation, synthesis or bitstream")
options = parser.parse_args()

folder = Path("runs/mnist")
folder.mkdir(parents=True, exist_ok=True)
model = folder / "mnist.safetensors"
overrides = [] if options.epochs is None else [f"train.epochs={options.epochs}"]
settings = config.load("mnist", [f"data.source={options.data}", *overrides])
train(
    settings,
    data.load(options.data),
    out=model,
    progress=lambda now: (
        now.hard_val_acc is not None and print(f"epoch {now.epoch}: {now.hard_val_acc:.2%}", flush=True)
    ),
)
build = lgc.compile(
    model,
    board="ice40-hx8k-b-evn",
    interface="uart",
    out=folder / "build",
    images=options.images,
    until=options.until,
)
print(f"network {build.report.model.test_accuracy:.2%} of the test images; built in {build.path}")
