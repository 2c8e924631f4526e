"""What a layer keeps of the image that streams through it: which bits, how long, in what."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lgc.errors import UsageError
from lgc.ir.kernels import Kernel

from .text import kernel_text, line_text

SHORTEST = 3
"""Words of a memory at least; with fewer a word would be read while it is written."""

Element = tuple[int, int, int]
"""Which of the places of a word, row of the window, channel."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A kernel and how it is built.

    A pool whose windows neither overlap nor leave gaps is accumulated place by place. Any other layer
    keeps its window in flip-flops.

    A word has `lanes` neighbouring places of a row, the last word of a row what is left and as many that
    mean nothing. The kernel is built `results` times, which keeps up with that at any stride: a word of as
    many results is complete with every `every`-th word, always at the same place of the window's register.

    Attributes:
        kernel: what to evaluate; LUTs of four inputs.
        name: of its Verilog modules.
        block: whether its line buffer goes to block RAM.
        lanes: places that enter per clock.
        endless: the image is a signal without end, of one row.

    Raises:
        UsageError: the padding is as wide as the window.
    """

    kernel: Kernel
    name: str
    block: bool = False
    lanes: int = 1
    endless: bool = False

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
        plain = window.size == window.stride and window.padding == (0, 0)
        whole = self.lanes % window.size[1] == 0 or window.size[1] % self.lanes == 0
        return self.kernel.pool and plain and whole

    @property
    def results(self) -> int:
        """Places of the result per word, at most a row."""
        window = self.kernel.window
        return min(self.lanes // math.gcd(self.lanes, window.stride[1]), window.positions[1])

    @property
    def every(self) -> int:
        """Words taken from one word of results to the next."""
        stride = self.kernel.window.stride[1]
        return stride // math.gcd(self.lanes, stride)

    @property
    def words(self) -> int:
        """Words per row."""
        return -(-self.kernel.window.extent[1] // self.lanes)

    @property
    def groups(self) -> int:
        """Words per row of the result."""
        return -(-self.kernel.window.positions[1] // self.results)

    @property
    def first(self) -> int:
        """The word of a row that completes the first word of results."""
        window = self.kernel.window
        last = (self.results - 1) * window.stride[1] - window.padding[1] + window.size[1] - 1
        return last // self.lanes

    @property
    def steps(self) -> tuple[int, int]:
        """Rows, and words per row, with the padding behind them.

        A word is either taken or padding, so that frames can begin with padding. The last word of results
        may want another, as some of what it reads lies outside of the image.
        """
        window = self.kernel.window
        padded = self.words + -(-window.padding[1] // self.lanes)
        return window.extent[0] + window.padding[0], max(padded, self.last + 1)

    @property
    def last(self) -> int:
        """The word of a row that completes the last word of results."""
        return self.first + (self.groups - 1) * self.every

    def age(self, result: int, column: int) -> int:
        """Places between the newest in the window's register and what a result reads in a column."""
        window = self.kernel.window
        newest = self.first * self.lanes + self.lanes - 1 + window.padding[1]
        return newest - result * window.stride[1] - column

    @cached_property
    def _read(self) -> npt.NDArray[np.bool_]:
        """What is read, bool `[words back, lanes, rows, channels]`."""
        height, width = self.kernel.window.size
        back = self.age(0, 0) // self.lanes + 1
        read = np.zeros((back * self.lanes, height, self.kernel.window.channels), np.bool_)
        for result in range(self.results):
            for column in range(width):
                read[self.age(result, column)] |= self.kernel.used[:, column]
        return read.reshape(back, self.lanes, *read.shape[1:])[:, ::-1]

    @cached_property
    def columns(self) -> list[list[Element]]:
        """What the window's register keeps of each word, the newest first."""
        needed = np.logical_or.accumulate(self._read[::-1], axis=0)[::-1]
        # rows below feed the line buffer
        newest = np.logical_or.accumulate(needed[0], axis=1)
        found = [newest, *needed[1:]]
        return [[(lane, row, c) for lane, row, c in np.argwhere(used).tolist()] for used in found]

    @cached_property
    def kept(self) -> list[Element]:
        """Elements of the newest word that come from the line buffer."""
        height = self.kernel.window.size[0]
        return [(lane, row, c) for lane, row, c in self.columns[0] if row < height - 1]

    @cached_property
    def wanted(self) -> list[int]:
        """Channels of the result that are not given up as constant 0."""
        found: list[int] = np.flatnonzero(self.kernel.netlist.outputs).tolist()
        return found

    @property
    def line(self) -> tuple[int, int]:
        """Bits per word and words of the line buffer; no words if there is none."""
        if not self.accumulates:
            return len(self.kept), self.steps[1] if self.kept else 0
        depth = self.groups - 1 if self.kernel.window.size[0] > 1 and self.wanted else 0
        return len(self.wanted) * self.results, depth

    @property
    def ends_early(self) -> bool:
        """Whether its last window is complete before the image is."""
        window = self.kernel.window
        below = window.size[0] - 1 - window.padding[0] + window.stride[0] * (window.positions[0] - 1)
        return below < window.extent[0] - 1 or self.last < self.words - 1

    @property
    def in_block(self) -> bool:
        """Whether the line buffer is a memory."""
        return self.block and self.line[1] >= SHORTEST

    @property
    def registers(self) -> int:
        """Flip-flops that hold places, besides the line buffer."""
        if self.accumulates:
            return 2 * len(self.wanted) * self.results
        return sum(map(len, self.columns))

    @property
    def luts(self) -> int:
        """LUTs of the kernels; a pool that accumulates has one before each of its flip-flops."""
        if not self.accumulates:
            return self.kernel.netlist.luts * self.results
        joined = min(self.lanes, self.kernel.window.size[1]) > 1
        return self.registers + joined * len(self.wanted) * self.results

    @property
    def text(self) -> str:
        """Verilog of kernel and line memory."""
        text = ""
        if not self.accumulates:
            read = np.flatnonzero(self.kernel.used.ravel())
            text = kernel_text(f"{self.name}_kernel", self.kernel.netlist, read)
        return text + (line_text(f"{self.name}_line", *self.line) if self.in_block else "")


def layers_of(
    kernels: tuple[Kernel, ...],
    *,
    shapes: tuple[tuple[int, int], ...],
    blocks: int,
    lanes: int = 1,
    endless: bool = False,
) -> tuple[Layer, ...]:
    """Decide which line buffers go to block RAM: the largest, as long as there is some.

    Args:
        kernels: the network.
        shapes: words and bits per word that a block RAM can have.
        blocks: block RAMs.
        lanes: places of the first image that enter per clock.
        endless: the images are signals without end.
    """
    layers: list[Layer] = []
    for n, kernel in enumerate(kernels):
        lanes = layers[-1].results if layers else lanes
        layers.append(Layer(kernel, f"lgc_layer{n}", lanes=lanes, endless=endless))
    sizes = [blocks_of(layer.line, shapes) for layer in layers]
    for n in sorted(range(len(layers)), key=lambda n: -sizes[n]):
        if 0 < sizes[n] <= blocks:
            blocks -= sizes[n]
            layers[n] = replace(layers[n], block=True)
    return tuple(layers)


_LEAST_BITS = 64
"""Bits of a line buffer that are worth a block RAM."""


def blocks_of(line: tuple[int, int], shapes: tuple[tuple[int, int], ...]) -> int:
    """Count the block RAMs of a line buffer, 0 if it is not worth them."""
    width, depth = line
    if width * depth < _LEAST_BITS or depth < SHORTEST or not shapes:
        return 0
    return min(-(-depth // words) * -(-width // bits) for words, bits in shapes)
