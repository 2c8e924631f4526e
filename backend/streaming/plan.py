"""What a layer keeps of the image that streams through it: which bits, how long, in what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lgc.errors import UsageError
from lgc.ir.kernels import Kernel

from .text import kernel_text, line_text

SHORTEST = 3
"""Words of a memory at least; with fewer a word would be read while it is written."""

Element = tuple[int, int]
"""Row of the window, channel."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A kernel and how it is built.

    A pool whose windows neither overlap nor leave gaps is accumulated place by place. Any other layer
    keeps its window in flip-flops.

    Attributes:
        kernel: what to evaluate; LUTs of four inputs.
        name: of its Verilog modules.
        block: whether its line buffer goes to block RAM.

    Raises:
        UsageError: the padding is as wide as the window.
    """

    kernel: Kernel
    name: str
    block: bool = False

    def __post_init__(self) -> None:
        """Reject windows that see nothing but padding."""
        window = self.kernel.window
        if any(pad >= size for pad, size in zip(window.padding, window.size, strict=True)):
            raise UsageError(
                "A convolution pads as much as its window: it cannot be folded.",
                hint="Compile it without --fold.",
            )

    @property
    def accumulates(self) -> bool:
        """Whether it is a pool that needs no window."""
        window = self.kernel.window
        return self.kernel.pool and window.size == window.stride and window.padding == (0, 0)

    @property
    def steps(self) -> tuple[int, int]:
        """Rows and columns with the padding behind them."""
        window = self.kernel.window
        return window.extent[0] + window.padding[0], window.extent[1] + window.padding[1]

    @cached_property
    def top(self) -> list[int]:
        """First row of the window that is read of each channel; as many as there are if none is."""
        used = np.logical_or.reduce(self.kernel.used, axis=1)
        found: list[int] = np.where(used.any(axis=0), used.argmax(axis=0), len(used)).tolist()
        return found

    def column(self, number: int) -> list[Element]:
        """Elements of a column of the window that it or one further left is read of, by row."""
        height, width = self.kernel.window.size
        if number == width - 1:  # rows below feed the line buffer
            used = np.arange(height)[:, None] >= np.array(self.top)
        else:
            used = np.logical_or.reduce(self.kernel.used[:, : number + 1], axis=1)
        return [(row, channel) for row, channel in np.argwhere(used).tolist()]

    @cached_property
    def kept(self) -> list[Element]:
        """Elements of the newest column that come from the line buffer."""
        height, width = self.kernel.window.size
        return [(row, c) for row, c in self.column(width - 1) if row < height - 1]

    @cached_property
    def wanted(self) -> list[int]:
        """Channels of the result that are not given up as constant 0."""
        found: list[int] = np.flatnonzero(self.kernel.netlist.outputs).tolist()
        return found

    @property
    def line(self) -> tuple[int, int]:
        """Bits per word and words of the line buffer; no words if there is none."""
        window = self.kernel.window
        if not self.accumulates:
            return len(self.kept), self.steps[1] if self.kept else 0
        depth = window.positions[1] - 1 if window.size[0] > 1 and self.wanted else 0
        return len(self.wanted), depth

    @property
    def ends_early(self) -> bool:
        """Whether its last window is complete before the image is."""
        window = self.kernel.window
        each = zip(window.extent, window.size, window.stride, window.padding, window.positions, strict=True)
        return any(size - 1 - pad + step * (n - 1) < extent - 1 for extent, size, step, pad, n in each)

    @property
    def in_block(self) -> bool:
        """Whether the line buffer is a memory."""
        return self.block and self.line[1] >= SHORTEST

    @property
    def registers(self) -> int:
        """Flip-flops that hold places, besides the line buffer."""
        if self.accumulates:
            return 2 * len(self.wanted)
        return sum(len(self.column(n)) for n in range(self.kernel.window.size[1]))

    @property
    def luts(self) -> int:
        """LUTs of the kernel; a pool that accumulates has one before each of its flip-flops."""
        return self.registers if self.accumulates else self.kernel.netlist.luts

    @property
    def text(self) -> str:
        """Verilog of kernel and line memory."""
        text = ""
        if not self.accumulates:
            read = np.flatnonzero(self.kernel.used.ravel())
            text = kernel_text(f"{self.name}_kernel", self.kernel.netlist, read)
        return text + (line_text(f"{self.name}_line", *self.line) if self.in_block else "")


def layers_of(
    kernels: tuple[Kernel, ...], *, shapes: tuple[tuple[int, int], ...], blocks: int
) -> tuple[Layer, ...]:
    """Decide which line buffers go to block RAM: the largest, as long as there is some.

    Args:
        kernels: the network.
        shapes: words and bits per word that a block RAM can have.
        blocks: block RAMs.
    """
    layers = [Layer(kernel, f"lgc_layer{n}") for n, kernel in enumerate(kernels)]
    sizes = [blocks_of(layer.line, shapes) for layer in layers]
    for n in sorted(range(len(layers)), key=lambda n: -sizes[n]):
        if 0 < sizes[n] <= blocks:
            blocks -= sizes[n]
            layers[n] = Layer(kernels[n], layers[n].name, block=True)
    return tuple(layers)


_LEAST_BITS = 64
"""Bits of a line buffer that are worth a block RAM."""


def blocks_of(line: tuple[int, int], shapes: tuple[tuple[int, int], ...]) -> int:
    """Count the block RAMs of a line buffer, 0 if it is not worth them."""
    width, depth = line
    if width * depth < _LEAST_BITS or depth < SHORTEST or not shapes:
        return 0
    return min(-(-depth // words) * -(-width // bits) for words, bits in shapes)
