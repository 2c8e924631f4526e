"""Connections: how evenly and how far they reach, and what a layer that learns them costs.

    python benchmarks/connections.py [--peers PEERS] [--width 1000] [--batch 64] [--sources 784]

PEERS holds torchlogix 0.2.2, as in benchmarks/training.py; without it its column is missing.

First table: fixed wiring on an image of 28 x 28 bits, six layers. uses: how often the least and the most
read sources of a layer are read, over all layers; ancestors: how many input bits a node depends on, mean
by layer.

Second table: forward and backward of one layer of 2-input nodes, CPU milliseconds (user and system) on
one thread, best of several steps, engines in turns. torch: the paper's formula, written plainly in eager
torch. torchlogix: its learnable connections, which are DWN's. At the default size since the peers need
memory for samples x nodes x sources: 8,000 nodes and 256 samples would take them 13 GB.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lgc.frontend.butterfly import ancestors
from lgc.frontend.config import LayerConfig
from lgc.frontend.connections import SLOTS, Sources, wire
from lgc.frontend.kernels import cpu, threads
from lgc.frontend.layers import wired
from lgc.frontend.layers.slots import GATES

Step = Callable[[], object]
LAYERS: dict[str, dict[str, Any]] = {
    "all, softmax": {"connections": "full"},
    "all, hard": {"connections": "full", "choose": "hard"},
    "all, dwn": {"connections": "full", "choose": "dwn"},
    "32, softmax": {"connections": "learned", "candidates": 32},
    "32, hard": {"connections": "learned", "candidates": 32, "choose": "hard"},
    "8, hard": {"connections": "learned", "candidates": 8, "choose": "hard"},
    "slots": {"connections": "slots"},
}
DWN = {"all, dwn": -1, "8, hard": 8, "32, hard": 32}
"""Layers that torchlogix has, and its number of candidates."""


def reach(name: str, k: int, width: int, depth: int = 6) -> tuple[int, int, list[float]]:
    """Fewest and most uses of a source, and mean ancestors of each layer's nodes."""
    rows, columns = np.divmod(np.arange(784), 28)
    sources = Sources(np.arange(784, dtype=np.int32), np.stack([rows, columns], 1).astype(np.float32))
    fanins, low, high = [], [], []
    for level in range(depth):
        layer = LayerConfig(width=width, k=k, connections=name)
        groups = 10 if level == depth - 1 and not width % 10 else 1
        wiring = wire(layer, sources, groups, np.random.default_rng(level))
        fanins.append(wiring.candidates[:, :, 0])
        uses = np.bincount(fanins[-1].ravel(), minlength=len(sources.index))
        low.append(int(uses.min()))
        high.append(int(uses.max()))
        sources = Sources(np.arange(width, dtype=np.int32), wiring.position, stage=wiring.stage)
    return min(low), max(high), [float(counts.mean()) for counts in ancestors(fanins, 784)]


def ours(name: str, options: argparse.Namespace) -> Step:
    """A step of lgc's layer."""
    settings = LayerConfig(width=options.width, init="gaussian", **LAYERS[name])
    rng = np.random.default_rng(0)
    sources = Sources(np.arange(options.sources, dtype=np.int32))
    layer = wired(settings, wire(settings, sources, 1, rng), rng)
    blocks = -(-options.batch // cpu.LANES)
    x = torch.from_numpy((rng.random((blocks, options.sources, cpu.LANES)) < 0.3).astype(np.float32))
    upstream = torch.from_numpy(rng.standard_normal((blocks, options.width, cpu.LANES), np.float32))

    def step() -> None:
        layer.zero_grad()
        layer(x, False).backward(upstream)

    return step


def eager(name: str, options: argparse.Namespace) -> Step | None:
    """A step of the formula in plain torch, samples first."""
    given = LAYERS[name]
    if given.get("choose") == "dwn":
        return None
    generator = torch.Generator().manual_seed(0)
    n, width = options.sources, options.width
    slots = given["connections"] == "slots"
    count = SLOTS if slots else int(given.get("candidates", n))
    x = (torch.rand(options.batch, n, generator=generator) < 0.3).float()
    source = torch.randint(n, (count, 2, width), generator=generator)
    logits = torch.randn(count, 2, width, generator=generator, requires_grad=True)
    functions = torch.randn(width, 16, generator=generator, requires_grad=True)
    upstream = torch.randn(options.batch, width, generator=generator)
    gates = torch.from_numpy(GATES)

    def node(weights: Tensor, a: Tensor, b: Tensor) -> Tensor:
        c = weights @ gates
        return c[..., 0] + c[..., 1] * a + c[..., 2] * b + c[..., 3] * a * b

    def pin(p: int) -> Tensor:
        soft = logits[:, p].softmax(0)
        if given.get("choose") == "hard":
            best = torch.zeros_like(soft).scatter_(0, soft.argmax(0, keepdim=True), 1.0)
            soft = soft + (best - soft).detach()
        return x @ soft if count == n else torch.einsum("bcw,cw->bw", x[:, source[:, p]], soft)

    def step() -> None:
        functions.grad = logits.grad = None
        soft = functions.softmax(1)
        if slots:
            both = torch.stack([x[:, source[:, p]] for p in range(2)])
            each = node(torch.eye(16)[:, None, :], both[0], both[1])
            y = torch.einsum("bcw,wc->bw", each, soft)
        else:
            y = node(soft, pin(0), pin(1))
        y.backward(upstream)  # type: ignore[no-untyped-call]

    return step


def torchlogix(name: str, options: argparse.Namespace) -> Step | None:
    """A step of torchlogix' layer; None where it has no such connections."""
    if name not in DWN or not options.peers:
        return None
    sys.path.insert(0, str(Path(__file__).parent))
    from inference import load_circuit

    sys.path.insert(0, str(options.peers))
    sys.modules["torchlogix.circuit"] = load_circuit(options.peers / "torchlogix" / "circuit.py")
    from torchlogix.layers import LogicDense

    layer = LogicDense(
        options.sources,
        options.width,
        lut_rank=2,
        parametrization="raw",
        parametrization_kwargs={},
        connections="learnable",
        connections_kwargs={"num_candidates": DWN[name]},
    ).train()
    x = (torch.rand(options.batch, options.sources, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    upstream = torch.randn(options.batch, options.width)

    def step() -> None:
        layer.zero_grad()
        layer(x).backward(upstream)

    return step


def best(steps: dict[str, Step], repeats: int) -> dict[str, float]:
    """CPU milliseconds of each step, the best of several, in turns."""
    found = dict.fromkeys(steps, float("inf"))
    for step in steps.values():
        step()  # compiles or loads kernels
    for _ in range(repeats):
        for name, step in steps.items():
            start = time.process_time()
            step()
            found[name] = min(found[name], (time.process_time() - start) * 1e3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, default=os.environ.get("LGC_PEERS"), metavar="DIR")
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--sources", type=int, default=784)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-peers", action="store_true", help="only lgc, at any size")
    options = parser.parse_args()
    options.peers = options.peers and Path(options.peers)
    print(f"{'wiring':<15}{'k':>3}{'width':>7}{'uses':>9}  ancestors")
    for k, width in ((2, 784), (2, 8000), (4, 784), (6, 2000)):
        for name in ("random", "random-unique", "butterfly"):
            low, high, counts = reach(name, k, width)
            line = " ".join(f"{count:7.2f}" for count in counts)
            print(f"{name:<15}{k:>3}{width:>7}{f'{low}-{high}':>9}  {line}")
    torch.set_num_threads(1)
    threads.cores = lambda: 1
    engines = {"lgc": ours} if options.no_peers else {"lgc": ours, "torch": eager, "torchlogix": torchlogix}
    print(f"\n{options.sources} sources, {options.width} nodes, {options.batch} samples: CPU ms per step")
    print(
        f"{'connections':<15}"
        + "".join(f"{name:>12}{'ratio' if name != 'lgc' else '':>8}" for name in engines)
    )
    for name in LAYERS:
        steps = {engine: make(name, options) for engine, make in engines.items()}
        times = best({engine: step for engine, step in steps.items() if step}, options.repeats)
        line = f"{name:<15}"
        for engine in engines:
            shown = f"{times[engine]:.1f}" if engine in times else "-"
            ratio = f"{times[engine] / times['lgc']:.1f}x" if engine in times and engine != "lgc" else ""
            line += f"{shown:>12}{ratio:>8}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
