"""Forward and backward per gate and sample: lgc's fused layers, torchlogix' eager torch.

    pip download --no-deps -d PEERS torchlogix==0.2.2 && unzip -d PEERS PEERS/torchlogix-*.whl
    python benchmarks/training.py --peers PEERS [--layers 4] [--width 8000] [--batch 128]

PEERS may also come from the environment variable LGC_PEERS; a missing peer is reported. On
Python 3.11 one file of torchlogix 0.2.2 is read with other quotes, as in benchmarks/inference.py.

784 random bits, layers of random fixed wiring (or of 8 learned candidates per pin), relaxed or hard with
the relaxed gradient, counts per class, cross-entropy, `backward()`; `--adam` adds torch's optimiser
step. Each engine, node and number of threads runs in a process of its own, engines in turns. One thread: CPU time (user and system), several threads:
wall time; the fastest of a run's steps, the better of the runs, for both engines. Memory: what the
process' peak grew by from before the model was built, a step of a small network having been made.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from workers import call, engines, forget_peak, peak

INPUTS, CLASSES = 784, 10
NODES = {
    "raw 2": ("dlgn", "raw", 2),
    "Light 4": ("light", "light", 4),
    "WARP 4": ("warp", "warp", 4),
    "WARP 6": ("warp", "warp", 6),
    "learned 8": ("dlgn", "raw", 2),
    "raw 2 hard": ("dlgn", "raw", 2),
    "Light 4 hard": ("light", "light", 4),
    "WARP 4 hard": ("warp", "warp", 4),
    "WARP 6 hard": ("warp", "warp", 6),
}
"""Relaxation here, parametrization there, inputs per node; all learn their functions.

Hard ones are hardened in the forward pass and have the relaxed gradient.
"""
CANDIDATES = 8
SMALL = 400
"""Width of the network each engine starts with."""
Step = Callable[[], object]


def ours(node: str, options: argparse.Namespace) -> Step:
    """A step of lgc, whose samples lie in blocks of 64."""
    from lgc.frontend.config import LayerConfig, ModelConfig
    from lgc.frontend.connections import Sources
    from lgc.frontend.kernels import threads
    from lgc.frontend.network import Network, blocks

    threads.cores = lambda: options.threads
    torch.set_num_threads(1)  # as in training: the kernels have the cores
    name, _, k = NODES[node]
    settings = LayerConfig(width=options.width, k=k, relaxation=name)
    if node.startswith("learned"):
        settings = dataclasses.replace(settings, connections="learned", candidates=CANDIDATES)
    layers = (settings,) * options.layers
    rng = np.random.default_rng(0)
    hard = node.endswith("hard")
    model = ModelConfig(layers, estimator="hard" if hard else "soft")
    network = Network(model, Sources(np.arange(INPUTS, dtype=np.int32)), CLASSES, rng)
    x = blocks(rng.random((options.batch, INPUTS)) < 0.5, np.arange(options.batch))
    labels = torch.from_numpy(rng.integers(0, CLASSES, options.batch))
    adam = torch.optim.Adam(network.parameters())

    def step() -> None:
        network.zero_grad()
        logits = network(x, hard=hard)[: options.batch]
        torch.nn.functional.cross_entropy(logits, labels).backward()
        if options.adam:
            adam.step()

    return step


def torchlogix(node: str, options: argparse.Namespace) -> Step:
    """A step of torchlogix' own layers."""
    from torchlogix.layers import GroupSum, LogicDense

    torch.set_num_threads(options.threads)
    _, name, k = NODES[node]
    sizes = [INPUTS] + [options.width] * options.layers
    wiring: dict[str, object] = {}
    if node.startswith("learned"):  # its method "random" draws sources that do not exist
        chosen = {"num_candidates": CANDIDATES, "init_method": "random-unique"}
        wiring = {"connections": "learnable", "connections_kwargs": chosen}
    how = {"forward_sampling": "hard" if node.endswith("hard") else "soft"}
    dense = [
        LogicDense(
            size, options.width, lut_rank=k, parametrization=name, parametrization_kwargs=how, **wiring
        )
        for size in sizes[:-1]
    ]
    network = torch.nn.Sequential(*dense, GroupSum(CLASSES, tau=10)).train()
    rng = np.random.default_rng(0)
    x = torch.from_numpy(np.rint(rng.random((options.batch, INPUTS), np.float32)))
    labels = torch.from_numpy(rng.integers(0, CLASSES, options.batch))
    adam = torch.optim.Adam(network.parameters())

    def step() -> None:
        network.zero_grad()
        torch.nn.functional.cross_entropy(network(x), labels).backward()
        if options.adam:
            adam.step()

    return step


def load(engine: str, options: argparse.Namespace) -> None:
    """Import an engine's packages."""
    if engine == "lgc":
        importlib.import_module("lgc.frontend.network")
        return
    from inference import load_circuit

    sys.path.insert(0, str(options.peers))
    sys.modules["torchlogix.circuit"] = load_circuit(options.peers / "torchlogix" / "circuit.py")
    importlib.import_module("torchlogix.layers")


ENGINES = {"lgc": ours, "torchlogix": torchlogix}


def worker(options: argparse.Namespace) -> None:
    """Measure one engine and node, print seconds per step and bytes."""
    load(options.engine, options)
    small = argparse.Namespace(**{**vars(options), "width": SMALL})
    ENGINES[options.engine](options.node, small)()  # compiles or loads kernels, imports what is left
    gc.collect()
    forget_peak()
    before = peak()
    step = ENGINES[options.engine](options.node, options)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    times: list[float] = []
    while len(times) < 6 or (sum(times) < options.seconds and len(times) < 200):
        start = clock()
        step()
        times.append(clock() - start)
    print(json.dumps({"seconds": min(times[1:]), "bytes": peak() - before}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, default=os.environ.get("LGC_PEERS"), metavar="DIR")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=3, help="of steps per run (default 3)")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="measured besides one (default 2)")
    parser.add_argument("--node", choices=NODES, help="one of them only")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--adam", action="store_true", help="with the optimiser's step")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.peers = options.peers and Path(options.peers)
    if options.engine:
        worker(options)
        return
    names = engines(options)
    gates = options.layers * options.width * options.batch
    results = []
    print(
        f"{INPUTS} -> {options.layers} x {options.width}, batch {options.batch}: ns per gate and sample, MiB"
    )
    print(
        f"{'node':<13}{'threads':>8}"
        + "".join(f"{name:>12}{'MiB':>7}" for name in names)
        + f"{'ratio':>9}{'memory':>8}"
    )
    for node in [options.node] if options.node else NODES:
        for threads in sorted({1, options.threads}):
            runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
            for _ in range(options.runs):
                for name in names:
                    task = ["--engine", name, "--node", node, "--threads", str(threads)]
                    task += ["--adam"] * options.adam
                    found = call(__file__, task, options, ("layers", "width", "batch", "seconds"))
                    runs[name] += [found] if found else []
            best = {
                name: {
                    "ns": min(run["seconds"] for run in found) / gates * 1e9,
                    "MiB": min(run["bytes"] for run in found) / 2**20,
                }
                for name, found in runs.items()
                if found
            }
            results.append({"node": node, "threads": threads, **best})
            line = f"{node:<13}{threads:>8}" + "".join(
                f"{r['ns']:>12.2f}{r['MiB']:>7.0f}" for r in best.values()
            )
            if len(best) == 2:
                line += f"{best['torchlogix']['ns'] / best['lgc']['ns']:>8.1f}x"
                line += f"{best['torchlogix']['MiB'] / best['lgc']['MiB']:>7.1f}x"
            print(line, flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
