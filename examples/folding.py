"""A convolutional network in a stream: train on scikit-learn's digits, fold, look at the model, verify.

python examples/folding.py
"""

from pathlib import Path

import lgc
from lgc.frontend import config, data
from lgc.frontend.train import train

folder = Path("runs/folding")
model = folder / "digits-conv.safetensors"
digits = data.load("digits")
train(config.load("digits-conv", ["train.epochs=5"]), digits, out=model)

for tail in ("parallel", "serial"):
    build = lgc.compile(model, fold=True, tail=tail, until="verilog", out=folder / tail)
    print(f"Tail {tail}:\n{(build.path / '04-rtl' / 'model.txt').read_text()}")
    checked = build.verify(digits.train_x[:5])
    print(f"{checked.classes_equal} of {checked.samples} training images: hardware and network agree\n")
