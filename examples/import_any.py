"""Hand a network of any framework to lgc: write wiring, tables and thresholds as JSON, import, compile.

The "framework" here is twenty lines of numpy that grow random 3-input gates greedily on scikit-learn's
digits. Only `container` below is about lgc.

python examples/import_any.py
"""

import json
import sys
from pathlib import Path

import numpy as np

import lgc
from lgc import importing
from lgc.frontend import checkpoint, data
from lgc.frontend.lower import lower

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/import-any")
folder.mkdir(parents=True, exist_ok=True)
digits = data.load("digits")

# the other framework: for each class, the random gates that best tell it from the rest
rng = np.random.default_rng(0)
pixels = digits.train_x.reshape(len(digits.train_x), -1)
bits = (pixels[:, :, None] > [3.0, 10.0]).reshape(len(pixels), -1)
fanin = rng.integers(0, bits.shape[1], (4000, 3))
address = (bits[:, fanin] << np.arange(3)).sum(axis=2)  # [samples, gates]
chosen, tables = [], []
for label in range(10):
    mine = digits.train_y == label
    share = [np.stack([(address[who] == row).mean(axis=0) for row in range(8)]) for who in (mine, ~mine)]
    best = np.argsort(-np.maximum(share[0] - share[1], 0).sum(axis=0))[:40]
    chosen.append(fanin[best])
    tables += [sum(1 << row for row in range(8) if share[0][row, g] > share[1][row, g]) for g in best]

# handing it over
container = {
    "format": "lgc-network-1",
    "inputs": [8, 8],  # shape of a sample
    "feature_format": [5, 0, False],  # 5-bit integers
    "thresholds": [3.0, 10.0],  # a bit is 1 where the pixel is greater
    "order": "feature",  # both bits of a pixel next to each other
    "classes": 10,  # equal groups of the last layer's nodes are counted
    "layers": [{"fanin": np.concatenate(chosen).tolist(), "table": tables}],
}
(folder / "network.json").write_text(json.dumps(container))

# what the framework computes, to compare with
test = digits.test_x.reshape(len(digits.test_x), -1)
ones = (test[:, :, None] > [3.0, 10.0]).reshape(len(test), -1)[:, np.concatenate(chosen)] << np.arange(3)
expected = (np.array(tables) >> ones.sum(axis=2) & 1).reshape(len(test), 10, -1).sum(axis=2)
np.savez(folder / "scores.npz", x=digits.test_x, scores=expected)

imported = importing.check(importing.read(folder / "network.json"), folder / "scores.npz")
checkpoint.save(folder / "model.safetensors", imported.checkpoint)
accuracy = (lower(imported.checkpoint).predict(digits.test_x) == digits.test_y).mean()
print(f"{imported.checkpoint.metadata['imported']['checked']}; accuracy {accuracy:.1%}")

build = lgc.compile(folder / "model.safetensors", out=folder / "build", data="digits", until="verilog")
print(f"Verilog is in {build.path}")
