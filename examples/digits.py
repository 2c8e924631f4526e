"""The Python interface: train on scikit-learn's digits, compile, look at the report, verify.

python examples/digits.py
"""

from pathlib import Path

import lgc
from lgc.frontend import config, data
from lgc.frontend.train import train

folder = Path("runs/example")
model = folder / "digits.safetensors"
digits = data.load("digits")
train(config.load("digits", ["train.epochs=10"]), digits, out=model)

build = lgc.compile(model, target="ice40-hx8k", out=folder / "build")
report = build.report
print(f"{report.post_synthesis.luts.total} LUTs, {report.post_route.fmax_mhz:.0f} MHz: {build.bitstream}")

checked = build.verify(digits.train_x[:50])
print(f"{checked.classes_equal} of {checked.samples} training images: hardware and network agree")
