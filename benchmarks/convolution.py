"""Convolutions by gate trees with their OR pools, forward and backward: lgc and torchlogix.

    pip download --no-deps -d PEERS torchlogix==0.2.2 && unzip -d PEERS PEERS/torchlogix-*.whl
    python benchmarks/convolution.py --peers PEERS [--batch 128]
    python benchmarks/convolution.py --presets logictreenet-mnist-s [...]
    python benchmarks/convolution.py --unroll logictreenet-cifar10-m [...]
    python benchmarks/convolution.py --map logictreenet-cifar10-m [...]

PEERS may also come from the environment variable LGC_PEERS; a missing peer is reported. On
Python 3.11 one file of torchlogix 0.2.2 is read with other quotes, as in benchmarks/inference.py.

Layers of LogicTreeNet (arXiv 2411.04732): trees of depth 3 of two-input nodes (softmax over 16 gates),
padding and pools as the paper has them, random wiring. Inputs are probabilities, `backward()` of a sum of
the outputs goes to parameters and inputs, no optimiser. Each layer and engine runs in a process of its
own, engines in turns. One thread: CPU time (user and system), several threads: wall time; the median of a
run's steps, the better of the runs. Memory: what the process' peak grew by from before the layer was built.

`--presets` measures whole training steps of presets, with Adam, on random bits instead of data: CPU time of
a step, an epoch and all epochs on one core, and memory. `--unroll` lowers presets to netlists. `--map` also
runs the pipeline of `lgc compile` on them and maps to LUTs of `--k` inputs, pass by pass. A share `--gates` of
the nodes are random gates, the others wires, as in a network trained from residual initialisation.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scale import Meter
from workers import call, engines, peak

if TYPE_CHECKING:
    from lgc.frontend.checkpoint import AnyLayer, Checkpoint
    from lgc.frontend.config import TrainConfig
    from lgc.frontend.network import Network
    from lgc.ir.encoder import Thermometer

Step = Callable[[], object]
SAMPLES = {"mnist": 55_000, "cifar10": 45_000}
"""Training samples of the presets' data, without those held out."""


@dataclass(frozen=True)
class Shape:
    """A convolution of LogicTreeNet and the pool after it."""

    channels: int
    side: int
    kernels: int
    field: int
    padding: int

    @property
    def positions(self) -> int:
        """Positions of a kernel."""
        return (self.side + 2 * self.padding - self.field + 1) ** 2


LAYERS = {
    "MNIST-S 1": Shape(1, 28, 16, 5, 0),
    "MNIST-S 2": Shape(16, 12, 48, 3, 0),
    "MNIST-M 2": Shape(64, 12, 192, 3, 0),
    "CIFAR-S 1": Shape(6, 32, 32, 3, 1),
    "CIFAR-S 2": Shape(32, 16, 128, 3, 1),
    "CIFAR-S 3": Shape(128, 8, 512, 3, 1),
    "CIFAR-S 4": Shape(512, 4, 1024, 3, 1),
}
DEPTH = 3
PASSES = "simplify,merge,reduce"
"""Pipeline of `lgc compile` if nothing else is said."""
GATES = (1, 2, 4, 6, 7, 8, 9, 11, 13, 14)
"""Those of the 16 that look at both inputs."""


def ours(shape: Shape, options: argparse.Namespace) -> Step:
    """A step of lgc, whose samples lie in blocks of 64."""
    from lgc.frontend.config import LayerConfig
    from lgc.frontend.connections import Sources
    from lgc.frontend.kernels import cpu, memory, threads
    from lgc.frontend.layers import TreeLayer

    threads.cores = lambda: options.threads
    torch.set_num_threads(1)  # as in training: the kernels have the cores
    memory.keep()
    rng = np.random.default_rng(0)
    features = shape.channels * shape.side**2
    sources = Sources(np.arange(features, dtype=np.int32), shape=(shape.channels, shape.side, shape.side))
    settings = LayerConfig(
        kind="conv",
        width=shape.kernels,
        depth=DEPTH,
        field=shape.field,
        padding=shape.padding,
        reads=min(2, shape.channels),
    )
    layer = TreeLayer(settings, sources, rng)
    layer.attach(LayerConfig(kind="or-pool"))
    blocks = -(-options.batch // cpu.LANES)
    x = torch.from_numpy(rng.random((blocks, features, cpu.LANES), np.float32)).requires_grad_()

    def step() -> None:
        layer.zero_grad()
        x.grad = None
        layer(x, False).sum().backward()

    return step


def torchlogix(shape: Shape, options: argparse.Namespace) -> Step:
    """A step of torchlogix' own layers."""
    from inference import load_circuit

    sys.path.insert(0, str(options.peers))
    sys.modules["torchlogix.circuit"] = load_circuit(options.peers / "torchlogix" / "circuit.py")
    from torchlogix.layers import LogicConv2d, OrPooling2d

    torch.set_num_threads(options.threads)
    conv = LogicConv2d(
        in_dim=shape.side,
        channels=shape.channels,
        num_kernels=shape.kernels,
        tree_depth=DEPTH,
        receptive_field_size=shape.field,
        padding=shape.padding,
        parametrization="raw",
        parametrization_kwargs={},
        connections_kwargs={"channel_group_size": 2} if shape.channels > 2 else {},
    )
    layer = torch.nn.Sequential(conv, OrPooling2d(kernel_size=2, stride=2)).train()
    x = torch.rand(options.batch, shape.channels, shape.side, shape.side, requires_grad=True)

    def step() -> None:
        layer.zero_grad()
        x.grad = None
        layer(x).sum().backward()

    return step


def network_of(found: TrainConfig) -> tuple[Network, Thermometer]:
    """The network of a preset for images, all its input bits in use, with an encoder of that many bits."""
    from lgc.frontend import encoder
    from lgc.frontend.connections import Sources
    from lgc.frontend.network import Network
    from lgc.ir.encoder import FixedPoint, Thermometer

    image = (28, 28) if found.data.source == "mnist" else (32, 32, 3)
    levels = len(found.encoder.thresholds) or found.encoder.levels
    shape, order = encoder.arranged(image, 2, levels)
    sources = Sources(np.arange(math.prod(shape), dtype=np.int32), shape=shape, order=order)
    steps = np.arange(1, levels + 1, dtype=np.int32) * 64
    thermometer = Thermometer(np.tile(steps, (math.prod(image), 1)), FixedPoint(8))
    return Network(found.model, sources, 10, np.random.default_rng(0)), thermometer


def preset(name: str, options: argparse.Namespace) -> Step:
    """A training step of a preset on random bits."""
    from lgc.frontend import config, optimiser
    from lgc.frontend.kernels import threads
    from lgc.frontend.network import blocks

    threads.cores = lambda: options.threads
    torch.set_num_threads(1)
    found = config.load(name)
    network, thermometer = network_of(found)
    adam = optimiser.adam(found, network)
    batch, rng = found.train.batch, np.random.default_rng(0)
    x = blocks(rng.random((batch, thermometer.bits)) < 0.3, np.arange(batch))
    labels = torch.from_numpy(rng.integers(0, 10, batch))

    def step() -> None:
        adam.zero_grad()
        torch.nn.functional.cross_entropy(network(x, hard=False)[:batch], labels).backward()
        adam.step()

    return step


def untrained(found: TrainConfig) -> Checkpoint:
    """The network of a preset before training."""
    from lgc.frontend.checkpoint import Checkpoint

    network, thermometer = network_of(found)
    return Checkpoint(thermometer, network.hardened(), tuple(map(str, range(10))), found.model.tau)


def gates(model: Checkpoint, share: float) -> Checkpoint:
    """Replace the functions of a share of the nodes by random gates of two inputs; the others are wires."""
    rng = np.random.default_rng(0)

    def changed(layer: AnyLayer) -> AnyLayer:
        if not hasattr(layer, "parameters"):
            return layer
        parameters = layer.parameters.copy()
        chosen = rng.random(parameters.shape[:-1]) < share
        parameters[chosen] = np.eye(16, dtype=parameters.dtype)[rng.choice(GATES, int(chosen.sum()))]
        return replace(layer, parameters=parameters)

    return replace(model, layers=tuple(map(changed, model.layers)))


def mapped(options: argparse.Namespace) -> None:
    """Print what each step from a preset with random gates to its LUTs takes."""
    from lgc.frontend import config
    from lgc.frontend.lower import lower
    from lgc.ir import passes
    from lgc.ir.equivalence import compare
    from lgc.ir.netlist import Netlist

    def luts(net: Netlist) -> str:
        return f"{net.luts:,} LUTs"

    for name in options.map:
        found = config.load(name)
        model = gates(untrained(found), options.gates)
        print(name, flush=True)
        meter = Meter()
        before = net = meter.step("lower", lambda model=model: lower(model).netlist, luts)
        pipeline = passes.know(passes.REGISTRY.parse(options.passes), model.encoder.code_levels)
        for step in (*pipeline, passes.LutMap(k=options.k)):
            net = meter.step(step.name, lambda step=step, net=net: step(net), luts)
        meter.step(
            "compare",
            lambda before=before, net=net, levels=model.encoder.code_levels: compare(
                before, net, levels=levels, prove=False
            ),
            lambda found: f"equal: {found.equal}, {found.patterns:,} vectors",
        )


def unroll(options: argparse.Namespace) -> None:
    """Print what lowering presets takes; functions are those before training."""
    from lgc.frontend import config
    from lgc.frontend.lower import lower

    print(f"{'preset':<26}{'LUTs':>12}{'CPU s':>8}{'MiB':>8}")
    for name in options.unroll:
        model = untrained(config.load(name))
        start = time.process_time()
        net = lower(model).netlist
        seconds = time.process_time() - start
        size = (net.fanin.nbytes + net.table.nbytes) / 2**20
        print(f"{name:<26}{net.luts:>12,}{seconds:>8.2f}{size:>8.0f}", flush=True)


def worker(options: argparse.Namespace) -> None:
    """Measure one engine and layer, print seconds per step and bytes."""
    torch.ones(8).sum()
    before = peak()
    if options.engine == "preset":
        step = preset(options.layer, options)
    else:
        step = {"lgc": ours, "torchlogix": torchlogix}[options.engine](LAYERS[options.layer], options)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    step()  # compiles or loads kernels
    times: list[float] = []
    while len(times) < 3 or (sum(times) < options.seconds and len(times) < 200):
        start = clock()
        step()
        times.append(clock() - start)
    print(json.dumps({"seconds": statistics.median(times), "bytes": peak() - before}))


def measured(engine: str, layer: str, threads: int, options: argparse.Namespace) -> dict[str, float] | None:
    """Run a worker; None if the engine is missing."""
    task = ["--engine", engine, "--layer", layer, "--threads", str(threads)]
    return call(__file__, task, options, ("batch", "seconds"))


def best(runs: list[dict[str, float] | None]) -> dict[str, float] | None:
    """The least time and memory of several runs."""
    found = [run for run in runs if run]
    return {key: min(run[key] for run in found) for key in ("seconds", "bytes")} if found else None


def compare(names: list[str], options: argparse.Namespace) -> None:
    """Print the layers' table."""
    print(f"convolution and OR pool, batch {options.batch}: ms, ns per gate and sample, MiB")
    columns = "".join(f"{name + ' ms':>15}{'ns':>7}{'MiB':>7}" for name in names)
    print(f"{'layer':<11}{'threads':>8}{columns}{'ratio':>8}{'memory':>8}")
    for name in [options.layer] if options.layer else LAYERS:
        shape = LAYERS[name]
        gates = shape.kernels * shape.positions * (2**DEPTH - 1) * options.batch
        for threads in sorted({1, options.threads}):
            runs: dict[str, list[dict[str, float] | None]] = {engine: [] for engine in names}
            for _ in range(options.runs):
                for engine in names:
                    runs[engine].append(measured(engine, name, threads, options))
            found = {engine: best(each) for engine, each in runs.items()}
            line = f"{name:<11}{threads:>8}"
            for each in found.values():
                if each:
                    ns = each["seconds"] / gates * 1e9
                    line += f"{each['seconds'] * 1e3:>15.1f}{ns:>7.2f}{each['bytes'] / 2**20:>7.0f}"
                else:
                    line += f"{'-':>15}{'-':>7}{'-':>7}"
            mine, theirs = found["lgc"], found.get("torchlogix")
            if mine and theirs:
                line += (
                    f"{theirs['seconds'] / mine['seconds']:>7.1f}x{theirs['bytes'] / mine['bytes']:>7.1f}x"
                )
            print(line, flush=True)


def whole(options: argparse.Namespace) -> None:
    """Print the presets' table."""
    from lgc.frontend import config

    print(
        f"{'preset':<24}{'batch':>6}{'s per step':>12}{'min per epoch':>15}{'epochs':>8}{'hours':>8}{'MiB':>8}"
    )
    for name in options.presets:
        found = best([measured("preset", name, 1, options) for _ in range(options.runs)])
        settings = config.load(name)
        if found:
            steps = -(-SAMPLES[settings.data.source] // settings.train.batch)
            epoch = steps * found["seconds"]
            hours = epoch * settings.train.epochs / 3600
            print(
                f"{name:<24}{settings.train.batch:>6}{found['seconds']:>12.3f}{epoch / 60:>15.1f}"
                f"{settings.train.epochs:>8}{hours:>8.1f}{found['bytes'] / 2**20:>8.0f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, default=os.environ.get("LGC_PEERS"), metavar="DIR")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=2, help="of steps per run (default 2)")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="measured besides one (default 2)")
    parser.add_argument("--layer", help="one of the layers only")
    parser.add_argument("--presets", nargs="+", metavar="NAME", help="measure training steps of these")
    parser.add_argument("--unroll", nargs="+", metavar="NAME", help="lower these presets")
    parser.add_argument("--map", nargs="+", metavar="NAME", help="optimise and map these presets")
    parser.add_argument("--gates", type=float, default=0.6, help="share of gates with --map (default 0.6)")
    parser.add_argument("--passes", default=PASSES, help=f"pipeline with --map (default {PASSES})")
    parser.add_argument("--k", type=int, default=4, help="inputs per LUT with --map (default 4)")
    parser.add_argument("--engine", choices=("lgc", "torchlogix", "preset"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.peers = options.peers and Path(options.peers)
    if options.engine:
        worker(options)
        return
    if options.presets or options.unroll or options.map:
        (whole if options.presets else unroll if options.unroll else mapped)(options)
        return
    compare(engines(options), options)


if __name__ == "__main__":
    main()
