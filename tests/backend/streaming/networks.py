"""Random convolutional checkpoints whose windows can be folded."""

import numpy as np

from lgc.frontend.checkpoint import AnyLayer, Checkpoint, ConvLayer, Layer, OrPool, Window
from lgc.frontend.encoder import arranged
from lgc.frontend.graph import Shape
from lgc.frontend.relaxations import relaxation
from lgc.ir.encoder import FixedPoint, Thermometer


def window(rng: np.random.Generator, shape: Shape) -> Window:
    """Any size, stride, and padding below the size, as long as it fits."""
    axes = []
    for extent in shape[1:]:
        size = int(rng.integers(1, 5))
        padding = int(rng.integers(0, size))
        while extent + 2 * padding < size:
            size, padding = size - 1, min(padding, size - 2)
        axes.append((size, int(rng.integers(1, 4)), padding))
    size, stride, padding = (tuple(each) for each in zip(*axes, strict=True))
    return Window(shape, size, stride, padding)


def conv(
    rng: np.random.Generator,
    slides: Window,
    *,
    channels: int | None = None,
    source: np.ndarray | None = None,
) -> ConvLayer:
    """Random trees of 2-input nodes."""
    channels, depth = channels or int(rng.integers(1, 6)), int(rng.integers(1, 4))
    limits = (slides.shape[0], *slides.size)
    leaf = rng.integers(0, limits, (channels, 2**depth, len(limits))).astype(np.int32)
    nodes = 2**depth - 1
    parameters = relaxation("light").initial(channels * nodes, 2, 0.0, rng).reshape(channels, nodes, -1)
    return ConvLayer(slides, leaf, parameters, "light", source)


def dense(inputs: int, seed: int = 0) -> Layer:
    """Twelve random nodes."""
    rng = np.random.default_rng(seed)
    fanin = rng.integers(0, inputs, (12, 2)).astype(np.int32)
    return Layer(fanin, relaxation("light").initial(12, 2, 0.0, rng), "light")


def dense_network(
    seed: int, *, features: int, levels: int = 1, widths: tuple[int, ...] = (12,)
) -> Checkpoint:
    """Layers of random nodes, without convolutions; three classes."""
    rng = np.random.default_rng(seed)
    threshold = np.sort(rng.integers(1, 16, (features, levels)), axis=1).astype(np.int32)
    layers, sources = [], features * levels
    for width in widths:
        fanin = rng.integers(0, sources, (width, 2)).astype(np.int32)
        layers.append(Layer(fanin, relaxation("light").initial(width, 2, 0.0, rng), "light"))
        sources = width
    names = ("a", "b", "c")
    return Checkpoint(Thermometer(threshold, FixedPoint(4)), tuple(layers), names, 1.0, {"seed": seed})


def network(
    seed: int, *, image: Shape, per_place: int = 1, levels: int = 2, shared: bool = True, tail: bool = True
) -> Checkpoint:
    """Two or three convolutions and pools of random windows over an image of this extent."""
    rng = np.random.default_rng(seed)
    features = int(np.prod(image)) * per_place
    threshold = np.sort(rng.integers(1, 16, (1 if shared else features, levels)), axis=1)
    threshold = np.broadcast_to(threshold, (features, levels)).astype(np.int32)
    shape, order = arranged((*image, per_place), len(image), levels)
    layers: list[AnyLayer] = [conv(rng, window(rng, shape), source=order)]
    for _ in range(int(rng.integers(1, 3))):
        shape = layers[-1].output_shape  # type: ignore[union-attr]
        kind = rng.integers(3)
        if kind == 0:
            layers.append(conv(rng, window(rng, shape)))
        elif kind == 1:
            layers.append(OrPool(window(rng, shape)))
        else:
            side = tuple(min(2, extent) for extent in shape[1:])
            layers.append(OrPool(Window(shape, side, side, (0,) * len(side))))
    last = layers[-1]
    assert not isinstance(last, Layer)
    if tail:
        layers.append(dense(last.nodes, seed))
    else:
        layers[-1] = conv(rng, last.window, channels=3)
    return Checkpoint(
        Thermometer(threshold, FixedPoint(4)), tuple(layers), ("a", "b", "c"), 1.0, {"seed": seed}
    )
