"""Forward and backward on a GPU: lgc's Triton kernels, torchlogix with torch.compile, difflogic's CUDA.

    pip download --no-deps -d PEERS torchlogix==0.2.2 && unzip -d PEERS PEERS/torchlogix-*.whl
    python benchmarks/gpu.py --peers PEERS [--layers 4] [--width 8000] [--batch 128]

PEERS may also come from the environment variable LGC_PEERS. difflogic 0.1.0 is measured where its
CUDA extension was built (`pip install --no-build-isolation difflogic==0.1.0`); it has two-input nodes
only. A missing peer is reported. Without a GPU nothing can be measured: one line, exit code 2.

784 random bits, layers of random fixed wiring, counts per class, cross-entropy, `backward()`; no
optimiser. Each engine and node runs in a process of its own, engines in turns, and compiles before it
is measured. Time is that between CUDA events around a step, the median of a run's steps, the better of
the runs; waiting for Python counts, as in training. Memory is torch's peak. The last lines check ours:
outputs and gradients of the same network on this GPU and on the CPU, the largest difference.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from workers import call

INPUTS, CLASSES = 784, 10
NODES = {
    "raw 2": ("dlgn", "raw", 2),
    "Light 4": ("light", "light", 4),
    "WARP 4": ("warp", "warp", 4),
    "WARP 6": ("warp", "warp", 6),
    "raw 2 of 8": ("dlgn", None, 2),  # learned connections; ours only
}
KEYS = ("device", "layers", "width", "batch", "steps")
Step = Callable[[], object]


def network(node: str, options: argparse.Namespace) -> torch.nn.Module:
    """Ours, on the CPU."""
    from lgc.frontend.config import LayerConfig, ModelConfig
    from lgc.frontend.connections import Sources
    from lgc.frontend.network import Network

    name, peer, k = NODES[node]
    wiring = {} if peer else {"connections": "learned", "candidates": 8}
    layer = LayerConfig(width=options.width, k=k, relaxation=name, **wiring)
    sources = Sources(np.arange(INPUTS, dtype=np.int32))
    return Network(ModelConfig((layer,) * options.layers), sources, CLASSES, np.random.default_rng(0))


def batch(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Random bits bool `[batch, INPUTS]` and labels int64 `[batch]`."""
    rng = np.random.default_rng(0)
    return rng.random((options.batch, INPUTS)) < 0.5, rng.integers(0, CLASSES, options.batch)


def ours(node: str, options: argparse.Namespace) -> Step:
    """A step of lgc."""
    from lgc.frontend.kernels import gpu

    bits, classes = batch(options)
    net = network(node, options).to(options.device)
    x = gpu.blocks(bits, np.arange(len(bits)), options.device)
    labels = torch.from_numpy(classes).to(options.device)

    def step() -> None:
        net.zero_grad()
        logits = net(x, hard=False)[: options.batch]
        torch.nn.functional.cross_entropy(logits, labels).backward()

    return step


def peer_step(net: torch.nn.Module, options: argparse.Namespace) -> Step:
    """A step of a network of samples `[batch, bits]`."""
    bits, classes = batch(options)
    x = torch.from_numpy(bits).float().to(options.device)
    labels = torch.from_numpy(classes).to(options.device)

    def step() -> None:
        net.zero_grad()
        torch.nn.functional.cross_entropy(net(x), labels).backward()

    return step


def torchlogix(node: str, options: argparse.Namespace) -> Step:
    """A step of torchlogix' own layers, compiled by torch."""
    from inference import load_circuit

    sys.path.insert(0, str(options.peers))
    sys.modules["torchlogix.circuit"] = load_circuit(options.peers / "torchlogix" / "circuit.py")
    from torchlogix.layers import GroupSum, LogicDense

    _, name, k = NODES[node]
    sizes = [INPUTS] + [options.width] * (options.layers - 1)
    kinds = {"lut_rank": k, "parametrization": name, "parametrization_kwargs": {}}
    dense = [LogicDense(size, options.width, device=options.device, **kinds) for size in sizes]
    net = torch.nn.Sequential(*dense, GroupSum(CLASSES, tau=10, device=options.device))
    return peer_step(torch.compile(net.to(options.device).train()), options)


def difflogic(node: str, options: argparse.Namespace) -> Step:
    """A step of difflogic's own layers and CUDA kernels."""
    from difflogic import GroupSum, LogicLayer

    assert NODES[node][1:] == ("raw", 2)
    sizes = [INPUTS] + [options.width] * (options.layers - 1)
    dense = [LogicLayer(size, options.width, device="cuda", implementation="cuda") for size in sizes]
    return peer_step(torch.nn.Sequential(*dense, GroupSum(CLASSES, tau=10)).train(), options)


ENGINES = {"lgc": ours, "torchlogix": torchlogix, "difflogic": difflogic}


def has(engine: str, node: str) -> bool:
    """Whether the engine has such nodes."""
    peer = NODES[node][1]
    return engine == "lgc" or (peer is not None if engine == "torchlogix" else peer == "raw")


def worker(options: argparse.Namespace) -> None:
    """Measure one engine and node, print milliseconds per step and bytes."""
    step = ENGINES[options.engine](options.node, options)
    for _ in range(10):  # compiles, then clocks rise
        step()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(options.steps):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        step()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    print(json.dumps({"ms": statistics.median(times), "bytes": torch.cuda.max_memory_allocated()}))


def check(node: str, options: argparse.Namespace) -> dict[str, float]:
    """Compare ours on the CPU and the GPU: largest differences, gradients relative to their largest."""
    from lgc.frontend.kernels import gpu
    from lgc.frontend.network import blocks

    bits, _ = batch(options)
    order = np.arange(len(bits))
    found = []
    for device in ("cpu", options.device):
        net = network(node, options).to(device)
        x = blocks(bits, order) if device == "cpu" else gpu.blocks(bits, order, device)
        logits = net(x, hard=False)
        logits.logsumexp(1).sum().backward()
        found.append((logits.detach().cpu(), [item.grad.cpu() for item in net.parameters()]))
    (a, grads), (b, others) = found
    worst = max(
        float((g - h).abs().max() / g.abs().max().clamp(min=1e-30))
        for g, h in zip(grads, others, strict=True)
    )
    return {"output": float((a - b).abs().max()), "gradient": worst}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, default=os.environ.get("LGC_PEERS"), metavar="DIR")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=200, help="measured per run (default 200)")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--node", choices=NODES, help="one of them only")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.peers = options.peers and Path(options.peers)
    if options.check:
        print(json.dumps(check(options.node, options)))
        return 0
    if not torch.cuda.is_available():
        print("There is no GPU that this PyTorch can use: nothing is measured.", file=sys.stderr)
        return 2
    if options.engine:
        worker(options)
        return 0
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"{INPUTS} -> {options.layers} x {options.width}, batch {options.batch}: ms per step, MiB, ratio")
    nodes = [options.node] if options.node else list(NODES)
    results = []
    for node in nodes:
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in ENGINES if has(name, node)}
        for _ in range(options.runs):
            for name in runs:
                found = call(__file__, ["--engine", name, "--node", node], options, KEYS)
                runs[name] += [found] if found else []
        best = {
            name: {"ms": min(r["ms"] for r in found), "MiB": min(r["bytes"] for r in found) / 2**20}
            for name, found in runs.items()
            if found
        }
        results.append({"node": node, **best})
        line = f"{node:<11}"
        for name, r in best.items():
            line += f"  {name} {r['ms']:.3f} ms {r['MiB']:.0f} MiB"
            if name != "lgc" and "lgc" in best:
                line += f" ({r['ms'] / best['lgc']['ms']:.1f}x)"
        print(line, flush=True)
    for node in nodes:
        found = call(__file__, ["--check", "--node", node], options, KEYS)
        if found:
            print(f"{node:<11}  GPU - CPU: output {found['output']:.1e}, gradient {found['gradient']:.1e}")
    if options.json:
        print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
