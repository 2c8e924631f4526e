"""Random checkpoints for the tests of `frontend`."""

import numpy as np

from lgc.frontend.checkpoint import Checkpoint, ConvLayer, Layer, OrPool, Window
from lgc.frontend.relaxations import relaxation
from lgc.ir.encoder import FixedPoint, Thermometer


def random_checkpoint(seed: int, *, layers: str = "dlgn2 light4", classes: int = 3) -> Checkpoint:
    """A checkpoint with random wiring and functions; `layers` gives relaxation and k of each layer."""
    rng = np.random.default_rng(seed)
    threshold = np.sort(rng.integers(1, 16, (5, 3)), axis=1).astype(np.int32)
    sources, built = 15, []
    for text in layers.split():
        name, k = text[:-1], int(text[-1])
        nodes = classes * int(rng.integers(1, 5))
        fanin = rng.integers(0, sources, (nodes, k)).astype(np.int32)
        built.append(Layer(fanin, relaxation(name).initial(nodes, k, 0.0, rng), name))
        sources = nodes
    names = tuple("abcdefgh"[:classes])
    return Checkpoint(Thermometer(threshold, FixedPoint(4)), tuple(built), names, 2.5, {"seed": seed})


def random_window(rng: np.random.Generator, shape: tuple[int, ...], *, pool: bool = False) -> Window:
    """A window of any size, stride and padding that fits an input of this shape."""
    axes = len(shape) - 1
    padding = tuple(int(rng.integers(0, 3)) for _ in range(axes))
    size = tuple(int(rng.integers(1, min(n + 2 * p, 4) + 1)) for n, p in zip(shape[1:], padding, strict=True))
    if pool:
        padding = tuple(min(p, s - 1) for p, s in zip(padding, size, strict=True))
        size = tuple(min(s, n + 2 * p) for n, s, p in zip(shape[1:], size, padding, strict=True))
        padding = tuple(min(p, s - 1) for p, s in zip(padding, size, strict=True))
    stride = tuple(int(rng.integers(1, 4)) for _ in range(axes))
    return Window(shape, size, stride, padding)


def random_conv(
    rng: np.random.Generator, shape: tuple[int, ...], *, name: str = "dlgn", k: int = 2, depth: int = 2
) -> ConvLayer:
    """A convolution with random trees over an input of this shape."""
    window, channels = random_window(rng, shape), int(rng.integers(1, 5))
    limits = (shape[0], *window.size)
    leaf = rng.integers(0, limits, (channels, k**depth, len(limits))).astype(np.int32)
    nodes = depth if k == 1 else (k**depth - 1) // (k - 1)
    parameters = relaxation(name).initial(channels * nodes, k, 0.0, rng).reshape(channels, nodes, -1)
    return ConvLayer(window, leaf, parameters, name)


def random_conv_checkpoint(
    seed: int, *, axes: int = 2, name: str = "dlgn", k: int = 2, depth: int = 2
) -> Checkpoint:
    """Convolution, OR pool, convolution and a dense layer on 3 to 5 pixels a side with two thresholds."""
    rng = np.random.default_rng(seed)
    image = (1, *rng.integers(3, 6, axes).tolist())
    threshold = np.sort(rng.integers(1, 16, (int(np.prod(image)), 2)), axis=1).astype(np.int32)
    shape = (2, *image[1:])
    first = random_conv(rng, shape, name=name, k=k, depth=depth)
    # input bits are ordered by pixel, then threshold
    source = np.arange(threshold.size, dtype=np.int32).reshape(-1, 2).T.ravel()
    first = ConvLayer(first.window, first.leaf, first.parameters, name, source.astype(np.int32))
    pool = OrPool(random_window(rng, first.output_shape, pool=True))
    second = random_conv(rng, pool.output_shape, name=name, k=k, depth=1)
    fanin = rng.integers(0, second.nodes, (6, 2)).astype(np.int32)
    dense = Layer(fanin, relaxation("light").initial(6, 2, 0.0, rng), "light")
    encoder = Thermometer(threshold, FixedPoint(4))
    return Checkpoint(encoder, (first, pool, second, dense), ("a", "b", "c"), 2.0, {"seed": seed})
